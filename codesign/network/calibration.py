"""Power-of-two scales from data: the exponent of least squared error, tensor by tensor, inputs already quantised.

The largest value of a tensor is a bad guide at two to four bits: a single outlier would leave most levels unused. Nor is
the plain squared error of weights a good one: where an input channel hardly varies, folding its normalisation makes one
output channel many times larger than all others, whose weights would then round to zero. So the error of each output
channel counts relative to its power.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from codesign.network.builder import BrevitasNetwork
from codesign.network.float_network import FoldedLayer
from codesign.network.layers import WEIGHTED, Layer, Op

SAMPLED_VALUES = 1 << 16
"""Values of an activation tensor that its scale is chosen from."""
OUTLIER_OCTAVES = 8
"""How much finer than one step below the largest value a scale may become."""


def calibrate(network: BrevitasNetwork, folded: Mapping[str, FoldedLayer], samples: Tensor) -> None:
    """Load folded weights and set every scale.

    Args:
        network: changed in place.
        folded: weights and biases by layer name.
        samples: real-valued inputs (n x *input_shape*) to measure activations on.
    """
    training = network.training
    network.eval()
    tensors: dict[str, Tensor] = {}
    with torch.no_grad():
        for layer in network.graph:
            if layer.op is Op.INPUT:
                tensors[layer.name] = network.finish(layer, network.arrange(samples))
                continue
            if layer.op in WEIGHTED:
                _load(network, layer, folded[layer.name])
            accumulator = network.accumulate(layer, [tensors[source.name] for source in network.graph.predecessors(layer)])
            if layer is not network.last:
                reached = accumulator.relu() if layer.relu else accumulator
                network.output_quant(layer).fraction = best_fraction(_thin(reached), layer.output_bits, signed=bool(layer.output_signed))
            tensors[layer.name] = network.finish(layer, accumulator)
    _align_adds(network)
    network.link_biases()
    network.train(training)


def _load(network: BrevitasNetwork, layer: Layer, folded: FoldedLayer) -> None:
    """Weights and bias of one layer with their scales; the bias must fit its width at the accumulator's scale."""
    module = network.layer_module(layer)
    module.weight.copy_(folded.weight)
    module.bias.copy_(folded.bias)
    (source,) = network.graph.predecessors(layer)
    room = fitting_fraction(folded.bias, layer.bias_bits, signed=True) - network.output_fraction(source)
    network.weight_quant(layer).fraction = min(best_fraction(folded.weight, layer.weight_bits, signed=True, importance=channel_importance(folded.weight)), room)
    network.bias_quant(layer).fraction = network.accumulator_fraction(layer)


def _align_adds(network: BrevitasNetwork) -> None:
    """Keep the scales of an add's operands so close that its accumulator's width suffices."""
    for layer in network.graph:
        if layer.op is Op.ADD:
            first, second = sorted(network.graph.predecessors(layer), key=network.output_fraction)
            room = layer.accumulator_bits - 1 - max(first.output_bits, second.output_bits)
            quantiser = network.output_quant(second)
            quantiser.fraction = min(quantiser.fraction, network.output_fraction(first) + room)


def fitting_fraction(values: Tensor, bits: int, *, signed: bool) -> int:
    """Largest fraction at which no value saturates; for all zeros the one that puts the range at one."""
    peak = float(values.abs().max())
    width = bits - 1 if signed else bits
    if peak == 0.0 or not math.isfinite(peak):
        return width
    fraction = width - math.ceil(math.log2(peak))
    return fraction if round(peak * 2.0**fraction) < 2**width else fraction - 1


def best_fraction(values: Tensor, bits: int, *, signed: bool, importance: Tensor | None = None) -> int:
    """Fraction of least squared rounding and saturation error among those that clip up to ``bits + OUTLIER_OCTAVES`` octaves.

    Args:
        values: any shape.
        bits: width of the format.
        signed: two's complement, or unsigned.
        importance: factors of the squared errors, broadcast over ``values``; None: all alike.
    """
    start = fitting_fraction(values, bits, signed=signed)
    lowest, highest = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)

    def error(fraction: int) -> float:
        scale = 2.0**fraction
        squares = ((values * scale).round().clamp(lowest, highest) / scale - values).square()
        return float((squares if importance is None else squares * importance).mean())

    return min(range(start, start + bits + OUTLIER_OCTAVES + 1), key=error)


def channel_importance(weight: Tensor) -> Tensor:
    """One over the power of each output channel (out_c, 1, ...); channels weaker than the median count as the median."""
    power = weight.flatten(1).square().mean(dim=1)
    floor = power.median().clamp_min(torch.finfo(weight.dtype).tiny)
    return (1.0 / power.clamp_min(floor)).view(-1, *(1,) * (weight.dim() - 1))


def _thin(values: Tensor) -> Tensor:
    """Evenly spaced values of a large tensor."""
    flat = values.flatten()
    return flat[:: max(1, len(flat) // SAMPLED_VALUES)]
