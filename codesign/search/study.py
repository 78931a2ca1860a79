"""A study: ask, evaluate, tell, until the budget is spent; everything that matters is in the store.

A proposal is a function of the study seed and of the results told so far, and the seed of a training is a function of
the study seed and the design. So the order of completion, the number of jobs, and interruptions change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import EvaluationError, InputError, StoreError
from codesign.estimate import Estimate, Evidence
from codesign.network.deployed import NETWORK_FILE, STATE_FILE, DeployedNetwork
from codesign.network.tasks.task import Task
from codesign.search.engine import Engine
from codesign.search.evaluation import train_design
from codesign.search.evidence import EvidenceBook
from codesign.search.fidelity import LEVELS, SHORT, SUPERNET
from codesign.search.fidelity_counts import FidelityCount, count_fidelities
from codesign.search.pareto import non_dominated
from codesign.search.pricing import Pricing
from codesign.search.proposals import Trial, proposals_of
from codesign.search.shares import share
from codesign.search.specification import ACCURACY, StudySpecification
from codesign.search.trial_runner import TrialRunner, model_folder, timed
from codesign.store.study_store import DONE, FAILED, FULL, StoredDesign, StoredEvaluation, StoredEvidence, StudyStore

STORE_FILE = "study.sqlite"


@dataclass(frozen=True)
class Evaluated:
    """A design with what is known of it.

    Attributes:
        evaluation: its first full training; a shorter one where `Study.find` was asked for such designs too.
        repeats: accuracies of its further full trainings with other seeds.
    """

    design: StoredDesign
    evaluation: StoredEvaluation
    repeats: tuple[float, ...] = ()

    @property
    def id(self) -> str:
        """The design's id."""
        return self.design.point.id

    @property
    def training(self) -> str:
        """How it was trained: ``full``, ``3 seeds``, or the name of a shorter training."""
        return f"{len(self.repeats) + 1} seeds" if self.repeats else self.evaluation.fidelity

    @property
    def accuracy(self) -> float:
        """Mean over the seeds that it was trained with; only where the first training succeeded."""
        return float(np.mean([self.evaluation.metrics[ACCURACY], *self.repeats]))


@dataclass(frozen=True)
class Progress:
    """Told to the caller after each step of a run."""

    stage: str
    done: int
    total: int
    message: str


Listener = Callable[[Progress], None]


