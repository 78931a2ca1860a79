"""The tables of a report as plain cells, for HTML and Markdown alike."""

from __future__ import annotations

from collections.abc import Sequence

from codesign.accelerator.device import RESOURCES
from codesign.estimate import Estimate
from codesign.report.calibration import CalibrationSummary, summarise
from codesign.report.cells import NOTHING, Cell, Column, Table
from codesign.report.document import FrontDesign, ReportDocument
from codesign.report.formatting import PERCENT, Scale, count, duration, kpi_scale, kpi_short, kpi_title, plural, scale_for, significant
from codesign.report.picks import roles_of
from codesign.report.verdict import limit_text, limit_uses, utilisation
from codesign.search.fidelity_counts import FidelityCount

FRONT_KPIS = ("latency_us", "interval_cycles", "energy_uj", "board_energy_uj", "power_w", *RESOURCES)


def anchor_of(document: ReportDocument, design: str) -> str:
    """Element id of a front design's details; empty for other designs."""
    return next((f"design-{number}" for number, item in enumerate(document.front, 1) if item.id == design), "")


def front_table(document: ReportDocument) -> Table:
    """The front: every figure with unit, 95 % interval and evidence."""
    front, roles = document.front, roles_of(document)
    designs = tuple(Cell(item.id, anchor=anchor_of(document, item.id), tags=roles.get(item.id, ())) for item in front)
    networks = tuple(Cell(item.design.blueprint, detail=item.design.template) for item in front)
    columns: list[tuple[Column, Sequence[Cell]]] = [
        (Column("Design", numeric=False), designs),
        (Column("Network, template", numeric=False), networks),
        estimate_column("accuracy", [item.design.kpis.get("accuracy") for item in front]),
        estimate_column("accuracy_test", [item.accuracy_test for item in front]),
        (Column("C simulation", numeric=False), tuple(_csim_verdict(item) for item in front)),
    ]
    for name in FRONT_KPIS:
        figures = [item.design.kpis.get(name) for item in front]
        if any(figures) and (name not in RESOURCES or document.device.capacities.get(name, 0) > 0):
            columns.append(estimate_column(name, figures))
    return _transposed(columns)


def estimate_column(name: str, figures: Sequence[Estimate | None]) -> tuple[Column, tuple[Cell, ...]]:
    """One figure of several designs in one unit; the evidence stands in the head where all agree."""
    present = [figure for figure in figures if figure is not None]
    scale = kpi_scale(name, [figure.value for figure in present], present[0].unit if present else "")
    kinds = {figure.evidence for figure in present}
    shared = kinds.pop() if len(kinds) == 1 else None
    return Column(kpi_short(name), scale.unit, shared), tuple(_estimate_cell(figure, scale, badge=shared is None) for figure in figures)


def _estimate_cell(figure: Estimate | None, scale: Scale, *, badge: bool) -> Cell:
    if figure is None:
        return Cell(NOTHING)
    return Cell(scale.number(figure.value), scale.interval(figure), figure.evidence if badge else None, figure.source)


def _csim_verdict(item: FrontDesign) -> Cell:
    if item.csim is None:
        return Cell("not run")
    return Cell("bit-exact", tone="good") if item.csim.exact else Cell("differs", tone="bad")


def _transposed(columns: Sequence[tuple[Column, Sequence[Cell]]]) -> Table:
    return Table(tuple(column for column, _ in columns), tuple(zip(*(cells for _, cells in columns), strict=True)))


def csim_table(document: ReportDocument) -> Table:
    """C simulation against the quantised model, point by point."""
    columns = (
        Column("Design", numeric=False),
        Column("Result", numeric=False),
        Column("Samples"),
        Column("Elements exact", "%"),
        Column("Samples exact", "%"),
        Column("Same class", "%"),
        Column("Largest difference", "last places"),
        Column("Accuracy, quantised model", "%"),
        Column("Accuracy, C simulation", "%"),
        Column("First diverging layer", numeric=False),
        Column("Time"),
    )
    return Table(columns, tuple(_csim_row(document, item) for item in document.front))


