"""A new device from few measurements: which designs to measure on it, and what all others will take there.

The problem of HELP [Lee2021]_, MAPLE and OneProxy: latencies of ``N`` designs are known on ``S`` source devices (or by ``S`` analytic
cost models), and ``n`` of the designs, chosen here, are measured on the new device. `codesign.surrogate.transfer_prior`
states the Gaussian process; its hyperparameters are averaged over `codesign.surrogate.transfer_hypotheses`.

    sources = SourceDevices(table, latencies)
    rows = sources.choose(10, seed=0)
    device = sources.adapt(rows, measure(rows))
    latency, (low, high) = device.latency(), device.interval()

.. [Cohn1996] D. Cohn, Z. Ghahramani, M. Jordan, "Active Learning with Statistical Models", JAIR 4, 1996.
.. [Lee2021] H. Lee et al., "HELP: Hardware-Adaptive Efficient Latency Prediction for NAS via Meta-Learning", NeurIPS 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from codesign.surrogate.transfer_basis import EffectBasis
from codesign.surrogate.transfer_hypotheses import GRID, Gram, Posterior, condition, posterior_weights, rehearse, variances
from codesign.surrogate.transfer_prior import Sources, TransferPrior, build_prior
from codesign.surrogate.transfer_table import ParameterTable

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]

# Designs among which the measured ones are chosen, and designs whose uncertainty they are to lower.
MOST_CANDIDATES = 4000
REFERENCE_ROWS = 1000
# Hypotheses lighter than this share of the heaviest are left out of predictions.
LIGHTEST = 1e-2
CHUNK = 2000


class SourceDevices:
    """Latencies of N designs on S source devices.

    Args:
        table: the designs.
        latency: N x S, positive, in any unit per device.
        descriptors: S x p numbers that describe the sources (peak throughput, bandwidth, ...), or None.
        target: (p,) the same of the new device: sources like it count more.
        exact: the sources are cost models: nothing in their latencies is noise.

    Raises:
        ValueError: no source, another number of rows, latencies that are not positive and finite, or descriptors of
            another shape.
    """

    def __init__(
        self,
        table: ParameterTable,
        latency: FloatArray,
        descriptors: FloatArray | None = None,
        target: FloatArray | None = None,
        *,
        exact: bool = False,
    ) -> None:
        if latency.ndim != 2 or len(latency) != len(table) or latency.shape[1] == 0:
            raise ValueError(f"latencies of shape {latency.shape} for {len(table)} designs; one column a source is needed")
        if not (np.isfinite(latency) & (latency > 0.0)).all():
            raise ValueError("latencies of the source devices must be positive and finite")
        measured = np.log(latency)
        basis = EffectBasis(table, measured)
        weights = _similarity(latency.shape[1], descriptors, target)
        self._sources = Sources(table, basis, measured, basis.matrix @ basis.fit(measured), weights, exact)

    def __len__(self) -> int:
        return len(self._sources.table)

    @cached_property
    def prior(self) -> TransferPrior:
        """The process at all N rows before a measurement."""
        return build_prior(self._sources, np.arange(len(self), dtype=np.intp))

    @cached_property
    def hypotheses(self) -> FloatArray:
        """Weight of each hypothesis before a measurement (h,)."""
        return rehearse(self._sources)

    def choose(self, count: int, seed: int) -> Rows:
        """Rows to measure, the most telling first, each given those before it.

        Each takes the most off the summed variance of all designs [Cohn1996]_, by the average hypothesis. The first ``m``
        of a longer list are the list of ``m``. The seed draws the half of the designs that may be proposed.

        Raises:
            ValueError: more than the number of designs.
        """
        if not 0 <= count <= len(self):
            raise ValueError(f"{count} designs of {len(self)}")
        order = np.random.default_rng(seed).permutation(len(self))
        size = min(MOST_CANDIDATES, len(self) // 2)
        pool = order[: max(size, count)]
        columns, noise = self._average()
        return np.asarray(pool[_most_telling(columns[pool], columns[order[::-1][:REFERENCE_ROWS]], noise**2, count)], dtype=np.intp)

    def _average(self) -> tuple[FloatArray, float]:
        """Columns N x c of the prior covariance and the noise, by the mean variance and the mean log noise of the hypotheses."""
        factors = float(np.sqrt(self.hypotheses @ np.array([one.factors**2 for one in GRID])))
        corrections = float(np.sqrt(self.hypotheses @ np.array([one.corrections**2 for one in GRID])))
        noise = float(np.exp(self.hypotheses @ np.log([np.hypot(one.noise, one.process) for one in GRID])))
        return np.hstack([self.prior.common, factors * self.prior.factors, corrections * self.prior.corrections]), noise

    def adapt(self, rows: Rows, latency: FloatArray, resolution: float = 0.0) -> AdaptedDevice:
        """The new device after n measurements; n may be 0.

        Args:
            rows: (n,) measured rows; a row may occur more than once.
            latency: (n,) in the unit of the new device.
            resolution: smallest step of the measurement, in the same unit; 0 where it is fine.

        Raises:
            ValueError: another number of latencies than of rows, or latencies that are not positive and finite.
        """
        if latency.shape != rows.shape or not (np.isfinite(latency) & (latency > 0.0)).all():
            raise ValueError(f"{len(rows)} positive measurements are needed, got {latency.tolist()}")
        # A value rounded to steps of q has the variance q^2 / 12, relative to its square in the logarithm.
        extra = resolution**2 / 12.0 / latency**2
        at = self.prior.rows(rows)
        gram, residual = Gram.of(at, at), np.log(latency) - at.mean
        posteriors = [condition(gram, residual, one, extra) for one in GRID]
        weights = posterior_weights(self.hypotheses, [one.log_likelihood for one in posteriors])
        kept = np.flatnonzero(weights >= LIGHTEST * weights.max())
        return AdaptedDevice(self.prior, at, [(int(h), posteriors[h]) for h in kept], weights[kept] / weights[kept].sum(), resolution)


@dataclass(frozen=True)
class AdaptedDevice:
    """A device after its measurements.

    Attributes:
        prior: the process at all N rows.
        measured: the process at the n measured rows.
        posteriors: place in the grid of hypotheses, and posterior, of those that are kept.
        weights: their weights, of sum 1.
        resolution: smallest step of a measurement.
    """

    prior: TransferPrior
    measured: TransferPrior
    posteriors: list[tuple[int, Posterior]]
    weights: FloatArray
    resolution: float

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise of log latency, the root of its mean square over the hypotheses."""
        return float(np.sqrt(self.weights @ np.array([GRID[place].noise ** 2 for place, _ in self.posteriors])))

    @cached_property
    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation (N,) of the log latency that a measurement of each design would show."""
        parts = [self._chunk(np.arange(start, min(start + CHUNK, len(self.prior.mean)))) for start in range(0, len(self.prior.mean), CHUNK)]
        mean, variance = (np.concatenate(column) for column in zip(*parts, strict=True))
        return mean, np.sqrt(variance + self.resolution**2 / 12.0 / np.exp(2.0 * mean))

    def _chunk(self, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of some rows: of the mixture of the hypotheses."""
        prior = self.prior.rows(rows)
        gram = Gram.of(prior, self.measured)
        means, spreads = np.empty((len(self.weights), len(rows))), np.empty((len(self.weights), len(rows)))
        for number, (place, posterior) in enumerate(self.posteriors):
            cross = gram.under(GRID[place])
            explained = solve_triangular(posterior.factor, cross.T, lower=True)
            means[number] = prior.mean + cross @ posterior.alpha
            left = variances(prior, GRID[place]) - np.einsum("ij,ij->j", explained, explained)
            spreads[number] = np.maximum(left, 0.0) + GRID[place].noise ** 2
        mean = self.weights @ means
        return mean, self.weights @ (spreads + (means - mean) ** 2)

    def latency(self) -> FloatArray:
        """Predicted latency (N,): the median, in the unit of the measurements."""
        return np.asarray(np.exp(self.moments[0]))

    def interval(self, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Ends (N,) of the interval that holds a measurement with this probability."""
        mean, std = self.moments
        half = NormalDist().inv_cdf(0.5 + 0.5 * level) * std
        return np.exp(mean - half), np.exp(mean + half)


def _similarity(count: int, descriptors: FloatArray | None, target: FloatArray | None) -> FloatArray:
    """Weights (S,) of the sources: equal, or by a squared-exponential kernel of standardised descriptors."""
    if descriptors is None or target is None:
        return np.full(count, 1.0 / count)
    if descriptors.ndim != 2 or len(descriptors) != count or target.shape != descriptors.shape[1:]:
        raise ValueError(f"descriptors of shape {descriptors.shape} and {target.shape} for {count} sources")
    spread = np.vstack([descriptors, target]).std(axis=0)
    kept = spread > 0.0
    distance2 = (((descriptors - target)[:, kept] / spread[kept]) ** 2).mean(axis=1) if kept.any() else np.zeros(count)
    weights = np.exp(-0.5 * (distance2 - distance2.min()))
    return np.asarray(weights / weights.sum())


def _most_telling(candidates: FloatArray, reference: FloatArray, noise: float, count: int) -> list[int]:
    """Places of ``count`` candidates, one after the other, by the fall of the summed variance of the reference rows.

    Args:
        candidates: c x m columns whose products are the covariance.
        reference: k x m, the same.
        noise: variance of a measurement.
        count: how many.
    """
    covariance = np.eye(candidates.shape[1])
    wanted = reference.T @ reference
    chosen: list[int] = []
    for _ in range(count):
        moved = candidates @ covariance
        gain = np.einsum("ij,ij->i", moved @ wanted, moved) / (np.einsum("ij,ij->i", moved, candidates) + noise)
        gain[chosen] = -np.inf
        best = int(np.argmax(gain))
        chosen.append(best)
        pull = moved[best]
        covariance -= np.outer(pull, pull) / (float(pull @ candidates[best]) + noise)
    return chosen
