"""Work for the test bench of `pe_array` as files: which programs run, where their input goes, where their output lies.

The formats are told at the top of ``accel_templates/pe_array/tb/pe_array_tb.cpp``, which reads them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.pe_array_cycles import SHALLOW_TREE
from codesign.accelerator.pe_array_program import INSTRUCTION_BITS
from codesign.errors import InputError
from codesign.export.pe_array_image import PeArrayImage, pack_words

FILE_VERSION = 1
WORD = 1 << 32


@dataclass(frozen=True)
class Run:
    """One run of a program.

    Attributes:
        program: its byte address.
        input_address, input_bytes: where the next bytes of the inputs go before it starts; none where 0 bytes.
        output_address, output_bytes: what is kept of the memory when it is done.
    """

    program: int
    input_address: int = 0
    input_bytes: int = 0
    output_address: int = 0
    output_bytes: int = 0


def image_runs(image: PeArrayImage, samples: int) -> tuple[Run, ...]:
    """Runs of ``samples`` inferences; before them, where the weights stay in their buffer, the one that loads them."""
    memory = image.schedule.memory
    inference = Run(memory.program, image.input_address, image.input_bytes, image.output_address, image.output_bytes)
    return (*preload_runs(image), *[inference] * samples)


def preload_runs(image: PeArrayImage) -> tuple[Run, ...]:
    """The run that loads the weights, where they stay in their buffer."""
    return (Run(image.schedule.memory.preload),) if image.schedule.resident.weights else ()


def output_mask(image: PeArrayImage) -> bytes:
    """Ones where an inference's outputs hold a channel. The other lanes of a word keep what the output buffer held before."""
    array, shape = image.schedule.array, image.schedule.output_shape
    used = np.arange(shape.planes * array.columns).reshape(shape.planes, 1, array.columns) < shape.channels
    lanes = np.where(used, (1 << array.activation_bits) - 1, 0) * np.ones((image.schedule.runs, 1, shape.h * shape.w, 1), dtype=np.int64)
    return pack_words(lanes, array.activation_bits, array.activation_word_bytes)


@dataclass(frozen=True)
class TimingPoint:
    """A program whose cycles are asked of the timing-only build.

    Attributes:
        program: its instructions, the ``halt`` included, as they lie in memory.
        latency: of the memory, cycles.
        bus_bits: width of the port to it.
        columns: of the array.
    """

    program: bytes
    latency: int
    bus_bits: int
    columns: int

    @property
    def fetch_beats(self) -> int:
        """Beats of an instruction."""
        return INSTRUCTION_BITS // self.bus_bits

    @property
    def tree(self) -> int:
        """Stages of the adder tree."""
        return 1 if self.columns <= SHALLOW_TREE else 2


def job_bytes(memory_bytes: int, runs: Sequence[Run]) -> bytes:
    """Contents of a job file.

    Raises:
        InputError: an address lies outside the memory, or the memory is larger than the port can address.
    """
    for number, run in enumerate(runs):
        for name, address, count in (("input", run.input_address, run.input_bytes), ("output", run.output_address, run.output_bytes)):
            if not 0 <= address <= address + count <= memory_bytes:
                raise InputError(f"{name} at {address} of {count} bytes in a memory of {memory_bytes} bytes", where=f"run {number} of a pe_array job")
    if memory_bytes >= WORD:
        raise InputError(f"a memory of {memory_bytes} bytes", where="pe_array job", remedy="The port addresses 4 GiB")
    return b"PEARRJOB" + struct.pack("<3I", FILE_VERSION, memory_bytes, len(runs)) + b"".join(struct.pack("<5I", *astuple(run)) for run in runs)


def points_bytes(points: Sequence[TimingPoint]) -> bytes:
    """Contents of a file of points for the timing-only build."""
    parts = [b"PEARRPTS", struct.pack("<2I", FILE_VERSION, len(points))]
    for point in points:
        parts += [struct.pack("<4I", point.latency, point.fetch_beats, point.tree, len(point.program)), point.program]
    return b"".join(parts)


def read_cycles(contents: bytes, count: int) -> NDArray[np.int64]:
    """Cycles (n,) of each run or point.

    Raises:
        InputError: not ``count`` numbers.
    """
    if len(contents) != 8 * count:
        raise InputError(f"{len(contents)} bytes of cycles, {8 * count} are wanted", where="test bench of pe_array")
    return np.frombuffer(contents, dtype="<u8").astype(np.int64)
