"""Tables as plain cells, for HTML and Markdown alike."""

from __future__ import annotations

from dataclasses import dataclass

from codesign.estimate import Evidence

NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Column:
    """Head of a column.

    Attributes:
        unit: of all its numbers.
        evidence: of all its numbers where it is the same; None: cells say their own, or have none.
        numeric: align right.
    """

    title: str
    unit: str = ""
    evidence: Evidence | None = None
    numeric: bool = True


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        detail: second line, such as the 95 % interval.
        evidence: badge of this cell.
        source: model, tool or data behind the figure.
        anchor: element of the page that the text leads to.
        bar: share from 0 to 1 drawn behind the number.
        tone: ``good``, ``bad`` or empty.
        tags: short labels behind the text.
    """

    text: str
    detail: str = ""
    evidence: Evidence | None = None
    source: str = ""
    anchor: str = ""
    bar: float | None = None
    tone: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Columns and rows of equal length."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