def _csim_row(document: ReportDocument, item: FrontDesign) -> tuple[Cell, ...]:
    match = item.csim
    head = (Cell(item.id, anchor=anchor_of(document, item.id)), _csim_verdict(item))
    if match is None:
        return (*head, *(Cell(NOTHING) for _ in range(9)))
    return (
        *head,
        Cell(count(match.samples)),
        Cell(_share(match.elements_exact)),
        Cell(_share(match.samples_exact)),
        Cell(_share(match.argmax_agreement)),
        Cell(significant(match.max_abs_difference)),
        Cell(PERCENT.number(match.metric_quantised)),
        Cell(PERCENT.number(match.metric_simulated)),
        Cell(match.first_diverging_layer or NOTHING),
        Cell(duration(match.seconds)),
    )


def _share(value: float) -> str:
    """Per cent that says 100 only where it is all."""
    return "100" if value == 1.0 else f"{min(100.0 * value, 99.99):.2f}"


def layer_table(item: FrontDesign) -> Table:
    """Layers of one front design in topological order."""
    columns = (
        Column("Layer", numeric=False),
        Column("Operation", numeric=False),
        Column("Output shape", numeric=False),
        Column("Weights"),
        Column("Bits, weight / activation"),
        Column("MACs"),
        Column("Cycles"),
        Column("Share of cycles", "%"),
        Column("Reuse factor"),
    )
    rows = tuple(
        (
            Cell(row.name),
            Cell(row.op),
            Cell(row.shape),
            Cell(count(row.weights) if row.weights else NOTHING),
            Cell(f"{row.weight_bits or NOTHING} / {row.activation_bits}"),
            Cell(count(row.macs) if row.macs else NOTHING),
            Cell(NOTHING if row.cycles is None else count(row.cycles)),
            Cell(NOTHING) if row.share is None else Cell(f"{100.0 * row.share:.1f}", bar=row.share),
            Cell(NOTHING if row.reuse is None else count(row.reuse)),
        )
        for row in item.layers
    )
    return Table(columns, rows)


def figure_table(document: ReportDocument, item: FrontDesign) -> Table:
    """Every figure of one design, a row each."""
    columns = (
        Column("Figure", numeric=False),
        Column("Value"),
        Column("95 % interval"),
        Column("Of the device", "%"),
        Column("Evidence", numeric=False),
        Column("Source", numeric=False),
    )
    figures = dict(item.design.kpis)
    if item.accuracy_test is not None:
        figures = (
            {"accuracy": figures.pop("accuracy"), "accuracy_test": item.accuracy_test, **figures}
            if "accuracy" in figures
            else {"accuracy_test": item.accuracy_test, **figures}
        )
    shares = utilisation(document, item.design)
    rows = []
    for name, figure in figures.items():
        scale = kpi_scale(name, [figure.value], figure.unit)
        interval = scale.interval(figure)
        share = shares.get(name)
        rows.append(
            (
                Cell(kpi_title(name)),
                Cell(scale.text(figure.value)),
                Cell(interval or "exact"),
                Cell(NOTHING) if share is None else Cell(f"{100.0 * share:.1f}", bar=min(share, 1.0)),
                Cell("", evidence=figure.evidence),
                Cell(figure.source or NOTHING),
            )
        )
    return Table(columns, tuple(rows))


def calibration_table(document: ReportDocument) -> Table:
    """Coverage at each level with its binomial error, errors and rank correlations of each predicted objective."""
    summaries = [summary for record in document.calibration if (summary := summarise(record)) is not None]
    levels = sorted({level.level for summary in summaries for level in summary.levels})
    columns = (
        Column("Figure", numeric=False),
        Column("Predictions"),
        *(Column(f"Inside the {100.0 * level:.0f} % interval", "% ± binomial error") for level in levels),
        Column("Mean absolute error"),
        Column("Mean absolute error, relative", "%"),
        Column("Spearman rank correlation"),
        Column("Kendall rank correlation"),
        Column("Negative log density"),
        Column("Judgement", numeric=False),
    )
    return Table(columns, tuple(_calibration_row(summary, levels) for summary in summaries))


