"""A new device from few measurements: curves over 0 to 50 measurements, on every device of a table in turn.

Each device of the table is the target once, all others (or those of --source) are its sources. Per number of measurements:
Spearman correlation on the designs that were not measured, mean and standard deviation over seeds; MAPE; coverage of the
90 % interval. *Ceiling*: a Gaussian process of this device alone on 1,000 random designs (constant, main effects,
interactions and a Matern kernel of how often each value occurs; variances by marginal likelihood), judged on 5,000 others.

Beside it, on the very same measured designs or on random ones (--baselines random), what is published as enough:

* one proxy: the source device of the highest Spearman correlation on the measured designs [Li2021]_;
* stack: ridge regression of log latency on those of all sources, penalty by leave-one-out;
* alone: this device's own measurements only (the same process as the ceiling).

    python benchmarks/transfer.py transfer_nb201.parquet --seeds 5
    python benchmarks/transfer.py search_anb.parquet --source zcu102 --target vck190

.. [Li2021] C. Li et al., "One Proxy Device Is Enough for Hardware-Aware Neural Architecture Search", SIGMETRICS 2022.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from codesign.surrogate.transfer import SourceDevices
from codesign.surrogate.transfer_table import ParameterTable
from codesign.validation.metrics import spearman
from codesign.validation.transfer import TransferResult, parse_counts, validate_transfer
from codesign.validation.transfer_table import Measurements, device_names, read_measurements

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]

CEILING_ROWS, JUDGED_ROWS, CEILING_STEPS = 1000, 5000, 25
# A priori logarithms of the variances of main effects, interactions, counts and noise, for targets of variance 1.
START = (-3.0, -5.0, -2.0, -3.0)
BOUNDS = (-14.0, 4.0)
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


class Alone:
    """A Gaussian process of one device's measurements."""

    def __init__(self, table: ParameterTable, rows: Rows, log_latency: FloatArray) -> None:
        self._features, self._rows = _features(table), rows
        self._centre, self._scale = log_latency.mean(), log_latency.std() or 1.0
        kernels = self._kernels(rows)
        target = (log_latency - self._centre) / self._scale
        found = minimize(_likelihood, START, args=(kernels, target), jac=True, method="L-BFGS-B", bounds=[BOUNDS] * 4, options={"maxiter": CEILING_STEPS})
        self._variances = np.exp(found.x[:3])
        covariance = np.tensordot(self._variances, kernels, 1) + np.exp(found.x[3]) * np.eye(len(rows))
        self._alpha = cho_solve(cho_factor(covariance), target)

    def _kernels(self, rows: Rows) -> FloatArray:
        """Three covariances of some rows with the measured ones."""
        contrasts, counts = self._features
        parts = np.stack([block[rows] @ block[self._rows].T / max(block.shape[1], 1) for block in contrasts])
        mains, squares = parts.sum(axis=0), (parts**2).sum(axis=0)
        distance = np.sqrt(5.0 * np.maximum(((counts[rows, None] - counts[None, self._rows]) ** 2).sum(axis=2), 0.0)) / 2.0
        return np.stack([mains, (mains**2 - squares) / 2.0, (1.0 + distance + distance**2 / 3.0) * np.exp(-distance)])

    def predict(self, rows: Rows) -> FloatArray:
        """Log latency of some rows."""
        chunks = [rows[start : start + 1000] for start in range(0, len(rows), 1000)]
        return np.concatenate([np.tensordot(self._variances, self._kernels(chunk), 1) @ self._alpha for chunk in chunks]) * self._scale + self._centre


def _features(table: ParameterTable) -> tuple[tuple[FloatArray, ...], FloatArray]:
    """Contrasts of each parameter, and how often each value of a kind occurs."""
    columns = [(table.values[:, list(kind)] == level).sum(axis=1) for kind in table.kinds for level in np.unique(table.values[:, list(kind)])]
    counts = np.column_stack(columns).astype(np.float64)
    spread = counts.std(axis=0)
    return table.contrasts, (counts - counts.mean(axis=0))[:, spread > 0] / spread[spread > 0]


def _likelihood(theta: FloatArray, kernels: FloatArray, target: FloatArray) -> tuple[float, FloatArray]:
    """Negative log marginal likelihood and its gradient."""
    noise = np.exp(theta[3])
    factor = cho_factor(np.tensordot(np.exp(theta[:3]), kernels, 1) + noise * np.eye(len(target)))
    alpha = cho_solve(factor, target)
    weights = 0.5 * (cho_solve(factor, np.eye(len(target))) - np.outer(alpha, alpha))
    gradient = [np.exp(log) * np.vdot(weights, kernel) for log, kernel in zip(theta[:3], kernels, strict=True)]
    return float(0.5 * target @ alpha + np.log(np.diagonal(factor[0])).sum()), np.array([*gradient, noise * np.trace(weights)])


