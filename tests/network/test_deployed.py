"""The integer reference against loops over single elements, and its file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import InputError
from codesign.network.blueprints.blueprint import find_blueprint
from codesign.network.deployed import DeployedNetwork, LayerIntegers, TensorFormat, pool_shift, requantise
from codesign.network.layers import Layer, LayerGraph, Op
from codesign.network.table_builder import TaskShape
from codesign.space.design_space import DesignSpace

SHAPE = TaskShape((9, 4), 3, 8, True)


def random_network(name: str, seed: int) -> DeployedNetwork:
    rng = np.random.default_rng(seed)
    blueprint = find_blueprint(name)
    space = DesignSpace(blueprint.parameters)
    graph = blueprint.table(space, space.sample(1, rng), SHAPE).graph(0)
    integers: dict[str, LayerIntegers] = {}
    for layer in graph:
        signed = bool(layer.output_signed)
        if layer.weights:
            shape = (layer.out_c, layer.in_c) if layer.op is Op.DENSE else (layer.out_c, layer.in_c // layer.groups, layer.kernel_h, layer.kernel_w)
            limit = 2 ** (layer.weight_bits - 1)
            weight = rng.integers(-limit, limit, shape).astype(np.int8)
            bias = rng.integers(-50, 50, layer.out_c).astype(np.int32)
            fraction = integers[graph.predecessors(layer)[0].name].output.fraction + 4
            kept = fraction if layer is graph.output else fraction - 3
            integers[layer.name] = LayerIntegers(TensorFormat(layer.output_bits, signed, kept), weight, 4, bias)
        else:
            integers[layer.name] = LayerIntegers(TensorFormat(layer.output_bits, signed, 5))
    return DeployedNetwork(graph, integers, 128)


def element(layer: Layer, network: DeployedNetwork, x: np.ndarray, o: int, y: int, z: int) -> int:
    """One accumulator of a convolution, by loops."""
    own = network.integers[layer.name]
    assert own.weight is not None
    assert own.bias is not None
    total = int(own.bias[o])
    for i in range(layer.in_c // layer.groups):
        channel = o if layer.groups > 1 else i
        for k in range(layer.kernel_h):
            for m in range(layer.kernel_w):
                row, column = y * layer.stride_h - layer.pad_h + k, z * layer.stride_w - layer.pad_w + m
                if 0 <= row < layer.in_h and 0 <= column < layer.in_w:
                    total += int(own.weight[o, i, k, m]) * int(x[row, column, channel])
    return total


@pytest.mark.parametrize("name", ["tcresnet", "dscnn"])
def test_convolutions_equal_loops(name: str) -> None:
    for seed in range(3):
        network = random_network(name, seed)
        sample = np.random.default_rng(seed).integers(0, 256, (1, 9, 4)).astype(np.uint8)
        traced = {key: value[0] for key, value in network.trace(sample).items()}
        for layer in network.graph:
            if layer.op in (Op.CONV1D, Op.CONV2D, Op.DEPTHWISE_CONV2D):
                source = network.graph.predecessors(layer)[0].name
                fraction = network.format(source).fraction + network.integers[layer.name].weight_fraction
                positions = [(o, y, z) for o in range(layer.out_c) for y in range(layer.out_h) for z in range(layer.out_w)]
                sums = np.array([element(layer, network, traced[source], *position) for position in positions])
                sums = np.maximum(sums, 0) if layer.relu else sums
                expected = requantise(sums, fraction, network.format(layer.name))
                assert [int(traced[layer.name][y, z, o]) for o, y, z in positions] == expected.tolist()


@given(st.integers(-(2**20), 2**20), st.integers(-4, 12), st.integers(2, 8), st.booleans())
def test_requantise_rounds_half_to_even_and_saturates(value: int, shift: int, bits: int, signed: bool) -> None:
    target = TensorFormat(bits, signed, 3)
    exact = round(Fraction(value) / Fraction(2) ** shift)  # Python rounds half to even
    expected = min(max(exact, target.minimum), target.maximum)
    assert int(requantise(np.array([value]), 3 + shift, target)[0]) == expected


def test_pool_shift_is_the_ceiling_of_the_logarithm() -> None:
    graph = random_network("tcresnet", 0).graph
    layer = next(layer for layer in graph if layer.op is Op.GLOBAL_POOL)
    positions = layer.in_h * layer.in_w
    assert 2 ** pool_shift(layer) >= positions > 2 ** (pool_shift(layer) - 1)


def test_file_round_trip_and_damage(tmp_path: Path) -> None:
    network = random_network("tcresnet", 4)
    path = tmp_path / "deep" / "network.npz"
    network.save(path)
    again = DeployedNetwork.load(path)
    samples = np.random.default_rng(0).integers(0, 256, (5, 9, 4)).astype(np.uint8)
    assert np.array_equal(again.run(samples), network.run(samples))
    assert np.array_equal(again.predict(samples), np.argmax(network.run(samples), axis=1))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"network.npz: not a readable network file.*codesign run"):
        DeployedNetwork.load(path)


def test_weights_outside_their_width_are_refused() -> None:
    network = random_network("mlp", 0)
    head = network.integers["head"]
    assert head.weight is not None
    wide = LayerIntegers(head.output, np.full_like(head.weight, 127), head.weight_fraction, head.bias)
    graph = LayerGraph([*network.graph.layers[:-1], network.graph.output.__class__(**{**network.graph.output.__dict__, "weight_bits": 4})])
    with pytest.raises(InputError, match="layer head: has weights outside 4 bits"):
        DeployedNetwork(graph, {**network.integers, "head": wide}, 128)
