"""LUT and FF terms of everything around matrix-vector products.

A term counts what is built; a row without such hardware has none of it. Convolutions have a line buffer, a window and a
FIFO here, and their product and control among the terms of matrix-vector units.
"""

from __future__ import annotations

import numpy as np

from codesign.kpi.streaming.elements import SRL_WORDS, Elements, clips_slowly
from codesign.kpi.streaming.flow import EARLY, Tool
from codesign.kpi.streaming.hls_table import FUNCTIONS, Mask
from codesign.kpi.streaming.terms import Term, Terms, once
from codesign.kpi.template_model import FloatArray
from codesign.network.hls_model import Kind, Part

LINE_ENDS = 2
"""Words of a line outside its shift registers."""


def _number(mask: Mask) -> FloatArray:
    return mask.astype(np.float64)


def _among(mask: Mask, count: FloatArray) -> FloatArray:
    return np.where(mask, count, 0.0)


@once
def _saturates(elements: Elements) -> Mask:
    return np.asarray(elements.relu & (elements.rows.saturates > 0))


def line_buffer_luts(elements: Elements) -> FloatArray:
    """LUT as shift registers (m,) that hold the lines of a window but the last, without their ends.

    Vivado HLS 2019.1 counts a half for up to 16 words: a LUT holds two shift registers of that depth.
    """
    words = np.maximum(elements.rows.in_w - LINE_ENDS, 1.0)
    half = (words <= SRL_WORDS / 2) & (elements.tool in EARLY)
    return elements.line_bits * np.where(half, 0.5, np.ceil(words / SRL_WORDS))


def fifo_luts(elements: Elements) -> FloatArray:
    """LUT as shift registers (m,) of short FIFOs."""
    luts = elements.fifos * elements.fifo_word_bits * np.ceil(elements.out_positions / SRL_WORDS)
    return _among(elements.short_fifo, luts)


@once
def comparisons(elements: Elements) -> FloatArray:
    """Comparisons or additions (m,) that whole pools make side by side, but for the one of a global pool in a stream."""
    windows = np.where(elements.stream, 1.0, elements.out_positions) * elements.rows.in_c
    everywhere = np.where(elements.stream, 0.0, elements.rows.in_c * np.maximum(elements.positions - 1.0, 0.0))
    return np.select([elements.pool, elements.global_pool], [windows * np.maximum(elements.window_area - 1.0, 0.0), everywhere], 0.0)


@once
def accumulator_bits(elements: Elements) -> FloatArray:
    """Bits (m,) that a global pool in a stream collects: a largest value, or a sum, for each channel."""
    growth = np.where(elements.rows.function == FUNCTIONS["max"], 0.0, np.ceil(np.log2(np.maximum(elements.positions, 1.0))))
    return _among(elements.global_pool & elements.stream, elements.rows.in_c * (growth + elements.rows.input_bits))


@once
def _window_layer(elements: Elements) -> Mask:
    """Convolutions whose part holds the window."""
    part = elements.whole | (elements.rows.part == Part.PRODUCT)
    return np.asarray(elements.convolution & elements.stream & part & (elements.window_area > 1))


def line_register_bits(elements: Elements) -> FloatArray:
    """Bits (m,) of the words at the ends of each line, which Vivado HLS 2019.2 to 2020.1 keeps in registers."""
    return elements.line_bits * (LINE_ENDS if elements.tool is Tool.VIVADO_HLS_2020 else 0.0)


@once
def _any_softmax(elements: Elements) -> Mask:
    return np.asarray(elements.softmax | elements.argmax)


def _softmax_bits(elements: Elements, *, streamed: bool) -> FloatArray:
    """Table-entry bits of all lanes, of the layers with or without streams."""
    return _among(_any_softmax(elements) & (elements.stream == streamed), elements.lanes * elements.table_bits)


def _softmax_stages(elements: Elements) -> FloatArray:
    """Registers for each bit of a lane: 7-series fabric needs more stages the faster the clock."""
    return np.where(elements.series7, 3.3 * 5.0 / elements.rows.clock_ns, 1.0)


@once
def _simple(elements: Elements) -> Mask:
    """Layers of a stream with little control."""
    return np.asarray(elements.stream & elements.rows.of_kind(Kind.ACTIVATION, Kind.MERGE, Kind.CONCATENATE))


def _controlled(elements: Elements) -> Mask:
    """Layers of a stream with as much control as a convolution."""
    loops = elements.rows.of_kind(Kind.TABLE_ACTIVATION, Kind.BATCH_NORM, Kind.SOFTMAX, Kind.RESIZE)
    return np.asarray(elements.stream & (loops | elements.pool | elements.global_pool))


