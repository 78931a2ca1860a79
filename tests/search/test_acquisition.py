"""Noisy expected improvement for batches, with constraints that only an evaluation tells."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from codesign.search.acquisition import Limits, NoisyEhvi, designs_of, limit_designs
from codesign.search.cells import expected_hypervolume_improvement
from codesign.search.problem import Pool, SearchProblem
from codesign.search.volume import Volume
from codesign.surrogate.encoding import Encoding
from codesign.surrogate.prior import Predictor
from tests.search.toy_problem import Toy, evaluate, toy_problem

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Noisy:
    """An acquisition function over some evaluated toy designs, and designs to score."""

    problem: SearchProblem
    acquisition: NoisyEhvi
    told: Pool
    rest: Pool


def over(problem: SearchProblem, pool: Pool) -> FloatArray:
    """How far (k,) the weights of designs are above the middle of what there is."""
    return np.log(Toy(problem.space, pool.indices).weights) - 9.0


def noisy(count: int = 30, samples: int = 8, *, volume: Volume | None = None, limited: bool = False, hold: bool = True, scatter: float = 0.0) -> Noisy:
    problem = replace(toy_problem(), volume=Volume() if volume is None else volume)
    pool = problem.pool(problem.space.sample(200, np.random.default_rng(3)))
    pool = pool.rows(pool.priced.feasible)
    told, rest = pool.rows(np.arange(count)), pool.rows(np.arange(count, len(pool)))
    measured = evaluate(problem, told.indices)
    predictor = Predictor(Encoding.build(problem.space, problem.objectives[0].half), designs_of(problem, told, 0), measured[:, 0], log=False)
    values = problem.to_model(measured)
    limits = None
    if limited:
        excess = over(problem, told) + scatter * np.random.default_rng(5).standard_normal(count)
        limits = Limits([Predictor(Encoding.build(problem.space), limit_designs(told), excess, log=False)], (excess <= 0.0) & hold)
    rng = np.random.default_rng(4)
    acquisition = NoisyEhvi(problem, [predictor, None, None], told, values, values.max(axis=0), samples=samples, rng=rng, limits=limits)
    return Noisy(problem, acquisition, told, rest)


def test_priced_objectives_are_exact() -> None:
    case = noisy()
    acquisition, rest = case.acquisition, case.rest
    means, std = acquisition.moments(rest)
    assert means.shape == (8, len(rest), 3)
    np.testing.assert_array_equal(std[:, 1:], 0.0)
    assert (std[:, 0] > 0.0).all()
    np.testing.assert_allclose(means[0, :, 1:], np.log(rest.priced.prior[:, 1:]))
    np.testing.assert_array_equal(means[0, :, 1:], means[7, :, 1:])


def test_score_is_the_mean_over_posterior_samples() -> None:
    case = noisy(samples=4)
    acquisition, rest = case.acquisition, case.rest
    means, std = acquisition.moments(rest)
    single = [expected_hypervolume_improvement(mean, std, cells) for mean, cells in zip(means, acquisition._cells, strict=True)]
    np.testing.assert_allclose(acquisition.scores(rest), np.mean(single, axis=0), rtol=1e-12)
    np.testing.assert_allclose(acquisition.scores(rest, screening=True), np.mean(single[:2], axis=0), rtol=1e-12)


def test_a_believed_design_and_its_twin_gain_nothing_more() -> None:
    case = noisy()
    acquisition, rest = case.acquisition, case.rest
    before = acquisition.scores(rest)
    best = int(np.argmax(before))
    acquisition.believe(rest.rows(np.array([best])))
    after = acquisition.scores(rest)
    assert after[best] < 0.02 * before[best]
    # Knowing one more design adds no volume to be gained elsewhere beyond numerical noise in the means.
    assert (after <= before * (1.0 + 1e-6) + 1e-9).mean() > 0.9


def test_an_evaluated_network_keeps_no_uncertainty_of_its_own() -> None:
    """The same network on another array: its accuracy is the sample's, not a new draw."""
    case = noisy()
    other = case.told.indices.copy()
    rows = case.problem.space.column("array.rows")
    other[:, rows] = (other[:, rows] + 1) % 5
    _, known = case.acquisition.moments(case.problem.pool(other))
    _, fresh = case.acquisition.moments(case.rest)
    assert known[:, 0].max() < 0.2 * np.median(fresh[:, 0])


def test_without_a_predictor_one_sample_is_enough() -> None:
    problem = toy_problem()
    pool = problem.pool(problem.space.sample(20, np.random.default_rng(0)))
    values = problem.to_model(pool.priced.prior)
    acquisition = NoisyEhvi(problem, [None, None, None], pool, values, values.max(axis=0), samples=8, rng=np.random.default_rng(0))
    assert acquisition.samples == 1
    assert acquisition.scores(pool).max() == pytest.approx(0.0, abs=1e-12)


def test_where_the_values_told_count_there_is_one_front_and_predictions_scatter() -> None:
    latent, settled = noisy(), noisy(volume=Volume(observed=True))
    assert settled.acquisition.samples == 1
    values = settled.problem.to_model(evaluate(settled.problem, settled.told.indices))
    np.testing.assert_allclose(settled.acquisition.told[0], values)
    mean, std = settled.acquisition.moments(settled.told)
    assert (std[:, 0] >= 0.005).all()
    assert mean.shape == (1, 30, 3)
    assert not np.allclose(latent.acquisition.told[0], values)


