"""Layer graph to Brevitas network, and Brevitas network to deployed integers.

The network holds no batch normalisation and every quantiser has one constant power-of-two scale, so that its outputs in
float64 are integers times a power of two: the same integers that `codesign.network.deployed` computes without torch.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import brevitas.config
import brevitas.nn as brevitas_nn
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from codesign.errors import EvaluationError, InputError
from codesign.network.deployed import DeployedNetwork, IntTensor, LayerIntegers, TensorFormat
from codesign.network.graph_module import GraphModule, flatten_channels_last, module_key
from codesign.network.layers import WEIGHTED, Layer, LayerGraph, Op
from codesign.network.quantisers import BiasQuantiser, FixedPointQuant, SignedQuantiser, UnsignedQuantiser, WeightQuantiser
from codesign.network.tasks.task import TaskRecord

BATCH = 256
"""Samples a forward pass when a whole split is evaluated."""
INITIAL_RANGE_LOG2 = 2
"""Activations of a network that was never calibrated saturate at 2**2."""


class BrevitasNetwork(GraphModule):
    """A layer graph of Brevitas layers; `build` makes one.

    Args:
        graph: the network; its last layer keeps its accumulator.
        record: the task, for the input's scale and zero point.
    """

    def __init__(self, graph: LayerGraph, record: TaskRecord) -> None:
        super().__init__(graph)
        self.zero_point = record.zero_point
        self.weighted = nn.ModuleDict({module_key(layer): _quantised_layer(layer) for layer in self.weighted_layers()})
        self.activation = nn.ModuleDict({module_key(layer): _quantised_activation(layer) for layer in graph if layer is not self.last})
        for layer in graph:
            if layer.op in WEIGHTED:
                peak = float(self.layer_module(layer).weight.detach().abs().max())
                self.weight_quant(layer).fraction = layer.weight_bits - 1 - math.ceil(math.log2(peak))
            if layer is not self.last:
                width = layer.output_bits - layer.output_signed
                self.output_quant(layer).fraction = record.input_fraction if layer.op is Op.INPUT else width - INITIAL_RANGE_LOG2
        self.link_biases()

    def weigh(self, layer: Layer, source: Tensor) -> Tensor:
        """Weighted sum and bias on quantised weights."""
        module = self.weighted[module_key(layer)]
        if layer.op is Op.DENSE:
            features: Tensor = module(flatten_channels_last(source))
            return features[:, :, None, None]
        result: Tensor = module(source)
        return result

    def finish(self, layer: Layer, accumulator: Tensor) -> Tensor:
        """ReLU where the layer has one, rounding and saturation; the last layer keeps its accumulator."""
        if layer is self.last:
            return accumulator
        result: Tensor = self.activation[module_key(layer)](accumulator)
        return result

    def layer_module(self, layer: Layer) -> Any:
        """The Brevitas `QuantConv2d` or `QuantLinear` of a weighted layer."""
        return self.weighted[module_key(layer)]

    def weight_quant(self, layer: Layer) -> FixedPointQuant:
        """Weight quantiser of a weighted layer."""
        found: FixedPointQuant = self.layer_module(layer).weight_quant.tensor_quant
        return found

    def bias_quant(self, layer: Layer) -> FixedPointQuant:
        """Bias quantiser of a weighted layer."""
        found: FixedPointQuant = self.layer_module(layer).bias_quant.tensor_quant
        return found

    def output_quant(self, layer: Layer) -> FixedPointQuant:
        """Quantiser of a layer's output; the last layer has none."""
        activation: Any = self.activation[module_key(layer)]
        found: FixedPointQuant = activation.act_quant.fused_activation_quant_proxy.tensor_quant
        return found

    def output_fraction(self, layer: Layer) -> int:
        """Scale of a layer's output, for the last layer its accumulator's."""
        if layer is not self.last:
            return self.output_quant(layer).fraction
        return self.accumulator_fraction(layer)

    def accumulator_fraction(self, layer: Layer) -> int:
        """Scale of a weighted layer's accumulator: input scale times weight scale."""
        (source,) = self.graph.predecessors(layer)
        return self.output_fraction(source) + self.weight_quant(layer).fraction

    def link_biases(self) -> None:
        """Give each bias its accumulator's scale; to be called after scales were set."""
        for layer in self.weighted_layers():
            self.bias_quant(layer).fraction = self.accumulator_fraction(layer)


def _quantised_layer(layer: Layer) -> Any:
    options = {
        "bias": True,
        "weight_quant": WeightQuantiser,
        "bias_quant": BiasQuantiser,
        "weight_bit_width": layer.weight_bits,
        "bias_bit_width": layer.bias_bits,
    }
    if layer.op is Op.DENSE:
        module = brevitas_nn.QuantLinear(layer.in_c, layer.out_c, **options)
    else:
        kernel, stride, padding = (layer.kernel_h, layer.kernel_w), (layer.stride_h, layer.stride_w), (layer.pad_h, layer.pad_w)
        module = brevitas_nn.QuantConv2d(layer.in_c, layer.out_c, kernel, stride=stride, padding=padding, groups=layer.groups, **options)
    # Plain tensors between the layers: scales are constants, so Brevitas need not carry them along.
    module.weight_quant.skip_create_quant_tensor = True
    module.bias_quant.skip_create_quant_tensor = True
    return module


def _quantised_activation(layer: Layer) -> Any:
    quantiser = SignedQuantiser if layer.output_signed else UnsignedQuantiser
    kind = brevitas_nn.QuantReLU if layer.relu else brevitas_nn.QuantIdentity
    module = kind(act_quant=quantiser, bit_width=layer.output_bits)
    module.act_quant.skip_create_quant_tensor = True
    return module


