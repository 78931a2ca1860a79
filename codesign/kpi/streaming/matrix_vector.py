"""Matrix-vector products: the block that dense layers, convolutions and recurrent gates share.

Notation: q units. A unit multiplies ``inputs`` values by a matrix of ``outputs`` columns with reuse factor RF:

* *sequential* (Resource strategy, RF > 1): ``ceil(products / RF)`` multipliers work RF cycles on weights from a memory of RF
  words [hls4ml]_. Up to RF = products of one output, each output has ``fold`` of them and an adder tree; beyond, each
  multiplier serves ``serves`` outputs in turn and selects among their accumulators (another kernel).
* *unrolled* (RF = 1, and Latency strategy): every weight is a constant in logic; see `codesign.kpi.streaming.constants`.
* *distributed arithmetic*: shifts and adds with shared partial sums, no multiplier [da4ml]_.

.. [hls4ml] Fast Machine Learning Lab, hls4ml 1.3: nnet_dense_resource.h, nnet_dense_latency.h, FPGA back end.
.. [da4ml] Sun et al., da4ml: distributed arithmetic for real-time neural networks on FPGAs, 2025.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from codesign.kpi.streaming.constants import ConstantProducts, expected_products
from codesign.kpi.streaming.flow import Tool
from codesign.kpi.streaming.hls_table import GRU_GATES, LSTM_GATES, HlsTable, Mask
from codesign.kpi.template_model import FloatArray
from codesign.network.hls_model import Kind, Part, Strategy

ARRAY_PARTITION_LIMIT = 4096
"""hls4ml's build script sets ``config_array_partition -maximum_size 4096`` for Vivado HLS: what is larger is not unrolled."""
NARROWEST_IN_DSP = {Tool.VIVADO_HLS_2019: 5, Tool.VIVADO_HLS_2019_5NS: 5, Tool.VIVADO_HLS_2020: 5, Tool.VITIS_HLS: 7}
"""Bits, without those that the largest weight does not need, from which a multiplier takes a DSP block: one-layer syntheses
with Vivado HLS 2020.1 (exact on 688), two- and three-layer ones with Vitis 2023.2 (6 bits never, 8 always; 7 not seen)."""
WIDEST_IN_LOGIC = 16
"""Bits of both operands together up to which a product is built of LUT: 8 x 8 bits in 38 reports of Vivado HLS 2019."""
SHARED_FROM_BITS = 8
"""Weights from which Latency strategy with RF > 1 shares multipliers; narrower ones stay in logic, one for each constant."""
TYPICAL_PEAK_BITS = 0.79
"""log2 of sqrt(3): a uniform spread's largest value over its deviation."""
DSP_WIDE, DSP_NARROW = 26, 17
"""Magnitude bits of a DSP48's two operands (AMD UG479, UG579), signs not counted."""


