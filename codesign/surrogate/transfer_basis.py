"""Main effects and pairwise interactions of tabled parameters: what smooths a source device and takes its latency apart.

Notation: ``N`` rows, ``M`` columns of the basis, ``S`` devices.

.. [Durrande2012] N. Durrande, D. Ginsbourger, O. Roustant, "Additive Covariance Kernels for High-Dimensional Gaussian
   Process Modeling", Annales de la Faculté des Sciences de Toulouse 21, 2012: processes that are sums of effects.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from codesign.surrogate.transfer_table import ParameterTable

FloatArray = NDArray[np.float64]

# Penalties on main effects and interactions, in rows: as if that many more rows had been seen with an effect of 0.
MAIN_PENALTY = 1.0
PAIR_PENALTY = 10.0
# Interactions of the parameters with the largest main effects come first, up to this many columns, or half the rows.
MOST_COLUMNS = 1500
ROWS_PER_COLUMN = 2


class EffectBasis:
    """A constant, the main effects and, as far as the table is long enough, the interactions of two parameters [Durrande2012]_.

    Args:
        table: the designs.
        targets: N x S values whose main effects say which interactions matter.
    """

    def __init__(self, table: ParameterTable, targets: FloatArray) -> None:
        mains = table.contrasts
        self._owners: list[tuple[int, ...]] = [(), *((column,) for column, block in enumerate(mains) for _ in range(block.shape[1]))]
        self.matrix: FloatArray = np.hstack([np.ones((len(table), 1)), *mains])
        self._solve()
        limit = min(MOST_COLUMNS, len(table) // ROWS_PER_COLUMN)
        pairs = [pair for pair in self._ranked(self.fit(targets), len(mains)) if mains[pair[0]].shape[1] and mains[pair[1]].shape[1]]
        widths = np.cumsum([mains[first].shape[1] * mains[second].shape[1] for first, second in pairs], dtype=np.intp)
        chosen = pairs[: int(np.searchsorted(widths, limit - self.matrix.shape[1], side="right"))]
        blocks = [(mains[first][:, :, None] * mains[second][:, None, :]).reshape(len(table), -1) for first, second in chosen]
        self._owners += [pair for pair, block in zip(chosen, blocks, strict=True) for _ in range(block.shape[1])]
        #: N x M.
        self.matrix = np.hstack([self.matrix, *blocks])
        self._solve()

    def _solve(self) -> None:
        """Factor the normal equations of the columns so far."""
        penalty = np.array([(0.0, MAIN_PENALTY, PAIR_PENALTY)[len(owner)] for owner in self._owners])
        self._factor = cho_factor(self.matrix.T @ self.matrix + np.diag(penalty))

    def _ranked(self, coefficients: FloatArray, parameters: int) -> list[tuple[int, int]]:
        """Pairs of parameters by the product of the sizes of their main effects, the largest first."""
        owner = np.array([owner[0] for owner in self._owners[1:]], dtype=np.intp)
        sizes = np.sqrt(np.bincount(owner, (coefficients[1:] ** 2).sum(axis=1), minlength=parameters))
        return sorted(combinations(range(parameters), 2), key=lambda pair: -sizes[pair[0]] * sizes[pair[1]])

    def fit(self, targets: FloatArray) -> FloatArray:
        """Coefficients (M,) or M x S of targets (N,) or N x S, by penalised least squares: the posterior mean of the effects."""
        return np.asarray(cho_solve(self._factor, self.matrix.T @ targets))

    def part(self, coefficients: FloatArray, parameters: Collection[int], rows: NDArray[np.intp]) -> FloatArray:
        """Sum of the effects that belong to these parameters and no others, at some rows (k,)."""
        chosen = np.array([bool(owner) and set(owner) <= set(parameters) for owner in self._owners])
        return np.asarray(self.matrix[rows][:, chosen] @ coefficients[chosen])
