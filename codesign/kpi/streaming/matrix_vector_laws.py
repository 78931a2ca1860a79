"""Cycles and memories of matrix-vector units: formulas without fitted prices.

Each formula holds on reports of one tool and is exact there unless told otherwise:

* Vivado HLS 2020.1, io_parallel, 5 ns: 723 one-layer dense syntheses of wa-hls4ml (UltraScale+);
* Vitis HLS 2023.2, io_parallel, 5 ns: 151 two- and three-layer ones;
* Vivado HLS 2019.1, streams, 4 ns: 330 dense, convolution and LSTM layers of N-TORC;
* Vivado HLS 2019.2 and 2020.1, streams: some 70 convolutions and dense layers of public projects, within 5 % mostly;
* Vitis HLS 2021.1, Latency strategy, 7-series: 118 dense layers, median error 8 %.

For an *unseen* pairing of tool, strategy and io type the nearest of them is used.
"""

from __future__ import annotations

import numpy as np

from codesign.kpi.streaming.flow import EARLY, Flow, Stage, Tool
from codesign.kpi.streaming.hls_table import Mask
from codesign.kpi.streaming.matrix_vector import ARRAY_PARTITION_LIMIT, SHARED_FROM_BITS, MatrixVector
from codesign.kpi.streaming.matrix_vector_terms import ROM_BITS, WIDE, arrives_at_once, observed_memory, pipelined, weights_in_lut
from codesign.kpi.streaming.terms import once
from codesign.kpi.template_model import FloatArray

DEPTHS = (512, 1024, 2048, 4096, 8192)
WIDTHS = (36.0, 18.0, 9.0, 4.0, 2.0)
"""A RAMB18 of that many words is so many bits wide (AMD UG473); 1 bit beyond."""
DEEPEST = 16384
"""Most words of a RAMB18, one bit wide; more words take rows of blocks."""
USUAL_WORD = 8.0
"""Values in a word of the stream that a dense layer reads, where nobody knows what is before it."""


def depth_2019(unit: MatrixVector) -> FloatArray:
    """Cycles of a sequential unit beyond RF (q,), Vivado HLS 2019.1 at 4 ns: selector, multiplier, tree, accumulator."""
    folded = np.where(unit.fold == 3, 7.0, np.where(unit.fold >= 6, 5.0, 6.0))
    alone = np.where(unit.outputs == 1, 6.0, 5.0)
    return np.where(unit.serves == 4, 7.0, np.where(unit.serves > 1, 6.0, np.where(unit.fold > 1, folded, alone)))


def depth_2020(unit: MatrixVector) -> FloatArray:
    """The same in io_parallel, Vivado HLS 2020.1 and Vitis HLS at 5 ns: 2.

    One less where up to two outputs share a multiplier that is built of LUT: choice and addition fit one clock.
    """
    short = (unit.reuse <= 2 * unit.per_output) & ~unit.in_dsp & (unit.tool is not Tool.VITIS_HLS)
    return np.where(short, 1.0, 2.0)


def depth_stream(unit: MatrixVector) -> FloatArray:
    """The same in streams, Vivado HLS 2019.2 and later: 2, the adder tree, and one for operands wider than a DSP block."""
    wide = unit.weight_bits + unit.input_bits > 36
    return np.asarray(2.0 + np.round(0.9 * np.log2(unit.fold)) + wide, dtype=np.float64)


@once
def pipeline_depth(unit: MatrixVector) -> FloatArray:
    """Cycles of an unrolled unit (q,).

    UltraScale fabric with Vivado HLS: 0 where constants and tree fit one clock, else 1. Otherwise the tree's levels by
    how much fits a clock. Beyond the array partition limit weights come from a memory of two ports.
    """
    quick = pipelined(unit).astype(np.float64)
    clock = 5.0 / unit.rows.clock_ns
    levels = np.ceil(np.log2(np.maximum(unit.per_output, 2.0)))
    deep = levels - 1.0 + 6.0 * (clock - 1.0) - 1.5 * ((unit.rows.logic_only > 0) & (clock > 1.2))
    slow = np.maximum(np.round(deep * np.where(unit.rows.series7 > 0, 1.0, 0.45)), 1.0)
    slow = np.where(unit.products > ARRAY_PARTITION_LIMIT, np.maximum(slow, 0.5 * unit.per_output * unit.rows.nonzero), slow)
    return np.where((unit.rows.series7 > 0) | (unit.tool is Tool.VITIS_HLS), slow, quick)


def shared_cycles(unit: MatrixVector) -> FloatArray:
    """Cycles (q,) that Latency strategy needs for its products where RF > 1: constants worth a multiplier take turns."""
    if unit.tool is Tool.VITIS_HLS:
        worth = unit.worth_a_multiplier
        turns = np.where(unit.reuse > 2, np.minimum(unit.reuse, np.maximum(np.ceil(worth / unit.shared_multipliers) + 3.0, 1.0)), unit.reuse)
        beyond = (unit.products > ARRAY_PARTITION_LIMIT) & (unit.reuse > 2) & (unit.rows.stream == 0)
        return np.where(beyond, np.maximum(turns, np.minimum(unit.reuse, pipeline_depth(unit) + 1.0)), turns)
    serial = np.ceil(unit.constants.hard / unit.shared_multipliers)
    return np.where(unit.weight_bits >= SHARED_FROM_BITS, serial + 1.0, 2.0 * pipelined(unit) + 1.0)


