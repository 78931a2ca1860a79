"""Cells, closed-form expected improvement, and the noisy batch version."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
from botorch.models.model import Model
from botorch.posteriors.gpytorch import GPyTorchPosterior
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from gpytorch.distributions import MultitaskMultivariateNormal

from codesign.search import pareto
from codesign.search.acquisition import Cells, NoisyEhvi, designs_of, expected_hypervolume_improvement
from codesign.search.problem import Pool, SearchProblem
from codesign.surrogate.encoding import Encoding
from codesign.surrogate.prior import Predictor
from tests.search.toy_problem import evaluate, toy_problem

FloatArray = np.ndarray


def spread_front(rng: np.random.Generator, count: int, objectives: int) -> FloatArray:
    directions = np.abs(rng.normal(size=(count, objectives)))
    return np.asarray(1.0 - directions / np.linalg.norm(directions, axis=1, keepdims=True))


def minimised_volume(points: FloatArray, reference: FloatArray) -> float:
    return pareto.hypervolume(points, reference, np.zeros(len(reference), dtype=np.bool_))


@pytest.mark.parametrize("objectives", [2, 3, 4, 5])
def test_cells_are_disjoint_and_fill_what_the_front_leaves(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    points, reference = rng.random((12, objectives)), np.ones(objectives)
    cells = Cells.of(points, reference)
    inside = np.prod(cells.upper - np.maximum(cells.lower, 0.0), axis=1).sum()
    assert inside + minimised_volume(points, reference) == pytest.approx(1.0, rel=1e-12)
    probes = rng.random((500, objectives))
    counts = ((probes[:, None] > cells.lower) & (probes[:, None] < cells.upper)).all(axis=2).sum(axis=1)
    dominated = (points[None] < probes[:, None]).all(axis=2).any(axis=1)
    np.testing.assert_array_equal(counts, ~dominated)


def test_points_beyond_the_reference_change_nothing() -> None:
    cells = Cells.of(np.array([[2.0, 0.1], [0.5, 0.5]]), np.ones(2))
    assert expected_hypervolume_improvement(np.zeros((1, 2)), np.zeros((1, 2)), cells)[0] == pytest.approx(0.75)


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_certain_candidates_gain_exactly_the_hypervolume_difference(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    points, reference = spread_front(rng, 10, objectives), np.full(objectives, 1.1)
    candidates = rng.uniform(-0.2, 1.2, size=(40, objectives))
    gain = expected_hypervolume_improvement(candidates, np.zeros_like(candidates), Cells.of(points, reference))
    before = minimised_volume(points, reference)
    expected = [minimised_volume(np.vstack([points, candidate]), reference) - before for candidate in candidates]
    np.testing.assert_allclose(gain, expected, atol=1e-12)
    assert (gain == 0.0).any() and (gain > 0.0).any()


def test_expected_gain_equals_monte_carlo() -> None:
    rng = np.random.default_rng(0)
    points, reference = spread_front(rng, 8, 3), np.full(3, 1.1)
    cells = Cells.of(points, reference)
    mean, std = np.array([[0.3, 0.2, 0.4]]), np.array([[0.15, 0.0, 0.3]])
    draws = mean + std * rng.standard_normal((20_000, 3))
    gains = expected_hypervolume_improvement(draws, np.zeros_like(draws), cells)
    closed = expected_hypervolume_improvement(mean, std, cells)[0]
    assert closed == pytest.approx(gains.mean(), abs=4.0 * gains.std() / np.sqrt(len(gains)))


class FixedNormal(Model):
    """A BoTorch model that predicts its input: means, then standard deviations."""

    num_outputs = 3

    def posterior(self, X: torch.Tensor, **_: object) -> GPyTorchPosterior:
        mean, std = X[..., :3], X[..., 3:]
        return GPyTorchPosterior(MultitaskMultivariateNormal(mean, torch.diag_embed(std.flatten(-2).square())))


def test_expected_gain_equals_botorch() -> None:
    rng = np.random.default_rng(1)
    points, reference = spread_front(rng, 12, 3), np.full(3, 1.1)
    mean, std = rng.uniform(0.0, 1.0, size=(30, 3)), rng.uniform(0.01, 0.3, size=(30, 3))
    partitioning = FastNondominatedPartitioning(ref_point=torch.tensor(-reference), Y=torch.tensor(-points))
    theirs = ExpectedHypervolumeImprovement(FixedNormal(), ref_point=(-reference).tolist(), partitioning=partitioning)
    with torch.no_grad():
        expected = theirs(torch.tensor(np.concatenate([-mean, std], axis=1)).unsqueeze(1)).numpy()
    np.testing.assert_allclose(expected_hypervolume_improvement(mean, std, Cells.of(points, reference)), expected, rtol=1e-9, atol=1e-12)


def test_uncertainty_vanishes_continuously() -> None:
    points, reference = spread_front(np.random.default_rng(2), 6, 2), np.full(2, 1.1)
    cells, mean = Cells.of(points, reference), np.full((1, 2), 0.2)
    small = expected_hypervolume_improvement(mean, np.full((1, 2), 1e-9), cells)
    np.testing.assert_allclose(small, expected_hypervolume_improvement(mean, np.zeros((1, 2)), cells), rtol=1e-6)


@dataclass(frozen=True)
class Noisy:
    """An acquisition function over some evaluated toy designs, and designs to score."""

    problem: SearchProblem
    acquisition: NoisyEhvi
    told: Pool
    rest: Pool


def noisy(count: int = 30, samples: int = 8) -> Noisy:
    problem = toy_problem()
    pool = problem.pool(problem.space.sample(200, np.random.default_rng(3)))
    pool = pool.rows(pool.priced.feasible)
    told, rest = pool.rows(np.arange(count)), pool.rows(np.arange(count, len(pool)))
    measured = evaluate(problem, told.indices)
    predictor = Predictor(Encoding.build(problem.space, problem.objectives[0].half), designs_of(problem, told, 0), measured[:, 0], log=False)
    values = problem.to_model(measured)
    acquisition = NoisyEhvi(problem, [predictor, None, None], told, values, values.max(axis=0), samples=samples, rng=np.random.default_rng(4))
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
    np.testing.assert_allclose(acquisition.scores(rest, samples=1), single[0], rtol=1e-12)


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
