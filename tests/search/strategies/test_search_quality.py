"""The model-based strategy finds in few evaluations what others do not; its cost stays bounded."""

from __future__ import annotations

import numpy as np

from codesign.search import pareto
from codesign.search.strategies.ehvi import EhviStrategy
from codesign.search.strategies.nsga2 import Nsga2Strategy
from codesign.search.strategies.random import RandomStrategy
from codesign.search.strategies.strategy import Strategy, StrategySettings
from codesign.surrogate.prior import Mean
from tests.search.toy_problem import evaluate, toy_problem

PROBLEM = toy_problem()
SETTINGS = StrategySettings(initial=12, pool=600, samples=4)


def hypervolume_after(strategy: Strategy, evaluations: int) -> float:
    """Noise-free, on logarithmic axes, from a fixed corner."""
    asked = []
    while sum(map(len, asked)) < evaluations:
        designs = strategy.ask(4)
        strategy.tell(designs, evaluate(PROBLEM, designs))
        asked.append(designs)
    model = PROBLEM.to_model(evaluate(PROBLEM, np.concatenate(asked), noise=0.0))
    return pareto.hypervolume(model, np.array([-0.3, np.log(2e4), np.log(2e3)]), np.zeros(3, dtype=np.bool_))


def test_ehvi_beats_random_and_nsga2_clearly() -> None:
    ehvi = [hypervolume_after(EhviStrategy(PROBLEM, seed, SETTINGS), 40) for seed in (1, 2)]
    random = [hypervolume_after(RandomStrategy(PROBLEM, seed, SETTINGS), 40) for seed in (1, 2)]
    nsga2 = [hypervolume_after(Nsga2Strategy(PROBLEM, seed, SETTINGS), 40) for seed in (1, 2)]
    assert min(ehvi) > 1.1 * max(*random, *nsga2)


def test_nsga2_beats_random_in_the_long_run() -> None:
    settings = StrategySettings(population=20)
    nsga2 = [hypervolume_after(Nsga2Strategy(PROBLEM, seed, settings), 400) for seed in (1, 2, 3)]
    random = [hypervolume_after(RandomStrategy(PROBLEM, seed, settings), 400) for seed in (1, 2, 3)]
    assert np.mean(nsga2) > np.mean(random)


def test_predictors_record_which_mean_won() -> None:
    strategy = EhviStrategy(PROBLEM, 1, SETTINGS)
    hypervolume_after(strategy, 24)
    accuracy, latency, energy = strategy.predictors()
    assert latency is None and energy is None
    assert accuracy is not None and len(accuracy) == 24
    assert set(accuracy.scores) == {Mean.ZERO, Mean.PRIOR, Mean.SCALED_PRIOR}
    assert accuracy.mean in accuracy.scores
