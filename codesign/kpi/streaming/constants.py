"""Multiplications by constants: what HLS builds where every weight is known and has logic of its own.

A product of one input and one constant is built once, however many outputs use it; of a constant and its negative each. It costs nothing for a power of two,
an adder for a constant of two non-zero canonical signed digits, and more for others; wide ones go to a DSP block.

Notation: q units; ``levels`` are integers of weights at their width.

.. [CSD] Avizienis, Signed-digit number representations for fast parallel arithmetic, IRE Trans. EC-10 (1961).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codesign.kpi.template_model import FloatArray

LARGEST_LEVEL = 1 << 17
"""Levels beyond this are counted like it; weights of 18 bits and more."""
SMALLEST_IN_DSP = 12
"""Vivado HLS 2020.1 builds constants below this from adders whatever their digits (HLS estimates of unrolled dense layers)."""


class ConstantProducts(NamedTuple):
    """Distinct products of an input and a constant, each (q,) or a number.

    Attributes:
        two: constants of two digits: one adder.
        hard: of three and more: multipliers for HLS.
        dsp: those of them that reach a DSP block.
    """

    two: FloatArray
    hard: FloatArray
    dsp: FloatArray


@cache
def _running_counts() -> ConstantProducts:
    """How many of 1, 2, ..., v are of each class, for v up to `LARGEST_LEVEL`."""
    level = np.arange(LARGEST_LEVEL + 1)
    digits = signed_digits(level)
    classes = (digits == 2, digits >= 3, (digits >= 3) & (level >= SMALLEST_IN_DSP))
    return ConstantProducts(*(np.cumsum(member).astype(np.float64) for member in classes))


def signed_digits(levels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Non-zero digits of integers (any shape) in canonical signed-digit form: ones of v xor 3v [CSD]_."""
    positive = np.abs(levels).astype(np.uint64)
    return np.asarray(np.bitwise_count(positive ^ (3 * positive)), dtype=np.int64)


def expected_products(n_in: FloatArray, n_out: FloatArray, weight_bits: FloatArray, peak: FloatArray, nonzero: FloatArray) -> ConstantProducts:
    """The same, expected of weights that are spread evenly between minus and plus their largest.

    Args:
        n_in: inputs (q,).
        n_out: outputs (q,).
        weight_bits: width with sign (q,).
        peak: largest weight over full scale (q,), in (0, 1].
        nonzero: share of weights that are not zero (q,).
    """
    span = np.minimum(peak * 2.0 ** (weight_bits - 1.0), LARGEST_LEVEL)
    top = np.minimum(np.floor(span + 0.5), LARGEST_LEVEL).astype(np.int64)
    chance = np.minimum(1.0 / (2.0 * span), 1.0)
    distinct = 2.0 * n_in * (1.0 - (1.0 - chance) ** (n_out * nonzero))
    return ConstantProducts(*(distinct * counts[top] for counts in _running_counts()))
