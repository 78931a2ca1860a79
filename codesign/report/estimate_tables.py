"""The tables of an estimate's page as plain cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from codesign.kpi.streaming.estimates import COUNTED, Advice, LayerEstimate, ModelEstimate, Request, SweepPoint
from codesign.kpi.streaming.feasibility import LIKELY, POSSIBLE
from codesign.kpi.streaming.flow import Stage, Tool
from codesign.network.hls_model import WEIGHTED, HlsModel
from codesign.report.cells import NOTHING, Cell, Column, Table
from codesign.report.estimate_figures import CELL_LENGTH, best_settings, brief, latency_scale, share_number, share_text
from codesign.report.formatting import THIN, count, kpi_scale, kpi_short, kpi_title, plural, scale_for

WIDE = 8
"""Layers up to which their reuse factors stand beside the figures of a setting."""
STAGE_WORDS = {Stage.HLS_ESTIMATE: "what the HLS tool itself estimates", Stage.POST_SYNTH: "what logic synthesis leaves"}
TOOL_WORDS = {
    Tool.VIVADO_HLS_2019: "Vivado HLS 2019.1, clocks faster than 4.5 ns",
    Tool.VIVADO_HLS_2019_5NS: "Vivado HLS 2019.1, clocks of 4.5 ns or slower",
    Tool.VIVADO_HLS_2020: "Vivado HLS 2019.2 or 2020.1",
    Tool.VITIS_HLS: "Vitis HLS",
}
MARKS = {"as given": "fastest", "advised": "lowest-energy", "closest": "lowest-energy"}
"""Roles whose colours in the style sheet the marks of a setting share, as in the figure."""


def advised_word(advice: Advice) -> str:
    """What an advice is called in heads and marks."""
    return "advised" if advice.fits else "closest"


def changes(estimate: ModelEstimate, advice: Advice | None) -> bool:
    """The advice differs from the model as given."""
    return advice is not None and advice.estimate.reuse != estimate.reuse


def totals_table(request: Request, estimate: ModelEstimate, advice: Advice | None) -> Table:
    """Totals with 95 % intervals, shares and evidence; the advised setting beside the model as given."""
    held = [("As given", estimate)]
    if advice is not None and changes(estimate, advice):
        held.append((advised_word(advice).capitalize(), advice.estimate))
    columns = [Column("Figure", numeric=False)]
    for title, _ in held:
        columns += [Column(title), Column("95 % interval"), Column("Of what may be used", "%")]
    columns += [Column("May be used"), Column("Evidence", numeric=False)]
    available = dict(zip(COUNTED, request.available, strict=True))
    rows = []
    for name, figure in estimate.kpis.items():
        cells = [Cell(_row_title(name))]
        for _, each in held:
            cells += _total_cells(name, each)
        cells += [Cell(count(available[name]) if name in available else ""), Cell("", evidence=figure.evidence, source=figure.source)]
        rows.append(tuple(cells))
    return Table(tuple(columns), tuple(rows))


def _row_title(name: str) -> str:
    return f"{kpi_title(name)}, cycles" if name == "latency_cycles" else kpi_title(name)


def _total_cells(name: str, estimate: ModelEstimate) -> tuple[Cell, Cell, Cell]:
    figure = estimate.kpis[name]
    scale = kpi_scale(name, [figure.value], figure.unit)
    share = estimate.utilisation.get(name)
    shown = Cell("") if share is None else Cell(share_number(share), bar=min(share, 1.0), tone="bad" if share > 1.0 else "")
    return Cell(scale.text(figure.value)), Cell(scale.interval(figure) or "exact"), shown


def layer_table(estimate: ModelEstimate, given: ModelEstimate | None = None, word: str = "advised") -> Table:
    """A row for each layer of ``estimate``; beside its reuse factors, headed ``word``, those ``given``, where they are others."""
    fullest = max(estimate.utilisation, key=lambda name: estimate.utilisation[name])
    noted = any(layer.failure >= POSSIBLE for layer in estimate.layers)
    columns = [
        Column("Layer", numeric=False),
        Column("Kind", numeric=False),
        *((Column("Reuse factor given"),) if given else ()),
        Column(f"Reuse factor {word}" if given else "Reuse factor"),
        Column("Multipliers"),
        Column("Cycles"),
        *(Column(kpi_short(name)) for name in COUNTED),
        *((Column("Note", numeric=False),) if noted else ()),
    ]
    most_cycles = max((layer.cycles for layer in estimate.layers), default=0)
    most = max((getattr(layer, fullest) for layer in estimate.layers), default=0.0)
    rows = []
    for layer in estimate.layers:
        before = (Cell(_factor(given.reuse.get(layer.name, 0))),) if given else ()
        counts = (Cell(count(getattr(layer, name)), bar=getattr(layer, name) / most if name == fullest and most > 0 else None) for name in COUNTED)
        rows.append(
            (
                Cell(brief(layer.name, CELL_LENGTH)),
                Cell(layer.kind.replace("_", " ")),
                *before,
                Cell(_factor(layer.reuse_factor)),
                Cell(count(layer.multipliers) if layer.multipliers else NOTHING),
                Cell(count(layer.cycles), bar=layer.cycles / most_cycles if most_cycles else None),
                *counts,
                *((_note(layer),) if noted else ()),
            )
        )
    return Table(tuple(columns), tuple(rows))


def _factor(factor: int) -> str:
    return count(factor) if factor else NOTHING


def _note(layer: LayerEstimate) -> Cell:
    """How likely the tools fail on a layer, and why."""
    if layer.failure < POSSIBLE:
        return Cell("")
    return Cell(f"{100.0 * layer.failure:.0f}{THIN}% chance that synthesis fails: {layer.obstacle}", tone="bad" if layer.failure >= LIKELY else "")


def setting_table(estimate: ModelEstimate, advice: Advice | None, sweep: Sequence[SweepPoint]) -> Table:
    """The best settings, fastest first; reuse factors of few layers beside them."""
    best, scale = best_settings(sweep, advice), latency_scale(sweep, estimate)
    layers = tuple(estimate.reuse) if len(estimate.reuse) <= WIDE else ()
    columns = (
        Column("Setting", numeric=False),
        Column("Latency", scale.unit),
        *(Column(kpi_short(name), "%") for name in COUNTED),
        Column("Fits", numeric=False),
        *(Column(f"RF of {brief(layer)}") for layer in layers),
    )
    rows = []
    for number, point in enumerate(best, 1):
        shares = (Cell(share_number(point.utilisation[name]), tone="bad" if point.utilisation[name] > 1.0 else "") for name in COUNTED)
        fits = Cell("fits", tone="good") if point.largest <= 1.0 else Cell("does not fit", tone="bad")
        factors = (Cell(_factor(point.reuse[layer])) for layer in layers)
        rows.append((Cell(str(number), tags=_marks(point, estimate, advice)), Cell(scale.number(point.latency_us)), *shares, fits, *factors))
    return Table(columns, tuple(rows))


def _marks(point: SweepPoint, estimate: ModelEstimate, advice: Advice | None) -> tuple[str, ...]:
    marks = ["as given"] if point.reuse == estimate.reuse else []
    if advice is not None and point.reuse == advice.estimate.reuse:
        marks.append(advised_word(advice))
    return tuple(marks)


def factor_table(estimate: ModelEstimate, advice: Advice | None, sweep: Sequence[SweepPoint]) -> Table | None:
    """Reuse factors of many layers, a column for each best setting; None where the settings' own table holds them."""
    best, scale = best_settings(sweep, advice), latency_scale(sweep, estimate)
    if len(estimate.reuse) <= WIDE or not best:
        return None
    heads = [Column(f"{number}: {scale.text(point.latency_us)}") for number, point in enumerate(best, 1)]
    rows = tuple((Cell(brief(layer, CELL_LENGTH)), *(Cell(_factor(point.reuse[layer])) for point in best)) for layer in estimate.reuse)
    return Table((Column("Layer", numeric=False), *heads), rows)


