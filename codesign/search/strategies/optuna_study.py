"""Optuna's samplers as strategies: what was told is an Optuna study, made anew at each ask.

Optuna's samplers draw from a generator that moves with each call, and one of them keeps its last fit. A strategy must be
a function of what it was told. So each ask makes a fresh sampler, seeded by the strategy's seed and the number of tells,
and an in-memory study with one finished trial per tell: complete with its values and constraints, or failed.

Ordered parameters are integers, the index into their domain; categorical ones are Optuna's categories. Parameters are
suggested one after the other, each where its conditions hold, as a user of Optuna would write it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from codesign.search.candidates import keys
from codesign.search.strategies.listed import complete_batch, realise, realise_near
from codesign.search.strategies.strategy import History
from codesign.space.design_space import INACTIVE, Indices
from codesign.space.parameters import ParameterKind

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial


class OptunaStrategy(History):
    """Base of the strategies that ask a sampler of Optuna.

    The designs of a batch, and pending ones, are running trials to the sampler. A proposal that may not be evaluated (its
    price is infeasible, or it is taken) is drawn again up to ``redraws`` times; then the nearest feasible design found takes
    its place. On a table the nearest free row does so at once. What runs is the design in its place.
    """

    redraws: int

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """A new sampler, as it ships but for its seed."""

    def ask(self, count: int, pending: Indices | None = None) -> Indices:
        """See `Strategy.ask`."""
        rng, taken = self.rng(), self.taken(pending)
        left = self.source.left(taken)
        wanted = count if left is None else min(count, len(left))
        designs = self._empty()
        with _quiet():
            study = self._study(int(rng.integers(2**31)), self._empty() if pending is None else pending)
            while len(designs) < wanted:
                fresh = self._propose(study, taken | set(keys(designs)), rng)
                if not len(fresh):
                    break
                study.add_trial(self._trial(fresh[0], running=True))
                designs = np.concatenate([designs, fresh])
        return complete_batch(self.source, designs, count, taken, rng)

    def _study(self, seed: int, pending: Indices) -> Study:
        """Everything told, and the pending designs as running trials."""
        from optuna import create_study
        from optuna.study import StudyDirection

        directions = [StudyDirection.MAXIMIZE if objective.maximise else StudyDirection.MINIMIZE for objective in self.problem.objectives]
        study = create_study(directions=directions, sampler=self.sampler(seed))
        for row, design in enumerate(self.told.indices):
            study.add_trial(self._trial(design, row))
        for design in pending:
            study.add_trial(self._trial(design, running=True))
        return study

    def _trial(self, design: Indices, row: int | None = None, *, running: bool = False) -> FrozenTrial:
        """A design (d,) as a trial: the told one of that row, or a running one."""
        from optuna.trial import TrialState, create_trial

        distributions = {name: self._distribution(column) for column, name in enumerate(self.problem.space.names) if design[column] >= 0}
        params = {name: int(design[self.problem.space.column(name)]) for name in distributions}
        if running or row is None:
            return create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
        if not self.complete[row]:
            return create_trial(state=TrialState.FAIL, params=params, distributions=distributions)
        constraints = {limit.name: float(value) for limit, value in zip(self.problem.constraints, self.constraints[row], strict=True)}
        return create_trial(values=self.values[row].tolist(), params=params, distributions=distributions, constraints=constraints)

    def _distribution(self, column: int) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution, IntDistribution

        parameter = self.problem.space.parameters[column]
        if parameter.kind is ParameterKind.CATEGORICAL:
            return CategoricalDistribution(tuple(range(len(parameter.values))))
        return IntDistribution(0, len(parameter.values) - 1)

    def _propose(self, study: Study, taken: set[bytes], rng: np.random.Generator) -> Indices:
        """One design (1 x d) that may be evaluated, the sampler's own if it can be; none when nothing is left."""
        wish = self._wish(study)
        for _ in range(self.redraws if self.problem.listed is None else 0):
            found = realise(self.problem, self.source, wish, 1, taken, rng)
            if len(found):
                return found
            wish = self._wish(study)
        return realise_near(self.problem, self.source, wish, taken, rng)

    def _wish(self, study: Study) -> Indices:
        """What the sampler suggests next (1 x d)."""
        from optuna.trial import TrialState

        space = self.problem.space
        design = np.full((1, len(space)), INACTIVE, dtype=np.int16)
        trial = study.ask()
        for column, name in enumerate(space.names):
            if space.active(design)[0, column]:
                size = int(space.cardinalities[column])
                categorical = space.parameters[column].kind is ParameterKind.CATEGORICAL
                design[0, column] = trial.suggest_categorical(name, tuple(range(size))) if categorical else trial.suggest_int(name, 0, size - 1)
        # The trial has done its part: what is evaluated is added as a trial of its own.
        study.tell(trial, state=TrialState.FAIL)
        return design


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from logging each suggestion that no model made, and leave its level as it was."""
    from optuna import logging

    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(level)
