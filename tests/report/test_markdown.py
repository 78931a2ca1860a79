from __future__ import annotations

import re

import pytest

from codesign.report.document import ReportDocument
from codesign.report.markdown import code, escaped, render_markdown


def test_headings_and_length(study: ReportDocument) -> None:
    text = render_markdown(study)
    assert re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)[1:] == ["Picks", "Front", "Hardware", "Predictor", "Next", "Provenance"]
    assert len(text.splitlines()) < 90
    assert text.endswith("\n")


def test_every_table_row_has_the_same_cells(study: ReportDocument) -> None:
    for section, designs in (("Front", study.front), ("Hardware", [item for item in study.front if item.rtl])):
        rows = _rows(render_markdown(study), section)
        assert len(rows) == len(designs) + 2
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1


def _rows(text: str, section: str) -> list[str]:
    """Lines of the table in a section."""
    return [line for line in text.partition(f"## {section}\n")[2].partition("\n## ")[0].splitlines() if line.startswith("|")]


def test_figures_carry_evidence_and_unit(study: ReportDocument) -> None:
    head = next(line for line in render_markdown(study).splitlines() if line.startswith("| Design"))
    assert "Latency (µs), analytic" in head
    assert "Accuracy, test (%), csim" in head


def test_an_empty_study_is_short_and_says_what_to_do(empty: ReportDocument) -> None:
    text = render_markdown(empty)
    assert "**No design has been evaluated yet**" in text
    assert "`codesign run`" in text
    assert "## Front" not in text


def test_hostile_texts_make_no_markup(hostile: ReportDocument) -> None:
    text = render_markdown(hostile)
    outside_code = re.sub(r"`[^`]*`", "", re.sub(r"\\`", "", text))
    assert "<script" not in outside_code
    assert "<img" not in outside_code
    assert not re.search(r"(?<!\\)\[a\]", outside_code)
    for section in ("Front", "Hardware"):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in _rows(text, section)}) == 1


@pytest.mark.parametrize(("text", "shown"), [("a|b", r"a\|b"), ("a\n# b", r"a \# b"), ("<b>&", "&lt;b&gt;&amp;"), ("a_b*c", r"a\_b\*c")])
def test_escaping(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_code_cannot_be_left() -> None:
    assert code("a`b\nc") == "a'b c"
