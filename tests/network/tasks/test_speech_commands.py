"""The embedded data set of the task kws."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import InputError
from codesign.network.tasks import dataset_file, speech_commands
from codesign.network.tasks.dataset_file import DATASETS, Dataset
from codesign.network.tasks.registry import load_task, task_record
from codesign.network.tasks.task import Task

RECORD = task_record("kws")


@pytest.fixture(scope="module")
def rows() -> Dataset:
    return dataset_file.read(DATASETS / RECORD.data_file, RECORD.data_sha256)


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("kws")


def test_all_clips_of_the_twelve_classes_are_there(rows: Dataset) -> None:
    # Clips per class of the twelve-class test part as published.
    counts = {"down": 406, "go": 402, "left": 412, "no": 405, "off": 402, "on": 396, "right": 396, "stop": 411, "up": 425, "yes": 419}
    assert {name: int((rows.labels == number).sum()) for number, name in enumerate(RECORD.classes)} == counts | {"_silence_": 408, "_unknown_": 408}
    assert len(set(rows.clips)) == 4_890


def test_labels_are_the_folders_of_the_clips(rows: Dataset) -> None:
    assert [RECORD.classes[label] for label in rows.labels] == [clip.decode().partition("/")[0] for clip in rows.clips]


def test_no_speaker_is_in_two_splits(rows: Dataset) -> None:
    people = [re.search(rb"([0-9a-f]{8})_nohash", clip) for clip in rows.clips]
    by_split = [{found[1] for found, part in zip(people, rows.parts, strict=True) if found and part == split} for split in range(3)]
    assert not by_split[0] & by_split[1]
    assert not by_split[0] & by_split[2]
    assert not by_split[1] & by_split[2]
    assert [len(speakers) for speakers in by_split] == [170, 27, 42]


def test_speaker_numbers_are_one_to_one_with_speakers(rows: Dataset) -> None:
    people = [found[1] if (found := re.search(rb"([0-9a-f]{8})_nohash", clip)) else clip for clip in rows.clips]
    assert len(set(zip(people, rows.speakers.tolist(), strict=True))) == len(set(people)) == len(set(rows.speakers.tolist()))


def test_no_row_is_in_two_splits(task: Task) -> None:
    splits = [{sample.tobytes() for sample in split.samples} for split in (task.train, task.validation, task.test)]
    assert not splits[0] & (splits[1] | splits[2])
    assert not splits[1] & splits[2]


def test_splits_have_their_shares_of_every_class(task: Task) -> None:
    splits = (task.train, task.validation, task.test)
    assert [len(split) for split in splits] == [3587, 392, 911]
    for split in splits:
        share = np.bincount(split.labels, minlength=12) / len(split)
        assert 0.05 < share.min() <= share.max() < 0.12


def test_words_are_standardised_on_the_training_split(task: Task) -> None:
    values = (task.train.samples.astype(np.float64) - task.record.zero_point) * 2.0**-task.record.input_fraction
    assert values.mean(axis=(0, 1)) == pytest.approx(np.zeros(10), abs=0.02)
    assert values.std(axis=(0, 1)) == pytest.approx(np.ones(10), abs=0.04)  # saturation takes a little of the first
    assert ((values == values.min()) | (values == values.max())).mean() < 0.01
    assert task.standardisation is not None
    assert (task.standardisation.deviation > 0.5).all()


def test_classes_can_be_told_apart(task: Task) -> None:
    """Nearest class mean, far above the chance of 1 in 12: labels and samples belong together in train and test."""
    samples = task.train.samples.reshape(len(task.train), -1).astype(np.float64)
    means = np.stack([samples[task.train.labels == label].mean(axis=0) for label in range(12)])
    asked = task.test.samples.reshape(len(task.test), -1).astype(np.float64)
    found = ((asked[:, None, :] - means[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert (found == task.test.labels).mean() > 0.35


def test_loading_again_gives_the_same(task: Task) -> None:
    assert load_task("kws").data_hash == task.data_hash


def test_licence_and_attribution_lie_beside_the_data() -> None:
    text = (DATASETS / RECORD.data_file).with_suffix(".LICENCE.txt").read_text(encoding="utf-8")
    for wanted in (RECORD.data_file, "Pete Warden, Google", "CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/", "Changes made"):
        assert wanted in text


def test_a_changed_file_is_noticed() -> None:
    with pytest.raises(InputError, match=r"mfcc\.npz: SHA-256 is .*reinstall"):
        speech_commands.load(replace(RECORD, data_sha256="0" * 64), None)


def test_no_data_at_the_path_given(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing: no such folder\. Give the folder"):
        load_task("kws", tmp_path / "missing")
