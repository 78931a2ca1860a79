"""What the ONNX operators that compute become."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from codesign.network.hls_model import CONVOLUTIONS, Kind
from codesign.network.importers import operators
from codesign.network.importers.draft import AUTO, Draft, Shape, Widths
from codesign.network.importers.onnx_constants import Constant, clip_limits, integer_bits, joined, levels_width, quantiser_width
from codesign.network.importers.onnx_file import OnnxNode, load_onnx
from codesign.network.importers.onnx_graph import SPATIAL, Handler, Signal, Walk, channels_first, channels_last
from codesign.network.importers.onnx_layout import LAYOUT_HANDLERS
from codesign.network.importers.operators import Pads

_RECURRENT_AXES = ("w", "n", "c")


def read_onnx(path: Path) -> Draft:
    """The network of an ONNX or QONNX file.

    Raises:
        InputError: the file is damaged, too large, or holds what cannot become a pipeline.
        ToolMissingError: the package ``onnx`` is not installed.
    """
    graph = load_onnx(path)
    draft = Draft(path.stem, graph.where)
    with np.errstate(all="ignore"):
        Walk(graph, draft, HANDLERS).run()
    return draft


def _product(walk: Walk, node: OnnxNode) -> None:
    """MatMul and Gemm with constant weights."""
    source = walk.signal(node)
    weights = walk.constant(node, 1)
    if node.integer("transA", 0) or weights.array.ndim != 2:
        raise node.error(f"multiplies by weights of shape {weights.array.shape}", "Weights must be a matrix on the right side.")
    fan_in, units = weights.array.shape[:: -1 if node.integer("transB", 0) else 1]
    source = walk.as_axes(node, source, channels_last(len(source.dims)))
    if source.shape.c != fan_in:
        raise node.error(f"reads {source.shape.c} channels where the weights have {fan_in}")
    bias = walk.optional(node, 2)
    widths = Widths(weight=weights.bits, bias=bias.bits if bias else None)
    tensor = operators.add_dense(walk.draft, node.name, source.tensor, int(units), widths=widths, weights=weights.summary, classes=(node.op,))
    walk.emit(node, tensor, source.axes)
    if bias is not None:
        walk.draft.set_bias(tensor.source, bias.bits or AUTO)


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return (values[0], values[1]) if len(values) == 2 else (1, values[0])


def _window(node: OnnxNode, shape: Shape, axes: int, kernel: tuple[int, int]) -> tuple[tuple[int, int], Pads]:
    """Strides and padding of a convolution or a pool."""
    if any(step != 1 for step in node.integers("dilations", axes, 1)):
        raise node.error("has dilations", "Use a kernel without dilation.")
    stride = _pair(node.integers("strides", axes, 1))
    if min(*stride, *kernel) < 1:
        raise node.error(f"has kernel {kernel} and strides {stride}")
    automatic = node.text("auto_pad", "NOTSET")
    if automatic in {"SAME_UPPER", "SAME_LOWER"}:
        pads = operators.same_pads(shape, kernel, stride)
        return stride, pads if automatic == "SAME_UPPER" else Pads(pads.bottom, pads.top, pads.right, pads.left)
    if automatic == "VALID":
        return stride, Pads()
    values = node.integers("pads", 2 * axes, 0)
    if min(values) < 0:
        raise node.error(f"has negative padding {values}")
    return stride, Pads(values[0], values[2], values[1], values[3]) if axes == 2 else Pads(0, 0, values[0], values[1])


def _convolution(walk: Walk, node: OnnxNode) -> None:
    source, weights, bias = walk.signal(node), walk.constant(node, 1), walk.optional(node, 2)
    axes = weights.array.ndim - 2
    if axes not in {1, 2}:
        raise node.error(f"has weights of shape {weights.array.shape}", "Convolutions of one or two dimensions are supported.")
    source = walk.as_axes(node, source, channels_first(axes + 2))
    filters, group_channels, *kernel_shape = weights.array.shape
    group, channels = node.integer("group", 1), source.shape.c
    if group < 1 or group_channels * group != channels or filters % group:
        raise node.error(f"reads {channels} channels where the weights have {group_channels} in {group} groups")
    kernel = _pair(tuple(kernel_shape))
    stride, pads = _window(node, source.shape, axes, kernel)
    depthwise = group == channels and group > 1
    known = weights.summary
    if group > 1 and not depthwise:
        known = known._replace(nonzero=known.nonzero / group)
        walk.draft.note(f"Grouped convolution {node.name} is counted as a dense one whose other weights are zero; hls4ml builds no groups.")
    tensor = operators.add_convolution(
        walk.draft, node.name, source.tensor, filters=filters, kernel=kernel, stride=stride, pads=pads, two_dimensional=axes == 2, depthwise=depthwise,
        widths=Widths(weight=weights.bits, bias=(bias.bits or AUTO) if bias else None), weights=known, classes=("Conv",),
    )  # fmt: skip
    walk.emit(node, tensor, source.axes)


def _pool(function: str, walk: Walk, node: OnnxNode) -> None:
    source = walk.signal(node)
    axes = len(source.dims) - 2
    if axes not in {1, 2}:
        raise node.error(f"reads a tensor of shape {source.dims}", "Pools of one or two dimensions are supported.")
    source = walk.as_axes(node, source, channels_first(axes + 2))
    kernel = _pair(node.integers("kernel_shape", axes))
    stride, pads = _window(node, source.shape, axes, kernel)
    ceil = bool(node.integer("ceil_mode", 0))
    tensor = operators.add_pool(walk.draft, node.name, source.tensor, function, kernel=kernel, stride=stride, pads=pads, ceil=ceil, classes=(node.op,))
    walk.emit(node, tensor, source.axes)


def _global_pool(function: str, walk: Walk, node: OnnxNode) -> None:
    source = walk.signal(node)
    source = walk.as_axes(node, source, channels_first(len(source.dims)))
    walk.emit(node, operators.add_global_pool(walk.draft, node.name, source.tensor, function, classes=(node.op,)), source.axes)


def _reduce(function: str, walk: Walk, node: OnnxNode) -> None:
    source = walk.signal(node)
    given = walk.optional(node, 1)
    positions = node.integers("axes") if given is None else tuple(int(axis) for axis in given.array.reshape(-1))
    reduced = {position % len(source.dims) for position in positions}
    letters = {source.axes[position] for position in reduced}
    if not {axis for axis, size in zip(source.axes, source.dims, strict=True) if axis in SPATIAL and size > 1} <= letters <= SPATIAL:
        raise node.error(f"reduces axes {positions} of a tensor of shape {source.dims}", "Only a mean or maximum over all positions is supported.")
    tensor = operators.add_global_pool(walk.draft, node.name, source.tensor, function, classes=(node.op,))
    keep = bool(node.integer("keepdims", 1))
    walk.emit(node, tensor, tuple(axis for position, axis in enumerate(source.axes) if keep or position not in reduced))


def _activation(function: str, walk: Walk, node: OnnxNode) -> None:
    source = walk.signal(node)
    walk.emit(node, operators.add_activation(walk.draft, node.name, source.tensor, function, classes=(node.op,)), source.axes)


def _softmax(walk: Walk, node: OnnxNode) -> None:
    source = walk.signal(node)
    axis = source.axes[node.integer("axis", -1) % len(source.axes)]
    if axis != "c" and source.shape.elements != source.shape.c:
        raise node.error(f"normalises axis {axis}", "A softmax over the channels is supported.")
    _activation("softmax", walk, node)


def _clip(walk: Walk, node: OnnxNode) -> None:
    source = walk.signal(node)
    if source.levels is None:
        _activation("clip", walk, node)
        return
    low, high = clip_limits(node, walk.constants(node))
    bits = min(source.levels, levels_width(low, high)) if math.isfinite(low) and math.isfinite(high) else source.levels
    walk.store(node.outputs[0], replace(source, levels=bits))


def _batch_norm(walk: Walk, node: OnnxNode) -> None:
    source = walk.signal(node)
    source = walk.as_axes(node, source, channels_first(len(source.dims)))
    walk.emit(node, operators.add_batch_norm(walk.draft, node.name, source.tensor, classes=(node.op,)), source.axes)


def _merge(function: str, walk: Walk, node: OnnxNode) -> None:
    """Of two signals a merge; of a signal and a constant a bias, or a batch norm's scale or offset."""
    values = [walk.values[name] for name in node.inputs]
    signals = [value for value in values if isinstance(value, Signal)]
    constants = [value for value in values if isinstance(value, Constant)]
    if constants:
        if len(signals) != 1 or len(constants) != 1 or function not in {"add", "subtract", "multiply", "divide"}:
            raise node.error("mixes results and constants", "Only scales and offsets may be constant.")
        _affine(function, walk, node, signals[0], constants[0])
        return
    if function == "divide":
        raise node.error("divides one result by another", "Pipelines have no divider.")
    longest = max(signals, key=lambda signal: len(signal.dims))
    aligned = []
    for signal in signals:
        wanted = longest.axes[len(longest.axes) - len(signal.axes) :]
        aligned.append(signal if signal.axes == wanted else walk.as_axes(node, signal, wanted))
    tensor = operators.add_merge(walk.draft, node.name, tuple(signal.tensor for signal in aligned), function, classes=(node.op,))
    walk.emit(node, tensor, longest.axes)


