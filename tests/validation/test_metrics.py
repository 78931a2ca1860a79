from __future__ import annotations

import numpy as np
import pytest

from codesign.validation.metrics import area_under_curve, compare, spearman


def test_errors_of_a_small_case_by_hand() -> None:
    measured, predicted = np.array([10.0, 100.0, 0.0, 4.0]), np.array([11.0, 80.0, 0.0, 4.4])
    errors = compare(measured, predicted, predicted - 1.0, predicted + 1.0)
    assert errors is not None
    assert errors.n == 4
    assert errors.exact_fraction == 0.5  # 0 is 0, 4.4 rounds to 4
    assert errors.median_ape == pytest.approx(0.1)
    assert errors.mape == pytest.approx((0.1 + 0.2 + 0.0 + 0.1) / 4)
    assert errors.smape == pytest.approx((1 / 10.5 + 20 / 90 + 0 + 0.4 / 4.2) / 4)
    assert errors.bias == pytest.approx(0.05)
    assert errors.within_one == 0.75
    assert errors.coverage_95 == 0.75
    assert errors.r2 == pytest.approx(1 - (1 + 400 + 0.16) / ((measured - 28.5) ** 2).sum())
    assert errors.spearman == pytest.approx(1.0)


def test_no_row_and_constant_rows_have_no_figures_that_mislead() -> None:
    nothing = np.zeros(0)
    assert compare(nothing, nothing, nothing, nothing) is None
    same = np.full(3, 5.0)
    errors = compare(same, same, same, same)
    assert errors is not None and errors.r2 is None and errors.spearman is None and errors.coverage_95 == 1.0


def test_spearman_takes_ties_at_their_mean_rank() -> None:
    assert spearman(np.array([1.0, 2.0, 2.0, 3.0]), np.array([10.0, 30.0, 30.0, 40.0])) == pytest.approx(1.0)
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1.0)


def test_area_under_the_curve_counts_pairs() -> None:
    score, positive = np.array([0.9, 0.4, 0.4, 0.1]), np.array([1.0, 1.0, 0.0, 0.0])
    pairs = [(a > b) + 0.5 * (a == b) for a in score[:2] for b in score[2:]]
    assert area_under_curve(score, positive) == pytest.approx(np.mean(pairs))
    assert area_under_curve(score, np.ones(4)) is None
