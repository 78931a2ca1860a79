"""How far an objective is expected to fall below a bound, in closed form.

Notation: ``k`` designs, ``b`` bounds. The objective is normal in model space; the bound lies in volume space
(`codesign.search.volume`), where the objective is normal too, or log-normal.

.. [Yang2019] K. Yang et al., "Efficient computation of expected hypervolume improvement using box decomposition
   algorithms", Journal of Global Optimization 75, 2019.
.. [Black1973] F. Black, M. Scholes, "The pricing of options and corporate liabilities", Journal of Political Economy 81(3),
   1973: the mean of what a log-normal variable falls short of a bound, or exceeds it by.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from codesign.search.volume import Axis

FloatArray = NDArray[np.float64]


def expected_below(axis: Axis, bounds: FloatArray, mean: FloatArray, std: FloatArray) -> FloatArray:
    """psi(a) = E (a - Y)+ of the value Y in volume space [Yang2019]_.

    Args:
        axis: from model space to volume space.
        bounds: (b,) in volume space; minus infinity gives 0.
        mean: (k,) in model space.
        std: (k,) in model space; may be 0.

    Returns:
        k x b.
    """
    if not axis.exponential:
        return _normal_below(bounds, mean, std)
    strikes = axis.sign * bounds + axis.offset
    return _log_normal_put(strikes, mean, std) if axis.sign > 0 else _log_normal_call(strikes, -mean, std)


def _normal_below(bounds: FloatArray, mean: FloatArray, std: FloatArray) -> FloatArray:
    """E (a - Y)+ of normal Y."""
    gap = bounds[None, :] - mean[:, None]
    finite = np.where(np.isfinite(gap), gap, 0.0)
    uncertain = std > 0.0
    result = np.maximum(finite, 0.0)
    if uncertain.any():
        spread = std[uncertain, None]
        standard = finite[uncertain] / spread
        density = np.exp(-0.5 * standard**2) / np.sqrt(2.0 * np.pi)
        result[uncertain] = np.maximum(finite[uncertain] * ndtr(standard) + spread * density, 0.0)
    result[:, np.isneginf(bounds)] = 0.0
    return result


def _log_normal_put(strikes: FloatArray, mean: FloatArray, std: FloatArray) -> FloatArray:
    """E (a - exp Z)+ of normal Z: a Phi(d) - exp(mean + std^2 / 2) Phi(d - std), d = (log a - mean) / std [Black1973]_."""
    result = np.zeros((len(mean), len(strikes)))
    positive = strikes > 0.0
    distance, forward, spread = _log_normal(strikes[positive], mean, std)
    result[:, positive] = np.maximum(strikes[positive] * ndtr(distance) - forward * ndtr(distance - spread), 0.0)
    return result


def _log_normal_call(strikes: FloatArray, mean: FloatArray, std: FloatArray) -> FloatArray:
    """E (exp Z - a)+ of normal Z; zero for an infinite strike [Black1973]_."""
    result = np.zeros((len(mean), len(strikes)))
    positive = (strikes > 0.0) & np.isfinite(strikes)
    distance, forward, spread = _log_normal(strikes[positive], mean, std)
    result[:, positive] = np.maximum(forward * ndtr(spread - distance) - strikes[positive] * ndtr(-distance), 0.0)
    below = strikes <= 0.0
    result[:, below] = np.exp(mean + 0.5 * std**2)[:, None] - strikes[below]
    return result


def _log_normal(strikes: FloatArray, mean: FloatArray, std: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Standardised distance k x b of the strikes, mean k x 1 of the variable, and standard deviation k x 1 of its logarithm."""
    spread = np.maximum(std, np.finfo(np.float64).tiny)[:, None]
    with np.errstate(over="ignore"):
        distance = (np.log(strikes)[None, :] - mean[:, None]) / spread
    return distance, np.exp(mean + 0.5 * std**2)[:, None], spread