def test_natural_volume_is_what_gains_are_counted_in() -> None:
    case = noisy(volume=Volume(natural=True, observed=True))
    acquisition, rest = case.acquisition, case.rest
    means, std = acquisition.moments(rest)
    draws = means[0] + std * np.random.default_rng(0).standard_normal((2000, 1, 3))
    best = int(np.argmax(acquisition.scores(rest)))
    gains = expected_hypervolume_improvement(draws[:, best], np.zeros((2000, 3)), acquisition._cells[0], case.problem.axes)
    assert acquisition.scores(rest)[best] == pytest.approx(gains.mean(), abs=4.0 * gains.std() / np.sqrt(len(gains)))


def test_a_belief_with_noise_keeps_some_uncertainty() -> None:
    case = noisy(volume=Volume(observed=True))
    acquisition, one = case.acquisition, case.rest.rows(np.array([0]))
    mean, before = acquisition.moments(one)
    acquisition.believe(one)
    again, after = acquisition.moments(one)
    np.testing.assert_allclose(again, mean, rtol=1e-9)
    assert 0.0 < after[0, 0] < before[0, 0]


def test_probability_of_feasibility_follows_the_constraint() -> None:
    case = noisy(count=60, limited=True)
    probability, excess = case.acquisition.feasibility(case.rest), over(case.problem, case.rest)
    assert probability[excess > 0.3].mean() < 0.3
    assert probability[excess < -0.3].mean() > 0.7
    free = noisy(count=60).acquisition.feasibility(case.rest)
    np.testing.assert_array_equal(free, 1.0)


def test_designs_that_break_a_constraint_are_not_on_the_front() -> None:
    case, free = noisy(count=60, limited=True), noisy(count=60)
    held = int((over(case.problem, case.told) <= 0.0).sum())
    assert case.acquisition.told.shape[1] == held < free.acquisition.told.shape[1] == 60


def test_while_nothing_holds_the_constraints_feasibility_is_all_that_counts() -> None:
    case = noisy(count=60, limited=True, hold=False)
    np.testing.assert_array_equal(case.acquisition.scores(case.rest), case.acquisition.feasibility(case.rest))


def test_a_belief_that_breaks_a_constraint_shields_nothing() -> None:
    case = noisy(count=60, limited=True)
    worst = int(np.argmin(case.acquisition.feasibility(case.rest)))
    cells = case.acquisition._cells
    case.acquisition.believe(case.rest.rows(np.array([worst])))
    assert case.acquisition._cells is cells


def test_caution_widens_what_is_predicted_but_not_what_is_priced() -> None:
    case = noisy()
    mean, std = case.acquisition.moments(case.rest)
    case.acquisition.caution = 3.0
    again, wide = case.acquisition.moments(case.rest)
    np.testing.assert_allclose(wide, 3.0 * std)
    np.testing.assert_array_equal(again, mean)
    assert (wide[:, 1:] == 0.0).all()


def test_probability_of_feasibility_counts_the_noise_of_the_constraint() -> None:
    case = noisy(count=60, limited=True, scatter=1.0)
    ((predictor, _),) = case.acquisition._limits
    found = predictor.predict(limit_designs(case.rest))
    assert predictor.noise_std > 0.1
    np.testing.assert_allclose(case.acquisition.feasibility(case.rest), ndtr(-found.mean / np.sqrt(found.std**2 + predictor.noise_std**2)), rtol=1e-6)


def test_where_the_values_told_count_the_noise_adds_to_the_variance() -> None:
    case = noisy(volume=Volume(observed=True))
    predictor = case.acquisition._predictors[0]
    assert predictor is not None
    designs = designs_of(case.problem, case.rest, 0)
    spread = predictor.safe(designs, predictor.predict(designs).std)
    assert predictor.noise_std > 0.1 * np.median(spread)
    np.testing.assert_allclose(case.acquisition.moments(case.rest)[1][:, 0] ** 2, spread**2 + predictor.noise_std**2, rtol=1e-6)


def test_designs_are_searched_by_safe_deviations(monkeypatch: pytest.MonkeyPatch) -> None:
    case = noisy()
    _, before = case.acquisition.moments(case.rest)
    monkeypatch.setattr(Predictor, "safe", lambda self, designs, std: 2.0 * std + designs.features[:, 0])
    np.testing.assert_allclose(case.acquisition.moments(case.rest)[1][:, 0], 2.0 * before[:, 0] + case.rest.priced.features[:, 0])


def test_a_belief_makes_the_constraints_of_a_twin_surer() -> None:
    case = noisy(count=30, limited=True)
    ((_, draws),) = case.acquisition._limits
    assert draws is not None
    _, std = draws.moments(limit_designs(case.rest))
    one = case.rest.rows(np.argmax(std, keepdims=True))
    case.acquisition.believe(one)
    assert draws.moments(limit_designs(one))[1][0] < 0.8 * std.max()
