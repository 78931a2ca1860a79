"""Key figures corrected by evidence: the analytical value is the prior, a Gaussian process learns log(evidence / prior).

A figure that may be 0 (counts, bytes) is modelled as log(value + 1). Each key figure learns from its own evidence alone:
a measured latency moves neither the throughput nor the energy. The physical features stay the analytical ones.

Notation: ``n`` designs, ``e`` designs with evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.device import RESOURCES
from codesign.estimate import Estimate, Evidence
from codesign.kpi.evaluate import KPI_UNITS, KpiTable, price
from codesign.kpi.joint_space import JointSpace
from codesign.space.design_space import DesignPoint, Indices
from codesign.surrogate.encoding import Encoding

if TYPE_CHECKING:
    from codesign.surrogate.prior import Designs

FloatArray = NDArray[np.float64]

NORMAL_95 = 1.96
"""Half width of a 95 % interval in standard deviations."""
UNITS_WITH_ZERO = ("count", "B")
CHUNK = 4000
"""Designs predicted together."""
SAME = 1e-9
"""Relative difference that rounding alone makes."""


def log_offset(kpi: str) -> float:
    """What is added before the logarithm: 1 for figures that may be 0."""
    return 1.0 if KPI_UNITS[kpi] in UNITS_WITH_ZERO else 0.0


def analytical_error(table: KpiTable, kpi: str) -> FloatArray:
    """One standard deviation (n,) of an analytical figure, relative to value + offset."""
    value = table.values[kpi]
    return table.relative_error[kpi] / NORMAL_95 * (value / (value + log_offset(kpi)))


def confirmed(joint: JointSpace, points: Sequence[DesignPoint], kpi: str, values: Sequence[float]) -> bool:
    """Whether every measured value is the analytical one.

    Then there is nothing to learn, and the formula's own interval is the better one: a process of residuals that are all
    zero has no scale, and would make an exact figure uncertain.
    """
    analytical = price(joint, joint.space.indices(points)).values[kpi] + log_offset(kpi)
    return bool(np.allclose(np.asarray(values) + log_offset(kpi), analytical, rtol=SAME, atol=0.0))


@dataclass(frozen=True)
class Learned:
    """Corrected figures of n designs.

    Attributes:
        value, low, high: (n,) natural units, with the 95 % interval of one more measurement.
        error: (n,) one standard deviation, relative to value + offset.
    """

    value: FloatArray
    low: FloatArray
    high: FloatArray
    error: FloatArray


class Correction:
    """What the evidence says of one key figure.

    Args:
        joint: the space of the designs.
        points: e designs, at least `MIN_EVIDENCE` of `codesign.surrogate.prior`.
        kpi: name of the key figure.
        values: (e,) measured, in its unit. The order of the rows does not matter.
    """

    def __init__(self, joint: JointSpace, points: Sequence[DesignPoint], kpi: str, values: Sequence[float]) -> None:
        from codesign.surrogate.prior import Predictor
        from codesign.surrogate.threads import single_thread

        ordered = sorted(zip(points, values, strict=True), key=lambda item: (item[0].id, item[1]))
        self.kpi, self.offset = kpi, log_offset(kpi)
        self.ids = tuple(point.id for point, _ in ordered)
        self.measured: FloatArray = np.array([value for _, value in ordered], dtype=np.float64)
        indices = joint.space.indices(point for point, _ in ordered)
        with single_thread():
            designs = self._designs(indices, price(joint, indices))
            self._predictor = Predictor(Encoding.build(joint.space), designs, self.measured + self.offset, log=True)

    def _designs(self, indices: Indices, table: KpiTable) -> Designs:
        from codesign.surrogate.prior import Designs

        return Designs(indices, table.features, table.values[self.kpi] + self.offset, analytical_error(table, self.kpi))

    @property
    def source(self) -> str:
        """What stands behind a corrected figure."""
        return f"Gaussian process on {len(self.ids)} results, mean: {self._predictor.mean}"

    def predict(self, indices: Indices, table: KpiTable) -> Learned:
        """Corrected figures of designs (n x d) with their analytical table."""
        from codesign.surrogate.threads import single_thread

        designs = self._designs(indices, table)
        mean, std = np.empty(len(indices)), np.empty(len(indices))
        with single_thread():
            for begin in range(0, len(indices), CHUNK):
                part = slice(begin, begin + CHUNK)
                prediction = self._predictor.predict(designs.rows(np.arange(len(indices))[part]), noise=True)
                mean[part], std[part] = prediction.mean, prediction.std
        return self._natural(mean, std)

    def _natural(self, mean: FloatArray, std: FloatArray) -> Learned:
        """From log(value + offset) to the unit of the figure; counts end at 0."""
        shifts = (0.0, -NORMAL_95, NORMAL_95)
        value, low, high = (np.exp(mean + shift * std) - self.offset for shift in shifts)
        if self.offset:
            value, low, high = (np.maximum(bound, 0.0) for bound in (value, low, high))
        return Learned(value, low, high, np.expm1(std))

    @cached_property
    def left_out(self) -> Learned | None:
        """Each of the e designs predicted from all the others (closed-form leave-one-out), in the order of `ids`."""
        left = self._predictor.leave_one_out()
        return None if left is None else self._natural(left.mean, left.std)

    def estimates(self, learned: Learned) -> list[Estimate]:
        """Corrected figures as they leave the program."""
        columns = zip(learned.value.tolist(), learned.low.tolist(), learned.high.tolist(), strict=True)
        return [Estimate(value, KPI_UNITS[self.kpi], low, high, Evidence.PREDICTED, self.source) for value, low, high in columns]


def corrected(table: KpiTable, joint: JointSpace, learned: dict[str, Learned]) -> KpiTable:
    """The table with corrected figures, and the utilisation of the device that follows from them; its errors stay the analytical ones."""
    values = table.values | {kpi: figures.value for kpi, figures in learned.items()}
    capacities = joint.device.resources
    changed = [name for name in RESOURCES if name in learned and capacities[name] > 0]
    return replace(table, values=values, reasons=table.reasons | {name: values[name] / capacities[name] for name in changed})
