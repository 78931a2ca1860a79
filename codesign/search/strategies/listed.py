"""From the design that a strategy wishes to one that may be evaluated.

A table of measured designs is mostly a sparse sample of the space it spans: a child of two of its rows is hardly ever a
row itself. A strategy that lost such children would draw at random instead, and look worse than it is. So every strategy
that wishes designs freely is given, on a table, the free row nearest to its wish.

Notation: ``n`` designs or rows, ``d`` parameters.

.. [Gower1971] J. C. Gower, "A general coefficient of similarity and some of its properties", Biometrics 27(4), 1971.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.search.candidates import RandomSource, Variation, keys, price_feasible
from codesign.search.problem import SearchProblem
from codesign.space.design_space import DesignSpace, Indices
from codesign.space.parameters import ParameterKind

FloatArray = NDArray[np.float64]

# Rounds of mutation, each on top of the last, that look for a feasible design around a wish.
MUTATION_ROUNDS = 5
MUTANTS = 100


def distances(space: DesignSpace, rows: Indices, wish: Indices) -> FloatArray:
    """Distance (n,) of rows (n x d) from one design (d,), summed over the parameters [Gower1971]_.

    Ordered parameters add the difference of their indices over the largest index, categorical ones 1 where they differ,
    and any parameter adds 1 where it is active in one of the two designs only.
    """
    categorical = np.array([parameter.kind is ParameterKind.CATEGORICAL for parameter in space.parameters])
    different = np.asarray(rows != wish)
    steps = np.abs(rows - wish) / np.maximum(space.cardinalities - 1, 1)
    whole = categorical | (rows < 0) | (wish < 0)
    return np.asarray(np.where(whole, different, steps).sum(axis=1), dtype=np.float64)


def realise(problem: SearchProblem, source: RandomSource, wishes: Indices, count: int, taken: set[bytes], rng: np.random.Generator) -> Indices:
    """Up to ``count`` distinct designs for the wishes (n x d), in their order, each feasible by its price and not taken.

    On a table each wish gives the nearest row that is left, ties at random, while rows are left. Elsewhere wishes that are
    infeasible or taken are left out: the caller wishes again.
    """
    if problem.listed is None:
        return price_feasible(problem, wishes, taken).indices[:count]
    left = source.left(taken)
    if left is None or not len(left):
        return wishes[:0]
    rows = left.indices[rng.permutation(len(left))]
    free, gone = {key: row for row, key in enumerate(keys(rows))}, np.zeros(len(rows))
    chosen = []
    for wish in wishes[: min(count, len(rows))]:
        # Most wishes are rows where the table is dense: measuring the distance to all of them is what costs.
        nearest = free.get(wish.tobytes())
        if nearest is None:
            nearest = int(np.argmin(distances(problem.space, rows, wish) + gone))
        del free[rows[nearest].tobytes()]
        gone[nearest] = np.inf
        chosen.append(nearest)
    return rows[np.array(chosen, dtype=np.intp)]


def realise_near(problem: SearchProblem, source: RandomSource, wish: Indices, taken: set[bytes], rng: np.random.Generator) -> Indices:
    """One design (1 x d) at or near a wish (1 x d), however infeasible or taken it is; none when nothing is left.

    Off a table, mutants of the wish are tried, round on round, and the nearest feasible one is taken; failing that, a
    random design.
    """
    found = realise(problem, source, wish, 1, taken, rng)
    if problem.listed is not None:
        return found
    mutants, variation = np.repeat(wish, MUTANTS, axis=0), Variation(problem.space)
    for _ in range(MUTATION_ROUNDS):
        if len(found):
            return found[[np.argmin(distances(problem.space, found, wish[0]))]]
        mutants = variation.mutate(mutants, rng)
        found = price_feasible(problem, mutants, taken).indices
    return source.draw(1, taken, rng).indices


def complete_batch(source: RandomSource, designs: Indices, count: int, taken: set[bytes], rng: np.random.Generator) -> Indices:
    """Fill a batch (n x d) up to ``count`` with random designs."""
    if len(designs) >= count:
        return designs[:count]
    return np.concatenate([designs, source.draw(count - len(designs), taken | set(keys(designs)), rng).indices])
