"""Cycles of layers on a `pe_array`, phase by phase, in closed form (``accel_templates/pe_array/ARCHITECTURE.md``).

Notation: ``m`` layers. A layer runs as ``n_w * n_s`` tiles: w counts tiles of groups, s tiles of rows. Tiles are alike but
at the edges, so few phases of a layer differ: the sum over all of them is a sum over *representatives*, each with the
number of phases that it stands for. Along w these are the first, one of the middle, the last but one (it loads a
smaller tile) and the last; along s another before them, as the last but one may meet padding too.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.pe_array_constants import CycleConstants
from codesign.accelerator.pe_array_program import INSTRUCTION_BITS
from codesign.accelerator.pe_array_residency import Residency
from codesign.accelerator.pe_array_work import ArrayShape, Demand, FloatArray, Layers, Mask, Positions, series

GROUP_CLASSES = 4
ROW_CLASSES = 5
SHALLOW_TREE = 8
"""Columns up to which the adder tree has one register stage; wider ones have two."""


@dataclass(frozen=True)
class Rates:
    """Beats and cycles that the phases of m layers are made of, each (m,).

    Attributes:
        compute, data: cycles of a computation and of a phase's movements beside what is counted.
        load_start, store_start: cycles of a movement beside its beats.
        group_beats: beats of a group's weights where they are loaded, else 0.
        shared_beats: beats of the weights that all groups share where they are loaded, else 0.
        row_beats: beats of an input row over all planes where full layers load it, else 0.
        plane_beats: beats of an input row of one plane where diagonal layers load it, else 0.
        operands: input maps: 2 for an add.
        store_beats: beats of an output row of one plane where it is stored, else 0.
        add, double: whether it is an add; whether there are two banks.
    """

    compute: FloatArray
    data: FloatArray
    load_start: FloatArray
    store_start: FloatArray
    group_beats: FloatArray
    shared_beats: FloatArray
    row_beats: FloatArray
    plane_beats: FloatArray
    operands: FloatArray
    store_beats: FloatArray
    add: Mask
    double: Mask

    def rates(self, chosen: Positions) -> Rates:
        """Those of some of the layers."""
        return Rates(**{name: getattr(self, name).take(chosen) for name in _RATES})


@dataclass(frozen=True)
class Jobs(Rates):
    """All that the cycles of m layers depend on but their tiling; each (m,).

    Attributes:
        groups, unit, units, unit_planes, out_planes: see `codesign.accelerator.pe_array_work.Demand`.
        out_h, stride, kernel, pad, beyond, top, bottom: the tiled axis; see there.
        row_steps, row_idle: see there.
        bias: cycles of a group's biases.
        constants: cycles of the sequencers.
    """

    groups: FloatArray
    unit: FloatArray
    units: FloatArray
    unit_planes: FloatArray
    out_planes: FloatArray
    out_h: FloatArray
    stride: FloatArray
    kernel: FloatArray
    pad: FloatArray
    beyond: FloatArray
    top: FloatArray
    bottom: FloatArray
    row_steps: FloatArray
    row_idle: FloatArray
    bias: FloatArray
    constants: CycleConstants

    def __len__(self) -> int:
        return len(self.groups)

    def take(self, chosen: Positions) -> Jobs:
        """Some of the layers."""
        return Jobs(**{name: getattr(self, name).take(chosen) for name in _JOB_ARRAYS}, constants=self.constants)


_RATES = tuple(field.name for field in fields(Rates))
_JOB_ARRAYS = tuple(field.name for field in fields(Jobs) if field.name != "constants")


def jobs(layers: Layers, demand: Demand, array: ArrayShape, resident: Residency, constants: CycleConstants) -> Jobs:
    """The jobs of m layers on the arrays (n, 1) of their designs."""
    bus, latency = array.bus_bits[:, 0], array.latency[:, 0]
    tree = np.where(array.columns[:, 0] <= SHALLOW_TREE, 1.0, 2.0)

    def own(values: FloatArray) -> FloatArray:
        return values.take(layers.design)

    word_beats = own(np.ceil(array.activation_word_bits[:, 0] / bus))
    shared, streamed = layers.add | layers.pool, ~resident.maps.take(layers.design)
    weight_beats = demand.group_words * own(np.ceil(array.weight_word_bits[:, 0] / bus) * ~resident.weights)
    row_beats = layers.width * word_beats * streamed
    return Jobs(
        groups=demand.groups, unit=demand.unit, units=demand.units, unit_planes=demand.unit_planes, out_planes=demand.out_planes,
        out_h=layers.out_h, stride=layers.stride_h, kernel=layers.kernel_h, pad=layers.pad_h, beyond=demand.beyond, top=demand.top, bottom=demand.bottom,
        row_steps=demand.row_steps, row_idle=demand.row_idle, bias=demand.bias_words,
        compute=own(constants.compute + tree) + demand.chunks,
        data=own(constants.data + latency + constants.fetch + np.ceil(INSTRUCTION_BITS / bus)),
        load_start=own(latency + constants.load), store_start=own(latency + constants.store),
        group_beats=weight_beats * ~shared, shared_beats=weight_beats * shared,
        row_beats=row_beats * demand.in_planes * layers.full, plane_beats=row_beats * ~layers.full,
        operands=np.where(layers.add, 2.0, 1.0), store_beats=layers.out_w * word_beats * (streamed | layers.last),
        add=layers.add, double=own(array.banks[:, 0]) > 1, constants=constants,
    )  # fmt: skip


def slowed(job: Jobs, beat_cycles: FloatArray, fetch_beats: FloatArray) -> Jobs:
    """The same jobs with a memory that takes so many cycles for a beat.

    Args:
        job: the layers, each (m,).
        beat_cycles: cycles of a beat (m,).
        fetch_beats: beats of an instruction (m,).
    """
    longer = {name: getattr(job, name) * beat_cycles for name in ("group_beats", "shared_beats", "row_beats", "plane_beats", "store_beats")}
    return replace(job, **longer, data=job.data + fetch_beats * (beat_cycles - 1.0))


@dataclass(frozen=True)
class Tiles:
    """How m layers are tiled, each (m,).

    Attributes:
        order: 0 where tiles of groups are the outer loop (each tile's weights are loaded once), 1 where tiles of rows are.
        units: units of groups in a tile.
        rows: output rows in a tile.
    """

    order: FloatArray
    units: FloatArray
    rows: FloatArray

    def take(self, chosen: Positions) -> Tiles:
        """Those of some of the layers."""
        return Tiles(self.order[chosen], self.units[chosen], self.rows[chosen])

    def counts(self, job: Jobs) -> tuple[FloatArray, FloatArray]:
        """Tiles along w and along s."""
        return np.ceil(job.units / self.units), np.ceil(job.out_h / self.rows)


@dataclass(frozen=True)
class LayerCycles:
    """Cycles of one run of m layers, each (m,).

    Attributes:
        total: from the beginning of the first phase to the end of the last.
        compute, load, store: of all computations and of all movements, whether they run beside each other or not.
    """

    total: FloatArray
    compute: FloatArray
    load: FloatArray
    store: FloatArray


def layer_cycles(job: Jobs, tiles: Tiles) -> LayerCycles:
    """Cycles of m layers with the given tiles."""
    found = _one_tile(job)
    across, down = tiles.counts(job)
    many = np.flatnonzero((across > 1) | (down > 1))
    if len(many):
        tiled = _many_tiles(job.take(many), tiles.take(many))
        for field in fields(LayerCycles):
            getattr(found, field.name)[many] = getattr(tiled, field.name)
    lead, moved = _lead(job)
    return LayerCycles(total=found.total + lead, compute=found.compute, load=found.load + moved, store=found.store)


def _lead(job: Jobs) -> tuple[FloatArray, FloatArray]:
    """Cycles of the phase that loads the weights of an add, and of its movement."""
    moved = np.where(job.add & (job.shared_beats > 0), job.load_start + job.shared_beats, 0.0)
    return np.where(moved > 0, job.constants.phase + job.data + moved, 0.0), moved


def started(start: FloatArray, beats: FloatArray) -> FloatArray:
    """Cycles of a movement: none without beats."""
    return np.where(beats > 0, start + beats, 0.0)


def _one_tile(job: Jobs) -> LayerCycles:
    """A layer of one tile: load, compute, store; none beside another, whatever the banks."""
    steps = job.row_steps * (job.out_h * job.kernel - job.top - job.bottom) + job.row_idle * job.out_h
    compute = job.compute + job.groups * (job.bias + np.maximum(steps, job.constants.group_minimum))
    rows = (job.out_h - 1.0) * job.stride + job.kernel - job.pad - job.beyond
    maps = started(job.load_start, (job.row_beats + job.plane_beats * job.out_planes) * rows) * job.operands
    weights = started(job.load_start, job.group_beats * job.groups + np.where(job.add, 0.0, job.shared_beats))
    load, store = weights + maps, started(job.store_start, job.store_beats * job.out_planes * job.out_h)
    around = np.where(load > 0, job.constants.phase + job.data + load, 0.0) + np.where(store > 0, job.constants.phase + job.data + store, 0.0)
    return LayerCycles(total=around + job.constants.phase + np.maximum(compute, job.data), compute=compute, load=load, store=store)


@dataclass(frozen=True)
class _Classes:
    """Tiles of m layers by class: along w ``GROUP_CLASSES x m``, along s ``ROW_CLASSES x m``; counts (m,) say how many of them there are.

    Attributes:
        group_count, row_count: classes that a layer has.
        group_times, row_times: tiles that each stands for.
        groups, planes: groups, and planes of the output, of a tile.
        busy: cycles of one group.
        in_rows, out_rows: rows of the input and of the output.
    """

    group_count: NDArray[np.int64]
    row_count: NDArray[np.int64]
    group_times: FloatArray
    row_times: FloatArray
    groups: FloatArray
    planes: FloatArray
    busy: FloatArray
    in_rows: FloatArray
    out_rows: FloatArray


def _classes(job: Jobs, tiles: Tiles) -> _Classes:
    across, down = tiles.counts(job)
    group_tile, plane_tile = tiles.units * job.unit, tiles.units * job.unit_planes
    last_w = np.arange(GROUP_CLASSES)[:, None] >= np.minimum(across, GROUP_CLASSES) - 1
    place = np.minimum(down, ROW_CLASSES) - 1 - np.arange(ROW_CLASSES)[:, None]  # tiles to come
    first, last, before = np.arange(ROW_CLASSES)[:, None] == 0, place <= 0, place == 1
    rest = job.out_h - (down - 1.0) * tiles.rows
    out_rows = np.where(last, rest, tiles.rows)
    lost_last = np.minimum(series(job.beyond, job.stride, rest), job.bottom)
    taps = out_rows * job.kernel - first * job.top - last * lost_last - before * (job.bottom - lost_last)
    beyond_before = np.maximum(job.beyond - rest * job.stride, 0.0)
    in_rows = (out_rows - 1.0) * job.stride + job.kernel - first * job.pad - last * job.beyond - before * beyond_before
    return _Classes(
        group_count=np.minimum(across, GROUP_CLASSES).astype(np.int64),
        row_count=np.minimum(down, ROW_CLASSES).astype(np.int64),
        group_times=_times(across, GROUP_CLASSES),
        row_times=_times(down, ROW_CLASSES),
        groups=np.where(last_w, job.groups - (across - 1.0) * group_tile, group_tile),
        planes=np.where(last_w, job.out_planes - (across - 1.0) * plane_tile, plane_tile),
        busy=job.bias + np.maximum(job.row_steps * taps + job.row_idle * out_rows, job.constants.group_minimum),
        in_rows=in_rows,
        out_rows=out_rows,
    )


def _times(count: FloatArray, classes: int) -> FloatArray:
    """Tiles that each of some classes stands for (classes x m): the second stands for all of the middle."""
    times = np.ones((classes, len(count)))
    times[1] = np.maximum(count - (classes - 1.0), 1.0)
    return times


def _many_tiles(job: Jobs, tiles: Tiles) -> LayerCycles:
    """Layers of several tiles, as the sum over representative phases."""
    classes = _classes(job, tiles)
    phases = _phases(job, classes, tiles.order)
    rates = job.rates(phases.layer)
    compute, load, store = phases.costs(rates, classes)
    before = np.where(phases.first, 0.0, np.roll(store, 1))
    after = np.where(phases.last, 0.0, np.roll(load, -1))
    begin = job.constants.phase
    moved = np.where(rates.double, after, load) + before
    apart = np.where(rates.double | (moved == 0.0), 0.0, begin + rates.data + moved)
    cycles = begin + np.maximum(compute, rates.data + moved * rates.double) + apart
    entry, final = np.where(job.double, load[phases.first], 0.0), store[phases.last]
    starts = np.flatnonzero(phases.first)

    def total(values: FloatArray) -> FloatArray:
        return np.add.reduceat(values * phases.times, starts)

    around = np.where(entry > 0, begin + job.data + entry, 0.0) + np.where(final > 0, begin + job.data + final, 0.0)
    return LayerCycles(
        total=total(cycles) + around,
        compute=total(compute),
        load=total(moved - before) + entry,
        store=total(before) + final,
    )


@dataclass(frozen=True)
class _Phases:
    """Phases that compute the tiles of m layers, one a combination of classes, layer by layer in the loop order; each (p,).

    Attributes:
        layer: of the m layers.
        w, s: positions of the classes in the flattened arrays of `_Classes`.
        new_w, new_s: the tile before it had another index, or there is none.
        first, last: of its layer.
        times: phases that it stands for.
    """

    layer: Positions
    w: Positions
    s: Positions
    new_w: Mask
    new_s: Mask
    first: Mask
    last: Mask
    times: FloatArray

    def costs(self, rates: Rates, classes: _Classes) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Cycles of the computation, the loads and the store of each tile."""
        groups, planes = classes.groups.take(self.w), classes.planes.take(self.w)
        in_rows = classes.in_rows.take(self.s)
        compute = rates.compute + groups * classes.busy.take(self.s)
        maps = started(rates.load_start, (rates.row_beats * self.new_s + rates.plane_beats * planes) * in_rows) * rates.operands
        shared = rates.shared_beats * (self.first & ~rates.add)
        weights = started(rates.load_start, rates.group_beats * groups * self.new_w + shared)
        return compute, maps + weights, started(rates.store_start, rates.store_beats * planes * classes.out_rows.take(self.s))


def _phases(job: Jobs, classes: _Classes, order: FloatArray) -> _Phases:
    """The representative phases of m layers."""
    m = len(job)
    count = classes.group_count * classes.row_count
    layer = np.repeat(np.arange(m), count)
    ends = np.cumsum(count)
    number = np.arange(len(layer)) - (ends - count).take(layer)
    rows_outside = order.take(layer) > 0
    outside, inside = np.divmod(number, np.where(order > 0, classes.group_count, classes.row_count).take(layer))
    w = np.where(rows_outside, inside, outside) * m + layer
    s = np.where(rows_outside, outside, inside) * m + layer
    first, last = number == 0, np.zeros(len(layer), dtype=np.bool_)
    last[ends - 1] = True
    return _Phases(
        layer=layer,
        w=w,
        s=s,
        new_w=first | (w != np.roll(w, 1)),
        new_s=first | (s != np.roll(s, 1)),
        first=first,
        last=last,
        times=classes.group_times.take(w) * classes.row_times.take(s),
    )
