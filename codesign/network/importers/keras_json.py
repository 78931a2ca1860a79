"""Keras architectures saved as JSON (``model.to_json()``): Sequential and Functional, Keras 2 and 3, QKeras layers included.

The architecture has no weights: every weight counts as not zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from codesign.errors import InputError
from codesign.network.hls_model import Kind
from codesign.network.importers import operators
from codesign.network.importers.draft import Draft, Shape, Tensor
from codesign.network.importers.json_file import Record
from codesign.network.importers.keras_graph import KerasLayer, keras_entry, keras_layers
from codesign.network.importers.operators import Pads
from codesign.network.importers.precision import is_quantiser, quantiser_bits, quantiser_function, quantiser_saturates

_SKIPPED = {"Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "ActivityRegularization"}
_MODELS = {"Sequential", "Functional", "Model"}


@dataclass(frozen=True)
class _Value:
    """A Keras tensor: the dimensions without the batch decide what Flatten and Reshape do."""

    tensor: Tensor
    dims: tuple[int, ...]


def shape_of(dims: tuple[int, ...], where: str) -> Shape:
    """Height x width x channels of a tensor whose last axis holds the channels.

    Raises:
        InputError: more than three axes.
    """
    if not 1 <= len(dims) <= 3:
        raise InputError(f"the shape {dims} has {len(dims)} axes", where=where, remedy="One to three axes besides the batch are supported.")
    return Shape(*(1,) * (3 - len(dims)), *dims)


def is_keras(record: Record) -> bool:
    """Whether an object is a Keras model."""
    return record.get("class_name") in tuple(_MODELS) and isinstance(record.get("config"), dict | list)


def read_keras(record: Record, draft: Draft) -> None:
    """Add the layers of a Keras architecture to a draft.

    Raises:
        InputError: an unknown layer or option, a missing or malformed field, a cycle.
    """
    layers = keras_layers(record)
    reader = _Reader(draft)
    for layer in layers:
        reader.read(layer)
    draft.note("The architecture holds no weights: none is taken to be zero.")


@dataclass
class _Reader:
    """The values computed so far, by Keras name."""

    draft: Draft
    values: dict[str, _Value] = field(default_factory=dict)

    def read(self, layer: KerasLayer) -> None:
        inputs = [self.values[name] for name in layer.inputs]
        name = layer.class_name
        if name in _SKIPPED or (name == "Activation" and layer.config.get("activation") == "linear"):
            self.values[layer.name] = self._single(layer, inputs)
            return
        handler = _HANDLERS.get(name.removeprefix("Q") if name not in _HANDLERS else name)
        if handler is None:
            raise InputError(f"unsupported layer type {name!r}", where=f"{layer.config.where}: {layer.name}", remedy=_remedy(name))
        if layer.config.text("data_format", "channels_last") != "channels_last":
            raise layer.config.error("data_format", "channels first is not supported; save the model with channels last")
        if name != "InputLayer":
            self._single(layer, inputs)
        value = handler(self, layer, inputs)
        self.values[layer.name] = self._activated(layer, value)

    def _single(self, layer: KerasLayer, inputs: list[_Value]) -> _Value:
        if not inputs or (len(inputs) > 1 and layer.class_name not in {*_MERGES, "Concatenate"}):
            raise InputError(f"reads {len(inputs)} tensors", where=f"{layer.config.where}: {layer.name}")
        return inputs[0]

    def _activated(self, layer: KerasLayer, value: _Value) -> _Value:
        """The layer's own activation as a layer of its own, named as hls4ml names it."""
        activation = layer.config.get("activation")
        if activation is None or activation == "linear" or layer.class_name.removeprefix("Q") in {"Activation", "LSTM", "GRU"}:
            return value
        tensor = self.activation(f"{layer.name}_", activation, value.tensor, layer.config.where)
        return _Value(tensor, value.dims)

    def activation(self, name: str, activation: object, source: Tensor, where: str) -> Tensor:
        """An activation given as a name, a QKeras quantiser or a serialised object; a name ending in ``_`` gets the function appended."""
        place = f"{where}: activation"
        if is_quantiser(activation):
            function, bits = quantiser_function(activation, place), quantiser_bits(activation, place)
        elif isinstance(activation, dict):
            function, bits = Record(activation, place).text("class_name").lower(), None
        elif isinstance(activation, str):
            function, bits = activation, None
        else:
            raise InputError("is neither a name nor an object", where=place)
        if function == "linear":
            return source
        name = f"{name}{function}" if name.endswith("_") else name
        tensor = operators.add_activation(self.draft, name, source, function, classes=("qactivation",) if bits else ())
        if bits:
            self.draft.set_result(tensor.source, bits, saturates=quantiser_saturates(activation, place))
        return tensor


