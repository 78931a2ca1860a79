"""The study file: what to search, on what board, within which limits and budget."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Any

from codesign.accelerator.device import Device, find_device
from codesign.catalogue import load_record, parse_record, record
from codesign.errors import InputError
from codesign.kpi.evaluate import KPI_UNITS
from codesign.kpi.joint_space import JointSpace
from codesign.kpi.template_model import find_template
from codesign.network.blueprints.blueprint import find_blueprint
from codesign.network.tasks.registry import task_record
from codesign.network.tasks.task import TrainingDefaults
from codesign.search.fidelity import FidelityChoice, Ladder, find_fidelity_strategy
from codesign.search.strategies.strategy import strategy_names

SCHEMA = 1
NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
ACCURACY = "accuracy"
MAXIMISED = (ACCURACY, "throughput_per_s")
CLOCK = "clock_mhz"
OBJECTIVES = (ACCURACY, *(name for name in KPI_UNITS if name != CLOCK))
"""What a study may be after; the clock is a parameter, of worth only for what it does to the others."""

FEWEST_FULL = 5
"""Full trainings that a study must be able to pay after its shared weights and first scores: what a predictor needs."""


@record
class Budget:
    """How much the search may spend.

    Attributes:
        evaluations: designs to evaluate by training; with fidelities, the compute to spend, counted in full trainings.
        initial: designs of the space-filling start, before the predictor proposes.
        batch: designs proposed at a time; their results are awaited before the next proposals.
        failures: share of the evaluations that may fail before the run stops with exit code 5.
    """

    evaluations: int = 64
    initial: int = 16
    batch: int = 4
    failures: float = 0.25

    def __post_init__(self) -> None:
        for key in ("evaluations", "initial", "batch"):
            if not 1 <= getattr(self, key) <= 1_000_000:
                raise ValueError(f"{key} must be at least 1")
        if self.initial > self.evaluations:
            raise ValueError(f"initial ({self.initial}) must not exceed evaluations ({self.evaluations})")
        if not 0.0 <= self.failures <= 1.0:
            raise ValueError("failures must lie between 0 and 1")


@record
class StrategyChoice:
    """Which strategy proposes designs."""

    name: str = "ehvi"


@record
class TrainingOverrides:
    """Training settings that replace the task's defaults; None keeps the default."""

    epochs: int | None = None
    quantised_epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        for key in ("epochs", "quantised_epochs", "batch_size"):
            value = getattr(self, key)
            if value is not None and not 1 <= value <= 100_000:
                raise ValueError(f"{key} must be at least 1")
        if self.learning_rate is not None and not 0.0 < self.learning_rate <= 1.0:
            raise ValueError("learning_rate must lie in (0, 1]")


