from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest

from codesign.estimate import Evidence
from codesign.report.cells import NOTHING
from codesign.report.document import ReportDocument
from codesign.report.formatting import MINUS
from codesign.report.hardware import hardware_line, hardware_table
from codesign.report.html import EVIDENCE_MEANING, render_html
from codesign.report.tables import front_table
from tests.report.documents import make_design, make_document, make_front, rtl_match, synthesis_found

SECTIONS = ["verdict", "front", "parameters", "device", "csim", "hardware", "designs", "calibration", "search", "provenance"]
LOADING = {"src", "srcset", "data", "action", "formaction", "poster", "background"}


class Page(HTMLParser):
    """Elements and text of a page outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif not self._inside:
            self.text += data

    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.elements if "id" in attributes]


@pytest.fixture(scope="module")
def page(study: ReportDocument) -> Page:
    return Page(render_html(study))


def test_sections_in_order(page: Page) -> None:
    assert [name for name in page.ids() if name in SECTIONS] == SECTIONS


def test_ids_are_unique_and_links_lead_somewhere(page: Page) -> None:
    assert len(page.ids()) == len(set(page.ids()))
    links = {str(attributes["href"]) for tag, attributes in page.elements if tag == "a"}
    assert links <= {f"#{name}" for name in page.ids()}


@pytest.mark.parametrize("name", ["study", "empty", "hostile"])
def test_nothing_is_loaded(name: str, request: pytest.FixtureRequest) -> None:
    text = render_html(request.getfixturevalue(name))
    for tag, attributes in Page(text).elements:
        assert not LOADING & attributes.keys(), (tag, attributes)
        href = attributes.get("href") or "#"
        assert href.startswith("#") or (tag == "link" and href == "data:,"), (tag, attributes)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_the_content_security_policy_forbids_requests(page: Page) -> None:
    (policy,) = [attributes["content"] for tag, attributes in page.elements if attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def test_the_simulation_section_says_what_it_proves_of_a_shared_array(study: ReportDocument, page: Page) -> None:
    assert "Their C simulation proves the network's arithmetic, every integer of every layer; Vitis will report" in page.text
    assert "The Verilog of a priced pe_array lies beside it; RTL simulation proves it, cycles included." in page.text
    own = dataclasses.replace(study, study=dataclasses.replace(study.study, templates=("streaming",)))
    assert "as another architecture" not in Page(render_html(own)).text


def test_plotly_is_there_once(study: ReportDocument) -> None:
    assert render_html(study).count("plotly.js v") == 1


def test_each_figure_has_its_data_and_a_description(page: Page) -> None:
    plots = {str(attributes["id"]): attributes for _, attributes in page.elements if attributes.get("class") == "plot"}
    blocks = {str(attributes["data-for"]) for tag, attributes in page.elements if tag == "script" and "data-for" in attributes}
    assert plots.keys() == blocks
    assert len(plots) == 6
    assert all(len(str(attributes["aria-label"])) > 40 and attributes["role"] == "img" for attributes in plots.values())


def test_hostile_texts_stay_texts(hostile: ReportDocument) -> None:
    text = render_html(hostile)
    hostile_page = Page(text)
    tags = [tag for tag, _ in hostile_page.elements]
    assert "img" not in tags
    assert all("onerror" not in attributes for _, attributes in hostile_page.elements)
    assert tags.count("script") == len([script for script in hostile_page.scripts if script.strip()])
    assert "window.attacked=1" in hostile_page.text  # shown as it is
    data = [json.loads(script) for script in hostile_page.scripts if script.startswith("{")]
    assert len(data) >= 4
    assert not any("</" in script for script in hostile_page.scripts if script.startswith("{"))


def test_every_figure_of_the_front_has_evidence(study: ReportDocument) -> None:
    table = front_table(study)
    for number, column in enumerate(table.columns):
        if column.numeric:
            assert column.evidence is not None or all(row[number].evidence is not None for row in table.rows), column.title


def test_mixed_evidence_is_said_cell_by_cell(study: ReportDocument) -> None:
    item = study.front[0]
    measured = dataclasses.replace(item.design.kpis["latency_us"], evidence=Evidence.BOARD, source="board of 12 May")
    design = dataclasses.replace(item.design, kpis={**item.design.kpis, "latency_us": measured})
    document = make_document([design, study.front[1].design], [make_front(design), study.front[1]])
    table = front_table(document)
    number = [column.title for column in table.columns].index("Latency")
    assert table.columns[number].evidence is None
    assert [row[number].evidence for row in table.rows] == [Evidence.BOARD, Evidence.ANALYTIC]
    assert 'title="board of 12 May"' in render_html(document)


def test_every_kind_of_evidence_has_a_meaning() -> None:
    assert set(EVIDENCE_MEANING) == {evidence.value for evidence in Evidence}


def test_the_csim_match_is_told_point_by_point(page: Page, study: ReportDocument) -> None:
    assert page.text.count("bit-exact") >= 2 * len(study.front)
    assert "1,046" in page.text


def test_not_calibrated_is_said_plainly(page: Page) -> None:
    assert "not calibrated: intervals are too narrow" in page.text
    assert "calibrated: within 3 standard errors" in page.text


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("No design has been evaluated, so there is nothing to draw.", "codesign run"),
        ("There is no front to simulate yet.", "codesign run"),
        ("There are no predictions to hold against evaluations yet", "codesign run"),
    ],
)
def test_an_empty_study_says_what_is_missing(empty: ReportDocument, missing: str, command: str) -> None:
    found = Page(render_html(empty))
    assert re.search(rf"{re.escape(missing)}.*?Command: {command}", found.text, flags=re.DOTALL)
    assert [name for name in found.ids() if name in SECTIONS] == [name for name in SECTIONS if name != "hardware"]


def test_the_hardware_is_told_design_by_design(study: ReportDocument, page: Page) -> None:
    table = hardware_table(study, {})
    simulated = [item for item in study.front if item.rtl]
    assert [row[0].text for row in table.rows] == [item.id for item in simulated]
    titles = [column.title for column in table.columns]
    assert [column.evidence for column in table.columns[2:4]] == [Evidence.ANALYTIC, Evidence.RTL_SIM]
    assert titles[:8] == ["Design", "RTL simulation", "Cycles, predicted", "Cycles, simulated", "LUT", "FF", "DSP", "BRAM18"]
    for row, item in zip(table.rows, simulated, strict=True):
        assert (row[1].text, row[3].detail, row[2].text) == ("bit-exact", "as predicted", row[3].text)
        assert (row[4].text == NOTHING) == (item.synthesis is None)
    placed = next(row for row, item in zip(table.rows, simulated, strict=True) if item.synthesis and item.synthesis.level == "pnr")
    assert (placed[8].text, placed[8].detail, placed[9].evidence) == ("81.3", "meets 75\u202fMHz", Evidence.PLACE_ROUTE)
    assert "Yosys puts no two small functions into one LUT6, as Vivado may" in page.text
    assert "RTL simulation: bit-exact" in page.text


def test_counts_stand_beside_the_prediction_with_its_error() -> None:
    design = make_design("aa", 0.8, 10.0, 1.0)
    document = make_document([design], [make_front(design, synthesis=synthesis_found(resources={"lut": 4_000, "ff": 3_000, "dsp": 20, "bram18": 0}))])
    ((_, rtl, *cycles, lut, ff, dsp, bram, clock, tool),) = hardware_table(document, {}).rows
    assert (lut.text, lut.detail) == ("4,000", "4,100, +2.5\u202f%")
    assert (ff.text, ff.detail, tool.evidence) == ("3,000", f"2,970, {MINUS}1.0\u202f%", Evidence.SYNTHESIS)
    assert (dsp.detail, bram.detail) == ("20, exact", "12, none found")
    assert (rtl.text, [cell.text for cell in cycles], clock.text, tool.text) == ("not run", [NOTHING] * 2, NOTHING, "Yosys 0.70")
    assert hardware_line(document, document.front[0]) == "RTL simulation has not run. Yosys 0.70: 4,000 LUT, 3,000 FF, 20 DSP, 0 BRAM18."


def test_wrong_cycles_and_edited_projects_are_told() -> None:
    design = make_design("aa", 0.8, 10.0, 1.0)
    item = make_front(design, rtl=rtl_match(predicted=12_600.0, changed_files=("pe_array/rtl/pe_array.v",)))
    row = hardware_table(make_document([design], [item]), {}).rows[0]
    assert (row[3].text, row[3].detail, row[3].tone) == ("12,000", "+5.0\u202f% predicted", "bad")
    assert row[1].detail == "changed since the export: pe_array/rtl/pe_array.v"
    assert "12,000 cycles, 12,600 predicted" in hardware_line(make_document([design], [item]), item)


def test_without_results_the_hardware_section_names_the_command(study: ReportDocument) -> None:
    bare = dataclasses.replace(study, front=tuple(dataclasses.replace(item, rtl=None, synthesis=None) for item in study.front))
    found = Page(render_html(bare))
    assert "The exported Verilog has been neither simulated nor synthesised. Command: codesign verify --front --level rtl" in found.text
    assert "RTL simulation has not run." in found.text
    own = dataclasses.replace(bare, study=dataclasses.replace(bare.study, templates=("streaming",), verilog_templates=()))
    assert "hardware" not in Page(render_html(own)).ids()


def test_an_unverified_front_names_the_command(study: ReportDocument) -> None:
    bare = dataclasses.replace(study, front=tuple(dataclasses.replace(item, csim=None, accuracy_test=None, layers=()) for item in study.front))
    found = Page(render_html(bare))
    assert "Some front designs have not been simulated. Command: codesign verify --front" in found.text
    assert found.text.count("not run") >= len(study.front)
