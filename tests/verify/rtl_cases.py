"""Random points for the Verilog of `pe_array`: programs for the timing-only build, networks with data for given arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.array_parameters import BUS_WIDTHS, ArrayParameters
from codesign.accelerator.pe_array_program import Instruction
from codesign.accelerator.schedule import Schedule, schedule
from codesign.errors import InfeasibleError, InputError
from codesign.export.pe_array_image import PeArrayImage, encode_program
from codesign.export.pe_array_job import TimingPoint
from codesign.network.layers import LayerGraph
from codesign.verify.random_network import random_deployed
from tests.verify.pe_array_cases import HUGE, random_graph, random_tiling

SAMPLES = 3
BUFFER_WORDS = 5000
"""Words of all banks of each buffer of the arrays below: no power of two."""


def built_array(rows: int, columns: int, weight_bits: int, activation_bits: int, accumulator_bits: int, bus_bits: int) -> ArrayParameters:
    """An array that is built with data."""
    half = BUFFER_WORDS // 2
    return ArrayParameters(rows, columns, weight_bits, activation_bits, accumulator_bits, half, half, half, banks=2, bus_bits=bus_bits, latency=1)


ARRAYS = (
    built_array(1, 1, 8, 8, 32, 16),
    built_array(4, 6, 2, 8, 24, 64),  # neither divides the other
    built_array(8, 4, 8, 4, 32, 32),
    built_array(3, 5, 5, 3, 27, 128),
    built_array(4, 12, 3, 2, 24, 32),  # two stages of the adder tree, biases in several beats
    built_array(8, 8, 8, 8, 32, 64),
)


@dataclass(frozen=True)
class DataCase:
    """A network with random weights on an array, and samples (n, ...) for it."""

    image: PeArrayImage
    samples: NDArray[np.uint8]


def timing_point(planned: Schedule) -> TimingPoint:
    """The program of a schedule."""
    array = planned.array
    program = encode_program([*(phase.instruction for phase in planned.phases), Instruction(halt=1)])
    return TimingPoint(program, array.latency, array.bus_bits, array.columns)


def random_point(rng: np.random.Generator, *, random_tiles: bool) -> Schedule:
    """A few layers on an array of any size, with buffers that just hold some tiling of them or more; cut so, or by the compiler."""
    while True:
        array = random_array(rng)
        graph = random_graph(rng, array.weight_bits, array.activation_bits)
        fitting, tilings = random_tiling(rng, graph, array)
        try:
            return schedule(graph, fitting, tilings if random_tiles else None)
        except InfeasibleError:  # the random tiling fits, the smallest one does not: a taller tile can need fewer input rows
            continue


def random_array(rng: np.random.Generator) -> ArrayParameters:
    """Any array; its buffers are to be fitted."""
    return ArrayParameters(
        rows=int(rng.integers(1, 33)),
        columns=int(rng.integers(1, 33)),
        weight_bits=int(rng.integers(2, 9)),
        activation_bits=int(rng.integers(2, 9)),
        accumulator_bits=32,
        weight_words=HUGE,
        activation_words=HUGE,
        output_words=HUGE,
        banks=int(rng.integers(1, 3)),
        bus_bits=int(rng.choice(BUS_WIDTHS)),
        latency=int(rng.integers(1, 60)),
        full_taps=int(rng.random() < 0.2),
    )


def random_data(rng: np.random.Generator, built: ArrayParameters) -> DataCase:
    """A random network for a built array, cut at random, with random numbers; drawn again where the numbers do not fit."""
    while True:
        graph = random_graph(rng, built.weight_bits, built.activation_bits)
        wide = replace(built, weight_words=HUGE, activation_words=HUGE, output_words=HUGE, banks=int(rng.integers(1, 3)))
        array = replace(wide, latency=int(rng.integers(1, 30)), full_taps=int(rng.random() < 0.15))
        array, tilings = random_tiling(rng, graph, array)
        if array.banks * max(array.weight_words, array.activation_words, array.output_words) > BUFFER_WORDS:
            continue
        try:
            image = PeArrayImage(random_deployed(graph, rng), schedule(graph, array, tilings))
        except (InputError, InfeasibleError):
            continue
        return DataCase(image, random_samples(graph, rng, SAMPLES))


def random_samples(graph: LayerGraph, rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Data set words (n, h, w, c)."""
    entry = graph.input
    return rng.integers(0, 1 << entry.output_bits, (count, entry.out_h, entry.out_w, entry.out_c)).astype(np.uint8)
