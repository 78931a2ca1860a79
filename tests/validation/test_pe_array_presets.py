from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from codesign.errors import InputError
from codesign.validation.pe_array import ALL, POSSIBLE, check_preset, figure_errors, predict, preset_errors, write_predictions
from codesign.validation.published_points import read_points
from tests.validation.published import entry, write


def test_errors_by_hand() -> None:
    found = figure_errors(np.array([100.0, 200.0, -50.0]), np.array([100.0, 220.0, -45.0]), counted=True)
    assert (found.n, found.exact_fraction) == (3, pytest.approx(1 / 3))
    assert found.median_ape == pytest.approx(0.1) and found.mape == pytest.approx(0.2 / 3) and found.max_ape == pytest.approx(0.1)
    assert found.bias == pytest.approx(0.2 / 3)
    assert figure_errors(np.array([2.0]), np.array([2.0]), counted=False).exact_fraction is None
    assert figure_errors(np.array([0.0]), np.array([3.0]), counted=True).mape == 3.0


def test_groups_hold_what_is_published(tmp_path: Path) -> None:
    entries = [entry(), entry(pub=100.0), entry(pub=None, P=None), entry(pub=287.0, exact=None)]
    points = read_points(write(tmp_path / "points.json", entries)).points
    every, possible = preset_errors(points, predict(points))
    assert (every.group, every.points, possible.group, possible.points) == (ALL, 4, POSSIBLE, 3)
    assert {name: errors.n for name, errors in every.figures.items()} == {"cycles": 3, "cycles_counted": 3, "area_um2": 4, "power_w": 3}
    assert every.figures["cycles"].exact_fraction == pytest.approx(1 / 3) and possible.figures["cycles"].exact_fraction == 0.5
    assert every.figures["cycles_counted"].exact_fraction == 1.0
    assert every.figures["cycles"].max_ape == pytest.approx(1.86)


def test_a_group_without_points_is_left_out(tmp_path: Path) -> None:
    points = read_points(write(tmp_path / "points.json", [entry(pub=1.0)])).points
    assert [group.group for group in preset_errors(points, predict(points))] == [ALL]


def test_predictions_come_from_the_network_alone(tmp_path: Path) -> None:
    honest = read_points(write(tmp_path / "a.json", [entry()])).points
    forged = read_points(write(tmp_path / "b.json", [entry(pub=5000.0, exact=7, hannah=9, area=1.0, P=1.0, macs=3, nw=4, err=0.9)])).points
    assert predict(honest) == predict(forged)


def test_rows_are_written_in_order(tmp_path: Path) -> None:
    points = read_points(write(tmp_path / "points.json", [entry(), entry(f="other", N=4)])).points
    predicted = predict(points)
    write_predictions(tmp_path / "out.parquet", points, predicted)
    rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["f"] for row in rows] == ["wake word", "other"] and set(rows[0]) == {"f", "cycles_predicted", "area_um2_predicted", "power_w_predicted"}
    assert [row["cycles_predicted"] for row in rows] == [286, 1 + 10 * 7 + 1 + 1]
    assert [row["area_um2_predicted"] for row in rows] == predicted.area_um2.tolist()
    assert [row["power_w_predicted"] for row in rows] == predicted.power_w.tolist()


def test_an_unknown_preset_names_the_known() -> None:
    check_preset("ultratrail")
    with pytest.raises(InputError, match="no preset 'eyeriss' of pe_array with published points. Choose one of ultratrail"):
        check_preset("eyeriss")
