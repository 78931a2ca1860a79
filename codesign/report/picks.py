"""The designs of a front that answer the usual questions: most accurate, fastest, lowest energy, best compromise.

.. [Wierzbicki1980] A. Wierzbicki, "The use of reference objectives in multiobjective optimization", in: Multiple
   Criteria Decision Making Theory and Application, Springer (1980) 468-486.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.report.document import FrontDesign, ReportDocument
from codesign.report.formatting import THIN, inside, kpi_scale, kpi_title, names

MOST_ACCURATE, FASTEST, LOWEST_ENERGY, KNEE = "most accurate", "fastest", "lowest energy", "knee"
ROLES = (MOST_ACCURATE, FASTEST, LOWEST_ENERGY, KNEE)
KNEE_DEFINITION = (
    "The knee is the most even compromise: each objective is scaled from 0 (worst of the front) to 1 (best), costs on a logarithmic scale, "
    "and the design wins whose smallest value is the largest."
)
_EXTREMES = ((MOST_ACCURATE, "accuracy", True), (FASTEST, "latency_us", False), (LOWEST_ENERGY, "energy_uj", False))


@dataclass(frozen=True)
class Pick:
    """A recommended design.

    Attributes:
        role: one of `ROLES`.
        why: one sentence.
    """

    role: str
    design: FrontDesign
    why: str


def picks(document: ReportDocument) -> tuple[Pick, ...]:
    """One design for each role that the front can fill, in the order of `ROLES`; a design may hold several roles.

    Picks use the validation accuracy: choosing by test accuracy would spoil the test split.
    """
    found = [_extreme(document, role, kpi, maximise) for role, kpi, maximise in _EXTREMES]
    return tuple(pick for pick in (*found, _knee(document)) if pick is not None)


def roles_of(document: ReportDocument) -> dict[str, tuple[str, ...]]:
    """Roles by design id."""
    result: dict[str, tuple[str, ...]] = {}
    for pick in picks(document):
        result[pick.design.id] = (*result.get(pick.design.id, ()), pick.role)
    return result


def _extreme(document: ReportDocument, role: str, kpi: str, maximise: bool) -> Pick | None:
    """The best front design in one figure; ties go to the smaller rank sum of the other extremes, then to the id."""
    candidates = [item for item in document.front if kpi in item.design.kpis]
    if not candidates:
        return None

    def order(item: FrontDesign) -> tuple[float, float, float, str]:
        sign = -1.0 if maximise else 1.0
        others = [_cost(item, other, larger) for _, other, larger in _EXTREMES if other != kpi]
        return (sign * item.design.kpis[kpi].value, *others, item.id)  # type: ignore[return-value]  # always two others

    best = min(candidates, key=order)
    value = best.design.kpis[kpi].value
    scale = kpi_scale(kpi, [value], best.design.kpis[kpi].unit)
    word = "highest" if maximise else "lowest"
    why = f"Has the {word} {inside(kpi_title(kpi))} of the front, {scale.text(value)}"
    return Pick(role, best, f"{why}{_price(best, candidates, kpi)}.")


def _cost(item: FrontDesign, kpi: str, maximise: bool) -> float:
    figure = item.design.kpis.get(kpi)
    if figure is None:
        return math.inf
    return -figure.value if maximise else figure.value


def _price(best: FrontDesign, candidates: list[FrontDesign], kpi: str) -> str:
    """What the extreme costs against the other end of the front, as a clause; empty where there is nothing to compare."""
    if len(candidates) < 2:
        return ""
    if kpi == "accuracy":
        costs = [name for name in ("latency_us", "energy_uj") if all(name in item.design.kpis for item in candidates)]
        clauses = []
        for name in costs:
            least = min(item.design.kpis[name].value for item in candidates)
            own = best.design.kpis[name].value
            if least > 0 and own > least:
                clauses.append(f"{own / least:.3g} times the lowest {inside(kpi_title(name))}")
        return f", at {names(clauses)}" if clauses else ""
    if not all("accuracy" in item.design.kpis for item in candidates):
        return ""
    loss = 100.0 * (max(item.design.kpis["accuracy"].value for item in candidates) - best.design.kpis["accuracy"].value)
    return f", {loss:.1f} percentage points of validation accuracy below the best" if loss > 0 else ", and no accuracy is lost"


def _knee(document: ReportDocument) -> Pick | None:
    """The design nearest to the ideal in the Chebyshev norm of the normalised gains [Wierzbicki1980]_; ties go to the larger sum.

    Two objectives that say the same, such as the latency and the energy of one accelerator, count once in this norm.
    """
    if len(document.front) < 3:
        return None
    gains = normalised_gains(document)
    if gains.shape[1] < 2:
        return None
    smallest, total = gains.min(axis=1), gains.sum(axis=1)
    best = max(range(len(gains)), key=lambda row: (smallest[row], total[row]))
    parts = [f"{100.0 * gain:.0f}{THIN}% in {inside(kpi_title(name))}" for gain, (name, _) in zip(gains[best], _varying_objectives(document), strict=True)]
    return Pick(KNEE, document.front[best], f"The most even compromise: of the way from the front's worst to its best, it goes {names(parts)}.")


def normalised_gains(document: ReportDocument) -> NDArray[np.float64]:
    """Front objectives scaled to 0 (worst of the front) .. 1 (best), costs as logarithms; n x m, constant ones left out."""
    columns = []
    for name, maximise in _varying_objectives(document):
        values = np.array([item.design.kpis[name].value for item in document.front])
        if not maximise and (values > 0).all():
            values = np.log(values)
        scaled = (values - values.min()) / (values.max() - values.min())
        columns.append(scaled if maximise else 1.0 - scaled)
    return np.stack(columns, axis=1) if columns else np.zeros((len(document.front), 0))


def _varying_objectives(document: ReportDocument) -> list[tuple[str, bool]]:
    found = []
    for objective in document.study.objectives:
        values = [item.design.kpis[objective.name].value for item in document.front if objective.name in item.design.kpis]
        if len(values) == len(document.front) and len(set(values)) > 1:
            found.append((objective.name, objective.maximise))
    return found
