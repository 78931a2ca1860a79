"""Row tiles of layers on a `pe_array`: how low they may be, and how many input rows they read.

Notation: ``m`` layers, all arrays (m,). Tiles of one height read the more rows the fewer of them meet padding; so a tile
that is a little higher than the lowest may read fewer rows, where there are two or three of them in place of four.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codesign.accelerator.pe_array_work import Demand, FloatArray, Layers


def fewest_rows(layers: Layers) -> FloatArray:
    """Rows of the lowest row tile: only the first and the last two tiles may meet padding."""
    return np.asarray(np.minimum(np.maximum(np.ceil(layers.pad_h / layers.stride_h), 1.0), layers.out_h))


def most_rows_read(layers: Layers, demand: Demand, rows: FloatArray) -> FloatArray:
    """Input rows of the tile that reads most of them, if tiles have ``rows`` output rows."""
    count = np.ceil(layers.out_h / rows)
    rest = layers.out_h - (count - 1.0) * rows
    inside = (rows - 1.0) * layers.stride_h + layers.kernel_h
    before_last = inside - np.maximum(demand.beyond - rest * layers.stride_h, 0.0)
    last = (rest - 1.0) * layers.stride_h + layers.kernel_h - demand.beyond
    middle = np.where(count > 3, inside, before_last)
    several = np.maximum(np.where(count == 2, before_last - layers.pad_h, middle), last)
    return np.asarray(np.where(count == 1, last - layers.pad_h, several))


def lowest_tiles(layers: Layers, demand: Demand) -> Iterator[FloatArray]:
    """Heights that no other betters in both: rows that it reads and rows that it writes.

    Padding saves a tile at most as many rows as the lowest tile has outputs, so those up to twice the lowest are enough,
    but for tiles that read all rows: the lowest of them is the first of two, the second of which ends in padding alone.
    """
    lowest = fewest_rows(layers)
    for more in range(int(lowest.max(initial=0.0)) + 1):
        yield np.minimum(lowest + np.minimum(lowest, more), layers.out_h)
    rest = np.maximum(np.ceil(demand.beyond / layers.stride_h) - 1.0, 0.0)
    yield np.maximum(layers.out_h - rest, lowest)
    yield layers.out_h


def tightest_rows(layers: Layers, demand: Demand, row_share: FloatArray, out_share: FloatArray) -> FloatArray:
    """Height of the tile that leaves the fuller of its two buffers emptiest, the lowest of equals.

    Args:
        layers: the layers.
        demand: what they ask of the arrays.
        row_share: share of a bank of the activation buffer that an input row takes.
        out_share: share of a bank of the output buffer that an output row takes.
    """
    best, least = fewest_rows(layers), np.full(len(layers.out_h), np.inf)
    for rows in lowest_tiles(layers, demand):
        share = np.maximum(row_share * most_rows_read(layers, demand, rows), out_share * rows)
        best, least = np.where(share < least, rows, best), np.minimum(share, least)
    return best
