"""The layers that every reader can add to a draft: shapes in, shapes out."""

from __future__ import annotations

from typing import NamedTuple

from codesign.errors import InputError
from codesign.network.hls_model import HlsLayer, Kind
from codesign.network.importers.draft import NO_WEIGHTS, UNKNOWN, Draft, Shape, Tensor, Weights, Widths

_WITHOUT_TABLE = {
    "linear", "relu", "relu6", "leaky_relu", "leakyrelu", "prelu", "thresholded_relu", "thresholdedrelu", "clip", "hard_sigmoid", "hard_tanh",
    "binary_tanh", "ternary_tanh", "quantiser",
}  # fmt: skip
_WITH_TABLE = {"sigmoid", "tanh", "softplus", "softsign", "elu", "selu"}
ACTIVATIONS = frozenset(_WITHOUT_TABLE | _WITH_TABLE | {"softmax"})


class Pads(NamedTuple):
    """Zero padding in rows and columns."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


def _layer(name: str, kind: Kind, inputs: tuple[Tensor, ...], out: Shape, **fields: object) -> HlsLayer:
    shape = inputs[0].shape if inputs else out
    sources = tuple(tensor.source for tensor in inputs)
    return HlsLayer(
        name=name, kind=kind, inputs=sources, in_h=shape.h, in_w=shape.w, in_c=shape.c, out_h=out.h, out_w=out.w, out_c=out.c, **fields  # type: ignore[arg-type]
    )  # fmt: skip


def windows(size: int, kernel: int, stride: int, padding: int, *, ceil: bool = False) -> int:
    """Output positions along one axis; 0 where the kernel does not fit."""
    span = size + padding - kernel
    if span < 0:
        return 0
    return (span + (stride - 1 if ceil else 0)) // stride + 1


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis so that its output has ``ceil(size / stride)`` positions, the odd one after."""
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


def same_pads(shape: Shape, kernel: tuple[int, int], stride: tuple[int, int]) -> Pads:
    """`same_padding` of rows and columns."""
    return Pads(*same_padding(shape.h, kernel[0], stride[0]), *same_padding(shape.w, kernel[1], stride[1]))


def add_input(draft: Draft, name: str, shape: Shape, *, bits: int | None = None) -> Tensor:
    """An input of the network."""
    return draft.add(_layer(name, Kind.INPUT, (), shape), widths=Widths(result=bits), classes=("input", "inputlayer"))


def add_dense(
    draft: Draft, name: str, source: Tensor, units: int, *, widths: Widths = UNKNOWN, weights: Weights = NO_WEIGHTS, classes: tuple[str, ...] = ()
) -> Tensor:
    """A dense layer on the channels of every position."""
    out = Shape(source.shape.h, source.shape.w, units)
    return draft.add(_layer(name, Kind.DENSE, (source,), out), widths=widths, weights=weights, classes=("dense", *classes))


def add_convolution(
    draft: Draft,
    name: str,
    source: Tensor,
    *,
    filters: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: Pads,
    two_dimensional: bool,
    depthwise: bool = False,
    widths: Widths = UNKNOWN,
    weights: Weights = NO_WEIGHTS,
    classes: tuple[str, ...] = (),
) -> Tensor:
    """A convolution of one or two dimensions; ``filters`` of a depthwise one is channels times multiplier."""
    rows = windows(source.shape.h, kernel[0], stride[0], pads.top + pads.bottom)
    columns = windows(source.shape.w, kernel[1], stride[1], pads.left + pads.right)
    kinds = (Kind.CONV1D, Kind.CONV2D, Kind.DEPTHWISE_CONV1D, Kind.DEPTHWISE_CONV2D)
    kind = kinds[2 * depthwise + two_dimensional]
    layer = _layer(
        name, kind, (source,), Shape(rows, columns, filters), kernel_h=kernel[0], kernel_w=kernel[1], stride_h=stride[0], stride_w=stride[1],
        pad_top=pads.top, pad_bottom=pads.bottom, pad_left=pads.left, pad_right=pads.right,
    )  # fmt: skip
    return draft.add(layer, widths=widths, weights=weights, classes=(f"{'depthwise' if depthwise else ''}conv{'2d' if two_dimensional else '1d'}", *classes))


def add_pool(
    draft: Draft,
    name: str,
    source: Tensor,
    function: str,
    *,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: Pads,
    ceil: bool = False,
    classes: tuple[str, ...] = (),
) -> Tensor:
    """A pool; ``function`` is ``max`` or ``average``."""
    rows = windows(source.shape.h, kernel[0], stride[0], pads.top + pads.bottom, ceil=ceil)
    columns = windows(source.shape.w, kernel[1], stride[1], pads.left + pads.right, ceil=ceil)
    layer = _layer(
        name, Kind.POOL, (source,), Shape(rows, columns, source.shape.c), function=function, kernel_h=kernel[0], kernel_w=kernel[1],
        stride_h=stride[0], stride_w=stride[1], pad_top=pads.top, pad_bottom=pads.bottom, pad_left=pads.left, pad_right=pads.right,
    )  # fmt: skip
    return draft.add(layer, classes=("pooling1d" if source.shape.h == 1 else "pooling2d", *classes))


def add_global_pool(draft: Draft, name: str, source: Tensor, function: str, *, classes: tuple[str, ...] = ()) -> Tensor:
    """A pool over all positions."""
    shape = source.shape
    layer = _layer(name, Kind.GLOBAL_POOL, (source,), Shape(1, 1, shape.c), function=function, kernel_h=shape.h, kernel_w=shape.w)
    return draft.add(layer, classes=("globalpooling1d" if shape.h == 1 else "globalpooling2d", *classes))