@once
def _counter_bits(elements: Elements) -> FloatArray:
    return np.log2(np.maximum(elements.positions, 2.0))


@once
def _counts(elements: Elements) -> Mask:
    """Layers of a stream that count positions, padding aside."""
    return np.asarray(elements.stream & (elements.elementwise | elements.pool | elements.global_pool | elements.resize))


ElementTerm = Term[Elements]

LUT_TERMS: Terms[Elements] = {
    "line_buffer": ElementTerm("LUT", "shift registers of a line buffer", line_buffer_luts),
    "window": ElementTerm("bit", "window of a convolution", lambda e: _among(_window_layer(e), e.window_bits)),
    "relu": ElementTerm("bit", "ReLU without streams", lambda e: _among(e.relu & ~e.stream, e.lane_bits), (Kind.ACTIVATION,)),
    "relu_saturate": ElementTerm("bit", "its clipping", lambda e: _among(_saturates(e) & ~e.stream, e.lane_bits), (Kind.ACTIVATION,)),
    "relu_stream": ElementTerm("bit", "ReLU of a stream's word", lambda e: _among(e.relu & e.stream, e.lane_bits), (Kind.ACTIVATION,)),
    "relu_stream_saturate": ElementTerm("bit", "its clipping", lambda e: _among(_saturates(e) & e.stream, e.lane_bits), (Kind.ACTIVATION,)),
    "linear_stream": ElementTerm("bit", "type conversion of a stream's word", lambda e: _among(e.linear & e.stream, e.lane_bits), (Kind.ACTIVATION,)),
    "softmax": ElementTerm(
        "bit", "softmax: differences, sum and products, per bit of a table's entries", lambda e: _softmax_bits(e, streamed=False), (Kind.SOFTMAX,)
    ),
    "softmax_stream": ElementTerm("bit", "the same in a stream", lambda e: _softmax_bits(e, streamed=True), (Kind.SOFTMAX,)),
    "softmax_stream_layer": ElementTerm(
        "instance", "sum, inverse and control of a softmax in a stream", lambda e: _number(_any_softmax(e) & e.stream), (Kind.SOFTMAX,)
    ),
    "softmax_logic": ElementTerm(
        "bit",
        "softmax products kept out of DSP blocks, per product of operand bits",
        lambda e: _among(_any_softmax(e) & e.logic_only, e.lanes * e.table_bits**2),
        (Kind.SOFTMAX,),
    ),
    "table": ElementTerm("instance", "address of an activation table, with clipping", lambda e: _among(e.table_activation, e.lanes), (Kind.TABLE_ACTIVATION,)),
    "gate_table": ElementTerm(
        "instance",
        "the same of a recurrent layer's gates",
        lambda e: e.gates,
        (
            Kind.LSTM,
            Kind.GRU,
        ),
    ),
    "gate": ElementTerm(
        "bit",
        "sums and products of a recurrent layer's gates",
        lambda e: e.gates * e.rows.accumulator_bits,
        (
            Kind.LSTM,
            Kind.GRU,
        ),
    ),
    "sequence_select": ElementTerm(
        "bit",
        "selection of a time step without streams",
        lambda e: _among(e.recurrent & e.whole & ~e.stream, e.positions * e.rows.in_c * e.rows.input_bits),
        (
            Kind.LSTM,
            Kind.GRU,
        ),
    ),
    "pool_compare": ElementTerm(
        "bit",
        "comparisons of a pool",
        lambda e: comparisons(e) * e.rows.input_bits,
        (
            Kind.POOL,
            Kind.GLOBAL_POOL,
        ),
    ),
    "pool_comparison": ElementTerm(
        "instance",
        "selectors around a comparison",
        comparisons,
        (
            Kind.POOL,
            Kind.GLOBAL_POOL,
        ),
    ),
    "pool_accumulate": ElementTerm("bit", "accumulators of a global pool", accumulator_bits, (Kind.GLOBAL_POOL,)),
    "padding": ElementTerm("instance", "selection of zero in a channel", lambda e: _among(e.padding, e.rows.in_c.astype(np.float64)), (Kind.PADDING,)),
    "batch_norm": ElementTerm("bit", "batch normalisation", lambda e: _among(e.batch_norm, e.lane_bits), (Kind.BATCH_NORM,)),
    "merge": ElementTerm("bit", "elementwise merge", lambda e: _among(e.merge, e.lane_bits), (Kind.MERGE,)),
    "concatenate": ElementTerm("bit", "concatenation of streams", lambda e: _among(e.concatenate, e.lane_bits), (Kind.CONCATENATE,)),
    "resize": ElementTerm("bit", "upsampling", lambda e: _among(e.resize & e.stream, e.lane_bits), (Kind.RESIZE,)),
    "control": ElementTerm(
        "instance",
        "control of a layer of a stream",
        lambda e: _number(_controlled(e)),
        (
            Kind.TABLE_ACTIVATION,
            Kind.BATCH_NORM,
            Kind.SOFTMAX,
            Kind.RESIZE,
            Kind.POOL,
            Kind.GLOBAL_POOL,
        ),
    ),
    "control_simple": ElementTerm(
        "instance",
        "the same of an activation, merge or concatenation",
        lambda e: _number(_simple(e)),
        (
            Kind.ACTIVATION,
            Kind.MERGE,
            Kind.CONCATENATE,
        ),
    ),
    "control_padding": ElementTerm("instance", "the same of zero padding", lambda e: _number(e.padding), (Kind.PADDING,)),
    "fifo": ElementTerm("bit", "word at the end of a FIFO", lambda e: e.fifos * e.fifo_word_bits),
    "fifo_shift": ElementTerm("LUT", "FIFOs in shift registers", fifo_luts),
}
"""LUT of one row."""

