"""How far a predictor can be trusted: errors, rank agreement and interval coverage against what was measured.

Works on leave-one-out predictions and on held-out ones. Numpy alone, so that a report needs no model library.

Intervals that miss are recalibrated: their half-width at each level becomes the conformal quantile of the standardised
leave-one-out residuals, ranks instead of a fitted scale, so that single wild residuals move only the highest level.
They are then judged by cross-fitting: half-widths from the even rows on the odd ones, and the other way round. Residuals
that are alike in law pass whatever that law is [Lei2018]_: the verdict is on coverage, not on how wide the intervals are.

.. [Kendall1945] M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33(3), 1945 (tau-b).
.. [Lei2018] J. Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 113, 2018: locally weighted
   conformal intervals from residuals over their estimated spread.
.. [Barber2021] R. F. Barber et al., "Predictive inference with the jackknife+", Annals of Statistics 49(1), 2021.
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
FEWEST_POINTS = 10
"""Below this a coverage says nothing: three binomial standard errors span most of 0 to 1."""
FEWEST_RESIDUALS = 20
"""Residuals below which their highest rank does not reach the 95 % level."""
MISS = 2.0
"""Binomial standard errors off nominal, at any level, from which intervals are recalibrated."""
TOLERANCE = 3.0
"""Binomial standard errors off nominal within which a coverage counts as calibrated."""


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

    @property
    def errors_off(self) -> float:
        """Distance from nominal in binomial standard errors."""
        return abs(self.observed - self.level) / self.binomial_error


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

    @property
    def calibrated(self) -> bool | None:
        """Every level within `TOLERANCE` binomial errors of nominal; None with fewer than `FEWEST_POINTS` points."""
        return None if self.count < FEWEST_POINTS else all(level.errors_off <= TOLERANCE for level in self.coverage)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Recalibration:
    """Half-widths of intervals, in predicted standard deviations, that held for ``count`` residuals.

    Attributes:
        distance: one per level of `LEVELS`, not falling.
        count: residuals they come from.
    """

    distance: tuple[float, ...]
    count: int

    def half_width(self, level: float) -> float:
        """In predicted standard deviations.

        Raises:
            ValueError: not one of `LEVELS`.
        """
        return self.distance[LEVELS.index(level)]

    @classmethod
    def of(cls, standard: FloatArray) -> Recalibration:
        """From residuals over their predicted standard deviations (n,) [Lei2018]_, left-out ones as in [Barber2021]_.

        Raises:
            ValueError: fewer than `FEWEST_RESIDUALS`.
        """
        count = len(standard)
        if count < FEWEST_RESIDUALS:
            raise ValueError(f"{count} residuals, {FEWEST_RESIDUALS} are needed to recalibrate")
        return cls(_half_widths(np.abs(standard)), count)

    def widening(self) -> float:
        """Factor of a standard deviation whose normal 95 % interval is then as wide as the recalibrated one; never below 1."""
        return max(1.0, self.half_width(LEVELS[-1]) / _normal(LEVELS[-1]))


def recalibration(standard: FloatArray) -> Recalibration | None:
    """Half-widths from residuals over their standard deviations (n,), where the normal ones miss; else None."""
    if len(standard) < FEWEST_RESIDUALS:
        return None
    missed = any(_coverage(np.abs(standard), level, _normal(level)).errors_off > MISS for level in LEVELS)
    return Recalibration.of(standard) if missed else None


def calibrate(
    quantity: str, mean: FloatArray, std: FloatArray, measured: FloatArray, *, log: bool, recalibrated: Recalibration | None = None, cross_fit: bool = False
) -> Calibration:
    """Compare n predictions with measurements.

    Args:
        quantity: name of what is predicted.
        mean: (n,) predictions in model space.
        std: (n,) their standard deviations, noise included.
        measured: (n,) in model space.
        log: model space is the logarithm of the quantity.
        recalibrated: half-widths of the intervals; those of the normal distribution where it is None.
        cross_fit: ``recalibrated`` comes from these very residuals, so that coverage is that of half-widths from one half on the other.

    Raises:
        ValueError: no designs, different lengths, or a standard deviation that is not positive.
    """
    count = len(mean)
    if count == 0 or len(std) != count or len(measured) != count or not bool((std > 0.0).all()):
        raise ValueError(f"calibration of {quantity}: {count} means, {len(std)} positive deviations and {len(measured)} measurements are needed")
    natural = np.exp if log else np.asarray
    half_width = half_width_of(0.95, recalibrated) * std
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
        coverage=_cross_fitted(np.abs(standard)) if cross_fit and recalibrated is not None else _covered(np.abs(standard), recalibrated),
        points=tuple(CalibrationPoint(*(float(value) for value in row)) for row in zip(predicted, low, high, truth, strict=True)),
    )


def half_width_of(level: float, recalibrated: Recalibration | None) -> float:
    """Half-width of an interval in predicted standard deviations."""
    return _normal(level) if recalibrated is None else recalibrated.half_width(level)


def _normal(level: float) -> float:
    return NormalDist().inv_cdf(0.5 + 0.5 * level)


def _coverage(distance: FloatArray, level: float, half_width: float) -> Coverage:
    return Coverage(level, float((distance <= half_width).mean()), math.sqrt(level * (1.0 - level) / len(distance)))


def _half_widths(distance: FloatArray) -> tuple[float, ...]:
    """Conformal quantile of distances (n,) at each of `LEVELS`: rank (n + 1) level, the highest where that is above n."""
    count, ordered = len(distance), np.sort(distance)
    return tuple(float(ordered[min(math.ceil((count + 1) * level), count) - 1]) for level in LEVELS)


def _covered(distance: FloatArray, recalibrated: Recalibration | None) -> tuple[Coverage, ...]:
    return tuple(_coverage(distance, level, half_width_of(level, recalibrated)) for level in LEVELS)


def _cross_fitted(distance: FloatArray) -> tuple[Coverage, ...]:
    """Coverage of distances (n,), the even rows by the half-widths of the odd ones and the other way round."""
    relative = np.empty((len(distance), len(LEVELS)))
    for first in (0, 1):
        relative[first::2] = distance[first::2, None] - np.array(_half_widths(distance[1 - first :: 2]))
    return tuple(_coverage(relative[:, column], level, 0.0) for column, level in enumerate(LEVELS))


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
