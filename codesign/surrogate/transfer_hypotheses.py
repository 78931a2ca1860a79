"""How noisy a new device is, and how far from its sources: a grid of hypotheses, weighed by what the sources would have shown.

Each source in turn plays the new device, predicted from the others: the hypotheses that fit it gain weight. The
measurements of the new device then choose among the hypotheses (Bayesian model averaging over a grid).

Notation: ``n`` measurements, ``k`` rows, ``h`` hypotheses.

.. [Rasmussen2006] C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press 2006.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from codesign.surrogate.transfer_prior import Sources, TransferPrior, build_prior

FloatArray = NDArray[np.float64]

# Standard deviation of the noise of log latency, from exact cycle counts to phones; a priori log-normal about 4 %.
NOISES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
NOISE_LOCATION, NOISE_SCALE = math.log(0.04), 1.0
# Strength of the factors' weights beyond the sources' own spread, of the corrections, and of the Matern process.
FACTORS = (1.0, 3.0)
CORRECTIONS = (0.03, 0.1, 0.3, 1.0)
PROCESSES = (0.0, 0.04)
# A priori: strong corrections where one source is all that is known.
FACTOR_PRIOR = (0.75, 0.25)
CORRECTION_PRIOR = (0.05, 0.1, 0.25, 0.6)
# Rows on which a source is predicted from the others.
REHEARSAL_ROWS = 48
ROOT5 = math.sqrt(5.0)
JITTER = 1e-10


@dataclass(frozen=True)
class Hypothesis:
    """Standard deviation of the noise and multiples of the three parts of the prior."""

    noise: float
    factors: float
    corrections: float
    process: float


GRID = tuple(Hypothesis(*values) for values in product(NOISES, FACTORS, CORRECTIONS, PROCESSES))


@dataclass(frozen=True)
class Gram:
    """Parts of the covariance between two sets of rows, k x n each."""

    common: FloatArray
    factors: FloatArray
    corrections: FloatArray
    process: FloatArray

    @classmethod
    def of(cls, first: TransferPrior, second: TransferPrior) -> Gram:
        """Between two sets of rows."""
        return cls(
            first.common @ second.common.T,
            first.factors @ second.factors.T,
            first.corrections @ second.corrections.T,
            _process(first.embedded, second.embedded),
        )

    def under(self, hypothesis: Hypothesis) -> FloatArray:
        """Noise-free covariance k x n."""
        return np.asarray(
            self.common + hypothesis.factors**2 * self.factors + hypothesis.corrections**2 * self.corrections + hypothesis.process**2 * self.process
        )


def variances(prior: TransferPrior, hypothesis: Hypothesis) -> FloatArray:
    """Noise-free prior variances (k,)."""
    parts = ((prior.common, 1.0), (prior.factors, hypothesis.factors), (prior.corrections, hypothesis.corrections))
    return np.asarray(sum((scale**2 * np.einsum("ij,ij->i", part, part) for part, scale in parts), np.full(len(prior.mean), hypothesis.process**2)))


def _process(first: FloatArray, second: FloatArray) -> FloatArray:
    """Matern 5/2 correlation of two sets of rows [Rasmussen2006]_ (4.17)."""
    root = ROOT5 * cdist(first, second)
    return np.asarray((1.0 + root + root**2 / 3.0) * np.exp(-root))


@dataclass(frozen=True)
class Posterior:
    """The measurements under one hypothesis: Cholesky factor n x n, weights (n,) and log marginal likelihood."""

    factor: FloatArray
    alpha: FloatArray
    log_likelihood: float


def condition(gram: Gram, residual: FloatArray, hypothesis: Hypothesis, extra: FloatArray) -> Posterior:
    """Condition on residuals (n,) of the prior mean, ``extra`` (n,) variance each [Rasmussen2006]_ (2.30)."""
    count = len(residual)
    covariance = gram.under(hypothesis) + np.diag(hypothesis.noise**2 + extra + JITTER)
    factor = cholesky(covariance, lower=True)
    alpha = np.asarray(cho_solve((factor, True), residual))
    value = -0.5 * residual @ alpha - np.log(np.diagonal(factor)).sum() - 0.5 * count * math.log(2.0 * math.pi)
    return Posterior(factor, alpha, float(value))


def prior_weights() -> FloatArray:
    """Weights (h,) of the grid before any source has been seen."""
    noise = dict(zip(NOISES, np.exp(-0.5 * ((np.log(NOISES) - NOISE_LOCATION) / NOISE_SCALE) ** 2), strict=True))
    factors, corrections = dict(zip(FACTORS, FACTOR_PRIOR, strict=True)), dict(zip(CORRECTIONS, CORRECTION_PRIOR, strict=True))
    weights = np.array([noise[one.noise] * factors[one.factors] * corrections[one.corrections] for one in GRID])
    return np.asarray(weights / weights.sum())


def rehearse(sources: Sources) -> FloatArray:
    """Weights (h,) of the grid after each source was predicted from the others.

    The prior counts as one source: with few sources it speaks loudly, with many hardly.
    """
    start = prior_weights()
    if len(sources.weights) == 1:
        return start
    rows = np.random.default_rng(0).permutation(len(sources.table))[:REHEARSAL_ROWS]
    total = start.copy()
    for source in range(len(sources.weights)):
        prior = build_prior(sources.without(source), rows)
        gram, residual = Gram.of(prior, prior), sources.measured[rows, source] - prior.mean
        total += sources.effective * sources.weights[source] * posterior_weights(start, [_likelihood(gram, residual, one) for one in GRID])
    return np.asarray(total / total.sum())


def _likelihood(gram: Gram, residual: FloatArray, hypothesis: Hypothesis) -> float:
    return condition(gram, residual, hypothesis, np.zeros(len(residual))).log_likelihood


def posterior_weights(weights: FloatArray, log_likelihoods: list[float]) -> FloatArray:
    """Weights (h,) of the grid after measurements of these log likelihoods."""
    logs = np.log(np.maximum(weights, 1e-300)) + np.array(log_likelihoods)
    return np.asarray(np.exp(logs - logsumexp(logs)))
