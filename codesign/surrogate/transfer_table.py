"""Designs as rows of a parameter table, and what the parameters' names say about how they belong together.

Notation: ``N`` rows, ``d`` parameters; a value is the index into the parameter's domain.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from codesign.space.design_space import DesignSpace, Indices
from codesign.space.parameters import ParameterKind

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Degree of the polynomial in an ordered parameter: more bends than that are left to the residual process.
MOST_DEGREE = 3
Key = TypeVar("Key")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class ParameterTable:
    """Parameters of ``N`` designs.

    Attributes:
        names: d names. A first number in a name is the place in the network (``block3_kernel``); parameters that differ
            by numbers only are of one kind (``edge0``, ``edge1``).
        ordinal: (d,) whether the domain is ordered.
        values: N x d indices; ``-1`` marks an inactive parameter, which counts as a value of its own.

    Raises:
        ValueError: another number of names than of columns, or no rows.
    """

    names: tuple[str, ...]
    ordinal: tuple[bool, ...]
    values: IntArray

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not len(self.values) or not len(self.names) == len(self.ordinal) == self.values.shape[1]:
            raise ValueError(f"{len(self.names)} names and {len(self.ordinal)} kinds for parameters of shape {self.values.shape}")

    @classmethod
    def of_space(cls, space: DesignSpace, indices: Indices) -> ParameterTable:
        """Designs of a design space."""
        _, active = space.unit(indices)
        ordinal = tuple(parameter.kind is not ParameterKind.CATEGORICAL for parameter in space.parameters)
        names = tuple(parameter.name for parameter in space.parameters)
        return cls(names, ordinal, np.where(active, indices, -1).astype(np.int64))

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def contrasts(self) -> tuple[FloatArray, ...]:
        """Per parameter N x c: orthonormal functions of its values (c <= levels - 1), each of mean 0 over the levels."""
        return tuple(_contrasts(column, ordered) for column, ordered in zip(self.values.T, self.ordinal, strict=True))

    @cached_property
    def stages(self) -> tuple[tuple[int, ...], ...]:
        """Parameters by the first number in their names, in its order; those without a number are of no stage."""
        numbers = [_NUMBER.search(name) for name in self.names]
        grouped = _grouped([int(found.group()) if found else -1 for found in numbers])
        return tuple(group for number, group in sorted(grouped.items()) if number >= 0)

    @cached_property
    def kinds(self) -> tuple[tuple[int, ...], ...]:
        """Parameters by their names without numbers, together only where their values are the same, and ordered or not."""
        levels = [(tuple(np.unique(column).tolist()), ordered) for column, ordered in zip(self.values.T, self.ordinal, strict=True)]
        return tuple(_grouped([(_NUMBER.sub("#", name), level) for name, level in zip(self.names, levels, strict=True)]).values())


def _grouped(keys: Sequence[Key]) -> dict[Key, tuple[int, ...]]:
    """Positions of equal keys, in the order of first appearance."""
    groups: dict[Key, list[int]] = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    return {key: tuple(group) for key, group in groups.items()}


def _contrasts(column: IntArray, ordered: bool) -> FloatArray:
    """Orthonormal contrasts of one parameter at each row, N x c: a polynomial of its order and whether it is active, or any."""
    levels, position = np.unique(column, return_inverse=True)
    count = len(levels)
    active = levels >= 0
    if ordered and active.any():
        steps = np.vander(np.linspace(-1.0, 1.0, active.sum()) if active.sum() > 1 else np.zeros(1), min(active.sum(), MOST_DEGREE + 1), increasing=True)
        shape = np.column_stack([np.ones(count), active[:, None][:, : int(not active.all())], np.zeros((count, steps.shape[1] - 1))])
        shape[active, shape.shape[1] - steps.shape[1] + 1 :] = steps[:, 1:]
    else:
        shape = np.column_stack([np.ones(count), np.eye(count)[:, : count - 1]])
    orthonormal = np.linalg.qr(shape)[0][:, 1:] * np.sqrt(count)
    return np.asarray(orthonormal[position.ravel()])
