"""A new device from few measurements, against all of its measurements: ``codesign validate transfer``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError
from codesign.surrogate.transfer import AdaptedDevice, SourceDevices
from codesign.surrogate.transfer_table import ParameterTable
from codesign.validation.metrics import spearman
from codesign.validation.parquet import write_columns
from codesign.validation.transfer_table import Measurements

FloatArray = NDArray[np.float64]

LEVELS = (0.5, 0.9, 0.95)
# Rank correlations need two designs that were not measured.
LEAST_LEFT = 2
AVERAGED = ("spearman", "kendall", "mape", "coverage_50", "coverage_90", "coverage_95")


@dataclass(frozen=True)
class TransferRun:
    """One adaptation, judged on the designs that it did not measure; shares and relative errors are fractions.

    Attributes:
        n: measured designs.
        seed: seed of their choice.
        rows: designs that are judged.
        spearman, kendall: rank correlations; None where predictions or measurements are all equal.
        mape: mean of |predicted - measured| / measured.
        coverage_50, coverage_90, coverage_95: judged designs inside the interval of that level.
    """

    n: int
    seed: int
    rows: int
    spearman: float | None
    kendall: float | None
    mape: float
    coverage_50: float
    coverage_90: float
    coverage_95: float


@dataclass(frozen=True)
class TransferMean:
    """Mean and standard deviation over seeds of the figures of one n; None where a run has none."""

    n: int
    mean: dict[str, float | None]
    std: dict[str, float | None]


@dataclass(frozen=True)
class TransferResult:
    """All runs of one target.

    Attributes:
        runs: by n, then by seed.
        predictions: columns of the row-wise table.
    """

    runs: tuple[TransferRun, ...]
    predictions: dict[str, FloatArray]

    def means(self) -> list[TransferMean]:
        """Figures by n, over the seeds."""
        counts = dict.fromkeys(run.n for run in self.runs)
        return [_average(n, [run for run in self.runs if run.n == n]) for n in counts]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"runs": [asdict(run) for run in self.runs], "means": [asdict(mean) for mean in self.means()]}


def parse_counts(text: str) -> list[int]:
    """Numbers separated by commas.

    Raises:
        InputError: something else.
    """
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise InputError(f"{text!r} is no list of whole numbers", where="--n", remedy="Give numbers separated by commas, as in 0,3,10") from None


def check_counts(counts: Sequence[int], seeds: int, rows: int) -> None:
    """Refuse numbers of measurements and of seeds that cannot be run.

    Raises:
        InputError: none, a negative one, one twice, or more than the table has; fewer than one seed.
    """
    if not counts:
        raise InputError("no number of measurements", where="--n", remedy="Give some, as in 0,3,10")
    if len(set(counts)) < len(counts):
        raise InputError(f"{', '.join(map(str, counts))} has a number twice", where="--n", remedy="Give each once")
    if min(counts) < 0:
        raise InputError(f"{min(counts)} measurements", where="--n", remedy="Give 0 or more")
    if max(counts) > rows - LEAST_LEFT:
        raise InputError(
            f"{max(counts)} measurements of {rows} designs", where="--n", remedy=f"Give at most {rows - LEAST_LEFT}: {LEAST_LEFT} must be left to judge"
        )
    if seeds < 1:
        raise InputError(f"{seeds} seeds", where="--seeds", remedy="Give 1 or more")


def validate_transfer(measurements: Measurements, counts: Sequence[int], seeds: int) -> TransferResult:
    """Adapt to the target with each number of measurements and each seed; the sources are prepared once.

    Raises:
        InputError: numbers that cannot be run.
    """
    check_counts(counts, seeds, len(measurements.values))
    sources = SourceDevices(ParameterTable(measurements.names, measurements.ordinal, measurements.values), measurements.source_latency)
    target = measurements.target_latency
    chosen = [sources.choose(max(counts), seed) for seed in range(seeds)]
    runs, columns = [], []
    for n in counts:
        for seed in range(seeds):
            rows = chosen[seed][:n]
            device = sources.adapt(rows, target[rows], resolution(target[rows]))
            runs.append(_judge(device, target, rows, seed))
            columns.append(_columns(device, target, rows, seed))
    return TransferResult(tuple(runs), {name: np.concatenate([part[name] for part in columns]) for name in columns[0]})


def resolution(latency: FloatArray) -> float:
    """Step of some measurements: 1 where all are whole numbers, 0 (unknown, taken as fine) otherwise and without any."""
    return float(len(latency) > 0 and (latency == np.round(latency)).all())


def _judge(device: AdaptedDevice, target: FloatArray, rows: NDArray[np.intp], seed: int) -> TransferRun:
    from scipy.stats import kendalltau

    left = np.ones(len(target), dtype=np.bool_)
    left[rows] = False
    mean, std = (part[left] for part in device.moments)
    measured = target[left]
    distance = np.abs(np.log(measured) - mean) / std
    inside = [float((distance <= NormalDist().inv_cdf(0.5 + 0.5 * level)).mean()) for level in LEVELS]
    tau = float(kendalltau(mean, measured).statistic) if np.ptp(mean) > 0.0 and np.ptp(measured) > 0.0 else None
    mape = float((np.abs(np.exp(mean) - measured) / measured).mean())
    return TransferRun(len(rows), seed, int(left.sum()), spearman(mean, measured), tau, mape, *inside)


def _columns(device: AdaptedDevice, target: FloatArray, rows: NDArray[np.intp], seed: int) -> dict[str, FloatArray]:
    low, high = device.interval()
    count, chosen = len(target), np.zeros(len(target), dtype=np.bool_)
    chosen[rows] = True
    return {
        "n": np.full(count, len(rows)),
        "seed": np.full(count, seed),
        "row": np.arange(count),
        "chosen": chosen,
        "measured": target,
        "predicted": device.latency(),
        "low_95": low,
        "high_95": high,
    }


def _average(n: int, runs: Sequence[TransferRun]) -> TransferMean:
    mean, std = dict[str, float | None](), dict[str, float | None]()
    for name in AVERAGED:
        values = [getattr(run, name) for run in runs]
        known = None not in values
        mean[name], std[name] = (float(np.mean(values)), float(np.std(values))) if known else (None, None)
    return TransferMean(n, mean, std)


def write_predictions(path: Path, result: TransferResult) -> None:
    """Row-wise predictions of every run, rows in the order of the table.

    Raises:
        InputError: the file cannot be written.
    """
    write_columns(path, {name: column.tolist() for name, column in result.predictions.items()})
