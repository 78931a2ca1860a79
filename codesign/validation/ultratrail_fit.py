"""Fit the prices of the ``ultratrail`` preset to published points, with errors of points left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from codesign.catalogue import Quantity
from codesign.errors import InputError
from codesign.kpi import ultratrail
from codesign.kpi.template_model import FloatArray
from codesign.validation.pe_array import Prediction
from codesign.validation.published_points import MEASURED, PublishedPoint, contradictions, designs_of

AREA_UNITS = {"control": "um2", "product": "um2 per bit product", "port": "um2 per bit", "memory": "um2 per bit", "bank": "um2"}
POWER_UNITS = {"control": "uW", "register": "uW per bit", "row": "uW", "memory": "uW per bit", "cycle": "pJ", "port": "pJ per bit"}
FITTED = frozenset({"cycles", "area_um2", "power_w"})
FIXED = ("clock_khz", "period_ms", "layer_start", "word_step", "bank_words")
SOURCE = "fitted to the points published for HANNAH's UltraTrail template (Gerum et al., DSD 2022), non-negative least squares of relative errors"
POWER_SOURCE = SOURCE + "; points with impossible cycles left out"
LEFT_OUT = "largest relative error of a point left out of the fit"


@dataclass(frozen=True)
class UltraTrailFit:
    """Fitted prices, and each point predicted by prices that it had no part in.

    Attributes:
        area, power: prices, in the order of the record's fields.
        left_out: predictions by prices fitted to all other points.
        other_arrays: predictions by prices fitted to the points of all other arrays (N and operand widths).
        possible: points whose published cycles are possible (n,): those that power is fitted to.
        area_error, power_error: largest relative error of ``left_out``; of power, over the possible points.
    """

    area: FloatArray
    power: FloatArray
    left_out: Prediction
    other_arrays: Prediction
    possible: NDArray[np.bool_]
    area_error: float
    power_error: float


def fit_ultratrail(points: Sequence[PublishedPoint]) -> UltraTrailFit:
    """Fit area to all points and power to those whose published cycles are possible.

    Raises:
        InputError: a point lacks one of the three published figures.
    """
    for point in points:
        if missing := [key for figure, key in MEASURED.items() if figure in FITTED and figure not in point.measured]:
            raise InputError(f"lacks {', '.join(missing)}", where=point.name, remedy="Give points with published cycles, area and power")
    designs = designs_of(points)
    possible = np.array([not reason for reason in contradictions(points)])
    area, power = (np.array([point.measured[figure] for point in points]) for figure in ("area_um2", "power_w"))
    area_counts, power_counts = ultratrail.area_counts(designs), ultratrail.power_counts(designs)
    cycles = np.asarray(ultratrail.layer_cycles(designs).sum(axis=1))

    def without(groups: Sequence[object]) -> Prediction:
        every = np.ones(len(points), dtype=np.bool_)
        return Prediction(cycles, _left_out(area_counts, area, every, groups), _left_out(power_counts, power, possible, groups))

    left_out = without(range(len(points)))
    return UltraTrailFit(
        area=relative_nnls(area_counts, area),
        power=relative_nnls(power_counts[possible], power[possible]),
        left_out=left_out,
        other_arrays=without([(point.array, point.weight_bits, point.feature_bits) for point in points]),
        possible=possible,
        area_error=float(np.abs(left_out.area_um2 / area - 1.0).max()),
        power_error=float(np.abs(left_out.power_w / power - 1.0)[possible].max()),
    )


def relative_nnls(counts: FloatArray, measured: FloatArray) -> FloatArray:
    """Non-negative prices of least squared relative errors: n x terms counts, positive measurements (n,)."""
    relative = counts / measured[:, None]
    scale = np.linalg.norm(relative, axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)  # a term that no point has: its price stays 0
    solution, _residual = nnls(relative / scale, np.ones(len(measured)))
    return np.asarray(solution / scale)


def _left_out(counts: FloatArray, measured: FloatArray, fitted: NDArray[np.bool_], groups: Sequence[object]) -> FloatArray:
    """Each point by prices fitted to the points of other groups."""
    predicted = []
    for row, group in enumerate(groups):
        others = fitted & np.array([other != group for other in groups])
        predicted.append(counts[row] @ relative_nnls(counts[others], measured[others]))
    return np.array(predicted)


def write_coefficients(fit: UltraTrailFit, path: Path) -> None:
    """Write the coefficient file: the fixed quantities as they are, prices and errors from the fit."""
    known = ultratrail.ultratrail_coefficients()
    count, possible = len(fit.possible), int(fit.possible.sum())
    lines = ["# UltraTrail preset. Prices and errors written by tools/fit_ultratrail.py.", "", f'technology = "{known.technology}"']
    lines += [_line(name, getattr(known, name)) for name in FIXED]
    errors = (("area_error", fit.area_error, count), ("power_error", fit.power_error, possible))
    lines += [_line(name, Quantity(value=round(value, 4), unit="1", source=LEFT_OUT, rows=rows)) for name, value, rows in errors]
    groups = (
        ("area", ultratrail.AreaPrices, AREA_UNITS, fit.area, SOURCE, count),
        ("power", ultratrail.PowerPrices, POWER_UNITS, fit.power, POWER_SOURCE, possible),
    )
    for group, record, units, found, source, rows in groups:
        lines += ["", f"[{group}]"]
        for field, value in zip(fields(record), found.tolist(), strict=True):
            lines.append(_line(field.name, Quantity(value=float(f"{value:.5g}"), unit=units[field.name], source=source, rows=rows)))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    ultratrail.ultratrail_coefficients.cache_clear()


def _line(name: str, quantity: Quantity) -> str:
    parts = [f"value = {quantity.value!r}", f'unit = "{quantity.unit}"', f'source = "{quantity.source}"']
    parts += [f"rows = {quantity.rows}"] if quantity.rows is not None else []
    parts += [f"error = {quantity.error!r}"] if quantity.error is not None else []
    parts += [f'note = "{quantity.note}"'] if quantity.note else []
    return f"{name} = {{ {', '.join(parts)} }}"


HEADER = """# How far the ultratrail preset is off