def distributed_depth(unit: MatrixVector) -> FloatArray:
    """Cycles of distributed arithmetic (q,): levels of two-input adders, about three to a clock of 5 ns on UltraScale fabric."""
    levels = np.ceil(np.log2(np.maximum(unit.per_output * (unit.weight_bits / 3.0 + 1.0), 2.0)))
    per_clock = np.where(unit.rows.series7 > 0, 2.0, 3.0) * unit.rows.clock_ns / 5.0
    return np.maximum(np.ceil(levels / per_clock) - 1.0, 0.0)


def unit_cycles(unit: MatrixVector) -> tuple[FloatArray, FloatArray]:
    """Latency and interval of each unit alone in cycles (q,), its inputs in registers."""
    stream = unit.rows.stream > 0
    depth = depth_2019(unit) if unit.tool is Tool.VIVADO_HLS_2019 else np.where(stream, depth_stream(unit), depth_2020(unit))
    turns = np.where(unit.latency_strategy & (unit.reuse > 1), shared_cycles(unit), 1.0)
    unrolled = np.maximum(pipeline_depth(unit), turns - 1.0)
    latency = np.where(unit.sequential, unit.reuse + depth, np.where(unit.distributed, distributed_depth(unit), unrolled))
    resource_one = unit.resource_unrolled & (unit.tool is not Tool.VITIS_HLS)
    interval = np.where(unit.sequential, unit.reuse, np.where(resource_one, latency + 1.0, turns))
    return latency, interval


def row_cycles(unit: MatrixVector) -> tuple[FloatArray, FloatArray]:
    """Latency and interval of the layer that each unit belongs to, in cycles (q,); recurrent layers at both their units."""
    latency, interval = unit_cycles(unit)
    dense, dense_interval = _dense_cycles(unit, latency, interval)
    convolution, convolution_interval = _convolution_cycles(unit, latency, interval)
    recurrent = _recurrent_cycles(unit) if unit.recurrent.any() else latency
    whole = [unit.dense, unit.convolution, unit.recurrent]
    return np.select(whole, [dense, convolution, recurrent]), np.select(whole, [dense_interval, convolution_interval, recurrent])


def _whole(unit: MatrixVector) -> Mask:
    return np.asarray(unit.rows.part == 0)


def _dense_cycles(unit: MatrixVector, latency: FloatArray, interval: FloatArray) -> tuple[FloatArray, FloatArray]:
    """In a stream the words are read first, and one result is done before the next begins."""
    stream = (unit.rows.stream > 0) & _whole(unit)
    words = unit.rows.input_words.astype(np.float64)
    if unit.tool is Tool.VIVADO_HLS_2019:
        words = np.where(words > 0, words, np.where(arrives_at_once(unit), 1.0, unit.inputs / _usual_word(unit)))
        wide = np.where((unit.reuse >= WIDE) & (unit.fold > 1), np.where(unit.fold < 4, 27.0, np.where(unit.fold < 8, 12.0, 0.0)), 0.0)
        sequential = latency + np.where(words > 1, words + 2.0, 0.0) + wide
        unrolled = 7.0 + np.minimum(np.ceil(np.log2(unit.inputs)), 4.0) + np.where(words > 1, unit.inputs / 2.0 + 1.0, 0.0)
        unrolled = np.maximum(unrolled, latency)
        read = np.where(unit.sequential, sequential, unrolled)
    else:
        read = latency + np.where(words > 1, words + 3.0, 2.0)
    return np.where(stream, read, latency), np.where(stream, read, interval)


def _usual_word(unit: MatrixVector) -> FloatArray:
    """Mean over the producers in N-TORC."""
    return np.where(unit.inputs < 128, USUAL_WORD, 12.0 * (unit.inputs / 128.0) ** 0.12)


def _convolution_cycles(unit: MatrixVector, latency: FloatArray, interval: FloatArray) -> tuple[FloatArray, FloatArray]:
    """In a stream the line buffer runs over every position of the padded input; each costs RF and some more."""
    positions = (unit.rows.in_h * unit.rows.in_w).astype(np.float64)
    if unit.tool is Tool.VIVADO_HLS_2019:
        odd = (np.log2(unit.inputs) % 1.0 != 0) & (unit.fold == 1) & (unit.serves == 1)
        sequential = positions * (latency + 4.0 + odd)
        unrolled = np.maximum(np.where(unit.inputs > 3, positions + 27.0, positions * 8.0), positions * unit.reuse)
    else:
        operands = np.round(4.0 + 7.0 * (unit.weight_bits + unit.input_bits) / 64.0 * 5.0 / unit.rows.clock_ns)
        sequential = np.where(_whole(unit), positions * (unit.reuse + operands), unit.reuse + operands - 2.0)
        unrolled = positions * np.maximum(unit.reuse, 1.0) + latency + 3.0
    streamed = np.where(unit.sequential, sequential, unrolled)
    streamed_interval = np.where(unit.sequential, streamed, positions * np.maximum(unit.reuse, 1.0))
    outputs = (unit.rows.out_h * unit.rows.out_w).astype(np.float64)
    parallel, parallel_interval = latency + 1.0 + (outputs - 1.0) * interval, outputs * interval
    stream = unit.rows.stream > 0
    return np.where(stream, streamed, parallel), np.where(stream, streamed_interval, parallel_interval)


