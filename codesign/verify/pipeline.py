"""Prove designs of a study: export where needed, simulate or synthesise, record.

Each level is one function of a `ProjectRequest` that a worker runs; its result is stored as it comes, and the key figures
that it measured become evidence, from which the prices of other designs learn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from codesign import toolchain
from codesign.accelerator.device import Family
from codesign.errors import EvaluationError, InputError
from codesign.estimate import Evidence
from codesign.export.manifest import load_manifest
from codesign.export.pe_array_project import FOLDER, MEMORY_FILE, TOP, HardwareRequest, array_of, design_image, port_cycles
from codesign.export.pipeline import HARDWARE, ProjectRequest, ensure_exported, project_request
from codesign.search.engine import Engine
from codesign.search.evaluation import task_of
from codesign.search.study import Evaluated, Listener, Progress, Study

SHARED_BUILDS = ".builds"
"""Folder beside the projects of a study for simulators and synthesis results, which designs of one array share."""
SYNTHESIS_LOGS = Path(FOLDER) / "synthesis"
RTL_LOGS = Path(FOLDER) / "rtl_sim"


@dataclass(frozen=True)
class Level:
    """One way to verify a design.

    Attributes:
        name: as the command line and the store call it.
        label: what it is called.
        title: what was done to a design.
        tools: programs that it needs.
        work: from a request to the result's plain JSON types.
        logs: folders with the tools' logs, as seen from the project.
        evidence: kind of evidence that its measured figures are; None where it measures none.
        simulates: it compares outputs on samples; else it counts resources.
        summary: one line of a result.
    """

    name: str
    label: str
    title: str
    tools: tuple[toolchain.Tool, ...]
    work: Callable[[ProjectRequest], dict[str, Any]]
    logs: tuple[Path, ...]
    evidence: Evidence | None
    simulates: bool
    summary: Callable[[Mapping[str, Any]], str]


def find_level(name: str) -> Level:
    """The level of that name.

    Raises:
        InputError: there is none.
    """
    if name not in LEVELS:
        raise InputError(f"unknown level {name!r}", where="--level", remedy=f"Choose from {', '.join(LEVELS)}")
    return LEVELS[name]


def verify_designs(
    study: Study,
    chosen: Sequence[Evaluated],
    engine: Engine,
    hls_out: Path,
    *,
    level: str = "csim",
    data: Path | None = None,
    listen: Listener | None = None,
) -> None:
    """Verify the projects of designs, exported first where they are not there yet; each result goes into the store as it comes.

    Raises:
        ToolMissingError: a program that the level needs is not installed.
        InputError: there is no such level, a design's template has no hardware for it, or a project must be written anew, and
            its folder holds files that codesign did not write.
        EvaluationError: a project does not compile or its simulation crashes.
    """
    found = find_level(level)
    # The largest first, so that workers end together.
    ordered = sorted(chosen, key=lambda item: -item.design.kpis["macs"].value)
    requests = [project_request(study, item, hls_out, data) for item in ordered]
    for request in requests:
        _check_hardware(request, found)
    for tool in found.tools:
        toolchain.prepare(tool, needed_for=f"codesign verify --level {level}")
    failures = []
    for done, outcome in enumerate(engine.run(found.work, requests), start=1):
        identifier = requests[outcome.position].design
        if outcome.result is None:
            message = f"{identifier}: {outcome.error}"
            failures.append((requests[outcome.position].folder, message))
        else:
            _record(study, identifier, found, outcome.result)
            message = f"{identifier} {found.summary(outcome.result)}"
        if listen is not None:
            listen(Progress("verify", done, len(requests), message))
    if failures:
        folder, first = failures[0]
        logs = " and ".join(f"{os.path.normpath(folder / logs)}{os.sep}" for logs in found.logs)
        raise EvaluationError(
            f"{len(failures)} of {len(requests)} designs could not be {found.title}; the first: {first.rstrip('.')}",
            where=f"study {study.specification.name}",
            remedy=f"Its build logs lie in {logs}; `codesign export` writes a project anew",
        )


def has_hardware(study: Study, item: Evaluated) -> bool:
    """Whether the project of a design holds Verilog of its own, which the levels beyond C simulation need."""
    return study.pricing.joint.template_of(item.design.point).name in HARDWARE


def changed_hardware(folder: Path, *parts: str) -> tuple[str, ...]:
    """Files of a project's hardware that were changed, removed or added since the export, among these folders and files of it."""
    manifest, own = load_manifest(folder), tuple(f"{FOLDER}/{part}" for part in parts)
    present = {path.relative_to(folder).as_posix() for part in own for path in (folder / part).glob("*")}
    edited = {name for name in manifest.changed_files(folder) if name.startswith(own)}
    return tuple(sorted(edited | (present - manifest.files.keys())))


