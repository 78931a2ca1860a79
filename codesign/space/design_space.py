"""Design spaces and design points.

Notation: ``n`` designs, ``d`` parameters. A population is an ``n x d`` int16 array of value indices with -1 where a
parameter is inactive; a `DesignPoint` is one row with names and values, a canonical JSON and an id.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError
from codesign.space.parameters import Half, Parameter, Value

Indices = NDArray[np.int16]
INACTIVE = -1
ID_LENGTH = 12


@dataclass(frozen=True)
class DesignPoint:
    """One (network, accelerator) pair: the active parameters and their values, sorted by name."""

    assignment: tuple[tuple[str, Value], ...]

    @cached_property
    def canonical_json(self) -> str:
        """JSON with sorted keys and no spaces: equal designs have equal text."""
        return json.dumps(dict(self.assignment), sort_keys=True, separators=(",", ":"))

    @cached_property
    def id(self) -> str:
        """First 12 hex digits of the SHA-256 of `canonical_json`."""
        return hashlib.sha256(self.canonical_json.encode()).hexdigest()[:ID_LENGTH]

    def __getitem__(self, name: str) -> Value:
        return dict(self.assignment)[name]


def evaluation_seed(study_seed: int, point_id: str, replicate: int = 0) -> int:
    """Seed of one evaluation of a point, in [0, 2**31): the order of evaluations changes nothing."""
    digest = hashlib.sha256(f"{study_seed}/{point_id}/{replicate}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


class DesignSpace:
    """The joint space of network and accelerator parameters.

    Args:
        parameters: unique names; conditions name parameters that come earlier.
        narrowed: domains were cut down on purpose, so a parameter may be left that can never be active.

    Raises:
        InputError: repeated name, or a condition on a later or unknown parameter or on a value it does not have.
    """

    def __init__(self, parameters: Sequence[Parameter], *, narrowed: bool = False) -> None:
        self.parameters = tuple(parameters)
        self._narrowed = narrowed
        self.names = tuple(parameter.name for parameter in self.parameters)
        self._position: dict[str, int] = {}
        self._value_index: list[dict[Value, int]] = []
        for column, parameter in enumerate(self.parameters):
            if parameter.name in self._position:
                raise InputError(f"parameter {parameter.name} appears twice", where="design space", remedy="Rename one")
            for condition in parameter.conditions:
                self._check_condition(parameter, condition.parameter, condition.values)
            self._position[parameter.name] = column
            self._value_index.append({value: index for index, value in enumerate(parameter.values)})
        self.cardinalities = np.array([len(parameter.values) for parameter in self.parameters], dtype=np.int64)
        # For each column: (parent column, allowed[index]) pairs.
        self._conditions = [
            [
                (self._position[condition.parameter], np.array([value in condition.values for value in self.parameter(condition.parameter).values]))
                for condition in parameter.conditions
            ]
            for parameter in self.parameters
        ]

    def _check_condition(self, parameter: Parameter, parent: str, values: tuple[Value, ...]) -> None:
        if parent not in self._position:
            raise InputError(
                f"parameter {parameter.name} depends on {parent}, which is not declared before it", where="design space", remedy="Declare the parent first"
            )
        unknown = [value for value in values if value not in self.parameter(parent).values]
        if len(unknown) == len(values) and not self._narrowed:
            raise InputError(f"parameter {parameter.name} can never be active: {parent} is never one of {list(values)}", where="design space")

    def __len__(self) -> int:
        return len(self.parameters)

    def __contains__(self, name: object) -> bool:
        return name in self._position

    def column(self, name: str) -> int:
        """Position of a parameter.

        Raises:
            KeyError: the space has no such parameter.
        """
        return self._position[name]

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name."""
        return self.parameters[self._position[name]]

    def half_columns(self, half: Half) -> NDArray[np.intp]:
        """Positions of the parameters of one half."""
        return np.array([column for column, parameter in enumerate(self.parameters) if parameter.half is half], dtype=np.intp)

    def size(self) -> int:
        """Number of distinct designs: inactive parameters are not counted."""
        parents = sorted({parent for conditions in self._conditions for parent, _ in conditions})
        total = 0
        for combination in itertools.product(*(range(int(self.cardinalities[parent])) for parent in parents)):
            chosen = dict(zip(parents, combination, strict=True))
            total += self._count_given(chosen)
        return total

    def _count_given(self, chosen: dict[int, int]) -> int:
        """Designs whose parent parameters have these indices; an inactive parent counts for its index 0 only."""
        active: dict[int, bool] = {}
        count = 1
        for column, conditions in enumerate(self._conditions):
            active[column] = all(active[parent] and bool(allowed[chosen[parent]]) for parent, allowed in conditions)
            if column in chosen:
                if not active[column] and chosen[column] != 0:
                    return 0
            elif active[column]:
                count *= int(self.cardinalities[column])
        return count

    def active(self, indices: Indices) -> NDArray[np.bool_]:
        """Which parameters are active (n x d), from the values of their parents."""
        mask = np.ones(indices.shape, dtype=np.bool_)
        for column, conditions in enumerate(self._conditions):
            for parent, allowed in conditions:
                mask[:, column] &= mask[:, parent] & allowed[np.maximum(indices[:, parent], 0)]
        return mask

    def sample(self, count: int, rng: np.random.Generator) -> Indices:
        """``count x d`` designs, each active parameter uniform over its domain; repeats are possible."""
        draws = rng.random((count, len(self.parameters)))
        return self.mask((draws * self.cardinalities).astype(np.int16))

    def mask(self, indices: Indices) -> Indices:
        """The same designs with inactive parameters set to -1; every entry must hold a valid index where active."""
        return np.where(self.active(indices), indices, np.int16(INACTIVE)).astype(np.int16)

    def repair(self, indices: Indices, rng: np.random.Generator) -> Indices:
        """Make crossed or mutated designs canonical: parameters that became active get a random value."""
        filled = np.where(indices < 0, (rng.random(indices.shape) * self.cardinalities).astype(np.int16), indices)
        return self.mask(filled.astype(np.int16))

    def unit(self, indices: Indices) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Encoding n x d in [0, 1] (index over the largest index; 0 where inactive) and the mask of active parameters."""
        active = indices >= 0
        scale = np.maximum(self.cardinalities - 1, 1)
        return np.where(active, indices / scale, 0.0), active

    def values(self, indices: Indices, name: str) -> NDArray[np.int64] | NDArray[np.float64]:
        """Values (n,) of one integer or ordinal parameter, or indices of a categorical one; the first value where inactive."""
        column = self._position[name]
        domain = self.parameters[column].values
        picked = np.maximum(indices[:, column], 0)
        if isinstance(domain[0], str):
            return picked.astype(np.int64)
        if all(isinstance(value, int) for value in domain):
            return np.asarray(domain, dtype=np.int64)[picked]
        return np.asarray(domain, dtype=np.float64)[picked]

    def points(self, indices: Indices) -> list[DesignPoint]:
        """Rows as design points."""
        return [
            DesignPoint(tuple(sorted((self.names[column], self.parameters[column].values[index]) for column, index in enumerate(row) if index >= 0)))
            for row in indices.tolist()
        ]

    def point(self, assignment: Mapping[str, Value]) -> DesignPoint:
        """Check one assignment of exactly the active parameters.

        Raises:
            InputError: unknown parameter, value outside its domain, or an active parameter missing.
        """
        unknown = sorted(set(assignment) - set(self.names))
        if unknown:
            raise InputError(f"unknown parameter {unknown[0]}", where="design point", remedy=f"The space has: {', '.join(self.names)}")
        row = np.zeros((1, len(self.parameters)), dtype=np.int16)
        for name, value in assignment.items():
            column = self._position[name]
            index = self._value_index[column].get(value)
            if index is None or isinstance(value, bool):
                raise InputError(f"{name} = {value!r} is not in its domain", where="design point", remedy=f"Choose from {list(self.parameters[column].values)}")
            row[0, column] = index
        active = self.active(row)[0]
        for column, name in enumerate(self.names):
            if active[column] and name not in assignment:
                raise InputError(f"parameter {name} has no value", where="design point", remedy=f"Choose from {list(self.parameters[column].values)}")
            if not active[column] and name in assignment:
                raise InputError(f"parameter {name} is inactive in this design", where="design point", remedy="Leave it out")
        return self.points(self.mask(row))[0]

    def indices(self, points: Iterable[DesignPoint]) -> Indices:
        """Design points as rows (n x d); inverse of `points`."""
        rows = []
        for point in points:
            row = [INACTIVE] * len(self.parameters)
            for name, value in point.assignment:
                column = self._position[name]
                row[column] = self._value_index[column][value]
            rows.append(row)
        return np.array(rows, dtype=np.int16).reshape(len(rows), len(self.parameters))
