"""A deployed network as hls4ml's list of layers, every type given: plain data, without hls4ml.

A quantiser is not a layer of its own: the result type of the layer before it rounds (half to even) and saturates, and
an unsigned result type is the ReLU, because it clips negative sums to zero. So each layer of the network is one block
of hardware, and nothing is left for hls4ml to infer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.hls_plan import HlsPlan
from codesign.errors import InputError
from codesign.network.deployed import DeployedNetwork, LayerIntegers, TensorFormat, pool_shift
from codesign.network.layers import WEIGHTED, Layer, Op

INPUT_NAME = "features"  # hls4ml reserves the name "input"
MAP_OPS = (Op.CONV2D, Op.DEPTHWISE_CONV2D)
SERIES_OPS = (Op.CONV1D, Op.DEPTHWISE_CONV1D)
DEPTHWISE_OPS = (Op.DEPTHWISE_CONV1D, Op.DEPTHWISE_CONV2D)
CLASS_NAMES = {
    Op.DENSE: "Dense",
    Op.CONV1D: "Conv1D",
    Op.CONV2D: "Conv2D",
    Op.DEPTHWISE_CONV1D: "DepthwiseConv1D",
    Op.DEPTHWISE_CONV2D: "DepthwiseConv2D",
}


@dataclass(frozen=True)
class ProjectLayer:
    """One hls4ml layer.

    Attributes:
        name: its name in the project.
        class_name: hls4ml's layer class.
        source: the layer of the network whose output this is, or None (padding, reshaping).
        inputs: names of the hls4ml layers it reads.
        attributes: what hls4ml's class needs.
        precision: type of each tensor (``result``, ``accum``, ``weight``, ``bias``) in hls4ml's notation.
        reuse: reuse factor, or None without weights.
        strategy: ``latency`` or ``resource``; empty without weights.
    """

    name: str
    class_name: str
    source: str | None
    inputs: tuple[str, ...]
    attributes: Mapping[str, object]
    precision: Mapping[str, str]
    reuse: int | None = None
    strategy: str = ""


@dataclass
class _Writer:
    """Collects the hls4ml layers of one network and knows each tensor's name, type and shape."""

    deployed: DeployedNetwork
    plan: HlsPlan
    rank: int
    layers: list[ProjectLayer] = field(default_factory=list)

    def write(self) -> tuple[ProjectLayer, ...]:
        for layer in self.deployed.graph:
            self._add(layer)
        return tuple(self.layers)

    def _add(self, layer: Layer) -> None:
        if layer.op is Op.INPUT:
            shape = self._input_shape(layer)
            self._append(layer, "InputLayer", (), {"input_shape": list(shape)}, {"result": plain_type(self.deployed.format(layer.name))})
            return
        sources = self.deployed.graph.predecessors(layer)
        inputs = tuple(hls_name(source) for source in sources)
        if layer.op is Op.ADD:
            shape = self._shape(layer.out_h, layer.out_w, layer.out_c)
            self._append(layer, "Merge", inputs, {"op": "add", "n_elem": int(np.prod(shape))}, {"result": self._result(layer)})
        elif layer.op is Op.GLOBAL_POOL:
            sum_format = TensorFormat(layer.accumulator_bits, True, self.deployed.format(sources[0].name).fraction)
            attributes = {"n_in": layer.in_h * layer.in_w, "n_filt": layer.in_c, "shift": pool_shift(layer)}
            self._append(layer, "GlobalSum", inputs, attributes, {"result": self._result(layer), "accum": plain_type(sum_format)})
        else:
            self._weighted(layer, sources[0], inputs[0])

    def _weighted(self, layer: Layer, source: Layer, source_name: str) -> None:
        own = self.deployed.integers[layer.name]
        fraction = self.deployed.format(source.name).fraction + own.weight_fraction
        attributes = weight_attributes(layer, own, fraction)
        if layer.op is Op.DENSE:
            attributes |= {"n_in": layer.in_c, "n_out": layer.out_c}
            if source.op in (*MAP_OPS, *SERIES_OPS, Op.ADD, Op.INPUT):
                source_name = self._helper(f"{layer.name}_flat", "Reshape", source, source_name, {"target_shape": [layer.in_c]})
        else:
            padding = self._padding(layer)
            if self.plan.io_type == "io_stream" and any(padding.values()):
                source_name = self._zero_padding(layer, source, source_name, padding)
                attributes |= self._geometry(layer, padding, padded=True)
            else:
                attributes |= self._geometry(layer, padding, padded=False)
        precision = {
            "result": self._result(layer),
            "accum": plain_type(TensorFormat(layer.accumulator_bits, True, fraction)),
            "weight": plain_type(TensorFormat(layer.weight_bits, True, own.weight_fraction)),
            "bias": plain_type(TensorFormat(layer.bias_bits, True, fraction)),
        }
        self.layers.append(
            ProjectLayer(layer.name, CLASS_NAMES[layer.op], layer.name, (source_name,), attributes, precision, self._reuse(layer), self._strategy(layer))
        )

    def _reuse(self, layer: Layer) -> int:
        if layer.name not in self.plan.reuse:
            raise InputError("has no reuse factor", where=f"layer {layer.name}", remedy="The plan needs one for each layer with weights")
        return self.plan.reuse[layer.name]

    def _strategy(self, layer: Layer) -> str:
        """hls4ml has no depthwise convolution in Resource strategy for io_parallel."""
        if self.plan.io_type == "io_parallel" and layer.op in DEPTHWISE_OPS:
            return "latency"
        return self.plan.strategy

    def _zero_padding(self, layer: Layer, source: Layer, source_name: str, padding: dict[str, int]) -> str:
        """A padding layer of its own, as io_stream needs it; hls4ml's own pass may attach it to the wrong branch."""
        sizes = {"in_width": layer.in_w, "out_width": layer.in_w + padding["pad_left"] + padding["pad_right"]}
        if self.rank == 2:
            sizes |= {"in_height": layer.in_h, "out_height": layer.in_h + padding["pad_top"] + padding["pad_bottom"]}
        attributes = {**padding, **sizes, "n_chan": layer.in_c, "data_format": "channels_last"}
        return self._helper(f"{layer.name}_padded", f"ZeroPadding{self.rank}D", source, source_name, attributes)

    def _helper(self, name: str, class_name: str, source: Layer, source_name: str, attributes: Mapping[str, object]) -> str:
        precision = {"result": self._result(source)}
        self.layers.append(ProjectLayer(name, class_name, None, (source_name,), attributes, precision))
        return name

    def _geometry(self, layer: Layer, padding: dict[str, int], *, padded: bool) -> dict[str, object]:
        """Sizes as hls4ml wants them; ``padded``: the padding was done by a layer before."""
        extra = padding if padded else dict.fromkeys(padding, 0)
        sizes: dict[str, object] = {
            "in_width": layer.in_w + extra["pad_left"] + extra["pad_right"],
            "out_width": layer.out_w,
            "filt_width": layer.kernel_w,
            "stride_width": layer.stride_w,
            "n_chan": layer.in_c,
            "n_filt": layer.out_c,
            "data_format": "channels_last",
        }
        if self.rank == 2:
            sizes["in_height"] = layer.in_h + extra["pad_top"] + extra["pad_bottom"]
            sizes |= {"out_height": layer.out_h, "filt_height": layer.kernel_h, "stride_height": layer.stride_h}
        return sizes | (dict.fromkeys(padding, 0) if padded else padding)

    def _padding(self, layer: Layer) -> dict[str, int]:
        """Zeros that a kernel really reads: symmetric padding with a floor in the output size may leave some of the far side unread."""
        padding = {"pad_left": layer.pad_w, "pad_right": far_padding(layer.in_w, layer.out_w, layer.kernel_w, layer.stride_w, layer.pad_w)}
        if self.rank == 2:
            padding |= {"pad_top": layer.pad_h, "pad_bottom": far_padding(layer.in_h, layer.out_h, layer.kernel_h, layer.stride_h, layer.pad_h)}
        return padding

    def _result(self, layer: Layer) -> str:
        target = self.deployed.format(layer.name)
        if layer.op is Op.INPUT:
            return plain_type(target)
        if layer.op in WEIGHTED:
            (source,) = self.deployed.graph.predecessors(layer)
            fraction = self.deployed.format(source.name).fraction + self.deployed.integers[layer.name].weight_fraction
            if not layer.relu and target == TensorFormat(layer.accumulator_bits, True, fraction):
                return plain_type(target)
        return result_type(target, relu=bool(layer.relu))

    def _input_shape(self, layer: Layer) -> tuple[int, ...]:
        """The network's own input shape; for a network that starts with a dense layer the rows of its map."""
        readers = [other for other in self.deployed.graph if layer in self.deployed.graph.predecessors(other)]
        if all(reader.op is Op.DENSE for reader in readers):
            return (layer.out_h, layer.out_w * layer.out_c)
        return self._shape(layer.out_h, layer.out_w, layer.out_c)

    def _shape(self, height: int, width: int, channels: int) -> tuple[int, ...]:
        return (height, width, channels) if self.rank == 2 else (width, channels)

    def _append(self, layer: Layer, class_name: str, inputs: tuple[str, ...], attributes: Mapping[str, object], precision: Mapping[str, str]) -> None:
        self.layers.append(ProjectLayer(hls_name(layer), class_name, layer.name, inputs, attributes, precision))


