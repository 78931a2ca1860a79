"""`systolic_row`: a row of processing elements through which operands and sums travel from left to right.

Notation: ``n`` designs, ``L`` layer slots; P elements, a group is up to P output channels that are computed together, k the
channels of a group, T the operands that one output position of a group takes. WB, AB, ACC widths of weights, activations
and accumulators.

Everything stays on the chip: each element has a memory with the kernels of its output channels, one memory holds all
feature maps that are alive, and a third the biases. One operand enters the row a cycle; each element multiplies it with a
weight of its own (weight stationary) and hands it to the next. The row is Verilog, ``accel_templates/systolic_row/rtl``:
cycles and memory limits here are that circuit's, cycle by cycle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.device import Device, Family
from codesign.accelerator.hls_plan import HlsPlan
from codesign.accelerator.template import load_descriptor, templates_folder
from codesign.catalogue import Quantity, load_record, record
from codesign.kpi.memory import WIDEST, bram18
from codesign.kpi.power import power_coefficients
from codesign.kpi.reuse import reuse_within
from codesign.kpi.template_model import FloatArray, LayerKpis, TemplateKpis
from codesign.network.layers import LayerGraph, LayerTable, Op
from codesign.network.table_builder import TaskShape
from codesign.space.columns import Columns
from codesign.space.parameters import Parameter, Value

NAME = "systolic_row"
Mask = NDArray[np.bool_]


@record
class Circuit:
    """Constants of the Verilog (``coefficients.toml``, table ``circuit``).

    Attributes:
        start_cycles: from the last input word to the first layer.
        layer_cycles: of each layer beside its operands: its program, and the pipeline that fills and drains.
        element_cycles: the same, for each element.
        layer_words: program words of a layer.
        program_words, program_bits, bias_words, bias_bits: depth and width of these memories.
    """

    start_cycles: Quantity
    layer_cycles: Quantity
    element_cycles: Quantity
    layer_words: Quantity
    program_words: Quantity
    program_bits: Quantity
    bias_words: Quantity
    bias_bits: Quantity


@record
class FamilyCoefficients:
    """LUT, FF and DSP on one device family (``coefficients.toml``); terms of `resources`."""

    lut_accumulator: Quantity
    lut_product: Quantity
    lut_multiplier: Quantity
    lut_requantise: Quantity
    lut_control: Quantity
    ff_weight: Quantity
    ff_element: Quantity
    ff_control: Quantity
    dsp_minimum_bits: Quantity


@record
class RowCoefficients:
    """Contents of ``coefficients.toml``; ``error`` holds the relative error of each resource."""

    circuit: Circuit
    families: dict[Family, FamilyCoefficients]
    error: dict[str, Quantity]


@cache
def coefficients() -> RowCoefficients:
    """The template's coefficients."""
    return load_record(templates_folder() / NAME / "coefficients.toml", RowCoefficients)


@dataclass(frozen=True)
class Row:
    """The rows of n designs: parameters as arrays (n, 1)."""

    elements: FloatArray
    weight_bits: FloatArray
    activation_bits: FloatArray
    accumulator_bits: FloatArray
    kernel_words: FloatArray
    feature_words: FloatArray

    @classmethod
    def from_columns(cls, columns: Columns) -> Row:
        """Parameter columns of the template."""
        names = ("processing_elements", "weight_bits", "activation_bits", "accumulator_bits", "kernel_words", "feature_words")
        return cls(*(np.asarray(columns[name], dtype=np.float64)[:, None] for name in names))


@dataclass(frozen=True)
class Work:
    """What each layer does, n x L, zero in absent slots.

    Attributes:
        cycles: from the fetch of its program to its last result in the feature memory.
        operands: cycles in which an operand enters the row.
        macs: products of the layer's own, zero padding included; additions in adds and pools.
        kernel_words: words of each element's kernel memory.
    """

    cycles: FloatArray
    operands: FloatArray
    macs: FloatArray
    kernel_words: FloatArray


