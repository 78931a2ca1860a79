"""Cycles of the shared array's own Verilog, for ``peers.py``: the referee.

The compiler's program for the whole network runs in the timing-only build (Verilator): the same Verilog without its data
path, one build for every array. What a layer takes is the difference between the program cut before and behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from peer_designs import Design

from codesign.accelerator.array_parameters import ArrayParameters
from codesign.accelerator.pe_array_program import Instruction
from codesign.accelerator.pe_array_tiling import memory_latency
from codesign.accelerator.schedule import Phase, schedule
from codesign.export.pe_array_image import encode_program
from codesign.export.pe_array_job import TimingPoint
from codesign.verify.rtl_bench import timing_cycles, timing_design
from codesign.verify.verilator import build


@dataclass(frozen=True)
class RtlCycles:
    """Cycles of one inference: of each layer, in the order of ``Design.weighted``, and of the whole program."""

    layers: list[float]
    network: float


def simulate(design: Design, builds: Path) -> RtlCycles:
    """Run the design's program.

    Args:
        design: a network on an array.
        builds: folder of Verilator's builds.
    """
    clock = np.array([float(design.values["clock_mhz"])])
    array = ArrayParameters.from_values(design.values, latency=int(memory_latency(clock)[0]))
    phases = schedule(design.network, array).phases
    counts = [0, *(count for count in range(1, len(phases)) if phases[count].layer != phases[count - 1].layer), len(phases)]
    points = [TimingPoint(_program(phases[:count]), array.latency, array.bus_bits, array.columns) for count in counts]
    cycles = timing_cycles(build(timing_design(), builds), points)
    spent = {layer.name: 0.0 for layer in design.weighted}
    for first, before, behind in zip(counts, cycles, cycles[1:], strict=False):
        if phases[first].layer in spent:
            spent[phases[first].layer] += float(behind - before)
    return RtlCycles(list(spent.values()), float(cycles[-1]))


def _program(phases: tuple[Phase, ...]) -> bytes:
    return encode_program([*(phase.instruction for phase in phases), Instruction(halt=1)])
