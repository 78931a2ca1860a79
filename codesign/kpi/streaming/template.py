"""The template model of hls4ml designs in a search. Figures are those after synthesis.

Notation: ``n`` designs, ``L`` layer slots. One accelerator parameter sets all reuse factors: each layer takes the largest
legal one with ``positions * RF`` within the interval target, so that layers take about the same time and none has more
multipliers than it needs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.device import Device
from codesign.accelerator.hls_plan import HlsPlan
from codesign.accelerator.template import load_descriptor
from codesign.kpi.reuse import IntMatrix, largest_legal, multiplier_shape
from codesign.kpi.streaming.costs import LayerCosts, NetworkCosts, layer_costs, network_costs
from codesign.kpi.streaming.feasibility import feasibility
from codesign.kpi.streaming.flow import Flow, Stage, Tool, slow_fabric
from codesign.kpi.streaming.hls_table import HlsTable
from codesign.kpi.streaming.matrix_vector import MatrixVector
from codesign.kpi.streaming.power import dynamic_energy_uj
from codesign.kpi.streaming.uncertainty import design_classes, errors_of
from codesign.kpi.template_model import FloatArray, LayerKpis, TemplateKpis
from codesign.network.layers import LayerGraph, LayerTable, Op
from codesign.network.table_builder import TaskShape
from codesign.space.columns import Columns
from codesign.space.parameters import Parameter, Value

Mask = NDArray[np.bool_]
FLOW = Flow(Tool.VITIS_HLS, Stage.POST_SYNTH)
"""Exported projects are built by Vitis HLS; what has to fit is what synthesis leaves."""


def plan_reuse(table: LayerTable, interval_target: NDArray[np.int64]) -> IntMatrix:
    """Reuse factors of all layers (n x L) for interval targets (n,) in cycles; 1 without weights.

    hls4ml's line buffer runs over every position of the zero-padded input.
    """
    n_in, n_out = multiplier_shape(table)
    positions = (table.in_h.astype(np.int64) + 2 * table.pad_h) * (table.in_w + 2 * table.pad_w)
    return largest_legal(n_in, n_out, interval_target[:, None] // np.where(table.present, positions, 1))


def off_chip_bytes(table: LayerTable) -> FloatArray:
    """Bytes (n,) of the network's input and result: all that crosses the border."""
    present = table.present
    last = present.shape[1] - 1 - np.argmax(present[:, ::-1], axis=1)[:, None]
    read = table.out_h[:, 0] * table.out_w[:, 0] * table.out_c[:, 0] * table.output_bits[:, 0]
    result = table.out_h * table.out_w * table.out_c * table.output_bits
    return np.asarray((read + np.take_along_axis(result, last, axis=1)[:, 0]) / 8.0)


