"""The streaming model against measured designs: ``codesign validate streaming``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codesign.kpi.streaming.feasibility import Obstacle
from codesign.kpi.streaming.flow import Flow
from codesign.kpi.streaming.predictions import Predictions, predict
from codesign.validation.metrics import Errors, area_under_curve, compare
from codesign.validation.parquet import write_columns
from codesign.validation.points import KPIS, MeasuredDesign

FIGURE_OF = {"latency_max": "latency", "ii_max": "interval", "lut": "lut", "ff": "ff", "dsp": "dsp", "bram18": "bram18"}


@dataclass(frozen=True)
class Predicted:
    """One design's predictions: value, low and high by KPI, and the chance that the tool fails, with the reason."""

    figures: dict[str, tuple[float, float, float]]
    failure: float
    obstacle: str


@dataclass(frozen=True)
class GroupErrors:
    """Errors of one group and stage.

    Attributes:
        rows: rows of the group.
        skipped: rows without a model by reason.
        kpis: errors by KPI.
        failures: failed syntheses among the modelled rows.
        failure_auc: chance that a failed synthesis is given a higher failure probability than one that succeeded; None
            where there are not both.
    """

    group: str
    stage: str
    rows: int
    skipped: dict[str, int]
    kpis: dict[str, Errors]
    failures: int
    failure_auc: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        kpis = {name: errors.as_dict() for name, errors in self.kpis.items()}
        feasibility = {"failed": self.failures, "auc": self.failure_auc}
        return {"group": self.group, "stage": self.stage, "rows": self.rows, "skipped": self.skipped, "kpis": kpis, "feasibility": feasibility}


def predict_designs(designs: Sequence[MeasuredDesign]) -> list[Predicted | None]:
    """Each design's predictions; None where it has no model."""
    found: list[Predicted | None] = [None] * len(designs)
    flows: dict[Flow, list[int]] = {}
    for place, design in enumerate(designs):
        if design.model is not None:
            flows.setdefault(design.flow, []).append(place)
    for flow, places in flows.items():
        models = [model for place in places if (model := designs[place].model) is not None]
        predictions = predict(models, [designs[place].build for place in places], flow)
        for row, place in enumerate(places):
            found[place] = _one(predictions, row)
    return found


def _one(predictions: Predictions, row: int) -> Predicted:
    figures = {}
    for kpi, figure in FIGURE_OF.items():
        figures[kpi] = tuple(float(values[row]) for values in (predictions.values(figure), predictions.low[figure], predictions.high[figure]))
    rows = np.flatnonzero(predictions.table.design == row)
    worst = int(rows[np.argmax(predictions.feasibility.failure[rows])]) if len(rows) else -1
    obstacle = Obstacle(int(predictions.feasibility.obstacle[worst])) if worst >= 0 else Obstacle.NONE
    return Predicted({kpi: (value, low, high) for kpi, (value, low, high) in figures.items()}, float(predictions.failure[row]), obstacle.text)


def group_errors(designs: Sequence[MeasuredDesign], predicted: Sequence[Predicted | None]) -> list[GroupErrors]:
    """Errors by group and stage, in the order of the names."""
    places: dict[tuple[str, str], list[int]] = {}
    for place, design in enumerate(designs):
        places.setdefault((design.group, design.stage), []).append(place)
    return [_errors(group, stage, [designs[i] for i in chosen], [predicted[i] for i in chosen]) for (group, stage), chosen in sorted(places.items())]


def _errors(group: str, stage: str, designs: list[MeasuredDesign], predicted: list[Predicted | None]) -> GroupErrors:
    pairs = [(design, found) for design, found in zip(designs, predicted, strict=True) if found is not None]
    kpis = {}
    for kpi in KPIS:
        rows = [(design.measured[kpi], *found.figures[kpi]) for design, found in pairs if kpi in design.measured and design.succeeded]
        errors = compare(*np.array(rows, dtype=np.float64).reshape(-1, 4).T)
        if errors is not None:
            kpis[kpi] = errors
    failed = np.array([float(not design.succeeded) for design, _ in pairs])
    return GroupErrors(
        group=group,
        stage=stage,
        rows=len(designs),
        skipped=dict(sorted(Counter(design.skipped for design in designs if design.model is None).items())),
        kpis=kpis,
        failures=int(failed.sum()),
        failure_auc=area_under_curve(np.array([found.failure for _, found in pairs]), failed),
    )


def write_predictions(path: Path, designs: Sequence[MeasuredDesign], predicted: Sequence[Predicted | None]) -> None:
    """Row-wise predictions; a skipped row has nulls and a reason.

    Raises:
        InputError: the file cannot be written.
    """
    columns: dict[str, list[Any]] = {"id": [design.id for design in designs]}
    for kpi in KPIS:
        for place, name in enumerate(("predicted", "low", "high")):
            columns[f"{kpi}_{name}"] = [None if found is None else found.figures[kpi][place] for found in predicted]
    columns["failure_probability"] = [None if found is None else found.failure for found in predicted]
    columns["failure_reason"] = [None if found is None else found.obstacle or None for found in predicted]
    columns["skipped"] = [None if found is not None else design.skipped for design, found in zip(designs, predicted, strict=True)]
    write_columns(path, columns)