class Study:
    """One study in its working folder.

    Args:
        specification: the study file's content.
        folder: holds the store, the trained networks and the report.
    """

    def __init__(self, specification: StudySpecification, folder: Path, store: StudyStore) -> None:
        self.specification = specification
        self.folder = folder
        self.store = store
        self.pricing = Pricing(specification)
        self.evidence = EvidenceBook(store, self.pricing)
        self._runner = TrialRunner(specification, folder, store, self.pricing)

    @classmethod
    def create(cls, specification: StudySpecification, folder: Path) -> Study:
        """Open the study in ``folder``, or begin it there.

        Raises:
            InputError: the folder cannot be written, or holds another study.
            StoreError: the store is damaged or of another schema.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", where=str(folder), remedy="Choose another folder with --runs") from None
        store = StudyStore.at(folder / STORE_FILE)
        begun = store.get("specification")
        known = None if begun is None else StudySpecification.from_dict(begun, where=str(folder / STORE_FILE)).hash
        if known is not None and known != specification.hash:
            raise InputError(
                f"holds results of another version of study {specification.name!r} (hash {known}, now {specification.hash})",
                where=str(folder),
                remedy="Give the changed study another name, or move the folder away",
            )
        store.put("specification", specification.as_dict())
        return cls(specification, folder, store)

    @classmethod
    def open(cls, folder: Path) -> Study:
        """Open an existing study.

        Raises:
            InputError: there is none in ``folder``.
        """
        path = folder / STORE_FILE
        if not path.is_file():
            raise InputError("holds no study", where=str(folder), remedy="Run one with `codesign run`, or name its folder with --study")
        store = StudyStore.at(path, create=False)
        data = store.get("specification")
        if data is None:
            raise StoreError("has no study yet", where=str(path), remedy="Run it with its study file")
        return cls(StudySpecification.from_dict(data, where=str(path)), folder, store)

    def search(self, engine: Engine, *, listen: Listener | None = None) -> None:
        """Spend the budget; continues where an earlier run stopped. `bind_data` comes first.

        Raises:
            InputError: no data are bound, or an objective has the same value for every design.
            InfeasibleError: nothing satisfies the limits.
            EvaluationError: more evaluations failed than the budget allows.
        """
        self._runner.bound_data()
        self.evidence.learn()
        if not self.store.designs():
            self.pricing.require_feasible()
        proposals = proposals_of(self.specification, self.pricing.problem)

        def tell_listener(done: int, message: str) -> None:
            if listen is not None:
                listen(Progress("search", done, self.specification.budget.evaluations, message))

        batches = self._runner.batches()
        for trials in batches:
            self._runner.finish(trials, engine, tell_listener, proposals.spent)
            proposals.tell(trials, self._values(trials))
        number = len(batches)
        while proposals.open:
            trials = proposals.ask()
            if not trials:
                self.store.log("exhausted", asked=proposals.spent)
                break
            self._runner.add_batch(number, trials)
            self._runner.finish(trials, engine, tell_listener, proposals.spent)
            proposals.tell(trials, self._values(trials))
            number += 1

    def _values(self, trials: list[Trial]) -> NDArray[np.float64]:
        """Objectives n x m of trials, at the fidelity of each."""
        rows, designs = self.store.all_evaluations(), {design.point.id: design for design in self.store.designs()}
        return np.array([self.objective_values(designs[trial.point.id], rows[trial.key]) for trial in trials])

    def restore_models(self, chosen: Sequence[Evaluated], engine: Engine) -> None:
        """Train again, with the same seeds, designs whose trained network is missing or damaged.

        Raises:
            EvaluationError: the network could not be trained as before.
        """
        missing = [item for item in chosen if not self._has_model(item.id)]
        requests = [self._runner.request(Trial(item.design.point)) for item in missing]
        for outcome in engine.run(train_design, requests):
            item = missing[outcome.position]
            if outcome.result is None or outcome.result[ACCURACY] != item.evaluation.metrics[ACCURACY]:
                what = outcome.error or f"gave {outcome.result} instead of accuracy {item.evaluation.metrics[ACCURACY]}"
                raise EvaluationError(f"could not be trained again: {what}", where=f"design {item.id}", remedy="Run the study anew under another name")

    def _has_model(self, design: str) -> bool:
        """Whether both files of a trained network are there and the integers can be read."""
        folder = self.model_folder(design)
        try:
            DeployedNetwork.load(folder / NETWORK_FILE)
        except InputError:
            return False
        return (folder / STATE_FILE).is_file()

    def objective_values(self, design: StoredDesign, evaluation: StoredEvaluation) -> list[float]:
        """Objectives in the study's order; all nan when the evaluation failed."""
        if evaluation.state != DONE:
            return [float("nan")] * len(self.specification.objectives)
        kpis = self.evidence.kpis(design)
        return [evaluation.metrics[ACCURACY] if name == ACCURACY else kpis[name].value for name in self.specification.objectives]

    def values_of(self, item: Evaluated) -> list[float]:
        """Objectives of a design in the study's order, accuracy the mean over its seeds; all nan when it failed."""
        values = self.objective_values(item.design, item.evaluation)
        return [item.accuracy if name == ACCURACY and item.repeats else value for name, value in zip(self.specification.objectives, values, strict=True)]

    def evaluated(self) -> list[Evaluated]:
        """Designs with a full training that ended or failed, in the order they were asked."""
        repeats: dict[str, list[float]] = {}
        rows = self.store.all_evaluations()
        for (design, fidelity, replicate), row in sorted(rows.items()):
            if fidelity == FULL and replicate and row.state == DONE:
                repeats.setdefault(design, []).append(row.metrics[ACCURACY])
        ended = [(design, rows.get((design.point.id, FULL, 0))) for design in self.store.designs()]
        found = [(design, row) for design, row in ended if row is not None and row.state in (DONE, FAILED)]
        return [Evaluated(design, row, tuple(repeats.get(design.point.id, ())) if row.state == DONE else ()) for design, row in found]

    def briefly_evaluated(self) -> list[Evaluated]:
        """Designs that were looked at below the full fidelity only, with the dearest look that succeeded."""
        rows, full = self.store.all_evaluations(), {item.id for item in self.evaluated()}
        reduced = [row for row in rows.values() if row.fidelity != FULL and row.state == DONE and row.design not in full]
        brief = {row.design: row for row in sorted(reduced, key=lambda row: LEVELS.index(row.fidelity))}
        return [Evaluated(design, brief[design.point.id]) for design in self.store.designs() if design.point.id in brief]

    def front(self) -> list[Evaluated]:
        """Non-dominated designs by the study's objectives, the most accurate first; none that evidence shows beyond the limits.

        Only full trainings count; where there are several of a design, their mean.
        """
        least = self.specification.limits.get(ACCURACY, 0.0)
        done = [item for item in self.evaluated() if item.evaluation.state == DONE and item.accuracy >= least]
        done = [item for item in done if self.evidence.within_limits(self.evidence.kpis(item.design))]
        if not done:
            return []
        values = np.array([self.values_of(item) for item in done])
        mask = non_dominated(values, np.array([objective.maximise for objective in self.pricing.problem.objectives]))
        chosen = [item for item, keep in zip(done, mask, strict=True) if keep]
        return sorted(chosen, key=lambda item: (-item.accuracy, item.id))

    def find(self, prefix: str, *, brief: bool = False) -> Evaluated:
        """The evaluated design whose id begins with ``prefix``.

        Args:
            prefix: first digits of the id.
            brief: look among the designs that were trained below the full fidelity only, too; they have no network.

        Raises:
            InputError: none or several do.
        """
        short = self.briefly_evaluated()
        among = self.evaluated() + (short if brief else [])
        found = [item for item in among if item.id.startswith(prefix)]
        if len(found) != 1 or not prefix:
            what = f"no evaluated design {prefix!r}" if not found or not prefix else f"{len(found)} designs begin with {prefix!r}"
            if not found and prefix and any(item.id.startswith(prefix) for item in short):
                what = f"design {prefix!r} was trained briefly only, and has no network"
            raise InputError(what, where=f"study {self.specification.name}", remedy="List them with `codesign front --all`")
        return found[0]

    def figures(self, item: Evaluated) -> dict[str, Estimate]:
        """Every figure of a design: accuracy where it was trained, test accuracy where it was verified, and its best-known KPIs."""
        figures: dict[str, Estimate] = {}
        if item.evaluation.state == DONE:
            samples = self._runner.bound_data()["validation"]
            source = {FULL: "one seed", SHORT: "short training"}.get(item.training, f"mean of {item.training}")
            if item.training == SUPERNET:
                # It orders networks, and is far below the accuracy that training would give.
                figures["score"] = Estimate.exact(item.accuracy, "1", Evidence.SUPERNET, "mean probability of the right class with shared weights")
            else:
                figures[ACCURACY] = share(item.accuracy, samples, Evidence.TRAINED, f"validation split, {source}")
        result = self.store.verifications("csim").get(item.id)
        if result is not None:
            figures["test_accuracy"] = share(result["metric_simulated"], result["samples"], Evidence.CSIM, "held-out test split, C simulation")
        return figures | self.evidence.kpis(item.design)

    def add_evidence(self, design: str, kpi: str, value: float, evidence: Evidence | str, source: str) -> StoredEvidence:
        """Keep a key figure measured on a design (id or first digits): figures, front and further search use it.

        Raises:
            InputError: see `codesign.search.evidence.EvidenceBook.add`.
        """
        return self.evidence.add(design, kpi, value, evidence, source)

    def bind_data(self, task: Task, *, path: Path | None = None, device: str = "cpu") -> None:
        """Remember which data the study uses, where they lie, and where it trains.

        Args:
            task: the loaded data.
            path: folder that they were loaded from; None for the embedded ones.
            device: ``cpu`` or ``cuda``; results of the two are not mixed.

        Raises:
            InputError: the study was begun with other data or on another device.
        """
        found: dict[str, Any] = {"hash": task.data_hash, "device": device}
        found |= {"train": len(task.train.labels), "validation": len(task.validation.labels), "test": len(task.test.labels)}
        known = self.store.bound_data()
        for key, option in (("hash", "--data"), ("device", "--train-on")):
            if known is not None and known[key] != found[key]:
                raise InputError(
                    f"was begun with {key} {known[key]}, not {found[key]}",
                    where=f"study {self.specification.name}, data",
                    remedy=f"Give the same {option} as before, or another study name",
                )
        self.store.put("data", found | {"path": None if path is None else str(path.resolve())})

    @property
    def data_path(self) -> Path | None:
        """Folder of the data that the study uses; None for the embedded ones."""
        bound = self.store.bound_data()
        return Path(bound["path"]) if bound and bound["path"] else None

    def timed(self, stage: str) -> AbstractContextManager[None]:
        """Record the seconds that the block takes, unless the process is killed in it."""
        return timed(self.store, stage)

    def fidelity_counts(self) -> tuple[FidelityCount, ...]:
        """What was spent on each fidelity, the cheapest first; nothing in a study without fidelities."""
        return count_fidelities(self.specification, self.store.all_evaluations().values(), self._runner.supernets.seconds)

    def compute_seconds(self) -> dict[str, float]:
        """Seconds by stage, all runs of the study together."""
        total: dict[str, float] = {}
        for _, detail in self.store.events("stage"):
            total[detail["name"]] = total.get(detail["name"], 0.0) + detail["seconds"]
        return total

    def counts(self) -> tuple[int, int]:
        """Designs evaluated in full with success, and failed."""
        states = [row.state for row in self.store.evaluations().values()]
        return states.count(DONE), states.count(FAILED)

    def project_folder(self, design: str) -> Path:
        """Where the last verification exported a design to."""
        return Path(self.store.get("hls_out") or "hls_out") / self.specification.name / design

    def model_folder(self, design: str) -> Path:
        """Where a design's trained network is kept."""
        return model_folder(self.folder, design)
