"""What a task is: a record of facts and defaults, and three disjoint splits of data words."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.catalogue import record
from codesign.errors import InputError
from codesign.network.table_builder import TaskShape

WORD_BITS = 8
"""Data words are bytes."""

Progress = Callable[[int, int], None]
"""What a slow loader calls now and then with (samples read, samples in all)."""


@record
class Augmentation:
    """How training samples are varied.

    Attributes:
        time_shift_steps: random shift along the first axis, at most this many steps either way (0: none).
        pixel_shift: random shift along both axes of an image, at most this many pixels either way (0: none).
        feature_gain: each feature (last axis) of each sample is multiplied by 1 plus at most this fraction either way.
        feature_offset: standard deviation of what is added to each feature of each sample, in real units.
    """

    time_shift_steps: int
    pixel_shift: int
    feature_gain: float = 0.0
    feature_offset: float = 0.0

    def __post_init__(self) -> None:
        if min(self.time_shift_steps, self.pixel_shift) < 0:
            raise ValueError("shifts must not be negative")
        if not 0.0 <= self.feature_gain < 1.0 or self.feature_offset < 0.0:
            raise ValueError("feature_gain must be in [0, 1) and feature_offset not negative")


@record
class TrainingDefaults:
    """Training settings that suit the task; a study file may change each.

    Attributes:
        epochs: passes over the training split in floating point.
        quantised_epochs: passes with quantised weights and activations after that.
        batch_size: samples a step.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW, relative to the learning rate.
        label_smoothing: probability spread over all classes in the loss.
        patience: quantised epochs without a better validation accuracy before training stops.
    """

    epochs: int
    quantised_epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    patience: int

    def __post_init__(self) -> None:
        if min(self.epochs, self.quantised_epochs) < 0 or self.epochs + self.quantised_epochs < 1:
            raise ValueError("epochs and quantised_epochs must not be negative, and one of them at least 1")
        if min(self.batch_size, self.patience) < 1:
            raise ValueError("batch_size and patience must be at least 1")
        if self.learning_rate <= 0 or self.weight_decay < 0 or not 0 <= self.label_smoothing < 1:
            raise ValueError("learning_rate must be positive, weight_decay not negative, label_smoothing in [0, 1)")


@record
class TaskRecord:
    """Facts and defaults of a task: ``data/tasks/<name>.toml``.

    A data word ``w`` (a byte) means the network input integer ``w - zero_point`` and the value
    ``(w - zero_point) * 2**-input_fraction``.

    Attributes:
        name: what study files call it.
        title: one line for people.
        metric: what the network is judged by; ``accuracy`` is the fraction of samples whose class is right.
        classes: names of the classes, in the order of the network's outputs.
        input_shape: shape of one sample, (height, width) or (height, width, channels).
        input_bits, input_signed: format of the network's input integers.
        zero_point: the data word that means 0.
        input_fraction: fraction bits of the input value.
        licence: of the data, with its address.
        attribution: whom the licence wants named, and what was changed.
        source: where the original data are.
        data_file: the embedded file in the package's ``data/datasets``; empty where a library brings the data.
        data_sha256: SHA-256 of that file, or of the library's data words and labels.
        augmentation, training: defaults.
    """

    name: str
    title: str
    metric: str
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    input_bits: int
    input_signed: bool
    zero_point: int
    input_fraction: int
    licence: str
    attribution: str
    source: str
    data_file: str
    data_sha256: str
    augmentation: Augmentation
    training: TrainingDefaults

    def __post_init__(self) -> None:
        if self.metric != "accuracy":
            raise ValueError("metric must be 'accuracy'")
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError("classes must be two or more different names")
        if len(self.input_shape) not in (2, 3) or min(self.input_shape) < 1:
            raise ValueError("input_shape must be two or three positive lengths")
        if not 0 <= self.zero_point < 2**WORD_BITS:
            raise ValueError("zero_point must be a byte")
        if not 1 <= self.input_bits <= WORD_BITS:
            raise ValueError(f"input_bits must be 1 to {WORD_BITS}")

    @property
    def shape(self) -> TaskShape:
        """What blueprints must know of the task."""
        return TaskShape(self.input_shape, len(self.classes), self.input_bits, self.input_signed)

    @property
    def word_range(self) -> tuple[int, int]:
        """Smallest and largest data word whose input integer fits ``input_bits``."""
        lowest = -(2 ** (self.input_bits - 1)) if self.input_signed else 0
        return lowest + self.zero_point, lowest + 2**self.input_bits - 1 + self.zero_point


@dataclass(frozen=True)
class Split:
    """Samples and their labels.

    Attributes:
        samples: data words, uint8, n x *input_shape*.
        labels: class numbers, int64, (n,).
    """

    samples: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Standardisation:
    """Mean and standard deviation, (c,), of each feature over the training split: what turns a feature into a data word."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """A task with its data.

    Attributes:
        record: facts and defaults.
        train, validation, test: disjoint splits; no speaker or other origin of samples is in two of them.
        data_hash: SHA-256 over shape, samples, labels and split.
        standardisation: how data words were made from features; None where the data are words already.

    Raises:
        InputError: a split is empty, or samples or labels do not fit the record.
    """

    record: TaskRecord
    train: Split
    validation: Split
    test: Split
    data_hash: str
    standardisation: Standardisation | None = None

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            self._check(name, getattr(self, name))

    @classmethod
    def from_splits(cls, task_record: TaskRecord, splits: tuple[Split, Split, Split], standardisation: Standardisation | None = None) -> Task:
        """A task of (train, validation, test), hashed."""
        return cls(task_record, *splits, hash_splits(splits), standardisation)

    def _check(self, name: str, split: Split) -> None:
        where = f"task {self.record.name}, {name} split"
        remedy = "The data do not belong to this task record: reinstall codesign or check the data folder"
        if len(split) == 0:
            raise InputError("no samples", where=where, remedy=remedy)
        if split.samples.dtype != np.uint8 or split.samples.shape != (len(split), *self.record.input_shape):
            raise InputError(f"samples are {split.samples.dtype} {split.samples.shape}, not uint8 n x {self.record.input_shape}", where=where, remedy=remedy)
        if split.labels.dtype != np.int64 or split.labels.min() < 0 or split.labels.max() >= len(self.record.classes):
            raise InputError(f"labels are not int64 in 0 to {len(self.record.classes) - 1}", where=where, remedy=remedy)
        lowest, highest = self.record.word_range
        if split.samples.min() < lowest or split.samples.max() > highest:
            raise InputError(f"data words leave the range {lowest} to {highest} of the input format", where=where, remedy=remedy)


def hash_splits(splits: tuple[Split, Split, Split]) -> str:
    """SHA-256 (hex) over the shapes, samples and labels of (train, validation, test)."""
    digest = hashlib.sha256()
    for name, split in zip(("train", "validation", "test"), splits, strict=True):
        digest.update(f"{name} {split.samples.shape}".encode())
        digest.update(np.ascontiguousarray(split.samples).tobytes())
        digest.update(split.labels.astype("<i8").tobytes())
    return digest.hexdigest()
