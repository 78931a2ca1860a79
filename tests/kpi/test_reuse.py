from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.kpi.reuse import closest_legal, divisors, largest_legal, legal_reuse_factors


def accepted_by_hls4ml(n_in: int, n_out: int, rf: int) -> bool:
    """The three conditions of hls4ml 1.3, FPGABackend._validate_reuse_factor, as they stand there."""
    limit = math.ceil((n_in * n_out) / min(n_in, rf))
    return (limit % n_out == 0 or rf >= n_in) and (rf % n_in == 0 or rf < n_in) and (n_in * n_out) % rf == 0


@given(st.integers(1, 60), st.integers(1, 40))
def test_legal_factors_are_those_that_hls4ml_keeps(n_in: int, n_out: int) -> None:
    assert list(legal_reuse_factors(n_in, n_out)) == [rf for rf in range(1, n_in * n_out + 1) if accepted_by_hls4ml(n_in, n_out, rf)]


@given(st.integers(1, 60), st.integers(1, 40))
def test_a_divisor_of_the_products_of_a_depthwise_layer_is_legal(kernel: int, channels: int) -> None:
    # hls4ml checks depthwise layers with n_in = kernel * channels and n_out = channels.
    assert all(accepted_by_hls4ml(kernel * channels, channels, rf) for rf in divisors(kernel * channels))


@given(st.lists(st.tuples(st.integers(1, 700), st.integers(1, 130), st.integers(-3, 10**6)), min_size=1, max_size=30))
def test_largest_legal_is_the_last_one_within_the_bound(cases: list[tuple[int, int, int]]) -> None:
    n_in, n_out, bound = (np.array(column, dtype=np.int64)[None, :] for column in zip(*cases, strict=True))
    expected = [max([rf for rf in legal_reuse_factors(a, b) if rf <= limit], default=1) for a, b, limit in cases]
    assert largest_legal(n_in, n_out, bound)[0].tolist() == expected


@given(st.integers(1, 60), st.integers(1, 40), st.integers(-2, 3000))
def test_closest_legal_is_the_nearest_that_hls4ml_accepts(n_in: int, n_out: int, asked: int) -> None:
    accepted = [rf for rf in range(1, n_in * n_out + 1) if accepted_by_hls4ml(n_in, n_out, rf)]
    nearest = min(abs(rf - asked) for rf in accepted)
    assert closest_legal(n_in, n_out, asked) == min(rf for rf in accepted if abs(rf - asked) == nearest)


@pytest.mark.parametrize(("n_in", "n_out", "asked", "taken"), [(4, 1, 3, 2), (16, 4, 24, 16), (16, 4, 48, 32), (16, 4, 25, 32), (6, 5, 1000, 30), (6, 5, 0, 1)])
def test_of_two_equally_close_the_smaller_is_taken(n_in: int, n_out: int, asked: int, taken: int) -> None:
    assert closest_legal(n_in, n_out, asked) == taken


def test_closest_legal_is_that_of_hls4ml() -> None:
    backend = pytest.importorskip("hls4ml.backends.fpga.fpga_backend").FPGABackend
    rule = object.__new__(backend)  # the rule needs nothing that a backend is made with
    for n_in, n_out in [(1, 1), (1, 9), (7, 1), (16, 5), (48, 10), (27, 16), (30, 12)]:
        valid = rule.get_valid_reuse_factors(n_in, n_out)
        assert list(legal_reuse_factors(n_in, n_out)) == valid
        for asked in range(n_in * n_out + 3):
            assert closest_legal(n_in, n_out, asked) == rule.get_closest_reuse_factor(valid, asked)
