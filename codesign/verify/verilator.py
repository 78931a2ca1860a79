"""Verilog to a program: lint and build with Verilator and g++, once for each content.

A build is named by everything that goes into it: sources, parameters, flags, and the versions of Verilator and g++. So
one folder serves many projects, and a build that lies there is never made again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from codesign import toolchain
from codesign.errors import InputError

NEEDED_FOR = "codesign verify --level rtl"
PROGRAM = "bench"
LOG = "build.log"
BUILD_TIMEOUT_S = 1800.0
# Two-state simulation whose registers can begin with noise, no delays, no assertions; warnings are the business of `lint`.
FLAGS = ("-O3", "--x-assign", "fast", "--x-initial", "unique", "--no-timing", "--no-assert", "--threads", "1", "-Wno-fatal")
CXX_FLAGS = ("-std=c++20", "-DVL_TIME_CONTEXT")
# Large designs are compiled in parts that share a precompiled header, which the wheel on PyPI names in no option.
MAKE_FLAGS = ("CFG_CXXFLAGS_PCH_I=-include", "OPT_FAST=-O2", "OPT_GLOBAL=-O1", f"PYTHON3={sys.executable}")
WARNINGS = ("-Wall", "--language", "1364-2005")
RUNTIME = ("verilated.o", "verilated_threads.o")
"""Verilator's own objects: the same for all builds of the same flags, and half of a small build's time."""


@dataclass(frozen=True)
class Design:
    """A Verilog top module with a C++ test bench.

    Attributes:
        top: name of the module; the bench includes ``V<top>.h``.
        rtl: folder of its sources (``*.v``) and headers (``*.vh``).
        bench: folder of the test bench (``*.cpp``, ``*.h``).
        parameters: of the top module, by name.
        macros: defined for the Verilog and for the bench.
        trace: ``vcd`` (waveforms) or ``saif`` (activity) that the program shall be able to write; slower even when it does not.
    """

    top: str
    rtl: Path
    bench: Path
    parameters: tuple[tuple[str, int], ...] = ()
    macros: tuple[str, ...] = ()
    trace: Literal["vcd", "saif"] | None = None

    @property
    def sources(self) -> list[Path]:
        """Verilog files, by name.

        Raises:
            InputError: there is none.
        """
        found = sorted(self.rtl.glob("*.v"))
        if not found:
            raise InputError("no Verilog source (*.v)", where=str(self.rtl))
        return found

    @property
    def waivers(self) -> list[Path]:
        """Files (``*.vlt``) with the warnings that do not count, each with its reason."""
        return sorted(self.rtl.glob("*.vlt"))

    @property
    def options(self) -> list[str]:
        """Options of Verilator that say what the design is."""
        defined = [f"+define+{macro}" for macro in self.macros]
        return ["--top-module", self.top, f"-I{self.rtl}", *defined, *(f"-G{name}={value}" for name, value in self.parameters)]


def lint(design: Design, *, log: Path) -> None:
    """Check the Verilog with all warnings on, each an error but those that a ``*.vlt`` file beside the sources waives.

    Raises:
        ToolMissingError: Verilator is not installed.
        EvaluationError: there is a warning; the log has it.
    """
    verilator = toolchain.require(toolchain.VERILATOR, needed_for=NEEDED_FOR)
    command = [str(verilator), "--lint-only", *WARNINGS, *design.options, *map(str, [*design.waivers, *design.sources])]
    toolchain.run(command, log=log, where=f"lint of {design.top}")


def build(design: Design, cache: Path, *, jobs: int = 1) -> Path:
    """The program that simulates a design, built where it is not there yet.

    Args:
        design: what to build.
        cache: folder of builds.
        jobs: compilers at a time.

    Raises:
        ToolMissingError: Verilator, Perl, make or g++ is not installed.
        InputError: the design has no Verilog source.
        EvaluationError: it does not compile; the log lies in the cache.
    """
    verilator = toolchain.require(toolchain.VERILATOR, needed_for=NEEDED_FOR)
    folder = cache / f"{design.top}-{build_key(design)[:16]}"
    program = folder / PROGRAM
    if program.is_file():
        return program
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=cache) as scratch:
        objects = Path(scratch)
        runtime = cache / f"runtime-{_runtime_key(design)[:16]}"
        if runtime.is_dir():
            for name in RUNTIME:
                shutil.copy(runtime / name, objects)
        log = cache / f"{folder.name}-{objects.name}.log"  # two workers may build the same design
        toolchain.run(_command(str(verilator), design, objects, jobs), log=log, where=f"simulation of {design.top}", timeout_s=BUILD_TIMEOUT_S)
        _publish(runtime, [objects / name for name in RUNTIME])
        shutil.move(log, objects / LOG)
        _publish(folder, [objects / PROGRAM, objects / LOG])
    return program


def build_all(designs: Sequence[Design], cache: Path, *, jobs: int = 2) -> list[Path]:
    """Programs of several designs, ``jobs`` built at a time. Errors as `build`."""
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda design: build(design, cache), designs))


def build_key(design: Design) -> str:
    """SHA-256 over all that goes into a build."""
    digest = hashlib.sha256(json.dumps([_tools(), FLAGS, CXX_FLAGS, MAKE_FLAGS[:-1], design.parameters, design.macros, design.trace, design.top]).encode())
    for folder in (design.rtl, design.bench):
        for path in sorted(path for path in folder.iterdir() if path.suffix in {".v", ".vh", ".vlt", ".cpp", ".h"}):
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _runtime_key(design: Design) -> str:
    return hashlib.sha256(json.dumps([_tools(), CXX_FLAGS, MAKE_FLAGS[:-1], design.trace]).encode()).hexdigest()


def _tools() -> list[str | None]:
    return [toolchain.version(toolchain.VERILATOR), toolchain.version(toolchain.GXX)]


def _command(verilator: str, design: Design, objects: Path, jobs: int) -> list[str]:
    """Command line that verilates, compiles and links into ``objects``."""
    ccache = toolchain.find(toolchain.CCACHE)
    make = [*MAKE_FLAGS, *([] if ccache is None else [f"OBJCACHE={ccache}"])]
    compiler = [*CXX_FLAGS, f"-I{design.bench.resolve()}", *(f"-D{macro}" for macro in design.macros)]
    return [
        verilator,
        *("--cc", "--exe", "--build", "-j", str(jobs), "--prefix", f"V{design.top}", "-Mdir", str(objects), "-o", PROGRAM),
        *FLAGS,
        *([] if design.trace is None else [f"--trace-{design.trace}"]),
        *design.options,
        *("-CFLAGS", " ".join(compiler)),
        *(part for flag in make for part in ("-MAKEFLAGS", flag)),
        *map(str, [*design.waivers, *design.sources]),
        *(str(path.resolve()) for path in sorted(design.bench.glob("*.cpp"))),
    ]


def _publish(folder: Path, files: list[Path]) -> None:
    """Put files into a new folder that appears complete or not at all; one that another process made first stays."""
    if folder.is_dir():
        return
    scratch = Path(tempfile.mkdtemp(prefix="publish-", dir=folder.parent))
    for path in files:
        shutil.copy(path, scratch)
    try:
        scratch.rename(folder)
    except OSError:
        shutil.rmtree(scratch)
        if not folder.is_dir():
            raise
