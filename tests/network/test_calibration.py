"""Power-of-two scales chosen from data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codesign.network.builder import build, extract
from codesign.network.calibration import best_fraction, calibrate, channel_importance, fitting_fraction
from codesign.network.deployed import DeployedNetwork
from codesign.network.float_network import FloatNetwork, FoldedLayer
from codesign.network.layers import LayerGraph, Op
from codesign.network.table_builder import TableBuilder, TaskShape
from codesign.network.tasks.registry import task_record

DIGITS = TaskShape((8, 8), 10, 8, True)


@given(peak=st.floats(1e-4, 1e4), bits=st.integers(2, 16), signed=st.booleans())
def test_fitting_fraction_is_the_largest_that_does_not_saturate(peak: float, bits: int, signed: bool) -> None:
    values = torch.tensor([peak], dtype=torch.float64)
    largest = 2 ** (bits - 1 if signed else bits) - 1
    fraction = fitting_fraction(values, bits, signed=signed)
    assert round(peak * 2.0**fraction) <= largest
    assert round(peak * 2.0 ** (fraction + 1)) > largest


def test_all_zeros_have_a_scale() -> None:
    assert fitting_fraction(torch.zeros(3), 4, signed=True) == 3
    assert best_fraction(torch.zeros(3), 4, signed=False) >= 4


def test_an_outlier_does_not_take_all_levels() -> None:
    values = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    values[0] = 20.0
    assert fitting_fraction(values, 3, signed=True) == -3
    assert best_fraction(values, 3, signed=True) in (0, 1)


def test_an_outlying_channel_does_not_silence_the_others() -> None:
    weight = torch.randn((16, 1, 3, 3), generator=torch.Generator().manual_seed(1))
    weight[5] *= 100.0
    coarse = best_fraction(weight, 2, signed=True)
    found = best_fraction(weight, 2, signed=True, importance=channel_importance(weight))
    alone = best_fraction(torch.cat([weight[:5], weight[6:]]), 2, signed=True)
    assert coarse <= -4
    assert found == alone
    assert abs(found) <= 1


def test_importance_of_dead_channels_is_finite() -> None:
    importance = channel_importance(torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))
    assert importance.flatten().tolist() == [1.0, 1.0, 0.25]
    assert bool(torch.isfinite(channel_importance(torch.zeros(3, 2))).all())


@given(seed=st.integers(0, 1000), bits=st.integers(2, 8), signed=st.booleans())
def test_best_fraction_beats_its_neighbours(seed: int, bits: int, signed: bool) -> None:
    values = torch.randn(500, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    values = values if signed else values.relu()
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)

    def error(fraction: int) -> float:
        return float(((values * 2.0**fraction).round().clamp(lowest, highest) * 2.0**-fraction - values).square().mean())

    found = best_fraction(values, bits, signed=signed)
    assert error(found) <= min(error(found - 1), error(found + 1))


def residual(scale: float) -> tuple[DeployedNetwork, LayerGraph]:
    """A network with an add, one of whose operands is ``scale`` times smaller than the other."""
    builder = TableBuilder(1, DIGITS)
    x = builder.input((1, 8, 8))
    branch = builder.convolution("branch", x, Op.CONV1D, channels=4, kernel=(1, 3), weight_bits=8, output_bits=8, relu=False)
    shortcut = builder.convolution("shortcut", x, Op.CONV1D, channels=4, kernel=(1, 1), weight_bits=8, output_bits=8, relu=False)
    joined = builder.add("join", branch, shortcut, output_bits=6, relu=True)
    builder.dense("head", builder.global_pool("pool", joined, output_bits=8), features=10, weight_bits=6, output_bits=None, relu=False)
    graph = builder.build().graph(0)
    folded = FloatNetwork(graph, torch.Generator().manual_seed(0)).fold()
    folded["shortcut"] = FoldedLayer(folded["shortcut"].weight * scale, folded["shortcut"].bias * scale)
    network = build(graph, task_record("digits"))
    calibrate(network, folded, torch.rand(64, 8, 8))
    return extract(network), graph


@pytest.mark.parametrize("scale", [1.0, 2.0**-6, 2.0**-20, 2.0**20])
def test_the_operands_of_an_add_stay_within_its_accumulator(scale: float) -> None:
    deployed, graph = residual(scale)
    first, second = deployed.format("branch"), deployed.format("shortcut")
    assert abs(first.fraction - second.fraction) + 8 + 1 <= graph["join"].accumulator_bits
    trace = deployed.trace(np.random.default_rng(0).integers(0, 17, (50, 8, 8)).astype(np.uint8))
    common = max(first.fraction, second.fraction)
    total = (trace["branch"] << (common - first.fraction)) + (trace["shortcut"] << (common - second.fraction))
    assert int(np.abs(total).max()) < 2 ** (graph["join"].accumulator_bits - 1)


def test_a_large_bias_coarsens_the_weights_rather_than_saturate() -> None:
    builder = TableBuilder(1, DIGITS)
    builder.dense("head", builder.input((1, 8, 8)), features=10, weight_bits=8, output_bits=None, relu=False)
    graph = builder.build().graph(0)
    network = build(graph, task_record("digits"))
    bias = torch.linspace(-100.0, 100.0, 10)
    calibrate(network, {"head": FoldedLayer(torch.full((10, 64), 0.01), bias)}, torch.rand(16, 8, 8))
    deployed = extract(network)
    own = deployed.integers["head"]
    assert own.bias is not None
    np.testing.assert_allclose(own.bias * 2.0**-own.output.fraction, bias.numpy(), atol=2.0**-own.output.fraction)
