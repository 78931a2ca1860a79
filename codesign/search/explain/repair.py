"""The nearest feasible design, and what a study must give up where there is none.

Distance between two designs: first the number of parameters that differ, then the number of steps they differ by (one for
another name). A parameter that a change brings to life differs where it does not have the middle of its domain.

Notation: ``n`` designs, ``d`` parameters; *whole* is a design with the middle of the domain where a parameter is inactive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.search.candidates import ENUMERATED, enumerate_designs, keys, new_rows
from codesign.search.explain.prices import completed
from codesign.search.pricing import Pricing
from codesign.space.design_space import DesignPoint, DesignSpace, Indices
from codesign.space.parameters import ParameterKind, Value

FloatArray = NDArray[np.float64]

MAX_PAIRS = 200_000
"""Designs with two changes that are all priced; where there are more of them, the search goes on from the best of one change."""
BEAM = 100
"""Designs that each round of the search beyond goes on from."""
MAX_CHANGES = 10
RANDOM = 20_000


@dataclass(frozen=True)
class Judge:
    """Holds designs against the limits of a study.

    Attributes:
        pricing: of the study.
        scale: by limit, measured load over priced load; 1 where not named.
    """

    pricing: Pricing
    scale: Mapping[str, float]

    def loads(self, indices: Indices) -> dict[str, FloatArray]:
        """By limit, value over limit (n,)."""
        found = self.pricing.problem.pool(indices).priced.reasons
        return {name: load * self.scale.get(name, 1.0) for name, load in found.items()}

    def excess(self, indices: Indices) -> FloatArray:
        """Sum (n,) of the logarithms of the loads above 1: 0 where feasible."""
        return excess(self.loads(indices), len(indices))


def excess(loads: Mapping[str, FloatArray], count: int) -> FloatArray:
    """Sum (n,) of the logarithms of the loads above 1."""
    total = np.zeros(count)
    for load in loads.values():
        total += np.log(np.maximum(load, 1.0))
    return total


@dataclass(frozen=True)
class ParameterChange:
    """One parameter that has to give."""

    parameter: str
    before: Value | None
    after: Value


@dataclass(frozen=True)
class Repair:
    """The nearest feasible design that was found.

    Attributes:
        point: that design.
        changes: what differs, by parameter.
        steps: how many steps of the domains that is in all.
        certain: no design with fewer changes is feasible; each of them was priced.
        before, after: by limit that was broken, value over limit of the design and of its repair.
    """

    point: DesignPoint
    changes: tuple[ParameterChange, ...]
    steps: int
    certain: bool
    before: Mapping[str, float]
    after: Mapping[str, float]


def distance(space: DesignSpace, row: Indices, others: Indices) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Changed parameters (n,) and steps (n,) from a design (d,) to others (n x d)."""
    whole = completed(space, row)
    differs = (others >= 0) & (others != whole)
    ordered = np.array([parameter.kind is not ParameterKind.CATEGORICAL for parameter in space.parameters])
    steps = np.where(ordered, np.abs(others.astype(np.int64) - whole), 1)
    return differs.sum(axis=1), (steps * differs).sum(axis=1)


def nearest_feasible(judge: Judge, row: Indices) -> Repair | None:
    """The feasible design with the fewest and smallest changes from a design (d,); None where none is found.

    All designs with one change are priced, then all with two. Beyond that a beam search follows the least excess over the
    limits, and what it finds is nearest by search, not by proof; tiny spaces are priced whole.
    """
    space = judge.pricing.joint.space
    if space.size() <= ENUMERATED:
        everything = enumerate_designs(space)
        return _nearest(judge, row, everything[judge.excess(everything) == 0.0], certain=True)
    ones = _distinct(space, _one_change(space, completed(space, row)[None, :]), row)
    found = _nearest(judge, row, ones[judge.excess(space.mask(ones)) == 0.0], certain=True)
    if found is not None:
        return found
    exhaustive = len(ones) ** 2 // 2 <= MAX_PAIRS
    beam = ones if exhaustive else ones[np.argsort(judge.excess(space.mask(ones)), kind="stable")[:BEAM]]
    for changes in range(2, MAX_CHANGES + 1):
        grown = _distinct(space, _one_change(space, beam), row)
        beyond = judge.excess(space.mask(grown))
        found = _nearest(judge, row, grown[beyond == 0.0], certain=changes == 2 or (changes == 3 and exhaustive))
        if found is not None:
            return found
        beam = grown[np.argsort(beyond, kind="stable")[:BEAM]]
    return _from_anywhere(judge, row)


def _one_change(space: DesignSpace, whole: Indices) -> Indices:
    """Every whole design that differs from one of the given (n x d) in one value."""
    rows = []
    for column, size in enumerate(space.cardinalities.tolist()):
        for value in range(size):
            changed = whole[whole[:, column] != value].copy()
            changed[:, column] = value
            rows.append(changed)
    return np.concatenate(rows)


def _distinct(space: DesignSpace, whole: Indices, row: Indices) -> Indices:
    """Whole designs, one for each different design, without the one begun from."""
    return whole[new_rows(space.mask(whole), set(keys(row[None, :])))]


def _nearest(judge: Judge, row: Indices, feasible: Indices, *, certain: bool) -> Repair | None:
    """The nearest of feasible designs; ties go to the one with most room."""
    if not len(feasible):
        return None
    space = judge.pricing.joint.space
    feasible = space.mask(feasible)
    changed, steps = distance(space, row, feasible)
    room = np.max(np.stack(list(judge.loads(feasible).values())), axis=0) if judge.loads(feasible) else np.zeros(len(feasible))
    best = int(np.lexsort((room, steps, changed))[0])
    chosen = feasible[best]
    whole = completed(space, row)
    before, after = judge.loads(row[None, :]), judge.loads(chosen[None, :])
    broken = [name for name, load in before.items() if load[0] > 1.0]
    return Repair(
        point=space.points(chosen[None, :])[0],
        changes=tuple(
            ParameterChange(
                space.names[column],
                space.parameters[column].values[row[column]] if row[column] >= 0 else None,
                space.parameters[column].values[chosen[column]],
            )
            for column in np.flatnonzero((chosen >= 0) & (chosen != whole)).tolist()
        ),
        steps=int(steps[best]),
        certain=certain,
        before={name: float(before[name][0]) for name in broken},
        after={name: float(after[name][0]) for name in broken},
    )


def _from_anywhere(judge: Judge, row: Indices) -> Repair | None:
    """Begin at feasible designs of a random sample, and take back what need not differ."""
    space = judge.pricing.joint.space
    drawn = space.sample(RANDOM, np.random.default_rng([judge.pricing.specification.seed, RANDOM]))
    feasible = drawn[judge.excess(drawn) == 0.0]
    if not len(feasible):
        return None
    whole = completed(space, row)
    order = np.lexsort(distance(space, row, feasible)[::-1])[:BEAM]
    nearer = np.array([completed(space, own) for own in feasible[order]])
    for _ in range(len(space)):
        # Each design with one parameter set back; those that stay feasible go on.
        back = np.concatenate([np.where(np.arange(len(space)) == column, whole, nearer) for column in range(len(space))])
        back = back[new_rows(space.mask(back), set(keys(space.mask(nearer))))]
        back = back[judge.excess(space.mask(back)) == 0.0] if len(back) else back
        if not len(back):
            break
        nearer = back[np.lexsort(distance(space, row, space.mask(back))[::-1])[:BEAM]]
    return _nearest(judge, row, nearer, certain=False)
