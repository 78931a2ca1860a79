"""Beats that the tiles of layers move on a `pe_array`, and an estimate of their cycles that needs no walk over phases.

Notation: ``m`` layers; all arrays (m,), or (k, m) for k ways to tile them. See `codesign.accelerator.pe_array_cycles`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codesign.accelerator.pe_array_cycles import Jobs, Tiles
from codesign.accelerator.pe_array_work import FloatArray


@dataclass(frozen=True)
class Moves:
    """What one run of the layers moves over the port.

    Attributes:
        weights, maps, results: beats of weights and inputs loaded and of results stored.
        loads, stores: movements.
        phases: instructions.
        tiles: tiles.
    """

    weights: FloatArray
    maps: FloatArray
    results: FloatArray
    loads: FloatArray
    stores: FloatArray
    phases: FloatArray
    tiles: FloatArray


def moves(job: Jobs, tiles: Tiles) -> Moves:
    """Movements of all tiles, and the phases that they make."""
    across, down = tiles.counts(job)
    count = across * down
    rows_outside = tiles.order > 0
    weight_times = np.where(rows_outside & (across > 1), down, 1.0)
    row_times = np.where(rows_outside | (down == 1), 1.0, across)
    in_rows = _in_rows(job, tiles, down)
    weighted, shared, diagonal = job.group_beats > 0, job.shared_beats > 0, job.plane_beats > 0
    storing = job.store_beats > 0
    weight_loads = np.where(weighted, across * weight_times, np.where(shared, 1.0, 0.0))
    map_loads = np.where(diagonal, job.operands * count, np.where(job.row_beats > 0, down * row_times, 0.0))
    lead = shared & job.add
    opens = (weight_loads + map_loads - lead) > 0
    # With one bank each tile that loads, or follows one that is stored, has a phase of movements; maps that stay have one row tile.
    apart = np.where(storing | diagonal, count - 1.0 + opens, np.where(weighted, across, opens))
    return Moves(
        weights=job.group_beats * job.groups * weight_times + job.shared_beats,
        maps=(job.row_beats * row_times + job.plane_beats * job.out_planes * job.operands) * in_rows,
        results=job.store_beats * job.out_planes * job.out_h,
        loads=weight_loads + map_loads,
        stores=np.where(storing, count, 0.0),
        phases=lead + np.where(job.double, opens, apart) + count + storing,
        tiles=count,
    )


def _in_rows(job: Jobs, tiles: Tiles, down: FloatArray) -> FloatArray:
    """Input rows of all tiles along s together."""
    rest = job.out_h - (down - 1.0) * tiles.rows
    beyond = job.beyond + np.where(down > 1, np.maximum(job.beyond - rest * job.stride, 0.0), 0.0)
    return np.asarray((job.out_h - down) * job.stride + down * job.kernel - job.pad - beyond)


@dataclass(frozen=True)
class Estimate:
    """What k ways to tile m layers would cost, each (k, m).

    Attributes:
        order: the loop order that moves less.
        cycles: about the cycles of a run; see `estimate`.
        moved: cycles of its loads and stores.
        tiles: tiles.
    """

    order: FloatArray
    cycles: FloatArray
    moved: FloatArray
    tiles: FloatArray


def estimate(job: Jobs, units: FloatArray, rows: FloatArray, *, start: bool = True) -> Estimate:
    """Costs of tiles of so many units and rows, in the better order, with all tiles of a layer taken as equal.

    With two banks computations and movements run beside each other: the longer of the two sums counts, and the first
    load and the last store come on top. With one bank they follow each other.

    Args:
        job: the layers, each (m,).
        units: units of groups in a tile (k, m).
        rows: output rows in a tile (k, m).
        start: False leaves the cycles of a movement beside its beats out.
    """
    load_start, store_start = (job.load_start, job.store_start) if start else (np.zeros(len(job)),) * 2
    across, down = np.ceil(job.units / units), np.ceil(job.out_h / rows)
    count = across * down
    whole_rows = (job.out_h * job.stride - job.pad - job.beyond) + down * (job.kernel - job.stride)
    weights = job.group_beats * job.groups + load_start * (job.group_beats > 0) * across
    full = job.row_beats * whole_rows + load_start * (job.row_beats > 0) * down
    parts = job.operands * job.plane_beats
    diagonal = parts * job.out_planes * whole_rows + job.operands * load_start * (parts > 0) * count
    rows_again, weights_again = full * (across - 1.0), weights * (down - 1.0)
    load = weights + full + diagonal + np.minimum(rows_again, weights_again)
    store = job.store_beats * job.out_planes * job.out_h + store_start * (job.store_beats > 0) * count
    steps = job.row_steps * (job.out_h * job.kernel - job.top - job.bottom) + job.row_idle * job.out_h
    compute = count * job.compute + down * (job.groups * job.bias) + np.maximum(job.groups * steps, down * (job.groups * job.constants.group_minimum))
    ends = weights / across + full / down + (diagonal + store) / count
    moved, control = load + store, count * job.data
    hidden = (moved - ends) * job.double  # beside computations
    phases = job.constants.phase + np.where(job.double, 0.0, job.constants.phase + job.data)
    cycles = np.maximum(compute, control + hidden) + (moved - hidden) + count * phases
    return Estimate(np.where(weights_again < rows_again, 1.0, 0.0), cycles, moved, count)
