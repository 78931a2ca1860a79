"""Layer graphs and layer tables: one network, or a hundred thousand, without torch.

A `LayerGraph` is the single source for training, pricing, C simulation and drawing. A `LayerTable` is the same as
integer arrays over ``n`` designs x ``L`` layer slots; cost formulas work on tables, so one design and many go through
the same code. A slot that a design does not use has ``op == Op.ABSENT`` and zeros everywhere.

Shapes are height x width x channels. One-dimensional series have height 1 and time as width. Tensors are flattened
channels-last (h, w, c) before a dense layer. Arithmetic is integer with power-of-two scales: a layer multiplies and
accumulates exactly, adds its bias, applies ReLU where it has one, and rounds to ``output_bits`` (half to even,
saturating). The last layer keeps its accumulator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError

IntArray = NDArray[np.int32]


class Op(IntEnum):
    """What a layer computes."""

    ABSENT = 0
    INPUT = 1
    DENSE = 2
    CONV1D = 3
    CONV2D = 4
    DEPTHWISE_CONV1D = 5
    DEPTHWISE_CONV2D = 6
    ADD = 7
    """Sum of two tensors of one shape whose scales may differ by a power of two."""
    GLOBAL_POOL = 8
    """Sum over all positions times 2**-ceil(log2(h*w)): an average up to a constant power-of-two-friendly factor."""


WEIGHTED = (Op.DENSE, Op.CONV1D, Op.CONV2D, Op.DEPTHWISE_CONV1D, Op.DEPTHWISE_CONV2D)


@dataclass(frozen=True)
class Layer:
    """One layer of one design.

    Attributes:
        name: unique in its graph; letters, digits and underscores.
        op: what it computes.
        in_h, in_w, in_c: shape of the (first) input; a dense layer sees 1 x 1 x features.
        out_h, out_w, out_c: shape of the output.
        kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w: of convolutions (zero padding on both sides); a global
            pool has its whole input as kernel.
        groups: 1, or the channel count of a depthwise convolution.
        weight_bits, bias_bits: signed two's complement; 0 without weights.
        input_bits, output_bits: width of the tensors; ``input_signed`` and ``output_signed`` say which are signed.
        accumulator_bits: signed width that cannot overflow.
        relu: negative results become zero before rounding.
        input_a, input_b: slots of the predecessors in a table (-1: none).
    """

    name: str
    op: Op
    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    pad_h: int
    pad_w: int
    groups: int
    weight_bits: int
    bias_bits: int
    input_bits: int
    input_signed: int
    output_bits: int
    output_signed: int
    accumulator_bits: int
    relu: int
    input_a: int
    input_b: int

    @property
    def fan_in(self) -> int:
        """Products summed per output element."""
        return self.kernel_h * self.kernel_w * self.in_c // self.groups if self.op in WEIGHTED else 0

    @property
    def weights(self) -> int:
        """Number of weights, biases not counted."""
        return self.fan_in * self.out_c

    @property
    def macs(self) -> int:
        """Multiply-accumulate steps per inference, steps on zero padding included."""
        return self.weights * self.out_h * self.out_w


NUMERIC_FIELDS = tuple(field.name for field in fields(Layer) if field.name != "name")


class LayerGraph:
    """A network as a networkx DiGraph of `Layer` records in topological order.

    Args:
        layers: in topological order; ``input_a`` and ``input_b`` are positions in this sequence.

    Raises:
        InputError: an edge points forward, shapes do not fit, or there is not exactly one input and one output.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = tuple(layers)
        self.graph = nx.DiGraph()
        for position, layer in enumerate(self.layers):
            self.graph.add_node(layer.name, layer=layer)
            for source in (layer.input_a, layer.input_b):
                if source >= position:
                    raise InputError(f"reads from layer {source}, which is not before it", where=f"layer {layer.name}")
                if source >= 0:
                    self.graph.add_edge(self.layers[source].name, layer.name)
                    self._check_shape(self.layers[source], layer)
        if len(self.graph) != len(self.layers):
            raise InputError("two layers have the same name", where="layer graph")
        sinks = [name for name, degree in self.graph.out_degree() if degree == 0]
        sources = [layer.name for layer in self.layers if layer.op is Op.INPUT]
        if len(sinks) != 1 or len(sources) != 1:
            raise InputError(f"needs one input and one output, has inputs {sources} and outputs {sinks}", where="layer graph")

    @staticmethod
    def _check_shape(source: Layer, layer: Layer) -> None:
        produced = (source.out_h, source.out_w, source.out_c)
        expected = (layer.in_h, layer.in_w, layer.in_c)
        fits = int(np.prod(produced)) == layer.in_c if layer.op is Op.DENSE else produced == expected
        if not fits:
            raise InputError(f"expects input {expected}, but {source.name} gives {produced}", where=f"layer {layer.name}")

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, name: str) -> Layer:
        layer: Layer = self.graph.nodes[name]["layer"]
        return layer

    def predecessors(self, layer: Layer) -> tuple[Layer, ...]:
        """Inputs of a layer, in order."""
        return tuple(self.layers[source] for source in (layer.input_a, layer.input_b) if source >= 0)

    @property
    def input(self) -> Layer:
        """The input layer."""
        return next(layer for layer in self.layers if layer.op is Op.INPUT)

    @property
    def output(self) -> Layer:
        """The layer nobody reads."""
        return next(layer for layer in self.layers if self.graph.out_degree(layer.name) == 0)

    @property
    def weights(self) -> int:
        """Number of weights of the network."""
        return sum(layer.weights for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulate steps per inference."""
        return sum(layer.macs for layer in self.layers)

    @property
    def weight_bytes(self) -> float:
        """Memory of all weights at their widths, in bytes."""
        return sum(layer.weights * layer.weight_bits for layer in self.layers) / 8

    def as_rows(self) -> list[dict[str, int | str]]:
        """Layers as plain JSON types; `from_rows` reads them back."""
        return [{"name": layer.name, **{key: int(getattr(layer, key)) for key in NUMERIC_FIELDS}} for layer in self.layers]

    @classmethod
    def from_rows(cls, rows: Iterable[dict[str, int | str]]) -> LayerGraph:
        """Inverse of `as_rows`.

        Raises:
            InputError: a row lacks a field, has an unknown one, or holds something that is not an integer.
        """
        layers = []
        for row in rows:
            if set(row) != {"name", *NUMERIC_FIELDS}:
                raise InputError(f"layer record with fields {sorted(row)}", where="layer graph", remedy=f"It takes name, {', '.join(NUMERIC_FIELDS)}")
            try:
                numbers = {key: int(row[key]) for key in NUMERIC_FIELDS}
                op = Op(numbers.pop("op"))
                layers.append(Layer(name=str(row["name"]), op=op, **numbers))
            except (TypeError, ValueError) as error:
                raise InputError(f"layer record with a bad value: {error}", where="layer graph") from None
        return cls(layers)


@dataclass(frozen=True)
class LayerTable:
    """Layers of ``n`` designs as n x L int32 arrays; attribute names and meanings are those of `Layer`.

    ``names`` are those of the L slots. Slots are in topological order and ``input_a``, ``input_b`` are slot numbers.
    """

    names: tuple[str, ...]
    op: IntArray
    in_h: IntArray
    in_w: IntArray
    in_c: IntArray
    out_h: IntArray
    out_w: IntArray
    out_c: IntArray
    kernel_h: IntArray
    kernel_w: IntArray
    stride_h: IntArray
    stride_w: IntArray
    pad_h: IntArray
    pad_w: IntArray
    groups: IntArray
    weight_bits: IntArray
    bias_bits: IntArray
    input_bits: IntArray
    input_signed: IntArray
    output_bits: IntArray
    output_signed: IntArray
    accumulator_bits: IntArray
    relu: IntArray
    input_a: IntArray
    input_b: IntArray

    def __len__(self) -> int:
        return int(self.op.shape[0])

    @property
    def present(self) -> NDArray[np.bool_]:
        """Slots that hold a layer other than the input (n x L)."""
        return self.op > Op.INPUT

    @property
    def weighted(self) -> NDArray[np.bool_]:
        """Slots that hold a dense or convolution layer (n x L)."""
        return (self.op >= Op.DENSE) & (self.op <= Op.DEPTHWISE_CONV2D)

    @property
    def fan_in(self) -> NDArray[np.float64]:
        """Products summed per output element (n x L); 0 without weights."""
        products = self.kernel_h.astype(np.float64) * self.kernel_w * self.in_c / np.maximum(self.groups, 1)
        return np.where(self.weighted, products, 0.0)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Number of weights (n x L)."""
        return self.fan_in * self.out_c

    @property
    def macs(self) -> NDArray[np.float64]:
        """Multiply-accumulate steps per inference (n x L), steps on zero padding included."""
        return self.weights * self.out_h * self.out_w

    def rows(self, chosen: slice | NDArray[np.intp] | NDArray[np.bool_]) -> LayerTable:
        """The table of some of its designs."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in NUMERIC_FIELDS})

    def graph(self, row: int) -> LayerGraph:
        """One design as a graph; absent slots are left out and references renumbered."""
        slots = [slot for slot in range(len(self.names)) if self.op[row, slot] != Op.ABSENT]
        position = {slot: number for number, slot in enumerate(slots)} | {-1: -1}
        layers = []
        for slot in slots:
            numbers = {name: int(getattr(self, name)[row, slot]) for name in NUMERIC_FIELDS}
            numbers |= {key: position[numbers[key]] for key in ("input_a", "input_b")}
            op = Op(numbers.pop("op"))
            layers.append(Layer(name=self.names[slot], op=op, **numbers))
        return LayerGraph(layers)

    @classmethod
    def from_graphs(cls, graphs: Sequence[LayerGraph]) -> LayerTable:
        """Graphs as one table; slot names are ``layer0``, ``layer1``, ... where the graphs disagree."""
        length = max(len(graph) for graph in graphs)
        columns = {name: np.zeros((len(graphs), length), dtype=np.int32) for name in NUMERIC_FIELDS}
        columns["input_a"][:] = -1
        columns["input_b"][:] = -1
        for row, graph in enumerate(graphs):
            for slot, layer in enumerate(graph):
                for name in NUMERIC_FIELDS:
                    columns[name][row, slot] = getattr(layer, name)
        same = all([layer.name for layer in graph] == [layer.name for layer in graphs[0]] for graph in graphs)
        names = tuple(layer.name for layer in graphs[0]) if same else tuple(f"layer{slot}" for slot in range(length))
        return cls(names=names, **columns)
