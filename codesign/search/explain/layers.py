"""Where a design's cycles, memory and resources go, layer by layer, and what each layer waits for.

Every template gives cycles by layer; `pe_array` and `streaming` say more, and theirs is shown in full. The sums are those of
the cost models: nothing here is estimated anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.array_parameters import KIB_BITS
from codesign.accelerator.buffer_plan import tensor_lives
from codesign.accelerator.pe_array_cycles import Jobs, layer_cycles, slowed
from codesign.accelerator.pe_array_limits import POSITIONS, needs
from codesign.accelerator.pe_array_program import INSTRUCTION_BITS
from codesign.accelerator.pe_array_residency import output_words
from codesign.accelerator.pe_array_tiling import ArrayShape
from codesign.accelerator.pe_array_work import spread
from codesign.kpi.evaluate import KpiTable, price
from codesign.kpi.joint_space import JointSpace
from codesign.kpi.pe_array import array_shape, array_sizes, beat_cycles
from codesign.kpi.pe_array_costs import Costs, costs
from codesign.kpi.streaming.costs import layer_costs
from codesign.kpi.streaming.feasibility import feasibility
from codesign.kpi.streaming.flow import slow_fabric
from codesign.kpi.streaming.hls_table import HlsTable
from codesign.kpi.streaming.matrix_vector import MatrixVector
from codesign.kpi.streaming.template import FLOW, plan_reuse
from codesign.kpi.template_model import FloatArray
from codesign.network.layers import LayerGraph, LayerTable
from codesign.space.columns import Columns
from codesign.space.design_space import DesignPoint
from codesign.space.parameters import Value


class Bound(StrEnum):
    """What takes most of a layer's cycles."""

    COMPUTE = "compute"
    WEIGHTS = "weight loading"
    MAPS = "activation traffic"
    FILL = "fill and drain"
    UNKNOWN = "not told by the template"


@dataclass(frozen=True)
class LayerTime:
    """What one layer adds to the latency.

    Attributes:
        layer: its name.
        cycles: what it adds; the layers and `Anatomy.other_cycles` sum to the latency.
        share: of the latency, in [0, 1].
        parts: the cycles by what they are spent on; they sum to ``cycles``.
        utilisation: share of the layer's multiplier slots that do real work, in [0, 1].
    """

    layer: str
    cycles: float
    share: float
    parts: Mapping[Bound, float]
    utilisation: float

    @property
    def bound(self) -> Bound:
        """The largest part."""
        return max(self.parts, key=lambda part: self.parts[part])


@dataclass(frozen=True)
class Contribution:
    """A layer's part in a quantity."""

    layer: str
    value: float


@dataclass(frozen=True)
class Cause:
    """Which layers a limit's load comes from.

    Attributes:
        what: the quantity, in words.
        total: the layers' values are added up (True), or the largest of them counts (False).
        layers: those with a part in it, the largest first.
    """

    what: str
    total: bool
    layers: tuple[Contribution, ...]

    @property
    def share(self) -> float:
        """Part of the first layer in the sum; 1 where the largest counts."""
        whole = sum(own.value for own in self.layers)
        return self.layers[0].value / whole if self.total and whole > 0 else 1.0

    @property
    def leading(self) -> tuple[str, ...]:
        """The layers with the largest part: several where they tie."""
        return tuple(own.layer for own in self.layers if own.value == self.layers[0].value)


@dataclass(frozen=True)
class Capacity:
    """What a limit of a template is in natural units."""

    value: float
    unit: str


@dataclass(frozen=True)
class Anatomy:
    """One design, layer by layer.

    Attributes:
        latency_cycles: of one inference.
        other_cycles: of it, those of no layer: the beginning, and the load of the input.
        times: the layers, the longest first.
        causes: by figure or limit (short names: ``lut``, ``weight_buffer``), which layers it comes from.
        capacities: by limit of the template (short names), what the design has of it.
    """

    latency_cycles: float
    other_cycles: float
    times: tuple[LayerTime, ...]
    causes: Mapping[str, Cause]
    capacities: Mapping[str, Capacity]

    def cause(self, limit: str) -> Cause | None:
        """The cause of a limit by its full name: ``device lut``, ``pe_array.weight_buffer``, ``latency_us``."""
        return self.causes.get(limit.removeprefix("device ").rpartition(".")[2])


CYCLE_FIGURES = ("latency_us", "latency_cycles", "interval_cycles", "throughput_per_s", "energy_uj", "board_energy_uj")
"""Figures that follow the cycles of the layers."""
RESOURCES_BY_LAYER = ("lut", "ff", "dsp", "bram18")


