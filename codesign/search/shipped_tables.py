"""Search problems that are shipped as tables (``data/tables/<name>.parquet``), each with the notes of how it was made."""

from __future__ import annotations

from pathlib import Path

from codesign.errors import InputError

TABLES = Path(__file__).resolve().parents[1] / "data" / "tables"


def table_names() -> tuple[str, ...]:
    """All shipped tables."""
    return tuple(sorted(path.stem for path in TABLES.glob("*.parquet")))


def find_table(name: str) -> Path:
    """The file of a shipped table, in the format of `codesign.search.table_problem`.

    Raises:
        InputError: there is no table of that name.
    """
    if name not in table_names():
        raise InputError(f"unknown table {name!r}", where="shipped tables", remedy=f"Choose from {', '.join(table_names())}, or give the path of a file")
    return TABLES / f"{name}.parquet"