Made by `python tools/fit_ultratrail.py {data} --write`; do not edit. The points are those published with HANNAH (Gerum et al.,
DSD 2022; Apache-2.0) for its UltraTrail template: N x N multipliers, 22 nm FDX, 250 kHz, all data on the chip. Area and power
are predictions of points left out of the fit, each by prices fitted to the others. What the prices are of was chosen with all
points in view; cycles have no fitted constant.

* cycles: `1 + ceil(C/N) * ceil(K/N) * M` for each layer, M the (output, tap) pairs that fall on real input, counted exactly.
* area: {area_terms} non-negative prices: {area}.
* power: {power_terms} non-negative prices: {power}; the last two per cycle. `codesign/kpi/ultratrail.py` says what each is of.

The published power is an average over a fixed period, not over the time that the array runs: of points of the same hardware
({pair})
the one with more cycles takes a little more power. With one inference each 100 ms the price of a cycle is an energy.

The lists of layers have no edges. A layer that does not read the result before it is taken for the convolution of a skip
connection, and so is a layer that keeps channels and length; a skip connection needs a third feature memory.
"""


def fit_document(data: str, points: Sequence[PublishedPoint], fit: UltraTrailFit) -> str:
    """``docs/validation-ultratrail.md`` as Markdown; ``data`` names the file of points."""
    names = {"area": ", ".join(AREA_UNITS), "power": ", ".join(POWER_UNITS)}
    parts = [HEADER.format(data=data, area_terms=len(fit.area), power_terms=len(fit.power), pair=_pair(points), **names)]
    parts += ["| point | N | bits | cycles published | predicted | area published, um2 | left out | error | power published, uW | left out | error |"]
    parts += ["|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    reasons = contradictions(points)
    parts += [_row(point, fit.left_out, row, bool(reasons[row])) for row, point in enumerate(points)]
    parts += ["", *_summary(points, fit), "", "## Published figures that are impossible", ""]
    told = [f"* `{point.name}`: {reason}." for point, reason in zip(points, reasons, strict=True) if reason]
    parts += told or ["None."]
    if told:
        parts += [
            "",
            "Their published power goes with these cycles, so it is compared but not fitted; the prediction is for the cycles of the network itself.",
        ]
    return "\n".join(parts) + "\n"


def _pair(points: Sequence[PublishedPoint]) -> str:
    """The first two points of the same hardware and different published cycles."""
    found: dict[tuple[object, ...], PublishedPoint] = {}
    for point in points:
        key = (point.array, point.weight_bits, point.feature_bits, point.measured["area_um2"])
        other = found.setdefault(key, point)
        if other.measured["cycles"] != point.measured["cycles"]:
            return f"`{other.name}` and `{point.name}`"
    return "none in this file"


def _row(point: PublishedPoint, left_out: Prediction, row: int, impossible: bool) -> str:
    area, power = point.measured["area_um2"], point.measured["power_w"]
    cells = [
        f"`{point.name}`",
        str(point.array),
        f"{point.weight_bits}/{point.feature_bits}",
        f"{point.measured['cycles']:,.0f}" + (" **!**" if impossible else ""),
        f"{left_out.cycles[row]:,.0f}",
        f"{area:,.0f}",
        f"{left_out.area_um2[row]:,.0f}",
        f"{left_out.area_um2[row] / area - 1.0:+.1%}",
        f"{power * 1e6:.3f}",
        f"{left_out.power_w[row] * 1e6:.3f}",
        f"{left_out.power_w[row] / power - 1.0:+.1%}",
    ]
    return f"| {' | '.join(cells)} |"


def _summary(points: Sequence[PublishedPoint], fit: UltraTrailFit) -> list[str]:
    lines = ["| points | left out of the fit | number | cycles exact | area, mean error | area, largest | power, mean error | power, largest |"]
    lines += ["|---|---|--:|--:|--:|--:|--:|--:|"]
    every = np.ones(len(points), dtype=np.bool_)
    for group, chosen in (("all", every), ("published cycles possible", fit.possible)):
        cycles, area, power = (np.array([point.measured[figure] for point in points])[chosen] for figure in ("cycles", "area_um2", "power_w"))
        for left_out, predicted in (("the point", fit.left_out), ("all points of its array", fit.other_arrays)):
            area_error, power_error = np.abs(predicted.area_um2[chosen] / area - 1.0), np.abs(predicted.power_w[chosen] / power - 1.0)
            shares = (area_error.mean(), area_error.max(), power_error.mean(), power_error.max())
            exact = int((predicted.cycles[chosen] == cycles).sum())
            lines.append(f"| {group} | {left_out} | {chosen.sum()} | {exact} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    return lines
