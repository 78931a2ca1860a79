"""Rounds of trials: recorded before they begin, evaluated by the engine, and each result kept as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from codesign.errors import EvaluationError, InputError
from codesign.search.engine import Engine, Outcome
from codesign.search.evaluation import TrainingRequest, train_design
from codesign.search.fidelity import SHORT, SUPERNET, shortened, trial_seed, tuned
from codesign.search.pricing import Pricing
from codesign.search.proposals import Trial
from codesign.search.specification import ACCURACY, StudySpecification
from codesign.search.supernets import Supernets
from codesign.store.study_store import DONE, FAILED, FULL, StoredTrial, StudyStore

Told = Callable[[int, str], None]
"""Hears, after each trial, how much of the budget is done, and a line about it."""


class TrialRunner:
    """Evaluates the trials of one study.

    Args:
        specification: the study file's content.
        folder: trained networks go to its ``models``.
        store: keeps everything.
        pricing: prices new designs.
    """

    def __init__(self, specification: StudySpecification, folder: Path, store: StudyStore, pricing: Pricing) -> None:
        self._specification, self._folder, self._store, self._pricing = specification, folder, store, pricing
        self._ladder = specification.ladder()
        self.supernets = Supernets(pricing, folder, store)

    def batches(self) -> list[list[Trial]]:
        """Trials of the store by round."""
        designs = {design.point.id: design for design in self._store.designs()}
        rounds: dict[int, list[Trial]] = {}
        if self._ladder is None:
            for design in designs.values():
                rounds.setdefault(design.batch, []).append(Trial(design.point))
        for asked in self._store.trials():
            rounds.setdefault(asked.batch, []).append(Trial(designs[asked.design].point, asked.fidelity, asked.replicate))
        return [rounds[number] for number in sorted(rounds)]

    def add_batch(self, number: int, trials: list[Trial]) -> None:
        """Keep a round of proposals."""
        known = {design.point.id for design in self._store.designs()}
        points = [trial.point for trial in trials if trial.point.id not in known]
        priced, self._pricing.priced = self._pricing.priced, 0
        asked = [] if self._ladder is None else [StoredTrial(*trial.key, number) for trial in trials]
        self._store.add_batch(number, zip(points, self._pricing.kpi_reports(points), strict=True), priced=priced, trials=asked)

    def finish(self, trials: list[Trial], engine: Engine, told: Told, spent: float) -> None:
        """Evaluate what has no result yet, the most work first so that workers end together.

        Args:
            trials: of one round.
            engine: runs the trainings.
            told: hears of each result.
            spent: cost of the rounds before.

        Raises:
            EvaluationError: more evaluations failed than the budget allows.
        """
        designs = {design.point.id: design for design in self._store.designs()}
        ended = self._ended()
        waiting = sorted(
            (trial for trial in trials if trial.key not in ended), key=lambda trial: -self._cost(trial) * designs[trial.point.id].kpis["macs"].value
        )
        requests = [self.request(trial) for trial in waiting]
        if not requests:
            return
        if any(trial.fidelity == SUPERNET for trial in waiting):
            bound = self.bound_data()
            with timed(self._store, SUPERNET):
                self.supernets.train(bound["path"], bound["device"], partial(told, int(spent)))

        def on_start(position: int) -> None:
            trial = waiting[position]
            self._store.start(trial.point.id, requests[position].seed, trial.replicate, fidelity=trial.fidelity)

        with timed(self._store, "search"):
            for outcome in engine.run(train_design, requests, on_start=on_start):
                message = self._record(waiting[outcome.position], outcome)
                ended = self._ended()
                told(int(spent + sum(self._cost(trial) for trial in trials if trial.key in ended)), message)
        self._check_failures()

    def _ended(self) -> set[tuple[str, str, int]]:
        return {key for key, row in self._store.all_evaluations().items() if row.state in (DONE, FAILED)}

    def _cost(self, trial: Trial) -> float:
        """Of one trial, in full trainings."""
        return 1.0 if self._ladder is None else self._ladder.cost(np.array([self._ladder.level(trial.fidelity)], dtype=np.intp))

    def _record(self, trial: Trial, outcome: Outcome[dict[str, float]]) -> str:
        """Keep what became of a trial; gives a line about it."""
        design, look = trial.point.id, "" if trial.fidelity == FULL and not trial.replicate else f" ({trial.fidelity}, replicate {trial.replicate})"
        if outcome.result is None:
            self._store.fail(design, outcome.error or "unknown", trial.replicate, fidelity=trial.fidelity)
            return f"{design}{look} failed: {outcome.error}"
        self._store.finish(design, outcome.result, trial.replicate, fidelity=trial.fidelity)
        what = "score" if trial.fidelity == SUPERNET else ACCURACY
        return f"{design}{look} {what} {outcome.result[ACCURACY]:.3f}"

    def request(self, trial: Trial) -> TrainingRequest:
        """What a worker needs; only the first full training of a design leaves a network, the one that is exported."""
        bound, design, choice = self.bound_data(), trial.point.id, self._specification.fidelity
        settings = self._specification.training_overrides()
        if trial.fidelity == SHORT and choice is not None:
            settings |= shortened(self._specification.training_settings(), choice.short_share)
        supernet = None
        if trial.fidelity == SUPERNET and choice is not None:
            settings |= tuned(self._specification.training_settings(), choice.score_share)
            supernet = str(self.supernets.path(self._pricing.joint.blueprint_of(trial.point).name))
        return TrainingRequest(
            rows=self._pricing.joint.graph(trial.point).as_rows(),
            task=self._specification.task,
            data=bound["path"],
            settings=settings,
            seed=trial_seed(self._specification.seed, design, trial.fidelity, trial.replicate),
            folder=str(model_folder(self._folder, design)) if trial.fidelity == FULL and not trial.replicate else None,
            device=bound["device"],
            supernet=supernet,
        )

    def bound_data(self) -> dict[str, Any]:
        """Which data the study uses.

        Raises:
            InputError: none are bound.
        """
        bound = self._store.bound_data()
        if bound is None:
            raise InputError("no data", where=f"study {self._specification.name}", remedy="Call Study.bind_data before Study.search")
        return bound

    def _check_failures(self) -> None:
        rows = list(self._store.all_evaluations().values())
        failed = [row for row in rows if row.state == FAILED]
        allowed = self._specification.budget.failures * self._specification.budget.evaluations
        if len(failed) > allowed:
            raise EvaluationError(
                f"{len(failed)} of {len(rows)} evaluations failed, more than the {allowed:.0f} allowed; the last: {failed[-1].error}",
                where=f"study {self._specification.name}",
                remedy="Correct the cause and run with --retry-failed, or raise budget.failures in the study file",
            )


def model_folder(folder: Path, design: str) -> Path:
    """Where the trained network of a design is kept."""
    return folder / "models" / design


@contextmanager
def timed(store: StudyStore, stage: str) -> Iterator[None]:
    """Record the seconds that the block takes, unless the process is killed in it."""
    begin = time.monotonic()
    try:
        yield
    finally:
        store.log("stage", name=stage, seconds=time.monotonic() - begin)
