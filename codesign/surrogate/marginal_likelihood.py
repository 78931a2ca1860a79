"""The negative log marginal likelihood in closed form, with its gradient, and its minimum by L-BFGS.

GPyTorch's own loop computes the same number by automatic differentiation in 10 to 30 times the time at the sizes that a
search meets; a test holds the two equal.

Repeated measurements of one row enter by their sufficient statistics (`Replicates`): the likelihood is that of all
measurements, its cost that of the distinct rows, and what scatters within the repeats pins the noise.

Hyperparameters are fitted to at most `MOST_ROWS` rows, an even share of all; benchmarks/surrogate_cost.py measures what
that loses.

.. [Rasmussen2006] C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press 2006.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from codesign.surrogate.hyperparameters import Layout

FloatArray = NDArray[np.float64]

BASIS_VARIANCE = 4.0
ROOT5 = math.sqrt(5.0)
# Length scales of the smooth term over those of the local one: the next value of a parameter that matters is far away in it.
LOCALITY = 20.0
MAX_STEPS = 100
# Rows that hyperparameters are fitted to.
MOST_ROWS = 400


@dataclass(frozen=True)
class Replicates:
    """What is left of N measurements at n distinct rows once each row holds its mean.

    Attributes:
        share: (n,) variance of a row's mean over the variance of one measurement: 1 / count for equal measurements.
        spare: N - n.
        scatter: sum over the measurements of (measurement - mean of its row)^2, in units of the targets' variance, each
            over its own share of the noise.
        constant: half the sum of the logarithms of the measurements' own noise shares, less that of ``share``.
    """

    share: FloatArray
    spare: int
    scatter: float
    constant: float


@dataclass(frozen=True)
class TrainingSet:
    """What one Gaussian process is fitted to.

    Attributes:
        embedded: n x D coordinates of the designs.
        group: (D,) parameter of each coordinate.
        features: n x f, standardised.
        basis: n x p regressors of the mean, with independent normal coefficients of variance `BASIS_VARIANCE`.
        targets: (n,), of about unit variance.
        layout: order of the hyperparameters.
        replicates: what the repeated measurements of a row add; None where each row was measured once.
    """

    embedded: FloatArray
    group: NDArray[np.intp]
    features: FloatArray
    basis: FloatArray
    targets: FloatArray
    layout: Layout
    replicates: Replicates | None = None

    def part(self, rows: NDArray[np.intp]) -> TrainingSet:
        """The chosen rows only; their share of the scatter within repeats is the share of the rows."""
        repeats = self.replicates
        if repeats is not None:
            ratio = len(rows) / len(self.targets)
            repeats = Replicates(repeats.share[rows], round(repeats.spare * ratio), repeats.scatter * ratio, repeats.constant * ratio)
        return TrainingSet(self.embedded[rows], self.group, self.features[rows], self.basis[rows], self.targets[rows], self.layout, repeats)

    @cached_property
    def linear(self) -> FloatArray:
        """Gram matrix n x n of the features."""
        return np.asarray(self.features @ self.features.T)

    @cached_property
    def fixed(self) -> FloatArray:
        """Covariance n x n of the mean's coefficients."""
        return np.asarray(BASIS_VARIANCE * self.basis @ self.basis.T)


def squared_distance(scaled: FloatArray) -> FloatArray:
    """Squared distances n x n of scaled coordinates."""
    squares = np.einsum("ij,ij->i", scaled, scaled)
    distance2 = np.maximum(squares[:, None] + squares[None, :] - 2.0 * (scaled @ scaled.T), 0.0)
    np.fill_diagonal(distance2, 0.0)
    return np.asarray(distance2)


def matern52(distance2: FloatArray, variance: float) -> tuple[FloatArray, FloatArray]:
    """Matern 5/2 covariance n x n of squared distances, and its derivative in them."""
    root = ROOT5 * np.sqrt(distance2)
    decay = variance * np.exp(-root)
    slope = (1.0 + root) * decay
    return slope + (5.0 / 3.0) * distance2 * decay, (-5.0 / 6.0) * slope


