"""Values that leave the program: each with its unit, its interval and its evidence.

Every figure of a report is an `Estimate`; a naked float says nothing about how far it can be trusted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Evidence(StrEnum):
    """Where a value comes from, cheapest first."""

    ANALYTIC = "analytic"
    PREDICTED = "predicted"
    SUPERNET = "supernet"
    TRAINED = "trained"
    CSIM = "csim"
    RTL_SIM = "rtl_sim"
    SYNTHESIS = "synthesis"
    PLACE_ROUTE = "place_route"
    VENDOR = "vendor"
    BOARD = "board"


@dataclass(frozen=True)
class Estimate:
    """One figure: value, unit, 95 % interval and evidence.

    Attributes:
        value: the figure, in ``unit``.
        unit: ``"us"``, ``"count"``, ``"W"``, ``"uJ"``, ``"1"`` for fractions.
        low, high: 95 % interval, ``low <= value <= high``; equal to ``value`` where the figure is exact.
        evidence: where the figure comes from.
        source: the model, tool or data behind it.

    Raises:
        ValueError: the interval does not contain the value, or a number is not finite.
    """

    value: float
    unit: str
    low: float
    high: float
    evidence: Evidence
    source: str = ""

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) for number in (self.value, self.low, self.high)):
            raise ValueError(f"estimate with a number that is not finite: {self.low}, {self.value}, {self.high}")
        if not self.low <= self.value <= self.high:
            raise ValueError(f"interval [{self.low}, {self.high}] does not contain the value {self.value}")

    @classmethod
    def exact(cls, value: float, unit: str, evidence: Evidence, source: str = "") -> Estimate:
        """A figure without uncertainty, such as a simulated count."""
        return cls(value, unit, value, value, evidence, source)

    @classmethod
    def relative(cls, value: float, unit: str, error: float, evidence: Evidence, source: str = "") -> Estimate:
        """A positive figure whose 95 % interval is a factor ``1 + error`` either way."""
        return cls(value, unit, value / (1.0 + error), value * (1.0 + error), evidence, source)

    def as_dict(self) -> dict[str, float | str]:
        """Plain JSON types."""
        return {
            "value": self.value,
            "unit": self.unit,
            "low": self.low,
            "high": self.high,
            "evidence": self.evidence.value,
            "source": self.source,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, float | str]) -> Estimate:
        """Inverse of `as_dict`."""
        return cls(
            value=float(data["value"]),
            unit=str(data["unit"]),
            low=float(data["low"]),
            high=float(data["high"]),
            evidence=Evidence(str(data["evidence"])),
            source=str(data["source"]),
        )


KpiReport = Mapping[str, Estimate]
"""The figures of one design by KPI name (`latency_us`, `lut`, `energy_uj`, ...)."""
