"""ONNX files from strangers: read within limits, checked, and turned into plain records."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from codesign.errors import InputError, ToolMissingError
from codesign.network.importers.draft import MAX_ELEMENTS

MAX_BYTES = 512 * 2**20
"""Largest ONNX file that is read."""
MAX_NODES = 50_000
STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
QUANTISER_DOMAINS = frozenset({"qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general"})


@dataclass(frozen=True)
class OnnxNode:
    """One node: its operator, the values it reads and writes, and its attributes as Python values."""

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    where: str

    def error(self, what: str, remedy: str | None = None) -> InputError:
        """An error that names file, node and operator."""
        return InputError(what, where=f"{self.where}: node {self.name} ({self.op})", remedy=remedy)

    def integer(self, name: str, default: int) -> int:
        """A whole-number attribute."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            raise self.error(f"attribute {name} is {value!r} where a whole number is needed")
        return value

    def text(self, name: str, default: str) -> str:
        """A text attribute."""
        value = self.attributes.get(name, default)
        if not isinstance(value, str):
            raise self.error(f"attribute {name} is {value!r} where a text is needed")
        return value

    def integers(self, name: str, count: int | None = None, default: int | None = None) -> tuple[int, ...]:
        """A list attribute of ``count`` whole numbers."""
        if name not in self.attributes and default is not None and count is not None:
            return (default,) * count
        value = self.attributes.get(name)
        if not isinstance(value, list) or not all(isinstance(entry, int) for entry in value) or (count is not None and len(value) != count):
            raise self.error(f"attribute {name} is {value!r} where {count or 'some'} whole numbers are needed")
        return tuple(value)


@dataclass(frozen=True)
class OnnxGraph:
    """The parts of a model that the reader needs.

    Attributes:
        name: of the graph.
        where: the file.
        inputs: dimensions of every input that is no initialiser; None: not fixed.
        constants: initialisers by name.
        nodes: in the file's order, which is topological.
        outputs: names of the graph's outputs.
        readers: nodes that read a value.
    """

    name: str
    where: str
    inputs: dict[str, tuple[int | None, ...]]
    constants: dict[str, np.ndarray[Any, Any]]
    nodes: tuple[OnnxNode, ...]
    outputs: tuple[str, ...]
    readers: dict[str, list[OnnxNode]] = field(default_factory=dict)


def load_onnx(path: Path) -> OnnxGraph:
    """Read an ONNX file.

    Raises:
        InputError: the file cannot be read, is too large or damaged, or keeps its weights outside.
        ToolMissingError: the package ``onnx`` is not installed.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ToolMissingError("the Python package onnx is not installed", where=str(path), remedy="Run: pip install onnx") from error
    where = str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"is larger than {MAX_BYTES // 2**20} MiB", where=where)
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=where) from error
    except (DecodeError, ValueError) as error:
        raise InputError("is not an ONNX file, or is damaged", where=where, remedy="Export the model again.") from error
    graph = model.graph
    if not graph.node:
        raise InputError("holds no network", where=where, remedy="Check that the file is an ONNX model and complete.")
    if len(graph.node) > MAX_NODES:
        raise InputError(f"has more than {MAX_NODES} nodes", where=where)
    if graph.sparse_initializer:
        raise InputError("holds sparse initialisers", where=where, remedy="Export the model with dense weights.")
    constants = {_text(tensor.name): _array(tensor, where) for tensor in graph.initializer}
    nodes = tuple(_node(node, index, where) for index, node in enumerate(graph.node))
    inputs = {_text(value.name): _dims(value, where) for value in graph.input if _text(value.name) not in constants}
    readers: dict[str, list[OnnxNode]] = {}
    for node in nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    outputs = tuple(_text(value.name) for value in graph.output)
    return OnnxGraph(_text(graph.name), where, inputs, constants, nodes, outputs, readers)


def _text(value: Any) -> str:
    """A name; protobuf hands out bytes where a damaged file holds no UTF-8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _array(tensor: Any, where: str) -> np.ndarray[Any, Any]:
    import onnx

    place = f"{where}: initialiser {tensor.name or 'of a constant'}"
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise InputError("keeps its data in another file", where=place, remedy="Save the model in one file (onnx.save_model without external data).")
    if any(size < 0 for size in tensor.dims) or math.prod(tensor.dims) > MAX_ELEMENTS:
        raise InputError(f"has the shape {list(tensor.dims)}", where=place)
    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"is damaged: {error}", where=place) from error


def _node(node: Any, index: int, where: str) -> OnnxNode:
    operator = _text(node.op_type)
    name = _text(node.name) or f"{operator}_{index}"
    if not node.output:
        raise InputError("has no output", where=f"{where}: node {name} ({operator})")
    attributes = dict(_attributes(node.attribute, f"{where}: node {name} ({operator})"))
    inputs, outputs = (tuple(_text(value) for value in values) for values in (node.input, node.output))
    return OnnxNode(name, operator, _text(node.domain), inputs, outputs, attributes, where)


def _attributes(attributes: Iterable[Any], where: str) -> Iterable[tuple[str, Any]]:
    import onnx

    for attribute in attributes:
        if attribute.type in {onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS}:
            raise InputError("holds a subgraph", where=where, remedy="Loops and conditions cannot be built as a pipeline: export the model without them.")
        if attribute.type == onnx.AttributeProto.TENSOR:
            yield _text(attribute.name), _array(attribute.t, where)
            continue
        try:
            value = onnx.helper.get_attribute_value(attribute)
            yield _text(attribute.name), value.decode("utf-8") if isinstance(value, bytes) else list(value) if not isinstance(value, int | float) else value
        except (ValueError, TypeError) as error:
            raise InputError(f"attribute {attribute.name} cannot be read: {error}", where=where) from error


def _dims(value: Any, where: str) -> tuple[int | None, ...]:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        raise InputError("has no shape", where=f"{where}: input {value.name}", remedy="Export the model with a fixed input shape.")
    return tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in tensor.shape.dim)
