"""What makes each strategy the one it is named after."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from codesign.search import pareto
from codesign.search.problem import Constraint
from codesign.search.strategies import aging_evolution, ga_on_gp
from codesign.search.strategies.aging_evolution import AgingEvolutionStrategy
from codesign.search.strategies.ga_on_gp import GaOnGpStrategy
from codesign.search.strategies.local import LocalStrategy
from codesign.search.strategies.nsga2 import Nsga2Strategy
from codesign.search.strategies.random import RandomStrategy
from codesign.search.strategies.strategy import History, StrategySettings
from codesign.search.strategies.tpe import TpeStrategy
from codesign.space.design_space import Indices
from tests.conformance.search_cases import CASES, learned_limits
from tests.search.toy_problem import evaluate, toy_problem

PROBLEM = toy_problem()
CONSTRAINED = CASES["learned constraints"]
SETTINGS = StrategySettings(initial=5, population=8)


def told(strategy: History, count: int, seed: int = 9) -> Indices:
    """Tell a strategy random designs."""
    designs = strategy.source.draw(count, set(), np.random.default_rng(seed)).indices
    strategy.tell(designs, evaluate(strategy.problem, designs))
    return designs


def changed(child: Indices, parent: Indices) -> int:
    """Parameters that are active in both designs and differ."""
    return int(((child != parent) & (child >= 0) & (parent >= 0)).sum())


def hypervolume_after(strategy: History, evaluations: int, *, constrained: bool = False) -> float:
    """Noise-free, on logarithmic axes, from a fixed corner; designs that break a constraint count for nothing."""
    problem, asked = strategy.problem, []
    while sum(map(len, asked)) < evaluations:
        designs = strategy.ask(4)
        strategy.tell(designs, evaluate(problem, designs), learned_limits(problem, designs) if constrained else None)
        asked.append(designs)
    designs = np.concatenate(asked)
    model = problem.to_model(evaluate(problem, designs, noise=0.0))
    if constrained:
        model[(learned_limits(problem, designs) > 0.0).any(axis=1)] = np.nan
    return pareto.hypervolume(model, np.array([-0.3, np.log(2e4), np.log(2e3)]), np.zeros(3, dtype=np.bool_))


@pytest.mark.parametrize(("kind", "evaluations"), [(AgingEvolutionStrategy, 200), (LocalStrategy, 100), (GaOnGpStrategy, 60), (TpeStrategy, 40)])
def test_each_beats_random(kind: type[History], evaluations: int) -> None:
    seeds = (1, 2)
    found = [hypervolume_after(kind(PROBLEM, seed, StrategySettings(initial=10)), evaluations) for seed in seeds]
    random = [hypervolume_after(RandomStrategy(PROBLEM, seed), evaluations) for seed in seeds]
    assert np.mean(found) > np.mean(random)


def test_nsga2_learns_where_constraints_hold() -> None:
    held = []
    for kind in (Nsga2Strategy, RandomStrategy):
        strategy = kind(CONSTRAINED.problem, 1, SETTINGS)
        hypervolume_after(strategy, 120, constrained=True)
        held.append(strategy.feasible[-60:].mean())
    assert held[0] > held[1] + 0.2


def test_evolution_ages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children are mutants of the youngest designs, however good the old ones were."""
    monkeypatch.setattr(aging_evolution, "RANDOM_SHARE", 0.0)
    strategy = AgingEvolutionStrategy(PROBLEM, 1, SETTINGS)
    designs = told(strategy, 40)
    for child in strategy.ask(20):
        parents = designs[-SETTINGS.population :]
        assert min(changed(child, parent) for parent in parents) <= np.ceil(aging_evolution.MUTATION_RATE * len(PROBLEM.space))


