"""`codesign validate streaming`: the fixed format, and wrong files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pyarrow import parquet

from codesign.validation.parquet import write_columns
from codesign.validation.points import COLUMNS

Run = Callable[..., tuple[int, str, str]]
KPIS = ("latency_max", "ii_max", "lut", "ff", "dsp", "bram18")


def measured(path: Path) -> Path:
    """Two one-layer syntheses of wa-hls4ml (Apache-2.0), one that failed, and a row without a network."""
    common = {"group": "wa-hls4ml-1layer", "stage": "hls_estimate", "tool_version": "2020.1", "io_type": "io_parallel", "act_prec": "ap_fixed<16,6>"}
    common |= {"clock_ns": "5.0", "device_part": "xcu250-figd2104-2L-e", "strategy": "resource", "success": "1"}
    network = '[{"kind": "Dense", "n_in": 32, "n_out": 32, "bias": true}]'
    rows = [
        common | {"id": "a", "network_json": network, "weight_prec": "quantized_bits(8,0,alpha=1)", "reuse_factor": "1024", "latency_max": "1026.0",
                  "ii_max": "1024.0", "lut": "7500.0", "ff": "2300.0", "dsp": "1.0", "bram18": "2.0"},
        common | {"id": "b", "network_json": network, "weight_prec": "quantized_bits(4,0,alpha=1)", "reuse_factor": "512", "latency_max": "514.0",
                  "ii_max": "512.0", "dsp": "0.0"},
        common | {"id": "c", "network_json": '[{"kind": "Dense", "n_in": 512, "n_out": 512}]', "strategy": "latency", "reuse_factor": "1", "success": "0",
                  "weight_prec": "quantized_bits(8,0,alpha=1)"},
        common | {"id": "d", "network_json": None},
    ]  # fmt: skip
    write_columns(path, {name: [row.get(name) for row in rows] for name in COLUMNS})
    return path


def test_the_format_is_the_fixed_one(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    code, text, err = run("validate", "streaming", "--data", str(measured(tmp_path / "rows.parquet")), "--out", str(out), "--json")
    assert code == 0
    (group,) = json.loads(text)["groups"]
    assert (group["group"], group["stage"], group["rows"], group["skipped"]) == ("wa-hls4ml-1layer", "hls_estimate", 4, {"no network description": 1})
    assert set(group["kpis"]) == set(KPIS)
    for errors in group["kpis"].values():
        assert {"n", "exact_fraction", "median_ape", "smape", "r2", "spearman", "coverage_95"} <= set(errors)
    assert group["kpis"]["latency_max"]["exact_fraction"] == 1.0 and group["kpis"]["ii_max"]["exact_fraction"] == 1.0
    assert group["kpis"]["dsp"]["exact_fraction"] == 1.0 and group["kpis"]["lut"]["n"] == 1
    assert group["feasibility"] == {"failed": 1, "auc": 1.0}
    rows = parquet.read_table(out).to_pylist()
    assert [row["id"] for row in rows] == ["a", "b", "c", "d"]
    for row in rows[:3]:
        assert row["skipped"] is None
        assert all(row[f"{kpi}_low"] <= row[f"{kpi}_predicted"] <= row[f"{kpi}_high"] for kpi in KPIS)
    assert rows[3]["skipped"] == "no network description" and all(rows[3][f"{kpi}_predicted"] is None for kpi in KPIS)
    assert rows[2]["failure_probability"] > 0.9 and "Latency strategy" in rows[2]["failure_reason"]
    assert "area under the curve 1.000" in err


@pytest.mark.parametrize("kind", ["absent", "text", "columns"])
def test_a_wrong_file_is_one_clear_line(run: Run, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data.parquet"
    if kind == "text":
        path.write_text("id,group\n1,2\n")
    elif kind == "columns":
        write_columns(path, {"id": ["1"], "group": ["g"]})
    code, out, err = run("validate", "streaming", "--data", str(path))
    assert code == 2 and out == "" and err.count("\n") == 1
    assert {"absent": "no such file", "text": "not a Parquet file", "columns": "lacks the columns stage, network_json"}[kind] in err


def test_predictions_that_cannot_be_written_are_told(run: Run, tmp_path: Path) -> None:
    code, _, err = run("validate", "streaming", "--data", str(measured(tmp_path / "rows.parquet")), "--out", str(tmp_path / "no" / "folder.parquet"))
    assert code == 2 and "cannot be written" in err
