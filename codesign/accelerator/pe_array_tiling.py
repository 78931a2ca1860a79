"""How layers are cut into tiles on a `pe_array`: the one place where loop order and tile sizes are chosen.

Notation: ``n`` designs, ``L`` layer slots, ``m`` layers present in all designs together, ``k`` candidates of a layer. The
cost model calls `plan` for many designs, the compiler calls `tile` for one: they agree because it is the same code.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from codesign.accelerator.pe_array_constants import CycleConstants, cycle_constants, memory_latency
from codesign.accelerator.pe_array_cycles import Jobs, Tiles, jobs
from codesign.accelerator.pe_array_moves import estimate
from codesign.accelerator.pe_array_residency import Residency, residency
from codesign.accelerator.pe_array_rows import fewest_rows, tightest_rows
from codesign.accelerator.pe_array_work import ArrayShape, Demand, FloatArray, Layers, Mask, Positions, demand, spread
from codesign.errors import InputError
from codesign.network.layers import LayerTable

__all__ = ["CYCLES", "TRAFFIC", "ArrayShape", "CycleConstants", "Plan", "Tiling", "cycle_constants", "memory_latency", "plan", "tile"]

CYCLES, TRAFFIC = "cycles", "traffic"
SPLITS = (1, 2, 4)
"""Tiles along an axis, in multiples of the fewest: more of them overlap better. Where rows are split, groups are by the first two only."""


@dataclass(frozen=True)
class Tiling:
    """The choice for each layer (n x L, zero in absent slots), and what stays on chip (n,).

    Attributes:
        order: 0 where tiles of groups are the outer loop, 1 where tiles of rows are.
        group_tile: groups of output channels in a tile.
        row_tile: output rows in a tile.
        weights_resident: all weights stay from inference to inference.
        maps_resident: feature maps stay from layer to layer.
    """

    order: FloatArray
    group_tile: FloatArray
    row_tile: FloatArray
    weights_resident: Mask
    maps_resident: Mask


@dataclass(frozen=True)
class Plan:
    """A table on its arrays, tiled: what `tile` chose from and what the costs follow from.

    Attributes:
        layers, demand: the m layers and what they ask of the arrays.
        resident: what stays on chip.
        job: what their cycles depend on but the tiles, each (m,).
        tiles: the choice, each (m,).
        smallest_rows: rows of the smallest row tile (m,).
    """

    layers: Layers
    demand: Demand
    resident: Residency
    job: Jobs
    tiles: Tiles
    smallest_rows: FloatArray


def tile(table: LayerTable, array: ArrayShape, *, objective: str = CYCLES, constants: CycleConstants | None = None) -> Tiling:
    """Loop order and tile sizes of every layer.

    Args:
        table: the networks, one a row.
        array: the arrays, one a row (n, 1).
        objective: ``cycles``, or ``traffic`` for the fewest bits over the port.
        constants: cycles of the sequencers; the template's if None.

    Raises:
        InputError: an unknown objective.
    """
    found = plan(table, array, objective=objective, constants=constants)
    place, shape = found.layers.place, table.op.shape
    return Tiling(
        order=spread(found.tiles.order, place, shape),
        group_tile=spread(np.minimum(found.tiles.units * found.demand.unit, found.demand.groups), place, shape),
        row_tile=spread(found.tiles.rows, place, shape),
        weights_resident=found.resident.weights,
        maps_resident=found.resident.maps,
    )


def plan(table: LayerTable, array: ArrayShape, *, objective: str = CYCLES, constants: CycleConstants | None = None) -> Plan:
    """See `tile`.

    A layer without movements is one tile. Any other takes the best of a few candidates by `estimate`: the fewest tiles that the
    buffers allow along each axis, twice and four times as many (`SPLITS`), and the fewest row tiles that leave the weight buffer its
    largest tile, each in the order that moves less. Ties go to fewer cycles of movements, then to fewer tiles.
    """
    if objective not in (CYCLES, TRAFFIC):
        raise InputError(f"unknown objective {objective!r}", where="tiles of pe_array", remedy=f"Choose from {CYCLES}, {TRAFFIC}")
    layers = Layers.of(table)
    asked = demand(layers, array)
    resident = residency(table, array, layers, asked)
    job = jobs(layers, asked, array, resident, constants or cycle_constants())
    room = _room(layers, asked, array, resident)
    room = replace(room, fewest_rows=_smallest_rows(layers, asked, room))
    whole = Tiles(np.zeros(len(job)), job.units.copy(), job.out_h.copy())
    moving = (job.group_beats > 0) | (job.row_beats > 0) | (job.plane_beats > 0) | (job.store_beats > 0)
    tall = moving & (job.out_h > 1) & np.isfinite(room.activations)
    for chosen, splits in ((np.flatnonzero(moving & ~tall), False), (np.flatnonzero(tall), True)):
        best = _choose(job.take(chosen), room.take(chosen), objective, row_tiles=splits)
        for field in fields(Tiles):
            getattr(whole, field.name)[chosen] = getattr(best, field.name)
    return Plan(layers=layers, demand=asked, resident=resident, job=job, tiles=whole, smallest_rows=room.fewest_rows)


@dataclass(frozen=True)
class _Room:
    """What a tile may fill, each (m,): words of one bank, infinite where the buffer is no bound, and what a tile takes of them.

    Attributes:
        weights, activations, results: words of a bank.
        group_words: weight words of a group.
        row_words: words of an input row: over all planes of full layers, of one plane of diagonal ones.
        diagonal: a tile reads only the planes that it writes.
        out_width: words of an output row of one plane.
        fewest_rows: rows of the smallest row tile.
    """

    weights: FloatArray
    activations: FloatArray
    results: FloatArray
    group_words: FloatArray
    row_words: FloatArray
    diagonal: Mask
    out_width: FloatArray
    fewest_rows: FloatArray

    def take(self, chosen: Positions) -> _Room:
        """That of some of the layers."""
        return _Room(**{field.name: getattr(self, field.name).take(chosen) for field in fields(self)})


def _room(layers: Layers, asked: Demand, array: ArrayShape, resident: Residency) -> _Room:
    at = layers.design
    shared = layers.add | layers.pool
    weights = np.where(resident.weights, np.inf, array.weight_words[:, 0])[at]
    activations, results = (np.where(resident.maps, np.inf, words[:, 0])[at] for words in (array.activation_words, array.output_words))
    return _Room(
        weights=np.where(shared, np.inf, weights),
        activations=activations,
        results=results,
        group_words=asked.group_words,
        row_words=layers.width * np.where(layers.full, asked.in_planes, np.where(layers.add, 2.0, 1.0)),
        diagonal=~layers.full,
        out_width=layers.out_w,
        fewest_rows=fewest_rows(layers),
    )


def _smallest_rows(layers: Layers, asked: Demand, room: _Room) -> FloatArray:
    """Rows of the smallest row tile (m,): of the lowest one, or of one that reads fewer rows where that does not fit."""
    rows = fewest_rows(layers)
    planes = np.minimum(asked.unit_planes, asked.out_planes)
    row_words = room.row_words * np.where(room.diagonal, planes, 1.0)
    tight = np.flatnonzero(row_words * ((rows - 1.0) * layers.stride_h + layers.kernel_h) > room.activations)
    if len(tight):
        pairs = ((row_words, room.activations), (room.out_width * planes, room.results))
        shares = [words.take(tight) / np.maximum(bank.take(tight), 0.5) for words, bank in pairs]
        rows[tight] = tightest_rows(layers.take(tight), asked.take(tight), *shares)
    return rows


def _choose(job: Jobs, room: _Room, objective: str, *, row_tiles: bool) -> Tiles:
    """The best candidate of m layers."""
    units, rows = _candidates(job, room, objective, row_tiles=row_tiles)
    found = estimate(job, units, rows)
    keys = [found.cycles, found.moved, found.tiles]
    if objective == TRAFFIC:
        keys.insert(0, estimate(job, units, rows, start=False).moved)
    best, columns = _least(keys), np.arange(len(job))
    return Tiles(found.order[best, columns], units[best, columns], rows[best, columns])


def _least(keys: list[FloatArray]) -> Positions:
    """Row of the lexicographically least keys in each column, the first of equals; keys k x m."""
    equal = keys[0] == keys[0].min(axis=0)
    for key in keys[1:]:
        masked = np.where(equal, key, np.inf)
        equal &= masked == masked.min(axis=0)
    return np.asarray(np.argmax(equal, axis=0))


def _candidates(job: Jobs, room: _Room, objective: str, *, row_tiles: bool) -> tuple[FloatArray, FloatArray]:
    """Units and rows of the candidates' tiles, each k x m."""
    rows = _row_candidates(job, room, objective) if row_tiles else job.out_h[None]
    fewest = np.ceil(job.units / _most_units(job, room, rows))
    splits = SPLITS[:2] if row_tiles else SPLITS
    units = np.concatenate([np.ceil(job.units / (fewest * split)) for split in splits])
    return units, np.concatenate([rows] * len(splits))


