"""The floating-point network: folding, initial weights, and the walk over the graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from codesign.network.blueprints.blueprint import find_blueprint
from codesign.network.float_network import FloatNetwork
from codesign.network.layers import WEIGHTED, LayerGraph, Op
from codesign.network.table_builder import TaskShape
from codesign.space.design_space import DesignSpace

SHAPE = TaskShape((9, 4), 3, 8, True)


def random_graph(name: str, seed: int) -> LayerGraph:
    blueprint = find_blueprint(name)
    space = DesignSpace(blueprint.parameters)
    return blueprint.table(space, space.sample(1, np.random.default_rng(seed)), SHAPE).graph(0)


def trained_a_little(graph: LayerGraph) -> FloatNetwork:
    """A network whose normalisations have seen data and are not the identity."""
    generator = torch.Generator().manual_seed(1)
    network = FloatNetwork(graph, generator)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        for _ in range(3):
            network(torch.randn((32, *SHAPE.input_shape), generator=generator))
    return network.eval()


@pytest.mark.parametrize("name", ["mlp", "tcresnet", "dscnn"])
@pytest.mark.parametrize("seed", [0, 1])
def test_folded_weights_give_the_same_logits(name: str, seed: int) -> None:
    graph = random_graph(name, seed)
    network = trained_a_little(graph)
    folded = network.fold()
    samples = torch.randn((5, *SHAPE.input_shape))
    tensors = {}
    for layer in graph:
        sources = [tensors[source.name] for source in graph.predecessors(layer)]
        if layer.op in WEIGHTED:
            weight, bias = folded[layer.name].weight, folded[layer.name].bias
            if layer.op is Op.DENSE:
                value = functional.linear(sources[0].movedim(1, 3).flatten(1), weight, bias)[:, :, None, None]
            else:
                value = functional.conv2d(
                    sources[0], weight, bias, stride=(layer.stride_h, layer.stride_w), padding=(layer.pad_h, layer.pad_w), groups=layer.groups
                )
        else:
            value = network.accumulate(layer, sources) if sources else network.arrange(samples)
        tensors[layer.name] = value.relu() if layer.relu else value
        assert tuple(value.shape) == (5, layer.out_c, layer.out_h, layer.out_w)
    torch.testing.assert_close(tensors[graph.output.name].flatten(1), network(samples), rtol=1e-4, atol=1e-4)


def test_initial_weights_depend_on_the_generator_alone() -> None:
    graph = random_graph("tcresnet", 3)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = FloatNetwork(graph, torch.Generator().manual_seed(7))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    second = FloatNetwork(graph, torch.Generator().manual_seed(7))
    third = FloatNetwork(graph, torch.Generator().manual_seed(8))
    assert all(torch.equal(one, other) for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True))
    assert not torch.equal(next(first.parameters()), next(third.parameters()))


def test_series_are_read_as_time_by_channels() -> None:
    network = FloatNetwork(random_graph("tcresnet", 0), torch.Generator().manual_seed(0))
    samples = torch.arange(36.0).reshape(1, 9, 4)
    arranged = network.arrange(samples)
    assert tuple(arranged.shape) == (1, 4, 1, 9)
    assert arranged[0, 2, 0].tolist() == samples[0, :, 2].tolist()