def _affine(function: str, walk: Walk, node: OnnxNode, source: Signal, constant: Constant) -> None:
    size = constant.array.size
    shape = np.broadcast_shapes(constant.array.shape, source.dims) if constant.array.ndim <= len(source.dims) else None
    if shape != source.dims:
        raise node.error(f"combines shapes {source.dims} and {constant.array.shape}", "A constant per channel or for all elements is supported.")
    first = walk.values[node.inputs[0]] is source
    if function == "divide" and not first:
        raise node.error("divides a constant by a result", "Pipelines have no divider.")
    identity = np.all(constant.array == (0 if function in {"add", "subtract"} else 1))
    draft = walk.draft.layers[source.source]
    free = source.source not in walk.shared and draft.widths.result is None
    weighted = draft.layer.kind is Kind.DENSE or draft.layer.kind in CONVOLUTIONS
    if identity and (first or function != "subtract"):
        walk.store(node.outputs[0], source)
    elif function == "add" and free and weighted and draft.widths.bias is None and size in {1, source.shape.c}:
        walk.draft.set_bias(source.source, constant.bits or AUTO)
        walk.store(node.outputs[0], source)
    elif draft.layer.kind is Kind.BATCH_NORM and free:
        walk.store(node.outputs[0], source)
    else:
        walk.emit(node, operators.add_batch_norm(walk.draft, node.name, source.tensor, classes=(node.op,)), source.axes)


