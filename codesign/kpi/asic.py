"""Energy and area of a shared multiplier array and its buffers as an ASIC.

Notation: ``n`` designs, ``k`` kinds of multiply step (operand widths), ``b`` buffers.

One technology per study. The tables are of one node, 45 nm at 0.9 V; another node scales all that is on the chip by the
same two factors, one of energy and one of area, and never the external memory.

.. [Horowitz2014] M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, 10-14.
.. [CACTI] R. Balasubramonian et al., "CACTI 7: New Tools for Interconnect Exploration in Innovative Off-Chip Memories",
   ACM TACO 14(2), 2017.
.. [Mrazek2017] V. Mrazek et al., "EvoApprox8b", DATE 2017: exact reference circuits synthesised for FreePDK45.
.. [Stillmaker2017] A. Stillmaker, B. Baas, "Scaling equations for the accurate prediction of CMOS device performance from
   180 nm to 7 nm", Integration 58, 2017, 74-81.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import numpy as np

from codesign.catalogue import Quantity, load_record, record
from codesign.errors import InputError
from codesign.kpi.template_model import FloatArray

COEFFICIENTS = Path(__file__).resolve().parents[1] / "data" / "coefficients"
BASE_NODE = 45
BASE_SUPPLY = 0.9


class SramCell(StrEnum):
    """Devices of the buffers' memories: low standby power or high performance (ITRS)."""

    LSTP = "lstp"
    HP = "hp"


class ExternalMemory(StrEnum):
    """What lies behind the external port."""

    LPDDR4 = "lpddr4"
    DDR3 = "ddr3"
    HBM2 = "hbm2"


class Datapath(StrEnum):
    """What the energy of a multiply step holds.

    ``ARRAY``: all of the array as synthesised: operand registers, adder tree, accumulator, clock and glitches.
    ``OPERATION``: the bare multiply and add of [Horowitz2014]_, as most studies quote them.
    """

    ARRAY = "array"
    OPERATION = "operation"


@record
class LogicEnergy:
    """Energy of arithmetic: see ``asic.toml``."""

    product: Quantity
    add: Quantity
    array: Quantity


@record
class LogicArea:
    """Area of arithmetic and registers: see ``asic.toml``."""

    product: Quantity
    operand: Quantity
    add: Quantity
    register: Quantity


@record
class NodeScaling:
    """Factors of one node: area against 45 nm, and the polynomial of the supply that energy goes with [Stillmaker2017]_."""

    area: Quantity
    square: Quantity
    linear: Quantity
    constant: Quantity
    supply_low: Quantity

    def energy(self, supply_v: float) -> float:
        """Energy of an operation at a supply, in the unit common to all nodes."""
        return self.square.value * supply_v**2 + self.linear.value * supply_v + self.constant.value


@record
class AsicCoefficients:
    """Contents of ``asic.toml``; ``scaling`` is the relative error of going to another node."""

    technology: str
    energy: LogicEnergy
    area: LogicArea
    external: dict[ExternalMemory, Quantity]
    nodes: dict[str, NodeScaling]
    supply_high: Quantity
    scaling: Quantity


@record
class SramLaw:
    """``column * W + factor * S**size_power * W**word_power`` for a memory of S KiB with words of W bits.

    The first term is what each column costs however short it is; all four numbers are non-negative, so the law rises
    with both sizes.
    """

    column: Quantity
    factor: Quantity
    size_power: Quantity
    word_power: Quantity

    def at(self, kib: FloatArray, word_bits: FloatArray) -> FloatArray:
        """The law at memories of positive size, any shape."""
        grown = self.factor.value * np.exp(self.size_power.value * np.log(kib) + self.word_power.value * np.log(word_bits))
        return np.asarray(self.column.value * word_bits + grown)


@record
class SramLaws:
    """A read and a write of one word (pJ), and the area (um2)."""

    read: SramLaw
    write: SramLaw
    area: SramLaw


@record
class SramCoefficients:
    """Contents of ``asic_sram.toml``."""

    technology: str
    cells: dict[SramCell, SramLaws]


