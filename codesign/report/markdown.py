"""A report as Markdown, short enough to paste into an issue."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from codesign.report.calibration import summarise
from codesign.report.cells import Cell, Column, Table
from codesign.report.document import ReportDocument
from codesign.report.formatting import PERCENT, kpi_title
from codesign.report.hardware import COUNT_NOTE, hardware_table
from codesign.report.picks import picks
from codesign.report.tables import front_table, provenance_rows
from codesign.report.verdict import verdict

MOST_ROWS = 24
KEPT_ROWS = ("Study", "Task", "Device", "Objectives", "Limits", "Search", "Designs", "Fidelities", "Time", "Commands", "Report made")


def render_markdown(document: ReportDocument) -> str:
    """The text, ending in a newline."""
    result = verdict(document)
    lines = [f"# {escaped(document.study.name)}: {escaped(document.study.task_title)} on {escaped(document.device.title)}", ""]
    lines += [f"**{escaped(result.headline)}**", "", *(f"- {escaped(sentence)}" for sentence in result.sentences), ""]
    chosen = picks(document)
    if chosen:
        lines += ["## Picks", "", *(f"- **{pick.role.capitalize()}**: `{code(pick.design.id)}`. {escaped(pick.why)}" for pick in chosen), ""]
    lines += _front(document) + _hardware(document)
    lines += _calibration(document)
    if result.actions:
        lines += ["## Next", "", *(f"- {escaped(action.text)} `{code(action.command)}`" for action in result.actions), ""]
    lines += ["## Provenance", ""]
    lines += [f"- {escaped(label)}: {'; '.join(escaped(line) for line in values)}" for label, values in provenance_rows(document) if label in KEPT_ROWS]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    flat = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]#|~])", r"\\\1", flat).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """Text inside back quotes, on one line."""
    return " ".join(text.replace("`", "'").replace("|", "/").split())


def _front(document: ReportDocument) -> list[str]:
    table = front_table(document)
    return ["## Front", "", *_shortened(table)] if table.rows else []


def _hardware(document: ReportDocument) -> list[str]:
    """RTL simulation and synthesis, once there is a result."""
    if not any(item.rtl or item.synthesis for item in document.front):
        return []
    return ["## Hardware", "", *_shortened(hardware_table(document, {})), COUNT_NOTE, ""]


def _shortened(table: Table) -> list[str]:
    shown = Table(table.columns, table.rows[:MOST_ROWS])
    more = [f"{len(table.rows) - MOST_ROWS} more designs are in the HTML report.", ""] if len(table.rows) > MOST_ROWS else []
    return [*_table(shown), "", *more]


def _table(table: Table) -> Iterable[str]:
    yield _row([_head(column) for column in table.columns])
    yield _row(["---:" if column.numeric else "---" for column in table.columns])
    for row in table.rows:
        yield _row([_cell(cell) for cell in row])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(column: Column) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    evidence = f", {column.evidence.value}" if column.evidence else ""
    return escaped(f"{column.title}{unit}{evidence}")


def _cell(cell: Cell) -> str:
    detail = f" ({cell.detail})" if cell.detail else ""
    evidence = f", {cell.evidence.value}" if cell.evidence else ""
    return escaped(f"{cell.text}{detail}{evidence}")


def _calibration(document: ReportDocument) -> list[str]:
    summaries = [summary for record in document.calibration if (summary := summarise(record)) is not None]
    if not summaries:
        return []
    told = []
    for item in summaries:
        shares = ", ".join(f"{100.0 * level.level:.0f} %: {PERCENT.text(level.observed)} ± {PERCENT.text(level.binomial_error)}" for level in item.levels)
        relative = "" if item.mape is None else f"; relative error {PERCENT.text(item.mape)}"
        told.append(
            f"- {kpi_title(item.kpi)}: {item.covered} of {item.points} measured values inside their {100.0 * item.nominal:.0f} % interval "
            f"(inside {shares}){relative}; {item.judgement}"
        )
    return ["## Predictor", "", *(escaped(line) for line in told), ""]
