"""Problems that every strategy must cope with: what may be asked, and what an evaluation gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codesign.search.candidates import keys
from codesign.search.problem import Constraint, Objective, Priced, SearchProblem
from codesign.search.strategies.strategy import Strategy
from codesign.space.design_space import Indices
from tests.search.toy_problem import Toy, evaluate, toy_problem

FloatArray = NDArray[np.float64]
Limits = Callable[[SearchProblem, Indices], FloatArray]


def no_limits(problem: SearchProblem, designs: Indices) -> FloatArray:
    return np.empty((len(designs), 0))


def learned_limits(problem: SearchProblem, designs: Indices) -> FloatArray:
    """Two constraints in different units; about half of the random designs hold both."""
    toy = Toy(problem.space, designs)
    return np.stack([toy.energy_uj - 20.0, 0.65 - toy.accuracy], axis=1)


@dataclass(frozen=True)
class Case:
    """A problem; every seventh evaluation of it fails."""

    problem: SearchProblem
    limits: Limits = no_limits

    def tell(self, strategy: Strategy, designs: Indices, already: int) -> None:
        """Evaluate designs and tell the strategy, which was told ``already`` before."""
        values, limits = self.evaluate(designs, already)
        strategy.tell(designs, values, limits if self.problem.constraints else None)

    def evaluate(self, designs: Indices, already: int) -> tuple[FloatArray, FloatArray]:
        """Values and constraints; the numbers of the evaluations begin at ``already``."""
        failed = (already + np.arange(len(designs))) % 7 == 3
        values = np.where(failed[:, None], np.nan, evaluate_wide(self.problem, designs))
        return values, np.where(failed[:, None], np.nan, self.limits(self.problem, designs))

    def advance(self, strategy: Strategy, sizes: tuple[int, ...]) -> list[Indices]:
        """Ask, evaluate and tell, in batches of these sizes."""
        asked: list[Indices] = []
        for size in sizes:
            asked.append(strategy.ask(size))
            self.tell(strategy, asked[-1], sum(map(len, asked[:-1])))
        return asked

    def may_be_asked(self, designs: Indices) -> bool:
        """Canonical, distinct, feasible by their price, and rows of the table where there is one."""
        problem, known = self.problem, set(keys(designs))
        within = problem.listed is None or known <= set(keys(problem.listed))
        canonical = designs.dtype == np.int16 and bool((problem.space.active(designs) == (designs >= 0)).all())
        return within and canonical and len(known) == len(designs) and bool(problem.price(designs).feasible.all())


def wide_problem(objectives: int) -> SearchProblem:
    """The toy with four or five objectives: its weights and its multipliers count as well."""
    toy = toy_problem()
    more = (Objective("weights", False, False, True), Objective("macs", False, False, True))

    def price(indices: Indices) -> Priced:
        priced, known = toy.price(indices), Toy(toy.space, indices)
        extra = np.stack([known.weights, known.macs_per_cycle], axis=1)
        prior = np.concatenate([priced.prior, extra], axis=1)[:, :objectives]
        error = np.concatenate([priced.prior_error, np.full_like(extra, 0.1)], axis=1)[:, :objectives]
        return replace(priced, prior=prior, prior_error=error)

    return replace(toy, objectives=(toy.objectives + more)[:objectives], price=price)


def evaluate_wide(problem: SearchProblem, designs: Indices) -> FloatArray:
    """What evaluations give (n x m) of a toy with two to five objectives."""
    toy = Toy(problem.space, designs)
    extra = np.stack([toy.weights, toy.macs_per_cycle], axis=1)
    return np.concatenate([evaluate(problem, designs), extra], axis=1)[:, : len(problem.objectives)]


def sample_of(problem: SearchProblem, rows: int) -> SearchProblem:
    """A table of some random designs of a problem, nearly all of whose products are missing."""
    return replace(problem, listed=np.unique(problem.space.sample(rows, np.random.default_rng(0)), axis=0))


CASES = {
    "two objectives": Case(toy_problem(objectives=2)),
    "three objectives": Case(toy_problem()),
    "two evaluated": Case(toy_problem(latency_evaluated=True)),
    "no prior of accuracy": Case(toy_problem(prior=False)),
    "four objectives": Case(wide_problem(4)),
    "five objectives": Case(wide_problem(5)),
    "few feasible": Case(toy_problem(allowed_weights=1500.0)),
    "learned constraints": Case(replace(toy_problem(), constraints=(Constraint("energy"), Constraint("error"))), learned_limits),
    "sparse table": Case(sample_of(toy_problem(), 60)),
    "sparse table, learned constraints": Case(replace(sample_of(toy_problem(), 60), constraints=(Constraint("energy"), Constraint("error"))), learned_limits),
}
