"""Choosing fidelities: what each kind of trial is worth, the chain of predictors, and the strategy that weighs them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from codesign.errors import InputError
from codesign.estimate import Evidence
from codesign.search.acquisition import designs_of
from codesign.search.candidates import keys
from codesign.search.fidelity import FULL, SHORT, Fidelity, Ladder, Trials
from codesign.search.problem import Pool
from codesign.search.strategies.ehvi import EhviStrategy
from codesign.search.strategies.promotion import ANCHORS, REPEATED_ANCHORS, PromotionStrategy
from codesign.search.strategies.promotion_acquisition import OUTCOMES, option_rate, outcomes
from codesign.search.strategies.promotion_model import FidelityChain
from codesign.search.strategies.strategy import StrategySettings
from codesign.space.parameters import Half
from codesign.surrogate.encoding import Encoding
from codesign.surrogate.prior import Predictor
from tests.search.toy_problem import Toy, evaluate, toy_problem

PROBLEM = toy_problem()
SETTINGS = StrategySettings(initial=8, pool=200, samples=2)
LADDER = Ladder((Fidelity(SHORT, 0.2, Evidence.TRAINED), Fidelity(FULL, 1.0, Evidence.TRAINED, replicates=3)))
SHORT_NOISE = 0.02


def measure(trials: Trials, *, noise: float = 0.01) -> np.ndarray:
    """Values of trials: a short one gives 0.1 + 0.6 of the accuracy, with more noise; each trial has noise of its own."""
    values = evaluate(PROBLEM, trials.indices, noise=0.0)
    for row, (design, level, replicate) in enumerate(zip(keys(trials.indices), trials.level.tolist(), trials.replicate.tolist(), strict=True)):
        normal = np.random.default_rng([level, replicate, *design]).standard_normal()
        values[row, 0] = values[row, 0] + noise * normal if level == 1 else 0.1 + 0.6 * values[row, 0] + SHORT_NOISE * normal
    return values


def advance(strategy: PromotionStrategy, budget: float, count: int = 4, rounds: int = 100) -> list[Trials]:
    """Ask, evaluate and tell until the budget is spent, or for so many rounds."""
    asked: list[Trials] = []
    for _ in range(rounds):
        trials = strategy.ask_evaluations(count, budget)
        if not len(trials):
            break
        strategy.tell_evaluations(trials, measure(trials))
        budget -= strategy.ladder.cost(trials.level)
        asked.append(trials)
    return asked


@pytest.fixture(scope="module")
def history() -> Trials:
    return Trials.join(advance(PromotionStrategy(PROBLEM, 1, SETTINGS, LADDER), 16.0))


def resumed(history: Trials, portion: int) -> PromotionStrategy:
    """A fresh strategy that is told the same trials in portions."""
    strategy = PromotionStrategy(PROBLEM, 1, SETTINGS, LADDER)
    for begin in range(0, len(history), portion):
        part = history.rows(np.arange(begin, min(begin + portion, len(history))))
        strategy.tell_evaluations(part, measure(part))
    return strategy


def same(first: Trials, second: Trials) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("indices", "level", "replicate"))


@pytest.mark.parametrize("cost", [0.05, 0.25, 0.9])
def test_the_rate_of_an_option_balances_what_it_earns_and_costs(cost: float) -> None:
    """At the rate r, the mean of (gain - r)+ pays for r times the cost of the look: Weitzman's reservation price."""
    gains = np.random.default_rng(0).exponential(size=(OUTCOMES, 5)) ** 2
    balanced = [brentq(lambda rate, column=column: np.maximum(column - rate, 0.0).mean() - cost * rate, 0.0, column.max()) for column in gains.T]
    np.testing.assert_allclose(option_rate(gains, cost), balanced, rtol=1e-9)


def test_a_look_that_tells_nothing_is_worth_less_than_going_ahead() -> None:
    assert option_rate(np.full((OUTCOMES, 1), 3.0), 0.25)[0] == pytest.approx(3.0 / 1.25)
    told = np.zeros((OUTCOMES, 1))
    told[0] = 3.0 * OUTCOMES
    assert option_rate(told, 0.25)[0] > told.mean()


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_outcomes_are_standard_normal(objectives: int) -> None:
    normal = outcomes(objectives)
    assert normal.shape == (OUTCOMES, objectives)
    np.testing.assert_allclose(normal.mean(axis=0), 0.0, atol=0.15)
    np.testing.assert_allclose(normal.std(axis=0), 1.0, atol=0.15)
    assert abs(np.corrcoef(normal.T)[0, -1] if objectives > 1 else 0.0) < 0.35


