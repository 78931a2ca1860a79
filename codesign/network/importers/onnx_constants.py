"""Values of an ONNX graph that do not depend on its input: weights on their way through quantisers, and arithmetic on shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.network.importers.draft import MAX_ELEMENTS, Weights
from codesign.network.importers.onnx_file import OnnxNode

Array = np.ndarray[Any, Any]
MAX_BITS = 1024


@dataclass(frozen=True)
class Constant:
    """An array, and where something quantised it, the bits of one element and the largest level over full scale.

    Attributes:
        array: the values.
        bits: of one element; None where nothing quantised it.
        peak: largest |level| over ``2 ** (bits - 1)``, in (0, 1]; 0: not known.
    """

    array: Array
    bits: int | None = None
    peak: float = 0.0

    @property
    def summary(self) -> Weights:
        """What counts of weights."""
        if not self.array.size:
            return Weights()
        largest = float(np.abs(self.array.astype(np.float64)).max())
        share = float(np.count_nonzero(self.array)) / self.array.size
        return Weights(share, largest if math.isfinite(largest) else 0.0, self.peak)


def joined(first: Constant, second: Constant) -> Weights:
    """What counts of weights in two arrays."""
    one, two = first.summary, second.summary
    nonzero = (one.nonzero * first.array.size + two.nonzero * second.array.size) / max(first.array.size + second.array.size, 1)
    return Weights(nonzero, max(one.largest, two.largest), max(one.peak, two.peak) if one.peak and two.peak else 0.0)


def _peak(levels: Array, bits: int) -> float:
    largest = float(np.abs(levels).max()) if levels.size else 0.0
    return min(1.0, largest / 2.0 ** (bits - 1)) if math.isfinite(largest) else 0.0


def quantiser_width(node: OnnxNode, inputs: list[Constant | None]) -> int:
    """Bits of a QONNX quantiser node, rounded up to whole bits.

    Raises:
        InputError: the bit width is not one constant number of 1 to 1024.
    """
    if node.op == "BipolarQuant":
        return 1
    position = len(inputs) - 1 if node.op == "Trunc" else 3
    width = inputs[position] if len(inputs) > position else None
    if width is None or width.array.size != 1:
        raise node.error("the bit width is not one constant number")
    value = float(width.array.reshape(-1)[0])
    if not 1 <= value <= MAX_BITS:
        raise node.error(f"the bit width {value:g} is outside 1 to {MAX_BITS}")
    return math.ceil(value)


def levels_width(low: float, high: float) -> int:
    """Bits that hold the whole numbers from low to high."""
    return max(1, math.ceil(math.log2(high - low + 1))) if high > low else 1


def fold(node: OnnxNode, inputs: list[Constant | None]) -> Constant:
    """The output of a node whose inputs are all constant.

    Raises:
        InputError: the operator is unknown here, or its inputs do not fit.
    """
    operation = _FOLDS.get(node.op)
    if operation is None:
        raise node.error("reads constants only, and is not known as an operation on constants", "Simplify the model (onnxsim, qonnx-cleanup).")
    try:
        return operation(node, inputs)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError) as error:
        raise node.error(f"cannot be computed: {error}", "Export the model again.") from error


def _need(node: OnnxNode, inputs: list[Constant | None], position: int) -> Array:
    value = inputs[position] if len(inputs) > position else None
    if value is None:
        raise node.error(f"input {position} is missing")
    return value.array


def _axes(node: OnnxNode, inputs: list[Constant | None]) -> tuple[int, ...] | None:
    """Axes from the attribute (old operator sets) or the second input (new ones)."""
    if "axes" in node.attributes:
        return node.integers("axes")
    if len(inputs) > 1 and inputs[1] is not None:
        return tuple(int(axis) for axis in inputs[1].array.reshape(-1))
    return None


def _moved(change: Callable[[OnnxNode, list[Constant | None], Array], Array]) -> Callable[[OnnxNode, list[Constant | None]], Constant]:
    """A fold that moves elements and keeps their width."""

    def operation(node: OnnxNode, inputs: list[Constant | None]) -> Constant:
        source = inputs[0]
        if source is None:
            raise node.error("input 0 is missing")
        return Constant(np.asarray(change(node, inputs, source.array)), source.bits, source.peak)

    return operation


def _reshape(node: OnnxNode, inputs: list[Constant | None], array: Array) -> Array:
    sizes = [int(size) for size in _need(node, inputs, 1).reshape(-1)]
    return array.reshape([array.shape[index] if size == 0 else size for index, size in enumerate(sizes)])


def _unsqueeze(node: OnnxNode, inputs: list[Constant | None], array: Array) -> Array:
    return np.expand_dims(array, _axes(node, inputs) or ())


def _transpose(node: OnnxNode, _: list[Constant | None], array: Array) -> Array:
    return array.transpose(node.integers("perm") if "perm" in node.attributes else None)


def _flatten(node: OnnxNode, _: list[Constant | None], array: Array) -> Array:
    return array.reshape(math.prod(array.shape[: node.integer("axis", 1)]), -1)


def _slice(node: OnnxNode, inputs: list[Constant | None], array: Array) -> Array:
    starts, ends = (_need(node, inputs, position).reshape(-1) for position in (1, 2))
    given = inputs[3].array.reshape(-1) if len(inputs) > 3 and inputs[3] is not None else np.arange(len(starts))
    steps = inputs[4].array.reshape(-1) if len(inputs) > 4 and inputs[4] is not None else np.ones(len(starts), np.int64)
    index: list[slice] = [slice(None)] * array.ndim
    for start, end, axis, step in zip(starts, ends, given, steps, strict=True):
        index[int(axis)] = slice(int(start), int(end), int(step))
    return array[tuple(index)]


def _filled(node: OnnxNode, inputs: list[Constant | None]) -> Constant:
    shape = tuple(int(size) for size in _need(node, inputs, 0).reshape(-1))
    if any(size < 0 for size in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise node.error(f"makes a tensor of shape {shape}")
    value = node.attributes.get("value", np.zeros(1, np.float32))
    return Constant(np.full(shape, value.reshape(-1)[0]))


def _expand(node: OnnxNode, inputs: list[Constant | None], array: Array) -> Array:
    shape = np.broadcast_shapes(array.shape, tuple(int(size) for size in _need(node, inputs, 1).reshape(-1)))
    if math.prod(shape) > MAX_ELEMENTS:
        raise node.error(f"makes a tensor of shape {shape}")
    return np.broadcast_to(array, shape)


def _binary(function: Callable[[Array, Array], Array]) -> Callable[[OnnxNode, list[Constant | None]], Constant]:
    def operation(node: OnnxNode, inputs: list[Constant | None]) -> Constant:
        left, right = _need(node, inputs, 0), _need(node, inputs, 1)
        if math.prod(np.broadcast_shapes(left.shape, right.shape)) > MAX_ELEMENTS:
            raise node.error("makes a tensor that is too large")
        with np.errstate(all="ignore"):
            result = function(left, right)
        return Constant(result.astype(left.dtype) if left.dtype.kind in "iu" else result)

    return operation


def _concat(node: OnnxNode, inputs: list[Constant | None]) -> Constant:
    arrays = [_need(node, inputs, position) for position in range(len(inputs))]
    return Constant(np.concatenate(arrays, axis=node.integer("axis", 0)))


def _constant(node: OnnxNode, _: list[Constant | None]) -> Constant:
    for key in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if key in node.attributes:
            return Constant(np.asarray(node.attributes[key]))
    raise node.error("holds no number")


def _quant(node: OnnxNode, inputs: list[Constant | None]) -> Constant:
    """Section "Quant" of the QONNX operator definitions: round, saturate, and back to real numbers."""
    bits = quantiser_width(node, inputs)
    array = _need(node, inputs, 0).astype(np.float64)
    scale = _need(node, inputs, 1)
    if node.op == "BipolarQuant":
        return Constant(np.where(array >= 0, 1.0, -1.0) * scale, bits, 1.0)
    if node.op == "Trunc":
        return Constant(array, bits)
    zero = _need(node, inputs, 2)
    signed, narrow = bool(node.integer("signed", 1)), bool(node.integer("narrow", 0))
    low, high = (-(2.0 ** (bits - 1)) + narrow, 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1 - narrow)
    if bits == 1 and signed:
        low, high = -1.0, 1.0
    with np.errstate(all="ignore"):
        levels = np.clip(np.rint(array / scale + zero), low, high)
    return Constant((levels - zero) * scale, bits, _peak(levels - zero, bits))


def _axis_shaped(node: OnnxNode, parameter: Array, rank: int) -> Array:
    """A per-channel scale as an array that broadcasts along the node's axis."""
    if parameter.ndim != 1 or parameter.size == 1:
        return parameter.reshape(()) if parameter.size == 1 else parameter
    shape = [1] * rank
    shape[node.integer("axis", 1)] = parameter.size
    return parameter.reshape(shape)


