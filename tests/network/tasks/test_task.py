from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from codesign.errors import InputError
from codesign.network.table_builder import TaskShape
from codesign.network.tasks.task import Augmentation, Split, Task, TaskRecord, TrainingDefaults, hash_splits

TRAINING = TrainingDefaults(epochs=1, quantised_epochs=1, batch_size=2, learning_rate=0.1, weight_decay=0.0, label_smoothing=0.0, patience=1)
RECORD = TaskRecord(
    name="toy",
    title="A toy",
    metric="accuracy",
    classes=("a", "b"),
    input_shape=(2, 3),
    input_bits=4,
    input_signed=True,
    zero_point=100,
    input_fraction=2,
    licence="-",
    attribution="-",
    source="-",
    data_file="",
    data_sha256="",
    augmentation=Augmentation(time_shift_steps=0, pixel_shift=0),
    training=TRAINING,
)


def split(count: int = 2, word: int = 100) -> Split:
    return Split(np.full((count, 2, 3), word, dtype=np.uint8), np.arange(count) % 2)


def test_shape_is_what_blueprints_need() -> None:
    assert RECORD.shape == TaskShape((2, 3), 2, 4, True)


@pytest.mark.parametrize(("signed", "expected"), [(True, (92, 107)), (False, (100, 115))])
def test_word_range_is_the_input_format_moved_by_the_zero_point(signed: bool, expected: tuple[int, int]) -> None:
    assert replace(RECORD, input_signed=signed).word_range == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "f1"}, "metric"),
        ({"classes": ("a",)}, "two or more"),
        ({"classes": ("a", "a")}, "different"),
        ({"input_shape": (4,)}, "input_shape"),
        ({"input_shape": (4, 0)}, "positive"),
        ({"zero_point": 256}, "zero_point"),
        ({"input_bits": 9}, "1 to 8"),
    ],
)
def test_impossible_records_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(RECORD, **change)


@pytest.mark.parametrize(
    "change",
    [{"epochs": -1}, {"epochs": 0, "quantised_epochs": 0}, {"batch_size": 0}, {"patience": 0}, {"learning_rate": 0.0}, {"label_smoothing": 1.0}],
)
def test_impossible_training_defaults_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(TRAINING, **change)


def test_negative_shifts_are_refused() -> None:
    with pytest.raises(ValueError, match="shifts"):
        Augmentation(time_shift_steps=-1, pixel_shift=0)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (split(0), "no samples"),
        (Split(np.zeros((2, 2, 4), dtype=np.uint8), np.zeros(2, dtype=np.int64)), r"\(2, 2, 4\)"),
        (Split(np.full((2, 2, 3), 100), np.zeros(2, dtype=np.int64)), "int64 .*not uint8"),
        (Split(split().samples, np.array([0, 2])), "labels are not int64 in 0 to 1"),
        (Split(split().samples, np.array([0, 1], dtype=np.uint8)), "labels are not int64"),
        (split(word=91), "range 92 to 107"),
        (split(word=108), "range 92 to 107"),
    ],
)
def test_data_that_do_not_fit_the_record_are_refused(bad: Split, message: str) -> None:
    with pytest.raises(InputError, match=f"task toy, validation split: .*{message}"):
        Task.from_splits(RECORD, (split(), bad, split()))


def test_the_hash_sees_words_labels_and_splits() -> None:
    base = (split(2), split(3), split(4))
    hashes = {
        hash_splits(base),
        hash_splits((split(2, word=101), base[1], base[2])),
        hash_splits((base[0], Split(base[1].samples, base[1].labels[::-1] * 0), base[2])),
        hash_splits((base[1], base[0], base[2])),
    }
    assert len(hashes) == 4
    assert Task.from_splits(RECORD, base).data_hash == hash_splits((split(2), split(3), split(4)))
