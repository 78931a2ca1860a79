"""What a strategy knows of the thing it searches: a design space, objectives, and a cheap price for any design.

Notation: ``n`` designs, ``d`` parameters, ``m`` objectives, ``f`` physical features. Objective arrays are ``n x m``, in
*natural units* (0.83, 410 us) unless said to be in *model space*, where every objective is minimised: the logarithm of
the value (plus an offset where the value may be 0) where the objective spans decades, its negative where it is maximised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError
from codesign.search.volume import Axis, Volume
from codesign.space.design_space import DesignSpace, Indices
from codesign.space.parameters import Half

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MAX_OBJECTIVES = 5


@dataclass(frozen=True)
class Objective:
    """One objective.

    Attributes:
        name: a KPI name or the task's metric.
        maximise: larger is better.
        evaluated: its true value needs an evaluation (training, a measurement); otherwise the price is all there is.
        log: positive, modelled and traded off by ratios rather than differences.
        half: the half of the design it depends on; None when it depends on both.
        limit: worst value of any use; designs beyond it gain nothing.
        features: columns of the physical features that bear on it; None when all do.
        offset: model space of a log objective is log(value + offset): 1 for counts, which may be 0. Only for objectives that
            the price settles.
    """

    name: str
    maximise: bool
    evaluated: bool
    log: bool
    half: Half | None = None
    limit: float | None = None
    features: tuple[int, ...] | None = None
    offset: float = 0.0


@dataclass(frozen=True)
class Constraint:
    """A hard limit that only an evaluation tells: a design holds it where its value is at most 0.

    Attributes:
        name: of the value.
    """

    name: str


@dataclass(frozen=True)
class Priced:
    """What is known of n designs before any evaluation.

    Attributes:
        prior: n x m, natural units; NaN where an objective has no prior.
        prior_error: n x m, one standard deviation of the prior: relative to value + offset for a log objective, else in its units.
        features: n x f physical features of the graph and the machine.
        feasible: (n,) all hard limits hold.
        reasons: per limit, value over limit (n,); above 1 the limit is broken.
    """

    prior: FloatArray
    prior_error: FloatArray
    features: FloatArray
    feasible: BoolArray
    reasons: Mapping[str, FloatArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.prior)

    def rows(self, chosen: NDArray[np.intp] | BoolArray) -> Priced:
        """The chosen designs only."""
        reasons = {name: values[chosen] for name, values in self.reasons.items()}
        return Priced(self.prior[chosen], self.prior_error[chosen], self.features[chosen], self.feasible[chosen], reasons)

    @staticmethod
    def join(parts: Sequence[Priced]) -> Priced:
        """Designs of several tables, one after the other (at least one table); a limit that a table does not name is far away."""
        names = sorted({name for part in parts for name in part.reasons})
        reasons = {name: np.concatenate([part.reasons.get(name, np.zeros(len(part))) for part in parts]) for name in names}
        return Priced(
            np.concatenate([part.prior for part in parts]),
            np.concatenate([part.prior_error for part in parts]),
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.feasible for part in parts]),
            reasons,
        )


@dataclass(frozen=True)
class Pool:
    """Designs (n x d) with their prices."""

    indices: Indices
    priced: Priced

    def __len__(self) -> int:
        return len(self.indices)

    def rows(self, chosen: NDArray[np.intp] | BoolArray) -> Pool:
        """The chosen designs only."""
        return Pool(self.indices[chosen], self.priced.rows(chosen))

    @staticmethod
    def join(parts: Sequence[Pool]) -> Pool:
        """Designs of several pools, one after the other (at least one pool)."""
        return Pool(np.concatenate([part.indices for part in parts]), Priced.join([part.priced for part in parts]))


@dataclass(frozen=True)
class SearchProblem:
    """A space, its objectives, and the price of designs.

    Attributes:
        space: the joint design space.
        objectives: two to five.
        price: n x d designs to their `Priced` table; a pure function, microseconds per design.
        listed: the only designs there are (k x d), when the problem is a table; None: the whole space.
        reference: (m,) natural units, the corner hypervolume is measured from; None: the worst values seen.
        constraints: limits that the price does not tell, c of them; their values are told with the objectives'.
        volume: in which measure the hypervolume counts.

    Raises:
        InputError: not two to five objectives, a repeated name, an offset where none may be, or a reference of another length.
    """

    space: DesignSpace
    objectives: tuple[Objective, ...]
    price: Callable[[Indices], Priced]
    listed: Indices | None = None
    reference: FloatArray | None = None
    constraints: tuple[Constraint, ...] = ()
    volume: Volume = field(default_factory=Volume)

    def __post_init__(self) -> None:
        names = [objective.name for objective in self.objectives]
        if not 2 <= len(names) <= MAX_OBJECTIVES or len(set(names)) != len(names):
            raise InputError(f"objectives {names}", where="search problem", remedy=f"Give 2 to {MAX_OBJECTIVES} different objectives")
        for objective in self.objectives:
            if objective.offset and (objective.evaluated or not objective.log):
                raise InputError(f"{objective.name} has an offset", where="search problem", remedy="Only a log objective that the price settles may have one")
        if self.reference is not None and self.reference.shape != (len(names),):
            raise InputError(f"reference point of shape {self.reference.shape} for {len(names)} objectives", where="search problem")

    def pool(self, indices: Indices) -> Pool:
        """Designs with their prices; ``price`` is never called without designs."""
        if len(indices):
            return Pool(indices, self.price(indices))
        anything = self.space.mask(np.zeros((1, len(self.space)), dtype=np.int16)) if self.listed is None else self.listed[:1]
        return Pool(anything, self.price(anything)).rows(np.arange(0))

    @cached_property
    def listed_keys(self) -> frozenset[bytes] | None:
        """Byte strings of the listed designs; None when the whole space may be searched."""
        return None if self.listed is None else frozenset(row.tobytes() for row in np.ascontiguousarray(self.listed, dtype=np.int16))

    @property
    def maximise(self) -> BoolArray:
        """(m,) which objectives are maximised."""
        return np.array([objective.maximise for objective in self.objectives])

    @property
    def evaluated(self) -> BoolArray:
        """(m,) which objectives need an evaluation."""
        return np.array([objective.evaluated for objective in self.objectives])

    def to_model(self, values: FloatArray) -> FloatArray:
        """Natural units to model space (n x m or (m,)), where every objective is minimised.

        Raises:
            InputError: a log objective is not positive, its offset added.
        """
        columns = []
        for column, objective in enumerate(self.objectives):
            natural = np.asarray(values[..., column], dtype=np.float64)
            if objective.log and bool(np.any(natural + objective.offset <= 0.0)):
                bound = f"above {-objective.offset:g}" if objective.offset else "positive"
                raise InputError(f"{objective.name} = {np.nanmin(natural):g} must be {bound}", where="search problem", remedy="Model it without log")
            scaled = np.log(natural + objective.offset) if objective.log else natural
            columns.append(-scaled if objective.maximise else scaled)
        return np.stack(columns, axis=-1)

    def to_natural(self, values: FloatArray) -> FloatArray:
        """Inverse of `to_model`."""
        columns = []
        for column, objective in enumerate(self.objectives):
            scaled = -values[..., column] if objective.maximise else values[..., column]
            columns.append(np.exp(scaled) - objective.offset if objective.log else scaled)
        return np.stack(columns, axis=-1)

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """How each objective's model space becomes the space where the hypervolume counts."""
        return tuple(
            Axis(exponential=self.volume.natural and objective.log, sign=-1.0 if objective.maximise else 1.0, offset=objective.offset)
            for objective in self.objectives
        )

    def model_to_volume(self, values: FloatArray) -> FloatArray:
        """Model space (... x m) to the space where the hypervolume counts."""
        return np.stack([axis.of(values[..., column]) for column, axis in enumerate(self.axes)], axis=-1)

    def reference_in_model(self, seen: FloatArray) -> FloatArray:
        """Reference point (m,) in model space: the given one, or the worst of ``seen`` (n x m, model space), within the limits."""
        corner = seen.max(axis=0) if self.reference is None else self.to_model(self.reference)
        for column, objective in enumerate(self.objectives):
            if objective.limit is not None:
                limit = np.log(objective.limit + objective.offset) if objective.log else objective.limit
                corner[column] = min(corner[column], -limit if objective.maximise else limit)
        return corner
