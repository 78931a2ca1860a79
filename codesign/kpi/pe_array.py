"""`pe_array`: one array of rows x columns multiply-accumulate units that all layers share.

Notation: ``n`` designs, ``L`` layer slots; R rows (output channels at a time), C columns (input channels at a time),
WB, AB, ACC operand and accumulator bits. Each cycle every row adds C products of one tap to its accumulator; a layer is
computed tile by tile (R output by C input channels), output position by output position. Three sequencers load weights
and inputs, compute, and store results over one port to external memory.

Operands are held and moved at the array's widths, whatever narrower width a layer has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from codesign.accelerator.device import Device, Family
from codesign.accelerator.hls_plan import HlsPlan
from codesign.accelerator.template import load_descriptor
from codesign.catalogue import Quantity, load_record, record
from codesign.kpi.memory import WIDEST, bram18
from codesign.kpi.pe_array_schedule import ArrayShape, Traffic, Work, traffic, work
from codesign.kpi.power import COEFFICIENTS, FamilyPower, power_coefficients
from codesign.kpi.reuse import legal_reuse_factors, multiplier_shape
from codesign.kpi.template_model import FloatArray, LayerKpis, TemplateKpis
from codesign.network.layers import LayerGraph, LayerTable
from codesign.network.table_builder import TaskShape
from codesign.space.columns import Columns
from codesign.space.parameters import Parameter, Value

KIB_BITS = 8192.0


@record
class CycleCoefficients:
    """Timing of the sequencers and of external memory (``pe_array.toml``, table ``cycles``)."""

    layer_start: Quantity
    burst_latency: Quantity
    bus_efficiency: Quantity
    error: Quantity


@record
class FamilyCoefficients:
    """LUT, FF and DSP per physical feature on one device family (``pe_array.toml``)."""

    lut_adder: Quantity
    lut_accumulator: Quantity
    lut_requantise: Quantity
    lut_multiplier: Quantity
    lut_bus: Quantity
    lut_control: Quantity
    ff_operand: Quantity
    ff_adder: Quantity
    ff_accumulator: Quantity
    ff_product: Quantity
    ff_bus: Quantity
    ff_control: Quantity
    dsp_control: Quantity
    dsp_minimum_bits: Quantity


@record
class PeArrayCoefficients:
    """Contents of ``pe_array.toml``; ``error`` holds the relative error of each resource."""

    cycles: CycleCoefficients
    families: dict[Family, FamilyCoefficients]
    error: dict[str, Quantity]


@cache
def coefficients() -> PeArrayCoefficients:
    """The template's coefficients."""
    return load_record(COEFFICIENTS / "pe_array.toml", PeArrayCoefficients)


@dataclass(frozen=True)
class Resources:
    """Resources of n arrays, each (n,); ``in_dsp`` says which have their multipliers in DSP blocks."""

    lut: FloatArray
    ff: FloatArray
    dsp: FloatArray
    bram18: FloatArray
    in_dsp: FloatArray


def array_shape(columns: Columns) -> ArrayShape:
    """Parameter columns as arrays (n, 1)."""

    def column(name: str) -> FloatArray:
        return np.asarray(columns[name], dtype=np.float64)[:, None]

    return ArrayShape(
        rows=column("rows"),
        columns=column("columns"),
        weight_bits=column("weight_bits"),
        activation_bits=column("activation_bits"),
        weight_buffer=column("weight_buffer_kib") * KIB_BITS,
        activation_buffer=column("activation_buffer_kib") * KIB_BITS,
        output_buffer=column("output_buffer_kib") * KIB_BITS,
        banks=column("double_buffering") + 1.0,
    )


def resources(array: ArrayShape, accumulator_bits: FloatArray, bus_bits: FloatArray, family: Family) -> Resources:
    """LUT, FF and DSP from the array's structure, block memories by `bram18`.

    Args:
        array: arrays (n, 1).
        accumulator_bits: width of an accumulator (n, 1).
        bus_bits: width of the external port (n, 1).
        family: which coefficients apply.
    """
    c = coefficients().families[family]
    rows, cols, operand = array.rows, array.columns, array.weight_bits + array.activation_bits
    in_dsp = operand >= c.dsp_minimum_bits.value
    tree, accumulators = rows * (cols - 1) * operand, rows * accumulator_bits
    held = rows * cols * array.weight_bits + (cols + rows) * array.activation_bits
    lut = (
        c.lut_adder.value * tree
        + (c.lut_accumulator.value + c.lut_requantise.value) * accumulators
        + np.where(in_dsp, 0.0, c.lut_multiplier.value * rows * cols * array.weight_bits * array.activation_bits)
        + c.lut_bus.value * bus_bits
        + c.lut_control.value
    )
    ff = (
        c.ff_operand.value * held
        + c.ff_adder.value * tree
        + c.ff_accumulator.value * accumulators
        + c.ff_product.value * rows * cols * operand
        + c.ff_bus.value * bus_bits
        + c.ff_control.value
    )
    return Resources(
        lut=np.ceil(lut)[:, 0],
        ff=np.ceil(ff)[:, 0],
        dsp=(np.where(in_dsp, rows * cols, 0.0) + c.dsp_control.value)[:, 0],
        bram18=_buffers(array)[:, 0],
        in_dsp=in_dsp[:, 0].astype(np.float64),
    )


