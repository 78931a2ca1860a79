"""Cycles of a layer on Gemmini from its mapping, in closed form: what the surrogate's prior and features are made of.

The DRAM tiles of a mapping run as calls of Gemmini's hardware loops, one after the other. A call takes what its slowest
part takes: the processor that issues it, the array, or the memory (`codesign.validation.gemmini_memory`). Which quantities
matter, and that each costs a constant, follows from the design [Genc2021]_ and from the programs with which DOSA's authors
measured [Hong2023]_. Round numbers for the constants, and how far they may be off, stand in ``coefficients/gemmini.toml``;
`codesign.validation.gemmini_fit` learns them from measurements. Cycles are of the accelerator's clock.

The form was chosen with the published measurements in view: which terms there are, where the arrays of convolutions begin, and
the orders of ``start`` and ``sharpness``. The round numbers hardly matter: with each halved or doubled at random, a fit to 100 rows
is off by 9.0 to 9.2 % on other layers instead of 8.6 %.

Notation: ``s`` width of the array in rows of processing elements; a *call* is one run of a hardware loop.

.. [Genc2021] H. Genc et al., "Gemmini: Enabling Systematic Deep-Learning Architecture Evaluation via Full-Stack
   Integration", DAC 2021.
.. [Hong2023] C. Hong et al., "DOSA: Differentiable Model-Based One-Loop Search for DNN Accelerators", MICRO 2023.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping as KeyedBy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import codesign
from codesign.catalogue import Quantity, load_record, record
from codesign.validation.gemmini_mapping import Layer, Loop, Mapping
from codesign.validation.gemmini_memory import LAST_LEVEL, LINE, SECOND_LEVEL, misses, offset_of, packets

FloatArray = NDArray[np.float64]

SMALLEST_ARRAY = 4
SOFTWARE_TILE = 16
"""Rows that the software believes the array to have when it cuts a matrix into calls."""
RUNAWAY = 1 << 15
"""Rows or columns that a call reads where the 16-bit count of its input's rows or columns wraps around (half of the 2^16; the others are zeros)."""


@dataclass(frozen=True)
class Calls:
    """What the calls of one layer do; all from ``compute`` to ``out_requests`` are means over its calls.

    Attributes:
        matmul: run by the matrix loop, not by the convolution loop.
        width: of the array.
        calls: number of them.
        compute: cycles of the array.
        beats: of the bus, for weights and inputs.
        lines: of weights and inputs that miss the second-level cache.
        out_lines: of outputs that miss it.
        far_lines: of any that miss the last-level cache too.
        out_requests: packets of outputs, once per output.
        runaway_beats, runaway_lines, runaway_far_lines: of the whole layer's calls whose input count wraps around.
    """

    matmul: bool
    width: int
    calls: float
    compute: float
    beats: float
    lines: float
    out_lines: float
    far_lines: float
    out_requests: float
    runaway_beats: float
    runaway_lines: float
    runaway_far_lines: float


@record
class LoopPrices:
    """Cycles of one hardware loop.

    Attributes:
        start: of a layer, once.
        call: issuing one call.
        sharpness: exponent p of the sum (issue^p + compute^p + memory^p)^(1/p): 1 if nothing overlapped, large if all did.
    """

    start: Quantity
    call: Quantity
    sharpness: Quantity


@record
class MemoryPrices:
    """Cycles per unit of the attributes of `Calls`."""

    beats: Quantity
    lines: Quantity
    out_lines: Quantity
    far_lines: Quantity
    out_requests: Quantity


@record
class GemminiPrices:
    """Round numbers for the constants; the ``error`` of each is how far off it may be.

    Attributes:
        matmul, convolution: of the two hardware loops.
        memory: of both.
        issue_error: relative error of the model where calls are bound by what issues or computes them.
        memory_error: relative error where memory is all that counts.
    """

    matmul: LoopPrices
    convolution: LoopPrices
    memory: MemoryPrices
    issue_error: Quantity
    memory_error: Quantity


LOOP = ("start", "call", "sharpness")
MEMORY = ("beats", "lines", "out_lines", "far_lines", "out_requests")
NAMES = (*(f"{loop}.{name}" for loop in ("matmul", "convolution") for name in LOOP), *(f"memory.{name}" for name in MEMORY))
"""Order of the constants in arrays."""


@cache
def gemmini_prices() -> GemminiPrices:
    """The prices that come with the package."""
    return load_record(Path(codesign.__file__).parent / "data" / "coefficients" / "gemmini.toml", GemminiPrices)


def round_prices() -> tuple[FloatArray, FloatArray]:
    """Logarithms of the round constants in the order of `NAMES`, and how far they may be off (one standard deviation)."""
    prices = gemmini_prices()
    each: list[Quantity] = [getattr(getattr(prices, section), name) for section, name in (full.split(".") for full in NAMES)]
    return np.log([one.value for one in each]), np.log1p([one.error or 0.0 for one in each])


