"""The loader of the full data set, on a small folder of the same structure."""

from __future__ import annotations

import shutil
import wave
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import InputError
from codesign.network.tasks.features import fit_clip, mfcc
from codesign.network.tasks.registry import load_task, task_record
from codesign.network.tasks.speech_commands_folder import OTHER_WORDS
from codesign.network.tasks.task import Task
from codesign.network.tasks.words import to_words

RATE_HZ = 16_000
CLASSES = task_record("kws").classes
WORDS = CLASSES[:10]
PER_WORD = {"train": 4, "validation": 2, "test": 3}
NOISE_SECONDS = 20
NOISE_HZ = {"train": 300.0, "validation": 1_000.0, "test": 3_000.0}


def write_wav(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())


def word_clip(word: str, part: str, number: int) -> np.ndarray:
    """A short chirp of its own for each clip."""
    rng = np.random.default_rng([*word.encode(), *part.encode(), number])
    return np.round(rng.normal(scale=2_000, size=2_000))


def noise() -> np.ndarray:
    """A tone of its own for each split's share of the recording."""
    seconds = np.arange(NOISE_SECONDS * RATE_HZ) / RATE_HZ
    frequency = np.select([seconds < 16, seconds < 18], [NOISE_HZ["train"], NOISE_HZ["validation"]], NOISE_HZ["test"])
    return 8_000 * np.sin(2 * np.pi * frequency * seconds)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("speech_commands_v0.02")
    lists: dict[str, list[str]] = {"validation": [], "test": []}
    for word in (*WORDS, *OTHER_WORDS):
        for part, count in PER_WORD.items():
            for number in range(count):
                name = f"{word}/{len(part)}{number:07x}_nohash_0.wav"
                write_wav(root / name, word_clip(word, part, number))
                if part in lists:
                    lists[part].append(name)
    (root / "validation_list.txt").write_text("\n".join(lists["validation"]) + "\n")
    (root / "testing_list.txt").write_text("\n".join(lists["test"]) + "\n")
    for name in ("pink_noise", "white_noise"):
        write_wav(root / "_background_noise_" / f"{name}.wav", noise())
    (root / "_background_noise_" / "README.md").write_text("Noise.")
    return root


@pytest.fixture(scope="module")
def task(folder: Path) -> Task:
    return load_task("kws", folder)


def parts(task: Task) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {part: (getattr(task, part).samples, getattr(task, part).labels) for part in PER_WORD}


def words_of(task: Task, clips: list[np.ndarray]) -> np.ndarray:
    assert task.standardisation is not None
    return to_words(mfcc(np.stack([fit_clip(clip.astype(np.int16)) for clip in clips])), task.standardisation)


def test_every_class_has_the_words_mean_size(task: Task) -> None:
    for part, (_, labels) in parts(task).items():
        assert Counter(labels.tolist()) == dict.fromkeys(range(12), PER_WORD[part])


def test_samples_are_the_official_splits_clips(task: Task) -> None:
    for part, (samples, labels) in parts(task).items():
        for number, word in enumerate(WORDS):
            expected = words_of(task, [word_clip(word, part, clip) for clip in range(PER_WORD[part])])
            assert (samples[labels == number] == expected).all()


def test_unknown_words_are_different_clips_of_the_other_words_in_the_split(task: Task) -> None:
    for part, (samples, labels) in parts(task).items():
        clips = [(word, number) for word in OTHER_WORDS for number in range(PER_WORD[part])]
        known = {row.tobytes() for row in words_of(task, [word_clip(word, part, number) for word, number in clips])}
        found = {row.tobytes() for row in samples[labels == CLASSES.index("_unknown_")]}
        assert len(found) == PER_WORD[part]
        assert found <= known


