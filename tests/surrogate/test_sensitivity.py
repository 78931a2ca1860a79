"""Sobol indices against functions whose indices are known, conditional parameters among them; relevance of inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign.space.design_space import DesignSpace, Indices
from codesign.space.parameters import Condition, Half, categorical, integer
from codesign.surrogate.encoding import Encoding
from codesign.surrogate.prior import Designs, Predictor
from codesign.surrogate.sensitivity import Sensitivity, relevances, sobol_indices
from codesign.surrogate.threads import single_thread

FloatArray = NDArray[np.float64]
SAMPLES = 4096


def one(function: Callable[[Indices], FloatArray], space: DesignSpace, **options: object) -> Sensitivity:
    (found,) = sobol_indices(lambda indices: function(indices)[:, None], space, samples=SAMPLES, **options)  # type: ignore[arg-type]
    return found


def check(found: Sensitivity, first: dict[str, float], total: dict[str, float], tolerance: float = 0.035) -> None:
    for name, expected in first.items():
        index = found[name]
        assert index.first == pytest.approx(expected, abs=tolerance)
        assert index.total == pytest.approx(total[name], abs=tolerance)
        assert index.first_low <= index.first <= index.first_high
        assert index.total_low <= index.total <= index.total_high


LEVELS = (2, 5, 9, 4)
SPACE = DesignSpace([integer(f"x{number}", 0, levels - 1, Half.NETWORK) for number, levels in enumerate(LEVELS)])


def test_an_additive_function_has_no_interactions() -> None:
    """V_i = c_i^2 (k_i^2 - 1) / 12 of a uniform integer with k_i values."""
    weights = np.array([5.0, 2.0, -1.0, 0.0])
    parts = weights**2 * (np.array(LEVELS) ** 2 - 1) / 12.0
    shares = {f"x{number}": float(part) for number, part in enumerate(parts / parts.sum())}
    found = one(lambda indices: indices @ weights + 100.0, SPACE)
    check(found, shares, shares)
    assert found.std == pytest.approx(np.sqrt(parts.sum()), rel=0.03)
    assert found.evaluations == SAMPLES * (len(LEVELS) + 2)
    assert [index.total for index in found.indices] == sorted((index.total for index in found.indices), reverse=True)
    assert found["x3"].total == 0.0


def test_a_product_is_all_interaction() -> None:
    """f = (x0 - 1/2)(x1 - 2): no main effects, both total indices 1."""
    found = one(lambda indices: (indices[:, 0] - 0.5) * (indices[:, 1] - 2.0), SPACE)
    check(found, {"x0": 0.0, "x1": 0.0, "x2": 0.0}, {"x0": 1.0, "x1": 1.0, "x2": 0.0})


def test_the_function_of_ishigami() -> None:
    """On a fine grid; T. Ishigami and T. Homma, ISUMA 1990, with a = 7, b = 0.1."""
    levels = 1001
    space = DesignSpace([integer(name, 0, levels - 1, Half.NETWORK) for name in "abc"])

    def ishigami(indices: Indices) -> FloatArray:
        x = -np.pi + 2.0 * np.pi * (indices + 0.5) / levels
        return np.asarray(np.sin(x[:, 0]) + 7.0 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0]))

    check(one(ishigami, space), {"a": 0.3139, "b": 0.4424, "c": 0.0}, {"a": 0.5576, "b": 0.4424, "c": 0.2437}, tolerance=0.05)


CONDITIONAL = DesignSpace(
    [
        integer("depth", 1, 2, Half.NETWORK),
        integer("width", 0, 4, Half.NETWORK, conditions=(Condition("depth", (2,)),)),
        categorical("kind", ("only",), Half.ACCELERATOR),
    ]
)


def test_a_conditional_parameter_counts_where_it_is_active() -> None:
    """f = width if depth = 2 else 0 with width uniform on 0..4: V = 2, E(V | depth) = 1/2 * 2 = 1."""
    asked: list[Indices] = []

    def function(indices: Indices) -> FloatArray:
        asked.append(indices)
        return np.where(indices[:, 0] == 1, np.maximum(indices[:, 1], 0), 0).astype(np.float64)

    found = one(function, CONDITIONAL)
    variance = 0.5 * 6.0 - 1.0  # E f^2 - (E f)^2
    alone = (0.25 * 2.0) / variance  # V(E(f | width)) = V(width) / 4
    check(found, {"depth": 1.0 / variance, "width": alone}, {"depth": 1.0 - alone, "width": 1.0 / variance}, tolerance=0.06)
    assert {index.name for index in found.indices} == {"depth", "width"}
    for indices in asked:
        np.testing.assert_array_equal(indices >= 0, CONDITIONAL.active(indices))


def test_groups_are_taken_together() -> None:
    found = one(lambda indices: (indices[:, 0] - 0.5) * (indices[:, 1] - 2.0) + indices[:, 2], SPACE, groups={"both": [0, 1], "third": [2]})
    product, third = 0.25 * 2.0, 80.0 / 12.0
    shares = {"both": product / (product + third), "third": third / (product + third)}
    check(found, shares, shares)


def test_a_constant_depends_on_nothing() -> None:
    found = one(lambda indices: np.full(len(indices), 3.0), SPACE)
    assert (found.std, found.indices) == (0.0, ())


def test_several_quantities_share_their_samples() -> None:
    found = sobol_indices(lambda indices: np.stack([indices[:, 0], indices[:, 1]], axis=1).astype(np.float64), SPACE, samples=512)
    assert [own.indices[0].name for own in found] == ["x0", "x1"]


def test_the_same_seed_gives_the_same_indices() -> None:
    assert one(lambda indices: indices[:, 0] * indices[:, 1] * 1.0, SPACE, seed=3) == one(lambda indices: indices[:, 0] * indices[:, 1] * 1.0, SPACE, seed=3)


def test_intervals_cover_the_truth() -> None:
    """First-order and total index of an additive function over many seeds: 95 % intervals miss seldom."""
    weights = np.array([5.0, 2.0, -1.0, 0.0])
    parts = weights**2 * (np.array(LEVELS) ** 2 - 1) / 12.0
    truth = float(parts[1] / parts.sum())
    hits = 0
    for seed in range(40):
        (found,) = sobol_indices(lambda indices: (indices @ weights)[:, None], SPACE, samples=256, seed=seed)
        index = found["x1"]
        hits += (index.first_low <= truth <= index.first_high) + (index.total_low <= truth <= index.total_high)
    assert hits >= 66


def test_what_a_predictor_was_taught_is_relevant() -> None:
    rng = np.random.default_rng(0)
    indices = SPACE.sample(40, rng)
    features = rng.standard_normal((40, 1))
    target = 0.02 * indices[:, 2] ** 2 + 0.001 * rng.standard_normal(40)
    designs = Designs(indices, features, np.full(40, np.nan), np.full(40, np.nan))
    with single_thread():
        found = relevances(Predictor(Encoding.build(SPACE), designs, target, log=False), ("feature",))
        none = relevances(Predictor(Encoding.build(SPACE), designs.rows(np.arange(2)), target[:2], log=False), ("feature",))
    assert none == ()
    assert found[0].name == "x2"
    assert found[0].half == "network"
    assert {own.name for own in found} == {"x0", "x1", "x2", "x3", "feature"}
    assert found[0].std > 3.0 * found[1].std
    assert found[0].std > 0.5 * np.ptp(target) / 2.0
