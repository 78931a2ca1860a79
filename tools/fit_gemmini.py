"""Fit the prices of Gemmini's hardware loops to simulated layers, and say how far they are off for layers left out.

    python tools/fit_gemmini.py ACCEL_POINTS.parquet [--write]

Each loop has ten constants, fitted to relative errors with a loss that lets rows of another law go. A weak
prior around round numbers keeps constants that the rows do not tell apart where they make sense.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

import codesign
from codesign.validation.accelerator_rows import read_group
from codesign.validation.gemmini import MEMORY, Calls, count_calls
from codesign.validation.gemmini_mapping import parse_layer, parse_mapping, read_object

FloatArray = NDArray[np.float64]
GROUP = "dosa-gemmini-rtl"
NAMES = ("start", "call", *MEMORY, "sharpness")
UNITS = (
    "cycles",
    "cycles",
    "cycles per request",
    "cycles per byte",
    "cycles per line",
    "cycles per page",
    "cycles per page",
    "cycles per row",
    "cycles per byte",
    "1",
)
TYPICAL = {True: (1000.0, 127.0, 0.1, 0.1, 0.5, 4.0, 0.6, 0.1, 0.02, 3.0), False: (200.0, 256.0, 1.0, 0.1, 6.0, 30.0, 4.0, 4.0, 0.1, 3.0)}
PRIOR_WEIGHT, LOSS_SCALE, FOLDS = 0.02, 0.1, 5
MOST_LOG_RATIO = 1.5
LITTLE, MUCH = 0.2, 0.95


def cycles(theta: FloatArray, table: FloatArray) -> FloatArray:
    """Logarithms of the cycles (n,) of rows (n x columns of `design`)."""
    start, call, *memory, sharpness = np.exp(theta)
    parts = np.stack([np.full(len(table), call), table[:, 1], table[:, 2:] @ np.array(memory)])
    largest = parts.max(axis=0)
    return np.asarray(np.log(start + table[:, 0] * largest * ((parts / largest) ** sharpness).sum(axis=0) ** (1.0 / sharpness)))


def design(calls: list[Calls]) -> FloatArray:
    """Calls, compute and memory terms of each row."""
    return np.array([[one.calls, one.compute, *(getattr(one, name) for name in MEMORY)] for one in calls])


def fit(table: FloatArray, measured: FloatArray, matmul: bool) -> FloatArray:
    """Logarithms of the ten constants: first by logarithms, which finds its way from afar, then by relative errors."""
    theta = np.log(TYPICAL[matmul])
    for error in (lambda log_ratio: log_ratio, lambda log_ratio: np.expm1(np.minimum(log_ratio, MOST_LOG_RATIO))):
        theta = _descend(table, measured, theta, np.log(TYPICAL[matmul]), error)
    return theta


def _descend(table: FloatArray, measured: FloatArray, start: FloatArray, typical: FloatArray, error: Callable[[FloatArray], FloatArray]) -> FloatArray:
    def residuals(theta: FloatArray) -> FloatArray:
        return np.concatenate([error(cycles(theta, table) - measured), PRIOR_WEIGHT * (theta - typical)])

    return np.asarray(least_squares(residuals, start, loss="soft_l1", f_scale=LOSS_SCALE).x)


def left_out(table: FloatArray, measured: FloatArray, matmul: FloatArray, layers: NDArray[np.intp]) -> FloatArray:
    """Predictions (n,) of rows whose layers were not in the fit."""
    fold = np.random.default_rng(0).permutation(layers.max() + 1)[layers] % FOLDS
    predicted = np.empty_like(measured)
    for kind in (True, False):
        for one in range(FOLDS):
            inside, outside = (matmul == kind) & (fold != one), (matmul == kind) & (fold == one)
            if outside.any():
                predicted[outside] = cycles(fit(table[inside], measured[inside], kind), table[outside])
    return predicted


def _scatter(calls: list[Calls], constants: dict[bool, FloatArray], residual: FloatArray) -> tuple[float, float]:
    """Standard deviations, from medians, of rows with little and with nothing but memory time."""
    table = design(calls)
    share = []
    for one, row in zip(calls, table, strict=True):
        theta = constants[one.matmul]
        share.append(float(row[2:] @ np.exp(theta[2:-1])) * one.calls / float(np.exp(cycles(theta, row[None])[0])))
    parts = (residual[np.array(share) < LITTLE], residual[np.array(share) > MUCH])
    return (1.4826 * float(np.median(np.abs(parts[0]))), 1.4826 * float(np.median(np.abs(parts[1]))))


def document(constants: dict[bool, FloatArray], counts: dict[bool, int], errors: tuple[float, float], rows: int) -> str:
    """The TOML record."""
    source = "fitted to register-transfer simulations of Gemmini on FireSim (ucb-bar/dosa, BSD-2-Clause)"
    lines = ["# Cycles of Gemmini's hardware loops. Made by tools/fit_gemmini.py; do not edit.", ""]
    for key, value in zip(("issue_error", "memory_error"), errors, strict=True):
        lines.append(f'{key} = {{ value = {value:.3g}, unit = "1", source = "1.4826 median absolute deviations, layers left out of the fit", rows = {rows} }}')
    for kind, name in ((True, "matmul"), (False, "convolution")):
        lines += ["", f"[{name}]"]
        for key, unit, value in zip(NAMES, UNITS, np.exp(constants[kind]), strict=True):
            lines.append(f'{key} = {{ value = {value:.4g}, unit = "{unit}", source = "{source}", rows = {counts[kind]} }}')
    return "\n".join(lines) + "\n"


def main() -> None:
    """Fit, report, and write the record where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    rows = read_group(chosen.data, GROUP, "cycles")
    calls = []
    for row in rows:
        layer = parse_layer(row.text["layer_json"], where=row.id)
        calls.append(count_calls(layer, parse_mapping(read_object(row.text["config_json"], where=row.id)["mapping"], layer, where=row.id)))
    table, measured = design(calls), np.log([row.target for row in rows])
    matmul = np.array([one.matmul for one in calls])
    _, layers = np.unique([row.text["layer_json"] for row in rows], return_inverse=True)
    constants = {kind: fit(table[matmul == kind], measured[matmul == kind], kind) for kind in (True, False)}
    inside = np.where(matmul, cycles(constants[True], table), cycles(constants[False], table))
    outside = left_out(table, measured, matmul, layers)
    errors = [np.abs(np.exp(predicted - measured) - 1.0) for predicted in (inside, outside)]
    for name, error in zip(("fitted", "layers left out"), errors, strict=True):
        print(f"{name}: MAPE {error.mean():.1%}, median {np.median(error):.1%}, matmul {error[matmul].mean():.1%}, convolution {error[~matmul].mean():.1%}")
    text = document(constants, {kind: int((matmul == kind).sum()) for kind in (True, False)}, _scatter(calls, constants, outside - measured), len(rows))
    if chosen.write:
        (Path(codesign.__file__).parent / "data" / "coefficients" / "gemmini.toml").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
