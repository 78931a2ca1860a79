"""Quantisation-aware training of one network: floating point first, then the Brevitas network folded from it.

The floating-point phase learns with batch normalisation, which is cheap. Then the normalisation is folded into weights
and biases, power-of-two scales are chosen, and the Brevitas network, which has no normalisation any more, is fine-tuned:
what is deployed is what was trained. Everything random comes from one generator; the same seed on the same machine gives
the same integers, whatever else the process does.

.. [Smith2018] L. N. Smith, N. Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
   Rates", arXiv:1708.07120 (one-cycle schedule).
.. [Loshchilov2019] I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019 (AdamW).
"""

from __future__ import annotations

import copy
import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor, nn
from torch.nn import functional

from codesign.errors import EvaluationError, InputError
from codesign.network.augmentation import augment
from codesign.network.builder import BrevitasNetwork, as_values, brevitas_logits, build, extract, same_integers
from codesign.network.calibration import calibrate
from codesign.network.deployed import NETWORK_FILE, STATE_FILE, DeployedNetwork
from codesign.network.float_network import FloatNetwork, FoldedLayer
from codesign.network.layers import LayerGraph
from codesign.network.tasks.task import Split, Task, TaskRecord, TrainingDefaults

CALIBRATION_SAMPLES = 512
EVALUATION_BATCH = 256
QUANTISED_RATE = 0.3
"""Peak learning rate of the quantised phase, as a share of the floating-point phase's."""
FLOAT_WARM_UP, QUANTISED_WARM_UP = 0.3, 0.1
"""Share of a phase in which the one-cycle schedule rises."""
FIRST_RATE = 0.04
"""Where it begins, as a share of the peak."""