def work(table: LayerTable, row: Row) -> Work:
    """Operands and cycles of all layers.

    * In a full layer (dense, convolution) all elements use each operand: T = taps x input channels.
    * In a depthwise layer, an add (two taps) and a global pool each element uses its own channel's: T = taps x k.
    * Results leave the row one a cycle, so a position takes max(T, k) cycles; the last one ends with its operands.
    * A layer reads its program first, and its last result crosses the row at two cycles an element.

    Zero padding is fed as zeros.
    """
    c = coefficients().circuit
    full = (table.op >= Op.DENSE) & (table.op <= Op.CONV2D)
    taps = np.where(table.op == Op.ADD, 2.0, table.kernel_h * table.kernel_w.astype(np.float64))
    positions = np.multiply(table.out_h, table.out_w, dtype=np.float64)
    whole, rest = np.divmod(table.out_c.astype(np.float64), row.elements)

    def operands(channels: FloatArray) -> FloatArray:
        return np.asarray(taps * np.where(full, table.in_c, channels))

    fed, fed_last = operands(np.broadcast_to(row.elements, whole.shape)), operands(rest)
    slow = whole * np.maximum(fed, row.elements) + np.where(rest > 0, np.maximum(fed_last, rest), 0.0)
    last = np.where(rest > 0, rest, row.elements)
    unwaited = np.maximum(last - operands(last), 0.0)
    cycles = positions * slow - unwaited + c.layer_cycles.value + c.element_cycles.value * row.elements
    present = table.present
    return Work(
        cycles=np.where(present, cycles, 0.0),
        operands=np.where(present, positions * (whole * fed + np.where(rest > 0, fed_last, 0.0)), 0.0),
        macs=np.where(present, positions * taps * table.in_c * np.where(full, table.out_c, 1), 0.0),
        kernel_words=np.where(table.weighted, np.ceil(table.out_c / row.elements) * taps * np.where(full, table.in_c, 1), 0.0),
    )


def live_words(table: LayerTable) -> FloatArray:
    """Largest number of feature map elements (n,) that are alive at a time.

    While a layer runs, the maps that it or a later layer reads are alive, and its own result. The network's result is not:
    it leaves the chip. In a chain the two maps of a layer lie at the two ends of the memory; tests place the maps of residual
    networks too without a gap.
    """
    n, slots = table.op.shape
    last_reader = np.zeros((n, slots), dtype=np.int64)
    for slot in range(1, slots):
        for source in (table.input_a[:, slot], table.input_b[:, slot]):
            reads = np.flatnonzero(source >= 0)
            last_reader[reads, source[reads]] = slot
    size = np.multiply(table.out_h * table.out_w, table.out_c, dtype=np.float64) * (last_reader > 0)
    # A map is gone in the slot after its last reader's.
    gone = np.zeros((n, slots + 1))
    np.add.at(gone, (np.arange(n)[:, None], last_reader + 1), size)
    return np.asarray(np.cumsum(size - gone[:, :slots], axis=1).max(axis=1))


@dataclass(frozen=True)
class Resources:
    """Resources of n rows, each (n,); ``in_dsp`` says which have their multipliers in DSP blocks."""

    lut: FloatArray
    ff: FloatArray
    dsp: FloatArray
    bram18: FloatArray
    in_dsp: FloatArray


