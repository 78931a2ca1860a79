"""What an exported project costs where it is not the accelerator that was priced: its own dataflow design, by the streaming model."""

from __future__ import annotations

import numpy as np

from codesign.accelerator.hls_plan import HlsPlan
from codesign.estimate import Estimate, Evidence
from codesign.kpi.streaming.flow import slow_fabric
from codesign.kpi.streaming.hls_table import HlsTable
from codesign.kpi.streaming.predictions import predict_table
from codesign.kpi.streaming.template import FLOW
from codesign.network.layers import LayerGraph, LayerTable

SOURCE = "streaming model with the project's reuse factors"
FIGURES = {
    "latency_cycles": ("latency", "cycles"),
    "interval_cycles": ("interval", "cycles"),
    "lut": ("lut", "count"),
    "ff": ("ff", "count"),
    "dsp": ("dsp", "count"),
    "bram18": ("bram18", "count"),
}


def estimate_dataflow(graph: LayerGraph, plan: HlsPlan, part: str) -> dict[str, Estimate]:
    """Latency and interval in cycles, LUT, FF, DSP and BRAM18 of a network as hls4ml builds it with a plan for a part.

    The formulas are those of `codesign.kpi.streaming`, at the plan's reuse factors instead of the model's own choice.
    """
    table = LayerTable.from_graphs([graph])
    reuse = np.array([[plan.reuse.get(layer.name, 1) for layer in graph]], dtype=np.int64)
    rows = HlsTable.from_layer_table(
        table,
        reuse,
        resource=np.array([plan.strategy == "resource"]),
        stream=np.array([plan.io_type == "io_stream"]),
        clock_ns=np.array([1000.0 / plan.clock_mhz]),
        series7=slow_fabric(part),
    )
    found = predict_table(rows, FLOW)
    return {
        name: Estimate(float(found.values(figure)[0]), unit, float(found.low[figure][0]), float(found.high[figure][0]), Evidence.ANALYTIC, SOURCE)
        for name, (figure, unit) in FIGURES.items()
    }
