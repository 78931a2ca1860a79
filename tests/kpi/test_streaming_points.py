"""The streaming model against published syntheses that may be passed on; sources and licences are in the file."""

from __future__ import annotations

import json
from collections import defaultdict
from math import log, sqrt
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from codesign.kpi.streaming.feasibility import Obstacle
from codesign.kpi.streaming.flow import Flow, Stage, slow_fabric, tool_of
from codesign.kpi.streaming.predictions import Predictions, predict
from codesign.kpi.streaming.uncertainty import FIGURES
from codesign.network.hls_model import HlsLayer, Kind, Strategy
from tests.kpi.streaming_designs import build, model

POINTS = json.loads((Path(__file__).parents[1] / "golden" / "streaming_points.json").read_text(encoding="utf-8"))
ROWS: list[dict[str, Any]] = [dict(zip(POINTS["columns"], values, strict=True)) for values in POINTS["rows"]]
ENDED = [row for row in ROWS if row["lut"] is not None]
FAILED = [row for row in ROWS if row["lut"] is None]
UNROLLED_STREAM = {2894, 3018, 3031, 3154}
"""Unrolled layers of N-TORC: the number of multipliers that Vivado HLS 2019.1 puts in DSP blocks is known to be off."""
WORST_MEDIAN = {"n-torc-conv1d": 0.03, "n-torc-dense": 0.03, "n-torc-lstm": 0.06, "wa-hls4ml-1layer": 0.03}
"""Median relative error of LUT and FF that these rows may have."""


def name_of(row: dict[str, Any]) -> str:
    return f"{row['group']}-{row['id']}"


def layer_of(row: dict[str, Any]) -> HlsLayer:
    """The row's layer: untrained weights, Glorot's in N-TORC, whose types have seven integer bits."""
    shape, bits = row["shape"], row["weight_bits"]
    widths: dict[str, Any] = {"weight_bits": bits, "bias_bits": bits, "input_bits": 16, "output_bits": 16, "accumulator_bits": 16}

    def glorot(fan_in: int, fan_out: int) -> float:
        return sqrt(6 / (fan_in + fan_out)) / 2**7

    if row["kind"] == "Conv1D":
        width, channels, filters, kernel = shape
        sizes = {"in_w": width + kernel - 1, "out_w": width, "in_c": channels, "out_c": filters, "kernel_w": kernel}
        return HlsLayer(name="conv", kind=Kind.CONV1D, weight_peak=glorot(kernel * channels, kernel * filters), **sizes, **widths)
    if row["kind"] == "LSTM":
        steps, inputs, states = shape
        return HlsLayer(name="lstm", kind=Kind.LSTM, in_w=steps, in_c=inputs, out_c=states, weight_peak=glorot(inputs, 4 * states), **widths)
    peak = glorot(*shape) if row["group"].startswith("n-torc") else 0.0
    return HlsLayer(name="dense", kind=Kind.DENSE, in_c=shape[0], out_c=shape[1], weight_peak=peak, **widths)


def predicted(row: dict[str, Any]) -> Predictions:
    source = POINTS["sources"][row["group"]]
    how = build(
        row["group"].startswith("n-torc"), Strategy[row["strategy"].upper()], row["reuse_factor"],
        clock_ns=source["clock_ns"], series7=slow_fabric(source["device_part"]),
    )  # fmt: skip
    flow = Flow(tool_of(source["tool"], clock_ns=source["clock_ns"]), Stage.HLS_ESTIMATE)
    return predict([model(layer_of(row))], [how], flow)


def test_every_row_may_be_passed_on_and_names_its_source() -> None:
    for row in ROWS:
        source = POINTS["sources"][row["group"]]
        assert source["licence"].startswith(("MIT", "Apache-2.0"))
        assert source["source"]
        assert source["ref"]


@pytest.mark.parametrize("row", ENDED, ids=name_of)
def test_exact_figures_are_exact_and_the_others_near(row: dict[str, Any]) -> None:
    found = predicted(row)
    for figure in FIGURES:
        value, measured = float(found.values(figure)[0]), row[figure]
        if figure in row["exact"].split():
            assert value == measured, figure
        elif measured is not None and not (figure == "dsp" and row["id"] in UNROLLED_STREAM):
            assert measured / 2 <= value <= measured * 2 or abs(value - measured) <= 1, figure
    assert found.failure[0] < 0.5


@pytest.mark.parametrize("figure", FIGURES)
def test_figures_lie_within_their_intervals(figure: str) -> None:
    """95 % of all designs do; of these edge cases, 85 %."""
    pairs = [(predicted(row), row[figure]) for row in ENDED if row[figure] is not None]
    within = [bool(found.low[figure][0] <= measured <= found.high[figure][0]) for found, measured in pairs]
    assert sum(within) >= 0.85 * len(within)


@pytest.mark.parametrize("row", FAILED, ids=name_of)
def test_failed_syntheses_are_refused_with_a_reason(row: dict[str, Any]) -> None:
    found = predicted(row)
    assert found.failure[0] > 0.99
    assert found.feasibility.obstacle.tolist() == [Obstacle.PARTITION if row["strategy"] == "latency" else Obstacle.UNROLL]


@pytest.mark.parametrize("figure", ["lut", "ff"])
def test_typical_error_of_logic(figure: str) -> None:
    errors: dict[str, list[float]] = defaultdict(list)
    for row in ENDED:
        errors[row["group"]].append(abs(log(float(predicted(row).values(figure)[0]) / row[figure])))
    assert {group: round(median(found), 4) for group, found in errors.items() if median(found) > WORST_MEDIAN[group]} == {}
