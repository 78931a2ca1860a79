from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign.catalogue import load_record
from codesign.errors import InputError
from codesign.kpi.ultratrail import UltraTrailCoefficients, area_counts, layer_cycles, power_counts, ultratrail_coefficients, values
from codesign.validation.published_points import PublishedLayer, PublishedPoint, designs_of
from codesign.validation.ultratrail_fit import fit_document, fit_ultratrail, relative_nnls, write_coefficients

AREA = np.array([20_000.0, 15.0, 200.0, 0.13, 4_000.0])
POWER = np.array([0.8, 2e-3, 0.04, 1e-6, 4.0, 0.3])


def network(rng: np.random.Generator) -> tuple[PublishedLayer, ...]:
    """A chain of convolutions on 40 channels of 101 positions."""
    made, channels, length = [], 40, 101
    for _ in range(int(rng.integers(2, 6))):
        filters, kernel, stride = int(rng.integers(4, 60)), int(rng.choice([1, 3, 5, 7])), int(rng.choice([1, 2, 4]))
        pad = kernel // 2
        outputs = (length + 2 * pad - kernel) // stride + 1
        made.append(PublishedLayer(channels, filters, kernel, stride, length, pad, outputs))
        channels, length = filters, outputs
    return tuple(made)


def points(count: int = 24, seed: int = 3) -> list[PublishedPoint]:
    """Points that the model prices exactly."""
    rng = np.random.default_rng(seed)
    bare = [
        PublishedPoint(f"p{i}", int(rng.choice([2, 3, 4, 6, 8])), int(rng.choice([4, 6, 8])), int(rng.choice([4, 6, 8])), network(rng), {})
        for i in range(count)
    ]
    designs = designs_of(bare)
    cycles, area, power = layer_cycles(designs).sum(axis=1), area_counts(designs) @ AREA, power_counts(designs) @ POWER
    return [replace(point, measured={"cycles": float(cycles[i]), "area_um2": float(area[i]), "power_w": float(power[i])}) for i, point in enumerate(bare)]


def changed(point: PublishedPoint, **figures: float) -> PublishedPoint:
    return replace(point, measured=point.measured | figures)


def test_known_prices_come_back() -> None:
    fit = fit_ultratrail(points())
    assert fit.area == pytest.approx(AREA, rel=1e-6) and fit.power == pytest.approx(POWER, rel=1e-6)
    assert fit.area_error == pytest.approx(0.0, abs=1e-9) and fit.power_error == pytest.approx(0.0, abs=1e-9)


def test_a_point_has_no_part_in_its_own_prediction() -> None:
    made = points()
    spoiled = [changed(made[0], area_um2=5e3, power_w=1e-7), *made[1:]]
    honest, other = fit_ultratrail(made), fit_ultratrail(spoiled)
    assert other.left_out.area_um2[0] == honest.left_out.area_um2[0] and other.left_out.power_w[0] == honest.left_out.power_w[0]
    assert other.left_out.area_um2[1] != pytest.approx(honest.left_out.area_um2[1], rel=1e-3)


def test_points_of_an_array_have_no_part_in_each_others_prediction() -> None:
    made = points()
    twin = replace(made[1], array=made[0].array, weight_bits=made[0].weight_bits, feature_bits=made[0].feature_bits)
    made = [made[0], twin, *made[2:]]
    spoiled = [made[0], changed(twin, area_um2=5e3, power_w=1e-7), *made[2:]]
    assert fit_ultratrail(made).other_arrays.area_um2[0] == fit_ultratrail(spoiled).other_arrays.area_um2[0]
    assert fit_ultratrail(made).left_out.area_um2[0] != pytest.approx(fit_ultratrail(spoiled).left_out.area_um2[0], rel=1e-3)


def test_power_of_impossible_points_is_not_fitted() -> None:
    made = points()
    fit = fit_ultratrail([changed(made[0], cycles=-94.0, power_w=9e-3), *made[1:]])
    assert fit.possible.tolist() == [False] + [True] * 23
    assert fit.power == pytest.approx(POWER, rel=1e-6) and fit.power_error == pytest.approx(0.0, abs=1e-9)


def test_no_price_is_negative() -> None:
    rng = np.random.default_rng(8)
    made = [changed(point, area_um2=point.measured["area_um2"] * float(np.exp(0.5 * rng.standard_normal()))) for point in points()]
    fit = fit_ultratrail(made)
    assert (fit.area >= 0.0).all() and fit.area_error > 0.1
    falling = np.column_stack([np.ones(5), np.arange(1.0, 6.0)])
    assert relative_nnls(falling, np.array([5.0, 4.0, 3.0, 2.0, 1.0]))[1] == 0.0


def test_a_term_that_no_point_has_is_free() -> None:
    counts = np.column_stack([np.ones(4), np.zeros(4)])
    assert relative_nnls(counts, np.full(4, 3.0)) == pytest.approx([3.0, 0.0])


def test_a_point_without_a_figure_is_told() -> None:
    first, *others = points(6)
    lacking = replace(first, measured={"cycles": 1.0, "power_w": 1e-6})
    with pytest.raises(InputError, match="p0: lacks area"):
        fit_ultratrail([lacking, *others])


def test_the_written_file_is_read_back(tmp_path: Path) -> None:
    known, path = ultratrail_coefficients(), tmp_path / "ultratrail.toml"
    write_coefficients(fit_ultratrail(points()), path)
    read = load_record(path, UltraTrailCoefficients)
    assert values(read.area) == pytest.approx(AREA, rel=1e-4) and values(read.power) == pytest.approx(POWER, rel=1e-4)
    assert (read.clock_khz, read.period_ms, read.layer_start, read.word_step, read.bank_words) == (
        known.clock_khz, known.period_ms, known.layer_start, known.word_step, known.bank_words,
    )  # fmt: skip
    assert read.area_error.rows == 24 and read.power.port.rows == 24 and ultratrail_coefficients() == known


def test_the_document_tells_every_point_and_marks_the_impossible() -> None:
    made = points(12)
    made[2] = changed(made[2], cycles=10.0)
    text = fit_document("points.json", made, fit_ultratrail(made))
    assert "python tools/fit_ultratrail.py points.json --write" in text
    assert all(f"| `{point.name}` |" in text for point in made)
    assert "| 10 **!** |" in text and "* `p2`: 10 cycles of" in text and text.count("**!**") == 1
    assert "| published cycles possible | the point | 11 | 11 | 0.0% |" in text and "none in this file" in text


def test_the_document_without_impossible_points_says_so() -> None:
    made = points(10)
    twin = replace(made[3], name="twin", measured=made[3].measured | {"cycles": made[3].measured["cycles"] + 5.0})
    text = fit_document("points.json", [*made, twin], fit_ultratrail([*made, twin]))
    assert text.endswith("None.\n") and "(`p3` and `twin`)" in text
