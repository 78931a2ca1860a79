"""An explanation as JSON types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from codesign.search.explain.explanation import Explanation, LimitUse
from codesign.search.explain.layers import LayerTime
from codesign.search.explain.prices import Move
from codesign.search.explain.relax import Prospect
from codesign.search.explain.repair import Repair
from codesign.search.explain.text import sentences
from codesign.search.problem import Objective

Document = dict[str, Any]


def explanation_document(found: Explanation, utilisation: float, objectives: Sequence[Objective]) -> Document:
    """Everything; arguments as in `codesign.search.explain.text.sentences`."""
    return {
        "id": found.point.id,
        "template": found.template,
        "summary": list(sentences(found, utilisation, objectives)),
        "objectives": {name: estimate.as_dict() for name, estimate in found.objectives.items()},
        "latency": {
            "cycles": found.anatomy.latency_cycles,
            "outside_layers": found.anatomy.other_cycles,
            "layers": [_time(time) for time in found.anatomy.times],
        },
        "binding": None if found.binding is None else found.binding.name,
        "broken": list(found.broken),
        "limits": [_limit(use) for use in found.limits],
        "reliefs": [move.text for move in found.reliefs],
        "moves": [_move(move) for move in found.moves],
        "free": [move.text for move in found.free],
        "trades": [_flat(trade) for trade in found.trades],
        "blocked": [_flat(blocked) for blocked in found.blocked],
        "at_the_end_of_their_domain": [{"parameter": move.parameter, "value": move.before} for move in found.ends],
        "nearest_feasible": None
        if found.repair is None
        else _repair(found.repair) | {"objectives": {name: asdict(change) for name, change in found.repaired.items()}},
    }


def prospect_document(found: Prospect) -> Document:
    """What a study without designs holds."""
    return {
        "feasibility": asdict(found.feasibility),
        "feasible": None if found.feasible is None else dict(found.feasible.assignment),
        "whole_space_priced": found.certain,
        "relaxations": [
            {"limit": own.limit, "value": own.value, "needed": own.needed, "unit": own.unit, "design": dict(own.point.assignment)} for own in found.relaxations
        ],
        "together": dict(found.together),
        "nearest": None if found.nearest is None else dict(found.nearest.assignment),
    }


def _time(time: LayerTime) -> Document:
    return {
        "layer": time.layer,
        "cycles": time.cycles,
        "share": time.share,
        "bound": time.bound.value,
        "parts": {part.value: cycles for part, cycles in time.parts.items()},
        "utilisation": time.utilisation,
    }


def _limit(use: LimitUse) -> Document:
    cause = None if use.cause is None else {"what": use.cause.what, "total": use.cause.total, "layers": [asdict(own) for own in use.cause.layers]}
    figures: Mapping[str, Any] = {name: getattr(use, name) for name in ("name", "load", "value", "limit", "unit", "slack", "fixed")}
    return {**figures, "evidence": use.evidence.value, "cause": cause}


def _move(move: Move) -> Document:
    return {**asdict(move), "half": move.half.value, "broken": list(move.broken), "newly": list(move.newly), "feasible": move.feasible}


def _flat(found: Any) -> Document:
    """A trade or a blocked move, with the text of its move in its place."""
    return {**asdict(found), "move": found.move.text}


def _repair(found: Repair) -> Document:
    return {
        "id": found.point.id,
        "parameters": dict(found.point.assignment),
        "changes": [asdict(change) for change in found.changes],
        "steps": found.steps,
        "certain": found.certain,
        "before": dict(found.before),
        "after": dict(found.after),
    }
