"""What hls4ml builds around matrix-vector products: line buffers, activations, pools, padding, FIFOs and the like.

Notation: m rows of a table. A *word* of a stream holds the channels of one position, its *lanes* work side by side; without
streams there is a lane for each element. All laws here are exact ones: they count blocks and cycles.

.. [hls4ml] Fast Machine Learning Lab, hls4ml 1.3: nnet_activation_stream.h, nnet_pooling_stream.h, nnet_conv_stream.h.
.. [UG902] AMD, Vivado HLS User Guide: structures are taken apart, a FIFO for each member.
.. [UG1399] AMD, Vitis HLS User Guide: structures in streams are packed; ``config_storage fifo -auto_srl_max_bits``.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from codesign.kpi.memory import bram18
from codesign.kpi.streaming.flow import Tool
from codesign.kpi.streaming.hls_table import FUNCTIONS, GRU_GATES, LSTM_GATES, HlsTable, Mask
from codesign.kpi.streaming.matrix_vector import DSP_NARROW, DSP_WIDE, NARROWEST_IN_DSP, WIDEST_IN_LOGIC
from codesign.kpi.template_model import FloatArray
from codesign.network.hls_model import CONVOLUTIONS, TABLE_BITS, TABLE_SIZE, Kind, Part

SRL_WORDS = 32
"""Depth of one LUT as a shift register (AMD UG474, UG574)."""
FIFO_IN_LOGIC_BITS = {Tool.VIVADO_HLS_2019: 512, Tool.VIVADO_HLS_2019_5NS: 512, Tool.VIVADO_HLS_2020: 512, Tool.VITIS_HLS: 1024}
"""FIFOs up to this size are shift registers: observed with Vivado HLS, documented for Vitis HLS [UG1399]_."""
SHALLOW_WORDS = 2
"""FIFOs of so many words are shift registers whatever their width (``auto_srl_max_depth`` of Vitis HLS [UG1399]_)."""
LINE_WORD_BITS = 32
"""Narrowest word in a line buffer of Vivado HLS 2019.2 to 2020.1: narrower ones are widened."""
MULTIPLY = FUNCTIONS["multiply"]
"""Number of the elementwise product; -1: no row has it."""
GATE_PRODUCTS = 3
"""Products of states and gates in a unit of an LSTM or a GRU."""
SLOW_CLIP_NS = 4.5
"""Clock periods from which a clipping ReLU needs no register on 7-series fabric; observed at 3.3 ns (register) and 5 ns (none)."""


class Elements:
    """Everything but matrix-vector products, of all rows of a table (m,) for a tool."""

    def __init__(self, table: HlsTable, tool: Tool) -> None:
        self.rows = table
        self.tool = tool

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def stream(self) -> Mask:
        """io_stream."""
        return np.asarray(self.rows.stream > 0)

    @cached_property
    def whole(self) -> Mask:
        """Rows that stand for a whole layer."""
        return np.asarray(self.rows.part == Part.WHOLE)

    @cached_property
    def series7(self) -> Mask:
        """7-series fabric."""
        return np.asarray(self.rows.series7 > 0)

    @cached_property
    def logic_only(self) -> Mask:
        """Multipliers are kept out of DSP blocks."""
        return np.asarray(self.rows.logic_only > 0)

    @cached_property
    def convolution(self) -> Mask:
        """Convolutions."""
        return self.rows.of_kind(*CONVOLUTIONS)

    @cached_property
    def pool(self) -> Mask:
        """Whole pools with a window."""
        return np.asarray((self.rows.kind == Kind.POOL) & self.whole)

    @cached_property
    def global_pool(self) -> Mask:
        """Whole pools over all positions."""
        return np.asarray((self.rows.kind == Kind.GLOBAL_POOL) & self.whole)

    @cached_property
    def linear(self) -> Mask:
        """Activations that only convert types."""
        return np.asarray((self.rows.kind == Kind.ACTIVATION) & (self.rows.function == FUNCTIONS["linear"]))

    @cached_property
    def relu(self) -> Mask:
        """Other activations without a table: ReLU and its kin."""
        return np.asarray((self.rows.kind == Kind.ACTIVATION) & ~self.linear)

    @cached_property
    def table_activation(self) -> Mask:
        """Activations by table."""
        return np.asarray(self.rows.kind == Kind.TABLE_ACTIVATION)

    @cached_property
    def softmax(self) -> Mask:
        """Softmax layers that compute one."""
        return np.asarray((self.rows.kind == Kind.SOFTMAX) & ~self.argmax)

    @cached_property
    def argmax(self) -> Mask:
        """Softmax layers that only find the largest value."""
        return np.asarray((self.rows.kind == Kind.SOFTMAX) & (self.rows.function == FUNCTIONS["argmax"]))

    @cached_property
    def batch_norm(self) -> Mask:
        """Batch normalisation that is not folded into weights."""
        return np.asarray(self.rows.kind == Kind.BATCH_NORM)

    @cached_property
    def merge(self) -> Mask:
        """Elementwise merges."""
        return np.asarray(self.rows.kind == Kind.MERGE)

    @cached_property
    def multiply(self) -> Mask:
        """Elementwise products of two tensors."""
        return np.asarray(self.merge & (self.rows.function == MULTIPLY))

    @cached_property
    def concatenate(self) -> Mask:
        """Concatenations; without streams they are wires."""
        return np.asarray((self.rows.kind == Kind.CONCATENATE) & self.stream)

    @cached_property
    def elementwise(self) -> Mask:
        """Layers that make one word of each word."""
        return self.rows.of_kind(Kind.ACTIVATION, Kind.TABLE_ACTIVATION, Kind.BATCH_NORM, Kind.MERGE, Kind.CONCATENATE)

    @cached_property
    def padding(self) -> Mask:
        """Zero padding of a stream."""
        return np.asarray((self.rows.kind == Kind.PADDING) & self.stream)

    @cached_property
    def resize(self) -> Mask:
        """Upsampling."""
        return np.asarray(self.rows.kind == Kind.RESIZE)

    @cached_property
    def recurrent(self) -> Mask:
        """Recurrent layers and their steps: what has gates."""
        return np.asarray(self.rows.of_kind(Kind.LSTM, Kind.GRU) & ((self.rows.part == Part.WHOLE) | (self.rows.part == Part.STEP)))

    @cached_property
    def positions(self) -> FloatArray:
        """Positions of the input: its words in a stream."""
        return (self.rows.in_h * self.rows.in_w).astype(np.float64)

    @cached_property
    def out_positions(self) -> FloatArray:
        """Positions of the result."""
        return (self.rows.out_h * self.rows.out_w).astype(np.float64)

    @cached_property
    def lanes(self) -> FloatArray:
        """Elements that are worked on side by side."""
        return np.where(self.stream, 1.0, self.positions) * self.rows.in_c

    @cached_property
    def lane_bits(self) -> FloatArray:
        """Input bits of all lanes."""
        return self.lanes * self.rows.input_bits

    @cached_property
    def mean_lane_bits(self) -> FloatArray:
        """Mean of the bits that enter and leave all lanes."""
        return self.lanes * (self.rows.input_bits + self.rows.output_bits) / 2.0

    @cached_property
    def table_bits(self) -> FloatArray:
        """Width of an entry of an activation table, hls4ml's own where no width is known."""
        return np.where(self.rows.table_bits > 0, self.rows.table_bits, TABLE_BITS).astype(np.float64)

    @cached_property
    def table_blocks(self) -> FloatArray:
        """Blocks of 18 kbit of one activation table."""
        size = np.where(self.rows.table_size > 0, self.rows.table_size, TABLE_SIZE)
        return bram18(size, self.table_bits)

    @cached_property
    def gates(self) -> FloatArray:
        """Gates of all units of a recurrent layer."""
        per_unit = np.where(self.rows.kind == Kind.LSTM, LSTM_GATES, GRU_GATES)
        return np.where(self.recurrent, per_unit * self.rows.out_c, 0.0)

    @cached_property
    def window_area(self) -> FloatArray:
        """Positions under a window."""
        return (self.rows.kernel_h * self.rows.kernel_w).astype(np.float64)

    @cached_property
    def window_bits(self) -> FloatArray:
        """Bits of all elements under a window."""
        return self.window_area * self.rows.in_c * self.rows.input_bits

    @cached_property
    def buffered(self) -> Mask:
        """Rows that hold a line buffer; 1 x 1 kernels have none."""
        layer = self.pool | (self.convolution & self.whole) | (self.rows.part == Part.LINE_BUFFER)
        return np.asarray(self.stream & layer & (self.window_area > 1))

    @cached_property
    def line_word_bits(self) -> FloatArray:
        """Width of an element in a line buffer."""
        widened = LINE_WORD_BITS if self.tool is Tool.VIVADO_HLS_2020 else 0
        return np.maximum(self.rows.input_bits, widened).astype(np.float64)

    @cached_property
    def line_bits(self) -> FloatArray:
        """Bits that enter all lines of a line buffer at once: a word for each line of a window but the last."""
        return np.where(self.buffered, (self.rows.kernel_h - 1) * self.rows.in_c * self.line_word_bits, 0.0)

    @cached_property
    def fifos(self) -> FloatArray:
        """FIFOs that a result's word goes through: one for each reader, and one more in front where it is copied.

        A flattening changes the shape of a word and passes the stream on [hls4ml]_.
        """
        flattening = (self.rows.kind == Kind.RESHAPE) & (self.out_positions == 1)
        present = self.stream & self.whole & (self.rows.readers > 0) & ~flattening
        return np.where(present, np.where(self.rows.readers > 1, 1.0 + self.rows.readers, 1.0), 0.0)

    @cached_property
    def fifo_word_bits(self) -> FloatArray:
        """Bits of all channels of a result's word."""
        return (self.rows.out_c * self.rows.output_bits).astype(np.float64)

    @cached_property
    def fifo_width(self) -> FloatArray:
        """Width of one FIFO: the word [UG1399]_; Vivado HLS makes a FIFO for each channel [UG902]_."""
        return self.fifo_word_bits if self.tool is Tool.VITIS_HLS else self.rows.output_bits.astype(np.float64)

    @cached_property
    def short_fifo(self) -> Mask:
        """FIFOs in shift registers; each is as deep as the feature map [hls4ml]_."""
        shallow = (self.out_positions <= SHALLOW_WORDS) & (self.tool is Tool.VITIS_HLS)
        return np.asarray(shallow | (self.out_positions * self.fifo_width <= FIFO_IN_LOGIC_BITS[self.tool]))

    def multiplier_blocks(self, wide: FloatArray, narrow: FloatArray) -> FloatArray:
        """DSP blocks (m,) of a multiplier of two operands of so many bits; 0 where it is built of LUT."""
        larger, smaller = np.maximum(wide, narrow), np.minimum(wide, narrow)
        in_dsp = (smaller >= NARROWEST_IN_DSP[self.tool]) & (wide + narrow > WIDEST_IN_LOGIC) & ~self.logic_only
        return np.where(in_dsp, np.ceil((larger - 1.0) / DSP_WIDE) * np.ceil((smaller - 1.0) / DSP_NARROW), 0.0)