def test_evolution_prefers_designs_that_hold_the_constraints() -> None:
    costs, rng = np.array([[0.0, 0.0], [1.0, 1.0], [0.9, 0.9]]), np.random.default_rng(0)
    broken = [aging_evolution._tournament(costs, np.array([2.0, 0.0, 1.0]), rng) for _ in range(50)]
    whole = [aging_evolution._tournament(costs, np.zeros(3), rng) for _ in range(50)]
    assert broken.count(1) > 30
    assert whole.count(0) > 30


def test_the_process_is_fitted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What evaluations give after the fit changes nothing."""
    monkeypatch.setattr(ga_on_gp, "GENERATIONS", 3)
    first, second = (GaOnGpStrategy(PROBLEM, 1, SETTINGS) for _ in range(2))
    designs = told(first, 15)
    second.tell(designs, evaluate(PROBLEM, designs))
    for _ in range(3):
        asked = first.ask(4)
        np.testing.assert_array_equal(asked, second.ask(4))
        first.tell(asked, evaluate(PROBLEM, asked))
        second.tell(asked, 0.5 * evaluate(PROBLEM, asked))


def test_the_predicted_front_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ga_on_gp, "GENERATIONS", 5)
    strategy = GaOnGpStrategy(PROBLEM, 1, SETTINGS)
    told(strategy, 15)
    asked = strategy.ask(60)
    assert strategy._model is not None
    values, _ = strategy._model.expected(PROBLEM.pool(asked))
    ranks = pareto.front_ranks(values, PROBLEM.maximise)
    assert ranks[0] == 0
    assert (np.diff(ranks) >= 0).all()


def test_a_population_that_is_used_up_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ga_on_gp, "GENERATIONS", 2)
    monkeypatch.setattr(ga_on_gp, "POPULATION", 6)
    strategy = GaOnGpStrategy(PROBLEM, 1, SETTINGS)
    told(strategy, 15)
    assert len(np.unique(strategy.ask(20), axis=0)) == 20
    assert len(strategy._rankings) >= 4


def test_local_search_takes_neighbours_of_the_front() -> None:
    strategy = LocalStrategy(PROBLEM, 1, SETTINGS)
    designs = told(strategy, 20)
    front = designs[pareto.non_dominated(strategy.values, PROBLEM.maximise)]
    assert all(min(changed(child, member) for member in front) <= 1 for child in strategy.ask(10))


def test_local_search_starts_from_what_breaks_the_constraints_least() -> None:
    strategy = LocalStrategy(replace(PROBLEM, constraints=(Constraint("area"),)), 1, SETTINGS)
    designs = strategy.source.draw(10, set(), np.random.default_rng(0)).indices
    strategy.tell(designs, evaluate(PROBLEM, designs), np.arange(10.0, 0.0, -1.0)[:, None])
    assert all(changed(child, designs[-1]) <= 1 for child in strategy.ask(5))


def test_optuna_hears_of_failures_constraints_and_what_runs() -> None:
    from optuna.trial import TrialState

    problem = CONSTRAINED.problem
    strategy = TpeStrategy(problem, 1, SETTINGS)
    designs = strategy.source.draw(4, set(), np.random.default_rng(0)).indices
    values, limits = CONSTRAINED.evaluate(designs[:3], 1)
    strategy.tell(designs[:3], values, limits)
    trials = strategy._study(0, designs[3:]).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING]
    assert trials[0].values == values[0].tolist()
    assert trials[0].constraints == dict(zip(("energy", "error"), limits[0].tolist(), strict=True))
    for trial, design in zip(trials, designs, strict=True):
        assert {problem.space.column(name): value for name, value in trial.params.items()} == {c: v for c, v in enumerate(design.tolist()) if v >= 0}


def test_optuna_is_left_as_it_was_found_and_loaded_only_when_asked() -> None:
    from optuna import logging as optuna_logging

    optuna_logging.set_verbosity(logging.INFO)
    TpeStrategy(PROBLEM, 1).ask(2)
    assert optuna_logging.get_verbosity() == logging.INFO
    code = "import sys, codesign.search.strategies.tpe, codesign.search.strategies.gp_optuna; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