def test_silence_is_cut_from_the_splits_own_share_of_the_noise(task: Task) -> None:
    """Frames of a pure tone: each split's frames look like its own tone's and unlike the others'."""
    seconds = np.arange(RATE_HZ) / RATE_HZ
    tones = {part: words_of(task, [8_000 * np.sin(2 * np.pi * hertz * seconds)])[0].astype(float) for part, hertz in NOISE_HZ.items()}
    for part, (samples, labels) in parts(task).items():
        for sample in samples[labels == CLASSES.index("_silence_")].astype(float):
            distance = {other: np.abs(sample[:, 1:] - tone[:, 1:]).mean(axis=1).max() for other, tone in tones.items()}
            assert min(distance, key=lambda other: distance[other]) == part
            assert distance[part] < 10


def test_standardisation_comes_from_the_training_split(task: Task) -> None:
    values = (task.train.samples.astype(float) - 128) / 32
    assert values.mean(axis=(0, 1)) == pytest.approx(np.zeros(10), abs=0.1)


def test_the_same_folder_in_another_order_gives_the_same_task(folder: Path, task: Task, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for path in sorted((path for path in folder.rglob("*") if path.is_file()), reverse=True):
        (copy / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy / path.relative_to(folder))
    assert load_task("kws", copy).data_hash == task.data_hash


def test_progress_is_told(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    load_task("kws", folder, progress=lambda done, total: told.append((done, total)))
    total = 12 * sum(PER_WORD.values())
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.fixture
def damaged(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "damaged"))


def test_missing_parts_are_named(damaged: Path) -> None:
    shutil.rmtree(damaged / "yes")
    (damaged / "testing_list.txt").unlink()
    with pytest.raises(InputError, match=r"not Speech Commands v0\.02: yes, testing_list\.txt not found in it\. Give the folder"):
        load_task("kws", damaged)


def test_another_folder_is_refused_in_one_short_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="down, go, left, no, off and 33 more not found"):
        load_task("kws", tmp_path)


def test_a_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "archive.tar.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"archive\.tar\.gz: no such folder\. Give the folder into which"):
        load_task("kws", tmp_path / "archive.tar.gz")


def test_a_clip_that_cannot_be_read_is_named(damaged: Path) -> None:
    clip = next((damaged / "no").iterdir())
    clip.write_bytes(b"nothing")
    with pytest.raises(InputError, match=rf"no/{clip.name}: not a readable audio file"):
        load_task("kws", damaged)


def test_a_clip_of_another_rate_is_named(damaged: Path) -> None:
    clip = next((damaged / "no").iterdir())
    write_wav(clip, np.zeros(100), rate_hz=8_000)
    with pytest.raises(InputError, match=rf"no/{clip.name}: .*8,000 Hz.*Convert it"):
        load_task("kws", damaged)


def test_a_list_that_names_an_absent_clip_is_refused(damaged: Path) -> None:
    with (damaged / "testing_list.txt").open("a") as file:
        file.write("no/ffffffff_nohash_9.wav\n")
    with pytest.raises(InputError, match=r"testing_list\.txt: names 'no/ffffffff_nohash_9\.wav', which does not exist"):
        load_task("kws", damaged)


def test_a_clip_in_both_lists_is_refused(damaged: Path) -> None:
    first = (damaged / "validation_list.txt").read_text().split()[0]
    with (damaged / "testing_list.txt").open("a") as file:
        file.write(f"{first}\n")
    with pytest.raises(InputError, match=r"testing_list\.txt: .* is in both lists"):
        load_task("kws", damaged)


def test_a_list_that_is_no_text_is_refused(damaged: Path) -> None:
    (damaged / "testing_list.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match=r"testing_list\.txt: cannot be read"):
        load_task("kws", damaged)


@pytest.mark.parametrize("seconds", [None, 5])
def test_noise_that_is_absent_or_short_is_refused(seconds: int | None, damaged: Path) -> None:
    for path in (damaged / "_background_noise_").glob("*.wav"):
        path.unlink()
        if seconds is not None:
            write_wav(path, np.zeros(seconds * RATE_HZ))
    with pytest.raises(InputError, match=r"_background_noise_, .* part: no recording is long enough"):
        load_task("kws", damaged)
