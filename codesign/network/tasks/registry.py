"""Find tasks: an entry point names the loader, a TOML file beside it holds the record.

A package that offers a task registers ``name = "package.module:load"`` under ``codesign.tasks`` and ships
``package/data/tasks/<name>.toml``, as codesign itself does. ``load(record, data, progress)`` gets the `TaskRecord`,
the path that the user gave with ``--data`` or None, and a `Progress` callback or None, and returns a `Task`.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import as_file, files
from pathlib import Path
from typing import Protocol

from codesign.catalogue import load_record
from codesign.errors import InputError
from codesign.network.tasks.task import Progress, Task, TaskRecord

ENTRY_POINTS = "codesign.tasks"


class Loader(Protocol):
    """What a task's entry point leads to."""

    def __call__(self, record: TaskRecord, data: Path | None, progress: Progress | None) -> Task:
        """The data of the task; ``data`` is the user's own copy of the full data set, None for the embedded one."""


def task_names() -> tuple[str, ...]:
    """Names of all registered tasks, sorted."""
    return tuple(_registered())


@cache
def task_record(name: str) -> TaskRecord:
    """Facts and defaults of a task, without its data.

    Raises:
        InputError: there is no such task, or its record is not valid.
    """
    entry = _find(name)
    with as_file(files(entry.module.partition(".")[0]) / "data" / "tasks" / f"{name}.toml") as path:
        found = load_record(path, TaskRecord)
        if found.name != name:
            raise InputError(f"is {found.name!r}, not {name!r}", where=f"{path}: name", remedy="Give the file and the task one name")
    return found


def load_task(name: str, data: Path | None = None, *, progress: Progress | None = None) -> Task:
    """A task with its data.

    Args:
        name: a name of `task_names`.
        data: folder of the full data set, where the task can read one; None: the embedded data.
        progress: called with (samples read, samples in all) while a full data set is read.

    Raises:
        InputError: there is no such task, or its data are missing, damaged or not what the task needs.
    """
    loader: Loader = _find(name).load()
    return loader(task_record(name), data, progress)


@cache
def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name)}


def _find(name: str) -> EntryPoint:
    known = _registered()
    if name not in known:
        raise InputError(f"unknown task {name!r}", remedy=f"Choose from {', '.join(known)}")
    return known[name]
