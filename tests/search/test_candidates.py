"""Random, evolved and neighbouring candidates: canonical, feasible, distinct; tiny and impossible spaces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codesign.errors import InfeasibleError
from codesign.search.candidates import RandomSource, Variation, enumerate_designs, evolve, keys, new_rows, price_feasible
from codesign.search.problem import Priced, SearchProblem
from codesign.space.design_space import Indices
from codesign.space.parameters import Half
from tests.search.toy_problem import toy_problem, toy_space

PROBLEM = toy_problem()
TINY = toy_problem(tiny=True)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def assert_canonical(problem: SearchProblem, indices: Indices) -> None:
    active = problem.space.active(indices)
    np.testing.assert_array_equal(active, indices >= 0)
    assert (indices < problem.space.cardinalities).all()


def refuse_all(indices: Indices) -> Priced:
    priced = PROBLEM.price(indices)
    reasons = {"lut": np.full(len(indices), 3.0), "dsp": np.linspace(0.5, 1.5, len(indices))}
    return replace(priced, feasible=np.zeros(len(indices), dtype=np.bool_), reasons=reasons)


def test_enumeration_gives_every_design_once() -> None:
    everything = enumerate_designs(TINY.space)
    assert len(everything) == TINY.space.size() == 18
    assert len(set(keys(everything))) == 18
    assert_canonical(TINY, everything)


def test_new_rows_are_first_occurrences_not_taken() -> None:
    rows = np.array([[1, 2], [3, 4], [1, 2], [5, 6]], dtype=np.int16)
    assert new_rows(rows, set(keys(rows[1:2]))).tolist() == [0, 3]


def test_random_designs_are_feasible_distinct_and_new() -> None:
    source = RandomSource(PROBLEM)
    first = source.draw(300, set(), rng())
    second = source.draw(300, set(keys(first.indices)), rng())
    everything = np.concatenate([first.indices, second.indices])
    assert len(set(keys(everything))) == 600
    assert PROBLEM.price(everything).feasible.all()
    assert_canonical(PROBLEM, everything)


def test_a_tiny_space_is_drawn_to_the_end() -> None:
    source = RandomSource(TINY)
    first = source.draw(10, set(), rng())
    rest = source.draw(10, set(keys(first.indices)), rng())
    assert len(rest) == 8
    assert len(source.draw(10, set(keys(enumerate_designs(TINY.space))), rng())) == 0


def test_a_table_is_drawn_from_its_rows_only() -> None:
    table = PROBLEM.space.sample(50, rng())
    drawn = RandomSource(replace(PROBLEM, listed=table)).draw(1000, set(), rng())
    assert set(keys(drawn.indices)) <= set(keys(table))
    assert drawn.priced.feasible.all()


def test_a_large_space_without_a_feasible_design_names_the_limit() -> None:
    with pytest.raises(InfeasibleError, match=r"none of 200000 designs .* lut is broken by 100% of them, the nearest uses 3 times .* Relax lut"):
        RandomSource(replace(PROBLEM, price=refuse_all)).draw(4, set(), rng())


def test_a_tiny_space_without_a_feasible_design_is_certain() -> None:
    def refuse(indices: Indices) -> Priced:
        return replace(TINY.price(indices), feasible=np.zeros(len(indices), dtype=np.bool_), reasons={})

    with pytest.raises(InfeasibleError, match="none of 18 designs satisfies the limits"):
        RandomSource(replace(TINY, price=refuse))


def test_mutants_differ_in_few_parameters_and_stay_canonical() -> None:
    parents = PROBLEM.space.sample(500, rng(1))
    mutants = Variation(PROBLEM.space).mutate(parents, rng(2))
    assert_canonical(PROBLEM, mutants)
    both = (parents >= 0) & (mutants >= 0)
    changed = ((parents != mutants) & both).sum(axis=1)
    assert ((changed > 0) | ((parents >= 0) != (mutants >= 0)).any(axis=1)).all()
    assert np.median(changed) <= 3
    width = PROBLEM.space.column("net.width1")
    steps = np.abs(mutants[:, width] - parents[:, width])[mutants[:, width] != parents[:, width]]
    assert np.mean(steps == 1) > 0.5


def test_children_take_each_value_from_a_parent() -> None:
    first, second = PROBLEM.space.sample(400, rng(3)), PROBLEM.space.sample(400, rng(4))
    children = Variation(PROBLEM.space).cross(first, second, rng(5))
    assert_canonical(PROBLEM, children)
    known = (children >= 0) & ((first >= 0) | (second >= 0))
    inherited = (children == first) | (children == second)
    # A parameter that a child has and the chosen parent had not is drawn afresh; blocks decide.
    always = [PROBLEM.space.column(name) for name in ("net.blocks", "net.width1", "array.rows")]
    assert inherited[:, always].all()
    assert inherited[known].mean() > 0.8
    accelerator = PROBLEM.space.half_columns(Half.ACCELERATOR)
    whole = (children[:, accelerator] == second[:, accelerator]).all(axis=1)
    assert whole.mean() > 0.45


def test_neighbours_differ_in_one_parameter() -> None:
    design = PROBLEM.space.mask(np.full((1, len(PROBLEM.space)), 1, dtype=np.int16))[0]
    near = Variation(PROBLEM.space).neighbours(design, rng())
    assert_canonical(PROBLEM, near)
    blocks = PROBLEM.space.column("net.blocks")
    same_blocks = near[near[:, blocks] == design[blocks]]
    assert ((same_blocks != design).sum(axis=1) == 1).all()
    kinds = near[:, PROBLEM.space.column("net.kind1")]
    assert {0, 1, 2} <= set(kinds.tolist())


def test_evolved_candidates_are_feasible_and_new() -> None:
    parents = RandomSource(PROBLEM).draw(10, set(), rng()).indices
    pool = evolve(PROBLEM, parents, 400, set(keys(parents)), rng(6))
    assert len(pool) >= 400
    assert pool.priced.feasible.all()
    assert len(set(keys(pool.indices)) | set(keys(parents))) == len(pool) + 10
    np.testing.assert_array_equal(pool.priced.prior, PROBLEM.price(pool.indices).prior)


def test_evolution_ends_in_an_exhausted_space() -> None:
    everything = enumerate_designs(TINY.space)
    assert len(evolve(TINY, everything[:3], 50, set(keys(everything)), rng())) == 0


def test_pricing_nothing_gives_an_empty_pool() -> None:
    pool = price_feasible(PROBLEM, toy_space().sample(0, rng()), set())
    assert pool.priced.prior.shape == (0, 3)
    assert pool.priced.features.shape == (0, 2)
