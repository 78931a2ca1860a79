from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.kpi.reuse_program import Options, ReuseProgram


def random_layers(rng: np.random.Generator, layers: int) -> list[Options]:
    """Layers whose resources mostly fall with the reuse factor, not always: selectors grow."""
    made = []
    for number in range(layers):
        count = int(rng.integers(1, 6))
        reuse = np.sort(rng.choice(np.arange(1, 64), count, replace=False))
        resources = np.column_stack([np.ceil(2000 / reuse + rng.integers(0, 300, count)), np.ceil(100 / reuse)])
        made.append(Options(f"layer{number}", reuse, rng.integers(0, 9, count) + 1.0, reuse * float(rng.integers(1, 9)), resources.astype(np.float64)))
    return made


def brute_force(layers: list[Options], limits: np.ndarray, fill: float, rest: float) -> float | None:
    best = None
    for chosen in itertools.product(*(range(len(layer)) for layer in layers)):
        used = sum(layer.resources[option] for layer, option in zip(layers, chosen, strict=True))
        if (used > limits).any():
            continue
        fills = sum(layer.fill[option] for layer, option in zip(layers, chosen, strict=True))
        rests = max(layer.rest[option] for layer, option in zip(layers, chosen, strict=True))
        latency = float(fill + fills + max(rest, rests))
        best = latency if best is None else min(best, latency)
    return best


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), layers=st.integers(1, 5), share=st.floats(0.05, 1.0), rest=st.sampled_from([0.0, 40.0]))
def test_the_solver_finds_what_brute_force_finds(seed: int, layers: int, share: float, rest: float) -> None:
    rng = np.random.default_rng(seed)
    options = random_layers(rng, layers)
    limits = np.floor(share * sum(layer.resources.max(axis=0) for layer in options))
    program = ReuseProgram(options, fixed_fill=3.0, fixed_rest=rest)
    expected = brute_force(options, limits, 3.0, rest)
    found = program.least_latency(limits)
    assert (found is None) == (expected is None)
    if found is not None:
        assert found.latency == expected
        assert found.bound == found.latency
        assert (found.resources <= limits + 1e-6).all()
        assert set(found.reuse) == {layer.name for layer in options}
        assert all(found.reuse[layer.name] in layer.reuse for layer in options)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), layers=st.integers(1, 4))
def test_the_least_utilisation_is_that_of_brute_force(seed: int, layers: int) -> None:
    rng = np.random.default_rng(seed)
    options = random_layers(rng, layers)
    limits, used = np.array([900.0, 50.0]), np.array([100.0, 5.0])
    setting, share = ReuseProgram(options).least_utilisation(limits, used)
    expected = min(
        float(((sum(layer.resources[option] for layer, option in zip(options, chosen, strict=True)) + used) / limits).max())
        for chosen in itertools.product(*(range(len(layer)) for layer in options))
    )
    assert share == pytest.approx(expected)
    assert ((setting.resources + used) / limits).max() == pytest.approx(share)


def test_equal_latency_goes_to_the_smaller_design() -> None:
    slow = Options("slow", np.array([64]), np.array([1.0]), np.array([640.0]), np.array([[10.0]]))
    free = Options("free", np.array([1, 8, 16]), np.array([1.0, 1.0, 1.0]), np.array([10.0, 80.0, 160.0]), np.array([[160.0], [20.0], [10.0]]))
    found = ReuseProgram([slow, free]).least_latency(np.array([1000.0]))
    assert found is not None and found.reuse == {"slow": 64, "free": 16} and found.latency == 642.0


def test_dominated_options_are_dropped_and_one_of_two_equal_ones_stays() -> None:
    options = Options("layer", np.array([1, 2, 3, 4]), np.array([1.0, 1.0, 1.0, 1.0]), np.array([5.0, 5.0, 4.0, 9.0]), np.array([[3.0], [3.0], [7.0], [3.0]]))
    assert options.without_dominated().reuse.tolist() == [1, 3]


def test_twenty_layers_with_fifty_options_are_solved_to_the_optimum() -> None:
    rng = np.random.default_rng(0)
    layers = []
    for number in range(20):
        reuse = np.arange(1, 51)
        resources = np.column_stack([50_000 / reuse + 200, 20_000 / reuse + rng.integers(0, 50, 50), np.ceil(900 / reuse), np.ceil(reuse / 9)])
        layers.append(Options(f"layer{number}", reuse, np.full(50, 5.0), reuse * float(rng.integers(10, 1000)), resources))
    found = ReuseProgram(layers).least_latency(np.array([120_000.0, 90_000.0, 2_000.0, 600.0]))
    assert found is not None and found.bound == found.latency
