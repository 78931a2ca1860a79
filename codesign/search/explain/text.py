"""An explanation in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from codesign.search.explain.explanation import Explanation, LimitUse
from codesign.search.explain.gains import Blocked, Trade
from codesign.search.explain.layers import Bound, LayerTime
from codesign.search.explain.prices import Change, Move
from codesign.search.explain.relax import DEVICE, Prospect
from codesign.search.problem import Objective

NEAR = 0.9
"""Load from which a limit is said to bind."""
NAMED = 3
"""Layers that are named where several tie."""


def figure(value: float) -> str:
    """Four significant digits, thousands separated."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def relative(objective: Objective, change: Change) -> str:
    """``-22.1%`` of a log objective, ``+1.2 +- 0.9 points`` of a share."""
    if objective.log:
        percent = 100 * ((change.after + objective.offset) / (change.before + objective.offset) - 1.0)
        return f"{percent:+.1f}%" if abs(percent) >= 0.05 else f"{percent:+.1g}%" if percent else "0"
    spread = f" +- {100 * change.std:.2g}" if change.std > 0 else ""
    return f"{100 * change.change:+.2g}{spread} points" if change.change or spread else "0"


def per_unit(objective: Objective, change: Change, unit: str) -> str:
    """``-13.9 us/row``, ``+0.88 points/channel``; empty where there is no unit or no change."""
    if change.per_unit is None or not change.change:
        return ""
    return f"{change.per_unit:+.3g} {change.unit}/{unit}" if objective.log else f"{100 * change.per_unit:+.2g} points/{unit}"


def effects(move: Move, objectives: Sequence[Objective]) -> str:
    """What a move does to the objectives that it changes, and to the resources."""
    parts = [f"{objective.name} {relative(objective, move.objectives[objective.name])}" for objective in objectives if move.objectives[objective.name].change]
    parts += [f"{name} {change.change:+,.0f}" for name, change in move.resources.items() if change.change]
    return ", ".join(parts) or "nothing changes"


def sentences(found: Explanation, utilisation: float, objectives: Sequence[Objective]) -> Iterator[str]:
    """What sets the latency, which limit binds and what would relieve it.

    Args:
        found: the explanation.
        utilisation: share of the device's resources that the study may use.
        objectives: of the study.
    """
    yield from _latency(found)
    for name in found.broken:
        use = next(use for use in found.limits if use.name == name)
        yield f"Broken: {limit_text(use, utilisation)}."
    if found.binding is None:
        yield "No limit of the study, the device or the template is in reach."
        return
    if not found.broken:
        binds = "The limit that binds is" if found.binding.load > NEAR else "No limit binds; the nearest is"
        yield f"{binds} {limit_text(found.binding, utilisation)}."
    if found.reliefs and found.binding.load > NEAR:
        yield "What makes room below it: " + ", or ".join(f"{move.text} ({effects(move, objectives)})" for move in found.reliefs) + "."
    outer = next((use for use in found.limits if "." not in use.name), None)
    if outer is not None and outer is not found.binding and outer.name not in found.broken:
        yield f"Of the device's and the study's own limits the nearest is {limit_text(outer, utilisation)}."


def _latency(found: Explanation) -> Iterator[str]:
    parts = found.anatomy
    if not parts.times:
        return
    first = parts.times[0]
    rest = ", ".join(f"{time.layer} {time.share:.0%}" for time in parts.times[1:3])
    text = f"Latency, {figure(parts.latency_cycles)} cycles, is set by layer {first.layer} ({first.share:.0%} of the cycles{_why(first)})"
    yield text + (f"; then {rest}." if rest else ".")
    if parts.other_cycles > first.cycles:
        yield f"More than that, {parts.other_cycles / parts.latency_cycles:.0%}, goes into the beginning and the load of the input."


def _why(time: LayerTime) -> str:
    if time.bound is Bound.UNKNOWN:
        return f"; its multipliers are {time.utilisation:.0%} busy"
    busy = f", its multipliers {time.utilisation:.0%} busy" if time.bound is Bound.COMPUTE else ""
    return f", bound by {time.bound.value}{busy}"