def resources(row: Row, family: Family) -> Resources:
    """LUT, FF and DSP from the circuit's structure, block memories by `bram18`.

    * An element has an accumulator with its adder and two registers of the chain of sums; a register of the operand, which
      an add aligns to AB + 9 bits, one of the product, which is at least as wide, and those of the weight, of the kernel
      address and of the commands.
    * The requantiser has four registers of accumulator width; the sequencer holds 15 addresses of the feature memory and 4
      of the kernel memories.
    """
    c, circuit = coefficients().families[family], coefficients().circuit
    operand = row.activation_bits + 1.0
    product = operand + np.maximum(row.weight_bits, 8.0)
    in_dsp = operand + row.weight_bits >= c.dsp_minimum_bits.value
    multiplier = np.where(in_dsp, 0.0, c.lut_multiplier.value * row.weight_bits * operand)
    lut = row.elements * (c.lut_accumulator.value * row.accumulator_bits + c.lut_product.value * product + multiplier)
    kernel_address, feature_address = np.log2(row.kernel_words), np.log2(row.feature_words)
    held = 3.0 * row.accumulator_bits + product + operand + 8.0 + c.ff_weight.value * row.weight_bits + kernel_address + np.ceil(np.log2(row.elements))
    central = 4.0 * row.accumulator_bits + 15.0 * feature_address + 4.0 * kernel_address
    ff = row.elements * (held + c.ff_element.value) + central + c.ff_control.value
    memories = (
        row.elements * bram18(row.kernel_words, row.weight_bits)
        + bram18(row.feature_words, row.activation_bits)
        + bram18(np.array([circuit.program_words.value]), np.array([circuit.program_bits.value]))
        + bram18(np.array([circuit.bias_words.value]), np.array([circuit.bias_bits.value]))
    )
    return Resources(
        lut=np.ceil(lut + c.lut_requantise.value * row.accumulator_bits + c.lut_control.value)[:, 0],
        ff=np.ceil(ff)[:, 0],
        dsp=np.where(in_dsp, row.elements, 0.0)[:, 0],
        bram18=memories[:, 0],
        in_dsp=in_dsp[:, 0].astype(np.float64),
    )


def dynamic_energy_uj(table: LayerTable, row: Row, done: Work, used: Resources, cycles: FloatArray, external_bits: FloatArray, device: Device) -> FloatArray:
    """Energy (n,) above static power, by activity.

    * clock tree: every cycle; logic: every operand;
    * multipliers: an idle part every operand, and for each product a part in proportion to the layer's operand widths;
    * memories: a feature word an operand, a kernel word of every element an operand of a weighted layer, every result and
      every input written once, at the energy of a full-width access;
    * external memory: by the bit.
    """
    power = power_coefficients()
    p, idle = power.families[device.family], power.multiplier_idle.value
    operands = done.operands.sum(axis=1)
    products = np.einsum("nl,nl->n", done.macs, np.multiply(table.weight_bits, table.input_bits, dtype=np.float64)) / 64.0
    multiplier = p.dsp_pj.value * used.in_dsp * (idle * row.elements[:, 0] * operands + (1.0 - idle) * products)
    written = np.multiply(table.out_h * table.out_w, table.out_c, dtype=np.float64).sum(axis=1)
    kernels = (done.operands * table.weighted).sum(axis=1) * (row.elements * row.weight_bits)[:, 0]
    memories = p.bram18_pj.value / WIDEST * ((operands + written) * row.activation_bits[:, 0] + kernels)
    logic = used.lut * (p.clock_pj.value * cycles + p.lut_pj.value * operands)
    return np.asarray((logic + multiplier + memories + device.off_chip_pj_per_bit.value * external_bits) * 1e-6)


