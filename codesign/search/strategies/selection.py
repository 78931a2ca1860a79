"""Which designs are better: constrained non-domination, then crowding; and children of the better ones.

Notation: ``n`` designs, ``m`` objectives, ``c`` constraints (held where at most 0), ``d`` parameters.

.. [Deb2002] K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE TEC 6(2), 2002.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.search.candidates import Variation
from codesign.search.pareto import crowding_distance, front_ranks
from codesign.space.design_space import Indices

FloatArray = NDArray[np.float64]

CROSSOVER_PROBABILITY = 0.9


def violations(constraints: FloatArray) -> FloatArray:
    """How far each design (n,) is from holding its constraints (n x c): 0 where it does, infinite where it is not known.

    The sum over the constraints, each over its largest violation among the n designs, so that units do not matter.
    """
    broken = np.maximum(np.where(np.isfinite(constraints), constraints, np.inf), 0.0)
    largest = np.max(np.where(np.isfinite(broken), broken, 0.0), axis=0, initial=0.0)
    return np.asarray((broken / np.where(largest > 0.0, largest, 1.0)).sum(axis=1))


def best_first(values: FloatArray, constraints: FloatArray, maximise: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Order (n,) by constrained domination, then by crowding distance [Deb2002]_; ties in the order given.

    Designs that hold every constraint come first, by the rank of their front and the emptiest part of it first; then the
    others by their violation; failed ones (values n x m with NaN) last.
    """
    violation = violations(constraints)
    broken = np.where(np.isnan(values).any(axis=1), np.inf, violation)
    held = broken == 0.0
    ranks = front_ranks(np.where(held[:, None], values, np.nan), maximise)
    crowding = np.zeros(len(values))
    for rank in np.unique(ranks[held]):
        crowding[ranks == rank] = crowding_distance(values[ranks == rank])
    return np.lexsort((-crowding, ranks, broken))


def breed(parents: Indices, count: int, variation: Variation, rng: np.random.Generator) -> Indices:
    """``count x d`` children of parents (p x d, best first): binary tournament, crossover, mutation [Deb2002]_."""
    rivals = rng.integers(len(parents), size=(2, 2, count))
    first, second = (parents[side] for side in np.minimum(rivals[0], rivals[1]))
    crossed = np.where(rng.random((count, 1)) < CROSSOVER_PROBABILITY, variation.cross(first, second, rng), first)
    return variation.mutate(crossed, rng)
