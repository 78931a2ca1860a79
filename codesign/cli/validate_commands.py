"""Commands that measure the models against data: validate streaming, pe_array, predictor, transfer."""

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


@validate.command()
def transfer(
    data: Annotated[Path, typer.Option("--data", help="Latencies of designs on several devices (Parquet).")],
    source: Annotated[str, typer.Option("--source", help="Source devices, separated by commas; all: every other one.")],
    target: Annotated[str, typer.Option("--target", help="The new device.")],
    n: Annotated[str, typer.Option("--n", help="Numbers of measurements on the new device, separated by commas.")] = "0,3,5,10,20,50",
    seeds: Annotated[int, typer.Option("--seeds", help="Choices of the measured designs.")] = 5,
    out: Annotated[Path | None, typer.Option("--out", help="Row-wise predictions (Parquet).")] = None,
) -> None:
    """A new device learned from others and from few measurements, judged on the designs that were not measured.

    The table has columns x_<name> (with the metadata 'kinds') and lat_<device> or y_latency_<device>, or it has a row per
    network and accelerator with layer_json and latency_ms. Which designs are measured is chosen by the method.
    """
    from codesign.validation.transfer import parse_counts, validate_transfer, write_predictions
    from codesign.validation.transfer_table import read_measurements

    counts = parse_counts(n)
    measurements = read_measurements(data, [name.strip() for name in source.split(",") if name.strip()], target.strip())
    result = validate_transfer(measurements, counts, seeds)
    if out is not None:
        write_predictions(out, result)
    rows = []
    for means in result.means():
        ranks = [_spread(means.mean[name], means.std[name], "{:.3f}") for name in ("spearman", "kendall")]
        shares = [_spread(means.mean[name], means.std[name], "{:.1%}") for name in ("mape", "coverage_50", "coverage_90", "coverage_95")]
        rows.append([measurements.target, str(means.n), *ranks, *shares])
    table(("target", "measured", "Spearman", "Kendall", "MAPE", "in 50 %", "in 90 %", "in 95 %"), rows)
    say(f"mean ± standard deviation over {seeds} choices; sources: {', '.join(measurements.sources)}; {len(measurements.values)} designs")
    if measurements.left_out:
        say(f"{measurements.left_out} rows left out: not measured on each of these devices")
    if out is not None:
        say(f"predictions: {out}")
    document = {"unit": "fractions, not per cent", "target": measurements.target, "sources": list(measurements.sources)}
    emit(document | {"rows": len(measurements.values), "left_out": measurements.left_out} | result.as_dict())


def _spread(mean: float | None, std: float | None, form: str) -> str:
    return "" if mean is None or std is None else f"{form.format(mean)} ± {form.format(std)}"


@validate.command()
def predictor(
    train: Annotated[Path, typer.Option("--train", help="Table of measured accelerators to learn from (Parquet).")],
    test: Annotated[Path, typer.Option("--test", help="Table to predict; the same file: split by layer.")],
    target: Annotated[str, typer.Option("--target", help="Column to predict.")] = "cycles",
    group: Annotated[str, typer.Option("--group", help="Group of rows.")] = "dosa-gemmini-rtl",
    number: Annotated[int, typer.Option("--n", help="Training rows, drawn at random.")] = 100,
    seeds: Annotated[int, typer.Option("--seeds", help="Draws.")] = 5,
    out: Annotated[Path | None, typer.Option("--out", help="Row-wise predictions (Parquet).")] = None,
) -> None:
    """The search's predictor, trained on few measured rows, against the others."""
    from codesign.validation.predictor import validate_predictor, write_predictions

    found = validate_predictor(train, test, target=target, group=group, number=number, seeds=seeds)
    if out is not None:
        write_predictions(out, found)
    entries = [(str(entry.seed), entry.as_dict()) for entry in found.seeds] + [("mean", found.mean())]
    rows = []
    for name, entry in entries:
        ranks = ["" if entry[key] is None else f"{entry[key]:.3f}" for key in ("spearman", "kendall")]
        shares = [f"{share:.1%}" for share in entry["coverage"].values()]
        rows.append([name, f"{entry['mape']:.1%}", f"{entry['median_ape']:.1%}", *ranks, f"{entry['nlpd']:.2f}", *shares])
    table(("seed", "MAPE", "median APE", "Spearman", "Kendall", "NLPD", "in 50 %", "in 90 %", "in 95 %"), rows, left=1)
    say(f"{group}, {target}: {number} training rows, {found.test_rows} predicted; {found.split}; features: {found.features}")
    if found.prior_mape is not None:
        say(f"the prior alone: MAPE {found.prior_mape:.1%}")
    if found.shared:
        say(f"{found.shared} layers or workloads are in both files")
    if out is not None:
        say(f"predictions: {out}")
    emit(found.as_dict())
