"""A size-based guess of accuracy before anything is trained.

Accuracy saturates with the number of weights. The guess has the right ends and a wide error; the Gaussian process
learns the rest. It only has to beat a constant, and the predictor drops it where it does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Weights at which the guess is half way from chance to its ceiling. Chosen, not fitted: small networks of the two
# default tasks begin to be of use about there.
HALF_WAY_WEIGHTS = 1_000.0
CEILING = 0.9
ACCURACY_PRIOR_ERROR = 0.15
"""Standard deviation of the guess, in accuracy."""


def accuracy_prior(weights: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """Guess (n,) from the number of weights (n,): chance + (ceiling - chance) * w / (w + half way)."""
    chance = 1.0 / classes
    return chance + (CEILING - chance) * weights / (weights + HALF_WAY_WEIGHTS)
