"""Gemmini's constants from measurements: a closed form (`codesign.validation.gemmini`) as prior of the surrogate.

Eleven constants are fitted by log ratio with a loss that lets rows of another law go, around round numbers that no measurement
made. Measured layers get a prior from fits to other layers, so that its residuals are as large there as on layers never seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from codesign.validation.gemmini import CallTable, log_cycles, relative_error, round_prices

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]

SCATTER = 0.1
"""Log ratio (measured / fitted) from which a row counts less than quadratically, and against which the round numbers' errors weigh."""
FURTHEST = 6.0
"""Log ratio to its round number within which a constant is sought."""
PARTS = 5


def fit_prices(table: CallTable, log_measured: FloatArray) -> FloatArray:
    """Logarithms of the constants (11,), the most likely given the measurements and the round numbers.

    Args:
        table: n layers; with none the round numbers return.
        log_measured: (n,) logarithms of cycles.
    """
    usual, spread = round_prices()

    def residuals(log_prices: FloatArray) -> FloatArray:
        return np.concatenate([log_cycles(table, log_prices) - log_measured, SCATTER / spread * (log_prices - usual)])

    bounds = (usual - FURTHEST, usual + FURTHEST)
    return np.asarray(least_squares(residuals, usual, loss="soft_l1", f_scale=SCATTER, bounds=bounds).x)


@dataclass(frozen=True)
class GemminiPrior:
    """Cycles of n layers from constants that a part of them is measured for."""

    table: CallTable

    def fitted(self, inside: Rows, log_measured: FloatArray, label: Rows) -> tuple[FloatArray, FloatArray]:
        """Prior cycles and their relative errors, one standard deviation, of all layers (n,).

        Args:
            inside: the m rows that are measured; nothing else is fitted to.
            log_measured: (m,) logarithms of their cycles.
            label: (n,) of the layer; a measured row's prior is fitted to the measured rows of other layers.
        """
        prices = fit_prices(self.table.rows(inside), log_measured)
        prior, error = log_cycles(self.table, prices), relative_error(self.table, prices)
        _, mine = np.unique(label[inside], return_inverse=True)
        part = np.random.default_rng(0).permutation(int(mine.max(initial=-1)) + 1)[mine] % PARTS
        for one in np.unique(part):
            others = part != one
            prior[inside[~others]] = log_cycles(self.table.rows(inside[~others]), fit_prices(self.table.rows(inside[others]), log_measured[others]))
        return np.exp(prior), error
