"""Parameter values of many designs by short name, as blueprints and templates read them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.space.design_space import DesignSpace, Indices


class Columns:
    """Values of one blueprint's or template's parameters for n designs.

    ``columns["blocks"]`` is the array (n,) of the values of ``<prefix>.blocks`` (integers; floats where the domain has
    floats); ``columns.names("strategy")`` is the array (n,) of a categorical parameter's text values.
    """

    def __init__(self, space: DesignSpace, indices: Indices, prefix: str) -> None:
        self._space, self._indices, self._prefix = space, indices, prefix

    def __len__(self) -> int:
        return len(self._indices)

    def __contains__(self, name: object) -> bool:
        return f"{self._prefix}.{name}" in self._space

    def __getitem__(self, name: str) -> NDArray[np.int64] | NDArray[np.float64]:
        return self._space.values(self._indices, f"{self._prefix}.{name}")

    def integers(self, name: str) -> NDArray[np.int64]:
        """Values (n,) of an integer parameter."""
        return self[name].astype(np.int64)

    def names(self, name: str) -> NDArray[np.str_]:
        """Text values (n,) of a categorical parameter."""
        domain = self._space.parameter(f"{self._prefix}.{name}").values
        return np.asarray(domain, dtype=np.str_)[self[name].astype(np.int64)]
