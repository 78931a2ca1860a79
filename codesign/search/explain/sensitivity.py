"""What the objectives of a study depend on, over its whole space: Sobol indices on prices and predictors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.kpi.evaluate import FEATURES
from codesign.search.acquisition import designs_of
from codesign.search.explain.prices import Predictors
from codesign.search.pricing import Pricing
from codesign.space.design_space import Indices
from codesign.space.parameters import Half
from codesign.surrogate.sensitivity import Relevance, Sensitivity, relevances, sobol_indices
from codesign.surrogate.threads import single_thread

FloatArray = NDArray[np.float64]

SAMPLES = 1024


@dataclass(frozen=True)
class ObjectiveSensitivity:
    """What one objective depends on.

    Attributes:
        objective: its name.
        log: the variance is that of its logarithm.
        predicted: of the predictor's mean; of the price otherwise.
        halves: network against accelerator.
        parameters: each parameter alone.
        relevances: what the predictor's length scales say; empty for a price.
    """

    objective: str
    log: bool
    predicted: bool
    halves: Sensitivity
    parameters: Sensitivity
    relevances: tuple[Relevance, ...]


def sensitivities(pricing: Pricing, predictors: Predictors, *, samples: int = SAMPLES) -> tuple[ObjectiveSensitivity, ...]:
    """Sensitivity of every objective, in model space, to every parameter of the study's space, limits not looked at.

    Args:
        pricing: of the study.
        predictors: one per objective; None where the price settles it.
        samples: see `codesign.surrogate.sensitivity.sobol_indices`.
    """
    space, objectives = pricing.joint.space, pricing.problem.objectives

    def values(indices: Indices) -> FloatArray:
        pool = pricing.problem.pool(indices)
        model = pricing.problem.to_model(pool.priced.prior)
        for column, predictor in enumerate(predictors):
            if predictor is not None:
                model[:, column] = predictor.predict(designs_of(pricing.problem, pool, column)).mean
        return model

    halves = {half.value: space.half_columns(half).tolist() for half in Half}
    with single_thread():
        seed = pricing.specification.seed
        alone = sobol_indices(values, space, samples=samples, seed=seed)
        together = sobol_indices(values, space, groups={name: columns for name, columns in halves.items() if columns}, samples=samples, seed=seed)
        told = [() if predictor is None else relevances(predictor, _feature_names(pricing, column)) for column, predictor in enumerate(predictors)]
    return tuple(
        ObjectiveSensitivity(objective.name, objective.log, predictor is not None, half, own, relevant)
        for objective, predictor, half, own, relevant in zip(objectives, predictors, together, alone, told, strict=True)
    )


def _feature_names(pricing: Pricing, column: int) -> tuple[str, ...]:
    chosen = pricing.problem.objectives[column].features
    return FEATURES if chosen is None else tuple(FEATURES[number] for number in chosen)


def document(found: tuple[ObjectiveSensitivity, ...]) -> list[Mapping[str, object]]:
    """As JSON types."""
    return [
        {
            "objective": own.objective,
            "space": "whole",
            "scale": "log" if own.log else "linear",
            "predicted": own.predicted,
            "std": own.parameters.std,
            "halves": [vars(index) for index in own.halves.indices],
            "parameters": [vars(index) for index in own.parameters.indices],
            "relevances": [vars(relevance) for relevance in own.relevances],
        }
        for own in found
    ]