def _remedy(name: str) -> str:
    if name in _MODELS:
        return "Nested models are not supported: build one flat model."
    if name == "Bidirectional":
        return "Use a forward LSTM or GRU."
    return f"Supported: {', '.join(sorted(_HANDLERS))}."


def _input(reader: _Reader, layer: KerasLayer, inputs: list[_Value]) -> _Value:
    config = layer.config
    key = next((key for key in ("batch_input_shape", "batch_shape", "input_shape") if key in config), None)
    if key is None:
        raise InputError("the input shape is missing", where=f"{config.where}: batch_shape", remedy="Build the model before saving it.")
    value = config.get(key)
    sizes = value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list) else value
    if isinstance(sizes, list) and key != "input_shape":
        sizes = sizes[1:]
    if isinstance(sizes, list) and any(size is None for size in sizes):
        raise InputError("an axis besides the batch has no fixed size", where=f"{config.where}: {key}", remedy="Fix it: hardware has one size.")
    dims = Record({key: sizes}, config.where).dims(key)
    return _Value(operators.add_input(reader.draft, layer.name, shape_of(dims, f"{config.where}: {key}")), dims)


def _dense(reader: _Reader, layer: KerasLayer, inputs: list[_Value]) -> _Value:
    units = layer.config.integer("units")
    tensor = operators.add_dense(reader.draft, layer.name, inputs[0].tensor, units, widths=layer.widths(), classes=(layer.class_name,))
    return _Value(tensor, (*inputs[0].dims[:-1], units))


def _convolution(reader: _Reader, layer: KerasLayer, inputs: list[_Value]) -> _Value:
    config, source = layer.config, inputs[0]
    two = _expect_axes(layer, source)
    kernel, stride = _pair(config, "kernel_size", two), _pair(config, "strides", two, 1)
    if _pair(config, "dilation_rate", two, 1) != (1, 1):
        raise config.error("dilation_rate", "dilated convolutions are not supported by hls4ml's streams")
    if config.integer("groups", 1) != 1:
        raise config.error("groups", "grouped convolutions are not supported by hls4ml; use depthwise or plain ones")
    pads = _padding(config, source.tensor.shape, kernel, stride)
    channels = source.tensor.shape.c
    deep = layer.class_name.removeprefix("Q").startswith(("Depthwise", "Separable"))
    filters = channels * config.integer("depth_multiplier", 1) if deep else config.integer("filters")
    separable = "Separable" in layer.class_name
    tensor = operators.add_convolution(
        reader.draft, f"{layer.name}_depthwise" if separable else layer.name, source.tensor, filters=filters, kernel=kernel, stride=stride, pads=pads,
        two_dimensional=two, depthwise=deep, widths=layer.widths("depthwise" if deep else "kernel"), classes=(layer.class_name,),
    )  # fmt: skip
    if separable:
        tensor = operators.add_convolution(
            reader.draft, f"{layer.name}_pointwise", tensor, filters=config.integer("filters"), kernel=(1, 1), stride=(1, 1), pads=Pads(),
            two_dimensional=two, widths=layer.widths("pointwise"), classes=(layer.class_name,),
        )  # fmt: skip
    return _spatial(tensor, two)


def _expect_axes(layer: KerasLayer, source: _Value) -> bool:
    """Whether the layer is two-dimensional, after the check that its input is too."""
    two = layer.class_name.endswith("2D") or "2D" in layer.class_name
    if len(source.dims) != 2 + two:
        raise InputError(f"reads a tensor of shape {source.dims}", where=f"{layer.config.where}: {layer.name}", remedy=f"It needs {2 + two} axes.")
    return two


def _pair(config: Record, key: str, two: bool, default: int | None = None) -> tuple[int, int]:
    values = config.integers(key, 2 if two else 1, default)
    return (values[0], values[1]) if two else (1, values[0])


