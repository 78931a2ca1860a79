"""What is asked of an estimate, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from codesign.accelerator.device import Device
from codesign.estimate import KpiReport
from codesign.kpi.streaming.flow import Flow, slow_fabric
from codesign.kpi.streaming.hls_table import Build
from codesign.kpi.template_model import FloatArray
from codesign.network.hls_model import HlsModel, Strategy

COUNTED = ("lut", "ff", "dsp", "bram18")
"""Resources that the model counts; it uses no UltraRAM."""


@dataclass(frozen=True)
class Request:
    """What to estimate.

    Attributes:
        device: where it has to fit.
        flow: whose figures.
        io_type, strategy, reuse_factor: for layers that say nothing themselves.
        clock_mhz: clock.
        limits: usable share of a device's resources by name; 1 where not named.
    """

    device: Device
    flow: Flow
    io_type: str
    strategy: Strategy
    reuse_factor: int
    clock_mhz: float
    limits: Mapping[str, float]

    @property
    def available(self) -> FloatArray:
        """Counts that may be used, in the order of `COUNTED`."""
        return np.array([np.floor(self.device.resources[name] * self.limits.get(name, 1.0)) for name in COUNTED])

    def build(self, chosen: Mapping[str, int] | None = None) -> Build:
        """How hls4ml is told to build; ``chosen``: reuse factors by layer."""
        slow = slow_fabric(self.device.part)
        return Build(self.io_type, self.strategy, self.reuse_factor, 1000.0 / self.clock_mhz, slow, chosen=dict(chosen or {}))


@dataclass(frozen=True)
class LayerEstimate:
    """One layer: what it takes alone; zero padding in front of a convolution counts with it.

    Attributes:
        name, kind: of the layer.
        reuse_factor: as hls4ml takes it; 0 without weights.
        multipliers: products side by side.
        cycles: from its first input to its last result.
        interval: cycles between two inferences that it can begin.
        lut, ff, dsp, bram18: counts.
        failure: chance that the HLS tool does not end because of it.
        obstacle: why; empty where there is none.
    """

    name: str
    kind: str
    reuse_factor: int
    multipliers: int
    cycles: int
    interval: int
    lut: float
    ff: float
    dsp: float
    bram18: float
    failure: float
    obstacle: str


@dataclass(frozen=True)
class ModelEstimate:
    """A model built in one way.

    Attributes:
        reuse: reuse factor of each layer with weights, as hls4ml takes it.
        layers: in order, reshaping left out.
        kpis: totals with intervals.
        utilisation: share of what may be used, by resource.
        fits: every resource fits and no layer is likely to stop the tool.
        binding: the fullest resource, or the layer that stops the tool, in words.
        cautions: where the model has little or nothing to rest on, one sentence each.
    """

    reuse: dict[str, int]
    layers: tuple[LayerEstimate, ...]
    kpis: KpiReport
    utilisation: dict[str, float]
    fits: bool
    binding: str
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Advice:
    """The setting with the least latency that fits, or the one that comes closest.

    Attributes:
        estimate: the model so built.
        fits: it fits.
        optimal: no other legal setting that fits has a lower latency; proven.
        latency_bound: cycles below which no setting that fits has its latency.
    """

    estimate: ModelEstimate
    fits: bool
    optimal: bool
    latency_bound: float


@dataclass(frozen=True)
class SweepPoint:
    """One setting of a sweep.

    Attributes:
        uniform: one reuse factor asked of all layers, else the best setting for its size.
        reuse: by layer.
        latency_us: latency.
        utilisation: share of what may be used, by resource; above 1 it does not fit.
    """

    uniform: bool
    reuse: dict[str, int]
    latency_us: float
    utilisation: dict[str, float]

    @property
    def largest(self) -> float:
        """Share of the fullest resource."""
        return max(self.utilisation.values())


def with_strategy(model: HlsModel, strategy: Strategy) -> HlsModel:
    """The model with one strategy for all layers, whatever its file says."""
    return HlsModel(model.name, tuple(replace(layer, strategy=strategy) for layer in model), model.io_type, model.notes)


def with_reuse_factor(model: HlsModel, factor: int) -> HlsModel:
    """The model with one reuse factor asked of all layers, whatever its file says."""
    return HlsModel(model.name, tuple(replace(layer, reuse_factor=factor) for layer in model), model.io_type, model.notes)
