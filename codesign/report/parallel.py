"""Parallel coordinates of a front: objectives and main parameters, a line for each design.

Drawn with plain lines: plotly's own trace needs WebGL, which neither prints well nor runs under the report's content
security policy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codesign.report.document import EvaluatedDesign, ReportDocument
from codesign.report.formatting import SHARES, kpi_scale, kpi_title, significant
from codesign.report.picks import roles_of
from codesign.report.plot import ACCENT, CARD, GREY, INK, ROLE_COLOURS, Figure, base_layout, hover_text, plain
from codesign.report.tables import anchor_of
from codesign.space.parameters import Value

MOST_PARAMETERS = 6
EVENLY_SPACED = 8
"""A parameter with at most so many values has them at even distances, each with its tick."""
ABSENT = -0.16
"""Height of the values of parameters that a design does not have."""


TITLE_BASE = 1.05
"""Height of the lowest line of the axis titles; the axes end at 1."""
TITLE_LINE = 0.055
"""Room for one line of a title: 16 pixels at the figure's height."""


@dataclass(frozen=True)
class Coordinate:
    """One vertical axis.

    Attributes:
        heights: of each design, 0 (bottom) to 1 (top), or `ABSENT`.
        texts: value of each design with its unit.
        ticks: (height, label) pairs.
    """

    title: str
    heights: tuple[float, ...]
    texts: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]


def parallel_coordinates(document: ReportDocument) -> Figure | None:
    """All evaluated designs as lines, the front coloured, the picks strong; None with fewer than two designs or axes."""
    designs = document.succeeded
    if len(designs) < 2:
        return None
    coordinates = _objectives(document, designs) + _parameters(document, designs)
    if len(coordinates) < 2:
        return None
    roles = roles_of(document)
    others = [number for number, design in enumerate(designs) if design.id not in document.front_ids]
    plain_front = [number for number, design in enumerate(designs) if design.id in document.front_ids and design.id not in roles]
    data = [_bundle(coordinates, others, "Evaluated", GREY, 0.22), *_front_lines(document, coordinates, plain_front)]
    for design, held in roles.items():
        number = [item.id for item in designs].index(design)
        line = {"color": ROLE_COLOURS[held[0]], "width": 3}
        data.append(_line(document, coordinates, number, name=", ".join(held).capitalize(), line=line, showlegend=True, opacity=1.0))
    return Figure(
        key="figure-parallel",
        title="Objectives and parameters side by side",
        caption="Each line is a design; on the axes of objectives up is better. The front is coloured, the other evaluated designs are grey. "
        "Parameters that a design does not have are at “not used”.",
        label=f"Parallel coordinates of {len(designs)} designs over {', '.join(coordinate.title for coordinate in coordinates)}.",
        data=data,
        layout=_layout(coordinates),
        height=430 + 18 * title_lines(coordinates),
        min_width=110 * len(coordinates),
    )


def _layout(coordinates: Sequence[Coordinate]) -> dict[str, Any]:
    hidden = {"showgrid": False, "zeroline": False, "showticklabels": False, "showline": False, "fixedrange": True}
    has_absent = any(ABSENT in coordinate.heights for coordinate in coordinates)
    annotations = []
    for x, coordinate in enumerate(coordinates):
        title = {"x": x, "y": TITLE_BASE, "xanchor": "center", "yanchor": "bottom", "showarrow": False, "text": _wrapped(coordinate.title)}
        annotations.append({**title, "font": {"size": 12, "color": INK}})
        for height, label in coordinate.ticks:
            tick = {"x": x, "y": height, "xanchor": "left", "xshift": 5, "showarrow": False, "text": plain(label)}
            annotations.append({**tick, "font": {"size": 11, "color": INK}, "bgcolor": CARD, "opacity": 0.85, "borderpad": 1})
    shape = {"type": "line", "y0": 0, "y1": 1, "line": {"color": INK, "width": 1}}
    return base_layout(
        xaxis={**hidden, "range": [-0.45, len(coordinates) - 0.35]},
        yaxis={**hidden, "range": [ABSENT - 0.06 if has_absent else -0.06, TITLE_BASE + TITLE_LINE * title_lines(coordinates)]},
        annotations=annotations,
        shapes=[{**shape, "x0": x, "x1": x} for x in range(len(coordinates))],
        margin={"l": 16, "r": 16, "t": 24, "b": 16},
    )


def title_lines(coordinates: Sequence[Coordinate]) -> int:
    """Lines of the longest axis title: the legend stays above them."""
    return max(_wrapped(coordinate.title).count("<br>") + 1 for coordinate in coordinates)


def _wrapped(title: str) -> str:
    """A title in short lines, broken at separators and before units."""
    words = [word for word in re.split(r"(?<=[._ ])", title) if word]
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word.rstrip()) > 13:
            lines.append("")
        lines[-1] += word
    return "<br>".join(plain(line.strip()) for line in lines)


def _bundle(coordinates: Sequence[Coordinate], numbers: Sequence[int], name: str, colour: str, opacity: float) -> dict[str, Any]:
    """Many designs as one trace, with gaps between the lines."""
    x: list[int | None] = []
    y: list[float | None] = []
    for number in numbers:
        x += [*range(len(coordinates)), None]
        y += [*(coordinate.heights[number] for coordinate in coordinates), None]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": y,
        "line": {"color": colour, "width": 1},
        "opacity": opacity,
        "hoverinfo": "skip",
    }


