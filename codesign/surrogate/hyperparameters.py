"""Hyperparameters of the Gaussian process: their names, their priors, and the bounds of the fit.

Notation: ``d`` parameters with a length scale, ``f`` physical features. All are positive and fitted as logarithms.

.. [Hvarfner2024] C. Hvarfner, E. Hellsten, L. Nardi, "Vanilla Bayesian Optimization Performs Great in High Dimensions",
   ICML 2024: log-normal length-scale prior whose location grows with sqrt(d).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Standard deviation of the log length scale, and its location at d = 1 [Hvarfner2024]_.
LENGTH_LOCATION = math.sqrt(2.0)
LENGTH_SCALE = math.sqrt(3.0)

SCALARS = ("parameter_variance", "local_variance", "feature_variance", "linear_variance", "noise")
VARIANCES = len(SCALARS) - 1
# Location and standard deviation of the log of each, for targets of unit variance; the noise prior is BoTorch's.
SCALAR_PRIORS = {
    "parameter_variance": (-0.5, 1.0),
    "local_variance": (-2.5, 1.0),
    "feature_variance": (-1.0, 1.0),
    "linear_variance": (-2.0, 1.5),
    "noise": (-4.0, 1.0),
}
SCALAR_BOUNDS = {
    "parameter_variance": (-9.0, 4.0),
    "local_variance": (-13.0, 2.0),
    "feature_variance": (-9.0, 4.0),
    "linear_variance": (-12.0, 4.0),
    "noise": (-13.0, 2.0),
}
LENGTH_BOUNDS = (-3.5, 12.0)


@dataclass(frozen=True)
class Layout:
    """Where each hyperparameter stands in the vector of logarithms.

    Order: ``d`` parameter length scales, ``f`` feature length scales, then `SCALARS`.
    """

    parameters: int
    features: int

    @property
    def size(self) -> int:
        """Length of the vector."""
        return self.parameters + self.features + len(SCALARS)

    @property
    def lengths(self) -> int:
        """Number of length scales."""
        return self.parameters + self.features

    def locations(self) -> FloatArray:
        """Location of each log-normal prior."""
        own = np.full(self.parameters, LENGTH_LOCATION + 0.5 * math.log(max(self.parameters, 1)))
        physical = np.full(self.features, LENGTH_LOCATION + 0.5 * math.log(max(self.features, 1)))
        return np.concatenate([own, physical, [SCALAR_PRIORS[name][0] for name in SCALARS]])

    def scales(self) -> FloatArray:
        """Standard deviation of each log-normal prior."""
        return np.concatenate([np.full(self.lengths, LENGTH_SCALE), [SCALAR_PRIORS[name][1] for name in SCALARS]])

    def bounds(self) -> list[tuple[float, float]]:
        """Bounds of each logarithm in the fit."""
        return [LENGTH_BOUNDS] * self.lengths + [SCALAR_BOUNDS[name] for name in SCALARS]

    def initial(self) -> FloatArray:
        """Where every fit starts, whatever was fitted before: the result depends on the data alone.

        Length scales start at the root of the dimension, where the mean distance between random designs is about one
        length scale: the prior's own location is so long that the likelihood is flat there.
        """
        own = np.full(self.parameters, 0.5 * math.log(max(self.parameters, 1)))
        physical = np.full(self.features, 1.0)
        return np.concatenate([own, physical, [SCALAR_PRIORS[name][0] for name in SCALARS]])

    def log_prior(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Log density of the hyperparameters (not of their logarithms) at ``theta``, and its gradient in ``theta``."""
        scales = self.scales()
        standard = (theta - self.locations()) / scales
        density = -theta - np.log(scales) - 0.5 * math.log(2.0 * math.pi) - 0.5 * standard**2
        return float(density.sum()), -1.0 - standard / scales
