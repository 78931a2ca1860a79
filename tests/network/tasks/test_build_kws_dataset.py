"""The script that makes the embedded data set, run on some of its clips."""

from __future__ import annotations

import importlib.util
import io
import re
import shutil
import tarfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from codesign.errors import InputError
from codesign.network.tasks import dataset_file
from codesign.network.tasks.dataset_file import DATASETS, Dataset
from codesign.network.tasks.registry import task_record
from codesign.network.tasks.task import Standardisation
from codesign.network.tasks.words import to_words

ROOT = Path(__file__).parents[3]
CLIPS = ROOT / "tests" / "data" / "clips"
RECORD = task_record("kws")


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    found = importlib.util.spec_from_file_location("build_kws_dataset", ROOT / "tools" / "build_kws_dataset.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def embedded() -> Dataset:
    return dataset_file.read(DATASETS / RECORD.data_file, RECORD.data_sha256)


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """A folder of all twelve classes: the clips kept here, and copies for the classes that have none."""
    folder = tmp_path / "audio"
    shutil.copytree(CLIPS, folder)
    for name in RECORD.classes:
        if not (folder / name).exists():
            (folder / name).mkdir()
            shutil.copy(CLIPS / "yes" / "fe1916ba_nohash_0.flac", folder / name / "00000001_nohash_0.flac")
    return folder


def pack(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w") as content:
        content.add(folder, arcname=".")
    return archive


def test_the_clips_give_the_embedded_rows(tool: ModuleType, embedded: Dataset) -> None:
    classes = [name for name in RECORD.classes if (CLIPS / name).exists()]
    clips = tool.list_clips(CLIPS, classes)
    assert len(clips) == 11
    words = to_words(tool.clip_features(CLIPS, clips), Standardisation(embedded.mean, embedded.deviation))
    rows = [embedded.clips.tolist().index(tool.clip_key(clip).encode()) for clip in clips]
    assert (words == embedded.words[rows]).all()
    assert [RECORD.classes[label] for label in embedded.labels[rows]] == [clip.partition("/")[0] for clip in clips]


def test_the_clips_have_their_speakers_and_splits(tool: ModuleType, embedded: Dataset) -> None:
    for clip, part in zip(embedded.clips.tolist(), embedded.parts.tolist(), strict=True):
        speaker = tool.speaker_of(f"{clip.decode()}.flac")
        assert part == tool.part_of(speaker, validation_from=tool.VALIDATION_FROM, test_from=tool.TEST_FROM)


@pytest.mark.parametrize(
    ("clip", "speaker"),
    [
        ("yes/0a2b400e_nohash_1.wav", "0a2b400e"),
        ("_unknown_/cat_2d82a556_nohash_0.wav.flac", "2d82a556"),
        ("_silence_/1024.flac", "1024"),
        ("_silence_/1024.wav", "1024"),
    ],
)
def test_speaker_of_a_name(tool: ModuleType, clip: str, speaker: str) -> None:
    assert tool.speaker_of(clip) == speaker


def test_folder_and_archive_give_the_same_bytes(tool: ModuleType, audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = [tmp_path / "folder.npz", tmp_path / "archive.npz"]
    assert tool.main([str(audio), str(made[0])]) == 0
    assert tool.main([str(pack(audio, tmp_path / "audio.tar")), str(made[1])]) == 0
    assert made[0].read_bytes() == made[1].read_bytes()
    hashes = re.findall(r"SHA-256 ([0-9a-f]{64})", capsys.readouterr().out)
    assert len(hashes) == 2
    rows = dataset_file.read(made[0], hashes[0])
    assert len(rows.labels) == 14
    assert set(rows.labels.tolist()) == set(range(12))
    assert rows.clips.tolist() == sorted(rows.clips.tolist())


def test_standardisation_uses_training_speakers_only(tool: ModuleType, audio: Path) -> None:
    rows = tool.build(audio, RECORD.classes)
    features = tool.clip_features(audio, tool.list_clips(audio, RECORD.classes))
    train = features[rows.parts == 0]
    assert 0 < len(train) < len(features)
    assert rows.mean == pytest.approx(train.mean(axis=(0, 1)))
    assert rows.deviation == pytest.approx(train.std(axis=(0, 1)))


def test_a_class_without_clips_is_named(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main([str(CLIPS), str(tmp_path / "out.npz")]) == InputError.exit_code
    assert "no clips for on, right, up" in capsys.readouterr().err
    assert not (tmp_path / "out.npz").exists()


def test_an_output_that_cannot_be_written_is_named(tool: ModuleType, audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main([str(audio), str(tmp_path / "no folder" / "out.npz")]) == InputError.exit_code
    assert "out.npz: cannot be written: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "kind", "size"),
    [
        ("../yes/a.wav", tarfile.REGTYPE, 4),
        ("yes/../../a.wav", tarfile.REGTYPE, 4),
        ("/yes/a.wav", tarfile.REGTYPE, 4),
        ("a.wav", tarfile.REGTYPE, 4),
        ("yes/a.wav", tarfile.SYMTYPE, 0),
        ("yes/a.wav", tarfile.LNKTYPE, 0),
        ("yes/a.wav", tarfile.FIFOTYPE, 0),
        ("yes/a.wav", tarfile.REGTYPE, 1_000_001),
    ],
)
def test_dangerous_entries_are_refused(tool: ModuleType, name: str, kind: bytes, size: int, tmp_path: Path) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, size, "/etc/hostname"
    with tarfile.open(tmp_path / "bad.tar", "w") as content:
        content.addfile(member, io.BytesIO(bytes(size)))
    target = tmp_path / "inner" / "target"
    target.mkdir(parents=True)
    with pytest.raises(InputError, match=rf"bad\.tar: refused the entry '{re.escape(name)}'"):
        tool.unpack(tmp_path / "bad.tar", target)
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".wav"]


def test_an_archive_of_too_many_entries_is_refused(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "LARGEST_ARCHIVE_FILES", 5)
    with pytest.raises(InputError, match="more than 5 entries"):
        tool.unpack(pack(CLIPS, tmp_path / "clips.tar"), tmp_path / "target")


@pytest.mark.parametrize("content", [None, b"no archive"])
def test_what_is_no_archive_is_refused(tool: ModuleType, content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.tar: not a readable tar archive"):
        tool.unpack(tmp_path / "a.tar", tmp_path)


def test_features_of_stored_rows_span_the_words(embedded: Dataset) -> None:
    assert embedded.words.shape == (4_890, 49, 10)
    assert np.unique(embedded.words).size == 256
