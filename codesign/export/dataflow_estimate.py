"""What an exported project costs where it is not the accelerator that was priced: its own dataflow design, by the streaming model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codesign.accelerator.hls_plan import HlsPlan
from codesign.estimate import Estimate, Evidence
from codesign.kpi.streaming.template import Style, coefficients, plan_layers, resources, timing
from codesign.network.layers import LayerGraph, LayerTable

SOURCE = "streaming model with the project's reuse factors"


def estimate_dataflow(graph: LayerGraph, plan: HlsPlan) -> dict[str, Estimate]:
    """Latency and interval in cycles, LUT, FF, DSP and BRAM18 of a network as hls4ml builds it with a plan.

    The formulas are those of `codesign.kpi.streaming`, at the plan's reuse factors instead of the model's own choice.
    """
    table = LayerTable.from_graphs([graph])
    chosen = plan_layers(table, np.ones(1, dtype=np.int64))
    reuse = np.ones_like(chosen.reuse)
    for slot, layer in enumerate(graph):
        reuse[0, slot] = plan.reuse.get(layer.name, 1)
    multipliers = np.where(table.weighted, np.ceil(chosen.n_in * chosen.n_out / reuse), 0.0)
    hardware = replace(chosen, reuse=reuse, multipliers=multipliers)
    style = Style(resource=np.array([[plan.strategy == "resource"]]), parallel=np.array([[plan.io_type == "io_parallel"]]))
    time, used = timing(table, hardware, style), resources(table, hardware, style)
    c = coefficients()
    cycles = {"latency_cycles": time.latency, "interval_cycles": time.interval}
    counts = {"lut": used.lut, "ff": used.ff, "dsp": used.dsp, "bram18": used.bram18}
    return {
        **{name: _estimate(float(np.ceil(value[0])), "cycles", c.cycles["error"].value) for name, value in cycles.items()},
        **{name: _estimate(float(value[0]), "count", c.error[name].value) for name, value in counts.items()},
    }


def _estimate(value: float, unit: str, error: float) -> Estimate:
    return Estimate.relative(value, unit, error, Evidence.ANALYTIC, SOURCE)
