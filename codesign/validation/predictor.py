"""The surrogate on measured accelerators: ``codesign validate predictor``.

Trained on few rows and held against the others. Where training and test rows come from one file, rows are split by layer
(or workload): no layer of the training rows is predicted, and a prior's constants are fitted to the training rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError
from codesign.surrogate.calibration import LEVELS, kendall, spearman
from codesign.validation.accelerator_rows import read_group
from codesign.validation.parquet import write_columns
from codesign.validation.predictor_features import FeatureTable, feature_table

if TYPE_CHECKING:
    from codesign.surrogate.prior import Predictor

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]

FOLDS = 5
FEWEST = 20
"""Training rows below which intervals cannot be held against anything."""
MOST = 2000
MOST_SEEDS = 100


@dataclass(frozen=True)
class SeedErrors:
    """Errors on the test rows of one choice of training rows; relative errors and shares are fractions.

    Attributes:
        nlpd: mean negative log predictive density of log(measured).
        coverage: share of measurements inside the interval of each of `LEVELS`.
        calibrated: verdict of the predictors on their own left-out rows; None where one cannot say.
    """

    seed: int
    mape: float
    median_ape: float
    spearman: float | None
    kendall: float | None
    nlpd: float
    coverage: tuple[float, ...]
    calibrated: bool | None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        coverage = {f"{level:.0%}".rstrip("%"): share for level, share in zip(LEVELS, self.coverage, strict=True)}
        errors = {name: getattr(self, name) for name in ("mape", "median_ape", "spearman", "kendall", "nlpd")}
        return {"seed": self.seed, **errors, "coverage": coverage, "calibrated": self.calibrated}


@dataclass(frozen=True)
class RowPrediction:
    """One test row: median and 90 % interval, natural units."""

    id: str
    seed: int
    predicted: float
    low90: float
    high90: float


@dataclass(frozen=True)
class Validation:
    """Errors by seed, and each prediction.

    Attributes:
        split: plain words: how training and test rows were kept apart.
        shared: workloads that are among the training file's rows and the test rows; 0 where rows are split by layer.
        features: what the predictor read.
        prior_mape: error of the prior alone, fitted to the same training rows, on the test rows, the mean over seeds; None without a prior.
    """

    group: str
    target: str
    train_rows: int
    test_rows: int
    split: str
    shared: int
    features: str
    prior_mape: float | None
    seeds: tuple[SeedErrors, ...]
    predictions: tuple[RowPrediction, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types: means over the seeds beside the figures of each."""
        head = {name: getattr(self, name) for name in ("group", "target", "train_rows", "test_rows", "split", "shared", "features", "prior_mape")}
        return {**head, "unit": "fractions, not per cent", "mean": self.mean(), "per_seed": [seed.as_dict() for seed in self.seeds]}

    def mean(self) -> dict[str, Any]:
        """Means over the seeds; None where a seed has no figure."""
        entries = [seed.as_dict() for seed in self.seeds]
        result: dict[str, Any] = {}
        for name in ("mape", "median_ape", "spearman", "kendall", "nlpd"):
            values = [entry[name] for entry in entries]
            result[name] = None if None in values else float(np.mean(values))
        result["coverage"] = {level: float(np.mean([entry["coverage"][level] for entry in entries])) for level in entries[0]["coverage"]}
        return result


def validate_predictor(train: Path, test: Path, *, target: str, group: str, number: int, seeds: int) -> Validation:
    """Train on ``number`` rows of ``train`` and predict ``test``, once for each seed.

    Raises:
        InputError: files, group, target, or numbers that cannot be used.
    """
    _check(number, seeds)
    known = read_group(train, group, target)
    same = train.resolve() == test.resolve()
    asked = known if same else read_group(test, group, target)
    rows = known if same else [*known, *asked]
    table = feature_table(group, target, rows, unseen=same)
    log_target = np.log([row.target for row in rows])
    names, label = np.unique([row.workload for row in rows], return_inverse=True)
    pool = np.arange(len(known))
    if number > (len(pool) * (FOLDS - 1)) // FOLDS if same else number > len(pool):
        raise InputError(f"{number} training rows of {len(pool)}", where="--n", remedy="Ask for fewer" + (": a part is kept for the test" if same else ""))
    if same and len(names) < FOLDS:
        raise InputError(f"{len(names)} layers or workloads", where=str(train), remedy=f"At least {FOLDS} are needed to split by layer; give another --test")
    errors, predictions, prior_errors = [], [], []
    for seed in range(seeds):
        parts = list(_by_layer(label, seed)) if same else [(pool, np.arange(len(known), len(rows)))]
        found = [_predict(table, log_target, label, _draw(inside, number, seed, place), outside) for place, (inside, outside) in enumerate(parts)]
        order = np.concatenate([outside for _, outside in parts])
        summary, median, low, high = _summarise(seed, found, log_target[order])
        errors.append(summary)
        prior_errors.append(np.abs(np.concatenate([one.prior for one in found]) / np.exp(log_target[order]) - 1.0).mean())
        columns = (order.tolist(), median.tolist(), low.tolist(), high.tolist())
        predictions += [RowPrediction(rows[row].id, seed, *values) for row, *values in zip(*columns, strict=True)]
    return Validation(
        group=group,
        target=target,
        train_rows=number,
        test_rows=len(asked),
        split=f"one file: {FOLDS} parts by layer, each predicted from the others" if same else "two files",
        shared=0 if same else len({row.workload for row in known} & {row.workload for row in asked}),
        features=table.kind,
        prior_mape=None if table.prior is None else float(np.mean(prior_errors)),
        seeds=tuple(errors),
        predictions=tuple(predictions),
    )


