from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.kpi.memory import bram18, mapped_by_yosys


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


@pytest.mark.parametrize(
    ("words", "bits", "found"),
    # Yosys 0.70, synth_ecp5, each memory alone.
    [(4369, 64, 18), (4369, 56, 16), (1364, 48, 5), (10922, 24, 17), (4681, 28, 10), (2730, 96, 17), (2730, 12, 3), (5461, 16, 6)],
)
def test_memories_are_mapped_as_yosys_maps_them(words: int, bits: int, found: int) -> None:
    assert mapped_by_yosys(np.array([float(words)]), np.array([float(bits)])).blocks[0] == found


def test_a_few_blocks_more_are_taken_for_far_fewer_ranks() -> None:
    # 512 words of 36 bits would take 46 blocks in 23 ranks; Yosys takes 48 in 3.
    found = mapped_by_yosys(np.array([11650.0]), np.array([64.0]))
    assert (found.blocks[0], found.ranks[0]) == (48, 3)
