from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.kpi.streaming.flow import Tool
from codesign.validation.fitting import FOLDS, anchored_prices, counts, design_table, folds_of, sweep_prices
from codesign.validation.points import read_design
from tests.validation.tables import dense_row, torc_lstm_row

PRICES = np.array([120.0, 3.5, 0.25])


def synthetic(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counted terms of many designs, and what they cost at `PRICES`."""
    rng = np.random.default_rng(seed)
    terms = np.stack([np.ones(rows), rng.integers(1, 400, rows).astype(float), rng.integers(0, 20_000, rows).astype(float)], axis=1)
    return terms, terms @ PRICES


def test_known_prices_come_back() -> None:
    terms, measured = synthetic(200)
    assert sweep_prices(terms, measured, 2e-3) == pytest.approx(PRICES, rel=1e-6)


def test_outliers_do_not_move_prices() -> None:
    terms, measured = synthetic(300)
    spoiled = measured.copy()
    spoiled[::10] *= 5.0  # a tenth of the rows
    robust = sweep_prices(terms, spoiled, 2e-3)
    plain = np.linalg.lstsq(terms / spoiled[:, None], np.ones(300), rcond=None)[0]
    assert robust == pytest.approx(PRICES, rel=0.05)
    assert np.abs(robust / PRICES - 1.0).max() < np.abs(plain / PRICES - 1.0).max() / 4


@given(st.integers(0, 10_000), st.floats(0.1, 2.0))
@settings(max_examples=40, deadline=None)
def test_no_price_is_negative(seed: int, noise: float) -> None:
    terms, measured = synthetic(30, seed)
    rng = np.random.default_rng(seed + 1)
    measured = measured * np.exp(noise * rng.standard_normal(30))
    others = np.column_stack([terms, measured[:, None] * 0.9 + rng.random((30, 1))])  # a term that explains too much
    assert (sweep_prices(others, measured, 2e-3) >= 0.0).all()
    assert (anchored_prices(terms, measured, np.ones(30), 60.0, PRICES, np.zeros(30)) >= 0.0).all()


def test_a_term_that_costs_nothing_is_free() -> None:
    terms, measured = synthetic(200)
    useless = np.random.default_rng(3).random((200, 1)) * 1e6
    found = sweep_prices(np.column_stack([terms, useless]), measured, 2e-3)
    assert found[:3] == pytest.approx(PRICES, rel=1e-3)
    assert found[3] == pytest.approx(0.0, abs=1e-9)


def test_anchored_prices_follow_many_rows_and_stay_where_there_are_none() -> None:
    terms, measured = synthetic(200)
    seen = np.column_stack([terms, np.zeros(200)])  # the fourth term is in no design
    expected = np.array([200.0, 2.0, 0.5, 7.0])
    found = anchored_prices(seen, measured, np.ones(200), 0.0, expected, np.zeros(200))
    assert found[2] == pytest.approx(PRICES[2], rel=0.01)  # nearly all of the cost
    assert found[1] == pytest.approx(PRICES[1], rel=0.15)  # a tenth of it: expected 2, seen 3.5
    assert found[3] == pytest.approx(7.0)


def test_few_rows_leave_prices_near_what_is_expected() -> None:
    terms, measured = synthetic(1)
    expected = PRICES * 2.0
    one = anchored_prices(terms, measured, np.ones(1), 0.0, expected, np.zeros(1))
    many_terms, many_measured = synthetic(200)
    many = anchored_prices(many_terms, many_measured, np.ones(200), 0.0, expected, np.zeros(200))
    assert np.abs(one / expected - 1.0).max() < 0.3
    assert many[1:] == pytest.approx(PRICES[1:], rel=0.05)


def test_what_others_decide_is_subtracted() -> None:
    terms, measured = synthetic(200)
    found = anchored_prices(terms[:, 1:], measured, np.ones(200), 0.0, PRICES[1:] * 1.5, terms[:, 0] * PRICES[0])
    assert found == pytest.approx(PRICES[1:], rel=0.02)


@given(st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP"), min_size=1, max_size=80))
@settings(max_examples=60, deadline=None)
def test_folds_keep_groups_together(groups: list[str]) -> None:
    folds = folds_of(groups)
    assert all(len({fold for fold, name in zip(folds, groups, strict=True) if name == group}) == 1 for group in groups)
    assert set(folds.tolist()) == set(range(len(set(folds.tolist()))))  # none is empty
    distinct = len(set(groups))
    assert len(set(folds.tolist())) == (FOLDS if distinct > 2 * FOLDS else distinct)
    assert (folds_of(groups) == folds).all()


def test_counts_are_those_of_whole_designs() -> None:
    designs = [read_design(row) for row in (dense_row(16, 8, 4, reuse_factor=32), dense_row(16, 8, reuse_factor=32))]
    table = design_table(designs)
    found = counts(table, Tool.VITIS_HLS, "lut", ("matrix_vector.layer", "elements.relu", "matrix_vector.accumulator_any"))
    assert found.tolist() == [[2.0, 8 * 16, 12 * 16], [1.0, 0.0, 8 * 16]]
    lstm = counts(design_table([read_design(torc_lstm_row(4, 4, reuse_factor=4))]), Tool.VIVADO_HLS_2019, "ff", ("matrix_vector.recurrent_layer",))
    assert lstm.tolist() == [[1.0]]
