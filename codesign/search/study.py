"""A study: ask, evaluate, tell, until the budget is spent; everything that matters is in the store.

A proposal is a function of the study seed and of the results told so far, and the seed of a training is a function of
the study seed and the design. So the order of completion, the number of jobs, and interruptions change nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codesign.errors import EvaluationError, InputError, StoreError
from codesign.estimate import Estimate, Evidence
from codesign.network.deployed import NETWORK_FILE, STATE_FILE, DeployedNetwork
from codesign.network.tasks.task import Task
from codesign.search.engine import Engine
from codesign.search.evaluation import TrainingRequest, train_design
from codesign.search.evidence import EvidenceBook
from codesign.search.pareto import non_dominated
from codesign.search.pricing import Pricing
from codesign.search.specification import ACCURACY, StudySpecification
from codesign.search.strategies.strategy import Strategy, StrategySettings, find_strategy
from codesign.space.design_space import DesignPoint, evaluation_seed
from codesign.store.study_store import DONE, FAILED, StoredDesign, StoredEvaluation, StoredEvidence, StudyStore

STORE_FILE = "study.sqlite"


@dataclass(frozen=True)
class Evaluated:
    """A design with what is known of it."""

    design: StoredDesign
    evaluation: StoredEvaluation

    @property
    def id(self) -> str:
        """The design's id."""
        return self.design.point.id


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
        self._bound_data()
        self.evidence.learn()
        if not self.store.designs():
            self.pricing.require_feasible()
        budget = self.specification.budget
        strategy: Strategy = find_strategy(self.specification.strategy.name)(
            self.pricing.problem, self.specification.seed, StrategySettings(initial=budget.initial)
        )
        batches = self._batches()
        for members in batches:
            self._finish_batch(members, engine, listen)
            self._tell(strategy, members)
        asked = sum(len(members) for members in batches)
        number = len(batches)
        while asked < budget.evaluations:
            count = min(budget.initial if asked == 0 else budget.batch, budget.evaluations - asked)
            points = self.pricing.joint.space.points(strategy.ask(count))
            if not points:
                self.store.log("exhausted", asked=asked)
                break
            priced, self.pricing.priced = self.pricing.priced, 0
            self.store.add_batch(number, zip(points, self.pricing.kpi_reports(points), strict=True), priced=priced)
            members = [design for design in self.store.designs() if design.batch == number]
            self._finish_batch(members, engine, listen)
            self._tell(strategy, members)
            asked, number = asked + len(members), number + 1

    def _batches(self) -> list[list[StoredDesign]]:
        """Designs of the store by proposal round."""
        rounds: dict[int, list[StoredDesign]] = {}
        for design in self.store.designs():
            rounds.setdefault(design.batch, []).append(design)
        return [rounds[number] for number in sorted(rounds)]

    def _finish_batch(self, members: list[StoredDesign], engine: Engine, listen: Listener | None) -> None:
        """Evaluate what has no result yet, the largest network first so that workers end together."""
        ended = {design for design, row in self.store.evaluations().items() if row.state in (DONE, FAILED)}
        waiting = sorted((design for design in members if design.point.id not in ended), key=lambda design: -design.kpis["macs"].value)
        requests = [self._request(design.point) for design in waiting]
        if not requests:
            return

        def on_start(position: int) -> None:
            self.store.start(waiting[position].point.id, requests[position].seed)

        with self.timed("search"):
            for outcome in engine.run(train_design, requests, on_start=on_start):
                design = waiting[outcome.position].point.id
                if outcome.result is not None:
                    self.store.finish(design, outcome.result)
                    message = f"{design} accuracy {outcome.result['accuracy']:.3f}"
                else:
                    self.store.fail(design, outcome.error or "unknown")
                    message = f"{design} failed: {outcome.error}"
                if listen is not None:
                    done = sum(row.state in (DONE, FAILED) for row in self.store.evaluations().values())
                    listen(Progress("search", done, self.specification.budget.evaluations, message))
        self._check_failures()

    def restore_models(self, chosen: Sequence[Evaluated], engine: Engine) -> None:
        """Train again, with the same seeds, designs whose trained network is missing or damaged.

        Raises:
            EvaluationError: the network could not be trained as before.
        """
        missing = [item for item in chosen if not self._has_model(item.id)]
        requests = [self._request(item.design.point) for item in missing]
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

    def _request(self, point: DesignPoint) -> TrainingRequest:
        bound = self._bound_data()
        overrides = {key: value for key, value in self.specification.as_dict()["training"].items() if value is not None}
        return TrainingRequest(
            rows=self.pricing.joint.graph(point).as_rows(),
            task=self.specification.task,
            data=bound["path"],
            settings=overrides,
            seed=evaluation_seed(self.specification.seed, point.id),
            folder=str(self.model_folder(point.id)),
            device=bound["device"],
        )

    def _bound_data(self) -> dict[str, Any]:
        bound = self.store.bound_data()
        if bound is None:
            raise InputError("no data", where=f"study {self.specification.name}", remedy="Call Study.bind_data before Study.search")
        return bound

    def _check_failures(self) -> None:
        rows = self.store.evaluations().values()
        failed = [row for row in rows if row.state == FAILED]
        allowed = self.specification.budget.failures * self.specification.budget.evaluations
        if len(failed) > allowed:
            raise EvaluationError(
                f"{len(failed)} of {len(rows)} evaluations failed, more than the {allowed:.0f} allowed; the last: {failed[-1].error}",
                where=f"study {self.specification.name}",
                remedy="Correct the cause and run with --retry-failed, or raise budget.failures in the study file",
            )

    def _tell(self, strategy: Strategy, members: list[StoredDesign]) -> None:
        rows = self.store.evaluations()
        values = np.array([self.objective_values(design, rows[design.point.id]) for design in members])
        strategy.tell(self.pricing.joint.space.indices(design.point for design in members), values)

    def objective_values(self, design: StoredDesign, evaluation: StoredEvaluation) -> list[float]:
        """Objectives in the study's order; all nan when the evaluation failed."""
        if evaluation.state != DONE:
            return [float("nan")] * len(self.specification.objectives)
        kpis = self.evidence.kpis(design)
        return [evaluation.metrics[ACCURACY] if name == ACCURACY else kpis[name].value for name in self.specification.objectives]

    def evaluated(self) -> list[Evaluated]:
        """Designs with a result or a failure, in the order they were asked."""
        rows = self.store.evaluations()
        ended = [(design, rows.get(design.point.id)) for design in self.store.designs()]
        return [Evaluated(design, row) for design, row in ended if row is not None and row.state in (DONE, FAILED)]

    def front(self) -> list[Evaluated]:
        """Non-dominated designs by the study's objectives, the most accurate first; none that evidence shows beyond the limits."""
        least = self.specification.limits.get(ACCURACY, 0.0)
        done = [item for item in self.evaluated() if item.evaluation.state == DONE and item.evaluation.metrics[ACCURACY] >= least]
        done = [item for item in done if self.evidence.within_limits(self.evidence.kpis(item.design))]
        if not done:
            return []
        values = np.array([self.objective_values(item.design, item.evaluation) for item in done])
        mask = non_dominated(values, np.array([objective.maximise for objective in self.pricing.problem.objectives]))
        chosen = [item for item, keep in zip(done, mask, strict=True) if keep]
        return sorted(chosen, key=lambda item: (-item.evaluation.metrics[ACCURACY], item.id))

    def find(self, prefix: str) -> Evaluated:
        """The evaluated design whose id begins with ``prefix``.

        Raises:
            InputError: none or several do.
        """
        found = [item for item in self.evaluated() if item.id.startswith(prefix)]
        if len(found) != 1 or not prefix:
            what = f"no evaluated design {prefix!r}" if not found or not prefix else f"{len(found)} designs begin with {prefix!r}"
            raise InputError(what, where=f"study {self.specification.name}", remedy="List them with `codesign front --all`")
        return found[0]

    def figures(self, item: Evaluated) -> dict[str, Estimate]:
        """Every figure of a design: accuracy where it was trained, test accuracy where it was verified, and its best-known KPIs."""
        figures: dict[str, Estimate] = {}
        if item.evaluation.state == DONE:
            samples = self._bound_data()["validation"]
            figures[ACCURACY] = _share(item.evaluation.metrics[ACCURACY], samples, Evidence.TRAINED, "validation split, one seed")
        result = self.store.verifications("csim").get(item.id)
        if result is not None:
            figures["test_accuracy"] = _share(result["metric_simulated"], result["samples"], Evidence.CSIM, "held-out test split, C simulation")
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

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Record the seconds that the block takes, unless the process is killed in it."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.store.log("stage", name=stage, seconds=time.monotonic() - begin)

    def compute_seconds(self) -> dict[str, float]:
        """Seconds by stage, all runs of the study together."""
        total: dict[str, float] = {}
        for _, detail in self.store.events("stage"):
            total[detail["name"]] = total.get(detail["name"], 0.0) + detail["seconds"]
        return total

    def counts(self) -> tuple[int, int]:
        """Designs evaluated with success, and failed."""
        states = [row.state for row in self.store.evaluations().values()]
        return states.count(DONE), states.count(FAILED)

    def project_folder(self, design: str) -> Path:
        """Where the last verification exported a design to."""
        return Path(self.store.get("hls_out") or "hls_out") / self.specification.name / design

    def model_folder(self, design: str) -> Path:
        """Where a design's trained network is kept."""
        return self.folder / "models" / design


def _share(value: float, samples: int, evidence: Evidence, source: str) -> Estimate:
    low, high = wilson_interval(value, samples)
    return Estimate(value, "1", low, high, evidence, f"{source}, {samples} samples")


def wilson_interval(share: float, samples: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a binomial share (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927), always containing the share."""
    centre = (share + z * z / (2 * samples)) / (1 + z * z / samples)
    half = z / (1 + z * z / samples) * float(np.sqrt(share * (1 - share) / samples + z * z / (4 * samples * samples)))
    return min(max(0.0, centre - half), share), max(min(1.0, centre + half), share)
