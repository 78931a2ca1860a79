from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.kpi.memory import bram18


def blocks(words: float, bits: float) -> float:
    return float(bram18(np.array([float(words)]), np.array([float(bits)]))[0])


@pytest.mark.parametrize(
    ("words", "bits", "expected"),
    [(512, 36, 1), (513, 36, 2), (512, 37, 2), (1024, 18, 1), (16384, 1, 1), (16385, 1, 2), (2048, 8, 1), (1, 512, 15), (0, 8, 0), (100, 0, 0)],
)
def test_known_shapes(words: int, bits: int, expected: int) -> None:
    assert blocks(words, bits) == expected


@given(st.integers(1, 40000), st.integers(1, 3000), st.integers(0, 500), st.integers(0, 100))
def test_never_fewer_blocks_for_more_words_or_bits_and_never_less_than_the_capacity(words: int, bits: int, more_words: int, more_bits: int) -> None:
    found = blocks(words, bits)
    assert found >= words * bits / (18 * 1024)
    assert blocks(words + more_words, bits + more_bits) >= found
    assert blocks(words, bits) <= blocks(words, 1) * bits
