"""Resources of the `pe_array` hardware: what its Verilog builds, counted, times what a family spends on each part.

Notation: ``n`` arrays; R rows, C columns, WB, AB, ACC weight, activation and accumulator bits, BUS bits of the port,
G = gcd(R, C) lanes, PB = WB + AB + 1 bits of a product. Registers are counted bit by bit in
``accel_templates/pe_array/rtl``; what a family's DSP blocks and shift registers take of them, and the look-up tables of each
part, are prices fitted on synthesis runs (``tools/fit_pe_array.py``, ``docs/validation-pe-array.md``).

.. [Yosys] Yosys, techlibs/xilinx: a product takes a DSP block if it has at least nine bits; techlibs/ecp5: always.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from codesign.accelerator.device import Family
from codesign.accelerator.pe_array_program import BIAS_BITS
from codesign.catalogue import Quantity, load_record, record
from codesign.kpi.memory import Mapped, mapped_by_yosys
from codesign.kpi.power import COEFFICIENTS
from codesign.kpi.template_model import FloatArray

NARROWEST, WIDEST_OPERAND = 2, 8
SUM_ADDERS = ((0, 0), (0, 0), (0, 0), (0, 0), (1, 2), (1, 3), (1, 3), (2, 5), (3, 7))
"""For 0 to 8 products: adders of two sums in `pe_adder_tree`, and the bits that they have beyond a product's."""


@dataclass(frozen=True)
class Memory:
    """Memories of one shape in n arrays, each (n,): how many, bits of a word, and how one is mapped."""

    count: FloatArray
    bits: FloatArray
    mapped: Mapped


@dataclass(frozen=True)
class ArraySizes:
    """Sizes of n arrays, each (n,): float arrays of whole numbers.

    Attributes:
        rows, columns: output and input channels at a time.
        weight_bits, activation_bits, accumulator_bits: operand and accumulator widths.
        bus_bits: width of the port to external memory.
        weight_words, activation_words, output_words: words of the buffers, all banks together.
    """

    rows: FloatArray
    columns: FloatArray
    weight_bits: FloatArray
    activation_bits: FloatArray
    accumulator_bits: FloatArray
    bus_bits: FloatArray
    weight_words: FloatArray
    activation_words: FloatArray
    output_words: FloatArray

    @property
    def lanes(self) -> FloatArray:
        """G: results that leave the array in a cycle."""
        return np.gcd(self.rows.astype(np.int64), self.columns.astype(np.int64)).astype(np.float64)

    @property
    def product_bits(self) -> FloatArray:
        """PB: bits of a product of a signed weight and an activation with a sign of its own."""
        return self.weight_bits + self.activation_bits + 1.0

    @property
    def lane_groups(self) -> FloatArray:
        """Writes that fill a word of activations."""
        return self.columns / self.lanes

    @property
    def weight_word_bits(self) -> FloatArray:
        """Bits of a weight word."""
        return self.rows * self.columns * self.weight_bits

    @property
    def activation_word_bits(self) -> FloatArray:
        """Bits of a word of activations or outputs."""
        return self.columns * self.activation_bits

    @property
    def word_beats(self) -> FloatArray:
        """Beats of a word of activations."""
        return np.ceil(self.activation_word_bits / self.bus_bits)

    @cached_property
    def memories(self) -> tuple[Memory, ...]:
        """The block memories: slices of the weight buffer of one beat of the bus, the last one narrower; the other two buffers by lane group."""
        whole = np.floor(self.weight_word_bits / self.bus_bits)
        rest = self.weight_word_bits - whole * self.bus_bits
        shapes = (
            (whole, self.weight_words, self.bus_bits),
            ((rest > 0.0).astype(np.float64), self.weight_words, np.maximum(rest, 1.0)),
            (self.lane_groups, self.activation_words, self.lanes * self.activation_bits),
            (self.lane_groups, self.output_words, self.lanes * self.activation_bits),
        )
        return tuple(Memory(count, bits, mapped_by_yosys(words, bits)) for count, words, bits in shapes)


@record
class FamilyPrices:
    """Prices of a family (``pe_array_resources.toml``).

    Attributes:
        lut: look-up tables per unit of each part of `lut_parts`; those not named are free.
        absorbed: registers that DSP blocks and shift registers take, per unit of each part of `absorbable`.
        dsp_minimum_product_bits: a product takes a DSP block from this width on [Yosys]_.
        lut_error, ff_error, bram18_error: relative errors that 95 % of the synthesised designs left out of the fit stay within.
    """

    lut: dict[str, float]
    absorbed: dict[str, float]
    dsp_minimum_product_bits: Quantity
    lut_error: Quantity
    ff_error: Quantity
    bram18_error: Quantity


@record
class ResourcePrices:
    """Contents of ``pe_array_resources.toml``.

    Attributes:
        source: of all prices.
        product_luts: look-up tables of one product outside DSP blocks, by weight bits (rows, from 2) and activation bits
            (columns, from 2); 0 where every family takes a DSP block.
        families: prices by family.
    """

    source: str
    product_luts: tuple[tuple[int, ...], ...]
    families: dict[Family, FamilyPrices]


