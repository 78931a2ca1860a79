"""Predictors chained along the fidelities: what a cheaper look says is the prior of the next one.

Notation: ``n`` trials with a result, ``k`` designs to predict, ``s`` posterior samples. A chain has *links*, counted from the
cheapest fidelity with enough results, 0, to the full training. The predictor of a link is prior + Gaussian process of the
residual, as everywhere in codesign, and its prior is what the link below says of the design: the recursive form
[LeGratiet2014]_ of the auto-regressive model [Kennedy2000]_,

    f_l(x) = a + rho y_{l-1}(x) + delta(x).

Here ``y`` is the result of the cheaper look itself where there is one, and the prediction of it elsewhere. Not the smoothed
function: with a few dozen results in twenty dimensions most of what is particular to a design looks like noise to the process
below; how much of it carries over is what rho, learned from the designs above, says. Whether the cheaper level is believed as it
is, scaled, or not at all is settled by the leave-one-out likelihood of the link above (`codesign.surrogate.prior`), so brief
trainings that mislead are dropped. Each link has its own noise.

.. [Kennedy2000] M. C. Kennedy, A. O'Hagan, "Predicting the output from a complex computer code when fast approximations
   are available", Biometrika 87(1), 2000.
.. [LeGratiet2014] L. Le Gratiet, J. Garnier, "Recursive co-kriging model for design of computer experiments with multiple
   levels of fidelity", International Journal for Uncertainty Quantification 4(5), 2014.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from codesign.surrogate.encoding import Encoding
from codesign.surrogate.prior import MIN_EVIDENCE, Designs, Prediction, Predictor, PredictorSamples

FloatArray = NDArray[np.float64]

# Step, in model space, over which rho is read off the prediction, which is linear in the prior.
STEP = 1e-3


class FidelityChain:
    """Predicts one quantity at the full fidelity from the evidence at all of them.

    Args:
        encoding: embedding of the design space.
        designs: n designs, one row a trial; a design may appear often. Their prior is that of the lowest level.
        level: (n,) of the trials.
        top: level of the full training.
        evidence: (n,) natural units, finite.
        log: the quantity is positive and modelled by its logarithm.
    """

    def __init__(self, encoding: Encoding, designs: Designs, level: NDArray[np.intp], top: int, evidence: FloatArray, *, log: bool) -> None:
        self._encoding = encoding
        counts = np.bincount(level, minlength=top + 1)
        #: Levels that the chain is made of: those with enough results for a process, and the full training.
        self.levels = (*(number for number in range(top) if counts[number] >= MIN_EVIDENCE), top)
        self._predictors: list[Predictor] = []
        self._results: list[dict[bytes, float]] = []
        self._noise: list[float] = []
        self._rho: list[float] = []
        for link, number in enumerate(self.levels):
            self._add(link, designs.rows(level == number), evidence[level == number], log)

    def _add(self, link: int, designs: Designs, evidence: FloatArray, log: bool) -> None:
        """Fit one link on the links below, and read off how far it follows them."""
        own = self._with_prior(designs, link)
        predictor = Predictor(self._encoding, own, evidence, log=log)
        self._predictors.append(predictor)
        found: dict[bytes, list[float]] = {}
        for key, value in zip(self._keys(designs), predictor.to_model(evidence).tolist(), strict=True):
            found.setdefault(key, []).append(value)
        self._results.append({key: float(np.mean(values)) for key, values in found.items()})
        if len(designs) < MIN_EVIDENCE:
            # The prediction is the prior.
            self._noise.append(0.0)
            self._rho.append(1.0)
            return
        exact = predictor.predict(own)
        moved = replace(own, prior=predictor.to_natural(predictor.to_model(own.prior) + STEP))
        self._noise.append(predictor.noise_std)
        self._rho.append(float(np.mean(predictor.predict(moved).mean - exact.mean) / STEP) if link else 0.0)

    def _keys(self, designs: Designs) -> list[bytes]:
        """What the quantity depends on, as one key a design."""
        return [row.tobytes() for row in np.ascontiguousarray(self._encoding.embed(designs.indices))]

    @property
    def last(self) -> int:
        """Number of the full training's link."""
        return len(self._predictors) - 1

    def _with_prior(self, designs: Designs, link: int) -> Designs:
        """The designs as the predictor of a link takes them: with what the link below says of them."""
        if link == 0:
            return designs
        below, results = self._predictors[link - 1], self._results[link - 1]
        found = self._predict(designs, link - 1)
        told = np.array([results.get(key, mean) for key, mean in zip(self._keys(designs), found.mean.tolist(), strict=True)])
        error = np.expm1(found.std) if below.log else found.std
        return replace(designs, prior=below.to_natural(told), prior_error=np.hypot(error, designs.prior_error))

    def for_top(self, designs: Designs) -> Designs:
        """The designs as the predictor of the full training takes them."""
        return self._with_prior(designs, self.last)

    def _predict(self, designs: Designs, link: int) -> Prediction:
        own = self._predictors[link].predict(self._with_prior(designs, link))
        return Prediction(own.mean, np.hypot(own.std, self.carried(designs, link)))

    def predict(self, designs: Designs) -> Prediction:
        """Mean and standard deviation of the noise-free full training, in model space."""
        return self._predict(designs, self.last)

    def carried(self, designs: Designs, link: int) -> FloatArray:
        """Standard deviation (k,) that the link below leaves to a link: nothing where it has a result."""
        if link == 0:
            return np.zeros(len(designs))
        unseen = np.array([key not in self._results[link - 1] for key in self._keys(designs)], dtype=np.float64)
        return np.asarray(unseen * np.abs(self._rho[link]) * np.hypot(self._predict(designs, link - 1).std, self._noise[link - 1]))

    def told(self, designs: Designs, level: int) -> FloatArray:
        """How far one trial at a level would move the mean at the full fidelity: one standard deviation (k,).

        Below the full training, what it leaves uncertain above: its result replaces its prediction. Of one more full training,
        v / sqrt(v + noise^2) with the variance v: the *sigma tilde* of the knowledge gradient. It is 0 for a level that has no
        part in the chain.
        """
        if level not in self.levels:
            return np.zeros(len(designs))
        link = self.levels.index(level)
        if link < self.last:
            return np.asarray(self.carried(designs, link + 1) * np.prod(np.abs(self._rho[link + 2 :])))
        variance = self._predict(designs, link).std ** 2
        spread = np.sqrt(variance + self._noise[link] ** 2)
        return np.divide(variance, spread, out=np.zeros_like(spread), where=spread > 0.0)

    def sample(self, count: int, rng: np.random.Generator) -> ChainSamples | None:
        """Posterior draws at the full trainings; None while there are too few for a process."""
        draws = self._predictors[-1].sample(count, rng)
        return None if draws is None else ChainSamples(self, draws)

    def posterior(self) -> ChainSamples | None:
        """The posterior given the noisy evidence, as one draw; None while there are too few full trainings for a process."""
        draws = self._predictors[-1].posterior()
        return None if draws is None else ChainSamples(self, draws)

    @property
    def noise_std(self) -> float:
        """Scatter of one more full training, in model space."""
        return self._predictors[-1].noise_std

    def safe(self, designs: Designs, std: FloatArray) -> FloatArray:
        """Standard deviations (k,) of the last link to search by: see `Predictor.safe`."""
        return self._predictors[-1].safe(self.for_top(designs), std)


class ChainSamples:
    """`PredictorSamples` of the full training; the links below add what they leave uncertain."""

    def __init__(self, chain: FidelityChain, draws: PredictorSamples) -> None:
        self._chain, self._draws = chain, draws

    @property
    def values(self) -> FloatArray:
        """Draws of the noise-free full training at the trials that were one, N x s."""
        return self._draws.values

    def moments(self, designs: Designs) -> tuple[FloatArray, FloatArray]:
        """Mean k x s per draw, and standard deviation (k,), at the full fidelity."""
        mean, std = self._draws.moments(self._chain.for_top(designs))
        return mean, np.hypot(self._chain.safe(designs, std), self._chain.carried(designs, self._chain.last))

    def believe(self, design: Designs) -> None:
        """Take one design as known at its mean, in full."""
        self._draws.believe(self._chain.for_top(design))
