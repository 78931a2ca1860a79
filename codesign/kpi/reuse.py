"""Reuse factors that hls4ml accepts.

hls4ml's rule (``FPGABackend._validate_reuse_factor`` of hls4ml 1.3) for a layer of ``n_in`` products per output and
``n_out`` outputs: ``rf`` divides ``n_in * n_out``; ``ceil(n_in * n_out / min(n_in, rf))`` is a multiple of ``n_out`` or
``rf >= n_in``; ``rf`` is a multiple of ``n_in`` or ``rf < n_in``. Anything else is silently replaced by the closest
legal value. The legal values are therefore exactly the divisors of ``n_in`` and ``n_in`` times the divisors of ``n_out``.

Convolutions: ``n_in = kernel_h * kernel_w * in_c``, ``n_out = out_c``. A depthwise layer has ``n_in`` products in all,
so factors above ``n_in`` save nothing: its legal values here are the divisors of ``n_in``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from codesign.network.layers import LayerGraph, LayerTable, Op

IntMatrix = NDArray[np.int64]


@cache
def divisors(number: int) -> tuple[int, ...]:
    """Divisors of a positive number, increasing."""
    small = [candidate for candidate in range(1, int(number**0.5) + 1) if number % candidate == 0]
    return tuple(sorted({*small, *(number // candidate for candidate in small)}))


def legal_reuse_factors(n_in: int, n_out: int) -> tuple[int, ...]:
    """Every reuse factor that hls4ml keeps as it is, increasing."""
    return tuple(sorted({*divisors(n_in), *(n_in * factor for factor in divisors(n_out))}))


@cache
def closest_legal(n_in: int, n_out: int, asked: int) -> int:
    """The reuse factor that hls4ml takes where ``asked`` is: the closest legal one, the smaller of two equally close."""
    return min(legal_reuse_factors(n_in, n_out), key=lambda factor: (abs(factor - asked), factor))


def multiplier_shape(table: LayerTable) -> tuple[IntMatrix, IntMatrix]:
    """``n_in`` and ``n_out`` of each layer (n x L) for the rule above; 1 and 1 without weights, ``n_out`` 1 for depthwise."""
    depthwise = (table.op == Op.DEPTHWISE_CONV1D) | (table.op == Op.DEPTHWISE_CONV2D)
    weighted = table.weighted
    n_in = table.kernel_h.astype(np.int64) * table.kernel_w * table.in_c
    n_out = np.where(depthwise, 1, table.out_c).astype(np.int64)
    return np.where(weighted, n_in, 1), np.where(weighted, n_out, 1)


class _LargestDivisor:
    """Largest divisor of ``number`` that is at most ``bound``, by table look-up, elementwise.

    The tables of all numbers seen lie one after the other in one array: that of ``number`` has ``number + 1`` entries.
    """

    def __init__(self) -> None:
        self._flat = np.zeros(0, dtype=np.int32)
        self._start = np.full(1, -1, dtype=np.int64)

    def __call__(self, number: IntMatrix, bound: IntMatrix) -> IntMatrix:
        self._cover(number)
        return self._flat[self._start[number] + np.minimum(bound, number)].astype(np.int64)

    def _cover(self, number: IntMatrix) -> None:
        largest = int(number.max(initial=1))
        if largest >= len(self._start):
            grown = np.full(largest + 1, -1, dtype=np.int64)
            grown[: len(self._start)] = self._start
            self._start = grown
        if not (self._start[number] < 0).any():
            return
        for missing in np.unique(number[self._start[number] < 0]).tolist():
            found: Sequence[int] = divisors(missing)
            lengths = np.diff([*found, missing + 1])
            self._start[missing] = len(self._flat)
            self._flat = np.concatenate([self._flat, [1] * found[0], np.repeat(found, lengths)]).astype(np.int32)


_largest_divisor = _LargestDivisor()


def largest_legal(n_in: IntMatrix, n_out: IntMatrix, bound: IntMatrix) -> IntMatrix:
    """Largest legal reuse factor that is at most ``bound``, elementwise; 1 where the bound is below 1."""
    within = _largest_divisor(n_in, np.maximum(bound, 1))
    beyond = n_in * _largest_divisor(n_out, np.maximum(bound // n_in, 1))
    return np.where(bound >= n_in, beyond, within)


def reuse_within(graph: LayerGraph, multipliers: int) -> dict[str, int]:
    """Smallest legal reuse factor of each weighted layer, by name, that keeps it within a number of multipliers."""
    table = LayerTable.from_graphs([graph])
    n_in, n_out = (shape[0].tolist() for shape in multiplier_shape(table))
    return {
        layer.name: next(factor for factor in legal_reuse_factors(n_in[slot], n_out[slot]) if n_in[slot] * n_out[slot] <= factor * multipliers)
        for slot, layer in enumerate(graph)
        if table.weighted[0, slot]
    }
