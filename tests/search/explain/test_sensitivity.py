"""Sobol indices of a study."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codesign.search.explain import sensitivity
from codesign.search.explain.sensitivity import sensitivities
from codesign.search.pricing import Pricing
from codesign.surrogate.sensitivity import sobol_indices
from tests.search.explain_study import digits


def test_the_seed_of_the_study_decides_both_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []

    def spied(*args: object, seed: int = 0, **kwargs: object) -> object:
        seeds.append(seed)
        return sobol_indices(*args, seed=seed, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(sensitivity, "sobol_indices", spied)
    pricing = Pricing(replace(digits(blueprints=("mlp",)), seed=5))
    first = sensitivities(pricing, [None] * len(pricing.problem.objectives), samples=8)
    assert seeds == [5, 5]
    other = sensitivities(Pricing(replace(digits(blueprints=("mlp",)), seed=6)), [None] * len(first), samples=8)
    latency = [own.objective for own in first].index("latency_us")
    assert first[latency].halves != other[latency].halves
