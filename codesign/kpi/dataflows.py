"""Compute cycles of the classical dataflows in closed form: a cross-check of `pe_array` against other people's arrays.

Notation: ``n`` designs, ``L`` layer slots; an array of R rows x C columns of multiply-accumulate units, one product each
and cycle. A layer has P output positions, M output channels (filters) and T = kernel height x kernel width x input
channels products per output. Memories are ideal: operands are there when the array wants them, nothing stalls.

The three systolic dataflows hold one operand (or the sums) in the units and let the others ripple through the array, a
row or a column each cycle [Samajdar2020]_. A layer is folded onto the array tile by tile, and a fold takes its full time
however few units it fills:

=================  =======  ==========  ==================  ==========================
dataflow           rows     columns     streams through     before a fold can start
=================  =======  ==========  ==================  ==========================
output stationary  P        M           T products          nothing
weight stationary  T        M           P positions         R cycles to load weights
input stationary   T        P           M filters           R cycles to load inputs
=================  =======  ==========  ==================  ==========================

Row stationary is Eyeriss' dataflow [Chen2017]_: each unit convolves one row of a filter with one row of a map.

.. [Samajdar2020] A. Samajdar et al., "A Systematic Methodology for Characterizing Scalability of DNN Accelerators using
   SCALE-Sim", ISPASS 2020.
.. [Raj2025] R. Raj et al., "SCALE-Sim v3: A modular cycle-accurate systolic accelerator simulator for end-to-end system
   analysis", arXiv 2504.15377, 2025. Its program, version 3.0.0, counts what the three systolic formulas give.
.. [Chen2017] Y.-H. Chen et al., "Eyeriss: An Energy-Efficient Reconfigurable Accelerator for Deep Convolutional Neural
   Networks", IEEE JSSC 52(1), 2017.
.. [Gao2017] M. Gao et al., "TETRIS: Scalable and Efficient Neural Network Acceleration with 3D Memory", ASPLOS 2017. Its
   program, nn_dataflow, folds and replicates sets of units as `row_stationary_cycles` does.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from codesign.network.layers import IntArray, LayerTable

CycleArray = NDArray[np.int64]
Counts = CycleArray | IntArray | int


class Dataflow(StrEnum):
    """What stays in the units of the array."""

    OUTPUT_STATIONARY = "output_stationary"
    WEIGHT_STATIONARY = "weight_stationary"
    INPUT_STATIONARY = "input_stationary"
    ROW_STATIONARY = "row_stationary"


def output_stationary_cycles(positions: Counts, filters: Counts, products: Counts, rows: Counts, columns: Counts) -> CycleArray:
    """``ceil(P/R) * ceil(M/C) * (T + R + C - 2) - 1``.

    A fold ends when the last product has reached the far corner, R + C - 2 cycles behind the first unit. The number is
    that of the last cycle, counted from 0, as SCALE-Sim reports it [Raj2025]_.

    Args:
        positions: P, of any shape that broadcasts with the others; so are all arguments.
        filters: M.
        products: T.
        rows: R.
        columns: C.

    Returns:
        Cycles, in the broadcast shape.
    """
    return _systolic(positions, filters, products, rows, columns, preload=0)


def weight_stationary_cycles(positions: Counts, filters: Counts, products: Counts, rows: Counts, columns: Counts) -> CycleArray:
    """``ceil(T/R) * ceil(M/C) * (R + P + R + C - 2) - 1``; arguments and result as `output_stationary_cycles`.

    R cycles push a fold's weights into the array; then every position ripples through it [Samajdar2020]_.
    """
    return _systolic(products, filters, positions, rows, columns, preload=rows)


def input_stationary_cycles(positions: Counts, filters: Counts, products: Counts, rows: Counts, columns: Counts) -> CycleArray:
    """``ceil(T/R) * ceil(P/C) * (R + M + R + C - 2) - 1``; arguments and result as `output_stationary_cycles`.

    As weight stationary with inputs and filters in each other's place [Samajdar2020]_.
    """
    return _systolic(products, positions, filters, rows, columns, preload=rows)


def row_stationary_cycles(kernel_h: Counts, kernel_w: Counts, out_h: Counts, out_w: Counts, planes: Counts, rows: Counts, columns: Counts) -> CycleArray:
    """``ceil(K/R) * ceil(H/e) * ceil(planes / (r*q)) * W * Kw`` with e = min(H, C), r = floor(R / min(K, R)), q = floor(C / e).

    A set of ``min(K, R)`` x ``e`` units convolves one plane: each column makes one row of the output from the K rows of
    the filter [Chen2017]_. A taller kernel is folded ``ceil(K/R)`` times, a taller output ``ceil(H/e)`` times; a smaller
    set is replicated r times down and q times across the array, over other planes [Gao2017]_. One row against one row
    takes ``W * Kw`` products.

    Args:
        kernel_h: K, of any shape that broadcasts with the others; so are all arguments.
        kernel_w: Kw.
        out_h: H, rows of the output.
        out_w: W, columns of the output.
        planes: pairs of an input channel and a filter that reads it, times the batch.
        rows: R.
        columns: C.

    Returns:
        Cycles, in the broadcast shape.
    """
    kernel_h, kernel_w, out_h, out_w, planes, rows, columns = _integers(kernel_h, kernel_w, out_h, out_w, planes, rows, columns)
    across = np.minimum(out_h, columns)
    sets = (rows // np.minimum(kernel_h, rows)) * (columns // across)
    passes = _ceil_divide(kernel_h, rows) * _ceil_divide(out_h, across) * _ceil_divide(planes, sets)
    return np.asarray(passes * out_w * kernel_w)


def layer_cycles(table: LayerTable, rows: Counts, columns: Counts, dataflow: Dataflow) -> CycleArray:
    """Compute cycles of every dense and convolution layer, its groups one after the other.

    Zero padding is computed like any input, as SCALE-Sim and nn_dataflow do.

    Args:
        table: n x L.
        rows: R: an int, or an array that broadcasts to n x L, as (n, 1).
        columns: C, likewise.
        dataflow: which of the four.

    Returns:
        n x L; 0 where the slot holds no weights.
    """
    groups = np.maximum(table.groups, 1).astype(np.int64)
    filters = np.maximum(table.out_c // groups, 1)
    taps = np.maximum(table.kernel_h, 1).astype(np.int64) * np.maximum(table.kernel_w, 1)
    channels = np.maximum(table.in_c // groups, 1)
    if dataflow is Dataflow.ROW_STATIONARY:
        kernel_h, kernel_w, out_h, out_w = (np.maximum(size, 1) for size in (table.kernel_h, table.kernel_w, table.out_h, table.out_w))
        cycles = row_stationary_cycles(kernel_h, kernel_w, out_h, out_w, groups * filters * channels, rows, columns)
    else:
        positions = np.maximum(table.out_h.astype(np.int64) * table.out_w, 1)
        cycles = groups * _SYSTOLIC[dataflow](positions, filters, taps * channels, rows, columns)
    return np.where(table.weighted, cycles, 0)


_SYSTOLIC = {
    Dataflow.OUTPUT_STATIONARY: output_stationary_cycles,
    Dataflow.WEIGHT_STATIONARY: weight_stationary_cycles,
    Dataflow.INPUT_STATIONARY: input_stationary_cycles,
}


def _systolic(down: Counts, across: Counts, streamed: Counts, rows: Counts, columns: Counts, *, preload: Counts) -> CycleArray:
    """Folds of ``down`` x ``across`` onto the array, each ``preload`` cycles and one wave of ``streamed`` operands."""
    down, across, streamed, rows, columns, preload = _integers(down, across, streamed, rows, columns, preload)
    folds = _ceil_divide(down, rows) * _ceil_divide(across, columns)
    return np.asarray(folds * (preload + streamed + rows + columns - 2) - 1)


def _integers(*values: Counts) -> tuple[CycleArray, ...]:
    return tuple(np.asarray(value, dtype=np.int64) for value in values)


def _ceil_divide(numerator: CycleArray, denominator: CycleArray) -> CycleArray:
    return np.asarray(-(-numerator // denominator))
