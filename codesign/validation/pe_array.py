"""Presets of the shared array against published points: predictions, errors, and points that cannot be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from codesign.errors import InputError
from codesign.kpi.template_model import FloatArray
from codesign.kpi.ultratrail import ultratrail_kpis
from codesign.validation.parquet import write_columns
from codesign.validation.published_points import MEASURED, PublishedPoint, contradictions, designs_of

ULTRATRAIL = "ultratrail"
PRESETS = (ULTRATRAIL,)
COUNTS = frozenset({"cycles", "cycles_counted"})
ALL = "all points"
POSSIBLE = "published cycles possible"


@dataclass(frozen=True)
class FigureErrors:
    """Errors of one figure; shares and relative errors are fractions (0.1 = 10 %).

    Attributes:
        n: compared points.
        exact_fraction: points predicted exactly; None for figures that are no counts.
        median_ape, mape, max_ape: median, mean and largest of |predicted - published| / |published|.
        bias: mean of (predicted - published) / |published|.
    """

    n: int
    exact_fraction: float | None
    median_ape: float
    mape: float
    max_ape: float
    bias: float


@dataclass(frozen=True)
class PresetErrors:
    """Errors of a group of points by figure."""

    group: str
    points: int
    figures: dict[str, FigureErrors]

    def as_dict(self) -> dict[str, object]:
        """Plain JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Prediction:
    """Predicted figures of n points, arrays (n,)."""

    cycles: FloatArray
    area_um2: FloatArray
    power_w: FloatArray

    def figure(self, name: str) -> FloatArray:
        """The prediction of a figure of `MEASURED`."""
        return {"cycles": self.cycles, "cycles_counted": self.cycles, "area_um2": self.area_um2, "power_w": self.power_w}[name]


def check_preset(name: str) -> None:
    """Refuse a preset that no published points are known of.

    Raises:
        InputError: names the presets that can be compared.
    """
    if name not in PRESETS:
        raise InputError(f"no preset {name!r} of pe_array with published points", where="--preset", remedy=f"Choose one of {', '.join(PRESETS)}")


def predict(points: Sequence[PublishedPoint]) -> Prediction:
    """What the ``ultratrail`` preset says of the points: from their networks and arrays alone."""
    kpis = ultratrail_kpis(designs_of(points))
    return Prediction(kpis.cycles, kpis.area_um2, kpis.power_w)


def preset_errors(points: Sequence[PublishedPoint], predicted: Prediction) -> list[PresetErrors]:
    """Errors over all points, and over those whose published cycles are possible; a group without points is left out."""
    possible = np.array([not reason for reason in contradictions(points)])
    groups = ((ALL, np.ones(len(points), dtype=np.bool_)), (POSSIBLE, possible))
    return [_group(name, points, predicted, chosen) for name, chosen in groups if chosen.any()]


def _group(name: str, points: Sequence[PublishedPoint], predicted: Prediction, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> PresetErrors:
    figures = {}
    for figure in MEASURED:
        rows = [row for row in np.flatnonzero(chosen).tolist() if figure in points[row].measured]
        if rows:
            measured = np.array([points[row].measured[figure] for row in rows])
            figures[figure] = figure_errors(measured, predicted.figure(figure)[rows], counted=figure in COUNTS)
    return PresetErrors(name, int(chosen.sum()), figures)


def figure_errors(measured: FloatArray, predicted: FloatArray, *, counted: bool) -> FigureErrors:
    """Errors of predictions (n,), n >= 1; a published 0 counts as 1, which only counts can be."""
    difference = predicted - measured
    relative = difference / np.where(measured == 0.0, 1.0, np.abs(measured))
    return FigureErrors(
        n=len(measured),
        exact_fraction=float((difference == 0.0).mean()) if counted else None,
        median_ape=float(np.median(np.abs(relative))),
        mape=float(np.abs(relative).mean()),
        max_ape=float(np.abs(relative).max()),
        bias=float(relative.mean()),
    )


def write_predictions(path: Path, points: Sequence[PublishedPoint], predicted: Prediction) -> None:
    """Row-wise predictions, in the order of the points.

    Raises:
        InputError: the file cannot be written.
    """
    write_columns(
        path,
        {
            "f": [point.name for point in points],
            "cycles_predicted": predicted.cycles.astype(np.int64).tolist(),
            "area_um2_predicted": predicted.area_um2.tolist(),
            "power_w_predicted": predicted.power_w.tolist(),
        },
    )
