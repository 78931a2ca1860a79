"""Walk of an ONNX graph: which values are constant, and what every other value is in height, width and channels.

ONNX does not say which axis means what; the operators that read a value do. Every value that depends on the input carries
one letter per axis: ``n`` batch, ``h``, ``w``, ``c``, and ``d`` for an axis of size 1 without a meaning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from codesign.errors import InputError
from codesign.network.hls_model import Kind
from codesign.network.importers import operators
from codesign.network.importers.draft import Draft, Shape, Tensor
from codesign.network.importers.json_file import MAX_SIZE
from codesign.network.importers.onnx_constants import Constant, fold
from codesign.network.importers.onnx_file import QUANTISER_DOMAINS, STANDARD_DOMAINS, OnnxGraph, OnnxNode

Axes = tuple[str, ...]
SPATIAL = frozenset({"h", "w"})
CHANNELS_FIRST = frozenset({
    "Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "BatchNormalization", "InstanceNormalization", "Resize", "Upsample",
})  # fmt: skip
ELEMENTWISE = frozenset({
    "Quant", "IntQuant", "BipolarQuant", "Trunc", "QuantizeLinear", "DequantizeLinear", "Clip", "Identity", "Dropout", "Cast", "Relu", "Sigmoid",
    "Tanh", "Add", "Sub", "Mul", "Div", "Pad", "LeakyRelu", "PRelu", "HardSigmoid",
})  # fmt: skip


@dataclass(frozen=True)
class Signal:
    """A value that depends on the input of the network.

    Attributes:
        source: the layer that computes it.
        dims: ONNX dimensions, batch of 1 included.
        axes: a letter per dimension.
        levels: bits of a value between QuantizeLinear and DequantizeLinear.
    """

    source: str
    dims: tuple[int, ...]
    axes: Axes
    levels: int | None = None

    @property
    def shape(self) -> Shape:
        """Height x width x channels."""
        sizes = dict(zip(self.axes, self.dims, strict=True))
        return Shape(sizes.get("h", 1), sizes.get("w", 1), sizes.get("c", 1))

    @property
    def tensor(self) -> Tensor:
        """As an operand of `codesign.network.importers.operators`."""
        return Tensor(self.source, self.shape)


Value = Constant | Signal
Handler = Callable[["Walk", OnnxNode], None]


def channels_first(rank: int) -> Axes:
    """The axes that convolutions and pools expect."""
    return ("n", "c", *("h", "w")[4 - rank :]) if rank > 2 else ("n", "c")[2 - rank :]


def channels_last(rank: int) -> Axes:
    """The axes that matrix products expect."""
    return ("n", *("h", "w")[4 - rank :], "c") if rank > 2 else ("n", "c")[2 - rank :]


@dataclass
class Walk:
    """State of the walk: values by name, and the network so far."""

    graph: OnnxGraph
    draft: Draft
    handlers: dict[str, Handler]
    values: dict[str, Value] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)
    """Layers whose output several nodes read, or that is an output of the network."""
    scaled: list[str] = field(default_factory=list)
    """Quantisers whose scale is no power of two."""

    def run(self) -> None:
        """Read inputs and nodes.

        Raises:
            InputError: an unknown operator, a dynamic shape, a value that nobody computed.
        """
        self.values.update({name: Constant(array) for name, array in self.graph.constants.items()})
        for name, dims in self.graph.inputs.items():
            self._input(name, dims)
        for node in self.graph.nodes:
            self._node(node)
        if not any(isinstance(self.values.get(name), Signal) for name in self.graph.outputs):
            raise InputError("no output depends on an input", where=self.graph.where)
        if self.scaled:
            count = len(self.scaled)
            self.draft.note(f"The scale of {count} quantisers is no power of two; the multiplications that hls4ml adds for them are not counted.")

    def _input(self, name: str, dims: tuple[int | None, ...]) -> None:
        where = f"{self.graph.where}: input {name}"
        if not 1 <= len(dims) <= 4:
            raise InputError(f"has {len(dims)} axes", where=where, remedy="Two to four, the batch included, are supported.")
        axes = self.axes_of(name, len(dims))
        fixed = [1 if axis == "n" else size for axis, size in zip(axes, dims, strict=True)]
        if any(size is None for size in fixed):
            raise InputError("an axis besides the batch has no fixed size", where=where, remedy="Export the model with a fixed input shape.")
        sizes = tuple(size for size in fixed if size is not None)
        if max(sizes) > MAX_SIZE:
            raise InputError(f"has the shape {sizes}", where=where, remedy=f"The largest axis is {MAX_SIZE}.")
        if any(size not in {None, 1} for axis, size in zip(axes, dims, strict=True) if axis == "n"):
            self.draft.note(f"The batch of input {name} is taken as 1.")
        signal = Signal("", sizes, axes)
        self.store(name, replace(signal, source=operators.add_input(self.draft, name, signal.shape).source))

    def _node(self, node: OnnxNode) -> None:
        if node.domain not in STANDARD_DOMAINS | QUANTISER_DOMAINS:
            remedy = "Use the model before qonnx-to-channels-last." if "channels_last" in node.domain else "Export with standard ONNX or QONNX operators."
            raise node.error(f"belongs to the operator set {node.domain!r}, which is not supported", remedy)
        missing = [name for name in node.inputs if name and name not in self.values]
        if missing:
            raise node.error(f"reads {missing[0]!r}, which no node before it computes", "Sort the nodes, and check for cycles.")
        operands = [self.values[name] if name else None for name in node.inputs]
        constants = [operand for operand in operands if not isinstance(operand, Signal)]
        if len(constants) == len(operands):
            self.values[node.outputs[0]] = fold(node, constants)
            return
        handler = self.handlers.get(node.op)
        if handler is None:
            raise node.error("the operator is not supported", f"Supported: {', '.join(sorted(self.handlers))}.")
        handler(self, node)

    def axes_of(self, name: str, rank: int) -> Axes:
        """Letters of a value from the operators that read it, through those that only reorder or map elements."""
        queue = deque([(name, tuple(range(rank)))])
        for _ in range(200):
            if not queue:
                break
            current, order = queue.popleft()
            for node in self.graph.readers.get(current, []):
                axes = self._wanted(node, current, rank)
                if axes is not None:
                    letters = dict(zip(order, axes, strict=True))
                    return tuple(letters[position] for position in range(rank))
                permutation = node.attributes.get("perm", list(reversed(range(rank))))
                if node.op == "Transpose" and sorted(permutation) == list(range(rank)):
                    queue.append((node.outputs[0], tuple(order[position] for position in permutation)))
                elif node.op in ELEMENTWISE and node.outputs:
                    queue.append((node.outputs[0], order))
        return channels_first(rank) if rank == 4 else channels_last(rank)

    def _wanted(self, node: OnnxNode, name: str, rank: int) -> Axes | None:
        if node.op in CHANNELS_FIRST and node.inputs[0] == name:
            return channels_first(rank)
        if node.op in {"MatMul", "Gemm"}:
            return channels_last(rank)
        if node.op in {"LSTM", "GRU"} and rank == 3:
            return ("w", "n", "c")
        return None

    def store(self, name: str, value: Value) -> None:
        """Name a value, and remember whether somebody else reads the layer behind it."""
        self.values[name] = value
        if isinstance(value, Signal) and (len(self.graph.readers.get(name, [])) > 1 or (name in self.graph.outputs and name in self.graph.readers)):
            self.shared.add(value.source)

    def signal(self, node: OnnxNode, position: int = 0) -> Signal:
        """An input of a node that must depend on the network's input."""
        value = self.values.get(node.inputs[position]) if len(node.inputs) > position else None
        if not isinstance(value, Signal):
            raise node.error(f"input {position} is constant where a result of the network is needed")
        return value

    def constant(self, node: OnnxNode, position: int) -> Constant:
        """An input of a node that must be constant."""
        value = self.optional(node, position)
        if value is None:
            raise node.error(f"input {position} is missing")
        return value

    def optional(self, node: OnnxNode, position: int) -> Constant | None:
        """A constant input of a node that may be missing."""
        value = self.values.get(node.inputs[position]) if len(node.inputs) > position and node.inputs[position] else None
        if isinstance(value, Signal):
            raise node.error(f"input {position} is computed by the network", "It must be a constant.")
        return value

    def constants(self, node: OnnxNode) -> list[Constant | None]:
        """The inputs of a node, None for those that are not constant."""
        values = [self.values.get(name) for name in node.inputs]
        return [value if isinstance(value, Constant) else None for value in values]

    def as_axes(self, node: OnnxNode, signal: Signal, axes: Axes) -> Signal:
        """The signal read with other letters; a stream must be reordered for it."""
        if signal.axes == axes or len(signal.axes) != len(axes):
            if len(signal.axes) != len(axes):
                raise node.error(f"reads a tensor of shape {signal.dims}", f"It needs {len(axes)} axes.")
            return signal
        changed = replace(signal, axes=axes)
        if changed.shape == signal.shape:
            return changed
        tensor = operators.add_reshape(self.draft, f"{node.name}_transpose", signal.tensor, changed.shape, function="transpose")
        return replace(changed, source=tensor.source)

    def emit(self, node: OnnxNode, tensor: Tensor, axes: Axes) -> None:
        """Store a layer's output under the node's first output."""
        sizes = {"h": tensor.shape.h, "w": tensor.shape.w, "c": tensor.shape.c}
        self.store(node.outputs[0], Signal(tensor.source, tuple(sizes.get(axis, 1) for axis in axes), axes))

    def reshaped(self, node: OnnxNode, signal: Signal, dims: Sequence[int]) -> None:
        """Store the signal in other dimensions, through a layer where height, width or channels change."""
        sizes = tuple(dims)
        if not 1 <= len(sizes) <= 4:
            raise node.error(f"makes a tensor of shape {sizes}", "Two to four axes, the batch included, are supported.")
        kept = [position for position, axis in enumerate(signal.axes) if axis != "d"]
        if sizes == signal.dims:
            axes = signal.axes
        elif sizes == tuple(signal.dims[position] for position in kept):
            axes = tuple(signal.axes[position] for position in kept)
        else:
            axes = self.axes_of(node.outputs[0], len(sizes))
        if any(size != 1 for size, axis in zip(sizes, axes, strict=True) if axis in "nd"):
            raise node.error(f"makes a tensor of shape {sizes} whose batch is not 1", "Export the model with a batch of 1.")
        changed = replace(signal, dims=sizes, axes=axes)
        if changed.shape != signal.shape:
            changed = replace(changed, source=operators.add_reshape(self.draft, node.name, signal.tensor, changed.shape).source)
        self.store(node.outputs[0], changed)

    def quantise(self, node: OnnxNode, signal: Signal, bits: int, *, saturates: bool) -> None:
        """Give the layer behind a signal its output type; a layer that others read too gets a quantiser of its own."""
        draft = self.draft.layers[signal.source]
        result = draft.widths.result
        plain = replace(signal, levels=None)
        if result != bits and (result is not None or signal.source in self.shared or draft.layer.kind is Kind.RESHAPE):
            tensor = operators.add_activation(self.draft, node.name, signal.tensor, "quantiser")
            plain = replace(plain, source=tensor.source)
        self.draft.set_result(plain.source, bits, saturates=saturates)
        self.store(node.outputs[0], plain)
