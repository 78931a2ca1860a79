"""Steps and external traffic of networks on the shared array; notation of `codesign.kpi.pe_array`.

.. [Bernardo2020] P. Bernardo et al., "UltraTrail: A Configurable Ultralow-Power TC-ResNet AI Accelerator for Efficient
   Keyword Spotting", IEEE TCAD 39(11), 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.kpi.template_model import FloatArray
from codesign.network.layers import IntArray, LayerTable, Op

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ArrayShape:
    """The array and its buffers, one row a design: arrays (n, 1).

    Attributes:
        rows, columns: output and input channels at a time.
        weight_bits, activation_bits: operand widths.
        weight_buffer, activation_buffer, output_buffer: bits of one bank.
        banks: 2 with double buffering, else 1.
    """

    rows: FloatArray
    columns: FloatArray
    weight_bits: FloatArray
    activation_bits: FloatArray
    weight_buffer: FloatArray
    activation_buffer: FloatArray
    output_buffer: FloatArray
    banks: FloatArray

    @property
    def diagonal(self) -> FloatArray:
        """Channels at a time where each output channel reads one input channel: array row r takes input lane r."""
        return np.minimum(self.rows, self.columns)

    @property
    def weight_word(self) -> FloatArray:
        """Bits of a word of the weight buffer: one weight for each multiplier."""
        return self.rows * self.columns * self.weight_bits


def real_taps(size: IntArray, kernel: IntArray, stride: IntArray, pad: IntArray, out: IntArray) -> FloatArray:
    """(output, tap) pairs along one axis that fall on real input: ``sum_o |{f : 0 <= o*s + f - p < size}|``.

    UltraTrail spends no cycle on zero padding [Bernardo2020]_. Closed form: all ``out * kernel`` pairs less those that
    lie before the first and after the last input, two arithmetic series. Valid for ``pad < kernel``.
    """
    step = np.maximum(stride, 1).astype(np.float64)
    beyond = np.maximum((out - 1) * stride + kernel - pad - size, 0)
    return out * kernel - _series(pad, step, out) - _series(beyond, step, out)


def _series(first: IntArray, step: FloatArray, terms: IntArray) -> FloatArray:
    """``first + (first - step) + ...`` over its positive terms, at most ``terms`` of them."""
    count = np.minimum(np.ceil(first / step), terms)
    total: FloatArray = count * (first - 0.5 * step * (count - 1))
    return total


@dataclass(frozen=True)
class Work:
    """What the array has to do, n x L, zero in absent slots.

    Attributes:
        steps: cycles in which the multipliers work: one (output position, tap) pair of one channel tile each.
        macs: products of real operands in those steps.
        weight_words: words of the weight buffer that the layer's weights fill.
        weight_bits: bits of the layer's weights and biases in external memory.
    """

    steps: FloatArray
    macs: FloatArray
    weight_words: FloatArray
    weight_bits: FloatArray


def work(table: LayerTable, array: ArrayShape) -> Work:
    """Steps by UltraTrail's law ``ceil(C / columns) * ceil(K / rows) * M`` with M = `real_taps` of both axes [Bernardo2020]_.

    A depthwise layer, an add and a pool use the diagonal of the array: ``ceil(C / min(rows, columns)) * M``; an add is
    a kernel of two taps (its operands), a pool a kernel over the whole map. A layer of zero padding and nothing else
    cannot occur.
    """
    pairs = real_taps(table.in_w, table.kernel_w, table.stride_w, table.pad_w, table.out_w)
    taps = table.kernel_w
    if (table.in_h > 1).any():
        pairs *= real_taps(table.in_h, table.kernel_h, table.stride_h, table.pad_h, table.out_h)
        taps = taps * table.kernel_h
    pairs = np.where(table.op == Op.ADD, 2.0 * pairs, pairs)
    present = table.present
    full = (table.op >= Op.DENSE) & (table.op <= Op.CONV2D)
    tiles = np.where(full, np.ceil(table.in_c / array.columns) * np.ceil(table.out_c / array.rows), np.ceil(table.in_c / array.diagonal))
    steps = np.where(present, tiles * pairs, 0.0)
    macs = np.where(present, pairs * table.in_c * np.where(full, table.out_c, 1), 0.0)
    words = np.where(table.weighted, tiles * taps, 0.0)
    stored = np.where(full, array.weight_word, array.diagonal * array.weight_bits)
    return Work(steps=steps, macs=macs, weight_words=words, weight_bits=words * stored + table.out_c * table.bias_bits)


@dataclass(frozen=True)
class Traffic:
    """External memory traffic, n x L bits, and the transfers it takes.

    Attributes:
        load: weights and inputs of the layer.
        store: results of the layer.
        bursts: number of transfers.
        weight_tile, activation_tile, output_tile: utilisation (n,) of each buffer by the largest smallest tile: a
            design above 1 cannot run.
    """

    load: FloatArray
    store: FloatArray
    bursts: FloatArray
    weight_tile: FloatArray
    activation_tile: FloatArray
    output_tile: FloatArray


def traffic(table: LayerTable, array: ArrayShape, work: Work) -> Traffic:
    """What moves between the buffers and external memory in one inference.

    * Weights stay in their buffer from inference to inference if those of all layers fit in its banks together; else
      every layer loads its own, in tiles of one bank.
    * A feature map stays on chip if its producer can hold all of it in the output buffer and each of its readers can
      hold it in the activation buffer beside every map that a later layer still needs. Else it is written out and read
      back, in stripes of whole lines with the kernel's overlap read again.
    * Where neither weights nor inputs fit, the smaller of the two is read once per tile of the other.
    * The network's input is read and its result written in any case.
    """
    maps = _maps(table, array)
    kept = _kept_on_chip(table, array, maps.result)
    resident = _total(work.weight_words * array.weight_word) <= array.weight_buffer * array.banks
    weight_bits = np.where(resident, 0.0, work.weight_bits)

    stripe = np.maximum(array.activation_buffer - maps.shared, maps.line)
    stripes = np.where(maps.input <= array.activation_buffer, 1.0, np.ceil(np.maximum(maps.input - maps.shared, 1.0) / stripe))
    stripes = np.where(kept.reads, stripes, 1.0)
    input_bits = np.where(kept.reads, maps.input + (stripes - 1.0) * maps.shared, 0.0)
    weight_tiles = np.where(resident, 1.0, np.maximum(np.ceil(work.weight_words * array.weight_word / array.weight_buffer), 1.0))
    again = np.minimum(weight_bits * (stripes - 1.0), input_bits * (weight_tiles - 1.0))
    bursts = np.where(weight_bits > 0, weight_tiles, 0.0) + np.where(kept.reads, stripes, 0.0) + kept.writes

    taps = table.kernel_h * table.kernel_w
    return Traffic(
        load=weight_bits + input_bits + again,
        store=np.where(kept.writes, maps.result, 0.0),
        bursts=bursts,
        weight_tile=_largest(np.where(table.weighted, taps * array.weight_word, 0.0) / array.weight_buffer),
        activation_tile=_largest(maps.window / array.activation_buffer),
        output_tile=_largest(np.where(table.present, array.rows * array.activation_bits, 0.0) / array.output_buffer),
    )


@dataclass(frozen=True)
class _Maps:
    """Sizes of feature maps in bits, n x L. A line is a row of a two-dimensional map and a position of a series.

    Attributes:
        input, result: all inputs and the output of the layer.
        line: one line of its inputs.
        window: the lines that one output line needs.
        shared: the lines that two neighbouring stripes both need.
    """

    input: FloatArray
    result: FloatArray
    line: FloatArray
    window: FloatArray
    shared: FloatArray


def _maps(table: LayerTable, array: ArrayShape) -> _Maps:
    flat = table.in_h <= 1
    copies = np.where(table.op == Op.ADD, 2.0, 1.0) * table.present
    line = copies * table.in_c * np.where(flat, 1, table.in_w) * array.activation_bits
    # A pool adds up line by line: its kernel needs no lines together.
    kernel = np.where(table.op == Op.GLOBAL_POOL, 1, np.where(flat, table.kernel_w, table.kernel_h))
    stride = np.where(flat, table.stride_w, table.stride_h)
    return _Maps(
        input=line * np.where(flat, table.in_w, table.in_h),
        # The last layer keeps its accumulators; all others fit the activation width.
        result=np.asarray(table.out_h * table.out_w * table.out_c * np.maximum(array.activation_bits, table.output_bits), dtype=np.float64),
        line=line,
        window=line * kernel,
        shared=line * np.maximum(kernel - stride, 0),
    )


@dataclass(frozen=True)
class _Kept:
    """Whether a layer reads its input from, and writes its result to, external memory (n x L)."""

    reads: Mask
    writes: Mask


def _kept_on_chip(table: LayerTable, array: ArrayShape, result: FloatArray) -> _Kept:
    """Where maps go, from their liveness: a map lives from its producer to its last reader."""
    n, slots = table.op.shape
    present = table.present
    reader, sources = _edges(table)
    # One more column than slots: it takes what edges that do not exist write (index -1 of the next design).
    last = np.zeros(n * (slots + 1), dtype=np.int64)
    for slot, source in zip(reader, sources, strict=True):
        last[source] = slot
    read_last = last.reshape(n, slots + 1)[:, :slots]
    final = read_last == 0
    dies = np.where(final, slots - 1, read_last) + (np.arange(n) * slots)[:, None]
    died = np.bincount(dies.ravel(), weights=result.ravel(), minlength=n * slots).reshape(n, slots)
    # Maps made before slot j and read by slot j or later.
    live = np.cumsum(result - died, axis=1) - result + died
    held = np.ones((n, slots + 1), dtype=np.bool_)
    held[:, :slots] = (result <= array.output_buffer) & (table.op > Op.INPUT)
    outside = np.asfortranarray(present & (live > array.activation_buffer * array.banks))
    flat = held.ravel()
    for slot, source in zip(reader, sources, strict=True):
        outside[:, slot] |= present[:, slot] & ~flat[source]
    writes = np.zeros(n * (slots + 1), dtype=np.bool_)
    for slot, source in zip(reader, sources, strict=True):
        writes[source[outside[:, slot]]] = True
    return _Kept(reads=outside, writes=(writes.reshape(n, slots + 1)[:, :slots] | final) & present)


def _edges(table: LayerTable) -> tuple[list[int], list[NDArray[np.int64]]]:
    """Reading slots, in order, and for each the flat index (n,) of its source in an n x (L + 1) array; -1 steps back a column."""
    n, slots = table.op.shape
    start = np.arange(n) * (slots + 1)
    readers, sources = [], []
    for slot in range(1, slots):
        for column in (table.input_a[:, slot], table.input_b[:, slot]):
            if (column >= 0).any():
                readers.append(slot)
                sources.append(start + column)
    return readers, sources


def _total(values: FloatArray) -> FloatArray:
    return np.asarray(values.sum(axis=1, keepdims=True))


def _largest(values: FloatArray) -> FloatArray:
    return np.asarray(values.max(axis=1))
