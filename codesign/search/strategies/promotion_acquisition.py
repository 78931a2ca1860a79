"""What each kind of trial is worth: expected hypervolume per unit of compute, for three kinds in one currency.

Notation: ``k`` designs, ``s`` posterior samples, ``q`` outcomes, ``m`` objectives, ``c`` the cost of a low-fidelity trial in
full trainings, whose own cost is 1. Everything is in model space: each objective is minimised.

- *Full training* of a design that has none: its expected hypervolume improvement g, over a cost of 1.
- *Low-fidelity trial first*: it enters no front; it is worth what it saves, as an option on the full training. If it moves
  the prediction to outcome i (probability 1/q) with improvement g_i, promoting the best j outcomes earns
  sum(g_i, i <= j) / q for an expected cost of c + j / q. The best j gives the rate of the option: the reservation price of
  [Weitzman1979]_ for a box that can be looked into before it is paid for, as [Xie2024]_ bring it to Bayesian optimisation.
  It rests on the quantities of [Huang2006]_, correlation of the fidelities, noise and cost ratio, but weighs them by what
  they decide rather than by a product of factors; with no correlation it is below g, with a perfect one above it.
- *Another seed* of a design that has full trainings: the front is reported by the mean over seeds, so luck puts designs on it
  and pushes better ones off. The knowledge gradient [Frazier2009]_ of that decision: the hypervolume, by what is believed, of the
  front reported after another result, less that of the front reported now, over the outcomes of the result. It is zero where no
  outcome changes the front, and largest where one lucky training hides designs that are believed to be better.

.. [Weitzman1979] M. L. Weitzman, "Optimal Search for the Best Alternative", Econometrica 47(3), 1979.
.. [Huang2006] D. Huang, T. T. Allen, W. I. Notz, R. A. Miller, "Sequential kriging optimization using multiple-fidelity
   evaluations", Structural and Multidisciplinary Optimization 32, 2006.
.. [Frazier2009] P. Frazier, W. Powell, S. Dayanik, "The Knowledge-Gradient Policy for Correlated Normal Beliefs",
   INFORMS Journal on Computing 21(4), 2009.
.. [Xie2024] Q. Xie et al., "Cost-aware Bayesian Optimization via the Pandora's Box Gittins Index", NeurIPS 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from codesign.search.acquisition import Limits, NoisyEhvi, designs_of
from codesign.search.cells import expected_hypervolume_improvement
from codesign.search.pareto import hypervolume, non_dominated
from codesign.search.problem import Pool, SearchProblem
from codesign.search.strategies.promotion_model import FidelityChain
from codesign.surrogate.prior import Predictor

FloatArray = NDArray[np.float64]

# Outcomes of a low-fidelity trial that are weighed, of equal probability.
OUTCOMES = 12
# Generator of the additive recurrence that spreads the outcomes of several objectives (the golden ratio's).
RECURRENCE = 0.6180339887498949
# Cells that outcomes are weighed on, at most: there are many outcomes.
MOST_CELLS = 2_000
# Designs whose repetition is weighed, at most.
REPEATED = 24


def outcomes(objectives: int) -> FloatArray:
    """``OUTCOMES x objectives`` standard normal values of equal weight: quantiles, paired evenly between objectives."""
    rows = np.arange(OUTCOMES)
    uniform = np.stack([(((rows + 0.5) / OUTCOMES) if column == 0 else (0.5 + rows * RECURRENCE**column) % 1.0) for column in range(objectives)], axis=1)
    return np.asarray(ndtri(np.clip(uniform, 0.5 / OUTCOMES, 1.0 - 0.5 / OUTCOMES)))


def option_rate(gains: FloatArray, cost: float) -> FloatArray:
    """Best rate (k,) of a low-fidelity trial of that cost followed by the full training of the best outcomes.

    Args:
        gains: q x k improvement by the full training in each of q equally likely outcomes.
        cost: of the low-fidelity trial.
    """
    count = len(gains)
    earned = np.cumsum(np.sort(gains, axis=0)[::-1], axis=0) / count
    paid = cost + np.arange(1, count + 1) / count
    return np.asarray((earned / paid[:, None]).max(axis=0))


class PromotionGain(NoisyEhvi):
    """`NoisyEhvi` at the full fidelity, which also weighs trials below it.

    Args:
        problem, reference, samples, rng, limits: see `NoisyEhvi`.
        predictors: a `FidelityChain` per evaluated objective.
        trained: the trials at the full fidelity with a result, in their order.
        values: of ``trained``, in model space.
        top: level of the full training.
    """

    def __init__(
        self,
        problem: SearchProblem,
        predictors: Sequence[FidelityChain | None],
        trained: Pool,
        values: FloatArray,
        reference: FloatArray,
        *,
        samples: int,
        rng: np.random.Generator,
        top: int,
        limits: Limits | None = None,
    ) -> None:
        # Chains and their samples answer every question that `NoisyEhvi` asks of a predictor.
        super().__init__(problem, cast("Sequence[Predictor | None]", predictors), trained, values, reference, samples=samples, rng=rng, limits=limits)
        self._chains, self._top = predictors, top

    def option_rates(self, pool: Pool, level: int, cost: float) -> FloatArray:
        """Hypervolume per unit of compute (k,) of a low-fidelity trial first."""
        means, std = self.moments(pool)
        told = np.zeros_like(std)
        for column, chain in enumerate(self._chains):
            if chain is not None:
                told[:, column] = chain.told(designs_of(self._problem, pool, column), level)
        told = np.minimum(told, std)
        left = np.sqrt(std**2 - told**2)
        evaluated = np.flatnonzero(self._problem.evaluated)
        gains = np.zeros((OUTCOMES, len(pool)))
        regions = [cells.largest(MOST_CELLS) for cells in self._cells]
        for row, normal in enumerate(outcomes(len(evaluated))):
            move = np.zeros_like(std)
            move[:, evaluated] = told[:, evaluated] * normal
            for mean, cells in zip(means, regions, strict=True):
                gains[row] += expected_hypervolume_improvement(mean + move, left, cells, self._problem.axes)
        return option_rate(gains / len(means) * self.feasibility(pool), cost)

    def repeat_rates(self, pool: Pool, observed: FloatArray, counts: NDArray[np.intp]) -> FloatArray:
        """Hypervolume per full training (k,) of another seed for each of k different designs that have been trained in full.

        Args:
            pool: all the designs that may be reported.
            observed: k x m means over the seeds so far, in model space: what the front is taken of.
            counts: (k,) seeds so far.
        """
        mean, std, noise = self._exact(pool), np.zeros((len(pool), len(self._chains))), np.zeros(len(self._chains))
        for column, chain in enumerate(self._chains):
            if chain is not None:
                prediction = chain.predict(designs_of(self._problem, pool, column))
                mean[:, column], std[:, column], noise[column] = self._sign[column] * prediction.mean, prediction.std, chain.noise_std
        rates, now = np.zeros(len(pool)), self._front(observed)
        for row in self._contested(observed, mean, now):
            rates[row] = max(self._repeated(int(row), mean, std[row], noise, observed, counts, now), 0.0)
        return rates * self.feasibility(pool)

    def _repeated(
        self, row: int, mean: FloatArray, std: FloatArray, noise: FloatArray, observed: FloatArray, counts: NDArray[np.intp], now: NDArray[np.bool_]
    ) -> float:
        """Expected true hypervolume of the front reported after another seed of one design, less that of the front reported now."""
        spread = np.hypot(std, noise)
        weight = np.divide(std**2, spread**2, out=np.zeros_like(std), where=spread > 0.0)
        evaluated, total = np.flatnonzero(self._problem.evaluated), 0.0
        for normal in outcomes(len(evaluated)):
            surprise = np.zeros_like(std)
            surprise[evaluated] = spread[evaluated] * normal
            seen, believed = observed.copy(), mean.copy()
            seen[row] += (mean[row] + surprise - observed[row]) / (counts[row] + 1)
            believed[row] += weight * surprise
            after = self._front(seen)
            if (after != now).any():
                total += self._volume(believed[after]) - self._volume(believed[now])
        return total / OUTCOMES

    @staticmethod
    def _front(values: FloatArray) -> NDArray[np.bool_]:
        return non_dominated(values, np.zeros(values.shape[1], dtype=np.bool_))

    def _volume(self, values: FloatArray) -> float:
        """Hypervolume of values (n x m) in model space."""
        return hypervolume(self._problem.model_to_volume(values), self.reference, np.zeros(values.shape[1], dtype=np.bool_))

    def _contested(self, observed: FloatArray, mean: FloatArray, now: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Rows on the front by what was observed or by what is believed; those first whose results surprised most."""
        rows = np.flatnonzero(now | self._front(mean))
        surprise = np.abs(observed - mean)[rows][:, self._problem.evaluated].max(axis=1)
        return np.asarray(rows[np.argsort(-surprise, kind="stable")][:REPEATED])