def _most_units(job: Jobs, room: _Room, rows: FloatArray) -> FloatArray:
    """Most units of groups that fit with row tiles k x m; one where none fits."""
    planes = np.floor(room.results / (rows * room.out_width))
    in_rows = np.minimum((rows - 1.0) * job.stride + job.kernel, _all_rows(job))
    planes = np.where(room.diagonal, np.minimum(planes, np.floor(room.activations / (room.row_words * in_rows))), planes)
    by_planes = np.where(planes >= job.out_planes, job.units, np.floor(planes / job.unit_planes))
    return np.maximum(np.minimum(by_planes, _units_by_weights(job, room)), 1.0)


def _units_by_weights(job: Jobs, room: _Room) -> FloatArray:
    fits = job.groups * room.group_words <= room.weights
    return np.where(fits, job.units, np.maximum(np.floor(np.where(fits, 0.0, room.weights) / (job.unit * room.group_words)), 1.0))


def _all_rows(job: Jobs) -> FloatArray:
    """Input rows that the layer reads."""
    return np.asarray((job.out_h - 1.0) * job.stride + job.kernel - job.pad - job.beyond)


def _row_candidates(job: Jobs, room: _Room, objective: str) -> FloatArray:
    """Row tiles (k x m): the fewest that fit, twice and four times as many, and the tallest beside the largest weight tile.

    For traffic also the lowest: where strides skip rows, tiles of one row load none of those.
    """
    tallest = _tallest(job, room, np.minimum(job.unit_planes, job.out_planes))
    fewest = np.ceil(job.out_h / tallest)
    beside = _tallest(job, room, np.minimum(_units_by_weights(job, room) * job.unit_planes, job.out_planes))
    rows = [*(np.ceil(job.out_h / (fewest * number)) for number in SPLITS), beside]
    if objective == TRAFFIC:
        rows.append(room.fewest_rows)
    return np.asarray(np.maximum(np.stack(rows), room.fewest_rows))


def _tallest(job: Jobs, room: _Room, planes: FloatArray) -> FloatArray:
    """Most rows of a tile of so many planes that fit; the fewest that a tile may have where none do."""
    in_rows = np.floor(room.activations / (room.row_words * np.where(room.diagonal, planes, 1.0)))
    fitting = np.where(in_rows >= _all_rows(job), job.out_h, np.floor((in_rows - job.kernel) / job.stride) + 1.0)
    tallest = np.minimum(fitting, np.floor(room.results / (room.out_width * planes)))
    return np.asarray(np.minimum(np.maximum(tallest, room.fewest_rows), job.out_h))