def _padding(config: Record, shape: Shape, kernel: tuple[int, int], stride: tuple[int, int]) -> Pads:
    padding = config.text("padding", "valid").lower()
    if padding == "same":
        return operators.same_pads(shape, kernel, stride)
    if padding == "causal":
        return Pads(left=kernel[1] - 1)
    if padding != "valid":
        raise config.error("padding", f"{padding!r} is neither valid, same nor causal")
    return Pads()


def _spatial(tensor: Tensor, two: bool) -> _Value:
    return _Value(tensor, tuple(tensor.shape) if two else tuple(tensor.shape)[1:])


def _pool(reader: _Reader, layer: KerasLayer, inputs: list[_Value]) -> _Value:
    config, source = layer.config, inputs[0]
    two = _expect_axes(layer, source)
    kernel = _pair(config, "pool_size", two, 2)
    stride = _pair(config, "strides", two) if "strides" in config else kernel
    function = "max" if "Max" in layer.class_name else "average"
    pads = _padding(config, source.tensor.shape, kernel, stride)
    tensor = operators.add_pool(reader.draft, layer.name, source.tensor, function, kernel=kernel, stride=stride, pads=pads, classes=(layer.class_name,))
    return _spatial(tensor, two)


def _global_pool(reader: _Reader, layer: KerasLayer, inputs: list[_Value]) -> _Value:
    two = _expect_axes(layer, inputs[0])
    function = "max" if "Max" in layer.class_name else "average"
    tensor = operators.add_global_pool(reader.draft, layer.name, inputs[0].tensor, function, classes=(layer.class_name,))
    return _spatial(tensor, two) if layer.config.flag("keepdims", False) else _Value(tensor, (tensor.shape.c,))


def _activation(reader: _Reader, layer: KerasLayer, inputs: list[_Value]) -> _Value:
    function = layer.config.get("activation") if "Activation" in layer.class_name else layer.class_name
    if function is None:
        raise layer.config.error("activation", "is missing; the name of an activation is needed")
    if function == "Softmax":
        function = "softmax"
    return _Value(reader.activation(layer.name, function, inputs[0].tensor, layer.config.where), inputs[0].dims)


def _batch_norm(reader: _Reader, layer: KerasLayer, inputs: list[_Value]) -> _Value:
    return _Value(operators.add_batch_norm(reader.draft, layer.name, inputs[0].tensor, classes=(layer.class_name,)), inputs[0].dims)


def _merge(reader: _Reader, layer: KerasLayer, inputs: list[_Value]) -> _Value:
    function = _MERGES[layer.class_name]
    tensor = operators.add_merge(reader.draft, layer.name, tuple(value.tensor for value in inputs), function, classes=(layer.class_name,))
    longest = max(inputs, key=lambda value: len(value.dims))
    return _Value(tensor, tuple(tensor.shape)[3 - len(longest.dims) :])


def _concatenate(reader: _Reader, layer: KerasLayer, inputs: list[_Value]) -> _Value:
    rank = len(inputs[0].dims)
    axis = layer.config.integer("axis", -1, low=-3, high=3)
    axis = axis if axis < 0 else axis - 1 - rank
    if not -rank <= axis <= -1:
        raise layer.config.error("axis", "is not an axis of its inputs besides the batch")
    tensor = operators.add_concatenate(reader.draft, layer.name, tuple(value.tensor for value in inputs), axis % 3, classes=(layer.class_name,))
    return _Value(tensor, tuple(tensor.shape)[3 - rank :])


def _zero_padding(reader: _Reader, layer: KerasLayer, inputs: list[_Value]) -> _Value:
    config = layer.config
    two = _expect_axes(layer, inputs[0])
    value = config.get("padding")
    if not two:
        pads = Pads(0, 0, *config.integers("padding", 2, low=0))
    elif isinstance(value, list) and value and isinstance(value[0], list):
        rows, columns = (Record({"padding": entry}, config.where).integers("padding", 2, low=0) for entry in (value[0], value[-1]))
        pads = Pads(*rows, *columns)
    else:
        vertical, horizontal = config.integers("padding", 2, low=0)
        pads = Pads(vertical, vertical, horizontal, horizontal)
    return _spatial(operators.add_padding(reader.draft, layer.name, inputs[0].tensor, pads, classes=(layer.class_name,)), two)


