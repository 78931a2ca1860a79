"""`codesign validate predictor`: the fixed format, and one wrong input per argument."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pyarrow import parquet

from tests.validation.gemmini_rows import GROUP, board_rows, gemmini_rows, write_table

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("rows") / "rows.parquet", [*gemmini_rows(80), *board_rows(10)])


def test_the_format_is_the_fixed_one(run: Run, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    given = ("--train", str(table), "--test", str(table), "--target", "cycles", "--group", GROUP, "--n", "30", "--seeds", "2")
    code, text, err = run("validate", "predictor", *given, "--out", str(out), "--json")
    assert code == 0, err
    document = json.loads(text)
    assert len(document["per_seed"]) == 2
    for entry in (*document["per_seed"], document["mean"]):
        assert {"mape", "median_ape", "spearman", "kendall", "nlpd", "coverage"} <= set(entry)
        assert set(entry["coverage"]) == {"50", "90", "95"}
    assert document["mean"]["mape"] == pytest.approx(sum(entry["mape"] for entry in document["per_seed"]) / 2)
    assert "by layer" in document["split"]
    rows = parquet.read_table(out)
    assert rows.column_names == ["id", "seed", "predicted", "low90", "high90"]
    assert rows.num_rows == 2 * 80
    code, text, _ = run("validate", "predictor", *given)
    assert code == 0 and "Spearman" in text and "the prior alone" in text


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"--train": "missing.parquet"}, "missing.parquet: no such file"),
        ({"--test": "missing.parquet"}, "missing.parquet: no such file"),
        ({"--target": "taste"}, "--target: unknown target 'taste'. Choose one of cycles"),
        ({"--target": "latency_ms"}, "no positive latency_ms in group 'dosa-gemmini-rtl'. It has cycles"),
        ({"--group": "none"}, "no rows of group 'none'. It has board, dosa-gemmini-rtl"),
        ({"--n": "3"}, "--n: 3 training rows. Give 20 to 2000"),
        ({"--n": "75"}, "--n: 75 training rows of 80. Ask for fewer"),
        ({"--seeds": "0"}, "--seeds: 0 seeds. Give 1 to 100"),
        ({"--out": "nowhere/out.parquet"}, "nowhere/out.parquet: cannot be written"),
    ],
)
def test_wrong_arguments(run: Run, table: Path, changed: dict[str, str], message: str) -> None:
    given = {"--train": str(table), "--test": str(table), "--group": GROUP, "--n": "25", "--seeds": "1"} | changed
    code, _, err = run("validate", "predictor", *(word for pair in given.items() for word in pair))
    assert code == 2
    assert message in " ".join(err.split())
