"""What a `pe_array` must have for a network to run on it at all: words of its buffers, counters of its instructions.

Notation: ``n`` designs, ``m`` layers present in all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codesign.accelerator.array_parameters import KIB_BITS
from codesign.accelerator.pe_array_rows import fewest_rows, lowest_tiles, most_rows_read
from codesign.accelerator.pe_array_tiling import Plan, plan
from codesign.accelerator.pe_array_work import ArrayShape, FloatArray, Layers
from codesign.network.layers import LayerTable

POSITIONS = 4096.0
"""Rows, or columns, of a map with its padding and kernel that the counters of an instruction hold; also planes and groups."""


@dataclass(frozen=True)
class Needs:
    """Words of one bank of each buffer that the smallest tiles of all layers take, each (n,).

    Attributes:
        weights, activations, results: words of the weight, activation and output buffer.
        positions: the largest count that an instruction must hold.
    """

    weights: FloatArray
    activations: FloatArray
    results: FloatArray
    positions: FloatArray


@dataclass(frozen=True)
class _RowWords:
    """Words that a row takes in the smallest tiles, each (m,): of the activation buffer an input row, of the output buffer an output row."""

    read: FloatArray
    written: FloatArray

    @classmethod
    def of(cls, found: Plan) -> _RowWords:
        """Those of all layers."""
        layers, demand = found.layers, found.demand
        planes = np.minimum(demand.unit_planes, demand.out_planes)
        return cls(layers.width * np.where(layers.full, demand.in_planes, np.where(layers.add, 2.0, 1.0) * planes), layers.out_w * planes)


def _largest(values: FloatArray, layers: Layers, n: int) -> FloatArray:
    """Largest value (n,) of the layers of each design."""
    first = np.flatnonzero(np.diff(layers.design, prepend=-1))
    largest = np.zeros(n)
    largest[layers.design[first]] = np.maximum.reduceat(values, first)
    return largest


def needs(found: Plan, n: int) -> Needs:
    """The needs of n designs, where nothing stays on chip."""
    layers, demand = found.layers, found.demand
    groups = np.where(layers.add | layers.pool, 1.0, np.minimum(demand.unit, demand.groups))
    words = _RowWords.of(found)
    height, width = layers.height + layers.pad_h + layers.kernel_h, layers.width + layers.pad_w + layers.kernel_w
    positions = np.maximum.reduce([demand.in_planes, demand.out_planes, demand.groups, height, width])
    return Needs(
        weights=_largest(groups * demand.group_words, layers, n),
        activations=_largest(words.read * most_rows_read(layers, demand, found.smallest_rows), layers, n),
        results=_largest(words.written * found.smallest_rows, layers, n),
        positions=_largest(positions, layers, n),
    )


def utilisation(found: Plan, array: ArrayShape) -> dict[str, FloatArray]:
    """Share (n,) of each buffer that what must be in it takes: all of it if it stays, else the largest of the smallest tiles.

    Above 1 the network cannot run; ``instruction`` is that of the counters of an instruction.
    """
    least, resident, banks = needs(found, len(array)), found.resident, array.banks[:, 0]
    weight, activation, output = (np.maximum(words[:, 0], 0.5) for words in (array.weight_words, array.activation_words, array.output_words))
    return {
        "weight_buffer": np.where(resident.weights, resident.weight_words / (weight * banks), least.weights / weight),
        "activation_buffer": np.where(resident.maps, resident.map_words / (activation * banks), least.activations / activation),
        "output_buffer": np.where(resident.maps, resident.result_words, least.results) / output,
        "instruction": least.positions / POSITIONS,
    }


@dataclass(frozen=True)
class SmallestBuffers:
    """Least KiB (n,) of one bank of each buffer that would do, with what the other buffers have."""

    weight_buffer_kib: FloatArray
    activation_buffer_kib: FloatArray
    output_buffer_kib: FloatArray


def smallest_buffers(table: LayerTable, array: ArrayShape) -> SmallestBuffers:
    """Whole KiB that each buffer needs for the network to run, however slowly: the smallest tile, or all that would stay."""
    found = plan(table, array)
    least, resident, banks = needs(found, len(table)), found.resident, array.banks[:, 0]
    activations, results = _map_words(found, array)

    def kib(words: FloatArray, bits: FloatArray) -> FloatArray:
        return np.asarray(np.ceil(words * bits[:, 0] / KIB_BITS))

    return SmallestBuffers(
        weight_buffer_kib=kib(np.minimum(least.weights, np.ceil(resident.weight_words / banks)), array.weight_word_bits),
        activation_buffer_kib=kib(activations, array.activation_word_bits),
        output_buffer_kib=kib(results, array.activation_word_bits),
    )


def _map_words(found: Plan, array: ArrayShape) -> tuple[FloatArray, FloatArray]:
    """Words (n,) of activation and output buffer: the smallest tiles' that leave the other buffer room, or less where the maps may stay then."""
    layers, words, n = found.layers, _RowWords.of(found), len(array)
    activation, output = (bank[:, 0].take(layers.design) for bank in (array.activation_words, array.output_words))
    read, written = np.full(len(words.read), np.inf), np.full(len(words.read), np.inf)
    for rows in lowest_tiles(layers, found.demand):
        reads, writes = words.read * most_rows_read(layers, found.demand, rows), words.written * rows
        read = np.where((writes <= output) & (reads < read), reads, read)
        written = np.where((reads <= activation) & (writes < written), writes, written)
    # Where no tile fits the other buffer as it is, that one is at fault: what the lowest tile takes.
    lowest = fewest_rows(layers)
    read = np.where(np.isinf(read), words.read * most_rows_read(layers, found.demand, lowest), read)
    written = np.where(np.isinf(written), words.written * lowest, written)
    resident, peak = found.resident, np.ceil(found.resident.map_words / array.banks[:, 0])
    result_fits, peak_fits = resident.result_words <= array.output_words[:, 0], peak <= array.activation_words[:, 0]
    activations, results = _largest(read, layers, n), _largest(written, layers, n)
    return (
        np.where(result_fits, np.minimum(activations, peak), activations),
        np.where(peak_fits, np.minimum(results, resident.result_words), results),
    )
