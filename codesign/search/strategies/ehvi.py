"""`ehvi`: noisy expected hypervolume improvement over an evolved pool of the joint space.

One ask: fit a predictor to each evaluated objective; evolve a pool from the present front, feasible by its price; score
it; climb from the best by one-parameter steps; choose the batch one by one, each choice believed at its mean. Objectives
that a price settles are exact, so the accelerator half of every candidate is optimised by pricing alone.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from codesign.search.acquisition import NoisyEhvi, designs_of
from codesign.search.candidates import Variation, evolve, keys, new_rows, price_feasible
from codesign.search.initial import initial_design
from codesign.search.pareto import non_dominated
from codesign.search.problem import Pool, SearchProblem
from codesign.search.strategies.strategy import Capabilities, History, StrategySettings
from codesign.space.design_space import Indices
from codesign.surrogate.encoding import Encoding
from codesign.surrogate.prior import MIN_EVIDENCE, Predictor
from codesign.surrogate.threads import single_thread

FloatArray = NDArray[np.float64]

# Share of the pool drawn at random, whatever the front looks like.
RANDOM_SHARE = 0.2
# Designs that one-parameter climbing starts from, and its largest number of rounds.
CLIMBERS = 8
CLIMBS = 4
# Candidates that compete for the batch on all posterior samples, after a first look on two.
FINALISTS = 300
SCREENING_SAMPLES = 2


class EhviStrategy(History):
    """Model-based search that needs few evaluations."""

    name: ClassVar[str] = "ehvi"
    capabilities: ClassVar[Capabilities] = Capabilities(model=True, prior=True, pending=True)

    def __init__(self, problem: SearchProblem, seed: int, settings: StrategySettings | None = None) -> None:
        super().__init__(problem, seed, settings)
        self._encodings = [Encoding.build(problem.space, objective.half) for objective in problem.objectives]
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
        return self._initial[new_rows(self._initial, taken)][: min(count, self.settings.initial - len(self))]

    def predictors(self) -> list[Predictor | None]:
        """One predictor per objective, fitted to everything told; None where the price settles it."""
        told, complete = self.told, self.complete
        fitted: list[Predictor | None] = []
        for column, (objective, encoding) in enumerate(zip(self.problem.objectives, self._encodings, strict=True)):
            if objective.evaluated:
                fitted.append(Predictor(encoding, designs_of(self.problem, told.rows(complete), column), self.values[complete, column], log=objective.log))
            else:
                fitted.append(None)
        return fitted

    def _propose(self, count: int, pending: Indices, taken: set[bytes]) -> Indices:
        """Choose up to ``count`` designs by the acquisition function, one by one."""
        rng = self.rng()
        acquisition, values = self._acquisition(pending, rng)
        pool = self._pool(values, taken, rng)
        chosen = [pool.rows(np.arange(0))]
        taken = set(taken)
        while len(pool) and sum(map(len, chosen)) < count:
            finalists = self._climb(acquisition, pool, taken, rng)
            best = finalists.rows(np.argmax(acquisition.scores(finalists), keepdims=True))
            acquisition.believe(best)
            chosen.append(best)
            taken.update(keys(best.indices))
            pool = Pool.join([pool, finalists])
            pool = pool.rows(new_rows(pool.indices, taken))
        return Pool.join(chosen).indices

    def _acquisition(self, pending: Indices, rng: np.random.Generator) -> tuple[NoisyEhvi, FloatArray]:
        """The acquisition function with the pending designs believed, and the told values n x m in model space."""
        complete = self.complete
        values = self.problem.to_model(self.values[complete])
        acquisition = NoisyEhvi(
            self.problem,
            self.predictors(),
            self.told.rows(complete),
            values,
            self.problem.reference_in_model(values),
            samples=self.settings.samples,
            rng=rng,
        )
        waiting = self.problem.pool(pending)
        for row in range(len(waiting)):
            acquisition.believe(waiting.rows(np.array([row])))
        return acquisition, values

    def _pool(self, values: FloatArray, taken: set[bytes], rng: np.random.Generator) -> Pool:
        """Descendants of the present front, and random designs; everything where there is little."""
        left = self.source.left(taken)
        if left is not None and (self.problem.listed is not None or len(left) <= self.settings.pool):
            return left
        mask = non_dominated(values, np.zeros(values.shape[1], dtype=np.bool_))
        front = self.told.indices[self.complete][mask]
        wanted = self.settings.pool
        anywhere = self.source.draw(int(RANDOM_SHARE * wanted), taken, rng)
        return Pool.join([anywhere, evolve(self.problem, front, wanted - len(anywhere), taken | set(keys(anywhere.indices)), rng)])

    def _climb(self, acquisition: NoisyEhvi, pool: Pool, taken: set[bytes], rng: np.random.Generator) -> Pool:
        """Add the one-parameter neighbours of the best candidates, round by round while the best improves; keep the finalists."""
        variation = Variation(self.problem.space)
        scores = acquisition.scores(pool, samples=SCREENING_SAMPLES)
        pool, scores = _best(pool, scores, FINALISTS)
        seen = taken | set(keys(pool.indices))
        explored: set[bytes] = set()
        for _ in range(CLIMBS):
            top = [design for design in pool.indices[:CLIMBERS] if design.tobytes() not in explored]
            if not top:
                break
            explored.update(keys(np.array(top)))
            near = price_feasible(self.problem, np.concatenate([variation.neighbours(design, rng) for design in top]), seen)
            seen.update(keys(near.indices))
            pool, scores = _best(Pool.join([pool, near]), np.concatenate([scores, acquisition.scores(near, samples=SCREENING_SAMPLES)]), FINALISTS)
        return pool


def _best(pool: Pool, scores: FloatArray, count: int) -> tuple[Pool, FloatArray]:
    """The ``count`` highest, best first; ties in order."""
    order = np.argsort(-scores, kind="stable")[:count]
    return pool.rows(order), scores[order]
