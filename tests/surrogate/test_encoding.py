"""Distances of the embedding: masked where inactive, Hamming-like where categorical."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.space.design_space import DesignSpace
from codesign.space.parameters import Condition, Half, categorical, integer, ordinal
from codesign.surrogate.encoding import ACTIVITY_STEP, Encoding

SPACE = DesignSpace(
    [
        integer("net.blocks", 1, 2, Half.NETWORK),
        ordinal("net.width", (4, 8, 16), Half.NETWORK, conditions=(Condition("net.blocks", (2,)),)),
        categorical("net.kind", ("a", "b", "c"), Half.NETWORK, conditions=(Condition("net.blocks", (2,)),)),
        categorical("array.mode", ("x", "y", "z"), Half.ACCELERATOR),
        ordinal("array.fixed", (7,), Half.ACCELERATOR),
    ]
)


def distance(first: list[int], second: list[int], parameter: str) -> float:
    encoding = Encoding.build(SPACE)
    rows = encoding.embed(np.array([first, second], dtype=np.int16))
    own = encoding.group == list(encoding.columns).index(SPACE.column(parameter))
    return float(np.linalg.norm((rows[0] - rows[1])[own]))


@pytest.mark.parametrize(
    ("first", "second", "parameter", "expected"),
    [
        ([1, 0, 0, 0, 0], [1, 2, 0, 0, 0], "net.width", 1.0),
        ([1, 0, 0, 0, 0], [1, 1, 0, 0, 0], "net.width", 0.5),
        ([1, 0, 0, 0, 0], [1, 0, 1, 0, 0], "net.kind", 1.0),
        ([1, 0, 0, 0, 0], [1, 0, 2, 0, 0], "net.kind", 1.0),
        ([1, 0, 0, 0, 0], [1, 0, 0, 2, 0], "array.mode", 1.0),
        ([0, -1, -1, 0, 0], [0, -1, -1, 0, 0], "net.width", 0.0),
        ([0, -1, -1, 0, 0], [1, 1, 0, 0, 0], "net.width", ACTIVITY_STEP),
        ([0, -1, -1, 0, 0], [1, 2, 0, 0, 0], "net.width", np.hypot(0.5, ACTIVITY_STEP)),
        ([0, -1, -1, 0, 0], [1, 0, 1, 0, 0], "net.kind", np.hypot(np.sqrt(0.5), ACTIVITY_STEP)),
    ],
)
def test_distance_along_one_parameter(first: list[int], second: list[int], parameter: str, expected: float) -> None:
    assert distance(first, second, parameter) == pytest.approx(expected)


def test_parameters_with_one_value_have_no_column() -> None:
    encoding = Encoding.build(SPACE)
    assert [SPACE.names[column] for column in encoding.columns] == ["net.blocks", "net.width", "net.kind", "array.mode"]
    assert encoding.group.tolist() == [0, 1, 1, 2, 2, 2, 2, 3, 3, 3]
    assert encoding.parameters == 4


def test_one_half_sees_nothing_of_the_other() -> None:
    encoding = Encoding.build(SPACE, Half.NETWORK)
    rows = encoding.embed(np.array([[1, 0, 0, 0, 0], [1, 0, 0, 2, 0]], dtype=np.int16))
    np.testing.assert_array_equal(rows[0], rows[1])


def test_embedding_of_nothing_has_the_right_shape() -> None:
    encoding = Encoding.build(SPACE)
    assert encoding.embed(np.empty((0, 5), dtype=np.int16)).shape == (0, 10)
