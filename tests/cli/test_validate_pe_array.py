"""`codesign validate pe_array`: the fixed format, and wrong arguments."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pyarrow import parquet

from tests.validation.published import entry, write

Run = Callable[..., tuple[int, str, str]]


def points(folder: Path) -> Path:
    return write(folder / "points.json", [entry(), entry(f="impossible", pub=-94.0), entry(f="bare", pub=None, exact=None, area=None, P=None, mine=1)])


def test_the_format_is_the_fixed_one(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    code, text, err = run("validate", "pe_array", "--preset", "ultratrail", "--data", str(points(tmp_path)), "--out", str(out), "--json")
    assert code == 0
    document = json.loads(text)
    every, possible = document["groups"]
    assert (document["preset"], every["group"], every["points"], possible["points"]) == ("ultratrail", "all points", 3, 2)
    assert set(every["figures"]) == {"cycles", "cycles_counted", "area_um2", "power_w"}
    for errors in every["figures"].values():
        assert {"n", "exact_fraction", "median_ape", "mape", "max_ape"} <= set(errors)
    assert every["figures"]["cycles"] | {"bias": 0} == {
        "n": 2, "exact_fraction": 0.5, "median_ape": pytest.approx(190 / 94), "mape": pytest.approx(190 / 94), "max_ape": pytest.approx(380 / 94), "bias": 0,
    }  # fmt: skip
    assert possible["figures"]["cycles"]["exact_fraction"] == 1.0 and possible["figures"]["power_w"]["max_ape"] < 0.04
    (told,) = document["contradicted"]
    assert (told["f"], told["published"], told["counted"]) == ("impossible", -94.0, 286.0) and "1,132 products on real input" in told["reason"]
    assert "impossible: the published figure is impossible: -94 cycles" in err and "keys that nothing reads: 'mine'" in err
    table = parquet.read_table(out)
    assert table.column_names == ["f", "cycles_predicted", "area_um2_predicted", "power_w_predicted"]
    assert table.column("f").to_pylist() == ["wake word", "impossible", "bare"] and table.column("cycles_predicted").to_pylist() == [286] * 3


def test_the_table_is_for_people(run: Run, tmp_path: Path) -> None:
    code, text, err = run("validate", "pe_array", "--data", str(points(tmp_path)))
    assert code == 0 and err == ""
    assert "all points" in text and "published cycles possible" in text and "50.0%" in text and "power_w" in text


def test_an_unknown_preset_names_the_known(run: Run, tmp_path: Path) -> None:
    code, text, err = run("validate", "pe_array", "--preset", "eyeriss", "--data", str(points(tmp_path)))
    assert code == 2 and text == "" and err.count("\n") == 1 and "no preset 'eyeriss'" in err and "Choose one of ultratrail" in err


@pytest.mark.parametrize("kind", ["absent", "text", "entry"])
def test_a_wrong_file_is_one_clear_line(run: Run, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data.json"
    if kind == "text":
        path.write_text("f,N\n1,2\n")
    elif kind == "entry":
        write(path, [entry(bw="six")])
    code, out, err = run("validate", "pe_array", "--data", str(path))
    assert code == 2 and out == "" and err.count("\n") == 1
    assert {"absent": "no such file", "text": "not a JSON file", "entry": "entry 0 (wake word): bw: must be a whole number"}[kind] in err


def test_predictions_that_cannot_be_written_are_told(run: Run, tmp_path: Path) -> None:
    code, _, err = run("validate", "pe_array", "--data", str(points(tmp_path)), "--out", str(tmp_path / "no" / "folder.parquet"))
    assert code == 2 and "cannot be written" in err