@cache
def resource_prices() -> ResourcePrices:
    """The prices of all families."""
    return load_record(COEFFICIENTS / "pe_array_resources.toml", ResourcePrices)


@dataclass(frozen=True)
class ArrayResources:
    """Resources of n arrays, each (n,); ``in_dsp`` is 1 for those that have their multipliers in DSP blocks."""

    lut: FloatArray
    ff: FloatArray
    dsp: FloatArray
    bram18: FloatArray
    in_dsp: FloatArray


def array_resources(sizes: ArraySizes, family: Family) -> ArrayResources:
    """What a family needs for n arrays."""
    prices = resource_prices()
    own = prices.families[family]
    in_dsp = (sizes.product_bits >= own.dsp_minimum_product_bits.value).astype(np.float64)
    return ArrayResources(
        lut=np.ceil(priced(lut_parts(sizes, in_dsp, np.array(prices.product_luts, dtype=np.float64)), own.lut)),
        ff=np.ceil(registers(sizes) - priced(absorbable(sizes, in_dsp), own.absorbed)),
        dsp=in_dsp * sizes.rows * sizes.columns,
        bram18=block_memories(sizes),
        in_dsp=in_dsp,
    )


def resource_errors(family: Family) -> dict[str, float]:
    """Relative errors of a family's counts by resource; DSP blocks follow a rule that held on every array synthesised."""
    own = resource_prices().families[family]
    return {"lut": own.lut_error.value, "ff": own.ff_error.value, "dsp": 0.0, "bram18": own.bram18_error.value}


def priced(parts: Mapping[str, FloatArray], prices: Mapping[str, float]) -> FloatArray:
    """Sum of parts times prices, (n,)."""
    total = np.zeros_like(parts["constant"])
    for name, price in prices.items():
        total += price * parts[name]
    return total


def lut_parts(sizes: ArraySizes, in_dsp: FloatArray, product_luts: FloatArray) -> dict[str, FloatArray]:
    """Counts of the parts that take look-up tables, each (n,).

    Args:
        sizes: the arrays.
        in_dsp: 1 where products are in DSP blocks.
        product_luts: see `ResourcePrices`.
    """
    rows, columns, lanes, groups = sizes.rows, sizes.columns, sizes.lanes, sizes.lane_groups
    accumulators, word = rows * sizes.accumulator_bits, sizes.activation_word_bits
    in_lut = 1.0 - in_dsp
    weight, activation = (np.clip(bits, NARROWEST, WIDEST_OPERAND).astype(np.intp) - NARROWEST for bits in (sizes.weight_bits, sizes.activation_bits))
    tree = rows * adder_tree_bits(columns, sizes.product_bits)
    weight_beats = np.ceil(sizes.weight_word_bits / sizes.bus_bits)
    several = (groups > 1.0).astype(np.float64)
    return {
        "constant": np.ones_like(rows),
        "products": in_lut * rows * columns * product_luts[weight, activation],
        "tree_in_lut": in_lut * tree,
        "tree_beside_dsp": in_dsp * tree,
        "sums_beside_dsp": in_dsp * rows * adder_bits_of_sums(columns, sizes.product_bits),
        "accumulators": accumulators,
        "chunks": np.where(rows > lanes, accumulators, 0.0),
        "lane_accumulators": lanes * sizes.accumulator_bits,
        "lane_activations": lanes * sizes.activation_bits,
        "lanes": lanes,
        "word": word,
        "grouped_word": several * word,
        "lane_groups": several * groups,
        "assembled_word": (sizes.word_beats - 1.0) * sizes.bus_bits,
        "bus": sizes.bus_bits,
        "weight_slices": np.where(weight_beats > 1.0, weight_beats, 0.0),
        "weight_address": address_bits(sizes.weight_words),
        "activation_address": address_bits(sizes.activation_words),
        "output_address": address_bits(sizes.output_words),
        **_ranked(sizes),
    }


def adder_tree_bits(columns: FloatArray, product_bits: FloatArray) -> FloatArray:
    """Bits of all adders that sum C products pairwise: C - 1 adders, one bit wider at each level."""
    total, left, level = np.zeros(np.broadcast_shapes(columns.shape, product_bits.shape)), columns.copy(), 1.0
    while (left > 1.0).any():
        total += np.floor(left / 2.0) * (product_bits + level)
        left, level = np.ceil(left / 2.0), level + 1.0
    return total


def adder_bits_of_sums(columns: FloatArray, product_bits: FloatArray) -> FloatArray:
    """Bits of those adders of the tree that have no product as an operand: a DSP48E1 takes the others (Yosys, ``xilinx_dsp``).

    A tree of eight splits its terms in halves, so each group of eight has three such adders, of PB + 2, PB + 2 and PB + 3 bits;
    the sums of groups are added in a second stage.
    """
    stages = np.ceil(columns / 8.0)
    last = (columns - 8.0 * (stages - 1.0)).astype(np.intp)
    adders, extra = np.array(SUM_ADDERS, dtype=np.float64)[last].T
    total = adders * product_bits + extra + (stages - 1.0) * (SUM_ADDERS[8][0] * product_bits + SUM_ADDERS[8][1])
    return np.asarray(total + adder_tree_bits(stages, product_bits + 3.0))


