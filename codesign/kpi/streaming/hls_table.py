"""Layers of many designs in long form: one row for each piece of hardware that hls4ml builds.

Notation: ``m`` rows, ``n`` designs. Every cost formula of the streaming model works on columns (m,), so that one user's
network, a thousand published syntheses and a hundred thousand designs of a search go through the same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.kpi.reuse import closest_legal
from codesign.kpi.template_model import FloatArray
from codesign.network.hls_model import RECURRENT, WEIGHTED, HlsLayer, HlsModel, Kind, Strategy
from codesign.network.layers import LayerTable, Op

IntColumn = NDArray[np.int64]
Mask = NDArray[np.bool_]

KIND_OF_OP = np.zeros(max(Op) + 1, dtype=np.int64)
for _op, _kind in (
    (Op.DENSE, Kind.DENSE),
    (Op.CONV1D, Kind.CONV1D),
    (Op.CONV2D, Kind.CONV2D),
    (Op.DEPTHWISE_CONV1D, Kind.DEPTHWISE_CONV1D),
    (Op.DEPTHWISE_CONV2D, Kind.DEPTHWISE_CONV2D),
    (Op.ADD, Kind.MERGE),
    (Op.GLOBAL_POOL, Kind.GLOBAL_POOL),
):
    KIND_OF_OP[_op] = _kind

DEPTHWISE = (Kind.DEPTHWISE_CONV1D, Kind.DEPTHWISE_CONV2D)
LSTM_GATES, GRU_GATES = 4, 3
IO_STREAM = "io_stream"
FUNCTIONS = {"linear": 1, "relu": 2, "max": 3, "average": 4, "stable": 5, "latency": 6, "legacy": 7, "argmax": 8, "multiply": 9}
"""Functions that cost differently, by number."""

SHAPES = ("in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "kernel_h", "kernel_w", "stride_h", "stride_w")
WIDTHS = ("weight_bits", "bias_bits", "accumulator_bits", "input_bits", "output_bits")


@dataclass(frozen=True)
class Build:
    """How hls4ml is told to build a model.

    Attributes:
        io_type: ``io_stream`` or ``io_parallel``.
        strategy: of layers that name none.
        reuse_factor: asked of layers that name none.
        chosen: asked of layers by name, whatever they name themselves.
        clock_ns: clock period that the tool is asked for.
        series7: 7-series or Zynq-7000 fabric.
        logic_only: multipliers are kept out of DSP blocks.
    """

    io_type: str
    strategy: Strategy
    reuse_factor: int = 1
    clock_ns: float = 5.0
    series7: bool = False
    logic_only: bool = False
    chosen: Mapping[str, int] = field(default_factory=dict)

    def asked(self, layer: HlsLayer) -> int:
        """The reuse factor that a layer is asked to have."""
        own = self.reuse_factor if layer.reuse_factor is None else layer.reuse_factor
        return self.chosen.get(layer.name, own)


@dataclass(frozen=True)
class HlsTable:
    """Columns (m,); names and meanings are those of `HlsLayer` where not told otherwise.

    Attributes:
        count: number n of designs.
        design: the design that a row belongs to.
        slot: a number for the layer that a row comes from; a layer and the zero padding in front of it share it.
        in_h, in_w: of a convolution in a stream, its zero padding included.
        stream: io_stream (1) or io_parallel (0).
        strategy: as `Strategy`.
        function: as `FUNCTIONS`; 0 for anything else.
        reuse: legal reuse factor; 1 without weights.
        recurrent_reuse: the same of a recurrent layer's second product; 1 without one.
        readers: layers that read the result; 0 of the last.
        weight_peak: largest weight over full scale of its type, in (0, 1].
        clock_ns: clock period that the tool is asked for.
        series7: 7-series or Zynq-7000 fabric (1), slower than UltraScale (0).
        logic_only: multipliers are kept out of DSP blocks (1).
        part: as `Part`.
        input_words: words of a stream that a dense layer reads; 1 without stream, 0: not known.
    """

    count: int
    design: IntColumn
    slot: IntColumn
    kind: IntColumn
    in_h: IntColumn
    in_w: IntColumn
    in_c: IntColumn
    out_h: IntColumn
    out_w: IntColumn
    out_c: IntColumn
    kernel_h: IntColumn
    kernel_w: IntColumn
    stride_h: IntColumn
    stride_w: IntColumn
    weight_bits: IntColumn
    bias_bits: IntColumn
    accumulator_bits: IntColumn
    input_bits: IntColumn
    output_bits: IntColumn
    nonzero: FloatArray
    weight_peak: FloatArray
    table_size: IntColumn
    table_bits: IntColumn
    function: IntColumn
    stream: IntColumn
    strategy: IntColumn
    reuse: IntColumn
    recurrent_reuse: IntColumn
    readers: IntColumn
    clock_ns: FloatArray
    series7: IntColumn
    logic_only: IntColumn
    saturates: IntColumn
    part: IntColumn
    input_words: IntColumn

    def __len__(self) -> int:
        return len(self.design)

    def rows(self, chosen: Mask | NDArray[np.intp]) -> HlsTable:
        """Some rows; ``count`` and ``design`` stay."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in COLUMNS})

    def of_kind(self, *kinds: Kind) -> Mask:
        """Rows of some kinds."""
        found = self.kind == kinds[0]
        for kind in kinds[1:]:
            found |= self.kind == kind
        return np.asarray(found)

    def total(self, values: FloatArray) -> FloatArray:
        """Sum over the rows of each design (n,)."""
        return np.asarray(np.bincount(self.design, weights=values, minlength=self.count), dtype=np.float64)

    def largest(self, values: FloatArray) -> FloatArray:
        """Largest value (n,) over the rows of each design, at least 0."""
        best = np.zeros(self.count)
        np.maximum.at(best, self.design, values)
        return best

    @property
    def weighted(self) -> Mask:
        """Rows with weights."""
        return np.asarray((self.kind >= Kind.DENSE) & (self.kind <= Kind.GRU))

    @property
    def depthwise(self) -> Mask:
        """Depthwise convolutions."""
        return np.asarray((self.kind == Kind.DEPTHWISE_CONV1D) | (self.kind == Kind.DEPTHWISE_CONV2D))

    @property
    def fan_in(self) -> IntColumn:
        """Products per output that hls4ml's reuse rule counts: all channels of a depthwise convolution together; 1 without weights."""
        return np.where(self.weighted, self.kernel_h * self.kernel_w * self.in_c, 1)

    @property
    def fan_out(self) -> IntColumn:
        """Outputs that hls4ml's reuse rule counts: all gates of a recurrent layer, 1 of a depthwise convolution and without weights."""
        gates = np.where(self.kind == Kind.LSTM, LSTM_GATES, np.where(self.kind == Kind.GRU, GRU_GATES, 1))
        return np.where(self.weighted & ~self.depthwise, self.out_c * gates, 1)

    @classmethod
    def from_models(cls, models: Sequence[HlsModel], builds: Sequence[Build]) -> HlsTable:
        """Each model as its build says."""
        collected: dict[str, list[int | float | str]] = {name: [] for name in COLUMNS}
        for design, (model, build) in enumerate(zip(models, builds, strict=True)):
            for slot, layer in enumerate(model):
                if layer.kind is Kind.INPUT:
                    continue
                around = {
                    "design": design,
                    "slot": slot,
                    "readers": model.graph.out_degree(layer.name),
                    "input_words": _input_words(model, layer, build),
                }
                for row in _layer_rows(layer, build):
                    for name, value in (around | row).items():
                        collected[name].append(value)
        return cls(count=len(models), **{name: np.array(collected[name], dtype=_TYPES[name]) for name in COLUMNS})

    @classmethod
    def from_layer_table(cls, table: LayerTable, reuse: IntColumn, *, resource: Mask, stream: Mask, clock_ns: FloatArray, series7: bool) -> HlsTable:
        """The designs of a search as `codesign.export` writes them.

        Args:
            table: n designs of L slots.
            reuse: legal reuse factors, n x L.
            resource: Resource strategy, else Latency (n,).
            stream: io_stream, else io_parallel (n,).
            clock_ns: clock period (n,).
            series7: 7-series or Zynq-7000 fabric.
        """
        layers = np.flatnonzero(table.present)
        streamed = stream[layers // table.op.shape[1]]
        padded = layers[streamed & ((table.pad_h.ravel()[layers] > 0) | (table.pad_w.ravel()[layers] > 0))]
        flat = np.concatenate([padded, layers])  # zero padding in front of a convolution is a row of its own
        padding = np.arange(len(flat)) < len(padded)
        design, slot = np.divmod(flat, table.op.shape[1])
        columns: dict[str, Any] = {name: np.asarray(getattr(table, name).ravel()[flat], dtype=np.int64) for name in (*SHAPES, *WIDTHS)}
        columns |= {"design": design, "slot": slot, "kind": KIND_OF_OP[table.op.ravel()[flat]], "reuse": reuse.ravel()[flat]}
        columns |= {"readers": _readers(table, flat), "input_words": _words_before(table, flat), "stream": stream[design].astype(np.int64)}
        depthwise = (columns["kind"] == Kind.DEPTHWISE_CONV1D) | (columns["kind"] == Kind.DEPTHWISE_CONV2D)
        columns["strategy"] = np.where(resource[design] & (stream[design] | ~depthwise), np.int64(Strategy.RESOURCE), np.int64(Strategy.LATENCY))
        _pad(columns, padding, stream[design] * table.pad_h.ravel()[flat].astype(np.int64), stream[design] * table.pad_w.ravel()[flat].astype(np.int64))
        zeros, ones = np.zeros(len(flat), dtype=np.int64), np.ones(len(flat), dtype=np.int64)
        columns |= dict.fromkeys(("table_size", "table_bits", "function", "logic_only", "part"), zeros)
        columns |= {"recurrent_reuse": ones, "saturates": ones, "series7": int(series7) * ones, "clock_ns": clock_ns[design]}
        share = np.ones(len(flat))
        return cls(count=len(table), nonzero=share, weight_peak=share, **columns)


def _pad(columns: dict[str, Any], padding: Mask, pad_h: IntColumn, pad_w: IntColumn) -> None:
    """Make rows of zero padding of some copies of convolutions, and widen the input of the convolutions themselves; pads are on both sides."""
    in_h, in_w = columns["in_h"] + 2 * pad_h, columns["in_w"] + 2 * pad_w
    columns |= {"out_h": np.where(padding, in_h, columns["out_h"]), "out_w": np.where(padding, in_w, columns["out_w"])}
    columns |= {"in_h": np.where(padding, columns["in_h"], in_h), "in_w": np.where(padding, columns["in_w"], in_w)}
    plain = dict.fromkeys(("kernel_h", "kernel_w", "stride_h", "stride_w", "reuse", "readers"), 1)
    plain |= {"kind": Kind.PADDING} | dict.fromkeys(("weight_bits", "bias_bits", "accumulator_bits"), 0)
    before = {"out_c": columns["in_c"], "output_bits": columns["input_bits"]}
    columns |= {name: np.where(padding, np.int64(value), columns[name]) for name, value in plain.items()}
    columns |= {name: np.where(padding, value, columns[name]) for name, value in before.items()}


COLUMNS = tuple(column.name for column in fields(HlsTable) if column.name != "count")
_TYPES: Mapping[str, type] = {name: np.float64 if name in {"nonzero", "weight_peak", "clock_ns"} else np.int64 for name in COLUMNS}


def _readers(table: LayerTable, flat: NDArray[np.intp]) -> IntColumn:
    """Readers of each slot's result."""
    n, slots = table.op.shape
    source = np.concatenate([table.input_a, table.input_b], axis=1) + 1 + (np.arange(n) * (slots + 1))[:, None]
    readers = np.bincount(source.ravel(), minlength=n * (slots + 1)).reshape(n, slots + 1)[:, 1:]
    return np.asarray(readers.ravel()[flat], dtype=np.int64)


def _words_before(table: LayerTable, flat: NDArray[np.intp]) -> IntColumn:
    """Positions of the tensor that each slot reads: a stream has a word for each."""
    design, slots = flat // table.op.shape[1], table.input_a.ravel()[flat]
    return np.asarray((table.out_h.astype(np.int64) * table.out_w)[design, slots], dtype=np.int64)


def _input_words(model: HlsModel, layer: HlsLayer, build: Build) -> int:
    """Stream words that a dense layer reads: its own ``in_w``, or positions of the tensor before it, reshaping aside; 0 where nobody knows."""
    if layer.kind is not Kind.DENSE or build.io_type != IO_STREAM:
        return 1
    if layer.in_w > 1 and layer.out_h * layer.out_w == 1:
        return layer.in_w
    source = layer
    while source.inputs:
        source = model.layer(source.inputs[0])
        if source.kind is not Kind.RESHAPE:
            return source.out_h * source.out_w
    return 0


def _layer_rows(layer: HlsLayer, build: Build) -> list[dict[str, int | float]]:
    """The rows of one layer: zero padding in front of a convolution or pool in a stream is hardware of its own."""
    stream = build.io_type == IO_STREAM
    row: dict[str, int | float] = {name: getattr(layer, name) for name in (*SHAPES, *WIDTHS, "nonzero", "table_size", "table_bits", "part")}
    strategy = layer.strategy if layer.strategy is not None else build.strategy
    if layer.kind in DEPTHWISE and not stream:
        strategy = Strategy.LATENCY
    row |= {"kind": layer.kind, "stream": int(stream), "strategy": strategy, "function": FUNCTIONS.get(layer.function, 0)}
    row |= {"weight_peak": layer.weight_peak or typical_peak(layer.fan_in), "clock_ns": build.clock_ns}
    row |= {"series7": int(build.series7), "logic_only": int(build.logic_only), "saturates": int(layer.saturates)}
    row |= dict(zip(("reuse", "recurrent_reuse"), reuse_pair(layer, build.asked(layer), strategy), strict=True))
    pads = (layer.pad_top, layer.pad_bottom, layer.pad_left, layer.pad_right)
    if not stream or not any(pads) or layer.kind is Kind.PADDING:
        return [row]
    in_h, in_w = layer.in_h + pads[0] + pads[1], layer.in_w + pads[2] + pads[3]
    padding = row | dict.fromkeys(("kernel_h", "kernel_w", "stride_h", "stride_w", "reuse", "recurrent_reuse"), 1)
    padding |= dict.fromkeys(("weight_bits", "bias_bits", "accumulator_bits", "table_size", "table_bits", "function"), 0)
    padding |= {"readers": 1, "kind": Kind.PADDING, "out_h": in_h, "out_w": in_w, "out_c": layer.in_c, "output_bits": layer.input_bits}
    return [padding, row | {"in_h": in_h, "in_w": in_w}]


def typical_peak(fan_in: int) -> float:
    """Largest weight over full scale 1 where nobody knows better: that of uniform LeCun initialisation, ``sqrt(3 / fan_in)``.

    The published syntheses of untrained layers have it; trained weights of unit-range types are near it.
    """
    return float(min(1.0, (3.0 / max(fan_in, 1)) ** 0.5))


def reuse_pair(layer: HlsLayer, asked: int, strategy: Strategy) -> tuple[int, int]:
    """Effective reuse factors of a layer's product and, where it is recurrent, of its recurrent product; 1 where there is none.

    In Resource strategy hls4ml replaces a reuse factor by the closest legal one, for both products of a recurrent layer on
    its own; in Latency strategy it takes any (hls4ml 1.3, back ends' layer initialisers).
    """
    if layer.kind not in WEIGHTED or strategy is Strategy.DISTRIBUTED_ARITHMETIC:
        return 1, 1
    if strategy is Strategy.LATENCY:
        return min(asked, max(layer.weights, 1)), min(asked, max(layer.weights, 1)) if layer.kind in RECURRENT else 1
    if layer.kind in DEPTHWISE:
        return closest_legal(layer.kernel_h * layer.kernel_w * layer.in_c, 1, asked), 1
    gates = {Kind.LSTM: LSTM_GATES, Kind.GRU: GRU_GATES}.get(layer.kind, 1)
    first = closest_legal(layer.fan_in, layer.out_c * gates, asked)
    return first, closest_legal(layer.out_c, layer.out_c * gates, asked) if gates > 1 else 1
