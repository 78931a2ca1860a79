"""Lists of layers as hls4ml's readers make them: one object per layer with ``class_name``, ``name``, ``inputs`` and sizes."""

from __future__ import annotations

from collections.abc import Callable

from codesign.errors import InputError
from codesign.network.hls_model import Kind
from codesign.network.importers import operators
from codesign.network.importers.draft import NO_WEIGHTS, Draft, Shape, Tensor, Weights, Widths
from codesign.network.importers.json_file import Record
from codesign.network.importers.keras_json import shape_of
from codesign.network.importers.operators import Pads
from codesign.network.importers.precision import quantiser_bits

_MERGES = {"add", "subtract", "multiply", "average", "maximum", "minimum"}
_Handler = Callable[[Draft, Record, str, tuple[Tensor, ...]], Tensor]


def read_layer_list(record: Record, draft: Draft) -> None:
    """Add the layers under the key ``layers`` to a draft; a layer without ``inputs`` reads the one before it.

    Raises:
        InputError: an unknown class, a missing or malformed field, sizes that contradict each other.
    """
    values: dict[str, Tensor] = {}
    entries = record.records("layers")
    if not entries:
        raise record.error("layers", "is empty")
    last: str | None = None
    for entry in entries:
        name, class_name = entry.text("name"), entry.text("class_name")
        if name in values:
            raise entry.error("name", f"two layers are named {name!r}")
        sources = [] if class_name in {"Input", "InputLayer"} else entry.texts("inputs") or ([last] if last is not None else [])
        missing = [source for source in sources if source not in values]
        if missing:
            raise entry.error("inputs", f"{missing[0]!r} is not a layer before this one")
        handler = _HANDLERS.get(class_name)
        if handler is None:
            raise InputError(
                f"unsupported layer class {class_name!r}", where=f"{entry.where}: class_name", remedy=f"Supported: {', '.join(sorted(_HANDLERS))}."
            )
        tensors = tuple(values[source] for source in sources)
        if not tensors and class_name not in {"Input", "InputLayer"}:
            tensors = (operators.add_input(draft, f"{name}_input", _first_shape(entry)),)
        values[name] = handler(draft, entry, name, tensors)
        last = name
    if not any(key in entry for entry in entries for key in _WEIGHTS):
        draft.note("The layer list holds no weights: none is taken to be zero.")


def _first_shape(entry: Record) -> Shape:
    """Shape that the first layer says it reads, where the list has no input layer."""
    if "n_timesteps" in entry:
        return Shape(1, entry.integer("n_timesteps"), entry.integer("n_in"))
    channels = next((entry.integer(key) for key in ("n_chan", "n_filt", "n_in") if key in entry), None)
    if channels is None:
        raise entry.error("n_in", "is missing, and no input layer comes before")
    return Shape(entry.integer("in_height", 1), entry.integer("in_width", 1), channels)


def _classes(entry: Record) -> tuple[str, ...]:
    return (entry.text("class_name"),)


def _check(entry: Record, key: str, actual: int) -> None:
    if key in entry and entry.integer(key) != actual:
        raise entry.error(key, f"is {entry.integer(key)}, but the layer reads {actual}")


def _widths(entry: Record, kernel: str = "weight") -> Widths:
    bits: dict[str, int | None] = {}
    for name, key in (("weight", f"{kernel}_quantizer"), ("bias", "bias_quantizer")):
        value = entry.get(key)
        plain = isinstance(value, dict) and "class_name" not in value
        bits[name] = (
            Record(value, f"{entry.where}: {key}").integer("bits") if plain and isinstance(value, dict) else quantiser_bits(value, f"{entry.where}: {key}")
        )
    return Widths(weight=bits["weight"], bias=bits["bias"])


_WEIGHTS = ("weight_data", "depthwise_data", "pointwise_data", "recurrent_weight_data")
"""Where hls4ml's readers put weights."""


def _weights(entry: Record, *keys: str, count: int) -> Weights:
    """What counts of weights that are under these keys all together; their quantiser has not been applied to them."""
    values = [value for key in keys for value in entry.numbers(key)]
    if not values:
        return NO_WEIGHTS
    if len(values) != count:
        raise entry.error(keys[0], f"holds {len(values)} weights where the layer has {count}")
    return Weights(nonzero=sum(value != 0 for value in values) / count, largest=max(abs(value) for value in values))


