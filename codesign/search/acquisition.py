"""Noisy expected hypervolume improvement in closed form, for batches.

Notation: ``k`` candidates, ``m`` objectives, ``s`` posterior samples, ``c`` cells. Everything is in model space: each
objective is minimised. Objectives that are priced exactly have no variance, and the formulas hold in that limit.

The region that a front leaves non-dominated, up to the reference point, is cut into disjoint cells [l, u]. A new point Y
gains in a cell the product over objectives of (u - max(Y, l))+, and for independent normal objectives the expectation is
the product of psi(u) - psi(l), psi(a) = E (a - Y)+ [Yang2019]_. The noisy front is averaged over: the cells are those of
each posterior sample at the designs evaluated so far, and the candidate's moments are conditioned on that sample
[Letham2019]_ [Daulton2021]_. A batch is chosen one by one, each choice believed at its mean [Ginsbourger2010]_.

.. [Yang2019] K. Yang et al., "Efficient computation of expected hypervolume improvement using box decomposition
   algorithms", Journal of Global Optimization 75, 2019.
.. [Letham2019] B. Letham et al., "Constrained Bayesian Optimization with Noisy Experiments", Bayesian Analysis 14(2), 2019.
.. [Daulton2021] S. Daulton, M. Balandat, E. Bakshy, "Parallel Bayesian Optimization of Multiple Noisy Objectives with
   Expected Hypervolume Improvement", NeurIPS 2021.
.. [Ginsbourger2010] D. Ginsbourger, R. Le Riche, L. Carraro, "Kriging is well-suited to parallelize optimization", 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from codesign.search.pareto import non_dominated
from codesign.search.problem import Pool, SearchProblem
from codesign.surrogate.prior import Designs, Predictor, PredictorSamples

FloatArray = NDArray[np.float64]

# Candidates scored at a time, so that the k x c products stay in cache.
CHUNK = 512


@dataclass(frozen=True)
class Cells:
    """Disjoint boxes c x m of the non-dominated region: ``lower`` may be minus infinity."""

    lower: FloatArray
    upper: FloatArray

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


def expected_improvement_below(bounds: FloatArray, mean: FloatArray, std: FloatArray) -> FloatArray:
    """psi(a) = E (a - Y)+ of normal Y, k x b for ``b`` bounds and k means and standard deviations; std may be 0."""
    gap = bounds[None, :] - mean[:, None]
    finite = np.where(np.isfinite(gap), gap, 0.0)
    uncertain = std > 0.0
    result = np.maximum(finite, 0.0)
    if uncertain.any():
        spread = std[uncertain, None]
        standard = finite[uncertain] / spread
        density = np.exp(-0.5 * standard**2) / np.sqrt(2.0 * np.pi)
        result[uncertain] = np.maximum(finite[uncertain] * ndtr(standard) + spread * density, 0.0)
    result[:, np.isneginf(bounds)] = 0.0
    return result


def expected_hypervolume_improvement(mean: FloatArray, std: FloatArray, cells: Cells) -> FloatArray:
    """Closed-form expected gain (k,) of candidates with independent normal objectives, k x m each [Yang2019]_."""
    gain = np.empty(len(mean))
    unique = [np.unique(np.concatenate([cells.lower[:, column], cells.upper[:, column]]), return_inverse=True) for column in range(mean.shape[1])]
    count = len(cells.lower)
    for begin in range(0, len(mean), CHUNK):
        part = slice(begin, begin + CHUNK)
        product = np.ones((len(mean[part]), count))
        for column, (bounds, position) in enumerate(unique):
            psi = expected_improvement_below(bounds, mean[part, column], std[part, column])
            product *= psi[:, position[count:]] - psi[:, position[:count]]
        gain[part] = product.sum(axis=1)
    return gain


def designs_of(problem: SearchProblem, pool: Pool, column: int) -> Designs:
    """What the predictor of one objective reads of a pool."""
    chosen = problem.objectives[column].features
    features = pool.priced.features if chosen is None else pool.priced.features[:, chosen]
    return Designs(pool.indices, features, pool.priced.prior[:, column], pool.priced.prior_error[:, column])


class NoisyEhvi:
    """The acquisition function after n evaluated designs and any number of believed ones.

    Args:
        problem: objectives and their order.
        predictors: one per objective; None where the price is exact.
        observed: the evaluated designs that the predictors were fitted to, at least one.
        values: n x m in model space.
        reference: (m,) in model space.
        samples: number of posterior samples of the front.
        rng: source of the samples.
    """

    def __init__(
        self,
        problem: SearchProblem,
        predictors: Sequence[Predictor | None],
        observed: Pool,
        values: FloatArray,
        reference: FloatArray,
        *,
        samples: int,
        rng: np.random.Generator,
    ) -> None:
        self._problem, self._predictors = problem, predictors
        self._sign = np.where(problem.maximise, -1.0, 1.0)
        self._draws = [None if predictor is None else predictor.sample(samples, rng) for predictor in predictors]
        self.samples = samples if any(draws is not None for draws in self._draws) else 1
        fronts = np.repeat(values[None, :, :], self.samples, axis=0)
        for column, draws in enumerate(self._draws):
            if draws is not None:
                fronts[:, :, column] = self._sign[column] * draws.values.T
        self._cells = [Cells.of(front, reference) for front in fronts]

    def moments(self, pool: Pool) -> tuple[FloatArray, FloatArray]:
        """Means s x k x m given each sample, and standard deviations k x m."""
        means = np.repeat(self._exact(pool)[None, :, :], self.samples, axis=0)
        std = np.zeros((len(pool), means.shape[2]))
        for column, (predictor, draws) in enumerate(zip(self._predictors, self._draws, strict=True)):
            if predictor is not None:
                mean, std[:, column] = _moments(predictor, draws, designs_of(self._problem, pool, column))
                means[:, :, column] = self._sign[column] * mean
        return means, std

    def _exact(self, pool: Pool) -> FloatArray:
        """Prices in model space, k x m; zero where an objective has a predictor."""
        prior = pool.priced.prior.copy()
        prior[:, [predictor is not None for predictor in self._predictors]] = 1.0
        return self._problem.to_model(prior)

    def scores(self, pool: Pool, *, samples: int | None = None) -> FloatArray:
        """Expected gain (k,) averaged over the posterior samples, or over the first few of them."""
        means, std = self.moments(pool)
        used = self.samples if samples is None else min(samples, self.samples)
        total = np.zeros(len(pool))
        for mean, cells in zip(means[:used], self._cells[:used], strict=True):
            total += expected_hypervolume_improvement(mean, std, cells)
        return total / used

    def believe(self, design: Pool) -> None:
        """Take one design (a pool of one) as evaluated at its mean: pending designs and earlier choices of a batch."""
        means, _ = self.moments(design)
        self._cells = [cells.without(mean[0]) for cells, mean in zip(self._cells, means, strict=True)]
        for column, draws in enumerate(self._draws):
            if draws is not None:
                draws.believe(designs_of(self._problem, design, column))


def _moments(predictor: Predictor, draws: PredictorSamples | None, designs: Designs) -> tuple[FloatArray, FloatArray]:
    """Mean s x k (or 1 x k) and standard deviation (k,) in the predictor's own space."""
    if draws is None:
        prediction = predictor.predict(designs)
        return prediction.mean[None, :], prediction.std
    mean, std = draws.moments(designs)
    return mean.T, std