@record
class StudySpecification:
    """A study file.

    Attributes:
        schema: version of this format.
        name: names the working folder; lower-case letters, digits, ``-`` and ``_``.
        seed: everything random follows from it.
        task, device: catalogue names.
        blueprints, templates: network families and accelerator templates to search over.
        objectives: 2 to 5 of ``accuracy`` and the KPI names, without ``clock_mhz``.
        limits: hard limits by KPI name (largest allowed; smallest for accuracy and throughput_per_s), and
            ``utilisation``, the largest share of any device resource.
        budget, strategy, training: see their classes.
        space: values that replace a parameter's domain, by parameter name.
        fidelity: how much may be spent on one look at a design; without it every design is trained once, in full.
    """

    schema: int
    name: str
    task: str
    device: str
    blueprints: tuple[str, ...]
    templates: tuple[str, ...]
    seed: int = 1
    objectives: tuple[str, ...] = (ACCURACY, "latency_us", "energy_uj")
    limits: dict[str, float] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    strategy: StrategyChoice = field(default_factory=StrategyChoice)
    training: TrainingOverrides = field(default_factory=TrainingOverrides)
    space: dict[str, tuple[int | float | str, ...]] = field(default_factory=dict)
    fidelity: FidelityChoice | None = None

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"study files of schema {self.schema} are not known; this version reads schema {SCHEMA}")
        if not NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r} must be lower-case letters, digits, - and _, and begin with a letter")
        if not 0 <= self.seed < 2**31:
            raise ValueError("seed must be at least 0 and below 2**31")
        self._check_objectives()
        self._check_limits()

    def _check_objectives(self) -> None:
        for name in self.objectives:
            if name == CLOCK:
                raise ValueError("clock_mhz cannot be an objective: it is a parameter, not a goal; use latency_us, or give its values under [space]")
            if name not in OBJECTIVES:
                raise ValueError(f"unknown objective {name!r}; choose from {', '.join(OBJECTIVES)}")
        if not 2 <= len(self.objectives) <= 5 or len(set(self.objectives)) != len(self.objectives):
            raise ValueError("objectives must be 2 to 5 different names")
        if ACCURACY not in self.objectives:
            raise ValueError("objectives must contain accuracy")

    def _check_limits(self) -> None:
        known = ("utilisation", ACCURACY, *KPI_UNITS)
        for name, value in self.limits.items():
            if name not in known:
                raise ValueError(f"unknown limit {name!r}; choose from {', '.join(known)}")
            if value <= 0:
                raise ValueError(f"impossible limit {name} = {value:g}: it must be positive")
        for name in ("utilisation", ACCURACY):
            if self.limits.get(name, 1.0) > 1.0:
                raise ValueError(f"impossible limit {name} = {self.limits[name]:g}: it is a share of 1")

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` reads them back."""
        document: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        if self.fidelity is None:
            # As it was written, and hashed, before there were fidelities.
            del document["fidelity"]
        return document

    @classmethod
    def from_dict(cls, data: dict[str, Any], *, where: str) -> StudySpecification:
        """Inverse of `as_dict`.

        Raises:
            InputError: see `codesign.catalogue.parse_record`.
        """
        return parse_record(data, cls, where=where)

    @property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of everything that decides which designs are evaluated, in which order.

        The number of evaluations is left out: a longer budget continues the same study.
        """
        document = self.as_dict()
        del document["budget"]["evaluations"], document["budget"]["failures"]
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def find_device(self) -> Device:
        """The device of the study."""
        return find_device(self.device)

    def training_settings(self) -> TrainingDefaults:
        """The task's training with the study's overrides: a full training."""
        return dataclasses.replace(task_record(self.task).training, **self.training_overrides())

    def training_overrides(self) -> dict[str, Any]:
        """Training settings that the study sets."""
        return {key: value for key, value in dataclasses.asdict(self.training).items() if value is not None}

    def ladder(self) -> Ladder | None:
        """The fidelities of the study; None where every design is trained once, in full.

        Raises:
            InputError: a level saves nothing over the next one, or what comes before the full trainings leaves too few of them.
        """
        if self.fidelity is None:
            return None
        ladder = Ladder.of(self.fidelity, self.training_settings(), len(set(self.space.get("blueprint", self.blueprints))))
        left = self.budget.evaluations - ladder.preparation - self.budget.initial * ladder.fidelities[0].cost
        if ladder.preparation and left < FEWEST_FULL:
            raise InputError(
                f"shared weights and the first scores leave {max(left, 0.0):.1f} of a budget of {self.budget.evaluations} full trainings: too few",
                where="fidelity.supernet_cost",
                remedy=f"Raise budget.evaluations, lower fidelity.supernet_cost so that {FEWEST_FULL} are left, or leave supernet off the levels",
            )
        return ladder

    def joint_space(self) -> JointSpace:
        """The joint space of the study.

        Raises:
            InputError: an override names an unknown parameter or leaves its domain.
        """
        return JointSpace.build(task_record(self.task).shape, self.blueprints, self.templates, self.find_device(), self.space)


def load_specification(path: Path) -> StudySpecification:
    """Read and check a study file, names of the catalogue included.

    Raises:
        InputError: unreadable file, unknown key, wrong type, impossible value, unknown name.
    """
    specification = load_record(path, StudySpecification)
    check_names(specification, where=str(path))
    return specification


def check_names(specification: StudySpecification, *, where: str) -> None:
    """Look every name up: task, device, blueprints, templates, strategy, parameters.

    Raises:
        InputError: a name is not known, or a list of names is empty or repeats one.
    """
    lookups: list[tuple[str, tuple[str, ...], Callable[[str], object]]] = [
        ("task", (specification.task,), task_record),
        ("device", (specification.device,), find_device),
        ("blueprints", specification.blueprints, find_blueprint),
        ("templates", specification.templates, find_template),
    ]
    if specification.strategy.name not in strategy_names():
        raise InputError(
            f"unknown strategy {specification.strategy.name!r}", where=f"{where}: strategy.name", remedy=f"Choose from {', '.join(strategy_names())}"
        )
    for key, names, look_up in lookups:
        if not names or len(set(names)) != len(names):
            raise InputError("must name at least one, and none twice", where=f"{where}: {key}", remedy="Correct the list")
        for name in names:
            _relocate(partial(look_up, name), f"{where}: {key}")
    if specification.fidelity is not None:
        _relocate(partial(find_fidelity_strategy, specification.strategy.name), f"{where}: strategy.name")
        _relocate(specification.ladder, f"{where}: ", prefix=True)
    _relocate(specification.joint_space, f"{where}: space")


def _relocate(action: Callable[[], object], where: str, *, prefix: bool = False) -> None:
    """Run a look-up; an error is told with the place in the study file, or with that before its own."""
    try:
        action()
    except InputError as error:
        raise InputError(error.what, where=f"{where}{error.where}" if prefix else where, remedy=error.remedy) from None
