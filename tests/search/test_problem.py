"""Objectives in natural units and in model space."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codesign.errors import InputError
from codesign.search.problem import Objective, Pool, Priced, SearchProblem
from tests.search.toy_problem import toy_problem

PROBLEM = toy_problem()
VALUES = np.array([[0.8, 100.0, 3.0], [0.9, 1000.0, 0.5]])


def test_model_space_minimises_and_takes_logarithms() -> None:
    model = PROBLEM.to_model(VALUES)
    np.testing.assert_allclose(model, np.column_stack([-VALUES[:, 0], np.log(VALUES[:, 1:])]))
    np.testing.assert_allclose(PROBLEM.to_natural(model), VALUES)
    np.testing.assert_allclose(PROBLEM.to_model(VALUES[0]), model[0])


def test_a_maximised_logarithm_keeps_its_order() -> None:
    throughput = SearchProblem(PROBLEM.space, (PROBLEM.objectives[0], Objective("throughput_per_s", True, False, True)), PROBLEM.price)
    model = throughput.to_model(np.array([[0.8, 10.0], [0.8, 20.0]]))
    assert model[1, 1] < model[0, 1]
    np.testing.assert_allclose(throughput.to_natural(model)[:, 1], [10.0, 20.0])


def test_a_logarithm_needs_positive_values() -> None:
    with pytest.raises(InputError, match="latency_us = 0 must be positive"):
        PROBLEM.to_model(np.array([[0.8, 0.0, 1.0]]))


def test_an_offset_lets_a_logarithm_take_zero() -> None:
    counts = SearchProblem(PROBLEM.space, (PROBLEM.objectives[0], Objective("dsp", False, False, True, limit=7.0, offset=1.0)), PROBLEM.price)
    values = np.array([[0.8, 0.0], [0.9, 9.0]])
    model = counts.to_model(values)
    np.testing.assert_allclose(model[:, 1], np.log([1.0, 10.0]))
    np.testing.assert_allclose(counts.to_natural(model), values)
    np.testing.assert_allclose(counts.to_natural(counts.reference_in_model(model)), [0.8, 7.0])
    with pytest.raises(InputError, match="dsp = -1 must be above -1"):
        counts.to_model(np.array([[0.8, -1.0]]))


@pytest.mark.parametrize(("evaluated", "log"), [(True, True), (False, False)])
def test_an_offset_is_for_priced_logarithms_only(evaluated: bool, log: bool) -> None:
    with pytest.raises(InputError, match="dsp has an offset"):
        SearchProblem(PROBLEM.space, (PROBLEM.objectives[0], Objective("dsp", False, evaluated, log, offset=1.0)), PROBLEM.price)


def test_reference_is_the_worst_seen_within_the_limits() -> None:
    seen = PROBLEM.to_model(VALUES)
    np.testing.assert_allclose(PROBLEM.to_natural(PROBLEM.reference_in_model(seen)), [0.8, 1000.0, 3.0])
    accuracy, latency, energy = PROBLEM.objectives
    limited = replace(PROBLEM, objectives=(replace(accuracy, limit=0.85), replace(latency, limit=500.0), energy))
    np.testing.assert_allclose(limited.to_natural(limited.reference_in_model(seen)), [0.85, 500.0, 3.0])
    given = replace(PROBLEM, reference=np.array([0.1, 1e4, 9.0]))
    np.testing.assert_allclose(given.to_natural(given.reference_in_model(seen)), [0.1, 1e4, 9.0])


@pytest.mark.parametrize("count", [1, 6])
def test_two_to_five_objectives(count: int) -> None:
    objectives = tuple(Objective(f"o{number}", False, True, False) for number in range(count))
    with pytest.raises(InputError, match="Give 2 to 5 different objectives"):
        SearchProblem(PROBLEM.space, objectives, PROBLEM.price)


def test_reference_has_one_value_per_objective() -> None:
    with pytest.raises(InputError, match=r"reference point of shape \(2,\) for 3 objectives"):
        replace(PROBLEM, reference=np.zeros(2))


def test_pools_join_and_select_with_their_prices() -> None:
    indices = PROBLEM.space.sample(6, np.random.default_rng(0))
    whole = PROBLEM.pool(indices)
    joined = Pool.join([whole.rows(np.arange(2)), whole.rows(np.arange(2, 6))])
    np.testing.assert_array_equal(joined.priced.prior, whole.priced.prior)
    np.testing.assert_array_equal(joined.priced.reasons["macs"], whole.priced.reasons["macs"])
    assert len(joined) == len(joined.priced) == 6


def test_a_limit_that_only_some_designs_have_is_far_from_the_others() -> None:
    whole = PROBLEM.price(PROBLEM.space.sample(4, np.random.default_rng(0)))
    other = replace(whole, reasons={"io_parallel": np.full(4, 2.0)})
    joined = Priced.join([whole, other])
    assert set(joined.reasons) == {*whole.reasons, "io_parallel"}
    assert joined.reasons["io_parallel"].tolist() == [0.0] * 4 + [2.0] * 4
