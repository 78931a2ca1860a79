"""Prices from measurements: non-negative, with errors of rows that were left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, nnls

from codesign.kpi.streaming import element_terms, matrix_vector_terms
from codesign.kpi.streaming.elements import Elements
from codesign.kpi.streaming.flow import Tool
from codesign.kpi.streaming.hls_table import HlsTable
from codesign.kpi.streaming.matrix_vector import MatrixVector
from codesign.kpi.template_model import FloatArray
from codesign.validation.points import MeasuredDesign

FOLDS = 10
STRENGTH = 2.0
"""Weight of the expected price in the fit to repositories, in units of one design."""
SMALL = {"lut": 60.0, "ff": 40.0}
"""Counts below which a relative error of a repository's layer says little."""


_UNITS = {"lut": matrix_vector_terms.LUT_TERMS, "ff": matrix_vector_terms.FF_TERMS}
_ELEMENTS = {"lut": element_terms.LUT_TERMS, "ff": element_terms.FF_TERMS}


def design_table(designs: Sequence[MeasuredDesign]) -> HlsTable:
    """The designs, which all have a model, as one table."""
    return HlsTable.from_models([design.model for design in designs if design.model], [design.build for design in designs])


def counts(table: HlsTable, tool: Tool, resource: str, names: Sequence[str]) -> FloatArray:
    """What is built of each term in each design: designs x terms."""
    unit, elements = MatrixVector(table, tool), Elements(table, tool)
    columns = []
    for name in names:
        block, term = name.split(".")
        if block == "elements":
            columns.append(table.total(np.asarray(_ELEMENTS[resource][term].count(elements), dtype=np.float64)))
        else:
            counted = np.asarray(_UNITS[resource][term].count(unit), dtype=np.float64)
            columns.append(np.bincount(table.design[unit.row], weights=counted, minlength=table.count).astype(np.float64))
    return np.stack(columns, axis=1)


def sweep_prices(terms: FloatArray, measured: FloatArray, floor: float, given: FloatArray | None = None) -> FloatArray:
    """Non-negative prices of about least absolute relative deviation, by reweighted least squares.

    Args:
        terms: what is built, designs x terms.
        measured: positive (designs,).
        floor: relative deviation below which designs weigh alike.
        given: what other terms, whose prices are known, add (designs,).
    """
    target = 1.0 if given is None else 1.0 - given / measured
    relative = terms / measured[:, None]
    scale = np.maximum(np.abs(relative).max(axis=0), 1e-300)
    weights = np.ones(len(measured))
    solution = np.zeros(terms.shape[1])
    for _ in range(12):
        solution, _residual = nnls(relative / scale * weights[:, None], weights * target, maxiter=10_000)
        weights = 1.0 / np.sqrt(np.maximum(np.abs(relative / scale @ solution - target), floor))
    return np.asarray(solution / scale)


def anchored_prices(terms: FloatArray, measured: FloatArray, weights: FloatArray, small: float, expected: FloatArray, offset: FloatArray) -> FloatArray:
    """Non-negative prices with a robust least error of log(predicted + small), each held near its expected value."""
    scaled, target = terms * expected, np.log(measured + small)

    def residual(found: FloatArray) -> FloatArray:
        return np.concatenate([weights * (np.log(scaled @ found + offset + small) - target), STRENGTH * (found - 1.0)])

    def jacobian(found: FloatArray) -> FloatArray:
        return np.vstack([weights[:, None] * scaled / (scaled @ found + offset + small)[:, None], STRENGTH * np.eye(len(expected))])

    solved = least_squares(residual, np.ones(len(expected)), jacobian, bounds=(0.0, np.inf), loss="soft_l1", f_scale=0.15, max_nfev=300)
    return np.asarray(solved.x * expected)


def folds_of(groups: Sequence[str]) -> NDArray[np.int64]:
    """Fold of each row; rows of one group share theirs. As many folds as groups where there are few."""
    names = sorted(set(groups))
    order = np.random.default_rng(0).permutation(len(names)) % min(FOLDS, len(names)) if len(names) > 2 * FOLDS else np.arange(len(names))
    fold = dict(zip(names, order.tolist(), strict=True))
    return np.array([fold[group] for group in groups], dtype=np.int64)
