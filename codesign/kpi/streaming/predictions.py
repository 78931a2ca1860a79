"""Key figures of whole designs as a flow would report them, with intervals and the chance that the tools fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.kpi.streaming.costs import LayerCosts, NetworkCosts, layer_costs, network_costs
from codesign.kpi.streaming.feasibility import Feasibility, feasibility
from codesign.kpi.streaming.flow import Flow
from codesign.kpi.streaming.hls_table import Build, HlsTable
from codesign.kpi.streaming.matrix_vector import MatrixVector
from codesign.kpi.streaming.uncertainty import FIGURES, design_classes, interval
from codesign.kpi.template_model import FloatArray
from codesign.network.hls_model import HlsModel, Strategy

CONSTANT_SPREAD = 0.07
"""Relative spread (95 %) of the DSP blocks of unrolled layers around what is expected of weights that nobody knows: 37 one-layer
syntheses of wa-hls4ml and N-TORC at reuse factor 1."""
LEAST = {"latency": 1.0, "interval": 1.0}
"""Lower ends of intervals are not below this, where the figure itself is not."""


@dataclass(frozen=True)
class Predictions:
    """Figures of n designs.

    Attributes:
        table: their m layers.
        layers: cost of each layer (m,).
        network: cost of each design (n,).
        low, high: 95 % interval (n,) by figure: ``latency``, ``interval``, ``lut``, ``ff``, ``dsp``, ``bram18``.
        classes: as `codesign.kpi.streaming.uncertainty.DesignClass` (n,).
        feasibility: chance to fail of each layer (m,).
        failure: chance (n,) that the tool does not end, that of the worst layer.
    """

    table: HlsTable
    layers: LayerCosts
    network: NetworkCosts
    low: dict[str, FloatArray]
    high: dict[str, FloatArray]
    classes: NDArray[np.int64]
    feasibility: Feasibility
    failure: FloatArray

    def values(self, figure: str) -> FloatArray:
        """A figure of each design (n,)."""
        found: FloatArray = getattr(self.network, figure)
        return found


def predict(models: Sequence[HlsModel], builds: Sequence[Build], flow: Flow) -> Predictions:
    """Figures of models, each built as its build says."""
    return predict_table(HlsTable.from_models(models, builds), flow)


def predict_table(table: HlsTable, flow: Flow) -> Predictions:
    """Figures of the designs of a table."""
    unit = MatrixVector(table, flow.tool)
    layers = layer_costs(table, unit, flow)
    network = network_costs(table, layers, flow)
    classes = design_classes(table)
    bounds = {figure: interval(flow, figure, getattr(network, figure), classes) for figure in FIGURES}
    low, high = bounds["dsp"]
    unrolled = table.largest((table.weighted & ((table.reuse <= 1) | (table.strategy == Strategy.LATENCY))).astype(np.float64)) > 0
    spread = np.where(unrolled, 1.0 + CONSTANT_SPREAD, 1.0)
    bounds["dsp"] = np.minimum(low, network.dsp / spread), np.maximum(high, network.dsp * spread)
    found = feasibility(table, unit)
    return Predictions(
        table=table,
        layers=layers,
        network=network,
        low={figure: np.minimum(np.maximum(np.floor(low), LEAST.get(figure, 0.0)), getattr(network, figure)) for figure, (low, _) in bounds.items()},
        high={figure: np.ceil(high) for figure, (_, high) in bounds.items()},
        classes=classes,
        feasibility=found,
        failure=table.largest(found.failure),
    )
