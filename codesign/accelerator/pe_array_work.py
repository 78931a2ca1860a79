"""What layers ask of a `pe_array`: shapes, steps, words. The contract is ``accel_templates/pe_array/ARCHITECTURE.md``.

Notation: ``n`` designs, ``L`` layer slots, ``m`` layers present in all designs together; R rows, C columns, G = gcd(R, C)
lanes, D channels of a group. A *row* of a map is the tiled axis; a series is a map of width 1.

.. [Bernardo2020] P. Bernardo et al., "UltraTrail: A Configurable Ultralow-Power TC-ResNet AI Accelerator for Efficient
   Keyword Spotting", IEEE TCAD 39(11), 2020.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.pe_array_program import BIAS_BITS, MAXIMUM_SLOTS
from codesign.network.layers import IntArray, LayerTable, Op

FloatArray = NDArray[np.float64]
NumberArray = FloatArray | NDArray[np.int64] | NDArray[np.int32]
Mask = NDArray[np.bool_]
Positions = NDArray[np.intp]


@dataclass(frozen=True)
class ArrayShape:
    """The array, its buffers and its memory, one row a design: arrays (n, 1) of whole numbers.

    Attributes:
        rows, columns: output and input channels at a time.
        weight_bits, activation_bits, accumulator_bits: operand and accumulator widths.
        weight_words, activation_words, output_words: words of one bank of each buffer.
        banks: 2 with double buffering, else 1.
        bus_bits: width of the port to external memory.
        latency: cycles of external memory from an accepted address to its first beat.
        full_taps: 1 where taps on zero padding take a cycle too.
    """

    rows: FloatArray
    columns: FloatArray
    weight_bits: FloatArray
    activation_bits: FloatArray
    accumulator_bits: FloatArray
    weight_words: FloatArray
    activation_words: FloatArray
    output_words: FloatArray
    banks: FloatArray
    bus_bits: FloatArray
    latency: FloatArray
    full_taps: FloatArray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lanes(self) -> FloatArray:
        """G: results that leave the array in a cycle, and channels of a group of a diagonal layer."""
        return np.gcd(self.rows.astype(np.int64), self.columns.astype(np.int64)).astype(np.float64)

    @property
    def weight_word_bits(self) -> FloatArray:
        """One weight for each multiplier."""
        return self.rows * self.columns * self.weight_bits

    @property
    def activation_word_bits(self) -> FloatArray:
        """One activation for each column."""
        return self.columns * self.activation_bits

    @property
    def bias_words(self) -> FloatArray:
        """Weight words that hold the biases of a group."""
        return np.ceil(BIAS_BITS / (self.columns * self.weight_bits))

    @property
    def add_slots(self) -> FloatArray:
        """Cycles between the operands of an add, in which the accumulators shift."""
        return np.maximum(np.ceil((MAXIMUM_SLOTS + 2 - self.weight_bits) / (self.weight_bits - 1.0)), 0.0)

    def rows_of(self, chosen: slice | Positions | Mask) -> ArrayShape:
        """Some of the arrays."""
        return ArrayShape(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def real_taps(size: NumberArray, kernel: NumberArray, stride: NumberArray, pad: NumberArray, out: NumberArray) -> FloatArray:
    """(output, tap) pairs along one axis that fall on real input: ``sum_o |{f : 0 <= o*s + f - p < size}|``.

    UltraTrail spends no cycle on zero padding [Bernardo2020]_. Closed form: all ``out * kernel`` pairs less those that
    lie before the first and after the last input, two arithmetic series. Valid for ``pad < kernel`` and for any number
    of outputs up to the layer's, so that differences give tiles.
    """
    step = np.maximum(stride, 1).astype(np.float64)
    beyond = np.maximum((out - 1) * stride + kernel - pad - size, 0)
    return out * kernel - series(pad, step, out) - series(beyond, step, out)


def series(first: NumberArray, step: FloatArray, terms: NumberArray) -> FloatArray:
    """``first + (first - step) + ...`` over its positive terms, at most ``terms`` of them."""
    count = np.minimum(np.ceil(first / step), terms)
    total: FloatArray = count * (first - 0.5 * step * (count - 1))
    return total


@dataclass(frozen=True)
class Layers:
    """Shapes of m layers as the array sees them, each (m,): height is the tiled axis, a dense layer's kernel its whole map.

    Attributes:
        design, place: row of the layer in the table, and its position in the table's n x L slots, row by row.
        height, width, channels: input.
        kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w: kernel.
        out_h, out_w, out_c: output.
        full: each output channel reads all input channels (dense, convolution); others work on the diagonal.
        depthwise, add, pool: which of those.
        last: the layer nobody reads, which keeps its accumulators.
        accumulator_bits: of the layer.
        flat_input: designs (n,) whose input only dense layers read; it is one position with all its channels.
    """

    design: Positions
    place: Positions
    height: FloatArray
    width: FloatArray
    channels: FloatArray
    kernel_h: FloatArray
    kernel_w: FloatArray
    stride_h: FloatArray
    stride_w: FloatArray
    pad_h: FloatArray
    pad_w: FloatArray
    out_h: FloatArray
    out_w: FloatArray
    out_c: FloatArray
    full: Mask
    depthwise: Mask
    add: Mask
    pool: Mask
    last: Mask
    accumulator_bits: FloatArray
    flat_input: Mask

    def take(self, chosen: Positions) -> Layers:
        """Some of the layers; ``flat_input`` stays as it is."""
        return replace(self, **{field.name: getattr(self, field.name).take(chosen) for field in fields(Layers) if field.name != "flat_input"})

    @classmethod
    def of(cls, table: LayerTable) -> Layers:
        """All layers of a table but the inputs, design by design in the order of their slots."""
        slots = table.op.shape[1]
        place = np.flatnonzero(table.op.ravel() > Op.INPUT)
        design = place // slots

        def column(name: str) -> FloatArray:
            values: IntArray = getattr(table, name)
            return values.take(place).astype(np.float64)

        op = table.op.take(place)
        shape = {
            "height": column("in_h"), "width": column("in_w"), "channels": column("in_c"),
            "kernel_h": column("kernel_h"), "kernel_w": column("kernel_w"), "stride_h": column("stride_h"), "stride_w": column("stride_w"),
            "pad_h": column("pad_h"), "pad_w": column("pad_w"), "out_h": column("out_h"), "out_w": column("out_w"), "out_c": column("out_c"),
        }  # fmt: skip
        dense = np.flatnonzero(op == Op.DENSE)
        source = design[dense] * slots + table.input_a.take(place[dense])
        flat = _flat_inputs(table) if (table.op.take(source) == Op.INPUT).any() else np.zeros(len(table), dtype=np.bool_)
        _spread_dense(table, shape, dense, source, flat[design[dense]])
        _exchange_axes(shape)
        last = np.ones(len(place), dtype=np.bool_)
        last[:-1] = design[1:] != design[:-1]
        return cls(
            design=design, place=place, **shape, full=(op >= Op.DENSE) & (op <= Op.CONV2D),
            depthwise=(op == Op.DEPTHWISE_CONV1D) | (op == Op.DEPTHWISE_CONV2D), add=op == Op.ADD, pool=op == Op.GLOBAL_POOL,
            last=last, accumulator_bits=column("accumulator_bits"), flat_input=flat,
        )  # fmt: skip


def _flat_inputs(table: LayerTable) -> Mask:
    """Designs (n,) whose input only dense layers read."""
    first = table.op == Op.INPUT
    slot = np.argmax(first, axis=1)[:, None]
    reads = ((table.input_a == slot) | (table.input_b == slot)) & (table.op > Op.INPUT)
    return np.asarray(first.any(axis=1) & ~(reads & (table.op != Op.DENSE)).any(axis=1))


def _spread_dense(table: LayerTable, shape: dict[str, FloatArray], dense: Positions, source: Positions, flat: Mask) -> None:
    """Give the layers at the positions ``dense`` of the list the map that they read, made at ``source``, as input and as kernel."""
    one = flat & (table.op.take(source) == Op.INPUT)
    height, width = (np.where(one, 1, getattr(table, name).take(source)) for name in ("out_h", "out_w"))
    for name, value in (("height", height), ("kernel_h", height), ("width", width), ("kernel_w", width)):
        shape[name][dense] = value
    shape["channels"][dense] /= height * width


def _exchange_axes(shape: dict[str, FloatArray]) -> None:
    """Exchange the axes of layers whose maps have height 1."""
    series = (shape["height"] == 1) & (shape["out_h"] == 1)
    pairs = [("height", "width"), ("kernel_h", "kernel_w"), ("stride_h", "stride_w"), ("pad_h", "pad_w"), ("out_h", "out_w")]
    everywhere = bool(series.all())
    for down, across in pairs:
        if everywhere:
            shape[down], shape[across] = shape[across], shape[down]
        else:
            first, second = shape[down], shape[across]
            shape[down], shape[across] = np.where(series, second, first), np.where(series, first, second)


@dataclass(frozen=True)
class Demand:
    """What m layers ask of their arrays, each (m,).

    Attributes:
        groups: groups of output channels.
        unit: groups of the smallest tile that shares no word of the output with another; a layer has ``units`` of them.
        unit_planes: planes of the output that a unit fills.
        in_planes, out_planes: planes of the input and of the output.
        row_steps: steps of one output row and one kernel row on real input.
        row_idle: cycles without a product in an output row: shifts of an add, waits for the results to leave.
        top, bottom: kernel rows that fall on padding above and below the map, over all output rows, where they cost nothing.
        beyond: input rows that the last output row reads below the map.
        steps: cycles in which the multipliers work.
        macs: products of real operands in them.
        bias_words: weight words of a group's biases.
        group_words: weight words of a group.
        weight_words: weight words of the layer.
        chunks: cycles in which the results of a position leave.
    """

    groups: FloatArray
    unit: FloatArray
    units: FloatArray
    unit_planes: FloatArray
    in_planes: FloatArray
    out_planes: FloatArray
    row_steps: FloatArray
    row_idle: FloatArray
    top: FloatArray
    bottom: FloatArray
    beyond: FloatArray
    steps: FloatArray
    macs: FloatArray
    bias_words: FloatArray
    group_words: FloatArray
    weight_words: FloatArray
    chunks: FloatArray

    def take(self, chosen: Positions) -> Demand:
        """That of some of the layers."""
        return Demand(**{field.name: getattr(self, field.name).take(chosen) for field in fields(Demand)})


def demand(layers: Layers, array: ArrayShape) -> Demand:
    """The demand of all layers of a table on the arrays (n, 1) of its designs."""

    def own(values: FloatArray) -> FloatArray:
        return values[:, 0].take(layers.design)

    rows, columns, lanes = own(array.rows), own(array.columns), own(array.lanes)
    group = np.where(layers.full, rows, lanes)
    unit = columns / lanes  # the fewest groups whose channels fill whole words
    groups = np.ceil(layers.out_c / group)
    in_planes = np.ceil(layers.channels / columns)
    tiles = np.where(layers.full, in_planes, np.where(layers.add, 2.0, 1.0))
    skips = own(array.full_taps) == 0.0
    taps = _taps(layers, skips)
    chunks = np.where(layers.full, rows / lanes, 1.0)
    gap = np.maximum(chunks - taps.fewest * tiles, 0.0)
    slots = own(array.add_slots) * layers.add
    kernel_words = tiles * np.where(layers.pool, 1.0, layers.kernel_h * layers.kernel_w)
    bias_words = own(array.bias_words)
    group_words = bias_words + kernel_words
    down = layers.out_h * layers.kernel_h - taps.top - taps.bottom
    channels = layers.channels * np.where(layers.full, layers.out_c, np.where(layers.add, 2.0, 1.0))
    return Demand(
        groups=groups,
        unit=unit,
        units=np.ceil(groups / unit),
        unit_planes=unit * group / columns,
        in_planes=in_planes,
        out_planes=np.ceil(layers.out_c / columns),
        row_steps=taps.across * tiles,
        row_idle=(slots + gap) * layers.out_w,
        top=taps.top,
        bottom=taps.bottom,
        beyond=taps.beyond,
        steps=taps.across * tiles * down * groups,
        macs=taps.real * channels,
        bias_words=bias_words,
        group_words=group_words,
        weight_words=np.where(layers.add | layers.pool, 1.0, groups) * group_words,
        chunks=chunks,
    )


@dataclass(frozen=True)
class _Taps:
    """Taps that take a cycle, each (m,); ``real`` are the pairs of output position and tap on real input.

    Attributes:
        across: pairs of output column and kernel column.
        top, bottom, beyond: see `Demand`.
        fewest: taps of the position that has the fewest.
    """

    across: FloatArray
    top: FloatArray
    bottom: FloatArray
    beyond: FloatArray
    fewest: FloatArray
    real: FloatArray


def _taps(layers: Layers, skips: Mask) -> _Taps:
    beyond = np.maximum((layers.out_h - 1.0) * layers.stride_h + layers.kernel_h - layers.pad_h - layers.height, 0.0)
    top, bottom = series(layers.pad_h, layers.stride_h, layers.out_h), series(beyond, layers.stride_h, layers.out_h)
    fewest = _fewest(layers.height, layers.kernel_h, layers.stride_h, layers.pad_h, layers.out_h)
    if bool((layers.width == 1.0).all()) and bool((layers.kernel_w == 1.0).all()):
        across = layers.out_w
    else:
        across = real_taps(layers.width, layers.kernel_w, layers.stride_w, layers.pad_w, layers.out_w)
        fewest = fewest * _fewest(layers.width, layers.kernel_w, layers.stride_w, layers.pad_w, layers.out_w)
    real = across * (layers.out_h * layers.kernel_h - top - bottom)
    if not skips.all():
        across = np.where(skips, across, layers.out_w * layers.kernel_w)
        top, bottom = top * skips, bottom * skips
        fewest = np.where(skips, fewest, layers.kernel_h * layers.kernel_w)
    return _Taps(across=across, top=top, bottom=bottom, beyond=beyond, fewest=fewest, real=real)


def _fewest(size: FloatArray, kernel: FloatArray, stride: FloatArray, pad: FloatArray, out: FloatArray) -> FloatArray:
    """Fewest taps on real input of any output: at the first or the last, as their number is a concave function of the place."""
    end = (out - 1.0) * stride - pad
    first, last = np.minimum(kernel, size + pad) - pad, np.minimum(kernel, size - end) + np.minimum(end, 0.0)
    return np.asarray(np.minimum(first, last))


@dataclass(frozen=True)
class Work:
    """What the array has to do, n x L, zero in absent slots.

    Attributes:
        steps: cycles in which the multipliers work: one (output position, tap) pair of one channel tile each.
        macs: products of real operands in those steps.
        weight_words: words of the weight buffer that the layer's weights and biases fill.
    """

    steps: FloatArray
    macs: FloatArray
    weight_words: FloatArray


def work(table: LayerTable, array: ArrayShape) -> Work:
    """Steps by UltraTrail's law ``ceil(C / columns) * ceil(K / rows) * M`` with M = `real_taps` of both axes [Bernardo2020]_.

    A depthwise layer, an add and a pool use the diagonal of the array: ``ceil(C / D) * M``; an add is a kernel of two
    taps (its operands), a pool a kernel over the whole map.
    """
    layers = Layers.of(table)
    found = demand(layers, array)
    shape = table.op.shape
    return Work(*(spread(getattr(found, field.name), layers.place, shape) for field in fields(Work)))


def spread(values: FloatArray, place: Positions, shape: tuple[int, ...]) -> FloatArray:
    """Values (m,) at their places of an array of zeros (n x L)."""
    whole = np.zeros(shape)
    whole.ravel()[place] = values
    return whole


def total_by_design(values: FloatArray, layers: Layers, n: int) -> FloatArray:
    """Sums (n,) of values (m,) over the layers of each design."""
    return np.bincount(layers.design, weights=values, minlength=n).astype(np.float64, copy=False)