def _check(number: int, seeds: int) -> None:
    if not FEWEST <= number <= MOST:
        raise InputError(f"{number} training rows", where="--n", remedy=f"Give {FEWEST} to {MOST}")
    if not 1 <= seeds <= MOST_SEEDS:
        raise InputError(f"{seeds} seeds", where="--seeds", remedy=f"Give 1 to {MOST_SEEDS}")


def _by_layer(label: Rows, seed: int) -> Sequence[tuple[Rows, Rows]]:
    """Rows inside and outside of each part; no label is on both sides."""
    part = np.random.default_rng([seed, FOLDS]).permutation(int(label.max()) + 1)[label] % FOLDS
    return [(np.flatnonzero(part != one), np.flatnonzero(part == one)) for one in range(FOLDS)]


def _draw(rows: Rows, number: int, seed: int, place: int) -> Rows:
    if number > len(rows):
        raise InputError(f"{number} training rows, a part has {len(rows)}", where="--n", remedy="Ask for fewer")
    return np.sort(np.random.default_rng([seed, place]).choice(rows, number, replace=False))


@dataclass(frozen=True)
class _Found:
    """Predictions of one part: prior, mean of the logarithm and log density of what was measured, interval bounds by level (k,), verdict."""

    prior: FloatArray
    mean: FloatArray
    density: FloatArray
    bounds: dict[float, tuple[FloatArray, FloatArray, FloatArray]]
    calibrated: bool | None


def _predict(table: FeatureTable, log_target: FloatArray, label: Rows, inside: Rows, outside: Rows) -> _Found:
    from codesign.surrogate.encoding import NoParameters
    from codesign.surrogate.prior import Designs, Predictor
    from codesign.surrogate.threads import single_thread

    with single_thread():
        unknown = np.full(len(label), np.nan)
        prior, error = (unknown, unknown) if table.prior is None else table.prior.fitted(inside, log_target[inside], label)
        every = Designs(np.empty((len(label), 0), dtype=np.intp), table.features, prior, error)
        evidence, uneven = np.exp(log_target[inside]), table.prior is not None
        predictor: Predictor = Predictor(NoParameters(), every.rows(inside), evidence, log=True, robust=True, uneven=uneven, together=label[inside])
        asked = every.rows(outside)
        bounds = {level: predictor.interval(asked, level) for level in LEVELS}
        return _Found(asked.prior, predictor.predict(asked).mean, predictor.density(asked, log_target[outside]), bounds, predictor.calibrated)


def _summarise(seed: int, found: Sequence[_Found], log_measured: FloatArray) -> tuple[SeedErrors, FloatArray, FloatArray, FloatArray]:
    mean, density = (np.concatenate([getattr(one, name) for one in found]) for name in ("mean", "density"))
    measured = np.exp(log_measured)
    bounds = {level: [np.concatenate([one.bounds[level][side] for one in found]) for side in range(3)] for level in LEVELS}
    error = np.abs(np.exp(mean) / measured - 1.0)
    verdicts = {one.calibrated for one in found}
    errors = SeedErrors(
        seed=seed,
        mape=float(error.mean()),
        median_ape=float(np.median(error)),
        spearman=spearman(mean, log_measured),
        kendall=kendall(mean, log_measured),
        nlpd=-float(np.mean(density)),
        coverage=tuple(float(np.mean((bounds[level][1] <= measured) & (measured <= bounds[level][2]))) for level in LEVELS),
        calibrated=None if None in verdicts else verdicts == {True},
    )
    return errors, bounds[0.90][0], bounds[0.90][1], bounds[0.90][2]


def write_predictions(path: Path, validation: Validation) -> None:
    """Row-wise predictions: id, seed, predicted, low90, high90.

    Raises:
        InputError: the file cannot be written.
    """
    write_columns(path, {name: [getattr(row, name) for row in validation.predictions] for name in ("id", "seed", "predicted", "low90", "high90")})