UNITS = {"bits": "bit", "kib": "KiB", "mhz": "MHz", "cycles": "cycle", "words": "word"}
"""Units that the end of a parameter's name tells."""


@dataclass(frozen=True)
class _Found:
    """What a template tells of a design; see `Anatomy`."""

    times: list[LayerTime]
    causes: dict[str, Cause] = field(default_factory=dict)
    capacities: dict[str, Capacity] = field(default_factory=dict)


@dataclass(frozen=True)
class _Case:
    """One design with what is needed to take it apart."""

    joint: JointSpace
    graph: LayerGraph
    table: LayerTable
    columns: Columns
    priced: KpiTable

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(layer.name for layer in self.graph)


def anatomy(joint: JointSpace, point: DesignPoint) -> Anatomy:
    """Take one design apart; the figures are analytical."""
    indices = joint.space.indices([point])
    graph, template = joint.graph(point), joint.template_of(point).name
    priced = price(joint, indices, per_layer=True)
    case = _Case(joint, graph, LayerTable.from_graphs([graph]), Columns(joint.space, indices, template), priced)
    found = TEMPLATES.get(template, _any_template)(case)
    latency = float(priced.values["latency_cycles"][0])
    told = sum(time.cycles for time in found.times)
    return Anatomy(
        latency_cycles=latency,
        other_cycles=max(latency - told, 0.0),
        times=tuple(sorted(found.times, key=lambda time: -time.cycles)),
        causes=_network_causes(case) | found.causes,
        capacities=_named_capacities(joint.template_values(point)) | found.capacities,
    )


def _named_capacities(values: Mapping[str, Value]) -> dict[str, Capacity]:
    """Limits that bear the name of a parameter of the template are what the parameter gives."""
    return {name: Capacity(float(value), UNITS.get(name.rpartition("_")[2], "count")) for name, value in values.items() if not isinstance(value, str)}


def _by_slot(case: _Case, figure: str) -> FloatArray:
    """A figure of `LayerKpis` by layer of the graph (L,)."""
    if case.priced.layers is None or case.priced.layer_names is None:
        raise ValueError("the table was priced without its layers")
    told = dict(zip(case.priced.layer_names[0], case.priced.layers[figure][0].tolist(), strict=True))
    return np.array([told.get(name, 0.0) for name in case.names])


def _cause(case: _Case, what: str, values: Sequence[float] | FloatArray, *, total: bool = True) -> Cause:
    found = [Contribution(name, float(value)) for name, value in zip(case.names, values, strict=True) if value > 0]
    return Cause(what, total, tuple(sorted(found, key=lambda own: -own.value)))


def _network_causes(case: _Case) -> dict[str, Cause]:
    """What the network alone, and every template's figures by layer, tell."""
    table, present = case.table, case.table.present
    elements = (table.in_h * table.in_w * table.in_c + table.out_h * table.out_w * table.out_c)[0]
    causes = {
        "macs": _cause(case, "multiply-accumulate steps", [layer.macs for layer in case.graph]),
        "weights": _cause(case, "weights", [layer.weights for layer in case.graph]),
        "weight_bytes": _cause(case, "bytes of weights", [layer.weights * layer.weight_bits / 8 for layer in case.graph]),
        "off_chip_bytes": _cause(case, "bytes to and from external memory", _by_slot(case, "off_chip_bytes")),
        "weight_bits": _cause(case, "weight bits", table.weight_bits[0], total=False),
        "activation_bits": _cause(case, "input bits", np.where(present, table.input_bits, 0)[0], total=False),
        "accumulator_bits": _cause(case, "accumulator bits", np.where(present, table.accumulator_bits, 0)[0], total=False),
        "kernel_words": _cause(case, "words of the kernel memories", _by_slot(case, "reuse_factor")),
        "feature_words": _cause(case, "elements read and written", elements, total=False),
        "bias_words": _cause(case, "biases", np.where(table.weighted, table.out_c, 0)[0]),
    }
    cycles = _cause(case, "cycles", _by_slot(case, "cycles"))
    return causes | dict.fromkeys(CYCLE_FIGURES, cycles)


def _any_template(case: _Case) -> _Found:
    """A template that says how long each layer is busy, and no more."""
    cycles, busy = _by_slot(case, "cycles"), _by_slot(case, "utilisation")
    latency = float(case.priced.values["latency_cycles"][0])
    # Where layers work at the same time their cycles exceed the latency: shares are then those of all the work.
    whole = max(latency, float(cycles.sum()))
    scaled = cycles * latency / whole
    layers = zip(case.names, scaled.tolist(), busy.tolist(), strict=True)
    return _Found([LayerTime(name, own, own / latency, {Bound.UNKNOWN: own}, used) for name, own, used in layers if own > 0])


