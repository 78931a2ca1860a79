"""In which measure the hypervolume of a search counts, and one objective's axis in it.

A predictor is normal in *model space*: the logarithm of an objective that spans decades, the value of any other, turned so
that less is better. The volume may count there, or in natural units, where a logarithm that is normal makes a value that is
log-normal. *Volume space* is where it counts; there too each objective is minimised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Volume:
    """What the hypervolume of a search is taken of.

    Attributes:
        natural: natural units; otherwise model space, where an objective that spans decades counts by ratios.
        observed: what evaluations gave, its scatter included, as in a table that holds one value of each design; otherwise
            what they would give on average.
    """

    natural: bool = False
    observed: bool = False


@dataclass(frozen=True)
class Axis:
    """One objective in volume space.

    Attributes:
        exponential: volume space is natural and model space logarithmic; otherwise both are the same.
        sign: -1 where the objective is maximised, else 1.
        offset: model space is sign * log(value + offset).
    """

    exponential: bool
    sign: float
    offset: float

    def of(self, model: FloatArray) -> FloatArray:
        """Model space to volume space, of any shape."""
        if not self.exponential:
            return model
        return np.asarray(self.sign * (np.exp(self.sign * model) - self.offset))
