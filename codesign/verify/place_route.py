"""Place and route with nextpnr-ecp5, the one open tool that covers a family of `codesign.accelerator.device`.

The part is an LFE5U-85F of the slowest speed grade in a CABGA381 package, as on an ULX3S board. Ports are not constrained to pins: nextpnr puts
them on any pad, of which the part has 365, and the reported frequency is that of paths from register to register.

The target frequency does not steer nextpnr 0.11: 50, 100 and 200 MHz gave the same placement and frequency to the last digit. The seed does: three
seeds differed by 2 to 10 % on six netlists. One fixed seed is used, so that a result is repeatable; take the frequency as good to 5 % either way.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign import toolchain
from codesign.errors import EvaluationError
from codesign.verify.synthesis_cache import PlacementEntry
from codesign.verify.synthesis_job import NETLIST
from codesign.verify.tool_log import warnings_in

PART = "LFE5U-85F-6CABGA381"
ARGUMENTS = ("--85k", "--package", "CABGA381", "--speed", "6", "--lpf-allow-unconstrained", "--timing-allow-fail", "--freq", "100", "--seed", "1")
TIMEOUT_S = 3600.0
REPORT = "report.json"
CLOCK_PREFIX, CLOCK_SUFFIX = "$glbnet$", "$TRELLIS_IO_IN"
"""What nextpnr puts around the name of a port that it made a global clock."""


@dataclass(frozen=True)
class PlacementReport:
    """What a report of nextpnr says.

    Attributes:
        clocks_mhz: highest frequency of each clock.
        used, available: sites by kind.
    """

    clocks_mhz: dict[str, float]
    used: dict[str, int]
    available: dict[str, int]


def place(work: Path, key: str, tool: str, *, log: Path, where: str, program: Path) -> PlacementEntry:
    """Place and route the netlist that lies in a folder.

    Args:
        work: folder of ``netlist.json``; the report is written there.
        key: of the entry.
        tool: program and version, as it goes into the entry.
        log: keeps what the program says.
        where: begins error messages.
        program: nextpnr-ecp5.

    Raises:
        EvaluationError: the design does not fit, or the program fails.
    """
    started = time.perf_counter()
    # Relative names: YoWASP programs see a /tmp of their own.
    toolchain.run([str(program), *ARGUMENTS, "--json", NETLIST, "--report", REPORT], log=log, where=where, cwd=work, timeout_s=TIMEOUT_S)
    seconds = time.perf_counter() - started
    report = work / REPORT
    found = read_report(report.read_text(encoding="utf-8") if report.is_file() else "", where=where)
    return PlacementEntry(
        key=key, tool=tool, clocks_mhz=found.clocks_mhz, used=found.used, available=found.available, seconds=seconds, warnings=warnings_in(log)
    )


def read_report(text: str, *, where: str) -> PlacementReport:
    """Read the JSON report of nextpnr.

    Raises:
        EvaluationError: it is no such report.
    """
    try:
        document: dict[str, Any] = json.loads(text)
        clocks = {_port(name): float(figures["achieved"]) for name, figures in document["fmax"].items()}
        used = {str(kind): int(figures["used"]) for kind, figures in document["utilization"].items()}
        available = {str(kind): int(figures["available"]) for kind, figures in document["utilization"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise EvaluationError("the report of nextpnr-ecp5 has no readable fmax and utilization", where=where) from None
    return PlacementReport(clocks, used, available)


def _port(clock: str) -> str:
    return clock.removeprefix(CLOCK_PREFIX).removesuffix(CLOCK_SUFFIX)
