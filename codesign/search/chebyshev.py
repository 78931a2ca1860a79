"""ParEGO's acquisition function: expected improvement of a random scalarisation, over the posterior of all objectives.

Notation: ``k`` candidates, ``n`` evaluated designs, ``m`` objectives, ``s`` draws of the posterior, ``z`` normal draws.

The objectives y, scaled to [0, 1] over the present front, become one number by the augmented Chebyshev function
max_j w_j y_j + rho sum_j w_j y_j, with weights drawn anew for each design of a batch [Knowles2006]_. The scalarisation is
applied to draws of the modelled objectives rather than modelled itself, and the best value so far is that of each draw
[Daulton2020]_, so that noise and pending designs are treated as in `codesign.search.acquisition.NoisyEhvi`.

.. [Knowles2006] J. Knowles, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive multiobjective
   optimization problems", IEEE TEC 10(1), 2006.
.. [Daulton2020] S. Daulton, M. Balandat, E. Bakshy, "Differentiable Expected Hypervolume Improvement for Parallel
   Multi-Objective Bayesian Optimization", NeurIPS 2020 (qParEGO).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

from codesign.search.acquisition import SCREENING_SAMPLES, Acquisition, Limits
from codesign.search.pareto import non_dominated
from codesign.search.problem import Pool, SearchProblem
from codesign.surrogate.prior import Predictor

FloatArray = NDArray[np.float64]

# Weight of the sum beside the maximum [Knowles2006]_.
AUGMENTATION = 0.05
# Normal draws of a candidate's objectives, over all posterior samples and in a first look.
DRAWS = 64
SCREENING_DRAWS = 16
# The first point of an unscrambled sequence is 0, where a normal quantile is infinite.
SMALLEST_SHARE = 1e-6


class NoisyChebyshev(Acquisition):
    """Expected improvement of one scalarisation after the other."""

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
        limits: Limits | None = None,
    ) -> None:
        super().__init__(problem, predictors, observed, values, reference, samples=samples, rng=rng, limits=limits)
        objectives = len(self.reference)
        self._rng, self._weights = rng, rng.dirichlet(np.ones(objectives))
        self._normal = np.asarray(ndtri(np.clip(qmc.Sobol(objectives, seed=rng).random(DRAWS), SMALLEST_SHARE, 1.0 - SMALLEST_SHARE)))
        points = self.told.reshape(-1, objectives)
        front = np.minimum(points[non_dominated(points, np.zeros(objectives, dtype=np.bool_))], self.reference)
        self._low = front.min(axis=0) if len(front) else self.reference - 1.0
        spread = front.max(axis=0) - self._low if len(front) else np.ones(objectives)
        self._spread = np.where(spread > 0.0, spread, 1.0)

    def _scalar(self, values: FloatArray) -> FloatArray:
        """Augmented Chebyshev function of values in volume space, over the last axis."""
        weighted = self._weights * (values - self._low) / self._spread
        return np.asarray(weighted.max(axis=-1) + AUGMENTATION * weighted.sum(axis=-1))

    def gains(self, pool: Pool, *, screening: bool) -> FloatArray:
        """See `Acquisition.gains`: fewer samples and draws where ``screening``."""
        means, std = self.moments(pool)
        used = min(SCREENING_SAMPLES, self.samples) if screening else self.samples
        normal = self._normal[: SCREENING_DRAWS if screening else DRAWS]
        best = [self._scalar(front).min() for front in self.told]
        total = np.zeros(len(pool))
        for draw, standard in enumerate(normal):
            # Neighbours in the sequence share a sample: taken in turn, each sample would see one part of the normal distribution.
            sample = draw * used // len(normal)
            values = self._problem.model_to_volume(means[sample] + std * standard)
            total += np.maximum(best[sample] - self._scalar(values), 0.0)
        return total / len(normal)

    def shield(self, values: FloatArray) -> None:
        """See `Acquisition.shield`; the next design is chosen for other weights."""
        self.told = np.concatenate([self.told, values], axis=1)
        self._weights = self._rng.dirichlet(np.ones(len(self._weights)))
