"""What a quantity depends on: Sobol indices over a discrete space, and relevance from the length scales of a predictor.

Notation: ``n`` rows, ``d`` parameters, ``g`` groups of parameters, ``m`` quantities. Designs are drawn with every parameter
independent and uniform over its domain, whether it is active or not; what a design does not have is then masked out. So the
inputs are independent, as the variance decomposition asks, and a conditional parameter is one that has no effect where
it is inactive: its index is its share of the variance over the *whole* space, which the share of the designs that have it
scales down. Limits are not looked at: a space cut by limits has dependent parameters, and no such decomposition.

- first order: what of the variance the parameter explains alone, V(E(f | x_i)) / V(f); they sum to 1 at most;
- total: what is left when everything else is known, E(V(f | x_~i)) / V(f): interactions are counted with each of their members.

.. [Saltelli2010] A. Saltelli et al., "Variance based sensitivity analysis of model output. Design and estimator for the total
   sensitivity index", Computer Physics Communications 181, 2010: the design of two samples and their mixtures, table 2 (b).
.. [Jansen1999] M. J. W. Jansen, "Analysis of variance designs for model output", Computer Physics Communications 117, 1999.
.. [Archer1997] G. E. B. Archer, A. Saltelli, I. M. Sobol, "Sensitivity measures, ANOVA-like techniques and the use of
   bootstrap", Journal of Statistical Computation and Simulation 58, 1997.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codesign.space.design_space import DesignSpace, Indices
from codesign.surrogate.encoding import Encoding
from codesign.surrogate.prior import Designs, Mean, Predictor

FloatArray = NDArray[np.float64]

BOOTSTRAPS = 200
CHUNK = 4_000
"""Designs evaluated together."""
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class SobolIndex:
    """Sensitivity of one quantity to one group of parameters, with 95 % bootstrap intervals.

    Attributes:
        name: of the parameter or the group.
        first, first_low, first_high: first-order index.
        total, total_low, total_high: total index.
    """

    name: str
    first: float
    first_low: float
    first_high: float
    total: float
    total_low: float
    total_high: float


@dataclass(frozen=True)
class Sensitivity:
    """Sensitivity of one quantity.

    Attributes:
        std: standard deviation of the quantity over the space, in the units of the function.
        indices: by group, the largest total index first; empty where the quantity is constant.
        evaluations: designs that the function was asked for.
    """

    std: float
    indices: tuple[SobolIndex, ...]
    evaluations: int

    def __getitem__(self, name: str) -> SobolIndex:
        return next(index for index in self.indices if index.name == name)


def sobol_indices(
    function: Callable[[Indices], FloatArray],
    space: DesignSpace,
    *,
    groups: Mapping[str, Sequence[int]] | None = None,
    samples: int = 1024,
    seed: int = 0,
) -> tuple[Sensitivity, ...]:
    """First-order and total Sobol indices of m quantities.

    Args:
        function: masked designs (k x d) to values (k x m).
        space: the parameters.
        groups: columns of each group by name; each parameter of its own that has more than one value, if None.
        samples: n; the function is asked for n * (g + 2) designs.
        seed: of the samples and the bootstrap.
    """
    chosen = {name: [column] for column, name in enumerate(space.names) if space.cardinalities[column] > 1} if groups is None else groups
    rng = np.random.default_rng([seed, samples])
    first, second = ((rng.random((samples, len(space))) * space.cardinalities).astype(np.int16) for _ in range(2))
    mixtures = []
    for columns in chosen.values():
        mixed = first.copy()
        mixed[:, list(columns)] = second[:, list(columns)]
        mixtures.append(mixed)
    everything = space.mask(np.concatenate([first, second, *mixtures]))
    values = np.concatenate([function(everything[begin : begin + CHUNK]) for begin in range(0, len(everything), CHUNK)])
    by_matrix = values.reshape(2 + len(chosen), samples, -1)
    draws = rng.integers(samples, size=(BOOTSTRAPS, samples))
    return tuple(_of_one(tuple(chosen), by_matrix[:, :, column], draws, len(everything)) for column in range(by_matrix.shape[2]))


def _of_one(names: tuple[str, ...], values: FloatArray, draws: NDArray[np.int64], evaluations: int) -> Sensitivity:
    """Indices of one quantity from its values (2 + g) x n, with intervals over resampled rows."""
    std = float(np.std(values[:2]))
    if std <= 1e-12 * max(float(np.abs(values).max()), 1e-300):
        return Sensitivity(0.0, (), evaluations)
    first, total = _estimates(values)
    resampled = [_estimates(values[:, rows]) for rows in draws]
    first_low, first_high = np.percentile([own[0] for own in resampled], INTERVAL, axis=0)
    total_low, total_high = np.percentile([own[1] for own in resampled], INTERVAL, axis=0)
    columns = (first, first_low, first_high, total, total_low, total_high)
    rows = [SobolIndex(name, *(float(column[number]) for column in columns)) for number, name in enumerate(names)]
    return Sensitivity(std, tuple(sorted(rows, key=lambda index: -index.total)), evaluations)


def _estimates(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """First-order [Saltelli2010]_ and total [Jansen1999]_ indices (g,) from values (2 + g) x n; the mean is taken off against cancellation."""
    centred = values - values[:2].mean()
    base, other, mixed = centred[0], centred[1], centred[2:]
    variance = max(float(np.var(values[:2])), 1e-300)
    return (other * (mixed - base)).mean(axis=1) / variance, ((base - mixed) ** 2).mean(axis=1) / (2.0 * variance)


@dataclass(frozen=True)
class Relevance:
    """How much a predictor thinks that one input bears on what its prior leaves over.

    Attributes:
        name: parameter or physical feature.
        half: the parameter's half of the design, or ``feature``.
        std: of the difference between two designs that lie the whole range of a parameter, or two standard deviations of a
            feature, apart in this input alone, everything else equal; in model space. The length scale and the variances say so
            before any evidence: long length scales make it small.
    """

    name: str
    half: str
    std: float


def relevances(predictor: Predictor, feature_names: Sequence[str]) -> tuple[Relevance, ...]:
    """Relevance of each parameter and feature, the largest first; empty while the prior is all there is.

    Args:
        predictor: fitted.
        feature_names: of the columns of the features that it was given.
    """
    if predictor.mean is Mean.PRIOR_ONLY:
        return ()
    designs = predictor._designs
    found = _of_parameters(predictor, predictor.encoding) if isinstance(predictor.encoding, Encoding) else []
    for number, name in enumerate(feature_names):
        shifted = designs.features.copy()
        shifted[:, number] += 2.0 * designs.features[:, number].std()
        found.append(Relevance(name, "feature", _difference_std(predictor, designs, replace(designs, features=shifted))))
    return tuple(sorted(found, key=lambda own: -own.std))


def _of_parameters(predictor: Predictor, encoding: Encoding) -> list[Relevance]:
    """Of each parameter that some design with evidence has."""
    space, designs, found = encoding.space, predictor._designs, []
    for column in encoding.columns.tolist():
        active = designs.rows(designs.indices[:, column] >= 0)
        if len(active) and space.cardinalities[column] > 1:
            low, high = (_with_value(active, column, value) for value in (0, int(space.cardinalities[column]) - 1))
            found.append(Relevance(space.names[column], space.parameters[column].half.value, _difference_std(predictor, low, high)))
    return found


def _with_value(designs: Designs, column: int, value: int) -> Designs:
    """Designs with one parameter set, and nothing else: neither what depends on it nor the features follow."""
    indices = designs.indices.copy()
    indices[:, column] = value
    return replace(designs, indices=indices)


def _difference_std(predictor: Predictor, first: Designs, second: Designs) -> float:
    """Root mean square over pairs of designs of the process' own standard deviation of their difference, before evidence."""
    process = predictor._process
    one, other = (process.rows(predictor._inputs(designs, predictor._trend)) for designs in (first, second))
    covariance = np.array([process.covariance(one[[row]], other[[row]])[0, 0] for row in range(len(one))])
    variogram = np.maximum(process.variance(one) + process.variance(other) - 2.0 * covariance, 0.0)
    return float(np.sqrt(variogram.mean()) * process.scale)