def dsp_blocks(elements: Elements) -> FloatArray:
    """DSP blocks (m,): batch normalisation, softmax, gates of recurrent layers, elementwise products.

    Softmax divides by a product with a table's entry: one multiplier for each lane, a single one in a stream. Batch
    normalisation without streams is made of constants and took none in 12 of 12 syntheses of two small layers.
    """
    rows = elements.rows
    inputs, outputs = rows.input_bits.astype(np.float64), rows.output_bits.astype(np.float64)
    norm = np.zeros(len(elements))
    if elements.batch_norm.any():
        blocks = elements.multiplier_blocks(rows.weight_bits.astype(np.float64), inputs)
        norm = np.where(elements.batch_norm & elements.stream, elements.lanes * blocks, 0.0)
    softmax = np.where(elements.softmax & ~elements.logic_only, np.where(elements.stream, 1.0, elements.lanes), 0.0)
    total = norm + softmax
    if elements.recurrent.any():
        total += np.where(elements.recurrent, GATE_PRODUCTS * rows.out_c * elements.multiplier_blocks(outputs, outputs), 0.0)
    if elements.multiply.any():
        total += np.where(elements.multiply, elements.lanes * elements.multiplier_blocks(inputs, inputs), 0.0)
    return np.asarray(total)


def memory_blocks(elements: Elements) -> FloatArray:
    """Blocks of 18 kbit (m,): activation tables and FIFOs; line buffers are shift registers.

    * A block's two ports serve two lanes, or two gates; an LSTM whose products take several cycles has one table more.
    * Softmax: exponentials for two lanes a block and one table of inverses; Vitis HLS has one for each lane. In a stream
      one of each.
    """
    rows = elements.rows
    lanes = np.where(elements.table_activation, np.ceil(elements.lanes / 2.0), 0.0)
    one_more = (rows.kind == Kind.LSTM) & (rows.reuse > 1)
    gates = np.where(elements.recurrent, np.ceil(elements.gates / 2.0) + one_more, 0.0)
    parallel = elements.lanes if elements.tool is Tool.VITIS_HLS else np.ceil(elements.lanes / 2.0) + 1.0
    softmax = np.where(elements.softmax, np.where(elements.stream, 2.0, parallel), np.where(elements.argmax, 1.0, 0.0))
    return np.asarray((lanes + gates + softmax) * elements.table_blocks + fifo_blocks(elements))


