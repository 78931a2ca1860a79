"""`nsga2`: the standard multi-objective genetic algorithm, over the joint space.

.. [Deb2002] K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE TEC 6(2), 2002.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from codesign.search.candidates import IDLE_ROUNDS, Variation, keys, price_feasible
from codesign.search.pareto import crowding_distance, front_ranks
from codesign.search.strategies.strategy import Capabilities, History
from codesign.space.design_space import Indices

CROSSOVER_PROBABILITY = 0.9


class Nsga2Strategy(History):
    """Binary tournament on rank and crowding, crossover, mutation, elitist survival [Deb2002]_.

    Generations are cut from the sequence of tells: the first ``population`` designs are the first generation, drawn at
    random; each further ``population`` designs compete with their parents for survival.
    """

    name: ClassVar[str] = "nsga2"
    capabilities: ClassVar[Capabilities] = Capabilities(model=False, prior=False, pending=False)

    def ask(self, count: int, pending: Indices | None = None) -> Indices:
        """See `Strategy.ask`."""
        rng, taken = self.rng(), self.taken(pending)
        parents = self._survivors()
        if len(parents) == 0:
            return self.source.draw(count, taken, rng).indices
        children = self._offspring(parents, count, taken, rng)
        if len(children) == count:
            return children
        extra = self.source.draw(count - len(children), taken | set(keys(children)), rng)
        return np.concatenate([children, extra.indices])

    def _survivors(self) -> NDArray[np.intp]:
        """Rows of the told designs that are the present parents; none before the first generation is complete."""
        size = self.settings.population
        parents = np.arange(0, dtype=np.intp)
        for begin in range(0, len(self) - size + 1, size):
            union = np.concatenate([parents, np.arange(begin, begin + size, dtype=np.intp)])
            parents = union[self._order(union)[:size]]
        return parents[~np.isnan(self.values[parents]).any(axis=1)]

    def _order(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Best first: by rank, then by crowding distance."""
        values = self.values[rows]
        ranks = front_ranks(values, self.problem.maximise)
        crowding = np.zeros(len(rows))
        for rank in np.unique(ranks[ranks < len(rows)]):
            crowding[ranks == rank] = crowding_distance(values[ranks == rank])
        return np.lexsort((-crowding, ranks))

    def _offspring(self, parents: NDArray[np.intp], count: int, taken: set[bytes], rng: np.random.Generator) -> Indices:
        """Up to ``count`` new feasible children."""
        variation = Variation(self.problem.space)
        position = np.empty(len(parents), dtype=np.intp)
        position[self._order(parents)] = np.arange(len(parents))
        children, seen, idle = self._empty(), set(taken), 0
        while len(children) < count and idle < IDLE_ROUNDS:
            rivals = rng.integers(len(parents), size=(2, 2, 4 * count))
            winners = np.where(position[rivals[0]] <= position[rivals[1]], rivals[0], rivals[1])
            first, second = (self.told.indices[parents[side]] for side in winners)
            crossed = np.where(rng.random((len(first), 1)) < CROSSOVER_PROBABILITY, variation.cross(first, second, rng), first)
            fresh = price_feasible(self.problem, variation.mutate(crossed, rng), seen).indices
            seen.update(keys(fresh))
            children = np.concatenate([children, fresh])
            idle = 0 if len(fresh) else idle + 1
        return children[:count]
