"""Schedules: phases of both bank counts, what stays on chip, memory maps, records, and what is told of designs that cannot be."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from codesign.accelerator.pe_array_layers import layer_geometry
from codesign.accelerator.pe_array_program import INSTRUCTION_BYTES, Instruction
from codesign.accelerator.pe_array_steps import Residency
from codesign.accelerator.schedule import ArrayParameters, LayerTiling, Schedule, schedule
from codesign.errors import InfeasibleError, InputError
from codesign.network.deployed import DeployedNetwork
from codesign.network.layers import LayerGraph, Op
from codesign.network.table_builder import TableBuilder, TaskShape

ARRAY = ArrayParameters(
    rows=4, columns=8, weight_bits=6, activation_bits=8, accumulator_bits=24, weight_words=400, activation_words=300, output_words=100, banks=2, bus_bits=32
)
STREAMED = Residency(weights=False, maps=False)


def convolution(*, stride: int = 1) -> LayerGraph:
    """A series of 20 steps, a convolution of kernel 5 to 24 channels, a dense layer."""
    builder = TableBuilder(1, TaskShape((20, 12), 3, 8, True))
    x = builder.input((1, 20, 12))
    x = builder.convolution("conv", x, Op.CONV1D, channels=24, kernel=(1, 5), stride=(1, stride), weight_bits=6, output_bits=8, relu=True)
    builder.dense("head", x, features=3, weight_bits=6, output_bits=None, relu=False)
    return builder.build().graph(0)


def doing(planned: Schedule, layer: str, run: int = 0) -> list[str]:
    """What each phase of a layer does, in letters: store, weights, inputs, compute."""
    names = {"store": "s", "load0": "w", "load1": "i", "compute": "c"}
    chosen = [phase.instruction for phase in planned.phases if phase.layer == layer and phase.run == run]
    return ["".join(letter for name, letter in names.items() if getattr(own, name)) for own in chosen]


def test_two_banks_move_while_they_compute() -> None:
    tilings = {"conv": LayerTiling(0, 2, 10), "head": LayerTiling(0, 1, 1)}
    planned = schedule(convolution(), ARRAY, tilings, STREAMED)
    assert doing(planned, "conv") == ["wi", "ic", "swic", "sic", "swic", "sic", "sc", "s"]
    banks = [phase.instruction.out_base for phase in planned.phases if phase.layer == "conv" and phase.instruction.compute]
    assert banks == [0, 100, 0, 100, 0, 100]
    weights = [phase.instruction.weight_base for phase in planned.phases if phase.layer == "conv" and phase.instruction.compute]
    assert weights == [0, 0, 400, 400, 0, 0]


def test_one_bank_takes_turns() -> None:
    tilings = {"conv": LayerTiling(1, 4, 20), "head": LayerTiling(0, 1, 1)}
    planned = schedule(convolution(), replace(ARRAY, banks=1), tilings, STREAMED)
    assert doing(planned, "conv") == ["wi", "c", "sw", "c", "s"]


def test_the_last_layer_runs_for_each_piece_of_its_accumulators() -> None:
    planned = schedule(convolution(), ARRAY, {"conv": LayerTiling(0, 6, 20), "head": LayerTiling(0, 1, 1)}, replace(STREAMED, weights=True))
    runs = [(phase.run, phase.instruction.shift, phase.instruction.raw) for phase in planned.phases if phase.layer == "head" and phase.instruction.compute]
    assert planned.runs == -(-planned.graph.output.accumulator_bits // 8) == 3
    assert runs == [(0, 8, 1), (1, 16, 1), (2, 24, 1)]
    stores = [phase.instruction.store_address for phase in planned.phases if phase.layer == "head" and phase.instruction.store]
    assert np.diff(stores).tolist() == [8, 8]


def test_maps_that_stay_move_at_the_ends_only() -> None:
    array = replace(ARRAY, weight_words=2000)
    planned = schedule(convolution(), array, {"conv": LayerTiling(0, 6, 20), "head": LayerTiling(0, 1, 1)})
    assert planned.resident == Residency(weights=True, maps=True) and planned.plan is not None
    assert [phase.layer for phase in planned.phases][:2] == ["input", "conv"]
    assert doing(planned, "conv") == ["c"] and doing(planned, "head") == ["c", "s"]
    assert [own.load0_weights for own in planned.preload] == [1, 0] and planned.preload[1].halt


def test_only_the_first_rows_of_a_tile_meet_padding() -> None:
    planned = schedule(convolution(stride=2), ARRAY, {"conv": LayerTiling(0, 6, 4), "head": LayerTiling(0, 1, 1)}, STREAMED)
    computed = [phase.instruction for phase in planned.phases if phase.layer == "conv" and phase.instruction.compute]
    # Output rows 0..3 read rows -2..8, rows 4..7 read 6..16, rows 8..9 read 14..20.
    assert [(own.first_y, own.in_h_last + 1) for own in computed] == [(-2, 9), (0, 11), (0, 6)]
    loads = [phase.instruction.load1_address for phase in planned.phases if phase.layer == "conv" and phase.instruction.load1]
    assert np.diff(loads).tolist() == [6 * 8, 8 * 8]


def test_memory_has_no_overlaps(residual_network: DeployedNetwork) -> None:
    planned = schedule(residual_network.graph, replace(ARRAY, weight_words=30, activation_words=9, banks=1))
    assert not planned.resident.weights and not planned.resident.maps
    memory, word = planned.memory, planned.array.weight_word_bytes
    assert memory.preload == (len(planned.phases) + 1) * INSTRUCTION_BYTES and not planned.preload
    end = memory.preload
    for name, address in memory.weights.items():
        assert address == end
        end += planned.geometries[name].total_words * word
    assert min(memory.tensors.values()) == end and memory.size > max(memory.tensors.values())
    for phase in planned.phases:
        own = phase.instruction
        if own.store:
            assert memory.tensors[phase.layer] <= own.store_address < memory.size
        if own.load1:
            assert own.load1_address >= end


def test_records_are_json_and_tell_the_schedule(residual_network: DeployedNetwork) -> None:
    planned = schedule(residual_network.graph, ARRAY)
    record = json.loads(json.dumps(planned.record()))
    assert [row["name"] for row in record["layers"]] == [layer.name for layer in residual_network.graph][1:]
    assert record["phases"] == len(planned.phases) == sum(row["phases"] for row in record["layers"]) + record["maps_resident"]
    assert record["buffers"]["activation"]["peak_words"] <= record["buffers"]["activation"]["words"] == 600
    streamed = schedule(residual_network.graph, replace(ARRAY, activation_words=6, banks=1)).record()
    assert streamed["maps"] is None and streamed["layers"][0]["tiles"] > 1  # type: ignore[index]


def test_buffers_hold_what_is_loaded_and_stored() -> None:
    # Six groups of 11 words serve all three tiles, which read 9, 11 and 6 rows of 2 planes and write 4, 4 and 2 rows of 3.
    tilings = {"conv": LayerTiling(0, 6, 4), "head": LayerTiling(0, 1, 1)}
    assert schedule(convolution(stride=2), ARRAY, tilings, STREAMED).buffer_peaks == {"weight": 66, "activation": 40, "output": 24}
    alone = replace(ARRAY, banks=1)
    assert schedule(convolution(stride=2), alone, tilings, STREAMED).buffer_peaks == {"weight": 66, "activation": 30, "output": 12}
    resident = schedule(convolution(stride=2), replace(ARRAY, weight_words=2000))
    # Weights of both layers; the input of 20 x 2 words beside the map of 10 x 3; the head's one word.
    assert resident.buffer_peaks == {"weight": 66 + 31, "activation": 70, "output": 1}


@pytest.mark.parametrize(
    ("changed", "layer", "buffer", "smallest"),
    # The head reads its whole map, 20 steps of 3 planes, with as many weight words and one of biases, 24 bytes each.
    [({"weight_words": 21}, "head", "weight", 61 * 24 / 1024), ({"activation_words": 9}, "head", "activation", 60 * 8 / 1024)],
)
def test_a_buffer_below_one_tile_is_told_with_the_smallest(changed: dict[str, int], layer: str, buffer: str, smallest: float) -> None:
    with pytest.raises(InfeasibleError) as caught:
        schedule(convolution(), replace(ARRAY, **changed, banks=1))
    assert caught.value.where == f"layer {layer} on pe_array"
    found = re.search(rf"one bank of the {buffer} buffer has ([\d.]+) KiB, the smallest that would do ([\d.]+) KiB", str(caught.value))
    assert found is not None and float(found[2]) == pytest.approx(smallest, abs=1e-3) and float(found[1]) < float(found[2])


def test_the_smallest_buffer_does() -> None:
    graph = convolution()
    enough = replace(ARRAY, weight_words=61, activation_words=60, output_words=2, banks=1)
    schedule(graph, enough)
    for name in ("weight_words", "activation_words", "output_words"):
        with pytest.raises(InfeasibleError, match=name.removesuffix("_words") + " buffer"):
            schedule(graph, replace(enough, **{name: getattr(enough, name) - 1}), *_smallest(graph, enough))


def _smallest(graph: LayerGraph, array: ArrayParameters) -> tuple[dict[str, LayerTiling], Residency]:
    geometries = {layer.name: layer_geometry(graph, layer, array) for layer in graph if layer.op is not Op.INPUT}
    return {name: LayerTiling(0, own.group_step(8), own.row_minimum) for name, own in geometries.items()}, STREAMED


@pytest.mark.parametrize(
    ("tiling", "message"),
    [
        (LayerTiling(0, 1, 20), "1 groups fill no whole words. Take a multiple of 2"),
        (LayerTiling(0, 6, 1), "1 rows are fewer than its padding. Take at least 2"),
        (LayerTiling(2, 6, 20), r"LayerTiling\(order=2, group_tile=6, row_tile=20\) is none"),
        (LayerTiling(0, 6, 20), "takes 66 words of the weight buffer, a bank of which has 50. A tile may be as small as 22 words"),
    ],
)
def test_tilings_against_the_rules_are_refused(tiling: LayerTiling, message: str) -> None:
    array = replace(ARRAY, weight_words=70) if tiling.group_tile < 6 else replace(ARRAY, weight_words=50)
    with pytest.raises(InputError, match=f"tiling of layer conv: {message}"):
        schedule(convolution(), array, {"conv": tiling, "head": LayerTiling(0, 1, 1)}, replace(STREAMED, maps=tiling.order == 0 and tiling.row_tile == 20))


def test_layers_that_the_hardware_lacks_are_named() -> None:
    graph = convolution()
    rows = graph.as_rows()
    rows[1] |= {"pad_w": 5, "out_w": 26}
    rows[2] |= {"in_c": 26 * 24}
    with pytest.raises(InputError, match=r"layer conv: padding \(5, 0\) is not smaller than the kernel \(5, 1\)"):
        schedule(LayerGraph.from_rows(rows), ARRAY)
    with pytest.raises(InputError, match="layer conv: has 2 groups for 12 input and 24 output channels"):
        schedule(LayerGraph.from_rows([rows[0], rows[1] | {"groups": 2}, rows[2]]), ARRAY)


@pytest.mark.parametrize(("name", "value"), [("weight_bits", 9), ("banks", 3), ("bus_bits", 48), ("rows", 0)])
def test_impossible_arrays_are_refused(name: str, value: int) -> None:
    with pytest.raises(InputError, match=f"{name} is {value}. It may be"):
        replace(ARRAY, **{name: value})


def test_buffers_in_kib_become_whole_words() -> None:
    values = {"rows": 4, "columns": 6, "weight_bits": 5, "activation_bits": 7, "accumulator_bits": 24, "bus_bits": 64, "double_buffering": 1}
    array = ArrayParameters.from_values(values | {"weight_buffer_kib": 2, "activation_buffer_kib": 1, "output_buffer_kib": 4}, latency=9)
    assert (array.weight_words, array.activation_words, array.output_words) == (16384 // 120, 8192 // 42, 32768 // 42)
    assert (array.banks, array.latency, array.lanes, array.bias_words, array.weight_word_beats) == (2, 9, 2, 1, 2)


def test_idle_fields_stay_zero() -> None:
    planned = schedule(convolution(), ARRAY, {"conv": LayerTiling(0, 2, 10), "head": LayerTiling(0, 1, 1)}, STREAMED)
    first = planned.phases[0].instruction
    assert not first.compute and replace(first, **{field: 0 for field in vars(first) if field.startswith("load")}) == Instruction()


def test_an_accumulator_is_wider_than_a_bias() -> None:
    with pytest.raises(InputError, match="accumulator_bits is 16. It may be 17 to 32|pe_array: accumulator_bits is 16"):
        ArrayParameters(4, 4, 8, 8, 16, weight_words=64, activation_words=64, output_words=64, banks=1, bus_bits=32)
