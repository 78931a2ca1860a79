from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go
import pytest

from codesign.report.document import ObjectiveSummary, ReportDocument
from codesign.report.figures import Figure, figures, front_scatter, hypervolume_curve, utilisation_bars
from codesign.report.parallel import ABSENT, parallel_coordinates
from codesign.report.plot import ROLE_COLOURS, log_ticks
from tests.report.documents import make_design, make_document, make_front, study_document

KEYS = ["figure-front", "figure-parallel", "figure-utilisation", "figure-hypervolume", "figure-calibration-1", "figure-calibration-2"]


def _figure(document: ReportDocument, key: str) -> Figure:
    return next(figure for figure in figures(document) if figure.key == key)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def test_a_finished_study_has_every_figure(study: ReportDocument) -> None:
    assert [figure.key for figure in figures(study)] == KEYS


@pytest.mark.parametrize("key", KEYS)
def test_plotly_knows_every_property(study: ReportDocument, key: str) -> None:
    figure = _figure(study, key)
    made = go.Figure(data=figure.data, layout=figure.layout).to_plotly_json()
    assert len(made["data"]) == len(figure.data)
    json.dumps({"data": figure.data, "layout": figure.layout}, allow_nan=False)


@pytest.mark.parametrize("key", [key for key in KEYS if key != "figure-parallel"])
def test_axes_have_titles_with_units(study: ReportDocument, key: str) -> None:
    layout = _figure(study, key).layout
    titles = [layout[axis]["title"]["text"] for axis in ("xaxis", "yaxis")]
    without = [title for title in titles if not re.search(r"\(.+\)", title)]
    assert without == (["Resource"] if key == "figure-utilisation" else [])


def test_parallel_coordinates_name_units_of_objectives(study: ReportDocument) -> None:
    titles = [note["text"].replace("<br>", " ") for note in _figure(study, "figure-parallel").layout["annotations"] if note["y"] > 1]
    assert titles[:3] == ["Validation accuracy (%)", "Latency (µs)", "Energy per inference (µJ)"]
    assert "template" in titles


def test_every_figure_has_a_description(study: ReportDocument) -> None:
    for figure in figures(study):
        assert len(figure.label) > 40
        assert figure.caption.endswith(".")


def test_scatter_shows_each_design_once(study: ReportDocument) -> None:
    figure = front_scatter(study)
    assert figure is not None
    traces = {trace["name"]: trace for trace in figure.data}
    assert len(traces["Front"]["x"]) == len(study.front)
    assert len(traces["Evaluated"]["x"]) + len(study.front) == len(study.succeeded)
    best = study.front[0].design
    assert traces["Front"]["x"][0] == pytest.approx(best.kpis["latency_us"].value)
    assert traces["Front"]["y"][0] == pytest.approx(100 * best.kpis["accuracy"].value)
    assert figure.layout["xaxis"]["type"] == "log"
    assert traces["Front"]["customdata"][0][1] == "design-1"


def test_the_front_line_is_a_staircase_of_the_best_within_each_latency() -> None:
    designs = [make_design("a", 0.6, 10.0, 9.0, order=1), make_design("b", 0.5, 20.0, 1.0, order=2), make_design("c", 0.9, 30.0, 5.0, order=3)]
    figure = front_scatter(make_document(designs, [make_front(design) for design in designs]))
    assert figure is not None
    line = next(trace for trace in figure.data if trace["name"] == "Front line")
    assert (line["x"], line["y"]) == ([10.0, 30.0], [60.0, 90.0])


def test_error_bars_reach_the_interval(study: ReportDocument) -> None:
    figure = front_scatter(study)
    assert figure is not None
    bars = next(trace for trace in figure.data if trace["name"] == "Front")["error_x"]
    latency = study.front[0].design.kpis["latency_us"]
    assert bars["array"][0] == pytest.approx(latency.high - latency.value)
    assert bars["arrayminus"][0] == pytest.approx(latency.value - latency.low)


def test_utilisation_is_the_share_of_the_device(study: ReportDocument) -> None:
    figure = utilisation_bars(study)
    assert figure is not None
    bar = figure.data[0]
    picked = next(item for item in study.front if item.id in bar["name"]).design
    assert bar["y"] == ["lut", "ff", "dsp", "bram18"]  # the device has no URAM
    assert bar["x"][0] == pytest.approx(100 * picked.kpis["lut"].value / 53_200)
    assert {trace["marker"]["color"] for trace in figure.data} <= set(ROLE_COLOURS.values())


def test_costs_run_downwards_in_parallel_coordinates() -> None:
    designs = [make_design("a", 0.9, 100.0, 9.0, order=1), make_design("b", 0.5, 1.0, 1.0, order=2)]
    figure = parallel_coordinates(make_document(designs, [make_front(design) for design in designs]))
    assert figure is not None
    accurate = next(trace for trace in figure.data if trace["name"] == "Most accurate")
    assert accurate["y"] == [1.0, 0.0, 0.0]


