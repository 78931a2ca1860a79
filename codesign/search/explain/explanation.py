"""What binds a design, what one step more of anything costs, and what to do where a limit is broken.

Everything priced is exact in the sense of the study: the analytical models, corrected by evidence where there is some. What
only an evaluation settles (accuracy) comes from the predictor, fitted to the study's evaluations, and is marked so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codesign.errors import InputError
from codesign.estimate import Estimate, Evidence
from codesign.kpi.joint_space import TEMPLATE, JointSpace
from codesign.search.explain.gains import Blocked, Trade, at_the_end, blocked_moves, free_moves, reliefs, trades
from codesign.search.explain.layers import Anatomy, Cause, anatomy
from codesign.search.explain.prices import Change, Move, Predictors, corrected_table, moves, objective_changes
from codesign.search.explain.relax import DEVICE, limit_value
from codesign.search.explain.repair import Judge, Repair, nearest_feasible
from codesign.search.pricing import Pricing
from codesign.search.specification import ACCURACY, MAXIMISED
from codesign.search.strategies.ehvi import EhviStrategy
from codesign.search.study import Evaluated, Study
from codesign.space.design_space import DesignPoint, Indices
from codesign.store.study_store import DONE
from codesign.surrogate.threads import single_thread

PRICED = (Evidence.ANALYTIC, Evidence.PREDICTED)


@dataclass(frozen=True)
class LimitUse:
    """One limit, and what a design makes of it.

    Attributes:
        name: ``device <resource>``, ``<template>.<limit>``, or the key of the study file.
        load: value over limit; above 1 it is broken. For a lower limit the inverse.
        value, limit: in ``unit``; None where the template gives the ratio alone.
        unit: of value, limit and slack.
        slack: what is left, in ``unit``; negative where the limit is broken.
        evidence: how the value is known.
        fixed: no move within the template changes the load: nothing in this space touches the limit.
        cause: which layers the load comes from; None where they are not told apart.
    """

    name: str
    load: float
    value: float | None
    limit: float | None
    unit: str
    slack: float | None
    evidence: Evidence
    fixed: bool
    cause: Cause | None


@dataclass(frozen=True)
class Explanation:
    """All of it, for one design.

    Attributes:
        point: the design.
        template: of its accelerator.
        objectives: best-known figures, in the study's order; those without a value left out.
        anatomy: cycles by layer and what the limits come from.
        limits: the highest load first.
        binding: the limit nearest to 1 or beyond it, of those that anything in the space touches; None without limits.
        reliefs: the cheapest moves that make room below the binding limit, of each half at most one.
        moves: every parameter one step up and down.
        free: moves that lose nothing.
        trades: the cheapest way to gain each objective.
        blocked: moves that would gain and break a limit.
        ends: moves back from the end of a domain that lose: the domain, and not a limit, may be what binds there.
        broken: limits that the design itself breaks.
        repair: the nearest feasible design; None where the design is feasible, or none was found.
        repaired: what the repair changes in the objectives.
    """

    point: DesignPoint
    template: str
    objectives: Mapping[str, Estimate]
    anatomy: Anatomy
    limits: tuple[LimitUse, ...]
    binding: LimitUse | None
    reliefs: tuple[Move, ...]
    moves: tuple[Move, ...]
    free: tuple[Move, ...]
    trades: tuple[Trade, ...]
    blocked: tuple[Blocked, ...]
    ends: tuple[Move, ...]
    broken: tuple[str, ...]
    repair: Repair | None
    repaired: Mapping[str, Change]


def fitted_predictors(study: Study, pricing: Pricing | None = None) -> Predictors:
    """One predictor per objective, fitted to all evaluations of a study; None where the price settles it.

    Args:
        study: whose evaluations.
        pricing: of another study file; those of the study's designs that lie in its space count.
    """
    own = study.pricing if pricing is None else pricing
    space, objectives = own.joint.space, own.problem.objectives
    done = [item for item in study.evaluated() if item.evaluation.state == DONE and _lies_in(own.joint, item.design.point)]
    indices = space.indices(item.design.point for item in done)
    values = own.problem.pool(indices).priced.prior.copy()
    for column, objective in enumerate(objectives):
        if objective.evaluated:
            values[:, column] = [item.accuracy for item in done]
    strategy = EhviStrategy(own.problem, own.specification.seed)
    with single_thread():
        strategy.tell(indices, values)
        return strategy.predictors()


def explain(study: Study, item: Evaluated, *, pricing: Pricing | None = None, predictors: Predictors | None = None) -> Explanation:
    """Explain an evaluated design of a study.

    Args:
        study: that holds it.
        item: the design.
        pricing: of another study file, to hold the design against its limits and its device; the study's own if None.
        predictors: see `fitted_predictors`; fitted here if None.

    Raises:
        InputError: the design is not in the space of ``pricing``.
    """
    study.evidence.learn()
    own, point, figures = study.pricing, item.design.point, study.figures(item)
    if pricing is not None:
        if not _lies_in(pricing.joint, point):
            what = f"design {point.id} is not in the space of study file {pricing.specification.name}"
            raise InputError(what, where="--file", remedy="Give its parameters and values a place there, or leave the file out")
        if pricing.specification.device != own.specification.device:
            figures = {name: estimate for name, estimate in figures.items() if name == ACCURACY}
        elif pricing.joint.space.parameters == own.joint.space.parameters:
            pricing.corrections = own.corrections
        own = pricing
    found = fitted_predictors(study, pricing) if predictors is None else predictors
    with single_thread():
        return _assemble(own, point, figures, found)


def _lies_in(joint: JointSpace, point: DesignPoint) -> bool:
    try:
        joint.space.point(dict(point.assignment))
    except InputError:
        return False
    return True


def _assemble(pricing: Pricing, point: DesignPoint, figures: Mapping[str, Estimate], predictors: Predictors) -> Explanation:
    row = pricing.joint.space.indices([point])[0]
    scale = measured_scale(pricing, row, figures)
    near = moves(pricing, row, predictors, scale)
    taken_apart = anatomy(pricing.joint, point)
    objectives = pricing.problem.objectives
    uses = limit_uses(pricing, row, figures, near, taken_apart)
    blocked = blocked_moves(near, objectives)
    broken = tuple(use.name for use in uses if use.load > 1.0)
    priced = [name for name in broken if name != ACCURACY]
    binding = _binding(uses, blocked)
    repair = nearest_feasible(Judge(pricing, scale), row) if priced else None
    return Explanation(
        point=point,
        template=pricing.joint.template_of(point).name,
        objectives={objective.name: figures[objective.name] for objective in objectives if objective.name in figures},
        anatomy=taken_apart,
        limits=uses,
        binding=binding,
        reliefs=() if binding is None else reliefs(near, binding.name, binding.load, objectives),
        moves=near,
        free=free_moves(near, objectives),
        trades=trades(near, objectives),
        blocked=blocked,
        ends=at_the_end(near, objectives),
        broken=broken,
        repair=repair,
        repaired={} if repair is None else _between(pricing, row, repair.point, predictors),
    )


def _between(pricing: Pricing, row: Indices, other: DesignPoint, predictors: Predictors) -> dict[str, Change]:
    rows = np.concatenate([row[None, :], pricing.joint.space.indices([other])])
    return objective_changes(pricing, corrected_table(pricing, rows), rows, predictors, near=False)[0]


def measured_scale(pricing: Pricing, row: Indices, figures: Mapping[str, Estimate]) -> dict[str, float]:
    """By limit, the load that measurement gives a design (d,) over the load of its price, where the two differ."""
    table = corrected_table(pricing, row[None, :])
    scale = {}
    for name in pricing.limit_loads(table):
        kpi = name.removeprefix(DEVICE)
        if kpi in figures and figures[kpi].evidence not in PRICED:
            measured, priced = figures[kpi].value, float(table.values[kpi][0])
            ratio = priced / measured if kpi in MAXIMISED else measured / priced if priced > 0 else 1.0
            if ratio != 1.0:
                scale[name] = ratio
    return scale


def limit_uses(pricing: Pricing, row: Indices, figures: Mapping[str, Estimate], near: Sequence[Move], parts: Anatomy) -> tuple[LimitUse, ...]:
    """Every limit of a design (d,), the highest load first; limits of other templates and of what a device lacks left out."""
    joint, point = pricing.joint, pricing.joint.space.points(row[None, :])[0]
    template, scale = joint.template_of(point).name, measured_scale(pricing, row, figures)
    table = corrected_table(pricing, row[None, :])
    staying = [move for move in near if move.parameter != TEMPLATE]
    rules = {str(value) for name, value in joint.template_values(point).items() if isinstance(value, str)}
    found = []
    for name, values in pricing.limit_loads(table).items():
        of_template, _, short = name.rpartition(".")
        load = float(values[0]) * scale.get(name, 1.0)
        # A limit named after a value of a parameter is a rule that is kept or broken, no amount to come near to.
        if load == 0.0 or (of_template and of_template != template) or (short in rules and load <= 1.0):
            continue
        limit, unit = limit_value(pricing, name) if not of_template else (None, "1")
        if of_template and (capacity := parts.capacities.get(short)) is not None:
            limit, unit = capacity.value, capacity.unit
        kpi = name.removeprefix(DEVICE)
        known = figures.get(kpi)
        evidence = Evidence.ANALYTIC if known is None else known.evidence
        value = None if limit is None else limit * load if kpi not in table.values else float(table.values[kpi][0])
        value = known.value if known is not None and evidence not in PRICED else value
        fixed = all(abs(move.loads[name] - load) <= 1e-12 * load for move in staying)
        found.append(_use(name, load, value, limit, unit, evidence, fixed=fixed, cause=parts.cause(name)))
    least = pricing.specification.limits.get(ACCURACY)
    if least is not None and ACCURACY in figures:
        accuracy = figures[ACCURACY]
        found.append(_use(ACCURACY, least / max(accuracy.value, 1e-9), accuracy.value, least, "1", accuracy.evidence, fixed=False, cause=None))
    return tuple(sorted(found, key=lambda use: -use.load))


def _use(name: str, load: float, value: float | None, limit: float | None, unit: str, evidence: Evidence, *, fixed: bool, cause: Cause | None) -> LimitUse:
    slack = None if value is None or limit is None else value - limit if name in MAXIMISED else limit - value
    return LimitUse(name, load, value, limit, unit, slack, evidence, fixed, cause)


def _binding(uses: Sequence[LimitUse], blocked: Sequence[Blocked]) -> LimitUse | None:
    """The highest load that anything touches; of equals the one that forbids the most gain."""
    open_to = [use for use in uses if not use.fixed or use.load > 1.0] or list(uses)
    if not open_to:
        return None
    highest = open_to[0].load

    def forbidden(use: LimitUse) -> float:
        return sum(max(own.gains.values()) for own in blocked if use.name in own.limits)

    return max((use for use in open_to if use.load >= highest - 1e-9), key=forbidden)
