"""What every registered strategy must do, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from codesign.errors import InfeasibleError, InputError
from codesign.search.candidates import keys
from codesign.search.problem import Priced, SearchProblem
from codesign.search.strategies.gp_optuna import GpOptunaStrategy
from codesign.search.strategies.strategy import Capabilities, Strategy, StrategySettings, find_strategy, strategy_names
from codesign.space.design_space import Indices
from tests.conformance.search_cases import CASES, Case, learned_limits
from tests.search.toy_problem import evaluate, toy_problem

SETTINGS = StrategySettings(initial=4, population=6, pool=200, samples=2)
# Batches of one to seven: 16 designs. Twelve of them, ten without a failure, are told before Optuna's samplers use a model.
BATCHES = (7, 4, 1, 3, 1)
THREE = CASES["three objectives"]

pytestmark = pytest.mark.parametrize("name", strategy_names())


@pytest.fixture(autouse=True)
def quick_gp_optuna(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Optuna's Gaussian processes optimise their acquisition for seconds a proposal: here it looks less carefully."""
    from optuna.samplers import GPSampler

    def sampler(self: GpOptunaStrategy, seed: int) -> GPSampler:
        made = GPSampler(seed=seed)
        made._n_preliminary_samples, made._n_local_search, made._n_qmc_samples_ehvi = 16, 2, 4
        return made

    monkeypatch.setattr(GpOptunaStrategy, "sampler", sampler)
    yield


def start(name: str, problem: SearchProblem, seed: int = 1) -> Strategy:
    return find_strategy(name)(problem, seed, SETTINGS)


def advanced(name: str, case: Case = THREE) -> tuple[Strategy, Indices]:
    """A strategy that was told 13 designs, and those."""
    strategy = start(name, case.problem)
    return strategy, np.concatenate(case.advance(strategy, (12, 1)))


def test_it_names_itself_and_its_capabilities(name: str) -> None:
    found = find_strategy(name)
    assert found.name == name
    assert isinstance(found.capabilities, Capabilities)


@pytest.mark.parametrize("kind", CASES)
def test_asks_are_canonical_feasible_distinct_and_of_the_size_wanted(name: str, kind: str) -> None:
    case = CASES[kind]
    asked = case.advance(start(name, case.problem), BATCHES)
    assert tuple(map(len, asked)) == BATCHES
    assert case.may_be_asked(np.concatenate(asked))


@pytest.mark.parametrize("kind", ["three objectives", "learned constraints", "sparse table"])
def test_the_same_tells_give_the_same_next_ask(name: str, kind: str) -> None:
    """A fresh object that is told the same, in other portions, goes on as the first one would."""
    case = CASES[kind]
    first, asked = advanced(name, case)
    values, limits = case.evaluate(asked, 0)
    resumed = start(name, case.problem)
    for begin in range(0, len(asked), 3):
        part = slice(begin, begin + 3)
        resumed.tell(asked[part], values[part], limits[part] if case.problem.constraints else None)
    np.testing.assert_array_equal(resumed.ask(3), first.ask(3))


def test_asking_twice_changes_nothing(name: str) -> None:
    strategy, _ = advanced(name)
    np.testing.assert_array_equal(strategy.ask(3), strategy.ask(3))


def test_the_seed_matters(name: str) -> None:
    assert (start(name, THREE.problem, seed=1).ask(4) != start(name, THREE.problem, seed=2).ask(4)).any()


def test_pending_designs_are_not_asked_again(name: str) -> None:
    strategy, _ = advanced(name)
    pending = strategy.ask(3)
    assert not set(keys(strategy.ask(3, pending))) & set(keys(pending))


def test_when_everything_failed_it_goes_on(name: str) -> None:
    strategy = start(name, THREE.problem)
    for _ in range(5):
        designs = strategy.ask(4)
        strategy.tell(designs, np.full((4, 3), np.nan))
    assert len(strategy.ask(4)) == 4


def test_when_nothing_holds_the_constraints_it_goes_on(name: str) -> None:
    case = replace(CASES["learned constraints"], limits=lambda problem, designs: 1.0 + np.abs(learned_limits(problem, designs)))
    asked = case.advance(start(name, case.problem), (12, 2))
    assert case.may_be_asked(np.concatenate(asked))


def test_an_evaluation_without_a_constraint_has_failed(name: str) -> None:
    """Finite objectives beside a constraint that is not: as if nothing had been found out."""
    case = CASES["learned constraints"]
    partly, failed = start(name, case.problem), start(name, case.problem)
    designs = partly.ask(12)
    values, limits = case.evaluate(designs, 0)
    limits[5, 1] = np.nan
    partly.tell(designs, values, limits)
    values[5], limits[5] = np.nan, np.nan
    failed.tell(designs, values, limits)
    np.testing.assert_array_equal(partly.ask(2), failed.ask(2))


def test_a_tiny_space_is_asked_to_the_end(name: str) -> None:
    case = Case(toy_problem(tiny=True))
    sizes = [len(designs) for designs in case.advance(start(name, case.problem), (4, 4, 4, 4, 4, 4))]
    assert sizes == [4, 4, 4, 4, 2, 0]


def test_a_table_is_asked_to_the_end(name: str) -> None:
    table = CASES["sparse table"]
    case = replace(table, problem=replace(table.problem, listed=table.problem.listed[:20]))  # type: ignore[index]
    feasible = int(case.problem.price(case.problem.listed).feasible.sum())
    asked = case.advance(start(name, case.problem), (12, 2, 12))
    assert sum(map(len, asked)) == feasible
    assert case.may_be_asked(np.concatenate(asked))


def test_an_impossible_problem_is_an_error(name: str) -> None:
    tiny = toy_problem(tiny=True)

    def refuse(indices: Indices) -> Priced:
        return replace(tiny.price(indices), feasible=np.zeros(len(indices), dtype=np.bool_))

    with pytest.raises(InfeasibleError, match="none of 18 designs satisfies the limits"):
        start(name, replace(tiny, price=refuse)).ask(1)


def test_tells_of_the_wrong_shape_are_refused(name: str) -> None:
    strategy = start(name, THREE.problem)
    with pytest.raises(InputError, match=r"Give values of shape \(2, 3\)"):
        strategy.tell(strategy.ask(2), np.zeros((2, 2)))


def test_constraints_of_the_wrong_shape_are_refused(name: str) -> None:
    problem = CASES["learned constraints"].problem
    strategy = start(name, problem)
    designs = strategy.ask(2)
    with pytest.raises(InputError, match=r"Give constraints of shape \(2, 2\)"):
        strategy.tell(designs, evaluate(problem, designs))