class SystolicRowModel:
    """Cost model of the row."""

    name = NAME

    @property
    def description(self) -> str:
        """One line for ``codesign templates``."""
        return load_descriptor(self.name).description

    def parameters(self, device: Device, shape: TaskShape | None = None) -> tuple[Parameter, ...]:
        """Dimensions of the space: clocks the device reaches; activations that hold the task's input."""
        descriptor = load_descriptor(self.name)
        lowest = {"activation_bits": 0 if shape is None else shape.input_bits}
        highest = {"clock_mhz": device.clock_mhz.value}
        kept = {
            name: tuple(value for value in parameter.values if lowest.get(name, 0) <= float(value) <= highest.get(name, np.inf))
            for name, parameter in descriptor.parameters.items()
        }
        return tuple(descriptor.parameter(name, values) for name, values in kept.items())

    def evaluate(self, table: LayerTable, columns: Columns, device: Device) -> TemplateKpis:
        """Cost of n networks on n rows; see `codesign.kpi.template_model.TemplateModel`."""
        row = Row.from_columns(columns)
        done, used = work(table, row), resources(row, device.family)
        inputs = np.where(table.op == Op.INPUT, table.out_h * table.out_w * table.out_c, 0).sum(axis=1)
        # Input words come in one a cycle.
        total = inputs + coefficients().circuit.start_cycles.value + done.cycles.sum(axis=1)
        external = _external_bits(table, row, inputs)
        return TemplateKpis(
            latency_cycles=total,
            interval_cycles=total,
            clock_mhz=columns["clock_mhz"].astype(np.float64),
            lut=used.lut,
            ff=used.ff,
            dsp=used.dsp,
            bram18=used.bram18,
            uram=np.zeros(len(table)),
            dynamic_uj=dynamic_energy_uj(table, row, done, used, total, external.sum(axis=1), device),
            off_chip_bytes=external.sum(axis=1) / 8.0,
            limits=_limits(table, row, done),
            relative_error={name: quantity.value for name, quantity in coefficients().error.items()},
            layers=LayerKpis(
                cycles=done.cycles,
                macs=done.macs,
                utilisation=done.macs / np.maximum(done.cycles * row.elements, 1.0),
                multipliers=np.where(table.weighted, row.elements, 0.0),
                reuse_factor=done.kernel_words,
                weight_bytes=done.kernel_words * row.elements * row.weight_bits / 8.0,
                off_chip_bytes=external / 8.0,
            ),
        )

    def hls_plan(self, graph: LayerGraph, values: Mapping[str, Value], device: Device) -> HlsPlan:
        """The network as streams with, in each layer, no more multipliers than the row has elements."""
        reuse = reuse_within(graph, int(values["processing_elements"]))
        return HlsPlan(io_type="io_stream", strategy="resource", clock_mhz=float(values["clock_mhz"]), reuse=reuse)


def _external_bits(table: LayerTable, row: Row, inputs: NDArray[np.int64]) -> FloatArray:
    """Bits over the border, n x L: the first layer reads the input, the last one gives its accumulators away."""
    n, slots = table.op.shape
    present, every = table.present, np.arange(n)
    first, last = np.argmax(present, axis=1), slots - 1 - np.argmax(present[:, ::-1], axis=1)
    bits = np.zeros((n, slots))
    bits[every, first] = inputs * row.activation_bits[:, 0]
    results = np.multiply(table.out_h * table.out_w, table.out_c, dtype=np.float64)
    bits[every, last] += results[every, last] * row.accumulator_bits[:, 0]
    return bits


def _limits(table: LayerTable, row: Row, done: Work) -> dict[str, FloatArray]:
    """Utilisation (n,) of what the row can hold; above 1 the network cannot run on it."""
    c, present = coefficients().circuit, table.present

    def widest(bits: NDArray[np.int32], available: FloatArray) -> FloatArray:
        return np.asarray(np.where(present, bits, 0).max(axis=1) / available[:, 0])

    return {
        "weight_bits": widest(table.weight_bits, row.weight_bits),
        "activation_bits": widest(table.input_bits, row.activation_bits),
        "accumulator_bits": widest(table.accumulator_bits, row.accumulator_bits),
        "kernel_words": done.kernel_words.sum(axis=1) / row.kernel_words[:, 0],
        "feature_words": live_words(table) / row.feature_words[:, 0],
        "bias_words": np.where(table.weighted, table.out_c, 0).sum(axis=1) / c.bias_words.value,
        "program_words": present.sum(axis=1) * c.layer_words.value / c.program_words.value,
    }


TEMPLATE_MODEL = SystolicRowModel()
