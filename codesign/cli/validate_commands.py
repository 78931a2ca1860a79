"""Commands that measure the models against data: validate streaming."""

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
