"""Shares of a sample, with their intervals."""

from __future__ import annotations

import numpy as np

from codesign.estimate import Estimate, Evidence


def share(value: float, samples: int, evidence: Evidence, source: str) -> Estimate:
    """A share of samples as a figure."""
    low, high = wilson_interval(value, samples)
    return Estimate(value, "1", low, high, evidence, f"{source}, {samples} samples")


def wilson_interval(share: float, samples: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a binomial share (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927), always containing the share."""
    centre = (share + z * z / (2 * samples)) / (1 + z * z / samples)
    half = z / (1 + z * z / samples) * float(np.sqrt(share * (1 - share) / samples + z * z / (4 * samples * samples)))
    return min(max(0.0, centre - half), share), max(min(1.0, centre + half), share)
