"""Design spaces: conditions, sampling, encoding, ids."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import InputError
from codesign.space.design_space import DesignPoint, DesignSpace, evaluation_seed
from codesign.space.parameters import Condition, Half, Parameter, ParameterKind, categorical, integer, ordinal


def small_space() -> DesignSpace:
    return DesignSpace(
        [
            categorical("family", ("a", "b"), Half.NETWORK),
            integer("a.depth", 1, 3, Half.NETWORK, conditions=(Condition("family", ("a",)),)),
            ordinal("a.width2", (8, 16), Half.NETWORK, conditions=(Condition("a.depth", (2, 3)),)),
            ordinal("b.kernel", (3, 5, 7), Half.NETWORK, conditions=(Condition("family", ("b",)),)),
            ordinal("clock_mhz", (50.0, 100.0), Half.ACCELERATOR),
        ]
    )


def brute_force(space: DesignSpace) -> set[DesignPoint]:
    everything = itertools.product(*(range(len(parameter.values)) for parameter in space.parameters))
    return set(space.points(space.mask(np.array(list(everything), dtype=np.int16))))


def test_size_counts_each_distinct_design_once() -> None:
    space = small_space()
    # a: depth 1 -> 1, depth 2 or 3 -> 2 widths each: 5; b: 3 kernels; two clocks.
    assert space.size() == (5 + 3) * 2 == len(brute_force(space))


def test_sampling_reaches_every_design_and_nothing_else() -> None:
    space = small_space()
    assert set(space.points(space.sample(2000, np.random.default_rng(0)))) == brute_force(space)


def test_points_and_indices_are_inverse() -> None:
    space = small_space()
    rows = space.sample(100, np.random.default_rng(1))
    assert np.array_equal(space.indices(space.points(rows)), rows)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_repair_keeps_valid_values_and_masks_the_rest(seed: int) -> None:
    space = small_space()
    rng = np.random.default_rng(seed)
    crossed = space.sample(20, rng)
    crossed[:, 0] = 1 - crossed[:, 0]
    repaired = space.repair(crossed, rng)
    assert np.array_equal(repaired >= 0, space.active(repaired))
    assert (repaired < space.cardinalities).all()
    assert np.array_equal(repaired[:, 4], crossed[:, 4])


def test_unit_encoding_spans_zero_to_one_and_masks() -> None:
    space = small_space()
    rows = space.indices([space.point({"family": "a", "a.depth": 3, "a.width2": 16, "clock_mhz": 50.0})])
    unit, active = space.unit(rows)
    assert unit.tolist() == [[0.0, 1.0, 1.0, 0.0, 0.0]]
    assert active.tolist() == [[True, True, True, False, True]]


def test_values_give_numbers_for_ordinals_and_indices_for_names() -> None:
    space = small_space()
    rows = space.indices([space.point({"family": "b", "b.kernel": 7, "clock_mhz": 100.0})])
    assert space.values(rows, "b.kernel").tolist() == [7]
    assert space.values(rows, "family").tolist() == [1]
    assert space.values(rows, "clock_mhz").dtype == np.float64


def test_id_is_the_hash_of_the_canonical_json() -> None:
    point = small_space().point({"clock_mhz": 50.0, "family": "b", "b.kernel": 3})
    assert point.canonical_json == '{"b.kernel":3,"clock_mhz":50.0,"family":"b"}'
    assert point.id == hashlib.sha256(point.canonical_json.encode()).hexdigest()[:12]
    assert point["b.kernel"] == 3


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ({"family": "b", "b.kernel": 4, "clock_mhz": 50.0}, "b.kernel = 4 is not in its domain"),
        ({"family": "b", "clock_mhz": 50.0}, "parameter b.kernel has no value"),
        ({"family": "b", "b.kernel": 3, "a.depth": 1, "clock_mhz": 50.0}, "parameter a.depth is inactive"),
        ({"family": "b", "b.kernel": 3, "clok": 1, "clock_mhz": 50.0}, "unknown parameter clok"),
    ],
)
def test_a_wrong_assignment_is_told(assignment: dict[str, int | float | str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small_space().point(assignment)


def test_space_refuses_repeated_names_and_bad_conditions() -> None:
    depth = integer("depth", 1, 3, Half.NETWORK)
    with pytest.raises(InputError, match="parameter depth appears twice"):
        DesignSpace([depth, depth])
    with pytest.raises(InputError, match="not declared before it"):
        DesignSpace([integer("width", 1, 3, Half.NETWORK, conditions=(Condition("depth", (1,)),)), depth])
    with pytest.raises(InputError, match="can never be active"):
        DesignSpace([depth, integer("width", 1, 3, Half.NETWORK, conditions=(Condition("depth", (9,)),))])


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (ParameterKind.ORDINAL, (), "no values"),
        (ParameterKind.ORDINAL, (3, 3), "repeats"),
        (ParameterKind.ORDINAL, (5, 3), "increasing"),
        (ParameterKind.CATEGORICAL, (1, 2), "text"),
    ],
)
def test_parameter_refuses_bad_domains(kind: ParameterKind, values: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Parameter("p", kind, values, Half.NETWORK)


def test_seeds_depend_on_study_point_and_replicate_only() -> None:
    seeds = {evaluation_seed(study, point, replicate) for study in (1, 2) for point in ("a", "b") for replicate in (0, 1)}
    assert len(seeds) == 8
    assert evaluation_seed(1, "a") == evaluation_seed(1, "a", 0)
    assert all(0 <= seed < 2**31 for seed in seeds)
