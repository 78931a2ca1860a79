"""Which moves of a design are worth it: free ones, the cheapest way to each objective, and those that a limit forbids.

A *gain* is measured where the objective is modelled: as a log ratio for objectives that span decades, in its own unit
otherwise. So gains and losses of all log objectives are percentages that can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codesign.search.explain.prices import Change, Move
from codesign.search.problem import Objective
from codesign.space.parameters import Half

TELLING = 1e-3
"""Smallest gain worth a line: 0.1 % of a log objective, 0.1 points of accuracy."""
WORTHWHILE = {True: 0.01, False: 2e-3}
"""Smallest gain that is offered as a way to gain an objective: 1 % of a log objective, else 0.2 points."""
ROUNDING = 1e-9


def gain(objective: Objective, change: Change) -> float:
    """How much a change gains: log ratio or difference, positive where it is better."""
    better = math.log((change.after + objective.offset) / (change.before + objective.offset)) if objective.log else change.change
    return better if objective.maximise else -better


@dataclass(frozen=True)
class Trade:
    """The cheapest way to gain one objective, of those that cost least in others.

    Attributes:
        gains: the objective that gains.
        spares: the objectives in which no other move costs less per gain.
        move: what to do.
        gain: see `gain`.
        prices: by other objective, loss per gain, 0 where it gains too: 0.5 says that 10 % cost 5 %.
        price_std: one standard deviation of the prices; 0 where they are exact.
    """

    gains: str
    spares: tuple[str, ...]
    move: Move
    gain: float
    prices: Mapping[str, float]
    price_std: Mapping[str, float]


@dataclass(frozen=True)
class Blocked:
    """A move that would gain, were it not for limits.

    Attributes:
        move: what cannot be done.
        limits: those that it breaks, and the design does not.
        gains: by objective that would gain, how much.
    """

    move: Move
    limits: tuple[str, ...]
    gains: Mapping[str, float]


def free_moves(moves: Sequence[Move], objectives: Sequence[Objective]) -> tuple[Move, ...]:
    """Feasible moves that lose in no objective and gain in one, or save a resource and add to none; the largest gain first.

    What is only predicted counts as a loss unless it is a gain for certain or is not touched.
    """
    found = []
    for move in moves:
        gains = [gain(objective, move.objectives[objective.name]) for objective in objectives]
        certain = [own - 2.0 * _std(objective, move.objectives[objective.name]) for own, objective in zip(gains, objectives, strict=True)]
        saved = [change.change for change in move.resources.values()]
        worth = max(gains) > TELLING or (min(saved, default=0.0) < 0.0 and max(saved, default=0.0) <= 0.0)
        if move.feasible and min(certain) >= -ROUNDING and worth:
            found.append((sum(gains), move))
    return tuple(move for _, move in sorted(found, key=lambda item: -item[0]))


def trades(moves: Sequence[Move], objectives: Sequence[Objective]) -> tuple[Trade, ...]:
    """For each objective and each other one that may pay for it, the feasible move that costs that one least per gain.

    What is only predicted is taken with caution: a gain must exceed its standard deviation, and a loss counts as one
    standard deviation more. Ties go to what costs least in all objectives together.
    """
    found = []
    for wanted in objectives:
        able = [move for move in moves if move.feasible and _worthwhile(wanted, move)]
        best: dict[int, list[str]] = {}
        for other in objectives:
            if other is not wanted and able:
                ranks = [_rank(move, wanted, other, objectives) for move in able]
                best.setdefault(ranks.index(min(ranks)), []).append(other.name)
        found += [_trade(able[number], wanted, tuple(spared), objectives) for number, spared in best.items()]
    return tuple(found)


def _worthwhile(wanted: Objective, move: Move) -> bool:
    change = move.objectives[wanted.name]
    return gain(wanted, change) > max(_std(wanted, change), WORTHWHILE[wanted.log])


def _std(objective: Objective, change: Change) -> float:
    """Standard deviation of a gain."""
    return change.std / abs(change.after + objective.offset) if objective.log and change.std > 0.0 else change.std


def _rank(move: Move, wanted: Objective, other: Objective, objectives: Sequence[Objective]) -> tuple[float, float]:
    """Cautious loss of ``other``, and of all objectives, per gain."""
    own = gain(wanted, move.objectives[wanted.name])
    losses = {
        objective.name: max(_std(objective, move.objectives[objective.name]) - gain(objective, move.objectives[objective.name]), 0.0)
        for objective in objectives
        if objective is not wanted
    }
    return losses[other.name] / own, sum(losses.values()) / own


def _trade(move: Move, wanted: Objective, spares: tuple[str, ...], objectives: Sequence[Objective]) -> Trade:
    own = gain(wanted, move.objectives[wanted.name])
    others = [objective for objective in objectives if objective is not wanted]
    return Trade(
        gains=wanted.name,
        spares=spares,
        move=move,
        gain=own,
        prices={objective.name: max(-gain(objective, move.objectives[objective.name]), 0.0) / own for objective in others},
        price_std={objective.name: _std(objective, move.objectives[objective.name]) / own for objective in others},
    )


def blocked_moves(moves: Sequence[Move], objectives: Sequence[Objective]) -> tuple[Blocked, ...]:
    """Moves that gain in an objective and break a limit; the largest gain first."""
    found = []
    for move in moves:
        gains = {objective.name: gain(objective, move.objectives[objective.name]) for objective in objectives}
        worth = {name: own for name, own in gains.items() if own > TELLING}
        if move.newly and worth:
            found.append(Blocked(move, move.newly, worth))
    return tuple(sorted(found, key=lambda item: -max(item.gains.values())))


def at_the_end(moves: Sequence[Move], objectives: Sequence[Objective]) -> tuple[Move, ...]:
    """The only move of ordered parameters that stand at an end of their domain, where it loses in an objective for certain.

    One step the other way, if the domain went on, would perhaps gain what this one loses.
    """
    alone = [move for move in moves if move.step is not None and move.unit and sum(other.parameter == move.parameter for other in moves) == 1]
    return tuple(
        move
        for move in alone
        if any(-gain(objective, own) > max(2.0 * _std(objective, own), TELLING) for objective in objectives if (own := move.objectives[objective.name]))
    )


def reliefs(moves: Sequence[Move], limit: str, load: float, objectives: Sequence[Objective]) -> tuple[Move, ...]:
    """The feasible moves that make room below a limit and lose least, in all objectives together: of the accelerator, and of the network."""

    def loss(move: Move) -> float:
        return sum(max(_std(own, move.objectives[own.name]) - gain(own, move.objectives[own.name]), 0.0) for own in objectives)

    # A load of 0 is that of another template: it makes no room, it leaves.
    able = [move for move in moves if move.feasible and 0.0 < move.loads.get(limit, load) < load - ROUNDING]
    by_half = ([move for move in able if move.half is half] for half in (Half.ACCELERATOR, Half.NETWORK))
    return tuple(min(own, key=loss) for own in by_half if own)
