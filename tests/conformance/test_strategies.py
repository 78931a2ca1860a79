"""What every registered strategy must do, whoever wrote it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codesign.errors import InfeasibleError, InputError
from codesign.search.candidates import keys
from codesign.search.problem import Priced, SearchProblem
from codesign.search.strategies.strategy import Capabilities, Strategy, StrategySettings, find_strategy, strategy_names
from codesign.space.design_space import Indices
from tests.search.toy_problem import evaluate, toy_problem

SETTINGS = StrategySettings(initial=8, population=6, pool=200, samples=2)
PROBLEMS = {
    "two objectives": toy_problem(objectives=2),
    "three objectives": toy_problem(),
    "two evaluated": toy_problem(latency_evaluated=True),
    "no prior of accuracy": toy_problem(prior=False),
}

pytestmark = pytest.mark.parametrize("name", strategy_names())


def start(name: str, problem: SearchProblem, seed: int = 1) -> Strategy:
    return find_strategy(name)(problem, seed, SETTINGS)


def advance(strategy: Strategy, problem: SearchProblem, rounds: int, count: int = 4) -> list[Indices]:
    """Ask, evaluate and tell; every seventh evaluation fails."""
    asked: list[Indices] = []
    for _ in range(rounds):
        designs = strategy.ask(count)
        values = evaluate(problem, designs)
        values[[(sum(map(len, asked)) + row) % 7 == 3 for row in range(len(designs))]] = np.nan
        strategy.tell(designs, values)
        asked.append(designs)
    return asked


def test_it_names_itself_and_its_capabilities(name: str) -> None:
    found = find_strategy(name)
    assert found.name == name
    assert isinstance(found.capabilities, Capabilities)


@pytest.mark.parametrize("kind", PROBLEMS)
def test_asks_are_canonical_feasible_and_distinct(name: str, kind: str) -> None:
    problem = PROBLEMS[kind]
    asked = advance(start(name, problem), problem, rounds=6)
    designs = np.concatenate(asked)
    assert designs.shape == (24, len(problem.space))
    assert designs.dtype == np.int16
    assert len(set(keys(designs))) == 24
    assert problem.price(designs).feasible.all()
    np.testing.assert_array_equal(problem.space.active(designs), designs >= 0)


def test_the_same_tells_give_the_same_next_ask(name: str) -> None:
    """A fresh object that is told the same, in other portions, goes on as the first one would."""
    problem = PROBLEMS["three objectives"]
    first = start(name, problem)
    asked = np.concatenate(advance(first, problem, rounds=5))
    values = evaluate(problem, asked)
    values[3::7] = np.nan
    resumed = start(name, problem)
    for begin in range(0, len(asked), 3):
        resumed.tell(asked[begin : begin + 3], values[begin : begin + 3])
    np.testing.assert_array_equal(resumed.ask(4), first.ask(4))


def test_asking_twice_changes_nothing(name: str) -> None:
    problem = PROBLEMS["three objectives"]
    strategy = start(name, problem)
    advance(strategy, problem, rounds=4)
    np.testing.assert_array_equal(strategy.ask(3), strategy.ask(3))


def test_the_seed_matters(name: str) -> None:
    problem = PROBLEMS["three objectives"]
    assert (start(name, problem, seed=1).ask(4) != start(name, problem, seed=2).ask(4)).any()


def test_pending_designs_are_not_asked_again(name: str) -> None:
    problem = PROBLEMS["three objectives"]
    strategy = start(name, problem)
    advance(strategy, problem, rounds=4)
    pending = strategy.ask(4)
    assert not set(keys(strategy.ask(4, pending))) & set(keys(pending))


def test_when_everything_failed_it_goes_on(name: str) -> None:
    problem = PROBLEMS["three objectives"]
    strategy = start(name, problem)
    for _ in range(5):
        designs = strategy.ask(4)
        strategy.tell(designs, np.full((4, 3), np.nan))
    assert len(strategy.ask(4)) == 4


def test_a_tiny_space_is_asked_to_the_end(name: str) -> None:
    problem = toy_problem(tiny=True)
    strategy = start(name, problem)
    sizes = [len(designs) for designs in advance(strategy, problem, rounds=6)]
    assert sizes == [4, 4, 4, 4, 2, 0]


def test_a_table_is_asked_within_its_rows(name: str) -> None:
    space_problem = PROBLEMS["three objectives"]
    table = space_problem.space.sample(60, np.random.default_rng(0))
    problem = replace(space_problem, listed=table)
    asked = np.concatenate(advance(start(name, problem), problem, rounds=5))
    assert set(keys(asked)) <= set(keys(table))


def test_an_impossible_problem_is_an_error(name: str) -> None:
    tiny = toy_problem(tiny=True)

    def refuse(indices: Indices) -> Priced:
        return replace(tiny.price(indices), feasible=np.zeros(len(indices), dtype=np.bool_))

    with pytest.raises(InfeasibleError, match="none of 18 designs satisfies the limits"):
        start(name, replace(tiny, price=refuse)).ask(1)


def test_tells_of_the_wrong_shape_are_refused(name: str) -> None:
    problem = PROBLEMS["three objectives"]
    strategy = start(name, problem)
    with pytest.raises(InputError, match=r"Give values of shape \(2, 3\)"):
        strategy.tell(strategy.ask(2), np.zeros((2, 2)))