def chain_and_designs(slope: float, noise: float, seed: int = 0) -> tuple[FidelityChain, Predictor, Pool, np.ndarray]:
    """A chain on 60 short and 8 full trainings, a predictor on the full ones alone, 300 other designs and their truth."""
    rng = np.random.default_rng(seed)
    sample = PROBLEM.space.sample(600, rng)
    pool = PROBLEM.pool(sample[PROBLEM.price(sample).feasible][:368])
    truth = Toy(PROBLEM.space, pool.indices).accuracy
    low, full = np.arange(60), np.concatenate([np.arange(4), np.arange(60, 64)])
    rows, level = np.concatenate([low, full]), np.array([0] * 60 + [1] * 8)
    short = 0.1 + slope * truth[low] + noise * rng.standard_normal(60)
    evidence = np.concatenate([short, truth[full] + 0.005 * rng.standard_normal(8)])
    encoding = Encoding.build(PROBLEM.space, PROBLEM.objectives[0].half)
    chain = FidelityChain(encoding, designs_of(PROBLEM, pool.rows(rows), 0), level, 1, evidence, log=False)
    alone = Predictor(encoding, designs_of(PROBLEM, pool.rows(full), 0), evidence[60:], log=False)
    others = pool.rows(np.arange(64, 364))
    return chain, alone, others, truth[64:364]


def error(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((prediction - truth) ** 2)))


def test_short_trainings_teach_the_full_ones() -> None:
    chain, alone, pool, truth = chain_and_designs(0.6, 0.01)
    designs = designs_of(PROBLEM, pool, 0)
    found = chain.predict(designs)
    assert error(found.mean, truth) < 0.6 * error(alone.predict(designs).mean, truth)
    # Two standard deviations cover most.
    assert np.mean(np.abs(found.mean - truth) < 2.0 * found.std) > 0.85


def test_short_trainings_that_mislead_are_dropped() -> None:
    chain, alone, pool, truth = chain_and_designs(0.0, 0.1)
    designs = designs_of(PROBLEM, pool, 0)
    assert error(chain.predict(designs).mean, truth) < 1.5 * error(alone.predict(designs).mean, truth)


def test_a_second_look_at_the_same_design_tells_less() -> None:
    chain, _, pool, _ = chain_and_designs(0.6, 0.01)
    rng = np.random.default_rng(0)
    seen = PROBLEM.space.sample(600, rng)
    looked_at = designs_of(PROBLEM, PROBLEM.pool(seen[PROBLEM.price(seen).feasible][:60]), 0)
    new = designs_of(PROBLEM, pool, 0)
    assert np.median(chain.told(looked_at, 0)) < 0.8 * np.median(chain.told(new, 0))
    assert (chain.told(new, 0) <= chain.predict(new).std + 1e-12).all()
    # Nothing only where the same network has been looked at on another accelerator.
    assert (chain.told(new, 0) > 0.0).mean() > 0.9


def test_a_level_without_results_has_no_part_in_the_chain() -> None:
    pool = PROBLEM.pool(PROBLEM.space.sample(10, np.random.default_rng(0)))
    designs, truth = designs_of(PROBLEM, pool, 0), Toy(PROBLEM.space, pool.indices).accuracy
    encoding = Encoding.build(PROBLEM.space, PROBLEM.objectives[0].half)
    chain = FidelityChain(encoding, designs, np.ones(10, dtype=np.intp), 1, truth, log=False)
    assert chain.levels == (1,)
    assert not chain.told(designs, 0).any()
    np.testing.assert_array_equal(chain.predict(designs).mean, Predictor(encoding, designs, truth, log=False).predict(designs).mean)


