"""hls4ml's layer configurations: the constants of the structure that instantiates a layer's template, as `HlsLayer` records.

A constant may be a number, the name of another constant of the same structure (``filt_height = pool_height``), or -1 where
the layer does not use it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from codesign.network.hls_model import CONVOLUTIONS, DEFAULT_BITS, TABLE_BITS, TABLE_SIZE, WEIGHTED, HlsLayer, Kind
from codesign.validation.cells import Row, UnreadableError, text, whole
from codesign.validation.hls_names import activation_named, strategy_named, weight_peak, written_bits

MOST_ELEMENTS = 1 << 40
"""Weights or values of a layer beyond which a configuration is damaged."""

Fields = dict[str, Any]


@dataclass(frozen=True)
class Surroundings:
    """What a configuration does not say about its layer.

    Attributes:
        name: of the layer.
        input_bits, output_bits: widths of an element.
        channels: elements that the layer before gives for a position; 0: not known.
        stream: io_stream.
        function: name of the synthesised function, empty where it is not known.
    """

    name: str
    input_bits: int
    output_bits: int
    channels: int = 0
    stream: bool = False
    function: str = ""


def kind_named(entry: Row) -> str:
    """Which structure an entry is, such as ``dense_config``."""
    return text(entry, "kind").replace("_struct", "")


def constant(entry: Row, *names: str, default: int = 0) -> int:
    """The first of some constants that is a whole number of at least 0."""
    for name in names:
        value = entry.get(name)
        if isinstance(value, str) and value in entry:
            value = entry.get(value)
        found = whole(value, -1)
        if found >= 0:
            return found
    return default


def read_config(entry: Row, around: Surroundings) -> HlsLayer:
    """The layer of a configuration; a resize layer without sizes has output 1 x 1.

    Raises:
        UnreadableError: the kind is not known, or the shape is missing.
    """
    kind = kind_named(entry)
    reader = next((reader for ending, reader in READERS.items() if kind.endswith(ending)), None)
    if reader is None:
        raise UnreadableError(f"layer of kind {kind[:40] or 'unknown'}, which hls4ml does not have")
    layer = HlsLayer(
        name=around.name,
        input_bits=around.input_bits,
        output_bits=around.output_bits,
        reuse_factor=max(1, constant(entry, "reuse_factor", default=1)),
        strategy=strategy_named(text(entry, "strategy")),
        **reader(entry, around),
    )
    values = max(layer.in_h * layer.in_w * layer.in_c, layer.out_h * layer.out_w * layer.out_c)
    if max(values, layer.weights, layer.kernel_h * layer.kernel_w) > MOST_ELEMENTS:
        raise UnreadableError(f"{kind} has an impossible shape")
    if layer.kind in WEIGHTED:
        nonzero = _nonzero(entry, layer.weights) if layer.kind in CONVOLUTIONS or layer.kind is Kind.DENSE else 1.0
        return replace(layer, nonzero=nonzero, weight_peak=weight_peak(text(entry, "weight_t"), layer.fan_in))
    return layer


def needed(entry: Row, *names: str, default: int = 0) -> int:
    """A constant that a layer cannot be without.

    Raises:
        UnreadableError: it is missing or 0.
    """
    found = constant(entry, *names, default=default)
    if found <= 0:
        raise UnreadableError(f"{kind_named(entry)[:40]} without its shape")
    return found


def _nonzero(entry: Row, weights: int) -> float:
    zeros = constant(entry, "n_zeros", default=0)
    kept = constant(entry, "n_nonzeros", default=weights - zeros)
    return min(1.0, max(0.0, kept / weights))


def _widths(entry: Row) -> Fields:
    first = next((text(entry, name) for name in ("weight_t", "scale_t", "bias_t") if text(entry, name)), "")
    weight = written_bits(first, DEFAULT_BITS)
    return {
        "weight_bits": weight,
        "bias_bits": written_bits(text(entry, "bias_t"), weight),
        "accumulator_bits": written_bits(text(entry, "accum_t"), DEFAULT_BITS),
    }


def _dense(entry: Row, around: Surroundings) -> Fields:
    """A stream brings the inputs in words of the layer before: the record has as many positions."""
    n_in = needed(entry, "n_in")
    return {"kind": Kind.DENSE, "in_w": n_in // _word(around, n_in), "in_c": n_in, "out_c": needed(entry, "n_out")} | _widths(entry)


def _word(around: Surroundings, count: int) -> int:
    """Elements side by side of ``count``: a stream word's, where they are known and fit, else all."""
    fits = around.stream and 0 < around.channels <= count and count % around.channels == 0
    return around.channels if fits else count


def _strides(entry: Row) -> Fields:
    return {"stride_h": max(1, constant(entry, "stride_height")), "stride_w": max(1, constant(entry, "stride_width"))}


def _pads(entry: Row) -> Fields:
    return {f"pad_{side}": constant(entry, f"pad_{side}") for side in ("top", "bottom", "left", "right")}


