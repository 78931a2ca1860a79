"""The common part of strategies that fit predictors and maximise an acquisition function.

One ask: fit a predictor to each evaluated objective and constraint; evolve a pool from the present front, feasible by its
price, or take the table; score it; climb from the best by one-parameter steps; choose the batch one by one, each choice
believed at its mean. Objectives that a price settles are exact, so the accelerator half of every candidate is optimised by
pricing alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from codesign.search.acquisition import Acquisition, Limits, designs_of, limit_designs
from codesign.search.candidates import Variation, evolve, keys, new_rows, price_feasible
from codesign.search.initial import initial_design
from codesign.search.pareto import non_dominated
from codesign.search.problem import Pool, SearchProblem
from codesign.search.strategies.strategy import Capabilities, History, StrategySettings
from codesign.space.design_space import Indices
from codesign.surrogate.encoding import Encoding
from codesign.surrogate.prior import MIN_EVIDENCE, Predictor
from codesign.surrogate.threads import single_thread
from codesign.surrogate.warm_start import Starts, WarmStarts

FloatArray = NDArray[np.float64]

# Share of the pool drawn at random, whatever the front looks like.
RANDOM_SHARE = 0.2
# Designs that one-parameter climbing starts from, and its largest number of rounds.
CLIMBERS = 8
CLIMBS = 4
# Candidates that compete for the batch on all that the acquisition function knows, after a quick look.
FINALISTS = 300
# Every fourth design is chosen with standard deviations three times as large: a fit to designs that are much alike is too
# sure of itself elsewhere, and the acquisition function alone would never look there.
CAUTIOUS_EVERY = 4
CAUTION = 3.0
# What of a pool is looked at again after each design of the batch: beliefs hardly raise a score.
SHORTLIST = 1000
# A table is scored in full where its rows times the square of the evaluated designs are no more.
LISTED_WORK = 1e9


class ModelBasedStrategy(History):
    """Few evaluations, chosen with care."""

    #: What is maximised.
    acquisition: ClassVar[type[Acquisition]]
    capabilities: ClassVar[Capabilities] = Capabilities(model=True, prior=True, pending=True)

    def __init__(self, problem: SearchProblem, seed: int, settings: StrategySettings | None = None) -> None:
        super().__init__(problem, seed, settings)
        self._encodings = [Encoding.build(problem.space, objective.half) for objective in problem.objectives]
        self._starts = [WarmStarts(partial(self._predictor, column)) for column in range(len(problem.objectives))]
        self._limit_encoding = Encoding.build(problem.space)
        self._initial: Indices | None = None

    def ask(self, count: int, pending: Indices | None = None) -> Indices:
        """See `Strategy.ask`."""
        with single_thread():
            taken = self.taken(pending)
            first = self._initial_rows(count, taken)
            if len(first) == count:
                return first
            started = first if pending is None else np.concatenate([pending, first])
            taken |= set(keys(first))
            if int(self.complete.sum()) < MIN_EVIDENCE:
                rest = self.source.draw(count - len(first), taken, self.rng()).indices
            else:
                rest = self._propose(count - len(first), started, taken)
            return np.concatenate([first, rest])

    def _initial_rows(self, count: int, taken: set[bytes]) -> Indices:
        """What is left of the initial design."""
        if len(self) >= self.settings.initial:
            return self._empty()
        if self._initial is None:
            self._initial = initial_design(self.problem, self.source, self.settings.initial, np.random.default_rng([self.seed, 0]))
        return self._initial[new_rows(self._initial, taken)][: max(min(count, len(self._initial) - len(self)), 0)]

    def predictors(self) -> list[Predictor | None]:
        """One predictor per objective, fitted to everything told; None where the price settles it."""
        count = int(self.complete.sum())
        return [
            self._predictor(column, count, self._starts[column].at(count)) if objective.evaluated else None
            for column, objective in enumerate(self.problem.objectives)
        ]

    def _predictor(self, column: int, count: int, starts: Starts) -> Predictor:
        """Predictor of one objective from the first ``count`` results."""
        rows = np.flatnonzero(self.complete)[:count]
        designs, values = designs_of(self.problem, self.told.rows(rows), column), self.values[rows, column]
        return Predictor(self._encodings[column], designs, values, log=self.problem.objectives[column].log, starts=starts)

    def limits(self) -> Limits | None:
        """One predictor per constraint, of its value on a scale where large ones are drawn together and 0 stays; None without any."""
        if not self.problem.constraints:
            return None
        complete = self.complete
        designs, values = limit_designs(self.told.rows(complete)), self.constraints[complete]
        unit = np.median(np.abs(values), axis=0)
        squeezed = np.arcsinh(values / np.where(unit > 0.0, unit, 1.0))
        return Limits([Predictor(self._limit_encoding, designs, column, log=False) for column in squeezed.T], self.feasible[complete])

    def _propose(self, count: int, pending: Indices, taken: set[bytes]) -> Indices:
        """Choose up to ``count`` designs by the acquisition function, one by one."""
        rng = self.rng()
        acquisition, values = self._acquisition(pending, rng)
        pool = self._pool(values, taken, rng)
        if len(pool) > SHORTLIST:
            pool, _ = _best(pool, acquisition.scores(pool, screening=True), SHORTLIST)
        chosen = [pool.rows(np.arange(0))]
        taken = set(taken)
        while len(pool) and (number := sum(map(len, chosen))) < count:
            acquisition.caution = CAUTION if (len(self) + len(pending) + number) % CAUTIOUS_EVERY == 0 else 1.0
            finalists = self._climb(acquisition, pool, taken, rng)
            best = finalists.rows(np.argmax(acquisition.scores(finalists), keepdims=True))
            acquisition.believe(best)
            chosen.append(best)
            taken.update(keys(best.indices))
            pool = Pool.join([pool, finalists])
            pool = pool.rows(new_rows(pool.indices, taken))
        return Pool.join(chosen).indices

    def _acquisition(self, pending: Indices, rng: np.random.Generator) -> tuple[Acquisition, FloatArray]:
        """The acquisition function with the pending designs believed, and the told values n x m in model space."""
        complete = self.complete
        values, predictors, limits = self.problem.to_model(self.values[complete]), self.predictors(), self.limits()
        acquisition = self.acquisition(
            self.problem,
            predictors,
            self.told.rows(complete),
            values,
            self.problem.reference_in_model(np.concatenate([self._held(values), self._foreseen(predictors, limits)])),
            samples=self.settings.samples,
            rng=rng,
            limits=limits,
        )
        waiting = self.problem.pool(pending)
        for row in range(len(waiting)):
            acquisition.believe(waiting.rows(np.array([row])))
        return acquisition, values

    def _held(self, values: FloatArray) -> FloatArray:
        """Rows of ``values`` (n x m) that hold the constraints; all of them while none does."""
        held = self.feasible[self.complete]
        return values[held] if held.any() else values

    def _foreseen(self, predictors: Sequence[Predictor | None], limits: Limits | None) -> FloatArray:
        """Predicted objectives (k x m, model space) of the rows of a table that are expected to hold the constraints; none without constraints.

        The worst value among the few feasible designs known lies far from the worst there is, from which gains count.
        """
        left = self.source.left(set())
        if limits is None or left is None or self.problem.listed is None:
            return np.empty((0, len(predictors)))
        for limit in limits.predictors:
            left = left.rows(limit.predict(limit_designs(left)).mean <= 0.0)
        values = left.priced.prior.copy()
        for column, predictor in enumerate(predictors):
            if predictor is not None:
                values[:, column] = predictor.to_natural(predictor.predict(designs_of(self.problem, left, column)).mean)
        return self.problem.to_model(values)

    def _pool(self, values: FloatArray, taken: set[bytes], rng: np.random.Generator) -> Pool:
        """Descendants of the present front, and random designs; everything where there is little, or where the table is not long.

        Args:
            values: n x m of the told designs that did not fail, in model space.
            taken: keys of designs that must not be proposed.
            rng: source of the pool.
        """
        left = self.source.left(taken)
        front = self._front(values)
        if left is not None:
            if len(left) <= self.settings.pool or (self.problem.listed is not None and len(left) * len(values) ** 2 <= LISTED_WORK):
                return left
            if self.problem.listed is not None:
                return self._nearest(left, front, rng)
        anywhere = self.source.draw(int(RANDOM_SHARE * self.settings.pool), taken, rng)
        return Pool.join([anywhere, evolve(self.problem, front, self.settings.pool - len(anywhere), taken | set(keys(anywhere.indices)), rng)])

    def _front(self, values: FloatArray) -> Indices:
        """Non-dominated designs among those that hold the constraints, or among all while none does."""
        complete, feasible = self.complete, self.feasible
        counted = np.where(feasible[complete, None] | ~feasible.any(), values, np.nan)
        return self.told.indices[complete][non_dominated(counted, np.zeros(values.shape[1], dtype=np.bool_))]

    def _nearest(self, left: Pool, front: Indices, rng: np.random.Generator) -> Pool:
        """Of a long table: random rows, and those that differ least from a design of the front."""
        embedded, centres = self._limit_encoding.embed(left.indices), self._limit_encoding.embed(front)
        distance = np.full(len(left), np.inf)
        for centre in centres:
            distance = np.minimum(distance, ((embedded - centre) ** 2).sum(axis=1))
        distance[rng.permutation(len(left))[: int(RANDOM_SHARE * self.settings.pool)]] = -1.0
        return left.rows(np.sort(np.argsort(distance, kind="stable")[: self.settings.pool]))

    def _climb(self, acquisition: Acquisition, pool: Pool, taken: set[bytes], rng: np.random.Generator) -> Pool:
        """Add the one-parameter neighbours of the best candidates, round by round while the best improves; keep the finalists. Rows of a table have none."""
        scores = acquisition.scores(pool, screening=True)
        pool, scores = _best(pool, scores, FINALISTS)
        if self.problem.listed is not None:
            return pool
        variation = Variation(self.problem.space)
        seen = taken | set(keys(pool.indices))
        explored: set[bytes] = set()
        for _ in range(CLIMBS):
            top = [design for design in pool.indices[:CLIMBERS] if design.tobytes() not in explored]
            if not top:
                break
            explored.update(keys(np.array(top)))
            near = price_feasible(self.problem, np.concatenate([variation.neighbours(design, rng) for design in top]), seen)
            seen.update(keys(near.indices))
            pool, scores = _best(Pool.join([pool, near]), np.concatenate([scores, acquisition.scores(near, screening=True)]), FINALISTS)
        return pool


def _best(pool: Pool, scores: FloatArray, count: int) -> tuple[Pool, FloatArray]:
    """The ``count`` highest, best first; ties in order."""
    order = np.argsort(-scores, kind="stable")[:count]
    return pool.rows(order), scores[order]
