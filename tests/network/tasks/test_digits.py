from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import InputError
from codesign.network.tasks import digits
from codesign.network.tasks.registry import load_task, task_record
from codesign.network.tasks.task import Task


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("digits")


def test_every_picture_is_in_one_split(task: Task) -> None:
    from sklearn.datasets import load_digits

    splits = (task.train, task.validation, task.test)
    found = [picture.tobytes() for split in splits for picture in split.samples]
    expected = [picture.tobytes() for picture in load_digits().images.astype(np.uint8)]
    assert sorted(found) == sorted(expected)
    assert [len(split) / 1797 for split in splits] == pytest.approx([0.60, 0.15, 0.25], abs=0.02)


def test_words_are_pixels_from_0_to_16(task: Task) -> None:
    assert task.train.samples.min() == 0
    assert task.train.samples.max() == 16
    assert task.record.word_range[0] <= 0
    assert task.record.word_range[1] >= 16
    assert 16 * 2.0**-task.record.input_fraction == 1.0


def test_every_class_is_in_every_split(task: Task) -> None:
    for split in (task.train, task.validation, task.test):
        share = np.bincount(split.labels, minlength=10) / len(split)
        assert 0.05 < share.min() <= share.max() < 0.16


def test_loading_again_gives_the_same(task: Task) -> None:
    assert load_task("digits").data_hash == task.data_hash


def test_a_folder_of_data_is_refused() -> None:
    with pytest.raises(InputError, match=r"pictures: the task digits reads no data.*Leave --data out"):
        load_task("digits", Path("pictures"))


def test_other_pictures_are_noticed() -> None:
    with pytest.raises(InputError, match=r"SHA-256 .*task record says 000000000000"):
        digits.load(replace(task_record("digits"), data_sha256="0" * 64), None)
