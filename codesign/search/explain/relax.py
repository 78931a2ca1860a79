"""A study that nothing satisfies: how near its space comes, and which limit must give how much for something to fit.

Tiny spaces are priced whole. Others are searched by evolution, so what is named is enough, and perhaps a little more than needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.device import RESOURCES
from codesign.kpi.evaluate import KPI_UNITS
from codesign.search.candidates import ENUMERATED, Variation, enumerate_designs, new_rows
from codesign.search.explain.repair import Judge, excess
from codesign.search.pricing import Feasibility, Pricing
from codesign.search.specification import MAXIMISED
from codesign.space.design_space import DesignPoint, Indices

FloatArray = NDArray[np.float64]
Loads = Mapping[str, FloatArray]

SAMPLE = 8_000
PARENTS = 200
CHILDREN = 1_000
GENERATIONS = 40
IDLE = 8
"""Generations in a row without progress after which a search ends."""
DEVICE = "device "


@dataclass(frozen=True)
class Relaxation:
    """One limit that, relaxed alone, lets a design in.

    Attributes:
        limit: its name; ``device <resource>`` for what the device has.
        value: what the limit is now, in ``unit``; for a device the part of it that the study may use.
        needed: what it must be at least (at most for a lower limit).
        unit: of both.
        load: needed over value, or the inverse for a lower limit.
        point: a design that fits then.
    """

    limit: str
    value: float
    needed: float
    unit: str
    load: float
    point: DesignPoint

    @property
    def remedy(self) -> str:
        """What to write in the study file."""
        if not self.limit.startswith(DEVICE):
            return f"limits.{self.limit} = {_rounded(self.needed, up=self.limit not in MAXIMISED):g}"
        return f"a device with {self.needed:,.0f} {self.limit.removeprefix(DEVICE)} to spare, or a larger limits.utilisation"


@dataclass(frozen=True)
class Prospect:
    """What a study's space holds before anything is trained.

    Attributes:
        feasibility: what a random sample says.
        feasible: a design that satisfies every limit; None where none was found.
        certain: the whole space was priced.
        relaxations: the limits that suffice alone, the one that must give least first; empty where something is feasible.
        together: where none suffices alone, by limit, value over limit of the design that comes nearest to all of them.
        nearest: that design; None where something is feasible.
    """

    feasibility: Feasibility
    feasible: DesignPoint | None
    certain: bool
    relaxations: tuple[Relaxation, ...]
    together: Mapping[str, float]
    nearest: DesignPoint | None


def prospect(pricing: Pricing) -> Prospect:
    """Look for a feasible design, and where there is none for the least that must give."""
    judge, space = Judge(pricing, {}), pricing.joint.space
    found = pricing.feasibility()
    whole = enumerate_designs(space) if space.size() <= ENUMERATED else None
    nearest = _least(judge, whole, excess)
    loads = {name: float(load[0]) for name, load in judge.loads(nearest).items()}
    broken = {name: load for name, load in loads.items() if load > 1.0}
    if not broken:
        return Prospect(found, space.points(nearest)[0], whole is not None, (), {}, None)
    relaxed = [_relaxation(judge, whole, name) for name in loads if _can_give(name)]
    kept = tuple(sorted((own for own in relaxed if own is not None), key=lambda own: own.load))
    return Prospect(found, None, whole is not None, kept, {} if kept else broken, space.points(nearest)[0])


def _can_give(limit: str) -> bool:
    """Limits of the study and of the device may be moved; those of a template are what its hardware is."""
    return limit.startswith(DEVICE) or "." not in limit


def _relaxation(judge: Judge, whole: Indices | None, limit: str) -> Relaxation | None:
    """The least load of one limit among designs that satisfy the others; None where no design does."""

    def key(loads: Loads, count: int) -> FloatArray:
        others = excess({name: load for name, load in loads.items() if name != limit}, count)
        return 1e6 * others + np.maximum(np.log(np.maximum(loads[limit], 1e-12)), 0.0)

    best = _least(judge, whole, key)
    loads = {name: float(load[0]) for name, load in judge.loads(best).items()}
    if any(load > 1.0 for name, load in loads.items() if name != limit):
        return None
    value, unit = limit_value(judge.pricing, limit)
    needed = value / loads[limit] if limit in MAXIMISED else value * loads[limit]
    return Relaxation(limit, value, needed, unit, loads[limit], judge.pricing.joint.space.points(best)[0])


def limit_value(pricing: Pricing, limit: str) -> tuple[float, str]:
    """A limit of the study or of the device in its unit."""
    resource = limit.removeprefix(DEVICE)
    if limit.startswith(DEVICE) and resource in RESOURCES:
        return pricing.joint.device.resources[resource] * pricing.specification.limits.get("utilisation", 1.0), KPI_UNITS[resource]
    return pricing.specification.limits[limit], KPI_UNITS[limit]


def _least(judge: Judge, whole: Indices | None, key: Callable[[Loads, int], FloatArray]) -> Indices:
    """The design (1 x d) with the least key: of all, or found by evolution from a random sample."""
    if whole is not None:
        return whole[[int(np.argmin(key(judge.loads(whole), len(whole))))]]
    space = judge.pricing.joint.space
    rng, variation = np.random.default_rng([judge.pricing.specification.seed, SAMPLE]), Variation(space)
    parents = space.sample(SAMPLE, rng)
    values = key(judge.loads(parents), len(parents))
    idle = 0
    for _ in range(GENERATIONS):
        order = np.argsort(values, kind="stable")[:PARENTS]
        parents, values = parents[order], values[order]
        if values[0] <= 0.0 or idle >= IDLE:
            break
        pairs = rng.integers(len(parents), size=(2, CHILDREN // 2))
        children = np.concatenate(
            [
                variation.mutate(parents[rng.integers(len(parents), size=CHILDREN // 2)], rng),
                variation.mutate(variation.cross(parents[pairs[0]], parents[pairs[1]], rng), rng),
            ]
        )
        together = np.concatenate([parents, children])
        together = together[new_rows(together, set())]
        before = values[0]
        parents, values = together, key(judge.loads(together), len(together))
        idle = 0 if values.min() < before else idle + 1
    return parents[[int(np.argmin(values))]]


def _rounded(value: float, *, up: bool) -> float:
    """Three significant digits, on the safe side."""
    digit = 10.0 ** (np.floor(np.log10(value)) - 2)
    return float((np.ceil if up else np.floor)(value / digit) * digit)
