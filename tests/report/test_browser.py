"""The report in a real browser: no error, no sideways scrolling, nothing cut, no axis label on another."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign.report.html import render_html
from tests.report.browser import CHROMIUM, open_page

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on PATH or CODESIGN_CHROMIUM set to it"),
]


@pytest.mark.parametrize("width", [1400, 700])
@pytest.mark.parametrize("name", ["study", "hostile", "empty"])
def test_the_report_in_a_browser(name: str, width: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    found = open_page(render_html(request.getfixturevalue(name)), width, tmp_path)
    assert found["width"] == width
    assert found["drawn"] == found["plots"] == {"study": 6, "hostile": 4, "empty": 0}[name]
    assert found["problems"] == []
    assert found["logged"] == []
    assert found["attacked"] is None
    assert found["overflow"] == 0
    if name == "study":
        assert found["cut"] == []
        assert found["overlaps"] == []