@cache
def asic_coefficients() -> AsicCoefficients:
    """Coefficients of logic, external memory and scaling."""
    return load_record(COEFFICIENTS / "asic.toml", AsicCoefficients)


@cache
def sram_coefficients() -> SramCoefficients:
    """Coefficients of the buffers' memories."""
    return load_record(COEFFICIENTS / "asic_sram.toml", SramCoefficients)


@dataclass(frozen=True)
class Technology:
    """The technology of one study.

    Attributes:
        node_nm: one of the nodes of ``asic.toml``.
        supply_v: supply voltage of the logic and the buffers.
        cell: devices of the buffers.
        external: external memory.
        datapath: what a multiply step's energy holds.

    Raises:
        InputError: a node without factors, or a supply outside their range.
    """

    node_nm: int = BASE_NODE
    supply_v: float = BASE_SUPPLY
    cell: SramCell = SramCell.LSTP
    external: ExternalMemory = ExternalMemory.LPDDR4
    datapath: Datapath = Datapath.ARRAY

    def __post_init__(self) -> None:
        table = asic_coefficients()
        if str(self.node_nm) not in table.nodes:
            known = ", ".join(table.nodes)
            raise InputError(f"no scaling factors for {self.node_nm} nm", where="ASIC technology", remedy=f"Choose a node of {known} nm")
        low, high = table.nodes[str(self.node_nm)].supply_low.value, table.supply_high.value
        if not low <= self.supply_v <= high:
            raise InputError(
                f"a supply of {self.supply_v} V is outside the range of {self.node_nm} nm", where="ASIC technology", remedy=f"Choose {low} to {high} V"
            )

    @property
    def energy_factor(self) -> float:
        """Energy of an operation against 45 nm at 0.9 V [Stillmaker2017]_."""
        nodes = asic_coefficients().nodes
        return nodes[str(self.node_nm)].energy(self.supply_v) / nodes[str(BASE_NODE)].energy(BASE_SUPPLY)

    @property
    def area_factor(self) -> float:
        """Area against 45 nm [Stillmaker2017]_."""
        return asic_coefficients().nodes[str(self.node_nm)].area.value

    @property
    def scaling_error(self) -> float:
        """Relative error that the two factors add to energy and area of what is on the chip; 0 at 45 nm and 0.9 V."""
        return 0.0 if (self.node_nm, self.supply_v) == (BASE_NODE, BASE_SUPPLY) else asic_coefficients().scaling.value

    @property
    def laws(self) -> SramLaws:
        """The buffers' memories at 45 nm."""
        return sram_coefficients().cells[self.cell]


@dataclass(frozen=True)
class MacSteps:
    """Products of one inference by operand widths, arrays n x k.

    Attributes:
        count: multiply-accumulate steps.
        weight_bits, activation_bits: widths of the operands.
        accumulator_bits: width that the sum is kept in.
    """

    count: FloatArray
    weight_bits: FloatArray
    activation_bits: FloatArray
    accumulator_bits: FloatArray


@dataclass(frozen=True)
class Buffers:
    """On-chip memories, arrays n x b.

    Attributes:
        kib: size of one bank.
        word_bits: bits of a word: what one access moves.
        banks: 2 with double buffering, else 1.
    """

    kib: FloatArray
    word_bits: FloatArray
    banks: FloatArray


@dataclass(frozen=True)
class Accesses:
    """Words read from and written to each buffer in one inference, arrays n x b."""

    reads: FloatArray
    writes: FloatArray


@dataclass(frozen=True)
class MacArray:
    """The array, arrays (n,): ``rows`` adder trees of ``columns`` multipliers, one accumulator to a row."""

    rows: FloatArray
    columns: FloatArray
    weight_bits: FloatArray
    activation_bits: FloatArray
    accumulator_bits: FloatArray


