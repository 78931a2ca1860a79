from __future__ import annotations

import pytest

from codesign.estimate import Estimate, Evidence
from codesign.report.formatting import MINUS, PERCENT, RANGE, TIMES, Scale, count, duration, inside, kpi_scale, kpi_title, names, plural, scale_for, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234567, "1,230,000"),
        (9.999, "10.0"),
        (999.6, "1,000"),
        (0.04567, "0.0457"),
        (12, "12.0"),
        (-3.14159, f"{MINUS}3.14"),
        (0.0000123, f"1.23 {TIMES} 10⁻⁵"),
    ],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert significant(value).replace("\u202f", " ") == text


def test_counts_are_written_in_full_up_to_a_billion() -> None:
    assert count(53_200) == "53,200"
    assert count(3_482_000_000_000).replace("\u202f", " ") == f"3.5 {TIMES} 10¹²"


@pytest.mark.parametrize(
    ("values", "unit", "shown", "factor"),
    [
        ([10.0, 900.0], "us", "µs", 1.0),
        ([900.0, 90_000.0], "us", "ms", 1e-3),
        ([0.02], "uJ", "nJ", 1e3),
        ([0.15], "W", "mW", 1e3),
        ([2_000_000.0], "B", "MiB", 2**-20),
        ([], "us", "µs", 1.0),
        ([0.0], "us", "µs", 1.0),
        ([5.0], "count", "", 1.0),
        ([5.0], "furlong", "furlong", 1.0),
    ],
)
def test_a_column_has_one_unit(values: list[float], unit: str, shown: str, factor: float) -> None:
    scale = scale_for(values, unit)
    assert (scale.unit, scale.factor) == (shown, pytest.approx(factor))


def test_counts_never_have_decimals() -> None:
    scale = scale_for([4.0], "count")
    assert scale.text(4.0) == "4"
    assert scale.interval(Estimate(2471.0, "count", 2059.0, 2965.0, Evidence.ANALYTIC)) == f"2,060{RANGE}2,960"


def test_an_interval_ends_at_the_digit_of_its_value() -> None:
    estimate = Estimate.relative(12.345, "us", 0.1, Evidence.ANALYTIC)
    assert scale_for([12.345], "us").interval(estimate) == f"11.2{RANGE}13.6"
    assert scale_for([12.345], "us").interval(Estimate.exact(3.0, "us", Evidence.CSIM)) == ""


def test_shares_are_per_cent_and_keep_their_unit_of_1() -> None:
    assert kpi_scale("accuracy", [0.8123], "1") == PERCENT
    assert PERCENT.text(0.8123) == "81.2\u202f%"
    assert kpi_scale("lut", [3.0], "count") == Scale(1.0, "", whole=True)


@pytest.mark.parametrize(("seconds", "text"), [(0.85, "850 ms"), (12.34, "12.3 s"), (245.0, "4 min 05 s"), (7380.0, "2 h 03 min")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds).replace("\u202f", " ") == text


def test_words() -> None:
    assert names([]) == ""
    assert names(["a"]) == "a"
    assert names(["a", "b", "c"]) == "a, b and c"
    assert plural(1, "design") == "1 design"
    assert plural(1200, "design") == "1,200 designs"
    assert inside("Latency") == "latency"
    assert inside("LUT") == "LUT"
    assert kpi_title("my_own_figure") == "my own figure"