class StreamingModel:
    """Cost model of hls4ml designs."""

    name = "streaming"

    @property
    def description(self) -> str:
        """One line for ``codesign templates``."""
        return load_descriptor(self.name).description

    def parameters(self, device: Device, shape: TaskShape | None = None) -> tuple[Parameter, ...]:
        """Dimensions of the space: clocks the device reaches."""
        descriptor = load_descriptor(self.name)
        clocks = tuple(value for value in descriptor.parameters["clock_mhz"].values if float(value) <= device.clock_mhz.value)
        return tuple(descriptor.parameter(name, clocks if name == "clock_mhz" else None) for name in descriptor.parameters)

    def evaluate(self, table: LayerTable, columns: Columns, device: Device) -> TemplateKpis:
        """Cost of n networks as n streaming designs; see `codesign.kpi.template_model.TemplateModel`."""
        resource, parallel = columns.names("strategy") == "resource", columns.names("io_type") == "io_parallel"
        clock_mhz = columns["clock_mhz"].astype(np.float64)
        reuse = plan_reuse(table, columns.integers("interval_target_cycles"))
        slow = slow_fabric(device.part)
        rows = HlsTable.from_layer_table(table, reuse, resource=resource, stream=~parallel, clock_ns=1000.0 / clock_mhz, series7=slow)
        unit = MatrixVector(rows, FLOW.tool)
        layers = layer_costs(rows, unit, FLOW)
        network = network_costs(rows, layers, FLOW)
        crossing = off_chip_bytes(table)
        latency = np.maximum(network.latency, 1.0)
        return TemplateKpis(
            latency_cycles=latency,
            interval_cycles=np.minimum(network.interval, latency),
            clock_mhz=clock_mhz,
            lut=network.lut,
            ff=network.ff,
            dsp=network.dsp,
            bram18=network.bram18,
            uram=np.zeros(len(table)),
            dynamic_uj=dynamic_energy_uj(rows, layers, network, crossing, device),
            off_chip_bytes=crossing,
            limits=_limits(table, rows, unit, parallel),
            relative_error=_relative_errors(rows, network),
            layers=_layer_kpis(table, rows, layers, network, reuse),
        )

    def hls_plan(self, graph: LayerGraph, values: Mapping[str, Value], device: Device) -> HlsPlan:
        """The settings that `evaluate` prices."""
        table = LayerTable.from_graphs([graph])
        reuse = plan_reuse(table, np.array([values["interval_target_cycles"]], dtype=np.int64))[0]
        weighted = table.weighted[0]
        return HlsPlan(
            io_type=str(values["io_type"]),
            strategy=str(values["strategy"]),
            clock_mhz=float(values["clock_mhz"]),
            reuse={layer.name: int(reuse[slot]) for slot, layer in enumerate(graph) if weighted[slot]},
        )


def _limits(table: LayerTable, rows: HlsTable, unit: MatrixVector, parallel: Mask) -> dict[str, FloatArray]:
    """Utilisation (n,) of what the HLS tools can build.

    * multipliers of one layer: the tools unroll and partition up to a limit;
    * io_parallel: dense networks only. Convolutions there copy their window for every output position, hls4ml's
      depthwise layer exists in Latency strategy only, and C simulation takes minutes to compile.
    """
    maps = (table.present & (table.op != Op.DENSE)).sum(axis=1)
    share = feasibility(rows, unit).share
    return {"multipliers": rows.largest(share), "io_parallel": np.where(parallel, 1.0 + maps, 0.0)}


def _relative_errors(rows: HlsTable, network: NetworkCosts) -> dict[str, FloatArray]:
    """Half width (n,) of the 95 % interval as a share of the value, by key figure; ``cycles`` for latency and interval."""
    classes = design_classes(rows)
    errors = {}
    for name, figure in (("cycles", "latency"), ("lut", "lut"), ("ff", "ff"), ("dsp", "dsp"), ("bram18", "bram18")):
        relative, absolute = (values[classes] for values in errors_of(FLOW, figure))
        errors[name] = relative + absolute / np.maximum(getattr(network, figure), 1.0)
    return errors


def _layer_kpis(table: LayerTable, rows: HlsTable, layers: LayerCosts, network: NetworkCosts, reuse: IntMatrix) -> LayerKpis:
    """The same by layer slot, n x L; zero padding counts with the layer behind it."""
    shape = table.op.shape
    place = rows.design * shape[1] + rows.slot

    def by_slot(values: FloatArray) -> FloatArray:
        return np.bincount(place, weights=values, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)

    busy = np.zeros(shape[0] * shape[1])
    np.maximum.at(busy, place, layers.latency)
    cycles, interval = busy.reshape(shape), np.maximum(network.interval, 1.0)[:, None]
    weights = table.weights
    macs = weights * table.out_h * table.out_w
    # Latency strategy gives cheap constants logic of their own and is done before RF turns: more products side by side.
    multipliers = np.maximum(by_slot(layers.multipliers), np.ceil(macs / np.maximum(np.minimum(cycles, interval), 1.0)))
    return LayerKpis(
        cycles=cycles,
        macs=macs,
        utilisation=macs / np.maximum(multipliers * interval, 1.0),
        multipliers=multipliers,
        reuse_factor=np.where(table.weighted, reuse, 0).astype(np.float64),
        weight_bytes=weights * table.weight_bits / 8.0,
        off_chip_bytes=np.zeros(shape),
    )


TEMPLATE_MODEL = StreamingModel()
