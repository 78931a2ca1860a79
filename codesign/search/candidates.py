"""Candidate designs: random, evolved from the present front in the joint space, and one-parameter neighbours.

Every design that leaves this module is feasible by its price, distinct from the others, and not in the excluded set.

Notation: ``n`` designs, ``d`` parameters; a *key* is the byte string of a design's indices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InfeasibleError
from codesign.search.problem import Pool, Priced, SearchProblem
from codesign.space.design_space import DesignSpace, Indices
from codesign.space.parameters import Half, ParameterKind

# A space of at most this many designs is enumerated, so that "nothing feasible" and "exhausted" are certain.
ENUMERATED = 20_000
# Random draws after which a space without one feasible design is called infeasible.
MAX_DRAWS = 200_000
ROUND = 2_000
# Rounds in a row without a new feasible design after which a search for more ends.
IDLE_ROUNDS = 5
# An ordered parameter that mutates steps to a neighbouring value this often, and to any other value else.
STEP_PROBABILITY = 0.6


def keys(indices: Indices) -> list[bytes]:
    """One hashable key per design."""
    return [row.tobytes() for row in np.ascontiguousarray(indices, dtype=np.int16)]


def new_rows(indices: Indices, taken: set[bytes]) -> NDArray[np.intp]:
    """Positions of the first occurrence of each design that is not in ``taken``."""
    seen = set(taken)
    fresh = []
    for row, key in enumerate(keys(indices)):
        if key not in seen:
            seen.add(key)
            fresh.append(row)
    return np.array(fresh, dtype=np.intp)


def enumerate_designs(space: DesignSpace) -> Indices:
    """All distinct designs of a space, one parameter after the other."""
    rows = np.zeros((1, len(space)), dtype=np.int16)
    for column, cardinality in enumerate(space.cardinalities):
        active = space.active(rows)[:, column]
        repeats = np.where(active, cardinality, 1)
        first = np.cumsum(repeats) - repeats
        rows = np.repeat(rows, repeats, axis=0)
        rows[:, column] = np.arange(len(rows)) - np.repeat(first, repeats)
    return space.mask(rows)


def price_feasible(problem: SearchProblem, indices: Indices, taken: set[bytes]) -> Pool:
    """Price the new designs among ``indices`` and keep the feasible ones."""
    fresh = indices[new_rows(indices, taken)]
    listed = problem.listed_keys
    if listed is not None:
        fresh = fresh[np.array([key in listed for key in keys(fresh)], dtype=np.bool_)]
    pool = problem.pool(fresh)
    return pool.rows(pool.priced.feasible)


class RandomSource:
    """Random feasible designs of one problem, by rejection; tiny spaces and tables are known in full.

    Raises:
        InfeasibleError: no design of a tiny space or of a table is feasible.
    """

    def __init__(self, problem: SearchProblem) -> None:
        self._problem = problem
        self._all: Pool | None = None
        everything = problem.listed
        if everything is None and problem.space.size() <= ENUMERATED:
            everything = enumerate_designs(problem.space)
        if everything is not None:
            pool = problem.pool(everything)
            if not pool.priced.feasible.any():
                raise _infeasible([pool.priced], len(pool))
            self._all = pool.rows(pool.priced.feasible)

    def left(self, taken: set[bytes]) -> Pool | None:
        """All feasible designs not taken yet, where they are known in full."""
        return None if self._all is None else self._all.rows(new_rows(self._all.indices, taken))

    def draw(self, count: int, taken: set[bytes], rng: np.random.Generator) -> Pool:
        """Up to ``count`` designs, fewer when no more are found.

        Raises:
            InfeasibleError: none of `MAX_DRAWS` random designs is feasible.
        """
        left = self.left(taken)
        if left is not None:
            return left.rows(rng.permutation(len(left))[:count])
        parts: list[Pool] = []
        refused: list[Priced] = []
        found, idle, seen = 0, 0, set(taken)
        for _ in range(MAX_DRAWS // ROUND):
            indices = self._problem.space.sample(ROUND, rng)
            priced = self._problem.price(indices)
            pool = Pool(indices, priced).rows(priced.feasible)
            pool = pool.rows(new_rows(pool.indices, seen))
            seen.update(keys(pool.indices))
            parts.append(pool)
            found += len(pool)
            if not priced.feasible.any():
                refused.append(priced)
            idle = 0 if len(pool) else idle + 1
            # Before anything feasible is known the search goes on to the last draw.
            if found >= count or (idle >= IDLE_ROUNDS and (found or taken)):
                break
        if not found and not taken:
            raise _infeasible(refused, MAX_DRAWS)
        joined = Pool.join(parts)
        return joined.rows(np.arange(min(count, len(joined))))


def _infeasible(refused: list[Priced], tried: int) -> InfeasibleError:
    """Name the limit that most of the refused designs break, and how near the best of them comes."""
    reasons = Priced.join(refused).reasons
    where = "design space"
    if not reasons:
        return InfeasibleError(f"none of {tried} designs satisfies the limits", where=where, remedy="Relax a limit or take a larger device")
    broken = {name: float(np.mean(values > 1.0)) for name, values in reasons.items()}
    worst = max(broken, key=lambda name: broken[name])
    nearest = float(np.min(reasons[worst]))
    return InfeasibleError(
        f"none of {tried} designs satisfies the limits; {worst} is broken by {broken[worst]:.0%} of them, the nearest uses {nearest:.2g} times what is allowed",
        where=where,
        remedy=f"Relax {worst}, widen the space or take a larger device",
    )


@dataclass(frozen=True)
class Variation:
    """Mutation and crossover in the joint space."""

    space: DesignSpace

    def mutate(self, parents: Indices, rng: np.random.Generator) -> Indices:
        """Change one to a few active parameters of each parent; ordered ones mostly by one step."""
        expected = rng.choice([1.0, 2.0, 4.0], size=(len(parents), 1))
        active = parents >= 0
        rate = np.minimum(expected / np.maximum(active.sum(axis=1, keepdims=True), 1), 1.0)
        chosen = active & (rng.random(parents.shape) < rate)
        nobody = ~chosen.any(axis=1)
        forced = np.argmax(np.where(active, rng.random(parents.shape), -1.0), axis=1)
        chosen[nobody, forced[nobody]] = True
        return self.space.repair(np.where(chosen, self._changed(parents, rng), parents).astype(np.int16), rng)

    def _changed(self, parents: Indices, rng: np.random.Generator) -> NDArray[np.int64]:
        """Another value for every entry."""
        sizes = self.space.cardinalities
        ordered = np.array([parameter.kind is not ParameterKind.CATEGORICAL for parameter in self.space.parameters])
        other = (parents + 1 + (rng.random(parents.shape) * np.maximum(sizes - 1, 1)).astype(np.int64)) % sizes
        step = parents + np.where(rng.random(parents.shape) < 0.5, -1, 1)
        reflected = np.where(step < 0, np.minimum(1, sizes - 1), np.where(step >= sizes, np.maximum(sizes - 2, 0), step))
        stepped = ordered & (rng.random(parents.shape) < STEP_PROBABILITY)
        return np.where(stepped, reflected, other)

    def cross(self, first: Indices, second: Indices, rng: np.random.Generator) -> Indices:
        """Children of two parents: each parameter from either, or one half from each."""
        uniform = rng.random(first.shape) < 0.5
        accelerator = np.zeros(first.shape[1], dtype=np.bool_)
        accelerator[self.space.half_columns(Half.ACCELERATOR)] = True
        by_half = rng.random((len(first), 1)) < 0.5
        return self.space.repair(np.where(np.where(by_half, accelerator, uniform), second, first), rng)

    def neighbours(self, design: Indices, rng: np.random.Generator) -> Indices:
        """Designs that differ from one design (d,) in one active parameter: nearest values of ordered ones, all of categorical ones."""
        rows = []
        for column, parameter in enumerate(self.space.parameters):
            here = int(design[column])
            if here < 0:
                continue
            near = range(len(parameter.values)) if parameter.kind is ParameterKind.CATEGORICAL else (here - 2, here - 1, here + 1, here + 2)
            for value in near:
                if value != here and 0 <= value < len(parameter.values):
                    row = design.copy()
                    row[column] = value
                    rows.append(row)
        return self.space.repair(np.array(rows, dtype=np.int16).reshape(len(rows), len(design)), rng)


def evolve(problem: SearchProblem, parents: Indices, count: int, taken: set[bytes], rng: np.random.Generator) -> Pool:
    """About ``count`` feasible descendants of the parents: mutants, children, and mutated children, a third each.

    Rounds end when there are enough, or when `IDLE_ROUNDS` in a row bring nothing new.
    """
    variation = Variation(problem.space)
    parts = [price_feasible(problem, parents[:0], taken)]
    found, idle, seen = 0, 0, set(taken)
    while found < count and idle < IDLE_ROUNDS:
        third = max((count - found) // 3, 50)
        mutants = variation.mutate(parents[rng.integers(len(parents), size=third)], rng)
        pairs = rng.integers(len(parents), size=(2, 2 * third))
        children = variation.cross(parents[pairs[0]], parents[pairs[1]], rng)
        children[third:] = variation.mutate(children[third:], rng)
        pool = price_feasible(problem, np.concatenate([mutants, children]), seen)
        seen.update(keys(pool.indices))
        parts.append(pool)
        found += len(pool)
        idle = 0 if len(pool) else idle + 1
    return Pool.join(parts)