def _streaming(case: _Case) -> _Found:
    """hls4ml: in a stream ``latency = sum of fills + longest rest``, so only the slowest layer adds more than its fill."""
    columns, table = case.columns, case.table
    parallel = columns.names("io_type") == "io_parallel"
    rows = HlsTable.from_layer_table(
        table,
        plan_reuse(table, columns.integers("interval_target_cycles")),
        resource=columns.names("strategy") == "resource",
        stream=~parallel,
        clock_ns=1000.0 / columns["clock_mhz"].astype(np.float64),
        series7=slow_fabric(case.joint.device.part),
    )
    unit = MatrixVector(rows, FLOW.tool)
    found = layer_costs(rows, unit, FLOW)
    size = len(case.graph)
    built = np.zeros(size)
    np.maximum.at(built, rows.slot, feasibility(rows, unit).share)

    def by_layer(values: FloatArray) -> FloatArray:
        return np.bincount(rows.slot, weights=values, minlength=size).astype(np.float64)

    rest = found.rest
    if not parallel[0]:
        rest = np.where(np.arange(len(rows)) == int(np.argmax(rest)), rest, 0.0)
    filling, working = by_layer(found.fill), by_layer(rest)
    if parallel[0]:  # one layer after the other: its whole latency is work
        filling, working = np.zeros(size), filling + working
    latency, busy = float(case.priced.values["latency_cycles"][0]), _by_slot(case, "utilisation")
    times = [
        LayerTime(name, fill + work, (fill + work) / latency, {Bound.COMPUTE: work, Bound.FILL: fill}, used)
        for name, fill, work, used in zip(case.names, filling.tolist(), working.tolist(), busy.tolist(), strict=True)
        if fill + work > 0
    ]
    causes = {name: _cause(case, name, by_layer(getattr(found, name))) for name in RESOURCES_BY_LAYER}
    causes["multipliers"] = _cause(case, "of what the tools can build side by side", built, total=False)
    whole = _cause(case, "cycles of the latency", filling + working)
    slowest = _cause(case, "cycles", _by_slot(case, "cycles"), total=False)
    follow = dict.fromkeys(("latency_us", "latency_cycles", "energy_uj", "board_energy_uj"), whole)
    return _Found(times, causes | follow | dict.fromkeys(("interval_cycles", "throughput_per_s"), slowest))


def _pe_array(case: _Case) -> _Found:
    """The shared array: layers run one after the other, and share its multipliers and buffers."""
    array = array_shape(case.columns)
    beat = beat_cycles(array, case.columns["clock_mhz"].astype(np.float64), case.joint.device)
    found = costs(case.table, array, beat)
    latency, lanes = float(found.cycles[0]), float(array.rows[0, 0] * array.columns[0, 0])
    place, shape = found.plan.layers.place, case.table.op.shape
    used = spread(found.plan.demand.macs / (found.layer_cycles * lanes), place, shape)[0]
    spent = {part: spread(cycles, place, shape)[0] for part, cycles in _array_parts(found, array, beat).items()}
    cycles = spread(found.layer_cycles, place, shape)[0]
    times = [
        LayerTime(name, own, own / latency, {part: float(values[slot]) for part, values in spent.items()}, float(used[slot]))
        for slot, (name, own) in enumerate(zip(case.names, cycles.tolist(), strict=True))
        if own > 0
    ]
    idle = _cause(case, "idle multiplier cycles", cycles * lanes - spread(found.plan.demand.macs, place, shape)[0])
    buffers = _buffer_causes(case, array, found)
    largest, blocks = _largest_buffer(array)
    memory = replace(buffers[largest], what=f"{buffers[largest].what} (the {largest.replace('_', ' ')} takes {blocks:.0%} of the blocks)")
    return _Found(times, {"dsp": idle, "lut": idle, "ff": idle, "bram18": memory} | buffers, _buffer_capacities(array, found))


def _buffer_capacities(array: ArrayShape, found: Costs) -> dict[str, Capacity]:
    """What may lie in each buffer: in all its banks what stays on chip, in one what is loaded; of outputs always one bank."""
    resident, banks = found.plan.resident, float(array.banks[0, 0])
    weights = array.weight_words * array.weight_word_bits / KIB_BITS * (banks if resident.weights[0] else 1.0)
    activations, outputs = (words * array.activation_word_bits / KIB_BITS for words in (array.activation_words, array.output_words))
    kib = {"weight_buffer": weights, "activation_buffer": activations * (banks if resident.maps[0] else 1.0), "output_buffer": outputs}
    return {name: Capacity(float(value[0, 0]), "KiB") for name, value in kib.items()} | {"instruction": Capacity(POSITIONS, "count")}