@dataclass(frozen=True)
class TrainingProgress:
    """One epoch.

    Attributes:
        phase: ``float`` or ``quantised``.
        epoch, epochs: number from 1, and how many the phase has at most.
        loss: mean training loss of the epoch.
        validation_accuracy: after the epoch, 0 to 1.
    """

    phase: str
    epoch: int
    epochs: int
    loss: float
    validation_accuracy: float


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network and how well it does.

    Attributes:
        deployed: its integers.
        model: the Brevitas network they come from, on the CPU.
        validation_accuracy, train_accuracy: of the Brevitas network, 0 to 1.
        float_accuracy: validation accuracy before quantisation.
        confidence: mean probability that the Brevitas network gives to the right class of a validation sample: the accuracy
            of one who draws the answer by it. It tells networks apart that a few hundred right or wrong answers do not.
        epochs: epochs trained, both phases.
        seconds: processor time.
    """

    deployed: DeployedNetwork
    model: BrevitasNetwork
    validation_accuracy: float
    train_accuracy: float
    float_accuracy: float
    confidence: float
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Score:
    """Accuracy (0 to 1) and mean cross entropy of a network on a split."""

    accuracy: float
    loss: float


def settings_for(record: TaskRecord, overrides: Mapping[str, Any]) -> TrainingDefaults:
    """The task's training settings with some replaced.

    Raises:
        InputError: unknown setting, or a value out of range.
    """
    try:
        return dataclasses.replace(record.training, **overrides)
    except (TypeError, ValueError) as error:
        raise InputError(str(error), where="training settings", remedy="Correct the [training] table of the study file") from None


def train(
    graph: LayerGraph,
    task: Task,
    settings: TrainingDefaults,
    seed: int,
    *,
    device: str = "cpu",
    progress: Callable[[TrainingProgress], None] | None = None,
) -> TrainedNetwork:
    """Train one network.

    Args:
        graph: the network.
        task: its data; only the training and validation splits are read.
        settings: schedule and regularisation.
        seed: of weights, batches and augmentation.
        device: ``cpu``, ``cuda``, or ``auto`` (CUDA where there is one).
        progress: called after each epoch.

    Raises:
        EvaluationError: the loss became infinite or not a number.
        InputError: CUDA asked for and not there.
    """
    chosen = training_device(device)
    with reproducible(chosen):
        return _Trainer(graph, task, settings, seed, chosen, progress).run()


def fine_tune(
    graph: LayerGraph, folded: Mapping[str, FoldedLayer], task: Task, settings: TrainingDefaults, seed: int, *, float_accuracy: float, device: str = "cpu"
) -> TrainedNetwork:
    """Quantise a network whose floating-point weights are known, and train it over the quantised epochs only.

    Args:
        graph: the network.
        folded: its weights and biases by layer name.
        task: see `train`.
        settings: of which the floating-point epochs are not used.
        seed: of batches and augmentation.
        float_accuracy: validation accuracy of the floating-point network.
        device: see `train`.

    Raises:
        EvaluationError: the loss became infinite or not a number.
        InputError: CUDA asked for and not there.
    """
    chosen = training_device(device)
    with reproducible(chosen):
        return _Trainer(graph, task, settings, seed, chosen, None).quantise(folded, float_accuracy)


class _Trainer:
    """One training run."""

    def __init__(
        self,
        graph: LayerGraph,
        task: Task,
        settings: TrainingDefaults,
        seed: int,
        device: torch.device,
        progress: Callable[[TrainingProgress], None] | None,
    ) -> None:
        self.graph, self.task, self.settings, self.device, self.progress = graph, task, settings, device, progress
        self.began = time.process_time()
        self.generator = torch.Generator().manual_seed(seed)
        self.train_samples, self.train_labels = split_tensors(task.record, task.train, device)
        self.validation_samples, self.validation_labels = split_tensors(task.record, task.validation, device)

    def run(self) -> TrainedNetwork:
        network = FloatNetwork(self.graph, self.generator).to(self.device)
        for epoch, loss in self._epochs(network, "float", self.settings.epochs, self.settings.learning_rate, FLOAT_WARM_UP):
            if self.progress is not None:
                self._report("float", epoch, self.settings.epochs, loss, self._validate(network))
        trained = self.quantise(network.fold(), self._validate(network).accuracy)
        return dataclasses.replace(trained, epochs=self.settings.epochs + trained.epochs)

    def quantise(self, folded: Mapping[str, FoldedLayer], float_accuracy: float) -> TrainedNetwork:
        """The quantised phase, from floating-point weights and biases by layer name."""
        model = build(self.graph, self.task.record).to(self.device)
        calibrate(model, folded, self.train_samples[:CALIBRATION_SAMPLES])
        epochs = self._fine_tune(model)
        train_accuracy = score(model, self.train_samples, self.train_labels).accuracy
        model = model.cpu().eval()
        logits, labels = brevitas_logits(model, self.task.validation.samples), self.task.validation.labels
        shares = softmax(logits * 2.0 ** -model.output_fraction(model.last), axis=1)
        return TrainedNetwork(
            deployed=extract(model),
            model=model,
            validation_accuracy=float(np.mean(logits.argmax(axis=1) == labels)),
            train_accuracy=train_accuracy,
            float_accuracy=float_accuracy,
            confidence=float(shares[np.arange(len(labels)), labels].mean()),
            epochs=epochs,
            seconds=time.process_time() - self.began,
        )

    def _fine_tune(self, model: BrevitasNetwork) -> int:
        """The quantised phase; keeps the weights of the epoch with the lowest validation loss. Returns the epochs trained.

        The loss is a steadier judge than the accuracy of a few hundred samples.
        """
        best_loss, best, waited, epoch = math.inf, copy.deepcopy(model.state_dict()), 0, 0
        most, rate = self.settings.quantised_epochs, QUANTISED_RATE * self.settings.learning_rate
        for epoch, loss in self._epochs(model, "quantised", most, rate, QUANTISED_WARM_UP):
            found = self._validate(model)
            self._report("quantised", epoch, most, loss, found)
            if found.loss < best_loss:
                best_loss, best, waited = found.loss, copy.deepcopy(model.state_dict()), 0
            else:
                waited += 1
                if waited >= self.settings.patience:
                    break
        model.load_state_dict(best)
        return epoch

    def _epochs(self, network: nn.Module, phase: str, epochs: int, rate: float, warm_up: float) -> Iterator[tuple[int, float]]:
        """Train epoch by epoch; yields the number of the epoch just ended, from 1, and its mean loss."""
        optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=self.settings.weight_decay, fused=True)
        for epoch in range(epochs):
            network.train()
            total = torch.zeros((), device=self.device)
            parts = shuffled(len(self.train_samples), self.settings.batch_size, self.generator)
            for number, chosen in enumerate(parts):
                optimiser.param_groups[0]["lr"] = one_cycle(rate, (epoch * len(parts) + number) / (epochs * len(parts)), warm_up)
                logits = network(augment(self.train_samples[chosen], self.task.record.augmentation, self.generator))
                loss = functional.cross_entropy(logits, self.train_labels[chosen], label_smoothing=self.settings.label_smoothing)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch ships no type for it
                optimiser.step()
                total += loss.detach() / len(parts)
            if not math.isfinite(float(total)):
                raise EvaluationError(
                    f"training diverged in {phase} epoch {epoch + 1}",
                    where=f"network of {self.graph.weights:,} weights, {len(self.graph)} layers",
                    remedy="Lower training.learning_rate in the study file",
                )
            yield epoch + 1, float(total)

    def _report(self, phase: str, epoch: int, epochs: int, loss: float, found: Score) -> None:
        if self.progress is not None:
            self.progress(TrainingProgress(phase, epoch, epochs, loss, found.accuracy))

    def _validate(self, network: nn.Module) -> Score:
        return score(network, self.validation_samples, self.validation_labels)


def split_tensors(record: TaskRecord, split: Split, device: torch.device) -> tuple[Tensor, Tensor]:
    """Samples of a split in real units, and its labels."""
    return as_values(split.samples, record.zero_point, record.input_fraction).to(device), torch.from_numpy(split.labels).to(device)


def score(network: nn.Module, samples: Tensor, labels: Tensor) -> Score:
    """How a network does on samples in real units; leaves it in evaluation mode."""
    network.eval()
    with torch.no_grad():
        logits = torch.cat([network(samples[start : start + EVALUATION_BATCH]) for start in range(0, len(samples), EVALUATION_BATCH)])
    return Score(float((logits.argmax(dim=1) == labels).float().mean()), float(functional.cross_entropy(logits, labels)))


def shuffled(count: int, batch_size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Positions of ``count`` samples in random order, cut into batches of equal size.

    A last batch of a few samples would spoil the statistics of batch normalisation.
    """
    return torch.randperm(count, generator=generator).tensor_split(max(1, round(count / batch_size)))


