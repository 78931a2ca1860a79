"""The figures of an estimate's page: latency against resources over the reuse factors."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from codesign.kpi.streaming.estimates import COUNTED, Advice, ModelEstimate, SweepPoint
from codesign.kpi.streaming.estimation import SWEEP_BEYOND
from codesign.report.formatting import THIN, Scale, count, kpi_short, names, plural, scale_for, significant
from codesign.report.plot import ACCENT, CARD, GREY, INK, Figure, axis, base_layout, kpi_axis, log_ticks, plain

RESOURCE_LINES = {
    "lut": ("var(--most-accurate)", "solid", "circle"),
    "ff": ("var(--fastest)", "dash", "square"),
    "dsp": ("var(--lowest-energy)", "dot", "diamond"),
    "bram18": ("var(--knee)", "dashdot", "triangle-up"),
}
"""Colour, dash and marker of each resource: told apart without colours too."""
LEAST_SHARE, MOST_SHARE = 0.1, 1e6
"""Shares in per cent that an axis shows."""
NAME_LENGTH = 28
CELL_LENGTH = 80
"""Characters of a layer's name in running text and figures, and in tables."""
HOVER_NAMES, HOVER_LINES, HOVER_WIDTH = 6, 12, 64


def brief(text: str, length: int = NAME_LENGTH) -> str:
    """``text``, cut where it is longer than ``length`` characters."""
    return text if len(text) <= length else f"{text[: length - 1]}\N{HORIZONTAL ELLIPSIS}"


def share_text(share: float) -> str:
    """A share of what may be used in per cent."""
    percent = 100.0 * share
    if percent > MOST_SHARE:
        return f"over {count(MOST_SHARE)}{THIN}%"
    if 0.0 < percent < LEAST_SHARE:
        return f"under {LEAST_SHARE:g}{THIN}%"
    return f"{share_number(share)}{THIN}%"


def share_number(share: float) -> str:
    """A share in per cent without the sign, in two or three digits; 100 only where it is all, or more."""
    percent = 100.0 * share
    if 99.0 <= percent < 101.0 and percent != 100.0:
        return f"{min(percent, 99.9) if percent < 100.0 else max(percent, 100.1):.1f}"
    return significant(percent, 3 if percent >= 100.0 else 2)


def as_point(estimate: ModelEstimate) -> SweepPoint:
    """A model built in one way as a point of a sweep."""
    return SweepPoint(False, estimate.reuse, estimate.kpis["latency_us"].value, estimate.utilisation)


def best_settings(sweep: Sequence[SweepPoint], advice: Advice | None) -> tuple[SweepPoint, ...]:
    """Best settings of a sweep that no other of them beats in latency and in the share of the fullest resource, fastest first.

    Of several with the advised latency only the advised one is kept.
    """
    found = [point for point in sweep if not point.uniform]
    if advice is not None:
        advised = as_point(advice.estimate)
        found = [advised, *(point for point in found if not math.isclose(point.latency_us, advised.latency_us, rel_tol=1e-9))]
    kept: list[SweepPoint] = []
    for point in sorted(found, key=lambda each: (each.latency_us, each.largest)):
        if not kept or point.largest < kept[-1].largest:
            kept.append(point)
    return tuple(kept)


def latency_scale(sweep: Sequence[SweepPoint], estimate: ModelEstimate) -> Scale:
    """One unit for all latencies of the page."""
    return scale_for([point.latency_us for point in (*sweep, as_point(estimate))], "us")


