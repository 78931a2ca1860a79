"""Prediction = prior + Gaussian process of the residual.

Notation: *model space* is where a target is modelled: the logarithm of a positive quantity, the value itself otherwise.
There the cheap prior ``p`` and the evidence ``t`` (n,) are compared by difference, that is by log(evidence / prior).

Three means compete by closed-form leave-one-out likelihood, and the winner is recorded:

- ``zero``: a constant mean, no prior;
- ``prior``: the prior;
- ``scaled_prior``: offset and scale of the prior are learned.

Where predictions are asked of labels never seen (``together``), a fourth competes, and all are scored on left-out labels:

- ``prior_noise``: the prior with one offset and noise; what features say of the labels seen says nothing of others.

With fewer than `MIN_EVIDENCE` results the prediction is the prior, and its interval the prior's documented error.

Intervals are held against leave-one-out predictions: where they miss they are recalibrated, and where there is too little
evidence for that, or they still miss, the predictor says so and its intervals become no narrower than the prior's error
and the errors that were seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from codesign.estimate import Estimate, Evidence
from codesign.space.design_space import Indices
from codesign.surrogate.calibration import LEVELS, Calibration, Recalibration, calibrate, half_width_of, recalibration
from codesign.surrogate.encoding import Embedding
from codesign.surrogate.gaussian_process import ConditionedSamples, GaussianProcess, Inputs, LeaveOneOut
from codesign.surrogate.trend import Mean, Trend

__all__ = ["MIN_EVIDENCE", "Z95", "Designs", "Mean", "Prediction", "Predictor", "PredictorSamples", "log_density"]

FloatArray = NDArray[np.float64]

MIN_EVIDENCE = 5
# Two-sided 95 % of the normal distribution.
Z95 = 1.959963984540054
# Residuals, in standard deviations, from which a robust fit takes a measurement for one that another law made.
OUTLIER = 4.0
ROBUST_ROUNDS = 4


@dataclass(frozen=True)
class Designs:
    """What a predictor reads of k designs.

    Attributes:
        indices: k x d.
        features: k x f physical features.
        prior: (k,) cheap value in natural units; NaN throughout where there is none.
        prior_error: (k,) one standard deviation: relative for a log target, else in natural units.
    """

    indices: Indices
    features: FloatArray
    prior: FloatArray
    prior_error: FloatArray

    def __len__(self) -> int:
        return len(self.indices)

    def rows(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> Designs:
        """The chosen designs only."""
        return Designs(self.indices[chosen], self.features[chosen], self.prior[chosen], self.prior_error[chosen])


@dataclass(frozen=True)
class Prediction:
    """Mean and standard deviation (k,) in model space."""

    mean: FloatArray
    std: FloatArray


class Predictor:
    """Predicts one quantity of designs from its prior and the evidence so far.

    Args:
        encoding: embedding of the design space.
        log: the target is positive and modelled by its logarithm.
        designs: n designs with evidence; n may be 0.
        evidence: (n,) natural units; rows that are not finite are left out.
        robust: measurements far from what all others predict are taken out of the fit (not out of the calibration).
        uneven: the scatter of each measurement is in proportion to its prior's error, by a factor that is learned.
        starts: hyperparameters by mean to start the fits from; see `codesign.surrogate.warm_start`.
        together: (n,) labels; calibration leaves out all that share a label, for predictions of labels never seen.

    Raises:
        ValueError: a log target with evidence or a prior that is not positive.
    """

    def __init__(
        self,
        encoding: Embedding,
        designs: Designs,
        evidence: FloatArray,
        *,
        log: bool,
        robust: bool = False,
        uneven: bool = False,
        starts: Mapping[Mean, FloatArray] | None = None,
        together: NDArray[np.intp] | None = None,
    ) -> None:
        self.encoding, self.log, self.robust = encoding, log, robust
        valid = np.isfinite(evidence)
        self._together = None if together is None else together[valid]
        self._starts = starts or {}
        #: Hyperparameters of each mean that was tried, where a later fit may start.
        self.thetas: dict[Mean, FloatArray] = {}
        #: (n,) measurements that a robust fit set aside.
        self.outliers: NDArray[np.bool_] = np.zeros(int(valid.sum()), dtype=np.bool_)
        self._designs = designs.rows(valid)
        self._typical_error = float(np.median(self._designs.prior_error)) if uneven and valid.any() else None
        #: Evidence in model space, of the rows that were used.
        self.target: FloatArray = self.to_model(evidence[valid])
        self.mean = Mean.PRIOR_ONLY
        #: Mean log predictive density of each mean that was tried, higher is better.
        self.scores: dict[Mean, float] = {}
        if len(self.target) >= MIN_EVIDENCE:
            if robust:
                self._set_aside(self._deviation())
            self._compete()
            if robust:
                self._set_outliers_aside()

    def __len__(self) -> int:
        return len(self.target)

    def to_model(self, values: FloatArray) -> FloatArray:
        """Natural units to model space."""
        if not self.log:
            return np.asarray(values, dtype=np.float64)
        if np.any(values <= 0.0):
            raise ValueError(f"a quantity modelled by its logarithm must be positive, got {np.nanmin(values):g}")
        return np.asarray(np.log(values), dtype=np.float64)

    def to_natural(self, values: FloatArray) -> FloatArray:
        """Inverse of `to_model`."""
        return np.exp(values) if self.log else values

    def _compete(self) -> None:
        """Fit each mean that the data allow and keep the one of highest leave-one-out likelihood; ties go to the simplest."""
        prior = self.to_model(self._designs.prior)
        known = bool(np.isfinite(prior).all())
        means = [Mean.ZERO]
        if known:
            means.append(Mean.PRIOR)
        if known and prior.std() > 1e-9 * max(1.0, float(np.abs(prior).max())):
            means.append(Mean.SCALED_PRIOR)
        if known and self._together is not None:
            means.append(Mean.PRIOR_NOISE)
        for mean in means:
            trend, process = self._fit(mean)
            self.thetas[mean] = process.theta
            score = log_density(process.leave_one_out(self._together), self.target - trend.offset(prior), ~self.outliers)
            if not self.scores or score > max(self.scores.values()):
                self.mean, self._trend, self._process = mean, trend, process
            self.scores[mean] = score

    def _fit(self, mean: Mean) -> tuple[Trend, GaussianProcess]:
        prior = self.to_model(self._designs.prior)
        used = ~self.outliers
        trend = Trend.of(mean, self.target[used], prior[used])
        group = self.encoding.group if mean is not Mean.PRIOR_NOISE else np.empty(0, dtype=np.intp)
        rest = self.target - trend.offset(prior)
        inputs, shares = self._inputs(self._designs, trend), self._noise_shares(self._designs)
        return trend, GaussianProcess(inputs, group, rest, shares, None if used.all() else ~used, self._starts.get(mean))

    def _noise_shares(self, designs: Designs) -> FloatArray | None:
        """Variance (k,) of each design's scatter over the learned one; None where all are alike."""
        return None if self._typical_error is None else np.asarray((designs.prior_error / self._typical_error) ** 2)

    def _set_outliers_aside(self) -> None:
        """Refit without what all others contradict, until nothing new does.

        A single wild measurement inflates the noise and hides others, so what came before the first fit was a look at the
        median and the median absolute deviation; these are left-out residuals.
        """
        for round_ in range(ROBUST_ROUNDS):
            before = self.outliers
            # What only the first look took for wild may come back once.
            self._set_aside(np.where(before & (round_ > 0), np.inf, self._standard(None)))
            if (self.outliers == before).all():
                return
            self._trend, self._process = self._fit(self.mean)

    def _set_aside(self, standard: FloatArray) -> None:
        self.outliers = np.asarray(np.abs(standard) > OUTLIER)

    def _deviation(self) -> FloatArray:
        """Distance of each target from the prior, off their median, in median absolute deviations (n,)."""
        prior = self.to_model(self._designs.prior)
        residual = self.target - (prior if np.isfinite(prior).all() else np.zeros_like(self.target))
        residual = (residual - np.median(residual)) / (1.0 if self._typical_error is None else self._designs.prior_error / self._typical_error)
        spread = 1.4826 * float(np.median(np.abs(residual)))
        return residual / spread if spread > 0.0 else np.zeros_like(residual)

    def _standard(self, together: NDArray[np.intp] | None) -> FloatArray:
        """Left-out residuals over their standard deviations (n,)."""
        left = self._left_out(together)
        return np.asarray((self.target - left.mean) / left.std)

    def _left_out(self, together: NDArray[np.intp] | None) -> LeaveOneOut:
        left = self._process.leave_one_out(together)
        return LeaveOneOut(left.mean + self._trend.offset(self.to_model(self._designs.prior)), left.std)

    @cached_property
    def recalibration(self) -> Recalibration | None:
        """Half-widths of the intervals where the normal ones missed on left-out results; None where they held or evidence is too little."""
        return None if self.mean is Mean.PRIOR_ONLY else recalibration(self._standard(self._together))

    @cached_property
    def calibrated(self) -> bool | None:
        """Whether the intervals, cross-fitted where recalibrated, hold on left-out results; None with too few of them to say."""
        found = self.calibration("")
        return None if found is None else found.calibrated

    def _inputs(self, designs: Designs, trend: Trend) -> Inputs:
        if trend.mean is Mean.PRIOR_NOISE:
            nothing = np.empty((len(designs), 0))
            return Inputs(nothing, nothing, nothing)
        return Inputs(self.encoding.embed(designs.indices), designs.features, trend.basis(self.to_model(designs.prior)))

    def predict(self, designs: Designs, *, noise: bool = False) -> Prediction:
        """Mean and standard deviation of k designs in model space.

        Args:
            designs: what to predict.
            noise: include the scatter of one more evaluation.

        Raises:
            ValueError: too little evidence for a process, and no prior.
        """
        prior = self.to_model(designs.prior)
        if self.mean is Mean.PRIOR_ONLY:
            if not np.isfinite(prior).all():
                raise ValueError(f"no prior, and {len(self)} results are fewer than {MIN_EVIDENCE}")
            return Prediction(prior, np.log1p(designs.prior_error) if self.log else designs.prior_error)
        mean, std = self._process.predict(self._inputs(designs, self._trend))
        if noise:
            shares = self._noise_shares(designs)
            std = np.hypot(std, self._process.noise_std * (1.0 if shares is None else np.sqrt(shares)))
        return Prediction(mean + self._trend.offset(prior), std)

    def interval(self, designs: Designs, level: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """What an evaluation of each design would give: median, low and high (k,) in natural units.

        Args:
            designs: what to predict.
            level: one of `codesign.surrogate.calibration.LEVELS`.
        """
        prediction = self.predict(designs, noise=True)
        known = None if self.mean is Mean.PRIOR_ONLY else self.recalibration
        half = half_width_of(level, known) * prediction.std
        if self.mean is not Mean.PRIOR_ONLY and not self.calibrated:
            half = np.maximum(half, half_width_of(level, None) * self._safe_std(designs))
        shifted = (prediction.mean + shift * half for shift in (0.0, -1.0, 1.0))
        median, low, high = (np.asarray(self.to_natural(values)) for values in shifted)
        return median, low, high

    def density(self, designs: Designs, measured: FloatArray) -> FloatArray:
        """Log density (k,) of one measurement of each design, in model space.

        Where the fit is robust another law makes a share of the measurements: a second, wide normal, as often and as far
        off as among the results set aside.

        Args:
            designs: k designs.
            measured: (k,) in model space.
        """
        prediction = self.predict(designs, noise=True)
        density = _normal(measured - prediction.mean, prediction.std)
        if self.mean is Mean.PRIOR_ONLY or not self.robust:
            return density
        left = self._left_out(self._together)
        share = (float(self.outliers.sum()) + 1.0) / (len(self) + 2.0)
        far = (self.target - left.mean)[self.outliers]
        spread = float(np.sqrt(np.mean(far**2))) if len(far) else OUTLIER * float(np.median(left.std))
        wide = np.hypot(prediction.std, spread)
        return np.asarray(np.logaddexp(np.log1p(-share) + density, np.log(share) + _normal(measured - prediction.mean, wide)))

    def _safe_std(self, designs: Designs) -> FloatArray:
        """Standard deviation (k,) below which a predictor that is not calibrated must not promise: prior's error or errors seen."""
        left = self._left_out(self._together)
        seen = float(np.sqrt(np.mean((self.target - left.mean) ** 2)))
        error = np.log1p(designs.prior_error) if self.log else designs.prior_error
        return np.asarray(np.maximum(np.nan_to_num(error, nan=0.0, posinf=0.0), seen))

    @property
    def source(self) -> str:
        """Where the numbers come from, and how far their intervals can be trusted."""
        if self.mean is Mean.PRIOR_ONLY:
            return "prior"
        trust = {True: "", False: ", not calibrated: intervals widened", None: ", too few to calibrate: intervals widened"}[self.calibrated]
        trust = ", recalibrated" if self.recalibration is not None and self.calibrated else trust
        return f"Gaussian process on {len(self)} results, mean: {self.mean}{trust}"

    def estimates(self, designs: Designs, unit: str) -> list[Estimate]:
        """What an evaluation of each design would give, with 95 % intervals, in natural units."""
        evidence = Evidence.ANALYTIC if self.mean is Mean.PRIOR_ONLY else Evidence.PREDICTED
        bounds = self.interval(designs, LEVELS[-1])
        source = self.source
        return [Estimate(float(value), unit, float(low), float(high), evidence, source) for value, low, high in zip(*bounds, strict=True)]

    def leave_one_out(self) -> LeaveOneOut | None:
        """Leave-one-out predictions of `target` in model space; None while the prior is all there is."""
        return None if self.mean is Mean.PRIOR_ONLY else self._left_out(None)

    def calibration(self, quantity: str) -> Calibration | None:
        """Left-out predictions, with their intervals, against the evidence; None while the prior is all there is."""
        if self.mean is Mean.PRIOR_ONLY:
            return None
        left = self._left_out(self._together)
        return calibrate(quantity, left.mean, left.std, self.target, log=self.log, recalibrated=self.recalibration, cross_fit=True)

    def sample(self, count: int, rng: np.random.Generator) -> PredictorSamples | None:
        """Posterior draws to condition on; None while the prior is all there is."""
        return None if self.mean is Mean.PRIOR_ONLY else PredictorSamples(self, self._process.sample(count, rng), self._trend)

    def posterior(self) -> PredictorSamples | None:
        """The posterior given the noisy evidence, as one draw to condition on; None while the prior is all there is."""
        return None if self.mean is Mean.PRIOR_ONLY else PredictorSamples(self, self._process.posterior(), self._trend)

    @property
    def noise_std(self) -> float:
        """Scatter of one more evaluation, in model space; 0 while the prior is all there is."""
        return 0.0 if self.mean is Mean.PRIOR_ONLY else self._process.noise_std

    def safe(self, designs: Designs, std: FloatArray) -> FloatArray:
        """Standard deviations (k,) to search by, never narrower than ``std`` (k,).

        Where the normal intervals missed, as wide as the recalibrated 95 % one; where left-out results refute that too, not
        below the errors seen.
        """
        if self.mean is Mean.PRIOR_ONLY:
            return std
        if self.recalibration is not None:
            std = std * self.recalibration.widening()
        return std if self.calibrated is not False else np.maximum(std, self._safe_std(designs))


class PredictorSamples:
    """`ConditionedSamples` in model space."""

    def __init__(self, predictor: Predictor, samples: ConditionedSamples, trend: Trend) -> None:
        self._predictor, self._samples, self._trend = predictor, samples, trend

    def _inputs(self, designs: Designs) -> Inputs:
        return self._predictor._inputs(designs, self._trend)

    @property
    def values(self) -> FloatArray:
        """N x s draws at the designs with evidence."""
        predictor = self._predictor
        return self._samples.values + self._trend.offset(predictor.to_model(predictor._designs.prior))[:, None]

    def moments(self, designs: Designs) -> tuple[FloatArray, FloatArray]:
        """Mean k x s per draw, and standard deviation (k,)."""
        mean, std = self._samples.moments(self._inputs(designs))
        return mean + self._trend.offset(self._predictor.to_model(designs.prior))[:, None], std

    def believe(self, design: Designs) -> None:
        """Take one design as known at its mean."""
        self._samples.believe(self._inputs(design))


def log_density(left: LeaveOneOut, target: FloatArray, used: NDArray[np.bool_]) -> float:
    """Mean log density of the targets in use under their left-out predictions."""
    return float(np.mean(_normal(target - left.mean, left.std)[used]))


def _normal(residual: FloatArray, std: FloatArray) -> FloatArray:
    """Log density of normal residuals."""
    return np.asarray(-0.5 * (residual / std) ** 2 - np.log(std) - 0.5 * np.log(2.0 * np.pi))
