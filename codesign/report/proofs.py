"""What verification found of one design, as a report holds it: simulations against the quantised model, and synthesis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class CsimMatch:
    """C simulation of the exported project against the quantised model.

    Attributes:
        samples: held-out samples run.
        elements_exact, samples_exact: shares (0 to 1) of output elements and of samples that are equal bit for bit.
        argmax_agreement: share of samples with the same class.
        max_abs_difference: largest difference of two outputs, in units of their last place.
        first_diverging_layer: None when everything is equal.
        metric_quantised, metric_simulated: test accuracy of the Brevitas model and of the simulation, 0 to 1.
        seconds: compilation and simulation.
        level: what was simulated.
    """

    samples: int
    elements_exact: float
    samples_exact: float
    argmax_agreement: float
    max_abs_difference: float
    first_diverging_layer: str | None
    metric_quantised: float
    metric_simulated: float
    seconds: float
    level: str = "csim"

    @property
    def exact(self) -> bool:
        """Every element of every sample is equal."""
        return self.samples > 0 and self.elements_exact == 1.0 and self.max_abs_difference == 0.0


@dataclass(frozen=True)
class RtlMatch(CsimMatch):
    """RTL simulation of the priced accelerator against the quantised model, cycles counted.

    Attributes:
        cycles_predicted: by the cost model, for a memory that keeps up with the array's port as the test bench's does.
        cycles_simulated: of an inference, the most of all samples.
        changed_files: files of the project that are not as they were exported.
    """

    level: str = "rtl"
    cycles_predicted: float = 0.0
    cycles_simulated: float = 0.0
    changed_files: tuple[str, ...] = ()

    @property
    def cycles_equal(self) -> bool:
        """The model's cycles are those of the hardware."""
        return self.cycles_predicted == self.cycles_simulated


@dataclass(frozen=True)
class SynthesisFound:
    """What open tools made of the Verilog of the priced accelerator.

    Attributes:
        level: ``synth`` or ``pnr`` (placed and routed).
        resources: found by the tool, by resource.
        predicted: by the cost model alone, by resource.
        tool: programs with their versions.
        clock_mhz: at which the design was priced.
        fmax_mhz: reached after place and route; None before it.
        changed_files: files of the project that are not as they were exported.
    """

    level: str
    resources: Mapping[str, int]
    predicted: Mapping[str, float]
    tool: str
    clock_mhz: float
    fmax_mhz: float | None = None
    changed_files: tuple[str, ...] = ()

    @property
    def meets_clock(self) -> bool | None:
        """The frequency reached is at least the one priced; None before place and route."""
        return None if self.fmax_mhz is None else self.fmax_mhz >= self.clock_mhz
