"""Designs as points of a Euclidean space, so that any kernel of the distance is a valid one.

Notation: ``n`` designs, ``d`` parameters, ``D`` columns of the embedding; ``group[c]`` is the parameter, counted among
the kept ones, that column ``c`` belongs to: the columns of one parameter share one length scale.

Distance between two designs along one parameter, before its length scale:

- ordered, both active: difference of the indices over the largest index;
- categorical, both active: 1 where they differ;
- both inactive: 0, so that inactive parameters say nothing;
- one active: `ACTIVITY_STEP`, together with the distance from the middle of the domain (ordered) or sqrt(1/2) (categorical).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from codesign.space.design_space import DesignSpace, Indices
from codesign.space.parameters import Half, ParameterKind

FloatArray = NDArray[np.float64]

ACTIVITY_STEP = 0.5


class Embedding(Protocol):
    """What a predictor needs to know of the space its designs come from."""

    @property
    def group(self) -> NDArray[np.intp]:
        """(D,) parameter of each embedded column."""
        ...

    def embed(self, indices: Indices) -> FloatArray:
        """``n x D`` coordinates of ``n x d`` designs."""
        ...


@dataclass(frozen=True)
class NoParameters:
    """Embedding of designs that have features alone: rows of a table, measured elsewhere."""

    group: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))

    def embed(self, indices: Indices) -> FloatArray:
        """``n x 0`` coordinates."""
        return np.empty((len(indices), 0))


@dataclass(frozen=True)
class Encoding:
    """Embedding of a design space, or of one half of it.

    Attributes:
        space: the design space.
        columns: the d' parameters that vary, as columns of the space.
        group: (D,) position in ``columns`` of each embedded column's parameter.
    """

    space: DesignSpace
    columns: NDArray[np.intp]
    group: NDArray[np.intp]

    @classmethod
    def build(cls, space: DesignSpace, half: Half | None = None) -> Encoding:
        """Embed all parameters with more than one value, or those of one half."""
        chosen = np.arange(len(space)) if half is None else space.half_columns(half)
        columns = np.array([column for column in chosen if space.cardinalities[column] > 1 or space.parameters[column].conditions], dtype=np.intp)
        widths = [_width(space, int(column)) for column in columns]
        return cls(space, columns, np.repeat(np.arange(len(columns), dtype=np.intp), widths))

    @property
    def parameters(self) -> int:
        """Number of parameters that have a length scale."""
        return len(self.columns)

    def embed(self, indices: Indices) -> FloatArray:
        """``n x D`` coordinates of ``n x d`` designs."""
        unit, active = self.space.unit(indices)
        blocks: list[FloatArray] = [np.empty((len(indices), 0))]
        for column in self.columns:
            parameter = self.space.parameters[column]
            on = active[:, column].astype(np.float64)
            if parameter.kind is ParameterKind.CATEGORICAL:
                values = np.arange(len(parameter.values))
                blocks.append((indices[:, [column]] == values) * np.sqrt(0.5))
            else:
                blocks.append(((unit[:, column] - 0.5) * on)[:, None])
            if parameter.conditions:
                blocks.append((ACTIVITY_STEP * on)[:, None])
        return np.concatenate(blocks, axis=1)


def _width(space: DesignSpace, column: int) -> int:
    """Embedded columns of one parameter."""
    parameter = space.parameters[column]
    own = len(parameter.values) if parameter.kind is ParameterKind.CATEGORICAL else 1
    return own + bool(parameter.conditions)