class MatrixVector:
    """The matrix-vector units of a table for a tool.

    Attributes:
        row: row of the table that a unit belongs to (q,); a recurrent layer has two units.
        state: the unit is a recurrent layer's product with its state (q,).
        rows: those rows as a table, one for each unit.
    """

    def __init__(self, table: HlsTable, tool: Tool) -> None:
        active = table.weighted & (table.part != Part.LINE_BUFFER)
        first = np.flatnonzero(active)
        recurrent = np.flatnonzero(active & table.of_kind(Kind.LSTM, Kind.GRU))
        self.tool = tool
        self.row = np.concatenate([first, recurrent])
        self.state: Mask = np.arange(len(self.row)) >= len(first)
        self.rows = table.rows(self.row)

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def dense(self) -> Mask:
        """Dense layers."""
        return np.asarray(self.rows.kind == Kind.DENSE)

    @cached_property
    def recurrent(self) -> Mask:
        """Gates of recurrent layers."""
        return self.rows.of_kind(Kind.LSTM, Kind.GRU)

    @cached_property
    def convolution(self) -> Mask:
        """Convolutions, depthwise ones included."""
        return ~self.dense & ~self.recurrent

    @cached_property
    def gates(self) -> FloatArray:
        """Matrices side by side: 4 of an LSTM, 3 of a GRU."""
        return np.where(self.rows.kind == Kind.LSTM, float(LSTM_GATES), np.where(self.rows.kind == Kind.GRU, float(GRU_GATES), 1.0))

    @cached_property
    def inputs(self) -> FloatArray:
        """Values that are multiplied."""
        return np.where(self.state, self.rows.out_c, self.rows.fan_in).astype(np.float64)

    @cached_property
    def outputs(self) -> FloatArray:
        """Sums that are made."""
        return self.rows.out_c * self.gates

    @cached_property
    def products(self) -> FloatArray:
        """Weights; a depthwise convolution has one for each input."""
        return np.where(self.rows.depthwise, self.inputs, self.inputs * self.outputs)

    @cached_property
    def reuse(self) -> FloatArray:
        """Effective reuse factor."""
        return np.where(self.state, self.rows.recurrent_reuse, self.rows.reuse).astype(np.float64)

    @cached_property
    def multipliers(self) -> FloatArray:
        """Products that are made side by side, whether by a multiplier or by logic."""
        return np.ceil(self.products / self.reuse)

    @cached_property
    def per_output(self) -> FloatArray:
        """Products summed to one output."""
        return self.products / self.outputs

    @cached_property
    def fold(self) -> FloatArray:
        """Products of one output that are made side by side; at least 1."""
        return np.maximum(np.floor(self.per_output / self.reuse), 1.0)

    @cached_property
    def serves(self) -> FloatArray:
        """Outputs that share one multiplier; at least 1."""
        return np.maximum(np.floor(self.reuse / self.per_output), 1.0)

    @cached_property
    def latency_strategy(self) -> Mask:
        """Latency strategy."""
        return np.asarray(self.rows.strategy == Strategy.LATENCY)

    @cached_property
    def distributed(self) -> Mask:
        """Distributed arithmetic."""
        return np.asarray(self.rows.strategy == Strategy.DISTRIBUTED_ARITHMETIC)

    @cached_property
    def sequential(self) -> Mask:
        """Resource strategy with RF > 1."""
        return np.asarray((self.rows.strategy == Strategy.RESOURCE) & (self.reuse > 1))

    @cached_property
    def resource_unrolled(self) -> Mask:
        """Resource strategy with RF = 1: unrolled."""
        return np.asarray((self.rows.strategy == Strategy.RESOURCE) & (self.reuse <= 1))

    @cached_property
    def shared(self) -> Mask:
        """Latency strategy with RF > 1 and weights wide enough to share multipliers."""
        return np.asarray(self.latency_strategy & (self.reuse > 1) & (self.weight_bits >= SHARED_FROM_BITS))

    @cached_property
    def light(self) -> Mask:
        """Latency strategy otherwise."""
        return self.latency_strategy & ~self.shared

    @cached_property
    def weight_bits(self) -> FloatArray:
        """Width of the weights."""
        return self.rows.weight_bits.astype(np.float64)

    @cached_property
    def input_bits(self) -> FloatArray:
        """Width of the inputs; the state of a recurrent layer has that of its results."""
        return np.where(self.state, self.rows.output_bits, self.rows.input_bits).astype(np.float64)

    @cached_property
    def accumulator_bits(self) -> FloatArray:
        """Width of the sums."""
        return self.rows.accumulator_bits.astype(np.float64)

    @cached_property
    def sum_bits(self) -> FloatArray:
        """Bits of all sums."""
        return self.outputs * self.accumulator_bits

    @cached_property
    def word_bits(self) -> FloatArray:
        """Bits of all inputs."""
        return self.inputs * self.input_bits

    @cached_property
    def significant_bits(self) -> FloatArray:
        """Bits, sign included, that the largest weight needs: the tools see constant memories and trim the others."""
        levels = np.maximum(np.ceil(self.rows.weight_peak * 2.0 ** (self.weight_bits - 1.0)) - 1.0, 1.0)
        return np.minimum(2.0 + np.floor(np.log2(levels)), self.weight_bits)

    @cached_property
    def in_dsp(self) -> Mask:
        """Multipliers wide enough for a DSP block; an input of one bit only selects."""
        narrowest = NARROWEST_IN_DSP[self.tool]
        wide = (self.weight_bits >= narrowest) & (self.weight_bits + self.input_bits > WIDEST_IN_LOGIC) & (self.input_bits > 1)
        return np.asarray(wide & (self.rows.logic_only == 0))

    @cached_property
    def blocks(self) -> FloatArray:
        """DSP blocks of one multiplier that is in DSP: more than one for operands wider than a block's."""
        wide, narrow = np.maximum(self.weight_bits, self.input_bits) - 1.0, np.minimum(self.weight_bits, self.input_bits) - 1.0
        return np.ceil(wide / DSP_WIDE) * np.ceil(narrow / DSP_NARROW)

    @cached_property
    def constants(self) -> ConstantProducts:
        """Distinct products with a constant; only unrolled units have them."""
        chosen = np.flatnonzero(~self.sequential & ~self.distributed)
        counts = (np.zeros(len(self)), np.zeros(len(self)), np.zeros(len(self)))
        per_input = np.where(self.rows.depthwise, 1.0, self.outputs)
        arguments = (self.inputs, per_input, self.weight_bits, self.rows.weight_peak, self.rows.nonzero)
        for target, found in zip(counts, expected_products(*(values[chosen] for values in arguments)), strict=True):
            target[chosen] = found
        return ConstantProducts(*counts)

    @cached_property
    def nonzero(self) -> FloatArray:
        """Weights that are not zero; narrow weights round to zero more often."""
        levels = 2.0 * self.rows.weight_peak * 2.0 ** (self.weight_bits - 1.0)
        rounded = np.where(self.rows.nonzero < 1.0, self.rows.nonzero, np.maximum(1.0 - 1.0 / np.maximum(levels, 1.0), SHARE_OF_TERNARY))
        return self.products * rounded

    @cached_property
    def shared_multipliers(self) -> FloatArray:
        """Multipliers that Latency strategy may build for RF > 1 (``ALLOCATION`` limit of hls4ml); zeros make it smaller."""
        zeros = np.where(self.rows.nonzero < 1.0, self.products * (1.0 - self.rows.nonzero), 0.0)
        return np.maximum(self.multipliers - np.floor(zeros / self.reuse) + (self.reuse >= 1024), 1.0)  # one more: observed

    @cached_property
    def worth_a_multiplier(self) -> FloatArray:
        """Constants of unrolled units that Vitis HLS multiplies with (q,); the others become shifts and adders.

        Trained weights shrink with the square root of the fan-in, so of wide layers few have enough significant bits:
        share ``0.12 * (bits - 1.7)`` of the non-zero weights, with bits those below the largest weight's first; between
        0.5 % and 65 %, at most 2 % of weights under 8 bits (114 reports of dense layers, Vitis HLS 2021.1; median error 14 %).
        """
        significant = np.log2(np.maximum(self.rows.weight_peak * 2.0 ** (self.weight_bits - 1.0), 1.0)) - TYPICAL_PEAK_BITS
        share = np.clip(0.12 * (significant - 1.7), 0.005, 0.65)
        few = (self.weight_bits < SHARED_FROM_BITS) | (self.weight_bits + self.input_bits < WIDEST_IN_LOGIC - 2)
        return np.where(self.sequential | self.distributed, 0.0, np.where(few, np.minimum(share, 0.02), share) * self.nonzero)


