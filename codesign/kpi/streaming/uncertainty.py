"""How far the streaming model may be off: 95 % intervals by kind of design, from designs that were left out of the fits.

``data/coefficients/streaming/errors.toml``, written by ``tools/fit_streaming.py``: for each flow, class of design and key
figure a relative and an absolute error. A prediction v has the interval ``v / (1 + r) - a`` to ``v * (1 + r) + a``.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from codesign.catalogue import Quantity, load_record, record
from codesign.kpi.streaming.flow import Flow
from codesign.kpi.streaming.hls_table import HlsTable
from codesign.kpi.streaming.prices import FOLDER
from codesign.kpi.template_model import FloatArray
from codesign.network.hls_model import Kind, Strategy

FIGURES = ("latency", "interval", "lut", "ff", "dsp", "bram18")


class DesignClass(IntEnum):
    """Kinds of designs whose errors differ: single layers, and networks of several rows."""

    SEQUENTIAL_LAYER = 0
    """io_parallel, dense, Resource strategy with RF of at least its inputs."""
    UNROLLED_LAYER = 1
    """io_parallel otherwise."""
    STREAM_LAYER = 2
    """io_stream."""
    SEQUENTIAL_NETWORK = 3
    """io_parallel, all layers with weights dense and in Resource strategy with RF of at least their inputs."""
    UNROLLED_NETWORK = 4
    """io_parallel otherwise: some layer is unrolled, folded, a convolution or recurrent, or none has weights."""
    STREAM_NETWORK = 5


@record
class FigureError:
    """Error of one key figure: 95 % of designs lie within.

    Attributes:
        relative: share.
        absolute: in the figure's unit.
    """

    relative: Quantity
    absolute: Quantity


@record
class ErrorRecord:
    """Contents of ``errors.toml``: by ``<stage>-<tool>``, class and figure."""

    flows: dict[str, dict[str, dict[str, FigureError]]]


@cache
def error_record() -> ErrorRecord:
    """All errors."""
    return load_record(FOLDER / "errors.toml", ErrorRecord)


def design_classes(table: HlsTable) -> NDArray[np.int64]:
    """Class of each design (n,), as `DesignClass`."""
    stream = table.largest(table.stream.astype(np.float64)) > 0
    in_turn = (table.strategy == Strategy.RESOURCE) & (table.reuse > 1) & (table.reuse >= table.fan_in) & (table.kind == Kind.DENSE)
    unrolled = table.largest((table.weighted & ~in_turn).astype(np.float64)) > 0
    sequential = ~unrolled & (table.largest((table.weighted & in_turn).astype(np.float64)) > 0)
    layer = np.where(stream, DesignClass.STREAM_LAYER, np.where(sequential, DesignClass.SEQUENTIAL_LAYER, DesignClass.UNROLLED_LAYER))
    several = table.total(np.ones(len(table))) > 1
    return np.where(several, layer + DesignClass.SEQUENTIAL_NETWORK, layer).astype(np.int64)


def errors_of(flow: Flow, figure: str) -> tuple[FloatArray, FloatArray]:
    """Relative and absolute error by class (6,)."""
    found = error_record().flows[f"{flow.stage.value}-{flow.tool.value}"]
    pairs = [found[each.name.lower()][figure] for each in DesignClass]
    return np.array([pair.relative.value for pair in pairs]), np.array([pair.absolute.value for pair in pairs])


def interval(flow: Flow, figure: str, values: FloatArray, classes: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """95 % interval (n,) of predictions (n,)."""
    relative, absolute = (errors[classes] for errors in errors_of(flow, figure))
    return np.maximum(values / (1.0 + relative) - absolute, 0.0), values * (1.0 + relative) + absolute
