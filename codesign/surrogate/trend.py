"""Means of a predictor, and what each takes off the target before a process is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Mean(StrEnum):
    """What the Gaussian process is added to."""

    ZERO = "zero"
    PRIOR = "prior"
    SCALED_PRIOR = "scaled_prior"
    PRIOR_NOISE = "prior_noise"
    PRIOR_ONLY = "prior_only"


PRIORS = (Mean.PRIOR, Mean.PRIOR_NOISE)
"""Means that take the prior as it is."""


@dataclass(frozen=True)
class Trend:
    """A mean and the numbers that make its regressors."""

    mean: Mean
    centre: float
    prior_centre: float
    prior_scale: float

    @classmethod
    def of(cls, mean: Mean, target: FloatArray, prior: FloatArray) -> Trend:
        """From the targets and prior values (n,) that a process is fitted to, in model space."""
        centre = 0.0 if mean in PRIORS else float(target.mean())
        if mean is not Mean.SCALED_PRIOR:
            return cls(mean, centre, 0.0, 1.0)
        return cls(mean, centre, float(prior.mean()), float(prior.std()))

    def offset(self, prior: FloatArray) -> FloatArray:
        """What is taken off the target before the process is fitted."""
        return prior if self.mean in PRIORS else np.full(len(prior), self.centre)

    def basis(self, prior: FloatArray) -> FloatArray:
        """Regressors with learned coefficients."""
        if self.mean in PRIORS:
            return np.empty((len(prior), 0))
        one = np.ones((len(prior), 1))
        if self.mean is Mean.ZERO:
            return one
        return np.hstack([one, ((prior - self.prior_centre) / self.prior_scale)[:, None]])
