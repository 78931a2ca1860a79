from __future__ import annotations

import math

import pytest

from codesign.report.calibration import summarise
from codesign.report.document import CalibrationPoint, CalibrationRecord


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
