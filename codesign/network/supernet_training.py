"""Training of the weights that all networks of a family share (`codesign.network.supernet`), and the file that keeps them.

In each batch the largest network learns from the labels, and a few others that are drawn from what it answers (in-place
distillation [Yu2019]_). The same seed gives the same weights, wherever an interrupted training went on.

.. [Yu2019] J. Yu, T. Huang, "Universally Slimmable Networks and Improved Training Techniques", ICCV 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from codesign.errors import EvaluationError, InputError
from codesign.network.augmentation import augment
from codesign.network.layers import LayerTable
from codesign.network.supernet import Shape, SharedWeights, SubNetwork
from codesign.network.tasks.task import Task, TrainingDefaults
from codesign.network.training import FLOAT_WARM_UP, one_cycle, reproducible, shuffled, split_tensors, training_device

DRAWN = 2
"""Networks drawn for each batch, besides the largest."""
SHARED_RATE, SHARED_DECAY = 0.5, 0.15
"""Learning rate and weight decay of a supernet, as shares of those of one network: its weights serve many and see more steps."""

NOT_READABLE, REMEDY = "not a readable supernet", "Delete it; it is trained again"
WEIGHT_PREFIX, SHAPE_AXES = "weight.", 4
"""Names of the shared tensors in a file begin so, and have that many axes."""


@dataclass(frozen=True)
class SupernetProgress:
    """One epoch of a supernet.

    Attributes:
        epoch, epochs: number from 1, and how many there are.
        loss: mean training loss of the largest network.
    """

    epoch: int
    epochs: int
    loss: float


def supernet_epochs(networks: LayerTable, settings: TrainingDefaults, cost: float) -> int:
    """Epochs that ``cost`` full trainings of a network of average work pay for; at least one.

    A batch passes the largest and `DRAWN` average networks, where a batch of a full training passes one.
    """
    macs = networks.macs.sum(axis=1)
    return max(1, round(cost * (settings.epochs + settings.quantised_epochs) / (DRAWN + float(macs.max() / macs.mean()))))


def train_supernet(
    networks: LayerTable,
    shapes: Mapping[str, Shape],
    task: Task,
    settings: TrainingDefaults,
    epochs: int,
    seed: int,
    *,
    path: Path,
    device: str = "cpu",
    progress: Callable[[SupernetProgress], None] | None = None,
) -> SharedWeights:
    """Train shared weights; the file keeps them after each epoch, and an interrupted training goes on from it.

    Args:
        networks: what is drawn from, each alike; that of most steps is the largest.
        shapes: of the shared tensors.
        task: only its training split is read.
        settings: batch size, learning rate, weight decay and label smoothing of one network.
        epochs: over the training split, with the largest and `DRAWN` other networks a batch; see `supernet_epochs`.
        seed: of weights, networks, batches and augmentation.
        path: where they are kept.
        device: see `codesign.network.training.train`.
        progress: called after each epoch.

    Raises:
        EvaluationError: the loss became infinite or not a number.
        InputError: the file cannot be read or written or holds another supernet, or CUDA is asked for and not there.
    """
    chosen = training_device(device)
    with reproducible(chosen):
        return _SupernetTrainer(networks, shapes, task, settings, epochs, seed, path, chosen, progress).run()


class _SupernetTrainer:
    """One training of shared weights."""

    def __init__(
        self,
        networks: LayerTable,
        shapes: Mapping[str, Shape],
        task: Task,
        settings: TrainingDefaults,
        epochs: int,
        seed: int,
        path: Path,
        device: torch.device,
        progress: Callable[[SupernetProgress], None] | None,
    ) -> None:
        self.networks, self.task, self.settings, self.epochs, self.seed = networks, task, settings, epochs, seed
        self.path, self.device, self.progress = path, device, progress
        self.largest = networks.graph(int(networks.macs.sum(axis=1).argmax()))
        self.samples, self.labels = split_tensors(task.record, task.train, device)
        self.shared = SharedWeights(shapes, torch.Generator().manual_seed(seed)).to(device)
        self.rate = SHARED_RATE * settings.learning_rate
        self.optimiser = torch.optim.AdamW(self.shared.parameters(), lr=self.rate, weight_decay=SHARED_DECAY * settings.weight_decay, fused=True)

    def run(self) -> SharedWeights:
        for epoch in range(self._resume(), self.epochs):
            loss = self._epoch(epoch)
            if not math.isfinite(loss) or not all(bool(parameter.isfinite().all()) for parameter in self.shared.parameters()):
                raise EvaluationError(
                    f"training of shared weights diverged in epoch {epoch + 1}", where=str(self.path), remedy="Lower training.learning_rate in the study file"
                )
            save_weights(self.path, self.shared, epoch + 1, self.epochs, self.optimiser.state_dict() if epoch + 1 < self.epochs else None)
            if self.progress is not None:
                self.progress(SupernetProgress(epoch + 1, self.epochs, loss))
        return self.shared

    def _resume(self) -> int:
        """Epochs that the file holds; the weights and the optimiser go on from there."""
        if not self.path.exists():
            return 0
        found = _read(self.path)
        try:
            self.shared.load_state_dict(found["weights"])
            if found["epochs"] != self.epochs:
                raise ValueError(f"{found['epochs']} epochs")
            if found["epoch"] < self.epochs:
                self.optimiser.load_state_dict(found["optimiser"])
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"holds another supernet: {error}".splitlines()[0], where=str(self.path), remedy=REMEDY) from None
        return int(found["epoch"])

    def _epoch(self, epoch: int) -> float:
        """Mean loss of the largest network."""
        # Each epoch has its own random numbers, so that a training goes on as if it had not been interrupted.
        rng = np.random.default_rng([self.seed, epoch])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        parts, total = shuffled(len(self.samples), self.settings.batch_size, generator), 0.0
        for number, rows in enumerate(parts):
            self.optimiser.param_groups[0]["lr"] = one_cycle(self.rate, (epoch + number / len(parts)) / self.epochs, FLOAT_WARM_UP)
            samples = augment(self.samples[rows], self.task.record.augmentation, generator)
            self.optimiser.zero_grad()
            total += self._learn(samples, self.labels[rows], rng.integers(len(self.networks), size=DRAWN)) / len(parts)
            self.optimiser.step()
        return total

    def _learn(self, samples: Tensor, labels: Tensor, drawn: NDArray[np.int64]) -> float:
        """Gradients of one batch; gives the loss of the largest network."""
        share = 1.0 / (1 + len(drawn))
        answers = SubNetwork(self.largest, self.shared)(samples)
        loss = functional.cross_entropy(answers, labels, label_smoothing=self.settings.label_smoothing)
        (share * loss).backward()  # type: ignore[no-untyped-call]  # torch ships no type for it
        taught = answers.detach().softmax(dim=1)
        for row in drawn.tolist():
            own = functional.cross_entropy(SubNetwork(self.networks.graph(row), self.shared)(samples), taught)
            (share * own).backward()  # type: ignore[no-untyped-call]  # as above
        return float(loss.detach())


def save_weights(path: Path, shared: SharedWeights, epoch: int, epochs: int, optimiser: dict[str, Any] | None) -> None:
    """Write shared weights after ``epoch`` of ``epochs``; the file appears whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    weights = {key: value.detach().cpu() for key, value in shared.state_dict().items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as stream:
            torch.save({"epoch": epoch, "epochs": epochs, "weights": weights, "optimiser": optimiser}, stream)
        partial.replace(path)
    except OSError as error:
        raise InputError(f"cannot be written: {error}", where=str(path), remedy="Check permissions and free space") from None


def is_finished(path: Path) -> bool:
    """Whether a file holds shared weights that were trained to the end.

    Raises:
        InputError: it is there and damaged.
    """
    if not path.exists():
        return False
    found = _read(path)
    return bool(found["epoch"] == found["epochs"])


def load_weights(path: Path) -> SharedWeights:
    """Shared weights that were trained to the end.

    Raises:
        InputError: the file is missing, damaged or unfinished.
    """
    found = _read(path)
    if found["epoch"] != found["epochs"]:
        raise InputError("holds a supernet that is still being trained", where=str(path), remedy="Run the study again, which trains it to the end")
    shapes = {name.removeprefix(WEIGHT_PREFIX): tuple(value.shape) for name, value in found["weights"].items() if name.startswith(WEIGHT_PREFIX)}
    try:
        shared = SharedWeights(shapes)
        shared.load_state_dict(found["weights"])
    except (KeyError, RuntimeError) as error:
        raise InputError(f"{NOT_READABLE}: {error}".splitlines()[0], where=str(path), remedy=REMEDY) from None
    return shared


def _read(path: Path) -> dict[str, Any]:
    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
    except Exception:  # noqa: BLE001  # torch raises whatever its unpickler meets in a damaged file, and advises to trust it
        raise InputError(NOT_READABLE, where=str(path), remedy=REMEDY) from None
    if not isinstance(found, dict) or not _well_formed(found):
        raise InputError(NOT_READABLE, where=str(path), remedy=REMEDY)
    return found


def _well_formed(found: dict[str, Any]) -> bool:
    """Whether a file's content has counts of epochs, and tensors by name."""
    weights = found.get("weights")
    if not isinstance(weights, dict) or not all(isinstance(found.get(key), int) and found[key] >= 1 for key in ("epoch", "epochs")):
        return False
    if not weights or found["epoch"] > found["epochs"] or not all(isinstance(name, str) and _owns_its_values(value) for name, value in weights.items()):
        return False
    return all(value.dim() == SHAPE_AXES for name, value in weights.items() if name.startswith(WEIGHT_PREFIX))


def _owns_its_values(value: object) -> bool:
    """Whether something is a tensor, and not a few values that claim to be many."""
    return isinstance(value, Tensor) and value.untyped_storage().nbytes() >= value.numel() * value.element_size()