def test_repetition_is_worth_most_where_luck_decides_the_front() -> None:
    """One design was lucky by six standard deviations of the noise: it hides others, and another seed would tell."""
    pool = PROBLEM.pool(PROBLEM.space.sample(400, np.random.default_rng(3)))
    designs = pool.rows(pool.priced.feasible).rows(np.arange(40))
    strategy = PromotionStrategy(PROBLEM, 1, SETTINGS, LADDER)
    values = evaluate(PROBLEM, designs.indices, noise=0.01)
    strategy.tell(designs.indices, values)
    gain, _ = strategy._gain(strategy._empty(), np.random.default_rng(0))
    observed, counts = PROBLEM.to_model(values), np.ones(40, dtype=np.intp)
    plain = gain.repeat_rates(designs, observed, counts)
    assert (plain >= 0.0).all()
    # A cheap design of middling accuracy seems to beat every dearer one.
    lucky = int(np.argmin(observed[:, 1]))
    observed[lucky, 0] = observed[:, 0].min() - 0.06
    rates = gain.repeat_rates(designs, observed, counts)
    assert np.argmax(rates) == lucky
    assert rates[lucky] > 5.0 * max(plain.max(), 1e-6)
    # After many seeds one more says little.
    assert gain.repeat_rates(designs, observed, np.full(40, 50))[lucky] < 0.2 * rates[lucky]


def test_a_noisy_result_for_a_known_design_only_hides_the_front() -> None:
    """Where everything is known, another seed teaches nothing and may push a design off the front that belongs there."""
    pool = PROBLEM.pool(PROBLEM.space.sample(400, np.random.default_rng(3)))
    designs = pool.rows(pool.priced.feasible).rows(np.arange(40))
    strategy = PromotionStrategy(PROBLEM, 1, SETTINGS, LADDER)
    strategy.tell(designs.indices, evaluate(PROBLEM, designs.indices, noise=0.0))
    gain, observed = strategy._gain(strategy._empty(), np.random.default_rng(0))
    now, counts, std = gain._front(observed), np.ones(40, dtype=np.intp), np.zeros(3)
    quiet = [gain._repeated(row, observed, std, np.zeros(3), observed, counts, now) for row in np.flatnonzero(now).tolist()]
    loud = [gain._repeated(row, observed, std, np.array([0.1, 0.0, 0.0]), observed, counts, now) for row in np.flatnonzero(now).tolist()]
    assert not any(quiet)
    assert max(loud) <= 0.0 and min(loud) < -1e-4


def test_the_same_tells_give_the_same_asks_whatever_the_portions(history: Trials) -> None:
    half = history.rows(np.arange(len(history) - 5))
    asks = [resumed(half, portion).ask_evaluations(4, 5.0) for portion in (1, 3, len(half))]
    assert len(asks[0]) == 4
    assert same(asks[0], asks[1]) and same(asks[0], asks[2])
    assert same(asks[0], half_asked_twice(half))


def half_asked_twice(half: Trials) -> Trials:
    strategy = resumed(half, 2)
    strategy.ask_evaluations(4, 5.0)
    return strategy.ask_evaluations(4, 5.0)


def test_the_budget_is_kept_and_all_levels_are_used(history: Trials) -> None:
    assert 15.0 < LADDER.cost(history.level) <= 16.0
    assert set(history.level.tolist()) == {0, 1}
    looks = list(zip(keys(history.indices), history.level.tolist(), history.replicate.tolist(), strict=True))
    assert len(set(looks)) == len(looks)
    assert PROBLEM.price(history.indices).feasible.all()


def test_nothing_short_is_asked_that_can_no_longer_be_promoted(history: Trials) -> None:
    strategy = resumed(history, 4)
    assert (strategy.ask_evaluations(4, 1.1).level == 1).all()
    assert len(strategy.ask_evaluations(4, 1.1)) == 1
    assert len(strategy.ask_evaluations(4, 0.9)) == 0


def test_no_design_is_looked_at_twice_but_for_promotion_and_numbered_repetition(history: Trials) -> None:
    seen: dict[bytes, list[int]] = {}
    for key, level, replicate in zip(keys(history.indices), history.level.tolist(), history.replicate.tolist(), strict=True):
        before = seen.setdefault(key, [])
        assert replicate == (before.count(1) if level == 1 else 0)
        if level == 0:
            assert not before
        before.append(level)


def test_each_level_between_is_learned_from_the_anchors() -> None:
    ladder = Ladder((Fidelity("score", 0.1, Evidence.SUPERNET), *LADDER.fidelities), preparation=3.0)
    strategy = PromotionStrategy(PROBLEM, 1, SETTINGS, ladder)
    start = strategy.ask_evaluations(SETTINGS.initial + 2 * ANCHORS + REPEATED_ANCHORS, 40.0)
    first = [start.indices[start.level == level] for level in (0, 1, 2)]
    assert [len(designs) for designs in first] == [SETTINGS.initial, ANCHORS, ANCHORS + REPEATED_ANCHORS]
    assert np.array_equal(first[1], first[0][:ANCHORS]) and np.array_equal(first[2][:ANCHORS], first[0][:ANCHORS])
    values = evaluate(PROBLEM, start.indices, noise=0.0)
    values[:, 0] *= np.array([0.5, 0.8, 1.0])[start.level]
    strategy.tell_evaluations(start, values)
    later = strategy.ask_evaluations(4, 20.0)
    assert len(later) == 4
    assert strategy.ladder.cost(later.level) <= 20.0