def hls_layers(deployed: DeployedNetwork, plan: HlsPlan) -> tuple[ProjectLayer, ...]:
    """The hls4ml layers of a network, in topological order.

    Raises:
        InputError: the network mixes series and maps, a bias does not fit its width, an accumulator could overflow, the
            plan lacks a reuse factor, or hls4ml cannot do what the plan asks.
    """
    ops = {layer.op for layer in deployed.graph}
    if ops & set(MAP_OPS) and ops & set(SERIES_OPS):
        raise InputError("mixes one- and two-dimensional convolutions", where="network", remedy="Use one kind")
    rank = 2 if ops & set(MAP_OPS) else 1
    if rank == 1 and ops & set(SERIES_OPS) and any(layer.in_h != 1 for layer in deployed.graph if layer.op in SERIES_OPS):
        raise InputError("has a one-dimensional convolution over a map of several rows", where="network")
    check_accumulators(deployed)
    for layer in deployed.graph:
        _check_support(layer, plan)
    return _Writer(deployed, plan, rank).write()


def _check_support(layer: Layer, plan: HlsPlan) -> None:
    """Refuse what hls4ml 1.3 computes wrongly or stops at."""
    pointwise = layer.op is Op.CONV2D and layer.kernel_h == layer.kernel_w == 1
    if plan.io_type == "io_stream" and layer.op in MAP_OPS and layer.kernel_h == 1 and not pointwise and (layer.stride_h > 1 or layer.op in DEPTHWISE_OPS):
        raise InputError("a kernel of height 1 ignores its vertical stride in io_stream", where=f"layer {layer.name}", remedy="Use a higher kernel")
    dense_inside = layer.op in (*MAP_OPS, *SERIES_OPS) and layer.op not in DEPTHWISE_OPS
    if plan.io_type == "io_parallel" and plan.strategy == "resource" and dense_inside and plan.reuse.get(layer.name, 1) > layer.fan_in:
        raise InputError(
            f"reuse factor {plan.reuse[layer.name]} is above its {layer.fan_in} products per output",
            where=f"layer {layer.name}",
            remedy="In io_parallel with strategy resource a convolution takes at most that; use io_stream or a smaller factor",
        )


