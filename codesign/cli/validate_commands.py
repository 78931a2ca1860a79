"""Commands that measure the models against data: validate streaming, validate pe_array."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codesign.cli.output import emit, say, table

validate = typer.Typer(name="validate", help="Errors of the cost models against measured data.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(validate)


@validate.command()
def streaming(
    data: Annotated[Path, typer.Option("--data", help="Table of measured hls4ml designs (Parquet).")],
    out: Annotated[Path | None, typer.Option("--out", help="Row-wise predictions (Parquet).")] = None,
) -> None:
    """The streaming model against measured hls4ml designs, by group and stage. Nothing is fitted to the data."""
    from codesign.validation.points import KPIS, read_designs
    from codesign.validation.streaming import group_errors, predict_designs, write_predictions

    designs = read_designs(data)
    predicted = predict_designs(designs)
    if out is not None:
        write_predictions(out, designs, predicted)
    groups = group_errors(designs, predicted)
    rows = []
    for group in groups:
        for kpi in KPIS:
            if kpi in group.kpis:
                errors = group.kpis[kpi]
                shares = (errors.exact_fraction, errors.median_ape, errors.smape, errors.coverage_95)
                rows.append([group.group, group.stage, kpi, str(errors.n), *(f"{share:.1%}" for share in shares)])
    table(("group", "stage", "figure", "rows", "exact", "median APE", "SMAPE", "in 95 %"), rows, left=3)
    for group in groups:
        for reason, count in group.skipped.items():
            say(f"{group.group}, {group.stage}: {count} rows skipped: {reason}")
        if group.failure_auc is not None:
            say(f"{group.group}, {group.stage}: {group.failures} failed syntheses, area under the curve {group.failure_auc:.3f}")
    if out is not None:
        say(f"predictions: {out}")
    emit({"unit": "fractions, not per cent", "groups": [group.as_dict() for group in groups]})


@validate.command("pe_array")
def pe_array(
    data: Annotated[Path, typer.Option("--data", help="Published points of the preset (JSON).")],
    preset: Annotated[str, typer.Option("--preset", help="Which preset of the template.")] = "ultratrail",
    out: Annotated[Path | None, typer.Option("--out", help="Row-wise predictions (Parquet).")] = None,
) -> None:
    """A preset of the shared array against published points. Nothing is fitted to the data.

    The prices of area and power in `ultratrail` come from the points that were published with HANNAH; on those the errors
    are of the fit. docs/validation-ultratrail.md has them for points left out.
    """
    from codesign.validation.pe_array import check_preset, predict, preset_errors, write_predictions
    from codesign.validation.published_points import contradictions, read_points

    check_preset(preset)
    found = read_points(data)
    predicted, reasons = predict(found.points), contradictions(found.points)
    if out is not None:
        write_predictions(out, found.points, predicted)
    groups = preset_errors(found.points, predicted)
    rows = []
    for group in groups:
        for figure, errors in group.figures.items():
            exact = "" if errors.exact_fraction is None else f"{errors.exact_fraction:.1%}"
            shares = (errors.median_ape, errors.mape, errors.max_ape)
            rows.append([group.group, figure, str(errors.n), exact, *(f"{share:.1%}" for share in shares), f"{errors.bias:+.1%}"])
    table(("group", "figure", "points", "exact", "median APE", "MAPE", "largest", "bias"), rows, left=2)
    contradicted = [
        {"f": point.name, "published": point.measured["cycles"], "counted": cycles, "reason": reason}
        for point, cycles, reason in zip(found.points, predicted.cycles.tolist(), reasons, strict=True)
        if reason
    ]
    for entry in contradicted:
        say(f"{entry['f']}: the published figure is impossible: {entry['reason']}; counted {entry['counted']:,.0f}")
    if found.unread:
        say(f"{data}: keys that nothing reads: {', '.join(map(repr, found.unread))}")
    if out is not None:
        say(f"predictions: {out}")
    emit({"preset": preset, "unit": "fractions, not per cent", "groups": [group.as_dict() for group in groups], "contradicted": contradicted})
