"""The choice of loop order and tiles: legal, near the best there is, the same alone and among others."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from codesign.accelerator.device import find_device
from codesign.accelerator.pe_array_cycles import Tiles, layer_cycles
from codesign.accelerator.pe_array_limits import SmallestBuffers, smallest_buffers, utilisation
from codesign.accelerator.pe_array_moves import moves
from codesign.accelerator.pe_array_rows import fewest_rows, most_rows_read
from codesign.accelerator.pe_array_tiling import ArrayShape, Plan, Tiling, plan, tile
from codesign.errors import InputError
from codesign.kpi.joint_space import JointSpace
from codesign.kpi.pe_array import array_shape
from codesign.network.layers import LayerTable
from codesign.network.table_builder import TaskShape
from codesign.space.columns import Columns
from tests.accelerator.pe_array_networks import NetworkMaker, random_array, stacked

KWS = TaskShape(input_shape=(49, 10), classes=12, input_bits=8, input_signed=True)
BUFFERS = {"weight_buffer_kib": "weight_words", "activation_buffer_kib": "activation_words", "output_buffer_kib": "output_words"}


def kws(blueprint: str, count: int, seed: int) -> tuple[LayerTable, ArrayShape]:
    """Random designs of the keyword spotting space."""
    joint = JointSpace.build(KWS, [blueprint], ["pe_array"], find_device("pynq-z2"))
    indices = joint.space.sample(count, np.random.default_rng(seed))
    return joint.blueprints[0].table(joint.space, indices, KWS), array_shape(Columns(joint.space, indices, "pe_array"))


def drawn(count: int, seed: int) -> tuple[LayerTable, ArrayShape]:
    """Random networks on random arrays."""
    rng = np.random.default_rng(seed)
    maker = NetworkMaker(rng)
    graphs = [maker.draw() for _ in range(count)]
    return LayerTable.from_graphs(graphs), stacked([random_array(rng) for _ in graphs])


def legal(found: Plan, array: ArrayShape, layer: int, tiles: Tiles) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which of k tilings of one layer fit the buffers and keep the rules; the worst tile is looked at."""
    layers, demand, job = found.layers, found.demand, found.job
    design = layers.design[layer]
    groups = np.minimum(tiles.units * job.unit[layer], job.groups[layer])
    planes = np.minimum(tiles.units * job.unit_planes[layer], job.out_planes[layer])
    shared = layers.add[layer] or layers.pool[layer]
    weights = demand.group_words[layer] * (1 if shared else groups)
    fits = (weights <= array.weight_words[design, 0]) | found.resident.weights[design]
    if found.resident.maps[design]:
        return np.asarray(fits & (tiles.rows == job.out_h[layer]))
    copies = np.full(len(tiles.rows), layer)
    rows = most_rows_read(layers.take(copies), demand.take(copies), tiles.rows)
    read = rows * layers.width[layer] * (demand.in_planes[layer] if layers.full[layer] else planes * job.operands[layer])
    written = planes * tiles.rows * layers.out_w[layer]
    return np.asarray(
        fits & (read <= array.activation_words[design, 0]) & (written <= array.output_words[design, 0]) & (tiles.rows >= fewest_rows(layers)[layer])
    )


def all_tilings(found: Plan, layer: int) -> Tiles:
    """Every order, number of units and number of rows."""
    units, rows = np.arange(1, found.job.units[layer] + 1), np.arange(1, found.job.out_h[layer] + 1)
    order, unit, row = (axis.ravel() for axis in np.meshgrid([0.0, 1.0], units, rows, indexing="ij"))
    return Tiles(order, unit, row)