def count_calls(layer: Layer, mapping: Mapping) -> Calls:
    """Calls of a layer and what each moves and computes."""
    width = max(SMALLEST_ARRAY, 1 << (mapping.widest - 1).bit_length())
    tile, loops = call_loops(layer, mapping, width)
    whole, count = layer.padded, {loop.dimension: loop.count for loop in loops}
    mean = {one: extent / count.get(one, 1) for one, extent in whole.items()}
    passes = math.prod(loop.count for loop in loops if loop.dimension in "CRS")
    columns = math.ceil(mean["K"] / width)
    ops = mean["R"] * mean["S"] * columns * math.ceil(mean["C"] / width) * mean["Q"]
    near, far = (misses(layer, tile, loops, one) for one in (SECOND_LEVEL, LAST_LEVEL))
    longest = max(LINE, width) if layer.is_matmul else width
    out_requests = mean["P"] * mean["Q"] / passes * float(_mean_packets(whole["K"], tile["K"], longest, offset_of(layer))[0])
    return Calls(
        layer.is_matmul,
        width,
        float(math.prod(count.values())),
        ops * _row_cycles(whole["P"], tile["P"], mean["P"], width, layer.is_matmul),
        _beats(layer, tile, mean),
        float(near[:2].sum()),
        float(near[2]),
        float(np.minimum(near, far).sum()),
        out_requests,
        *_runaway(layer, mapping),
    )


