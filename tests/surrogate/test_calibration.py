"""Calibration figures against scipy and against predictions of known quality."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from codesign.surrogate.calibration import calibrate, kendall, spearman


def test_rank_correlations_equal_scipy_with_ties() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 8, 40).astype(float), rng.integers(0, 5, 40).astype(float)
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)
    assert kendall(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)


def test_rank_correlation_of_a_constant_is_unknown() -> None:
    assert spearman(np.ones(4), np.arange(4.0)) is None
    assert kendall(np.arange(4.0), np.ones(4)) is None


def test_an_honest_predictor_covers_and_a_boastful_one_does_not() -> None:
    rng = np.random.default_rng(1)
    mean, std = rng.normal(size=2000), np.full(2000, 0.3)
    measured = mean + std * rng.normal(size=2000)
    honest = calibrate("accuracy", mean, std, measured, log=False)
    for coverage in honest.coverage:
        assert abs(coverage.observed - coverage.level) < 4.0 * coverage.binomial_error
        assert coverage.binomial_error == pytest.approx(np.sqrt(coverage.level * (1.0 - coverage.level) / 2000))
    boastful = calibrate("accuracy", mean, std / 4.0, measured, log=False)
    assert all(coverage.observed < coverage.level - 10.0 * coverage.binomial_error for coverage in boastful.coverage)
    assert honest.nlpd < boastful.nlpd
    assert honest.nlpd == pytest.approx(-stats.norm.logpdf(measured, mean, std).mean())


def test_logarithms_are_reported_in_natural_units() -> None:
    calibration = calibrate("latency_us", np.log([100.0, 220.0]), np.array([0.1, 0.1]), np.log([110.0, 200.0]), log=True)
    assert calibration.mae == pytest.approx(15.0)
    assert calibration.mape == pytest.approx((10 / 110 + 20 / 200) / 2)
    assert calibration.points[0].high == pytest.approx(100.0 * np.exp(0.1 * 1.959964), rel=1e-6)
    assert calibration.points[0].measured == pytest.approx(110.0)


def test_relative_error_is_unknown_where_a_measurement_is_zero() -> None:
    assert calibrate("x", np.array([0.1, 0.2]), np.ones(2), np.array([0.0, 0.2]), log=False).mape is None


def test_it_is_plain_json() -> None:
    document = calibrate("x", np.array([0.1, 0.2]), np.ones(2), np.array([0.1, 0.3]), log=False).as_dict()
    assert json.loads(json.dumps(document))["coverage"][1]["level"] == 0.9


@pytest.mark.parametrize(("count", "std"), [(0, 1.0), (2, 0.0)])
def test_nothing_to_compare_is_an_error(count: int, std: float) -> None:
    with pytest.raises(ValueError, match=f"calibration of x: {count} means"):
        calibrate("x", np.zeros(count), np.full(count, std), np.zeros(count), log=False)
