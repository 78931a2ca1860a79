"""Fronts and the volume they dominate, exactly, in numpy alone.

Notation: ``n`` points, ``m`` objectives; a *front* is a set of mutually non-dominated points. Inside this module every
objective is minimised; public functions take ``maximise`` (m,) and turn the signs.

.. [Deb2002] K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE TEC 6(2), 2002.
.. [Fonseca2006] C. Fonseca, L. Paquete, M. Lopez-Ibanez, "An improved dimension-sweep algorithm for the hypervolume
   indicator", IEEE CEC 2006.
.. [While2012] L. While, L. Bradstreet, L. Barone, "A fast way of calculating exact hypervolumes", IEEE TEC 16(1), 2012.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def _minimised(values: FloatArray, maximise: BoolArray) -> FloatArray:
    return np.where(maximise, -values, values)


def _complete(values: FloatArray) -> BoolArray:
    """Mask (n,) of the rows without NaN."""
    return np.asarray(~np.isnan(values).any(axis=1))


def non_dominated(values: FloatArray, maximise: BoolArray) -> BoolArray:
    """Mask (n,) of the points that no other point dominates.

    Of equal points the first is kept. A point with a NaN is never on the front.

    Args:
        values: n x m.
        maximise: (m,).
    """
    points = _minimised(values, maximise)
    mask = np.zeros(len(points), dtype=np.bool_)
    valid = np.flatnonzero(_complete(points))
    # In lexicographic order a point can only be dominated by one before it.
    order = valid[np.lexsort((valid, *points[valid].T[::-1]))]
    front = np.empty((0, points.shape[1]))
    for row in order:
        if not bool(np.any(np.all(front <= points[row], axis=1))):
            mask[row] = True
            front = np.vstack([front, points[row]])
    return mask


def front_ranks(values: FloatArray, maximise: BoolArray) -> NDArray[np.int64]:
    """Rank (n,) of each point's front, 0 the best; points with a NaN come after all others [Deb2002]_.

    Equal points share a rank.
    """
    points = _minimised(values, maximise)
    valid = _complete(points)
    ranks = np.full(len(points), len(points), dtype=np.int64)
    no_worse: BoolArray = np.asarray((points[:, None, :] <= points[None, :, :]).all(axis=2))
    dominates: BoolArray = np.asarray(no_worse & ~no_worse.T)
    left = valid.copy()
    rank = 0
    while left.any():
        front = left & ~dominates[left].any(axis=0)
        ranks[front] = rank
        left &= ~front
        rank += 1
    return ranks


def crowding_distance(values: FloatArray) -> FloatArray:
    """Crowding distance (n,) of the points of one front; infinite at the extremes [Deb2002]_."""
    count, objectives = values.shape
    distance = np.zeros(count)
    for column in range(objectives):
        order = np.argsort(values[:, column], kind="stable")
        ordered = values[order, column]
        span = ordered[-1] - ordered[0]
        distance[order[[0, -1]]] = np.inf
        if span > 0.0:
            distance[order[1:-1]] += (ordered[2:] - ordered[:-2]) / span
    return distance


def reference_point(values: FloatArray, maximise: BoolArray) -> FloatArray:
    """The worst value (m,) of each objective over the points without NaN (n x m).

    Raises:
        ValueError: no point is complete.
    """
    complete = values[_complete(values)]
    if not len(complete):
        raise ValueError("no complete point to take a reference from")
    return np.asarray(np.where(maximise, complete.min(axis=0), complete.max(axis=0)))


def hypervolume(values: FloatArray, reference: FloatArray, maximise: BoolArray) -> float:
    """Volume between the points (n x m) and the reference (m,), exact.

    Points that do not beat the reference in every objective, and points with a NaN, add nothing.
    """
    points = _minimised(values, maximise) - _minimised(reference, maximise)
    inside = points[(points < 0.0).all(axis=1)]
    return _volume(inside)


def hypervolume_curve(values: FloatArray, reference: FloatArray, maximise: BoolArray) -> FloatArray:
    """Hypervolume (n,) after each of the points, in the order given."""
    points = _minimised(values, maximise) - _minimised(reference, maximise)
    curve = np.zeros(len(points))
    front = np.empty((0, points.shape[1]))
    total = 0.0
    for row, point in enumerate(points):
        if bool((point < 0.0).all()) and not (front <= point).all(axis=1).any():
            total += _exclusive(point, front)
            front = np.vstack([front[~(point <= front).all(axis=1)], point])
        curve[row] = total
    return curve


def _front(points: FloatArray) -> FloatArray:
    return points[non_dominated(points, np.zeros(points.shape[1], dtype=np.bool_))]


def _volume(points: FloatArray) -> float:
    """Volume between points (n x m, none above 0) and the origin: a sweep for three objectives, WFG's recursion for more [While2012]_."""
    if points.shape[1] == 3:
        return _swept(points)
    front = _front(points)
    if len(front) == 0:
        return 0.0
    if len(front) == 1:
        return float(np.prod(-front[0]))
    if front.shape[1] == 2:
        ordered = front[np.argsort(front[:, 0])]
        # Left to right the second objective falls: strips from each point to the next.
        return float(np.sum(-ordered[:, 0] * (np.concatenate([[0.0], ordered[:-1, 1]]) - ordered[:, 1])))
    ordered = front[np.argsort(front[:, -1])[::-1]]
    return sum(_exclusive(point, ordered[row + 1 :]) for row, point in enumerate(ordered))


def _swept(points: FloatArray) -> float:
    """Volume between points (n x 3, none above 0) and the origin, in O(n log n) steps [Fonseca2006]_.

    A plane rises along the third objective. The points below it form a staircase in the other two, between sentinels: to the
    right the first objective rises and the second falls. Each point adds an area, which counts from its height to the origin.
    """
    first, second = [-math.inf, 0.0], [0.0, -math.inf]
    total = 0.0
    for x, y, z in points[np.argsort(points[:, 2], kind="stable")].tolist():
        if second[bisect_right(first, x) - 1] <= y:
            continue
        begin = end = bisect_left(first, x)
        area = (first[begin] - x) * (second[begin - 1] - y)
        while second[end] >= y:
            area += (first[end + 1] - first[end]) * (second[end] - y)
            end += 1
        first[begin:end], second[begin:end] = [x], [y]
        total -= area * z
    return total


def _exclusive(point: FloatArray, others: FloatArray) -> float:
    """Volume that ``point`` dominates and none of ``others`` does [While2012]_."""
    own = float(np.prod(-point))
    if len(others) == 0:
        return own
    return own - _volume(np.maximum(others, point))
