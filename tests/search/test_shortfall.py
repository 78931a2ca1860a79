"""Expected shortfall below a bound, of normal and log-normal values."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign.search.shortfall import expected_below
from codesign.search.volume import Axis

AXES = {
    "as it is": Axis(exponential=False, sign=1.0, offset=0.0),
    "log-normal": Axis(exponential=True, sign=1.0, offset=0.0),
    "log-normal with offset": Axis(exponential=True, sign=1.0, offset=1.0),
    "log-normal, maximised": Axis(exponential=True, sign=-1.0, offset=0.0),
}
MEAN, STD = np.array([0.2, -0.7, 1.5, 0.4]), np.array([0.3, 0.05, 0.8, 0.0])


@pytest.fixture(params=list(AXES), name="axis")
def each_axis(request: pytest.FixtureRequest) -> Axis:
    return AXES[request.param]


def bounds(axis: Axis) -> NDArray[np.float64]:
    return np.sort(np.asarray(axis.of(np.array([-2.0, -0.7, 0.1, 0.4, 0.9, 2.5]))))


def test_closed_form_equals_monte_carlo(axis: Axis) -> None:
    values = axis.of(MEAN[:, None] + STD[:, None] * np.random.default_rng(0).standard_normal((len(MEAN), 200_000)))
    closed = expected_below(axis, bounds(axis), MEAN, STD)
    for column, bound in enumerate(bounds(axis)):
        short = np.maximum(bound - values, 0.0)
        error = short.std(axis=1) / np.sqrt(values.shape[1])
        assert (np.abs(closed[:, column] - short.mean(axis=1)) <= 4.0 * error + 1e-12).all()


def test_without_uncertainty_it_is_the_shortfall(axis: Axis) -> None:
    closed = expected_below(axis, bounds(axis), MEAN, np.zeros(4))
    np.testing.assert_allclose(closed, np.maximum(bounds(axis)[None, :] - axis.of(MEAN)[:, None], 0.0), atol=1e-12)
    nearly = expected_below(axis, bounds(axis), MEAN, np.full(4, 1e-9))
    np.testing.assert_allclose(nearly, closed, atol=1e-7)


def test_no_value_lies_below_an_infinite_bound(axis: Axis) -> None:
    np.testing.assert_array_equal(expected_below(axis, np.array([-np.inf]), MEAN, STD), 0.0)


def test_bounds_that_a_positive_value_cannot_pass() -> None:
    np.testing.assert_array_equal(expected_below(AXES["log-normal"], np.array([-1.0, 0.0]), MEAN, STD), 0.0)
    certain = expected_below(AXES["log-normal, maximised"], np.array([0.0, 2.0]), MEAN, STD)
    np.testing.assert_allclose(certain, np.exp(-MEAN + 0.5 * STD**2)[:, None] + np.array([0.0, 2.0]))


def test_axes_of_model_space_change_nothing() -> None:
    values = np.array([[1.0, -2.0]])
    assert AXES["as it is"].of(values) is values
    np.testing.assert_allclose(AXES["log-normal with offset"].of(np.log(np.array([3.0]))), 2.0)
    np.testing.assert_allclose(AXES["log-normal, maximised"].of(-np.log(np.array([3.0]))), -3.0)