def _quantise(walk: Walk, node: OnnxNode) -> None:
    inputs = walk.constants(node)
    bits = quantiser_width(node, inputs)
    scale = walk.constant(node, 1)
    _note_scale(walk, node, scale)
    walk.quantise(node, walk.signal(node), bits, saturates=node.op != "Trunc")


def _note_scale(walk: Walk, node: OnnxNode, scale: Constant) -> None:
    mantissas, _ = np.frexp(np.abs(scale.array.astype(np.float64)))
    if np.any(mantissas != 0.5):
        walk.scaled.append(node.name)


def _to_levels(walk: Walk, node: OnnxNode) -> None:
    zero = walk.optional(node, 2)
    _note_scale(walk, node, walk.constant(node, 1))
    walk.store(node.outputs[0], replace(walk.signal(node), levels=8 if zero is None else integer_bits(zero.array.dtype)))


def _from_levels(walk: Walk, node: OnnxNode) -> None:
    source = walk.signal(node)
    if source.levels is None:
        raise node.error("reads a value that was not quantised")
    walk.quantise(node, source, source.levels, saturates=True)


def _recurrent(walk: Walk, node: OnnxNode) -> None:
    kind = Kind.LSTM if node.op == "LSTM" else Kind.GRU
    gates = 4 if kind is Kind.LSTM else 3
    source, weights, recurrent = walk.signal(node), walk.constant(node, 1), walk.constant(node, 2)
    if node.text("direction", "forward") != "forward" or weights.array.shape[0] != 1:
        raise node.error("runs backward", "Use a forward LSTM or GRU.")
    if node.integer("layout", 0):
        raise node.error("has its batch first", "Export it with layout 0.")
    for position in (3, 4, 5, 6):
        walk.optional(node, position)
    source = walk.as_axes(node, source, _RECURRENT_AXES)
    if weights.array.ndim != 3 or recurrent.array.ndim != 3 or weights.array.shape[1] != gates * recurrent.array.shape[2]:
        raise node.error(f"has weights of shapes {weights.array.shape} and {recurrent.array.shape}")
    units = int(recurrent.array.shape[2])
    if weights.array.shape[2] != source.shape.c:
        raise node.error(f"reads {source.shape.c} channels where the weights have {weights.array.shape[2]}")
    used = [bool(name and (name in walk.graph.readers or name in walk.graph.outputs)) for name in (*node.outputs, "", "", "")[:3]]
    if used[2]:
        raise node.error("gives its cell state away", "Use its output.")
    known = joined(weights, recurrent)
    bits = max(weights.bits, recurrent.bits) if weights.bits and recurrent.bits else None
    bias = walk.optional(node, 3)
    widths = Widths(weight=bits, bias=bias.bits if bias else None)
    tensor = operators.add_recurrent(walk.draft, node.name, source.tensor, kind, units, sequences=used[0], widths=widths, weights=known, classes=(node.op,))
    if used[0]:
        walk.store(node.outputs[0], Signal(tensor.source, (tensor.shape.w, 1, 1, units), ("w", "d", "n", "c")))
    if used[1]:
        last = tensor
        if used[0]:
            last = operators.add_reshape(walk.draft, f"{node.name}_last", tensor, Shape(1, 1, units), function="select")
            walk.shared.add(tensor.source)
        walk.store(node.outputs[1], Signal(last.source, (1, 1, units), ("d", "n", "c")))


