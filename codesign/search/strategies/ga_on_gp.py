"""`ga_on_gp`: a Gaussian process fitted once to random designs, and a genetic search on it, as Fan et al. search.

.. [Fan2022] H. Fan, M. Ferianc, Z. Que, H. Li, S. Liu, X. Niu, W. Luk, "Algorithm and Hardware Co-design for Reconfigurable
   CNN Accelerator", ASP-DAC 2022.
.. [Deb2002] K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE TEC 6(2), 2002.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from codesign.search.acquisition import designs_of, limit_designs
from codesign.search.candidates import RandomSource, Variation, keys, new_rows
from codesign.search.problem import Pool, SearchProblem
from codesign.search.strategies.listed import complete_batch, realise
from codesign.search.strategies.selection import best_first, breed
from codesign.search.strategies.strategy import Capabilities, History, StrategySettings
from codesign.space.design_space import Indices
from codesign.surrogate.encoding import Encoding
from codesign.surrogate.prior import MIN_EVIDENCE, Predictor
from codesign.surrogate.threads import single_thread

FloatArray = NDArray[np.float64]

# Random designs that the process is fitted to, per initial design of `StrategySettings`: 48 of its 16, about half of a
# budget of 100.
TRAINING = 3
# Genetic search on the predictor.
POPULATION = 100
GENERATIONS = 40


class GaOnGpStrategy(History):
    """Random designs, one fit, a genetic search [Deb2002]_ on the means that it predicts, and its population in order [Fan2022]_.

    The first ``TRAINING x initial`` designs are random; the processes of the objectives, and of the constraints that only
    evaluations tell, are fitted to these and never again. The genetic search's last population is evaluated best first by
    predicted constrained rank and crowding: the predicted front, then what comes after it. When the population is used up
    the search is run again without the designs that it proposed before. So the rest of the budget goes where the one model
    points, and evaluations teach it nothing: that is the method's idea, and its limit.
    """

    name: ClassVar[str] = "ga_on_gp"
    capabilities: ClassVar[Capabilities] = Capabilities(model=True, prior=True, pending=False)

    def __init__(self, problem: SearchProblem, seed: int, settings: StrategySettings | None = None) -> None:
        super().__init__(problem, seed, settings)
        self._model: _Model | None = None
        self._rankings: list[Indices] = []

    def ask(self, count: int, pending: Indices | None = None) -> Indices:
        """See `Strategy.ask`."""
        rng, taken = self.rng(), self.taken(pending)
        designs, training = self._empty(), self._training()
        if training is not None:
            with single_thread():
                designs = self._best(count, taken, training)
        return complete_batch(self.source, designs, count, taken, rng)

    def _training(self) -> int | None:
        """How many of the first tells the model is fitted to; None while they are too few."""
        complete = np.flatnonzero(self.complete)
        wanted = max(TRAINING * self.settings.initial, MIN_EVIDENCE)
        if len(complete) < MIN_EVIDENCE or len(self) < wanted:
            return None
        return max(wanted, int(complete[MIN_EVIDENCE - 1]) + 1)

    def _best(self, count: int, taken: set[bytes], training: int) -> Indices:
        """The first ``count`` designs of all rankings that are not taken; fewer when a search finds nothing new."""
        if self._model is None:
            self._model = _Model.fit(self.problem, self.told.rows(np.arange(training)), self.values[:training], self.constraints[:training])
        while True:
            ranked = np.concatenate([self._empty(), *self._rankings])
            free = ranked[new_rows(ranked, taken)]
            if len(free) >= count:
                return free[:count]
            known = set(keys(self.told.indices[:training])) | set(keys(ranked))
            rng = np.random.default_rng([self.seed, training, len(self._rankings)])
            found = _search(self.problem, self.source, self._model, known, rng)
            if not len(found):
                return free
            self._rankings.append(found)


class _Model:
    """What is expected of designs: predicted means, and prices where these settle an objective."""

    def __init__(self, problem: SearchProblem, objectives: list[Predictor | None], constraints: list[Predictor]) -> None:
        self._problem, self._objectives, self._constraints = problem, objectives, constraints

    @classmethod
    def fit(cls, problem: SearchProblem, told: Pool, values: FloatArray, constraints: FloatArray) -> _Model:
        """Fit one predictor per evaluated objective and per constraint; failed evaluations are left out."""
        objectives: list[Predictor | None] = []
        for column, objective in enumerate(problem.objectives):
            encoding = Encoding.build(problem.space, objective.half)
            predictor = Predictor(encoding, designs_of(problem, told, column), values[:, column], log=objective.log) if objective.evaluated else None
            objectives.append(predictor)
        encoding, designs = Encoding.build(problem.space), limit_designs(told)
        return cls(problem, objectives, [Predictor(encoding, designs, column, log=False) for column in constraints.T])

    def expected(self, pool: Pool) -> tuple[FloatArray, FloatArray]:
        """Values k x m in natural units and constraints k x c."""
        values = pool.priced.prior.copy()
        for column, predictor in enumerate(self._objectives):
            if predictor is not None:
                values[:, column] = predictor.to_natural(predictor.predict(designs_of(self._problem, pool, column)).mean)
        limits = [predictor.predict(limit_designs(pool)).mean for predictor in self._constraints]
        return values, np.stack(limits, axis=1) if limits else np.empty((len(pool), 0))


def _search(problem: SearchProblem, source: RandomSource, model: _Model, known: set[bytes], rng: np.random.Generator) -> Indices:
    """The last population (at most `POPULATION` x d) of a genetic search on the model, best first, without the known designs."""
    variation = Variation(problem.space)
    population = source.draw(POPULATION, known, rng)
    known = known | set(keys(population.indices))
    for _ in range(GENERATIONS):
        if not len(population):
            break
        wishes = breed(population.indices, 2 * POPULATION, variation, rng)
        children = problem.pool(realise(problem, source, wishes, POPULATION, known, rng))
        known.update(keys(children.indices))
        population = Pool.join([population, children])
        population = population.rows(best_first(*model.expected(population), problem.maximise)[:POPULATION])
    return population.indices
