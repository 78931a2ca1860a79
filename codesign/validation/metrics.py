"""How far predictions are from measurements."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from codesign.kpi.template_model import FloatArray


@dataclass(frozen=True)
class Errors:
    """Errors of one key figure; shares and relative errors are fractions (0.1 = 10 %).

    Attributes:
        n: compared rows.
        exact_fraction: rows whose prediction, rounded, is the measurement, rounded.
        median_ape: median of |predicted - measured| / max(measured, 1).
        mape: mean of the same.
        smape: mean of |predicted - measured| / ((predicted + measured) / 2), between 0 and 2; 0 where both are 0.
        bias: median of (predicted - measured) / max(measured, 1).
        within_one: rows whose prediction is at most 1 from the measurement.
        r2: coefficient of determination; None where all measurements are equal.
        spearman: rank correlation; None where all measurements or all predictions are equal.
        coverage_95: rows whose 95 % interval contains the measurement.
    """

    n: int
    exact_fraction: float
    median_ape: float
    mape: float
    smape: float
    bias: float
    within_one: float
    r2: float | None
    spearman: float | None
    coverage_95: float

    def as_dict(self) -> dict[str, float | None]:
        """Plain JSON types."""
        return asdict(self)


HALF = 0.5
"""Counts are whole, means of replicates are not: an interval that ends at a whole number contains what rounds to it."""


def compare(measured: FloatArray, predicted: FloatArray, low: FloatArray, high: FloatArray) -> Errors | None:
    """Errors of predictions with 95 % intervals, all (n,), none negative; None where there is no row.

    .. SMAPE as in [wa-hls4ml] Hawks et al., wa-hls4ml: a benchmark and surrogate models for hls4ml resource and latency
       estimation, 2025, as a fraction instead of per cent.
    """
    if not len(measured):
        return None
    difference = predicted - measured
    relative = difference / np.maximum(measured, 1.0)
    middle = (predicted + measured) / 2.0
    symmetric = np.where(middle > 0, np.abs(difference) / np.where(middle > 0, middle, 1.0), 0.0)
    spread = float(((measured - measured.mean()) ** 2).sum())
    return Errors(
        n=len(measured),
        exact_fraction=float((np.round(predicted) == np.round(measured)).mean()),
        median_ape=float(np.median(np.abs(relative))),
        mape=float(np.abs(relative).mean()),
        smape=float(symmetric.mean()),
        bias=float(np.median(relative)),
        within_one=float((np.abs(difference) <= 1.0).mean()),
        r2=None if spread == 0 else float(1.0 - (difference**2).sum() / spread),
        spearman=spearman(measured, predicted),
        coverage_95=float(((measured >= low - HALF) & (measured <= high + HALF)).mean()),
    )


def spearman(first: FloatArray, second: FloatArray) -> float | None:
    """Rank correlation of two columns (n,), ties at their mean rank; None where one of them is constant."""
    from scipy.stats import rankdata

    a, b = rankdata(first), rankdata(second)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def area_under_curve(score: FloatArray, positive: FloatArray) -> float | None:
    """Probability that a positive row scores above a negative one, ties half; None where one kind is missing.

    Args:
        score: (n,).
        positive: 1 or 0 (n,).
    """
    from scipy.stats import rankdata

    count = float(positive.sum())
    others = len(positive) - count
    if count == 0 or others == 0:
        return None
    return float((rankdata(score)[positive > 0].sum() - count * (count + 1) / 2) / (count * others))
