from __future__ import annotations

import math

import pytest

from codesign.report.calibration import summarise
from codesign.report.document import CalibrationPoint, CalibrationRecord
from codesign.surrogate.calibration import Coverage


def _record(inside: int, outside: int, nominal: float = 0.9) -> CalibrationRecord:
    points = [CalibrationPoint(f"i{number}", float(number), number - 1.0, number + 1.0, number + 0.5) for number in range(inside)]
    points += [CalibrationPoint(f"o{number}", float(number), number - 1.0, number + 1.0, number + 2.0) for number in range(outside)]
    return CalibrationRecord("latency_us", "us", nominal, "leave-one-out", tuple(points))


def test_figures_by_hand() -> None:
    points = tuple(CalibrationPoint(str(p), p, p - 1.0, p + 1.0, m) for p, m in [(1.0, 1.5), (2.0, 4.0), (3.0, 3.0), (4.0, 5.0)])
    summary = summarise(CalibrationRecord("x", "us", 0.95, "leave-one-out", points))
    assert summary is not None
    assert (summary.points, summary.covered, summary.coverage) == (4, 3, 0.75)
    assert summary.mean_absolute_error == pytest.approx((0.5 + 2.0 + 0.0 + 1.0) / 4)
    assert summary.standard_error == pytest.approx(math.sqrt(0.95 * 0.05 / 4))
    assert summary.spearman == pytest.approx(0.8)  # ranks 1 2 3 4 against 1 3 2 4
    assert summary.calibrated is None
    assert "too few" in summary.judgement


@pytest.mark.parametrize(
    ("inside", "outside", "nominal", "calibrated", "word"),
    [(90, 10, 0.9, True, "within 3"), (82, 18, 0.9, True, "within 3"), (80, 20, 0.9, False, "too narrow"), (100, 0, 0.5, False, "too wide")],
)
def test_not_calibrated_is_said_beyond_three_standard_errors(inside: int, outside: int, nominal: float, calibrated: bool, word: str) -> None:
    summary = summarise(_record(inside, outside, nominal))
    assert summary is not None
    assert summary.calibrated is calibrated
    assert word in summary.judgement
    assert ("not calibrated" in summary.judgement) is not calibrated


def test_equal_values_share_their_rank_and_a_constant_has_no_correlation() -> None:
    tied = tuple(CalibrationPoint(str(number), p, p - 1, p + 1, m) for number, (p, m) in enumerate([(1.0, 1.0), (1.0, 2.0), (2.0, 3.0)]))
    summary = summarise(CalibrationRecord("x", "us", 0.9, "", tied))
    assert summary is not None
    assert summary.spearman == pytest.approx(math.sqrt(3) / 2)
    constant = tuple(CalibrationPoint(str(number), 1.0, 0.0, 2.0, float(number)) for number in range(3))
    flat = summarise(CalibrationRecord("x", "us", 0.9, "", constant))
    assert flat is not None
    assert flat.spearman is None


def test_nothing_to_summarise() -> None:
    assert summarise(CalibrationRecord("x", "us", 0.9, "", ())) is None


def _levels(half: float, ninety: float, most: float, count: int = 100) -> tuple[Coverage, ...]:
    return tuple(Coverage(level, seen, math.sqrt(level * (1.0 - level) / count)) for level, seen in ((0.5, half), (0.9, ninety), (0.95, most)))


@pytest.mark.parametrize(
    ("levels", "calibrated", "word"),
    [
        (_levels(0.55, 0.87, 0.93), True, "within 3"),
        (_levels(0.30, 0.90, 0.95), False, "too narrow"),
        (_levels(0.70, 0.95, 0.95), False, "too wide"),
    ],
)
def test_every_level_counts(levels: tuple[Coverage, ...], calibrated: bool, word: str) -> None:
    record = _record(95, 5, 0.95)
    summary = summarise(CalibrationRecord("accuracy", "1", 0.95, "leave-one-out", record.points, levels, -1.5, recalibrated=True))
    assert summary is not None
    assert summary.levels == levels and summary.nlpd == -1.5
    assert summary.calibrated is calibrated and word in summary.judgement
    assert ("after recalibration" in summary.judgement) is calibrated


def test_relative_error_and_kendall_by_hand() -> None:
    points = tuple(CalibrationPoint(str(p), p, p - 1.0, p + 1.0, m) for p, m in [(1.0, 2.0), (2.0, 4.0), (3.0, 3.0)])
    summary = summarise(CalibrationRecord("x", "us", 0.95, "leave-one-out", points))
    assert summary is not None
    assert summary.mape == pytest.approx((0.5 + 0.5 + 0.0) / 3)
    assert summary.kendall == pytest.approx(1.0 / 3.0)
    (level,) = summary.levels
    assert (level.level, level.observed) == (0.95, 2 / 3)
    zero = summarise(CalibrationRecord("x", "us", 0.95, "", (CalibrationPoint("a", 1.0, 0.0, 2.0, 0.0),)))
    assert zero is not None and zero.mape is None
