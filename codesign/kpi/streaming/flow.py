"""Whose figures are wanted: which tool builds the hardware, and at which stage it is counted.

An HLS tool's own estimate and the count after synthesis are different quantities of the same hardware: one structure,
coefficients of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Tool(StrEnum):
    """HLS tools that build differently."""

    VIVADO_HLS_2019 = "vivado-hls-2019"
    """At clocks of 4 ns: pipelines multipliers and selectors more deeply than at 5 ns, and pays for it in LUT."""
    VIVADO_HLS_2019_5NS = "vivado-hls-2019-5ns"
    """At slower clocks: products as in 2020, line buffers of its own."""
    VIVADO_HLS_2020 = "vivado-hls-2020"
    VITIS_HLS = "vitis-hls"


EARLY = (Tool.VIVADO_HLS_2019, Tool.VIVADO_HLS_2019_5NS)
"""Vivado HLS 2019.1."""


class Stage(StrEnum):
    """When resources are counted."""

    HLS_ESTIMATE = "hls_estimate"
    POST_SYNTH = "post_synth"


@dataclass(frozen=True)
class Flow:
    """Tool and stage."""

    tool: Tool
    stage: Stage

    def __str__(self) -> str:
        return f"{self.stage.value}, {self.tool.value}"


FIRST_VITIS = 2020.2
"""Vitis HLS replaced Vivado HLS with this release (AMD UG1391)."""
FIRST_2020 = 2019.2
"""From this release on, Vivado HLS builds as in 2020: registers between the lines of a line buffer, wider words."""


FAST_CLOCK_NS = 4.5
"""Clock period below which Vivado HLS 2019.1 is taken to build as at 4 ns (N-TORC), above as at 5 ns (18 networks' layers)."""


def tool_of(version: str, backend: str = "", clock_ns: float = 5.0) -> Tool:
    """The tool of a version such as ``2019.1`` or ``Vivado v.2019.2 (lin64)``; by hls4ml's back end where there is none."""
    found = re.search(r"(20\d\d)\.(\d)", version)
    if found is None:
        return Tool.VITIS_HLS if backend.strip().lower() == "vitis" else Tool.VIVADO_HLS_2020
    release = float(f"{found[1]}.{found[2]}")
    if release >= FIRST_VITIS:
        return Tool.VITIS_HLS
    if release >= FIRST_2020:
        return Tool.VIVADO_HLS_2020
    return Tool.VIVADO_HLS_2019 if clock_ns < FAST_CLOCK_NS else Tool.VIVADO_HLS_2019_5NS


def slow_fabric(part: str) -> bool:
    """Whether a part has 7-series fabric or slower, rather than UltraScale's; an unknown part counts as UltraScale."""
    return part != "" and re.match(r"xc(zu|ku|vu|u|k2|au|v)", part.lower()) is None