def _buffers(array: ArrayShape) -> FloatArray:
    """18 kb blocks of the three buffers, all banks."""
    words = (
        (array.weight_buffer, array.weight_word),
        (array.activation_buffer, array.columns * array.activation_bits),
        (array.output_buffer, array.rows * array.activation_bits),
    )
    return np.asarray(sum(bram18(array.banks * np.ceil(bits / word), word) for bits, word in words))


def bits_per_cycle(bus_bits: FloatArray, clock_mhz: FloatArray, device: Device) -> FloatArray:
    """Bits that the port moves in a cycle: its width, bounded by the memory's bandwidth, at the usual efficiency."""
    memory = device.off_chip_gbyte_per_s.value * 8e3 / clock_mhz
    return np.asarray(np.minimum(bus_bits, memory) * coefficients().cycles.bus_efficiency.value)


@dataclass(frozen=True)
class Timing:
    """Cycles: of each layer's computation and transfers (n x L), and of the whole inference (n,)."""

    compute: FloatArray
    transfer: FloatArray
    total: FloatArray


def timing(table: LayerTable, array: ArrayShape, work: Work, moved: Traffic, rate: FloatArray) -> Timing:
    """Cycles of one inference.

    A layer computes for ``1 + steps`` cycles and moves its bits at ``rate`` (n, 1) bits a cycle, each burst after a fixed
    latency. With double buffering a layer's transfers run beside its computation and the longer of the two counts, but
    nothing can be computed before the first layer has its operands; without, they follow each other.
    """
    c = coefficients().cycles
    compute = np.where(table.present, work.steps + c.layer_start.value, 0.0)
    transfer = (moved.load + moved.store) / rate + moved.bursts * c.burst_latency.value
    together = compute + transfer
    hidden = np.maximum(compute, transfer)
    first = np.argmax(table.present, axis=1)[:, None]
    cold = np.minimum(np.take_along_axis(compute, first, axis=1), np.take_along_axis(transfer, first, axis=1))
    overlapped = hidden.sum(axis=1, keepdims=True) + cold
    total = np.where(array.banks > 1, overlapped, together.sum(axis=1, keepdims=True))
    return Timing(compute=compute, transfer=transfer, total=np.ceil(total)[:, 0])


def dynamic_energy_uj(table: LayerTable, array: ArrayShape, work: Work, moved: Traffic, used: Resources, cycles: FloatArray, device: Device) -> FloatArray:
    """Energy (n,) above static power, by activity.

    * clock tree: every cycle; logic: every step;
    * multipliers: every step an idle part, and for each real product a part in proportion to the layer's own operand
      widths (narrow values leave the upper bits of an operand still);
    * buffers: one weight word and one activation word read a step, every external word written or read once, every
      result written once, at the energy of a full-width access;
    * external memory: by the bit.
    """
    p: FamilyPower = power_coefficients().families[device.family]
    idle = power_coefficients().multiplier_idle.value
    steps = work.steps.sum(axis=1)
    products = np.einsum("nl,nl->n", work.macs, np.multiply(table.weight_bits, table.input_bits, dtype=np.float64)) / 64.0
    lanes = (array.rows * array.columns)[:, 0]
    multiplier = p.dsp_pj.value * used.in_dsp * (idle * lanes * steps + (1.0 - idle) * products)
    external = (moved.load + moved.store).sum(axis=1)
    results = np.multiply(table.out_h * table.out_w, table.out_c, dtype=np.float64).sum(axis=1) * array.activation_bits[:, 0]
    read = steps * (array.weight_word + array.columns * array.activation_bits)[:, 0]
    buffers = p.bram18_pj.value / WIDEST * (read + external + results)
    logic = used.lut * (p.clock_pj.value * cycles + p.lut_pj.value * steps)
    return np.asarray((logic + multiplier + buffers + device.off_chip_pj_per_bit.value * external) * 1e-6)


