"""Cycles and movements in closed form against a walk over every phase, tile, position and tap."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest

from codesign.accelerator.pe_array_constants import cycle_constants
from codesign.accelerator.pe_array_cycles import Tiles, layer_cycles
from codesign.accelerator.pe_array_moves import moves
from codesign.accelerator.pe_array_rows import fewest_rows
from codesign.accelerator.pe_array_tiling import ArrayShape, Plan, plan
from codesign.network.layers import LayerTable
from tests.accelerator.pe_array_networks import ODD, NetworkMaker, Sizes, constants, random_array, stacked
from tests.accelerator.pe_array_reference import Reference, Walk

NETWORKS = 900


@dataclass(frozen=True)
class Points:
    """Random networks on random arrays, tiled at random, and what a walk over their phases finds."""

    table: LayerTable
    arrays: list[Sizes]
    found: Plan
    references: list[Reference]
    walks: list[Walk]

    @property
    def array(self) -> ArrayShape:
        return stacked(self.arrays)


def random_tiles(found: Plan, rng: np.random.Generator) -> Tiles:
    """Any legal tiles: whole units of groups, no fewer rows than padding asks for, all rows where maps stay."""
    job = found.job
    low = np.where(found.resident.maps[found.layers.design], job.out_h, fewest_rows(found.layers))
    return Tiles(rng.integers(0, 2, len(job)).astype(np.float64), rng.integers(1, job.units + 1).astype(np.float64), np.floor(rng.uniform(low, job.out_h + 1)))


@pytest.fixture(scope="module")
def points() -> Points:
    rng = np.random.default_rng(1)
    maker = NetworkMaker(rng)
    graphs = [maker.draw() for _ in range(NETWORKS)]
    arrays = [random_array(rng) for _ in graphs]
    table = LayerTable.from_graphs(graphs)
    found = plan(table, stacked(arrays), constants=constants(ODD))
    found = replace(found, tiles=random_tiles(found, rng))
    walks = [Walk(graph.layers, array, ODD) for graph, array in zip(graphs, arrays, strict=True)]
    return Points(table, arrays, found, [walk.run(tiling_of(found, table, design)) for design, walk in enumerate(walks)], walks)


def tiling_of(found: Plan, table: LayerTable, design: int) -> dict[int, tuple[int, int, int]]:
    """Order, groups and rows of the tiles of one design, by slot."""
    mine = np.flatnonzero(found.layers.design == design)
    slots = found.layers.place[mine] % table.op.shape[1]
    groups = found.tiles.units * found.demand.unit
    return {int(slot): (int(found.tiles.order[j]), int(groups[j]), int(found.tiles.rows[j])) for slot, j in zip(slots, mine, strict=True)}


def runs_of(points: Points) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    layers, bits = points.found.layers, points.array.activation_bits[:, 0]
    return np.where(layers.last, np.ceil(layers.accumulator_bits / bits[layers.design]), 1.0)


def of_layers(points: Points, name: str) -> list[float]:
    """A total of the walks, layer by layer in the order of the plan."""
    layers = points.found.layers
    slots = layers.place % points.table.op.shape[1]
    return [getattr(points.references[design], name).get(slot, 0) for design, slot in zip(layers.design.tolist(), slots.tolist(), strict=True)]


def test_cycles_of_every_layer_equal_the_walks(points: Points) -> None:
    found, runs = layer_cycles(points.found.job, points.found.tiles), runs_of(points)
    assert len(runs) > 2500
    for ours, theirs in (("total", "layers"), ("compute", "compute"), ("load", "load"), ("store", "store")):
        assert (getattr(found, ours) * runs).tolist() == of_layers(points, theirs)


def test_movements_of_every_layer_equal_the_walks(points: Points) -> None:
    moved, runs, at = moves(points.found.job, points.found.tiles), runs_of(points), points.found.layers.design
    weight_beats, word_beats = (np.array([getattr(walk, name) for walk in points.walks])[at] for name in ("weight_beats", "word_beats"))
    assert (moved.weights / weight_beats * runs).tolist() == of_layers(points, "weight_words")
    assert (moved.maps / word_beats * runs).tolist() == of_layers(points, "activation_words")
    assert (moved.results / word_beats * runs).tolist() == of_layers(points, "output_words")
    phases = np.bincount(at, weights=moved.phases * runs) + points.found.resident.maps
    assert phases.tolist() == [reference.phases for reference in points.references]


def test_what_stays_on_chip_equals_the_walks(points: Points) -> None:
    resident = points.found.resident
    assert resident.weights.tolist() == [walk.weights_stay() for walk in points.walks]
    assert resident.maps.tolist() == [walk.maps_stay() for walk in points.walks]
    assert resident.map_words.tolist() == [walk.maps_peak() for walk in points.walks]
    assert 0.2 < resident.weights.mean() < 0.8 and 0.2 < resident.maps.mean() < 0.8


def test_the_points_have_all_kinds_of_tilings(points: Points) -> None:
    across, down = points.found.tiles.counts(points.found.job)
    double = points.found.job.double
    for axis in (across, down):
        seen = Counter(np.minimum(axis, 7).astype(int).tolist())
        assert min(seen[count] for count in range(1, 8)) >= 10
    for banks in (False, True):
        both = (across > 2) & (down > 2) & (double == banks)
        assert {0.0, 1.0} == set(points.found.tiles.order[both].tolist())
        assert both.sum() > 20


@pytest.mark.parametrize("name", ["load", "store", "fetch", "data", "compute", "group_minimum", "phase"])
def test_one_cycle_more_in_any_constant_is_seen_in_layers(points: Points, name: str) -> None:
    job = plan(points.table, points.array, constants=constants(ODD | {name: ODD[name] + 1})).job
    assert (layer_cycles(job, points.found.tiles).total * runs_of(points)).tolist() != of_layers(points, "layers")


def test_the_templates_constants_are_whole_and_positive() -> None:
    assert all(value > 0 and value == int(value) for value in vars(cycle_constants()).values())
