"""The layers of a Keras architecture in topological order, whichever version of Keras wrote it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from codesign.errors import InputError
from codesign.network.importers.draft import Widths
from codesign.network.importers.json_file import Record
from codesign.network.importers.precision import quantiser_bits


@dataclass(frozen=True)
class KerasLayer:
    """One entry of the layer list."""

    class_name: str
    name: str
    config: Record
    inputs: tuple[str, ...]

    def bits(self, quantiser: str) -> int | None:
        """Bits of one of the layer's QKeras quantisers; None for no such quantiser."""
        return quantiser_bits(self.config.get(f"{quantiser}_quantizer"), f"{self.config.where}: {quantiser}_quantizer")

    def widths(self, kernel: str = "kernel") -> Widths:
        """Widths that the layer's QKeras quantisers fix."""
        return Widths(weight=self.bits(kernel), bias=self.bits("bias"))


def keras_layers(record: Record) -> list[KerasLayer]:
    """The layers in topological order, with the names of their inputs."""
    config = Record({"layers": record.get("config")}, record.where) if isinstance(record.get("config"), list) else record.record("config")
    entries = config.records("layers")
    if not entries:
        raise config.error("layers", "is empty")
    if record.get("class_name") == "Sequential":
        return _sequential(entries)
    return _sorted([keras_entry(entry, _inbound(entry)) for entry in entries])


def keras_entry(entry: Record, inputs: tuple[str, ...]) -> KerasLayer:
    """A layer from its entry and the names of its inputs."""
    config = entry.record("config")
    name = config.text("name", entry.text("name", "")) or entry.text("class_name").lower()
    return KerasLayer(entry.text("class_name").rsplit(">", 1)[-1], name, config, inputs)


def _sequential(entries: list[Record]) -> list[KerasLayer]:
    layers: list[KerasLayer] = []
    first = entries[0]
    if first.text("class_name") != "InputLayer":
        config = first.record("config")
        layers.append(KerasLayer("InputLayer", "input1", config, ()))
    for entry in entries:
        layers.append(keras_entry(entry, (layers[-1].name,) if layers else ()))
    return layers


def _inbound(entry: Record) -> tuple[str, ...]:
    nodes = entry.get("inbound_nodes") or []
    if not isinstance(nodes, list):
        raise entry.error("inbound_nodes", "is not a list")
    if len(nodes) > 1:
        raise entry.error("inbound_nodes", f"the layer is used {len(nodes)} times; layers that share weights are not supported")
    return tuple(_histories(nodes[0], f"{entry.where}: inbound_nodes")) if nodes else ()


def _histories(node: object, where: str) -> list[str]:
    """Names of the layers that a call reads: Keras 3 nests ``keras_history``, Keras 2 lists ``[name, node, tensor, ...]``."""
    if isinstance(node, dict):
        if "keras_history" in node:
            return _histories([node["keras_history"]], where)
        return [name for key in ("args", "kwargs", "config") if key in node for name in _histories(node[key], where)] or [
            name for value in node.values() if isinstance(value, dict | list) for name in _histories(value, where)
        ]
    if isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and all(isinstance(index, int) for index in node[1:3]):
            if node[2] != 0:
                raise InputError(f"reads output {node[2]} of {node[0]!r}", where=where, remedy="Layers with one output are supported.")
            return [node[0]]
        return [name for entry in node for name in _histories(entry, where)]
    return []


def _sorted(layers: list[KerasLayer]) -> list[KerasLayer]:
    """Topological order."""
    repeated = [name for name, count in Counter(layer.name for layer in layers).items() if count > 1]
    if repeated:
        raise InputError(f"two layers are named {repeated[0]!r}", where=layers[0].config.where)
    known = {layer.name for layer in layers}
    for layer in layers:
        missing = [name for name in layer.inputs if name not in known]
        if missing:
            raise InputError(f"reads from {missing[0]!r}, which does not exist", where=f"{layer.config.where}: {layer.name}")
    done: dict[str, KerasLayer] = {}
    waiting = layers
    while waiting:
        rest = []
        for layer in waiting:
            if all(name in done for name in layer.inputs):
                done[layer.name] = layer
            else:
                rest.append(layer)
        if len(rest) == len(waiting):
            raise InputError("layers read each other in a circle", where=f"{rest[0].config.where}: {rest[0].name}")
        waiting = rest
    return list(done.values())