def trade_off(estimate: ModelEstimate, advice: Advice | None, sweep: Sequence[SweepPoint]) -> Figure:
    """Latency against the share of the fullest resource."""
    scale, best, given = latency_scale(sweep, estimate), best_settings(sweep, advice), as_point(estimate)
    uniform = sorted((point for point in sweep if point.uniform), key=lambda point: point.latency_us)
    drawn = [*uniform, *best, given]
    data = []
    if uniform:
        data.append(_points(uniform, scale, "One reuse factor for all layers", {"color": GREY, "size": 8, "opacity": 0.6}))
    if best:
        line = {"mode": "lines+markers", "line": {"color": ACCENT, "width": 1.5}}
        data.append(_points(best, scale, "Best settings", {"color": ACCENT, "size": 9, "line": {"color": CARD, "width": 1}}) | line)
    data += _marks(given, advice, scale)
    shares = [_percent(point.largest) for point in drawn]
    layout = base_layout(
        xaxis=kpi_axis("latency_us", scale, [point.latency_us for point in drawn]),
        yaxis=_share_axis("Share of the fullest resource (%)", shares),
        shapes=[_beyond()],
    )
    data.append(_full(layout["xaxis"], drawn, scale))
    return Figure(
        key="figure-trade-off",
        title="Latency against resources",
        caption="The line joins the best settings found: none of them beats another in both latency and the share of the fullest resource. "
        f"Faster ones that take more than {SWEEP_BEYOND:g} times what may be used, or than the smallest setting, are not sought. "
        f"{'Grey: one reuse factor asked of all layers. ' if uniform else ''}Tinted: beyond what may be used. Point at a setting for its reuse factors.",
        label=f"Scatter plot of {plural(len(best), 'best setting')} and {plural(len(uniform), 'uniform one')}: latency against the "
        "share of the fullest resource. The table of best settings holds the same figures.",
        data=data,
        layout=layout,
        height=500,
    )


def _marks(given: SweepPoint, advice: Advice | None, scale: Scale) -> list[dict[str, Any]]:
    """The model as given and the advised setting."""
    advised = None if advice is None else as_point(advice.estimate)
    same = advised is not None and advised.reuse == given.reuse
    marker = {"size": 15, "symbol": "diamond-open", "color": "var(--fastest)", "line": {"width": 3}}
    marks = [_points([given], scale, "As given, also advised" if same else "As given", marker)]
    if advice is not None and advised is not None and not same:
        marker = {"size": 19, "symbol": "circle-open", "color": "var(--lowest-energy)", "line": {"width": 3}}
        marks.append(_points([advised], scale, "Advised" if advice.fits else "Closest to fitting", marker))
    return marks


def resource_lines(estimate: ModelEstimate, advice: Advice | None, sweep: Sequence[SweepPoint]) -> Figure | None:
    """Share of each resource along the best settings; None without any."""
    scale, best = latency_scale(sweep, estimate), best_settings(sweep, advice)
    if not best:
        return None
    used = [name for name in COUNTED if any(_percent(point.utilisation[name]) >= LEAST_SHARE for point in best)]
    unused = [kpi_short(name) for name in COUNTED if name not in used]
    data = [_resource_line(name, best, scale) for name in used]
    shares = [_percent(point.utilisation[name]) for point in best for name in used]
    layout = base_layout(
        xaxis=kpi_axis("latency_us", scale, [point.latency_us for point in best]),
        yaxis=_share_axis("Share of what may be used (%)", shares),
        shapes=[_beyond()],
    )
    data.append(_full(layout["xaxis"], best, scale))
    if advice is not None:
        latency = advice.estimate.kpis["latency_us"].value * scale.factor
        upright = {"type": "line", "xref": "x", "yref": "paper", "x0": latency, "x1": latency, "y0": 0, "y1": 1}
        layout["shapes"].append({**upright, "line": {"color": GREY, "width": 1, "dash": "dot"}})
    marked = "" if advice is None else f" The upright line is the {'advised setting' if advice.fits else 'setting that comes closest'}."
    return Figure(
        key="figure-resources",
        title="Resources along the best settings",
        caption=f"Share of what may be used of each resource.{marked}" + (f" No setting uses {LEAST_SHARE:g} % of {names(unused)}." if unused else ""),
        label=f"Line chart of the shares of {names(kpi_short(name) for name in used) or 'no resource'} against latency along "
        f"{plural(len(best), 'best setting')}. The table of best settings holds the same figures.",
        data=data,
        layout=layout,
        height=420,
    )