def _reshape(reader: _Reader, layer: KerasLayer, inputs: list[_Value]) -> _Value:
    source, config = inputs[0], layer.config
    elements = source.tensor.shape.elements
    if layer.class_name == "Flatten":
        dims: tuple[int, ...] = (elements,)
    elif layer.class_name == "Permute":
        order = config.dims("dims")
        if sorted(order) != list(range(1, len(source.dims) + 1)):
            raise config.error("dims", f"{order} is no order of {len(source.dims)} axes")
        dims = tuple(source.dims[axis - 1] for axis in order)
    elif layer.class_name == "RepeatVector":
        dims = (config.integer("n"), *source.dims)
        shape = shape_of(dims, f"{config.where}: {layer.name}")
        return _Value(operators.add_reshape(reader.draft, layer.name, source.tensor, shape, function="select", classes=(layer.class_name,)), dims)
    else:
        wanted = config.dims("target_shape", low=-1)
        fixed = 1
        for size in wanted:
            fixed *= size if size > 0 else 1
        dims = tuple(size if size > 0 else elements // fixed for size in wanted)
    shape = shape_of(dims, f"{config.where}: {layer.name}")
    if shape == source.tensor.shape and layer.class_name != "Permute":
        return _Value(source.tensor, dims)
    return _Value(operators.add_reshape(reader.draft, layer.name, source.tensor, shape, classes=(layer.class_name,)), dims)


def _upsample(reader: _Reader, layer: KerasLayer, inputs: list[_Value]) -> _Value:
    two = _expect_axes(layer, inputs[0])
    factor, shape = _pair(layer.config, "size", two, 2), inputs[0].tensor.shape
    function = layer.config.text("interpolation", "nearest")
    tensor = operators.add_resize(reader.draft, layer.name, inputs[0].tensor, shape.h * factor[0], shape.w * factor[1], function, classes=(layer.class_name,))
    return _spatial(tensor, two)


def _recurrent(reader: _Reader, layer: KerasLayer, inputs: list[_Value]) -> _Value:
    config, source = layer.config, inputs[0]
    if len(source.dims) != 2:
        raise InputError(f"reads a tensor of shape {source.dims}", where=f"{config.where}: {layer.name}", remedy="It needs steps x features.")
    sequences = config.flag("return_sequences", False)
    kind = Kind.LSTM if layer.class_name.endswith("LSTM") else Kind.GRU
    tensor = operators.add_recurrent(
        reader.draft, layer.name, source.tensor, kind, config.integer("units"), sequences=sequences, widths=layer.widths(), classes=(layer.class_name,)
    )
    return _Value(tensor, tuple(tensor.shape)[1:] if sequences else (tensor.shape.c,))


def _time_distributed(reader: _Reader, layer: KerasLayer, inputs: list[_Value]) -> _Value:
    inner = layer.config.record("layer")
    wrapped = keras_entry(inner, layer.inputs)
    if wrapped.class_name.removeprefix("Q") not in {"Dense", "Activation"}:
        raise InputError(f"wraps {wrapped.class_name!r}", where=inner.where, remedy="Only dense layers and activations can be repeated over time.")
    named = KerasLayer(wrapped.class_name, layer.name, wrapped.config, layer.inputs)
    return reader._activated(named, _HANDLERS[wrapped.class_name.removeprefix("Q")](reader, named, inputs))


_MERGES = {"Add": "add", "Subtract": "subtract", "Multiply": "multiply", "Average": "average", "Maximum": "maximum", "Minimum": "minimum"}
_HANDLERS: dict[str, Callable[[_Reader, KerasLayer, list[_Value]], _Value]] = {
    "InputLayer": _input,
    "Dense": _dense,
    **dict.fromkeys(("Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"), _convolution),
    **dict.fromkeys(("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D"), _pool),
    **dict.fromkeys(("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D"), _global_pool),
    **dict.fromkeys(("Activation", "ReLU", "LeakyReLU", "PReLU", "ThresholdedReLU", "ELU", "Softmax"), _activation),
    "BatchNormalization": _batch_norm,
    **dict.fromkeys(_MERGES, _merge),
    "Concatenate": _concatenate,
    **dict.fromkeys(("ZeroPadding1D", "ZeroPadding2D"), _zero_padding),
    **dict.fromkeys(("Flatten", "Reshape", "Permute", "RepeatVector"), _reshape),
    **dict.fromkeys(("UpSampling1D", "UpSampling2D"), _upsample),
    **dict.fromkeys(("LSTM", "GRU"), _recurrent),
    "TimeDistributed": _time_distributed,
}