def _record(study: Study, identifier: str, level: Level, result: dict[str, Any]) -> None:
    """Store a result; what was measured, of a design that is what was exported and right, becomes evidence."""
    measured, source = result.pop("measured", {}), result.pop("source", "")
    study.store.record_verification(identifier, level.name, result)
    if level.evidence is not None:
        for kpi, value in measured.items():
            study.add_evidence(identifier, kpi, value, level.evidence, source)


def _check_hardware(request: ProjectRequest, level: Level) -> None:
    if level.evidence is None:
        return
    family = _hardware(request, level.name).device.family
    if toolchain.NEXTPNR_ECP5 in level.tools and family is not Family.ECP5:
        raise InputError(f"no open place and route for {family.value}", where=f"design {request.design}", remedy="Use --level synth")


def _hardware(request: ProjectRequest, level: str) -> HardwareRequest:
    if request.hardware is None:
        raise InputError(
            f"template {request.template} has no hardware of its own to verify at level {level}",
            where=f"design {request.design}",
            remedy="Use --level csim",
        )
    return request.hardware


def verify_design(request: ProjectRequest) -> dict[str, Any]:
    """C simulation: export one design where its project is not there yet, compile it with g++, run it on the test split and compare with the Brevitas model."""
    from codesign.network.builder import brevitas_logits, brevitas_trace
    from codesign.network.training import load_brevitas
    from codesign.verify.csim import verify_csim

    task = task_of(request.task, request.data)
    folder = ensure_exported(request)
    deployed, model = load_brevitas(request.model, task.record)
    logits = brevitas_logits(model, task.test.samples)
    result = verify_csim(
        folder,
        deployed,
        logits,
        task.test.samples,
        task.test.labels,
        design=request.design,
        cycles_predicted=request.cycles,
        reference_trace=partial(brevitas_trace, model),
    )
    return result.as_dict()


def verify_rtl_design(request: ProjectRequest) -> dict[str, Any]:
    """RTL simulation of the exported Verilog with Verilator on the whole test split, against the Brevitas model.

    Cycles are predicted for the memory of the test bench, which keeps up with the port. Where the board's does not, the
    priced latency is another one, and the simulation is no evidence of it.
    """
    from codesign.network.builder import brevitas_logits, brevitas_trace
    from codesign.network.training import load_brevitas
    from codesign.verify.rtl_sim import verify_rtl

    task = task_of(request.task, request.data)
    hardware = _hardware(request, "rtl")
    folder = ensure_exported(request)
    changed = changed_hardware(folder, "rtl", "tb", MEMORY_FILE)
    deployed, model = load_brevitas(request.model, task.record)
    image = design_image(deployed, hardware.values)
    predicted = request.cycles if hardware.cycles_exact else port_cycles(deployed.graph, image.schedule.array)
    result = verify_rtl(
        folder / FOLDER,
        image,
        brevitas_logits(model, task.test.samples),
        task.test.samples,
        task.test.labels,
        design=request.design,
        cycles_predicted=predicted,
        reference_trace=partial(brevitas_trace, model),
        changed_files=changed,
        builds=folder.parent / SHARED_BUILDS,
    )
    found: dict[str, Any] = result.as_dict() | {"cycles_priced": request.cycles, "changed_files": list(changed)}
    if result.exact and not changed and predicted == request.cycles and result.cycles_simulated is not None:
        clock = float(hardware.values["clock_mhz"])
        cycles = result.cycles_simulated
        found["measured"] = {"latency_cycles": cycles, "interval_cycles": cycles, "latency_us": cycles / clock, "throughput_per_s": clock * 1e6 / cycles}
        found["source"] = toolchain.version(toolchain.VERILATOR) or "Verilator"
    return found