def test_what_looked_good_is_promoted() -> None:
    """Accuracies of networks that no predictor can know, which short trainings show: good ones are trained in full, on any accelerator."""
    network = PROBLEM.space.half_columns(Half.NETWORK)
    ladder = Ladder((Fidelity(SHORT, 0.15, Evidence.TRAINED), Fidelity(FULL, 1.0, Evidence.TRAINED)))
    strategy = PromotionStrategy(PROBLEM, 1, SETTINGS, ladder)
    budget, asked, luck = 17.0, [], {}
    while len(trials := strategy.ask_evaluations(4, budget)):
        values = evaluate(PROBLEM, trials.indices, noise=0.0)
        for row, design in enumerate(keys(trials.indices[:, network])):
            luck[design] = 0.08 * np.random.default_rng(list(design)).standard_normal()
            values[row, 0] = values[row, 0] + luck[design] if trials.level[row] else 0.6 * (values[row, 0] + luck[design])
        strategy.tell_evaluations(trials, values)
        budget -= ladder.cost(trials.level)
        asked.append(trials)
    looks = Trials.join(asked)
    looks = looks.rows(np.arange(8 + ANCHORS, len(looks)))
    short, full = (set(keys(looks.indices[looks.level == level][:, network])) for level in (0, 1))
    assert len(short & full) >= 2
    assert np.mean([luck[design] for design in short & full]) > np.mean([luck[design] for design in short - full])


def test_pending_trials_are_not_asked_again(history: Trials) -> None:
    strategy = resumed(history.rows(np.arange(14)), 4)
    pending = strategy.ask_evaluations(4, 8.0)
    more = strategy.ask_evaluations(4, 4.0, pending)
    assert len(more) == 4
    assert not set(keys(more.indices)) & set(keys(pending.indices))


def test_a_design_whose_short_training_failed_is_left_alone() -> None:
    strategy = PromotionStrategy(PROBLEM, 1, SETTINGS, LADDER)
    first = strategy.ask_evaluations(8, 20.0)
    values = measure(first)
    values[4:] = np.nan
    strategy.tell_evaluations(first, values)
    asked = Trials.join([first, *advance(strategy, 12.0)])
    later = set(keys(asked.indices[8:]))
    assert not later & set(keys(first.indices[4:]))


def test_a_noisy_front_is_repeated() -> None:
    """With much noise and no short trainings, compute goes into second trainings of front designs."""
    ladder = Ladder((replace(LADDER.fidelities[1], replicates=3),))
    strategy = PromotionStrategy(toy_problem(tiny=True), 1, StrategySettings(initial=8, pool=100, samples=2), ladder)
    rng = np.random.default_rng(0)
    budget, asked = 40.0, []
    while len(trials := strategy.ask_evaluations(2, budget)):
        values = evaluate(strategy.problem, trials.indices, noise=0.0)
        values[:, 0] += 0.05 * rng.standard_normal(len(values))
        strategy.tell_evaluations(trials, values)
        budget -= len(trials)
        asked.append(trials)
    everything = Trials.join(asked)
    assert len(set(keys(everything.indices))) > 12
    assert (everything.replicate > 0).sum() > 5
    assert everything.replicate.max() <= 2


def test_without_lower_fidelities_it_proposes_as_ehvi_does() -> None:
    ours, theirs = PromotionStrategy(PROBLEM, 1, SETTINGS, LADDER), EhviStrategy(PROBLEM, 1, SETTINGS)
    for _ in range(4):
        designs = ours.ask(4)
        np.testing.assert_array_equal(designs, theirs.ask(4))
        values = evaluate(PROBLEM, designs)
        ours.tell(designs, values)
        theirs.tell(designs, values)


def test_levels_off_the_ladder_are_refused() -> None:
    strategy = PromotionStrategy(PROBLEM, 1, SETTINGS, LADDER)
    trials = strategy.ask_evaluations(2, 5.0)
    with pytest.raises(InputError, match=r"Give one of 0 to 1 for each"):
        strategy.tell_evaluations(replace(trials, level=np.array([0, 2])), measure(trials))
