"""`streaming`: every layer its own hardware, as hls4ml builds it. Resources are those after synthesis.

Notation: ``n`` designs, ``L`` layer slots; for a layer ``n_in`` products per output, ``n_out`` outputs, reuse factor RF,
``ceil(n_in * n_out / RF)`` multipliers. One accelerator parameter sets all reuse factors: each layer takes the largest
legal one with ``positions * RF`` within the interval target, so that layers take about the same time and none has more
multipliers than it needs.

.. [hls4ml] Fast Machine Learning Lab, hls4ml 1.3: nnet_utils, passes and back ends.
.. [UG1399] AMD, Vitis HLS User Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.device import Device
from codesign.accelerator.hls_plan import HlsPlan
from codesign.accelerator.template import load_descriptor
from codesign.catalogue import Quantity, load_record, record
from codesign.kpi.memory import bram18
from codesign.kpi.power import COEFFICIENTS, power_coefficients
from codesign.kpi.reuse import IntMatrix, largest_legal, multiplier_shape
from codesign.kpi.template_model import FloatArray, LayerKpis, TemplateKpis
from codesign.network.layers import LayerGraph, LayerTable, Op
from codesign.network.table_builder import TaskShape
from codesign.space.columns import Columns
from codesign.space.parameters import Parameter, Value

Mask = NDArray[np.bool_]
CONSTANT_BITS = 2
"""Narrowest weight in the table of constant multipliers."""


@record
class ConstantMultiplier:
    """LUT of a multiplier by a constant, by width of the constant from 2 bits on."""

    values: tuple[float, ...]
    unit: str
    source: str


@record
class StreamingCoefficients:
    """Contents of ``streaming.toml``: quantities by name in each table."""

    cycles: dict[str, Quantity]
    limits: dict[str, Quantity]
    dsp: dict[str, Quantity]
    lut: dict[str, Quantity]
    constant_multiplier: ConstantMultiplier
    ff: dict[str, Quantity]
    error: dict[str, Quantity]


@cache
def coefficients() -> StreamingCoefficients:
    """The template's coefficients."""
    return load_record(COEFFICIENTS / "streaming.toml", StreamingCoefficients)


@dataclass(frozen=True)
class Plan:
    """Hardware of each layer, n x L.

    Attributes:
        n_in, n_out: products per output and outputs; 1 without weights.
        positions: input positions that the layer runs over, zero padding included; 1 for dense layers.
        reuse: reuse factor; 1 without weights.
        multipliers: multipliers; 0 without weights.
    """

    n_in: IntMatrix
    n_out: IntMatrix
    positions: IntMatrix
    reuse: IntMatrix
    multipliers: FloatArray


