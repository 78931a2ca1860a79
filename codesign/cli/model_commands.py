"""The command that prices a model of the user's own: estimate."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli.output import console, emit, number, say, table
from codesign.errors import InfeasibleError, InputError

if TYPE_CHECKING:
    from codesign.kpi.streaming.estimates import Advice, ModelEstimate, Request, SweepPoint
    from codesign.network.hls_model import HlsModel

STREAM, PARALLEL = "io_stream", "io_parallel"


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(estimate)


def estimate(
    model: Annotated[Path, typer.Argument(help="ONNX or QONNX file, or JSON: Keras model, hls4ml configuration with its model or layer list.")],
    device: Annotated[str, typer.Option(help="Device: see `codesign devices`.")] = "pynq-z2",
    config: Annotated[Path | None, typer.Option(help="hls4ml configuration as JSON: precision, reuse factor and strategy of layers.")] = None,
    io_type: Annotated[str | None, typer.Option(help="io_parallel or io_stream; default: the file's, else io_stream where there are maps or series.")] = None,
    strategy: Annotated[
        str | None, typer.Option(help="latency, resource or distributed_arithmetic for all layers; default: the file's, else resource.")
    ] = None,
    reuse_factor: Annotated[int | None, typer.Option(min=1, help="Reuse factor for all layers; default: the file's, else 1.")] = None,
    clock_mhz: Annotated[float | None, typer.Option(help="Clock; default: the device's.")] = None,
    stage: Annotated[str, typer.Option(help="post_synth: what synthesis leaves; hls_estimate: what the HLS tool will say.")] = "post_synth",
    tool: Annotated[str, typer.Option(help="vitis-hls, vivado-hls-2020, vivado-hls-2019-5ns or vivado-hls-2019.")] = "vitis-hls",
    limit: Annotated[list[str] | None, typer.Option(help="Share of a resource that may be used, such as lut=0.7; may be repeated.")] = None,
    sweep: Annotated[Path | None, typer.Option(help="Draw latency against resources over all legal reuse factors into this HTML file.")] = None,
) -> None:
    """Price your own model in seconds: does it fit, what binds, and which reuse factors make it fit with the least latency."""
    from codesign.kpi.streaming.estimation import Estimator
    from codesign.network.importers.read import read_model

    if sweep is not None and (sweep.is_dir() or not sweep.parent.is_dir()):
        what = "is a folder" if sweep.is_dir() else "cannot be written: there is no such folder"
        raise InputError(what, where=str(sweep), remedy="Give the name of a file in a folder that exists")
    read = read_model(model, config)
    adjusted, request = _request(read, device, io_type, strategy, reuse_factor, clock_mhz, stage, tool, limit or [])
    estimator = Estimator(adjusted, request)
    found = estimator.estimate()
    advice = estimator.advise() if estimator.weighted else None
    _print_estimate(adjusted, request, found)
    _print_advice(found, advice)
    points: tuple[SweepPoint, ...] = ()
    if sweep is not None:
        from codesign.report.estimate_page import write_estimate_page

        with console().status("solving for the best settings"):
            points = estimator.sweep()
        write_estimate_page(sweep, model=adjusted, request=request, estimate=found, advice=advice, sweep=points)
        say(f"\nlatency against resources: {sweep}")
    emit(_document(adjusted, request, found, advice, points))
    if not found.fits and (advice is None or not advice.fits):
        raise InfeasibleError(
            f"no legal reuse factors make it fit: {(advice.estimate if advice else found).binding}",
            where=str(model),
            remedy="Use a larger device, narrower types or a smaller network",
        )


def _request(
    model: HlsModel,
    device: str,
    io_type: str | None,
    strategy: str | None,
    reuse_factor: int | None,
    clock_mhz: float | None,
    stage: str,
    tool: str,
    limits: list[str],
) -> tuple[HlsModel, Request]:
    """The model with what the options override, and the request."""
    from codesign.accelerator.device import find_device
    from codesign.kpi.streaming.estimates import Request, with_reuse_factor, with_strategy
    from codesign.kpi.streaming.flow import Flow, Stage, Tool
    from codesign.network.hls_model import Strategy

    found = find_device(device)
    flow = Flow(_choice(Tool, tool, "--tool"), _choice(Stage, stage, "--stage"))
    if strategy is not None:
        names = {each.name.lower(): each for each in Strategy}
        if strategy.lower() not in names:
            raise InputError(f"unknown strategy {strategy!r}", where="--strategy", remedy=f"Choose from {', '.join(names)}")
        model = with_strategy(model, names[strategy.lower()])
    if reuse_factor is not None:
        model = with_reuse_factor(model, reuse_factor)
    clock = found.clock_mhz.value if clock_mhz is None else clock_mhz
    if not 1.0 <= clock <= found.clock_mhz.value:
        raise InputError(f"{clock:g} MHz is outside 1 to {found.clock_mhz.value:g}", where="--clock-mhz", remedy=f"Choose a clock that {found.name} reaches")
    return model, Request(
        device=found,
        flow=flow,
        io_type=_io_type(model, io_type),
        strategy=Strategy.RESOURCE,
        reuse_factor=1,
        clock_mhz=clock,
        limits=dict(_limit(each) for each in limits),
    )


def _choice(kind: Any, text: str, option: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"unknown value {text!r}", where=option, remedy=f"Choose from {', '.join(each.value for each in kind)}") from None


def _io_type(model: HlsModel, asked: str | None) -> str:
    """What was asked for, else what the file says, else io_stream where a layer with weights runs over several positions."""
    from codesign.network.hls_model import WEIGHTED

    if asked is not None and asked not in {STREAM, PARALLEL}:
        raise InputError(f"unknown io type {asked!r}", where="--io-type", remedy=f"Choose {PARALLEL} or {STREAM}")
    several = any(layer.kind in WEIGHTED and layer.out_h * layer.out_w * layer.in_w > 1 for layer in model)
    return asked or model.io_type or (STREAM if several else PARALLEL)


def _limit(text: str) -> tuple[str, float]:
    """A resource and its usable share."""
    from codesign.kpi.streaming.estimates import COUNTED

    name, _, share = text.partition("=")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if name not in COUNTED or not 0.0 < value <= 1.0:
        raise InputError(
            f"{text!r} is not a limit", where="--limit", remedy=f"Write one of {', '.join(COUNTED)}, then = and a share above 0 and up to 1, such as lut=0.7"
        )
    return name, value


def _print_estimate(model: HlsModel, request: Request, found: ModelEstimate) -> None:
    device = request.device
    say(f"{model.name}: {len(found.layers)} layers, {model.weights:,} weights, {model.macs:,} multiply-accumulates")
    say(f"{device.title}, {request.clock_mhz:g} MHz, {request.io_type}; figures: {request.flow.stage.value}, {request.flow.tool.value}")
    for note in model.notes:
        say(f"note: {note}")
    for caution in found.cautions:
        say(f"caution: {caution}")
    rows = []
    for layer in found.layers:
        cells = [
            str(layer.reuse_factor or ""),
            number(layer.cycles),
            number(round(layer.lut)),
            number(round(layer.ff)),
            number(layer.dsp),
            number(layer.bram18),
        ]
        rows.append([layer.name, layer.kind, *cells])
    table(("layer", "kind", "RF", "cycles", "LUT", "FF", "DSP", "BRAM18"), rows, left=2)
    totals = []
    for name, figure in found.kpis.items():
        share = f"{found.utilisation[name]:.0%}" if name in found.utilisation else ""
        totals.append([name, number(figure.value), f"{number(figure.low)} to {number(figure.high)}", "" if figure.unit == "count" else figure.unit, share])
    table(("figure", "value", "95 % interval", "unit", "of what may be used"), totals)
    say(f"{'fits' if found.fits else 'does not fit'}; binding: {found.binding}")
    for obstacle in dict.fromkeys(layer.obstacle for layer in found.layers if layer.obstacle):
        named = [f"{layer.name} {layer.failure:.0%}" for layer in found.layers if layer.obstacle == obstacle]
        say(f"chance that synthesis fails: {', '.join(named)}: {obstacle}")


def _print_advice(found: ModelEstimate, advice: Advice | None) -> None:
    if advice is None:
        return
    best = advice.estimate
    latency = best.kpis["latency_cycles"]
    if not advice.fits:
        say(f"\nno legal reuse factors make it fit; the closest needs {max(best.utilisation.values()):.0%} of {best.binding.split(',')[0]}")
        return
    proof = "no legal setting that fits is faster" if advice.optimal else f"no legal setting that fits is below {advice.latency_bound:,.0f}"
    say(f"\nleast latency that fits: {number(latency.value)} cycles ({number(best.kpis['latency_us'].value)} us); {proof}; binding: {best.binding}")
    rows = [[name, str(found.reuse[name]), str(factor)] for name, factor in best.reuse.items()]
    table(("layer", "RF now", "RF then"), rows)


def _document(model: HlsModel, request: Request, found: ModelEstimate, advice: Advice | None, points: tuple[SweepPoint, ...]) -> dict[str, Any]:
    return {
        "model": model.name,
        "notes": list(model.notes),
        "weights": model.weights,
        "macs": model.macs,
        "device": request.device.name,
        "clock_mhz": request.clock_mhz,
        "io_type": request.io_type,
        "stage": request.flow.stage.value,
        "tool": request.flow.tool.value,
        "limits": dict(request.limits),
        **_as_dict(found),
        "advice": None if advice is None else _advice_as_dict(advice),
        "sweep": [dataclasses.asdict(point) for point in points],
    }


def _advice_as_dict(advice: Advice) -> dict[str, Any]:
    """The advice, and the part of an hls4ml configuration that sets it."""
    settings = {"LayerName": {name: {"ReuseFactor": factor} for name, factor in advice.estimate.reuse.items()}}
    proof = {"fits": advice.fits, "optimal": advice.optimal, "latency_bound": advice.latency_bound}
    return {**proof, "hls4ml_config": settings, **_as_dict(advice.estimate)}


def _as_dict(found: ModelEstimate) -> dict[str, Any]:
    return {
        "fits": found.fits,
        "binding": found.binding,
        "cautions": list(found.cautions),
        "utilisation": found.utilisation,
        "reuse": found.reuse,
        "kpis": {name: figure.as_dict() for name, figure in found.kpis.items()},
        "layers": [dataclasses.asdict(layer) for layer in found.layers],
    }
