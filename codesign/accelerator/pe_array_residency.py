"""What a `pe_array` keeps on chip: weights from inference to inference, feature maps from layer to layer.

Notation: ``n`` designs, ``L`` layer slots. The rules are those of ``accel_templates/pe_array/ARCHITECTURE.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.pe_array_work import ArrayShape, Demand, FloatArray, Layers, Mask, total_by_design
from codesign.network.layers import LayerTable, Op


@dataclass(frozen=True)
class Residency:
    """What n designs would have to hold and what therefore stays; each (n,).

    Attributes:
        weight_words: words of all layers' weights.
        map_words: words of the feature maps at the worst moment.
        result_words: words of the last layer's result.
        input_words: words of the network's input.
        weights, maps: whether they stay on chip.
    """

    weight_words: FloatArray
    map_words: FloatArray
    result_words: FloatArray
    input_words: FloatArray
    weights: Mask
    maps: Mask


def residency(table: LayerTable, array: ArrayShape, layers: Layers, demand: Demand) -> Residency:
    """What stays on chip: the weights if all of them fit all banks; the maps if their peak does and a bank takes the result."""
    n = len(table)
    words = output_words(table, array, layers.flat_input)
    entry = table.op == Op.INPUT
    at = layers.design[layers.last]
    result = np.zeros(n)
    result[at] = words.ravel()[layers.place[layers.last]]
    weights = total_by_design(demand.weight_words, layers, n)
    peak = peak_words(table, words)
    banks = array.banks[:, 0]
    return Residency(
        weight_words=weights,
        map_words=peak,
        result_words=result,
        input_words=(words * entry).sum(axis=1),
        weights=weights <= array.weight_words[:, 0] * banks,
        maps=(peak <= array.activation_words[:, 0] * banks) & (result <= array.output_words[:, 0]),
    )


def output_words(table: LayerTable, array: ArrayShape, flat_input: Mask) -> FloatArray:
    """Words of each layer's output (n x L), the input's among them; ``flat_input`` (n,) says where that is one position."""
    places, channels = table.out_h * table.out_w, table.out_c
    if flat_input.any():
        alone = flat_input[:, None] & (table.op == Op.INPUT)
        channels = np.where(alone, places * channels, channels)
        places = np.where(alone, 1, places)
    return np.asarray(np.ceil(channels / array.columns) * places)


def peak_words(table: LayerTable, words: FloatArray) -> FloatArray:
    """Words (n,) of the maps held at the worst moment: a map lives from its producer to its last reader.

    The last layer's result is not among them. An add that is the last reader of an operand writes onto it.
    """
    n, slots = table.op.shape
    read_last = _last_readers(table)
    held = words * (read_last > 0)
    dies = np.where(read_last > 0, read_last, slots - 1) + (np.arange(n) * slots)[:, None]
    died = np.bincount(dies.ravel(), weights=held.ravel(), minlength=n * slots).reshape(n, slots)
    # Maps made in slot j or before it and read in slot j or later.
    live = np.cumsum(held, axis=1) - np.cumsum(died, axis=1) + died
    adds = np.flatnonzero((table.op == Op.ADD).any(axis=0))
    rows = np.arange(n)
    for slot in adds.tolist():
        in_place = (read_last[rows, table.input_a[:, slot]] == slot) | (read_last[rows, table.input_b[:, slot]] == slot)
        live[:, slot] -= np.where((table.op[:, slot] == Op.ADD) & in_place, held[:, slot], 0.0)
    return np.asarray(live.max(axis=1))


def _last_readers(table: LayerTable) -> NDArray[np.int64]:
    """Last slot that reads each slot's output, 0 for none (n x L)."""
    n, slots = table.op.shape
    # One more column than slots: it takes what edges that do not exist write (index -1 of the next design).
    last = np.zeros(n * (slots + 1), dtype=np.int64)
    start = np.arange(n) * (slots + 1)
    for slot in range(1, slots):
        for source in (table.input_a[:, slot], table.input_b[:, slot]):
            if (source >= 0).any():
                last[start + source] = slot
    return last.reshape(n, slots + 1)[:, :slots]
