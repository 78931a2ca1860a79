"""What a network puts into the memory of a `pe_array`: words, shifts, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codesign.accelerator.schedule import ArrayParameters, schedule
from codesign.errors import InputError
from codesign.export.pe_array_image import PeArrayImage, accumulator_range, alignment, layer_weights, pack_words, shift_field, unpack_words
from codesign.network.deployed import DeployedNetwork, TensorFormat, requantise

ARRAY = ArrayParameters(
    rows=4, columns=8, weight_bits=6, activation_bits=8, accumulator_bits=24, weight_words=400, activation_words=300, output_words=100, banks=1, bus_bits=32
)


def image(network: DeployedNetwork, **changed: int) -> PeArrayImage:
    array = replace(ARRAY, **changed)
    return PeArrayImage(network, schedule(network.graph, array))


def test_words_begin_on_a_byte_of_their_own() -> None:
    lanes = np.array([[1, -1, 2], [3, 0, -4]])
    packed = pack_words(lanes, 3, 2)
    assert packed == bytes([0b10111001, 0b0, 0b00000011, 0b1])
    assert unpack_words(packed, 3, 3, 2).tolist() == [[1, 7, 2], [3, 0, 4]]


def test_weights_of_a_full_layer_lie_by_group_tap_and_channel_tile(residual_network: DeployedNetwork) -> None:
    made = image(residual_network)
    geometry = made.schedule.geometries["branch"]
    own = residual_network.integers["branch"]
    assert own.weight is not None and own.bias is not None
    words = unpack_words(layer_weights(residual_network, geometry, made.schedule.array), 6, 32, 24)
    words = (words - 64 * (words >= 32)).reshape(2, 1 + 5, 4, 8)  # groups, biases and taps, rows, columns
    for channel in range(6):
        for tap in range(5):
            assert words[channel // 4, 1 + tap, channel % 4, :4].tolist() == own.weight[channel, :, 0, tap].tolist()
    assert not words[1, 1:, 2:].any() and not words[:, 1:, :, 4:].any()
    biases = np.frombuffer(layer_weights(residual_network, geometry, made.schedule.array), dtype="<i2").reshape(2, -1)[:, :4]
    assert biases.ravel()[:6].tolist() == own.bias.tolist() and not biases.ravel()[6:].any()


def test_inputs_lie_by_plane_and_outputs_come_back(residual_network: DeployedNetwork) -> None:
    made = image(residual_network, columns=3)
    samples = np.random.default_rng(0).integers(0, 32, (2, 8, 8)).astype(np.uint8)
    packed = np.frombuffer(made.pack_input(samples), dtype=np.uint8).reshape(2, 3, 8, 4)  # planes, steps, bytes
    assert made.input_bytes == 96 and np.array_equal(packed[:, 1, :, :3], samples[:, :, 3:6])
    assert np.array_equal(packed[:, 2, :, 0], samples[:, :, 6]) and not packed[:, 2, :, 2:].any()
    logits = residual_network.run(samples)
    pieces = np.zeros((2, made.schedule.runs, 4, 3), dtype=np.int64)
    for run in range(made.schedule.runs):
        pieces[:, run].reshape(2, 12)[:, :10] = logits >> (8 * run)
    assert np.array_equal(made.unpack_logits(pack_words(pieces, 8, 4)), logits)


def test_samples_of_another_width_are_refused(residual_network: DeployedNetwork) -> None:
    with pytest.raises(InputError, match="samples exceed 5 bits"):
        image(residual_network).pack_input(np.full((1, 8, 8), 32, dtype=np.uint8))


@pytest.mark.parametrize("signed", [False, True])
def test_any_shift_is_one_of_the_hardware(signed: bool) -> None:
    """Shifts beyond the field's range give what the nearest in it gives."""
    accumulators = np.array([-(1 << 23), -(1 << 22) - 1, -300, -1, 0, 1, 2, 300, (1 << 22) + 1, (1 << 23) - 1])
    target = TensorFormat(8, signed, 0)
    for shift in range(-30, 45):
        field = shift_field(shift, ARRAY)
        assert 0 <= field < 64
        assert np.array_equal(requantise(accumulators, field - 8, target), requantise(accumulators, shift, target)), shift


