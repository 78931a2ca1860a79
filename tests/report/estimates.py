"""Estimates of made-up models for the tests of their page."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from codesign.accelerator.device import find_device
from codesign.estimate import Estimate, Evidence
from codesign.kpi.streaming.estimates import COUNTED, Advice, LayerEstimate, ModelEstimate, Request, SweepPoint
from codesign.kpi.streaming.flow import Flow, Stage, Tool
from codesign.network.hls_model import HlsLayer, HlsModel, Kind, Strategy
from codesign.report.estimate_page import render_estimate_page

HOSTILE = "</script><img src=x onerror=window.attacked=1><b>\"'&{{ 7*7 }}"
CAPACITY = {"lut": 53_200.0, "ff": 106_400.0, "dsp": 220.0, "bram18": 280.0}


@dataclass(frozen=True)
class Case:
    """Everything that a page is made of."""

    model: HlsModel
    request: Request
    estimate: ModelEstimate
    advice: Advice | None
    sweep: tuple[SweepPoint, ...]

    def page(self) -> str:
        """The page's text."""
        return render_estimate_page(model=self.model, request=self.request, estimate=self.estimate, advice=self.advice, sweep=self.sweep)


def make_estimate(names: list[str], factor: int, shares: dict[str, float], *, failing: str = "") -> ModelEstimate:
    """A model in which all layers have one reuse factor; latency falls with it, ``failing`` stops the tools."""
    share = 1.0 / len(names)
    layers = tuple(
        LayerEstimate(
            name=name,
            kind="dense",
            reuse_factor=factor,
            multipliers=1024 // factor,
            cycles=4 + factor,
            interval=factor,
            **{resource: shares[resource] * CAPACITY[resource] * share for resource in COUNTED},
            failure=0.9 if name == failing else 0.0,
            obstacle="too many multipliers; use a larger reuse factor" if name == failing else "",
        )
        for name in names
    )
    cycles = len(names) * (4.0 + factor)
    kpis = {
        "latency_cycles": _figure(cycles, "cycles"),
        "interval_cycles": _figure(float(factor), "cycles"),
        "latency_us": _figure(cycles / 100.0, "us"),
        "throughput_per_s": _figure(1e8 / factor, "1/s"),
        **{resource: _figure(shares[resource] * CAPACITY[resource], "count") for resource in COUNTED},
        "power_w": _figure(0.8, "W"),
        "board_power_w": _figure(2.2, "W"),
        "energy_uj": _figure(0.8 * cycles / 100.0, "uJ"),
    }
    fits = not failing and max(shares.values()) <= 1.0
    fullest = max(shares, key=lambda name: shares[name])
    return ModelEstimate(dict.fromkeys(names, factor), layers, kpis, shares, fits, f"{fullest.upper()}, {shares[fullest]:.0%} of what may be used")


def _figure(value: float, unit: str) -> Estimate:
    return Estimate.relative(value, unit, 0.3, Evidence.ANALYTIC, "streaming model")


def shares(lut: float, dsp: float) -> dict[str, float]:
    """Shares by resource; no BRAM18."""
    return {"lut": lut, "ff": lut / 3.0, "dsp": dsp, "bram18": 0.0}


def make_case(layers: int = 4, points: int = 12, *, hostile: bool = False, fits: str = "advised") -> Case:
    """A model of dense layers; ``fits``: as given, advised or never."""
    names = [f"{HOSTILE}{number}{'W' * 3000 if number == 1 else ''}" if hostile else f"dense_{number}" for number in range(layers)]
    notes = (f"Weights take 16 bits: {names[0]}.",) if hostile else ("Weights without a width take 16 bits.",)
    records = tuple(HlsLayer(name=name, kind=Kind.DENSE, inputs=(names[at - 1],) if at else (), in_c=32, out_c=32) for at, name in enumerate(names))
    model = HlsModel(HOSTILE if hostile else "jets", records, "io_parallel", notes)
    device = find_device("pynq-z2")
    request = Request(device, Flow(Tool.VITIS_HLS, Stage.POST_SYNTH), "io_parallel", Strategy.RESOURCE, 1, 100.0, {"lut": 0.7})
    given = make_estimate(names, 1, shares(0.5, 0.6) if fits == "given" else shares(2.4, 3.6), failing="" if fits == "given" else names[0])
    advised = make_estimate(names, 8, shares(4.01, 0.9) if fits == "never" else shares(0.8, 0.997))
    advice = Advice(given if fits == "given" else advised, fits != "never", fits != "never", 0.0)
    best = [_point(False, names, 2 + 3 * at, 6.0 / (1 + at)) for at in range(points)]
    uniform = [_point(True, names, 1 + 4 * at, 9.0 / (1 + at)) for at in range(points // 2)]
    return Case(model, request, given, advice, (*best, *uniform))


def _point(uniform: bool, names: list[str], factor: int, share: float) -> SweepPoint:
    reuse = {name: factor if uniform else factor + number % 3 for number, name in enumerate(names)}
    return SweepPoint(uniform, reuse, len(names) * (4.0 + factor) / 100.0, shares(share, share / 2.0))


def without_advice(case: Case) -> Case:
    """The same model as if no layer had weights."""
    return dataclasses.replace(case, advice=None, sweep=())
