"""Accelerator templates as data: the descriptor ``accel_templates/<name>/template.toml``.

A template's formulas are code (``codesign.kpi``); its parameters, their legal values and its presets are here.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from codesign.catalogue import load_record, record
from codesign.errors import InputError
from codesign.space.parameters import Half, Parameter, ParameterKind, Value

DESCRIPTOR_FILE = "template.toml"
MODEL_PATH = re.compile(r"codesign(\.[a-z_][a-z0-9_]*)+:[A-Z_]+")
_PACKAGE = Path(__file__).resolve().parents[1]


@record
class TemplateParameter:
    """One parameter of a template.

    Attributes:
        kind: ``integer``, ``ordinal`` or ``categorical``.
        values: the legal values, in order.
        unit: unit of the values; ``"1"`` for pure numbers and names.
        meaning: one line.
        default: see `codesign.space.parameters.Parameter`.

    Raises:
        ValueError: the default is none of the values.
    """

    kind: ParameterKind
    values: tuple[int, ...] | tuple[float, ...] | tuple[str, ...]
    unit: str
    meaning: str
    default: int | float | str | None = None

    def __post_init__(self) -> None:
        if self.default is not None and self.default not in self.values:
            raise ValueError(f"default must be one of {list(self.values)}, got {self.default!r}")


@record
class Preset:
    """Named values of some or all parameters; they may lie outside the legal values that a search explores.

    Attributes:
        meaning: one line.
        source: where the values come from.
        values: value by parameter name.
    """

    meaning: str
    source: str
    values: dict[str, int | float | str]


@record
class Descriptor:
    """A template: where its cost model is, its parameters and presets.

    Attributes:
        name: that of its folder.
        description: one line.
        model: the cost model as ``codesign.kpi.<module>:<object>``.
        parameters: by name.
        presets: by name.

    Raises:
        ValueError: the model is not an object of codesign, or a preset names a parameter that the template does not have.
    """

    name: str
    description: str
    model: str
    parameters: dict[str, TemplateParameter]
    presets: dict[str, Preset]

    def __post_init__(self) -> None:
        if not MODEL_PATH.fullmatch(self.model):
            raise ValueError(f"model must be codesign.<module>:<OBJECT>, got {self.model!r}")
        for preset, content in self.presets.items():
            unknown = sorted(set(content.values) - set(self.parameters))
            if unknown:
                raise ValueError(f"preset {preset} names the unknown parameter {unknown[0]}")

    def parameter(self, name: str, values: tuple[Value, ...] | None = None) -> Parameter:
        """A design-space parameter ``<template>.<name>``, over ``values`` in place of all legal ones where given."""
        found = self.parameters[name]
        return Parameter(f"{self.name}.{name}", found.kind, found.values if values is None else values, Half.ACCELERATOR, default=found.default)

    def preset(self, name: str) -> Preset:
        """A preset by name.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.presets:
            raise InputError(f"unknown preset {name!r}", where=f"template {self.name}", remedy=f"Choose from {', '.join(self.presets)}")
        return self.presets[name]


def templates_folder() -> Path:
    """Where the templates are: inside an installed package, or at the root of a checkout."""
    installed = _PACKAGE / "data" / "accel_templates"
    return installed if installed.is_dir() else _PACKAGE.parent / "accel_templates"


@cache
def load_descriptor(name: str) -> Descriptor:
    """Descriptor of a template.

    Raises:
        InputError: its file is missing or not what it must be.
    """
    path = templates_folder() / name / DESCRIPTOR_FILE
    descriptor = load_record(path, Descriptor)
    if descriptor.name != name:
        raise InputError(f"template is named {descriptor.name!r}", where=str(path), remedy=f"Name it {name!r}, like its folder")
    return descriptor