FF_TERMS: Terms[Elements] = {
    "line_register": ElementTerm("bit", "registers at the ends of a line buffer's lines", line_register_bits),
    "window": ElementTerm("bit", "window of a convolution", lambda e: _among(_window_layer(e), e.window_bits)),
    "relu_register": ElementTerm("bit", "register behind a ReLU without streams", lambda e: _among(e.relu & ~e.stream, e.lane_bits), (Kind.ACTIVATION,)),
    "relu": ElementTerm(
        "bit", "register of a clipping ReLU that is slow for its clock", lambda e: _among(e.relu & ~e.stream & clips_slowly(e), e.lane_bits), (Kind.ACTIVATION,)
    ),
    "relu_stream": ElementTerm(
        "bit", "ReLU of a stream's word, mean of input and result", lambda e: _among(e.relu & e.stream, e.mean_lane_bits), (Kind.ACTIVATION,)
    ),
    "linear_stream": ElementTerm("bit", "the same of a type conversion", lambda e: _among(e.linear & e.stream, e.mean_lane_bits), (Kind.ACTIVATION,)),
    "softmax": ElementTerm("bit", "pipeline stages of a softmax", lambda e: _softmax_bits(e, streamed=False) * _softmax_stages(e), (Kind.SOFTMAX,)),
    "softmax_stream": ElementTerm("bit", "softmax in a stream, per bit of a table's entries", lambda e: _softmax_bits(e, streamed=True), (Kind.SOFTMAX,)),
    "softmax_stream_layer": ElementTerm(
        "instance", "sum, inverse and control of a softmax in a stream", lambda e: _number(_any_softmax(e) & e.stream), (Kind.SOFTMAX,)
    ),
    "table": ElementTerm(
        "bit", "entries read from activation tables", lambda e: _among(e.table_activation & e.stream, e.lanes * e.rows.output_bits), (Kind.TABLE_ACTIVATION,)
    ),
    "gate": ElementTerm(
        "bit",
        "sums, products and states of a recurrent layer's gates",
        lambda e: e.gates * e.rows.accumulator_bits,
        (
            Kind.LSTM,
            Kind.GRU,
        ),
    ),
    "pool_window": ElementTerm(
        "bit", "window of a pool in a stream", lambda e: _among(e.pool & e.stream, e.window_area * e.rows.in_c * np.maximum(e.rows.input_bits, 8)), (Kind.POOL,)
    ),
    "pool_accumulate": ElementTerm("bit", "accumulators of a global pool", accumulator_bits, (Kind.GLOBAL_POOL,)),
    "merge": ElementTerm("bit", "elementwise merge of a stream's word", lambda e: _among(e.merge & e.stream, e.mean_lane_bits), (Kind.MERGE,)),
    "concatenate": ElementTerm("bit", "concatenation of streams", lambda e: _among(e.concatenate, e.mean_lane_bits), (Kind.CONCATENATE,)),
    "resize": ElementTerm("bit", "upsampling", lambda e: _among(e.resize & e.stream, e.lane_bits), (Kind.RESIZE,)),
    "counter": ElementTerm("bit", "position counters", lambda e: _among(_counts(e), _counter_bits(e))),
    "padding_counter": ElementTerm("bit", "position counters of zero padding", lambda e: _among(e.padding, _counter_bits(e)), (Kind.PADDING,)),
    "padding_layer": ElementTerm("instance", "states of zero padding", lambda e: _number(e.padding), (Kind.PADDING,)),
    "fifo": ElementTerm("bit", "word at the end of a FIFO", lambda e: e.fifos * e.fifo_word_bits),
}
"""FF of one row."""
