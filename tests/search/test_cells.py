"""Cells of the non-dominated region, and closed-form expected improvement in them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
from botorch.models.model import Model
from botorch.posteriors.gpytorch import GPyTorchPosterior
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from gpytorch.distributions import MultitaskMultivariateNormal

from codesign.search import pareto
from codesign.search.cells import Cells, expected_hypervolume_improvement
from codesign.search.volume import Axis

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


def test_expected_gain_in_natural_units_equals_monte_carlo() -> None:
    """Accuracy as it is, latency log-normal, throughput log-normal and maximised."""
    rng = np.random.default_rng(5)
    axes = (Axis(exponential=False, sign=-1.0, offset=0.0), Axis(exponential=True, sign=1.0, offset=0.0), Axis(exponential=True, sign=-1.0, offset=0.0))
    model = spread_front(rng, 8, 3)
    points, reference = (np.stack([axis.of(part[..., column]) for column, axis in enumerate(axes)], axis=-1) for part in (model, np.full(3, 1.1)))
    cells = Cells.of(points, reference)
    mean, std = np.array([[0.3, 0.2, 0.4]]), np.array([[0.15, 0.2, 0.3]])
    draws = mean + std * rng.standard_normal((20_000, 3))
    gains = expected_hypervolume_improvement(draws, np.zeros_like(draws), cells, axes)
    closed = expected_hypervolume_improvement(mean, std, cells, axes)[0]
    assert closed == pytest.approx(gains.mean(), abs=4.0 * gains.std() / np.sqrt(len(gains)))
    sample = np.stack([axis.of(draws[:200, column]) for column, axis in enumerate(axes)], axis=1)
    before = minimised_volume(points, reference)
    np.testing.assert_allclose(gains[:200], [minimised_volume(np.vstack([points, row]), reference) - before for row in sample], atol=1e-12)


@pytest.mark.parametrize("objectives", [4, 5])
def test_the_largest_cells_rank_candidates_as_all_do(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    cells = Cells.of(spread_front(rng, 60, objectives), np.full(objectives, 1.1))
    few = cells.largest(len(cells) // 3)
    assert len(few) == len(cells) // 3
    assert cells.largest(len(cells)) is cells
    mean, std = rng.uniform(0.3, 1.0, size=(300, objectives)), np.full((300, objectives), 0.1)
    every, most = (expected_hypervolume_improvement(mean, std, chosen) for chosen in (cells, few))
    assert (most <= every * (1.0 + 1e-12)).all()
    best = np.argsort(-every)[:10]
    assert set(best) <= set(np.argsort(-most)[:60])
