"""The expensive evidence: train the network of one design. Runs in this process or in a Dask worker."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign.network.layers import LayerGraph
from codesign.network.tasks.registry import load_task
from codesign.network.tasks.task import Task

if TYPE_CHECKING:
    from codesign.network.supernet import SharedWeights


@dataclass(frozen=True)
class TrainingRequest:
    """Everything a worker needs to train one design; plain types only, so that it crosses process borders.

    Attributes:
        rows: the layer graph as `LayerGraph.as_rows` gives it.
        task: task name; ``data`` is the folder of the full data set, or None for the embedded one.
        settings: values that replace the task's training defaults.
        seed: decides everything random in the training.
        folder: where the trained network is kept; None where only its metrics are wanted.
        device: ``cpu``, ``cuda`` or ``auto``.
        supernet: file of the shared weights that the network is scored with; None where it is trained by itself.
    """

    rows: list[dict[str, int | str]]
    task: str
    data: str | None
    settings: dict[str, Any]
    seed: int
    folder: str | None
    device: str = "cpu"
    supernet: str | None = None


def train_design(request: TrainingRequest) -> dict[str, float]:
    """Train, save the network under ``request.folder`` if it names one, and return the metrics.

    Of a network on shared weights, ``accuracy`` is the mean probability of the right class.

    Raises:
        EvaluationError: training diverged.
        InputError: the file of shared weights cannot be read.
    """
    from codesign.network.training import save_trained, settings_for, train

    task, graph = task_of(request.task, request.data), LayerGraph.from_rows(request.rows)
    settings = settings_for(task.record, request.settings)
    if request.supernet is not None:
        from codesign.network.supernet import score_network

        shared = _shared_weights(request.supernet, Path(request.supernet).stat().st_mtime_ns)
        trained = score_network(graph, shared, task, settings, request.seed, device=request.device)
        trained = dataclasses.replace(trained, validation_accuracy=trained.confidence)
    else:
        trained = train(graph, task, settings, request.seed, device=request.device)
    if request.folder is not None:
        save_trained(trained, Path(request.folder))
    return {
        "accuracy": trained.validation_accuracy,
        "train_accuracy": trained.train_accuracy,
        "float_accuracy": trained.float_accuracy,
        "epochs": float(trained.epochs),
        "seconds": trained.seconds,
    }


@lru_cache(maxsize=4)
def _shared_weights(path: str, changed_ns: int) -> SharedWeights:
    """Read once per process; ``changed_ns`` tells another file of the same name."""
    from codesign.network.supernet_training import load_weights

    return load_weights(Path(path))


@lru_cache(maxsize=2)
def task_of(name: str, data: str | None) -> Task:
    """The data set, read once per process."""
    return load_task(name, Path(data) if data else None)
