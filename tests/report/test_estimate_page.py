from __future__ import annotations

import dataclasses
import itertools
import json
import re
from pathlib import Path

import pytest

from codesign.accelerator.device import find_device
from codesign.errors import InputError
from codesign.kpi.streaming.estimates import COUNTED, Request
from codesign.kpi.streaming.estimation import Estimator
from codesign.kpi.streaming.flow import Flow, Stage, Tool
from codesign.network.hls_model import HlsLayer, HlsModel, Kind, Strategy
from codesign.report import render
from codesign.report.estimate_figures import HOVER_LINES, as_point, best_settings, factor_lines, resource_lines, share_number, share_text, trade_off
from codesign.report.estimate_page import render_estimate_page, write_estimate_page
from codesign.report.estimate_tables import STAGE_WORDS, TOOL_WORDS, factor_table, layer_table, setting_table, totals_table
from codesign.report.formatting import RANGE, THIN
from tests.report.browser import CHROMIUM, open_page
from tests.report.estimates import HOSTILE, Case, make_case, make_estimate, shares, without_advice
from tests.report.test_html import LOADING, Page

SECTIONS = ["verdict", "trade-off", "totals", "layers", "settings", "assumptions", "provenance"]


def _write(case: Case, path: Path) -> None:
    write_estimate_page(path, model=case.model, request=case.request, estimate=case.estimate, advice=case.advice, sweep=case.sweep)


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case()


@pytest.fixture(scope="module")
def page(case: Case) -> Page:
    return Page(case.page())


def test_sections_in_order_and_links_lead_somewhere(page: Page) -> None:
    assert [name for name in page.ids() if name in SECTIONS] == SECTIONS
    assert len(page.ids()) == len(set(page.ids()))
    assert {str(attributes["href"]) for tag, attributes in page.elements if tag == "a"} <= {f"#{name}" for name in page.ids()}


@pytest.mark.parametrize("hostile", [False, True])
def test_nothing_is_loaded(hostile: bool) -> None:
    for tag, attributes in Page(make_case(hostile=hostile).page()).elements:
        assert not LOADING & attributes.keys(), (tag, attributes)
        href = attributes.get("href") or "#"
        assert href.startswith("#") or (tag == "link" and href == "data:,"), (tag, attributes)


def test_hostile_texts_stay_texts() -> None:
    page = Page(make_case(layers=12, hostile=True).page())
    assert "img" not in [tag for tag, _ in page.elements]
    assert all("onerror" not in attributes for _, attributes in page.elements)
    assert HOSTILE in page.text  # shown as it is
    data = [script for script in page.scripts if script.startswith("{")]
    assert len(data) == 2
    for script in data:
        assert "</" not in script
        for trace in json.loads(script)["data"]:
            assert not any("<img" in str(text) for text in trace.get("customdata", []))


@pytest.mark.parametrize(
    ("fits", "tone", "words"),
    [
        ("given", "good", f"Fits the PYNQ-Z2 (Zynq-7020): 200{THIN}ns, DSP takes 60{THIN}% of what may be used"),
        ("advised", "incomplete", f"Does not fit the PYNQ-Z2 (Zynq-7020) as given; with the advised reuse factors it does, in 480{THIN}ns"),
        ("never", "bad", f"Does not fit the PYNQ-Z2 (Zynq-7020) with any reuse factors: LUT needs 401{THIN}% of what may be used at best"),
    ],
)
def test_the_headline_says_whether_it_fits_and_what_binds(fits: str, tone: str, words: str) -> None:
    page = Page(make_case(fits=fits).page())
    assert words in page.text
    assert f"verdict tone-{tone}" in [attributes.get("class") for _, attributes in page.elements]


def test_the_verdict_names_failing_layers_proof_and_power(page: Page) -> None:
    assert "The tools are likely to fail on layer dense_0: too many multipliers; use a larger reuse factor." in page.text
    assert "No legal setting that fits is faster; this is proved." in page.text
    assert f"power 800{THIN}mW (615{RANGE}1,040)" in page.text


def test_an_interval_that_reaches_beyond_the_device_is_said(case: Case) -> None:
    assert "this is proved. This is not certain: the 95 % intervals of LUT and DSP reach beyond what may be used." in Page(case.page()).text
    assert "not certain" not in make_case(fits="given").page()
    assert "not certain" not in make_case(fits="never").page()


def test_a_bound_that_is_not_reached_is_said(case: Case) -> None:
    assert case.advice is not None
    loose = dataclasses.replace(case, advice=dataclasses.replace(case.advice, optimal=False, latency_bound=41.0))
    text = Page(loose.page()).text
    assert "No legal setting that fits takes less than 41 cycles." in text
    assert "this is proved" not in text