def hls_name(layer: Layer) -> str:
    """Name of a layer in the project."""
    return INPUT_NAME if layer.op is Op.INPUT else layer.name


def plain_type(tensor: TensorFormat) -> str:
    """hls4ml type that holds a format's integers exactly; nothing is rounded on the way in."""
    return f"{'' if tensor.signed else 'u'}fixed<{tensor.bits},{tensor.bits - tensor.fraction}>"


def result_type(tensor: TensorFormat, *, relu: bool) -> str:
    """hls4ml type that rounds half to even and saturates to a format; ReLU clips at zero, which an unsigned type does by itself."""
    bits = tensor.bits - 1 if tensor.signed and relu else tensor.bits
    sign = "" if tensor.signed and not relu else "u"
    return f"{sign}fixed<{bits},{bits - tensor.fraction},RND_CONV,SAT>"


def far_padding(size: int, out: int, kernel: int, stride: int, pad: int) -> int:
    """Zeros read beyond the far end: of ``pad`` there, as many as the last window reaches."""
    return max((out - 1) * stride + kernel - size - pad, 0)


def weight_attributes(layer: Layer, own: LayerIntegers, fraction: int) -> dict[str, object]:
    """Weights and biases as the dyadic values they stand for, in hls4ml's channels-last order."""
    assert own.weight is not None and own.bias is not None  # noqa: S101  # DeployedNetwork checked it
    weight = np.ldexp(own.weight.astype(np.float64), -own.weight_fraction)
    bias = np.ldexp(own.bias.astype(np.float64), -fraction)
    if layer.op is Op.DENSE:
        return {"weight_data": np.ascontiguousarray(weight.T), "bias_data": bias}
    # (out, in, kernel_h, kernel_w) -> (kernel_h, kernel_w, in, out); depthwise (channels, 1, ...) -> (..., channels, 1)
    order: Sequence[int] = (2, 3, 0, 1) if layer.op in DEPTHWISE_OPS else (2, 3, 1, 0)
    ordered = weight.transpose(order)
    if layer.op in SERIES_OPS:
        ordered = ordered[0]
    return {"depthwise_data" if layer.op in DEPTHWISE_OPS else "weight_data": np.ascontiguousarray(ordered), "bias_data": bias}


