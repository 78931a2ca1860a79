"""What a study promises before it is run: its space, what fits, how long it may take."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from codesign.network.tasks.registry import load_task
from codesign.search.pricing import Feasibility, Pricing
from codesign.search.specification import StudySpecification

# Fitted by `python benchmarks/training_time.py` to the 64 trainings of the built-in study on one core; median error 6 %,
# largest 68 %, and another machine is another factor.
SECONDS_PER_STEP = 4.85e-3
SECONDS_PER_MAC = 7.67e-11


@dataclass(frozen=True)
class StudyCheck:
    """Result of `check_study`.

    Attributes:
        parameters, size: dimensions and number of distinct designs of the space.
        feasibility: what a random sample says.
        training_minutes: estimate, one core.
    """

    name: str
    parameters: int
    size: int
    feasibility: Feasibility
    evaluations: int
    training_minutes: float

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def check_study(specification: StudySpecification) -> StudyCheck:
    """Price a random sample of the space.

    Raises:
        InputError: an objective has the same value for every sampled design.
        InfeasibleError: nothing satisfies the limits.
    """
    pricing = Pricing(specification)
    feasibility = pricing.require_feasible()
    space = pricing.joint.space
    return StudyCheck(
        name=specification.name,
        parameters=len(space),
        size=space.size(),
        feasibility=feasibility,
        evaluations=specification.budget.evaluations,
        training_minutes=training_seconds(specification, feasibility.median_macs) * specification.budget.evaluations / 60.0,
    )


def training_seconds(specification: StudySpecification, macs: float) -> float:
    """Rough processor time of one training: a cost per step and one per multiply-accumulate of a sample."""
    task = load_task(specification.task)
    chosen, defaults = specification.training, task.record.training
    epochs = (chosen.epochs or defaults.epochs) + (chosen.quantised_epochs or defaults.quantised_epochs)
    samples = float(len(task.train.labels) * epochs)
    return samples / (chosen.batch_size or defaults.batch_size) * SECONDS_PER_STEP + samples * macs * SECONDS_PER_MAC
