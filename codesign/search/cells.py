"""The region that a front leaves non-dominated, cut into boxes, and what a candidate is expected to gain in them.

Notation: ``k`` candidates, ``m`` objectives, ``c`` cells, in volume space (`codesign.search.volume`): each objective is
minimised. Objectives that are priced exactly have no variance, and the formulas hold in that limit.

.. [Yang2019] K. Yang et al., "Efficient computation of expected hypervolume improvement using box decomposition
   algorithms", Journal of Global Optimization 75, 2019.
.. [Couckuyt2014] I. Couckuyt, D. Deschrijver, T. Dhaene, "Fast calculation of multiobjective probability of improvement and
   expected improvement criteria for Pareto optimization", Journal of Global Optimization 60, 2014: a decomposition without
   its smallest boxes as an estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.search.pareto import non_dominated
from codesign.search.shortfall import expected_below
from codesign.search.volume import Axis

FloatArray = NDArray[np.float64]

# Products held at a time (candidates times cells), so that they stay in cache.
BLOCK = 1 << 18


@dataclass(frozen=True)
class Cells:
    """Disjoint boxes c x m of the non-dominated region: ``lower`` may be minus infinity."""

    lower: FloatArray
    upper: FloatArray

    def __len__(self) -> int:
        return len(self.lower)

    @classmethod
    def of(cls, points: FloatArray, reference: FloatArray) -> Cells:
        """Cells that the points (n x m) leave below the reference (m,)."""
        whole = cls(np.full((1, len(reference)), -np.inf), reference[None, :].astype(np.float64))
        front = points[non_dominated(points, np.zeros(len(reference), dtype=np.bool_))]
        # In the order of the last objective the region above each new point is cut by few earlier cells.
        for point in front[np.argsort(front[:, -1], kind="stable")]:
            whole = whole.without(point)
        return whole

    def without(self, point: FloatArray) -> Cells:
        """Cut off what a new point (m,) dominates: a cell becomes at most m disjoint ones."""
        touched = (self.upper > point).all(axis=1)
        lower, upper = self.lower[touched], self.upper[touched]
        lowers, uppers = [self.lower[~touched]], [self.upper[~touched]]
        for column, value in enumerate(point):
            below = lower[:, column] < value
            part = upper[below].copy()
            part[:, column] = np.minimum(part[:, column], value)
            lowers.append(lower[below])
            uppers.append(part)
            lower = lower.copy()
            lower[:, column] = np.maximum(lower[:, column], value)
        return Cells(np.concatenate(lowers), np.concatenate(uppers))

    def largest(self, count: int) -> Cells:
        """At most ``count`` cells, those of the largest volume above the lowest bounds [Couckuyt2014]_.

        A cell without lower bound reaches below the lowest finite bound by a tenth of the bounds' range.
        """
        if len(self) <= count:
            return self
        floor = np.where(np.isfinite(self.lower), self.lower, self.upper).min(axis=0)
        floor -= 0.1 * (self.upper.max(axis=0) - floor)
        volume = np.log(np.maximum(self.upper - np.maximum(self.lower, floor), np.finfo(np.float64).tiny)).sum(axis=1)
        kept = np.sort(np.argsort(-volume, kind="stable")[:count])
        return Cells(self.lower[kept], self.upper[kept])


def expected_hypervolume_improvement(mean: FloatArray, std: FloatArray, cells: Cells, axes: Sequence[Axis] | None = None) -> FloatArray:
    """Closed-form expected gain of candidates whose objectives are independent [Yang2019]_.

    A point Y gains in a cell [l, u] the product over objectives of (u - max(Y, l))+, with expectation psi(u) - psi(l).

    Args:
        mean: k x m in model space.
        std: k x m in model space.
        cells: in volume space.
        axes: one per objective; None where volume space is model space.

    Returns:
        (k,) in volume space.
    """
    scales = [Axis(exponential=False, sign=1.0, offset=0.0)] * mean.shape[1] if axes is None else axes
    gain, count = np.empty(len(mean)), len(cells)
    unique = [np.unique(np.concatenate([cells.lower[:, column], cells.upper[:, column]]), return_inverse=True) for column in range(mean.shape[1])]
    step = max(BLOCK // max(count, 1), 1)
    for begin in range(0, len(mean), step):
        part = slice(begin, begin + step)
        product = np.ones((len(mean[part]), count))
        for column, (bounds, position) in enumerate(unique):
            psi = expected_below(scales[column], bounds, mean[part, column], std[part, column])
            product *= psi[:, position[count:]] - psi[:, position[:count]]
        gain[part] = product.sum(axis=1)
    return gain
