from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from codesign.errors import InputError
from codesign.kpi.streaming.flow import Flow, Stage, Tool
from codesign.network.hls_model import HlsLayer, Kind, Strategy
from codesign.validation.points import KPIS, REQUIRED, read_build, read_design, read_designs
from tests.validation.tables import COLUMNS, Row, dense_row, project_row, torc_convolution_row, torc_dense_row, torc_lstm_row, write_table


def layers(row: Row) -> tuple[HlsLayer, ...]:
    """The layers of a row that must be readable."""
    design = read_design(row)
    assert design.skipped == ""
    assert design.model is not None
    return design.model.layers


def test_a_layer_of_wa_hls4ml() -> None:
    design = read_design(dense_row(32, 24, weight_bits=6, reuse_factor=4, strategy="latency", latency_max=7.0, lut=7147.0, dsp=0.0))
    assert design.model is not None
    (dense,) = design.model.layers
    assert (dense.kind, dense.in_c, dense.out_c, dense.weight_bits, dense.input_bits, dense.accumulator_bits) == (Kind.DENSE, 32, 24, 6, 16, 16)
    assert design.flow == Flow(Tool.VIVADO_HLS_2020, Stage.HLS_ESTIMATE)
    assert (design.build.io_type, design.build.strategy, design.build.reuse_factor, design.build.clock_ns) == ("io_parallel", Strategy.LATENCY, 4, 5.0)
    assert design.measured == {"latency_max": 7.0, "lut": 7147.0, "dsp": 0.0}
    assert (design.succeeded, design.build.series7) == (True, False)


def test_a_network_of_wa_hls4ml_has_relu_between_its_layers() -> None:
    found = layers(dense_row(80, 24, 120, 8))
    assert [layer.kind for layer in found] == [Kind.DENSE, Kind.ACTIVATION, Kind.DENSE, Kind.ACTIVATION, Kind.DENSE]
    assert [layer.inputs for layer in found[1:]] == [(layer.name,) for layer in found[:-1]]
    assert [layer.out_c for layer in found] == [24, 24, 120, 120, 8]
    assert read_design(dense_row(80, 24, 120)).flow == Flow(Tool.VITIS_HLS, Stage.POST_SYNTH)


def test_layers_of_n_torc() -> None:
    (dense,) = layers(torc_dense_row(1024, 16, 128))
    assert dense.weight_peak == pytest.approx((6 / (1024 + 16)) ** 0.5 / 128)  # 8 integer bits, initialised as by Glorot
    (convolution,) = layers(torc_convolution_row(64, 16, 8, kernel=3))
    assert (convolution.in_w, convolution.out_w, convolution.in_c, convolution.out_c, convolution.kernel_w) == (66, 64, 16, 8, 3)
    (lstm,) = layers(torc_lstm_row(16, 12))
    assert (lstm.kind, lstm.in_w, lstm.in_c, lstm.out_c) == (Kind.LSTM, 8, 16, 12)
    design = read_design(torc_dense_row(64, 16, 128))
    assert (design.flow.tool, design.build.io_type, design.build.clock_ns) == (Tool.VIVADO_HLS_2019, "io_stream", 4.0)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"network_json": None}, "no network description"),
        ({"network_json": ""}, "no network description"),
        ({"network_json": "{"}, "network description is not JSON"),
        ({"network_json": "[" * 100_000}, "network description is not JSON"),
        ({"network_json": "7"}, "network description is not a list of layers"),
        ({"network_json": "[]"}, "network description is not a list of layers"),
        ({"network_json": "[1]"}, "network description is not a list of layers"),
        ({"network_json": '[{"kind": "Capsule"}]'}, "layers of kind Capsule"),
        ({"network_json": '[{"kind": "Dense", "n_in": 4}]'}, "network lacks a shape"),
        ({"network_json": '[{"kind": "Dense", "n_in": 4, "n_out": -3}]'}, "network lacks a shape"),
        ({"stage": "board_measured"}, "stage board_measured"),
        ({"stage": None}, "stage unknown"),
    ],
)
def test_rows_without_a_model_say_why(columns: Row, reason: str) -> None:
    design = read_design(dense_row(4, 4, lut=10.0, **columns))
    assert (design.model, design.skipped, design.measured) == (None, reason, {"lut": 10.0})


def test_figures_that_are_no_counts_are_not_measured() -> None:
    row = dense_row(4, 4) | {"lut": "nan", "ff": "-1.0", "dsp": "many", "bram18": None, "latency_max": "inf", "ii_max": 3}
    assert read_design(row).measured == {"ii_max": 3.0}