def _resource_line(name: str, best: Sequence[SweepPoint], scale: Scale) -> dict[str, Any]:
    colour, dash, symbol = RESOURCE_LINES[name]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": kpi_short(name),
        "x": [point.latency_us * scale.factor for point in best],
        "y": [_percent(point.utilisation[name]) or None for point in best],
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"color": colour, "size": 8, "symbol": symbol},
        "customdata": [[f"{kpi_short(name)} {share_text(point.utilisation[name])}<br>latency {scale.text(point.latency_us)}", ""] for point in best],
        "hovertemplate": "%{customdata[0]}<extra></extra>",
    }


def _points(points: Sequence[SweepPoint], scale: Scale, name: str, marker: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [point.latency_us * scale.factor for point in points],
        "y": [_percent(point.largest) for point in points],
        "marker": marker,
        "customdata": [[_hover(point, scale, name), ""] for point in points],
        "hovertemplate": "%{customdata[0]}<extra></extra>",
    }


def _hover(point: SweepPoint, scale: Scale, heading: str) -> str:
    """Latency, shares and reuse factors, a line each."""
    shares = [f"{kpi_short(name)} {share_text(point.utilisation[name])}" for name in COUNTED]
    lines = [f"latency {scale.text(point.latency_us)}", *shares, *factor_lines(point.reuse)]
    return "<br>".join([f"<b>{plain(heading)}</b>", *(plain(line) for line in lines)])


def factor_lines(reuse: Mapping[str, int]) -> list[str]:
    """Reuse factors in a few short lines: layers of one factor together."""
    groups: dict[int, list[str]] = {}
    for layer, factor in reuse.items():
        groups.setdefault(factor, []).append(brief(layer))
    if len(groups) == 1 and len(reuse) > 1:
        return [f"reuse factor {count(next(iter(groups)))} for all layers"]
    lines = []
    for factor in sorted(groups):
        held = groups[factor]
        more = f" and {len(held) - HOVER_NAMES} more" if len(held) > HOVER_NAMES else ""
        lines += textwrap.wrap(f"reuse factor {count(factor)}: {', '.join(held[:HOVER_NAMES])}{more}", HOVER_WIDTH, subsequent_indent="   ")
    return lines if len(lines) <= HOVER_LINES else [*lines[: HOVER_LINES - 1], "and others: see the tables"]


def _percent(share: float) -> float:
    return min(100.0 * share, MOST_SHARE)


def _share_axis(title: str, percents: Sequence[float]) -> dict[str, Any]:
    """Logarithmic, with 100 % always on it."""
    shown = [max(percent, LEAST_SHARE) for percent in (*percents, 100.0) if percent > 0.0]
    low, high = math.log10(min(shown)), math.log10(max(shown))
    pad = max(0.06 * (high - low), 0.08)
    return axis(title, type="log", range=[low - pad, high + pad], **log_ticks(10 ** (low - pad), 10 ** (high + pad)))


def _beyond() -> dict[str, Any]:
    """A tint over shares beyond 100 %."""
    place = {"xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": 100.0, "y1": 1e3 * MOST_SHARE, "layer": "below"}
    return {"type": "rect", **place, "fillcolor": "var(--bad)", "opacity": 0.07, "line": {"width": 0}}


def _full(x: Mapping[str, Any], points: Sequence[SweepPoint], scale: Scale) -> dict[str, Any]:
    """The line at 100 % across the axis ``x``, named in the legend."""
    ends = [10**end for end in x["range"]] if "range" in x else [extreme(point.latency_us * scale.factor for point in points) for extreme in (min, max)]
    line = {"color": INK, "width": 1.5, "dash": "dot"}
    return {"type": "scatter", "mode": "lines", "name": f"100{THIN}%: all that may be used", "x": ends, "y": [100.0, 100.0], "line": line, "hoverinfo": "skip"}
