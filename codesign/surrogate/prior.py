"""Prediction = prior + Gaussian process of the residual.

Notation: *model space* is where a target is modelled: the logarithm of a positive quantity, the value itself otherwise.
There the cheap prior ``p`` and the evidence ``t`` (n,) are compared by difference, that is by log(evidence / prior).

Three means compete by closed-form leave-one-out likelihood, and the winner is recorded:

- ``zero``: a constant mean, no prior;
- ``prior``: the prior;
- ``scaled_prior``: offset and scale of the prior are learned.

With fewer than `MIN_EVIDENCE` results the prediction is the prior, and its interval the prior's documented error.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from codesign.estimate import Estimate, Evidence
from codesign.space.design_space import Indices
from codesign.surrogate.calibration import Calibration, calibrate
from codesign.surrogate.encoding import Encoding
from codesign.surrogate.gaussian_process import ConditionedSamples, GaussianProcess, Inputs, LeaveOneOut

FloatArray = NDArray[np.float64]

MIN_EVIDENCE = 5
# Two-sided 95 % of the normal distribution.
Z95 = 1.959963984540054


class Mean(StrEnum):
    """What the Gaussian process is added to."""

    ZERO = "zero"
    PRIOR = "prior"
    SCALED_PRIOR = "scaled_prior"
    PRIOR_ONLY = "prior_only"


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


@dataclass(frozen=True)
class _Trend:
    """A mean and the numbers that make its regressors."""

    mean: Mean
    centre: float
    prior_centre: float
    prior_scale: float

    @classmethod
    def of(cls, mean: Mean, target: FloatArray, prior: FloatArray) -> _Trend:
        centre = 0.0 if mean is Mean.PRIOR else float(target.mean())
        if mean is not Mean.SCALED_PRIOR:
            return cls(mean, centre, 0.0, 1.0)
        return cls(mean, centre, float(prior.mean()), float(prior.std()))

    def offset(self, prior: FloatArray) -> FloatArray:
        """What is taken off the target before the process is fitted."""
        return prior if self.mean is Mean.PRIOR else np.full(len(prior), self.centre)

    def basis(self, prior: FloatArray) -> FloatArray:
        """Regressors with learned coefficients."""
        if self.mean is Mean.PRIOR:
            return np.empty((len(prior), 0))
        one = np.ones((len(prior), 1))
        if self.mean is Mean.ZERO:
            return one
        return np.hstack([one, ((prior - self.prior_centre) / self.prior_scale)[:, None]])


class Predictor:
    """Predicts one quantity of designs from its prior and the evidence so far.

    Args:
        encoding: embedding of the design space.
        log: the target is positive and modelled by its logarithm.
        designs: n designs with evidence; n may be 0.
        evidence: (n,) natural units; rows that are not finite are left out.

    Raises:
        ValueError: a log target with evidence or a prior that is not positive.
    """

    def __init__(self, encoding: Encoding, designs: Designs, evidence: FloatArray, *, log: bool) -> None:
        self.encoding, self.log = encoding, log
        valid = np.isfinite(evidence)
        self._designs = designs.rows(valid)
        #: Evidence in model space, of the rows that were used.
        self.target: FloatArray = self.to_model(evidence[valid])
        self.mean = Mean.PRIOR_ONLY
        #: Mean log predictive density of each mean that was tried, higher is better.
        self.scores: dict[Mean, float] = {}
        if len(self.target) >= MIN_EVIDENCE:
            self._compete()

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
        for mean in means:
            trend = _Trend.of(mean, self.target, prior)
            process = GaussianProcess(self._inputs(self._designs, trend), self.encoding.group, self.target - trend.offset(prior))
            score = log_density(process.leave_one_out(), self.target - trend.offset(prior))
            if not self.scores or score > max(self.scores.values()):
                self.mean, self._trend, self._process = mean, trend, process
            self.scores[mean] = score

    def _inputs(self, designs: Designs, trend: _Trend) -> Inputs:
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
            std = np.hypot(std, self._process.noise_std)
        return Prediction(mean + self._trend.offset(prior), std)

    def estimates(self, designs: Designs, unit: str) -> list[Estimate]:
        """What an evaluation of each design would give, with 95 % intervals, in natural units."""
        prediction = self.predict(designs, noise=True)
        evidence = Evidence.ANALYTIC if self.mean is Mean.PRIOR_ONLY else Evidence.PREDICTED
        source = "prior" if self.mean is Mean.PRIOR_ONLY else f"Gaussian process on {len(self)} results, mean: {self.mean}"
        bounds = (self.to_natural(prediction.mean + shift * prediction.std) for shift in (0.0, -Z95, Z95))
        return [Estimate(float(value), unit, float(low), float(high), evidence, source) for value, low, high in zip(*bounds, strict=True)]

    def leave_one_out(self) -> LeaveOneOut | None:
        """Leave-one-out predictions of `target` in model space; None while the prior is all there is."""
        if self.mean is Mean.PRIOR_ONLY:
            return None
        left = self._process.leave_one_out()
        return LeaveOneOut(left.mean + self._trend.offset(self.to_model(self._designs.prior)), left.std)

    def calibration(self, quantity: str) -> Calibration | None:
        """Leave-one-out predictions against the evidence; None while the prior is all there is."""
        left = self.leave_one_out()
        return None if left is None else calibrate(quantity, left.mean, left.std, self.target, log=self.log)

    def sample(self, count: int, rng: np.random.Generator) -> PredictorSamples | None:
        """Posterior draws to condition on; None while the prior is all there is."""
        return None if self.mean is Mean.PRIOR_ONLY else PredictorSamples(self, self._process.sample(count, rng), self._trend)


class PredictorSamples:
    """`ConditionedSamples` in model space."""

    def __init__(self, predictor: Predictor, samples: ConditionedSamples, trend: _Trend) -> None:
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


def log_density(left: LeaveOneOut, target: FloatArray) -> float:
    """Mean log density of the targets under their leave-one-out predictions."""
    standard = (target - left.mean) / left.std
    return float(np.mean(-0.5 * standard**2 - np.log(left.std) - 0.5 * np.log(2.0 * np.pi)))
