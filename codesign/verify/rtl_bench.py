"""Programs on the Verilog of `pe_array`: builds of its test bench, jobs with data, and cycles of many programs.

Two builds: the *data* build has one array's sizes and computes; the *timing-only* build has no data and serves every
size, at several million cycles a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from codesign import toolchain
from codesign.accelerator.array_parameters import ArrayParameters
from codesign.accelerator.template import templates_folder
from codesign.errors import EvaluationError
from codesign.export.pe_array_job import Run, TimingPoint, job_bytes, points_bytes, read_cycles
from codesign.verify.verilator import Design

TOP = "pe_array"
TIMING_ONLY = "TIMING_ONLY"
# The narrowest array on the widest bus: an instruction comes in as few beats as on any bus. Wide addresses serve all programs.
TIMING_PARAMETERS = {
    **{"ROWS": 1, "COLUMNS": 1, "WEIGHT_BITS": 8, "ACTIVATION_BITS": 8, "ACCUMULATOR_BITS": 32, "BUS_BITS": 128},
    **{"WEIGHT_WORDS": 1 << 20, "ACTIVATION_WORDS": 1 << 19, "OUTPUT_WORDS": 1 << 19},
}
RUN_TIMEOUT_S = 7200.0


@dataclass(frozen=True)
class JobResult:
    """What a job gave.

    Attributes:
        outputs: bytes kept of the memory after each run.
        cycles: of each run (n,).
    """

    outputs: tuple[bytes, ...]
    cycles: NDArray[np.int64]


def data_design(array: ArrayParameters, rtl: Path | None = None, bench: Path | None = None, *, trace: Literal["vcd", "saif"] | None = None) -> Design:
    """The array with its test bench; sources of the template where no folders are given."""
    return _design(array.verilog, rtl, bench, (), trace)


def timing_design(rtl: Path | None = None, bench: Path | None = None) -> Design:
    """The timing-only build."""
    return _design(TIMING_PARAMETERS, rtl, bench, (TIMING_ONLY,), None)


def run_job(
    program: Path,
    image: bytes,
    runs: Sequence[Run],
    inputs: bytes = b"",
    *,
    memory_bytes: int | None = None,
    latency: int = 8,
    stall: int = 0,
    seed: int = 1,
    limit: int | None = None,
    trace: Path | None = None,
    expected: Path | None = None,
    mask: Path | None = None,
    log: Path | None = None,
) -> JobResult:
    """Run programs one after the other; memory and buffers keep what they hold.

    Args:
        program: the data build.
        image: the memory before the first run.
        runs: programs, and what goes in and out.
        inputs: of all runs, one after the other.
        memory_bytes: size of the memory; that of the image where not given.
        latency: of the memory, cycles.
        stall: share of the cycles, in 1/256, in which each ready and valid of the memory stays low.
        seed: of the stalls and of what the buffers hold before the reset.
        limit: cycles after which a program is taken for stuck.
        trace: waveform or activity to write, if the build can.
        expected: file with the outputs that are wanted.
        mask: file with ones where a run's outputs are compared.
        log: where the bench's messages are kept; beside the program where not given.

    Raises:
        InputError: addresses outside the memory.
        EvaluationError: the array breaks a rule of the bus, reports an error, does not end, or does not give what is expected.
    """
    with TemporaryDirectory(prefix="codesign-rtl-") as scratch:
        folder = Path(scratch)
        files = {name: folder / f"{name}.bin" for name in ("job", "image", "inputs", "outputs", "cycles")}
        files["job"].write_bytes(job_bytes(len(image) if memory_bytes is None else memory_bytes, runs))
        files["image"].write_bytes(image)
        files["inputs"].write_bytes(inputs)
        options = {"--latency": latency, "--stall": stall, "--seed": seed, "--limit": limit, "--trace": trace, "--expected": expected, "--mask": mask}
        given = [str(part) for name, setting in options.items() if setting is not None for part in (name, setting)]
        command = [str(program), "run", *map(str, files.values()), *given]
        toolchain.run(command, log=log or program.with_name("run.log"), where="RTL simulation of pe_array", timeout_s=RUN_TIMEOUT_S)
        outputs, cycles = files["outputs"].read_bytes(), read_cycles(files["cycles"].read_bytes(), len(runs))
    ends = np.cumsum([0, *(run.output_bytes for run in runs)])
    if len(outputs) != ends[-1]:
        raise EvaluationError(f"the test bench gave {len(outputs)} bytes instead of {ends[-1]}", where="RTL simulation of pe_array")
    return JobResult(tuple(outputs[begin:end] for begin, end in pairwise(ends)), cycles)


def timing_cycles(program: Path, points: Sequence[TimingPoint], *, limit: int | None = None) -> NDArray[np.int64]:
    """Cycles (n,) of programs in the timing-only build.

    Args:
        program: the timing-only build.
        points: programs with their memory and array.
        limit: cycles after which a program is taken for stuck.

    Raises:
        EvaluationError: a program does not end.
    """
    with TemporaryDirectory(prefix="codesign-rtl-") as scratch:
        source, target = Path(scratch) / "points.bin", Path(scratch) / "cycles.bin"
        source.write_bytes(points_bytes(points))
        given = [] if limit is None else ["--limit", str(limit)]
        command = [str(program), "timing", str(source), str(target), *given]
        toolchain.run(command, log=program.with_name("run.log"), where="timing-only simulation of pe_array", timeout_s=RUN_TIMEOUT_S)
        return read_cycles(target.read_bytes(), len(points))


def _design(parameters: dict[str, int], rtl: Path | None, bench: Path | None, macros: tuple[str, ...], trace: Literal["vcd", "saif"] | None) -> Design:
    folder = templates_folder() / TOP
    return Design(TOP, rtl or folder / "rtl", bench or folder / "tb", tuple(parameters.items()), macros, trace)