def ceiling(measurements: Measurements, table: ParameterTable) -> float:
    """Spearman correlation of a process of `CEILING_ROWS` measurements."""
    order = np.random.default_rng(0).permutation(len(table))
    rows, judged = order[:CEILING_ROWS], order[CEILING_ROWS : CEILING_ROWS + JUDGED_ROWS]
    found = spearman(Alone(table, rows, np.log(measurements.target_latency[rows])).predict(judged), measurements.target_latency[judged])
    return found or 0.0


def one_proxy(source: FloatArray, rows: Rows, target: FloatArray) -> FloatArray:
    """Log latency of the best proxy; its rank is all that counts."""
    scores = [spearman(column[rows], target[rows]) or -1.0 for column in source.T]
    return np.asarray(source[:, int(np.argmax(scores))])


def stack(source: FloatArray, rows: Rows, target: FloatArray) -> FloatArray:
    """Ridge regression on the sources, penalty by closed-form leave-one-out."""
    standard = (source - source.mean(axis=0)) / source.std(axis=0)
    design, centre = standard[rows], target[rows].mean()
    gram, best, kept = design @ design.T + 1.0, np.inf, np.zeros(len(source))
    for penalty in PENALTIES:
        inverse = np.linalg.inv(gram + penalty * np.trace(gram) / len(rows) * np.eye(len(rows)))
        alpha = inverse @ (target[rows] - centre)
        error = float(np.mean((alpha / np.diagonal(inverse)) ** 2))
        if error < best:
            best, kept = error, centre + (standard @ design.T + 1.0) @ alpha
    return kept


@dataclass(frozen=True)
class Compared:
    """Spearman correlations of the baselines, by n."""

    names: tuple[str, ...]
    values: dict[int, FloatArray]


def baselines(measurements: Measurements, table: ParameterTable, counts: list[int], seeds: int, *, random: bool) -> Compared:
    """Means over seeds, for n >= 3."""
    source, target = np.log(measurements.source_latency), np.log(measurements.target_latency)
    devices = SourceDevices(table, measurements.source_latency)
    values = {}
    for n in (n for n in counts if n >= 3):
        found = []
        for seed in range(seeds):
            rows = np.random.default_rng(seed).permutation(len(target))[:n].astype(np.intp) if random else devices.choose(n, seed)
            left = np.setdiff1d(np.arange(len(target)), rows)
            predictions = one_proxy(source, rows, target)[left], stack(source, rows, target)[left], Alone(table, rows, target[rows]).predict(left)
            found.append([spearman(prediction, target[left]) or 0.0 for prediction in predictions])
        values[n] = np.mean(found, axis=0)
    return Compared(("one proxy", "stack", "alone"), values)


def show(name: str, result: TransferResult, limit: float, compared: Compared | None) -> list[float]:
    """Print one device; its ratio to the ceiling by n."""
    ratios = []
    for means in result.means():
        rank, spread, mape, inside = (
            float(value or 0.0) for value in (means.mean["spearman"], means.std["spearman"], means.mean["mape"], means.mean["coverage_90"])
        )
        ratios.append(rank / limit)
        beside = "" if compared is None or means.n not in compared.values else " ".join(f"{value:8.3f}" for value in compared.values[means.n])
        print(f"{name:24s} {means.n:4d} {rank:8.4f} +- {spread:.4f} {100 * mape:8.1f} % {inside:7.2f} {limit:8.4f} {rank / limit:7.3f}  {beside}", flush=True)
    return ratios


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--source", default="all")
    parser.add_argument("--target", default="all", help="devices, or all")
    parser.add_argument("--n", default="0,3,5,10,20,50")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--baselines", choices=("none", "chosen", "random"), default="none", help="on the chosen designs or on random ones")
    given = parser.parse_args()
    counts, everything = parse_counts(given.n), device_names(given.data)
    print(f"{'device':24s} {'n':>4s} {'Spearman':>18s} {'MAPE':>10s} {'in 90%':>7s} {'ceiling':>8s} {'ratio':>7s}  one proxy  stack   alone")
    start, ratios, ranks = time.process_time(), [], []
    for target in everything if given.target == "all" else given.target.split(","):
        sources = [name for name in (everything if given.source == "all" else given.source.split(",")) if name != target]
        measurements = read_measurements(given.data, sources, target)
        table = ParameterTable(measurements.names, measurements.ordinal, measurements.values)
        limit = ceiling(measurements, table)
        compared = None if given.baselines == "none" else baselines(measurements, table, counts, given.seeds, random=given.baselines == "random")
        result = validate_transfer(measurements, counts, given.seeds)
        ratios.append(show(target, result, limit, compared))
        ranks.append([*(float(means.mean["spearman"] or 0.0) for means in result.means()), limit])
    mean = np.mean(ranks, axis=0)
    worst = np.min(ratios, axis=0)
    for number, n in enumerate(counts):
        figures = f"Spearman {mean[number]:.4f}, ceiling {mean[-1]:.4f}, ratio {mean[number] / mean[-1]:.4f}, worst {worst[number]:.3f}"
        print(f"mean of {len(ranks):2d} devices, n = {n:3d}: {figures}")
    print(f"{time.process_time() - start:.0f} cpu seconds")


if __name__ == "__main__":
    main()
