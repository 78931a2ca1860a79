from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codesign.kpi.reuse import divisors, largest_legal, legal_reuse_factors


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
