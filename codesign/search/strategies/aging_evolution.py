"""`aging_evolution`: regularised evolution for several objectives, as HANNAH searches its networks.

.. [Real2019] E. Real, A. Aggarwal, Y. Huang, Q. V. Le, "Regularized Evolution for Image Classifier Architecture Search",
   AAAI 2019.
.. [HANNAH] C. Gerum et al., "Hardware Accelerator and Neural Network Co-Optimization for Ultra-Low-Power Audio Processing
   Devices", DSD 2022; its sampler: github.com/ekut-es/hannah, hannah/nas/search/sampler/aging_evolution.py.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from codesign.search.candidates import IDLE_ROUNDS, keys
from codesign.search.strategies.listed import complete_batch, realise
from codesign.search.strategies.selection import violations
from codesign.search.strategies.strategy import Capabilities, History
from codesign.space.design_space import Indices
from codesign.space.parameters import ParameterKind

FloatArray = NDArray[np.float64]

# Tournament, share of random designs, and share of the parameters that a mutation changes [HANNAH]_.
TOURNAMENT = 10
RANDOM_SHARE = 0.1
MUTATION_RATE = 0.1


class AgingEvolutionStrategy(History):
    """The youngest designs are the population; a tournament among some of them gives a parent, its mutant is next [Real2019]_.

    Each tournament weighs the objectives anew at random: the fittest has the smallest norm of weight times cost [HANNAH]_.
    A cost is how far a value lies from the best seen, over the distance from there to the objective's limit, or to the
    worst seen where there is no limit: HANNAH divides by bounds that its user gives. Of designs that break a constraint the
    one that breaks it least wins, and any other wins over them. HANNAH's population of 100 would be random search within a
    hundred evaluations: the population is the one of `StrategySettings`.
    """

    name: ClassVar[str] = "aging_evolution"
    capabilities: ClassVar[Capabilities] = Capabilities(model=False, prior=False, pending=False)

    def ask(self, count: int, pending: Indices | None = None) -> Indices:
        """See `Strategy.ask`."""
        rng, taken = self.rng(), self.taken(pending)
        population = np.flatnonzero(self.complete)[-self.settings.population :]
        if len(population) < self.settings.population:
            return self.source.draw(count, taken, rng).indices
        costs, broken = self._costs(population), violations(self.constraints[population])
        designs, seen, idle = self._empty(), set(taken), 0
        while len(designs) < count and idle < IDLE_ROUNDS:
            if rng.random() < RANDOM_SHARE:
                fresh = self.source.draw(1, seen, rng).indices
            else:
                parent = self.told.indices[population[_tournament(costs, broken, rng)]]
                fresh = realise(self.problem, self.source, self._mutant(parent, rng), 1, seen, rng)
            seen.update(keys(fresh))
            designs = np.concatenate([designs, fresh])
            idle = 0 if len(fresh) else idle + 1
        return complete_batch(self.source, designs, count, taken, rng)

    def _costs(self, population: NDArray[np.intp]) -> FloatArray:
        """Costs p x m of the population, 0 the best that was seen in each objective."""
        seen = self.problem.to_model(self.values[self.complete])
        best, bound = seen.min(axis=0), self.problem.reference_in_model(seen)
        scale = np.where(bound > best, bound - best, 1.0)
        return np.asarray((self.problem.to_model(self.values[population]) - best) / scale)

    def _mutant(self, parent: Indices, rng: np.random.Generator) -> Indices:
        """A copy (1 x d) of a design (d,) with a tenth of its active parameters, rounded up, changed.

        Each to its next higher value, its next lower one, or any [HANNAH]_; a categorical one to any other.
        """
        space, child = self.problem.space, parent.copy()
        active = np.flatnonzero((parent >= 0) & (space.cardinalities > 1))
        for column in rng.choice(active, size=int(np.ceil(MUTATION_RATE * len(active))), replace=False):
            size = int(space.cardinalities[column])
            other = (int(parent[column]) + int(rng.integers(1, size))) % size
            step = int(np.clip(int(parent[column]) + rng.choice([-1, 1]), 0, size - 1))
            ordered = space.parameters[column].kind is not ParameterKind.CATEGORICAL
            child[column] = step if ordered and rng.random() < 2 / 3 else other
        return space.repair(child[None, :], rng)


def _tournament(costs: FloatArray, broken: FloatArray, rng: np.random.Generator) -> int:
    """Position of the winner among a random few of the population (p x m costs)."""
    rivals = rng.integers(len(costs), size=min(TOURNAMENT, len(costs)))
    weights = rng.random(costs.shape[1])
    fitness = np.sqrt(((weights * costs[rivals]) ** 2).sum(axis=1))
    return int(rivals[np.lexsort((fitness, broken[rivals]))[0]])
