"""`codesign explain`: what binds a design, what a step more of anything costs, and what must give where nothing fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli.output import emit, number, say, table
from codesign.cli.study_commands import RUNS, DesignId, Runs, StudyName, _open
from codesign.errors import InfeasibleError

if TYPE_CHECKING:
    from codesign.search.explain.explanation import Explanation
    from codesign.search.explain.prices import Move, Predictors
    from codesign.search.explain.sensitivity import ObjectiveSensitivity
    from codesign.search.pricing import Pricing
    from codesign.search.problem import Objective
    from codesign.search.study import Study

SHOWN = 8
"""Rows of a table whose rest is left to --all and --json."""
SCARCE = ("lut", "dsp", "bram18")
"""Resources that the table of prices shows."""


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(explain)


def explain(
    design: DesignId = None,
    study: StudyName = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="A study file: hold the design against its limits, or, without a design, say whether anything fits it.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every limit and every parameter's price, not only the telling ones.")] = False,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity/--no-sensitivity", help="What the objectives depend on over the whole space; some seconds.")
    ] = True,
    runs: Runs = RUNS,
) -> None:
    """What binds a design (which limit, which layer), what one step more of each parameter costs, and the nearest design that fits.

    Without a design: the whole front; where nothing was found yet, or for a study file, which limit must give for something to fit.
    """
    from codesign.search.pricing import Pricing
    from codesign.search.specification import load_specification

    other = None if file is None else Pricing(load_specification(file))
    if design is None and other is not None:
        _say_prospect(other)
        return
    opened = _open(study, runs)
    if design is not None:
        _say_design(opened, design, other, everything=everything, sensitivity=sensitivity)
    elif opened.evaluated():
        _say_front(opened, sensitivity=sensitivity)
    else:
        _say_prospect(opened.pricing)


def _say_design(study: Study, design: str, other: Pricing | None, *, everything: bool, sensitivity: bool) -> None:
    from codesign.search.explain.document import explanation_document
    from codesign.search.explain.explanation import explain as explain_design
    from codesign.search.explain.explanation import fitted_predictors
    from codesign.search.explain.text import repair_text, sentences

    item = study.find(design, brief=True)
    pricing = study.pricing if other is None else other
    predictors = fitted_predictors(study, other)
    found = explain_design(study, item, pricing=other, predictors=predictors)
    objectives, utilisation = pricing.problem.objectives, pricing.specification.limits.get("utilisation", 1.0)
    say(f"design {item.id} of study {study.specification.name}" + ("" if other is None else f", held against study file {other.specification.name}"))
    for line in sentences(found, utilisation, objectives):
        say(line)
    if any(name in found.moves[0].loads for name in found.broken):
        for line in repair_text(found, objectives):
            say(line)
    _say_choices(found, objectives)
    _print_layers(found, everything=everything)
    _print_limits(found, everything=everything)
    _print_prices(found, objectives, everything=everything)
    document = {"study": study.specification.name, **explanation_document(found, utilisation, objectives)}
    emit(document | {"sensitivity": _sensitivity(pricing, predictors) if sensitivity else None})


def _print_layers(found: Explanation, *, everything: bool) -> None:
    from codesign.search.explain.layers import Bound

    shown = found.anatomy.times if everything else found.anatomy.times[:SHOWN]
    rows = [
        [
            time.layer,
            time.bound.value,
            number(time.cycles),
            f"{time.share:.1%}",
            f"{time.parts.get(Bound.COMPUTE, 0.0) / time.cycles:.0%}",
            f"{time.utilisation:.0%}",
        ]
        for time in shown
    ]
    left = found.anatomy.latency_cycles
    rows.append(["no layer", "beginning, load of the input", number(found.anatomy.other_cycles), f"{found.anatomy.other_cycles / left:.1%}", "", ""])
    table(("layer", "bound by", "cycles", "share", "computing", "multipliers busy"), rows, title="latency", left=2)


def _print_limits(found: Explanation, *, everything: bool) -> None:
    shown = found.limits if everything else found.limits[:SHOWN]
    rows = [
        [
            use.name,
            ", ".join(use.cause.leading[:2]) if use.cause is not None and use.cause.layers else "",
            f"{use.load:.3f}",
            *("" if value is None else number(value) for value in (use.value, use.limit, use.slack)),
            "" if use.unit in ("1", "count") else use.unit,
        ]
        for use in shown
    ]
    table(("limit", "layer", "load", "value", "limit", "left", "unit"), rows, title="limits, the nearest first", left=2)


def _print_prices(found: Explanation, objectives: Sequence[Objective], *, everything: bool) -> None:
    """The price of one more of everything: the accelerator's parameters, and of the network's those that matter most."""
    from codesign.search.explain.gains import gain
    from codesign.search.explain.text import per_unit, relative
    from codesign.space.parameters import Half

    def weight(move: Move) -> float:
        return max(abs(gain(objective, move.objectives[objective.name])) for objective in objectives)

    accelerator = [move for move in found.moves if move.half is Half.ACCELERATOR]
    network = [move for move in found.moves if move.half is Half.NETWORK]
    telling = network if everything else sorted(sorted(network, key=weight, reverse=True)[:SHOWN], key=network.index)
    resources = [name for name in SCARCE if any(move.resources[name].change for move in found.moves if name in move.resources)]
    rows = []
    for move in [*accelerator, *telling]:
        cells = [f"{move.resources[name].change:+,.0f}" if move.resources[name].change else "" for name in resources]
        for objective in objectives:
            change = move.objectives[objective.name]
            cells += [relative(objective, change), per_unit(objective, change, move.unit)]
        breaks = ", ".join(name.removeprefix("device ").removeprefix(f"{found.template}.") for name in move.newly)
        rows.append([move.parameter, f"{move.before} -> {move.after}", breaks, *cells])
    heads = [head for objective in objectives for head in (objective.name, "per unit")]
    table(("parameter", "step", "breaks", *resources, *heads), rows, title="marginal prices: one step of one parameter, all else equal", left=3)
    evaluated = ", ".join(objective.name for objective in objectives if objective.evaluated)
    say(f"{evaluated}: predicted, with one standard deviation of the difference; everything else is priced")
    if len(telling) < len(network):
        say(f"{len(network) - len(telling)} more steps of the network with less effect: --all")


def _say_choices(found: Explanation, objectives: Sequence[Objective]) -> None:
    """What to do next."""
    from codesign.search.explain.text import blocked_text, effects, trade_text

    by_name = {objective.name: objective for objective in objectives}
    lists = (
        ("free, nothing gets worse:", [f"{move.text} ({effects(move, objectives)})" for move in found.free]),
        ("cheapest ways on:", [trade_text(trade, by_name) for trade in found.trades]),
        ("out of reach:", [blocked_text(blocked, by_name) for blocked in found.blocked[:SHOWN]]),
        ("at the end of their domain, where a step back loses:", [", ".join(f"{move.parameter} = {move.before}" for move in found.ends)] if found.ends else []),
    )
    for title, lines in lists:
        if lines:
            say(title)
            for line in lines:
                say(f"  {line}")


def _say_front(study: Study, *, sensitivity: bool) -> None:
    """What binds each design of the front."""
    from codesign.search.explain.explanation import explain as explain_design
    from codesign.search.explain.explanation import fitted_predictors

    predictors = fitted_predictors(study)
    rows, points = [], []
    for item in study.front():
        found = explain_design(study, item, predictors=predictors)
        first = found.anatomy.times[0]
        binding = "none" if found.binding is None else f"{found.binding.name} {found.binding.load:.2f}"
        outer = next((f"{use.name} {use.load:.2f}" for use in found.limits if "." not in use.name), "")
        blocked = found.blocked[0] if found.blocked else None
        forbids = "" if blocked is None else f"{blocked.move.text}: {', '.join(blocked.limits)}"
        rows.append([item.id, first.layer, first.bound.value, binding, outer, forbids, f"{first.share:.0%}"])
        points.append(
            {
                "id": item.id,
                "layer": first.layer,
                "share": first.share,
                "bound": first.bound.value,
                "binding": None if found.binding is None else found.binding.name,
                "out_of_reach": forbids,
            }
        )
    heads = ("design", "slowest layer", "bound by", "binding limit", "nearest of device and study", "out of reach: because of", "layer's share")
    table(heads, rows, title=f"front of study {study.specification.name}", left=6)
    say("codesign explain ID says more of one design")
    emit({"study": study.specification.name, "front": points, "sensitivity": _sensitivity(study.pricing, predictors) if sensitivity else None})


def _sensitivity(pricing: Pricing, predictors: Predictors) -> list[dict[str, object]]:
    """Print what the objectives depend on; gives it as JSON types."""
    from codesign.search.explain.sensitivity import document, sensitivities

    found = sensitivities(pricing, predictors)
    say("what the objectives depend on, over the whole space, limits aside (total Sobol index: share of the variance that the parameter takes part in):")
    for own in found:
        say(f"  {_sensitivity_text(own)}")
    return [dict(entry) for entry in document(found)]


def _sensitivity_text(own: ObjectiveSensitivity) -> str:
    if not own.parameters.indices:
        return f"{own.objective}: nothing changes it"
    halves = ", ".join(f"{index.name} {index.total:.2f}" for index in own.halves.indices)
    leading = ", ".join(f"{index.name} {index.total:.2f} ({index.total_low:.2f} to {index.total_high:.2f})" for index in own.parameters.indices[:4])
    told = " of its logarithm" if own.log else " as predicted" if own.predicted else ""
    return f"{own.objective}{told}: {halves}; {leading}"


def _say_prospect(pricing: Pricing) -> None:
    """Whether anything fits a study, and what must give where nothing does; exit code 4 then, as of `codesign check`."""
    from codesign.search.explain.document import prospect_document
    from codesign.search.explain.relax import prospect
    from codesign.search.explain.text import prospect_text

    found = prospect(pricing)
    for line in prospect_text(found, f"study {pricing.specification.name}"):
        say(line)
    emit({"study": pricing.specification.name, **prospect_document(found)})
    if found.feasible is None:
        raise typer.Exit(InfeasibleError.exit_code)
