"""UltraTrail: cycles, area and power of temporal convolutions on an N x N array with all data on the chip.

Notation: ``n`` designs, ``L`` layer slots; absent slots hold zeros. The array multiplies N input by N output channels in
a cycle; weights, features and biases never leave the chip, and zero padding costs no cycle.

Power is an average over one period of 100 ms, in which one inference runs: the published power of one design grows
linearly with the cycles of the network that runs on it, and does not vanish with them.

.. [Bernardo2020] P. Palomero Bernardo et al., "UltraTrail: A Configurable Ultralow-Power TC-ResNet AI Accelerator for
   Efficient Keyword Spotting", IEEE TCAD 39(11), 2020.
.. [Gerum2022] C. Gerum et al., "Hardware Accelerator and Neural Network Co-Optimization for Ultra-Low-Power Audio
   Processing Devices", DSD 2022 (HANNAH).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.pe_array_work import real_taps
from codesign.catalogue import Quantity, load_record, record
from codesign.kpi.template_model import FloatArray
from codesign.network.layers import IntArray

COEFFICIENTS = Path(__file__).resolve().parents[1] / "data" / "coefficients" / "ultratrail.toml"
MEMORIES = 2.0
"""Feature memories that a chain of layers needs: one is read while the other is written."""
WATT_PER_UW = 1e-6
JOULE_PER_PJ = 1e-12


@record
class AreaPrices:
    """Prices of area in um2; the fields are the terms, in the order of `area_counts`.

    Attributes:
        control: sequencer, configuration, ports.
        product: a bit product of a multiplier.
        port: an operand bit of a row or column: its port, and what a row has once, accumulator and requantisation.
        memory: a bit of memory.
        bank: each bank of the weight memory beyond the first.
    """

    control: Quantity
    product: Quantity
    port: Quantity
    memory: Quantity
    bank: Quantity


@record
class PowerPrices:
    """Prices of power; the fields are the terms, in the order of `power_counts`.

    Attributes:
        control: standing power (uW).
        register: standing power of an operand bit held in the array (uW).
        row: standing power of a row (uW).
        memory: standing power of a bit of memory (uW).
        cycle: energy of a cycle (pJ).
        port: energy of a cycle for each operand bit of a row or column (pJ).
    """

    control: Quantity
    register: Quantity
    row: Quantity
    memory: Quantity
    cycle: Quantity
    port: Quantity


@record
class UltraTrailCoefficients:
    """Contents of ``ultratrail.toml``.

    Attributes:
        technology: process.
        clock_khz: clock.
        period_ms: time from one inference to the next.
        layer_start: cycles that a layer takes beside its multiply steps.
        word_step: memories have a multiple of so many words.
        bank_words: words of one bank of the weight memory.
        area, power: prices.
        area_error, power_error: largest relative error of designs left out of the fit.
    """

    technology: str
    clock_khz: Quantity
    period_ms: Quantity
    layer_start: Quantity
    word_step: Quantity
    bank_words: Quantity
    area: AreaPrices
    power: PowerPrices
    area_error: Quantity
    power_error: Quantity


@cache
def ultratrail_coefficients() -> UltraTrailCoefficients:
    """Coefficients of the preset."""
    return load_record(COEFFICIENTS, UltraTrailCoefficients)


@dataclass(frozen=True)
class UltraTrailDesigns:
    """Networks, each with its array.

    Attributes:
        array: N: input and output channels at a time (n, 1).
        weight_bits, feature_bits: widths of the operands (n, 1).
        skips: whether a result is kept for an addition while others are computed (n,).
        in_c, out_c: channels, n x L.
        kernel, stride, pad: of the convolution, n x L; ``pad < kernel``.
        in_w, out_w: length of the series before and after, n x L; the last window must begin on real input.
    """

    array: IntArray
    weight_bits: IntArray
    feature_bits: IntArray
    skips: NDArray[np.bool_]
    in_c: IntArray
    out_c: IntArray
    kernel: IntArray
    stride: IntArray
    pad: IntArray
    in_w: IntArray
    out_w: IntArray

    @property
    def tiles(self) -> FloatArray:
        """Pairs of input and output channel groups of each layer, n x L."""
        return np.ceil(self.in_c / self.array) * np.ceil(self.out_c / self.array)

    @property
    def pairs(self) -> FloatArray:
        """(output, tap) pairs of each layer that fall on real input, n x L."""
        return real_taps(self.in_w, self.kernel, self.stride, self.pad, self.out_w)

    @property
    def macs(self) -> FloatArray:
        """Products of real operands in one inference (n,)."""
        return np.asarray((self.pairs * self.in_c * self.out_c).sum(axis=1))


@dataclass(frozen=True)
class UltraTrailKpis:
    """What n designs cost, arrays (n,) but for the layers' cycles.

    Attributes:
        layer_cycles: n x L, zero in absent slots.
        cycles: of one inference.
        duty: share of the period that the array runs; above 1 the network is too slow for one inference a period.
        area_um2: silicon.
        power_w: average over a period of one inference.
    """

    layer_cycles: FloatArray
    cycles: FloatArray
    duty: FloatArray
    area_um2: FloatArray
    power_w: FloatArray


@dataclass(frozen=True)
class Hardware:
    """What the designs are built of: counts that area and standing power go with, arrays (n,).

    Attributes:
        rows: N.
        products: bit products of the multipliers.
        registers: operand bits held in the array.
        ports: operand bits of a row and a column, N times.
        memory: bits of the weight and feature memories.
        banks: banks of the weight memory beyond the first.
    """

    rows: FloatArray
    products: FloatArray
    registers: FloatArray
    ports: FloatArray
    memory: FloatArray
    banks: FloatArray


def layer_cycles(designs: UltraTrailDesigns) -> FloatArray:
    """Cycles of each layer, n x L: ``1 + ceil(C/N) * ceil(K/N) * M``, M the real (output, tap) pairs [Bernardo2020]_."""
    start = ultratrail_coefficients().layer_start.value
    return np.where(designs.out_c > 0, start + designs.tiles * designs.pairs, 0.0)


def hardware(designs: UltraTrailDesigns) -> Hardware:
    """Sizes of array and memories [Bernardo2020]_.

    A word of the weight memory feeds all multipliers, a word of a feature memory all columns or all rows. Every feature
    memory holds the largest map, the input included; with a skip connection there are three of them, else two.
    """
    fixed = ultratrail_coefficients()
    size, step = designs.array[:, 0].astype(np.float64), fixed.word_step.value
    weight_bits, feature_bits = designs.weight_bits[:, 0], designs.feature_bits[:, 0]
    weight_words = (designs.tiles * designs.kernel).sum(axis=1)
    maps = np.maximum(np.ceil(designs.in_c / designs.array) * designs.in_w, np.ceil(designs.out_c / designs.array) * designs.out_w)
    feature_words = np.ceil(maps.max(axis=1) / step) * step
    stored = np.ceil(weight_words / step) * step * size**2 * weight_bits
    return Hardware(
        rows=size,
        products=size**2 * weight_bits * feature_bits,
        registers=size**2 * (weight_bits + feature_bits),
        ports=size * (weight_bits + feature_bits),
        memory=stored + (MEMORIES + designs.skips) * feature_words * size * feature_bits,
        banks=np.ceil(weight_words / fixed.bank_words.value) - 1.0,
    )


def area_counts(designs: UltraTrailDesigns) -> FloatArray:
    """What `AreaPrices` price, in their order, n x 5."""
    built = hardware(designs)
    return np.stack([np.ones_like(built.rows), built.products, built.ports, built.memory, built.banks], axis=1)


def power_counts(designs: UltraTrailDesigns) -> FloatArray:
    """What `PowerPrices` price, in their order, n x 6, in the units that make their sum W."""
    built, cycles = hardware(designs), layer_cycles(designs).sum(axis=1)
    per_cycle = JOULE_PER_PJ / (ultratrail_coefficients().period_ms.value * 1e-3)
    standing = np.stack([np.ones_like(built.rows), built.registers, built.rows, built.memory], axis=1)
    running = np.stack([cycles, cycles * built.ports], axis=1)
    return np.concatenate([WATT_PER_UW * standing, per_cycle * running], axis=1)


def values(prices: AreaPrices | PowerPrices) -> FloatArray:
    """The prices as a vector, in the order of their terms."""
    return np.array([getattr(prices, field.name).value for field in fields(prices)])


def ultratrail_kpis(designs: UltraTrailDesigns) -> UltraTrailKpis:
    """Cycles, area and power of n designs."""
    prices, per_layer = ultratrail_coefficients(), layer_cycles(designs)
    cycles = np.asarray(per_layer.sum(axis=1))
    return UltraTrailKpis(
        layer_cycles=per_layer,
        cycles=cycles,
        duty=cycles / (prices.clock_khz.value * prices.period_ms.value),
        area_um2=area_counts(designs) @ values(prices.area),
        power_w=power_counts(designs) @ values(prices.power),
    )
