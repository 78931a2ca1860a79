"""`codesign validate transfer`: the fixed format, and wrong arguments."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pyarrow import parquet

from tests.validation.test_transfer import columns, write

Run = Callable[..., tuple[int, str, str]]


def test_the_format_is_the_fixed_one(run: Run, tmp_path: Path) -> None:
    data, out = write(tmp_path / "t.parquet", columns()), tmp_path / "out.parquet"
    arguments = ("--data", str(data), "--source", "gpu,gpu_big,dpu", "--target", "cpu", "--n", "0,3,8", "--seeds", "2", "--out", str(out), "--json")
    code, text, err = run("validate", "transfer", *arguments)
    assert code == 0
    document = json.loads(text)
    assert (document["target"], document["sources"], document["rows"], document["left_out"]) == ("cpu", ["gpu", "gpu_big", "dpu"], 120, 0)
    assert [(one["n"], one["seed"]) for one in document["runs"]] == [(n, seed) for n in (0, 3, 8) for seed in (0, 1)]
    for one in document["runs"]:
        assert {"spearman", "kendall", "mape", "coverage_90"} <= set(one)
    eight = [one for one in document["runs"] if one["n"] == 8]
    assert document["means"][2]["mean"]["spearman"] == pytest.approx(sum(one["spearman"] for one in eight) / 2)
    assert document["means"][2]["mean"]["mape"] < document["means"][0]["mean"]["mape"]
    assert "120 designs" in err and str(out) in err
    assert parquet.read_table(out).num_rows == 3 * 2 * 120


def test_the_table_is_for_people(run: Run, tmp_path: Path) -> None:
    code, text, err = run(
        "validate", "transfer", "--data", str(write(tmp_path / "t.parquet", columns())), "--source", "all", "--target", "cpu", "--n", "3", "--seeds", "1"
    )
    assert code == 0 and err == "" and "Spearman" in text and "±" in text and "sources: gpu, gpu_big, dpu" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--data": "none.parquet"}, "none.parquet: no such file"),
        ({"--source": "tpu"}, "no device 'tpu'"),
        ({"--source": "gpu,cpu"}, "cpu is the target too"),
        ({"--source": ","}, "no source device"),
        ({"--target": "tpu"}, "no device 'tpu'"),
        ({"--n": "ten"}, "'ten' is no list of whole numbers"),
        ({"--n": "500"}, "500 measurements of 120 designs"),
        ({"--seeds": "0"}, "0 seeds"),
        ({"--out": "no/folder.parquet"}, "cannot be written"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(run: Run, tmp_path: Path, change: dict[str, str], message: str) -> None:
    data = write(tmp_path / "t.parquet", columns())
    options = {"--data": str(data), "--source": "gpu", "--target": "cpu", "--n": "3", "--seeds": "1"} | change
    code, text, err = run("validate", "transfer", *(part for option in options.items() for part in option))
    assert code == 2 and text == "" and err.count("\n") == 1 and message in err


def test_a_file_that_is_no_parquet_is_told(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "text.parquet"
    path.write_text("x_a,lat_b\n1,2\n")
    code, text, err = run("validate", "transfer", "--data", str(path), "--source", "b", "--target", "c")
    assert code == 2 and text == "" and "not a Parquet file" in err
