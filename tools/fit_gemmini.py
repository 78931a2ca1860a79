"""How far Gemmini's closed form is off: at round numbers, fitted to all rows, and fitted with layers left out.

    python tools/fit_gemmini.py ACCEL_POINTS.parquet

Nothing is written: the package ships the round numbers, and `codesign validate predictor` fits the constants to its training rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.validation.accelerator_rows import read_group
from codesign.validation.gemmini import NAMES, CallTable, count_calls, log_cycles, round_prices
from codesign.validation.gemmini_fit import fit_prices
from codesign.validation.gemmini_mapping import parse_layer, parse_mapping, read_object

FloatArray = NDArray[np.float64]
GROUP = "dosa-gemmini-rtl"
FOLDS = 5


def left_out(table: CallTable, log_measured: FloatArray, layers: NDArray[np.intp]) -> FloatArray:
    """Log cycles (n,) of rows whose layers were not in the fit."""
    fold = np.random.default_rng(0).permutation(layers.max() + 1)[layers] % FOLDS
    predicted = np.empty_like(log_measured)
    for one in range(FOLDS):
        inside, outside = fold != one, fold == one
        predicted[outside] = log_cycles(table.rows(outside), fit_prices(table.rows(inside), log_measured[inside]))
    return predicted


def main() -> None:
    """Fit and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    rows = read_group(parser.parse_args().data, GROUP, "cycles")
    calls = []
    for row in rows:
        layer = parse_layer(row.text["layer_json"], where=row.id)
        calls.append(count_calls(layer, parse_mapping(read_object(row.text["config_json"], where=row.id)["mapping"], layer, where=row.id)))
    table, log_measured = CallTable.of(calls), np.log([row.target for row in rows])
    _, layers = np.unique([row.text["layer_json"] for row in rows], return_inverse=True)
    usual, _ = round_prices()
    fitted = fit_prices(table, log_measured)
    predictions = {
        "round numbers": log_cycles(table, usual),
        "fitted to all": log_cycles(table, fitted),
        "layers left out": left_out(table, log_measured, layers),
    }
    for name, predicted in predictions.items():
        error = np.abs(np.expm1(predicted - log_measured))
        parts = {"MAPE": error, "matmul": error[table.matmul], "convolution": error[~table.matmul]}
        print(f"{name}: median {np.median(error):.1%}, {', '.join(f'{part} {values.mean():.1%}' for part, values in parts.items())}")
    for name, before, after in zip(NAMES, np.exp(usual), np.exp(fitted), strict=True):
        print(f"{name}: {before:.4g} -> {after:.4g}")


if __name__ == "__main__":
    main()
