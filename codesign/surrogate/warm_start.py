"""Starts of fits that follow from the evidence alone, in whatever portions it arrived.

The fit at n results starts from the fit to the first m of them, m the largest checkpoint below n; that one from the
checkpoint before. Checkpoints are fixed, so a fresh object that is told everything at once makes the same starts as one
that was asked along the way: the live one remembers them, the fresh one fits them again, at a geometric sum's cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from codesign.surrogate.prior import Mean, Predictor

Starts = Mapping[Mean, NDArray[np.float64]]

FIRST = 50
"""Results below which a fit takes no time that a start could save."""
GROWTH = 2.0
LARGEST = 200
"""No checkpoint lies beyond: hyperparameters are fitted to few more rows, and a fresh object would pay for each of them."""


def checkpoint(count: int) -> int | None:
    """Largest checkpoint below ``count`` results; None where there is none."""
    found, size = None, float(FIRST)
    while size < count and size <= LARGEST:
        found, size = int(size), size * GROWTH
    return found


class WarmStarts:
    """Starts of one objective's fits.

    Args:
        fit: predictor of the first ``m`` results, from given starts.
    """

    def __init__(self, fit: Callable[[int, Starts], Predictor]) -> None:
        self._fit = fit
        self._found: dict[int, Starts] = {}

    def at(self, count: int) -> Starts:
        """Where the fit to ``count`` results starts; empty for the fixed start."""
        size = checkpoint(count)
        if size is None:
            return {}
        if size not in self._found:
            self._found[size] = self._fit(size, self.at(size)).thetas
        return self._found[size]