def fifo_blocks(elements: Elements) -> FloatArray:
    """Blocks of 18 kbit (m,) of FIFOs that are too large for shift registers.

    Vivado HLS counts a memory of a power of two of words: closer in the two published networks where it makes a difference.
    """
    if elements.tool is Tool.VITIS_HLS:
        blocks = bram18(elements.out_positions, elements.fifo_width)
    else:
        words = 2.0 ** np.ceil(np.log2(np.maximum(elements.out_positions, 1.0)))
        blocks = elements.rows.out_c * bram18(words, elements.fifo_width)
    return np.where(elements.short_fifo, 0.0, elements.fifos * blocks)


class Cycles(NamedTuple):
    """Clock cycles (m,).

    Attributes:
        latency: until the last word leaves.
        interval: between two inferences, at least 1; 0 of rows with weights.
        fill: until the first word leaves.
    """

    latency: FloatArray
    interval: FloatArray
    fill: FloatArray


def cycles(elements: Elements) -> Cycles:
    """Cycles of layers without weights; 0 of rows with weights, whose cycles are those of their products."""
    rows, stream = elements.rows, elements.stream
    depth = _depth(elements)
    pool = elements.pool | elements.global_pool
    pace = 2.0 if elements.tool is Tool.VIVADO_HLS_2020 else 1.0
    window = (rows.kernel_h - 1) * rows.in_w + rows.kernel_w
    softmax = rows.kind == Kind.SOFTMAX
    per_word = np.where(elements.argmax, 1.0, 2.0) * rows.in_c
    chosen = [pool, elements.padding, softmax, elements.resize, elements.elementwise]
    words = [pace * elements.positions, elements.out_positions, elements.positions * per_word, elements.out_positions, elements.positions]
    first = [np.where(elements.pool, pace * window, pace * elements.positions), 0.0 * depth, per_word, rows.in_w, 0.0 * depth]
    streamed = np.select(chosen, words, 0.0) + depth
    single = elements.elementwise & (elements.positions <= 1)
    streamed = np.where(single, np.maximum(depth - 2.0, 0.0), streamed)
    latency = np.where(stream, streamed, depth)
    fill = np.where(stream & ~single, np.minimum(np.select(chosen, first, 0.0) + depth, streamed), latency)
    interval = np.where(stream & ~single, np.maximum(latency, 1.0), 1.0)
    free = ~rows.weighted
    return Cycles(latency * free, interval * free, fill * free)