def build(graph: LayerGraph, record: TaskRecord) -> BrevitasNetwork:
    """An untrained Brevitas network with the same initial weights each time.

    ``forward`` takes samples (batch x *input_shape*), already ``(word - zero_point) * 2**-input_fraction``, and gives
    logits (batch x classes) in real units.

    Raises:
        InputError: the environment tells Brevitas to compile its quantisers, which it cannot do with ours.
    """
    if brevitas.config.JIT_ENABLED:
        raise InputError("Brevitas is told to compile its quantisers", where="environment variable BREVITAS_JIT", remedy="Unset it; training is faster without")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return BrevitasNetwork(graph, record)


def extract(model: BrevitasNetwork) -> DeployedNetwork:
    """The integers of a network.

    Raises:
        EvaluationError: a scale is not the power of two it should be, or a quantised value is not on its grid.
    """
    exact = _exact_copy(model)
    integers = {}
    with torch.no_grad():
        for layer in exact.graph:
            weight, weight_fraction, bias = None, 0, None
            if layer.op in WEIGHTED:
                module = exact.layer_module(layer)
                weight_fraction = exact.weight_quant(layer).fraction
                weight = _integers(layer, exact.weight_quant(layer), module.weight, weight_fraction).astype(np.int8)
                bias = _integers(layer, exact.bias_quant(layer), module.bias, exact.accumulator_fraction(layer)).astype(np.int32)
            output = TensorFormat(layer.output_bits, bool(layer.output_signed), exact.output_fraction(layer))
            integers[layer.name] = LayerIntegers(output=output, weight=weight, weight_fraction=weight_fraction, bias=bias)
    return DeployedNetwork(model.graph, integers, model.zero_point)


def same_integers(first: DeployedNetwork, second: DeployedNetwork) -> bool:
    """Whether two networks have the same layers, formats, weights and biases."""

    def same(one: LayerIntegers, other: LayerIntegers) -> bool:
        formats = one.output == other.output and one.weight_fraction == other.weight_fraction
        pairs = ((one.weight, other.weight), (one.bias, other.bias))
        return formats and all(np.array_equal(np.asarray(mine), np.asarray(theirs)) for mine, theirs in pairs)

    if first.graph.layers != second.graph.layers or first.zero_point != second.zero_point:
        return False
    return all(same(first.integers[layer.name], second.integers[layer.name]) for layer in first.graph)


def _integers(layer: Layer, quantiser: FixedPointQuant, parameter: Tensor, fraction: int) -> IntTensor:
    """What Brevitas makes of a parameter, in steps of ``2**-fraction``."""
    value, scale, _, _ = quantiser(parameter)
    if float(scale) != 2.0**-fraction:
        raise EvaluationError(f"scale {float(scale)} instead of 2**{-fraction}", where=f"layer {layer.name}", remedy="Call link_biases after setting scales")
    return _steps(layer, value, fraction)


def _steps(layer: Layer, value: Tensor, fraction: int) -> IntTensor:
    steps = (value * 2.0**fraction).numpy(force=True)
    rounded: NDArray[np.float64] = np.rint(steps)
    if not np.array_equal(steps, rounded):
        raise EvaluationError(
            f"output is not a multiple of 2**{-fraction}", where=f"layer {layer.name}", remedy="The network does not match its graph; build it again"
        )
    integers: IntTensor = rounded.astype(np.int64)
    return integers


def brevitas_trace(model: BrevitasNetwork, samples: NDArray[np.uint8]) -> dict[str, IntTensor]:
    """Integer output of each layer by name, (n, height, width, channels), as Brevitas computes it in float64.

    Args:
        model: the network; left as it is.
        samples: data words (n x *input_shape*).

    Raises:
        EvaluationError: an output is not on its grid.
    """
    exact = _exact_copy(model)
    fraction = exact.output_fraction(exact.graph.input)
    with torch.no_grad():
        parts = [exact.trace(as_values(samples[start : start + BATCH], exact.zero_point, fraction, torch.float64)) for start in range(0, len(samples), BATCH)]
    return {
        layer.name: np.concatenate([_steps(layer, part[layer.name], exact.output_fraction(layer)) for part in parts]).transpose(0, 2, 3, 1)
        for layer in exact.graph
    }


def brevitas_logits(model: BrevitasNetwork, samples: NDArray[np.uint8]) -> IntTensor:
    """Integer logits (n x classes) at the fraction of the last accumulator, as Brevitas computes them in float64.

    Raises:
        EvaluationError: a logit is not on its grid.
    """
    exact = _exact_copy(model)
    fraction, last = exact.output_fraction(exact.graph.input), exact.last
    with torch.no_grad():
        parts = [exact(as_values(samples[start : start + BATCH], exact.zero_point, fraction, torch.float64)) for start in range(0, len(samples), BATCH)]
    return _steps(last, torch.cat(parts), exact.output_fraction(last))


def as_values(samples: NDArray[np.uint8], zero_point: int, fraction: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Data words in real units: ``(word - zero_point) * 2**-fraction``."""
    return (torch.from_numpy(samples).to(dtype) - zero_point) * 2.0**-fraction


def _exact_copy(model: BrevitasNetwork) -> BrevitasNetwork:
    """The network in float64 on the CPU, in evaluation mode: exact below 2**53, far above any accumulator."""
    return copy.deepcopy(model).cpu().double().eval()
