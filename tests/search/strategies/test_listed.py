"""Wishes become designs that may be evaluated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codesign.search.candidates import RandomSource, keys
from codesign.search.strategies.listed import complete_batch, distances, realise, realise_near
from codesign.space.design_space import DesignSpace
from codesign.space.parameters import Condition, Half, categorical, integer
from tests.search.toy_problem import toy_problem

TOY = toy_problem()


def test_distance_of_ordered_categorical_and_inactive_parameters() -> None:
    space = DesignSpace(
        [
            integer("blocks", 1, 2, Half.NETWORK),
            integer("width", 0, 4, Half.NETWORK),
            categorical("kind", ("a", "b", "c"), Half.NETWORK),
            integer("second", 0, 4, Half.NETWORK, conditions=(Condition("blocks", (2,)),)),
        ]
    )
    wish = np.array([1, 1, 0, 2], dtype=np.int16)
    rows = np.array([[1, 1, 0, 2], [1, 3, 0, 2], [1, 1, 2, 2], [1, 1, 0, 3], [0, 1, 0, -1]], dtype=np.int16)
    np.testing.assert_allclose(distances(space, rows, wish), [0.0, 0.5, 1.0, 0.25, 2.0])


def test_each_wish_takes_the_nearest_row_that_is_left() -> None:
    listed = np.unique(TOY.space.sample(50, np.random.default_rng(0)), axis=0)
    problem = replace(TOY, listed=listed)
    source = RandomSource(problem)
    rows = problem.pool(listed)
    feasible = listed[rows.priced.feasible]
    wish = feasible[[7]]
    first, second = realise(problem, source, np.repeat(wish, 2, axis=0), 2, set(), np.random.default_rng(1))
    np.testing.assert_array_equal(first, wish[0])
    away = distances(problem.space, feasible, wish[0])
    assert distances(problem.space, second[None, :], wish[0])[0] == np.sort(away)[1]
    (third,) = realise(problem, source, wish, 1, set(keys(np.stack([first, second]))), np.random.default_rng(1))
    assert distances(problem.space, third[None, :], wish[0])[0] == np.sort(away)[2]


def test_a_table_that_is_used_up_gives_nothing() -> None:
    listed = np.unique(TOY.space.sample(10, np.random.default_rng(0)), axis=0)
    problem = replace(TOY, listed=listed)
    wish = TOY.space.sample(1, np.random.default_rng(1))
    assert len(realise(problem, RandomSource(problem), wish, 1, set(keys(listed)), np.random.default_rng(1))) == 0
    assert len(realise_near(problem, RandomSource(problem), wish, set(keys(listed)), np.random.default_rng(1))) == 0


def test_off_a_table_wishes_that_may_not_be_evaluated_are_left_out_or_replaced_nearby() -> None:
    problem = toy_problem(allowed_weights=1500.0)
    source, rng = RandomSource(problem), np.random.default_rng(0)
    drawn = problem.space.sample(200, rng)
    feasible = problem.price(drawn).feasible
    assert 0 < feasible.sum() < len(drawn)
    found = realise(problem, source, drawn, 200, set(), rng)
    np.testing.assert_array_equal(found, drawn[feasible])
    small = found[[0]]
    near = realise_near(problem, source, small, set(keys(small)), rng)
    assert problem.price(near).feasible.all()
    assert not (near == small).all()
    random = source.draw(200, set(), rng).indices
    assert distances(problem.space, near, small[0])[0] < np.median(distances(problem.space, random, small[0]))


def test_a_batch_is_completed_with_other_designs() -> None:
    source, rng = RandomSource(TOY), np.random.default_rng(0)
    some = source.draw(3, set(), rng).indices
    whole = complete_batch(source, some, 8, set(), rng)
    np.testing.assert_array_equal(whole[:3], some)
    assert len(set(keys(whole))) == 8
    assert len(complete_batch(source, whole, 2, set(), rng)) == 2
