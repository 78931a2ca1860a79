"""`ehvi`: noisy expected hypervolume improvement, in closed form, over an evolved pool of the joint space."""

from __future__ import annotations

from typing import ClassVar

from codesign.search.acquisition import Acquisition, NoisyEhvi
from codesign.search.strategies.model_based import ModelBasedStrategy


class EhviStrategy(ModelBasedStrategy):
    """Model-based search that needs few evaluations."""

    name: ClassVar[str] = "ehvi"
    acquisition: ClassVar[type[Acquisition]] = NoisyEhvi