def absorbable(sizes: ArraySizes, in_dsp: FloatArray) -> dict[str, FloatArray]:
    """Counts of registers that a DSP block or a shift register may take, each (n,)."""
    units = sizes.rows * sizes.columns
    sums = sizes.rows * (sizes.product_bits + np.ceil(np.log2(sizes.columns)))
    return {
        "constant": np.ones_like(sizes.rows),
        "products": in_dsp * units * sizes.product_bits,
        "weights": in_dsp * units * sizes.weight_bits,
        "operands": in_dsp * sizes.columns * (sizes.activation_bits + 1.0),
        "sums": in_dsp * sums,
        "sums_of_two": in_dsp * sums * (sizes.columns == 2.0),
        "rows": in_dsp * sizes.rows,
        "units_in_lut": (1.0 - in_dsp) * units,
    }


def registers(sizes: ArraySizes) -> FloatArray:
    """Bits of all registers in the Verilog (n,), module by module."""
    return _control_registers(sizes) + _array_registers(sizes) + _result_registers(sizes)


def _control_registers(sizes: ArraySizes) -> FloatArray:
    """Phases, movements, positions and steps."""
    weight, activation, output = map(address_bits, (sizes.weight_words, sizes.activation_words, sizes.output_words))
    result = np.maximum(activation, output)
    weight_beats, word_beats, groups = np.ceil(sizes.weight_word_bits / sizes.bus_bits), sizes.word_beats, sizes.lane_groups
    # 1,702 bits of any size: bursts 99, mover 942 (896 the instruction), phases 38, fields held for a computation 212,
    # flags that travel 37, results 44, positions 217, steps 113.
    fields = np.minimum(activation, 13.0) + 5.0 * activation + 7.0 * weight + 2.0 * result
    positions_and_steps = 8.0 * activation + 11.0 * weight
    movements = weight + activation + output + np.where(weight_beats > 1.0, weight_beats, 0.0)
    words = (word_beats - 1.0) * sizes.bus_bits + 2.0 * np.ceil(np.log2(word_beats))
    grouped = np.where(groups > 1.0, 4.0 * groups + 15.0, 0.0)
    return np.asarray(1702.0 + fields + positions_and_steps + movements + words + 4.0 * result + grouped + np.where(sizes.columns > 8.0, 6.0, 0.0))


def _array_registers(sizes: ArraySizes) -> FloatArray:
    """Operands, biases, products, sums and accumulators."""
    rows, columns, product = sizes.rows, sizes.columns, sizes.product_bits
    stages = np.ceil(columns / 8.0)
    last = columns - 8.0 * (stages - 1.0)
    sums = (stages - 1.0) * (product + 3.0) + product + np.ceil(np.log2(last))
    sums = sums + np.where(columns > 8.0, product + np.ceil(np.log2(columns)), 0.0)
    bias_words = np.ceil(BIAS_BITS / (columns * sizes.weight_bits))
    read_biases = np.where(bias_words > 1.0, bias_words * sizes.weight_word_bits, rows * BIAS_BITS)
    operands = columns * (sizes.activation_bits + 1.0) + sizes.weight_word_bits
    return np.asarray(operands + read_biases + rows * (BIAS_BITS + columns * product + sums + sizes.accumulator_bits))


def _result_registers(sizes: ArraySizes) -> FloatArray:
    """Finished accumulators, requantisers, masks and the word that is written."""
    accumulator, activation = sizes.accumulator_bits, sizes.activation_bits
    lane = 2.0 * accumulator + 2.0 * activation + 6.0 + activation
    return np.asarray(3.0 * accumulator + 1.0 + sizes.rows * accumulator + sizes.lanes * lane)


def address_bits(words: FloatArray) -> FloatArray:
    """Address lines of a memory."""
    return np.maximum(np.ceil(np.log2(words)), 1.0)


def block_memories(sizes: ArraySizes) -> FloatArray:
    """18 kb blocks of the buffers (n,), memory by memory as the Verilog cuts them."""
    return np.asarray(sum(memory.count * memory.mapped.blocks for memory in sizes.memories))


def _ranked(sizes: ArraySizes) -> dict[str, FloatArray]:
    """Where blocks lie one above the other: choices between them (bits x ranks beyond the first, by two and by four) and ranks to select."""
    by_two, by_four, selects = np.zeros_like(sizes.rows), np.zeros_like(sizes.rows), np.zeros_like(sizes.rows)
    for memory in sizes.memories:
        beyond, bits = memory.mapped.ranks - 1.0, memory.count * memory.bits
        by_two += bits * beyond
        by_four += bits * np.ceil(beyond / 3.0)
        selects += memory.count * beyond
    return {"choices_of_two": by_two, "choices_of_four": by_four, "ranks": selects}
