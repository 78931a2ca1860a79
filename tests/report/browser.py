"""A page in a headless browser, and what is wrong with it there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (found := shutil.which(name))), None)
CHROMIUM = os.environ.get("CODESIGN_CHROMIUM", CHROMIUM)

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


def open_page(text: str, width: int, folder: Path) -> dict[str, Any]:
    """Draw the page headless at that width; what the probe found, and what the browser logged."""
    page = folder / "page.html"
    page.write_text(text.replace("<style>", LISTEN + "<style>", 1).replace("</body>", PROBE + "</body>", 1), encoding="utf-8")
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
