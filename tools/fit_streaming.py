"""Fit the prices of the streaming model's terms to measured syntheses, and measure how far the model is off.

Run:
    python tools/fit_streaming.py hls4ml_points.parquet            # prints prices and errors
    python tools/fit_streaming.py hls4ml_points.parquet --write    # and rewrites coefficients and docs/validation.md
    python tools/fit_streaming.py hls4ml_points.parquet --left-out predictions.parquet   # each design predicted without its like

Structure first: cycles, DSP blocks and memories are counted by formulas; LUT and FF are sums of counted hardware times
non-negative prices. Sweeps over architectures (wa-hls4ml, N-TORC) are fitted by least absolute relative deviations.
Designs of public repositories are few and unlike each other: their prices are fitted by a robust error of the logarithm
and held near what one bit of such hardware must cost. Errors are those of designs whose whole architecture, or whole
repository with everything that shares a network with it, was left out of the fit.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from codesign.validation.coefficients import fit_all, write_errors, write_prices
from codesign.validation.document import validation_document
from codesign.validation.points import read_designs
from codesign.validation.streaming import group_errors, write_predictions

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "validation.md"


def main() -> None:
    """Fit, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="table of measured designs (Parquet)")
    parser.add_argument("--write", action="store_true", help="rewrite the coefficient files and docs/validation.md")
    parser.add_argument("--left-out", type=Path, metavar="FILE", help="write the predictions of designs left out of the fits (Parquet)")
    arguments = parser.parse_args()
    designs = read_designs(arguments.data)
    fitted = fit_all([design for design in designs if design.model and design.succeeded])
    for flow, resource, name, price in fitted.listed():
        print(f"{flow}  {resource}  {name} = {price.value:.4g}  ({price.rows} rows)")
    if arguments.write:
        write_prices(fitted)
    left_out = fitted.left_out(designs)
    if arguments.write:
        write_errors(designs, left_out)
        left_out = fitted.left_out(designs)
    if arguments.left_out is not None:
        write_predictions(arguments.left_out, designs, left_out)
    document = validation_document(arguments.data.name, group_errors(designs, left_out))
    print(document)
    if arguments.write:
        DOCUMENT.write_text(document, encoding="utf-8")


if __name__ == "__main__":
    main()
