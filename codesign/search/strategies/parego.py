"""`parego`: a random scalarisation of the objectives for each design, over an evolved pool of the joint space."""

from __future__ import annotations

from typing import ClassVar

from codesign.search.acquisition import Acquisition
from codesign.search.chebyshev import NoisyChebyshev
from codesign.search.strategies.model_based import ModelBasedStrategy


class ParegoStrategy(ModelBasedStrategy):
    """Model-based search whose cost hardly grows with the number of objectives."""

    name: ClassVar[str] = "parego"
    acquisition: ClassVar[type[Acquisition]] = NoisyChebyshev
