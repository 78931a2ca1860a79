"""The one module that finds and runs outside programs (g++, ccache, verilator, yosys, nextpnr)."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from codesign.errors import EvaluationError, ToolMissingError


@dataclass(frozen=True)
class Tool:
    """An outside program.

    Attributes:
        name: what codesign calls it.
        executable: the command looked up on ``PATH``.
        variable: the environment variable that overrides the look-up with a path.
        remedy: how to get it.
    """

    name: str
    executable: str
    variable: str
    remedy: str


GXX = Tool("g++", "g++", "CODESIGN_GXX", "Install it (Debian/Ubuntu: apt-get install g++) or set CODESIGN_GXX to its path")
CCACHE = Tool("ccache", "ccache", "CODESIGN_CCACHE", "Optional: apt-get install ccache makes repeated compilations free")
TOOLS = (GXX, CCACHE)


def find(tool: Tool) -> Path | None:
    """Path of the program, or None when it is absent; the override variable wins over ``PATH``."""
    override = os.environ.get(tool.variable)
    found = shutil.which(override if override else tool.executable)
    return Path(found) if found else None


def require(tool: Tool, *, needed_for: str) -> Path:
    """Path of the program.

    Raises:
        ToolMissingError: it is not installed; says which command needs it and how to get it.
    """
    path = find(tool)
    if path is None:
        override = os.environ.get(tool.variable)
        what = f"{tool.variable}={override} is not a program" if override else f"{tool.name} was not found on PATH"
        raise ToolMissingError(what, where=needed_for, remedy=tool.remedy)
    return path


def version(tool: Tool) -> str | None:
    """First line that ``--version`` prints, or None when the program is absent or does not answer."""
    path = find(tool)
    if path is None:
        return None
    try:
        done = subprocess.run([str(path), "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0].strip() if lines else None


def run(command: list[str], *, log: Path, where: str, cwd: Path | None = None, timeout_s: float = 1800.0) -> None:
    """Run a program with its output kept in ``log``.

    Raises:
        EvaluationError: it failed or ran past ``timeout_s``; the message names the log and ends with its last lines.
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
        tail = " | ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:])
        raise EvaluationError(f"{command[0]} ended with status {done.returncode}: {tail}", where=where, remedy=f"See {log}")