def test_an_advice_that_changes_nothing_is_shown_once() -> None:
    case = make_case(fits="given")
    text = case.page()
    assert "The reuse factors as given are the advised ones. No legal setting that fits is faster" in text
    assert text.count('<article class="card') == 1
    assert "The same table for the model as given" not in text
    assert [trace["name"] for trace in trade_off(case.estimate, case.advice, case.sweep).data].count("As given, also advised") == 1


def test_a_model_without_weights_has_a_page(case: Case) -> None:
    bare = without_advice(case)
    page = Page(bare.page())
    assert "there is no reuse factor to choose" in page.text
    assert "There is no setting to compare." in page.text
    assert resource_lines(bare.estimate, None, ()) is None
    assert sum(attributes.get("class") == "plot" for _, attributes in page.elements) == 1


def test_the_line_joins_settings_that_no_other_beats(case: Case) -> None:
    best = best_settings(case.sweep, case.advice)
    assert case.advice is not None
    assert as_point(case.advice.estimate) in best
    for before, after in itertools.pairwise(best):
        assert before.latency_us < after.latency_us
        assert before.largest > after.largest
    assert not any(point.uniform for point in best)


def test_of_equal_latencies_the_advised_one_is_kept(case: Case) -> None:
    assert case.advice is not None
    advised = as_point(case.advice.estimate)
    rival = dataclasses.replace(advised, reuse=dict.fromkeys(advised.reuse, 7), utilisation=shares(0.5, 0.5))
    best = best_settings((*case.sweep, rival), case.advice)
    assert advised in best
    assert rival not in best


def test_figures_hold_the_numbers_of_the_sweep(case: Case) -> None:
    traces = {trace["name"]: trace for trace in trade_off(case.estimate, case.advice, case.sweep).data}
    assert traces["As given"]["x"] == pytest.approx([200.0])  # ns
    assert traces["As given"]["y"] == pytest.approx([360.0])
    assert traces["Advised"]["y"] == pytest.approx([99.7])
    assert len(traces["One reuse factor for all layers"]["x"]) == 6
    (hover, _), *_ = traces["Advised"]["customdata"]
    assert hover == (
        f"<b>Advised</b><br>latency 480{THIN}ns<br>LUT 80{THIN}%<br>FF 27{THIN}%<br>DSP 99.7{THIN}%<br>BRAM18 0{THIN}%<br>reuse factor 8 for all layers"
    )


def test_resources_are_told_apart_without_colours(case: Case) -> None:
    figure = resource_lines(case.estimate, case.advice, case.sweep)
    assert figure is not None
    lines = [trace for trace in figure.data if "marker" in trace]
    assert [trace["name"] for trace in lines] == ["LUT", "FF", "DSP"]
    assert "of BRAM18" in figure.caption
    for kind in ("color", "dash"):
        assert len({trace["line"][kind] for trace in lines}) == 3
    assert len({trace["marker"]["symbol"] for trace in lines}) == 3


def test_hovering_over_many_layers_stays_short() -> None:
    lines = factor_lines({f"a_rather_long_name_of_a_layer_{number}": number for number in range(60)})
    assert len(lines) == HOVER_LINES
    assert max(len(line) for line in lines) <= 64
    assert factor_lines({"a": 2, "b": 4, "c": 2}) == ["reuse factor 2: a, c", "reuse factor 4: b"]


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0"), (0.0456, "4.6"), (0.9996, "99.9"), (0.99, "99.0"), (1.0, "100"), (1.0001, "100.1"), (16.53, "1,650")],
)
def test_shares_say_100_only_where_it_is_all(share: float, text: str) -> None:
    assert share_number(share) == text


def test_extreme_shares_have_words() -> None:
    assert share_text(1e9) == f"over 1,000,000{THIN}%"
    assert share_text(1e-5) == f"under 0.1{THIN}%"


def test_totals_have_interval_and_evidence(case: Case) -> None:
    table = totals_table(case.request, case.estimate, case.advice)
    assert len(table.rows) == len(case.estimate.kpis)
    assert all(row[-1].evidence is not None and row[2].text for row in table.rows)
    lut = next(row for row in table.rows if row[0].text == "LUT")
    assert [cell.text for cell in lut[:-1]] == ["LUT", "128,000", f"98,000{RANGE}166,000", "240", "42,600", f"32,700{RANGE}55,300", "80", "37,240"]
    assert [cell.tone for cell in lut[3:7:3]] == ["bad", ""]


def test_the_layer_table_shows_both_reuse_factors_and_failures(case: Case) -> None:
    assert case.advice is not None
    advised = layer_table(case.advice.estimate, case.estimate)
    assert [cell.text for cell in advised.rows[0]] == ["dense_0", "dense", "1", "8", "128", "12", "10,640", "7,093", "55", "0"]
    given = layer_table(case.estimate)
    assert given.rows[0][-1].text == f"90{THIN}% chance that synthesis fails: too many multipliers; use a larger reuse factor"
    assert given.rows[0][-1].tone == "bad"
    assert given.rows[1][-1].text == ""


