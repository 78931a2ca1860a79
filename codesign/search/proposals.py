"""What a study asks of its strategy: full trainings, or trials of several fidelities, until the budget is spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from codesign.search.fidelity import FidelityStrategy, Ladder, Trials, find_fidelity_strategy
from codesign.search.problem import SearchProblem
from codesign.search.specification import StudySpecification
from codesign.search.strategies.strategy import Strategy, StrategySettings, find_strategy
from codesign.space.design_space import DesignPoint
from codesign.store.study_store import FULL, TrialKey

FloatArray = NDArray[np.float64]

# Budgets are sums of shares: what is left of the last one is rounding.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Trial:
    """One evaluation of a design: its fidelity, and its number among the repetitions."""

    point: DesignPoint
    fidelity: str = FULL
    replicate: int = 0

    @property
    def key(self) -> TrialKey:
        """What no other trial has."""
        return (self.point.id, self.fidelity, self.replicate)


class Proposals(Protocol):
    """Rounds of trials; what was told, not when, decides the next one."""

    @property
    def spent(self) -> float:
        """Cost of the trials told, in full trainings."""
        ...

    @property
    def open(self) -> bool:
        """Whether the budget pays for more."""
        ...

    def ask(self) -> list[Trial]:
        """The next round; nothing when the space is exhausted.

        Raises:
            InfeasibleError: no feasible design was found.
        """
        ...

    def tell(self, trials: list[Trial], values: FloatArray) -> None:
        """Values n x m of a round; a row of NaN is a failed evaluation."""
        ...


def proposals_of(specification: StudySpecification, problem: SearchProblem) -> Proposals:
    """As the study file says."""
    settings, name, ladder = StrategySettings(initial=specification.budget.initial), specification.strategy.name, specification.ladder()
    if ladder is None:
        return FullProposals(find_strategy(name)(problem, specification.seed, settings), problem, specification)
    return FidelityProposals(find_fidelity_strategy(name)(problem, specification.seed, settings, ladder), ladder, problem, specification)


class FullProposals:
    """Each design once, in full."""

    def __init__(self, strategy: Strategy, problem: SearchProblem, specification: StudySpecification) -> None:
        self._strategy, self._space, self._budget = strategy, problem.space, specification.budget
        self._told = 0

    @property
    def spent(self) -> float:
        """See `Proposals.spent`."""
        return float(self._told)

    @property
    def open(self) -> bool:
        """See `Proposals.open`."""
        return self._told < self._budget.evaluations

    def ask(self) -> list[Trial]:
        """See `Proposals.ask`."""
        count = min(self._budget.initial if self._told == 0 else self._budget.batch, self._budget.evaluations - self._told)
        return [Trial(point) for point in self._space.points(self._strategy.ask(count))]

    def tell(self, trials: list[Trial], values: FloatArray) -> None:
        """See `Proposals.tell`."""
        self._strategy.tell(self._space.indices(trial.point for trial in trials), values)
        self._told += len(trials)


class FidelityProposals:
    """Trials of several fidelities; the budget counts full trainings."""

    def __init__(self, strategy: FidelityStrategy, ladder: Ladder, problem: SearchProblem, specification: StudySpecification) -> None:
        self._strategy, self._ladder, self._space, self._budget = strategy, ladder, problem.space, specification.budget
        self._spent, self._begun = ladder.preparation, False

    @property
    def spent(self) -> float:
        """See `Proposals.spent`."""
        return self._spent

    @property
    def open(self) -> bool:
        """See `Proposals.open`."""
        return self._budget.evaluations - self._spent >= 1.0 - ROUNDING

    def ask(self) -> list[Trial]:
        """See `Proposals.ask`."""
        count = self._budget.batch if self._begun else self._budget.initial
        asked = self._strategy.ask_evaluations(count, self._budget.evaluations - self._spent)
        names = [self._ladder.fidelities[level].name for level in asked.level.tolist()]
        rows = zip(self._space.points(asked.indices), names, asked.replicate.tolist(), strict=True)
        return [Trial(point, name, replicate) for point, name, replicate in rows]

    def tell(self, trials: list[Trial], values: FloatArray) -> None:
        """See `Proposals.tell`."""
        level = np.array([self._ladder.level(trial.fidelity) for trial in trials], dtype=np.intp)
        replicate = np.array([trial.replicate for trial in trials], dtype=np.intp)
        self._strategy.tell_evaluations(Trials(self._space.indices(trial.point for trial in trials), level, replicate), values)
        self._spent += self._ladder.cost(level)
        self._begun = True
