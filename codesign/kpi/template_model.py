"""What a template model is, and how one is found.

Notation: ``n`` designs, ``L`` layer slots. A template model prices all n designs of a layer table at once.

A built-in template is a folder of ``accel_templates`` whose ``template.toml`` says where its model is; nothing else lists
it. Other packages register theirs under the entry-point group ``codesign.templates``. Looking for templates imports none
of them: a model is imported when it is asked for by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.device import Device
from codesign.accelerator.hls_plan import HlsPlan
from codesign.accelerator.template import DESCRIPTOR_FILE, load_descriptor, templates_folder
from codesign.errors import InputError
from codesign.network.layers import LayerGraph, LayerTable
from codesign.network.table_builder import TaskShape
from codesign.space.columns import Columns
from codesign.space.parameters import Parameter, Value

ENTRY_POINTS = "codesign.templates"
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class LayerKpis:
    """What each layer of each design does, n x L, zero in absent slots.

    Attributes:
        cycles: clock cycles the layer's hardware is busy per inference.
        macs: multiply-accumulate steps on real input (zero padding not counted where the template skips it).
        utilisation: share of the layer's multiplier slots that do real work, in [0, 1].
        multipliers: multipliers that work on the layer.
        reuse_factor: times each of them is used per output position.
        weight_bytes: memory of the weights as stored.
        off_chip_bytes: external memory traffic.
    """

    cycles: FloatArray
    macs: FloatArray
    utilisation: FloatArray
    multipliers: FloatArray
    reuse_factor: FloatArray
    weight_bytes: FloatArray
    off_chip_bytes: FloatArray


@dataclass(frozen=True)
class TemplateKpis:
    """Cost of n designs on one template; arrays (n,).

    Attributes:
        latency_cycles: from the first input word to the last output word.
        interval_cycles: between two inferences that follow each other.
        clock_mhz: clock.
        lut, ff, dsp, bram18, uram: resources in counts.
        dynamic_uj: energy per inference that comes on top of static power, external memory included.
        off_chip_bytes: external memory traffic per inference.
        limits: legality by name: utilisation of what the template or its tools allow; illegal above 1.
        relative_error: by KPI name, a number or (n,): the 95 % interval is a factor 1 + error either way; 0 where exact.
        layers: the same layer by layer.
    """

    latency_cycles: FloatArray
    interval_cycles: FloatArray
    clock_mhz: FloatArray
    lut: FloatArray
    ff: FloatArray
    dsp: FloatArray
    bram18: FloatArray
    uram: FloatArray
    dynamic_uj: FloatArray
    off_chip_bytes: FloatArray
    relative_error: Mapping[str, float | FloatArray]
    layers: LayerKpis
    limits: Mapping[str, FloatArray] = field(default_factory=dict)


class TemplateModel(Protocol):
    """Cost model of one accelerator template."""

    name: str
    description: str

    def parameters(self, device: Device, shape: TaskShape | None = None) -> tuple[Parameter, ...]:
        """The template's dimensions of the design space on a device; with a task, values no network of it can use are left out."""

    def evaluate(self, table: LayerTable, columns: Columns, device: Device) -> TemplateKpis:
        """Cost of n networks on n accelerators: row i of the table on row i of the columns."""

    def hls_plan(self, graph: LayerGraph, values: Mapping[str, Value], device: Device) -> HlsPlan:
        """How the network is exported to hls4ml; ``values`` by short parameter name."""


@cache
def template_names() -> tuple[str, ...]:
    """All templates: the built-in ones and those of other packages.

    Raises:
        InputError: two templates have the same name.
    """
    return tuple(sorted({*_built_in(), *_of_other_packages()}))


@cache
def find_template(name: str) -> TemplateModel:
    """The template model of that name.

    Raises:
        InputError: there is none, two have the name, or its descriptor does not lead to it.
    """
    if name not in template_names():
        raise InputError(f"unknown template {name!r}", remedy=f"Choose from {', '.join(template_names())}")
    model: TemplateModel = _import_model(name) if name in _built_in() else _of_other_packages()[name].load()
    if model.name != name:
        raise InputError(f"the model of template {name!r} is named {model.name!r}", where=type(model).__module__, remedy="Give both the same name")
    return model


def _built_in() -> frozenset[str]:
    return frozenset(path.parent.name for path in templates_folder().glob(f"*/{DESCRIPTOR_FILE}"))


def _of_other_packages() -> dict[str, EntryPoint]:
    """Entry points by name; those that an older installation of codesign itself has left in its records do not count."""
    taken = {name: str(templates_folder() / name) for name in _built_in()}
    found = {}
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.dist is not None and entry.dist.name == "codesign":
            continue
        if entry.name in taken:
            what = f"two templates are named {entry.name!r}: {entry.value} and {taken[entry.name]}"
            raise InputError(what, where=f"entry points {ENTRY_POINTS}", remedy="Rename or uninstall one")
        taken[entry.name] = entry.value
        found[entry.name] = entry
    return found


def _import_model(name: str) -> TemplateModel:
    """The object that the descriptor of a built-in template names; the descriptor checked that it is one of codesign's own."""
    path = load_descriptor(name).model
    module, _, attribute = path.partition(":")
    try:
        model: TemplateModel = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        where = str(templates_folder() / name / DESCRIPTOR_FILE)
        raise InputError(f"model = {path!r} cannot be imported: {error}", where=where, remedy="Name the module of codesign and the object in it") from error
    return model
