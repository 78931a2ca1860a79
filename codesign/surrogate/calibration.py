"""How far a predictor can be trusted: errors, rank agreement and interval coverage against what was measured.

Works on leave-one-out predictions and on held-out ones. Numpy alone, so that a report needs no model library.

.. [Kendall1945] M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33(3), 1945 (tau-b).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

LEVELS = (0.50, 0.90, 0.95)


@dataclass(frozen=True)
class Coverage:
    """Share of measured values inside an interval of one nominal level.

    Attributes:
        level: nominal share.
        observed: share seen.
        binomial_error: standard deviation of ``observed`` if the level holds, sqrt(level (1 - level) / n).
    """

    level: float
    observed: float
    binomial_error: float


@dataclass(frozen=True)
class CalibrationPoint:
    """One design: what was predicted without it, with the 95 % interval, and what was measured; natural units."""

    predicted: float
    low: float
    high: float
    measured: float


@dataclass(frozen=True)
class Calibration:
    """A predictor against measurements.

    Attributes:
        quantity: what is predicted.
        count: number of designs.
        mape: mean absolute error relative to the measured value; None where a measured value is 0.
        mae: mean absolute error, in the quantity's unit.
        spearman, kendall: rank correlations; None where one side is constant.
        nlpd: mean negative log predictive density of the measured values, in model space.
        coverage: of the 50, 90 and 95 % intervals.
        points: every design, for the figure.
    """

    quantity: str
    count: int
    mape: float | None
    mae: float
    spearman: float | None
    kendall: float | None
    nlpd: float
    coverage: tuple[Coverage, ...]
    points: tuple[CalibrationPoint, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def calibrate(quantity: str, mean: FloatArray, std: FloatArray, measured: FloatArray, *, log: bool) -> Calibration:
    """Compare n predictions with measurements.

    Args:
        quantity: name of what is predicted.
        mean: (n,) predictions in model space.
        std: (n,) their standard deviations, noise included.
        measured: (n,) in model space.
        log: model space is the logarithm of the quantity.

    Raises:
        ValueError: no designs, different lengths, or a standard deviation that is not positive.
    """
    count = len(mean)
    if count == 0 or len(std) != count or len(measured) != count or not bool((std > 0.0).all()):
        raise ValueError(f"calibration of {quantity}: {count} means, {len(std)} positive deviations and {len(measured)} measurements are needed")
    natural = np.exp if log else np.asarray
    half_width = NormalDist().inv_cdf(0.975) * std
    predicted, low, high, truth = natural(mean), natural(mean - half_width), natural(mean + half_width), natural(measured)
    error = np.abs(predicted - truth)
    standard = (measured - mean) / std
    return Calibration(
        quantity=quantity,
        count=count,
        mape=float(np.mean(error / np.abs(truth))) if bool((truth != 0.0).all()) else None,
        mae=float(error.mean()),
        spearman=spearman(mean, measured),
        kendall=kendall(mean, measured),
        nlpd=float(np.mean(0.5 * standard**2 + np.log(std) + 0.5 * math.log(2.0 * math.pi))),
        coverage=tuple(_coverage(np.abs(standard), level) for level in LEVELS),
        points=tuple(CalibrationPoint(*(float(value) for value in row)) for row in zip(predicted, low, high, truth, strict=True)),
    )


def _coverage(distance: FloatArray, level: float) -> Coverage:
    inside = distance <= NormalDist().inv_cdf(0.5 + 0.5 * level)
    return Coverage(level, float(inside.mean()), math.sqrt(level * (1.0 - level) / len(distance)))


def _ranks(values: FloatArray) -> FloatArray:
    """Ranks (n,), ties at their mean rank."""
    _, position, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - 0.5 * (counts - 1.0))[position])


def spearman(first: FloatArray, second: FloatArray) -> float | None:
    """Rank correlation of two samples (n,); None where one is constant."""
    ranks = np.stack([_ranks(first), _ranks(second)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    norm = math.sqrt(float((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float(ranks[0] @ ranks[1] / norm) if norm > 0.0 else None


def kendall(first: FloatArray, second: FloatArray) -> float | None:
    """Kendall's tau-b of two samples (n,) [Kendall1945]_; None where one is constant."""
    upper = np.triu_indices(len(first), 1)
    signs = [np.sign(values[:, None] - values[None, :])[upper] for values in (first, second)]
    norm = math.sqrt(float(np.abs(signs[0]).sum() * np.abs(signs[1]).sum()))
    return float(signs[0] @ signs[1] / norm) if norm > 0.0 else None
