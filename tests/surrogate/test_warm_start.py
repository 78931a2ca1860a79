"""Starts follow from the evidence alone, in whatever portions it was told."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.surrogate.encoding import NoParameters
from codesign.surrogate.prior import Designs, Predictor
from codesign.surrogate.warm_start import FIRST, Starts, WarmStarts, checkpoint

X = np.random.default_rng(0).uniform(-1.0, 1.0, (80, 2))
Y = np.exp(np.sin(3.0 * X[:, 0]) + 0.1 * np.random.default_rng(1).normal(size=80))


def predictor(count: int, starts: Starts) -> Predictor:
    nothing = np.full(count, np.nan)
    return Predictor(NoParameters(), Designs(np.empty((count, 0), dtype=np.intp), X[:count], nothing, nothing), Y[:count], log=True, starts=starts)


@pytest.mark.parametrize(("count", "found"), [(FIRST, None), (FIRST + 1, FIRST), (100, 50), (101, 100), (200, 100), (201, 200), (1000, 200)])
def test_checkpoints_are_fixed(count: int, found: int | None) -> None:
    assert checkpoint(count) == found


def test_a_fresh_object_starts_where_the_live_one_did() -> None:
    live = WarmStarts(predictor)
    for count in (20, 51, 60, 70, 79):
        last = predictor(count, live.at(count))
    fresh = predictor(79, WarmStarts(predictor).at(79))
    for mean, theta in last.thetas.items():
        np.testing.assert_array_equal(theta, fresh.thetas[mean])


def test_the_optimum_is_the_cold_one() -> None:
    warm, cold = predictor(80, WarmStarts(predictor).at(80)), predictor(80, {})
    asked = Designs(np.empty((5, 0), dtype=np.intp), X[:5] + 0.05, np.full(5, np.nan), np.full(5, np.nan))
    np.testing.assert_allclose(warm.predict(asked).mean, cold.predict(asked).mean, atol=0.01)
