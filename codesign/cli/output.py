"""What the commands print: one JSON document on stdout with --json, human text otherwise."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Settings:
    """Global options of one invocation."""

    json: bool = False
    verbose: bool = False
    quiet: bool = False
    color: bool = True


SETTINGS = Settings()
PIPE_WIDTH = 200
"""Columns of a table that is not shown on a terminal: nothing is folded."""


def console() -> Console:
    """Where human text goes: stdout, or stderr when stdout carries JSON."""
    from rich.console import Console

    made = Console(stderr=SETTINGS.json, no_color=not SETTINGS.color, highlight=False, soft_wrap=True, quiet=SETTINGS.quiet)
    if not made.is_terminal:
        made.width = PIPE_WIDTH
    return made


def say(text: str) -> None:
    """A line of human text; markup in it is not interpreted."""
    console().print(text, markup=False)


def emit(document: Mapping[str, Any] | Sequence[Any]) -> None:
    """The JSON document of a command; nothing without --json."""
    if SETTINGS.json:
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None, left: int = 1) -> None:
    """A table of text; the first ``left`` columns are text and the others numbers.

    Where the terminal is narrower than its names and numbers, its lines run on: a number that is cut off reads as another.
    """
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    drawn = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for number, column in enumerate(columns):
        drawn.add_column(column, justify="left" if number < left else "right", no_wrap=number == 0 or number >= left, overflow="fold")
    cells = [list(row) for row in rows]
    for row in cells:
        drawn.add_row(*(escape(cell) for cell in row))
    target = console()
    target.soft_wrap = False
    target.width = max(target.width, _least_width(columns, cells, left))
    target.print(drawn)


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> int:
    """Characters of a line that shows the first column and all numbers whole, and of other text its longest word."""
    whole = [number == 0 or number >= left for number in range(len(columns))]
    parts = [[name, *(row[number] for row in rows)] for number, name in enumerate(columns)]
    widths = [max(len(part) for cell in column for part in ([cell] if kept else cell.split())) for column, kept in zip(parts, whole, strict=True)]
    return sum(widths) + 3 * len(widths) - 1


def number(value: float) -> str:
    """A figure with four significant digits and thousands separators."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"
