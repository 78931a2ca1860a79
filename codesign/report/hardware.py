"""The hardware of the priced accelerators in a report: what their RTL computes, in how many cycles, on how much of a device."""

from __future__ import annotations

from codesign.accelerator.device import RESOURCES
from codesign.estimate import Evidence
from codesign.report.cells import NOTHING, Cell, Column, Table
from codesign.report.document import FrontDesign, ReportDocument
from codesign.report.formatting import THIN, count, kpi_short, significant
from codesign.report.proofs import RtlMatch, SynthesisFound

COUNTED = tuple(name for name in RESOURCES if name != "uram")
EVIDENCE = {"synth": Evidence.SYNTHESIS, "pnr": Evidence.PLACE_ROUTE}
COUNT_NOTE = (
    "Counts are those of the open tool that is named, not the vendor's: Yosys puts no two small functions into one LUT6, as Vivado may, and optimises less. "
    "Under each count stands what the cost model alone predicts, and its error in per cent of the count. A frequency is that of nextpnr on an ECP5 of the "
    "slowest speed grade."
)


def has_verilog(document: ReportDocument, item: FrontDesign) -> bool:
    """Whether the project of a design holds Verilog of the accelerator that was priced."""
    return item.design.template in document.study.verilog_templates


def hardware_designs(document: ReportDocument) -> tuple[FrontDesign, ...]:
    """Front designs whose hardware can be verified, or was."""
    return tuple(item for item in document.front if has_verilog(document, item) or item.rtl or item.synthesis)


def hardware_table(document: ReportDocument, anchors: dict[str, str]) -> Table:
    """RTL simulation and synthesis of the front's own hardware, a row a design; no row where the study has no such hardware.

    Args:
        document: the report.
        anchors: element of the page by design.
    """
    columns = (
        Column("Design", numeric=False),
        Column("RTL simulation", numeric=False),
        Column("Cycles, predicted", evidence=Evidence.ANALYTIC),
        Column("Cycles, simulated", evidence=Evidence.RTL_SIM),
        *(Column(kpi_short(name)) for name in COUNTED),
        Column("Frequency", "MHz"),
        Column("Tool", numeric=False),
    )
    return Table(columns, tuple(_row(item, anchors.get(item.id, "")) for item in hardware_designs(document)))


def _row(item: FrontDesign, anchor: str) -> tuple[Cell, ...]:
    rtl, synthesis = item.rtl, item.synthesis
    counts = [Cell(NOTHING) if synthesis is None else _count(synthesis, name) for name in COUNTED]
    tool = Cell("not synthesised") if synthesis is None else Cell(synthesis.tool, _changed(synthesis.changed_files), EVIDENCE.get(synthesis.level))
    return (Cell(item.id, anchor=anchor), rtl_verdict(item), *_cycles(rtl), *counts, _frequency(synthesis), tool)


def rtl_verdict(item: FrontDesign) -> Cell:
    """What the RTL simulation of a design says, in a word or two."""
    if item.rtl is None:
        return Cell("not run")
    detail = _changed(item.rtl.changed_files) or f"{count(item.rtl.samples)} samples"
    if not item.rtl.exact:
        return Cell("differs", f"first at layer {item.rtl.first_diverging_layer or 'unknown'}; {detail}", tone="bad")
    return Cell("bit-exact", detail, tone="good")


def _cycles(rtl: RtlMatch | None) -> tuple[Cell, Cell]:
    if rtl is None:
        return Cell(NOTHING), Cell(NOTHING)
    detail = "as predicted" if rtl.cycles_equal else f"{_signed(100.0 * (rtl.cycles_predicted / rtl.cycles_simulated - 1.0))} predicted"
    return (
        Cell(count(rtl.cycles_predicted)),
        Cell(count(rtl.cycles_simulated), detail, tone="good" if rtl.cycles_equal else "bad"),
    )


def _count(synthesis: SynthesisFound, name: str) -> Cell:
    """Count of the tool; under it the prediction with its error."""
    found, predicted = synthesis.resources.get(name), synthesis.predicted.get(name)
    if found is None or predicted is None:
        return Cell(NOTHING)
    error = _signed(100.0 * (predicted / found - 1.0)) if found else "none found"
    return Cell(count(found), f"{count(predicted)}, {'exact' if predicted == found else error}", source=synthesis.tool)


def _signed(percent: float) -> str:
    """A relative error in per cent with its sign."""
    return f"{'+' if percent > 0 else ''}{significant(percent, 2)}{THIN}%"


def _frequency(synthesis: SynthesisFound | None) -> Cell:
    if synthesis is None or synthesis.fmax_mhz is None:
        return Cell(NOTHING)
    detail = f"{'meets' if synthesis.meets_clock else 'misses'} {synthesis.clock_mhz:g}{THIN}MHz"
    return Cell(significant(synthesis.fmax_mhz), detail, source=synthesis.tool, tone="good" if synthesis.meets_clock else "bad")


def _changed(files: tuple[str, ...]) -> str:
    return f"changed since the export: {', '.join(files)}" if files else ""


def hardware_line(document: ReportDocument, item: FrontDesign) -> str:
    """One line on a design's own hardware; empty where its template has none."""
    parts = []
    if item.rtl is not None:
        equal = "as predicted" if item.rtl.cycles_equal else f"{count(item.rtl.cycles_predicted)} predicted"
        exact = "bit-exact" if item.rtl.exact else "differs from the quantised model"
        parts.append(f"RTL simulation: {exact}, {count(item.rtl.cycles_simulated)} cycles, {equal}.")
    elif has_verilog(document, item):
        parts.append("RTL simulation has not run.")
    if (found := item.synthesis) is not None:
        reached = "" if found.fmax_mhz is None else f"; {significant(found.fmax_mhz)}{THIN}MHz, priced at {found.clock_mhz:g}{THIN}MHz"
        counts = ", ".join(f"{count(found.resources[name])} {kpi_short(name)}" for name in COUNTED if name in found.resources)
        parts.append(f"{found.tool}: {counts}{reached}.")
    return " ".join(parts)
