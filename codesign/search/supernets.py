"""The shared weights of a study: one supernet for each network family, trained before the first score."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from codesign.kpi.evaluate import price
from codesign.kpi.joint_space import BLUEPRINT
from codesign.network.blueprints.blueprint import Blueprint
from codesign.network.layers import LayerTable
from codesign.search.evaluation import task_of
from codesign.search.fidelity import FidelityChoice
from codesign.search.pricing import Pricing
from codesign.space.design_space import evaluation_seed
from codesign.store.study_store import StudyStore

# Random designs whose networks say how large the shared tensors are; those within the limits are drawn from.
SAMPLED = 4_096
SECONDS = "supernet_seconds"
"""Key of the store: processor time by family."""


class Supernets:
    """Where they are kept, and how they come about.

    Args:
        pricing: of the study.
        folder: of the study; they are kept in its ``supernets``.
        store: learns the time that they took.
    """

    def __init__(self, pricing: Pricing, folder: Path, store: StudyStore) -> None:
        self._pricing, self.joint, self._folder, self._store = pricing, pricing.joint, folder / "supernets", store

    def path(self, blueprint: str) -> Path:
        """The file of one family."""
        return self._folder / f"{blueprint}.pt"

    @property
    def seconds(self) -> float:
        """Processor time of all trainings of shared weights so far."""
        return float(sum((self._store.get(SECONDS) or {}).values()))

    def networks(self, blueprint: Blueprint) -> tuple[LayerTable, LayerTable]:
        """Random networks of a family: all, and those of designs within the limits as the analytical models see them (else all).

        Scores of two families are not on one scale: each has weights of its own, which may be trained better or worse.
        """
        joint = self.joint
        indices = joint.space.sample(SAMPLED, np.random.default_rng([self._pricing.specification.seed, SAMPLED]))
        if len(joint.blueprints) > 1:
            indices = indices[indices[:, joint.space.column(BLUEPRINT)] == joint.blueprints.index(blueprint)]
        table = blueprint.table(joint.space, indices, joint.shape)
        loads = self._pricing.limit_loads(price(joint, indices))
        feasible = np.logical_and.reduce([load <= 1.0 for load in loads.values()])
        return table, table.rows(feasible) if feasible.any() else table

    def train(self, data: str | None, device: str, told: Callable[[str], None]) -> None:
        """Train those that are missing, each as far as it lacks.

        Args:
            data: folder of the full data set, or None for the embedded one.
            device: ``cpu`` or ``cuda``.
            told: hears a line after each epoch.

        Raises:
            EvaluationError: training diverged.
            InputError: a file cannot be read or written.
        """
        from codesign.network.supernet import shared_shapes
        from codesign.network.supernet_training import SupernetProgress, is_finished, supernet_epochs, train_supernet

        specification = self._pricing.specification
        choice = specification.fidelity or FidelityChoice()
        task, settings = task_of(specification.task, data), specification.training_settings()

        def report(blueprint: str, progress: SupernetProgress) -> None:
            told(f"shared weights of {blueprint}: epoch {progress.epoch} of {progress.epochs}, loss {progress.loss:.3f}")

        for blueprint in self.joint.blueprints:
            path = self.path(blueprint.name)
            if is_finished(path):
                continue
            everything, feasible = self.networks(blueprint)
            epochs = supernet_epochs(feasible, settings, choice.supernet_cost)
            seed, began = evaluation_seed(specification.seed, f"supernet/{blueprint.name}"), time.process_time()
            try:
                train_supernet(
                    feasible, shared_shapes(everything), task, settings, epochs, seed, path=path, device=device, progress=partial(report, blueprint.name)
                )
            finally:
                known = self._store.get(SECONDS) or {}
                self._store.put(SECONDS, known | {blueprint.name: known.get(blueprint.name, 0.0) + time.process_time() - began})
