"""Small designs for the tests of the streaming model."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from codesign.kpi.streaming.flow import Flow, Stage, Tool
from codesign.kpi.streaming.hls_table import Build, HlsTable
from codesign.kpi.streaming.matrix_vector import MatrixVector
from codesign.network.hls_model import CONVOLUTIONS, RECURRENT, HlsLayer, HlsModel, Kind, Strategy

V2019, V2020, VITIS = Tool.VIVADO_HLS_2019, Tool.VIVADO_HLS_2020, Tool.VITIS_HLS
FLOWS = [Flow(tool, stage) for tool in Tool for stage in Stage]
WEIGHTED_KINDS = sorted({Kind.DENSE} | CONVOLUTIONS | RECURRENT)


def layer(kind: Kind, name: str = "layer", **values: Any) -> HlsLayer:
    """A layer; with weights it has 8-bit ones and 16-bit sums unless told otherwise."""
    weights = {"weight_bits": 8, "bias_bits": 8, "accumulator_bits": 16} if kind in WEIGHTED_KINDS else {}
    return HlsLayer(name=name, kind=kind, **(weights | values))


def model(*layers: HlsLayer, name: str = "model") -> HlsModel:
    """Layers as a network."""
    return HlsModel(name=name, layers=layers)


def chain(*layers: HlsLayer) -> HlsModel:
    """Layers one after the other."""
    names = [None, *(each.name for each in layers)]
    return model(*(HlsLayer(**{**vars(each), "inputs": (before,) if before else ()}) for each, before in zip(layers, names, strict=False)))


def build(stream: bool = False, strategy: Strategy = Strategy.RESOURCE, reuse_factor: int = 1, **values: Any) -> Build:
    """How to build it."""
    return Build(io_type="io_stream" if stream else "io_parallel", strategy=strategy, reuse_factor=reuse_factor, **values)


def units(shape: HlsLayer, how: Build, tool: Tool = V2020) -> MatrixVector:
    """The units of one layer alone."""
    return MatrixVector(HlsTable.from_models([model(shape)], [how]), tool)


def dense(
    n_in: int, n_out: int, reuse: int = 1, tool: Tool = V2020, *, stream: bool = False, strategy: Strategy = Strategy.RESOURCE, **values: Any
) -> MatrixVector:
    """The unit of one dense layer; ``series7``, ``clock_ns`` and ``logic_only`` are for its build."""
    own = {name: values.pop(name) for name in ("series7", "clock_ns", "logic_only") if name in values}
    return units(layer(Kind.DENSE, in_c=n_in, out_c=n_out, **values), build(stream, strategy, reuse, **own), tool)


@st.composite
def weighted_layers(draw: st.DrawFn) -> HlsLayer:
    """A layer with weights, of any kind and width."""
    kind = draw(st.sampled_from(WEIGHTED_KINDS))
    small = st.integers(1, 6)
    values: dict[str, Any] = {"in_c": draw(st.integers(1, 40)), "out_c": draw(st.integers(1, 40)), "nonzero": draw(st.sampled_from([1.0, 0.5, 0.0]))}
    if kind in {Kind.DEPTHWISE_CONV1D, Kind.DEPTHWISE_CONV2D}:
        values["out_c"] = values["in_c"]
    if kind in CONVOLUTIONS:
        height = draw(small) if kind in {Kind.CONV2D, Kind.DEPTHWISE_CONV2D} else 1
        width = draw(st.integers(1, 20))
        kernel_h, kernel_w = draw(st.integers(1, height)), draw(st.integers(1, width))
        values |= {"kernel_h": kernel_h, "kernel_w": kernel_w, "in_h": height, "in_w": width}
        values |= {"out_h": height - kernel_h + 1, "out_w": width - kernel_w + 1}
        values |= {"pad_left": draw(st.integers(0, 1)), "pad_right": draw(st.integers(0, 1))}
        values["out_w"] += values["pad_left"] + values["pad_right"]
    if kind in RECURRENT:
        values |= {"in_w": draw(small)}
    values |= {name: draw(st.integers(1, 20)) for name in ("weight_bits", "bias_bits", "input_bits", "output_bits", "accumulator_bits")}
    return layer(kind, **values, weight_peak=draw(st.sampled_from([0.0, 0.1, 1.0])))


@st.composite
def builds(draw: st.DrawFn) -> Build:
    """Any way to build."""
    return build(
        draw(st.booleans()), draw(st.sampled_from(list(Strategy))), draw(st.sampled_from([1, 2, 4, 7, 16, 100, 10**6])),
        clock_ns=draw(st.sampled_from([2.0, 5.0, 10.0])), series7=draw(st.booleans()), logic_only=draw(st.booleans()),
    )  # fmt: skip
