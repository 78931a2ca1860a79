"""`nsga2`: the standard multi-objective genetic algorithm, over the joint space.

.. [Deb2002] K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE TEC 6(2), 2002.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from codesign.search.candidates import IDLE_ROUNDS, Variation, keys
from codesign.search.strategies.listed import complete_batch, realise
from codesign.search.strategies.selection import best_first, breed
from codesign.search.strategies.strategy import Capabilities, History
from codesign.space.design_space import Indices

# Children wished per design wanted, where wishes may be refused.
WISHES = 4


class Nsga2Strategy(History):
    """Binary tournament on constrained rank and crowding, crossover, mutation, elitist survival [Deb2002]_.

    Generations are cut from the sequence of tells: the first ``population`` designs are the first generation, drawn at
    random; each further ``population`` designs compete with their parents for survival.
    """

    name: ClassVar[str] = "nsga2"
    capabilities: ClassVar[Capabilities] = Capabilities(model=False, prior=False, pending=False)

    def ask(self, count: int, pending: Indices | None = None) -> Indices:
        """See `Strategy.ask`."""
        rng, taken = self.rng(), self.taken(pending)
        parents = self._survivors()
        children = self._offspring(parents, count, taken, rng) if len(parents) else self._empty()
        return complete_batch(self.source, children, count, taken, rng)

    def _survivors(self) -> NDArray[np.intp]:
        """Rows of the told designs that are the present parents, best first; none before the first generation is complete."""
        size = self.settings.population
        parents = np.arange(0, dtype=np.intp)
        for begin in range(0, len(self) - size + 1, size):
            union = np.concatenate([parents, np.arange(begin, begin + size, dtype=np.intp)])
            parents = union[best_first(self.values[union], self.constraints[union], self.problem.maximise)[:size]]
        return parents[self.complete[parents]]

    def _offspring(self, parents: NDArray[np.intp], count: int, taken: set[bytes], rng: np.random.Generator) -> Indices:
        """Up to ``count`` new feasible children."""
        variation = Variation(self.problem.space)
        children, seen, idle = self._empty(), set(taken), 0
        while len(children) < count and idle < IDLE_ROUNDS:
            wishes = breed(self.told.indices[parents], WISHES * count, variation, rng)
            fresh = realise(self.problem, self.source, wishes, count - len(children), seen, rng)
            seen.update(keys(fresh))
            children = np.concatenate([children, fresh])
            idle = 0 if len(fresh) else idle + 1
        return children