def _calibration_row(summary: CalibrationSummary, levels: Sequence[float]) -> tuple[Cell, ...]:
    scale = kpi_scale(summary.kpi, [summary.mean_absolute_error], summary.unit)
    known = {level.level: level for level in summary.levels}
    coverages = []
    for level in levels:
        found = known.get(level)
        text = NOTHING if found is None else f"{100.0 * found.observed:.1f} ± {100.0 * found.binomial_error:.1f}"
        coverages.append(Cell(text, "" if found is None else f"{round(found.observed * summary.points)} of {summary.points}"))
    numbers = ((summary.spearman, ".2f"), (summary.kendall, ".2f"), (summary.nlpd, ".2f"))
    return (
        Cell(kpi_title(summary.kpi)),
        Cell(count(summary.points)),
        *coverages,
        Cell(scale.text(summary.mean_absolute_error)),
        Cell(NOTHING if summary.mape is None else f"{100.0 * summary.mape:.1f}"),
        *(Cell(NOTHING if value is None else format(value, form)) for value, form in numbers),
        Cell(summary.judgement, tone={True: "good", False: "bad", None: ""}[summary.calibrated]),
    )


def limit_table(document: ReportDocument) -> Table:
    """The study's limits and how near the front comes to them."""
    counted = any(limit.rejected is not None for limit in document.study.limits)
    columns = (Column("Limit", numeric=False), Column("Used by the front, at most", "% of the limit"), Column("By design", numeric=False))
    uses = {use.limit: use for use in limit_uses(document)}
    rows = []
    for limit in document.study.limits:
        use = uses.get(limit)
        share = Cell(NOTHING) if use is None else Cell(significant(100.0 * use.share), bar=min(use.share, 1.0))
        design = Cell(NOTHING) if use is None else Cell(use.design.id, anchor=anchor_of(document, use.design.id))
        rejected = (Cell(NOTHING if limit.rejected is None else count(limit.rejected)),) if counted else ()
        rows.append((Cell(limit_text(limit)), share, design, *rejected))
    return Table((*columns, Column("Priced designs turned away")) if counted else columns, tuple(rows))


def failure_table(document: ReportDocument) -> Table:
    """Evaluations that failed."""
    columns = (Column("Evaluation"), Column("Design", numeric=False), Column("Reason", numeric=False))
    rows = ((Cell(count(item.order)), Cell(item.id), Cell(item.failure)) for item in document.evaluated if item.failure is not None)
    return Table(columns, tuple(rows))


def provenance_rows(document: ReportDocument) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Label and lines of everything needed to run the study again."""
    study, source, counts, device = document.study, document.provenance, document.counts, document.device
    objectives = ", ".join(f"{kpi_title(item.name)} ({'maximise' if item.maximise else 'minimise'})" for item in study.objectives)
    capacities = ", ".join(f"{count(device.capacities[name])} {kpi_short(name)}" for name in RESOURCES if device.capacities.get(name, 0) > 0)
    rows: list[tuple[str, tuple[str, ...]]] = [
        ("Study", (f"{study.name}, hash {source.study_hash}, seed {source.seed}",)),
        ("Task", (f"{study.task_title} ({study.task})", f"data SHA-256 {source.data_hash}")),
        ("Device", (f"{device.title} ({device.part}), {scale_for([device.clock_mhz], 'MHz').text(device.clock_mhz)}", capacities)),
        ("Space", (f"networks {', '.join(study.blueprints)}; templates {', '.join(study.templates)}", f"{count(counts.space_size)} designs")),
        ("Objectives", (objectives,)),
        ("Limits", tuple(limit_text(limit) for limit in study.limits) or ("none",)),
        ("Search", (f"{study.strategy}, {study.initial} designs to begin with, {study.budget} {'full trainings in cost' if counts.fidelities else 'in all'}",)),
        ("Designs", (f"{count(counts.priced)} priced, {count(counts.evaluated)} evaluated, {count(counts.failed)} failed",)),
        *([("Fidelities", tuple(map(_spent, counts.fidelities)))] if counts.fidelities else []),
        ("Time", (duration(counts.seconds), *(f"{stage}: {duration(seconds)}" for stage, seconds in counts.stages.items()))),
        ("Commands", source.commands),
        ("Versions", tuple(f"{name} {version}" for name, version in source.versions.items())),
        *((label, (text,)) for label, text in source.notes.items()),
        ("Report made", (source.created,)),
    ]
    return tuple((label, tuple(line for line in lines if line)) for label, lines in rows)


def _spent(spent: FidelityCount) -> str:
    """One line about a fidelity."""
    failed = f", {count(spent.failed)} failed" if spent.failed else ""
    return f"{spent.name}: {plural(spent.done, 'evaluation')}{failed}, worth {spent.cost:.1f} full trainings, {duration(spent.seconds)} of processor time"
