"""What a design is believed to be worth: predictions given what has been evaluated, and the gain expected of a design.

Notation: ``k`` candidates, ``n`` evaluated designs, ``m`` objectives, ``s`` draws of the posterior. Model space and volume
space are those of `codesign.search.problem` and `codesign.search.volume`.

Where the hypervolume counts what evaluations give on average, the noisy front is averaged over: each draw is one posterior
sample at the evaluated designs, and predictions are conditioned on it [Letham2019]_ [Daulton2021]_. Where it counts what they
gave, there is one draw, the values told, and predictions include the scatter of an evaluation. A design under evaluation, or
chosen earlier for the same batch, is believed at its mean [Ginsbourger2010]_. Constraints that only an evaluation tells enter
as the probability that they hold [Gardner2014]_; while no design is known that holds them, nothing else counts.

.. [Letham2019] B. Letham et al., "Constrained Bayesian Optimization with Noisy Experiments", Bayesian Analysis 14(2), 2019.
.. [Daulton2021] S. Daulton, M. Balandat, E. Bakshy, "Parallel Bayesian Optimization of Multiple Noisy Objectives with
   Expected Hypervolume Improvement", NeurIPS 2021.
.. [Ginsbourger2010] D. Ginsbourger, R. Le Riche, L. Carraro, "Kriging is well-suited to parallelize optimization", 2010.
.. [Gardner2014] J. Gardner et al., "Bayesian Optimization with Inequality Constraints", ICML 2014.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from codesign.search.cells import Cells, expected_hypervolume_improvement
from codesign.search.problem import Pool, SearchProblem
from codesign.surrogate.prior import Designs, Predictor, PredictorSamples

FloatArray = NDArray[np.float64]

# Cells that the candidates of a first look and those that compete for the batch are scored on, at most.
SCREENING_CELLS = 1_000
MOST_CELLS = 20_000
SCREENING_SAMPLES = 2
# A believed design that probably breaks a constraint shields nothing from other candidates.
PROBABLY_FEASIBLE = 0.5


def designs_of(problem: SearchProblem, pool: Pool, column: int) -> Designs:
    """What the predictor of one objective reads of a pool."""
    chosen = problem.objectives[column].features
    features = pool.priced.features if chosen is None else pool.priced.features[:, chosen]
    return Designs(pool.indices, features, pool.priced.prior[:, column], pool.priced.prior_error[:, column])


def limit_designs(pool: Pool) -> Designs:
    """What the predictor of a constraint reads of a pool: there is no prior."""
    unknown = np.full(len(pool), np.nan)
    return Designs(pool.indices, pool.priced.features, unknown, unknown)


@dataclass(frozen=True)
class Limits:
    """What is known of the constraints that only an evaluation tells.

    Attributes:
        predictors: one per constraint; a design holds it where its value is at most 0.
        held: (n,) the evaluated designs that hold all of them.
    """

    predictors: Sequence[Predictor]
    held: NDArray[np.bool_]


class Acquisition:
    """Predictions of designs after n evaluated ones and any number of believed ones; subclasses say what they are worth.

    Args:
        problem: objectives and their order.
        predictors: one per objective; None where the price is exact.
        observed: the evaluated designs that the predictors were fitted to, at least one.
        values: n x m in model space.
        reference: (m,) in model space; what lies beyond it is worth nothing.
        samples: number of posterior samples of the front.
        rng: source of the samples.
        limits: the constraints; None where there are none.
    """

    def __init__(
        self,
        problem: SearchProblem,
        predictors: Sequence[Predictor | None],
        observed: Pool,
        values: FloatArray,
        reference: FloatArray,
        *,
        samples: int,
        rng: np.random.Generator,
        limits: Limits | None = None,
    ) -> None:
        self._problem, self._predictors = problem, predictors
        self._sign = np.where(problem.maximise, -1.0, 1.0)
        self._limits = () if limits is None else tuple((predictor, predictor.posterior()) for predictor in limits.predictors)
        self._held = np.ones(len(observed), dtype=np.bool_) if limits is None else limits.held
        #: What standard deviations of the objectives are multiplied by: above 1, designs score that a predictor too sure of itself would miss.
        self.caution = 1.0
        self._settled = problem.volume.observed
        self._draws = [None if each is None else each.posterior() if self._settled else each.sample(samples, rng) for each in predictors]
        self.samples = 1 if self._settled or all(draws is None for draws in self._draws) else samples
        told = np.repeat(values[None, :, :], self.samples, axis=0)
        for column, draws in enumerate(self._draws):
            if draws is not None and not self._settled:
                told[:, :, column] = self._sign[column] * draws.values.T
        #: s x n' x m values of the evaluated designs that hold the constraints, and the reference (m,), in volume space.
        self.told: FloatArray = problem.model_to_volume(told[:, self._held])
        self.reference: FloatArray = problem.model_to_volume(reference)

    def moments(self, pool: Pool) -> tuple[FloatArray, FloatArray]:
        """Means s x k x m given each draw, and standard deviations k x m, in model space."""
        means = np.repeat(self._exact(pool)[None, :, :], self.samples, axis=0)
        std = np.zeros((len(pool), means.shape[2]))
        for column, (predictor, draws) in enumerate(zip(self._predictors, self._draws, strict=True)):
            if predictor is not None:
                designs = designs_of(self._problem, pool, column)
                mean, spread = _moments(predictor, draws, designs)
                if isinstance(predictor, Predictor):
                    spread = predictor.safe(designs, spread)
                means[:, :, column] = self._sign[column] * mean
                std[:, column] = np.hypot(spread, predictor.noise_std) if self._settled else spread
        return means, self.caution * std

    def _exact(self, pool: Pool) -> FloatArray:
        """Prices in model space, k x m; zero where an objective has a predictor."""
        prior = pool.priced.prior.copy()
        prior[:, [predictor is not None for predictor in self._predictors]] = 1.0
        return self._problem.to_model(prior)

    def feasibility(self, pool: Pool) -> FloatArray:
        """Probability (k,) that every constraint holds, each on its own [Gardner2014]_; 1 without constraints."""
        probability = np.ones(len(pool))
        for predictor, draws in self._limits:
            mean, std = _moments(predictor, draws, limit_designs(pool))
            probability *= ndtr(-mean[0] / np.hypot(std, predictor.noise_std))
        return probability

    def scores(self, pool: Pool, *, screening: bool = False) -> FloatArray:
        """What evaluating each of k designs is worth (k,), not negative.

        Args:
            pool: the designs.
            screening: a quick estimate will do.
        """
        if not len(pool):
            return np.empty(0)
        probability = self.feasibility(pool)
        return self.gains(pool, screening=screening) * probability if self._held.any() else probability

    @abstractmethod
    def gains(self, pool: Pool, *, screening: bool) -> FloatArray:
        """As `scores`, if the constraints hold."""

    def believe(self, design: Pool) -> None:
        """Take one design (a pool of one) as evaluated at its mean: pending designs and earlier choices of a batch."""
        means, _ = self.moments(design)
        if self.feasibility(design)[0] >= PROBABLY_FEASIBLE:
            self.shield(self._problem.model_to_volume(means))
        for column, draws in enumerate(self._draws):
            if draws is not None:
                draws.believe(designs_of(self._problem, design, column))
        for _, limit_draws in self._limits:
            if limit_draws is not None:
                limit_draws.believe(limit_designs(design))

    @abstractmethod
    def shield(self, values: FloatArray) -> None:
        """Count values s x 1 x m in volume space as reached."""


class NoisyEhvi(Acquisition):
    """Expected hypervolume improvement, in closed form and averaged over the posterior samples of the front."""

    def __init__(
        self,
        problem: SearchProblem,
        predictors: Sequence[Predictor | None],
        observed: Pool,
        values: FloatArray,
        reference: FloatArray,
        *,
        samples: int,
        rng: np.random.Generator,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(problem, predictors, observed, values, reference, samples=samples, rng=rng, limits=limits)
        self._cells = [Cells.of(front, self.reference) for front in self.told]

    def gains(self, pool: Pool, *, screening: bool) -> FloatArray:
        """See `Acquisition.gains`: fewer samples and cells where ``screening``."""
        means, std = self.moments(pool)
        used = min(SCREENING_SAMPLES, self.samples) if screening else self.samples
        total = np.zeros(len(pool))
        for mean, cells in zip(means[:used], self._cells[:used], strict=True):
            chosen = cells.largest(SCREENING_CELLS if screening else MOST_CELLS)
            total += expected_hypervolume_improvement(mean, std, chosen, self._problem.axes)
        return total / used

    def shield(self, values: FloatArray) -> None:
        """See `Acquisition.shield`."""
        self._cells = [cells.without(value[0]) for cells, value in zip(self._cells, values, strict=True)]


def _moments(predictor: Predictor, draws: PredictorSamples | None, designs: Designs) -> tuple[FloatArray, FloatArray]:
    """Mean s x k (or 1 x k) and standard deviation (k,) in the predictor's own space."""
    if draws is None:
        prediction = predictor.predict(designs)
        return prediction.mean[None, :], prediction.std
    mean, std = draws.moments(designs)
    return mean.T, std
