"""What strategies with a model believe before they choose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign.search.acquisition import Acquisition, designs_of, limit_designs
from codesign.search.problem import Pool, SearchProblem
from codesign.search.strategies.ehvi import EhviStrategy
from codesign.search.strategies.model_based import CAUTION, CAUTIOUS_EVERY, ModelBasedStrategy
from codesign.search.strategies.strategy import StrategySettings
from codesign.space.design_space import Indices
from tests.conformance.search_cases import CASES, Case, learned_limits, sample_of
from tests.search.toy_problem import toy_problem

FloatArray = NDArray[np.float64]

SETTINGS = StrategySettings(initial=4, population=6, pool=200, samples=2)
LEARNED = CASES["learned constraints"]


def told(case: Case, count: int = 14) -> ModelBasedStrategy:
    strategy = EhviStrategy(case.problem, 1, SETTINGS)
    rng = np.random.default_rng(2)
    designs = case.problem.space.sample(100, rng) if case.problem.listed is None else rng.permutation(case.problem.listed)
    case.tell(strategy, designs[case.problem.price(designs).feasible][:count], 0)
    return strategy


def test_gains_count_from_the_worst_row_that_is_expected_to_hold_the_constraints() -> None:
    listed = replace(sample_of(toy_problem(latency_evaluated=True), 300), constraints=LEARNED.problem.constraints)
    strategy = told(replace(LEARNED, problem=listed))
    acquisition, values = strategy._acquisition(strategy._empty(), strategy.rng())
    left, limits = strategy.source.left(set()), strategy.limits()
    assert left is not None and limits is not None
    hold = np.all([limit.predict(limit_designs(left)).mean <= 0.0 for limit in limits.predictors], axis=0)
    held = left.rows(hold)
    latency = strategy.predictors()[1]
    assert latency is not None
    worst = latency.predict(designs_of(listed, held, 1)).mean.max()
    assert worst > values[strategy.feasible[strategy.complete], 1].max()
    assert acquisition.reference[1] >= worst - 1e-6


def test_every_fourth_design_is_chosen_with_caution(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, cautions = told(LEARNED), []
    believe = Acquisition.believe

    def spied(self: Acquisition, design: Pool) -> None:
        cautions.append(self.caution)
        believe(self, design)

    monkeypatch.setattr(Acquisition, "believe", spied)
    strategy.ask(6)
    assert cautions == [CAUTION if number % CAUTIOUS_EVERY == 0 else 1.0 for number in range(14, 20)]
    assert cautions.count(CAUTION) == 1


def test_the_unit_of_a_constraint_does_not_matter() -> None:
    other = replace(LEARNED, limits=lambda problem, designs: learned_limits(problem, designs) * np.array([1e6, 1e-3]))
    strategies = (told(LEARNED), told(other))
    first, second = (strategy.limits() for strategy in strategies)
    assert first is not None and second is not None
    designs = limit_designs(LEARNED.problem.pool(LEARNED.problem.space.sample(50, np.random.default_rng(7))))
    for one, scaled in zip(first.predictors, second.predictors, strict=True):
        np.testing.assert_allclose(one.predict(designs).mean, scaled.predict(designs).mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(strategies[0].ask(3), strategies[1].ask(3))


def test_one_wild_value_of_a_constraint_does_not_hide_the_others() -> None:
    def wild(problem: SearchProblem, designs: Indices) -> FloatArray:
        values = learned_limits(problem, designs)
        values[np.argmax(values[:, 0]), 0] = 1e9
        return values

    case = replace(LEARNED, limits=wild)
    strategy = told(case, 40)
    limits, pool = strategy.limits(), case.problem.pool(case.problem.space.sample(300, np.random.default_rng(7)))
    assert limits is not None
    expected = limits.predictors[0].predict(limit_designs(pool)).mean <= 0.0
    assert (expected == (learned_limits(case.problem, pool.indices)[:, 0] <= 0.0)).mean() > 0.65


def test_fits_start_where_the_last_checkpoint_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fit of an objective hears of the fit to the first results; a fresh strategy starts it from the same place."""
    monkeypatch.setattr("codesign.surrogate.warm_start.FIRST", 8)
    starts = []
    for _ in range(2):
        fitted = told(LEARNED).predictors()
        starts.append([predictor._starts for predictor in fitted if predictor is not None])
    assert all(starts[0])
    for one, other in zip(*starts, strict=True):
        for mean in one:
            np.testing.assert_array_equal(one[mean], other[mean])
