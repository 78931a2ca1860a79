"""A network as hls4ml builds it: one record for each piece of hardware, whatever file the network came from.

`codesign.network.layers` describes networks that codesign trains; a `HlsModel` describes networks that are only priced:
a user's ONNX file, an hls4ml configuration, a published synthesis. Shapes are height x width x channels, series have
height 1 and time as width, dense layers read 1 x 1 x features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

import networkx as nx

from codesign.errors import InputError

DEFAULT_BITS = 16
"""Width of hls4ml's default type, ``ap_fixed<16,6>``."""
TABLE_SIZE = 1024
"""Entries of an activation table where the configuration names no other."""
TABLE_BITS = 18
"""Width of an entry of an activation table where the configuration names no other."""


class Kind(IntEnum):
    """What a piece of hardware computes."""

    INPUT = 0
    DENSE = 1
    """``out_h * out_w`` positions with the same weights; ``in_w`` words of a stream together hold its ``in_c`` inputs."""
    CONV1D = 2
    CONV2D = 3
    DEPTHWISE_CONV1D = 4
    DEPTHWISE_CONV2D = 5
    LSTM = 6
    GRU = 7
    POOL = 8
    GLOBAL_POOL = 9
    PADDING = 10
    MERGE = 11
    """Add, subtract, multiply, average, minimum or maximum of two tensors of one shape."""
    CONCATENATE = 12
    BATCH_NORM = 13
    ACTIVATION = 14
    """Elementwise and without a table: linear, ReLU and its kin, hard sigmoid, quantisers."""
    TABLE_ACTIVATION = 15
    """Elementwise by table: sigmoid, tanh, softplus, ELU, SELU."""
    SOFTMAX = 16
    RESIZE = 17
    RESHAPE = 18
    """No arithmetic: flatten, reshape, transpose, repeat of a stream."""


CONVOLUTIONS = frozenset({Kind.CONV1D, Kind.CONV2D, Kind.DEPTHWISE_CONV1D, Kind.DEPTHWISE_CONV2D})
RECURRENT = frozenset({Kind.LSTM, Kind.GRU})
WEIGHTED = CONVOLUTIONS | RECURRENT | {Kind.DENSE}


class Part(IntEnum):
    """Which part of a layer's hardware a record stands for; reports of HLS tools have a row for each function."""

    WHOLE = 0
    PRODUCT = 1
    """The matrix-vector product alone."""
    LINE_BUFFER = 2
    """The shift registers that hold the lines of a window."""
    STEP = 3
    """One time step of a recurrent layer."""


class Strategy(IntEnum):
    """How hls4ml builds a matrix-vector product."""

    LATENCY = 0
    RESOURCE = 1
    DISTRIBUTED_ARITHMETIC = 2


@dataclass(frozen=True, kw_only=True)
class HlsLayer:
    """One piece of hardware.

    Attributes:
        name: unique in its model.
        kind: what it computes.
        inputs: names of the layers it reads, in order.
        in_h, in_w, in_c, out_h, out_w, out_c: shapes; a recurrent layer has time as ``in_w`` and units as ``out_c``.
        kernel_h, kernel_w, stride_h, stride_w: of convolutions and pools.
        pad_top, pad_bottom, pad_left, pad_right: zero padding that the layer itself applies.
        weight_bits, bias_bits, accumulator_bits: 0 without weights.
        input_bits, output_bits: widths of one element.
        nonzero: share of weights that are not zero, in [0, 1].
        weight_peak: largest weight over full scale of its type, in (0, 1]; 0: not known.
        function: which activation, pool, merge or softmax implementation, in lower case.
        table_size, table_bits: of activations by table.
        saturates: the result clips instead of wrapping round.
        part: which part of the layer this is.
        reuse_factor: asked for; None: the model's user decides.
        strategy: asked for; None: the model's user decides.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...] = ()
    in_h: int = 1
    in_w: int = 1
    in_c: int = 1
    out_h: int = 1
    out_w: int = 1
    out_c: int = 1
    kernel_h: int = 1
    kernel_w: int = 1
    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_bottom: int = 0
    pad_left: int = 0
    pad_right: int = 0
    weight_bits: int = 0
    bias_bits: int = 0
    accumulator_bits: int = 0
    input_bits: int = DEFAULT_BITS
    output_bits: int = DEFAULT_BITS
    nonzero: float = 1.0
    weight_peak: float = 0.0
    function: str = ""
    table_size: int = 0
    table_bits: int = 0
    saturates: bool = False
    part: Part = Part.WHOLE
    reuse_factor: int | None = None
    strategy: Strategy | None = None

    @property
    def fan_in(self) -> int:
        """Products summed per output element; of a recurrent layer's input kernel."""
        if self.kind in {Kind.DEPTHWISE_CONV1D, Kind.DEPTHWISE_CONV2D}:
            return self.kernel_h * self.kernel_w
        if self.kind in CONVOLUTIONS:
            return self.kernel_h * self.kernel_w * self.in_c
        return self.in_c if self.kind in WEIGHTED else 0

    @property
    def weights(self) -> int:
        """Number of weights, biases not counted."""
        if self.kind in RECURRENT:
            gates = 4 if self.kind is Kind.LSTM else 3
            return gates * self.out_c * (self.in_c + self.out_c)
        return self.fan_in * self.out_c

    @property
    def macs(self) -> int:
        """Multiply-accumulate steps per inference, steps on zero padding included."""
        return self.weights * (self.in_w if self.kind in RECURRENT else self.out_h * self.out_w)


@dataclass(frozen=True)
class HlsModel:
    """A network of `HlsLayer` records in topological order.

    Args:
        name: of the model.
        layers: each reads layers that come before it.
        io_type: ``io_parallel`` or ``io_stream`` where the file says so.
        notes: what the reader had to assume, one sentence each.

    Raises:
        InputError: two layers of one name, an unknown input, or no layer at all.
    """

    name: str
    layers: tuple[HlsLayer, ...]
    io_type: str | None = None
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.layers:
            raise InputError("has no layer", where=f"model {self.name}")
        seen: set[str] = set()
        for layer in self.layers:
            if layer.name in seen:
                raise InputError("two layers have the same name", where=f"model {self.name}: layer {layer.name}")
            for source in layer.inputs:
                if source not in seen:
                    raise InputError(f"reads from {source!r}, which is not before it", where=f"model {self.name}: layer {layer.name}")
            seen.add(layer.name)

    def __iter__(self) -> Iterator[HlsLayer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def layer(self, name: str) -> HlsLayer:
        """The layer of that name."""
        found: HlsLayer = self.graph.nodes[name]["layer"]
        return found

    @cached_property
    def graph(self) -> nx.DiGraph:
        """Layer names as nodes, data flow as edges."""
        graph = nx.DiGraph()
        for layer in self.layers:
            graph.add_node(layer.name, layer=layer)
            graph.add_edges_from((source, layer.name) for source in layer.inputs)
        return graph

    @property
    def weights(self) -> int:
        """Number of weights of the network."""
        return sum(layer.weights for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulate steps per inference."""
        return sum(layer.macs for layer in self.layers)