def _quantize_linear(node: OnnxNode, inputs: list[Constant | None]) -> Constant:
    array = _need(node, inputs, 0).astype(np.float64)
    scale = _axis_shaped(node, _need(node, inputs, 1), array.ndim)
    kind = inputs[2].array.dtype if len(inputs) > 2 and inputs[2] is not None else np.dtype(np.uint8)
    zero = _axis_shaped(node, inputs[2].array, array.ndim).astype(np.float64) if len(inputs) > 2 and inputs[2] is not None else np.float64(0)
    bits = integer_bits(kind)
    low = 0.0 if kind.name.startswith("uint") else -(2.0 ** (bits - 1))
    with np.errstate(all="ignore"):
        return Constant(np.clip(np.rint(array / scale) + zero, low, low + 2.0**bits - 1), bits)


def integer_bits(kind: np.dtype[Any]) -> int:
    """Bits of an integer element; types of 2 and 4 bits carry them in the name."""
    digits = "".join(character for character in kind.name if character.isdigit())
    return int(digits) if digits else 8 * kind.itemsize


def _dequantize_linear(node: OnnxNode, inputs: list[Constant | None]) -> Constant:
    source = inputs[0]
    if source is None:
        raise node.error("input 0 is missing")
    zero = _axis_shaped(node, inputs[2].array, source.array.ndim).astype(np.float64) if len(inputs) > 2 and inputs[2] is not None else np.float64(0)
    bits = source.bits or integer_bits(source.array.dtype)
    scale = _axis_shaped(node, _need(node, inputs, 1), source.array.ndim)
    levels = source.array.astype(np.float64) - zero
    return Constant(levels * scale, bits, _peak(levels, bits))