def plan_layers(table: LayerTable, interval_target: NDArray[np.int64]) -> Plan:
    """Reuse factors of all layers for interval targets (n,) in cycles.

    hls4ml's line buffer runs over every position of the zero-padded input [hls4ml]_.
    """
    n_in, n_out = multiplier_shape(table)
    positions = (table.in_h.astype(np.int64) + 2 * table.pad_h) * (table.in_w + 2 * table.pad_w)
    positions = np.where(table.present, positions, 1)
    reuse = largest_legal(n_in, n_out, interval_target[:, None] // positions)
    multipliers = np.where(table.weighted, np.ceil(n_in * n_out / reuse), 0.0)
    return Plan(n_in=n_in, n_out=n_out, positions=positions, reuse=reuse, multipliers=multipliers)


@dataclass(frozen=True)
class Style:
    """How designs are built, as masks (n, 1)."""

    resource: Mask
    parallel: Mask


@dataclass(frozen=True)
class Timing:
    """Cycles: each layer's (n x L), and latency and interval (n,)."""

    busy: FloatArray
    latency: FloatArray
    interval: FloatArray


def timing(table: LayerTable, plan: Plan, style: Style) -> Timing:
    """Cycles of one inference.

    * io_stream: a layer takes RF cycles per input position, in Resource strategy some more; layers work at the same
      time, so the slowest sets the interval. The first result is out when the slowest layer is through and each other
      layer has filled its window once and finished its last position: an upper bound.
    * io_parallel: Resource layers run one after the other, ``sum RF + 3 * layers - 1`` in the worst case; Latency layers
      are one pipeline that takes a new input every RF cycles.
    """
    c = coefficients().cycles
    weighted, present = table.weighted, table.present
    dense = table.op == Op.DENSE
    after = np.where(dense, c["resource_dense"].value, c["resource_position"].value)
    cost = np.where(weighted, plan.reuse + np.where(style.resource, after, 0.0), 1.0)
    depth = np.where(weighted, np.where(style.resource, 0.0, c["latency_depth"].value), c["simple_depth"].value)
    busy = np.where(present, plan.positions * cost + depth, 0.0)
    window = (table.kernel_h - 1) * (table.in_w + 2 * table.pad_w) + table.kernel_w
    convolution = weighted & ~dense
    fill = np.where(present, np.where(convolution, window, 1) * cost + depth, 0.0)
    slowest = busy.max(axis=1)
    last = np.argmax(busy, axis=1)[:, None]
    streamed = slowest + fill.sum(axis=1) - np.take_along_axis(fill, last, axis=1)[:, 0]

    chain = np.where(weighted, cost + depth, 0.0).sum(axis=1) - 1.0
    ordered = style.resource[:, 0]
    pipelined = np.where(weighted, plan.reuse, 1).max(axis=1)
    parallel = style.parallel[:, 0]
    return Timing(
        busy=busy,
        latency=np.where(parallel, chain, streamed),
        interval=np.where(parallel, np.where(ordered, chain, pipelined), slowest),
    )


@dataclass(frozen=True)
class Resources:
    """Resources (n,); multipliers in DSP blocks and memory blocks per layer (n x L)."""

    lut: FloatArray
    ff: FloatArray
    dsp: FloatArray
    bram18: FloatArray
    in_dsp: Mask


def resources(table: LayerTable, plan: Plan, style: Style) -> Resources:
    """LUT, FF, DSP and block memory of all layers together.

    In Resource strategy a reuse factor above 1 makes multipliers select among inputs, and more multipliers than outputs
    make trees of adders. In Latency strategy the figure per constant multiplier covers the layer's adders and registers.
    """
    c = coefficients()
    weighted, weight_bits, input_bits = table.weighted, table.weight_bits, table.input_bits
    in_dsp = weighted & style.resource & (weight_bits >= c.dsp["weight_bits"].value) & (input_bits >= c.dsp["input_bits"].value)
    products = np.where(in_dsp | ~style.resource, 0.0, plan.multipliers * weight_bits * input_bits)
    in_bits = np.where(weighted & style.resource, plan.n_in * input_bits, 0)
    out_bits = np.where(weighted & style.resource, table.out_c * table.accumulator_bits, 0)
    dsp_bits = np.where(in_dsp, plan.multipliers * input_bits, 0.0)
    constants = np.where(style.resource, 0.0, plan.multipliers)
    tree_bits = np.where(style.resource, np.maximum(plan.multipliers - table.out_c, 0.0), 0.0) * (weight_bits + input_bits)
    control = np.where(table.present & ~style.parallel, 1.0, 0.0)
    lut = (
        c.lut["input"].value * np.where(plan.reuse > 1, in_bits, 0)
        + c.lut["output"].value * out_bits
        + c.lut["multiplier"].value * products
        + c.lut["dsp_multiplier"].value * dsp_bits
        + c.lut["adder"].value * tree_bits
        + _constant_luts(table, plan, constants)
        + c.lut["line_buffer"].value * _line_buffer_bits(table, style)
        + c.lut["layer"].value * control
    )
    ff = (
        c.ff["input"].value * in_bits
        + c.ff["output"].value * out_bits
        + c.ff["multiplier"].value * products
        + c.ff["dsp_multiplier"].value * dsp_bits
        + c.ff["adder"].value * tree_bits
        + c.ff["constant"].value * constants
        + c.ff["layer"].value * control
    )
    fifo_lut, fifo_blocks = _fifos(table, style)
    blocks = _weight_blocks(table, plan, style) + fifo_blocks
    return Resources(
        lut=np.ceil((lut + fifo_lut).sum(axis=1)),
        ff=np.ceil(ff.sum(axis=1)),
        dsp=np.where(in_dsp, plan.multipliers, 0.0).sum(axis=1),
        bram18=blocks.sum(axis=1),
        in_dsp=in_dsp,
    )


def _constant_luts(table: LayerTable, plan: Plan, constants: FloatArray) -> FloatArray:
    """LUT of Latency-strategy multipliers (n x L): weights are constants in logic, shared ones select among several."""
    c = coefficients()
    by_width = np.array(c.constant_multiplier.values)
    width = np.clip(table.weight_bits - CONSTANT_BITS, 0, len(by_width) - 1)
    shared = np.where(plan.reuse > 1, c.lut["constant_shared"].value, 1.0)
    return np.asarray(c.lut["constant_scale"].value * shared * by_width[width] * constants)


def _line_buffer_bits(table: LayerTable, style: Style) -> FloatArray:
    """Bits of the shift registers that hold ``kernel_h - 1`` lines of a two-dimensional convolution's padded input."""
    lines = np.where(table.weighted & ~style.parallel, np.maximum(table.kernel_h - 1, 0), 0)
    return np.asarray(lines * np.ceil((table.in_w + 2 * table.pad_w) / 32.0) * 32.0 * table.in_c * table.input_bits)


def _weight_blocks(table: LayerTable, plan: Plan, style: Style) -> FloatArray:
    """Blocks (n x L) of weight memories: RF words of all multipliers' weights; Resource strategy with RF above 1."""
    stored = table.weighted & style.resource & (plan.reuse > 1)
    return np.where(stored, bram18(plan.reuse.astype(np.float64), plan.multipliers * table.weight_bits), 0.0)


def _fifos(table: LayerTable, style: Style) -> tuple[FloatArray, FloatArray]:
    """LUT and blocks (n x L) of the streams that leave each layer, and of the padded copy of its input.

    hls4ml makes a stream as deep as its feature map, one word a position, and one more for each reader where there are
    several [hls4ml]_; Vitis HLS keeps short ones in shift registers and the others in block memory [UG1399]_.
    """
    n, slots = table.op.shape
    source = np.concatenate([table.input_a, table.input_b], axis=1) + 1 + (np.arange(n) * (slots + 1))[:, None]
    readers = np.bincount(source.ravel(), minlength=n * (slots + 1)).reshape(n, slots + 1)[:, 1:]
    streams = np.where(readers > 1, 1.0 + readers, 1.0)
    padded = table.present & ((table.pad_h > 0) | (table.pad_w > 0))
    depth = np.where(table.present, table.out_h * table.out_w, 0).astype(np.float64)
    width = table.out_c * table.output_bits.astype(np.float64)
    padded_depth = np.where(padded, (table.in_h + 2 * table.pad_h) * (table.in_w + 2 * table.pad_w), 0)
    padded_width = table.in_c * table.input_bits.astype(np.float64)
    lut, blocks = np.zeros(table.op.shape), np.zeros(table.op.shape)
    for copies, words, bits in ((streams, depth, width), (1.0, padded_depth, padded_width)):
        short = words * bits <= coefficients().limits["fifo_srl_bits"].value
        lut += np.where(short, copies * np.ceil(words / 32.0) * bits, 0.0)
        blocks += np.where(short, 0.0, copies * bram18(words, bits))
    return np.where(style.parallel, 0.0, lut), np.where(style.parallel, 0.0, blocks)


def dynamic_energy_uj(table: LayerTable, plan: Plan, used: Resources, time: Timing, device: Device) -> FloatArray:
    """Energy (n,) above static power, by activity.

    Each element works while its layer does: multipliers by their products and
    operand widths, memories by their accesses, logic by the average over layers; the clock tree from the first input to
    the result; external memory by the bit.
    """
    p = power_coefficients().families[device.family]
    idle = power_coefficients().multiplier_idle.value
    widths = np.multiply(table.weight_bits, table.input_bits, dtype=np.float64) / 64.0
    outputs = table.out_h * table.out_w
    active = outputs * plan.reuse
    multiplier = np.where(used.in_dsp, p.dsp_pj.value * active * plan.multipliers * (idle + (1.0 - idle) * widths), 0.0)
    weight_reads = np.where(table.weighted, p.bram18_pj.value * active * np.ceil(plan.multipliers * table.weight_bits / 36.0), 0.0)
    streams = 2.0 * p.bram18_pj.value / 36.0 * outputs * table.out_c * table.output_bits
    busy = np.where(table.weighted, active, 0).sum(axis=1) / np.maximum(table.weighted.sum(axis=1), 1)
    logic = used.lut * (p.clock_pj.value * time.latency + p.lut_pj.value * np.minimum(busy, time.latency))
    external = 8.0 * device.off_chip_pj_per_bit.value * off_chip_bytes(table)
    return np.asarray(((multiplier + weight_reads + streams).sum(axis=1) + logic + external) * 1e-6)


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
        style = Style(resource=(columns.names("strategy") == "resource")[:, None], parallel=(columns.names("io_type") == "io_parallel")[:, None])
        plan = plan_layers(table, columns.integers("interval_target_cycles"))
        time = timing(table, plan, style)
        used = resources(table, plan, style)
        weights = table.weights
        macs = weights * table.out_h * table.out_w
        c = coefficients()
        return TemplateKpis(
            latency_cycles=np.ceil(time.latency),
            interval_cycles=np.ceil(time.interval),
            clock_mhz=columns["clock_mhz"].astype(np.float64),
            lut=used.lut,
            ff=used.ff,
            dsp=used.dsp,
            bram18=used.bram18,
            uram=np.zeros(len(table)),
            dynamic_uj=dynamic_energy_uj(table, plan, used, time, device),
            off_chip_bytes=off_chip_bytes(table),
            limits=_limits(table, plan, style),
            relative_error={name: quantity.value for name, quantity in c.error.items()} | {"cycles": c.cycles["error"].value},
            layers=LayerKpis(
                cycles=time.busy,
                macs=macs,
                utilisation=macs / np.maximum(plan.multipliers * time.interval[:, None], 1.0),
                multipliers=plan.multipliers,
                reuse_factor=np.where(table.weighted, plan.reuse, 0).astype(np.float64),
                weight_bytes=weights * table.weight_bits / 8.0,
                off_chip_bytes=np.zeros(table.op.shape),
            ),
        )

    def hls_plan(self, graph: LayerGraph, values: Mapping[str, Value], device: Device) -> HlsPlan:
        """The settings that `evaluate` prices."""
        table = LayerTable.from_graphs([graph])
        reuse = plan_layers(table, np.array([values["interval_target_cycles"]], dtype=np.int64)).reuse[0]
        weighted = table.weighted[0]
        return HlsPlan(
            io_type=str(values["io_type"]),
            strategy=str(values["strategy"]),
            clock_mhz=float(values["clock_mhz"]),
            reuse={layer.name: int(reuse[slot]) for slot, layer in enumerate(graph) if weighted[slot]},
        )


def _limits(table: LayerTable, plan: Plan, style: Style) -> dict[str, FloatArray]:
    """Utilisation (n,) of what the HLS tools can build.

    * multipliers of one layer: the tools unroll and partition up to a limit;
    * io_parallel: dense networks only. Convolutions there copy their window for every output position, hls4ml's
      depthwise layer exists in Latency strategy only, and C simulation takes minutes to compile.
    """
    c = coefficients().limits
    maps = (table.present & (table.op != Op.DENSE)).sum(axis=1)
    weights = np.where(table.weighted, plan.n_in * plan.n_out, 0)
    # In Latency strategy every weight is unrolled, whatever the reuse factor.
    unrolled = np.where(style.resource, plan.multipliers / c["resource_multipliers"].value, weights / c["latency_weights"].value)
    return {
        "multipliers": unrolled.max(axis=1),
        "io_parallel": np.where(style.parallel[:, 0], 1.0 + maps, 0.0),
    }


TEMPLATE_MODEL = StreamingModel()
