"""How well the predictor's intervals held: coverage with its binomial error, errors, rank correlations, and a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from codesign.report.document import CalibrationRecord
from codesign.surrogate.calibration import FEWEST_POINTS, TOLERANCE, Coverage, kendall, spearman


@dataclass(frozen=True)
class CalibrationSummary:
    """One objective's calibration.

    Attributes:
        points: predictions that were evaluated.
        covered: how many measured values lie inside their interval.
        coverage: ``covered / points``.
        standard_error: binomial, of the coverage if the nominal one held: ``sqrt(p (1 - p) / n)``.
        levels: coverage of the intervals at every level that the predictor states; that of ``nominal`` where it states one.
        mean_absolute_error: in the unit of the KPI.
        mape: mean absolute error relative to the measured value; None where a measured value is 0.
        spearman, kendall: rank correlations of predicted and measured; None where one of them is constant.
        nlpd: mean negative log predictive density in the predictor's space; None where it is not known.
        recalibrated: the predictor's own intervals had missed and were set to what held.
        judgement: plain words.
        calibrated: every level within three standard errors of nominal; None with fewer than `FEWEST_POINTS` points.
    """

    kpi: str
    unit: str
    nominal: float
    points: int
    covered: int
    coverage: float
    standard_error: float
    levels: tuple[Coverage, ...]
    mean_absolute_error: float
    mape: float | None
    spearman: float | None
    kendall: float | None
    nlpd: float | None
    recalibrated: bool
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
    levels = record.coverage or (Coverage(record.nominal, coverage, standard_error),)
    calibrated, judgement = _judge(levels, number, recalibrated=record.recalibrated)
    error = np.abs(predicted - measured)
    return CalibrationSummary(
        kpi=record.kpi,
        unit=record.unit,
        nominal=record.nominal,
        points=number,
        covered=covered,
        coverage=coverage,
        standard_error=standard_error,
        levels=levels,
        mean_absolute_error=float(error.mean()),
        mape=float((error / np.abs(measured)).mean()) if bool((measured != 0.0).all()) else None,
        spearman=spearman(predicted, measured),
        kendall=kendall(predicted, measured),
        nlpd=record.nlpd,
        recalibrated=record.recalibrated,
        judgement=judgement,
        calibrated=calibrated,
    )


def _judge(levels: tuple[Coverage, ...], number: int, *, recalibrated: bool) -> tuple[bool | None, str]:
    if number < FEWEST_POINTS:
        return None, f"too few points to judge (fewer than {FEWEST_POINTS})"
    worst = max(levels, key=lambda level: level.errors_off)
    if worst.errors_off <= TOLERANCE:
        return True, f"calibrated: within {TOLERANCE:.0f} standard errors of nominal{', after recalibration' if recalibrated else ''}"
    return False, f"not calibrated: intervals are too {'narrow' if worst.observed < worst.level else 'wide'}"
