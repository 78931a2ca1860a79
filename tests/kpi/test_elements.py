from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.kpi.streaming import elements as module
from codesign.kpi.streaming.element_terms import FF_TERMS, LUT_TERMS
from codesign.kpi.streaming.elements import Elements, cycles, dsp_blocks, memory_blocks
from codesign.kpi.streaming.flow import Tool
from codesign.kpi.streaming.hls_table import COLUMNS, FUNCTIONS, HlsTable
from codesign.network.hls_model import WEIGHTED, Kind, Part, Strategy

KINDS = [kind for kind in Kind if kind is not Kind.INPUT]
SHAPE = ("in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "kernel_h", "kernel_w", "stride_h", "stride_w", "reuse", "recurrent_reuse", "input_words")
TERMS = {"lut": LUT_TERMS, "ff": FF_TERMS}
V2019, V2020, VITIS = Tool.VIVADO_HLS_2019, Tool.VIVADO_HLS_2020, Tool.VITIS_HLS


def row(kind: Kind, tool: Tool = V2020, **values: Any) -> Elements:
    """One row: 1 x 1 x 1 elements of 16 bits without stream, as the network's output, unless told otherwise."""
    columns: dict[str, Any] = dict.fromkeys(COLUMNS, 0) | dict.fromkeys(SHAPE, 1)
    columns |= {"kind": kind, "input_bits": 16, "output_bits": 16, "accumulator_bits": 16, "nonzero": 1.0, "weight_peak": 1.0, "clock_ns": 5.0}
    columns |= {"strategy": Strategy.RESOURCE, "series7": 1} | values
    unknown = set(columns) - set(COLUMNS)
    assert not unknown
    floats = {"nonzero", "weight_peak", "clock_ns"}
    return Elements(HlsTable(count=1, **{name: np.array([value], dtype=float if name in floats else np.int64) for name, value in columns.items()}), tool)


def square(size: int, channels: int, kernel: int = 1) -> dict[str, Any]:
    """A map that a window of stride 1 leaves as large as it is."""
    sides = dict.fromkeys(("in_h", "in_w", "out_h", "out_w"), size)
    return sides | {"in_c": channels, "out_c": channels, "kernel_h": kernel, "kernel_w": kernel, "stream": 1}


def count(elements: Elements, resource: str, term: str) -> float:
    return float(TERMS[resource][term].count(elements)[0])


def built(elements: Elements) -> set[str]:
    """Terms that a row has something of."""
    return {f"{resource} {name}" for resource, terms in TERMS.items() for name in terms if count(elements, resource, name) > 0}


# Rows of Spehic/Diplomska-hls4ml (MIT), Vivado HLS 2020.1: function reports of a small convolutional network.
def test_line_buffer_of_vivado_2020_is_widened_to_32_bits() -> None:
    buffer = row(Kind.CONV2D, part=Part.LINE_BUFFER, input_bits=4, **square(13, 32, kernel=3))
    assert count(buffer, "lut", "line_buffer") == 2048  # reported: 2048 LUT, 4097 FF
    assert count(buffer, "ff", "line_register") == 4096
    assert built(buffer) == {"lut line_buffer", "ff line_register"}


def test_pool_relu_and_softmax_of_vivado_2020() -> None:
    pool = row(Kind.POOL, function=FUNCTIONS["max"], input_bits=4, **square(26, 32, kernel=2))
    assert cycles(pool).latency[0] == cycles(pool).interval[0] == 1355
    relu = row(Kind.ACTIVATION, function=FUNCTIONS["relu"], input_bits=4, **square(11, 32))
    assert cycles(relu).latency[0] == cycles(relu).interval[0] == 125
    softmax = row(Kind.SOFTMAX, function=FUNCTIONS["stable"], in_c=10, stream=1, table_size=1024, table_bits=18)
    assert (cycles(softmax).latency[0], memory_blocks(softmax)[0], dsp_blocks(softmax)[0]) == (38, 2, 1)


@pytest.mark.parametrize(("tool", "channels", "deep", "word"), [(V2020, 8, 32, 16), (VITIS, 1, 32, 128)])
def test_fifos_by_hand(tool: Tool, channels: int, deep: int, word: int) -> None:
    """A 4 x 8 map of 8 channels of 16 bits: 512 bits a channel, 4096 bits a word."""
    shape = {"out_h": 4, "out_w": 8, "out_c": 8, "stream": 1}
    alone = row(Kind.CONV2D, tool, readers=1, **shape)
    assert channels * word == count(alone, "lut", "fifo") == count(alone, "ff", "fifo") == 128
    short = deep * word <= (1024 if tool is VITIS else 512)
    assert count(alone, "lut", "fifo_shift") == (128 if short else 0)
    assert memory_blocks(alone)[0] == (0 if short else 4)  # 128 bits: four blocks of 36
    copied = row(Kind.CONV2D, tool, readers=2, **shape)
    assert count(copied, "lut", "fifo") == 3 * 128
    assert memory_blocks(copied)[0] == 3 * memory_blocks(alone)[0]


def test_a_deep_fifo_of_vivado_has_a_block_for_each_channel() -> None:
    deep = row(Kind.ACTIVATION, readers=1, **square(32, 8))
    assert memory_blocks(deep)[0] == 8  # 1024 x 16 bits is one block of 1024 x 18
    assert count(deep, "lut", "fifo_shift") == 0
    assert memory_blocks(row(Kind.ACTIVATION, readers=1, **square(46, 6)))[0] == 24  # 2116 words take as much as 4096: four blocks


@pytest.mark.parametrize("values", [{"readers": 0, "stream": 1}, {"readers": 1, "stream": 0}, {"readers": 1, "stream": 1, "part": Part.PRODUCT}])
def test_no_fifo_where_nobody_reads_a_stream(values: dict[str, Any]) -> None:
    assert not {"lut fifo", "ff fifo", "lut fifo_shift"} & built(row(Kind.CONV2D, out_c=8, **values))


def test_flattening_passes_the_stream_on_and_a_transpose_does_not() -> None:
    flat = row(Kind.RESHAPE, stream=1, readers=1, in_h=4, in_w=4, in_c=3, out_c=48)
    assert not built(flat) and memory_blocks(flat)[0] == 0 and cycles(flat).latency[0] == 0
    assert "lut fifo" in built(row(Kind.RESHAPE, stream=1, readers=1, in_h=4, in_w=4, in_c=3, out_h=3, out_w=4, out_c=4))


def test_tables_share_a_block_by_its_two_ports() -> None:
    sigmoid = row(Kind.TABLE_ACTIVATION, in_c=33, table_size=1024, table_bits=18)
    assert memory_blocks(sigmoid)[0] == 17
    larger = row(Kind.TABLE_ACTIVATION, in_c=33, table_size=4096, table_bits=18)
    assert memory_blocks(larger)[0] == 17 * 4  # 4096 x 18: four blocks of 1024 x 18


@pytest.mark.parametrize(("kind", "reuse", "blocks"), [(Kind.GRU, 8, 30), (Kind.LSTM, 1, 40), (Kind.LSTM, 8, 41)])
def test_gates_by_hand(kind: Kind, reuse: int, blocks: int) -> None:
    layer = row(kind, in_w=5, in_c=7, out_c=20, reuse=reuse)
    assert memory_blocks(layer)[0] == blocks
    assert dsp_blocks(layer)[0] == 60
    assert dsp_blocks(row(kind, out_c=20, logic_only=1))[0] == 0
    assert count(layer, "lut", "gate_table") == 20 * (3 if kind is Kind.GRU else 4)
    assert not any("gate" in name for name in built(row(kind, out_c=20, part=Part.PRODUCT)))


def test_blocks_of_multipliers() -> None:
    assert dsp_blocks(row(Kind.BATCH_NORM, in_c=6, weight_bits=16, stream=1))[0] == 6
    assert dsp_blocks(row(Kind.BATCH_NORM, in_c=6, weight_bits=16))[0] == 0
    assert dsp_blocks(row(Kind.SOFTMAX, in_c=6))[0] == 6
    assert dsp_blocks(row(Kind.SOFTMAX, in_c=6, logic_only=1))[0] == 0
    assert dsp_blocks(row(Kind.SOFTMAX, in_c=6, function=FUNCTIONS["argmax"]))[0] == 0


def test_elementwise_products_take_multipliers_and_sums_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MULTIPLY", 99)
    assert dsp_blocks(row(Kind.MERGE, in_h=2, in_w=3, in_c=4, function=99))[0] == 24
    assert dsp_blocks(row(Kind.MERGE, in_h=2, in_w=3, in_c=4, function=99, stream=1))[0] == 4
    assert dsp_blocks(row(Kind.MERGE, in_h=2, in_w=3, in_c=4, function=99, input_bits=8))[0] == 0
    assert dsp_blocks(row(Kind.MERGE, in_h=2, in_w=3, in_c=4))[0] == 0


def test_pools_compare_all_but_one_of_a_window() -> None:
    pool = row(Kind.POOL, **square(6, 5, kernel=3))
    assert count(pool, "lut", "pool_compare") == 5 * 8 * 16
    everywhere = row(Kind.GLOBAL_POOL, function=FUNCTIONS["average"], **square(6, 5) | {"out_h": 1, "out_w": 1})
    assert count(everywhere, "lut", "pool_accumulate") == 5 * (16 + 6)  # 36 positions: six bits more
    assert count(everywhere, "lut", "pool_compare") == 0
    parallel = row(Kind.GLOBAL_POOL, in_h=6, in_w=6, in_c=5, out_c=5)
    assert count(parallel, "lut", "pool_comparison") == 5 * 35


def test_a_pool_writes_when_its_first_window_is_full() -> None:
    pool = cycles(row(Kind.POOL, V2019, **square(10, 4, kernel=2)))
    assert (pool.fill[0], pool.latency[0]) == (10 + 2 + 3, 103)
    everywhere = cycles(row(Kind.GLOBAL_POOL, V2019, **square(10, 4)))
    assert everywhere.fill[0] == everywhere.latency[0] == 103


@st.composite
def rows_of_any_kind(draw: st.DrawFn) -> tuple[Kind, Tool, dict[str, Any]]:
    kind = draw(st.sampled_from(KINDS))
    values = {name: draw(st.integers(1, 40)) for name in ("in_h", "in_w", "out_h", "out_w", "in_c", "out_c")}
    values |= {name: draw(st.integers(1, 5)) for name in ("kernel_h", "kernel_w")}
    values |= {name: draw(st.integers(1, 40)) for name in ("input_bits", "output_bits", "weight_bits", "accumulator_bits")}
    values |= {name: draw(st.integers(0, 1)) for name in ("stream", "series7", "logic_only", "saturates")}
    values |= {"readers": draw(st.integers(0, 3)), "function": draw(st.integers(0, max(FUNCTIONS.values()))), "part": draw(st.sampled_from(Part))}
    values |= {"clock_ns": draw(st.sampled_from((1, 2, 3, 4, 5, 10, 100))), "reuse": draw(st.integers(1, 64))}
    return kind, draw(st.sampled_from(Tool)), values


def costs(elements: Elements) -> dict[str, float]:
    """All counts; a FIFO counts as 18 kbit times its blocks and as its bits in logic together, as it is either."""
    found = {f"{resource} {name}": count(elements, resource, name) for resource in TERMS for name in TERMS[resource]}
    found["memory"] = 18432.0 * float(memory_blocks(elements)[0]) + found.pop("lut fifo_shift")
    time = cycles(elements)
    return found | {"dsp": float(dsp_blocks(elements)[0]), "latency": float(time.latency[0]), "interval": float(time.interval[0])}


@given(rows_of_any_kind())
@settings(max_examples=300, deadline=None)
def test_counts_are_never_negative_and_cycles_are_ordered(drawn: tuple[Kind, Tool, dict[str, Any]]) -> None:
    kind, tool, values = drawn
    elements = row(kind, tool, **values)
    assert min(costs(elements).values()) >= 0
    assert all(np.isfinite(value) for value in costs(elements).values())
    time = cycles(elements)
    assert 0 <= time.fill[0] <= time.latency[0]
    assert time.interval[0] == 0 if kind in WEIGHTED else time.interval[0] >= 1


@given(
    rows_of_any_kind(),
    st.sampled_from(
        [("in_c", "out_c"), ("in_w", "out_w"), ("in_h", "out_h"), ("input_bits", "output_bits"), ("accumulator_bits",), ("weight_bits",), ("readers",)]
    ),
    st.integers(1, 70),
)
@settings(max_examples=400, deadline=None)
def test_more_of_anything_never_costs_less(drawn: tuple[Kind, Tool, dict[str, Any]], names: tuple[str, ...], more: int) -> None:
    kind, tool, values = drawn
    small = costs(row(kind, tool, **values))
    large = costs(row(kind, tool, **values | {name: values[name] + more for name in names}))
    assert {name for name in small if large[name] < small[name]} == set()


def test_without_streams_there_is_no_stream_hardware() -> None:
    for kind in KINDS:
        names = built(row(kind, in_h=6, in_w=6, in_c=4, out_h=6, out_w=6, out_c=4, kernel_h=3, kernel_w=3, readers=2, saturates=1))
        assert not {name for name in names if any(word in name for word in ("stream", "fifo", "line", "control", "padding", "counter"))}, kind
