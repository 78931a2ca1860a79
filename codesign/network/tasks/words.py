"""From features to data words: standardise each coefficient, then one byte with five fraction bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.network.tasks.task import Standardisation

FRACTION_BITS = 5
"""Standardised features are cut to [-4, 4): five fraction bits of a signed byte."""
ZERO_POINT = 128
SMALLEST_DEVIATION = 1e-9
"""A coefficient that never changes is centred, not divided by zero."""


def standardisation(features: NDArray[np.float64]) -> Standardisation:
    """Mean and standard deviation of each coefficient of features n x f x c; give it the training split only."""
    return Standardisation(features.mean(axis=(0, 1)), np.maximum(features.std(axis=(0, 1)), SMALLEST_DEVIATION))


def to_words(features: NDArray[np.float64], scale: Standardisation) -> NDArray[np.uint8]:
    """Bytes of features n x f x c: ``clip(round(32 (x - mean) / deviation) + 128, 0, 255)``, half to even."""
    rounded: NDArray[np.float64] = np.rint((features - scale.mean) / scale.deviation * 2**FRACTION_BITS)
    return np.clip(rounded + ZERO_POINT, 0, 255).astype(np.uint8)