def _clip(node: OnnxNode, inputs: list[Constant | None]) -> Constant:
    array = _need(node, inputs, 0)
    low, high = clip_limits(node, inputs)
    source = inputs[0]
    bits = source.bits if source is not None else None
    if array.dtype.kind in "iu" or array.dtype.name.startswith(("int", "uint")):
        bits = bits or integer_bits(array.dtype)
    if bits is not None and math.isfinite(low) and math.isfinite(high):
        bits = min(bits, levels_width(low, high))
    return Constant(np.clip(array, low, high), bits)


def clip_limits(node: OnnxNode, inputs: list[Constant | None]) -> tuple[float, float]:
    """Lower and upper limit of a Clip node, from attributes or inputs."""
    limits = [float(node.attributes.get("min", -math.inf)), float(node.attributes.get("max", math.inf))]
    for position in (1, 2):
        value = inputs[position] if len(inputs) > position else None
        if value is not None:
            limits[position - 1] = float(value.array.reshape(-1)[0])
    return limits[0], limits[1]


_FOLDS: dict[str, Callable[[OnnxNode, list[Constant | None]], Constant]] = {
    "Constant": _constant,
    "ConstantOfShape": _filled,
    **dict.fromkeys(("Identity", "Cast", "Dropout"), _moved(lambda node, inputs, array: array)),
    "Transpose": _moved(_transpose),
    "Reshape": _moved(_reshape),
    "Flatten": _moved(_flatten),
    "Squeeze": _moved(lambda node, inputs, array: np.squeeze(array, _axes(node, inputs))),
    "Unsqueeze": _moved(_unsqueeze),
    "Slice": _moved(_slice),
    "Expand": _moved(_expand),
    "Gather": _moved(lambda node, inputs, array: np.take(array, _need(node, inputs, 1).astype(np.int64), axis=node.integer("axis", 0))),
    "Shape": lambda node, inputs: Constant(np.asarray(_need(node, inputs, 0).shape, np.int64)),
    "Concat": _concat,
    "Add": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Mul": _binary(np.multiply),
    "Div": _binary(lambda left, right: left // right if left.dtype.kind in "iu" else left / right),
    "Max": _binary(np.maximum),
    "Min": _binary(np.minimum),
    "Neg": _moved(lambda node, inputs, array: -array),
    "Sqrt": _moved(lambda node, inputs, array: np.sqrt(np.abs(array))),
    **dict.fromkeys(("Quant", "IntQuant", "BipolarQuant", "Trunc"), _quant),
    "QuantizeLinear": _quantize_linear,
    "DequantizeLinear": _dequantize_linear,
    "Clip": _clip,
}
