"""What other devices say about a new one before it is measured: a Gaussian process over designs, in log latency.

    log t(x) = offset + f(x)'w + r(x)'u + g(x) + noise

``f``: common factors of the source devices' smoothed log latencies, with weights ``w`` whose mean and covariance are those
of the source devices' own (intrinsic coregionalisation, [Bonilla2008]_). ``r``: how the parts of the sources' mean latency
may be weighted anew: a constant overhead, each parameter, each kind of parameter, each stage of the network. ``g``: a
Matern process. Analytic cost models are sources like devices: with one source the process is "prior plus corrections".

Notation: ``N`` rows of the table, ``S`` sources, ``k`` rows of interest, ``K`` factors.

.. [Bonilla2008] E. Bonilla, K. Chai, C. Williams, "Multi-task Gaussian Process Prediction", NIPS 2007.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.surrogate.transfer_basis import EffectBasis
from codesign.surrogate.transfer_table import ParameterTable

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]

# Share of the sources' variance that the factors keep, and the most of them.
KEPT_VARIANCE = 0.9995
MOST_FACTORS = 8
# Below this a source does not vary.
FLAT = 1e-9
# Prior standard deviations. OFFSET: log of the ratio of two devices' speeds. LOADING, PARAMETER, KIND, STAGE, OVERHEAD: of the
# source's own effect (0.3: a part of the latency may well weigh 0.6 times less or more). SHAPE: any function of one parameter,
# of its effect's size. OWN_EFFECT, KIND_EFFECT: any function of one ordered (True) or categorical (False) parameter, or of one
# kind of parameters together, of the source's standard deviation: an operation that is dear here may cost nothing there,
# whereas more of the same is dearer everywhere.
OFFSET = 1.0
LOADING = 0.15
OVERHEAD = 0.3
PARAMETER = 0.3
KIND = 0.1
STAGE = 0.3
SHAPE = 0.1
OWN_EFFECT = {True: 0.01, False: 0.05}
KIND_EFFECT = {True: 0.03, False: 0.25}
# Stages this far apart have corrections of correlation exp(-1/2).
STAGE_LENGTH = 3.0
# What smoothing takes off a source is half structure, half noise, until other sources tell.
RESIDUE_MEAN, RESIDUE_STD = 0.5, 0.25


@dataclass(frozen=True)
class Sources:
    """Source devices over a table of designs.

    Attributes:
        table: N designs.
        basis: effects of their parameters.
        measured: N x S log latencies.
        smooth: N x S, their smoothed values.
        weights: (S,) how much each source counts, of sum 1.
        exact: the sources are without noise, as cost models are.
    """

    table: ParameterTable
    basis: EffectBasis
    measured: FloatArray
    smooth: FloatArray
    weights: FloatArray
    exact: bool = False

    @property
    def effective(self) -> float:
        """Number of equally weighted sources that tell as much."""
        return float(1.0 / np.sum(self.weights**2))

    def without(self, source: int) -> Sources:
        """All sources but one."""
        others = np.arange(len(self.weights)) != source
        weights = self.weights[others]
        total = float(weights.sum())
        weights = weights / total if total > 0.0 else np.full(len(weights), 1.0 / len(weights))
        return Sources(self.table, self.basis, self.measured[:, others], self.smooth[:, others], weights, self.exact)


@dataclass(frozen=True)
class TransferPrior:
    """The process at k rows: its mean, and the columns whose products are its covariance.

    Attributes:
        mean: (k,) log latency.
        common: k x c columns of the offset and of what smoothing takes off.
        factors: k x K columns of the weights.
        corrections: k x r columns of the corrections, at full strength.
        embedded: k x e coordinates of the Matern process.
    """

    mean: FloatArray
    common: FloatArray
    factors: FloatArray
    corrections: FloatArray
    embedded: FloatArray

    def rows(self, chosen: Rows) -> TransferPrior:
        """The process at some of the rows."""
        return TransferPrior(self.mean[chosen], self.common[chosen], self.factors[chosen], self.corrections[chosen], self.embedded[chosen])


def build_prior(sources: Sources, rows: Rows) -> TransferPrior:
    """What the sources say about the designs of some rows."""
    smooth = sources.smooth @ sources.weights
    residue = (sources.measured[rows] @ sources.weights) - smooth[rows]
    share = _residue_share(sources)
    mean, factors = _factors(sources, rows)
    common = np.column_stack([np.full(len(rows), OFFSET), RESIDUE_STD * residue])
    embedded = np.hstack([block[rows] for block in sources.table.contrasts]) / np.sqrt(max(1, len(sources.table.names)))
    return TransferPrior(mean + share * residue, common, factors, _corrections(sources, smooth, rows), embedded)


def _factors(sources: Sources, rows: Rows) -> tuple[FloatArray, FloatArray]:
    """Mean (k,) and weight columns k x K: principal components of the sources, of equal variance each beforehand."""
    centre = sources.smooth.mean(axis=0)
    spread = np.maximum(sources.smooth.std(axis=0), FLAT)
    standard = (sources.smooth - centre) / spread
    root = np.sqrt(sources.weights)
    values, vectors = np.linalg.eigh(root[:, None] * (standard.T @ standard / len(standard)) * root)
    order = np.argsort(-values)[:MOST_FACTORS]
    values, vectors = np.maximum(values[order], FLAT), vectors[:, order]
    count = min(int(np.searchsorted(np.cumsum(values) / values.sum(), KEPT_VARIANCE)) + 1, len(values))
    values, vectors = values[:count], vectors[:, :count]
    scores = (standard[rows] * root) @ vectors / np.sqrt(values)
    loadings = (standard.T @ ((standard * root) @ vectors / np.sqrt(values))) / len(standard) * spread[:, None]
    middle = sources.weights @ loadings
    apart = (loadings - middle) * root[:, None]
    floor = LOADING / np.sqrt(sources.effective) * np.sqrt(float(middle @ middle) / count)
    covariance = apart.T @ apart + (floor**2 + FLAT) * np.eye(count)
    return float(sources.weights @ centre) + scores @ middle, scores @ np.linalg.cholesky(covariance)


def _residue_share(sources: Sources) -> float:
    """Coefficient of one source's unsmoothed rest on the mean rest of the others, between 0 and 1; 1 where sources are exact."""
    count = sources.measured.shape[1]
    if sources.exact:
        return 1.0
    if count == 1:
        return RESIDUE_MEAN
    rest = sources.measured - sources.smooth
    others = (rest.sum(axis=1, keepdims=True) - rest) / (count - 1)
    total = float((others**2).sum())
    return float(np.clip((rest * others).sum() / total, 0.0, 1.0)) if total > 0.0 else 0.0