HANDLERS: dict[str, Handler] = {
    **LAYOUT_HANDLERS,
    **dict.fromkeys(("MatMul", "Gemm"), _product),
    "Conv": _convolution,
    "MaxPool": partial(_pool, "max"),
    "AveragePool": partial(_pool, "average"),
    "GlobalMaxPool": partial(_global_pool, "max"),
    "GlobalAveragePool": partial(_global_pool, "average"),
    "ReduceMean": partial(_reduce, "average"),
    "ReduceMax": partial(_reduce, "max"),
    "BatchNormalization": _batch_norm,
    "Relu": partial(_activation, "relu"),
    "LeakyRelu": partial(_activation, "leaky_relu"),
    "PRelu": partial(_activation, "prelu"),
    "ThresholdedRelu": partial(_activation, "thresholded_relu"),
    "HardSigmoid": partial(_activation, "hard_sigmoid"),
    "Sigmoid": partial(_activation, "sigmoid"),
    "Tanh": partial(_activation, "tanh"),
    "Softplus": partial(_activation, "softplus"),
    "Softsign": partial(_activation, "softsign"),
    "Elu": partial(_activation, "elu"),
    "Selu": partial(_activation, "selu"),
    "Softmax": _softmax,
    "Clip": _clip,
    "Add": partial(_merge, "add"),
    "Sum": partial(_merge, "add"),
    "Sub": partial(_merge, "subtract"),
    "Mul": partial(_merge, "multiply"),
    "Div": partial(_merge, "divide"),
    "Max": partial(_merge, "maximum"),
    "Min": partial(_merge, "minimum"),
    "Mean": partial(_merge, "average"),
    **dict.fromkeys(("Quant", "IntQuant", "BipolarQuant", "Trunc"), _quantise),
    "QuantizeLinear": _to_levels,
    "DequantizeLinear": _from_levels,
    **dict.fromkeys(("LSTM", "GRU"), _recurrent),
}
