from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet

from codesign.errors import InputError
from codesign.kpi.streaming.feasibility import Obstacle
from codesign.validation.document import validation_document
from codesign.validation.points import KPIS, MeasuredDesign, read_design
from codesign.validation.streaming import Predicted, group_errors, predict_designs, write_predictions
from tests.validation.tables import Row, dense_row, project_row, torc_dense_row


def predicted(value: float, failure: float = 0.0) -> Predicted:
    """Every figure the same, give or take half."""
    return Predicted(dict.fromkeys(KPIS, (value, value / 2, value * 1.5)), failure, "")


def designs(*rows: Row) -> list[MeasuredDesign]:
    return [read_design(row) for row in rows]


def test_predictions_of_several_flows_keep_their_order() -> None:
    rows = [dense_row(16, 16), torc_dense_row(64, 16), dense_row(16, 16, network_json=None), dense_row(32, 16, 8), dense_row(16, 16)]
    found = predict_designs(designs(*rows))
    assert found[2] is None
    assert found[0] == found[4]
    assert len({each.figures["lut"] for each in found if each is not None}) == 3
    for each in found:
        for value, low, high in () if each is None else each.figures.values():
            assert 0 <= low <= value <= high


def test_a_layer_that_no_tool_builds_is_given_its_reason() -> None:
    small, large = predict_designs(designs(dense_row(16, 16, strategy="latency"), dense_row(256, 128, strategy="latency")))
    assert small is not None
    assert large is not None
    assert (small.failure < 0.01, small.obstacle) == (True, "")
    assert (large.failure > 0.99, large.obstacle) == (True, Obstacle.PARTITION.text)


def test_errors_by_group_and_stage() -> None:
    measured = [100.0, 200.0, 90.0, 60.0]
    table = designs(*(dense_row(8, 8, lut=value) for value in measured))
    table += designs(dense_row(8, 8, lut=1.0, success="0"), dense_row(8, 8, stage="post_synth", lut=50.0), dense_row(8, 8, network_json=None, lut=3.0))
    found = [predicted(100.0, 0.2) for _ in measured] + [predicted(100.0, 0.9), predicted(100.0), None]
    estimate, synthesis = group_errors(table, found)
    assert (estimate.group, estimate.stage, estimate.rows) == ("wa-hls4ml-1layer", "hls_estimate", 6)
    assert estimate.skipped == {"no network description": 1}
    assert set(estimate.kpis) == {"lut"}
    lut = estimate.kpis["lut"]  # the failed row is not among them
    assert (lut.n, lut.exact_fraction) == (4, 0.25)
    assert lut.mape == pytest.approx((0 + 0.5 + 10 / 90 + 40 / 60) / 4)
    assert lut.coverage_95 == 0.75  # 200 is above 150
    assert (estimate.failures, estimate.failure_auc) == (1, 1.0)
    assert (synthesis.rows, synthesis.kpis["lut"].bias, synthesis.failure_auc) == (1, 1.0, None)
    assert json.loads(json.dumps(estimate.as_dict()))["kpis"]["lut"]["n"] == 4


def test_a_group_that_nobody_can_model_has_no_errors() -> None:
    (group,) = group_errors(designs(dense_row(8, 8, network_json="{}", lut=5.0)), [None])
    assert (group.kpis, group.failures, group.failure_auc) == ({}, 0, None)
    assert group.skipped == {"network description is not a list of layers": 1}


def test_written_predictions(tmp_path: Path) -> None:
    table = designs(dense_row(16, 16, id="good"), dense_row(16, 16, id="odd", network_json=None), dense_row(256, 128, id="large", strategy="latency"))
    found = predict_designs(table)
    path = tmp_path / "predictions.parquet"
    write_predictions(path, table, found)
    good, odd, large = parquet.read_table(path).to_pylist()
    assert set(good) == {"id", "failure_probability", "failure_reason", "skipped"} | {f"{kpi}_{name}" for kpi in KPIS for name in ("predicted", "low", "high")}
    assert (good["id"], odd["id"], large["id"]) == ("good", "odd", "large")
    assert found[0] is not None
    assert (good["lut_predicted"], good["lut_low"], good["lut_high"]) == found[0].figures["lut"]
    assert (good["skipped"], good["failure_reason"]) == (None, None)
    assert odd["skipped"] == "no network description"
    assert all(value is None for name, value in odd.items() if name not in {"id", "skipped"})
    assert large["failure_reason"].startswith("Latency strategy partitions every weight")


def test_predictions_where_nothing_can_be_modelled_or_written(tmp_path: Path) -> None:
    table = designs(dense_row(8, 8, network_json=None))
    write_predictions(tmp_path / "none.parquet", table, [None])
    assert parquet.read_table(tmp_path / "none.parquet").to_pylist()[0]["lut_predicted"] is None
    with pytest.raises(InputError, match="cannot be written.*Choose a folder"):
        write_predictions(tmp_path / "no" / "folder.parquet", table, [None])


def test_the_document_marks_what_is_bad() -> None:
    table = designs(*(dense_row(8, 8, lut=100.0, ff=300.0) for _ in range(3)), dense_row(8, 8, success="0"), dense_row(8, 8, network_json=None))
    table.append(replace(read_design(project_row(8, 4, "a/b", lut=100.0)), model=None, skipped="a reason"))
    found = [*(predicted(100.0) for _ in range(3)), predicted(100.0, 1.0), None, None]
    document = validation_document("points.parquet", group_errors(table, found))
    lines = document.splitlines()
    assert "python tools/fit_streaming.py points.parquet --write" in document
    assert [line for line in lines if line.startswith("## ")] == ["## repo-network, hls_estimate", "## wa-hls4ml-1layer, hls_estimate"]
    assert "5 rows, 1 without a model:" in lines
    assert "* 1: no network description" in lines
    assert "1 failed syntheses; area under the curve of the failure probability 1.000." in lines
    assert "| lut | 3 | 100.0% | 100.0% | 0.0% | 0.0% | 0.0% | +0.0% | 100.0% |  |" in lines
    (bad,) = (line for line in lines if line.startswith("| ff |"))
    assert bad == "| ff | 3 | 0.0% | 0.0% | 66.7% | 66.7% | 100.0% | -66.7% | 0.0% | **!** |"
    assert document.endswith("|\n")