def _corrections(sources: Sources, smooth: FloatArray, rows: Rows) -> FloatArray:
    """Columns k x r of the ways in which a new device may differ from the sources' mean."""
    table, basis = sources.table, sources.basis
    everything = range(len(table.names))
    coefficients = basis.fit(smooth)
    own = np.column_stack([basis.part(coefficients, (column,), rows) for column in everything])
    latency = np.exp(smooth - smooth.mean())
    columns = [OVERHEAD * (latency.mean() / latency[rows])[:, None], PARAMETER * own]
    columns += [KIND * own[:, list(kind)].sum(axis=1, keepdims=True) for kind in table.kinds if len(kind) > 1]
    if any(len(stage) > 1 for stage in table.stages):
        columns.append(STAGE * _stage_shares(sources, latency, rows))
    scale = float(smooth.std())
    columns += [OWN_EFFECT[ordered] * scale * block[rows] for ordered, block in zip(table.ordinal, table.contrasts, strict=True)]
    columns += [SHAPE * float(effect.std()) * block[rows] for effect, block in zip(own.T, table.contrasts, strict=True)]
    for kind in table.kinds:
        if len(kind) > 1:
            together = sum((table.contrasts[column][rows] for column in kind), np.zeros((len(rows), table.contrasts[kind[0]].shape[1])))
            columns.append(KIND_EFFECT[table.ordinal[kind[0]]] * scale * together / np.sqrt(len(kind)))
    return np.hstack(columns)


def _stage_shares(sources: Sources, latency: FloatArray, rows: Rows) -> FloatArray:
    """Each stage's part of the latency (latencies of stages add up), neighbouring stages corrected alike."""
    coefficients = sources.basis.fit(latency)
    stages = sources.table.stages
    shares = np.column_stack([sources.basis.part(coefficients, stage, rows) for stage in stages]) / latency[rows, None]
    places = np.arange(len(stages))
    alike = np.exp(-0.5 * (np.subtract.outer(places, places) / STAGE_LENGTH) ** 2)
    return np.asarray(shares @ np.linalg.cholesky(alike + 1e-6 * np.eye(len(stages))))
