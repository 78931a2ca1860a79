"""Random networks are usable: valid, not dead, not saturated throughout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from codesign.network.deployed import DeployedNetwork


@pytest.mark.parametrize("blueprint", ["mlp", "tcresnet", "dscnn"])
def test_outputs_use_their_formats(draw_network: Callable[[str, int], DeployedNetwork], blueprint: str) -> None:
    rng = np.random.default_rng(5)
    networks = [draw_network(blueprint, seed) for seed in range(4)]
    samples = rng.integers(0, 32, (40, 8, 8)).astype(np.uint8)
    for network in networks:
        for layer, values in zip(network.graph, network.trace(samples).values(), strict=True):
            target = network.format(layer.name)
            assert values.min() >= target.minimum and values.max() <= target.maximum
        assert len(np.unique(network.run(samples))) > 10
    assert len({network.format("head").fraction for network in networks}) > 1


def test_they_depend_on_the_generator_only(draw_network: Callable[[str, int], DeployedNetwork]) -> None:
    samples = np.arange(64, dtype=np.uint8).reshape(1, 8, 8) % 32
    assert np.array_equal(draw_network("dscnn", 3).run(samples), draw_network("dscnn", 3).run(samples))
