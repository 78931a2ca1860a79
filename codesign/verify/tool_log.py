"""What is worth keeping of the log of Yosys or nextpnr."""

from __future__ import annotations

from pathlib import Path

MARK = "Warning: "
FREQUENCY = "Max frequency for clock"
"""nextpnr warns that its target frequency is missed; the frequency reached is a result of its own."""
MOST_WARNINGS = 20


def warnings_in(log: Path) -> tuple[str, ...]:
    """Warnings, each once, in order; past twenty the last one says how many more the log has."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    found = list(dict.fromkeys(line.split(MARK, 1)[1].strip() for line in lines if MARK in line and FREQUENCY not in line))
    if len(found) <= MOST_WARNINGS:
        return tuple(found)
    return (*found[:MOST_WARNINGS], f"{len(found) - MOST_WARNINGS} more in {log.name}")