def local(distance2: FloatArray, variance: float) -> tuple[FloatArray, FloatArray]:
    """`matern52` at length scales `LOCALITY` times shorter."""
    value, slope = matern52(LOCALITY**2 * distance2, variance)
    return value, LOCALITY**2 * slope


def _length_gradient(weights: FloatArray, slope: FloatArray, scaled: FloatArray) -> FloatArray:
    """Gradient of the objective in the log length scale of each column (D,)."""
    pull = weights * slope
    squares = scaled**2
    spread = pull.sum(axis=1) @ squares - np.einsum("ij,ij->j", scaled, pull @ scaled)
    return np.asarray(-4.0 * spread)


def objective(theta: FloatArray, data: TrainingSet) -> tuple[float, FloatArray]:
    """Negative log of likelihood times prior, and its gradient.

    Args:
        theta: logarithms of the hyperparameters in the order of `Layout`.
        data: the training set.

    Returns:
        The value -log p(y | theta) - log p(theta) [Rasmussen2006]_ (5.8) and its gradient (5.9); infinite with a zero
        gradient where the covariance is not positive definite.
    """
    layout, count = data.layout, len(data.targets)
    lengths, scalars = np.exp(theta[: layout.lengths]), np.exp(theta[layout.lengths :])
    parameter_variance, local_variance, feature_variance, linear_variance, noise = scalars
    coordinates = data.embedded / lengths[data.group]
    physical = data.features / lengths[layout.parameters :]
    distance2 = squared_distance(coordinates)
    own, own_slope = matern52(distance2, parameter_variance)
    near, near_slope = local(distance2, local_variance)
    smooth, smooth_slope = matern52(squared_distance(physical), feature_variance)
    covariance = own + near + smooth + linear_variance * data.linear + data.fixed
    share = np.ones(count) if data.replicates is None else data.replicates.share
    covariance[np.diag_indices(count)] += noise * share
    try:
        factor = cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return math.inf, np.zeros_like(theta)
    alpha = cho_solve((factor, True), data.targets, check_finite=False)
    inverse, _ = dpotri(factor, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights = 0.5 * (inverse - np.outer(alpha, alpha))
    gradient = np.concatenate(
        [
            np.bincount(data.group, _length_gradient(weights, own_slope + near_slope, coordinates), minlength=layout.parameters),
            _length_gradient(weights, smooth_slope, physical),
            [
                np.vdot(weights, own),
                np.vdot(weights, near),
                np.vdot(weights, smooth),
                linear_variance * np.vdot(weights, data.linear),
                noise * (np.diagonal(weights) @ share),
            ],
        ]
    )
    value = 0.5 * data.targets @ alpha + np.log(np.diagonal(factor)).sum() + 0.5 * count * math.log(2.0 * math.pi)
    if data.replicates is not None:
        within, slope = _within(data.replicates, noise)
        value, gradient[-1] = value + within, gradient[-1] + slope
    prior, prior_gradient = layout.log_prior(theta)
    return float(value - prior), gradient - prior_gradient


def _within(repeats: Replicates, noise: float) -> tuple[float, float]:
    """Negative log density of the measurements around the means of their rows, and its slope in the log noise."""
    scatter = 0.5 * repeats.scatter / noise
    return 0.5 * repeats.spare * math.log(2.0 * math.pi * noise) + repeats.constant + scatter, 0.5 * repeats.spare - scatter


def fit(data: TrainingSet, start: FloatArray | None = None) -> FloatArray:
    """Hyperparameters (logarithms) at the maximum of likelihood times prior.

    Args:
        data: the training set.
        start: where to begin; the same place always where it is None or of another layout.
    """
    count = len(data.targets)
    if count > MOST_ROWS:
        data = data.part(np.linspace(0, count - 1, MOST_ROWS).astype(np.intp))
    begin = data.layout.initial() if start is None or len(start) != data.layout.size else start
    result = minimize(objective, begin, args=(data,), jac=True, method="L-BFGS-B", bounds=data.layout.bounds(), options={"maxiter": MAX_STEPS})
    return np.asarray(result.x, dtype=np.float64)
