"""What the figures of a report share: layout, axes with units, ticks, escaped text.

Colours written ``var(--name)`` are names of the style sheet: the page fills them in, so figures follow a light or a
dark scheme. Text from the study is escaped: plotly reads a subset of HTML in texts.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codesign.estimate import Estimate
from codesign.report.document import EvaluatedDesign
from codesign.report.formatting import SHARES, Scale, kpi_scale, kpi_title, significant
from codesign.report.picks import FASTEST, KNEE, LOWEST_ENERGY, MOST_ACCURATE

ROLE_COLOURS = {
    MOST_ACCURATE: "var(--most-accurate)",
    FASTEST: "var(--fastest)",
    LOWEST_ENERGY: "var(--lowest-energy)",
    KNEE: "var(--knee)",
}
SEQUENTIAL = ((0.0, "#23346b"), (0.25, "#3f6a9c"), (0.5, "#5fa3a6"), (0.75, "#b9cf8f"), (1.0, "#fde69a"))
"""Dark to light, told apart with every kind of colour vision; the lightness is monotone."""
GREY, INK, GRID, CARD, ACCENT = "var(--muted)", "var(--ink)", "var(--grid)", "var(--card)", "var(--accent)"


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        key: element id.
        title, caption: what it shows, how to read it.
        label: what it shows for somebody who cannot see it.
        data, layout: plotly traces and layout.
        height: pixels.
        min_width: pixels below which it scrolls in its own frame; 0: it shrinks with the page.
    """

    key: str
    title: str
    caption: str
    label: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int
    min_width: int = 0


def base_layout(**more: Any) -> dict[str, Any]:
    """Layout shared by all figures."""
    return {
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif", "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 64, "r": 24, "t": 24, "b": 56},
        "hoverlabel": {"align": "left", "bgcolor": CARD, "bordercolor": GREY, "font": {"color": INK, "size": 13}},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        "hovermode": "closest",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": ACCENT},
        **more,
    }


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with its title, which names the unit."""
    return {
        "title": {"text": plain(title), "standoff": 12},
        "automargin": True,
        "gridcolor": GRID,
        "linecolor": GREY,
        "showline": True,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": GREY,
        **more,
    }


def kpi_axis(name: str, scale: Scale, values: Sequence[float], **more: Any) -> dict[str, Any]:
    """Axis of a KPI with its unit; logarithmic for costs."""
    title = f"{kpi_title(name)} ({scale.unit})" if scale.unit else kpi_title(name)
    shown = [value * scale.factor for value in values]
    if name in SHARES or not shown or min(shown) <= 0:
        return axis(title, **more)
    low, high = math.log10(min(shown)), math.log10(max(shown))
    pad = max(0.06 * (high - low), 0.03)
    return axis(title, type="log", range=[low - pad, high + pad], **log_ticks(10 ** (low - pad), 10 ** (high + pad)), **more)


def log_ticks(low: float, high: float) -> dict[str, Any]:
    """Ticks at 1, 2, 5 of each decade, or at the decades alone where there are more than three."""
    digits = (1, 2, 5) if high / low < 1e3 else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in digits if low <= digit * 10.0**decade <= high]
    if len(ticks) < 2:
        return {"nticks": 5, "tickformat": ",.3~g"}
    return {"tickmode": "array", "tickvals": ticks, "ticktext": [significant(tick, 1) for tick in ticks]}


def plain(text: str) -> str:
    """Text that plotly shows as it is."""
    return html.escape(text, quote=False)


def hover_text(design: EvaluatedDesign, test: Estimate | None = None, heading: str = "") -> str:
    """Id and main figures of a design, a line each."""
    lines = [f"<b>{plain(design.id)}</b>{plain(heading)}", plain(f"{design.blueprint} on {design.template}, evaluation {design.order}")]
    figures_by_name = dict(design.kpis) if test is None else {**design.kpis, "accuracy_test": test}
    for name in ("accuracy", "accuracy_test", "latency_us", "energy_uj", "power_w", "lut", "dsp", "bram18"):
        figure = figures_by_name.get(name)
        if figure is not None:
            scale = kpi_scale(name, [figure.value], figure.unit)
            interval = scale.interval(figure)
            lines.append(plain(f"{kpi_title(name)} {scale.text(figure.value)}{f' ({interval})' if interval else ''}, {figure.evidence.value}"))
    return "<br>".join(lines)
