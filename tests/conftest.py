"""Small designs with random integers, for the tests of export and verification."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from codesign.accelerator.hls_plan import HlsPlan
from codesign.network.blueprints.blueprint import find_blueprint
from codesign.network.deployed import DeployedNetwork
from codesign.network.layers import LayerGraph, Op
from codesign.network.table_builder import TableBuilder, TaskShape
from codesign.space.design_space import DesignSpace
from codesign.verify.random_network import random_deployed

DIGITS = TaskShape((8, 8), 10, 5, False)
Draw = Callable[[str, int], DeployedNetwork]


@pytest.fixture
def draw_network() -> Draw:
    """``draw_network(blueprint, seed)``: a random network of a blueprint on 8 x 8 images."""

    def make(blueprint: str, seed: int) -> DeployedNetwork:
        found, rng = find_blueprint(blueprint), np.random.default_rng(seed)
        space = DesignSpace(found.parameters)
        return random_deployed(found.table(space, space.sample(1, rng), DIGITS).graph(0), rng)

    return make


@pytest.fixture
def residual_network() -> DeployedNetwork:
    """A one-dimensional residual network with every kind of layer of the series blueprints."""
    return random_deployed(residual_graph(), np.random.default_rng(0))


def residual_graph() -> LayerGraph:
    builder = TableBuilder(1, DIGITS)
    x = builder.input((1, 8, 8))
    stem = builder.convolution("stem", x, Op.CONV1D, channels=4, kernel=(1, 3), weight_bits=4, output_bits=5, relu=True)
    branch = builder.convolution("branch", stem, Op.CONV1D, channels=6, kernel=(1, 5), stride=(1, 2), weight_bits=3, output_bits=8, relu=False)
    shortcut = builder.convolution("shortcut", stem, Op.CONV1D, channels=6, kernel=(1, 1), stride=(1, 2), weight_bits=5, output_bits=8, relu=False)
    joined = builder.add("join", branch, shortcut, output_bits=6, relu=True)
    builder.dense("head", builder.global_pool("pool", joined, output_bits=8), features=10, weight_bits=6, output_bits=None, relu=False)
    return builder.build().graph(0)


@pytest.fixture
def plan_of() -> Callable[..., HlsPlan]:
    """``plan_of(network, io_type, strategy)``: everything unrolled."""

    def make(network: DeployedNetwork, io_type: str = "io_stream", strategy: str = "latency") -> HlsPlan:
        return HlsPlan(io_type, strategy, 100.0, {layer.name: 1 for layer in network.graph if layer.weights})

    return make
