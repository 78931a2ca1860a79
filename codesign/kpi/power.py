"""Dynamic power coefficients by device family (``data/coefficients/power.toml``).

``P = static(device) + clock * sum(coefficient * count * activity)``: the form of vendor estimators. Coefficients are
energies per element and clock cycle; one microwatt per megahertz is one picojoule per cycle.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from codesign.accelerator.device import Family
from codesign.catalogue import Quantity, load_record, record

COEFFICIENTS = Path(__file__).resolve().parents[1] / "data" / "coefficients"


@record
class FamilyPower:
    """Energy per element and clock cycle of one device family, in pJ.

    Attributes:
        technology: process node.
        lut_pj: a LUT that toggles at the reference activity, with its routing.
        clock_pj: clock tree per LUT.
        dsp_pj: a DSP block multiplying two 8-bit operands each cycle.
        bram18_pj: an 18 kb block accessed in full width each cycle.
    """

    technology: str
    lut_pj: Quantity
    clock_pj: Quantity
    dsp_pj: Quantity
    bram18_pj: Quantity


@record
class PowerCoefficients:
    """Contents of ``power.toml``.

    Attributes:
        families: by family name.
        multiplier_idle: share of a multiplier's energy that does not depend on its operands' widths.
        error: relative error of dynamic energy (95 % interval a factor 1 + error either way).
        static_error: the same for static and board power.
    """

    families: dict[Family, FamilyPower]
    multiplier_idle: Quantity
    error: Quantity
    static_error: Quantity


@cache
def power_coefficients() -> PowerCoefficients:
    """Coefficients of all families."""
    return load_record(COEFFICIENTS / "power.toml", PowerCoefficients)
