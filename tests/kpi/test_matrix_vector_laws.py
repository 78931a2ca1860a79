from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.kpi.memory import SHAPES
from codesign.kpi.streaming.flow import Flow, Stage, Tool
from codesign.kpi.streaming.matrix_vector import MatrixVector
from codesign.kpi.streaming.matrix_vector_laws import (
    depth_2019,
    depth_stream,
    distributed_depth,
    memory_blocks,
    pipeline_depth,
    rom_2020,
    rom_tiles,
    rom_with_rest,
    row_cycles,
    shared_cycles,
    unit_cycles,
)
from codesign.network.hls_model import HlsLayer, Kind, Part, Strategy
from tests.kpi.streaming_designs import FLOWS, V2019, V2020, VITIS, build, builds, dense, layer, units, weighted_layers

BLOCK_BITS = 18 * 1024
ESTIMATE = {tool: Flow(tool, Stage.HLS_ESTIMATE) for tool in Tool}
POST_VITIS = Flow(VITIS, Stage.POST_SYNTH)


def blocks_of_columns(words: int, bits: int) -> int:
    """RAMB18 of a memory made of columns of the narrowest shape that is deep enough, and of rows beyond the deepest."""
    depth, width = min((depth, width) for depth, width in SHAPES if depth >= min(words, SHAPES[0][0]))
    return math.ceil(words / depth) * math.ceil(bits / width)


def of(law: Callable[..., Any], words: int, bits: float, *others: Any) -> float:
    return float(law(np.array([float(words)]), np.array([float(bits)]), *others)[0])


@settings(max_examples=200)
@given(st.integers(1, 40_000), st.integers(1, 300))
def test_vivado_tiles_a_memory_in_columns(words: int, bits: int) -> None:
    assert of(rom_tiles, words, bits) == blocks_of_columns(words, bits)
    assert of(rom_tiles, words, 0) == 0


@settings(max_examples=200)
@given(st.integers(1, 40_000), st.integers(1, 300))
def test_memories_of_streams_leave_a_narrow_last_column_to_lut(words: int, bits: int) -> None:
    width = max(width for depth, width in SHAPES if depth >= min(words, SHAPES[0][0]))
    for tool, in_lut in ((V2019, 8), (V2020, 2)):
        blocks = of(rom_with_rest, words, bits, tool)
        whole = blocks_of_columns(words, bits)
        if words * bits <= 1024:
            assert blocks == 0
        elif bits > width and 0 < bits % width <= in_lut:
            assert blocks == blocks_of_columns(words, bits - bits % width)
        else:
            assert blocks == whole