def _convolution(entry: Row, around: Surroundings) -> Fields:
    planar = "2d" in kind_named(entry)
    depthwise = "depthwise" in around.function or "depthwise" in kind_named(entry)
    kinds = (Kind.DEPTHWISE_CONV2D, Kind.CONV2D) if planar else (Kind.DEPTHWISE_CONV1D, Kind.CONV1D)
    fields = {
        "kind": kinds[0] if depthwise else kinds[1],
        "in_w": needed(entry, "in_width", "width"),
        "in_c": needed(entry, "n_chan"),
        "out_w": max(1, constant(entry, "out_width")),
        "out_c": needed(entry, "n_filt"),
        "kernel_w": max(1, constant(entry, "filt_width")),
    }
    if planar:
        fields |= {"in_h": needed(entry, "in_height", "height"), "out_h": max(1, constant(entry, "out_height"))}
        fields |= {"kernel_h": max(1, constant(entry, "filt_height"))}
    return fields | _strides(entry) | _pads(entry) | _widths(entry)


def _recurrent(entry: Row, _around: Surroundings) -> Fields:
    kind = Kind.GRU if "gru" in kind_named(entry) else Kind.LSTM
    steps = max(1, constant(entry, "n_sequence"))
    return {"kind": kind, "in_w": steps, "in_c": needed(entry, "n_in"), "out_c": needed(entry, "n_state", "n_out")} | _widths(entry)


def _map(entry: Row, around: Surroundings) -> Fields:
    """Shapes of a pool or a padding layer."""
    planar = "2d" in kind_named(entry)
    channels = next((found for name in ("n_chan", "n_filt") if (found := constant(entry, name)) > 0), around.channels)
    if channels <= 0:
        raise UnreadableError(f"{kind_named(entry)} without its channels")
    fields = {"in_c": channels, "out_c": channels, "in_w": needed(entry, "in_width", "n_in"), "out_w": max(1, constant(entry, "out_width", "n_out"))}
    return fields | ({"in_h": needed(entry, "in_height"), "out_h": max(1, constant(entry, "out_height"))} if planar else {})


def _padding(entry: Row, around: Surroundings) -> Fields:
    return {"kind": Kind.PADDING} | _map(entry, around) | _pads(entry)


def _pool(entry: Row, around: Surroundings) -> Fields:
    shape = _map(entry, around)
    everywhere = kind_named(entry).startswith("global")
    window = {"kernel_w": max(1, constant(entry, "pool_width", "filt_width", default=shape["in_w"] if everywhere else 1))}
    if "in_h" in shape:
        window["kernel_h"] = max(1, constant(entry, "pool_height", "filt_height", default=shape["in_h"] if everywhere else 1))
    function = text(entry, "pool_op").split("::")[-1].strip().lower() or "max"
    return {"kind": Kind.GLOBAL_POOL if everywhere else Kind.POOL, "function": function} | shape | window | _strides(entry)


def _resize(entry: Row, around: Surroundings) -> Fields:
    channels = constant(entry, "n_chan") or around.channels
    if channels <= 0:
        raise UnreadableError("resize_config without its channels")
    return {
        "kind": Kind.RESIZE,
        "in_c": channels,
        "out_c": channels,
        "in_h": max(1, constant(entry, "height", "in_height")),
        "in_w": max(1, constant(entry, "width", "in_width")),
        "out_h": max(1, constant(entry, "new_height", "out_height")),
        "out_w": max(1, constant(entry, "new_width", "out_width")),
    }


def _elementwise(entry: Row, around: Surroundings, count: int) -> Fields:
    """``count`` elements, as positions of channels where the channels are known."""
    own = next((found for name in ("n_chan", "n_filt") if 0 < (found := constant(entry, name)) <= count and count % found == 0), 0)
    channels = own or _word(around, count)
    return {"in_w": count // channels, "out_w": count // channels, "in_c": channels, "out_c": channels}


def _normalisation(entry: Row, around: Surroundings) -> Fields:
    return {"kind": Kind.BATCH_NORM} | _elementwise(entry, around, needed(entry, "n_in", default=around.channels)) | _widths(entry)


def _activation(entry: Row, around: Surroundings) -> Fields:
    kind, function = activation_named(f"{around.function} {text(entry, 'cfg')} {kind_named(entry)}", text(entry, "implementation"))
    table = {"table_size": TABLE_SIZE, "table_bits": TABLE_BITS} if kind is not Kind.ACTIVATION else {}
    count = needed(entry, "n_in", "n_chan", default=around.channels)
    return {"kind": kind, "function": function} | _elementwise(entry, around, count) | table


def _merge(entry: Row, around: Surroundings) -> Fields:
    return {"kind": Kind.MERGE} | _elementwise(entry, around, needed(entry, "n_elem"))


def _concatenation(entry: Row, _around: Surroundings) -> Fields:
    channels = needed(entry, "n_elem1_0") + needed(entry, "n_elem2_0")
    return {"kind": Kind.CONCATENATE, "in_c": channels, "out_c": channels}


READERS: Mapping[str, Callable[[Row, Surroundings], Fields]] = {
    "dense_config": _dense,
    "conv1d_config": _convolution,
    "conv2d_config": _convolution,
    "gru_config": _recurrent,
    "lstm_config": _recurrent,
    "pooling1d_config": _pool,
    "pooling2d_config": _pool,
    "padding1d_config": _padding,
    "padding2d_config": _padding,
    "resize_config": _resize,
    "batchnorm_config": _normalisation,
    "merge_config": _merge,
    "concat_config": _concatenation,
    "activ_config": _activation,
    "softmax_config": _activation,
}
"""By the end of a structure's name."""
