"""`pe_array`: one array of rows x columns multiply-accumulate units that all layers share.

Notation: ``n`` designs, ``L`` layer slots; R rows (output channels at a time), C columns (input channels at a time),
WB, AB, ACC operand and accumulator bits. What the hardware does, and the law of its cycles, is told in
``accel_templates/pe_array/ARCHITECTURE.md``; the tiles priced here are those that the compiler makes programs of.

Operands are held and moved at the array's widths, whatever narrower width a layer has.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from codesign.accelerator.array_parameters import KIB_BITS
from codesign.accelerator.device import Device
from codesign.accelerator.hls_plan import HlsPlan
from codesign.accelerator.pe_array_limits import utilisation
from codesign.accelerator.pe_array_tiling import ArrayShape, memory_latency
from codesign.accelerator.pe_array_work import spread
from codesign.accelerator.template import load_descriptor
from codesign.catalogue import Quantity, load_record, record
from codesign.kpi.pe_array_costs import Costs, PeArrayBreakdown, breakdown_of, costs, dynamic_energy_uj
from codesign.kpi.pe_array_resources import ArraySizes, array_resources, resource_errors
from codesign.kpi.power import COEFFICIENTS
from codesign.kpi.reuse import legal_reuse_factors, multiplier_shape
from codesign.kpi.template_model import FloatArray, LayerKpis, TemplateKpis
from codesign.network.layers import LayerGraph, LayerTable
from codesign.network.table_builder import TaskShape
from codesign.space.columns import Columns
from codesign.space.parameters import Parameter, Value

SKIP_PADDING = "skip_padding"


@record
class PeArrayCoefficients:
    """Contents of ``pe_array.toml``.

    Attributes:
        bus_efficiency: share of the memory's peak bandwidth that can be had; its error is that of the cycles where it binds.
    """

    bus_efficiency: Quantity


@cache
def coefficients() -> PeArrayCoefficients:
    """The template's coefficients."""
    return load_record(COEFFICIENTS / "pe_array.toml", PeArrayCoefficients)


def array_shape(columns: Columns) -> ArrayShape:
    """Parameter columns as arrays (n, 1); a bank holds as many whole words as fit its KiB."""

    def column(name: str) -> FloatArray:
        return np.asarray(columns[name], dtype=np.float64)[:, None]

    def words(name: str, bits: FloatArray) -> FloatArray:
        return np.floor(column(f"{name}_buffer_kib") * KIB_BITS / bits)

    word = column("columns") * column("activation_bits")
    return ArrayShape(
        rows=column("rows"),
        columns=column("columns"),
        weight_bits=column("weight_bits"),
        activation_bits=column("activation_bits"),
        accumulator_bits=column("accumulator_bits"),
        weight_words=words("weight", column("rows") * column("columns") * column("weight_bits")),
        activation_words=words("activation", word),
        output_words=words("output", word),
        banks=column("double_buffering") + 1.0,
        bus_bits=column("bus_bits"),
        latency=memory_latency(column("clock_mhz")),
        full_taps=1.0 - column(SKIP_PADDING) if SKIP_PADDING in columns else np.zeros_like(word),
    )


def array_sizes(array: ArrayShape) -> ArraySizes:
    """What the hardware is built from, each (n,)."""
    banks = array.banks[:, 0]
    names = ("rows", "columns", "weight_bits", "activation_bits", "accumulator_bits", "bus_bits")
    memories = ("weight_words", "activation_words", "output_words")
    return ArraySizes(**{name: getattr(array, name)[:, 0] for name in names}, **{name: getattr(array, name)[:, 0] * banks for name in memories})


def beat_cycles(array: ArrayShape, clock_mhz: FloatArray, device: Device) -> FloatArray:
    """Cycles (n,) that a beat of the port takes: one, unless the memory's bandwidth is less than the port's."""
    memory_bits = device.off_chip_gbyte_per_s.value * 8e3 / clock_mhz * coefficients().bus_efficiency.value
    return np.asarray(np.maximum(array.bus_bits[:, 0] / memory_bits, 1.0))


def breakdown(table: LayerTable, columns: Columns, device: Device) -> PeArrayBreakdown:
    """Cycles of computation, loads, stores and stalls, and accesses to each memory, layer by layer."""
    array = array_shape(columns)
    return breakdown_of(table, array, costs(table, array, beat_cycles(array, columns["clock_mhz"].astype(np.float64), device)))


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
        """Cost of n networks on n arrays; see `codesign.kpi.template_model.TemplateModel`.

        Cycles are exact where the memory keeps up with the port, for the latency of ``pe_array_cycles.toml``.
        """
        array = array_shape(columns)
        clock = columns["clock_mhz"].astype(np.float64)
        beat = beat_cycles(array, clock, device)
        found = costs(table, array, beat)
        used = array_resources(array_sizes(array), device.family)
        known = coefficients()
        return TemplateKpis(
            latency_cycles=found.cycles,
            interval_cycles=found.cycles,
            clock_mhz=clock,
            lut=used.lut,
            ff=used.ff,
            dsp=used.dsp,
            bram18=used.bram18,
            uram=np.zeros(len(table)),
            dynamic_uj=dynamic_energy_uj(table, array, found, used.lut, used.in_dsp, device),
            off_chip_bytes=found.beats * array.bus_bits[:, 0] / 8.0,
            limits=_widths(table, array) | utilisation(found.plan, array),
            relative_error={
                **resource_errors(device.family),
                "cycles": np.where(beat > 1.0, known.bus_efficiency.error or 0.0, 0.0),
            },
            layers=_layer_kpis(table, array, found),
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


def _layer_kpis(table: LayerTable, array: ArrayShape, found: Costs) -> LayerKpis:
    layers, demand = found.plan.layers, found.plan.demand
    at = layers.design
    lanes = (array.rows * array.columns)[:, 0].take(at)
    weighted = layers.full | layers.depthwise
    values = {
        "cycles": found.layer_cycles,
        "macs": demand.macs,
        "utilisation": demand.macs / (found.layer_cycles * lanes),
        "multipliers": np.where(weighted, lanes, 0.0),
        "reuse_factor": np.where(weighted, demand.groups * (demand.group_words - demand.bias_words), 0.0),
        "weight_bytes": demand.weight_words * array.weight_word_bits[:, 0].take(at) / 8.0,
        "off_chip_bytes": found.layer_beats * array.bus_bits[:, 0].take(at) / 8.0,
    }
    return LayerKpis(**{name: spread(value, layers.place, table.op.shape) for name, value in values.items()})


def _widths(table: LayerTable, array: ArrayShape) -> dict[str, FloatArray]:
    """Utilisation (n,) of the operand and accumulator widths."""
    accumulators = np.where(table.present, table.accumulator_bits, 0)
    return {
        "weight_bits": table.weight_bits.max(axis=1) / array.weight_bits[:, 0],
        "activation_bits": np.where(table.present, table.input_bits, 0).max(axis=1) / array.activation_bits[:, 0],
        "accumulator_bits": accumulators.max(axis=1) / array.accumulator_bits[:, 0],
    }


TEMPLATE_MODEL = PeArrayModel()
