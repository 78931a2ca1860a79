"""The initial design covers small to large designs and looks at the front of the prices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codesign.search.candidates import RandomSource, keys
from codesign.search.initial import UNINFORMED, initial_design
from codesign.search.pareto import non_dominated
from codesign.search.problem import SearchProblem
from codesign.space.design_space import Indices
from tests.search.toy_problem import toy_problem


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


def test_without_prices_a_few_random_designs_will_do() -> None:
    problem = toy_problem(objectives=2, prior=False, latency_evaluated=True)
    unknown = replace(problem, price=lambda indices: replace(problem.price(indices), prior=np.full((len(indices), 2), np.nan)))
    assert len(design(unknown)) == UNINFORMED
    assert len(design(unknown, count=4)) == 4


def test_a_table_is_looked_up_rather_than_evolved() -> None:
    problem = toy_problem()
    table = problem.pool(problem.space.sample(300, np.random.default_rng(0)))
    table = table.rows(table.priced.feasible)
    rows = design(replace(problem, listed=table.indices))
    assert set(keys(rows)) <= set(keys(table.indices))
    front = table.indices[non_dominated(table.priced.prior, problem.maximise)]
    assert len(set(keys(rows)) & set(keys(front))) >= min(8, len(front))


def test_a_tiny_space_gives_what_it_has() -> None:
    assert len(design(toy_problem(tiny=True), count=40)) == 18
