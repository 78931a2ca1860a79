"""A study whose results are written straight into the store: what evidence does needs no training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from codesign.network.tasks.registry import load_task
from codesign.search.specification import Budget, StudySpecification
from codesign.search.study import Study
from codesign.space.design_space import DesignPoint

SPECIFICATION = StudySpecification(
    schema=1,
    name="evidence",
    task="digits",
    device="pynq-z2",
    blueprints=("mlp",),
    templates=("pe_array",),
    objectives=("accuracy", "latency_us", "lut"),
    budget=Budget(evaluations=12, initial=10, batch=2),
)


def evaluated_study(folder: Path, *, count: int = 10, limits: dict[str, float] | None = None) -> Study:
    """A study with ``count`` evaluated designs whose accuracies rise from 0.5 to 0.9."""
    study = Study.create(replace(SPECIFICATION, limits=limits or {}), folder / SPECIFICATION.name)
    study.bind_data(load_task("digits"))
    space = study.pricing.joint.space
    points = space.points(space.sample(count, np.random.default_rng(4)))
    study.store.add_batch(0, zip(points, study.pricing.kpi_reports(points), strict=True))
    for point, accuracy in zip(points, np.linspace(0.5, 0.9, count).tolist(), strict=True):
        study.store.start(point.id, seed=1)
        study.store.finish(point.id, {"accuracy": accuracy})
    return study


def designs(study: Study) -> list[DesignPoint]:
    """In the order they were asked."""
    return [design.point for design in study.store.designs()]


def analytical(study: Study, kpi: str) -> dict[str, float]:
    """By design id."""
    return {design.point.id: design.kpis[kpi].value for design in study.store.designs()}