@pytest.mark.parametrize(("success", "succeeded"), [("0", False), ("0.0", False), (" False", False), ("1", True), ("1.0", True), ("", True)])
def test_failed_syntheses_are_known(success: str, succeeded: bool) -> None:
    design = read_design(dense_row(4, 4, success=success))
    assert design.succeeded == succeeded
    assert design.model is not None


def test_defaults_of_a_build() -> None:
    build = read_build(dict.fromkeys(COLUMNS))
    assert (build.io_type, build.strategy, build.reuse_factor, build.clock_ns, build.series7) == ("io_parallel", Strategy.RESOURCE, 1, 5.0, False)
    assert read_build(project_row(4, 4, "a/b", reuse_factor="8;2;0")).reuse_factor == 1
    assert read_build(project_row(4, 4, "a/b", reuse_factor="16.0", io_type="IO_Stream")).reuse_factor == 16
    assert read_build(project_row(4, 4, "a/b", reuse_factor="16.0", io_type="IO_Stream")).io_type == "io_stream"
    assert read_build(project_row(4, 4, "a/b")).series7


def test_repositories_that_share_a_network_are_one_architecture(tmp_path: Path) -> None:
    rows = [project_row(8, 4, "a/first"), project_row(8, 4, "b/copy"), project_row(6, 4, "b/copy"), project_row(5, 4, "c/other"), dense_row(8, 4)]
    designs = read_designs(write_table(tmp_path, rows))
    assert [design.architecture for design in designs] == ["a/first", "a/first", "a/first", "c/other", rows[-1]["network_json"]]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: write_table(path.parent, []), "has no row"),
        (lambda path: parquet.write_table(parquet.read_table(path).drop_columns(["stage", "id"]), path), "lacks the columns id, stage"),
        (lambda path: path.write_bytes(b""), "not a Parquet file"),
        (lambda path: path.write_bytes(b"id,group\n1,2\n"), "not a Parquet file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "not a Parquet file"),
        (lambda path: path.unlink(), "no such file"),
        (lambda path: (path.unlink(), path.mkdir()), "no such file"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    path = write_table(tmp_path, [dense_row(4, 4)])
    damage(path)
    with pytest.raises(InputError, match=message) as caught:
        read_designs(path)
    assert "points.parquet" in str(caught.value)


def test_columns_that_a_table_may_lack(tmp_path: Path) -> None:
    path = write_table(tmp_path, [dense_row(4, 4, lut=12.0)])
    parquet.write_table(parquet.read_table(path).select(list(REQUIRED)), path)
    (design,) = read_designs(path)
    assert (design.skipped, design.measured, design.succeeded) == ("", {}, True)


def test_columns_of_other_types(tmp_path: Path) -> None:
    row = dense_row(4, 4, lut=12.0)
    columns: dict[str, Any] = {name: [row[name]] for name in COLUMNS}
    columns |= {"lut": [12], "clock_ns": [5.0], "success": [True], "reuse_factor": [2], "id": [7], "ref": [b"\xff"]}
    path = tmp_path / "typed.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    (design,) = read_designs(path)
    assert (design.id, design.measured, design.build.reuse_factor, design.succeeded) == ("7", {"lut": 12.0}, 2, True)
    parquet.write_table(pyarrow.table(columns | {"network_json": [[1, 2]], "strategy": [{"a": 1}], "stage": [5]}), path)
    (design,) = read_designs(path)
    assert design.skipped == "stage 5"


ANYTHING = st.none() | st.text(max_size=20) | st.integers() | st.floats() | st.booleans() | st.lists(st.integers(), max_size=2)
FIELD = st.sampled_from(["kind", "n_in", "n_out", "n_chan", "n_filt", "filt_width", "in_width", "out_width", "stride", "n_state", "cfg", "reuse_factor"])
KIND = st.sampled_from(["Dense", "Conv1D", "LSTM", "GRU", "dense_config", "conv1d_config", "activ_config"])
ENTRY = st.dictionaries(FIELD, ANYTHING | st.integers(0, 9), max_size=8).flatmap(lambda entry: KIND.map(lambda kind: {"kind": kind} | entry))


@given(st.lists(ENTRY, min_size=1, max_size=3), st.dictionaries(st.sampled_from(COLUMNS), ANYTHING, max_size=4))
@settings(max_examples=200, deadline=None)
def test_any_row_has_a_model_or_a_reason(entries: list[Row], columns: Row) -> None:
    design = read_design(dense_row(4, 4) | {"network_json": json.dumps(entries)} | columns)
    assert (design.model is None) == (design.skipped != "")
    assert all(value >= 0 for value in design.measured.values())
    assert set(design.measured) <= set(KPIS)
