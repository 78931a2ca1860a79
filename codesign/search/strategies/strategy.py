"""What a search strategy is, and how one is found.

A strategy proposes designs (`ask`) and learns their values (`tell`). It is a pure function of its seed and of the
sequence of tells: the same tells on a fresh object give the same next proposals, which is how a killed study resumes.
Others register theirs under the entry-point group ``codesign.strategies``, as the built-in ones are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import ClassVar, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError
from codesign.search.candidates import RandomSource, keys
from codesign.search.problem import Pool, SearchProblem
from codesign.space.design_space import Indices

FloatArray = NDArray[np.float64]

ENTRY_POINTS = "codesign.strategies"


@dataclass(frozen=True)
class Capabilities:
    """What a strategy makes use of, beyond proposing feasible designs.

    Attributes:
        model: fits a predictor to what it is told.
        prior: reads the prior of objectives that are evaluated.
        pending: a batch takes its earlier members into account.
    """

    model: bool
    prior: bool
    pending: bool


@dataclass(frozen=True)
class StrategySettings:
    """Settings that strategies share; each reads what concerns it.

    Attributes:
        initial: designs before a model or a population proposes.
        population: population of evolutionary strategies.
        pool: candidates that a model-based strategy scores per ask.
        samples: posterior samples of the noisy front.

    Raises:
        InputError: a number below 1.
    """

    initial: int = 16
    population: int = 20
    pool: int = 2000
    samples: int = 8

    def __post_init__(self) -> None:
        for name in ("initial", "population", "pool", "samples"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} = {getattr(self, name)}", where="strategy settings", remedy="Give at least 1")


class Strategy(Protocol):
    """Ask and tell over one problem.

    Args:
        problem: what to search.
        seed: everything random follows from it.
        settings: see `StrategySettings`.
    """

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]

    def __init__(self, problem: SearchProblem, seed: int, settings: StrategySettings = ...) -> None: ...

    def ask(self, count: int, pending: Indices | None = None) -> Indices:
        """``count x d`` feasible designs, distinct and neither told nor pending; fewer when there are no more.

        Args:
            count: designs wanted.
            pending: p x d designs under evaluation.

        Raises:
            InfeasibleError: no feasible design was found.
        """
        ...

    def tell(self, indices: Indices, values: FloatArray, constraints: FloatArray | None = None) -> None:
        """What evaluations gave.

        Args:
            indices: n x d designs.
            values: n x m in natural units.
            constraints: n x c values of the problem's constraints; None where it has none.
                An evaluation whose row of either is not finite counts as failed.

        Raises:
            InputError: shapes that do not fit.
        """
        ...


class History:
    """Designs told so far, in order; the base of the built-in strategies."""

    def __init__(self, problem: SearchProblem, seed: int, settings: StrategySettings | None = None) -> None:
        self.problem, self.seed = problem, seed
        self.settings = StrategySettings() if settings is None else settings
        self.values: FloatArray = np.empty((0, len(problem.objectives)))
        self.constraints: FloatArray = np.empty((0, len(problem.constraints)))
        self._source: RandomSource | None = None
        self._pools: list[Pool] = [problem.pool(self._empty())]

    def _empty(self) -> Indices:
        return np.empty((0, len(self.problem.space)), dtype=np.int16)

    def tell(self, indices: Indices, values: FloatArray, constraints: FloatArray | None = None) -> None:
        """See `Strategy.tell`."""
        limits = np.empty((len(indices), 0)) if constraints is None else constraints
        expected = (len(indices), len(self.problem.objectives))
        if indices.ndim != 2 or indices.shape[1] != len(self.problem.space) or values.shape != expected:
            raise InputError(f"designs of shape {indices.shape} with values of shape {values.shape}", where="tell", remedy=f"Give values of shape {expected}")
        expected = (len(indices), len(self.problem.constraints))
        if limits.shape != expected:
            raise InputError(f"constraints of shape {limits.shape}", where="tell", remedy=f"Give constraints of shape {expected}")
        if len(indices):
            self._pools = [Pool.join([*self._pools, self.problem.pool(indices.astype(np.int16))])]
            # Half a result would be evidence to some models and none to others.
            known = np.isfinite(limits).all(axis=1, keepdims=True)
            self.values = np.concatenate([self.values, np.where(known, values, np.nan)])
            self.constraints = np.concatenate([self.constraints, np.where(known, limits, np.nan)])

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Told designs (n,) whose evaluation did not fail."""
        return np.asarray(np.isfinite(self.values).all(axis=1))

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Told designs (n,) that did not fail and hold every constraint."""
        return np.asarray(self.complete & (self.constraints <= 0.0).all(axis=1))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def told(self) -> Pool:
        """All designs told, failed ones included, with their prices."""
        return self._pools[0]

    def rng(self) -> np.random.Generator:
        """The generator of the next ask."""
        return np.random.default_rng([self.seed, len(self)])

    def taken(self, pending: Indices | None) -> set[bytes]:
        """Keys of designs that must not be proposed."""
        return set(keys(self.told.indices)) | set(keys(self._empty() if pending is None else pending))

    @property
    def source(self) -> RandomSource:
        """Random feasible designs."""
        if self._source is None:
            self._source = RandomSource(self.problem)
        return self._source


@cache
def strategy_names() -> tuple[str, ...]:
    """Names of the registered strategies."""
    return tuple(sorted(entry.name for entry in entry_points(group=ENTRY_POINTS)))


def find_strategy(name: str) -> type[Strategy]:
    """The strategy class of that name.

    Raises:
        InputError: nothing is registered under that name.
    """
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == name:
            return cast("type[Strategy]", entry.load())
    raise InputError(f"unknown strategy {name!r}", where="strategy", remedy=f"Choose from {', '.join(strategy_names())}")
