"""Design parameters: integer, ordinal and categorical, each with a finite ordered domain, possibly conditional."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Value = int | float | str


class ParameterKind(StrEnum):
    """How distance between two values of a parameter is to be understood."""

    INTEGER = "integer"
    ORDINAL = "ordinal"
    CATEGORICAL = "categorical"


class Half(StrEnum):
    """Which half of the joint space a parameter belongs to."""

    NETWORK = "network"
    ACCELERATOR = "accelerator"


@dataclass(frozen=True)
class Condition:
    """Holds when the parameter ``parameter`` is active and its value is one of ``values``."""

    parameter: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Parameter:
    """One dimension of a design space.

    Attributes:
        name: unique, with the blueprint or template as prefix (``tcresnet.blocks``, ``pe_array.rows``).
        kind: integer and ordinal values are ordered, categorical ones are not.
        values: the domain, in order; a value is stored as its index.
        half: network or accelerator.
        conditions: all must hold for the parameter to be active; they name parameters declared earlier.
        default: the value that holds where a space does without the parameter, as it does unless a study asks for it; None for
            parameters that every space has.

    Raises:
        ValueError: empty domain, repeated values, or a type that does not fit the kind.
    """

    name: str
    kind: ParameterKind
    values: tuple[Value, ...]
    half: Half
    conditions: tuple[Condition, ...] = ()
    default: Value | None = None

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"parameter {self.name} has no values")
        if len(set(self.values)) != len(self.values):
            raise ValueError(f"parameter {self.name} repeats a value: {list(self.values)}")
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)
        if self.kind is ParameterKind.CATEGORICAL:
            if not all(isinstance(value, str) for value in self.values):
                raise ValueError(f"categorical parameter {self.name} takes text values, got {list(self.values)}")
        elif not numeric or list(self.values) != sorted(self.values):
            raise ValueError(f"{self.kind} parameter {self.name} takes increasing numbers, got {list(self.values)}")


def integer(name: str, low: int, high: int, half: Half, *, step: int = 1, conditions: tuple[Condition, ...] = ()) -> Parameter:
    """Every ``step``-th integer from ``low`` to ``high``, both included."""
    return Parameter(name, ParameterKind.INTEGER, tuple(range(low, high + 1, step)), half, conditions)


def ordinal(name: str, values: tuple[int | float, ...], half: Half, *, conditions: tuple[Condition, ...] = ()) -> Parameter:
    """Ordered numbers at uneven distances, such as powers of two."""
    return Parameter(name, ParameterKind.ORDINAL, values, half, conditions)


def categorical(name: str, values: tuple[str, ...], half: Half, *, conditions: tuple[Condition, ...] = ()) -> Parameter:
    """Names without an order."""
    return Parameter(name, ParameterKind.CATEGORICAL, values, half, conditions)
