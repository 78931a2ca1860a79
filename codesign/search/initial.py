"""The first designs of a model-based search: a spread over what prices already tell.

.. [Gonzalez1985] T. F. Gonzalez, "Clustering to minimize the maximum intercluster distance", TCS 38, 1985.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.search.candidates import RandomSource, evolve, keys
from codesign.search.pareto import crowding_distance, front_ranks, non_dominated
from codesign.search.problem import Pool, SearchProblem
from codesign.space.design_space import Indices

FloatArray = NDArray[np.float64]

DRAWN = 1000
# Most designs of a start about which no price tells anything.
UNINFORMED = 10
# Share of the initial design that is spread over the front of the prices; the rest is spread over random designs.
PRICED_FRONT_SHARE = 0.5
GENERATIONS = 6
GENERATION = 500
PARENTS = 100


def initial_design(problem: SearchProblem, source: RandomSource, count: int, rng: np.random.Generator) -> Indices:
    """``count x d`` feasible designs, fewer when there are no more.

    Half of them cover random feasible designs from small to large in every price and feature; the others cover the front
    of the prices, which evolution on the prices alone finds in seconds (in a table it is looked up): what a cheap model
    believes best is worth a look first. Without two prices, at most `UNINFORMED` designs are drawn at random: those that lie
    farthest apart in many dimensions are corners of the space, where constraints fail and nobody builds, and a process that
    has seen a few designs chooses better than any plan.

    Raises:
        InfeasibleError: no feasible design was found.
    """
    drawn = source.draw(max(DRAWN, count), set(), rng)
    known = np.asarray(np.isfinite(drawn.priced.prior).all(axis=0))
    if int(known.sum()) < 2:
        return drawn.indices[: min(count, UNINFORMED)]
    everything = source.left(set())
    front = _priced_front(problem, drawn, known, rng) if everything is None else _front(problem, everything, known)
    from_front = front.rows(_spread(_coordinates(problem, front), min(len(front), round(PRICED_FRONT_SHARE * count))))
    chosen = set(keys(from_front.indices))
    others = drawn.rows(np.array([row for row, key in enumerate(keys(drawn.indices)) if key not in chosen], dtype=np.intp))
    spread = others.rows(_spread(_coordinates(problem, others), count - len(from_front)))
    both = np.concatenate([from_front.indices, spread.indices])
    return both[rng.permutation(len(both))]


def _priced_front(problem: SearchProblem, drawn: Pool, known: NDArray[np.bool_], rng: np.random.Generator) -> Pool:
    """Non-dominated designs by the known priors, after some generations."""
    pool = drawn
    for _ in range(GENERATIONS):
        pool = _survivors(problem, pool, known)
        pool = Pool.join([pool, evolve(problem, pool.indices, GENERATION, set(keys(pool.indices)), rng)])
    return _front(problem, pool, known)


def _front(problem: SearchProblem, pool: Pool, known: NDArray[np.bool_]) -> Pool:
    return pool.rows(non_dominated(pool.priced.prior[:, known], problem.maximise[known]))


def _survivors(problem: SearchProblem, pool: Pool, known: NDArray[np.bool_]) -> Pool:
    prices = pool.priced.prior[:, known]
    ranks = front_ranks(prices, problem.maximise[known])
    crowding = np.zeros(len(pool))
    for rank in np.unique(ranks):
        crowding[ranks == rank] = crowding_distance(prices[ranks == rank])
    return pool.rows(np.lexsort((-crowding, ranks))[:PARENTS])


def _coordinates(problem: SearchProblem, pool: Pool) -> FloatArray:
    """Ranks in [0, 1] of each known price and feature: even in small and large designs, whatever the units."""
    prior = pool.priced.prior
    columns = [prior[:, column] for column in range(prior.shape[1]) if np.isfinite(prior[:, column]).all()]
    columns += list(pool.priced.features.T)
    values = np.stack(columns, axis=1)
    return np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0, kind="stable") / max(len(pool) - 1, 1)


def _spread(coordinates: FloatArray, count: int) -> NDArray[np.intp]:
    """Rows that lie far apart: each next one farthest from those chosen [Gonzalez1985]_, the first nearest to the middle."""
    if count >= len(coordinates):
        return np.arange(len(coordinates), dtype=np.intp)
    if count == 0:
        return np.arange(0, dtype=np.intp)
    chosen = [int(np.argmin(((coordinates - np.median(coordinates, axis=0)) ** 2).sum(axis=1)))]
    distance = np.full(len(coordinates), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, ((coordinates - coordinates[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(np.argmax(distance)))
    return np.array(chosen, dtype=np.intp)
