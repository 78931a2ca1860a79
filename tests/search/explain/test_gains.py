"""What counts as free when the change is only predicted."""

from __future__ import annotations

import pytest

from codesign.estimate import Evidence
from codesign.search.explain.gains import free_moves
from codesign.search.explain.prices import Change, Move
from codesign.search.problem import Objective
from codesign.space.parameters import Half

LATENCY = Objective("latency_us", maximise=False, evaluated=True, log=True)


def predicted(before: float, after: float, std: float) -> Move:
    change = Change(before, after, after - before, std, None, "us", Evidence.PREDICTED)
    return Move("rows", Half.ACCELERATOR, 2, 4, 2.0, "row", {}, {"latency_us": change}, {}, {}, (), ())


@pytest.mark.parametrize(("scale", "std", "free"), [(1000.0, 0.01, True), (0.001, 0.01, True), (1000.0, 0.1, False), (0.001, 0.1, False)])
def test_a_gain_of_a_log_objective_is_held_against_its_relative_deviation(scale: float, std: float, free: bool) -> None:
    """Ten per cent less, in whatever unit, known to one or to ten per cent."""
    move = predicted(scale, 0.9 * scale, std * scale)
    assert free_moves([move], [LATENCY]) == ((move,) if free else ())
