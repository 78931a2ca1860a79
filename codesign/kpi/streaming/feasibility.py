"""Whether an HLS tool ends its work on a layer at all, and what stops it.

An array of weights is partitioned, and a loop unrolled, up to a limit; beyond it the tools give up after hours. Latency
strategy partitions all weights whatever the reuse factor; Resource strategy unrolls ``ceil(products / RF)``. Calibrated on
2,099 one-layer syntheses of which 1,295 failed (wa-hls4ml, Vivado HLS 2020.1); the reasons are inferred from the sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from codesign.catalogue import Quantity, load_record, record
from codesign.kpi.streaming.hls_table import HlsTable
from codesign.kpi.streaming.matrix_vector import MatrixVector
from codesign.kpi.streaming.prices import FOLDER
from codesign.kpi.template_model import FloatArray


@record
class BuildLimits:
    """Contents of ``limits.toml``."""

    partition: Quantity
    centre: Quantity
    width: Quantity
    timeout_rate: Quantity
    timeout_size: Quantity
    timeout_width: Quantity


@cache
def build_limits() -> BuildLimits:
    """The limits."""
    return load_record(FOLDER / "limits.toml", BuildLimits)


class Obstacle(IntEnum):
    """What stops the tool."""

    NONE = 0
    PARTITION = 1
    UNROLL = 2
    TIMEOUT = 3

    @property
    def text(self) -> str:
        """For people."""
        limit = f"{build_limits().partition.value:,.0f}"
        return {
            Obstacle.NONE: "",
            Obstacle.PARTITION: f"Latency strategy partitions every weight, and the tools stop at {limit}; use Resource strategy",
            Obstacle.UNROLL: f"the multipliers side by side are more than the {limit} that the tools unroll; use a larger reuse factor",
            Obstacle.TIMEOUT: "near the partition limit some syntheses time out",
        }[self]


LIKELY, POSSIBLE = 0.5, 0.1
"""Failure probabilities from which a layer is refused, and from which a warning is due."""


@dataclass(frozen=True)
class Feasibility:
    """Attributes by row (m,).

    Attributes:
        failure: probability that the tool does not end, in [0, 1].
        obstacle: as `Obstacle`; none below a probability of 10 %.
        share: size over the size at which half fail.
    """

    failure: FloatArray
    obstacle: NDArray[np.int64]
    share: FloatArray


def feasibility(table: HlsTable, unit: MatrixVector) -> Feasibility:
    """Each row's chance to fail; rows without weights have none.

    ``logistic(log(size / centre) / width)``, and for Latency strategy a share of time-outs near the limit.
    """
    c = build_limits()
    unrolled = unit.latency_strategy
    size = np.where(unrolled, unit.products, unit.multipliers)
    size = np.where(unit.distributed, 1.0, np.maximum(size, np.maximum(unit.per_output, unit.outputs)))
    centre = c.centre.value * c.partition.value
    beyond = 1.0 / (1.0 + np.exp(-np.clip(np.log(size / centre) / c.width.value, -50.0, 50.0)))
    near = np.clip(np.log(size / c.timeout_size.value) / c.timeout_width.value, -50.0, 50.0)
    timeout = np.where(unrolled, c.timeout_rate.value / (1.0 + np.exp(-near)), 0.0)
    failure = 1.0 - (1.0 - beyond) * (1.0 - timeout)
    named = np.where(beyond >= LIKELY, np.where(unrolled, Obstacle.PARTITION, Obstacle.UNROLL), np.where(failure >= POSSIBLE, Obstacle.TIMEOUT, Obstacle.NONE))
    total, share, obstacle = np.zeros(len(table)), np.zeros(len(table)), np.zeros(len(table), dtype=np.int64)
    for chosen in (np.flatnonzero(~unit.state), np.flatnonzero(unit.state)):  # the worse of a recurrent layer's two units
        row = unit.row[chosen]
        worse = failure[chosen] > total[row]
        obstacle[row] = np.where(worse, named[chosen], obstacle[row])
        total[row] = np.maximum(total[row], failure[chosen])
        share[row] = np.maximum(share[row], size[chosen] / centre)
    return Feasibility(total, obstacle, share)
