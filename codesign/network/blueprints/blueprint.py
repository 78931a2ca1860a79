"""What a blueprint is, and how one is found.

A blueprint turns parameter values into networks. Its domains are data (``data/spaces/<name>.toml``), its structure is
code: a function that writes the layer table of n designs at once. Others register theirs under the entry-point group
``codesign.blueprints``, as the built-in ones are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from codesign.catalogue import load_record, record
from codesign.errors import InputError
from codesign.network.layers import LayerTable
from codesign.network.table_builder import TableBuilder, TaskShape
from codesign.space.columns import Columns
from codesign.space.design_space import DesignSpace, Indices
from codesign.space.parameters import Condition, Half, Parameter, ParameterKind

ENTRY_POINTS = "codesign.blueprints"
SPACES = Path(__file__).resolve().parents[2] / "data" / "spaces"


@dataclass(frozen=True)
class Blueprint:
    """A family of networks.

    Attributes:
        name: prefix of its parameters.
        description: one line for ``codesign templates``.
        parameters: its parameters, names already prefixed.
        write: adds the layers of n designs to a builder.
    """

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    write: Callable[[TableBuilder, Columns], None]

    def table(self, space: DesignSpace, indices: Indices, shape: TaskShape) -> LayerTable:
        """Layer table of the designs ``indices`` (n x d) of a space that holds this blueprint's parameters."""
        builder = TableBuilder(len(indices), shape)
        self.write(builder, Columns(space, indices, self.name))
        return builder.build()


@record
class Domain:
    """Values of one parameter in ``data/spaces/<blueprint>.toml``.

    Attributes:
        values: the domain, in order.
        kind: ``integer``, ``ordinal`` or ``categorical``.
        meaning: one line.
    """

    values: tuple[int, ...] | tuple[str, ...]
    kind: ParameterKind
    meaning: str


@record
class SpaceFile:
    """A file of ``data/spaces``: a description and the domains of the blueprint's parameters."""

    description: str
    parameters: dict[str, Domain]


def load_space_file(name: str) -> SpaceFile:
    """Domains of a blueprint's parameters."""
    return load_record(SPACES / f"{name}.toml", SpaceFile)


class ParameterList:
    """Collects the parameters of one blueprint: a domain may serve several parameters, with conditions."""

    def __init__(self, blueprint: str, domains: SpaceFile) -> None:
        self._blueprint, self._domains = blueprint, domains
        self._collected: list[Parameter] = []

    def add(self, name: str, domain: str | None = None, *, when: tuple[str, tuple[int, ...]] | None = None) -> None:
        """Add parameter ``name`` with the domain of that name (or ``domain``), active ``when`` (parameter, values) holds."""
        found = self._domains.parameters[domain or name]
        conditions = () if when is None else (Condition(f"{self._blueprint}.{when[0]}", when[1]),)
        self._collected.append(Parameter(f"{self._blueprint}.{name}", found.kind, found.values, Half.NETWORK, conditions))

    def collected(self) -> tuple[Parameter, ...]:
        """All parameters added, in order."""
        return tuple(self._collected)

    def at_least(self, name: str, threshold: int) -> tuple[str, tuple[int, ...]]:
        """Condition ``name >= threshold`` for a numeric parameter."""
        return name, tuple(value for value in self._domains.parameters[name].values if isinstance(value, int) and value >= threshold)


@cache
def blueprints() -> dict[str, Blueprint]:
    """All registered blueprints by name."""
    found = {}
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        found[entry.name] = entry.load()
    return found


def find_blueprint(name: str) -> Blueprint:
    """The blueprint of that name.

    Raises:
        InputError: there is none.
    """
    known = blueprints()
    if name not in known:
        raise InputError(f"unknown blueprint {name!r}", remedy=f"Choose from {', '.join(known)}")
    return known[name]
