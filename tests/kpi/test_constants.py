from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.kpi.streaming.constants import SMALLEST_IN_DSP, ConstantProducts, expected_products, signed_digits


def count_products(levels: NDArray[np.int64]) -> ConstantProducts:
    """The distinct products of a layer whose weights are known, inputs x outputs."""
    distinct = {(row, int(level)) for row, levels_of_input in enumerate(levels) for level in levels_of_input}
    digits = [(abs(level), digits_by_hand(level)) for _, level in distinct]
    counted = (sum(n == 2 for _, n in digits), sum(n >= 3 for _, n in digits), sum(n >= 3 and level >= SMALLEST_IN_DSP for level, n in digits))
    return ConstantProducts(*(np.asarray(number, dtype=np.float64) for number in counted))


def digits_by_hand(value: int) -> int:
    """Non-zero digits of the canonical signed-digit form, by its recursive definition."""
    count, rest = 0, abs(value)
    while rest:
        if rest & 1:
            digit = 2 - (rest & 3)
            rest -= digit
            count += 1
        rest >>= 1
    return count


@given(st.integers(-(2**40), 2**40))
def test_digits_are_those_of_the_definition(value: int) -> None:
    assert signed_digits(np.array([value]))[0] == digits_by_hand(value)


def test_a_product_is_counted_once_for_each_input_and_constant() -> None:
    # first input: 3 twice and -3 once (two digits each), 8 (none); second: 11 and 13 (three digits, 13 reaches a DSP), 0
    levels = np.array([[3, 3, -3, 8], [11, 13, 0, 13]])
    assert [float(value) for value in count_products(levels)] == [2.0, 2.0, 1.0]


@pytest.mark.parametrize(("bits", "n_in", "n_out"), [(4, 64, 16), (6, 64, 16), (8, 32, 32), (12, 20, 20)])
def test_the_expectation_is_the_mean_over_random_weights(bits: int, n_in: int, n_out: int) -> None:
    rng = np.random.default_rng(bits)
    limit = 2 ** (bits - 1) - 1
    counted = np.mean([count_products(np.rint(rng.uniform(-limit, limit, (n_in, n_out))).astype(np.int64)) for _ in range(20)], axis=0)
    expected = expected_products(*(np.float64(value) for value in (n_in, n_out, bits, limit / 2 ** (bits - 1), 1.0)))
    assert np.array(expected) == pytest.approx(counted, rel=0.12, abs=8)


def test_zeros_and_narrow_ranges_need_fewer_products() -> None:
    full = expected_products(*(np.float64(value) for value in (64, 32, 8, 1.0, 1.0)))
    sparse = expected_products(*(np.float64(value) for value in (64, 32, 8, 1.0, 0.2)))
    small = expected_products(*(np.float64(value) for value in (64, 32, 8, 0.25, 1.0)))
    assert sparse.hard < full.hard and small.hard < full.hard
