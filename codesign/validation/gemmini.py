"""Cycles of a layer on Gemmini from its mapping, in closed form: what the surrogate's prior and features are made of.

The DRAM tiles of a mapping run as calls of Gemmini's hardware loops, one after the other. A call takes what its slowest
part takes: the processor that issues it, the array, or the memory. Which quantities matter, and that each costs a constant,
follows from the design [Genc2021]_; the constants are fitted to register-transfer simulations [Hong2023]_ and stand in
``coefficients/gemmini.toml``. Cycles are of the accelerator's clock.

Notation: ``s`` width of the array in rows of processing elements; a *call* is one run of a hardware loop; a *request* is
one transfer of at most `REQUEST` contiguous bytes.

.. [Genc2021] H. Genc et al., "Gemmini: Enabling Systematic Deep-Learning Architecture Evaluation via Full-Stack
   Integration", DAC 2021.
.. [Hong2023] C. Hong et al., "DOSA: Differentiable Model-Based One-Loop Search for DNN Accelerators", MICRO 2023.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import codesign
from codesign.catalogue import Quantity, load_record, record
from codesign.validation.gemmini_mapping import DIMENSIONS, Layer, Loop, Mapping

FloatArray = NDArray[np.float64]

SMALLEST_ARRAY = 4
SOFTWARE_TILE = 16
"""Rows that the software believes the array to have when it cuts a matrix into calls."""
REQUEST = 64
"""Bytes of the largest transfer of the memory interface, and of a line of the cache."""
PAGE = 4096
CACHE_LINES = 512 * 1024 // REQUEST
"""Second-level cache of the simulated system."""
TRANSLATED_PAGES = 256
"""Pages that are touched again without a walk of the page table."""


@dataclass(frozen=True)
class Calls:
    """What the calls of one layer do; all but ``calls`` and the widths are means over its calls.

    Attributes:
        matmul: run by the matrix loop, not by the convolution loop.
        width: of the array.
        calls: number of them.
        compute: cycles of the array.
        requests: transfers of weights and inputs.
        read: bytes of weights and inputs.
        lines: cache lines that come from DRAM.
        pages: pages that need a walk of the page table.
        touched: pages touched.
        out_rows, out_bytes: rows and bytes written, once per output.
    """

    matmul: bool
    width: int
    calls: float
    compute: float
    requests: float
    read: float
    lines: float
    pages: float
    touched: float
    out_rows: float
    out_bytes: float


MEMORY = ("requests", "read", "lines", "pages", "touched", "out_rows", "out_bytes")
"""Attributes of `Calls` that cost memory time."""


@record
class LoopPrices:
    """Cycles of one hardware loop.

    Attributes:
        start: of a layer, once.
        call: issuing one call.
        requests, read, lines, pages, touched, out_rows, out_bytes: per unit of the attribute of `Calls`.
        sharpness: exponent p of the sum (issue^p + compute^p + memory^p)^(1/p): 1 if nothing overlapped, large if all did.
    """

    start: Quantity
    call: Quantity
    requests: Quantity
    read: Quantity
    lines: Quantity
    pages: Quantity
    touched: Quantity
    out_rows: Quantity
    out_bytes: Quantity
    sharpness: Quantity


@record
class GemminiPrices:
    """Cycles of both hardware loops, and the errors of the model with them.

    Attributes:
        issue_error: relative, where calls are bound by what issues or computes them.
        memory_error: relative, where memory is all that counts.
    """

    matmul: LoopPrices
    convolution: LoopPrices
    issue_error: Quantity
    memory_error: Quantity


@cache
def gemmini_prices() -> GemminiPrices:
    """The prices that come with the package."""
    return load_record(Path(codesign.__file__).parent / "data" / "coefficients" / "gemmini.toml", GemminiPrices)


def count_calls(layer: Layer, mapping: Mapping) -> Calls:
    """Calls of a layer and what each moves and computes."""
    width = max(SMALLEST_ARRAY, 1 << (mapping.widest - 1).bit_length())
    tile = {one: mapping.tile(one) for one in DIMENSIONS}
    numbers = _matmul_calls(layer, tile, width) if layer.is_matmul else _convolution_calls(layer, tile)
    calls = math.prod(numbers.values())
    padded = _padded(layer)
    mean = {one: padded[one] / numbers.get(one, 1) for one in DIMENSIONS}
    kernel, columns = mean["R"] * mean["S"], math.ceil(mean["K"] / width)
    ops = kernel * columns * math.ceil(mean["C"] / width) * mean["Q"]
    height, breadth = ((mean[out] - 1) * layer.stride + mean[side] for out, side in (("P", "R"), ("Q", "S")))
    requests = kernel * mean["C"] * math.ceil(mean["K"] / REQUEST) + height * breadth * math.ceil(mean["C"] / REQUEST)
    passes = math.prod(loop.count for loop in mapping.outer if loop.dimension in "CRS")
    lines = _misses(layer, tile, mapping.outer, REQUEST, CACHE_LINES) / calls
    pages = _misses(layer, tile, mapping.outer, PAGE, TRANSLATED_PAGES) / calls
    touched = _granules(layer, tile, PAGE)
    # Outputs leave only after the last of the passes over inputs and kernel.
    share = np.array([1.0, 1.0, 1.0 / passes])
    return Calls(
        matmul=layer.is_matmul,
        width=width,
        calls=float(calls),
        compute=ops * _row_cycles(padded["P"], tile["P"], mean["P"], width, layer.is_matmul),
        requests=requests,
        read=kernel * mean["C"] * mean["K"] + height * breadth * mean["C"],
        lines=float(lines @ share),
        pages=float(pages @ share),
        touched=float(touched[:2].sum()),
        out_rows=mean["P"] * mean["Q"] * columns / passes,
        out_bytes=mean["P"] * mean["Q"] * mean["K"] / passes,
    )


def _padded(layer: Layer) -> dict[str, int]:
    """Extents as the software runs them: convolutions are square, and even kernels make one row more."""
    extent = {one: layer.extent[one] for one in DIMENSIONS}
    if not layer.is_matmul:
        extent["P"] = extent["Q"] = max(extent["P"], extent["Q"]) + (extent["R"] % 2 == 0)
    return extent


def _matmul_calls(layer: Layer, tile: dict[str, int], width: int) -> dict[str, int]:
    """Number of calls along each dimension: a call covers whole multiples of the array, counted as if it had 16 rows."""
    return {one: math.ceil(layer.extent[one] / (max(1, tile[one] // SOFTWARE_TILE) * width)) for one in "KCP"}


def _convolution_calls(layer: Layer, tile: dict[str, int]) -> dict[str, int]:
    return {one: math.ceil(extent / tile[one]) for one, extent in _padded(layer).items() if one != "N"}


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


def _granules(layer: Layer, extent: dict[str, int], granule: int) -> FloatArray:
    """Lines or pages that weights, inputs and outputs of given extents lie in (3,).

    Tensors lie as kernel x C x K, column x row x C, and column x row x K, bytes.
    """
    padded, step = _padded(layer), layer.stride
    rows, columns = (min((extent[out] - 1) * step + extent[side], (padded[out] - 1) * step + padded[side]) for out, side in (("P", "R"), ("Q", "S")))
    all_rows = (padded["P"] - 1) * step + padded["R"]
    k, c = padded["K"], padded["C"]
    weights = _spanned(extent["K"], ((extent["C"], k), (extent["S"], k * c), (extent["R"], k * c * padded["S"])), granule)
    inputs = _spanned(extent["C"], ((rows, c), (columns, c * all_rows)), granule)
    outputs = _spanned(extent["K"], ((extent["P"], k), (extent["Q"], k * padded["P"])), granule)
    return np.array([weights, inputs, outputs])


def _spanned(run: int, levels: tuple[tuple[int, int], ...], granule: int) -> float:
    """Granules that nested strided runs of bytes lie in; gaps below a granule are spanned."""
    count = 1
    for number, stride in levels:
        if number > 1 and count == 1 and stride - run < granule:
            run = (number - 1) * stride + run
        else:
            count *= number
    return count * max(1.0, run / granule)


def _misses(layer: Layer, tile: dict[str, int], outer: tuple[Loop, ...], granule: int, capacity: int) -> FloatArray:
    """Granules of weights, inputs and outputs (3,) that are fetched over all tiles.

    Least recently used: what the largest nest of inner loops that fits touches stays until that nest's next run, so that
    the loop around it fetches each granule once; every loop further out fetches all of them again.
    """
    extent = dict(tile)
    touched = [_granules(layer, extent, granule)]
    for loop in reversed(outer):
        extent[loop.dimension] *= loop.count
        touched.append(_granules(layer, extent, granule))
    fitting = [depth for depth, granules in enumerate(touched) if granules.sum() <= capacity]
    if not fitting:
        return touched[0] * math.prod(loop.count for loop in outer)
    depth = min(fitting[-1] + 1, len(outer))
    return touched[depth] * math.prod(loop.count for loop in outer[: len(outer) - depth])


def memory_cycles(calls: Calls, prices: LoopPrices) -> float:
    """Memory time of one call."""
    return math.fsum(getattr(calls, name) * getattr(prices, name).value for name in MEMORY)


def predict_cycles(calls: Calls) -> float:
    """Cycles of a layer."""
    prices = gemmini_prices().matmul if calls.matmul else gemmini_prices().convolution
    parts = (prices.call.value, calls.compute, memory_cycles(calls, prices))
    largest, p = max(parts), prices.sharpness.value
    return float(prices.start.value + calls.calls * largest * math.fsum((part / largest) ** p for part in parts) ** (1.0 / p))


def relative_error(calls: Calls) -> float:
    """One standard deviation of log(measured / predicted): memory is what the model knows least."""
    prices = gemmini_prices()
    share = memory_cycles(calls, prices.matmul if calls.matmul else prices.convolution) * calls.calls / predict_cycles(calls)
    return math.hypot(prices.issue_error.value, prices.memory_error.value * min(share, 1.0) ** 2)


def features(calls: Calls) -> list[float]:
    """What the surrogate reads beside the prediction: the loop, and logarithms of the array's width and of the cycles of a call.

    More of them (shares of requests, bytes, lines, pages) fit the layers seen and mislead on others.
    """
    return [float(calls.matmul), math.log(calls.width), math.log(predict_cycles(calls) / calls.calls)]
