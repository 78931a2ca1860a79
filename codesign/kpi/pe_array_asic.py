"""A `pe_array` as an ASIC: area, and energy of one inference by the activity that the cycle model counts.

Notation: ``n`` designs, ``L`` layer slots, ``b`` = 3 buffers in the order of `BUFFERS`. Prices and their sources are those of
`codesign.kpi.asic`; leakage, and the lanes of the array that no channel fills, cost nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codesign.accelerator.array_parameters import KIB_BITS
from codesign.accelerator.pe_array_tiling import ArrayShape
from codesign.accelerator.pe_array_work import spread
from codesign.catalogue import Quantity
from codesign.kpi.asic import (
    Accesses,
    AsicArea,
    AsicEnergy,
    Buffers,
    Datapath,
    MacArray,
    MacSteps,
    Technology,
    asic_area,
    asic_coefficients,
    asic_energy,
)
from codesign.kpi.pe_array import array_shape
from codesign.kpi.pe_array_costs import Costs, breakdown_of, costs
from codesign.kpi.template_model import FloatArray
from codesign.network.layers import LayerTable
from codesign.space.columns import Columns

BUFFERS = ("weight", "activation", "output")
WIDEST_MEMORY = 256.0
"""Bits of the widest word that the laws of the memories are fitted to; wider words lie in several memories side by side."""


@dataclass(frozen=True)
class PeArrayAsic:
    """Figures of n designs.

    Attributes:
        technology: what they hold for.
        area: by part (n,), um2.
        energy: of one inference by part (n,), pJ.
        accesses: words read from and written to each buffer in one inference, n x b; the input's load included.
        external_bits: over the port in one inference (n,), instructions and padding of words to beats included.
        area_error: relative error of the area (n,): of the parts' prices, all wrong in the same direction.
        energy_error: likewise of the energy on the chip; what external memory takes is quoted without an error.
    """

    technology: Technology
    area: AsicArea
    energy: AsicEnergy
    accesses: Accesses
    external_bits: FloatArray
    area_error: FloatArray
    energy_error: FloatArray


def asic_figures(table: LayerTable, columns: Columns, technology: Technology | None = None) -> PeArrayAsic:
    """Area and energy of n networks on n arrays.

    Args:
        table: n x L.
        columns: the template's parameters, n of them.
        technology: of the study; 45 nm with LPDDR4 if None.
    """
    array = array_shape(columns)
    return asic_of(table, array, costs(table, array), technology)


def asic_of(table: LayerTable, array: ArrayShape, found: Costs, technology: Technology | None = None) -> PeArrayAsic:
    """`asic_figures` where the costs are known.

    * A product of real operands costs by the layer's own widths, as the upper bits of narrow values stand still: the
      bit-width-scaled multiply of `codesign.kpi.asic.asic_energy`. The weights of an add or a pool are ones, of one bit.
    * Each product is added at the array's accumulator width.
    * Each access to a buffer moves a whole word; a bit over the port costs what external memory takes.
    """
    technology = technology or Technology()
    buffers, side_by_side = _memories(array)
    accesses = _accesses(table, array, found)
    moved = Accesses(accesses.reads * side_by_side, accesses.writes * side_by_side)
    external_bits = found.beats * array.bus_bits[:, 0]
    energy = asic_energy(_steps(table, array, found), buffers, moved, external_bits, technology)
    units = MacArray(*(values[:, 0] for values in (array.rows, array.columns, array.weight_bits, array.activation_bits, array.accumulator_bits)))
    area = asic_area(units, buffers, technology)
    return PeArrayAsic(
        technology=technology,
        area=area,
        energy=energy,
        accesses=accesses,
        external_bits=external_bits,
        area_error=_area_error(area, technology),
        energy_error=_energy_error(energy, technology),
    )


def _steps(table: LayerTable, array: ArrayShape, found: Costs) -> MacSteps:
    """Products of real operands, each layer a kind of step (n x L)."""
    count = spread(found.plan.demand.macs * found.runs, found.plan.layers.place, table.op.shape)
    return MacSteps(
        count=count,
        weight_bits=np.where(table.weighted, table.weight_bits, 1.0),
        activation_bits=table.input_bits.astype(np.float64),
        accumulator_bits=np.broadcast_to(array.accumulator_bits, count.shape),
    )


def _memories(array: ArrayShape) -> tuple[Buffers, FloatArray]:
    """Memories of the buffers, n x b, and how many of them lie side by side in a bank.

    A fraction of a memory is allowed, so that a word a bit wider never costs less. A bank below one word is priced as one word.
    """
    bits = np.hstack([array.weight_word_bits, array.activation_word_bits, array.activation_word_bits])
    words = np.maximum(np.hstack([array.weight_words, array.activation_words, array.output_words]), 1.0)
    side_by_side = np.maximum(bits / WIDEST_MEMORY, 1.0)
    return Buffers(kib=words * bits / KIB_BITS / side_by_side, word_bits=bits / side_by_side, banks=array.banks * side_by_side), side_by_side


def _accesses(table: LayerTable, array: ArrayShape, found: Costs) -> Accesses:
    layers, resident = breakdown_of(table, array, found), found.plan.resident
    reads, writes = (np.stack([getattr(layers, f"{buffer}_{way}").sum(axis=1) for buffer in BUFFERS], axis=1) for way in ("reads", "writes"))
    writes[:, BUFFERS.index("activation")] += np.where(resident.maps, resident.input_words, 0.0)
    return Accesses(reads, writes)


def _energy_error(energy: AsicEnergy, technology: Technology) -> FloatArray:
    prices, laws = asic_coefficients().energy, technology.laws
    array = _error(prices.array) if technology.datapath is Datapath.ARRAY else 0.0
    wrong = energy.multiply_pj * (_error(prices.product) + array) + energy.add_pj * (_error(prices.add) + array)
    wrong = wrong + energy.read_pj * _error(laws.read.factor) + energy.write_pj * _error(laws.write.factor)
    return np.asarray(wrong / energy.on_chip_pj + technology.scaling_error)


def _area_error(area: AsicArea, technology: Technology) -> FloatArray:
    prices = asic_coefficients().area
    wrong = area.multipliers_um2 * _error(prices.product) + area.adders_um2 * _error(prices.add)
    wrong = wrong + area.registers_um2 * _error(prices.register) + area.buffers_um2 * _error(technology.laws.area.factor)
    return np.asarray(wrong / area.total_um2 + technology.scaling_error)


def _error(price: Quantity) -> float:
    return price.error or 0.0
