"""What Gemmini's calls move through the simulated system's memories, and what of it misses the caches.

The rows of a tile are strided runs of bytes. Each run is fetched in aligned packets of one, two or four beats of the bus,
so that a run which begins off a beat moves one more. Lines that a loop touches again hit if they are still in the cache: the
second-level cache replaces at random, and power-of-two strides crowd into few of its sets. Behind it the simulator models a
last-level cache. Mappings were measured one after the other on the same arrays, so the caches hold what fits.

The facts are from the public sources: packets from Gemmini's stream reader, sizes from the default configurations of
Chipyard and FireSim (``L2SingleBank512K``, ``DDR3FRFCFSLLC4MB``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping as KeyedBy
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from codesign.validation.gemmini_mapping import Layer, Loop

FloatArray = NDArray[np.float64]

BEAT = 16
"""Bytes of one transfer of the system bus."""
LINE = 64
"""Bytes of the largest packet, and of a line of the caches."""
CONVOLUTION_OFFSET = 8
"""Bytes that the arrays of convolutions, unlike those of matrices, begin past a line: nothing aligns them in the programs that were measured."""
HIT_ROUNDS = 60


@dataclass(frozen=True)
class Cache:
    """A set-associative cache.

    Attributes:
        size: bytes.
        ways: lines of a set.
    """

    size: int
    ways: int

    @property
    def sets(self) -> int:
        """Number of sets."""
        return self.size // LINE // self.ways


SECOND_LEVEL = Cache(512 * 1024, 8)
LAST_LEVEL = Cache(4 * 1024 * 1024, 8)


@dataclass(frozen=True)
class Region:
    """Bytes that a nest touches: runs, repeated at strides.

    Attributes:
        run: contiguous bytes.
        levels: (repetitions, stride in bytes), innermost first.
        offset: bytes of the first run past a line.
    """

    run: int
    levels: tuple[tuple[int, int], ...]
    offset: int


def offset_of(layer: Layer) -> int:
    """Bytes that the arrays of a layer begin past a line."""
    return 0 if layer.is_matmul else CONVOLUTION_OFFSET


def regions(layer: Layer, extent: KeyedBy[str, int]) -> tuple[Region, Region, Region]:
    """Weights, inputs and outputs of given extents.

    Tensors lie as kernel x C x K, column x row x C, and column x row x K, bytes.
    """
    whole, offset = layer.padded, offset_of(layer)
    k, c = whole["K"], whole["C"]
    if layer.is_matmul:
        rows, columns, all_rows = extent["P"], 1, whole["P"]
    else:
        rows, columns = (min(extent[out] * layer.stride + extent[side] - 1, layer.side) for out, side in (("P", "R"), ("Q", "S")))
        all_rows = layer.side
    weights = Region(extent["K"], ((extent["C"], k), (extent["S"], k * c), (extent["R"], k * c * whole["S"])), offset)
    inputs = Region(extent["C"], ((rows, c), (columns, c * all_rows)), offset)
    outputs = Region(extent["K"], ((extent["P"], k), (extent["Q"], k * whole["P"])), offset)
    return weights, inputs, outputs


@cache
def packets(size: int, step: int, offset: int) -> tuple[float, float]:
    """Packets and beats of a run of ``size`` bytes, the mean over runs that begin any multiple of ``step`` past ``offset``."""
    counts = [_packets_from(begin, size) for begin in _begins(step, offset)]
    return sum(count for count, _ in counts) / len(counts), sum(beats for _, beats in counts) / len(counts)


def _begins(step: int, offset: int) -> list[int]:
    """Where in a line runs begin."""
    return sorted({(offset + step * number) % LINE for number in range(LINE)})


def _packets_from(begin: int, size: int) -> tuple[int, int]:
    """The stream reader takes the packet that brings most of what is left, and the smallest of those."""
    count = beats = 0
    while size > 0:
        # To the end of the aligned packet that holds the first byte; of equals `max` takes the first.
        brought, width = max(((min(width - begin % width, size), width) for width in (BEAT, 2 * BEAT, LINE)), key=lambda one: one[0])
        count, beats = count + 1, beats + width // BEAT
        begin, size = (begin + brought) % LINE, size - brought
    return count, beats


@cache
def _lines_of_run(size: int, step: int, offset: int) -> float:
    """Lines that a run lies in, the mean over where it begins."""
    begins = _begins(step, offset)
    return sum((begin + size - 1) // LINE + 1 for begin in begins) / len(begins)


def footprint(region: Region, sets: int) -> tuple[float, float]:
    """Lines that a region lies in, and over how many sets of a cache of ``sets`` sets they spread.

    Gaps below a line are spanned.
    """
    run, count, step, strides = region.run, 1, LINE, []
    for repetitions, stride in region.levels:
        if repetitions > 1 and count == 1 and stride - run < LINE:
            run = (repetitions - 1) * stride + run
        elif repetitions > 1:
            count *= repetitions
            strides.append((repetitions, stride))
        step = math.gcd(step, stride)
    per_run = _lines_of_run(run, math.gcd(step, run) if run < LINE else step, region.offset)
    span, spread, common = sets * LINE, min(per_run, float(sets)), sets * LINE
    for repetitions, stride in strides:
        common = math.gcd(common, stride)
        spread = min(spread * min(repetitions, span // math.gcd(stride, span)), per_run * span / common, float(sets))
    return count * per_run, max(1.0, spread)


def hits(load: FloatArray) -> FloatArray:
    """Share of hits where ``load`` times a cache's capacity is touched over and over and replaced at random.

    A line survives the misses between two touches, each of which evicts any line, so that h = exp(-load (1 - h)) [1]_. All
    hit where everything fits.

    .. [1] The mean field of a cyclic sweep: (1 - 1/C)^(N (1 - h)) for N = load x C touches of C lines.
    """
    share = np.exp(-load)
    for _ in range(HIT_ROUNDS):
        share = np.exp(-load * (1.0 - share))
    return np.where(load <= 1.0, 1.0, share)


def misses(layer: Layer, tile: KeyedBy[str, int], loops: tuple[Loop, ...], memory: Cache) -> FloatArray:
    """Lines of weights, inputs and outputs (3,) that one call misses in the mean.

    A loop around a nest touches again what the nest touched: those touches hit unless the nest's own lines, and its other
    tensors', have filled the sets meanwhile. So do the touches of the whole layer, which runs on caches that it has filled.
    Outputs are written in the last of the passes over inputs and kernel only.

    Args:
        layer: the layer.
        tile: extents of one call.
        loops: over calls, outermost first.
        memory: the cache that misses.
    """
    whole, extent = layer.padded, dict(tile)
    passes = math.prod(loop.count for loop in loops if loop.dimension in "CRS")
    touched, load = [], []
    for loop in (None, *reversed(loops)):
        if loop is not None:
            extent[loop.dimension] = min(extent[loop.dimension] * loop.count, whole[loop.dimension])
        found = np.array([footprint(region, memory.sets) for region in regions(layer, extent)])
        elsewhere = found[:, 0] / [1.0, 1.0, passes] / memory.sets
        touched.append(found[:, 0])
        load.append((found[:, 0] / found[:, 1] + elsewhere.sum() - elsewhere) / memory.ways)
    shares = 1.0 - hits(np.array(load))
    calls = runs = float(math.prod(loop.count for loop in loops))
    missed = touched[-1] * shares[-1]
    for depth, loop in enumerate(reversed(loops)):
        runs /= loop.count
        again = np.maximum(touched[depth] * loop.count - touched[depth + 1], 0.0)
        missed = missed + again * runs * shares[depth]
    return np.asarray(missed / calls / [1.0, 1.0, passes])
