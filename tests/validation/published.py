"""Points made by hand in the format of published ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WAKE_WORD = [
    {"C": 40, "K": 4, "F": 1, "s": 16, "W": 101, "p": 0, "Wo": 7},
    {"C": 4, "K": 3, "F": 1, "s": 1, "W": 1, "p": 0, "Wo": 1},
]
"""On a 2 x 2 array: 1 + 20 * 2 * 7 and 1 + 2 * 2 * 1 cycles; 7 * 160 + 12 = 1,132 products."""


def entry(**changes: Any) -> dict[str, Any]:
    """A point whose published cycles are the network's."""
    made = {"f": "wake word", "task": "wwd", "N": 2, "bw": 6, "bf": 4, "bb": 0, "L": WAKE_WORD, "nw": 172, "macs": 1132, "err": 0.03}
    return made | {"pub": 286.0, "exact": 286, "hannah": 286, "area": 32_600.0, "P": 1.09e-6} | changes


def layer(**changes: Any) -> dict[str, Any]:
    """A layer."""
    return {"C": 8, "K": 8, "F": 3, "s": 1, "W": 10, "p": 1, "Wo": 10} | changes


def write(path: Path, entries: Any) -> Path:
    """A file of points."""
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path
