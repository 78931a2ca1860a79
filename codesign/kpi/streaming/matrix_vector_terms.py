"""LUT and FF terms of matrix-vector units.

The kernels of hls4ml and the tools differ so much that no flow has a price for every term; a term without a price in a
flow's coefficients costs nothing there. Sizes of selectors are those of the tools' libraries, read off syntheses that
differ in nothing else.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from codesign.catalogue import Quantity, load_record, record
from codesign.kpi.streaming.flow import Tool
from codesign.kpi.streaming.hls_table import Mask
from codesign.kpi.streaming.matrix_vector import MatrixVector
from codesign.kpi.streaming.prices import FOLDER
from codesign.kpi.streaming.terms import Term, Terms, once
from codesign.kpi.template_model import FloatArray

SELECTOR_WAYS = np.array([2.0, 16.0, 32.0, 64.0, 1024.0])
SELECTOR_LUT_PER_BIT = np.array([9.0, 66.0, 153.0, 273.0, 4368.0]) / 16.0
"""Selectors of Vivado HLS 2019.1 by number of words (N-TORC, differences of rows); beyond 64 in proportion."""
WIDE_SELECTOR_LUT_PER_BIT = {32: 181 / 16, 64: 301 / 16, 128: 701 / 16, 256: 1390 / 16}
"""Selectors among accumulators of Vivado HLS 2020.1 by size (wa-hls4ml, more than 100 rows each)."""
LUT_PER_BIT_AND_WAY = 0.34
"""Other sizes of the same, in proportion to the number of words."""
WIDE = 512
"""Words from which the tools spread a selector over several cycles."""
LUT_WORDS = 64
"""Words of a memory that one LUT holds a bit of."""
OBSERVED_WIDTH = 200
"""Bits of the widest weight memory among the syntheses after Vitis HLS."""
ROM_BITS = 1024
"""Memories up to this size are built of LUT."""


def selector(ways: FloatArray) -> FloatArray:
    """LUT per bit of a selector among ``ways`` words, any shape."""
    return np.asarray(2.0 ** np.interp(np.log2(np.maximum(ways, 2.0)), np.log2(SELECTOR_WAYS), np.log2(SELECTOR_LUT_PER_BIT)))


def accumulator_selector(ways: FloatArray) -> FloatArray:
    """LUT per bit to pick one of ``ways`` accumulators by an index from a memory, any shape."""
    size = 2.0 ** np.ceil(np.log2(np.maximum(ways, 1.0)))
    known = [size == ways_known for ways_known in WIDE_SELECTOR_LUT_PER_BIT]
    return np.select(known, list(WIDE_SELECTOR_LUT_PER_BIT.values()), LUT_PER_BIT_AND_WAY * size)


def _number(mask: Mask) -> FloatArray:
    return mask.astype(np.float64)


@once
def _parallel(unit: MatrixVector) -> Mask:
    """Sequential units whose inputs lie in registers (io_parallel) and are taken one after the other: RF of at least the products of an output."""
    return np.asarray(unit.sequential & (unit.rows.stream == 0) & (unit.reuse >= unit.per_output))


@once
def _streaming(unit: MatrixVector) -> Mask:
    """Sequential units in a stream, and folded ones anywhere."""
    return np.asarray(unit.sequential & ~_parallel(unit))


def _folded_parallel(unit: MatrixVector) -> Mask:
    return np.asarray(unit.sequential & (unit.rows.stream == 0) & (unit.reuse < unit.per_output))


@once
def _unrolled(unit: MatrixVector) -> Mask:
    return ~unit.sequential & ~unit.distributed


@once
def _shallow(unit: MatrixVector) -> Mask:
    """Unrolled units with a register or two at most: Vivado HLS on UltraScale fabric."""
    return np.asarray(_unrolled(unit) & (unit.rows.series7 == 0) & (unit.tool is not Tool.VITIS_HLS))


@once
def _deep(unit: MatrixVector) -> Mask:
    """Other unrolled units: pipelines by how much logic fits a clock."""
    return _unrolled(unit) & ~_shallow(unit)


@once
def _folded(unit: MatrixVector) -> Mask:
    return unit.sequential & (unit.fold > 1)


@once
def _single(unit: MatrixVector) -> Mask:
    return unit.sequential & (unit.fold <= 1)


@once
def _many(unit: MatrixVector) -> Mask:
    """More outputs on one multiplier than a two-way choice: read and write selectors over all accumulators."""
    return np.asarray(unit.sequential & (unit.reuse > 2.0 * unit.per_output))


@once
def _few(unit: MatrixVector) -> Mask:
    return unit.sequential & ~_many(unit)


@once
def _selects(unit: MatrixVector) -> Mask:
    """Folded units whose multipliers select among inputs."""
    return np.asarray(_folded(unit) & (unit.reuse >= 4) & (unit.inputs < WIDE))


def _dense_selects(unit: MatrixVector) -> Mask:
    return np.asarray(_selects(unit) & unit.dense & (unit.outputs <= 64))


def _state_selects(unit: MatrixVector) -> Mask:
    return np.asarray(_selects(unit) & ((unit.recurrent & unit.state) | (unit.dense & (unit.outputs > 64))))


def _wide(unit: MatrixVector) -> Mask:
    return np.asarray(_folded(unit) & (unit.reuse >= WIDE))


def _wide_stages(unit: MatrixVector) -> FloatArray:
    return np.where(unit.fold < 4, 3.0, np.where(unit.fold < 8, 1.0, 0.0))


@once
def arrives_at_once(unit: MatrixVector) -> Mask:
    """Dense layers whose inputs come in one word of the stream; guessed from the shape where nobody knows what is before."""
    words = unit.rows.input_words
    guess = (unit.inputs <= 32) | ((unit.inputs <= 64) & ((unit.outputs == 1) | (unit.outputs >= unit.inputs)))
    return np.asarray(np.where(words > 0, words == 1, guess), dtype=np.bool_)


def _index_in_memory(unit: MatrixVector) -> Mask:
    """One multiplier serves all outputs, and the table of its output index is a block memory."""
    index = unit.reuse * np.ceil(np.log2(unit.serves))
    return np.asarray(unit.sequential & (unit.serves > 1) & (unit.multipliers == 1) & (index >= ROM_BITS))


def _stages(unit: MatrixVector) -> FloatArray:
    """Registers between input selector and adder, per multiplier."""
    extra = np.where(unit.fold <= 3, 4.0, np.where(unit.fold < 6, 2.0, np.where(unit.fold < 8, 1.0, 0.0)))
    convolution = _selects(unit) & unit.convolution & ((unit.outputs > 16) | (unit.fold <= 3))
    dense = _dense_selects(unit) & ~(arrives_at_once(unit) & (unit.fold < 8))
    return np.where(_folded(unit), extra, 0.0) + convolution + dense


def _product_register_bits(unit: MatrixVector) -> FloatArray:
    """Bits of the register behind each product: the sum's width where it goes to a selected accumulator, else the weight's."""
    many = _many(unit)
    in_dsp = np.where(many, unit.accumulator_bits, unit.weight_bits)
    return np.where(unit.in_dsp, in_dsp, np.where(many, unit.weight_bits, 0.0))


@once
def pipelined(unit: MatrixVector) -> Mask:
    """Unrolled units whose adders do not fit one clock of 5 ns on UltraScale+: there is a register between products and sums."""
    levels = np.ceil(np.log2(np.maximum(unit.inputs, 1.0))) + np.floor(unit.weight_bits / 2.0) - 1.0
    levels += (unit.outputs > 64) & (unit.weight_bits >= 4)
    return np.asarray(~unit.sequential & ~unit.distributed & (levels > np.where(unit.latency_strategy, 5.0, 6.0)))


def weights_in_lut(unit: MatrixVector) -> Mask:
    """Sequential units whose weights Vivado builds of LUT after Vitis HLS, which ignores hls4ml's pragma for block memory.

    Observed on 151 syntheses of long and narrow memories: blocks only for up to 1,024 words of at least 8 bits and more than
    88 inputs. Others: up to 64 words, the depth of one LUT (AMD UG474).
    """
    block = (unit.reuse <= 1024) & (unit.multipliers * unit.weight_bits >= 8) & (unit.inputs > 88)
    return np.asarray(unit.sequential & np.where(observed_memory(unit), ~block, unit.reuse <= LUT_WORDS))


def observed_memory(unit: MatrixVector) -> Mask:
    """Weight memories of the shapes that synthesis after Vitis HLS was observed on."""
    return np.asarray((unit.reuse >= WIDE) & (unit.multipliers * unit.weight_bits <= OBSERVED_WIDTH))


@record
class SharedAdders:
    """Contents of ``distributed_arithmetic.toml``."""

    factor: Quantity
    exponent: Quantity
    crowding: Quantity
    weight_growth: Quantity
    sum_growth: Quantity


@cache
def shared_adder_record() -> SharedAdders:
    """The coefficients of `shared_adders`."""
    return load_record(FOLDER / "distributed_arithmetic.toml", SharedAdders)


def shared_adders(unit: MatrixVector) -> FloatArray:
    """Adder bits, one LUT each, of distributed arithmetic (q,): partial sums that several outputs use are built once.

    An output of d non-zero signed digits takes d - 1 adders; sharing removes more of them the more there are and the closer
    together they lie, and the width of a sum grows from the input's. Weights whose bits no weight needs have no digits there.
    Formula and errors: ``distributed_arithmetic.toml``, remade by ``tools/fit_distributed_arithmetic.py``.
    """
    c = shared_adder_record()
    digits = unit.nonzero * (unit.significant_bits / 3.0 + 1.0 / 9.0)
    adders = np.maximum(digits - unit.outputs, 0.0)
    crowd = np.maximum(digits / np.maximum(unit.products, 1.0), np.finfo(np.float64).tiny) ** c.crowding.value
    levels = np.log2(np.maximum(unit.inputs, 1.0))
    width = unit.input_bits + c.weight_growth.value * unit.significant_bits + c.sum_growth.value * levels
    return np.where(unit.distributed, c.factor.value * adders**c.exponent.value * crowd * width, 0.0)


def _library_selectors(unit: MatrixVector) -> FloatArray:
    """LUT of the selectors that multipliers of a folded dense layer have: among outputs, or among inputs where there is one output."""
    among_outputs = (_dense_selects(unit) & (unit.outputs > 1)) * unit.multipliers * selector(unit.outputs)
    alone = unit.dense & unit.sequential & (unit.reuse >= 4) & (unit.outputs == 1)
    return np.asarray((among_outputs + alone * unit.multipliers * selector(unit.inputs)) * unit.input_bits)


def _sums(unit: MatrixVector) -> FloatArray:
    return np.where(unit.sequential | unit.distributed, 0.0, unit.nonzero)


@once
def _sum_width(unit: MatrixVector) -> FloatArray:
    """Width of a sum on its way to the result: the wider of both."""
    return np.maximum(unit.accumulator_bits, unit.rows.output_bits)


@once
def slowness(unit: MatrixVector) -> FloatArray:
    """Pipeline registers needed, relative to 7-series fabric at 5 ns; UltraScale fabric needs about a third."""
    return np.where(unit.rows.series7 > 0, 1.0, 0.35) * 5.0 / unit.rows.clock_ns


UnitTerm = Term[MatrixVector]

LUT_TERMS: Terms[MatrixVector] = {
    "layer": UnitTerm("instance", "control of a sequential unit", lambda u: _number(_parallel(u))),
    "dense_layer": UnitTerm("instance", "control of a dense layer", lambda u: _number(u.dense)),
    "convolution_layer": UnitTerm("instance", "control of a convolution", lambda u: _number(u.convolution)),
    "recurrent_layer": UnitTerm("instance", "control of a recurrent layer", lambda u: _number(u.recurrent & u.state)),
    "multiplier": UnitTerm("bit", "a multiplier's wrapper, cast and adder, per bit of the sum", lambda u: u.sequential * u.multipliers * u.accumulator_bits),
    "logic_multiplier": UnitTerm("instance", "a multiplier built of LUT", lambda u: (_parallel(u) & ~u.in_dsp) * u.multipliers),
    "logic_multiplier_bits": UnitTerm(
        "bit", "the same, per product of operand bits", lambda u: (_streaming(u) & ~u.in_dsp) * u.multipliers * u.weight_bits * u.input_bits
    ),
    "input_select": UnitTerm("bit", "input registers and their selectors", lambda u: _parallel(u) * u.word_bits),
    "input_dense": UnitTerm("bit", "the same, dense layers", lambda u: (u.sequential & u.dense) * u.word_bits),
    "input_dense_at_once": UnitTerm(
        "bit", "one more selector where all inputs come at once", lambda u: (u.sequential & u.dense & arrives_at_once(u)) * u.word_bits
    ),
    "input_convolution": UnitTerm("bit", "the same, convolutions", lambda u: (u.sequential & u.convolution) * u.word_bits),
    "input_recurrent": UnitTerm("bit", "the same, recurrent layers", lambda u: (u.sequential & u.recurrent) * u.word_bits),
    "input_folded": UnitTerm("bit", "second operand of an adder tree", lambda u: (_folded(u) & ~_selects(u)) * u.word_bits),
    "input_wide": UnitTerm("bit", "selectors of 512 words and more", lambda u: _wide(u) * u.word_bits),
    "input_wide_stage": UnitTerm("bit", "their pipeline stages", lambda u: _wide(u) * u.word_bits * _wide_stages(u)),
    "fold_select": UnitTerm("bit", "selection among RF inputs for each multiplier", lambda u: _folded(u) * u.multipliers * u.reuse * u.input_bits),
    "dense_selector": UnitTerm("LUT", "library selector for each multiplier of a folded dense layer", _library_selectors),
    "convolution_selector_output": UnitTerm(
        "bit", "selectors for each output of a folded convolution", lambda u: (_selects(u) & u.convolution) * u.outputs * (u.outputs - 1) * u.input_bits
    ),
    "convolution_selector_multiplier": UnitTerm(
        "bit", "the same for each multiplier", lambda u: (_selects(u) & u.convolution) * u.multipliers * (u.outputs - 1) * u.input_bits
    ),
    "state_selector": UnitTerm("bit", "accumulators of a folded state product", lambda u: _state_selects(u) * u.sum_bits),
    "accumulator": UnitTerm("bit", "an accumulator that selectors write", lambda u: (_many(u) & _parallel(u)) * u.sum_bits),
    "accumulator_plain": UnitTerm("bit", "an accumulator without selector", lambda u: (_few(u) & _parallel(u)) * u.sum_bits),
    "accumulator_any": UnitTerm("bit", "bias, restart and cast of an accumulator", lambda u: u.sequential * u.sum_bits),
    "accumulator_two": UnitTerm("bit", "two outputs on a multiplier", lambda u: (u.sequential & (u.serves == 2)) * u.sum_bits),
    "accumulator_some": UnitTerm("bit", "three to seven outputs on a multiplier", lambda u: (u.sequential & (u.serves > 2) & (u.serves < 8)) * u.sum_bits),
    "accumulator_indexed": UnitTerm("bit", "eight and more outputs on a multiplier", lambda u: (u.sequential & (u.serves >= 8)) * u.sum_bits),
    "accumulator_indexed_convolution": UnitTerm("bit", "the same in a convolution", lambda u: (u.sequential & u.convolution & (u.serves >= 8)) * u.sum_bits),
    "accumulator_alone": UnitTerm("bit", "index decoder of a single multiplier", lambda u: _index_in_memory(u) * u.sum_bits),
    "accumulator_copy": UnitTerm("bit", "copy of the accumulators of a single multiplier", lambda u: (u.sequential & (u.multipliers == 1)) * u.sum_bits),
    "accumulator_select": UnitTerm(
        "LUT",
        "library selector among accumulators for each multiplier",
        lambda u: (_many(u) & _parallel(u)) * u.multipliers * u.accumulator_bits * accumulator_selector(u.outputs),
    ),
    "index_table": UnitTerm("instance", "table of output indices", lambda u: _number(u.sequential & (u.serves > 1))),
    "weight_rom": UnitTerm("bit", "weights in LUT", lambda u: weights_in_lut(u) * u.products * u.weight_bits),
    "adder": UnitTerm("bit", "adder trees of unrolled units", lambda u: _sums(u) * u.accumulator_bits),
    "constant_adder": UnitTerm("bit", "products with a constant of two digits", lambda u: u.constants.two * (u.input_bits + u.weight_bits)),
    "constant_product": UnitTerm("bit", "products with a constant of three digits and more", lambda u: u.resource_unrolled * u.constants.hard * u.weight_bits),
    "constant_product_latency": UnitTerm("instance", "the same in Latency strategy", lambda u: u.latency_strategy * u.constants.hard),
    "constant_product_logic": UnitTerm(
        "bit", "the same kept out of DSP blocks", lambda u: (u.rows.logic_only > 0) * u.constants.hard * (u.input_bits + u.weight_bits)
    ),
    "stream_select": UnitTerm(
        "bit", "selection of inputs, stream", lambda u: (_streaming(u) & (u.reuse < u.per_output)) * u.multipliers * u.input_bits * np.minimum(u.reuse, 32.0)
    ),
    "stream_sum": UnitTerm("bit", "multipliers' casts and adders, stream", lambda u: _streaming(u) * u.multipliers * _sum_width(u)),
    "stream_accumulator": UnitTerm(
        "bit", "accumulators that selectors write, stream", lambda u: (_streaming(u) & (u.reuse > u.per_output)) * u.outputs * _sum_width(u)
    ),
    "stream_layer": UnitTerm("instance", "control of a unit in a stream", lambda u: _number(u.rows.stream > 0)),
    "stream_output": UnitTerm("instance", "results of a dense layer, stream", lambda u: (_streaming(u) & u.dense) * u.outputs),
    "folded_input": UnitTerm("bit", "inputs of a folded unit without stream", lambda u: _folded_parallel(u) * u.word_bits),
    "wide_multiplier": UnitTerm(
        "instance", "adders that join DSP blocks to one multiplier", lambda u: (u.sequential & u.in_dsp) * u.multipliers * (u.blocks - 1.0)
    ),
    "latency_sum": UnitTerm(
        "bit", "products with constants and their sum, by weights that are not zero", lambda u: _unrolled(u) * u.nonzero * u.accumulator_bits
    ),
    "latency_product_logic": UnitTerm(
        "bit", "constants worth a multiplier kept out of DSP blocks", lambda u: (u.rows.logic_only > 0) * u.worth_a_multiplier * u.weight_bits * u.input_bits
    ),
    "shared_adder": UnitTerm("LUT", "adders of distributed arithmetic", shared_adders),
}
"""LUT of one unit."""

FF_TERMS: Terms[MatrixVector] = {
    "layer": UnitTerm("instance", "control of a sequential unit", lambda u: _number(_parallel(u))),
    "dense_layer": UnitTerm("instance", "control of a dense layer", lambda u: _number(u.dense)),
    "convolution_layer": UnitTerm("instance", "control of a convolution", lambda u: _number(u.convolution)),
    "recurrent_layer": UnitTerm("instance", "control of a recurrent layer", lambda u: _number(u.recurrent & u.state)),
    "counter": UnitTerm("bit", "position counter of a convolution", lambda u: np.where(u.convolution, np.log2(np.maximum(u.rows.in_w, 2)), 0.0)),
    "input": UnitTerm("bit", "input registers", lambda u: _parallel(u) * u.word_bits),
    "input_dense": UnitTerm("bit", "the same, dense layers", lambda u: (u.sequential & u.dense) * u.word_bits),
    "input_convolution": UnitTerm("bit", "the same, convolutions", lambda u: (u.sequential & u.convolution) * u.word_bits),
    "input_recurrent": UnitTerm("bit", "the same, recurrent layers", lambda u: (u.sequential & u.recurrent) * u.word_bits),
    "input_wide_stage": UnitTerm("bit", "pipeline stages of selectors of 512 words and more", lambda u: _wide(u) * u.word_bits * _wide_stages(u)),
    "multiplier": UnitTerm(
        "bit",
        "operands, product and adder of a multiplier or of a tree",
        lambda u: (_single(u) * u.multipliers + _folded(u) * u.outputs * (u.fold - 1)) * u.accumulator_bits,
    ),
    "selector_stage": UnitTerm("bit", "stages between selector and adder", lambda u: u.sequential * u.multipliers * _stages(u) * u.input_bits),
    "product": UnitTerm("bit", "register behind a product", lambda u: _parallel(u) * u.multipliers * _product_register_bits(u)),
    "weight_register": UnitTerm(
        "bit", "weights read from LUT", lambda u: (u.sequential & (u.reuse * u.multipliers * u.weight_bits <= ROM_BITS)) * u.multipliers * u.weight_bits
    ),
    "accumulator_any": UnitTerm("bit", "accumulators", lambda u: _parallel(u) * u.sum_bits),
    "accumulator": UnitTerm("bit", "accumulators, RF of at least the products of an output", lambda u: _single(u) * u.sum_bits),
    "accumulator_folded": UnitTerm("bit", "accumulators behind a tree", lambda u: _folded(u) * u.sum_bits),
    "accumulator_shared_dense": UnitTerm(
        "bit", "accumulators on a common multiplier, dense layers", lambda u: (u.sequential & u.dense & (u.serves > 1)) * u.sum_bits
    ),
    "accumulator_copy": UnitTerm("bit", "copy of the accumulators of a single multiplier", lambda u: (u.sequential & (u.multipliers == 1)) * u.sum_bits),
    "accumulator_alone": UnitTerm("bit", "index decoder of a single multiplier", lambda u: _index_in_memory(u) * u.sum_bits),
    "index_table_dense": UnitTerm("instance", "table of output indices, dense layers", lambda u: _number(u.sequential & u.dense & (u.serves > 1))),
    "four_outputs_convolution": UnitTerm(
        "instance", "one more stage where four outputs share a multiplier", lambda u: _number(u.sequential & u.convolution & (u.serves == 4))
    ),
    "unrolled_input": UnitTerm("bit", "inputs of Latency strategy", lambda u: (u.light & _shallow(u)) * u.word_bits),
    "unrolled_output": UnitTerm(
        "bit", "results of unrolled units", lambda u: (_shallow(u) & (u.resource_unrolled | (u.light & (u.reuse <= 1) & pipelined(u)))) * u.sum_bits
    ),
    "resource_adder": UnitTerm("instance", "sums behind a pipeline cut, Resource", lambda u: (u.resource_unrolled & _shallow(u) & pipelined(u)) * u.nonzero),
    "resource_adder_dense": UnitTerm(
        "instance", "the same of a dense layer", lambda u: (u.resource_unrolled & _shallow(u) & u.dense & pipelined(u)) * u.nonzero
    ),
    "resource_constant_adder": UnitTerm(
        "instance", "two-digit products behind it", lambda u: (u.resource_unrolled & _shallow(u) & pipelined(u)) * u.constants.two
    ),
    "resource_constant_product": UnitTerm(
        "instance", "other products behind it", lambda u: (u.resource_unrolled & _shallow(u) & pipelined(u)) * u.constants.hard
    ),
    "latency_adder": UnitTerm("instance", "sums behind a pipeline cut, Latency", lambda u: (u.light & _shallow(u) & pipelined(u)) * u.nonzero),
    "latency_constant_adder": UnitTerm("instance", "two-digit products behind it", lambda u: (u.light & _shallow(u) & pipelined(u)) * u.constants.two),
    "latency_constant_product": UnitTerm("instance", "other products behind it", lambda u: (u.light & _shallow(u) & pipelined(u)) * u.constants.hard),
    "shared_adder": UnitTerm("instance", "sums of Latency strategy with shared multipliers", lambda u: (u.shared & _shallow(u)) * u.nonzero),
    "shared_constant_adder": UnitTerm("instance", "two-digit products of the same", lambda u: (u.shared & _shallow(u)) * u.constants.two),
    "shared_constant_product": UnitTerm("instance", "other products of the same", lambda u: (u.shared & _shallow(u)) * u.constants.hard),
    "shared_input": UnitTerm("bit", "inputs of the same", lambda u: (u.shared & _shallow(u)) * u.word_bits),
    "shared_output": UnitTerm("bit", "results of the same", lambda u: (u.shared & _shallow(u)) * u.sum_bits),
    "stream_sum": UnitTerm(
        "bit", "products and adders, stream", lambda u: _streaming(u) * np.where(u.reuse < u.per_output, 2.0, 1.0) * u.multipliers * _sum_width(u)
    ),
    "stream_accumulator": UnitTerm("bit", "accumulators, two registers each, stream", lambda u: _streaming(u) * 2.0 * u.outputs * _sum_width(u)),
    "stream_word": UnitTerm(
        "bit",
        "input and result of a dense layer, stream",
        lambda u: (u.sequential & u.dense) * (u.rows.stream > 0) * (u.word_bits + u.outputs * u.rows.output_bits),
    ),
    "stream_layer": UnitTerm("instance", "control of a unit in a stream", lambda u: _number(u.rows.stream > 0)),
    "folded_input": UnitTerm("bit", "inputs of a folded unit without stream, two registers each", lambda u: _folded_parallel(u) * 2.0 * u.word_bits),
    "wide_multiplier": UnitTerm(
        "instance", "registers between DSP blocks of one multiplier", lambda u: (u.sequential & u.in_dsp) * u.multipliers * (u.blocks - 1.0)
    ),
    "latency_sum": UnitTerm(
        "bit", "pipeline of Latency strategy, by how much logic fits a clock", lambda u: _deep(u) * u.nonzero * u.accumulator_bits * slowness(u)
    ),
    "latency_full_rate": UnitTerm(
        "bit", "the same where a new input comes each cycle", lambda u: (_deep(u) & (u.reuse < 2)) * u.nonzero * u.accumulator_bits * slowness(u) ** 2
    ),
    "distributed_sum": UnitTerm("bit", "results of distributed arithmetic", lambda u: u.distributed * u.sum_bits),
}
"""FF of one unit."""
