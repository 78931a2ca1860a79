"""`local`: Pareto local search from the designs found so far.

.. [Paquete2004] L. Paquete, M. Chiarandini, T. Stuetzle, "Pareto Local Optimum Sets in the Biobjective Traveling Salesman
   Problem: An Experimental Study", LNEMS 535, 2004.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from codesign.search.candidates import Variation, new_rows, price_feasible
from codesign.search.pareto import non_dominated
from codesign.search.problem import Pool
from codesign.search.strategies.listed import complete_batch, distances
from codesign.search.strategies.selection import best_first
from codesign.search.strategies.strategy import Capabilities, History
from codesign.space.design_space import Indices

# Rows of a table that count as neighbours of one: about as many as a design has one-parameter neighbours.
NEAREST_ROWS = 40


class LocalStrategy(History):
    """One-parameter neighbours of the present front; random designs at first, and when every neighbour is known [Paquete2004]_.

    The members of the front take turns, those in its emptiest part first. Where every objective has a prior, a neighbour is
    expected at its member's values plus the difference of their priors in model space, and the neighbours best by rank and
    crowding come first. On a table the nearest rows are the neighbours. While no design holds the constraints, the one that
    breaks them least stands for the front.
    """

    name: ClassVar[str] = "local"
    capabilities: ClassVar[Capabilities] = Capabilities(model=False, prior=True, pending=False)

    def ask(self, count: int, pending: Indices | None = None) -> Indices:
        """See `Strategy.ask`."""
        rng, taken = self.rng(), self.taken(pending)
        designs = self._empty()
        if len(self) >= self.settings.initial and self.complete.any():
            near, member = self._neighbours(taken, rng)
            designs = near.indices[self._order(near, member)[:count]]
        return complete_batch(self.source, designs, count, taken, rng)

    def _front(self) -> NDArray[np.intp]:
        """Rows of the told designs whose neighbours are looked at, those in the emptiest part of the front first."""
        order = best_first(self.values, self.constraints, self.problem.maximise)
        if not self.feasible.any():
            return order[:1]
        front = non_dominated(np.where(self.feasible[:, None], self.values, np.nan), self.problem.maximise)
        return order[front[order]]

    def _neighbours(self, taken: set[bytes], rng: np.random.Generator) -> tuple[Pool, NDArray[np.intp]]:
        """New feasible neighbours, one of each member in turn, and the told row that each is a neighbour of."""
        front = self._front()
        left = self.source.left(taken) if self.problem.listed is not None else None
        found = []
        for design in self.told.indices[front]:
            if left is None:
                pool = price_feasible(self.problem, Variation(self.problem.space).neighbours(design, rng), taken)
                found.append(pool.rows(rng.permutation(len(pool))))
            else:
                shuffled = rng.permutation(len(left))
                nearest = np.argsort(distances(self.problem.space, left.indices[shuffled], design), kind="stable")
                found.append(left.rows(shuffled[nearest[:NEAREST_ROWS]]))
        turn = np.argsort(np.concatenate([np.arange(len(pool)) for pool in found]), kind="stable")
        joined, member = Pool.join(found).rows(turn), np.repeat(front, [len(pool) for pool in found])[turn]
        fresh = new_rows(joined.indices, set())
        return joined.rows(fresh), member[fresh]

    def _order(self, near: Pool, member: NDArray[np.intp]) -> NDArray[np.intp]:
        """Positions of the neighbours, most promising first; as they are where the priors do not tell."""
        prior, base = near.priced.prior, self.told.priced.prior[member]
        if not len(near) or not (np.isfinite(prior).all() and np.isfinite(base).all() and self.complete[member].all()):
            return np.arange(len(near), dtype=np.intp)
        model = self.problem.to_model
        expected = model(self.values[member]) + model(prior) - model(base)
        return best_first(expected, np.zeros((len(near), 0)), np.zeros(expected.shape[1], dtype=np.bool_))
