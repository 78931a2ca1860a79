"""Exact Gaussian process in float64: fit, prediction, leave-one-out, and samples to condition on.

The model is GPyTorch's (`codesign.surrogate.kernel`); its hyperparameters are found by the closed-form objective of
`codesign.surrogate.marginal_likelihood`. Everything follows from the data alone: the same data give the same model.

Notation: ``N`` measurements at ``n`` distinct training rows, ``k`` rows to predict, ``s`` samples; targets are
standardised by the caller or not at all. Repeated rows count once, with the mean of their targets and its smaller noise.

Beyond `MOST_CONDITIONED` distinct rows the process is conditioned on an even share of them: predictions elsewhere stay
exact for that share, and the rows left out are predicted, also where leave-one-out and samples want them.

.. [Rasmussen2006] C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press 2006.
.. [Wilson2020] J. T. Wilson et al., "Efficiently Sampling Functions from Gaussian Process Posteriors", ICML 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

from codesign.surrogate.hyperparameters import Layout
from codesign.surrogate.kernel import DesignGP, input_rows
from codesign.surrogate.marginal_likelihood import Replicates, TrainingSet, fit

FloatArray = NDArray[np.float64]

# Added to the noise-free covariance before its Cholesky factor, relative to its mean diagonal: repeated designs make it singular.
JITTER = 1e-8
# Features that vary less than this over the training rows carry nothing.
SMALLEST_SPREAD = 1e-9
# Distinct rows that a process is conditioned on: the Cholesky factor of more costs minutes and gigabytes.
MOST_CONDITIONED = 2000
# Noise share of a measurement that is set aside.
ASIDE_SHARE = 1e6


@dataclass(frozen=True)
class LeaveOneOut:
    """Prediction of each training target from all others, noise included: mean and standard deviation (n,)."""

    mean: FloatArray
    std: FloatArray


@dataclass(frozen=True)
class Inputs:
    """Rows of a Gaussian process.

    Attributes:
        embedded: k x D coordinates.
        features: k x f, physical units or their logarithms.
        basis: k x p regressors of the mean; p may be 0.
    """

    embedded: FloatArray
    features: FloatArray
    basis: FloatArray


@dataclass(frozen=True)
class _Merged:
    """Distinct rows of N measurements: which of the N stands for each, where each of the N went, and mean targets (n,)."""

    first: NDArray[np.intp]
    place: NDArray[np.intp]
    mean: FloatArray
    replicates: Replicates | None


def _merge(rows: FloatArray, targets: FloatArray, shares: FloatArray) -> _Merged:
    """Distinct rows in order of their first appearance; rows without columns have nothing to be told apart by and stay."""
    if not rows.shape[1]:
        rows = np.arange(len(rows), dtype=np.float64)[:, None]
    _, first, place = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    first, place = first[order], rank[place.ravel()]
    if len(first) == len(targets) and bool((shares == 1.0).all()):
        return _Merged(first, place, targets, None)
    precision = np.bincount(place, 1.0 / shares)
    mean = np.bincount(place, targets / shares) / precision
    scatter = float((((targets - mean[place]) ** 2) / shares).sum())
    constant = 0.5 * float(np.log(shares).sum() + np.log(precision).sum())
    return _Merged(first, place, mean, Replicates(1.0 / precision, len(targets) - len(first), scatter, constant))


class GaussianProcess:
    """A fitted process.

    Args:
        inputs: N training rows; repeated rows are allowed.
        group: (D,) parameter of each embedded column.
        targets: (N,), finite.
        shares: (N,) noise variance of each measurement over the learned one; 1 throughout where it is None.
        aside: (N,) measurements that say nothing: they keep their place and are predicted as all are.
        start: hyperparameters to start the fit from, of a process like this one.

    Raises:
        ValueError: no rows, or targets that are not finite or of another length.
    """

    def __init__(
        self,
        inputs: Inputs,
        group: NDArray[np.intp],
        targets: FloatArray,
        shares: FloatArray | None = None,
        aside: NDArray[np.bool_] | None = None,
        start: FloatArray | None = None,
    ) -> None:
        count = len(targets)
        if count == 0 or len(inputs.embedded) != count or not np.isfinite(targets).all():
            raise ValueError(f"{len(inputs.embedded)} rows with {int(np.isfinite(targets).sum())} finite targets of {count}")
        spread = inputs.features.std(axis=0)
        self._kept = spread > SMALLEST_SPREAD
        self._centre, self._spread = inputs.features.mean(axis=0)[self._kept], spread[self._kept]
        self._scale = float(np.sqrt(np.mean(targets**2))) or 1.0
        every = self.rows(inputs)
        self._own_shares = np.ones(count) if shares is None else shares
        effective = self._own_shares if aside is None else np.where(aside, ASIDE_SHARE, self._own_shares)
        merged = _merge(every, targets / self._scale, effective)
        layout = Layout(int(group.max()) + 1 if len(group) else 0, int(self._kept.sum()))
        first = merged.first
        data = TrainingSet(
            inputs.embedded[first], group, self._standardise(inputs.features[first]), inputs.basis[first], merged.mean, layout, merged.replicates
        )
        self.theta = fit(data, start)
        self._place, self._every = merged.place, every
        self._conditioned = np.linspace(0, len(first) - 1, min(len(first), MOST_CONDITIONED)).astype(np.intp)
        if len(self._conditioned) < len(first):
            data = data.part(self._conditioned)
        self.model = DesignGP(data, self.theta).eval()
        self._rows = every[first][self._conditioned]
        self._targets = data.targets
        self._latent = self.covariance(self._rows, self._rows)
        self._noise = float(np.exp(self.theta[-1]))
        self._shares = np.ones(len(self._rows)) if data.replicates is None else data.replicates.share
        self._factor = cholesky(self._latent + np.diag(self._noise * self._shares), lower=True)
        self._alpha = cho_solve((self._factor, True), self._targets)

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise, in units of the targets."""
        return float(np.sqrt(self._noise)) * self._scale

    def _standardise(self, features: FloatArray) -> FloatArray:
        return np.asarray((features[:, self._kept] - self._centre) / self._spread)

    def rows(self, inputs: Inputs) -> FloatArray:
        """Model rows of inputs."""
        return input_rows(inputs.embedded, self._standardise(inputs.features), inputs.basis)

    def covariance(self, first: FloatArray, second: FloatArray) -> FloatArray:
        """Noise-free covariance of model rows, in units of the standardised targets."""
        with torch.no_grad():
            dense = self.model.covar_module(torch.from_numpy(first), torch.from_numpy(second)).to_dense()
        return np.asarray(dense.numpy(), dtype=np.float64)

    def variance(self, rows: FloatArray) -> FloatArray:
        """Prior variance of model rows (k,), in units of the standardised targets."""
        with torch.no_grad():
            diagonal = self.model.covar_module(torch.from_numpy(rows), diag=True)
        return np.asarray(diagonal.numpy(), dtype=np.float64)

    def predict(self, inputs: Inputs) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation (k,) of the noise-free function [Rasmussen2006]_ (2.25, 2.26)."""
        mean, std = self._posterior(self.rows(inputs))
        return mean * self._scale, std * self._scale

    def _posterior(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        cross = self.covariance(rows, self._rows)
        explained = solve_triangular(self._factor, cross.T, lower=True)
        variance = np.maximum(self.variance(rows) - np.einsum("ij,ij->j", explained, explained), 0.0)
        return cross @ self._alpha, np.sqrt(variance)

    def leave_one_out(self, together: NDArray[np.intp] | None = None) -> LeaveOneOut:
        """One more measurement of each row as the others predict it, in closed form [Rasmussen2006]_ (5.12).

        A row is left out with all its repeats. At the fitted hyperparameters.

        Args:
            together: (N,) label of each measurement; all that share a label with it are left out with it.
        """
        precision = cho_solve((self._factor, True), np.eye(len(self._targets)))
        if together is None:
            variance = 1.0 / np.diagonal(precision)
            mean = self._targets - self._alpha * variance
        else:
            mean, variance = self._blocks_left_out(precision, together)
        # The closed form predicts the mean of a row's repeats; one measurement scatters by its own share of the noise.
        latent = np.maximum(variance - self._noise * self._shares, 0.0)
        outside = self._posterior(self._every) if len(self.every_row) else (self.every_row, self.every_row)
        mean, spread = self.expand(mean, outside[0]), self.expand(latent, outside[1] ** 2)
        return LeaveOneOut(mean * self._scale, np.sqrt(spread + self._noise * self._own_shares) * self._scale)

    def _blocks_left_out(self, precision: FloatArray, together: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
        """Mean and variance (n,) of each row's mean without the rows of its label: blocks of the precision matrix."""
        label = np.empty(int(self._place.max()) + 1, dtype=np.intp)
        label[self._place] = together
        label = label[self._conditioned]
        mean, variance = np.empty_like(self._targets), np.empty_like(self._targets)
        for one in np.unique(label):
            rows = np.flatnonzero(label == one)
            block = np.linalg.inv(precision[np.ix_(rows, rows)])
            mean[rows] = self._targets[rows] - block @ self._alpha[rows]
            variance[rows] = np.diagonal(block)
        return mean, variance

    def expand(self, values: FloatArray, outside: FloatArray) -> FloatArray:
        """Values of the conditioned rows (n, ...) at all N measurements; ``outside`` (N, ...) supplies the rest, if any."""
        if not len(outside):
            return np.asarray(values[self._place])
        full = np.empty((int(self._place.max()) + 1, *values.shape[1:]))
        known = np.zeros(len(full), dtype=np.bool_)
        full[self._conditioned], known[self._conditioned] = values, True
        result = outside.copy()
        seen = known[self._place]
        result[seen] = full[self._place][seen]
        return result

    @property
    def every_row(self) -> FloatArray:
        """Model rows of all N measurements, where some are not conditioned on; else none."""
        return self._every if len(self._conditioned) <= int(self._place.max()) else self._every[:0]

    def sample(self, count: int, rng: np.random.Generator) -> ConditionedSamples:
        """Draw the noise-free function at the training rows ``count`` times; each draw can be conditioned on."""
        return ConditionedSamples(self, *self._posterior_weights(count, rng), noise=0.0)

    def posterior(self) -> ConditionedSamples:
        """The posterior given the noisy targets, as one draw that can be conditioned on: a believed design has noise too."""
        return ConditionedSamples(self, self._factor, self._alpha[:, None], noise=self._noise)

    def _posterior_weights(self, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Cholesky factor of the noise-free covariance, and K^-1 f for ``count`` posterior draws f (n x s).

        Matheron's rule [Wilson2020]_: f = f0 + K (K + s2 I)^-1 (y - f0 - e) with prior draws f0 = L z and e, hence
        K^-1 f = L^-T z + (K + s2 I)^-1 (y - f0 - e).
        """
        size = len(self._targets)
        jittered = self._latent + JITTER * float(np.mean(np.diagonal(self._latent))) * np.eye(size)
        factor = cholesky(jittered, lower=True)
        normal = rng.standard_normal((2, size, count))
        residual = self._targets[:, None] - factor @ normal[0] - np.sqrt(self._noise * self._shares)[:, None] * normal[1]
        weights = solve_triangular(factor, normal[0], lower=True, trans="T") + cho_solve((self._factor, True), residual)
        return factor, weights

    @property
    def scale(self) -> float:
        """Root mean square of the targets: what one standardised unit is."""
        return self._scale

    @property
    def training_rows(self) -> FloatArray:
        """Model rows of the training inputs."""
        return self._rows


class ConditionedSamples:
    """Posterior draws at the training rows, each taken as known: without noise, or with noise of variance ``noise``.

    Believing a design adds it to the known rows at each draw's own mean (*kriging believer*), which changes no mean and
    removes the uncertainty near it.
    """

    def __init__(self, process: GaussianProcess, factor: FloatArray, weights: FloatArray, *, noise: float) -> None:
        self._process = process
        self._rows = process.training_rows
        self._factor, self._weights, self._noise = factor, weights, noise
        self._known = len(self._rows)
        outside = process.every_row
        elsewhere = process.covariance(outside, self._rows) @ self._weights if len(outside) else outside
        #: N x s draws at the measurements' rows, or the noisy targets; their mean where a row is not conditioned on.
        self.values: FloatArray = process.expand(self._factor @ (self._factor.T @ self._weights), elsewhere) * process.scale

    def moments(self, inputs: Inputs) -> tuple[FloatArray, FloatArray]:
        """Mean k x s per draw, and standard deviation (k,) common to all draws."""
        rows = self._process.rows(inputs)
        cross = self._process.covariance(rows, self._rows)
        explained = solve_triangular(self._factor, cross.T, lower=True)
        variance = np.maximum(self._process.variance(rows) - np.einsum("ij,ij->j", explained, explained), 0.0)
        return cross[:, : self._known] @ self._weights * self._process.scale, np.sqrt(variance) * self._process.scale

    def believe(self, inputs: Inputs) -> None:
        """Take one design (one row) as known at its mean."""
        row = self._process.rows(inputs)
        variance = float(self._process.variance(row)[0])
        explained = solve_triangular(self._factor, self._process.covariance(self._rows, row)[:, 0], lower=True)
        last = np.sqrt(max(variance - explained @ explained, 0.0) + JITTER * variance + self._noise)
        size = len(self._rows)
        factor = np.zeros((size + 1, size + 1))
        factor[:size, :size], factor[size, :size], factor[size, size] = self._factor, explained, last
        self._factor, self._rows = factor, np.vstack([self._rows, row])