def _array_parts(found: Costs, array: ArrayShape, beat: FloatArray) -> dict[Bound, FloatArray]:
    """Cycles of m layers by what they are spent on; they sum to the layers' cycles.

    The array computes, or it waits. What it waits for movements is what would be saved without them, given to
    weights and maps by what each would save alone; the rest is instructions and the pipeline.
    """
    at, job = found.plan.layers.design, found.plan.job
    if bool((beat > 1.0).any()):
        fetch = np.ceil(INSTRUCTION_BITS / array.bus_bits[:, 0])
        job = slowed(job, beat.take(at), fetch.take(at))

    def saved(without: Jobs) -> FloatArray:
        return np.asarray(found.layer_cycles - layer_cycles(without, found.plan.tiles).total * found.runs)

    weights, maps, both = saved(_without_weights(job)), saved(_without_maps(job)), saved(_without_maps(_without_weights(job)))
    share = weights / np.maximum(weights + maps, 1e-9)
    return {
        Bound.COMPUTE: found.compute_cycles,
        Bound.WEIGHTS: both * share,
        Bound.MAPS: both * (1.0 - share),
        Bound.FILL: found.layer_cycles - found.compute_cycles - both,
    }


def _without_weights(job: Jobs) -> Jobs:
    nothing = np.zeros(len(job))
    return replace(job, group_beats=nothing, shared_beats=nothing)


def _without_maps(job: Jobs) -> Jobs:
    nothing = np.zeros(len(job))
    return replace(job, row_beats=nothing, plane_beats=nothing, store_beats=nothing)


def _buffer_causes(case: _Case, array: ArrayShape, found: Costs) -> dict[str, Cause]:
    """Words that the layers keep in each buffer."""
    plan, resident = found.plan, found.plan.resident
    place, shape = plan.layers.place, case.table.op.shape
    alone = replace(plan, layers=replace(plan.layers, design=np.arange(len(place))))
    least = needs(alone, len(place))

    def words(values: FloatArray) -> FloatArray:
        return np.asarray(spread(values, place, shape)[0])

    counters = _cause(case, "positions to count", words(least.positions), total=False)
    if resident.weights[0]:
        weights = _cause(case, "weight words, which stay on chip", words(plan.demand.weight_words))
    else:
        weights = _cause(case, "weight words of the smallest tile", words(least.weights), total=False)
    if not resident.maps[0]:
        activations = _cause(case, "activation words of the smallest tile", words(least.activations), total=False)
        results = _cause(case, "result words of the smallest tile", words(least.results), total=False)
        return {"weight_buffer": weights, "activation_buffer": activations, "output_buffer": results, "instruction": counters}
    activations = _cause(case, "words of live feature maps", _alive(case, array, plan.layers.flat_input), total=False)
    last = np.array([float(resident.result_words[0]) if layer.name == case.graph.output.name else 0.0 for layer in case.graph])
    results = _cause(case, "words of the result", last, total=False)
    return {"weight_buffer": weights, "activation_buffer": activations, "output_buffer": results, "instruction": counters}


def _alive(case: _Case, array: ArrayShape, flat_input: NDArray[np.bool_]) -> FloatArray:
    """Words of the maps held while each layer runs (L,); the network's result is not among them, an add may write onto an operand."""
    sizes = output_words(case.table, array, flat_input)[0]
    held = {layer.name: int(size) for layer, size in zip(case.graph, sizes.tolist(), strict=True) if layer.name != case.graph.output.name}
    lives = tensor_lives(case.graph, held, in_place=True)
    moments = range(len(case.graph))
    return np.array(
        [sum(own.words for own in lives if own.birth <= now <= own.death and not (own.hosts and own.birth == now)) for now in moments], dtype=np.float64
    )


def _largest_buffer(array: ArrayShape) -> tuple[str, float]:
    """The buffer with most of the block memory, and its share."""
    memories = array_sizes(array).memories
    blocks = [float((memory.count * memory.mapped.blocks)[0]) for memory in memories]
    by_buffer = {"weight_buffer": blocks[0] + blocks[1], "activation_buffer": blocks[2], "output_buffer": blocks[3]}
    largest = max(by_buffer, key=lambda name: by_buffer[name])
    return largest, by_buffer[largest] / max(sum(blocks), 1.0)


TEMPLATES: dict[str, Callable[[_Case], _Found]] = {"pe_array": _pe_array, "streaming": _streaming}
"""Templates that tell more than every template must."""
