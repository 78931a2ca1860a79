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
    VIVADO_HLS_2020 = "vivado-hls-2020"
    VITIS_HLS = "vitis-hls"


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


def tool_of(version: str, backend: str = "") -> Tool:
    """The tool of a version such as ``2019.1`` or ``Vivado v.2019.2 (lin64)``; by hls4ml's back end where there is none."""
    found = re.search(r"(20\d\d)\.(\d)", version)
    if found is None:
        return Tool.VITIS_HLS if backend.strip().lower() == "vitis" else Tool.VIVADO_HLS_2020
    release = float(f"{found[1]}.{found[2]}")
    if release >= FIRST_VITIS:
        return Tool.VITIS_HLS
    return Tool.VIVADO_HLS_2020 if release >= FIRST_2020 else Tool.VIVADO_HLS_2019


def slow_fabric(part: str) -> bool:
    """Whether a part has 7-series fabric or slower, rather than UltraScale's; an unknown part counts as UltraScale."""
    return part != "" and re.match(r"xc(zu|ku|vu|u|k2|au|v)", part.lower()) is None