def _recurrent_cycles(unit: MatrixVector) -> FloatArray:
    """Steps one after the other; both products run side by side with the larger of their reuse factors."""
    reuse = np.maximum(unit.rows.reuse, unit.rows.recurrent_reuse).astype(np.float64)
    wide = 9.0 * (unit.weight_bits > 18)
    step = reuse + 8.0 + wide
    if unit.tool is Tool.VIVADO_HLS_2019:
        width = unit.rows.in_c.astype(np.float64)
        reading = np.where(reuse == 1, width / 2.0 - 4.0, np.where(reuse < 8, 0.875 * width - 4.0, width / 2.0))
        lstm = reuse + 21.0 + np.maximum(reading, 0.0)
    else:
        lstm = step + 13.0
    per_step = np.where(unit.gates == 4, lstm, step + 3.0)
    return np.where(_whole(unit), unit.rows.in_w * per_step + 1.0, step)


def memory_blocks(unit: MatrixVector, flow: Flow) -> FloatArray:
    """BRAM18 of weights and of the table of output indices (q,)."""
    index_bits = np.where(unit.serves > 1, np.ceil(np.log2(np.maximum(unit.serves, 1.0))), 0.0)
    index = (unit.reuse * index_bits >= ROM_BITS).astype(np.float64)
    if flow.stage is Stage.POST_SYNTH and flow.tool is Tool.VITIS_HLS:
        weights = np.where(observed_memory(unit), _observed_blocks(unit), rom_tiles(unit.reuse, unit.multipliers * unit.weight_bits))
        blocks = rom_tiles(unit.reuse, index_bits) + np.where(weights_in_lut(unit), 0.0, weights)
    else:
        width = unit.multipliers * unit.weight_bits
        trimmed = width - (unit.weight_bits - unit.significant_bits)
        stream = unit.rows.stream > 0
        blocks = np.where(stream, rom_with_rest(unit.reuse, width, unit.tool), rom_2020(unit.reuse, trimmed)) + index
    return np.where(unit.sequential, blocks, 0.0)


def _observed_blocks(unit: MatrixVector) -> FloatArray:
    """Vivado after Vitis HLS 2023.2: 8 bits of a weight memory's width to a block, half that beyond 32 bits; observed."""
    width = unit.multipliers * unit.weight_bits
    return np.ceil(width / 8.0) * np.where(width > 32, 2.0, 1.0)


def rom_with_rest(words: FloatArray, bits: FloatArray, tool: Tool) -> FloatArray:
    """Vivado HLS, streams: memories of up to 1,024 bits, and a last column of few bits (8 in 2019.1, 2 later), are built of LUT."""
    width = np.select([words <= depth for depth in DEPTHS], WIDTHS, 1.0)
    in_lut = 8.0 if tool in EARLY else 2.0
    rest = bits % width
    blocks = np.floor(bits / width) + (rest > np.where(bits > width, in_lut, 0.0))
    return np.where(bits * words <= ROM_BITS, 0.0, blocks * _rows_of_blocks(words))


def rom_2020(words: FloatArray, bits: FloatArray) -> FloatArray:
    """Vivado HLS 2020.1, io_parallel: 36 bits a block up to 512 words, 18 up to 1,024, then mixtures.

    Up to 1,536 words 36 bits take three blocks and the rest 9 bits each; beyond, 9 bits and 2,048 words to a block.
    """
    wide = np.floor(bits / 36.0)
    deep = 3.0 * wide + np.ceil((bits - 36.0 * wide) / 9.0)
    deepest = np.ceil(bits * np.maximum(np.ceil(words / 2048.0), 1.0) / 9.0)
    return np.select([words <= 512, words <= 1024, words <= 1536], [np.ceil(bits / 36.0), np.ceil(bits / 18.0), deep], deepest)


def rom_tiles(words: FloatArray, bits: FloatArray) -> FloatArray:
    """Vivado synthesis: RAMB36 first, counted as two, and a RAMB18 where the rest fits one (AMD UG473)."""
    width = np.select([words <= depth for depth in DEPTHS], WIDTHS, 1.0)
    pairs = np.floor(bits / (2.0 * width))
    rest = bits - pairs * 2.0 * width
    return (2.0 * pairs + np.where(rest > width, 2.0, np.where(rest > 0, 1.0, 0.0))) * _rows_of_blocks(words)


def _rows_of_blocks(words: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(np.ceil(words / DEEPEST), 1.0))