def _window(entry: Record, kernel: str) -> tuple[tuple[int, int], tuple[int, int], Pads]:
    sizes = (entry.integer(f"{kernel}_height", 1), entry.integer(f"{kernel}_width"))
    stride = (entry.integer("stride_height", 1), entry.integer("stride_width", 1))
    pads = Pads(*(entry.integer(f"pad_{side}", 0, low=0) for side in Pads._fields))
    if entry.integer("dilation_width", 1) != 1 or entry.integer("dilation_height", 1) != 1:
        raise entry.error("dilation_width", "dilated convolutions are not supported")
    return sizes, stride, pads


def _input(draft: Draft, entry: Record, name: str, _: tuple[Tensor, ...]) -> Tensor:
    dims = entry.dims("input_shape")
    return operators.add_input(draft, name, shape_of(dims, f"{entry.where}: input_shape"))


def _dense(draft: Draft, entry: Record, name: str, sources: tuple[Tensor, ...]) -> Tensor:
    _check(entry, "n_in", sources[0].shape.c)
    units = entry.integer("n_out")
    weights = _weights(entry, "weight_data", count=sources[0].shape.c * units)
    return operators.add_dense(draft, name, sources[0], units, widths=_widths(entry), weights=weights, classes=_classes(entry))


def _convolution(draft: Draft, entry: Record, name: str, sources: tuple[Tensor, ...]) -> Tensor:
    class_name, source = entry.text("class_name").removeprefix("Q"), sources[0]
    _check(entry, "n_chan", source.shape.c)
    kernel, stride, pads = ((1, 1), (1, 1), Pads()) if class_name.startswith("Pointwise") else _window(entry, "filt")
    deep = class_name.startswith(("Depthwise", "Separable"))
    multiplied = source.shape.c * entry.integer("depth_multiplier", 1)
    separable, two = class_name.startswith("Separable"), class_name.endswith("2D")
    if class_name.startswith("Depthwise"):
        multiplied = entry.integer("n_filt", multiplied)
        if multiplied % source.shape.c:
            raise entry.error("n_filt", f"{multiplied} is no multiple of the {source.shape.c} channels")
    filters = multiplied if deep else entry.integer("n_filt")
    count = kernel[0] * kernel[1] * filters * (1 if deep else source.shape.c)
    tensor = operators.add_convolution(
        draft, f"{name}_depthwise" if separable else name, source, filters=filters, kernel=kernel, stride=stride, pads=pads, two_dimensional=two,
        depthwise=deep, widths=_widths(entry, "depthwise" if deep else "weight"), classes=_classes(entry),
        weights=_weights(entry, "depthwise_data" if deep else "weight_data", count=count),
    )  # fmt: skip
    if separable:
        filters = entry.integer("n_filt")
        weights = _weights(entry, "pointwise_data", count=multiplied * filters)
        tensor = operators.add_convolution(
            draft, f"{name}_pointwise", tensor, filters=filters, kernel=(1, 1), stride=(1, 1), pads=Pads(), two_dimensional=two,
            widths=_widths(entry, "pointwise"), weights=weights, classes=_classes(entry),
        )  # fmt: skip
    for key, actual in (("out_height", tensor.shape.h), ("out_width", tensor.shape.w)):
        if key in entry and entry.integer(key) != actual:
            raise entry.error(key, f"is {entry.integer(key)}, but kernel, stride and padding give {actual}")
    return tensor


def _pool(draft: Draft, entry: Record, name: str, sources: tuple[Tensor, ...]) -> Tensor:
    class_name = entry.text("class_name")
    function = "max" if "max" in entry.text("pool_op", class_name).lower() else "average"
    if class_name.startswith("Global"):
        return operators.add_global_pool(draft, name, sources[0], function, classes=_classes(entry))
    kernel, stride, pads = _window(entry, "pool")
    return operators.add_pool(draft, name, sources[0], function, kernel=kernel, stride=stride, pads=pads, classes=_classes(entry))


def _activation(draft: Draft, entry: Record, name: str, sources: tuple[Tensor, ...]) -> Tensor:
    function = entry.text("activation", entry.text("class_name"))
    return sources[0] if function == "linear" else operators.add_activation(draft, name, sources[0], function, classes=_classes(entry))


def _batch_norm(draft: Draft, entry: Record, name: str, sources: tuple[Tensor, ...]) -> Tensor:
    return operators.add_batch_norm(draft, name, sources[0], classes=_classes(entry))


