"""Tables of measurements and of predictions as Parquet files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codesign.errors import InputError

LARGEST = 1 << 30
"""Bytes of a file that is read; more is not a table of measurements."""
MOST_ROWS = 5_000_000


def read_rows(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The rows of a file as plain dictionaries.

    Args:
        path: the file.
        required: columns that it must have.
        optional: columns that are read where it has them.

    Raises:
        InputError: no such file, not Parquet, too large, or a column is missing.
    """
    from pyarrow import ArrowException, parquet

    if not path.is_file():
        raise InputError("no such file", where=str(path), remedy="Give the path of a Parquet file")
    if path.stat().st_size > LARGEST:
        raise InputError(f"larger than {LARGEST >> 20} MiB", where=str(path), remedy="Give a table of measurements, or a part of it")
    try:
        with parquet.ParquetFile(path) as opened:
            names, count = opened.schema_arrow.names, opened.metadata.num_rows
            missing = [name for name in required if name not in names]
            if missing:
                raise InputError(f"lacks the columns {', '.join(missing)}", where=str(path), remedy=f"It must have {', '.join(required)}")
            if count > MOST_ROWS:
                raise InputError(f"has {count:,} rows", where=str(path), remedy=f"Give at most {MOST_ROWS:,}")
            rows: list[dict[str, Any]] = opened.read(columns=[name for name in names if name in {*required, *optional}]).to_pylist()
    except (ArrowException, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"not a Parquet file: {_first_line(error)}", where=str(path), remedy="Give a Parquet file") from None
    return rows


def write_columns(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns of equal length; None is null.

    Raises:
        InputError: the file cannot be written.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        parquet.write_table(pyarrow.table(dict(columns)), path)
    except OSError as error:
        raise InputError(f"cannot be written: {_first_line(error)}", where=str(path), remedy="Choose a folder that exists and is writable") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
