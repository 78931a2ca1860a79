"""`ehvi_fidelity`: expected hypervolume improvement that also chooses how much to spend on a look.

One ask weighs three kinds of trial by the hypervolume that they promise per unit of compute
(`codesign.search.strategies.promotion_acquisition`): a new design, at once in full or briefly first; the full training of a
design that has been trained briefly (*promotion*); and one more seed of a design whose noise decides the front. Candidates
come from the pool of `ehvi`, and without trials below the full fidelity it proposes as `ehvi` does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError
from codesign.estimate import Evidence
from codesign.search.acquisition import Acquisition, Limits, designs_of
from codesign.search.candidates import keys, new_rows
from codesign.search.fidelity import FULL, SHORT, Fidelity, Ladder, Trials
from codesign.search.initial import initial_design
from codesign.search.problem import Pool, SearchProblem
from codesign.search.strategies.ehvi import EhviStrategy
from codesign.search.strategies.model_based import SHORTLIST
from codesign.search.strategies.promotion_acquisition import PromotionGain
from codesign.search.strategies.promotion_model import FidelityChain
from codesign.search.strategies.strategy import Capabilities, StrategySettings
from codesign.space.design_space import Indices
from codesign.surrogate.prior import MIN_EVIDENCE
from codesign.surrogate.threads import single_thread

FloatArray = NDArray[np.float64]

LADDER = Ladder((Fidelity(SHORT, 0.25, Evidence.TRAINED), Fidelity(FULL, 1.0, Evidence.TRAINED, replicates=3)))
"""Fidelities where none are given."""
# Designs of the space-filling start that are trained in full whatever they promise: they tell what a brief look is worth.
ANCHORS = 5
# Of these, designs that are trained with a second seed, where seeds may be repeated at all: without equal designs a process
# takes luck for skill, and sees no use in repetition.
REPEATED_ANCHORS = 3
# New designs of highest improvement whose brief training is weighed.
WEIGHED = 100
# Costs add up to the budget but for rounding.
ROUNDING = 1e-9


@dataclass(frozen=True)
class _Offer:
    """The best trial of one kind, and what it earns per unit of compute."""

    rate: float
    design: Pool
    level: int
    replicate: int = 0


@dataclass(frozen=True)
class _Candidates:
    """Designs that a trial may be spent on.

    Attributes:
        new: designs without a trial.
        waiting: designs that can be promoted: results below the full training, none failed, none in full.
        reached: (w,) highest level of each.
        trained: designs whose full training can be repeated.
        replicate: (t,) number of the next full training of each.
        repeats: (t,) what it earns.
    """

    new: Pool
    waiting: Pool
    reached: NDArray[np.intp]
    trained: Pool
    replicate: NDArray[np.intp]
    repeats: FloatArray

    def without(self, designs: Indices) -> _Candidates:
        """All but those designs."""
        gone = set(keys(designs))
        new, waiting, trained = (np.array([key not in gone for key in keys(pool.indices)], dtype=np.bool_) for pool in (self.new, self.waiting, self.trained))
        return _Candidates(
            self.new.rows(new), self.waiting.rows(waiting), self.reached[waiting], self.trained.rows(trained), self.replicate[trained], self.repeats[trained]
        )


class PromotionStrategy(EhviStrategy):
    """Model-based search over designs and fidelities."""

    name: ClassVar[str] = "ehvi_fidelity"
    capabilities: ClassVar[Capabilities] = Capabilities(model=True, prior=True, pending=True)

    def __init__(self, problem: SearchProblem, seed: int, settings: StrategySettings | None = None, ladder: Ladder = LADDER) -> None:
        super().__init__(problem, seed, settings)
        self.ladder = ladder
        self._trials = Trials.once(self._empty(), ladder.top)
        self._start: Trials | None = None

    def tell(self, indices: Indices, values: FloatArray, constraints: FloatArray | None = None) -> None:
        """See `Strategy.tell`: first full trainings."""
        super().tell(indices, values, constraints)
        self._trials = Trials.join([self._trials, Trials.once(indices, self.ladder.top)])

    def tell_evaluations(self, trials: Trials, values: FloatArray, constraints: FloatArray | None = None) -> None:
        """See `FidelityStrategy.tell_evaluations`."""
        if not (len(trials.level) == len(trials.replicate) == len(trials)) or not all(0 <= level <= self.ladder.top for level in trials.level.tolist()):
            raise InputError(f"levels {trials.level.tolist()} of {len(trials)} trials", where="tell", remedy=f"Give one of 0 to {self.ladder.top} for each")
        super().tell(trials.indices, values, constraints)
        self._trials = Trials.join([self._trials, trials])

    def ask_evaluations(self, count: int, budget: float, pending: Trials | None = None) -> Trials:
        """See `FidelityStrategy.ask_evaluations`."""
        waiting = Trials.once(self._empty(), self.ladder.top) if pending is None else pending
        with single_thread():
            first = self._affordable(self._starting(waiting), count, budget)
            if len(first) == count or len(self._starting(waiting)) > len(first):
                return first
            left = budget - self.ladder.cost(first.level)
            waiting = Trials.join([waiting, first])
            if np.bincount(self._trials.level[self.complete], minlength=1).max() < MIN_EVIDENCE:
                more = self.source.draw(count - len(first), set(keys(waiting.indices)) | self.taken(None), self.rng()).indices
                return Trials.join([first, self._affordable(Trials.once(more, self.ladder.top), count - len(first), left)])
            return Trials.join([first, self._choose(count - len(first), left, waiting)])

    def _starting(self, pending: Trials) -> Trials:
        """What is left of the start: every initial design at the lowest level, then the anchors at each other, some of them twice in full."""
        if self._start is None:
            designs = initial_design(self.problem, self.source, self.settings.initial, np.random.default_rng([self.seed, 0]))
            start = [Trials.once(designs, 0)]
            start += [Trials.once(designs[:ANCHORS], level) for level in range(1, self.ladder.top + 1)]
            if self.ladder.fidelities[self.ladder.top].replicates > 1:
                again = Trials.once(designs[:REPEATED_ANCHORS], self.ladder.top)
                start.append(replace(again, replicate=again.replicate + 1))
            self._start = Trials.join(start)
        if len(self) >= len(self._start):
            return self._start.rows(np.arange(0))
        seen = set(_looks(self._trials)) | set(_looks(pending))
        failed = set(keys(self._trials.indices[~self.complete]))
        fresh = [look not in seen and look[0] not in failed for look in _looks(self._start)]
        return self._start.rows(np.array(fresh, dtype=np.bool_))

    def _affordable(self, trials: Trials, count: int, budget: float) -> Trials:
        """The first trials, at most ``count``, that the budget pays."""
        costs = np.cumsum([self.ladder.fidelities[level].cost for level in trials.level.tolist()])
        return trials.rows(np.arange(min(count, int((costs <= budget + ROUNDING).sum()))))

    def _acquisition(self, pending: Indices, rng: np.random.Generator) -> tuple[Acquisition, FloatArray]:
        """As in `ehvi`, where every told trial is a full one; else the joint model's."""
        if bool((self._trials.level == self.ladder.top).all()):
            return super()._acquisition(pending, rng)
        return self._gain(pending, rng)

    def _gain(self, pending: Indices, rng: np.random.Generator) -> tuple[PromotionGain, FloatArray]:
        """The acquisition function with the pending designs believed, and the told values n x m at the full fidelity, in model space."""
        complete = self.complete
        told, level, values = self.told.rows(complete), self._trials.level[complete], self.values[complete]
        model, low, limits = self.problem.to_model(values), level < self.ladder.top, self.limits()
        predictors: list[FidelityChain | None] = []
        for column, (objective, encoding) in enumerate(zip(self.problem.objectives, self._encodings, strict=True)):
            if not objective.evaluated:
                predictors.append(None)
                continue
            designs = designs_of(self.problem, told, column)
            predictor = FidelityChain(encoding, designs, level, self.ladder.top, values[:, column], log=objective.log)
            predictors.append(predictor)
            mean = predictor.predict(designs.rows(low)).mean
            model[low, column] = -mean if objective.maximise else mean
        gain = PromotionGain(
            self.problem,
            predictors,
            told.rows(~low),
            model[~low],
            self.problem.reference_in_model(model[self.feasible[complete]] if self.feasible.any() else model),
            samples=self.settings.samples,
            rng=rng,
            top=self.ladder.top,
            limits=None if limits is None else Limits(limits.predictors, limits.held[~low]),
        )
        waiting = self.problem.pool(pending)
        for row in range(len(waiting)):
            gain.believe(waiting.rows(np.array([row])))
        return gain, model

    def _choose(self, count: int, budget: float, pending: Trials) -> Trials:
        """Up to ``count`` trials by what they earn, one by one, each design believed at its mean."""
        rng = self.rng()
        gain, values = self._gain(pending.indices[new_rows(pending.indices, set())], rng)
        candidates = self._candidates(gain, values, pending, rng)
        taken = self.taken(pending.indices)
        chosen = [Trials.once(self._empty(), self.ladder.top)]
        for _ in range(count):
            if len(candidates.new) and budget + ROUNDING >= 1.0:
                candidates = replace(candidates, new=self._widened(gain, candidates.new, taken, rng))
            best = max(self._offers(gain, candidates, budget), key=lambda offer: offer.rate, default=None)
            if best is None:
                break
            chosen.append(Trials(best.design.indices, np.array([best.level]), np.array([best.replicate])))
            budget -= self.ladder.fidelities[best.level].cost
            gain.believe(best.design)
            taken.update(keys(best.design.indices))
            candidates = candidates.without(best.design.indices)
        return Trials.join(chosen)

    def _candidates(self, gain: PromotionGain, values: FloatArray, pending: Trials, rng: np.random.Generator) -> _Candidates:
        """New designs around the present front, and what can go on with the designs told; pending ones are left out."""
        top = self.ladder.top
        looks: dict[bytes, list[tuple[int, bool]]] = {}
        for key, level, complete in zip(keys(self._trials.indices), self._trials.level.tolist(), self.complete.tolist(), strict=True):
            looks.setdefault(key, []).append((level, complete))
        for key in keys(pending.indices):
            looks.pop(key, None)
        waiting = {key: max(level for level, _ in seen) for key, seen in looks.items() if all(complete and level < top for level, complete in seen)}
        trained, rates, replicate = self._repeatable(gain, set(looks))
        return _Candidates(
            new=self._shortlist(gain, self._pool(values, self.taken(pending.indices), rng)),
            waiting=self._pool_of(list(waiting)),
            reached=np.array(list(waiting.values()), dtype=np.intp),
            trained=trained,
            replicate=replicate,
            repeats=rates,
        )

    def _repeatable(self, gain: PromotionGain, free: set[bytes]) -> tuple[Pool, FloatArray, NDArray[np.intp]]:
        """Designs (t,) among the free ones whose full training can be repeated, what that earns, and its number."""
        top = self.ladder.top
        most, asked, results = self.ladder.fidelities[top].replicates, dict[bytes, int](), dict[bytes, list[FloatArray]]()
        for key, level, complete, value in zip(keys(self._trials.indices), self._trials.level.tolist(), self.complete.tolist(), self.values, strict=True):
            if level == top:
                asked[key] = asked.get(key, 0) + 1
                results.setdefault(key, []).extend([value] if complete else [])
        reported = [key for key, values in results.items() if values]
        pool = self._pool_of(reported)
        able = np.array([asked[key] < most and asked[key] == len(results[key]) and key in free for key in reported], dtype=np.bool_)
        if most == 1 or not able.any():
            return pool.rows(np.arange(0)), np.empty(0), np.empty(0, dtype=np.intp)
        counts = np.array([len(results[key]) for key in reported], dtype=np.intp)
        observed = self.problem.to_model(np.array([np.mean(results[key], axis=0) for key in reported]))
        return pool.rows(able), gain.repeat_rates(pool, observed, counts)[able], counts[able]

    @staticmethod
    def _shortlist(gain: PromotionGain, pool: Pool) -> Pool:
        """What of a pool is looked at again after each trial of the batch."""
        if len(pool) <= SHORTLIST:
            return pool
        return pool.rows(np.argsort(-gain.scores(pool, screening=True), kind="stable")[:SHORTLIST])

    def _pool_of(self, found: list[bytes]) -> Pool:
        return self.problem.pool(np.array([np.frombuffer(key, dtype=np.int16) for key in found], dtype=np.int16).reshape(-1, len(self.problem.space)))

    def _widened(self, gain: PromotionGain, new: Pool, taken: set[bytes], rng: np.random.Generator) -> Pool:
        """New designs with the neighbours of the best; those first that would gain most in full."""
        finalists = self._climb(gain, new, taken, rng)
        finalists = finalists.rows(np.argsort(-gain.scores(finalists), kind="stable"))
        joined = Pool.join([finalists, new])
        return joined.rows(new_rows(joined.indices, taken))

    def _offers(self, gain: PromotionGain, candidates: _Candidates, budget: float) -> list[_Offer]:
        """The best trial of each kind and level that the budget pays; one below the full training only where that can follow."""
        top, offers = self.ladder.top, []
        budget += ROUNDING
        new = candidates.new.rows(np.arange(min(WEIGHED, len(candidates.new))))
        reached = np.concatenate([np.full(len(new), -1, dtype=np.intp), candidates.reached])
        looked_at = Pool.join([new, candidates.waiting])
        for level, fidelity in enumerate(self.ladder.fidelities):
            able = looked_at.rows(reached < level)
            cost = fidelity.cost if level == top else fidelity.cost + 1.0
            if not len(able) or cost > budget:
                continue
            rates = gain.scores(able) if level == top else gain.option_rates(able, level, fidelity.cost)
            row = int(np.argmax(rates))
            offers.append(_Offer(float(rates[row]), able.rows(np.array([row])), level))
        if len(candidates.trained) and budget >= 1.0:
            row = int(np.argmax(candidates.repeats))
            offers.append(_Offer(float(candidates.repeats[row]), candidates.trained.rows(np.array([row])), top, int(candidates.replicate[row])))
        # A repetition that changes nothing is worth less than any new design.
        return [offer for offer in offers if offer.replicate == 0 or offer.rate > 0.0]


def _looks(trials: Trials) -> list[tuple[bytes, int, int]]:
    """Key of the design, level and replicate of each trial."""
    return list(zip(keys(trials.indices), trials.level.tolist(), trials.replicate.tolist(), strict=True))
