"""What the ONNX operators that only move elements become."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from codesign.network.importers import operators
from codesign.network.importers.onnx_constants import Constant
from codesign.network.importers.onnx_file import OnnxNode
from codesign.network.importers.onnx_graph import SPATIAL, Handler, Walk
from codesign.network.importers.operators import Pads


def _concat(walk: Walk, node: OnnxNode) -> None:
    signals = [walk.signal(node, position) for position in range(len(node.inputs))]
    axes = signals[0].axes
    signals = [signals[0], *(walk.as_axes(node, signal, axes) for signal in signals[1:])]
    letter = axes[node.integer("axis", 1) % len(axes)]
    if letter not in "hwc":
        raise node.error("concatenates along the batch")
    if len(signals) == 1:
        walk.store(node.outputs[0], signals[0])
        return
    tensor = operators.add_concatenate(walk.draft, node.name, tuple(signal.tensor for signal in signals), "hwc".index(letter), classes=(node.op,))
    walk.emit(node, tensor, axes)


def _pad(walk: Walk, node: OnnxNode) -> None:
    source = walk.signal(node)
    if node.text("mode", "constant") != "constant":
        raise node.error(f"pads by {node.text('mode', 'constant')}", "Padding with zeros is supported.")
    given = walk.optional(node, 1)
    values = list(node.integers("pads")) if given is None else [int(value) for value in given.array.reshape(-1)]
    axes = len(source.dims)
    listed = walk.optional(node, 3)
    positions = range(axes) if listed is None else [int(axis) % axes for axis in listed.array.reshape(-1)]
    if len(values) != 2 * len(positions) or min(values) < 0:
        raise node.error(f"has padding {values}")
    sides = {source.axes[axis]: (values[index], values[index + len(positions)]) for index, axis in enumerate(positions)}
    if any(sum(sides.get(axis, (0, 0))) for axis in ("n", "c", "d")):
        raise node.error("pads the batch or the channels", "Padding of rows and columns is supported.")
    pads = Pads(*sides.get("h", (0, 0)), *sides.get("w", (0, 0)))
    if not any(pads):
        walk.store(node.outputs[0], source)
        return
    walk.emit(node, operators.add_padding(walk.draft, node.name, source.tensor, pads, classes=(node.op,)), source.axes)


def _resize(walk: Walk, node: OnnxNode) -> None:
    source = walk.signal(node)
    rank = len(source.dims)
    found = [walk.optional(node, position) for position in ((1,) if node.op == "Upsample" else (2, 3))]
    given = [(index, value.array.reshape(-1)) for index, value in enumerate(found) if value is not None and value.array.size]
    if not given or len(given[0][1]) != rank:
        raise node.error("has no constant scale or size for every axis")
    index, values = given[0]
    if not np.all(np.isfinite(values)) or np.any(values <= 0):
        raise node.error(f"has scales {values.tolist()}")
    sizes = tuple(int(value) if index == 1 else math.floor(size * float(value)) for size, value in zip(source.dims, values, strict=True))
    if any(size != new for size, new, axis in zip(source.dims, sizes, source.axes, strict=True) if axis not in SPATIAL):
        raise node.error("resizes the batch or the channels")
    shape = replace(source, dims=sizes).shape
    function = "nearest" if node.text("mode", "nearest") == "nearest" else "bilinear"
    walk.emit(node, operators.add_resize(walk.draft, node.name, source.tensor, shape.h, shape.w, function, classes=(node.op,)), source.axes)


def _pass(walk: Walk, node: OnnxNode) -> None:
    walk.store(node.outputs[0], walk.signal(node))


def _flatten(walk: Walk, node: OnnxNode) -> None:
    source = walk.signal(node)
    axis = node.integer("axis", 1)
    axis = axis + len(source.dims) if axis < 0 else axis
    walk.reshaped(node, source, (math.prod(source.dims[:axis]), math.prod(source.dims[axis:])))


def _reshape(walk: Walk, node: OnnxNode) -> None:
    source = walk.signal(node)
    given = walk.optional(node, 1)
    wanted = list(node.integers("shape")) if given is None else [int(size) for size in given.array.reshape(-1)]
    sizes = [source.dims[index] if size == 0 and index < len(source.dims) else size for index, size in enumerate(wanted)]
    total, fixed = math.prod(source.dims), math.prod(size for size in sizes if size > 0)
    if -1 not in sizes and fixed != total and sizes and fixed == total * sizes[0]:
        sizes[0] = 1  # the batch that the model was exported with
    if sizes.count(-1) == 1 and fixed > 0 and total % fixed == 0:
        sizes[sizes.index(-1)] = total // fixed
    if min(sizes, default=0) < 1 or math.prod(sizes) != total:
        raise node.error(f"cannot reshape {source.dims} to {wanted}", "Export the model with a batch of 1.")
    walk.reshaped(node, source, sizes)


def _axes(walk: Walk, node: OnnxNode, rank: int) -> list[int]:
    given = walk.optional(node, 1)
    values = node.integers("axes") if given is None else tuple(int(axis) for axis in given.array.reshape(-1))
    return sorted(axis + rank if axis < 0 else axis for axis in values)


def _squeeze(walk: Walk, node: OnnxNode) -> None:
    source = walk.signal(node)
    bare = "axes" not in node.attributes and len(node.inputs) < 2
    axes = [position for position, size in enumerate(source.dims) if size == 1 and position] if bare else _axes(walk, node, len(source.dims))
    kept = [position for position in range(len(source.dims)) if position not in axes]
    if any(not 0 <= axis < len(source.dims) or source.dims[axis] != 1 for axis in axes):
        raise node.error(f"removes axes {axes} of a tensor of shape {source.dims}", "Only axes of size 1 can go.")
    if all(source.axes[axis] == "d" for axis in axes):
        dims, letters = tuple(source.dims[position] for position in kept), tuple(source.axes[position] for position in kept)
        walk.store(node.outputs[0], replace(source, dims=dims, axes=letters))
        return
    walk.reshaped(node, source, [source.dims[position] for position in kept])


def _unsqueeze(walk: Walk, node: OnnxNode) -> None:
    source = walk.signal(node)
    given = walk.optional(node, 1)
    count = len(node.integers("axes")) if given is None else given.array.size
    sizes = list(source.dims)
    for axis in _axes(walk, node, len(source.dims) + count):
        sizes.insert(axis, 1)
    walk.reshaped(node, source, sizes)


def _transpose(walk: Walk, node: OnnxNode) -> None:
    """Only a new order of letters: a stream stays in rows, columns, channels."""
    source = walk.signal(node)
    order = node.integers("perm") if "perm" in node.attributes else tuple(reversed(range(len(source.dims))))
    if sorted(order) != list(range(len(source.dims))):
        raise node.error(f"has the order {order} for {len(source.dims)} axes")
    dims, axes = tuple(source.dims[axis] for axis in order), tuple(source.axes[axis] for axis in order)
    walk.store(node.outputs[0], replace(source, dims=dims, axes=axes))


def _gather(walk: Walk, node: OnnxNode) -> None:
    """One step of a series."""
    source, index = walk.signal(node), walk.constant(node, 1)
    axis = node.integer("axis", 0) % len(source.dims)
    if source.axes[axis] not in {"w", "d"} or index.array.size != 1 or index.array.ndim > 0:
        raise node.error("selects elements", "Only one step of a series can be selected.")
    rest = tuple(letter for position, letter in enumerate(source.axes) if position != axis)
    if source.dims[axis] == 1:
        dims = tuple(size for position, size in enumerate(source.dims) if position != axis)
        walk.store(node.outputs[0], replace(source, dims=dims, axes=rest))
        return
    shape = source.shape._replace(w=1)
    walk.emit(node, operators.add_reshape(walk.draft, node.name, source.tensor, shape, function="select", classes=(node.op,)), rest)


def _shape(walk: Walk, node: OnnxNode) -> None:
    walk.store(node.outputs[0], Constant(np.asarray(walk.signal(node).dims, np.int64)))


LAYOUT_HANDLERS: dict[str, Handler] = {
    "Concat": _concat,
    "Pad": _pad,
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    **dict.fromkeys(("Identity", "Dropout", "Cast"), _pass),
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Gather": _gather,
    "Shape": _shape,
}