@dataclass(frozen=True)
class AsicEnergy:
    """Energy of one inference by part, arrays (n,) in pJ."""

    multiply_pj: FloatArray
    add_pj: FloatArray
    read_pj: FloatArray
    write_pj: FloatArray
    external_pj: FloatArray

    @property
    def on_chip_pj(self) -> FloatArray:
        """All but the external memory."""
        return self.multiply_pj + self.add_pj + self.read_pj + self.write_pj

    @property
    def total_pj(self) -> FloatArray:
        """All parts."""
        return self.on_chip_pj + self.external_pj


@dataclass(frozen=True)
class AsicArea:
    """Cell and macro area by part, arrays (n,) in um2; placement and routing come on top."""

    multipliers_um2: FloatArray
    adders_um2: FloatArray
    registers_um2: FloatArray
    buffers_um2: FloatArray

    @property
    def total_um2(self) -> FloatArray:
        """All parts."""
        return self.multipliers_um2 + self.adders_um2 + self.registers_um2 + self.buffers_um2


def asic_energy(steps: MacSteps, buffers: Buffers, accesses: Accesses, external_bits: FloatArray, technology: Technology) -> AsicEnergy:
    """Energy of one inference.

    A multiply step costs ``product * weight_bits * activation_bits + add * accumulator_bits`` [Horowitz2014]_, times what
    a synthesised array takes beside the bare operations where the technology asks for it. An access costs by the size of
    its bank and the width of its word [CACTI]_; external memory by the bit.

    Args:
        steps: n x k.
        buffers: n x b; sizes must be positive.
        accesses: n x b.
        external_bits: bits to and from external memory (n,).
        technology: of the study.

    Returns:
        Parts in pJ, (n,) each: non-negative, and none falls when a count, a width or a size rises.
    """
    table, laws = asic_coefficients(), technology.laws
    factor = technology.energy_factor
    logic = factor * (table.energy.array.value if technology.datapath is Datapath.ARRAY else 1.0)
    return AsicEnergy(
        multiply_pj=logic * table.energy.product.value * _sum(steps.count * steps.weight_bits * steps.activation_bits),
        add_pj=logic * table.energy.add.value * _sum(steps.count * steps.accumulator_bits),
        read_pj=factor * _sum(accesses.reads * laws.read.at(buffers.kib, buffers.word_bits)),
        write_pj=factor * _sum(accesses.writes * laws.write.at(buffers.kib, buffers.word_bits)),
        external_pj=table.external[technology.external].value * external_bits,
    )


def asic_area(array: MacArray, buffers: Buffers, technology: Technology) -> AsicArea:
    """Area of the array and its buffers.

    A multiplier of a x w bits takes ``product * a * w + operand * (a + w)``, fitted to synthesised exact multipliers
    [Mrazek2017]_. The adders are those of the trees, ``columns - 1`` a row and as wide as a product and the carries of the
    tree, and one accumulator a row. Registers hold a weight for each multiplier, an activation for each column and
    the accumulators. Banks of a buffer have one port [CACTI]_.

    Args:
        array: (n,).
        buffers: n x b; sizes must be positive.
        technology: of the study.

    Returns:
        Parts in um2, (n,) each.
    """
    prices, factor = asic_coefficients().area, technology.area_factor
    product_bits = array.weight_bits + array.activation_bits
    tree_bits = (array.columns - 1.0) * (product_bits + np.ceil(np.log2(array.columns)))
    held = array.rows * array.columns * array.weight_bits + array.columns * array.activation_bits + array.rows * array.accumulator_bits
    multiplier = prices.product.value * array.weight_bits * array.activation_bits + prices.operand.value * product_bits
    return AsicArea(
        multipliers_um2=np.asarray(factor * array.rows * array.columns * multiplier),
        adders_um2=np.asarray(factor * prices.add.value * array.rows * (tree_bits + array.accumulator_bits)),
        registers_um2=np.asarray(factor * prices.register.value * held),
        buffers_um2=factor * _sum(buffers.banks * technology.laws.area.at(buffers.kib, buffers.word_bits)),
    )


def _sum(values: FloatArray) -> FloatArray:
    return np.asarray(values.sum(axis=1))
