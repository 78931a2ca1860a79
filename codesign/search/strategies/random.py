"""`random`: feasible designs drawn uniformly; the yardstick for every other strategy."""

from __future__ import annotations

from typing import ClassVar

from codesign.search.strategies.strategy import Capabilities, History
from codesign.space.design_space import Indices


class RandomStrategy(History):
    """Uniform over each active parameter, infeasible designs refused."""

    name: ClassVar[str] = "random"
    capabilities: ClassVar[Capabilities] = Capabilities(model=False, prior=False, pending=False)

    def ask(self, count: int, pending: Indices | None = None) -> Indices:
        """See `Strategy.ask`."""
        return self.source.draw(count, self.taken(pending), self.rng()).indices
