"""Prior plus residual: which mean wins, what a prediction is without evidence, intervals that cover."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from codesign.estimate import Evidence
from codesign.space.design_space import DesignSpace, Indices
from codesign.space.parameters import Half, ordinal
from codesign.surrogate.encoding import Encoding
from codesign.surrogate.prior import MIN_EVIDENCE, Designs, Mean, Predictor
from tests.search.toy_problem import Toy, toy_space

FloatArray = np.ndarray
SPACE = toy_space()
ENCODING = Encoding.build(SPACE)


def designs(count: int, seed: int = 0, *, prior: str = "latency") -> Designs:
    indices = SPACE.sample(count, np.random.default_rng(seed))
    toy = Toy(SPACE, indices)
    values = {"latency": toy.latency_us, "accuracy": toy.accuracy_prior, "none": np.full(count, np.nan)}[prior]
    return Designs(indices, np.log(np.stack([toy.weights, toy.work], axis=1)), values, np.full(count, 0.2))


def measured_latency(rows: Designs, seed: int = 1) -> FloatArray:
    """Measured latency: 1.4 times the prior, more on large arrays, 1 % noise."""
    toy = Toy(SPACE, rows.indices)
    noise = np.exp(0.01 * np.random.default_rng(seed).normal(size=len(rows)))
    return np.asarray(1.4 * toy.latency_us * toy.macs_per_cycle**0.1 * noise)


def test_without_evidence_the_prediction_is_the_prior_with_its_error() -> None:
    rows = designs(4)
    predictor = Predictor(ENCODING, designs(0), np.empty(0), log=True)
    prediction = predictor.predict(rows)
    assert predictor.mean is Mean.PRIOR_ONLY
    np.testing.assert_allclose(prediction.mean, np.log(rows.prior))
    np.testing.assert_allclose(prediction.std, np.log(1.2))
    estimate = predictor.estimates(rows, "us")[0]
    assert estimate.evidence is Evidence.ANALYTIC
    assert estimate.value == pytest.approx(rows.prior[0])
    assert estimate.high / estimate.value == pytest.approx(1.2**1.96, rel=1e-4)
    assert predictor.leave_one_out() is None
    assert predictor.calibration("latency_us") is None
    assert predictor.sample(4, np.random.default_rng(0)) is None


def test_without_evidence_a_plain_target_keeps_its_error_in_its_units() -> None:
    rows = designs(3, prior="accuracy")
    prediction = Predictor(ENCODING, designs(0, prior="accuracy"), np.empty(0), log=False).predict(rows)
    np.testing.assert_allclose(prediction.mean, rows.prior)
    np.testing.assert_allclose(prediction.std, 0.2)


def test_neither_prior_nor_evidence_is_an_error() -> None:
    predictor = Predictor(ENCODING, designs(2, prior="none"), np.array([0.5, 0.6]), log=False)
    with pytest.raises(ValueError, match=f"no prior, and 2 results are fewer than {MIN_EVIDENCE}"):
        predictor.predict(designs(3, prior="none"))


def test_an_informative_prior_wins_and_beats_both_extremes() -> None:
    told, fresh = designs(20), designs(300, seed=5)
    predictor = Predictor(ENCODING, told, measured_latency(told), log=True)
    assert predictor.mean in {Mean.PRIOR, Mean.SCALED_PRIOR}
    assert predictor.scores[predictor.mean] == max(predictor.scores.values()) > predictor.scores[Mean.ZERO]
    truth = np.log(measured_latency(fresh, seed=6))
    error = np.abs(predictor.predict(fresh).mean - truth).mean()
    without = Predictor(ENCODING, Designs(told.indices, told.features, np.full(20, np.nan), told.prior_error), measured_latency(told), log=True)
    blind = Designs(fresh.indices, fresh.features, np.full(300, np.nan), fresh.prior_error)
    assert without.mean is Mean.ZERO
    assert error < 0.5 * np.abs(without.predict(blind).mean - truth).mean()
    assert error < 0.5 * np.abs(np.log(fresh.prior) - truth).mean()


def test_a_misleading_prior_is_dropped() -> None:
    told = designs(40)
    shuffled = Designs(told.indices, told.features, np.random.default_rng(3).permutation(told.prior), told.prior_error)
    predictor = Predictor(ENCODING, shuffled, measured_latency(told), log=True)
    assert predictor.mean is not Mean.PRIOR


def test_intervals_cover_what_they_promise() -> None:
    told, fresh = designs(80), designs(500, seed=7)
    predictor = Predictor(ENCODING, told, measured_latency(told), log=True)
    truth = measured_latency(fresh, seed=8)
    estimates = predictor.estimates(fresh, "us")
    covered = np.mean([estimate.low <= value <= estimate.high for estimate, value in zip(estimates, truth, strict=True)])
    assert 0.85 <= covered <= 0.999
    assert estimates[0].evidence is Evidence.PREDICTED
    assert "80 results" in estimates[0].source


def test_noise_widens_the_prediction() -> None:
    told = designs(30)
    predictor = Predictor(ENCODING, told, measured_latency(told), log=True)
    fresh = designs(5, seed=9)
    assert (predictor.predict(fresh, noise=True).std > predictor.predict(fresh).std).all()


def test_failed_evaluations_are_left_out() -> None:
    told = designs(12)
    values = measured_latency(told)
    values[[2, 5]] = np.nan
    predictor = Predictor(ENCODING, told, values, log=True)
    assert len(predictor) == 10
    np.testing.assert_allclose(predictor.target, np.log(values[np.isfinite(values)]))


def test_calibration_of_the_leave_one_out_predictions() -> None:
    told = designs(60)
    calibration = Predictor(ENCODING, told, measured_latency(told), log=True).calibration("latency_us")
    assert calibration is not None
    assert calibration.count == len(calibration.points) == 60
    assert calibration.mape is not None and calibration.mape < 0.1
    assert calibration.spearman is not None and calibration.spearman > 0.98
    np.testing.assert_allclose([point.measured for point in calibration.points], measured_latency(told))


def test_a_log_target_must_be_positive() -> None:
    told = designs(6)
    with pytest.raises(ValueError, match="must be positive, got -1"):
        Predictor(ENCODING, told, np.array([1.0, 2.0, -1.0, 3.0, 4.0, 5.0]), log=True)


def test_luck_that_rows_share_is_not_taken_for_skill() -> None:
    """One training serves several accelerators: rows repeat its value exactly, and still other networks scatter."""
    rng = np.random.default_rng(0)
    space = DesignSpace(
        [ordinal(f"net.p{number}", (1, 2, 3, 4), Half.NETWORK) for number in range(4)] + [ordinal("array.rows", (1, 2, 3, 4), Half.ACCELERATOR)]
    )
    networks = np.array(list(itertools.product(range(4), repeat=4)), dtype=np.int16)
    luck = rng.normal(scale=0.3, size=len(networks))
    truth = networks[:, 0] + 0.5 * networks[:, 1] + luck
    order = rng.permutation(len(networks))
    seen, unseen = order[:40], order[40:]
    rows = np.repeat(seen, 2)
    told = np.hstack([networks[rows], np.tile([[0], [3]], (40, 1))]).astype(np.int16)
    predictor = Predictor(Encoding.build(space), plain_designs(told), truth[rows], log=False)
    new = predictor.predict(plain_designs(np.hstack([networks[unseen], np.full((len(unseen), 1), 1)]).astype(np.int16)), noise=True)
    error = truth[unseen] - new.mean
    assert float(np.sqrt(np.mean(error**2))) < 0.45
    assert float(np.median(new.std)) > 0.2
    assert float((np.abs(error / new.std) < 1.645).mean()) > 0.7


def plain_designs(indices: Indices) -> Designs:
    return Designs(indices, np.empty((len(indices), 0)), np.full(len(indices), np.nan), np.full(len(indices), np.nan))
