"""The folder of a project: replaced as a whole, whatever moment a process dies at, and never over somebody else's files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codesign.errors import InputError
from codesign.export.manifest import is_own, listed_files

BUILD_FILES = ("csim/runner", "csim/runner.json", "csim/runner_build.log", "csim/runner_link.log")


@contextmanager
def replacing(folder: Path, *, force: bool = False) -> Iterator[Path]:
    """An empty sibling to write into; it takes the folder's place at the end, and vanishes on an error.

    Raises:
        InputError: the place cannot be written, or, without ``force``, the folder holds files that codesign did not write.
    """
    recover(folder)
    if not force:
        _refuse_foreign_files(folder)
    partial, old = _siblings(folder)
    try:
        with _told(folder):
            partial.mkdir(parents=True)
            yield partial
            if folder.exists():
                _keep_build(folder, partial)
                folder.rename(old)
            partial.rename(folder)
    finally:
        recover(folder)


def recover(folder: Path) -> None:
    """Undo what a process that died in `replacing` left: bring back a folder put aside, remove a half-written one.

    Raises:
        InputError: the place cannot be written.
    """
    partial, old = _siblings(folder)
    with _told(folder):
        if os.path.lexists(old) and not folder.exists():
            old.rename(folder)
        _remove(old)
        _remove(partial)


def _refuse_foreign_files(folder: Path) -> None:
    """Check that replacing a folder loses nothing but what codesign wrote there.

    Raises:
        InputError: it holds files that are neither in its manifest nor in ``csim/``, such as results of the vendor's tools.
    """
    foreign = foreign_files(folder)
    if foreign:
        files = "1 file" if len(foreign) == 1 else f"{len(foreign):,} files"
        raise InputError(
            f"holds {files} that codesign did not write, such as {foreign[0]}",
            where=str(folder),
            remedy="Move them away, export elsewhere with --hls-out, or delete them with `codesign export --force`",
        )


def foreign_files(folder: Path) -> tuple[str, ...]:
    """Paths in a project folder that are neither in its manifest nor codesign's build products; every file where there is no readable manifest."""
    if not folder.is_dir():
        return (folder.name,) if folder.exists() else ()
    known = listed_files(folder)
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return tuple(sorted(name for name in found if name not in known and not is_own(name)))


def _siblings(folder: Path) -> tuple[Path, Path]:
    """Where a new project is written, and where the one before waits meanwhile."""
    return folder.with_name(f".{folder.name}.partial"), folder.with_name(f".{folder.name}.old")


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def _keep_build(folder: Path, partial: Path) -> None:
    """Carry a compiled C simulation over: it is used again only where the new sources are the same."""
    for name in BUILD_FILES:
        if (folder / name).is_file():
            (partial / name).parent.mkdir(exist_ok=True)
            shutil.copy2(folder / name, partial / name)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(folder), remedy="Free the place, or choose another output folder") from None
