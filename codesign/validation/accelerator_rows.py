"""Rows of measured accelerators, of one group and with one measured quantity: what `validate predictor` learns from.

The table has the columns of ``accel_points``: all text, each group with columns of its own filled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codesign.errors import InputError
from codesign.validation.parquet import read_rows

TARGETS = ("cycles", "latency_ms", "throughput", "energy_uJ", "power_mW", "dram_MB")
RESOURCES = ("lut", "ff", "dsp", "bram")
"""Targets too, and features where they are not the target."""
NUMBERS = ("macs", "batch", "weight_bits", "act_bits", "clock_MHz")
TEXTS = ("accelerator", "workload", "config_json", "layer_json")


@dataclass(frozen=True)
class AcceleratorRow:
    """One measurement.

    Attributes:
        id: of the row, with which predictions are written.
        text: the columns of `TEXTS`, `NUMBERS` and `RESOURCES` that hold something.
        target: the measured quantity, positive.
    """

    id: str
    text: Mapping[str, str]
    target: float

    @property
    def workload(self) -> str:
        """What ran: the layer, else the workload, else the row itself."""
        return self.text.get("layer_json") or self.text.get("workload") or self.id


def read_group(path: Path, group: str, target: str) -> list[AcceleratorRow]:
    """Rows of a group that have the target.

    Raises:
        InputError: an unreadable file, an unknown target, no such group, or a group without the target.
    """
    if target not in (*TARGETS, *RESOURCES):
        raise InputError(f"unknown target {target!r}", where="--target", remedy=f"Choose one of {', '.join((*TARGETS, *RESOURCES))}")
    rows = read_rows(path, ("id", "group", target), tuple(dict.fromkeys((*TEXTS, *NUMBERS, *TARGETS, *RESOURCES))))
    mine = [row for row in rows if row["group"] == group]
    if not mine:
        groups = sorted({str(row["group"]) for row in rows})
        raise InputError(f"no rows of group {group!r}", where=str(path), remedy=f"It has {', '.join(groups[:20]) or 'no rows'}")
    found = [AcceleratorRow(str(row["id"]), _texts(row, target), value) for row in mine if (value := _positive(row[target])) is not None]
    if not found:
        measured = [name for name in (*TARGETS, *RESOURCES) if any(_positive(row.get(name)) is not None for row in mine)]
        raise InputError(f"no positive {target} in group {group!r}", where=str(path), remedy=f"It has {', '.join(measured) or 'no target'}")
    return found


def _texts(row: Mapping[str, object], target: str) -> dict[str, str]:
    """What is known before the target is: who asks for one resource has no report of the others."""
    known = (*TEXTS, *NUMBERS) if target in RESOURCES else (*TEXTS, *NUMBERS, *RESOURCES)
    return {name: str(row[name]) for name in known if name != target and row.get(name) not in (None, "")}


def _positive(value: object) -> float | None:
    """A number above 0 from a cell; None where it is not one."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0.0 else None
