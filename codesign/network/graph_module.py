"""A layer graph as a torch module: the walk that the floating-point and the quantised network share.

Tensors are batch x channels x height x width; series have height 1, and a dense layer gives height and width 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from codesign.network.deployed import pool_shift
from codesign.network.layers import WEIGHTED, Layer, LayerGraph, Op


class GraphModule(nn.Module, ABC):
    """Runs a `LayerGraph`; subclasses say what a weighted layer computes and what follows each accumulator.

    ``forward`` takes samples (batch x height x width x channels, or any shape that reads so) in real units, and gives
    logits (batch x classes).
    """

    def __init__(self, graph: LayerGraph) -> None:
        super().__init__()
        self.graph = graph
        self.last = graph.output
        self._sources = {layer.name: [source.name for source in graph.predecessors(layer)] for layer in graph}

    @abstractmethod
    def weigh(self, layer: Layer, source: Tensor) -> Tensor:
        """Accumulator of a dense or convolution layer."""

    @abstractmethod
    def finish(self, layer: Layer, accumulator: Tensor) -> Tensor:
        """Output of a layer from its accumulator (of the input layer: from the samples)."""

    def forward(self, samples: Tensor) -> Tensor:
        """Logits (batch x classes) in real units."""
        return self.trace(samples)[self.last.name].flatten(1)

    def trace(self, samples: Tensor) -> dict[str, Tensor]:
        """Output of each layer by name."""
        tensors: dict[str, Tensor] = {}
        for layer in self.graph:
            sources = [tensors[name] for name in self._sources[layer.name]]
            tensors[layer.name] = self.finish(layer, self.accumulate(layer, sources) if sources else self.arrange(samples))
        return tensors

    def arrange(self, samples: Tensor) -> Tensor:
        """Samples as the input layer's batch x channels x height x width."""
        entry = self.graph.input
        return samples.reshape(len(samples), entry.out_h, entry.out_w, entry.out_c).movedim(3, 1)

    def accumulate(self, layer: Layer, sources: list[Tensor]) -> Tensor:
        """Accumulator of a layer from its inputs, in real units."""
        if layer.op is Op.ADD:
            return sources[0] + sources[1]
        if layer.op is Op.GLOBAL_POOL:
            return sources[0].sum(dim=(2, 3), keepdim=True) * 2.0 ** -pool_shift(layer)
        return self.weigh(layer, sources[0])

    def weighted_layers(self) -> list[Layer]:
        """Layers with weights, in order."""
        return [layer for layer in self.graph if layer.op in WEIGHTED]


def flatten_channels_last(source: Tensor) -> Tensor:
    """Features (batch x h*w*c) of a batch x c x h x w tensor, in the order a dense layer reads them."""
    return source.movedim(1, 3).flatten(1)


def module_key(layer: Layer) -> str:
    """Name of a layer's module in a ModuleDict (a bare name might clash with one of its methods)."""
    return f"layer_{layer.name}"
