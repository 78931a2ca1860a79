"""Write a report: HTML, Markdown and JSON of one document."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.errors import InputError
from codesign.report.calibration import summarise
from codesign.report.document import ReportDocument
from codesign.report.html import render_html
from codesign.report.markdown import render_markdown
from codesign.report.picks import picks
from codesign.report.verdict import verdict


@dataclass(frozen=True)
class ReportPaths:
    """The files of a report."""

    html: Path
    markdown: Path
    json: Path


def write_report(document: ReportDocument, folder: Path) -> ReportPaths:
    """Write ``report.html``, ``report.md`` and ``report.json`` into ``folder``, made when missing.

    All three are rendered before the first is written, and each file replaces its predecessor in one step: a reader
    never sees half a file.

    Raises:
        InputError: the folder cannot be made or written.
    """
    paths = ReportPaths(folder / "report.html", folder / "report.md", folder / "report.json")
    texts = {paths.html: render_html(document), paths.markdown: render_markdown(document), paths.json: render_json(document)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            replace_file(path, text)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"the report cannot be written: {reason}", where=str(folder), remedy="Free the folder for writing or choose another") from None
    return paths


def render_json(document: ReportDocument) -> str:
    """The document with what follows from it: verdict, picks and calibration figures."""
    return json.dumps(report_as_dict(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def report_as_dict(document: ReportDocument) -> dict[str, Any]:
    """`ReportDocument.as_dict` and the keys ``verdict``, ``picks`` and ``calibration_summary``."""
    summaries = [summary for record in document.calibration if (summary := summarise(record)) is not None]
    return document.as_dict() | {
        "verdict": dataclasses.asdict(verdict(document)),
        "picks": [{"role": pick.role, "id": pick.design.id, "why": pick.why} for pick in picks(document)],
        "calibration_summary": [dataclasses.asdict(summary) for summary in summaries],
    }


def replace_file(path: Path, text: str) -> None:
    """Write to a neighbour first, then rename: a reader never sees half a file.

    Raises:
        OSError: it cannot be written; the old file, if any, stays.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
