"""Rows of tables of measured designs, as the published data sets have them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from codesign.validation.parquet import write_columns
from codesign.validation.points import KPIS, OPTIONAL, REQUIRED

Row = dict[str, Any]
COLUMNS = (*REQUIRED, *OPTIONAL)
_NUMBER = iter(range(10**9))


def _row(group: str, entries: Sequence[Row], **columns: Any) -> Row:
    base: Row = dict.fromkeys(COLUMNS) | {"id": str(next(_NUMBER)), "group": group, "success": "1", "network_json": json.dumps(list(entries))}
    return base | {name: str(value) if name in KPIS and value is not None else value for name, value in columns.items()}


def dense_row(*widths: int, weight_bits: int = 8, reuse_factor: int = 16, strategy: str = "resource", **columns: Any) -> Row:
    """A dense network of wa-hls4ml that is ``widths`` wide: one layer estimated by Vivado HLS, several synthesised behind Vitis HLS."""
    entries = [{"kind": "Dense", "n_in": n_in, "n_out": n_out, "bias": True} for n_in, n_out in pairwise(widths)]
    one = len(entries) == 1
    named: Row = {"source": "someone/wa-hls4ml", "level": "network", "device_part": "xcu250-figd2104-2L-e", "clock_ns": "5.0", "io_type": "io_parallel"}
    named |= {"tool_version": "2020.1" if one else "2023.2", "backend": "Vivado" if one else "Vitis", "stage": "hls_estimate" if one else "post_synth"}
    named |= {"weight_prec": f"quantized_bits({weight_bits},0,alpha=1)", "act_prec": "ap_fixed<16,6>"}
    return _row(f"wa-hls4ml-{len(entries)}layer", entries, **(named | {"reuse_factor": str(reuse_factor), "strategy": strategy} | columns))


def _torc_row(group: str, entry: Row, reuse_factor: int, columns: Row) -> Row:
    named: Row = {"source": "HeRCLab/N-TORC", "level": "layer", "device_part": "xczu7ev", "clock_ns": "4.0", "tool_version": "2019.1", "backend": "Vivado"}
    named |= {"weight_prec": "ap_fixed<16,8>", "act_prec": "ap_fixed<16,8>", "strategy": "resource", "io_type": "io_parallel/unknown", "stage": "hls_estimate"}
    return _row(group, [entry], **(named | {"reuse_factor": str(reuse_factor)} | columns))


def torc_dense_row(n_in: int, n_out: int, reuse_factor: int = 16, **columns: Any) -> Row:
    """A dense layer of N-TORC."""
    return _torc_row("n-torc-dense", {"kind": "Dense", "n_in": n_in, "n_out": n_out}, reuse_factor, columns)


def torc_convolution_row(width: int, channels: int, filters: int, kernel: int = 3, reuse_factor: int = 16, **columns: Any) -> Row:
    """A convolution of N-TORC, with zero padding that keeps the width."""
    entry = {"kind": "Conv1D", "in_width": width, "out_width": width, "n_chan": channels, "n_filt": filters, "filt_width": kernel, "stride": 1}
    return _torc_row("n-torc-conv1d", entry, reuse_factor, columns)


def torc_lstm_row(n_in: int, n_state: int, reuse_factor: int = 16, **columns: Any) -> Row:
    """An LSTM of N-TORC."""
    return _torc_row("n-torc-lstm", {"kind": "LSTM", "n_in": n_in, "n_state": n_state, "n_sequence": 8}, reuse_factor, columns)


def project_row(n_in: int, n_out: int, source: str, group: str = "repo-network", **columns: Any) -> Row:
    """A project of a public repository: a dense layer with ReLU, in a stream unless told otherwise."""
    types = {"accum_t": "ap_fixed<16,6>", "bias_t": "ap_fixed<8,1>", "weight_t": "ap_fixed<8,1>"}
    latency = columns.get("strategy") == "latency"
    dense = {"cfg": "config2", "kind": "dense_config", "n_in": n_in, "n_out": n_out, "reuse_factor": 1 if latency else 8} | types
    relu = {"cfg": "relu_config3", "kind": "activ_config", "n_in": n_out, "table_size": 1024}
    named: Row = {"source": source, "level": "network", "device_part": "xc7z020-clg400-1", "clock_ns": "5.0", "tool_version": "2020.1"}
    named |= {"io_type": "io_stream", "strategy": "resource", "stage": "hls_estimate", "ref": f"{source}/report/myproject_csynth.xml@c0ffee"}
    return _row(group, [dense, relu], **(named | columns))


def write_table(folder: Path, rows: Sequence[Row]) -> Path:
    """A table of rows."""
    path = folder / "points.parquet"
    write_columns(path, {name: [row[name] for row in rows] for name in COLUMNS})
    return path
