"""Schedules of networks on a `pe_array`: LayerGraph and array to phases, buffer plan, memory map and programs.

The rules are those of ``accel_templates/pe_array/ARCHITECTURE.md``; how layers are cut is `pe_array_tiling`'s choice, or
the caller's. Training decides only shifts, clips, signs and the alignment of adds: the export fills those fields in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np

from codesign.accelerator.array_parameters import ArrayParameters
from codesign.accelerator.buffer_plan import BufferPlan, first_fit, peak_words, tensor_lives, two_ended
from codesign.accelerator.pe_array_instructions import LayerPlaces, LayerWriter, input_load, weights_load
from codesign.accelerator.pe_array_layers import WEIGHTS, LayerGeometry, LayerTiling, MapShape, layer_geometry, map_shape
from codesign.accelerator.pe_array_program import INSTRUCTION_BYTES, Instruction
from codesign.accelerator.pe_array_steps import Residency, Shortage, Step, layer_steps, shortages
from codesign.accelerator.pe_array_tiling import ArrayShape, cycle_constants, tile
from codesign.errors import InputError
from codesign.network.layers import LayerGraph, LayerTable, Op

__all__ = ["ArrayParameters", "LayerTiling", "MemoryMap", "Phase", "Schedule", "schedule"]


@dataclass(frozen=True)
class Phase:
    """One instruction of a program.

    Attributes:
        layer: the layer that it belongs to; the input layer where it loads the network's input.
        run: number of the layer's run (the last layer runs several times).
        tile: number of the tile that it computes, None if it computes nothing.
        instruction: its fields.
    """

    layer: str
    run: int
    tile: int | None
    instruction: Instruction


@dataclass(frozen=True)
class MemoryMap:
    """Byte addresses in external memory.

    Attributes:
        program, preload: of the two programs; the preload is empty if weights are streamed.
        weights: of each layer's weights, by name.
        tensors: of the tensors that are in external memory, by name of the layer that makes them; the last layer's has the
            pieces of its accumulators one after the other.
        size: bytes of all.
    """

    program: int
    preload: int
    weights: Mapping[str, int]
    tensors: Mapping[str, int]
    size: int


@dataclass(frozen=True)
class Schedule:
    """A network's program on an array.

    Attributes:
        graph: the network.
        array: the hardware.
        geometries: layers but the input, by name, in their order.
        tilings: how each is cut.
        resident: what stays in the buffers.
        runs: times that the last layer runs.
        plan: places of maps in the activation buffer, None if maps are streamed.
        phases: of the program, without the ``halt`` instruction.
        preload: instructions of the preload program, ``halt`` included; empty if weights are streamed.
        memory: addresses.
    """

    graph: LayerGraph
    array: ArrayParameters
    geometries: Mapping[str, LayerGeometry]
    tilings: Mapping[str, LayerTiling]
    resident: Residency
    runs: int
    plan: BufferPlan | None
    phases: tuple[Phase, ...]
    preload: tuple[Instruction, ...]
    memory: MemoryMap

    @property
    def input_shape(self) -> MapShape:
        """The network's input in memory."""
        return map_shape(self.graph, self.graph.input, self.array.columns)

    @property
    def output_shape(self) -> MapShape:
        """One piece of the last layer's accumulators in memory."""
        return map_shape(self.graph, self.graph.output, self.array.columns)

    @cached_property
    def buffer_peaks(self) -> dict[str, int]:
        """Words of each buffer in use at the worst moment, all banks together."""
        peaks = {"weight": 0, "activation": 0, "output": 0}
        for name, geometry in self.geometries.items():
            stores = not self.resident.maps or name == self.graph.output.name
            steps = layer_steps(geometry, self.tilings[name], self.resident, self.array.banks, stores=stores)
            moved = {
                "weight": [geometry.tile_weight_words(step.weights.tile) for step in steps if step.weights],
                "activation": [geometry.input_words(step.inputs.tile) for step in steps if step.inputs],
                "output": [geometry.output_words(step.store.tile, self.array.columns) for step in steps if step.store],
            }
            peaks = {buffer: max(peaks[buffer], self._in_banks(words)) for buffer, words in moved.items()}
        if self.resident.weights:
            peaks["weight"] = sum(geometry.total_words for geometry in self.geometries.values())
        if self.plan is not None:
            peaks["activation"] = peak_words(tensor_lives(self.graph, _map_words(self.graph, self.array), in_place=True))
        return peaks

    def _in_banks(self, words: list[int]) -> int:
        """Largest sum of as many tiles, moved one after the other, as there are banks."""
        return max((sum(words[first : first + self.array.banks]) for first in range(len(words))), default=0)

    def record(self) -> dict[str, object]:
        """The schedule as JSON types: what was decided for each layer, and what the buffers hold."""
        rows = []
        for name, geometry in self.geometries.items():
            tiling = self.tilings[name]
            own = [phase for phase in self.phases if phase.layer == name]
            rows.append(
                {
                    "name": name,
                    "op": geometry.layer.op.name.lower(),
                    "order": "weights" if tiling.order == WEIGHTS else "rows",
                    "group_tile": min(tiling.group_tile, geometry.groups),
                    "row_tile": min(tiling.row_tile, geometry.result.h),
                    "groups": geometry.groups,
                    "rows": geometry.result.h,
                    "tiles": sum(1 for _ in geometry.tiles(tiling)),
                    "runs": self.runs if name == self.graph.output.name else 1,
                    "phases": len(own),
                    "weight_words": geometry.total_words,
                    "input_words": geometry.source.words,
                    "output_words": geometry.result.words,
                    "weight_address": self.memory.weights[name],
                }
            )
        banks = {"weight": self.array.weight_words, "activation": self.array.activation_words, "output": self.array.output_words}
        return {
            "array": asdict(self.array),
            "weights_resident": self.resident.weights,
            "maps_resident": self.resident.maps,
            "phases": len(self.phases),
            "buffers": {name: {"words": words * self.array.banks, "peak_words": self.buffer_peaks[name]} for name, words in banks.items()},
            "maps": dict(self.plan.places) if self.plan is not None else None,
            "memory": {**asdict(self.memory), "weights": dict(self.memory.weights), "tensors": dict(self.memory.tensors)},
            "layers": rows,
        }


