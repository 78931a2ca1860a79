"""The networks and arrays that ``peers.py`` asks every tool about, and what this project's model says of them.

A design is written for the other tools as JSON: ``name``; ``array``: rows, columns, weight_bits, activation_bits,
accumulator_bits, weight_buffer_bits, activation_buffer_bits, output_buffer_bits (all banks together), bus_bits and
double_buffering; ``layers``: name, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w, stride_h, stride_w, pad_h
and pad_w of each dense or convolution layer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.accelerator.device import find_device
from codesign.accelerator.template import load_descriptor
from codesign.kpi.joint_space import JointSpace
from codesign.kpi.template_model import TemplateKpis, find_template
from codesign.network.layers import Layer, LayerGraph, LayerTable, Op
from codesign.network.table_builder import TableBuilder, TaskShape, Tensor
from codesign.space.columns import Columns
from codesign.space.design_space import DesignSpace
from codesign.space.parameters import Value

TEMPLATE = "pe_array"
PRESET = "balanced"
"""Widths, buffers, bus and clock of every array; rows and columns are the design's own."""
DEVICE = "pynq-z2"
CIFAR = TaskShape(input_shape=(32, 32, 3), classes=10, input_bits=8, input_signed=False)
KWS = TaskShape(input_shape=(49, 10), classes=12, input_bits=8, input_signed=True)
LAYER_FIELDS = ("in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "kernel_h", "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w")
KIB_BITS = 8192


def resnet8() -> LayerGraph:
    """The image network of MLPerf Tiny: a convolution, three residual blocks of two, average pooling, a dense layer."""
    builder = TableBuilder(1, CIFAR)
    common: dict[str, Any] = {"weight_bits": 8, "output_bits": 8}
    x = builder.convolution("conv1", builder.input(CIFAR.as_image()), Op.CONV2D, channels=16, kernel=(3, 3), relu=True, **common)
    for number, (channels, stride) in enumerate(((16, 1), (32, 2), (64, 2)), start=1):
        x = _residual(builder, f"stack{number}", x, channels, stride, common)
    x = builder.global_pool("pool", x, output_bits=8)
    builder.dense("dense", x, features=CIFAR.classes, weight_bits=8, output_bits=None, relu=False)
    return builder.build().graph(0)


def _residual(builder: TableBuilder, name: str, x: Tensor, channels: int, stride: int, common: dict[str, Any]) -> Tensor:
    """Two 3 x 3 convolutions and a shortcut, which is a 1 x 1 convolution where the block has a stride."""
    y = builder.convolution(f"{name}_first", x, Op.CONV2D, channels=channels, kernel=(3, 3), stride=(stride, stride), relu=True, **common)
    y = builder.convolution(f"{name}_second", y, Op.CONV2D, channels=channels, kernel=(3, 3), relu=False, **common)
    if stride > 1:
        x = builder.convolution(f"{name}_shortcut", x, Op.CONV2D, channels=channels, kernel=(1, 1), stride=(stride, stride), relu=False, **common)
    return builder.add(f"{name}_add", y, x, output_bits=8, relu=True)


def keyword_network() -> LayerGraph:
    """A ``tcresnet`` of three residual blocks for keyword spotting, 8 bits everywhere."""
    joint = JointSpace.build(KWS, ["tcresnet"], [TEMPLATE], find_device(DEVICE))
    values: dict[str, Value] = {"blocks": 3, "stem_width": 16, "stem_kernel": 3}
    for number, width in enumerate((24, 32, 48), start=1):
        values |= {f"block{number}_width": width, f"block{number}_kernel": 9, f"block{number}_stride": 2, f"block{number}_residual": 1}
    chosen = {f"tcresnet.{name}": value for name, value in values.items()}
    chosen |= {name: 8 for name in joint.space.names if name.startswith("tcresnet.") and name.endswith("_bits")}
    chosen |= {f"{TEMPLATE}.{name}": value for name, value in array_values(8, 8).items()}
    return joint.graph(joint.space.point(chosen))


NETWORKS = {"resnet8": resnet8, "kws": keyword_network}


@dataclass(frozen=True)
class Design:
    """One network on one array."""

    name: str
    network: LayerGraph
    values: dict[str, Value]

    @property
    def weighted(self) -> tuple[Layer, ...]:
        """The layers that are compared: dense and convolution layers."""
        return tuple(layer for layer in self.network if layer.weights)

    @property
    def slots(self) -> list[int]:
        """Where those are in the network."""
        return [slot for slot, layer in enumerate(self.network) if layer.weights]

    def as_json(self) -> dict[str, Any]:
        """The design in the notation that the other tools' programs read."""
        values = self.values
        banks = 1 + int(values["double_buffering"])
        array = {name: values[name] for name in ("rows", "columns", "weight_bits", "activation_bits", "accumulator_bits", "bus_bits", "double_buffering")}
        array |= {f"{name}_buffer_bits": int(values[f"{name}_buffer_kib"]) * KIB_BITS * banks for name in ("weight", "activation", "output")}
        return {"name": self.name, "array": array, "layers": [layer_json(layer) for layer in self.weighted]}


def layer_json(layer: Layer) -> dict[str, Any]:
    """Name and sizes of a layer."""
    return {"name": layer.name} | {name: int(getattr(layer, name)) for name in LAYER_FIELDS}


def array_values(rows: int, columns: int) -> dict[str, Value]:
    """Parameters of an array."""
    return {**load_descriptor(TEMPLATE).preset(PRESET).values, "rows": rows, "columns": columns}


def make_design(network: str, rows: int, columns: int) -> Design:
    """A network by name on an array of that size."""
    return Design(f"{network} on {rows}x{columns}", NETWORKS[network](), array_values(rows, columns))


def price(design: Design, count: int = 1) -> tuple[TemplateKpis, float]:
    """What the model says of ``count`` copies of a design in one call, and the processor seconds of the call."""
    table = LayerTable.from_graphs([design.network]).rows(np.zeros(count, dtype=np.intp))
    columns, device = _columns(design.values, count), find_device(DEVICE)
    start = time.process_time()
    costs = find_template(TEMPLATE).evaluate(table, columns, device)
    return costs, time.process_time() - start


def _columns(values: dict[str, Value], count: int) -> Columns:
    """The array as parameter columns; parameters that no preset gives keep their defaults."""
    assignment = {f"{TEMPLATE}.{name}": value for name, value in values.items()}
    parameters = find_template(TEMPLATE).parameters(find_device(DEVICE))
    space = DesignSpace([parameter for parameter in parameters if parameter.name in assignment], narrowed=True)
    return Columns(space, np.repeat(space.indices([space.point(assignment)]), count, axis=0), TEMPLATE)