@settings(max_examples=200)
@given(st.integers(1, 40_000), st.integers(1, 300))
def test_memories_of_vivado_2020_hold_their_words(words: int, bits: int) -> None:
    blocks = of(rom_2020, words, bits)
    assert blocks * BLOCK_BITS >= words * bits
    if words <= 1024:
        assert blocks == blocks_of_columns(words, bits)
    elif words <= 1536:  # any number of 36-bit columns of three blocks, the rest in 9-bit columns
        assert blocks == min(3 * wide + math.ceil(max(bits - 36 * wide, 0) / 9) for wide in range(bits // 36 + 1))
    else:
        assert blocks == math.ceil(bits * math.ceil(words / 2048) / 9)


@pytest.mark.parametrize(
    ("n_in", "n_out", "reuse", "bits", "blocks"),
    [
        # wa-hls4ml one-layer, Vivado HLS 2020.1: ids 1612, 1682, 2617, 2674, 2661, 2628, 1522
        (64, 160, 512, 12, 8), (96, 32, 768, 2, 2), (256, 160, 1024, 10, 24), (256, 256, 1024, 6, 23), (256, 224, 512, 12, 38), (256, 192, 512, 4, 11),
        (64, 32, 512, 8, 2),
    ],
)  # fmt: skip
def test_reported_weight_memories(n_in: int, n_out: int, reuse: int, bits: int, blocks: int) -> None:
    unit = dense(n_in, n_out, reuse, weight_bits=bits, accumulator_bits=16)
    assert memory_blocks(unit, ESTIMATE[V2020])[0] == blocks


def test_index_table_is_a_memory_from_1024_bits_on() -> None:
    # 512 words of one bit to choose among two outputs stay in LUT, 512 words of two bits are a block
    two, four = dense(256, 16, 512, stream=True, weight_bits=16), dense(128, 16, 512, stream=True, weight_bits=16)
    assert (two.serves[0], four.serves[0]) == (2, 4)
    assert memory_blocks(two, ESTIMATE[V2020])[0] == of(rom_with_rest, 512, 8 * 16, V2020)
    assert memory_blocks(four, ESTIMATE[V2020])[0] == of(rom_with_rest, 512, 4 * 16, V2020) + 1


def test_weight_memories_after_vitis() -> None:
    small = dense(80, 24, 960, VITIS, weight_bits=6)  # 88 inputs and fewer: LUT; index table of 960 words of four bits: a block
    assert memory_blocks(small, POST_VITIS)[0] == 1
    narrow, wide = dense(128, 16, 512, VITIS, weight_bits=8), dense(128, 32, 512, VITIS, weight_bits=8)
    assert memory_blocks(narrow, POST_VITIS)[0] == 4 + 1  # 32 bits: 8 to a block; and the index table
    assert memory_blocks(wide, POST_VITIS)[0] == 2 * 8 + 1  # 64 bits: 4 to a block
    assert memory_blocks(dense(128, 16, 128, VITIS, weight_bits=8), POST_VITIS)[0] == 4  # 128 words of 128 bits: one RAMB36 of 72, one more
    assert memory_blocks(dense(128, 16, 64, VITIS, weight_bits=8), POST_VITIS)[0] == 0  # 64 words: LUT
    assert memory_blocks(dense(128, 64, 2048, VITIS, weight_bits=8), POST_VITIS)[0] == 1  # more than 1,024 words: LUT
    assert memory_blocks(dense(128, 8, 1, VITIS), POST_VITIS)[0] == 0


@pytest.mark.parametrize("flow", FLOWS, ids=str)
def test_units_without_memory(flow: Flow) -> None:
    for strategy in (Strategy.LATENCY, Strategy.DISTRIBUTED_ARITHMETIC):
        assert memory_blocks(dense(128, 32, 512, flow.tool, strategy=strategy), flow)[0] == 0


def latency(unit: MatrixVector) -> float:
    return float(unit_cycles(unit)[0][0])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(2, 32))
def test_sequential_units_need_their_reuse_factor(n_out: int, n_in: int) -> None:
    for tool, stream in ((V2019, True), (V2020, False), (VITIS, False), (VITIS, True)):
        unit = dense(n_in, n_out, n_in, tool, stream=stream)
        assert unit_cycles(unit)[1][0] == n_in
        assert n_in + 1 <= latency(unit) <= n_in + 8


@pytest.mark.parametrize(
    ("n_in", "n_out", "reuse", "bits", "cycles"),
    [
        (96, 32, 768, 2, 770), (64, 160, 512, 12, 514), (192, 32, 384, 6, 386), (256, 192, 512, 4, 513), (160, 96, 480, 4, 482), (256, 256, 512, 2, 513),
    ],
)  # fmt: skip
def test_reported_cycles_of_vivado_2020(n_in: int, n_out: int, reuse: int, bits: int, cycles: int) -> None:
    assert latency(dense(n_in, n_out, reuse, weight_bits=bits)) == cycles


def test_depth_of_vivado_2019() -> None:
    # fold: 1 (5, or 6 with one output), 2, 3, 4, 6; serves: 2, 4
    shapes = [(16, 4, 16), (16, 1, 16), (16, 4, 8), (48, 4, 16), (64, 4, 16), (96, 4, 16), (16, 4, 32), (16, 4, 64)]
    assert [depth_2019(dense(*shape, V2019, stream=True))[0] for shape in shapes] == [5, 6, 6, 7, 6, 5, 6, 7]


def test_depth_of_streams() -> None:
    # adder trees of 1, 2, 8 and 16 products, and an operand of two DSP blocks
    shapes = [(16, 4, 16), (16, 4, 8), (32, 4, 4), (64, 4, 4)]
    assert [depth_stream(dense(*shape, stream=True))[0] for shape in shapes] == [2, 3, 5, 6]
    assert depth_stream(dense(16, 4, 16, stream=True, weight_bits=20, input_bits=17))[0] == 3


def test_depth_of_unrolled_units() -> None:
    # UltraScale with Vivado HLS: a cut where constants and tree exceed a clock
    assert [pipeline_depth(dense(64, 32, weight_bits=bits, strategy=Strategy.LATENCY))[0] for bits in (2, 4)] == [1, 1]
    assert [pipeline_depth(dense(32, 64, weight_bits=bits, strategy=Strategy.LATENCY))[0] for bits in (2, 4)] == [0, 1]
    # 7-series: the levels of the tree at 5 ns, six more at half the period
    series7: dict[str, Any] = {"strategy": Strategy.LATENCY, "tool": VITIS, "series7": True}
    assert [pipeline_depth(dense(n_in, 4, **series7))[0] for n_in in (1, 4, 64, 65)] == [1, 1, 5, 6]
    assert pipeline_depth(dense(64, 4, clock_ns=2.5, **series7))[0] == 5 + 6
    assert pipeline_depth(dense(64, 4, clock_ns=2.5, logic_only=True, **series7))[0] == round(5 + 6 - 1.5)
    assert pipeline_depth(dense(64, 4, 1, VITIS, strategy=Strategy.LATENCY))[0] == round(0.45 * 5)
    # more weights than hls4ml partitions: two to a clock from their memory
    assert pipeline_depth(dense(128, 64, **series7))[0] == 64
    assert pipeline_depth(dense(128, 64, nonzero=0.5, **series7))[0] == 32
    assert pipeline_depth(dense(64, 64, **series7))[0] == 5


def test_interval_of_unrolled_units() -> None:
    assert [float(figure[0]) for figure in unit_cycles(dense(64, 32, weight_bits=8))] == [1, 2]
    assert [float(figure[0]) for figure in unit_cycles(dense(64, 32, weight_bits=8, strategy=Strategy.LATENCY))] == [1, 1]
    assert [float(figure[0]) for figure in unit_cycles(dense(64, 32, 1, VITIS))] == [2, 1]
    assert [float(figure[0]) for figure in unit_cycles(dense(64, 32, 1024, strategy=Strategy.LATENCY, weight_bits=4))] == [2, 3]


def test_turns_of_constants_that_share_multipliers() -> None:
    unit = dense(32, 96, 512, strategy=Strategy.LATENCY, weight_bits=14)
    assert shared_cycles(unit)[0] == math.ceil(unit.constants.hard[0] / 6) + 1
    quick = dense(64, 32, 8, VITIS, strategy=Strategy.LATENCY, weight_bits=16, weight_peak=1.0)
    assert shared_cycles(quick)[0] == min(8, math.ceil(quick.worth_a_multiplier[0] / 256) + 3) == 8
    assert shared_cycles(dense(64, 32, 2, VITIS, strategy=Strategy.LATENCY, weight_bits=16))[0] == 2


def test_a_dense_layer_of_vivado_2019_in_a_stream() -> None:
    # selectors among 512 words and more take stages, fewer with more products side by side
    for fold, stages in ((1, 0), (2, 27), (4, 12), (8, 0)):
        wide = layer(Kind.DENSE, in_c=512 * fold, in_w=16, out_c=4)
        assert cycles_of(wide, 512, V2019, stream=True)[0] == latency(units(wide, build(True, reuse_factor=512), V2019)) + 16 + 2 + stages
    # who writes the stream is not known: 8 values a word of up to 127 inputs, more of wider ones
    for n_in, word in ((96, 8.0), (128, 12.0), (1024, 12 * 8**0.12)):
        unknown = layer(Kind.DENSE, in_c=n_in, out_c=16)
        inner = latency(units(unknown, build(True, reuse_factor=32), V2019))
        assert cycles_of(unknown, 32, V2019, stream=True)[0] == pytest.approx(inner + n_in / word + 2)


def test_steps_of_vivado_2019() -> None:
    # N-TORC, LSTM of 16 inputs: ids 3154 (8 units, 8 steps), 3108, 3090 (16 units; 8 and 16 steps); exact
    for units_of, steps, reuse, cycles in ((8, 8, 1, 209), (16, 8, 64, 745), (16, 16, 512, 8657)):
        lstm = layer(Kind.LSTM, in_w=steps, in_c=16, out_c=units_of, weight_bits=16)
        assert cycles_of(lstm, reuse, V2019, stream=True)[0] == cycles
    # id 3089: within 3 %
    assert cycles_of(layer(Kind.LSTM, in_w=16, in_c=16, out_c=16, weight_bits=16), 4, V2019, stream=True)[0] == pytest.approx(545, rel=0.03)


def test_memories_beyond_the_partition_limit_feed_two_weights_a_cycle() -> None:
    limited = dense(128, 64, 16, VITIS, strategy=Strategy.LATENCY, weight_bits=4)
    assert shared_cycles(limited)[0] == 16  # 64 cycles, but no more than the reuse factor
    assert shared_cycles(dense(128, 64, 16, VITIS, strategy=Strategy.LATENCY, weight_bits=4, stream=True))[0] == 4
    assert shared_cycles(dense(128, 32, 16, VITIS, strategy=Strategy.LATENCY, weight_bits=4))[0] == 4


@given(st.integers(1, 200), st.integers(2, 16), st.sampled_from([2.5, 5.0, 10.0]), st.booleans())
def test_distributed_arithmetic_needs_a_level_of_adders_for_each_halving(n_in: int, bits: int, clock_ns: float, series7: bool) -> None:
    unit = dense(n_in, 4, weight_bits=bits, strategy=Strategy.DISTRIBUTED_ARITHMETIC, clock_ns=clock_ns, series7=series7)
    terms, levels = max(n_in * (bits / 3 + 1), 2.0), 0
    while 2**levels < terms:
        levels += 1
    fitting = (2 if series7 else 3) * clock_ns / 5
    assert distributed_depth(unit)[0] == max(math.ceil(levels / fitting) - 1, 0)


def cycles_of(shape: HlsLayer, reuse: int, tool: Tool, **how: Any) -> tuple[float, float]:
    found = row_cycles(units(shape, build(reuse_factor=reuse, **how), tool))
    return float(found[0][0]), float(found[1][0])


def test_convolutions_in_streams() -> None:
    sides: dict[str, Any] = {"in_h": 6, "in_w": 10, "out_h": 4, "out_w": 8, "in_c": 4, "out_c": 8, "kernel_h": 3, "kernel_w": 3}
    conv = layer(Kind.CONV2D, **sides)
    positions = 60
    # operands of 8 and 16 bits at 5 ns: 4 + round(7 * 24 / 64) = 7 cycles beyond RF at each position of the input
    assert cycles_of(conv, 36, VITIS, stream=True) == (positions * (36 + 7), positions * (36 + 7))
    assert cycles_of(conv, 36, VITIS, stream=True, clock_ns=2.5) == (positions * (36 + 9), positions * (36 + 9))
    quick = units(conv, build(True, Strategy.LATENCY), VITIS)
    assert cycles_of(conv, 1, VITIS, stream=True, strategy=Strategy.LATENCY) == (positions + latency(quick) + 3, positions)
    # without streams: one position after the other
    alone = unit_cycles(units(conv, build(reuse_factor=36), VITIS))
    assert cycles_of(conv, 36, VITIS) == (float(alone[0][0]) + 1 + 31 * 36, 32 * 36)
    part = layer(Kind.CONV2D, part=Part.PRODUCT, **sides)
    assert cycles_of(part, 36, VITIS, stream=True)[0] == 36 + 5


def test_recurrent_layers_take_the_larger_reuse_factor() -> None:
    gru = layer(Kind.GRU, in_w=10, in_c=3, out_c=5)
    found = units(gru, build(reuse_factor=5, stream=True), VITIS)
    assert found.reuse.tolist() == [3, 5]  # next to 5 are 3 and 9 for the inputs; it is legal for the state
    assert row_cycles(found)[0].tolist() == [10 * (5 + 8 + 3) + 1] * 2
    assert cycles_of(layer(Kind.LSTM, in_w=10, in_c=3, out_c=5), 5, VITIS, stream=True)[0] == 10 * (6 + 8 + 13) + 1
    assert cycles_of(layer(Kind.GRU, in_w=10, in_c=3, out_c=5, weight_bits=19), 5, VITIS, stream=True)[0] == 10 * (5 + 8 + 9 + 3) + 1
    assert cycles_of(layer(Kind.GRU, in_w=10, in_c=3, out_c=5, part=Part.STEP), 5, VITIS, stream=True)[0] == 5 + 8


def test_a_dense_layer_in_a_stream_reads_its_words_first() -> None:
    at_once, words = layer(Kind.DENSE, in_c=32, out_c=4), layer(Kind.DENSE, in_c=32, in_w=8, out_c=4)
    inner = latency(units(words, build(True, reuse_factor=32), VITIS))
    assert cycles_of(words, 32, VITIS, stream=True) == (inner + 8 + 3, inner + 8 + 3)
    assert cycles_of(at_once, 32, VITIS) == (34, 32)
    known = layer(Kind.DENSE, in_c=4, out_c=4)
    assert cycles_of(known, 4, VITIS, stream=True) == (latency(units(known, build(True, reuse_factor=4), VITIS)) + 2,) * 2
    inner_2019 = latency(units(words, build(True, reuse_factor=32), V2019))
    assert cycles_of(words, 32, V2019, stream=True)[0] == inner_2019 + 8 + 2


@settings(max_examples=150, deadline=None)
@given(weighted_layers(), builds(), st.sampled_from(FLOWS))
def test_cycles_and_memories_are_finite_and_not_negative(shape: HlsLayer, how: Any, flow: Flow) -> None:
    unit = units(shape, how, flow.tool)
    for figures in (*unit_cycles(unit), *row_cycles(unit), memory_blocks(unit, flow)):
        assert np.isfinite(figures).all()
        assert (figures >= 0).all()
