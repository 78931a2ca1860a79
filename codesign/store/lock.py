"""One writer per study: an advisory lock on a file, released by the operating system when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codesign.errors import InputError, StoreError


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file for the duration of the block.

    Raises:
        StoreError: another process holds it.
        InputError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(path.parent), remedy="Choose another folder with --runs") from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read(32).strip() or "unknown"
            raise StoreError(f"in use by process {holder}", where=str(path.parent), remedy="Wait for it or stop it") from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