def one_cycle(peak: float, progress: float, warm_up: float) -> float:
    """Learning rate at ``progress`` in [0, 1]: a linear rise, then half a cosine to zero [Smith2018]_."""
    if progress < warm_up:
        return peak * (FIRST_RATE + (1.0 - FIRST_RATE) * progress / warm_up)
    return peak * 0.5 * (1.0 + math.cos(math.pi * (progress - warm_up) / (1.0 - warm_up)))


def save_trained(trained: TrainedNetwork, folder: Path) -> None:
    """Write ``network.npz`` (integers) and ``brevitas.pt`` (weights and scales) into ``folder``; each appears whole or not at all.

    Raises:
        InputError: the folder cannot be written.
    """
    partial = folder / f"{STATE_FILE}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as stream:
            torch.save(trained.model.state_dict(), stream)
        partial.replace(folder / STATE_FILE)
        trained.deployed.save(folder / NETWORK_FILE)
    except OSError as error:
        raise InputError(f"cannot be written: {error}", where=str(folder), remedy="Check permissions and free space") from None


def load_brevitas(folder: Path, record: TaskRecord) -> tuple[DeployedNetwork, BrevitasNetwork]:
    """The integers and the Brevitas network that `save_trained` wrote.

    Raises:
        InputError: a file is missing or damaged, or the two do not belong together.
    """
    deployed = DeployedNetwork.load(folder / NETWORK_FILE)
    path, remedy = folder / STATE_FILE, "Evaluate the design again with `codesign run`"
    model = build(deployed.graph, record)
    try:
        model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    except Exception as error:  # noqa: BLE001  # torch raises whatever its unpickler meets in a damaged file
        raise InputError(f"not a readable network file: {error}".splitlines()[0], where=str(path), remedy=remedy) from None
    if not same_integers(extract(model), deployed):
        raise InputError(f"does not hold the network of {NETWORK_FILE}", where=str(path), remedy=remedy)
    return deployed, model.eval()


def training_device(name: str) -> torch.device:
    """The device that ``cpu``, ``cuda`` or ``auto`` (CUDA where there is one) means on this machine.

    Raises:
        InputError: CUDA asked for and not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device was found", where="training device cuda", remedy="Train on cpu or auto")
    if name not in ("cpu", "cuda"):
        raise InputError(f"unknown training device {name!r}", remedy="Choose from cpu, cuda, auto")
    return torch.device(name)


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """One thread, and on CUDA deterministic kernels: results do not depend on what else the machine does."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    if device.type == "cuda":
        # cuBLAS is deterministic only with a fixed workspace, which it reads at its first use.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