def _depth(elements: Elements) -> FloatArray:
    """Pipeline stages (m,): in a stream the loop's own two included."""
    rows, stream = elements.rows, elements.stream
    area = np.where(elements.global_pool, np.where(stream, 1.0, elements.positions), elements.window_area)
    levels = np.ceil(np.log2(np.maximum(area, 1.0)))
    fast = np.where(elements.series7, 1.0, 0.45) * 5.0 / rows.clock_ns
    pool = np.where(stream, np.where(elements.global_pool, 3.0, 1.0 + levels), 1.0 + np.rint(levels * fast))
    plain = elements.linear | (rows.kind == Kind.CONCATENATE)
    registered = 4.0 if elements.tool is Tool.VIVADO_HLS_2020 else 3.0
    one_by_one = np.where(plain, 2.0, np.where(elements.table_activation, 3.0, registered))
    slow_relu = elements.relu & clips_slowly(elements)
    element = np.where(stream, one_by_one, np.where(elements.table_activation | slow_relu | elements.multiply, 1.0, 0.0))
    softmax = np.zeros(len(elements))
    if (rows.kind == Kind.SOFTMAX).any():
        softmax = np.where(elements.argmax, 3.0, np.where(stream, 18.0, _softmax_depth(elements)))
    chosen = [elements.pool | elements.global_pool, elements.padding, rows.kind == Kind.SOFTMAX, elements.resize, elements.elementwise]
    resize = np.where(stream, 2.0, 1.0)
    return np.select(chosen, [pool, np.full(len(elements), 3.0), softmax, resize, element], 0.0)


def _softmax_depth(elements: Elements) -> FloatArray:
    """Pipeline stages (m,) of a softmax without streams: two trees over its lanes, one of comparisons and one of sums."""
    clock = 5.0 / elements.rows.clock_ns
    levels = np.ceil(np.log2(np.maximum(elements.lanes, 2.0)))
    stages = 2.0 * levels * np.maximum(1.0 + 1.4 * (clock - 1.0), 0.0)
    less = elements.logic_only * np.where(clock > 1.2, 2.5, 2.0)
    return np.where(elements.series7, np.rint(6.0 + stages - less), 3.0 + (levels > 2))


def clips_slowly(elements: Elements) -> Mask:
    """Rows whose clipping does not fit in the clock period: it gets a register."""
    rows = elements.rows
    return np.asarray((rows.saturates > 0) & elements.series7 & (rows.clock_ns < SLOW_CLIP_NS))
