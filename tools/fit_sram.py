"""Fit the laws of the ASIC model's buffers to CACTI 7 runs.

Run:
    python tools/fit_sram.py lstp=cacti_sram_lstp.json hp=cacti_sram_hp.json            # prints laws and errors
    python tools/fit_sram.py lstp=cacti_sram_lstp.json hp=cacti_sram_hp.json --write    # and rewrites asic_sram.toml

Each file is a JSON list of runs: ``size`` bytes, ``wB`` bytes per word, ``tech`` um, ``e_rd`` and ``e_wr`` nJ, ``area`` mm2.
A law is ``column * W + factor * S**size_power * W**word_power``, all four non-negative, fitted by a robust error of the
logarithm. The stated error is the mean of sizes left out of the fit.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from codesign.kpi.asic import COEFFICIENTS

FloatArray = NDArray[np.float64]
TECHNOLOGY_UM = 0.045
QUANTITIES = {"read": ("e_rd", 1e3, "pJ"), "write": ("e_wr", 1e3, "pJ"), "area": ("area", 1e6, "um2")}
UNITS = {"column": "{} per bit", "factor": "{}", "size_power": "1", "word_power": "1"}
STARTS = (-8.0, -4.0, -1.0, 3.0)
SMALLEST = 1e-9
"""Values below are the fit's way of saying none."""
SOURCE = 'source = "fitted to CACTI 7 runs, 1 KiB to 1 MiB, words of 32 to 256 bits"'


def law(found: FloatArray, kib: FloatArray, bits: FloatArray) -> FloatArray:
    """The law at logarithms of its two prices and its two exponents."""
    return np.asarray(np.exp(found[0]) * bits + np.exp(found[1]) * kib ** found[2] * bits ** found[3])


def fit(kib: FloatArray, bits: FloatArray, measured: FloatArray) -> FloatArray:
    """Robust least error of the logarithm, from several starts."""

    def residual(found: FloatArray) -> FloatArray:
        return np.log(law(found, kib, bits) / measured)

    bounds = ([-60.0, -60.0, 0.0, 0.0], [40.0, 40.0, 1.5, 2.0])
    begun = [[start + np.log(measured.min()), np.log(measured.mean()) - 5.0, 0.6, 0.5] for start in STARTS]
    runs = [least_squares(residual, start, bounds=bounds, loss="soft_l1", f_scale=0.1) for start in begun]
    return np.asarray(min(runs, key=lambda run: float(run.cost)).x)


def left_out_error(kib: FloatArray, bits: FloatArray, measured: FloatArray) -> float:
    """Mean relative error of each size, predicted by a fit without it."""
    errors = []
    for size in np.unique(kib):
        out = kib == size
        errors.append(np.abs(law(fit(kib[~out], bits[~out], measured[~out]), kib[out], bits[out]) / measured[out] - 1.0))
    return float(np.mean(errors))


def lines_of(cell: str, path: Path) -> list[str]:
    """TOML of one cell's three laws."""
    runs = [run for run in json.loads(path.read_text(encoding="utf-8")) if run["tech"] == TECHNOLOGY_UM]
    kib = np.array([run["size"] / 1024.0 for run in runs])
    bits = np.array([8.0 * run["wB"] for run in runs])
    lines = []
    for name, (key, scale, unit) in QUANTITIES.items():
        measured = scale * np.array([run[key] for run in runs])
        found = fit(kib, bits, measured)
        values = (float(np.exp(found[0])), float(np.exp(found[1])), float(found[2]), float(found[3]))
        error = round(left_out_error(kib, bits, measured), 3)
        lines += ["", f"[cells.{cell}.{name}]"]
        for (parameter, per), value in zip(UNITS.items(), values, strict=True):
            rounded = float(f"{value:.4g}") if value > SMALLEST else 0.0
            lines.append(f'{parameter} = {{ value = {rounded!r}, unit = "{per.format(unit)}", {SOURCE}, rows = {len(runs)}, error = {error!r} }}')
        print(f"{cell} {name}: {', '.join(f'{value:.4g}' for value in values)}; left-out error {error:.1%}")
    return lines


def main() -> None:
    """Fit, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", metavar="CELL=FILE", help="runs of one cell (JSON)")
    parser.add_argument("--write", action="store_true", help="rewrite the coefficient file")
    arguments = parser.parse_args()
    lines = ["# Laws of on-chip memories. Written by tools/fit_sram.py.", "", 'technology = "45 nm, CACTI 7 (ITRS devices)"']
    for pair in arguments.data:
        cell, _, file = pair.partition("=")
        lines += lines_of(cell, Path(file))
    if arguments.write:
        (COEFFICIENTS / "asic_sram.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