def test_reuse_factors_of_many_layers_have_a_table_of_their_own(case: Case) -> None:
    few = setting_table(case.estimate, case.advice, case.sweep)
    assert [column.title for column in few.columns][-4:] == [f"RF of dense_{number}" for number in range(4)]
    assert factor_table(case.estimate, case.advice, case.sweep) is None
    large = make_case(layers=60, points=40)
    many = factor_table(large.estimate, large.advice, large.sweep)
    best = best_settings(large.sweep, large.advice)
    assert many is not None
    assert [row[0].text for row in many.rows] == list(large.estimate.reuse)
    assert [cell.text for cell in many.rows[1][1:]] == [str(point.reuse["dense_1"]) for point in best]
    assert len(setting_table(large.estimate, large.advice, large.sweep).columns) == 3 + len(COUNTED)


def test_the_advised_setting_is_marked_in_the_table(case: Case) -> None:
    rows = setting_table(case.estimate, case.advice, case.sweep).rows
    marked = [row for row in rows if row[0].tags]
    assert [row[0].tags for row in marked] == [("advised",)]
    assert [cell.text for cell in marked[0][1:]] == ["480", "80", "27", "99.7", "0", "fits", "8", "8", "8", "8"]


def test_the_page_says_what_it_rests_on(page: Page) -> None:
    for words in ("Weights without a width take 16 bits.", "docs/validation.md", f"100{THIN}MHz", f"37,240 LUT (limit 70{THIN}%)", "resource: 4 layers"):
        assert words in page.text, words


def test_every_tool_and_stage_has_words() -> None:
    assert set(TOOL_WORDS) == set(Tool)
    assert set(STAGE_WORDS) == set(Stage)


def test_what_the_estimator_gives_is_drawn() -> None:
    first = HlsLayer(name="first", kind=Kind.DENSE, in_c=16, out_c=32, weight_bits=8, bias_bits=8, accumulator_bits=20)
    relu = HlsLayer(name="relu", kind=Kind.ACTIVATION, inputs=("first",), in_c=32, out_c=32, function="relu")
    last = dataclasses.replace(first, name="last", inputs=("relu",), in_c=32, out_c=5)
    model = HlsModel("two", (first, relu, last), "io_parallel")
    request = Request(find_device("pynq-z2"), Flow(Tool.VITIS_HLS, Stage.POST_SYNTH), "io_parallel", Strategy.RESOURCE, 4, 100.0, {})
    estimator = Estimator(model, request)
    text = render_estimate_page(model=model, request=request, estimate=estimator.estimate(), advice=estimator.advise(), sweep=estimator.sweep(4))
    page = Page(text)
    assert "The file said everything that the estimate needs." in page.text
    assert re.search(r"RF of first\s+RF of last", page.text)


def test_writing_replaces_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "page.html"
    _write(make_case(), path)
    before = path.read_bytes()
    assert before.startswith(b"<!doctype html>")

    def full(_: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match=r"page.html: the page cannot be written: No space left on device\. Free the folder"):
        _write(make_case(fits="never"), path)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["page.html"]


def test_a_page_that_cannot_be_written_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(render.tempfile, "mkstemp", refused)
    with pytest.raises(InputError, match=r"the page cannot be written: Permission denied") as caught:
        _write(make_case(), tmp_path / "page.html")
    assert caught.value.exit_code == 2


def test_a_folder_in_the_way_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the page cannot be written"):
        _write(make_case(), tmp_path)


def test_a_model_that_takes_next_to_nothing_has_axes() -> None:
    estimate = make_estimate(["only"], 1, shares(0.0, 0.0))
    figure = trade_off(estimate, None, ())
    assert figure.layout["yaxis"]["range"] == pytest.approx([1.92, 2.08])
    json.dumps([figure.data, figure.layout], allow_nan=False)


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on PATH or CODESIGN_CHROMIUM set to it")
@pytest.mark.parametrize("width", [1400, 700])
@pytest.mark.parametrize("name", ["few", "many", "hostile", "one"])
def test_the_page_in_a_browser(name: str, width: int, tmp_path: Path) -> None:
    cases = {"few": make_case, "many": lambda: make_case(60, 40), "hostile": lambda: make_case(12, hostile=True), "one": lambda: make_case(1, 1, fits="given")}
    found = open_page(cases[name]().page(), width, tmp_path)
    assert found["width"] == width
    assert found["drawn"] == found["plots"] == 2
    assert found["problems"] == []
    assert found["logged"] == []
    assert found["attacked"] is None
    assert found["overflow"] == 0
    assert found["cut"] == []
    assert found["overlaps"] == []