def test_a_parameter_that_a_design_lacks_is_apart() -> None:
    values: list[dict[str, int | float | str]] = [{"p": 1, "q": 3}, {"p": 2}]
    designs = [make_design(f"d{number}", 0.9 - number / 10, 10.0 - number, 5.0, order=number + 1, values=value) for number, value in enumerate(values)]
    document = make_document(designs, [make_front(design) for design in designs])
    document = dataclasses.replace(document, study=dataclasses.replace(document.study, main_parameters=("p", "q")))
    figure = parallel_coordinates(document)
    assert figure is not None
    second = next(trace for trace in figure.data if "d1" in trace.get("customdata", [[""]])[0][0])
    assert second["y"][-2:] == [1.0, ABSENT]
    assert "not used" in {note["text"] for note in figure.layout["annotations"]}


def test_a_parameter_with_many_values_has_a_scale_of_numbers() -> None:
    designs = [make_design(f"d{number:02}", 0.5 + number / 100, 10.0 + number, 5.0, order=number + 1, values={"p": number}) for number in range(21)]
    document = make_document(designs, [make_front(design) for design in designs])
    figure = parallel_coordinates(document)
    assert figure is not None
    ticks = {(note["y"], note["text"]) for note in figure.layout["annotations"] if note["x"] == 3}
    assert {(0.0, "0"), (0.5, "10.0"), (1.0, "20.0")} <= ticks


def test_text_from_the_study_is_escaped_for_plotly(hostile: ReportDocument) -> None:
    shown = figures(hostile)
    assert len(shown) >= 4
    for figure in shown:
        for text in _texts([figure.data, figure.layout]):
            assert not re.search(r"<(?!/?b>|br>|extra>|/extra>)", text), text


def test_nothing_is_drawn_without_data(empty: ReportDocument) -> None:
    assert figures(empty) == ()


def test_one_design_is_enough_for_a_scatter() -> None:
    design = make_design("a", 0.6, 10.0, 9.0)
    document = make_document([design], [make_front(design)])
    assert [figure.key for figure in figures(document)] == ["figure-front"]


def test_two_objectives_without_energy_have_no_colour() -> None:
    designs = [make_design("a", 0.6, 10.0, 9.0, order=1), make_design("b", 0.5, 5.0, 9.0, order=2)]
    bare = [dataclasses.replace(item, kpis={name: item.kpis[name] for name in ("accuracy", "latency_us")}) for item in designs]
    document = make_document(bare, [make_front(design) for design in bare])
    study = dataclasses.replace(document.study, objectives=(ObjectiveSummary("accuracy", True), ObjectiveSummary("latency_us", False)))
    figure = front_scatter(dataclasses.replace(document, study=study))
    assert figure is not None
    assert "Colour" not in figure.caption
    assert "colorscale" not in next(trace for trace in figure.data if trace["name"] == "Front")["marker"]


def test_hypervolume_marks_the_end_of_the_start(study: ReportDocument) -> None:
    figure = hypervolume_curve(study)
    assert figure is not None
    assert figure.data[0]["y"] == list(study.hypervolume.values if study.hypervolume else ())
    assert figure.layout["shapes"][0]["x0"] == 16.5


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [(9.0, 110.0, ["10", "20", "50", "100"]), (0.9, 20_000.0, ["1", "10", "100", "1,000", "10,000"]), (0.04, 0.3, ["0.05", "0.1", "0.2"])],
)
def test_ticks_of_logarithmic_axes(low: float, high: float, labels: list[str]) -> None:
    assert log_ticks(low, high)["ticktext"] == labels


def test_a_narrow_logarithmic_axis_leaves_ticks_to_plotly() -> None:
    assert "tickvals" not in log_ticks(11.0, 14.0)


@pytest.mark.parametrize(
    "name", ["pe_array.rows", "tcresnet.block1_second_activation_bits", "tcresnet.a_b_c_ddddddddddddd_eeeeeeeeeeeee_fffffffffffff_ggggggg"]
)
def test_titles_of_parallel_axes_leave_room_below_the_legend(name: str) -> None:
    document = study_document()
    evaluated = {item.id: dataclasses.replace(item, values={**item.values, name: number % 7}) for number, item in enumerate(document.evaluated)}
    front = tuple(dataclasses.replace(item, design=evaluated[item.id]) for item in document.front)
    study = dataclasses.replace(document.study, main_parameters=(name,))
    figure = parallel_coordinates(dataclasses.replace(document, study=study, evaluated=tuple(evaluated.values()), front=front))
    assert figure is not None
    low, high = figure.layout["yaxis"]["range"]
    margin = figure.layout["margin"]
    pixels = (figure.height - margin["t"] - margin["b"]) / (high - low)
    for annotation in figure.layout["annotations"]:
        if annotation.get("yanchor") == "bottom":
            lines = annotation["text"].count("<br>") + 1
            assert annotation["y"] + 15 * lines / pixels <= high, annotation["text"]
