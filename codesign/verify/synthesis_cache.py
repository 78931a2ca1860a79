"""Results of outside programs, kept as one JSON file each under the SHA-256 of everything that went into them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TypeVar

from codesign.accelerator.device import Family
from codesign.catalogue import parse_record, record
from codesign.errors import InputError

FORMAT = 1
"""Part of every key: entries of another layout are never found."""


@record
class SynthesisEntry:
    """What a synthesis gave.

    Attributes:
        key: the file's name.
        top, family: what was synthesised for what.
        tool: program and version.
        cells: how many of each primitive.
        seconds: wall clock of the program.
        warnings: of the program, each once.
    """

    key: str
    top: str
    family: Family
    tool: str
    cells: dict[str, int]
    seconds: float
    warnings: tuple[str, ...]

    def __post_init__(self) -> None:
        _refuse_negative(self.cells, self.seconds)


@record
class PlacementEntry:
    """What a place and route gave.

    Attributes:
        key: the file's name.
        tool: program and version.
        clocks_mhz: highest frequency of each clock.
        used, available: sites by kind.
        seconds: wall clock of the program.
        warnings: of the program, each once.
    """

    key: str
    tool: str
    clocks_mhz: dict[str, float]
    used: dict[str, int]
    available: dict[str, int]
    seconds: float
    warnings: tuple[str, ...]

    def __post_init__(self) -> None:
        _refuse_negative({**self.clocks_mhz, **self.used}, self.seconds)


EntryT = TypeVar("EntryT", SynthesisEntry, PlacementEntry)


def content_key(*parts: object) -> str:
    """SHA-256 in hexadecimal over JSON values."""
    return hashlib.sha256(json.dumps([FORMAT, *parts], sort_keys=True).encode()).hexdigest()


def read_entry(folder: Path, key: str, cls: type[EntryT]) -> EntryT | None:
    """The entry of that key; None where there is none, or where the file is not what it must be (it is then made anew)."""
    try:
        document = json.loads(_path(folder, key).read_text(encoding="utf-8"))
        entry = parse_record(document, cls, where=str(_path(folder, key)))
    except (OSError, ValueError, InputError):
        return None
    return entry if entry.key == key else None


def open_cache(folder: Path) -> None:
    """Make the folder where it is missing: before a program runs for minutes, not after.

    Raises:
        InputError: it cannot be made.
    """
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_entry(folder: Path, entry: SynthesisEntry | PlacementEntry) -> None:
    """Keep an entry; readers see the whole file or none.

    Raises:
        InputError: the folder cannot be written.
    """
    document: dict[str, Any] = dataclasses.asdict(entry)
    with _told(folder), NamedTemporaryFile("w", dir=folder, suffix=".partial", delete=False, encoding="utf-8") as stream:
        stream.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
        stream.close()
        Path(stream.name).replace(_path(folder, entry.key))


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(folder), remedy="Choose another cache folder") from None


def _path(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"


def _refuse_negative(counts: dict[str, int] | dict[str, float], seconds: float) -> None:
    wrong = [name for name, value in {**counts, "seconds": seconds}.items() if value < 0]
    if wrong:
        raise ValueError(f"{wrong[0]} must not be negative")