SHARE_OF_TERNARY = 0.45
"""Share of two-bit weights that is not zero in the one-layer syntheses of wa-hls4ml."""


def dsp_blocks(unit: MatrixVector) -> FloatArray:
    """DSP blocks (q,).

    Sequential: one for each multiplier, exact; Vivado HLS drops one whose constants turn out narrow. Unrolled by Vivado
    HLS: the expected number of distinct constants of three digits and more, as many as allowed where multipliers are
    shared. Unrolled by Vitis HLS: the constants worth a multiplier.
    """
    if unit.tool is Tool.VITIS_HLS:
        worth = unit.worth_a_multiplier
        sequential, unrolled = unit.multipliers, np.ceil(np.where(unit.reuse > 2, np.minimum(worth, unit.shared_multipliers), worth))
    else:
        sequential = unit.multipliers - (unit.significant_bits < NARROWEST_IN_DSP[unit.tool])
        hard = unit.constants.dsp
        unshared = np.where(unit.latency_strategy & (unit.reuse > 1), 0.0, np.rint(hard))
        unrolled = np.where(unit.shared, np.minimum(unit.shared_multipliers, hard), unshared) * np.maximum(unit.blocks, 1.0)
    unrolled = np.where(unit.distributed | (unit.rows.logic_only > 0), 0.0, unrolled)
    return np.where(unit.sequential, np.where(unit.in_dsp, np.maximum(sequential, 0.0) * unit.blocks, 0.0), unrolled)