def _front_lines(document: ReportDocument, coordinates: Sequence[Coordinate], numbers: Sequence[int]) -> list[dict[str, Any]]:
    line = {"color": ACCENT, "width": 1.5}
    return [_line(document, coordinates, number, name="Front", line=line, showlegend=first == 0, opacity=0.5) for first, number in enumerate(numbers)]


def _line(document: ReportDocument, coordinates: Sequence[Coordinate], number: int, **more: Any) -> dict[str, Any]:
    design = document.succeeded[number]
    anchor = anchor_of(document, design.id)
    text = hover_text(design)
    hover = [f"{text}<br>{plain(coordinate.title)}: {plain(coordinate.texts[number])}" for coordinate in coordinates]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": list(range(len(coordinates))),
        "y": [coordinate.heights[number] for coordinate in coordinates],
        "marker": {"size": 5, "color": more["line"]["color"]},
        "customdata": [[item, anchor] for item in hover],
        "hovertemplate": "%{customdata[0]}<extra></extra>",
        **more,
    }


def _objectives(document: ReportDocument, designs: Sequence[EvaluatedDesign]) -> list[Coordinate]:
    kept = [item for item in document.study.objectives if all(item.name in design.kpis for design in designs)]
    return [_objective(item.name, item.maximise, designs) for item in kept]


def _objective(name: str, maximise: bool, designs: Sequence[EvaluatedDesign]) -> Coordinate:
    values = [design.kpis[name].value for design in designs]
    scale = kpi_scale(name, values, designs[0].kpis[name].unit)
    logarithmic = name not in SHARES and min(values) > 0
    shown = [math.log(value) for value in values] if logarithmic else values
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0
    heights = tuple((value - low) / span if maximise else (high - value) / span for value in shown)
    levels = (0.0, 0.25, 0.5, 0.75, 1.0) if high > low else (heights[0],)
    ticks = []
    for level in levels:
        at = low + span * (level if maximise else 1.0 - level) if high > low else low
        ticks.append((level, scale.number(math.exp(at) if logarithmic else at)))
    title = f"{kpi_title(name)} ({scale.unit})" if scale.unit else kpi_title(name)
    return Coordinate(title, heights, tuple(scale.text(value) for value in values), tuple(ticks))


def _parameters(document: ReportDocument, designs: Sequence[EvaluatedDesign]) -> list[Coordinate]:
    chosen = document.study.main_parameters or _varying(document, designs)
    columns: list[tuple[str, list[Value | None]]] = [(name, [design.values.get(name) for design in designs]) for name in chosen]
    choices: list[tuple[str, list[Value | None]]] = [
        ("network", [design.blueprint for design in designs]),
        ("template", [design.template for design in designs]),
    ]
    columns = [column for column in choices if len(set(column[1])) > 1] + columns
    return [_parameter(name, values) for name, values in columns if any(value is not None for value in values)]


def _varying(document: ReportDocument, designs: Sequence[EvaluatedDesign]) -> list[str]:
    """Of the network and of the accelerator, the parameters that most front designs have and that take the most values there."""
    names = list(dict.fromkeys(name for design in designs for name in design.values))
    front = [item.design for item in document.front] or list(designs)

    def rank(name: str) -> tuple[float, int]:
        present = [design.values[name] for design in front if name in design.values]
        return (-len(present) / len(front) if len(set(present)) > 1 else 0.0, -len(set(present)))

    ranked = sorted((name for name in names if rank(name)[0] < 0), key=rank)
    templates = {design.template for design in designs}
    accelerator = [name for name in ranked if name.split(".")[0] in templates]
    network = [name for name in ranked if name not in accelerator]
    best = [*network[: MOST_PARAMETERS // 2], *accelerator[: MOST_PARAMETERS // 2]]
    best += [name for name in ranked if name not in best][: MOST_PARAMETERS - len(best)]
    return [name for name in names if name in best]


def _parameter(name: str, values: Sequence[Value | None]) -> Coordinate:
    present = {value for value in values if value is not None}
    numbers = sorted(value for value in present if isinstance(value, int | float))
    words = sorted(value for value in present if isinstance(value, str))
    domain: list[Value] = [*numbers, *words]
    if len(domain) <= EVENLY_SPACED or words:
        last = max(len(domain) - 1, 1)
        height_of = {value: position / last if len(domain) > 1 else 0.5 for position, value in enumerate(domain)}
        ticks = [(height_of[value], _value_text(value)) for value in domain]
    else:
        low, span = numbers[0], numbers[-1] - numbers[0]
        height_of = {value: (value - low) / span for value in numbers}
        ticks = [(level, significant(low + level * span)) for level in (0.0, 0.5, 1.0)]
    if any(value is None for value in values):
        ticks.append((ABSENT, "not used"))
    heights = tuple(ABSENT if value is None else height_of[value] for value in values)
    texts = tuple("not used" if value is None else _value_text(value) for value in values)
    return Coordinate(name, heights, texts, tuple(ticks))


def _value_text(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:,.6g}"