def limit_text(use: LimitUse, utilisation: float) -> str:
    """One limit with its load, its value in natural units, and the layers behind it."""
    text = f"{use.name} at {use.load:.2f}"
    if use.value is not None and use.limit is not None:
        unit = "" if use.unit in ("1", "count") else f" {use.unit}"
        allowed = figure(use.limit)
        if use.name.startswith(DEVICE) and utilisation < 1.0:
            allowed = f"{allowed} = {utilisation:g} x {figure(use.limit / utilisation)}"
        text += f" ({figure(use.value)} of {allowed}{unit})"
    if use.cause is None or not use.cause.layers:
        return text
    layers, verb = layer_names(use.cause.leading), "has" if len(use.cause.leading) == 1 else "have"
    if use.cause.total:
        each = "" if len(use.cause.leading) == 1 else " each"
        return f"{text}: {layers} {verb} {use.cause.share:.0%}{each} of the {use.cause.what}"
    return f"{text}: {layers} {verb} the most {use.cause.what}, {figure(use.cause.layers[0].value)}"


def layer_names(names: Sequence[str]) -> str:
    """``layer a``, ``layers a and b``, ``layers a, b and 3 more``."""
    if len(names) == 1:
        return f"layer {names[0]}"
    if len(names) <= NAMED:
        return f"layers {', '.join(names[:-1])} and {names[-1]}"
    return f"layers {', '.join(names[: NAMED - 1])} and {len(names) - NAMED + 1} more"


def trade_text(trade: Trade, objectives: Mapping[str, Objective]) -> str:
    """The cheapest way to gain one objective, and what a tenth (or a point) of it costs."""
    wanted = objectives[trade.gains]
    unit = 0.1 if wanted.log else 0.01
    costs = []
    for name, price in trade.prices.items():
        cost, std = price * unit, trade.price_std[name] * unit
        spread = f" +- {100 * std:.2g}" if std > 0 else ""
        unit_text = "%" if objectives[name].log else " points"
        costs.append(f"{100 * cost:.2g}{spread}{unit_text} of {name}" if cost or std else f"nothing of {name}")
    aim = f"{'10 %' if wanted.log else 'a point'} {'more' if wanted.maximise else 'less'} {trade.gains}"
    return f"{aim} at {' and '.join(costs)}: {trade.move.text} ({effects(trade.move, tuple(objectives.values()))})"


def blocked_text(blocked: Blocked, objectives: Mapping[str, Objective]) -> str:
    """A move that a limit forbids."""
    told = ", ".join(f"{name} {relative(objectives[name], blocked.move.objectives[name])}" for name in blocked.gains)
    limits = ", ".join(f"{name} ({blocked.move.loads[name]:.2f})" for name in blocked.limits)
    return f"{blocked.move.text} would give {told}, but breaks {limits}"


def repair_text(found: Explanation, objectives: Sequence[Objective]) -> Iterator[str]:
    """The nearest feasible design."""
    repair = found.repair
    if repair is None:
        yield "No feasible design was found near it, nor in a random sample; `codesign explain --file STUDY.toml` says which limit must give."
        return
    changes = ", ".join(f"{own.parameter} {'(new) ' if own.before is None else f'{own.before} -> '}{own.after}" for own in repair.changes)
    proof = "no design with fewer is feasible" if repair.certain else "fewer may do: not all were priced"
    count = f"{len(repair.changes)} parameter{'s' if len(repair.changes) > 1 else ''}"
    yield f"The nearest feasible design changes {count} ({proof}): {changes}."
    told = ", ".join(f"{objective.name} {relative(objective, found.repaired[objective.name])}" for objective in objectives)
    yield (
        f"It changes {told}; "
        + ", ".join(f"{name} goes from {load:.2f} to {repair.after[name]:.2f} of its limit" for name, load in repair.before.items())
        + "."
    )


def prospect_text(found: Prospect, study: str) -> Iterator[str]:
    """What a study without designs holds."""
    sample = found.feasibility
    yield f"{study}: {sample.feasible:,} of {sample.sampled:,} random designs satisfy every limit"
    worst = sorted(((share, name) for name, share in sample.rejected.items() if share > 0), reverse=True)[:3]
    if worst:
        yield "most are rejected by " + ", ".join(f"{name} ({share:.1%})" for share, name in worst)
    if found.feasible is not None:
        if sample.feasible == 0:
            yield f"a search found one that does: {found.feasible.canonical_json}"
        return
    yield "every design of the space was priced: none fits" if found.certain else "a search for one that does found none"
    for own in found.relaxations:
        direction = "at least" if own.needed > own.value else "at most"
        yield f"relaxing {own.limit} alone is enough: it is {figure(own.value)} {own.unit} and must be {direction} {figure(own.needed)}; {own.remedy}"
    if found.together:
        yield "no limit suffices alone; the design nearest to all of them breaks " + ", ".join(f"{name} ({load:.2f})" for name, load in found.together.items())
