"""Remake the fitted coefficients of ``codesign/data/coefficients/streaming.toml`` from measured syntheses.

Run:
    python tools/fit_streaming.py hls4ml_points.parquet

The file holds one design a row (columns: group, stage, network_json, weight_prec, reuse_factor, latency_max, dsp, lut,
ff, all text). Dense networks of two and three layers after synthesis are fitted by non-negative least squares on the
relative error, one term for each thing that is built; the error quoted is the median over designs whose architecture was
left out of the fit. Prints the lines of the tables ``lut`` and ``ff``, and how often the exact laws hold.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet
from scipy.optimize import nnls

from codesign.kpi.reuse import legal_reuse_factors
from codesign.kpi.streaming.template import coefficients

GROUPS = ("wa-hls4ml-2layer", "wa-hls4ml-3layer")
INPUT_BITS = ACCUMULATOR_BITS = 16
"""hls4ml's default ap_fixed<16,6> for every tensor of these designs."""
TERMS = ("input", "output", "multiplier", "dsp_multiplier")


@dataclass(frozen=True)
class Design:
    """One synthesised network: its architecture, the terms' quantities, and what was reported and expected."""

    architecture: str
    terms: tuple[float, ...]
    lut: float
    ff: float
    latency: tuple[float, float]
    dsp: tuple[float, float]


def read_design(row: dict[str, str]) -> Design:
    """Terms of one row: bits of inputs and accumulators, operand bit products in logic, input bits of DSP multipliers."""
    network = json.loads(row["network_json"])
    found = re.match(r"\d+", row["weight_prec"])
    weight_bits = int(found.group()) if found else 0
    terms, cycles, dsp = np.zeros(len(TERMS)), -1.0, 0
    for layer in network:
        n_in, n_out, asked = layer["n_in"], layer["n_out"], float(row["reuse_factor"])
        reuse = min(legal_reuse_factors(n_in, n_out), key=lambda factor: (abs(factor - asked), factor))
        multipliers = math.ceil(n_in * n_out / reuse)
        in_dsp = weight_bits >= coefficients().dsp["weight_bits"].value
        logic = 0 if in_dsp else multipliers * weight_bits * INPUT_BITS
        terms += (n_in * INPUT_BITS, n_out * ACCUMULATOR_BITS, logic, multipliers * INPUT_BITS * in_dsp)
        cycles += reuse + coefficients().cycles["resource_dense"].value
        dsp += multipliers * in_dsp
    architecture = json.dumps([(layer["n_in"], layer["n_out"]) for layer in network])
    measured = {name: float(row[name]) for name in ("lut", "ff", "latency_max", "dsp")}
    return Design(architecture, tuple(terms), measured["lut"], measured["ff"], (measured["latency_max"], cycles), (measured["dsp"], dsp))


def fit(terms: NDArray[np.float64], measured: NDArray[np.float64]) -> NDArray[np.float64]:
    """Non-negative coefficients of least relative error."""
    solution, _ = nnls(terms / measured[:, None], np.ones(len(measured)))
    return np.asarray(solution)


def left_out_error(designs: Sequence[Design], terms: NDArray[np.float64], measured: NDArray[np.float64]) -> float:
    """Median relative error of designs predicted without their architecture."""
    groups = np.array([design.architecture for design in designs])
    errors = []
    for group in np.unique(groups):
        out = groups == group
        errors.append(np.abs(terms[out] @ fit(terms[~out], measured[~out]) / measured[out] - 1.0))
    return float(np.median(np.concatenate(errors)))


def main() -> None:
    """Fit and print."""
    rows = parquet.read_table(Path(sys.argv[1])).to_pylist()
    designs = [read_design(row) for row in rows if row["group"] in GROUPS and row["stage"] == "post_synth"]
    terms = np.array([design.terms for design in designs])
    for resource in ("lut", "ff"):
        measured = np.array([getattr(design, resource) for design in designs])
        error = left_out_error(designs, terms, measured)
        print(f"[{resource}]  # {len(designs)} rows, median error {error:.3f} on architectures left out")
        for name, value in zip(TERMS, fit(terms, measured), strict=True):
            print(f"{name} = {value:.3f}")
    for name in ("latency", "dsp"):
        pairs = [getattr(design, name) for design in designs]
        print(f"# {name}: {sum(measured == expected for measured, expected in pairs)} of {len(pairs)} exact")


if __name__ == "__main__":
    main()
