"""The initial design covers small to large designs and looks at the front of the prices."""

from __future__ import annotations

import numpy as np

from codesign.search.candidates import RandomSource, keys
from codesign.search.initial import initial_design
from codesign.search.problem import SearchProblem
from codesign.space.design_space import Indices
from tests.search.toy_problem import Toy, toy_problem


def design(problem: SearchProblem, count: int = 16, seed: int = 0) -> Indices:
    return initial_design(problem, RandomSource(problem), count, np.random.default_rng(seed))


def test_it_is_feasible_distinct_and_follows_from_the_seed() -> None:
    problem = toy_problem()
    rows = design(problem)
    assert len(set(keys(rows))) == 16
    assert problem.price(rows).feasible.all()
    np.testing.assert_array_equal(rows, design(problem))
    assert (rows != design(problem, seed=1)).any()


def test_it_spans_more_than_random_designs_do() -> None:
    problem = toy_problem()
    spans, random_spans = [], []
    for seed in range(5):
        drawn = RandomSource(problem).draw(16, set(), np.random.default_rng(seed)).indices
        spans.append(np.ptp(np.log(problem.price(design(problem, seed=seed)).prior), axis=0))
        random_spans.append(np.ptp(np.log(problem.price(drawn).prior), axis=0))
    assert (np.mean(spans, axis=0) > 1.1 * np.mean(random_spans, axis=0)).all()


def test_half_of_it_lies_near_the_front_of_the_prices() -> None:
    problem = toy_problem()
    prior = problem.to_model(problem.price(design(problem)).prior)
    drawn = problem.to_model(RandomSource(problem).draw(500, set(), np.random.default_rng(9)).priced.prior)
    beaten = (drawn[None] <= prior[:, None]).all(axis=2).any(axis=1)
    assert (~beaten).sum() >= 8


def test_without_prices_it_still_spreads() -> None:
    problem = toy_problem(objectives=2, prior=False, latency_evaluated=True)
    weights = Toy(problem.space, design(problem)).weights
    assert np.ptp(np.log(weights)) > 3.0


def test_a_tiny_space_gives_what_it_has() -> None:
    assert len(design(toy_problem(tiny=True), count=40)) == 18
