from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import InputError
from codesign.kpi.asic import (
    Accesses,
    Buffers,
    Datapath,
    ExternalMemory,
    MacArray,
    MacSteps,
    SramCell,
    Technology,
    asic_area,
    asic_coefficients,
    asic_energy,
    sram_coefficients,
)
from codesign.kpi.template_model import FloatArray

NODES = (180, 130, 90, 65, 45, 32, 20, 16, 14, 10, 7)
OPERATION = Technology(datapath=Datapath.OPERATION)


def row(*values: float) -> FloatArray:
    return np.array([values], dtype=np.float64)


def one(value: float) -> FloatArray:
    return np.array([value], dtype=np.float64)


def no_buffers() -> tuple[Buffers, Accesses]:
    return Buffers(row(1.0), row(32.0), row(1.0)), Accesses(row(0.0), row(0.0))


def test_a_bare_step_is_the_quoted_multiply_and_add() -> None:
    """8 x 8 bit: 0.2 pJ; a 24 bit accumulator at 0.0034 pJ a bit: 0.0816 pJ. External: 8 pJ a bit."""
    found = asic_energy(MacSteps(row(1000.0), row(8.0), row(8.0), row(24.0)), *no_buffers(), one(100.0), OPERATION)
    assert found.multiply_pj == pytest.approx([200.0]) and found.add_pj == pytest.approx([81.6])
    assert found.external_pj == pytest.approx([800.0]) and found.read_pj == found.write_pj == 0.0
    assert found.on_chip_pj == pytest.approx([281.6]) and found.total_pj == pytest.approx([1081.6])


def test_a_step_of_a_synthesised_array_is_the_measured_one() -> None:
    found = asic_energy(MacSteps(row(1.0), row(8.0), row(8.0), row(24.0)), *no_buffers(), one(0.0), Technology())
    assert found.total_pj == pytest.approx([2.48], rel=1e-3)


def test_steps_of_several_widths_add_up() -> None:
    steps = MacSteps(row(10.0, 20.0), row(8.0, 4.0), row(8.0, 2.0), row(20.0, 16.0))
    found = asic_energy(steps, *no_buffers(), one(0.0), OPERATION)
    assert found.multiply_pj == pytest.approx([0.003125 * (10 * 64 + 20 * 8)])
    assert found.add_pj == pytest.approx([0.0034 * (10 * 20 + 20 * 16)])


@pytest.mark.parametrize(
    ("kib", "bits", "read_pj", "write_pj", "area_um2"),
    [
        (1, 32, 1.324, 2.065, 3432),
        (8, 64, 6.137, 7.878, 26270),
        (32, 128, 20.31, 27.53, 97540),
        (128, 64, 32.29, 26.07, 429600),
        (1024, 256, 251.9, 245.3, 3676000),
    ],
)
def test_a_memory_is_near_what_cacti_says(kib: float, bits: float, read_pj: float, write_pj: float, area_um2: float) -> None:
    """CACTI 7 at 45 nm, low standby power; the laws state 18 % on reads, 7 % on writes and 6 % on area, means over 44 memories."""
    buffers = Buffers(row(kib), row(bits), row(2.0))
    found = asic_energy(MacSteps(row(0.0), row(8.0), row(8.0), row(24.0)), buffers, Accesses(row(3.0), row(5.0)), one(0.0), Technology())
    assert found.read_pj / 3 == pytest.approx([read_pj], rel=0.45) and found.write_pj / 5 == pytest.approx([write_pj], rel=0.2)
    area = asic_area(MacArray(one(1), one(1), one(1), one(1), one(1)), buffers, Technology())
    assert area.buffers_um2 / 2 == pytest.approx([area_um2], rel=0.25)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_multipliers_are_near_the_synthesised_ones(bits: int) -> None:
    """EvoApproxLib's exact signed multipliers, FreePDK45."""
    synthesised = {8: 729.8, 12: 1650.5, 16: 2614.0}[bits]
    area = asic_area(MacArray(one(1), one(1), one(bits), one(bits), one(24)), no_buffers()[0], Technology())
    assert area.multipliers_um2 == pytest.approx([synthesised], rel=0.055)


def test_area_of_a_small_array_by_hand() -> None:
    """Two rows of four columns, 4 bit weights, 6 bit activations, 18 bit accumulators; trees of three adders of 12 bits."""
    array = MacArray(one(2), one(4), one(4), one(6), one(18))
    area = asic_area(array, no_buffers()[0], Technology())
    assert area.multipliers_um2 == pytest.approx([8 * (9.44 * 24 + 8.61 * 10)])
    assert area.adders_um2 == pytest.approx([9.1 * 2 * (3 * 12 + 18)])
    assert area.registers_um2 == pytest.approx([7.98 * (8 * 4 + 4 * 6 + 2 * 18)])
    assert area.total_um2 == pytest.approx(area.multipliers_um2 + area.adders_um2 + area.registers_um2 + area.buffers_um2)


def test_the_authors_example_of_scaling() -> None:
    """Stillmaker and Baas, corrigendum: 1 pJ at 65 nm and 1.3 V is 0.1755 pJ at 32 nm and 0.9 V."""
    nodes = asic_coefficients().nodes
    assert nodes["65"].energy(1.3) == pytest.approx(2.604, abs=5e-4)
    assert nodes["32"].energy(0.9) == pytest.approx(0.4571, abs=5e-5)
    assert Technology(node_nm=32).energy_factor / Technology(node_nm=65, supply_v=1.3).energy_factor == pytest.approx(
        0.1755, abs=1e-4
    )  # the authors cut, not round