def check_accumulators(deployed: DeployedNetwork) -> None:
    """Prove that no accumulator can overflow, whatever the input.

    Raises:
        InputError: with these weights and biases a sum can leave its accumulator, or a bias does not fit its width.
    """
    for layer in deployed.graph:
        if layer.op not in WEIGHTED:
            continue
        own = deployed.integers[layer.name]
        assert own.weight is not None and own.bias is not None  # noqa: S101  # DeployedNetwork checked it
        limit = 1 << (layer.bias_bits - 1)
        if int(own.bias.min()) < -limit or int(own.bias.max()) >= limit:
            raise InputError(f"has biases outside {layer.bias_bits} bits", where=f"layer {layer.name}")
        (source,) = deployed.graph.predecessors(layer)
        low, high = sum_range(own.weight, own.bias, deployed.format(source.name))
        limit = 1 << (layer.accumulator_bits - 1)
        if low < -limit or high >= limit:
            raise InputError(f"sums reach {low} .. {high}, more than its {layer.accumulator_bits}-bit accumulator holds", where=f"layer {layer.name}")


def sum_range(weight: NDArray[np.int8], bias: NDArray[np.int32], tensor: TensorFormat) -> tuple[int, int]:
    """Smallest and largest sum that any input of a format can give."""
    rows = weight.reshape(len(weight), -1).astype(np.int64)
    positive, negative = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
    high = positive * tensor.maximum + negative * tensor.minimum + bias
    low = positive * tensor.minimum + negative * tensor.maximum + bias
    return int(low.min()), int(high.max())