class PeArrayModel:
    """Cost model of the shared array."""

    name = "pe_array"

    @property
    def description(self) -> str:
        """One line for ``codesign templates``."""
        return load_descriptor(self.name).description

    def parameters(self, device: Device, shape: TaskShape | None = None) -> tuple[Parameter, ...]:
        """Dimensions of the space: clocks the device reaches; activation operands that hold the task's input."""
        descriptor = load_descriptor(self.name)
        narrowed = {"clock_mhz": lambda value: value <= device.clock_mhz.value}
        if shape is not None:
            narrowed["activation_bits"] = lambda value: value >= shape.input_bits
        made = []
        for name, parameter in descriptor.parameters.items():
            keep = narrowed.get(name)
            made.append(descriptor.parameter(name, None if keep is None else tuple(value for value in parameter.values if keep(value))))
        return tuple(made)

    def evaluate(self, table: LayerTable, columns: Columns, device: Device) -> TemplateKpis:
        """Cost of n networks on n arrays; see `codesign.kpi.template_model.TemplateModel`."""
        array = array_shape(columns)
        clock, bus = columns["clock_mhz"].astype(np.float64), columns["bus_bits"].astype(np.float64)[:, None]
        accumulator = columns["accumulator_bits"].astype(np.float64)[:, None]
        done = work(table, array)
        moved = traffic(table, array, done)
        time = timing(table, array, done, moved, bits_per_cycle(bus, clock[:, None], device))
        used = resources(array, accumulator, bus, device.family)
        lanes = array.rows * array.columns
        external = moved.load + moved.store
        c = coefficients()
        return TemplateKpis(
            latency_cycles=time.total,
            interval_cycles=time.total,
            clock_mhz=clock,
            lut=used.lut,
            ff=used.ff,
            dsp=used.dsp,
            bram18=used.bram18,
            uram=np.zeros(len(table)),
            dynamic_uj=dynamic_energy_uj(table, array, done, moved, used, time.total, device),
            off_chip_bytes=external.sum(axis=1) / 8.0,
            limits=_limits(table, array, accumulator, moved),
            relative_error={name: quantity.value for name, quantity in c.error.items()} | {"cycles": c.cycles.error.value},
            layers=LayerKpis(
                cycles=np.maximum(time.compute, time.transfer),
                macs=done.macs,
                utilisation=done.macs / np.maximum(time.compute * lanes, 1.0),
                multipliers=np.where(table.weighted, lanes, 0.0),
                reuse_factor=done.weight_words,
                weight_bytes=done.weight_words * array.weight_word / 8.0,
                off_chip_bytes=external / 8.0,
            ),
        )

    def hls_plan(self, graph: LayerGraph, values: Mapping[str, Value], device: Device) -> HlsPlan:
        """The network as streams with, in each layer, no more multipliers than the array has."""
        table = LayerTable.from_graphs([graph])
        n_in, n_out = (shape[0].tolist() for shape in multiplier_shape(table))
        lanes = int(values["rows"]) * int(values["columns"])
        reuse = {}
        for slot, layer in enumerate(graph):
            if table.weighted[0, slot]:
                products = n_in[slot] * n_out[slot]
                reuse[layer.name] = next(factor for factor in legal_reuse_factors(n_in[slot], n_out[slot]) if products <= factor * lanes)
        return HlsPlan(io_type="io_stream", strategy="resource", clock_mhz=float(values["clock_mhz"]), reuse=reuse)


def _limits(table: LayerTable, array: ArrayShape, accumulator_bits: FloatArray, moved: Traffic) -> dict[str, FloatArray]:
    """Utilisation (n,) of what the array can hold; above 1 the network cannot run on it."""
    accumulators = np.where(table.weighted, table.accumulator_bits, 0)
    return {
        "weight_bits": table.weight_bits.max(axis=1) / array.weight_bits[:, 0],
        "activation_bits": np.where(table.present, table.input_bits, 0).max(axis=1) / array.activation_bits[:, 0],
        "accumulator_bits": accumulators.max(axis=1) / accumulator_bits[:, 0],
        "weight_buffer": moved.weight_tile,
        "activation_buffer": moved.activation_tile,
        "output_buffer": moved.output_tile,
    }


TEMPLATE_MODEL = PeArrayModel()
