"""Prices of terms by flow: ``data/coefficients/streaming/<stage>-<tool>.toml``, written by ``tools/fit_streaming.py``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from codesign.catalogue import Quantity, load_record, record
from codesign.kpi.power import COEFFICIENTS
from codesign.kpi.streaming.flow import Flow

FOLDER = COEFFICIENTS / "streaming"
RESOURCES = ("lut", "ff")
BLOCKS = ("matrix_vector", "elements")


@record
class FlowRecord:
    """Contents of one file.

    Attributes:
        title: flow in words.
        base: file whose prices hold for terms that this one does not name; empty: none.
        scale: by resource: factor on prices taken from the base.
        matrix_vector, elements: by resource (``lut``, ``ff``): price of each term.
    """

    title: str
    base: str = ""
    scale: dict[str, Quantity]
    matrix_vector: dict[str, dict[str, Quantity]]
    elements: dict[str, dict[str, Quantity]]


def file_of(flow: Flow) -> Path:
    """The file of a flow."""
    return FOLDER / f"{flow.stage.value}-{flow.tool.value}.toml"


@cache
def flow_record(path: Path) -> FlowRecord:
    """One file."""
    return load_record(path, FlowRecord)


@cache
def prices(flow: Flow, block: str, resource: str) -> Mapping[str, float]:
    """Prices above 0 by term: those of the flow's file, and its base's for terms that it does not name."""
    return _resolve(file_of(flow), block, resource)


def _resolve(path: Path, block: str, resource: str) -> dict[str, float]:
    found = flow_record(path)
    tables: dict[str, dict[str, dict[str, Quantity]]] = {"matrix_vector": found.matrix_vector, "elements": found.elements}
    own = {name: quantity.value for name, quantity in tables[block].get(resource, {}).items()}
    if found.base:
        factor = found.scale[resource].value if resource in found.scale else 1.0
        own = {name: factor * value for name, value in _resolve(FOLDER / f"{found.base}.toml", block, resource).items()} | own
    return {name: value for name, value in own.items() if value > 0}
