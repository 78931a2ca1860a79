"""Intervals that miss are recalibrated; what is not calibrated says so and promises less; wild measurements are set aside."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.surrogate.calibration import LEVELS, Recalibration, calibrate, half_width_of, recalibration
from codesign.surrogate.encoding import NoParameters
from codesign.surrogate.prior import Designs, Mean, Predictor

RNG = np.random.default_rng


def table(count: int, seed: int = 0) -> tuple[Designs, np.ndarray]:
    """Rows with one feature and a prior; the truth is the prior times a smooth factor."""
    x = RNG(seed).uniform(-1.0, 1.0, count)
    prior = np.exp(2.0 * x + 5.0)
    return Designs(np.empty((count, 0), dtype=np.intp), x[:, None], prior, np.full(count, 0.1)), prior * np.exp(0.2 * np.sin(3.0 * x))


def test_normal_residuals_are_left_alone_and_heavy_ones_are_not() -> None:
    assert recalibration(RNG(0).normal(size=500)) is None
    found = recalibration(3.0 * RNG(1).normal(size=500))
    assert found is not None
    assert found.distance == pytest.approx([3.0 * half_width_of(level, None) for level in LEVELS], rel=0.15)
    assert recalibration(np.full(10, 9.0)) is None


def test_conformal_half_widths_by_hand() -> None:
    found = Recalibration.of(-np.arange(1.0, 40.0))
    assert found.distance == (20.0, 36.0, 38.0)  # ranks ceil(40 level) of 39 distances
    with pytest.raises(ValueError, match="20 are needed"):
        Recalibration.of(np.ones(19))
    with pytest.raises(ValueError, match="not in tuple"):
        found.half_width(0.8)


def test_recalibrated_intervals_cover_new_values() -> None:
    residual = RNG(2).standard_t(2, size=4000)
    known = Recalibration.of(residual[:200])
    figures = calibrate("x", np.zeros(3800), np.ones(3800), residual[200:], log=False, recalibrated=known)
    for coverage in figures.coverage:
        assert coverage.observed == pytest.approx(coverage.level, abs=0.07)
    assert calibrate("x", np.zeros(3800), np.full(3800, 0.3), residual[200:], log=False).calibrated is False


def test_verdict_needs_points() -> None:
    rng = RNG(3)
    assert calibrate("x", np.zeros(5), np.ones(5), rng.normal(size=5), log=False).calibrated is None
    assert calibrate("x", np.zeros(300), np.ones(300), rng.normal(size=300), log=False).calibrated is True


def test_a_predictor_with_too_little_evidence_says_so_and_promises_no_more_than_its_prior() -> None:
    designs, truth = table(8)
    wide = Designs(designs.indices, designs.features, designs.prior, np.full(8, 0.5))
    predictor = Predictor(NoParameters(), wide, truth, log=True)
    assert predictor.calibrated is None
    assert "too few to calibrate: intervals widened" in predictor.source
    median, low, high = predictor.interval(wide, 0.95)
    assert (np.log(high / median) >= 1.9 * np.log(1.5)).all() and (np.log(median / low) >= 1.9 * np.log(1.5)).all()


def test_a_calibrated_predictor_says_nothing_more() -> None:
    designs, truth = table(60)
    predictor = Predictor(NoParameters(), designs, truth * np.exp(0.05 * RNG(4).normal(size=60)), log=True)
    assert predictor.calibrated is True
    assert "calibrat" not in predictor.source.replace("recalibrated", "")
    asked, expected = table(400, seed=5)
    _, low, high = predictor.interval(asked, 0.9)
    inside = np.mean((low <= expected * np.exp(0.05 * RNG(6).normal(size=400))) & (expected <= high * 1.2))
    assert 0.8 < inside < 0.98


def test_wild_measurements_are_set_aside_and_do_not_spoil_the_rest() -> None:
    designs, truth = table(80)
    evidence = truth * np.exp(0.03 * RNG(7).normal(size=80))
    evidence[[5, 17, 40]] *= 100.0
    robust = Predictor(NoParameters(), designs, evidence, log=True, robust=True)
    assert np.flatnonzero(robust.outliers).tolist() == [5, 17, 40]
    asked, expected = table(200, seed=8)
    error = np.abs(robust.interval(asked, 0.5)[0] / expected - 1.0)
    plain = np.abs(Predictor(NoParameters(), designs, evidence, log=True).interval(asked, 0.5)[0] / expected - 1.0)
    assert error.mean() < 0.03
    assert error.mean() < 0.3 * plain.mean()


def test_the_density_allows_for_another_law() -> None:
    designs, truth = table(80)
    evidence = truth * np.exp(0.03 * RNG(7).normal(size=80))
    evidence[[5, 17, 40]] *= 100.0
    robust = Predictor(NoParameters(), designs, evidence, log=True, robust=True)
    far = robust.density(designs, np.log(truth * 100.0))
    assert (robust.density(designs, np.log(truth)) > far).all()
    assert (far > -12.0).all()


def test_scatter_in_proportion_to_the_priors_error() -> None:
    designs, truth = table(120)
    error = np.where(np.arange(120) % 2, 0.02, 0.3)
    uneven = Designs(designs.indices, designs.features, designs.prior, error)
    evidence = truth * np.exp(error * RNG(9).normal(size=120))
    predictor = Predictor(NoParameters(), uneven, evidence, log=True, uneven=True)
    std = predictor.predict(uneven, noise=True).std
    assert std[error > 0.1].min() > 4.0 * std[error < 0.1].max()


def test_on_labels_never_seen_features_that_name_labels_lose() -> None:
    rng = RNG(10)
    label = np.repeat(np.arange(20), 5)
    names = rng.normal(size=(20, 3))[label]
    prior = np.exp(rng.uniform(3.0, 8.0, 100))
    designs = Designs(np.empty((100, 0), dtype=np.intp), names, prior, np.full(100, 0.2))
    evidence = prior * np.exp(0.2 * rng.normal(size=20)[label] + 0.02 * rng.normal(size=100))
    alone = Predictor(NoParameters(), designs, evidence, log=True)
    together = Predictor(NoParameters(), designs, evidence, log=True, together=label)
    assert Mean.PRIOR_NOISE in together.scores and Mean.PRIOR_NOISE not in alone.scores
    left, honest = alone.calibration("x"), together.calibration("x")
    assert left is not None and honest is not None
    assert honest.mape > 2.0 * left.mape