def add_activation(draft: Draft, name: str, source: Tensor, function: str, *, classes: tuple[str, ...] = ()) -> Tensor:
    """An elementwise activation or a softmax.

    Raises:
        InputError: hls4ml has no such activation.
    """
    function = function.lower()
    if function not in ACTIVATIONS:
        raise InputError(f"unknown activation {function!r}", where=f"{draft.where}: {name}", remedy=f"Known: {', '.join(sorted(ACTIVATIONS))}.")
    kind = Kind.SOFTMAX if function == "softmax" else Kind.TABLE_ACTIVATION if function in _WITH_TABLE else Kind.ACTIVATION
    layer = _layer(name, kind, (source,), source.shape, function="stable" if kind is Kind.SOFTMAX else function)
    class_name = "softmax" if kind is Kind.SOFTMAX else "activation"
    return draft.add(layer, classes=(class_name, *classes))


def add_batch_norm(draft: Draft, name: str, source: Tensor, *, bits: int | None = None, classes: tuple[str, ...] = ()) -> Tensor:
    """A scale and an offset per channel."""
    return draft.add(_layer(name, Kind.BATCH_NORM, (source,), source.shape), widths=Widths(result=bits), classes=("batchnormalization", *classes))


def add_merge(draft: Draft, name: str, sources: tuple[Tensor, ...], function: str, *, classes: tuple[str, ...] = ()) -> Tensor:
    """Merge tensors two at a time; a tensor of one position is repeated to the shape of its partner.

    Raises:
        InputError: fewer than two tensors, or shapes that cannot be brought together.
    """
    if len(sources) < 2:
        raise InputError(f"merges {len(sources)} tensors", where=f"{draft.where}: {name}", remedy="A merge needs two or more.")
    result = sources[0]
    for partner in sources[1:]:
        shape = Shape(*(max(a, b) for a, b in zip(result.shape, partner.shape, strict=True)))
        pair = tuple(_repeated(draft, name, tensor, shape) for tensor in (result, partner))
        result = draft.add(_layer(name, Kind.MERGE, pair, shape, function=function), classes=("merge", *classes))
    return result


def _repeated(draft: Draft, name: str, tensor: Tensor, shape: Shape) -> Tensor:
    if tensor.shape == shape:
        return tensor
    if any(own not in {1, wanted} for own, wanted in zip(tensor.shape, shape, strict=True)):
        raise InputError(f"cannot merge the shape {tuple(tensor.shape)} into {tuple(shape)}", where=f"{draft.where}: {name}")
    return draft.add(_layer(f"{name}_repeat", Kind.RESHAPE, (tensor,), shape, function="repeat"), classes=("reshape",))


def add_concatenate(draft: Draft, name: str, sources: tuple[Tensor, ...], axis: int, *, classes: tuple[str, ...] = ()) -> Tensor:
    """Concatenate along one axis of (height, width, channels).

    Raises:
        InputError: the other axes differ.
    """
    first = list(sources[0].shape)
    for tensor in sources[1:]:
        if any(own != other for index, (own, other) in enumerate(zip(tensor.shape, first, strict=True)) if index != axis):
            raise InputError(f"cannot concatenate the shapes {[tuple(source.shape) for source in sources]}", where=f"{draft.where}: {name}")
    first[axis] = sum(tensor.shape[axis] for tensor in sources)
    return draft.add(_layer(name, Kind.CONCATENATE, sources, Shape(*first)), classes=("concatenate", *classes))


def add_padding(draft: Draft, name: str, source: Tensor, pads: Pads, *, classes: tuple[str, ...] = ()) -> Tensor:
    """Zeros around a map."""
    shape = source.shape
    out = Shape(shape.h + pads.top + pads.bottom, shape.w + pads.left + pads.right, shape.c)
    layer = _layer(name, Kind.PADDING, (source,), out, pad_top=pads.top, pad_bottom=pads.bottom, pad_left=pads.left, pad_right=pads.right)
    return draft.add(layer, classes=("zeropadding1d" if shape.h == 1 else "zeropadding2d", *classes))


def add_reshape(draft: Draft, name: str, source: Tensor, shape: Shape, *, function: str = "reshape", classes: tuple[str, ...] = ()) -> Tensor:
    """The same elements in another shape; ``function`` ``select`` takes one step of a series.

    Raises:
        InputError: the number of elements changes.
    """
    if function != "select" and shape.elements != source.shape.elements:
        raise InputError(f"cannot reshape {tuple(source.shape)} to {tuple(shape)}", where=f"{draft.where}: {name}")
    return draft.add(_layer(name, Kind.RESHAPE, (source,), shape, function=function), classes=("reshape", *classes))


def add_resize(draft: Draft, name: str, source: Tensor, rows: int, columns: int, function: str, *, classes: tuple[str, ...] = ()) -> Tensor:
    """Change the number of rows and columns; ``function`` is ``nearest`` or ``bilinear``."""
    layer = _layer(name, Kind.RESIZE, (source,), Shape(rows, columns, source.shape.c), function=function)
    return draft.add(layer, classes=("resize", *classes))


def add_recurrent(
    draft: Draft,
    name: str,
    source: Tensor,
    kind: Kind,
    units: int,
    *,
    sequences: bool,
    widths: Widths = UNKNOWN,
    weights: Weights = NO_WEIGHTS,
    classes: tuple[str, ...] = (),
) -> Tensor:
    """An LSTM or a GRU over the width; ``sequences`` keeps the output of every step."""
    if source.shape.h != 1:
        raise InputError(f"reads a map of {tuple(source.shape)}", where=f"{draft.where}: {name}", remedy="Recurrent layers read series: steps x features.")
    layer = _layer(name, kind, (source,), Shape(1, source.shape.w if sequences else 1, units), function="tanh")
    return draft.add(layer, widths=widths, weights=weights, classes=(kind.name, *classes))
