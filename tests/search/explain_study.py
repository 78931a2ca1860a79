"""Studies with evaluated designs whose accuracies are a formula: what explanations need, without training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from codesign.kpi.evaluate import price
from codesign.network.tasks.registry import load_task
from codesign.search.builtin import builtin_study
from codesign.search.specification import Budget, StudySpecification
from codesign.search.study import Study
from codesign.space.design_space import Indices

DIGITS = StudySpecification(
    schema=1,
    name="explained",
    task="digits",
    device="pynq-z2",
    blueprints=("dscnn",),
    templates=("pe_array",),
    limits={"utilisation": 0.8},
    budget=Budget(evaluations=40, initial=10, batch=2),
)


def kws(**changes: object) -> StudySpecification:
    """The built-in study of keyword spotting."""
    return replace(builtin_study(), **changes)  # type: ignore[arg-type]  # fields by name


def digits(**changes: object) -> StudySpecification:
    return replace(DIGITS, **changes)  # type: ignore[arg-type]  # fields by name


def evaluated_study(folder: Path, specification: StudySpecification, indices: Indices | None = None, *, count: int = 12) -> Study:
    """A study with evaluated designs, random feasible ones if none are given; accuracy grows with the logarithm of the weights, with scatter."""
    study = Study.create(specification, folder / specification.name)
    study.bind_data(load_task(specification.task))
    joint = study.pricing.joint
    if indices is None:
        drawn = joint.space.sample(20_000, np.random.default_rng(4))
        indices = drawn[study.pricing.problem.price(drawn).feasible][:count]
    points = joint.space.points(indices)
    accuracies = 0.3 + 0.05 * np.log(price(joint, indices).values["weights"]) + np.random.default_rng(5).normal(0.0, 0.03, len(indices))
    study.store.add_batch(0, zip(points, study.pricing.kpi_reports(points), strict=True))
    for point, accuracy in zip(points, accuracies.tolist(), strict=True):
        study.store.start(point.id, seed=1)
        study.store.finish(point.id, {"accuracy": accuracy})
    return study