def test_every_difference_of_scales_can_be_made() -> None:
    for bits in range(2, 9):
        array = replace(ARRAY, weight_bits=bits)
        for difference in range(9):
            exponent, slots = alignment(difference, array)
            assert exponent + slots * (bits - 1) == difference and 0 <= exponent <= bits - 2 and slots <= array.add_slots


def test_the_coarser_operand_of_an_add_comes_first(residual_network: DeployedNetwork) -> None:
    def add(branch: int, shortcut: int) -> tuple[int, int, int]:
        integers = dict(residual_network.integers)
        for name, fraction in (("branch", branch), ("shortcut", shortcut)):
            integers[name] = replace(integers[name], output=replace(integers[name].output, fraction=fraction))
        made = image(DeployedNetwork(residual_network.graph, integers, 0))
        assert made.schedule.plan is not None
        places = {place: name for name, place in made.schedule.plan.places.items() if name in ("branch", "shortcut")}
        own = next(found for found in made.program if found.add)
        second = (own.activation_base + own.channel_stride) % (1 << 19)
        assert {places[own.activation_base], places[second]} == {"branch", "shortcut"}
        return ["branch", "shortcut"].index(places[own.activation_base]), own.slots, own.slots_active

    assert add(2, 5) == (0, 1, 0)  # 2**3 as a weight
    assert add(8, 1) == (1, 1, 1)  # 2**2 and a shift by 5
    with pytest.raises(InputError, match="layer join on pe_array: adds scales 9 bits apart"):
        add(0, 9)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weight_bits": 5}, "layer head on pe_array: has weights of 6 bits. Choose more weight_bits"),
        ({"activation_bits": 7}, "layer branch on pe_array: the output of branch has 8 bits. Choose more activation_bits"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(residual_network: DeployedNetwork, changed: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        image(residual_network, **changed)


def test_a_bias_beyond_16_bits_is_refused(residual_network: DeployedNetwork) -> None:
    integers = dict(residual_network.integers)
    own = integers["stem"]
    integers["stem"] = replace(own, bias=np.full(4, 1 << 15, dtype=np.int32))
    with pytest.raises(InputError, match="layer stem on pe_array: has a bias beyond 16 bits"):
        image(DeployedNetwork(residual_network.graph, integers, 0))


def test_an_accumulator_that_may_overflow_is_refused(residual_network: DeployedNetwork) -> None:
    integers = dict(residual_network.integers)
    head = integers["head"]
    assert head.weight is not None
    integers["head"] = replace(head, weight=np.full_like(head.weight, 31), bias=np.full(10, (1 << 15) - 1, dtype=np.int32))
    network = DeployedNetwork(residual_network.graph, integers, 0)
    # Six activations of 8 bits.
    assert accumulator_range(network, network.graph.output)[1] == 6 * 255 * 31 + (1 << 15) - 1 >= 1 << 16
    with pytest.raises(InputError, match="layer head on pe_array: accumulates 18 bits. Choose accumulator_bits of at least 18"):
        image(network, accumulator_bits=17)
    image(network, accumulator_bits=18)


def test_ranges_hold_every_accumulator(residual_network: DeployedNetwork) -> None:
    samples = np.random.default_rng(1).integers(0, 32, (50, 8, 8)).astype(np.uint8)
    tensors = residual_network.trace(samples)
    for layer in residual_network.graph.layers[1:]:
        values, _ = residual_network.accumulate(layer, tensors)
        low, high = accumulator_range(residual_network, layer)
        assert low <= values.min() and values.max() <= high