def synthesise_design(request: ProjectRequest, *, place_and_route: bool = False) -> dict[str, Any]:
    """Yosys on the exported Verilog; with ``place_and_route`` nextpnr-ecp5 after it."""
    from codesign.verify.synthesis import synthesise

    level = "pnr" if place_and_route else "synth"
    hardware = _hardware(request, level)
    folder = ensure_exported(request)
    rtl = folder / FOLDER / "rtl"
    changed = changed_hardware(folder, "rtl")
    result = synthesise(
        [*sorted(rtl.glob("*.v")), *sorted(rtl.glob("*.vh"))],
        TOP,
        array_of(hardware.values).verilog,
        hardware.device.family,
        cache=folder.parent / SHARED_BUILDS,
        log=folder / SYNTHESIS_LOGS / "yosys.log",
        place_and_route=place_and_route,
    )
    counts = {name: value for name, value in result.resources.as_dict().items() if name != "uram"}
    clock = float(hardware.values["clock_mhz"])
    tool = result.tool if result.placement is None else f"{result.tool}, {result.placement.tool}"
    found: dict[str, Any] = {
        "id": request.design,
        "level": level,
        "resources": counts,
        "tool": tool,
        "clock_mhz": clock,
        "fmax_mhz": result.fmax_mhz,
        "meets_clock": None if result.fmax_mhz is None else result.fmax_mhz >= clock,
        "seconds": result.seconds + (result.placement.seconds if result.placement else 0.0),
        "changed_files": list(changed),
    }
    if not changed:
        found["measured"], found["source"] = {name: float(value) for name, value in counts.items()}, tool
    return found


def _samples(result: Mapping[str, Any]) -> str:
    return f"{result['samples_exact']:,} of {result['samples']:,} samples exact{_cycles(result)}{_changed(result)}"


def _cycles(result: Mapping[str, Any]) -> str:
    """Simulated cycles beside the predicted ones, and the priced ones where the board's memory is slower; empty for a C simulation."""
    simulated, predicted = result["cycles_simulated"], result["cycles_predicted"]
    if simulated is None:
        return ""
    told = "as predicted" if simulated == predicted else f"predicted {predicted:,.0f}"
    priced = "" if result.get("cycles_priced", predicted) == predicted else f"; {result['cycles_priced']:,.0f} with the slower memory of the board"
    return f", {simulated:,.0f} cycles, {told}{priced}"


def _counts(result: Mapping[str, Any]) -> str:
    reached = "" if result["fmax_mhz"] is None else f", {result['fmax_mhz']:.1f} MHz, priced at {result['clock_mhz']:g} MHz"
    return ", ".join(f"{name.upper()} {value:,}" for name, value in result["resources"].items()) + reached + _changed(result)


def _changed(result: Mapping[str, Any]) -> str:
    """What makes a result one of another project than was exported."""
    changed = result.get("changed_files")
    return f"; no evidence, changed since the export: {', '.join(changed)}" if changed else ""


LEVELS = {
    level.name: level
    for level in (
        Level("csim", "C simulation", "simulated", (toolchain.GXX,), verify_design, (Path("csim"),), None, True, _samples),
        Level(
            "rtl",
            "RTL simulation",
            "simulated",
            (toolchain.VERILATOR,),
            verify_rtl_design,
            (RTL_LOGS, Path("..") / SHARED_BUILDS),
            Evidence.RTL_SIM,
            True,
            _samples,
        ),
        Level("synth", "synthesis", "synthesised", (toolchain.YOSYS,), synthesise_design, (SYNTHESIS_LOGS,), Evidence.SYNTHESIS, False, _counts),
        Level(
            "pnr",
            "place and route",
            "placed and routed",
            (toolchain.YOSYS, toolchain.NEXTPNR_ECP5),
            partial(synthesise_design, place_and_route=True),
            (SYNTHESIS_LOGS,),
            Evidence.PLACE_ROUTE,
            False,
            _counts,
        ),
    )
}
"""How a design can be verified, by name."""