def gaps(blueprint: str, objective: str, sample: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How much more the chosen tilings cost than the best of all legal ones, for some layers that have a choice."""
    table, array = kws(blueprint, 300, 5)
    found = plan(table, array, objective=objective)
    chosen = layer_cycles(found.job, found.tiles).total if objective == "cycles" else traffic(found, found.tiles, np.arange(len(found.job)))
    choice = np.flatnonzero((found.job.units > 1) | (found.job.out_h > 1))
    measured = []
    for layer in np.random.default_rng(6).permutation(choice):
        tiles = all_tilings(found, layer)
        allowed = np.flatnonzero(legal(found, array, layer, tiles))
        if len(allowed) < 2:
            continue
        tiles = tiles.take(allowed)
        copies = np.full(len(allowed), layer)
        cost = layer_cycles(found.job.take(copies), tiles).total if objective == "cycles" else traffic(found, tiles, copies)
        measured.append(chosen[layer] / cost.min() - 1.0 if cost.min() > 0 else 0.0)
        if len(measured) == sample:
            break
    return np.array(measured)


def traffic(found: Plan, tiles: Tiles, layers: np.ndarray[tuple[int], np.dtype[np.intp]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    moved = moves(found.job.take(layers), tiles)
    return moved.weights + moved.maps + moved.results


@pytest.mark.parametrize("blueprint", ["tcresnet", "dscnn"])
def test_the_choice_is_near_the_best_of_all_tilings(blueprint: str) -> None:
    found = gaps(blueprint, "cycles", 700)
    assert len(found) == 700
    assert found.min() >= 0.0
    assert found.mean() < 0.01 and np.quantile(found, 0.95) < 0.05 and found.max() < 0.5


def test_the_choice_for_traffic_is_near_the_least_traffic() -> None:
    found = gaps("dscnn", "traffic", 300)
    assert found.min() >= 0.0
    assert found.mean() < 0.005


def test_chosen_tiles_keep_the_rules_and_fit_where_anything_does() -> None:
    fitting = 0
    for table, array in (kws("tcresnet", 60, 1), kws("dscnn", 60, 2), drawn(60, 3)):
        found = plan(table, array)
        share = np.max([utilisation(found, array)[name] for name in ("weight_buffer", "activation_buffer", "output_buffer")], axis=0)
        for layer, design in enumerate(found.layers.design.tolist()):
            if share[design] <= 1.0:
                assert legal(found, array, layer, found.tiles.take(np.array([layer])))[0]
                fitting += 1
    assert fitting > 500


def test_one_network_alone_is_tiled_as_among_others() -> None:
    table, array = drawn(40, 4)
    together = tile(table, array)
    assert not together.order[table.op <= 1].any() and (together.group_tile[table.op > 1] >= 1).all()
    for row in range(40):
        alone = tile(LayerTable.from_graphs([table.graph(row)]), array.rows_of(slice(row, row + 1)))
        for field in fields(Tiling):
            mine, theirs = getattr(alone, field.name)[0], getattr(together, field.name)[row]
            assert np.array_equal(mine, theirs[: mine.size] if mine.ndim else theirs)


def test_asking_for_traffic_never_moves_more() -> None:
    table, array = kws("dscnn", 200, 7)
    by_cycles, by_traffic = plan(table, array), plan(table, array, objective="traffic")
    everything = np.arange(len(by_cycles.job))
    fast, frugal = (traffic(found, found.tiles, everything) for found in (by_cycles, by_traffic))
    assert frugal.sum() < fast.sum()
    assert (frugal <= fast * 1.001).all()


def test_an_unknown_objective_is_refused() -> None:
    table, array = drawn(1, 9)
    with pytest.raises(InputError, match=r"tiles of pe_array: unknown objective 'energy'\. Choose from cycles, traffic"):
        tile(table, array, objective="energy")


@pytest.mark.parametrize("name", BUFFERS)
def test_the_smallest_buffer_told_does_and_one_kib_less_does_not(name: str) -> None:
    table, array = kws("dscnn", 150, 8)
    least: SmallestBuffers = smallest_buffers(table, array)
    kib = getattr(least, name)
    assert (kib >= 1).all()
    bits = (array.weight_word_bits if name == "weight_buffer_kib" else array.activation_word_bits)[:, 0]
    for change, does in ((0, True), (-1, False)):
        words = {field.name: getattr(array, field.name) for field in fields(ArrayShape)}
        words[BUFFERS[name]] = np.floor((kib + change) * 8192.0 / bits)[:, None]
        changed = ArrayShape(**words)
        share = utilisation(plan(table, changed), changed)[name.removesuffix("_kib")]
        assert ((share <= 1.0) == does).all()
