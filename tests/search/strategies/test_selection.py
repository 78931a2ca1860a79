"""Constrained domination, and children."""

from __future__ import annotations

import numpy as np

from codesign.search.candidates import Variation
from codesign.search.strategies.selection import best_first, breed, violations
from tests.search.toy_problem import toy_space

NAN = np.nan


def test_violations_are_relative_to_the_largest_of_each_constraint() -> None:
    constraints = np.array([[-1.0, 0.0], [2.0, -5.0], [4.0, 100.0], [NAN, NAN]])
    np.testing.assert_allclose(violations(constraints), [0.0, 0.5, 2.0, np.inf])
    np.testing.assert_array_equal(violations(np.empty((3, 0))), np.zeros(3))


def test_feasible_come_first_then_the_least_broken_then_the_failed() -> None:
    minimise = np.array([False, False])
    values = np.array([[0.0, 0.0], [NAN, NAN], [3.0, 3.0], [1.0, 1.0], [0.1, 0.1]])
    constraints = np.array([[9.0], [NAN], [-1.0], [0.0], [0.5]])
    assert best_first(values, constraints, minimise).tolist() == [3, 2, 4, 0, 1]


def test_a_failure_is_last_without_constraints_too() -> None:
    values = np.array([[NAN, NAN], [2.0, 2.0], [1.0, 1.0]])
    assert best_first(values, np.empty((3, 0)), np.array([False, False])).tolist() == [2, 1, 0]
    assert best_first(values, np.empty((3, 0)), np.array([True, True])).tolist() == [1, 2, 0]


def test_within_a_front_the_emptiest_part_is_first() -> None:
    values = np.array([[0.0, 10.0], [1.0, 6.0], [2.0, 5.0], [3.0, 4.0], [10.0, 0.0]])
    order = best_first(values, np.empty((5, 0)), np.array([False, False])).tolist()
    assert set(order[:2]) == {0, 4}
    assert order[2:] == [3, 1, 2]


def test_children_come_from_the_better_parents() -> None:
    space = toy_space()
    rng = np.random.default_rng(0)
    parents = space.mask(np.array([[3] * len(space), [0] * len(space)], dtype=np.int16) % space.cardinalities)
    children = breed(parents, 400, Variation(space), rng)
    like_first = (np.where(children >= 0, children == parents[0], False).sum(axis=1) > (children == parents[1]).sum(axis=1)).mean()
    assert children.shape == (400, len(space))
    assert like_first > 0.6