def schedule(
    graph: LayerGraph,
    array: ArrayParameters,
    tilings: Mapping[str, LayerTiling] | None = None,
    resident: Residency | None = None,
    *,
    group_minimum: int | None = None,
) -> Schedule:
    """Program of a network.

    Args:
        graph: the network.
        array: the hardware.
        tilings: how each layer but the input is cut, by name; chosen by `pe_array_tiling.tile` if None.
        resident: what stays in the buffers; with ``tilings`` and without it, all that fits.
        group_minimum: cycles that a group takes at least after its biases; that of the template's hardware if None.

    Raises:
        InputError: a layer that the hardware does not have, a number that no field of an instruction holds.
        InfeasibleError: a buffer is smaller than the smallest tile, or than what is to stay in it.
    """
    geometries = {layer.name: layer_geometry(graph, layer, array) for layer in graph if layer.op is not Op.INPUT}
    if tilings is None:
        tilings, resident = _chosen(graph, array)
    elif resident is None:
        resident = residency(graph, geometries, array)
    runs = -(-graph.output.accumulator_bits // array.activation_bits)
    _check(graph, geometries, tilings, resident, array)
    plan = _plan(graph, array) if resident.maps else None
    steps = {
        name: layer_steps(own, tilings[name], resident, array.banks, stores=not resident.maps or name == graph.output.name) for name, own in geometries.items()
    }
    memory = _memory(graph, geometries, array, resident, runs, sum(map(len, steps.values())) + (runs - 1) * len(steps[graph.output.name]))
    minimum = int(cycle_constants().group_minimum) if group_minimum is None else group_minimum
    phases = _phases(graph, geometries, steps, (array, resident, plan, memory), runs, minimum)
    total = sum(own.total_words for own in geometries.values())
    preload = (weights_load(array, min(memory.weights.values()), total), Instruction(halt=1)) if resident.weights else ()
    return Schedule(graph, array, geometries, tilings, resident, runs, plan, phases, preload, memory)


def residency(graph: LayerGraph, geometries: Mapping[str, LayerGeometry], array: ArrayParameters) -> Residency:
    """What fits the buffers and therefore stays in them."""
    weights = sum(own.total_words for own in geometries.values()) <= array.banks * array.weight_words
    maps = peak_words(tensor_lives(graph, _map_words(graph, array), in_place=True)) <= array.banks * array.activation_words
    return Residency(weights, maps and map_shape(graph, graph.output, array.columns).words <= array.output_words)


def _chosen(graph: LayerGraph, array: ArrayParameters) -> tuple[dict[str, LayerTiling], Residency]:
    table = LayerTable.from_graphs([graph])
    shape = ArrayShape(**{name: np.full((1, 1), float(number)) for name, number in asdict(array).items()})
    choice = tile(table, shape)
    tilings = {
        layer.name: LayerTiling(int(choice.order[0, slot]), int(choice.group_tile[0, slot]), int(choice.row_tile[0, slot]))
        for slot, layer in enumerate(graph)
        if layer.op is not Op.INPUT
    }
    return tilings, Residency(bool(choice.weights_resident[0]), bool(choice.maps_resident[0]))


def _map_words(graph: LayerGraph, array: ArrayParameters) -> dict[str, int]:
    """Sizes of the maps that the activation buffer holds if they stay there: all but the last layer's."""
    return {layer.name: map_shape(graph, layer, array.columns).words for layer in graph if layer.name != graph.output.name}


def _check(
    graph: LayerGraph,
    geometries: Mapping[str, LayerGeometry],
    tilings: Mapping[str, LayerTiling],
    resident: Residency,
    array: ArrayParameters,
) -> None:
    short: list[Shortage] = []
    for name, own in geometries.items():
        if name not in tilings:
            raise InputError("has no tiling", where=f"layer {name}")
        own.check(tilings[name], array.columns)
        if resident.maps and tilings[name].row_tile < own.result.h:
            raise InputError(f"{tilings[name].row_tile} rows are not all", where=f"tiling of layer {name}", remedy="Maps that stay in the buffer are one tile")
        short += shortages(own, tilings[name], resident, array, stores=not resident.maps or name == graph.output.name)
    needed = -(-sum(own.total_words for own in geometries.values()) // array.banks)
    if resident.weights and needed > array.weight_words:
        largest = max(geometries, key=lambda name: geometries[name].total_words)
        short.append(Shortage(largest, "weight", array.weight_words, needed, array.weight_word_bits))
    if short:
        raise max((own for own in short if own.buffer == short[0].buffer), key=lambda own: own.needed).error()


def _plan(graph: LayerGraph, array: ArrayParameters) -> BufferPlan:
    lives = tensor_lives(graph, _map_words(graph, array), in_place=True)
    room = array.banks * array.activation_words
    plan = two_ended(lives, room)
    if plan is None:
        largest = max(lives, key=lambda own: own.words)
        needed = -(-first_fit(lives).words // array.banks)
        raise Shortage(largest.name, "activation", array.activation_words, needed, array.activation_word_bits).error()
    return plan


def _memory(graph: LayerGraph, geometries: Mapping[str, LayerGeometry], array: ArrayParameters, resident: Residency, runs: int, instructions: int) -> MemoryMap:
    """Programs, weights, tensors one after the other; instructions and words are whole beats long, so all begin on one.

    Nothing is written onto the network's input, so that a program can run again on it.
    """
    preload = (instructions + 1 + resident.maps) * INSTRUCTION_BYTES
    address = preload + 2 * resident.weights * INSTRUCTION_BYTES
    weights = {}
    for name, own in geometries.items():
        weights[name] = address
        address += own.total_words * array.weight_word_bytes
    words = {layer.name: map_shape(graph, layer, array.columns).words for layer in graph}
    words[graph.output.name] *= runs
    if resident.maps:
        words = {name: words[name] for name in (graph.input.name, graph.output.name)}
    lives = tensor_lives(graph, words, in_place=False)
    plan = first_fit((replace(lives[0], death=lives[-1].death), *lives[1:]))
    tensors = {name: address + place * array.activation_word_bytes for name, place in plan.places.items()}
    return MemoryMap(0, preload, weights, tensors, address + plan.words * array.activation_word_bytes)


def _phases(
    graph: LayerGraph,
    geometries: Mapping[str, LayerGeometry],
    steps: Mapping[str, list[Step]],
    parts: tuple[ArrayParameters, Residency, BufferPlan | None, MemoryMap],
    runs: int,
    group_minimum: int,
) -> tuple[Phase, ...]:
    array, resident, plan, memory = parts
    phases = []
    if plan is not None:
        entry = graph.input.name
        words = map_shape(graph, graph.input, array.columns).words
        phases.append(Phase(entry, 0, None, input_load(array, memory.tensors[entry], words, plan.places[entry])))
    weight_word = 0
    for name, own in geometries.items():
        last = name == graph.output.name
        for run in range(runs if last else 1):
            places = LayerPlaces(
                weights=memory.weights[name],
                weight_word=weight_word,
                operands=tuple(memory.tensors[operand] for operand in own.operands) if plan is None else (),
                operand_words=() if plan is None else tuple(plan.places[operand] for operand in own.operands),
                result=memory.tensors.get(name, 0) + run * own.result.words * array.activation_word_bytes,
                result_word=plan.places[name] if plan is not None and not last else None,
            )
            writer = LayerWriter(own, array, resident, places, group_minimum, run if last else None)
            phases += [Phase(name, run, step.compute.tile.number if step.compute else None, writer.instruction(step)) for step in steps[name]]
        weight_word += own.total_words
    return tuple(phases)
