"""What layers and networks cost: the parts put together.

Notation: m rows of an `HlsTable`, n designs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from codesign.kpi.streaming import element_terms, matrix_vector_terms
from codesign.kpi.streaming.elements import Elements, cycles, memory_blocks
from codesign.kpi.streaming.elements import dsp_blocks as element_dsp_blocks
from codesign.kpi.streaming.flow import Flow, Stage, Tool
from codesign.kpi.streaming.hls_table import HlsTable
from codesign.kpi.streaming.matrix_vector import MatrixVector, dsp_blocks
from codesign.kpi.streaming.matrix_vector_laws import memory_blocks as weight_blocks
from codesign.kpi.streaming.matrix_vector_laws import row_cycles
from codesign.kpi.streaming.prices import prices
from codesign.kpi.streaming.terms import PartT, Terms
from codesign.kpi.template_model import FloatArray
from codesign.network.hls_model import Kind, Strategy

REPORTED_FILL = 16.0
"""Cycles that an HLS tool's own latency of a dataflow region has for each convolution or pool but the slowest."""
HANDOVER_FAST, HANDOVER_SLOW = 0.3, 1.0
"""Cycles between two layers of an unrolled io_parallel network on UltraScale and on 7-series fabric (54 HLS reports)."""


@dataclass(frozen=True)
class LayerCosts:
    """Cost of each row (m,).

    Attributes:
        latency: cycles from a layer's first input to its last result, alone.
        interval: cycles between two inferences that it can begin.
        fill: cycles to its first result.
        lut, ff, dsp, bram18: counts, not rounded.
        multipliers: products made side by side.
    """

    latency: FloatArray
    interval: FloatArray
    fill: FloatArray
    lut: FloatArray
    ff: FloatArray
    dsp: FloatArray
    bram18: FloatArray
    multipliers: FloatArray

    @property
    def rest(self) -> FloatArray:
        """Cycles from the first result to the last."""
        return self.latency - self.fill


@dataclass(frozen=True)
class NetworkCosts:
    """Cost of each design (n,): whole cycles and counts."""

    latency: FloatArray
    interval: FloatArray
    lut: FloatArray
    ff: FloatArray
    dsp: FloatArray
    bram18: FloatArray


def layer_costs(table: HlsTable, unit: MatrixVector, flow: Flow) -> LayerCosts:
    """Each row's cost as a flow reports it; ``unit``: the table's matrix-vector units for the flow's tool."""
    element = Elements(table, flow.tool)
    latency, interval, fill = cycles(element)
    unit_latency, unit_interval = row_cycles(unit)
    first = ~unit.state
    latency[unit.row[first]], interval[unit.row[first]] = unit_latency[first], unit_interval[first]
    fill = np.where(table.weighted, _weighted_fill(table, latency, flow), fill)

    def onto_rows(values: FloatArray) -> FloatArray:
        return np.bincount(unit.row, weights=values, minlength=len(table)).astype(np.float64)

    present = frozenset(np.flatnonzero(np.bincount(table.kind)).tolist())

    def linear(resource: str) -> FloatArray:
        units, around = (
            (matrix_vector_terms.LUT_TERMS, element_terms.LUT_TERMS) if resource == "lut" else (matrix_vector_terms.FF_TERMS, element_terms.FF_TERMS)
        )
        priced = onto_rows(_priced(units, prices(flow, "matrix_vector", resource), unit, present))
        return priced + _priced(around, prices(flow, "elements", resource), element, present)

    return LayerCosts(
        latency=latency,
        interval=interval,
        fill=np.minimum(fill, latency),
        lut=linear("lut"),
        ff=linear("ff"),
        dsp=onto_rows(dsp_blocks(unit)) + element_dsp_blocks(element),
        bram18=onto_rows(weight_blocks(unit, flow)) + memory_blocks(element),
        multipliers=onto_rows(unit.multipliers),
    )


def _priced(terms: Terms[PartT], priced: Mapping[str, float], part: PartT, present: frozenset[int]) -> FloatArray:
    """Sum of price times count over the terms that have a price; only those of kinds that are present are counted."""
    total = np.zeros(len(part))
    for name, price in priced.items():
        term = terms[name]
        if not term.kinds or present.intersection(term.kinds):
            total += price * term.count(part)
    return total


def _weighted_fill(table: HlsTable, latency: FloatArray, flow: Flow) -> FloatArray:
    """Cycles to the first result of layers with weights.

    A dense or recurrent layer has it at its end. A convolution in a stream has it when its first window is full; the HLS
    tools' own figure for a region of processes leaves that out.
    """
    convolution = table.of_kind(Kind.CONV1D, Kind.CONV2D, Kind.DEPTHWISE_CONV1D, Kind.DEPTHWISE_CONV2D) & (table.stream > 0)
    positions = np.maximum(table.in_h * table.in_w, 1)
    window = np.minimum((table.kernel_h - 1) * table.in_w + table.kernel_w, positions)
    fill = REPORTED_FILL if flow.stage is Stage.HLS_ESTIMATE else latency * window / positions
    return np.where(convolution, fill, latency)


def pipeline_handover(table: HlsTable) -> FloatArray:
    """Cycles (n,) between the layers of an unrolled io_parallel network, all together."""
    rows = table.total(np.ones(len(table)))
    series7 = table.largest(table.series7.astype(np.float64)) > 0
    return np.where(rows > 1, np.where(series7, HANDOVER_SLOW, HANDOVER_FAST) * rows, 0.0)


def network_costs(table: HlsTable, costs: LayerCosts, flow: Flow) -> NetworkCosts:
    """Each design's cost.

    * io_stream: layers work at the same time: ``sum fill + max rest``; the slowest sets the interval.
    * io_parallel, a sequential layer among them: one after the other with a cycle between two layers with weights; the
      next inference waits for the last (Vitis HLS 2023.2, exact on 151 networks) or for the slowest layer (Vivado HLS).
    * io_parallel, all unrolled: one pipeline; the largest interval of a layer holds for all.
    """
    stream = table.total(table.stream.astype(np.float64)) > 0
    fill, rest = table.total(costs.fill), table.largest(costs.rest)
    streamed = fill + rest
    weighted = table.total(table.weighted.astype(np.float64))
    in_turn = table.weighted & (table.strategy == Strategy.RESOURCE) & (np.maximum(table.reuse, table.recurrent_reuse) > 1)
    sequential = table.largest(in_turn.astype(np.float64)) > 0
    handover = pipeline_handover(table)
    chained = table.total(costs.latency) + np.where(sequential, np.maximum(weighted - 1.0, 0.0), handover)
    latency = np.where(stream, streamed, chained)
    slowest, widest = table.largest(costs.latency), table.largest(costs.interval)
    alone = weighted <= 1
    waits = latency if flow.tool is Tool.VITIS_HLS else slowest
    interval = np.where(stream | alone | ~sequential, widest, waits)
    return NetworkCosts(
        latency=np.maximum(np.round(latency), 0.0),
        interval=np.maximum(np.round(np.minimum(interval, np.maximum(latency, 1.0) + 1.0)), 1.0),
        lut=np.ceil(table.total(costs.lut)),
        ff=np.ceil(table.total(costs.ff)),
        dsp=np.ceil(table.total(costs.dsp)),
        bram18=np.ceil(table.total(costs.bram18)),
    )
