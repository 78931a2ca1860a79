"""Cells of tables that other people wrote: every value may be missing, of another type, or out of range."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

LARGEST_WHOLE = (1 << 31) - 1

Row = Mapping[str, Any]


class UnreadableError(Exception):
    """A row cannot be modelled; the message is the reason."""


def text(row: Row, name: str) -> str:
    """A column as text; empty where it is neither text nor a number."""
    value = row.get(name)
    return str(value) if isinstance(value, str | int | float) else ""


def number(value: object) -> float | None:
    """A finite number, or None."""
    if not isinstance(value, str | int | float):
        return None
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def whole(value: object, default: int | None = None) -> int:
    """A whole number of at least 0.

    Raises:
        UnreadableError: it is none, and there is no default.
    """
    found = number(value)
    if found is None or found != int(found) or not 0 <= found <= LARGEST_WHOLE:
        if default is None:
            raise UnreadableError("network lacks a shape")
        return default
    return int(found)


def first_bits(notation: str, default: int) -> int:
    """Width in a notation such as ``ap_fixed<16,6>``, ``quantized_bits(8,0,alpha=1)`` or ``8 bit``."""
    found = re.search(r"(?:<|\(|^)\s*(\d{1,4})", notation)
    return int(found[1]) if found else default
