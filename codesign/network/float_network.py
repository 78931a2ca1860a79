"""The floating-point network that training starts from: batch normalisation after each weighted layer but the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from codesign.network.graph_module import GraphModule, flatten_channels_last, module_key
from codesign.network.layers import Layer, LayerGraph, Op

NORMALISATION_EPSILON = 1e-5
"""Added to variances before their root is taken."""


@dataclass(frozen=True)
class FoldedLayer:
    """Weights and bias of one layer with its batch normalisation multiplied in.

    Attributes:
        weight: (out_c, in_c / groups, kernel_h, kernel_w), for dense layers (out_c, in_c).
        bias: (out_c,).
    """

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, weight: Tensor, gain: Tensor, shift: Tensor, mean: Tensor, variance: Tensor) -> FoldedLayer:
        """``weight`` followed by a normalisation with that gain, shift, mean and variance, each (out_c,)."""
        factor = gain * torch.rsqrt(variance + NORMALISATION_EPSILON)
        return cls(weight * factor.view(-1, *(1,) * (weight.dim() - 1)), shift - mean * factor)


class FloatNetwork(GraphModule):
    """A layer graph in floating point.

    Args:
        graph: the network.
        generator: gives the initial weights; the global random state is left alone.
    """

    def __init__(self, graph: LayerGraph, generator: torch.Generator) -> None:
        super().__init__(graph)
        self.weighted = nn.ModuleDict()
        self.normalisation = nn.ModuleDict()
        for layer in self.weighted_layers():
            last = layer is self.last
            module = make_weighted(layer, bias=last)
            with torch.no_grad():
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
            self.weighted[module_key(layer)] = module
            if not last:
                self.normalisation[module_key(layer)] = nn.BatchNorm2d(layer.out_c, eps=NORMALISATION_EPSILON)

    def weigh(self, layer: Layer, source: Tensor) -> Tensor:
        """Weighted sum, normalised over the batch."""
        module = self.weighted[module_key(layer)]
        if layer.op is Op.DENSE:
            result: Tensor = module(flatten_channels_last(source))[:, :, None, None]
        else:
            result = module(source)
        if layer is self.last:
            return result
        normalised: Tensor = self.normalisation[module_key(layer)](result)
        return normalised

    def finish(self, layer: Layer, accumulator: Tensor) -> Tensor:
        """ReLU where the layer has one."""
        return accumulator.relu() if layer.relu else accumulator

    def fold(self) -> dict[str, FoldedLayer]:
        """Weights and biases by layer name that give the same outputs as the network in evaluation mode."""
        folded = {}
        for layer in self.weighted_layers():
            module: Any = self.weighted[module_key(layer)]
            weight: Tensor = module.weight.detach()
            if layer is self.last:
                folded[layer.name] = FoldedLayer(weight.clone(), module.bias.detach().clone())
                continue
            norm: Any = self.normalisation[module_key(layer)]
            folded[layer.name] = FoldedLayer.of(weight, norm.weight.detach(), norm.bias.detach(), norm.running_mean, norm.running_var)
        return folded


def make_weighted(layer: Layer, *, bias: bool) -> nn.Conv2d | nn.Linear:
    """The plain torch module of a weighted layer; its weights are not initialised."""
    with torch.random.fork_rng(devices=[]):
        if layer.op is Op.DENSE:
            return nn.Linear(layer.in_c, layer.out_c, bias=bias)
        return nn.Conv2d(
            layer.in_c,
            layer.out_c,
            (layer.kernel_h, layer.kernel_w),
            stride=(layer.stride_h, layer.stride_w),
            padding=(layer.pad_h, layer.pad_w),
            groups=layer.groups,
            bias=bias,
        )
