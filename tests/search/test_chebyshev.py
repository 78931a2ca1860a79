"""ParEGO's acquisition function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign.search.acquisition import designs_of
from codesign.search.chebyshev import AUGMENTATION, NoisyChebyshev
from codesign.search.problem import Pool
from codesign.search.volume import Volume
from codesign.surrogate.encoding import Encoding
from codesign.surrogate.prior import Predictor
from tests.search.toy_problem import evaluate, toy_problem

FloatArray = NDArray[np.float64]


def case(*, volume: Volume, seed: int = 4) -> tuple[NoisyChebyshev, Pool]:
    """An acquisition function over 30 evaluated toy designs, and designs to score."""
    problem = replace(toy_problem(), volume=volume)
    pool = problem.pool(problem.space.sample(200, np.random.default_rng(3)))
    pool = pool.rows(pool.priced.feasible)
    told, rest = pool.rows(np.arange(30)), pool.rows(np.arange(30, len(pool)))
    measured = evaluate(problem, told.indices)
    predictor = Predictor(Encoding.build(problem.space, problem.objectives[0].half), designs_of(problem, told, 0), measured[:, 0], log=False)
    values = problem.to_model(measured)
    rng = np.random.default_rng(seed)
    return NoisyChebyshev(problem, [predictor, None, None], told, values, values.max(axis=0), samples=8, rng=rng), rest


@pytest.mark.parametrize("volume", [Volume(), Volume(natural=True, observed=True)])
def test_score_is_the_expected_improvement_of_the_scalarisation(volume: Volume) -> None:
    acquisition, rest = case(volume=volume)
    means, std = acquisition.moments(rest)
    scores = acquisition.scores(rest)
    best = int(np.argmax(scores))
    rng = np.random.default_rng(0)
    gains = []
    for sample, front in enumerate(acquisition.told):
        draws = acquisition._problem.model_to_volume(means[sample, best] + std[best] * rng.standard_normal((4000, 3)))
        gains.append(np.maximum(acquisition._scalar(front).min() - acquisition._scalar(draws), 0.0).mean())
    assert scores[best] == pytest.approx(np.mean(gains), rel=0.15)
    assert (scores >= 0.0).all()


def test_scalarisation_is_the_augmented_chebyshev_function() -> None:
    acquisition, _ = case(volume=Volume())
    acquisition._low, acquisition._spread, acquisition._weights = np.zeros(3), np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.3, 0.2])
    assert acquisition._scalar(np.array([1.0, 4.0, 4.0])) == pytest.approx(0.6 + AUGMENTATION * (0.5 + 0.6 + 0.2))


def test_each_design_of_a_batch_has_its_own_weights_and_gains_nothing_twice() -> None:
    acquisition, rest = case(volume=Volume())
    before, weights = acquisition.scores(rest), acquisition._weights
    best = int(np.argmax(before))
    acquisition.believe(rest.rows(np.array([best])))
    assert (acquisition._weights != weights).all()
    assert acquisition._weights.sum() == pytest.approx(1.0)
    acquisition._weights = weights
    assert acquisition.scores(rest)[best] < 0.05 * before[best]


def test_a_quick_look_ranks_much_as_a_long_one() -> None:
    acquisition, rest = case(volume=Volume())
    best = int(np.argmax(acquisition.scores(rest)))
    assert best in np.argsort(-acquisition.scores(rest, screening=True))[:10]


def test_the_seed_decides() -> None:
    first, rest = case(volume=Volume())
    np.testing.assert_array_equal(first.scores(rest), case(volume=Volume())[0].scores(rest))
    assert (first.scores(rest) != case(volume=Volume(), seed=5)[0].scores(rest)).any()


def test_every_posterior_sample_sees_the_whole_normal_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    acquisition, rest = case(volume=Volume())
    apart = 1000.0 * np.arange(8.0)[:, None, None] * np.ones((1, 1, 3))
    seen: list[FloatArray] = []

    def scalar(values: FloatArray) -> FloatArray:
        seen.append(values)
        return np.zeros(values.shape[:-1])

    monkeypatch.setattr(acquisition, "moments", lambda pool: (apart, np.ones((1, 3))))
    monkeypatch.setattr(acquisition, "_scalar", scalar)
    acquisition.gains(rest.rows(np.array([0])), screening=False)
    drawn = np.concatenate(seen[8:])
    sample = np.round(drawn[:, 0] / 1000.0).astype(int)
    np.testing.assert_array_equal(np.bincount(sample), np.full(8, len(drawn) // 8))
    for number in range(8):
        own = drawn[sample == number] - 1000.0 * number
        assert (np.abs(own.mean(axis=0)) < 0.3).all()
        assert (own.std(axis=0) > 0.6).all()
