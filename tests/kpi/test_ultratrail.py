from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.kpi.ultratrail import (
    AreaPrices,
    PowerPrices,
    UltraTrailDesigns,
    area_counts,
    hardware,
    layer_cycles,
    power_counts,
    ultratrail_coefficients,
    ultratrail_kpis,
    values,
)

Layer = tuple[int, int, int, int, int, int, int]
"""C, K, F, s, W, p, Wo."""
COLUMNS = ("in_c", "out_c", "kernel", "stride", "in_w", "pad", "out_w")
WAKE_WORD: list[Layer] = [(40, 4, 1, 16, 101, 0, 7), (4, 3, 1, 1, 1, 0, 1)]
KEEPS: list[Layer] = [(16, 16, 3, 1, 20, 1, 20)]


def design(layers: list[Layer], array: int = 2, weight_bits: int = 6, feature_bits: int = 4, skips: bool = False) -> UltraTrailDesigns:
    return designs([layers], array, weight_bits, feature_bits, skips)


def designs(networks: list[list[Layer]], array: int = 2, weight_bits: int = 6, feature_bits: int = 4, skips: bool = False) -> UltraTrailDesigns:
    slots = max(map(len, networks))
    table = np.zeros((len(COLUMNS), len(networks), slots), dtype=np.int32)
    for row, layers in enumerate(networks):
        table[:, row, : len(layers)] = np.array(layers).T
    column = np.ones((len(networks), 1), dtype=np.int32)
    return UltraTrailDesigns(
        array=array * column,
        weight_bits=weight_bits * column,
        feature_bits=feature_bits * column,
        skips=np.full(len(networks), skips),
        **dict(zip(COLUMNS, table, strict=True)),
    )


def counted(layer: Layer, array: int) -> int:
    """Cycles by walking over every output, tap and channel group, one cycle for each step with real input."""
    channels, filters, kernel, stride, length, pad, outputs = layer
    cycles = 1
    for _ in range(0, channels, array):
        for _ in range(0, filters, array):
            for output in range(outputs):
                for tap in range(kernel):
                    cycles += 0 <= output * stride + tap - pad < length
    return cycles


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    kernel = draw(st.integers(1, 13))
    pad, stride, length = draw(st.integers(0, kernel - 1)), draw(st.integers(1, 17)), draw(st.integers(1, 40))
    outputs = draw(st.integers(1, (length + pad - 1) // stride + 1))
    return draw(st.integers(1, 20)), draw(st.integers(1, 20)), kernel, stride, length, pad, outputs


@given(layers(), st.integers(1, 8))
@settings(max_examples=300, deadline=None)
def test_cycles_are_those_of_a_walk_over_every_step(layer: Layer, array: int) -> None:
    assert layer_cycles(design([layer], array)).tolist() == [[counted(layer, array)]]


def test_small_maps_and_wide_kernels() -> None:
    """One position under a kernel of eleven, padded by five: ten taps of padding, one step; a published formula goes negative here.

    Twenty-six windows of three at stride four over 101 positions padded by one: the first and the last tap are padding.
    """
    found = layer_cycles(design([(20, 4, 11, 1, 1, 5, 1), (40, 24, 3, 4, 101, 1, 26)]))
    assert found.tolist() == [[1 + 10 * 2, 1 + 20 * 12 * (26 * 3 - 2)]]


def test_absent_slots_cost_nothing() -> None:
    together = ultratrail_kpis(designs([WAKE_WORD, KEEPS]))
    for row, network in enumerate((WAKE_WORD, KEEPS)):
        alone = ultratrail_kpis(design(network))
        assert together.cycles[row] == alone.cycles[0] and together.layer_cycles[row].sum() == alone.cycles[0]
        assert together.area_um2[row] == pytest.approx(alone.area_um2[0]) and together.power_w[row] == pytest.approx(alone.power_w[0])
    assert together.layer_cycles[1, 1] == 0.0


def test_hardware_by_hand() -> None:
    """20 + 2 x 2 channel groups of weights are 44 words, stored as 64; the input of 20 x 101 words is stored as 2,048, twice."""
    built = hardware(design(WAKE_WORD))
    assert (built.rows, built.products, built.registers, built.ports) == (2, 4 * 24, 4 * 10, 2 * 10)
    assert built.memory == 64 * 24 + 2 * 2048 * 8 and built.banks == 0
    kept = hardware(design(KEEPS, array=4, feature_bits=6, skips=True))
    assert kept.memory == 64 * 96 + 3 * 96 * 24
    deep = hardware(design([(64, 64, 3, 1, 10, 1, 10)]))
    assert deep.banks == 2 and deep.memory == 3072 * 24 + 2 * 320 * 8


def test_a_small_design_by_hand() -> None:
    """The shipped prices, term by term; an inference each 100 ms."""
    found = ultratrail_kpis(design(WAKE_WORD))
    assert found.cycles == 1 + 20 * 2 * 7 + 1 + 2 * 2 * 1 and found.duty == pytest.approx(286 / 25_000)
    area = 22_954 + 17.612 * 96 + 176.05 * 20 + 0.12736 * 34_304
    assert found.area_um2 == pytest.approx(area, rel=1e-3)
    standing_uw = 0.91153 + 0.001846 * 40 + 0.029057 * 2 + 6.8022e-7 * 34_304
    energy_pj = 286 * (3.0171 + 0.23685 * 20)
    assert found.power_w == pytest.approx(standing_uw * 1e-6 + energy_pj * 1e-12 / 0.1, rel=1e-3)


def test_a_deep_design_by_hand() -> None:
    """A second and a third bank of weights, and a skip connection."""
    found = ultratrail_kpis(design([(64, 64, 3, 1, 10, 1, 10)], array=2, skips=True))
    assert found.cycles == 1 + 32 * 32 * 28
    assert found.area_um2 == pytest.approx(22_954 + 17.612 * 96 + 176.05 * 20 + 0.12736 * (3072 * 24 + 3 * 320 * 8) + 2 * 5624.4, rel=1e-3)


def test_prices_are_physical_and_within_the_bars() -> None:
    known = ultratrail_coefficients()
    assert (values(known.area) >= 0.0).all() and (values(known.power) >= 0.0).all()
    assert values(known.area).shape == (area_counts(design(KEEPS)).shape[1],) and values(known.power).shape == (power_counts(design(KEEPS)).shape[1],)
    assert 0.0 < known.area_error.value <= 0.03 and 0.0 < known.power_error.value <= 0.04
    assert isinstance(known.area, AreaPrices) and isinstance(known.power, PowerPrices)


@given(layers(), st.integers(1, 6), st.integers(1, 8), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_more_work_and_wider_operands_never_cost_less(layer: Layer, array: int, weight_bits: int, feature_bits: int) -> None:
    base = ultratrail_kpis(design([layer], array, weight_bits, feature_bits))
    wider = ultratrail_kpis(design([layer], array, weight_bits + 1, feature_bits + 1))
    longer = ultratrail_kpis(design([layer, layer], array, weight_bits, feature_bits))
    channels = (2 * layer[0], *layer[1:])
    more = ultratrail_kpis(design([channels], array, weight_bits, feature_bits))
    for other in (wider, longer, more):
        assert other.cycles >= base.cycles and other.area_um2 >= base.area_um2 and other.power_w >= base.power_w
    assert base.area_um2 > 0.0 and base.power_w > 0.0
