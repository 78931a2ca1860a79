"""Estimates carry unit, interval and evidence, and refuse nonsense."""

from __future__ import annotations

import math

import pytest

from codesign.estimate import Estimate, Evidence


def test_relative_interval_is_a_factor_either_way() -> None:
    estimate = Estimate.relative(10.0, "us", 0.25, Evidence.ANALYTIC, "model")
    assert (estimate.low, estimate.high) == (8.0, 12.5)


def test_round_trip_through_plain_types() -> None:
    estimate = Estimate(0.8, "1", 0.75, 0.85, Evidence.TRAINED, "validation split")
    assert Estimate.from_dict(estimate.as_dict()) == estimate
    assert Estimate.exact(3.0, "count", Evidence.CSIM).low == 3.0


@pytest.mark.parametrize(("value", "low", "high"), [(1.0, 1.1, 2.0), (3.0, 1.0, 2.0), (math.nan, 0.0, 1.0), (1.0, 0.0, math.inf)])
def test_nonsense_is_refused(value: float, low: float, high: float) -> None:
    with pytest.raises(ValueError, match=r"estimate with a number|does not contain"):
        Estimate(value, "us", low, high, Evidence.ANALYTIC)