def _merge(draft: Draft, entry: Record, name: str, sources: tuple[Tensor, ...]) -> Tensor:
    operation = entry.text("op", entry.text("class_name")).lower()
    if operation.startswith("concatenate"):
        axis = entry.integer("axis", -1, low=-3, high=3)
        rank = int(operation[len("concatenate")]) if operation[len("concatenate") :] in {"1d", "2d", "3d"} else 3
        return operators.add_concatenate(draft, name, sources, (axis if axis < 0 else axis - 1 - rank) % 3, classes=_classes(entry))
    if operation not in _MERGES:
        raise entry.error("op", f"unknown merge {operation!r}")
    return operators.add_merge(draft, name, sources, operation, classes=_classes(entry))


def _padding(draft: Draft, entry: Record, name: str, sources: tuple[Tensor, ...]) -> Tensor:
    pads = Pads(*(entry.integer(f"pad_{side}", 0, low=0) for side in Pads._fields))
    return operators.add_padding(draft, name, sources[0], pads, classes=_classes(entry))


def _reshape(draft: Draft, entry: Record, name: str, sources: tuple[Tensor, ...]) -> Tensor:
    source = sources[0]
    if entry.text("class_name") == "Flatten":
        dims: tuple[int, ...] = (source.shape.elements,)
    elif entry.text("class_name") == "Transpose":
        dims = entry.dims("target_shape") if "target_shape" in entry else tuple(source.shape)
    else:
        dims = entry.dims("target_shape", low=-1)
        fixed = 1
        for size in dims:
            fixed *= size if size > 0 else 1
        dims = tuple(size if size > 0 else source.shape.elements // fixed for size in dims)
    return operators.add_reshape(draft, name, source, shape_of(dims, f"{entry.where}: target_shape"), classes=_classes(entry))


def _resize(draft: Draft, entry: Record, name: str, sources: tuple[Tensor, ...]) -> Tensor:
    rows, columns = entry.integer("out_height", 1), entry.integer("out_width")
    return operators.add_resize(draft, name, sources[0], rows, columns, entry.text("algorithm", "nearest"), classes=_classes(entry))


def _recurrent(draft: Draft, entry: Record, name: str, sources: tuple[Tensor, ...]) -> Tensor:
    _check(entry, "n_in", sources[0].shape.c)
    kind = Kind.LSTM if entry.text("class_name").endswith("LSTM") else Kind.GRU
    units, gates = entry.integer("n_out"), 4 if kind is Kind.LSTM else 3
    weights = _weights(entry, "weight_data", "recurrent_weight_data", count=gates * units * (sources[0].shape.c + units))
    sequences = entry.flag("return_sequences", False)
    return operators.add_recurrent(draft, name, sources[0], kind, units, sequences=sequences, widths=_widths(entry), weights=weights, classes=_classes(entry))


_CONVOLUTIONS = ("Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "PointwiseConv1D", "PointwiseConv2D")
_POOLS = ("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D", "Pooling1D", "Pooling2D")
_GLOBAL_POOLS = (*(f"Global{name}" for name in _POOLS),)
_HANDLERS: dict[str, _Handler] = {
    **dict.fromkeys(("Input", "InputLayer"), _input),
    **dict.fromkeys(("Dense", "QDense"), _dense),
    **dict.fromkeys((*_CONVOLUTIONS, *(f"Q{name}" for name in _CONVOLUTIONS)), _convolution),
    **dict.fromkeys((*_POOLS, *_GLOBAL_POOLS), _pool),
    **dict.fromkeys(("Activation", "HardActivation", "LeakyReLU", "PReLU", "ThresholdedReLU", "ELU", "Softmax", "ParametrizedActivation"), _activation),
    **dict.fromkeys(("BatchNormalization", "QBatchNormalization", "ApplyAlpha"), _batch_norm),
    **dict.fromkeys(("Merge", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"), _merge),
    **dict.fromkeys(("ZeroPadding1D", "ZeroPadding2D"), _padding),
    **dict.fromkeys(("Reshape", "Flatten", "Transpose"), _reshape),
    **dict.fromkeys(("Resize", "UpSampling1D", "UpSampling2D"), _resize),
    **dict.fromkeys(("LSTM", "QLSTM", "GRU", "QGRU"), _recurrent),
}
