"""Intervals that miss are recalibrated; what is not calibrated says so and promises less; wild measurements are set aside."""

from __future__ import annotations

from statistics import NormalDist

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


def test_the_conformal_rank_counts_the_value_to_come() -> None:
    found = Recalibration.of(np.arange(1.0, 21.0))
    assert found.distance == (11.0, 19.0, 20.0)  # of 21 level; 20 level would be 10, 18, 19


def test_a_wrong_scale_is_recalibrated_and_then_calibrated() -> None:
    verdicts = []
    for seed in range(40):
        residual = 3.0 * RNG(seed).normal(size=60)
        known = recalibration(residual)
        assert known is not None
        verdicts.append(calibrate("x", np.zeros(60), np.ones(60), residual, log=False, recalibrated=known, cross_fit=True).calibrated)
    assert sum(verdict is True for verdict in verdicts) >= 36


def test_cross_fitting_judges_by_residuals_that_the_half_widths_did_not_see() -> None:
    """Even rows far wilder than odd ones: quantiles of all rows cover by construction, those of one half miss the other."""
    for seed in range(40):
        residual = RNG(seed).normal(size=60) * np.where(np.arange(60) % 2, 1.0, 1000.0)
        known = Recalibration.of(residual)
        seen, fair = (calibrate("x", np.zeros(60), np.ones(60), residual, log=False, recalibrated=known, cross_fit=cross) for cross in (False, True))
        assert seen.calibrated is True and fair.calibrated is False
        assert [level.observed for level in fair.coverage][1:] == pytest.approx([0.5, 0.5], abs=0.1)


@pytest.mark.parametrize("law", ["normal", "wide", "narrow", "uneven"])
def test_the_search_widens_by_the_recalibrated_interval_and_only_where_the_raw_one_missed(law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    designs, truth = table(60)
    predictor = Predictor(NoParameters(), designs, truth, log=True)
    level = np.array([NormalDist().inv_cdf((k + 0.5) / 60) for k in range(60)])
    standard = RNG(0).permutation(level) * {"normal": 1.0, "wide": 3.0, "narrow": 0.2}.get(law, np.where(np.arange(60) % 2, 1.0, 1000.0))
    left = predictor._left_out(None)
    monkeypatch.setattr(predictor, "_left_out", lambda together: left)
    predictor.target = left.mean + standard * left.std
    std = np.linspace(1e-6, 0.3, 60)
    distance = np.sort(np.abs(standard))[57]  # rank ceil(61 0.95) = 58
    expected = {"normal": std, "narrow": std, "wide": std * distance / half_width_of(0.95, None)}
    if law == "uneven":
        widened = std * distance / half_width_of(0.95, None)
        assert predictor.calibrated is False and "not calibrated" in predictor.source and ", recalibrated" not in predictor.source
        np.testing.assert_allclose(predictor.safe(designs, std), np.maximum(widened, predictor._safe_std(designs)))
    else:
        assert predictor.calibrated is True and (", recalibrated" in predictor.source) is (law != "normal")
        np.testing.assert_allclose(predictor.safe(designs, std), expected[law])


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
