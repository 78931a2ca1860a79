"""Commands about what codesign knows and has: init, check, devices, tasks, templates, doctor."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from codesign.cli.output import emit, number, say, table
from codesign.errors import InputError

StudyFile = Annotated[Path, typer.Argument(help="The study file.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (init, check, devices, tasks, templates, doctor):
        app.command()(command)


def init(
    output: Annotated[Path, typer.Argument(help="The file to write.")] = Path("study.toml"),
    task: Annotated[str, typer.Option(help="Task: see `codesign tasks`.")] = "kws",
    device: Annotated[str, typer.Option(help="Device: see `codesign devices`.")] = "pynq-z2",
    template: Annotated[str, typer.Option(help="Accelerator template, or several with commas: see `codesign templates`.")] = "pe_array",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a commented study file."""
    from codesign.search.builtin import study_text

    text = study_text(task, device, tuple(template.split(",")))
    if output.exists() and not force:
        raise InputError("exists already", where=str(output), remedy="Give another name, or --force to overwrite it")
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(output), remedy="Choose another folder") from None
    say(f"wrote {output}; next: codesign check {output}")
    emit({"file": str(output), "task": task, "device": device, "templates": template.split(",")})


def check(study_file: StudyFile = Path("study.toml")) -> None:
    """Validate a study file; size of its space; whether anything fits; estimated time."""
    from codesign.search.check import check_study
    from codesign.search.specification import load_specification

    found = check_study(load_specification(study_file))
    say(f"{study_file}: valid, study {found.name}")
    say(f"space: {found.parameters} parameters, {found.size:.3g} designs")
    say(f"feasible: {found.feasibility.feasible:,} of {found.feasibility.sampled:,} random designs")
    for name, share in sorted(found.feasibility.rejected.items(), key=lambda item: -item[1]):
        if share > 0:
            say(f"  {name} rejects {share:.1%}")
    say(f"estimated training time: {found.training_minutes:.1f} min of one core for {found.evaluations} evaluations")
    emit(found.as_dict())


def devices() -> None:
    """List the devices with their resources."""
    from codesign.accelerator.device import device_names, find_device

    known = [find_device(name) for name in device_names()]
    rows = []
    for device in known:
        cells = [number(device.resources[key]) for key in ("lut", "ff", "dsp", "bram18", "uram")]
        rows.append([device.name, device.part, *cells, number(device.clock_mhz.value)])
    table(("device", "part", "LUT", "FF", "DSP", "BRAM18", "URAM", "MHz"), rows, left=2)
    emit({"devices": [{"name": device.name, "part": device.part, "title": device.title, **device.resources} for device in known]})


def tasks() -> None:
    """List the tasks."""
    from codesign.network.tasks.registry import task_names, task_record

    records = [task_record(name) for name in task_names()]
    table(("task", "title", "input", "classes"), [[r.name, r.title, " x ".join(map(str, r.input_shape)), str(len(r.classes))] for r in records], left=3)
    emit({"tasks": [{"name": r.name, "title": r.title, "input_shape": list(r.input_shape), "classes": list(r.classes), "licence": r.licence} for r in records]})


def templates() -> None:
    """List accelerator templates, network blueprints and search strategies."""
    from codesign.kpi.template_model import find_template, template_names
    from codesign.network.blueprints.blueprint import blueprints
    from codesign.search.strategies.strategy import strategy_names

    known = {name: find_template(name).description for name in template_names()}
    families = {name: blueprint.description for name, blueprint in blueprints().items()}
    table(("template", "what it builds"), list(known.items()), left=2)
    table(("blueprint", "networks"), list(families.items()), left=2)
    say(f"strategies: {', '.join(strategy_names())}")
    emit({"templates": known, "blueprints": families, "strategies": list(strategy_names())})


def doctor() -> None:
    """Look for everything codesign needs or can use, and say how to get what is missing."""
    from importlib.metadata import PackageNotFoundError, requires, version

    from codesign import toolchain

    rows, packages = [], {}
    for requirement in requires("codesign") or ():
        if "extra ==" in requirement:
            continue
        name = re.split(r"[ <>=!~;\[]", requirement, maxsplit=1)[0]
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = ""
        rows.append([name, packages[name] or "missing", "" if packages[name] else "Install codesign again: make setup"])
    tools = {}
    for tool in toolchain.TOOLS:
        tools[tool.name] = toolchain.version(tool) or ""
        rows.append([tool.name, tools[tool.name] or "missing", "" if tools[tool.name] else tool.remedy])
    table(("what", "version", "remedy"), rows, left=3)
    emit({"packages": packages, "tools": tools})
    toolchain.require(toolchain.GXX, needed_for="codesign verify")
