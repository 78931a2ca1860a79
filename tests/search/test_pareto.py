"""Fronts and hypervolume against brute force, known values and BoTorch."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from botorch.utils.multi_objective.hypervolume import Hypervolume
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from codesign.search import pareto

GRID = 6


def minimised(count: int) -> np.ndarray:
    return np.zeros(count, dtype=np.bool_)


def brute_mask(values: np.ndarray) -> list[bool]:
    """A point is out if another is no worse everywhere and better somewhere, or equal and earlier."""
    keep = []
    for i, point in enumerate(values):
        beaten = any((other <= point).all() and ((other < point).any() or j < i) for j, other in enumerate(values) if j != i)
        keep.append(not beaten)
    return keep


def grid_volume(values: np.ndarray) -> float:
    """Count the unit cells of a grid that some point dominates; the reference is `GRID` everywhere."""
    corners = np.stack(np.meshgrid(*[np.arange(GRID)] * values.shape[1], indexing="ij"), axis=-1).reshape(-1, values.shape[1])
    return float((values[None, :, :] <= corners[:, None, :]).all(axis=2).any(axis=1).sum())


grid_points = st.integers(2, 4).flatmap(lambda m: hnp.arrays(np.int64, st.tuples(st.integers(1, 12), st.just(m)), elements=st.integers(0, GRID + 1)))


@given(grid_points)
def test_mask_equals_brute_force(points: np.ndarray) -> None:
    values = points.astype(np.float64)
    assert pareto.non_dominated(values, minimised(values.shape[1])).tolist() == brute_mask(values)


@given(grid_points)
def test_hypervolume_equals_a_count_of_cells(points: np.ndarray) -> None:
    values = points.astype(np.float64)
    reference = np.full(values.shape[1], float(GRID))
    assert pareto.hypervolume(values, reference, minimised(values.shape[1])) == grid_volume(values)


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 40), st.just(3)), elements=st.integers(0, 9)), st.sampled_from([1.0, 0.37]))
def test_three_objectives_equal_the_recursion(points: np.ndarray, step: float) -> None:
    """With one more objective, in which all are one below the reference, the recursion measures the same volume."""
    values = step * points.astype(np.float64)
    flat = np.column_stack([values, np.zeros(len(values))])
    expected = pareto.hypervolume(flat, np.array([9.0 * step] * 3 + [1.0]), minimised(4))
    assert pareto.hypervolume(values, np.full(3, 9.0 * step), minimised(3)) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_a_long_front_of_three_objectives_is_measured_at_once() -> None:
    """Points of a sphere, all on the front: the recursion alone takes a minute."""
    points = np.abs(np.random.default_rng(0).standard_normal((2000, 3)))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    begin = time.process_time()
    volume = pareto.hypervolume(1.0 - points, np.ones(3), minimised(3))
    assert time.process_time() - begin < 2.0
    assert 0.95 * np.pi / 6.0 < volume < np.pi / 6.0


@given(grid_points)
def test_ranks_peel_fronts(points: np.ndarray) -> None:
    values = np.unique(points.astype(np.float64), axis=0)
    ranks = pareto.front_ranks(values, minimised(values.shape[1]))
    left, rank = np.arange(len(values)), 0
    while len(left):
        front = left[np.array(brute_mask(values[left]))]
        assert set(np.flatnonzero(ranks == rank)) == set(front)
        left, rank = np.setdiff1d(left, front), rank + 1


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_hypervolume_equals_botorch(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    values = rng.random((25, objectives))
    maximise = rng.random(objectives) < 0.5
    reference = np.where(maximise, -0.1, 1.1)
    signed, corner = np.where(maximise, values, -values), np.where(maximise, reference, -reference)
    front = signed[pareto.non_dominated(signed, np.ones(objectives, dtype=np.bool_))]
    expected = Hypervolume(torch.tensor(corner)).compute(torch.tensor(front))
    assert pareto.hypervolume(values, reference, maximise) == pytest.approx(expected, rel=1e-12)


def test_five_objectives_by_inclusion_and_exclusion() -> None:
    values = np.random.default_rng(0).random((6, 5))
    total = 0.0
    for subset in range(1, 2 ** len(values)):
        chosen = values[[bool(subset >> row & 1) for row in range(len(values))]]
        total -= (-1.0) ** len(chosen) * np.prod(1.0 - chosen.max(axis=0))
    assert pareto.hypervolume(values, np.ones(5), minimised(5)) == pytest.approx(total, rel=1e-10)


@pytest.mark.parametrize("objectives", [2, 3, 5])
def test_curve_is_the_hypervolume_of_each_prefix(objectives: int) -> None:
    values = np.random.default_rng(1).random((15, objectives))
    values[4, 0] = np.nan
    values[6] = 1.5
    reference = np.ones(objectives)
    curve = pareto.hypervolume_curve(values, reference, minimised(objectives))
    expected = [pareto.hypervolume(values[: row + 1], reference, minimised(objectives)) for row in range(15)]
    np.testing.assert_allclose(curve, expected, rtol=1e-12)
    assert curve[4] == curve[3]


def test_failed_points_never_lead() -> None:
    values = np.array([[0.0, np.nan], [1.0, 2.0], [2.0, 1.0], [2.0, 2.0]])
    assert pareto.non_dominated(values, minimised(2)).tolist() == [False, True, True, False]
    assert pareto.front_ranks(values, minimised(2)).tolist() == [4, 0, 0, 1]


def test_crowding_distance_of_known_front() -> None:
    values = np.array([[0.0, 4.0], [1.0, 2.0], [4.0, 0.0], [2.0, 1.0]])
    # The inner points: sides of the box between their neighbours, over the spans of 4.
    np.testing.assert_allclose(pareto.crowding_distance(values), [np.inf, 2 / 4 + 3 / 4, np.inf, 3 / 4 + 2 / 4])


def test_reference_is_the_worst_complete_value() -> None:
    values = np.array([[0.8, 5.0], [0.6, 3.0], [0.1, np.nan]])
    assert pareto.reference_point(values, np.array([True, False])).tolist() == [0.6, 5.0]
    with pytest.raises(ValueError, match="no complete point"):
        pareto.reference_point(values[2:], np.array([True, False]))
