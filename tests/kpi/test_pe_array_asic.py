"""A `pe_array` as an ASIC: parts and sums, a case by hand, widths, and that more of anything never costs less."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from codesign.accelerator.device import find_device
from codesign.accelerator.pe_array_work import ArrayShape
from codesign.kpi.asic import AsicArea, AsicEnergy, Datapath, ExternalMemory, Technology
from codesign.kpi.joint_space import JointSpace
from codesign.kpi.pe_array import TEMPLATE_MODEL, array_shape, breakdown
from codesign.kpi.pe_array_asic import BUFFERS, PeArrayAsic, asic_figures, asic_of
from codesign.kpi.pe_array_costs import costs
from codesign.kpi.template_model import FloatArray
from codesign.network.layers import Layer, LayerGraph, LayerTable, Op
from codesign.network.table_builder import TaskShape
from codesign.space.columns import Columns
from codesign.space.parameters import Value
from tests.accelerator.pe_array_networks import stacked

KWS = TaskShape(input_shape=(49, 10), classes=12, input_bits=8, input_signed=True)
PYNQ = find_device("pynq-z2")
TINY = {
    "rows": 2, "columns": 2, "weight_bits": 8, "activation_bits": 8, "accumulator_bits": 20, "weight_words": 256, "activation_words": 512,
    "output_words": 512, "banks": 1, "bus_bits": 32, "latency": 8, "full_taps": 0,
}  # fmt: skip


def drawn(blueprint: str, count: int, seed: int, **overrides: tuple[Value, ...]) -> tuple[LayerTable, Columns]:
    space = JointSpace.build(KWS, [blueprint], ["pe_array"], PYNQ, {f"pe_array.{name}": values for name, values in overrides.items()})
    indices = space.space.sample(count, np.random.default_rng(seed))
    return space.blueprints[0].table(space.space, indices, KWS), Columns(space.space, indices, "pe_array")


def parts(of: AsicArea | AsicEnergy) -> dict[str, FloatArray]:
    return {field.name: getattr(of, field.name) for field in fields(of)}


def dense(weight_bits: int = 6) -> LayerTable:
    """Four inputs of 7 bits, two outputs with sums of 20 bits."""
    entry = Layer("input", Op.INPUT, 1, 1, 4, 1, 1, 4, *[0] * 6, 1, 0, 0, 7, 1, 7, 1, 0, 0, -1, -1)
    head = Layer("head", Op.DENSE, 1, 1, 4, 1, 1, 2, 1, 1, 1, 1, 0, 0, 1, weight_bits, 16, 7, 1, 5, 1, 20, 0, 0, -1)
    return LayerTable.from_graphs([LayerGraph([entry, head])])


def tiny(weight_bits: int = 6, technology: Technology | None = None, **sizes: int) -> PeArrayAsic:
    array: ArrayShape = stacked([TINY | sizes])
    table = dense(weight_bits)
    return asic_of(table, array, costs(table, array), technology)


def test_a_layer_by_hand() -> None:
    """Two planes of inputs in 2 steps, 8 products; 20 bit sums leave in three runs of 8 bits."""
    found = tiny()
    assert found.accesses.reads.tolist() == [[3 * (2 + 1), 3 * 2, 3]]  # a word of biases beside each run's two words of weights
    assert found.accesses.writes.tolist() == [[0, 2, 3]]  # weights stay; the input is loaded once
    # Instructions of 28 beats: the first, one that loads the input, then one that computes and one that stores in each run.
    assert found.external_bits.tolist() == [32 * (28 * (1 + 1 + 3 * 2) + 2 + 3)]
    assert found.energy.multiply_pj == pytest.approx([8.8 * 0.003125 * 24 * 6 * 7])
    assert found.energy.add_pj == pytest.approx([8.8 * 0.0034 * 24 * 20])
    # Banks of 1 KiB; words of 2 x 2 x 8 and of 2 x 8 bits.
    weight, activation = (0.004287 * bits + 0.1916 * bits**0.538 for bits in (32, 16))
    assert found.energy.read_pj == pytest.approx([9 * weight + 9 * activation])
    assert found.energy.write_pj == pytest.approx([5 * (0.002362 * 16 + 0.1233 * 16**0.7837)])
    assert found.energy.external_pj == pytest.approx(8.0 * found.external_bits)
    assert found.area.multipliers_um2 == pytest.approx([4 * (9.44 * 64 + 8.61 * 16)])
    assert found.area.adders_um2 == pytest.approx([9.1 * 2 * ((16 + 1) + 20)])
    assert found.area.registers_um2 == pytest.approx([7.98 * (4 * 8 + 2 * 8 + 2 * 20)])
    assert found.area.buffers_um2 == pytest.approx([25.22 * (32 + 16 + 16) + 3 * 2846.0])
    assert found.technology == Technology()


def test_an_add_and_a_pool_multiply_by_ones() -> None:
    """16 products of the add and 8 of the pool, each one bit times 8."""
    entry = Layer("input", Op.INPUT, 1, 4, 2, 1, 4, 2, *[0] * 6, 1, 0, 0, 8, 1, 8, 1, 0, 0, -1, -1)
    add = Layer("sum", Op.ADD, 1, 4, 2, 1, 4, 2, 1, 1, 1, 1, 0, 0, 1, 0, 0, 8, 1, 8, 1, 9, 0, 0, 0)
    pool = Layer("pool", Op.GLOBAL_POOL, 1, 4, 2, 1, 1, 2, 1, 4, 1, 1, 0, 0, 1, 0, 0, 8, 1, 8, 1, 8, 0, 1, -1)
    table, array = LayerTable.from_graphs([LayerGraph([entry, add, pool])]), stacked([TINY])
    found = asic_of(table, array, costs(table, array), Technology(datapath=Datapath.OPERATION))
    assert found.energy.multiply_pj == pytest.approx([0.003125 * (2 * 8 + 8) * 8])


@pytest.mark.parametrize("blueprint", ["mlp", "tcresnet", "dscnn"])
def test_totals_are_the_sums_of_the_parts_and_accesses_those_of_the_breakdown(blueprint: str) -> None:
    table, columns = drawn(blueprint, 60, 1)
    found, layers = asic_figures(table, columns), breakdown(table, columns, PYNQ)
    assert found.energy.total_pj == pytest.approx(sum(parts(found.energy).values()))
    assert found.area.total_um2 == pytest.approx(sum(parts(found.area).values()))
    for own in (found.energy, found.area):
        assert all((values > 0).all() for values in parts(own).values())
    for slot, buffer in enumerate(BUFFERS):
        assert np.array_equal(found.accesses.reads[:, slot], getattr(layers, f"{buffer}_reads").sum(axis=1))
        more = found.accesses.writes[:, slot] - getattr(layers, f"{buffer}_writes").sum(axis=1)
        assert (more >= 0).all() and (buffer == "activation") == bool((more > 0).any())
    assert found.external_bits == pytest.approx(8 * TEMPLATE_MODEL.evaluate(table, columns, PYNQ).off_chip_bytes)


def test_many_designs_cost_what_each_costs_alone() -> None:
    table, columns = drawn("dscnn", 25, 2)
    array = array_shape(columns)
    found = asic_of(table, array, costs(table, array))
    for row in range(25):
        only = slice(row, row + 1)
        alone = asic_of(table.rows(only), array.rows_of(only), costs(table.rows(only), array.rows_of(only)))
        for whole, own in ((found.energy, alone.energy), (found.area, alone.area), (found.accesses, alone.accesses)):
            for field in fields(own):
                assert getattr(whole, field.name)[row] == pytest.approx(getattr(own, field.name)[0], rel=1e-12)
        assert found.external_bits[row] == alone.external_bits[0]


def test_narrower_weights_of_a_layer_cost_less_in_the_multipliers_and_nothing_else() -> None:
    table, columns = drawn("tcresnet", 40, 3)
    narrow = replace(table, weight_bits=np.where(table.weighted, np.maximum(table.weight_bits - 1, 1), table.weight_bits).astype(np.int32))
    before, after = asic_figures(table, columns), asic_figures(narrow, columns)
    assert (after.energy.multiply_pj < before.energy.multiply_pj).all()
    for name, values in parts(before.energy).items():
        assert name == "multiply_pj" or np.array_equal(getattr(after.energy, name), values)
    for name, values in parts(before.area).items():
        assert np.array_equal(getattr(after.area, name), values)


@pytest.mark.parametrize(
    "name", ["rows", "columns", "weight_bits", "activation_bits", "accumulator_bits", "weight_words", "activation_words", "output_words", "banks"]
)
def test_more_of_any_size_takes_more_area(name: str) -> None:
    _, columns = drawn("mlp", 300, 4)
    array = array_shape(columns)
    table = dense()
    tables = LayerTable.from_graphs([table.graph(0)] * 300)
    larger = replace(array, **{name: getattr(array, name) + 1.0})
    before, after = (asic_of(tables, own, costs(tables, own)).area for own in (array, larger))
    assert (after.total_um2 > before.total_um2).all()
    for part, values in parts(before).items():
        assert (getattr(after, part) >= values).all()


@pytest.mark.parametrize("name", ["accumulator_bits", "weight_words", "activation_words", "output_words"])
def test_wider_sums_and_larger_buffers_take_more_energy_for_the_same_work(name: str) -> None:
    before, after = tiny(), tiny(**{name: TINY[name] + 4})
    assert np.array_equal(after.accesses.reads, before.accesses.reads) and np.array_equal(after.external_bits, before.external_bits)
    assert after.energy.on_chip_pj > before.energy.on_chip_pj
    for part, values in parts(before.energy).items():
        assert getattr(after.energy, part) >= values


def test_a_word_wider_than_any_memory_lies_in_several() -> None:
    """Twice as many rows: a word of 512 bits costs what two of 256 bits do, each of half the size."""
    one, two = tiny(rows=16, columns=2), tiny(rows=32, columns=2)
    assert one.accesses.reads[0].tolist() == two.accesses.reads[0].tolist()
    half, full = (tiny(rows=rows, columns=2, weight_words=1) for rows in (16, 32))  # weights are streamed through banks of one word
    law = 0.004287 * 256 + 0.1916 * 8.0**0.5964 * 256**0.538  # 256 words of 256 bits: 8 KiB
    least = 0.004287 * 256 + 0.1916 * (1 / 32) ** 0.5964 * 256**0.538
    reads = one.accesses.reads[0, 0]
    assert one.energy.read_pj - half.energy.read_pj == pytest.approx([reads * (law - least)])
    assert two.energy.read_pj - one.energy.read_pj == pytest.approx([reads * law])
    write = 0.002362 * 256 + 0.1233 * (1 / 32) ** 0.4553 * 256**0.7837
    assert half.accesses.writes[0, 0] > 0
    assert full.energy.write_pj - half.energy.write_pj == pytest.approx(half.accesses.writes[0, 0] * write)
    assert two.area.buffers_um2 - one.area.buffers_um2 == pytest.approx([25.22 * 256 + 2846.0 * 8.0**1.026])


def test_the_technology_scales_what_is_on_the_chip_and_says_how_wrong_it_may_be() -> None:
    base, other = tiny(), tiny(technology=Technology(node_nm=7, supply_v=0.7, external=ExternalMemory.HBM2))
    assert other.technology.node_nm == 7
    assert other.area.total_um2 == pytest.approx(0.059 * base.area.total_um2)
    assert other.energy.on_chip_pj == pytest.approx(other.technology.energy_factor * base.energy.on_chip_pj)
    assert other.energy.external_pj == pytest.approx(base.energy.external_pj * 6.25 / 8.0)
    assert other.area_error == pytest.approx(base.area_error + 0.4) and other.energy_error == pytest.approx(base.energy_error + 0.4)


def test_errors_are_those_of_the_parts() -> None:
    found, bare = tiny(), tiny(technology=Technology(datapath=Datapath.OPERATION))
    area = found.area
    expected = 0.05 * area.multipliers_um2 + 0.03 * area.adders_um2 + 0.061 * area.buffers_um2
    assert found.area_error * area.total_um2 == pytest.approx(expected)
    for own, logic in ((found, 0.5), (bare, 0.0)):
        energy = own.energy
        wrong = (0.03 + logic) * energy.multiply_pj + (0.1 + logic) * energy.add_pj + 0.184 * energy.read_pj + 0.071 * energy.write_pj
        assert own.energy_error * energy.on_chip_pj == pytest.approx(wrong)
