"""The report in a real browser: no error, no sideways scrolling, nothing cut, no axis label on another."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from codesign.report.document import ReportDocument
from codesign.report.html import render_html

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (found := shutil.which(name))), None)
CHROMIUM = os.environ.get("CODESIGN_CHROMIUM", CHROMIUM)
pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on PATH or CODESIGN_CHROMIUM set to it"),
]

LISTEN = """<script>
window.problems = [];
addEventListener("error", (event) => problems.push("error: " + event.message));
addEventListener("unhandledrejection", (event) => problems.push("rejection: " + event.reason));
document.addEventListener("securitypolicyviolation", (event) => problems.push("policy: " + event.violatedDirective + " " + event.blockedURI));
for (const kind of ["error", "warn"]) console[kind] = (...words) => problems.push(kind + ": " + words.join(" "));
</script>"""

PROBE = """<script>
addEventListener("load", () => setTimeout(() => {
  const page = document.documentElement, cut = [], overlaps = [];
  for (const plot of document.querySelectorAll(".plot")) {
    const frame = plot.getBoundingClientRect();
    for (const text of plot.querySelectorAll(".main-svg text")) {
      const box = text.getBoundingClientRect();
      if (!box.width) continue;
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
        cut.push(plot.id + ": " + text.textContent);
    }
    for (const kind of [".xtick text", ".ytick text", ".legendtext", ".g-xtitle text, .xtick text", ".g-ytitle text, .ytick text"]) {
      const boxes = [...plot.querySelectorAll(kind)].map((text) => [text.textContent, text.getBoundingClientRect()]);
      boxes.forEach(([first, a], number) => boxes.slice(number + 1).forEach(([second, b]) => {
        const apart = a.left >= b.right - 1 || b.left >= a.right - 1 || a.top >= b.bottom - 1 || b.top >= a.bottom - 1;
        if (!apart) overlaps.push(plot.id + ": " + first + " / " + second);
      }));
    }
  }
  const found = {
    problems, cut, overlaps, drawn: Number(page.dataset.figures), plots: document.querySelectorAll(".plot").length, attacked: window.attacked ?? null,
    width: page.clientWidth, overflow: page.scrollWidth - page.clientWidth,
  };
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = JSON.stringify(found);
  document.body.append(out);
}, 1500));
</script>"""


def _open(document: ReportDocument, width: int, folder: Path) -> dict[str, Any]:
    """Draw the page headless at that width; what the probe found, and what the browser logged."""
    page = folder / "report.html"
    page.write_text(render_html(document).replace("<style>", LISTEN + "<style>", 1).replace("</body>", PROBE + "</body>", 1), encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
    ]
    options += ["--disable-sync", f"--user-data-dir={folder / 'profile'}", f"--window-size={width},2000", "--hide-scrollbars", "--virtual-time-budget=10000"]
    command = [str(CHROMIUM), *options, "--enable-logging=stderr", "--v=0", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, flags=re.DOTALL)
    assert found, f"the page did not finish: {done.stderr[-2000:]}"
    logged = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return {**json.loads(unescape(found.group(1))), "logged": logged}


@pytest.mark.parametrize("width", [1400, 700])
@pytest.mark.parametrize("name", ["study", "hostile", "empty"])
def test_the_report_in_a_browser(name: str, width: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    found = _open(request.getfixturevalue(name), width, tmp_path)
    assert found["width"] == width
    assert found["drawn"] == found["plots"] == {"study": 6, "hostile": 4, "empty": 0}[name]
    assert found["problems"] == []
    assert found["logged"] == []
    assert found["attacked"] is None
    assert found["overflow"] == 0
    if name == "study":
        assert found["cut"] == []
        assert found["overlaps"] == []
