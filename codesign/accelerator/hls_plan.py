"""How a network becomes an hls4ml project: the accelerator's choices layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class HlsPlan:
    """Settings of an hls4ml project.

    Attributes:
        io_type: ``io_stream`` or ``io_parallel``.
        strategy: ``latency`` or ``resource``.
        clock_mhz: target clock.
        reuse: legal reuse factor of each weighted layer by name.
    """

    io_type: str
    strategy: str
    clock_mhz: float
    reuse: Mapping[str, int]
