"""Commands that work on a study: run, status, front, show, export, verify, report."""

from __future__ import annotations

import dataclasses
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli.array_view import print_array
from codesign.cli.output import SETTINGS, emit, number, say, table
from codesign.cli.progress import ProgressDisplay
from codesign.cli.verification_output import print_results, print_verified, raise_mismatches
from codesign.errors import CodesignError, InputError, InterruptedRunError

if TYPE_CHECKING:
    from codesign.search.engine import Engine
    from codesign.search.study import Evaluated, Study

RUNS = Path("runs")
HLS_OUT = Path("hls_out")
Runs = Annotated[Path, typer.Option("--runs", help="Folder of the studies.")]
HlsOut = Annotated[Path, typer.Option("--hls-out", help="Folder of the exported hardware projects.")]
StudyName = Annotated[str | None, typer.Option("--study", "-s", help="Name of a study under --runs; the one last run by default.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", help="Processes that work at the same time.")]
Cluster = Annotated[str | None, typer.Option("--cluster", help="A running Dask scheduler, tcp://host:port, instead of local processes.")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder of the full data set, instead of the embedded one.")]
DesignId = Annotated[str | None, typer.Argument(help="Id of a design, or its first digits.")]
WholeFront = Annotated[bool, typer.Option("--front", help="Every design of the front.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (run, status, front, show, export, verify, report):
        app.command()(command)


def run(
    study_file: Annotated[Path | None, typer.Argument(help="The study file; without one, keyword spotting on a PYNQ-Z2.")] = None,
    jobs: Jobs = 1,
    cluster: Cluster = None,
    data: Data = None,
    device: Annotated[str, typer.Option("--train-on", help="Where to train: cpu, cuda or auto.")] = "cpu",
    verification: Annotated[bool, typer.Option("--verify/--no-verify", help="Prove the front in C simulation.")] = True,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try designs again whose evaluation failed.")] = False,
    runs: Runs = RUNS,
    hls_out: HlsOut = HLS_OUT,
) -> None:
    """Search, prove the front bit for bit in C simulation, write the report. Continues an interrupted run."""
    from codesign.network.tasks.registry import load_task
    from codesign.search.builtin import builtin_study
    from codesign.search.engine import open_engine
    from codesign.search.specification import load_specification
    from codesign.search.study import Study
    from codesign.store.lock import exclusive
    from codesign.verify.pipeline import find_level

    specification = builtin_study() if study_file is None else load_specification(study_file)
    device = _check_run(device, verification)
    task = load_task(specification.task, data)
    folder = runs / specification.name
    with _interruptible(specification.name), ExitStack() as stack:
        engine = stack.enter_context(open_engine(jobs, cluster))
        stack.enter_context(exclusive(folder / "lock"))
        study = Study.create(specification, folder)
        study.bind_data(task, path=data, device=device)
        study.store.log("command", line=shlex.join(["codesign", *sys.argv[1:]]))
        if retry_failed:
            say(f"trying {study.store.forget_failures()} failed evaluations again")
        unit = "designs" if specification.fidelity is None else "full trainings"
        say(f"study {specification.name}: {specification.task} on {specification.device}, budget {specification.budget.evaluations} {unit}, in {folder}")
        display = stack.enter_context(ProgressDisplay())
        study.search(engine, listen=display.listen)
        problem = _prove_front(study, engine, hls_out, display) if verification else None
        with study.timed("report"):
            path = _write_report(study)
    _print_front(study, study.front())
    seconds = study.compute_seconds()
    say("compute time: " + ", ".join(f"{name} {value / 60:.1f} min" for name, value in seconds.items()))
    say(f"report: {path}")
    _emit_front(study, study.front(), report=str(path), seconds=seconds)
    if problem is not None:
        raise problem
    raise_mismatches(study, study.front(), find_level("csim"))


def _prove_front(study: Study, engine: Engine, hls_out: Path, display: ProgressDisplay) -> CodesignError | None:
    """Verify the front designs that have no result yet; an error is kept until the report is written."""
    known = study.store.verifications("csim")
    waiting = [item for item in study.front() if item.id not in known]
    if not waiting:
        return None
    try:
        with study.timed("verify"):
            study.restore_models(waiting, engine)
            _verify(study, waiting, engine, hls_out, display)
    except CodesignError as error:
        return error
    return None


def status(study: StudyName = None, runs: Runs = RUNS) -> None:
    """How far a study is."""
    opened = _open(study, runs)
    done, failed = opened.counts()
    total = opened.specification.budget.evaluations
    front_size = len(opened.front())
    verified, simulated, synthesised = (
        len(frozenset[str]().union(*map(opened.store.verifications, levels))) for levels in (("csim",), ("rtl",), ("synth", "pnr"))
    )
    say(f"study {opened.specification.name} in {opened.folder}")
    spent = opened.fidelity_counts()
    if spent:
        cost = sum(part.cost for part in spent)
        say(f"trained in full {done} designs, failed {failed}; {cost:.1f} of {total} full trainings spent; front {front_size} designs")
        for part in spent:
            say(f"  {part.name}: {part.done} done, {part.failed} failed, worth {part.cost:.1f} full trainings, {part.seconds / 60:.1f} min of processor time")
    else:
        say(f"evaluated {done} of {total}, failed {failed}; front {front_size} designs")
    say(f"verified in C simulation {verified}, in RTL simulation {simulated}; synthesised {synthesised}")
    counts = {"evaluated": done, "failed": failed, "budget": total, "front": front_size, "verified": verified}
    fidelities = {"fidelities": [dataclasses.asdict(part) for part in spent]} if spent else {}
    emit({"study": opened.specification.name, **counts, "verified_rtl": simulated, "synthesised": synthesised, **fidelities})


def front(
    study: StudyName = None,
    runs: Runs = RUNS,
    everything: Annotated[bool, typer.Option("--all", help="Every evaluated design, not only the front.")] = False,
) -> None:
    """The Pareto front: designs that no other beats in every objective."""
    opened = _open(study, runs)
    shown = opened.evaluated() + opened.briefly_evaluated() if everything else opened.front()
    _print_front(opened, shown, title="Evaluated designs" if everything else "Pareto front")
    _emit_front(opened, shown)


def show(design: Annotated[str, typer.Argument(help="Id of a design, or its first digits.")], study: StudyName = None, runs: Runs = RUNS) -> None:
    """One design: parameters, layers, figures with their intervals and evidence; on a pe_array its schedule, memories and ASIC estimate."""
    opened = _open(study, runs)
    item = opened.find(design, brief=True)
    say(f"design {item.id}, {item.training}, evaluation {item.evaluation.state}{': ' + item.evaluation.error if item.evaluation.error else ''}")
    table(("parameter", "value"), [[name, str(value)] for name, value in item.design.point.assignment])
    figures = opened.figures(item)
    table(
        ("figure", "value", "95 % interval", "unit", "evidence"),
        [[name, number(e.value), f"{number(e.low)} .. {number(e.high)}", e.unit, e.evidence.value] for name, e in figures.items()],
    )
    graph = opened.pricing.joint.graph(item.design.point)
    rows = [
        [
            layer.name,
            layer.op.name.lower(),
            f"{layer.out_h}x{layer.out_w}x{layer.out_c}",
            *map(number, (layer.weights, layer.weight_bits, layer.output_bits, layer.macs)),
        ]
        for layer in graph
    ]
    table(("layer", "op", "output", "weights", "w bits", "a bits", "MACs"), rows, left=2)
    array = print_array(opened, item)
    verified = print_verified(opened, item.id)
    emit(
        {
            "id": item.id,
            "state": item.evaluation.state,
            "error": item.evaluation.error,
            "training": item.training,
            "parameters": dict(item.design.point.assignment),
            "figures": {name: estimate.as_dict() for name, estimate in figures.items()},
            "layers": graph.as_rows(),
            "array": array,
            "verification": verified.get("csim"),
            "rtl": verified.get("rtl"),
            "synthesis": verified.get("pnr", verified.get("synth")),
        }
    )


def export(
    design: DesignId = None,
    whole_front: WholeFront = False,
    study: StudyName = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a project even where it holds files that codesign did not write.")] = False,
    runs: Runs = RUNS,
    hls_out: HlsOut = HLS_OUT,
    data: Data = None,
) -> None:
    """Write the hardware projects of one design or the front: hls4ml (Vitis back end), and the Verilog of a pe_array."""
    from codesign.export.pipeline import export_design, project_request
    from codesign.store.lock import exclusive

    opened = _open(study, runs)
    chosen = _chosen(opened, design, whole_front)
    with exclusive(opened.folder / "lock"):
        _bind(opened, data)
        written = {item.id: export_design(project_request(opened, item, hls_out, opened.data_path, force=force)) for item in chosen}
    for identifier, folder in written.items():
        say(f"{identifier}: {folder}")
    emit({"exported": {identifier: str(folder) for identifier, folder in written.items()}})


def verify(
    design: DesignId = None,
    whole_front: WholeFront = False,
    study: StudyName = None,
    level: Annotated[
        str,
        typer.Option("--level", help="csim: C simulation (g++). rtl: the exported Verilog (Verilator). synth: Yosys. pnr: nextpnr, ECP5 only."),
    ] = "csim",
    jobs: Jobs = 1,
    cluster: Cluster = None,
    data: Data = None,
    runs: Runs = RUNS,
    hls_out: HlsOut = HLS_OUT,
) -> None:
    """Compare exported designs bit for bit with the quantised model over the whole test split, or synthesise their hardware.

    Cycles and resources that were measured become evidence: the design shows them, and the prices of others learn from them.
    With --front, a level beyond csim leaves out designs on templates that have no Verilog.
    """
    from codesign.search.engine import open_engine
    from codesign.store.lock import exclusive
    from codesign.verify.pipeline import find_level

    found = find_level(level)
    opened = _open(study, runs)
    chosen = _chosen(opened, design, whole_front)
    if whole_front and found.evidence is not None:
        chosen = _with_hardware(opened, chosen)
    with _interruptible(opened.specification.name), ExitStack() as stack:
        stack.enter_context(exclusive(opened.folder / "lock"))
        _bind(opened, data)
        engine = stack.enter_context(open_engine(jobs, cluster))
        display = stack.enter_context(ProgressDisplay())
        _verify(opened, chosen, engine, hls_out, display, level)
    results = opened.store.verifications(level)
    print_results(found, chosen, results)
    emit({"level": level, "points": [results[item.id] for item in chosen if item.id in results]})
    if found.simulates:
        raise_mismatches(opened, chosen, found)


def report(study: StudyName = None, runs: Runs = RUNS) -> None:
    """Write the report again: HTML, Markdown and JSON."""
    opened = _open(study, runs)
    path = _write_report(opened)
    say(f"report: {path}")
    emit({"report": str(path)})


@contextmanager
def _interruptible(study: str) -> Iterator[None]:
    """Turn Ctrl-C into an error that says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError("interrupted; everything finished is saved", where=f"study {study}", remedy="The same command continues from there") from None


def _check_run(device: str, verification: bool) -> str:
    """What would otherwise be found out minutes later; gives the device to train on, ``cpu`` or ``cuda``."""
    from codesign import toolchain

    if device not in ("cpu", "cuda", "auto"):
        raise InputError(f"unknown training device {device!r}", where="--train-on", remedy="Choose from cpu, cuda, auto")
    if device != "cpu":
        from codesign.network.training import training_device

        device = training_device(device).type
    if verification:
        toolchain.require(toolchain.GXX, needed_for="codesign run (verification; --no-verify leaves it out)")
    return device


def _bind(study: Study, data: Path | None) -> None:
    """Check that the data given, or else those of the study, are what the study was begun with."""
    from codesign.network.tasks.registry import load_task

    path = data or study.data_path
    study.bind_data(load_task(study.specification.task, path), path=path, device=(study.store.bound_data() or {}).get("device", "cpu"))


def _open(name: str | None, runs: Path) -> Study:
    """The named study, or the one last run."""
    from codesign.search.study import STORE_FILE, Study

    if name is not None:
        folder = runs / name if (runs / name / STORE_FILE).is_file() else Path(name)
        return Study.open(folder)
    # The lock is written by every run; the store's own time stands still while its log takes the writes.
    stores = sorted(runs.glob(f"*/{STORE_FILE}"), key=lambda path: max(file.stat().st_mtime for file in (path, path.with_name("lock")) if file.exists()))
    if not stores:
        raise InputError("holds no study", where=str(runs), remedy="Run one with `codesign run`, or give another folder with --runs")
    return Study.open(stores[-1].parent)


def _chosen(study: Study, design: str | None, whole_front: bool) -> list[Evaluated]:
    """The designs that the arguments name."""
    if (design is None) == (not whole_front):
        raise InputError("name one design, or give --front", where="arguments", remedy="`codesign front` lists the designs")
    return study.front() if design is None else [study.find(design)]


def _with_hardware(study: Study, chosen: list[Evaluated]) -> list[Evaluated]:
    """The designs whose projects hold Verilog; the others, if there are any such, are told."""
    from codesign.verify.pipeline import has_hardware

    kept = [item for item in chosen if has_hardware(study, item)]
    if kept and len(kept) < len(chosen):
        say(f"{len(chosen) - len(kept)} of {len(chosen)} designs are on templates without Verilog and left out")
    return kept or chosen


def _verify(study: Study, chosen: list[Evaluated], engine: Engine, hls_out: Path, display: ProgressDisplay, level: str = "csim") -> None:
    from codesign.verify.pipeline import verify_designs

    study.store.put("hls_out", str(hls_out))
    verify_designs(study, chosen, engine, hls_out, level=level, data=study.data_path, listen=display.listen)


def _write_report(study: Study) -> Path:
    from codesign.report.collect import collect
    from codesign.report.render import write_report

    return write_report(collect(study), study.folder / "report").html


def _print_front(study: Study, shown: list[Evaluated], title: str = "Pareto front") -> None:
    """Designs with the study's objectives, the scarce resources and the verification."""
    from codesign.store.study_store import FAILED

    results = study.store.verifications("csim")
    columns = [*study.specification.objectives, *(name for name in ("lut", "dsp", "bram18") if name not in study.specification.objectives)]
    several, fidelities = len(study.specification.templates) > 1, study.specification.fidelity is not None
    rows = []
    for item in shown:
        figures, result = study.figures(item), results.get(item.id)
        exact = "not verified" if result is None else f"{result['samples_exact']:,}/{result['samples']:,}"
        test = f"{result['metric_quantised']:.3f}" if result else "-"
        missing = "failed" if item.evaluation.state == FAILED else "-"
        cells = [number(figures[name].value) if name in figures else missing for name in columns]
        template = [study.pricing.joint.template_of(item.design.point).name] if several else []
        rows.append([item.id, *template, *([item.training] if fidelities else []), *cells, test, exact])
    heads = ("design", *(["template"] if several else []), *(["training"] if fidelities else []), *columns, "test accuracy", "csim exact")
    table(heads, rows, title=title, left=1 + several + fidelities)


def _emit_front(study: Study, shown: list[Evaluated], **more: object) -> None:
    if not SETTINGS.json:
        return
    results = study.store.verifications("csim")
    points = [
        {
            "id": item.id,
            **({} if study.specification.fidelity is None else {"training": item.training}),
            "parameters": dict(item.design.point.assignment),
            "figures": {name: estimate.as_dict() for name, estimate in study.figures(item).items()},
            "verification": results.get(item.id),
        }
        for item in shown
    ]
    emit({"study": study.specification.name, "objectives": list(study.specification.objectives), "front": points, "at": time.time(), **more})