def provenance(model: HlsModel, request: Request, estimate: ModelEstimate) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Label and lines of everything that the figures rest on."""
    device, flow = request.device, request.flow
    usable = [
        f"{count(each)} {kpi_short(name)}" + (f" (limit {share_text(request.limits[name])})" if name in request.limits else "")
        for name, each in zip(COUNTED, request.available, strict=True)
    ]
    strategies = Counter(request.strategy if layer.strategy is None else layer.strategy for layer in model if layer.kind in WEIGHTED)
    built = [f"{strategy.name.replace('_', ' ').lower()}: {plural(number, 'layer')}" for strategy, number in sorted(strategies.items())]
    factors = sorted(set(estimate.reuse.values()))
    return (
        ("Model", (model.name, f"{plural(len(model), 'layer')}, {count(model.weights)} weights, {count(model.macs)} multiply-accumulates")),
        ("Device", (f"{device.title} ({device.part})", f"may be used: {', '.join(usable)}")),
        ("Clock", (f"{request.clock_mhz:g}{THIN}MHz, {1000.0 / request.clock_mhz:.4g}{THIN}ns",)),
        ("Figures of", (f"{TOOL_WORDS[flow.tool]} ({flow.tool.value}); {STAGE_WORDS[flow.stage]} ({flow.stage.value})",)),
        ("Between layers", (request.io_type,)),
        ("Strategies", tuple(built) or ("no layer has weights",)),
        ("Reuse factors given", (_range(factors),)),
    )


def _range(factors: Sequence[int]) -> str:
    if not factors:
        return "none"
    return count(factors[0]) if len(factors) == 1 else f"{count(factors[0])} to {count(factors[-1])}"


def card_rows(estimate: ModelEstimate) -> tuple[tuple[str, Cell], ...]:
    """Main figures of one setting with interval and evidence."""
    rows = []
    for name in ("latency_us", "throughput_per_s", "power_w", "energy_uj"):
        figure = estimate.kpis[name]
        scale = scale_for([figure.value], figure.unit)
        rows.append((kpi_title(name), Cell(scale.text(figure.value), scale.interval(figure) or "exact", figure.evidence, figure.source)))
    return tuple(rows)
