"""RTL simulation of exported `pe_array` projects, bit for bit against the quantised model, cycles counted.

What runs is what was exported: the project's Verilog, its test bench and its memory image.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError
from codesign.export.pe_array_image import PeArrayImage
from codesign.export.pe_array_job import image_runs
from codesign.export.pe_array_project import MEMORY_FILE
from codesign.network.deployed import IntTensor
from codesign.verify.csim import DIVERGENCE_SAMPLES, ReferenceTrace
from codesign.verify.result import VerificationResult, check_shapes, compare_logits, write_json
from codesign.verify.rtl_bench import data_design, run_job
from codesign.verify.rtl_divergence import find_rtl_divergence
from codesign.verify.verilator import build

LEVEL = "rtl"
STUCK, LEAST_LIMIT = 20, 1_000_000
"""A program that takes this many times its predicted cycles, and these in any case, is stuck: a damaged image may loop for ever."""
RESULT_FILE = Path("rtl_sim") / "result.json"
DIVERGENCE_FILE = Path("rtl_sim") / "divergence.json"
BUILDS = Path("rtl_sim") / "builds"
RUN_LOG = Path("rtl_sim") / "run.log"


@dataclass(frozen=True)
class RtlRun:
    """What the simulation of a project gave.

    Attributes:
        logits: n x classes, at the fraction of the last accumulator.
        cycles: of each inference (n,).
        preload_cycles: of the program that loads the weights once; 0 where they are streamed.
    """

    logits: IntTensor
    cycles: NDArray[np.int64]
    preload_cycles: int


def simulate(folder: Path, image: PeArrayImage, samples: NDArray[np.uint8], *, builds: Path | None = None, stall: int = 0, limit: int | None = None) -> RtlRun:
    """Run an exported project on data set words (n, ...).

    Args:
        folder: the project: ``rtl/``, ``tb/`` and ``memory.bin``.
        image: what was exported.
        samples: data set words (n, ...).
        builds: folder of builds that projects share; one of the project's own where not given.
        stall: share of the cycles, in 1/256, in which the memory does not answer.
        limit: cycles after which a program is taken for stuck.

    Raises:
        InputError: the memory image is not of the size that was exported, or samples exceed the input's width.
        ToolMissingError: Verilator or a program that it needs is not installed.
        EvaluationError: the sources do not compile, or the array breaks a rule of the bus or does not end.
    """
    program = build(data_design(image.schedule.array, folder / "rtl", folder / "tb"), builds or folder / BUILDS)
    result = run_job(
        program,
        exported_memory(folder, image),
        image_runs(image, len(samples)),
        image.pack_input(samples),
        memory_bytes=image.schedule.memory.size,
        latency=image.schedule.array.latency,
        stall=stall,
        limit=limit,
        log=folder / RUN_LOG,
    )
    first = len(result.cycles) - len(samples)
    return RtlRun(image.unpack_logits(b"".join(result.outputs)), result.cycles[first:], int(result.cycles[:first].sum()))


def exported_memory(folder: Path, image: PeArrayImage) -> bytes:
    """The memory image of a project.

    Raises:
        InputError: it is missing or not as long as the one that was exported.
    """
    path = folder / MEMORY_FILE
    if not path.is_file():
        raise InputError("no memory image", where=str(path), remedy="Export the design again")
    contents = path.read_bytes()
    if len(contents) != len(image.memory):
        raise InputError(f"{len(contents)} bytes, {len(image.memory)} were exported", where=str(path), remedy="Export the design again")
    return contents


def verify_rtl(
    folder: Path,
    image: PeArrayImage,
    quantised_logits: IntTensor,
    samples: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    design: str,
    cycles_predicted: float | None = None,
    reference_trace: ReferenceTrace | None = None,
    changed_files: tuple[str, ...] = (),
    builds: Path | None = None,
) -> VerificationResult:
    """Simulate a project on all samples and compare its logits with the quantised model's.

    The result is also written to ``rtl_sim/result.json`` in the project. Where logits differ, ``rtl_sim/divergence.json``
    tells the first diverging layer.

    Args:
        folder: an exported project.
        image: what was exported.
        quantised_logits: int64 n x classes at the fraction of the last accumulator, from the quantised (Brevitas) model.
        samples: data set words (n, ...).
        labels: classes (n,).
        design: id in the result.
        cycles_predicted: latency the cost model predicts, passed on.
        reference_trace: gives the quantised model's layer outputs (n, h, w, c) by layer name for some samples; the
            deployed integers where not given.
        changed_files: files of the project that are not as exported, told with a divergence.
        builds: folder of builds that projects share; one of the project's own where not given.

    Raises:
        InputError: arrays whose shapes do not belong together, or a project that is not the image's.
        ToolMissingError: Verilator or a program that it needs is not installed.
        EvaluationError: the sources do not compile, or the array breaks a rule of the bus or does not end.
    """
    started = time.perf_counter()
    check_shapes(quantised_logits, samples, labels, image.network.graph.output.out_c, where=f"RTL simulation of design {design}")
    limit = None if cycles_predicted is None else round(STUCK * cycles_predicted) + LEAST_LIMIT
    found = simulate(folder, image, samples, builds=builds, limit=limit)
    same = found.logits == quantised_logits
    layer = None
    (folder / DIVERGENCE_FILE).unlink(missing_ok=True)
    if not same.all():
        different = samples[~same.all(axis=1)][:DIVERGENCE_SAMPLES]
        reference = None if reference_trace is None else reference_trace(different)
        divergence = find_rtl_divergence(folder, image, exported_memory(folder, image), different, reference, builds or folder / BUILDS)
        divergence = replace(divergence, changed_files=changed_files)
        write_json(folder / DIVERGENCE_FILE, divergence.as_dict() | {"summary": divergence.summary})
        layer = divergence.layer
    result = compare_logits(
        quantised_logits,
        found.logits,
        labels,
        design=design,
        level=LEVEL,
        first_diverging_layer=layer,
        cycles_predicted=cycles_predicted,
        cycles_simulated=float(found.cycles.max()),
        seconds=time.perf_counter() - started,
    )
    write_json(folder / RESULT_FILE, result.as_dict())
    return result
