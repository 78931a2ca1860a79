"""Fit the ``ultratrail`` preset to published points, and measure how far it is off on points left out.

Run:
    python tools/fit_ultratrail.py hannah_points.json            # prints prices and errors
    python tools/fit_ultratrail.py hannah_points.json --write    # and rewrites ultratrail.toml and docs/validation-ultratrail.md

Cycles are counted, with no fitted constant. Area and power are sums of counted hardware and activity times non-negative
prices. Points whose published cycles are below the network's products over the multipliers have no part in the fit of power.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from codesign.kpi.ultratrail import COEFFICIENTS, AreaPrices, PowerPrices
from codesign.validation.published_points import read_points
from codesign.validation.ultratrail_fit import AREA_UNITS, POWER_UNITS, fit_document, fit_ultratrail, write_coefficients

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "validation-ultratrail.md"


def main() -> None:
    """Fit, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="published points (JSON)")
    parser.add_argument("--write", action="store_true", help="rewrite the coefficient file and docs/validation-ultratrail.md")
    arguments = parser.parse_args()
    points = read_points(arguments.data).points
    fit = fit_ultratrail(points)
    for record, units, found in ((AreaPrices, AREA_UNITS, fit.area), (PowerPrices, POWER_UNITS, fit.power)):
        for field, value in zip(fields(record), found.tolist(), strict=True):
            print(f"{record.__name__}  {field.name} = {value:.5g} {units[field.name]}")
    document = fit_document(arguments.data.name, points, fit)
    print(document)
    if arguments.write:
        write_coefficients(fit, COEFFICIENTS)
        DOCUMENT.write_text(document, encoding="utf-8")


if __name__ == "__main__":
    main()