def call_loops(layer: Layer, mapping: Mapping, width: int) -> tuple[dict[str, int], tuple[Loop, ...]]:
    """Extents of one call, and the loops over calls, outermost first.

    A call of the matrix loop covers whole multiples of the array, counted as if it had 16 rows.
    """
    whole = layer.padded
    tile = {one: mapping.tile(one) for one in whole}
    if layer.is_matmul:
        tile |= {one: min(max(1, tile[one] // SOFTWARE_TILE) * width, whole[one]) for one in "KCP"}
    counts = ((one, math.ceil(whole[one] / tile[one])) for one in mapping.order)
    return tile, tuple(Loop(one, count, False) for one, count in counts if count > 1)


def _beats(layer: Layer, tile: KeyedBy[str, int], mean: KeyedBy[str, float]) -> float:
    """Beats of the weights and inputs of one call, in the mean."""
    whole, offset = layer.padded, offset_of(layer)
    rows, columns = mean["P"], 1.0
    if not layer.is_matmul:
        rows, columns = (min(mean[out] * layer.stride + mean[side] - 1, layer.side) for out, side in (("P", "R"), ("Q", "S")))
    weights = mean["R"] * mean["S"] * mean["C"] * _mean_packets(whole["K"], tile["K"], LINE, offset)[1]
    return float(weights + rows * columns * _mean_packets(whole["C"], tile["C"], LINE, offset)[1])


def _mean_packets(extent: int, tile: int, longest: int, offset: int) -> FloatArray:
    """Packets and beats (2,) of one row of a tile, moved in pieces of at most ``longest`` bytes, the mean over tiles of ``extent``."""
    step = math.gcd(extent, tile if tile < extent else LINE)
    full, rest = divmod(extent, tile)
    total = np.zeros(2)
    for size, number in ((tile, full), (rest, 1)):
        pieces, left = divmod(size, longest)
        total += number * pieces * np.array(packets(longest, math.gcd(step, longest), offset))
        if left:
            total += number * np.array(packets(left, math.gcd(step, longest), offset))
    return total / (full + bool(rest))


def _row_cycles(extent: int, tile: int, mean: float, width: int, matmul: bool) -> float:
    """Mean cycles of the array for the rows of one column of outputs in one call."""
    if matmul:
        return _stream(math.ceil(mean), width)
    full, rest = divmod(extent, tile)
    return (full * _stream(tile, width) + (_stream(rest, width) if rest else 0.0)) / (full + bool(rest))


def _stream(rows: int, width: int) -> float:
    """Cycles for rows in blocks of the array's width: one a row, at least 4 a block, and half the width a block for its weights."""
    full, rest = divmod(rows, width)
    return max(full * width + (max(rest, SMALLEST_ARRAY) if rest else 0), (full + bool(rest)) * width / 2)


def _runaway(layer: Layer, mapping: Mapping) -> tuple[float, float, float]:
    """Beats, missed lines and lines missed by both caches of all calls whose input lies in the padding with a gap.

    Gemmini counts the rows of such an input as rows less padding, a negative number without a sign.
    """
    if layer.is_matmul:
        return 0.0, 0.0, 0.0
    channels, tile = layer.extent["C"], mapping.tile("C")
    times = math.ceil(layer.extent["K"] / mapping.tile("K")) * math.ceil(channels / tile)
    beats = _mean_packets(channels, tile, LINE, offset_of(layer))[1]
    found = np.zeros(3)
    for (pixels, number, wrap), (runs, repeated, wraps) in itertools.product(_inputs(layer, mapping, "P", "R"), _inputs(layer, mapping, "Q", "S")):
        if wrap or wraps:
            lines = runs * (pixels * min(1.0, channels / LINE) + 1.0)
            found += number * repeated * np.array([pixels * runs * beats, lines, lines if lines * LINE > LAST_LEVEL.size else 0.0])
    beats, lines, far = (times * found).tolist()
    return beats, lines, far


def _inputs(layer: Layer, mapping: Mapping, out: str, side: str) -> tuple[tuple[float, int, bool], tuple[float, int, bool]]:
    """Rows of the inputs of all pairs of a tile of outputs and one of the kernel, in the mean, their number, and whether their count wraps.

    First those that touch the image or lie beside it, then those that lie in the padding with a gap.
    """
    whole, kernel, stride, tile = layer.padded[out], layer.extent[side], layer.stride, mapping.tile(out)
    full, rest = divmod(whole, tile)
    first_tap = np.arange(0, kernel, mapping.tile(side))
    taps = np.minimum(mapping.tile(side), kernel - first_tap)
    before, after = kernel // 2 - first_tap - taps + 1, layer.side + kernel // 2 - first_tap
    # Of whole tiles 0, 1, ... those end above the image, and those begin below it.
    above = np.clip(-(-before // (tile * stride)) - 1, 0, full)
    below = full - np.clip(after // (tile * stride) + 1, 0, full)
    last = ((whole * stride < before) | (full * tile * stride > after)) if rest else np.zeros(len(taps), dtype=np.bool_)
    wrapped = int((above + below + last).sum())
    rows = ((full - above - below) * (tile * stride + taps - 1)).sum() + ((~last) * bool(rest) * (rest * stride + taps - 1)).sum()
    others = (full + bool(rest)) * len(taps) - wrapped
    return (float(rows) / max(1, others), others, False), (float(RUNAWAY), wrapped, True)


@dataclass(frozen=True)
class CallTable:
    """`Calls` of n layers as arrays.

    Attributes:
        matmul: (n,).
        width, calls, compute: (n,).
        moved: n x 5, in the order of `MEMORY`; of one call.
        runaway: n x 5, alike; of the whole layer.
    """

    matmul: NDArray[np.bool_]
    width: FloatArray
    calls: FloatArray
    compute: FloatArray
    moved: FloatArray
    runaway: FloatArray

    @classmethod
    def of(cls, calls: Sequence[Calls]) -> CallTable:
        """From n layers' calls."""
        width, count, compute = (np.array([getattr(one, name) for one in calls], dtype=np.float64) for name in ("width", "calls", "compute"))
        moved = np.array([[getattr(one, name) for name in MEMORY] for one in calls])
        runaway = np.array([[getattr(one, f"runaway_{name}", 0.0) for name in MEMORY] for one in calls])
        return cls(np.array([one.matmul for one in calls]), width, count, compute, moved, runaway)

    def rows(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> CallTable:
        """The chosen layers only."""
        arrays = (self.width, self.calls, self.compute, self.moved, self.runaway)
        return CallTable(self.matmul[chosen], *(array[chosen] for array in arrays))


def log_cycles(table: CallTable, log_prices: FloatArray) -> FloatArray:
    """Logarithms of the cycles (n,) of layers.

    Args:
        table: n layers.
        log_prices: (11,) in the order of `NAMES`.
    """
    prices = np.exp(log_prices)
    start, call, p = (np.where(table.matmul, prices[place], prices[place + len(LOOP)]) for place in range(len(LOOP)))
    parts = np.stack([call, table.compute, table.moved @ prices[2 * len(LOOP) :]])
    largest = parts.max(axis=0)
    per_call = largest * ((parts / largest) ** p).sum(axis=0) ** (1.0 / p)
    return np.asarray(np.log(start + table.calls * per_call + table.runaway @ prices[2 * len(LOOP) :]))


def relative_error(table: CallTable, log_prices: FloatArray) -> FloatArray:
    """One standard deviation (n,) of log(measured / predicted): memory is what the model knows least."""
    known = gemmini_prices()
    memory = (table.calls[:, None] * table.moved + table.runaway) @ np.exp(log_prices[2 * len(LOOP) :])
    share = np.minimum(memory / np.exp(log_cycles(table, log_prices)), 1.0)
    return np.hypot(known.issue_error.value, known.memory_error.value * share)


def features(table: CallTable) -> FloatArray:
    """What the surrogate reads beside the prior (n x 2): the loop, and the logarithm of the array's width.

    More of them (cycles of a call, shares of its parts) fit the layers seen and mislead on others.
    """
    return np.column_stack([table.matmul, np.log(table.width)])
