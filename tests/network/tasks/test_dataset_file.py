from __future__ import annotations

import dataclasses
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import InputError
from codesign.network.tasks.dataset_file import Dataset, encode, read


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def small() -> Dataset:
    rng = np.random.default_rng(0)
    return Dataset(
        words=rng.integers(0, 256, (4, 49, 10), dtype=np.uint8),
        labels=np.array([0, 1, 2, 1], dtype=np.uint8),
        parts=np.array([0, 1, 2, 0], dtype=np.uint8),
        speakers=np.array([0, 1, 2, 0], dtype=np.uint16),
        clips=np.array([b"no/a", b"no/b", b"no/c", b"no/d"]),
        mean=rng.normal(size=10),
        deviation=rng.uniform(1, 2, size=10),
    )


def test_what_is_written_is_read(small: Dataset, tmp_path: Path) -> None:
    content = encode(small)
    (tmp_path / "data.npz").write_bytes(content)
    found = read(tmp_path / "data.npz", sha256(content))
    for field in dataclasses.fields(Dataset):
        kept, given = getattr(found, field.name), getattr(small, field.name)
        assert kept.dtype == given.dtype
        assert (kept == given).all()


def test_the_bytes_depend_on_the_data_alone(small: Dataset) -> None:
    other = dataclasses.replace(small, labels=small.labels[::-1].copy())
    in_another_memory_order = dataclasses.replace(small, words=np.asfortranarray(small.words))
    assert encode(small) == encode(in_another_memory_order)
    assert encode(small) != encode(other)


def test_one_flipped_bit_is_noticed(small: Dataset, tmp_path: Path) -> None:
    content = bytearray(encode(small))
    good = sha256(content)
    content[len(content) // 2] ^= 1
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"data\.npz: SHA-256 is .*task record says.*reinstall codesign"):
        read(tmp_path / "data.npz", good)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.npz: cannot be read: No such file"):
        read(tmp_path / "none.npz", "0" * 64)


@pytest.mark.parametrize("content", [b"", b"not an archive"])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(InputError, match="not a codesign data set"):
        read(tmp_path / "data.npz", sha256(content))


def test_an_archive_of_other_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", words=np.zeros(3))
    with pytest.raises(InputError, match=r"not a codesign data set.*labels"):
        read(tmp_path / "data.npz", sha256((tmp_path / "data.npz").read_bytes()))


def test_pickled_objects_are_refused(small: Dataset, tmp_path: Path) -> None:
    target = io.BytesIO()
    arrays = {field.name: getattr(small, field.name) for field in dataclasses.fields(Dataset)}
    np.savez(target, allow_pickle=True, **(arrays | {"words": np.array([{"an": "object"}], dtype=object)}))
    (tmp_path / "data.npz").write_bytes(target.getvalue())
    with pytest.raises(InputError, match=r"not a codesign data set.*allow_pickle=False"):
        read(tmp_path / "data.npz", sha256(target.getvalue()))
