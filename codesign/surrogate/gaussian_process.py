"""Exact Gaussian process in float64: fit, prediction, leave-one-out, and samples to condition on.

The model is GPyTorch's (`codesign.surrogate.kernel`); its hyperparameters are found by the closed-form objective of
`codesign.surrogate.marginal_likelihood`. Everything follows from the data alone: the same data give the same model.

Notation: ``n`` training rows, ``k`` rows to predict, ``s`` samples; targets are standardised by the caller or not at all.

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
from codesign.surrogate.marginal_likelihood import TrainingSet, fit

FloatArray = NDArray[np.float64]

# Added to the noise-free covariance before its Cholesky factor, relative to its mean diagonal: repeated designs make it singular.
JITTER = 1e-8
# Features that vary less than this over the training rows carry nothing.
SMALLEST_SPREAD = 1e-9


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


class GaussianProcess:
    """A fitted process.

    Args:
        inputs: n training rows; repeated rows are allowed.
        group: (D,) parameter of each embedded column.
        targets: (n,), finite.

    Raises:
        ValueError: no rows, or targets that are not finite or of another length.
    """

    def __init__(self, inputs: Inputs, group: NDArray[np.intp], targets: FloatArray) -> None:
        count = len(targets)
        if count == 0 or len(inputs.embedded) != count or not np.isfinite(targets).all():
            raise ValueError(f"{len(inputs.embedded)} rows with {int(np.isfinite(targets).sum())} finite targets of {count}")
        spread = inputs.features.std(axis=0)
        self._kept = spread > SMALLEST_SPREAD
        self._centre, self._spread = inputs.features.mean(axis=0)[self._kept], spread[self._kept]
        self._scale = float(np.sqrt(np.mean(targets**2))) or 1.0
        layout = Layout(int(group.max()) + 1 if len(group) else 0, int(self._kept.sum()))
        data = TrainingSet(inputs.embedded, group, self._standardise(inputs.features), inputs.basis, targets / self._scale, layout)
        self.theta = fit(data)
        self.model = DesignGP(data, self.theta).eval()
        self._rows = self.rows(inputs)
        self._targets = data.targets
        self._latent = self.covariance(self._rows, self._rows)
        self._noise = float(np.exp(self.theta[-1]))
        self._factor = cholesky(self._latent + self._noise * np.eye(count), lower=True)
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
        rows = self.rows(inputs)
        cross = self.covariance(rows, self._rows)
        explained = solve_triangular(self._factor, cross.T, lower=True)
        variance = np.maximum(self.variance(rows) - np.einsum("ij,ij->j", explained, explained), 0.0)
        return cross @ self._alpha * self._scale, np.sqrt(variance) * self._scale

    def leave_one_out(self) -> LeaveOneOut:
        """Closed form at the fitted hyperparameters [Rasmussen2006]_ (5.12)."""
        precision = np.diagonal(cho_solve((self._factor, True), np.eye(len(self._targets))))
        mean = self._targets - self._alpha / precision
        return LeaveOneOut(mean * self._scale, np.sqrt(1.0 / precision) * self._scale)

    def sample(self, count: int, rng: np.random.Generator) -> ConditionedSamples:
        """Draw the noise-free function at the training rows ``count`` times; each draw can be conditioned on."""
        return ConditionedSamples(self, count, rng)

    def _posterior_weights(self, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Cholesky factor of the noise-free covariance, and K^-1 f for ``count`` posterior draws f (n x s).

        Matheron's rule [Wilson2020]_: f = f0 + K (K + s2 I)^-1 (y - f0 - e) with prior draws f0 = L z and e, hence
        K^-1 f = L^-T z + (K + s2 I)^-1 (y - f0 - e).
        """
        size = len(self._targets)
        jittered = self._latent + JITTER * float(np.mean(np.diagonal(self._latent))) * np.eye(size)
        factor = cholesky(jittered, lower=True)
        normal = rng.standard_normal((2, size, count))
        residual = self._targets[:, None] - factor @ normal[0] - np.sqrt(self._noise) * normal[1]
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
    """Posterior draws at the training rows, each taken as known without noise.

    Believing a design adds it to the known rows at each draw's own mean (*kriging believer*), which changes no mean and
    removes the uncertainty near it.
    """

    def __init__(self, process: GaussianProcess, count: int, rng: np.random.Generator) -> None:
        self._process = process
        self._rows = process.training_rows
        self._factor, self._weights = process._posterior_weights(count, rng)
        self._known = len(self._rows)
        #: n x s draws at the training rows.
        self.values: FloatArray = (self._factor @ (self._factor.T @ self._weights)) * process.scale

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
        last = np.sqrt(max(variance - explained @ explained, 0.0) + JITTER * variance)
        size = len(self._rows)
        factor = np.zeros((size + 1, size + 1))
        factor[:size, :size], factor[size, :size], factor[size, size] = self._factor, explained, last
        self._factor, self._rows = factor, np.vstack([self._rows, row])
