from __future__ import annotations

import dataclasses
import json

import pytest

from codesign.errors import InputError
from codesign.report.document import ReportDocument
from codesign.report.render import render_json, report_as_dict
from tests.report.documents import make_design, make_document, make_front


@pytest.mark.parametrize("name", ["study", "empty", "hostile"])
def test_json_round_trip(name: str, request: pytest.FixtureRequest) -> None:
    document: ReportDocument = request.getfixturevalue(name)
    text = render_json(document)
    assert ReportDocument.from_dict(json.loads(text)) == document
    assert json.loads(text) == json.loads(json.dumps(report_as_dict(document)))


def test_json_holds_what_follows_from_the_document(study: ReportDocument) -> None:
    data = json.loads(render_json(study))
    assert data["schema"] == 1
    assert data["verdict"]["tone"] == "good"
    assert {pick["role"] for pick in data["picks"]} == {"most accurate", "fastest", "lowest energy", "knee"}
    assert [item["calibrated"] for item in data["calibration_summary"]] == [True, False]
    assert data["front"][0]["design"]["kpis"]["latency_us"]["evidence"] == "analytic"


def test_parameter_values_keep_their_types() -> None:
    values: dict[str, int | float | str] = {"a": 1, "b": 1.5, "c": "io_stream"}
    document = make_document([make_design("aa", 0.8, 1.0, 1.0, values=values)], [])
    read = ReportDocument.from_dict(json.loads(render_json(document)))
    assert [(value, type(value)) for value in read.evaluated[0].values.values()] == [(1, int), (1.5, float), ("io_stream", str)]


def test_another_schema_is_refused(study: ReportDocument) -> None:
    with pytest.raises(InputError, match="report schema 99 is not known.*codesign report"):
        ReportDocument.from_dict(study.as_dict() | {"schema": 99})


def test_a_wrong_type_is_named(study: ReportDocument) -> None:
    data = study.as_dict()
    data["counts"]["priced"] = "many"
    with pytest.raises(InputError, match=r"report.json: counts.priced: .*integer"):
        ReportDocument.from_dict(data, where="report.json")


def test_a_front_design_must_have_been_evaluated() -> None:
    with pytest.raises(ValueError, match="not evaluated: aa"):
        make_document([], [make_front(make_design("aa", 0.8, 1.0, 1.0))])


def test_a_design_is_evaluated_once(study: ReportDocument) -> None:
    with pytest.raises(ValueError, match="evaluated twice"):
        dataclasses.replace(study, evaluated=(*study.evaluated, study.evaluated[0]))