def test_smaller_nodes_cost_less_and_the_base_node_is_itself() -> None:
    assert tuple(map(int, asic_coefficients().nodes)) == NODES
    energies = [Technology(node_nm=node, supply_v=1.0).energy_factor for node in NODES]
    areas = [Technology(node_nm=node, supply_v=1.0).area_factor for node in NODES]
    assert energies == sorted(energies, reverse=True) and areas == sorted(areas, reverse=True) and min(energies) > 0 and min(areas) > 0
    assert Technology().energy_factor == Technology().area_factor == 1.0
    assert Technology().scaling_error == 0.0 and Technology(node_nm=32).scaling_error == Technology(supply_v=1.0).scaling_error == 0.4


@pytest.mark.parametrize("node", NODES)
def test_energy_rises_with_the_supply_in_the_whole_range(node: int) -> None:
    table = asic_coefficients()
    supplies = np.linspace(table.nodes[str(node)].supply_low.value, table.supply_high.value, 50)
    factors = [Technology(node_nm=node, supply_v=float(supply)).energy_factor for supply in supplies]
    assert min(factors) > 0.0 and (np.diff(factors) > 0.0).all()


def test_a_node_scales_the_chip_and_not_the_memory_outside() -> None:
    steps, buffers = MacSteps(row(1e6), row(8.0), row(8.0), row(24.0)), Buffers(row(16.0), row(64.0), row(2.0))
    accesses, small = Accesses(row(100.0), row(50.0)), Technology(node_nm=16, supply_v=0.8)
    base, scaled = (asic_energy(steps, buffers, accesses, one(1e3), technology) for technology in (Technology(), small))
    for part in ("multiply_pj", "add_pj", "read_pj", "write_pj"):
        assert getattr(scaled, part) == pytest.approx(small.energy_factor * getattr(base, part))
    assert scaled.external_pj == base.external_pj
    array = MacArray(one(8), one(8), one(8), one(8), one(24))
    assert asic_area(array, buffers, small).total_um2 == pytest.approx(0.19 * asic_area(array, buffers, Technology()).total_um2)


@pytest.mark.parametrize(
    ("node", "supply", "match"),
    [
        (22, 0.9, "no scaling factors for 22 nm.*Choose a node of 180, 130"),
        (45, 0.4, r"supply of 0.4 V.*45 nm.*Choose 0.5 to 1.8 V"),
        (180, 0.9, "Choose 1.0 to"),
        (45, float("nan"), "supply of nan V"),
    ],
)
def test_a_technology_without_factors_is_told(node: int, supply: float, match: str) -> None:
    with pytest.raises(InputError, match=match):
        Technology(node_nm=node, supply_v=supply)


POSITIVE = st.floats(1.0, 64.0)


@given(st.tuples(*[POSITIVE] * 8), st.integers(0, 7), st.sampled_from(SramCell), st.sampled_from(ExternalMemory), st.sampled_from(Datapath))
@settings(max_examples=80, deadline=None)
def test_nothing_is_negative_and_nothing_falls(values: tuple[float, ...], grown: int, cell: SramCell, external: ExternalMemory, datapath: Datapath) -> None:
    technology = Technology(cell=cell, external=external, datapath=datapath)

    def price(numbers: tuple[float, ...]) -> FloatArray:
        count, weight, activation, accumulator, kib, word, reads, outside = numbers
        steps, buffers = MacSteps(row(count), row(weight), row(activation), row(accumulator)), Buffers(row(kib), row(word), row(2.0))
        energy = asic_energy(steps, buffers, Accesses(row(reads), row(reads)), one(outside), technology)
        area = asic_area(MacArray(one(np.floor(count)), one(np.floor(reads)), one(weight), one(activation), one(accumulator)), buffers, technology)
        parts = (energy.multiply_pj, energy.add_pj, energy.read_pj, energy.write_pj, energy.external_pj)
        return np.concatenate([*parts, area.multipliers_um2, area.adders_um2, area.registers_um2, area.buffers_um2])

    before = price(values)
    after = price(tuple(value * (1.7 if place == grown else 1.0) for place, value in enumerate(values)))
    assert (before >= 0.0).all() and (after >= before * (1 - 1e-12)).all() and (after > before).any()


def test_designs_are_priced_alone_and_together_alike() -> None:
    rng = np.random.default_rng(5)
    sizes = rng.uniform(1.0, 64.0, (7, 3, 4))
    steps, buffers, accesses = MacSteps(*sizes[:4]), Buffers(*sizes[4, :, :3].reshape(3, 3, 1).transpose(1, 0, 2)), Accesses(*sizes[5:, :, :1])
    together = asic_energy(steps, buffers, accesses, np.arange(3.0), Technology()).total_pj
    for place in range(3):
        chosen = slice(place, place + 1)
        alone = asic_energy(
            MacSteps(*sizes[:4, chosen]),
            Buffers(buffers.kib[chosen], buffers.word_bits[chosen], buffers.banks[chosen]),
            Accesses(*sizes[5:, chosen, :1]),
            np.arange(3.0)[chosen],
            Technology(),
        )
        assert alone.total_pj == pytest.approx(together[chosen])


def test_every_cell_has_its_laws() -> None:
    assert set(sram_coefficients().cells) == set(SramCell) and set(asic_coefficients().external) == set(ExternalMemory)
