"""The embedded data set: a numpy archive without pickles, the same bytes whenever it is written, checked when read."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError

DATASETS = Path(__file__).resolve().parents[2] / "data" / "datasets"
_OLDEST_DATE = (1980, 1, 1, 0, 0, 0)
"""What the archive's entries are dated, so that the bytes do not depend on the clock."""


@dataclass(frozen=True)
class Dataset:
    """Rows of an embedded data set, in the order of their clips' names.

    Attributes:
        words: data words, uint8, n x 49 x 10.
        labels: class numbers, uint8, (n,).
        parts: split of each row (0 train, 1 validation, 2 test), uint8, (n,).
        speakers: number of the speaker, uint16, (n,); rows of one number come from one person.
        clips: name of the clip a row was made from, ASCII bytes, (n,).
        mean, deviation: standardisation of each coefficient, float64, (10,).
    """

    words: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    speakers: NDArray[np.uint16]
    clips: NDArray[np.bytes_]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


def encode(dataset: Dataset) -> bytes:
    """The archive as bytes: a function of the data (and the zlib library) alone."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for field in fields(dataset):
            entry = zipfile.ZipInfo(f"{field.name}.npy", date_time=_OLDEST_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(getattr(dataset, field.name)), version=(1, 0), allow_pickle=False)
            archive.writestr(entry, member.getvalue(), compresslevel=9)
    return target.getvalue()


def read(path: Path, sha256: str) -> Dataset:
    """Read an archive whose bytes have that SHA-256 (hex).

    Raises:
        InputError: the file is missing, unreadable, has another hash, or does not hold the arrays of a `Dataset`.
    """
    remedy = "The installation is damaged: reinstall codesign, or make the file again with tools/build_kws_dataset.py"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path), remedy=remedy) from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputError(f"SHA-256 is {found[:12]}..., the task record says {sha256[:12]}...", where=str(path), remedy=remedy)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return Dataset(**{field.name: archive[field.name] for field in fields(Dataset)})
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"not a codesign data set: {error}", where=str(path), remedy=remedy) from None
