"""The figures of a report as plotly specifications: plain JSON types that `codesign.report.html` draws with plotly.js."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from codesign.accelerator.device import RESOURCES
from codesign.estimate import Estimate
from codesign.report.document import CalibrationRecord, EvaluatedDesign, ReportDocument
from codesign.report.formatting import SHARES, Scale, count, inside, kpi_scale, kpi_short, kpi_title, scale_for, significant
from codesign.report.parallel import parallel_coordinates
from codesign.report.picks import roles_of
from codesign.report.plot import ACCENT, GREY, INK, ROLE_COLOURS, SEQUENTIAL, Figure, axis, base_layout, hover_text, kpi_axis, log_ticks, plain
from codesign.report.tables import anchor_of
from codesign.report.verdict import utilisation


def figures(document: ReportDocument) -> tuple[Figure, ...]:
    """All figures that the document has data for."""
    drawn = (front_scatter(document), parallel_coordinates(document), utilisation_bars(document), hypervolume_curve(document))
    return (*(figure for figure in drawn if figure is not None), *calibration_figures(document))


def _scatter_axes(document: ReportDocument) -> tuple[str, str, str | None] | None:
    """KPI names for x, y and colour; None when there are not two objectives with figures."""

    def known(name: str) -> bool:
        return bool(document.succeeded) and all(name in design.kpis for design in document.succeeded)

    gains = [item.name for item in document.study.objectives if item.maximise and known(item.name)]
    costs = [item.name for item in document.study.objectives if not item.maximise and known(item.name)]
    if not gains or not costs:
        return None
    costs.sort(key=lambda name: name != "latency_us")
    colour = next((name for name in (*costs[1:], "energy_uj") if name != costs[0] and known(name)), None)
    return costs[0], gains[0], colour


def front_scatter(document: ReportDocument) -> Figure | None:
    """Accuracy against latency, energy as colour; all evaluated designs in grey."""
    axes = _scatter_axes(document)
    if axes is None:
        return None
    x, y, colour = axes
    succeeded, front = document.succeeded, document.front
    scales = {name: kpi_scale(name, _values(succeeded, name), succeeded[0].kpis[name].unit) for name in (x, y)}
    others = [design for design in succeeded if design.id not in document.front_ids]
    data = [_points(others, scales, x, y, name="Evaluated", marker={"color": GREY, "size": 7, "opacity": 0.45}, hover=[hover_text(item) for item in others])]
    if front:
        data += [_staircase([item.design for item in front], scales, x, y), *_rings(document, scales, x, y), _front_points(document, scales, x, y, colour)]
    layout = base_layout(
        xaxis=kpi_axis(x, scales[x], _values(succeeded, x)),
        yaxis=kpi_axis(y, scales[y], _values(succeeded, y)),
    )
    coloured = f" Colour: {inside(kpi_title(colour))}." if colour else ""
    third = f" Points below it are on the front for their {inside(kpi_title(colour))} or another objective." if colour else ""
    return Figure(
        key="figure-front",
        title=f"{kpi_title(y)} against {inside(kpi_title(x))}",
        caption=f"Large points are the front, small grey ones the other evaluated designs; bars are 95 % intervals.{coloured} "
        f"The line joins the best {inside(kpi_title(y))} reached within each {inside(kpi_title(x))}.{third} Select a point to see the design.",
        label=f"Scatter plot of {len(succeeded)} evaluated designs, {len(front)} on the front: {inside(kpi_title(y))} against {inside(kpi_title(x))}. "
        "The front table holds the same figures.",
        data=data,
        layout=layout,
        height=520,
    )


def _values(designs: Sequence[EvaluatedDesign], name: str) -> list[float]:
    return [design.kpis[name].value for design in designs]


def _points(
    designs: Sequence[EvaluatedDesign], scales: Mapping[str, Scale], x: str, y: str, *, name: str, marker: dict[str, Any], hover: Sequence[str], **more: Any
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [value * scales[x].factor for value in _values(designs, x)],
        "y": [value * scales[y].factor for value in _values(designs, y)],
        "marker": marker,
        "customdata": [[text, ""] for text in hover],
        "hovertemplate": "%{customdata[0]}<extra></extra>",
        **more,
    }


def _front_points(document: ReportDocument, scales: Mapping[str, Scale], x: str, y: str, colour: str | None) -> dict[str, Any]:
    designs = [item.design for item in document.front]
    hover = [hover_text(item.design, item.accuracy_test, heading=", front") for item in document.front]
    marker: dict[str, Any] = {"size": 12, "line": {"color": INK, "width": 1}, "color": ACCENT}
    if colour:
        marker |= _colour_bar(colour, _values(designs, colour), designs[0].kpis[colour].unit)
    trace = _points(designs, scales, x, y, name="Front", marker=marker, hover=hover, legendrank=1)
    trace["customdata"] = [[text, anchor_of(document, item.id)] for text, item in zip(hover, document.front, strict=True)]
    for key, name in (("error_x", x), ("error_y", y)):
        trace[key] = _error_bars([design.kpis[name] for design in designs], scales[name])
    return trace


def _error_bars(estimates: Sequence[Estimate], scale: Scale) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [(item.high - item.value) * scale.factor for item in estimates],
        "arrayminus": [(item.value - item.low) * scale.factor for item in estimates],
        "color": GREY,
        "thickness": 1,
        "width": 0,
    }


def _colour_bar(name: str, values: Sequence[float], unit: str) -> dict[str, Any]:
    """Marker colours on a logarithmic scale where all values are positive."""
    scale = kpi_scale(name, values, unit)
    shown = [value * scale.factor for value in values]
    title = f"{kpi_short(name)} ({scale.unit})" if scale.unit else kpi_short(name)
    bar: dict[str, Any] = {"title": {"text": plain(title), "side": "right"}, "thickness": 12, "outlinewidth": 0, "len": 0.9}
    colours = shown
    if min(shown) > 0 and name not in SHARES:
        colours = [math.log10(value) for value in shown]
        ticks = log_ticks(min(shown), max(shown))
        if "tickvals" in ticks:
            bar |= {"tickmode": "array", "tickvals": [math.log10(tick) for tick in ticks["tickvals"]], "ticktext": ticks["ticktext"]}
        else:
            ends = sorted({min(shown), max(shown)})
            bar |= {"tickmode": "array", "tickvals": [math.log10(end) for end in ends], "ticktext": [significant(end) for end in ends]}
    return {"color": colours, "colorscale": [list(stop) for stop in SEQUENTIAL], "colorbar": bar, "showscale": True}


def _staircase(designs: Sequence[EvaluatedDesign], scales: Mapping[str, Scale], x: str, y: str) -> dict[str, Any]:
    """Best y at each x: the front seen in these two objectives."""
    steps: list[tuple[float, float]] = []
    for design in sorted(designs, key=lambda item: (item.kpis[x].value, -item.kpis[y].value)):
        point = (design.kpis[x].value * scales[x].factor, design.kpis[y].value * scales[y].factor)
        if not steps or point[1] > steps[-1][1]:
            steps.append(point)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "Front line",
        "showlegend": False,
        "hoverinfo": "skip",
        "x": [step[0] for step in steps],
        "y": [step[1] for step in steps],
        "line": {"shape": "hv", "color": ACCENT, "width": 1.5},
    }


def _rings(document: ReportDocument, scales: Mapping[str, Scale], x: str, y: str) -> list[dict[str, Any]]:
    """A ring around each picked design."""
    by_id = {item.id: item.design for item in document.front}
    rings = []
    for design, roles in roles_of(document).items():
        marker = {"size": 20, "symbol": "circle-open", "line": {"width": 3}, "color": ROLE_COLOURS[roles[0]]}
        ring = _points([by_id[design]], scales, x, y, name=", ".join(roles).capitalize(), marker=marker, hover=[""], legendrank=2000)
        rings.append({**ring, "hoverinfo": "skip", "hovertemplate": None})
    return rings


def utilisation_bars(document: ReportDocument) -> Figure | None:
    """Share of each device resource that the picked designs use."""
    roles = roles_of(document)
    by_id = {item.id: item.design for item in document.front}
    shares = {design: utilisation(document, by_id[design]) for design in roles}
    resources = [name for name in RESOURCES if any(name in share for share in shares.values())]
    if not resources:
        return None
    data = [_bars(by_id[design], shares[design], resources, held) for design, held in roles.items()]
    largest = 100.0 * max(max(share.values(), default=0.0) for share in shares.values())
    capacities = [f"{kpi_short(name)}<br>of {count(document.device.capacities[name])}" for name in resources]
    layout = base_layout(
        barmode="group",
        bargap=0.28,
        bargroupgap=0.08,
        xaxis=axis(f"Share of the {document.device.title} (%)", range=[0, max(112.0, 1.12 * largest)], tickvals=[0, 20, 40, 60, 80, 100]),
        yaxis=axis("Resource", autorange="reversed", tickvals=list(resources), ticktext=capacities, ticks="", showgrid=False),
        shapes=[_vertical(100.0)],
    )
    return Figure(
        key="figure-utilisation",
        title="Use of the device",
        caption="Bars: predicted share of each resource by the picked designs, with the amount; the line at 100 % is the device.",
        label=f"Bar chart of the device shares of {', '.join(kpi_short(name) for name in resources)} that {len(roles)} picked designs use. "
        "The front table holds the amounts.",
        data=data,
        layout=layout,
        height=110 + len(resources) * (26 + 19 * len(roles)),
    )


def _bars(design: EvaluatedDesign, shares: Mapping[str, float], resources: Sequence[str], roles: Sequence[str]) -> dict[str, Any]:
    present = [name for name in resources if name in shares]
    return {
        "type": "bar",
        "orientation": "h",
        "name": plain(f"{', '.join(roles).capitalize()} ({design.id})"),
        "y": present,
        "x": [100.0 * shares[name] for name in present],
        "text": [f"{significant(100.0 * shares[name], 2)} % ({scale_for([], design.kpis[name].unit).text(design.kpis[name].value)})" for name in present],
        "textposition": "outside",
        "cliponaxis": False,
        "textfont": {"size": 11, "color": INK},
        "marker": {"color": ROLE_COLOURS[roles[0]]},
        "customdata": [[hover_text(design), ""] for _ in present],
        "hovertemplate": "%{customdata[0]}<extra></extra>",
    }


def _vertical(x: float) -> dict[str, Any]:
    return {"type": "line", "xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1, "line": {"color": INK, "width": 1, "dash": "dot"}}


def hypervolume_curve(document: ReportDocument) -> Figure | None:
    """Hypervolume of the front so far over the evaluations."""
    curve = document.hypervolume
    if curve is None or not curve.values:
        return None
    evaluations = list(range(1, len(curve.values) + 1))
    trace = {
        "type": "scatter",
        "mode": "lines",
        "name": "Hypervolume",
        "x": evaluations,
        "y": list(curve.values),
        "line": {"shape": "hv", "color": ACCENT, "width": 2.5},
        "hovertemplate": "after %{x} evaluations: %{y:.4f}<extra></extra>",
    }
    unit = "share of the ideal" if curve.normalised else "product of the objectives' units"
    layout = base_layout(xaxis=axis("Evaluations (count)", rangemode="tozero"), yaxis=axis(f"Hypervolume ({unit})", rangemode="tozero"), showlegend=False)
    start = document.study.initial
    if 0 < start < len(curve.values):
        layout["shapes"] = [_vertical(start + 0.5)]
        layout["annotations"] = [
            {"x": start + 0.5, "y": 0, "xref": "x", "yref": "paper", "xanchor": "left", "yanchor": "bottom", "showarrow": False}
            | {"text": f" {plain(document.study.strategy)} proposes from here", "font": {"size": 12, "color": GREY}}
        ]
    return Figure(
        key="figure-hypervolume",
        title="Progress of the search",
        caption=f"Volume of the objective space that the front so far dominates; larger is better. Reference point: {curve.reference}.",
        label=f"Line chart of the hypervolume over {len(curve.values)} evaluations, from {curve.values[0]:.3f} to {curve.values[-1]:.3f}.",
        data=[trace],
        layout=layout,
        height=340,
    )


def calibration_figures(document: ReportDocument) -> tuple[Figure, ...]:
    """Predicted against measured, a figure for each objective."""
    return tuple(_calibration(record, number) for number, record in enumerate(document.calibration, 1) if record.points)


def _calibration(record: CalibrationRecord, number: int) -> Figure:
    points = record.points
    scale = kpi_scale(record.kpi, [point.measured for point in points], record.unit)
    everything = [value for point in points for value in (point.low, point.high, point.measured) if value > 0 or record.kpi in SHARES]
    low, high = min(everything) * scale.factor, max(everything) * scale.factor
    inside_interval = [point.low <= point.measured <= point.high for point in points]
    data: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "name": "Predicted = measured", "x": [low, high], "y": [low, high], "hoverinfo": "skip"}
        | {"line": {"color": INK, "width": 1, "dash": "dot"}}
    ]
    for held, name, colour, symbol in ((True, "Inside the interval", ACCENT, "circle"), (False, "Outside", "var(--bad)", "x")):
        chosen = [point for point, is_inside in zip(points, inside_interval, strict=True) if is_inside is held]
        data.append(_predictions(chosen, scale, name, colour, symbol))
    title, unit = kpi_title(record.kpi), f" ({scale.unit})" if scale.unit else ""
    kind = {"type": "log"} | log_ticks(low, high) if record.kpi not in SHARES and low > 0 else {}
    layout = base_layout(xaxis=axis(f"Measured{unit}", **kind), yaxis=axis(f"Predicted{unit}", **kind))
    return Figure(
        key=f"figure-calibration-{number}",
        title=title,
        caption=f"Predictions with their {100.0 * record.nominal:.0f} % intervals; {record.method}.",
        label=f"Scatter plot of {len(points)} predictions of {inside(title)} against the measured values; {sum(inside_interval)} lie inside their interval.",
        data=data,
        layout=layout,
        height=380,
    )


def _predictions(points: Sequence[Any], scale: Scale, name: str, colour: str, symbol: str) -> dict[str, Any]:
    factor = scale.factor
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [point.measured * factor for point in points],
        "y": [point.predicted * factor for point in points],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [(point.high - point.predicted) * factor for point in points],
            "arrayminus": [(point.predicted - point.low) * factor for point in points],
            "color": colour,
            "thickness": 1,
            "width": 0,
        },
        "marker": {"color": colour, "size": 8, "symbol": symbol},
        "customdata": [
            [
                f"<b>{plain(point.id)}</b><br>predicted {scale.text(point.predicted)} ({scale.number(point.low)} to {scale.number(point.high)})"
                f"<br>measured {scale.text(point.measured)}",
                "",
            ]
            for point in points
        ],
        "hovertemplate": "%{customdata[0]}<extra></extra>",
    }
