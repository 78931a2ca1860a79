"""Marginal prices: what one step of each parameter of a design costs and gains, by pricing the neighbours themselves.

Notation: ``n`` designs, ``d`` parameters, ``m`` objectives. A *move* is one parameter at another value, everything else as it
is. Ordered parameters move to the value above and the value below, categorical ones to each alternative. Parameters that a
move brings to life take the middle of their domains, and are named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.device import RESOURCES
from codesign.estimate import Evidence
from codesign.kpi.evaluate import KPI_UNITS, KpiTable, price
from codesign.search.acquisition import designs_of
from codesign.search.correction import corrected
from codesign.search.explain.layers import UNITS
from codesign.search.pricing import Pricing
from codesign.search.problem import Pool
from codesign.search.specification import ACCURACY
from codesign.space.design_space import DesignSpace, Indices
from codesign.space.parameters import Half, ParameterKind, Value
from codesign.surrogate.prior import Mean, Predictor

FloatArray = NDArray[np.float64]
Predictors = Sequence[Predictor | None]

COUNTED = {"rows": "row", "columns": "column", "blocks": "block", "width": "channel", "layers": "layer", "elements": "element", "kernel": "tap"}
"""What one more of a count is called."""


@dataclass(frozen=True)
class Change:
    """How a move changes one figure.

    Attributes:
        before, after: in the unit of the figure.
        change: after less before.
        std: one standard deviation of the change; 0 where it is priced.
        per_unit: the change per unit of the parameter; None where the parameter has no unit (categorical, on and off).
        unit: of the figure.
        evidence: ``predicted`` for what only an evaluation settles, else ``analytic``.
    """

    before: float
    after: float
    change: float
    std: float
    per_unit: float | None
    unit: str
    evidence: Evidence


@dataclass(frozen=True)
class Move:
    """One parameter at another value.

    Attributes:
        parameter: its name.
        half: of the design that it belongs to.
        before, after: its values.
        step: after less before; None of names.
        unit: what the step counts, such as ``bit``, ``KiB`` or ``row``; empty where it counts nothing.
        follows: values of parameters that the move brings to life.
        objectives: by objective, in the study's order.
        resources: by resource of the device.
        loads: by limit, value over limit after the move.
        broken: limits that the design breaks after the move.
        newly: those of them that it did not break before.
    """

    parameter: str
    half: Half
    before: Value
    after: Value
    step: float | None
    unit: str
    follows: Mapping[str, Value]
    objectives: Mapping[str, Change]
    resources: Mapping[str, Change]
    loads: Mapping[str, float]
    broken: tuple[str, ...]
    newly: tuple[str, ...]

    @property
    def feasible(self) -> bool:
        """No limit is broken after the move."""
        return not self.broken

    @property
    def text(self) -> str:
        """``pe_array.rows 8 -> 12``."""
        return f"{self.parameter} {self.before} -> {self.after}"


def completed(space: DesignSpace, row: Indices) -> Indices:
    """A design (d,) with the middle of the domain where a parameter is inactive."""
    middle = (space.cardinalities - 1) // 2
    return np.where(row < 0, middle, row).astype(np.int16)


def neighbours(space: DesignSpace, row: Indices) -> tuple[NDArray[np.intp], Indices]:
    """Columns (k,) that the moves of a design (d,) change, and the designs that they lead to (k x d)."""
    whole = completed(space, row)
    columns, rows = [], []
    for column, parameter in enumerate(space.parameters):
        here = int(row[column])
        if here < 0:
            continue
        size = len(parameter.values)
        near = range(size) if parameter.kind is ParameterKind.CATEGORICAL else (here - 1, here + 1)
        for value in near:
            if value != here and 0 <= value < size:
                changed = whole.copy()
                changed[column] = value
                columns.append(column)
                rows.append(changed)
    return np.array(columns, dtype=np.intp), space.mask(np.array(rows, dtype=np.int16).reshape(len(rows), len(space)))


def corrected_table(pricing: Pricing, indices: Indices) -> KpiTable:
    """Key figures of designs (n x d) as the study prices them: analytical, corrected by what evidence has taught."""
    analytical = price(pricing.joint, indices)
    learned = {kpi: pricing.corrections[kpi].predict(indices, analytical) for kpi in sorted(pricing.corrections)}
    return corrected(analytical, pricing.joint, learned)


def unit_of(space: DesignSpace, column: int) -> str:
    """What one unit of a parameter is called; empty for names and switches."""
    parameter = space.parameters[column]
    if parameter.kind is ParameterKind.CATEGORICAL or set(parameter.values) <= {0, 1}:
        return ""
    last = re.sub(r"\d+$", "", parameter.name.rpartition(".")[2]).rpartition("_")[2]
    return UNITS.get(last) or COUNTED.get(last) or "unit"


def moves(pricing: Pricing, row: Indices, predictors: Predictors, scale: Mapping[str, float] | None = None) -> tuple[Move, ...]:
    """Every move from a design, priced in one batch.

    Args:
        pricing: of the study, with what evidence has taught it.
        row: the design (d,).
        predictors: one per objective; None where the price settles it (`codesign.search.explain.explanation.fitted_predictors`).
        scale: by limit, what measurement says of this design over what its price says: its neighbours' loads are taken to be
            off by the same factor.
    """
    space = pricing.joint.space
    columns, near = neighbours(space, row)
    rows = np.concatenate([row[None, :], near])
    table = corrected_table(pricing, rows)
    loads = {name: load * (scale or {}).get(name, 1.0) for name, load in pricing.limit_loads(table).items()}
    objectives = objective_changes(pricing, table, rows, predictors, near=True)
    found = []
    for number, column in enumerate(columns.tolist(), start=1):
        parameter = space.parameters[column]
        before, after = parameter.values[row[column]], parameter.values[rows[number, column]]
        step = None if isinstance(before, str) or isinstance(after, str) else float(after - before)
        unit = unit_of(space, column)
        per = step if unit else None
        appeared = np.flatnonzero((row < 0) & (rows[number] >= 0)).tolist()
        broken = tuple(name for name, load in loads.items() if load[number] > 1.0)
        resources = {name: _change(table, name, number) for name in RESOURCES if pricing.joint.device.resources[name] > 0}
        found.append(
            Move(
                parameter=parameter.name,
                half=parameter.half,
                before=before,
                after=after,
                step=step,
                unit=unit,
                follows={space.names[other]: space.parameters[other].values[rows[number, other]] for other in appeared},
                objectives={name: _per_unit(change, per) for name, change in objectives[number - 1].items()},
                resources={name: _per_unit(change, per) for name, change in resources.items()},
                loads={name: float(load[number]) for name, load in loads.items()},
                broken=broken,
                newly=tuple(name for name in broken if loads[name][0] <= 1.0),
            )
        )
    return tuple(found)


def objective_changes(pricing: Pricing, table: KpiTable, rows: Indices, predictors: Predictors, *, near: bool) -> list[dict[str, Change]]:
    """Changes of all objectives from one design to others.

    Args:
        pricing: of the study.
        table: all of ``rows``, priced.
        rows: the design, then the others (1 + k x d).
        predictors: one per objective; None where the price settles it.
        near: the others are neighbours, which vary together with the design; else no such thing is assumed.
    """
    columns = {}
    for number, objective in enumerate(pricing.problem.objectives):
        if objective.evaluated:
            columns[objective.name] = _predicted_changes(pricing, rows, predictors, number, near=near)
        else:
            columns[objective.name] = [_change(table, objective.name, other) for other in range(1, len(rows))]
    return [{name: changes[other] for name, changes in columns.items()} for other in range(len(rows) - 1)]


def _change(table: KpiTable, name: str, number: int) -> Change:
    """Of a figure that is priced; row 0 of the table is the design."""
    before, after = float(table.values[name][0]), float(table.values[name][number])
    return Change(before, after, after - before, 0.0, None, KPI_UNITS[name], Evidence.ANALYTIC)


def _per_unit(change: Change, step: float | None) -> Change:
    return replace(change, per_unit=None if step is None else change.change / step + 0.0)  # + 0.0: no negative zeros


def _predicted_changes(pricing: Pricing, rows: Indices, predictors: Predictors, number: int, *, near: bool) -> list[Change]:
    """Changes of one evaluated objective from a design, ``rows[0]``, to others, the rest (k x d).

    The standard deviation is that of the difference, not of its ends: neighbours are alike, and the process knows how much.
    A design that differs only in the half that the objective does not depend on has no difference at all.
    """
    objective, predictor = pricing.problem.objectives[number], predictors[number]
    if predictor is None:
        raise ValueError(f"no predictor of {objective.name}")
    pool = pricing.problem.pool(rows)
    natural = predictor.to_natural(predictor.predict(designs_of(pricing.problem, pool, number)).mean)
    spread = _difference_std(pricing, pool, predictor, number, near=near) * (natural[1:] if objective.log else 1.0)
    unit = "1" if objective.name == ACCURACY else KPI_UNITS[objective.name]
    evidence = Evidence.ANALYTIC if predictor.mean is Mean.PRIOR_ONLY else Evidence.PREDICTED
    bears = np.arange(rows.shape[1]) if objective.half is None else pricing.joint.space.half_columns(objective.half)
    differs = (rows[1:, bears] != rows[0, bears]).any(axis=1)
    before, after, std = float(natural[0]), np.where(differs, natural[1:], natural[0]), np.where(differs, spread, 0.0)
    return [Change(before, own, own - before, spread, None, unit, evidence) for own, spread in zip(after.tolist(), std.tolist(), strict=True)]


def _difference_std(pricing: Pricing, pool: Pool, predictor: Predictor, number: int, *, near: bool) -> FloatArray:
    """Standard deviation (k,) in model space of the noise-free function at rows 1.. less that at row 0: var a + var b - 2 cov.

    Conditioning on one more measurement of row 0 takes cov^2 / (var a + noise) off var b [Rasmussen2006]_ (2.26), which gives
    the covariance but for its sign: positive for neighbours; of others it is left out.

    .. [Rasmussen2006] C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press 2006.
    """
    designs = designs_of(pricing.problem, pool, number)
    posterior = predictor.posterior()
    if posterior is None:  # the prior's errors are not known to be shared
        error = np.log1p(designs.prior_error) if predictor.log else designs.prior_error
        return np.asarray(np.hypot(error[1:], error[0]))
    _, std = posterior.moments(designs)
    posterior.believe(designs.rows(np.array([0])))
    _, left = posterior.moments(designs)
    covariance = near * np.sqrt(np.maximum(std**2 - left**2, 0.0) * (std[0] ** 2 + predictor.noise_std**2))
    return np.asarray(np.sqrt(np.maximum(std[0] ** 2 + std**2 - 2.0 * covariance, 0.0))[1:])
