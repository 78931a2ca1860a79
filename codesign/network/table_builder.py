"""Write a network once, for many designs at the same time: each call adds one layer slot to all of them.

Every argument is an int or an array (n,). A slot may be active in some designs only; the tensor that comes back is the
new layer's output where it is active and the input tensor elsewhere, so conditional depth needs no branches.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from codesign.network.layers import NUMERIC_FIELDS, IntArray, LayerTable, Op

Scalar = int | NDArray[np.int64] | IntArray
Mask = NDArray[np.bool_]
BIAS_BITS = 16


@dataclass(frozen=True)
class TaskShape:
    """What a network must know of its task.

    Attributes:
        input_shape: (height, width) of a map of features, or (height, width, channels) of an image.
        classes: number of outputs.
        input_bits: width of the input words.
        input_signed: whether they are signed.
    """

    input_shape: tuple[int, ...]
    classes: int
    input_bits: int
    input_signed: bool

    def as_series(self) -> tuple[int, int, int]:
        """(1, time, channels): rows are time steps, everything else is channels."""
        return 1, self.input_shape[0], int(np.prod(self.input_shape[1:]))

    def as_image(self) -> tuple[int, int, int]:
        """(height, width, channels); a map of features has one channel."""
        height, width, *channels = self.input_shape
        return height, width, int(np.prod(channels))


@dataclass(frozen=True)
class Tensor:
    """A tensor of each of n designs: the slot that makes it, its shape and format, each (n,)."""

    slot: IntArray
    h: IntArray
    w: IntArray
    c: IntArray
    bits: IntArray
    signed: IntArray

    def merge(self, other: Tensor, chosen: Mask) -> Tensor:
        """``self`` where ``chosen``, ``other`` elsewhere."""
        return Tensor(*(np.where(chosen, getattr(self, field.name), getattr(other, field.name)) for field in fields(self)))


class TableBuilder:
    """Collects layer slots for ``count`` designs of one task."""

    def __init__(self, count: int, shape: TaskShape) -> None:
        self.count = count
        self.shape = shape
        self._names: list[str] = []
        self._columns: dict[str, list[IntArray]] = {name: [] for name in NUMERIC_FIELDS}

    def input(self, dimensions: tuple[int, int, int]) -> Tensor:
        """The input tensor, read as (height, width, channels)."""
        h, w, c = dimensions
        values: dict[str, Scalar] = {"in_h": h, "in_w": w, "in_c": c, "out_h": h, "out_w": w, "out_c": c, "groups": 1, "input_a": -1, "input_b": -1}
        values |= {"input_bits": self.shape.input_bits, "output_bits": self.shape.input_bits}
        values |= {"input_signed": int(self.shape.input_signed), "output_signed": int(self.shape.input_signed)}
        self._append("input", Op.INPUT, values, None)
        return self._tensor(None, None)

    def convolution(
        self,
        name: str,
        source: Tensor,
        op: Op,
        *,
        channels: Scalar | None = None,
        kernel: tuple[Scalar, Scalar],
        stride: tuple[Scalar, Scalar] = (1, 1),
        weight_bits: Scalar,
        output_bits: Scalar,
        relu: bool,
        active: Mask | None = None,
    ) -> Tensor:
        """A convolution with zero padding of half its kernel (odd kernels keep the size at stride 1).

        ``channels`` None means depthwise: as many as the input has, each with its own kernel.
        """
        (kernel_h, kernel_w), (stride_h, stride_w) = kernel, stride
        pad_h, pad_w = np.asarray(kernel_h) // 2, np.asarray(kernel_w) // 2
        depthwise = channels is None
        fan_in = np.asarray(kernel_h) * np.asarray(kernel_w) * (1 if depthwise else source.c)
        values: dict[str, Scalar] = {
            "in_h": source.h,
            "in_w": source.w,
            "in_c": source.c,
            "out_h": (source.h + 2 * pad_h - kernel_h) // stride_h + 1,
            "out_w": (source.w + 2 * pad_w - kernel_w) // stride_w + 1,
            "out_c": source.c if channels is None else channels,
            "kernel_h": kernel_h,
            "kernel_w": kernel_w,
            "stride_h": stride_h,
            "stride_w": stride_w,
            "pad_h": pad_h,
            "pad_w": pad_w,
            "groups": source.c if depthwise else 1,
        }
        return self._weighted(name, op, source, values, fan_in, weight_bits, output_bits, relu, active)

    def dense(
        self, name: str, source: Tensor, *, features: Scalar, weight_bits: Scalar, output_bits: Scalar | None, relu: bool, active: Mask | None = None
    ) -> Tensor:
        """A fully connected layer on the flattened input; ``output_bits`` None keeps the accumulator (the last layer)."""
        inputs = source.h * source.w * source.c
        ones = ("in_h", "in_w", "out_h", "out_w", "kernel_h", "kernel_w", "stride_h", "stride_w", "groups")
        values: dict[str, Scalar] = dict.fromkeys(ones, 1) | {"in_c": inputs, "out_c": features, "pad_h": 0, "pad_w": 0}
        return self._weighted(name, Op.DENSE, source, values, inputs, weight_bits, output_bits, relu, active)

    def add(self, name: str, first: Tensor, second: Tensor, *, output_bits: Scalar, relu: bool, active: Mask | None = None) -> Tensor:
        """Sum of two tensors of one shape."""
        values = self._same_shape(first) | {"kernel_h": 1, "kernel_w": 1, "stride_h": 1, "stride_w": 1, "input_b": second.slot}
        # Scales may differ: eight bits of head room cover the alignment shift of the narrower operand.
        values |= {"accumulator_bits": np.maximum(first.bits, second.bits) + 9, "output_bits": output_bits, "relu": int(relu), "output_signed": int(not relu)}
        self._append(name, Op.ADD, values, active)
        return self._tensor(first, active)

    def global_pool(self, name: str, source: Tensor, *, output_bits: Scalar, active: Mask | None = None) -> Tensor:
        """Mean over all positions up to a constant factor: sum times 2**-ceil(log2(h*w)); keeps the sign of its input."""
        values = self._same_shape(source) | {"out_h": 1, "out_w": 1, "kernel_h": source.h, "kernel_w": source.w, "stride_h": 1, "stride_w": 1}
        growth = _ceil_log2(source.h * source.w)
        values |= {"accumulator_bits": source.bits + growth + 1, "output_bits": output_bits, "output_signed": source.signed}
        self._append(name, Op.GLOBAL_POOL, values, active)
        return self._tensor(source, active)

    def build(self) -> LayerTable:
        """The table of all slots added."""
        return LayerTable(names=tuple(self._names), **{name: np.stack(columns, axis=1) for name, columns in self._columns.items()})

    @staticmethod
    def _same_shape(source: Tensor) -> dict[str, Scalar]:
        return {
            "in_h": source.h, "in_w": source.w, "in_c": source.c, "out_h": source.h, "out_w": source.w, "out_c": source.c, "groups": 1,
            "input_bits": source.bits, "input_signed": source.signed, "input_a": source.slot, "input_b": -1,
        }  # fmt: skip

    def _weighted(
        self,
        name: str,
        op: Op,
        source: Tensor,
        values: dict[str, Scalar],
        fan_in: Scalar,
        weight_bits: Scalar,
        output_bits: Scalar | None,
        relu: bool,
        active: Mask | None,
    ) -> Tensor:
        # |sum| <= fan_in * 2**(input_bits + weight_bits - 1); one more bit for the sign, one for the bias.
        accumulator = source.bits + weight_bits + _ceil_log2(np.asarray(fan_in)) + 1
        values |= {
            "weight_bits": weight_bits,
            "bias_bits": BIAS_BITS,
            "input_bits": source.bits,
            "input_signed": source.signed,
            "output_bits": accumulator if output_bits is None else output_bits,
            "output_signed": int(not relu),
            "accumulator_bits": np.maximum(accumulator, BIAS_BITS + 1),
            "relu": int(relu),
            "input_a": source.slot,
            "input_b": -1,
        }
        if output_bits is None:
            values["output_bits"] = values["accumulator_bits"]
        self._append(name, op, values, active)
        return self._tensor(source, active)

    def _append(self, name: str, op: Op, values: dict[str, Scalar], active: Mask | None) -> None:
        self._names.append(name)
        for key, columns in self._columns.items():
            value = op if key == "op" else values.get(key, 0)
            full = np.broadcast_to(np.asarray(value, dtype=np.int32), (self.count,))
            absent = -1 if key in ("input_a", "input_b") else 0
            columns.append(full if active is None else np.where(active, full, np.int32(absent)))

    def _tensor(self, source: Tensor | None, active: Mask | None) -> Tensor:
        """Output of the slot just added; ``source`` where the slot is not active."""

        def pick(key: str, old: IntArray | None) -> IntArray:
            new = self._columns[key][-1]
            return new if active is None or old is None else np.where(active, new, old)

        slot = np.full(self.count, len(self._names) - 1, dtype=np.int32)
        if active is not None and source is not None:
            slot = np.where(active, slot, source.slot)
        return Tensor(
            slot,
            pick("out_h", source.h if source else None),
            pick("out_w", source.w if source else None),
            pick("out_c", source.c if source else None),
            pick("output_bits", source.bits if source else None),
            pick("output_signed", source.signed if source else None),
        )


def _ceil_log2(values: NDArray[np.int64] | IntArray) -> IntArray:
    """Smallest k with 2**k >= value, for values >= 1."""
    return np.ceil(np.log2(np.maximum(values, 1))).astype(np.int32)
