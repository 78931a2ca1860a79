"""How well the predictor's intervals held: coverage with its binomial error, mean absolute error, rank correlation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from codesign.report.document import CalibrationRecord
from codesign.surrogate.calibration import spearman

FEWEST_POINTS = 10
"""Below this a coverage says nothing: three binomial standard errors span most of 0 to 1."""


@dataclass(frozen=True)
class CalibrationSummary:
    """One objective's calibration.

    Attributes:
        points: predictions that were evaluated.
        covered: how many measured values lie inside their interval.
        coverage: ``covered / points``.
        standard_error: binomial, of the coverage if the nominal one held: ``sqrt(p (1 - p) / n)``.
        mean_absolute_error: in the unit of the KPI.
        spearman: rank correlation of predicted and measured; None where one of them is constant.
        judgement: plain words.
        calibrated: within three standard errors of nominal; None with fewer than `FEWEST_POINTS` points.
    """

    kpi: str
    unit: str
    nominal: float
    points: int
    covered: int
    coverage: float
    standard_error: float
    mean_absolute_error: float
    spearman: float | None
    judgement: str
    calibrated: bool | None


def summarise(record: CalibrationRecord) -> CalibrationSummary | None:
    """Figures of one record; None without points."""
    if not record.points:
        return None
    number = len(record.points)
    predicted = np.array([point.predicted for point in record.points])
    measured = np.array([point.measured for point in record.points])
    covered = sum(point.low <= point.measured <= point.high for point in record.points)
    coverage = covered / number
    standard_error = math.sqrt(record.nominal * (1.0 - record.nominal) / number)
    calibrated, judgement = _judge(coverage, record.nominal, standard_error, number)
    return CalibrationSummary(
        kpi=record.kpi,
        unit=record.unit,
        nominal=record.nominal,
        points=number,
        covered=covered,
        coverage=coverage,
        standard_error=standard_error,
        mean_absolute_error=float(np.abs(predicted - measured).mean()),
        spearman=spearman(predicted, measured),
        judgement=judgement,
        calibrated=calibrated,
    )


def _judge(coverage: float, nominal: float, standard_error: float, number: int) -> tuple[bool | None, str]:
    if number < FEWEST_POINTS:
        return None, f"too few points to judge (fewer than {FEWEST_POINTS})"
    if abs(coverage - nominal) <= 3.0 * standard_error:
        return True, "calibrated: within 3 standard errors of nominal"
    return False, f"not calibrated: intervals are too {'narrow' if coverage < nominal else 'wide'}"
