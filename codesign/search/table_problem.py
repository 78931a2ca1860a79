"""A search problem that is a table: every design there is, with what an evaluation of it would give.

Columns: ``x_<name>`` (integers, an index into the parameter's domain), ``y_<name>`` (an objective), ``c_<name>`` (a
constraint, held where it is at most 0) and ``p_<name>`` (a cheap prior of ``y_<name>``). The schema's metadata hold two
JSON objects: ``kinds`` (``ordinal`` or ``categorical`` by x column) and ``directions`` (``min`` or ``max`` by y column).

A share of 1 that is to be as large as possible (an accuracy) is told to strategies as what it falls short by: its scatter
is large where it is low and small near 1, and on the logarithm of the shortfall it is even. Volumes are the same.

Notation: ``n`` rows, ``d`` parameters, ``m`` objectives, ``c`` constraints. A design may stand in several rows (measured
again): an evaluation gives the first of them, and all of them count for the true front.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError
from codesign.search import pareto
from codesign.search.problem import Constraint, Objective, Priced, SearchProblem
from codesign.search.volume import Volume
from codesign.space.design_space import DesignSpace, Indices
from codesign.space.parameters import Half, Parameter, ParameterKind

if TYPE_CHECKING:
    import pyarrow as pa

FloatArray = NDArray[np.float64]

KINDS = {"ordinal": ParameterKind.ORDINAL, "categorical": ParameterKind.CATEGORICAL}
DIRECTIONS = {"min": False, "max": True}
LARGEST_INDEX = 10_000
"""Largest value of an x column: indices of domains are small."""
LARGEST_FILE = 1 << 28
"""Bytes."""
# One standard deviation of a prior that the table says no error of: relative where the objective is positive, else a share
# of the prior's own spread.
PRIOR_ERROR = 0.3
SHORTFALL_MARGIN = 0.01
"""The shortfall of a share y is 1 + this - y, so that it is positive at 1."""


@dataclass(frozen=True)
class TableProblem:
    """A table as a search problem.

    Attributes:
        problem: what a strategy sees; `SearchProblem.listed` are the distinct designs.
        indices: n x d.
        values: n x m as strategies are told them: natural units, shares of 1 as their shortfall.
        limits: n x c.
        shares: (m,) which objectives are told as shortfalls.
    """

    problem: SearchProblem
    indices: Indices
    values: FloatArray
    limits: FloatArray
    shares: NDArray[np.bool_]

    @cached_property
    def _first(self) -> dict[bytes, int]:
        """First row of each design."""
        found: dict[bytes, int] = {}
        for row, design in enumerate(self.indices):
            found.setdefault(design.tobytes(), row)
        return found

    def rows(self, designs: Indices) -> NDArray[np.intp]:
        """First row (k,) of each of k designs (k x d) of the table."""
        return np.array([self._first[design.tobytes()] for design in np.ascontiguousarray(designs, dtype=np.int16)], dtype=np.intp)

    @cached_property
    def feasible(self) -> NDArray[np.bool_]:
        """Rows (n,) that hold every constraint."""
        return np.asarray((self.limits <= 0.0).all(axis=1))

    @cached_property
    def reference(self) -> FloatArray:
        """Worst value (m,) of each objective over the feasible rows, as `values` are."""
        return pareto.reference_point(self.values[self.feasible], self.problem.maximise)

    @property
    def natural_reference(self) -> FloatArray:
        """`reference` with shares as the table has them."""
        return np.where(self.shares, 1.0 + SHORTFALL_MARGIN - self.reference, self.reference)

    @cached_property
    def true_hypervolume(self) -> float:
        """Hypervolume of all feasible rows, natural units."""
        return pareto.hypervolume(self.values[self.feasible], self.reference, self.problem.maximise)

    def curve(self, designs: Indices) -> FloatArray:
        """Share of the true hypervolume (k,) after each of k designs (k x d); infeasible ones add nothing."""
        rows = self.rows(designs)
        values = np.where(self.feasible[rows, None], self.values[rows], np.nan)
        return pareto.hypervolume_curve(values, self.reference, self.problem.maximise) / self.true_hypervolume


def read_table_problem(path: Path, objectives: Sequence[str] | None = None) -> TableProblem:
    """Read a table.

    Args:
        path: Parquet file.
        objectives: names without ``y_``, in this order; None: all, in the order of the columns.

    Raises:
        InputError: unreadable file; columns or metadata that are missing or not as said above; an unknown objective, or not
            two to five; no feasible row; an objective with one value in all feasible rows; no row that is better than the worst
            of every objective.
    """
    return _Reader(path).problem(objectives)


class _Reader:
    """One file; every error names it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._table = self._read()
        self._parameters, self._objectives, self._limits = (
            [name for name in self._table.schema.names if name.startswith(prefix)] for prefix in ("x_", "y_", "c_")
        )
        if not self._parameters:
            raise self._wrong("no column begins with x_", "Give a column x_<name> per parameter")
        if not self._objectives:
            raise self._wrong("no column begins with y_", "Give a column y_<name> per objective")
        if self._table.num_rows == 0:
            raise self._wrong("no rows", "Give a table of designs")
        self._kinds = self._labels("kinds", self._parameters, tuple(KINDS))
        self._directions = self._labels("directions", self._objectives, tuple(DIRECTIONS))

    def problem(self, objectives: Sequence[str] | None) -> TableProblem:
        """See `read_table_problem`."""
        chosen = self._chosen(objectives)
        indices = np.ascontiguousarray(np.stack([self._indices(name) for name in self._parameters], axis=1))
        values = np.stack([self._numbers(f"y_{name}") for name in chosen], axis=1)
        limits = np.stack([self._numbers(name) for name in self._limits], axis=1) if self._limits else np.empty((len(indices), 0))
        feasible = (limits <= 0.0).all(axis=1)
        if not feasible.any():
            raise self._wrong("no row holds every constraint", "Give feasible rows: all c_ columns at most 0")
        for name, spread in zip(chosen, np.ptp(values[feasible], axis=0), strict=True):
            if spread == 0.0:
                raise self._wrong(f"y_{name} is the same in every feasible row", "Choose other objectives")
        shares = np.array([self._is_share(name, column) for name, column in zip(chosen, values.T, strict=True)])
        values = np.where(shares, 1.0 + SHORTFALL_MARGIN - values, values)
        table = TableProblem(self._problem(chosen, indices, values, shares), indices, values, limits, shares)
        if table.true_hypervolume <= 0.0:
            raise self._wrong("no feasible row is better than the worst in every objective: there is no volume to find", "Give more rows, or other objectives")
        return table

    def _is_share(self, name: str, values: FloatArray) -> bool:
        """Whether an objective is maximised and lies between 0 and 1 throughout."""
        return DIRECTIONS[self._directions[f"y_{name}"]] and bool((values >= 0.0).all() and (values <= 1.0).all())

    def _problem(self, chosen: Sequence[str], indices: Indices, values: FloatArray, shares: NDArray[np.bool_]) -> SearchProblem:
        """What a strategy sees: designs and priors. Of the values it learns which objectives are positive and which are shares."""
        first = np.sort(np.unique(indices, axis=0, return_index=True)[1])
        objectives = []
        prior, error = np.full((len(indices), len(chosen)), np.nan), np.full((len(indices), len(chosen)), np.nan)
        for column, name in enumerate(chosen):
            maximise = DIRECTIONS[self._directions[f"y_{name}"]] and not shares[column]
            log = not maximise and bool((values[:, column] > 0.0).all())
            if f"p_{name}" in self._table.schema.names:
                prior[:, column] = self._numbers(f"p_{name}")
                if shares[column]:
                    prior[:, column] = 1.0 + SHORTFALL_MARGIN - prior[:, column]
                log = log and bool((prior[:, column] > 0.0).all())
                error[:, column] = PRIOR_ERROR * (1.0 if log else prior[:, column].std())
            objectives.append(Objective(name, maximise=maximise, evaluated=True, log=log))
        features = _totals(self._parameters, self._kinds, indices)
        position = {indices[row].tobytes(): row for row in first}

        def price(designs: Indices) -> Priced:
            rows = [position[design.tobytes()] for design in np.ascontiguousarray(designs, dtype=np.int16)]
            return Priced(prior[rows], error[rows], features[rows], np.ones(len(rows), dtype=np.bool_))

        return SearchProblem(
            space=DesignSpace([self._parameter(name, indices[:, column]) for column, name in enumerate(self._parameters)]),
            objectives=tuple(objectives),
            price=price,
            listed=indices[first],
            constraints=tuple(Constraint(name.removeprefix("c_")) for name in self._limits),
            volume=Volume(natural=True, observed=True),
        )

    def _parameter(self, name: str, indices: Indices) -> Parameter:
        domain, kind = range(int(indices.max()) + 1), KINDS[self._kinds[name]]
        values = tuple(map(str, domain)) if kind is ParameterKind.CATEGORICAL else tuple(domain)
        return Parameter(name.removeprefix("x_"), kind, values, Half.NETWORK)

    def _read(self) -> pa.Table:
        from pyarrow import ArrowException, parquet

        if not self._path.is_file():
            raise self._wrong("no such file", "Give the path of a Parquet file")
        if self._path.stat().st_size > LARGEST_FILE:
            raise self._wrong(f"larger than {LARGEST_FILE >> 20} MiB", "Give a smaller table")
        try:
            return parquet.read_table(self._path)
        except (ArrowException, OSError, ValueError) as error:
            text = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise self._wrong(f"not a Parquet file: {text}", "Give a Parquet file") from None

    def _chosen(self, objectives: Sequence[str] | None) -> list[str]:
        known = [name.removeprefix("y_") for name in self._objectives]
        chosen = known if objectives is None else list(objectives)
        for name in chosen:
            if name not in known:
                raise self._wrong(f"no objective {name!r}", f"Choose from {', '.join(known) or 'none: the table has no y_ column'}")
        return chosen

    def _labels(self, key: str, columns: Sequence[str], allowed: tuple[str, ...]) -> dict[str, str]:
        """A JSON object of the metadata with one of the allowed words for each column."""
        remedy = f"Write the JSON object {key!r} into the schema's metadata, with {' or '.join(allowed)} for each of its columns"
        try:
            found = json.loads((self._table.schema.metadata or {})[key.encode()])
        except KeyError:
            raise self._wrong(f"its metadata lack {key!r}", remedy) from None
        except ValueError:
            raise self._wrong(f"its metadata {key!r} are not JSON", remedy) from None
        if not isinstance(found, dict):
            raise self._wrong(f"its metadata {key!r} are not a JSON object", remedy)
        for name in columns:
            if found.get(name) not in allowed:
                raise self._wrong(f"its metadata {key!r} say {found.get(name)!r} of {name}", remedy)
        return {name: found[name] for name in columns}

    def _numbers(self, name: str) -> FloatArray:
        from pyarrow import types

        column = self._table[name]
        if not (types.is_floating(column.type) or types.is_integer(column.type)):
            raise self._wrong(f"{name} holds {column.type}, not numbers", "Store numbers")
        values = np.asarray(column.to_numpy(), dtype=np.float64)
        if column.null_count or not np.isfinite(values).all():
            raise self._wrong(f"{name} has {int((~np.isfinite(values)).sum())} values that are missing or not finite", "Give a finite number in every row")
        return values

    def _indices(self, name: str) -> Indices:
        values = self._numbers(name)
        if bool((values != np.round(values)).any() or (values < 0).any() or (values > LARGEST_INDEX).any()):
            raise self._wrong(f"{name} is not an index: it has {values.min():g} to {values.max():g}", f"Store integers from 0 to {LARGEST_INDEX}")
        return values.astype(np.int16)

    def _wrong(self, what: str, remedy: str) -> InputError:
        return InputError(what, where=str(self._path), remedy=remedy)


def _totals(names: Sequence[str], kinds: dict[str, str], indices: Indices) -> FloatArray:
    """Features n x f of parameters that repeat: names that differ in a number only, as of the blocks of a network.

    Each group gives the mean of its indices, or how often each category occurs.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for column, name in enumerate(names):
        groups.setdefault((re.sub(r"\d+", "#", name), kinds[name]), []).append(column)
    features = []
    for (_, kind), columns in groups.items():
        if len(columns) > 1:
            values = indices[:, columns].astype(np.float64)
            features += [values.mean(axis=1)] if kind == "ordinal" else [(values == category).mean(axis=1) for category in np.unique(values)]
    return np.stack(features, axis=1) if features else np.empty((len(indices), 0))
