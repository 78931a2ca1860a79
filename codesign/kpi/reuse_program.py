"""The reuse factors with the least latency within limits: a small integer program, solved to proven optimality by HiGHS.

Each layer takes one of its options. With fill ``f`` (cycles until a layer hands on its first result), rest ``r`` (cycles
from then to its last) and resources ``u`` of each option, a network's latency is ``sum f + max r``: layers that work one
after the other have no rest, layers of a stream overlap in theirs. Minimise that under ``sum u <= limit``.

.. [HiGHS] Huangfu and Hall, Parallelizing the dual revised simplex method, Math. Prog. Comp. 10 (2018); through
   ``scipy.optimize.milp``.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.errors import EvaluationError
from codesign.kpi.template_model import FloatArray

WHOLE_CYCLE = 0.5
"""Latencies are whole cycles: less than this apart is equal."""
SECONDS = 20.0
"""Time limit of one program; what is found by then is returned with its bound."""


@contextmanager
def _silent() -> Iterator[None]:
    """HiGHS prints some notes past Python, whatever its options say: standard output is for results."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


@dataclass(frozen=True)
class Options:
    """What one layer may be, ``k`` options.

    Attributes:
        name: of the layer.
        reuse: reuse factors (k,).
        fill, rest: cycles (k,).
        resources: counts, k x r.
    """

    name: str
    reuse: NDArray[np.int64]
    fill: FloatArray
    rest: FloatArray
    resources: FloatArray

    def __len__(self) -> int:
        return len(self.reuse)

    def without_dominated(self) -> Options:
        """Only options that no other beats or equals in everything; of equal ones the first."""
        figures = np.column_stack([self.fill, self.rest, self.resources])
        no_worse = (figures[:, None, :] <= figures[None, :, :]).all(axis=2)
        better = no_worse & ((figures[:, None, :] < figures[None, :, :]).any(axis=2) | np.tri(len(self), k=-1, dtype=np.bool_).T)
        kept = ~better.any(axis=0)
        return Options(self.name, self.reuse[kept], self.fill[kept], self.rest[kept], self.resources[kept])


@dataclass(frozen=True)
class Setting:
    """One option of each layer.

    Attributes:
        reuse: reuse factor by layer name.
        latency: cycles.
        bound: no setting within the limits has a latency below this; equal to ``latency`` where it is proven optimal.
        resources: counts (r,), what does not depend on the choice not included.
    """

    reuse: dict[str, int]
    latency: float
    bound: float
    resources: FloatArray


class ReuseProgram:
    """The integer program of one network.

    Args:
        layers: options of each layer; at least one layer, each with at least one option.
        fixed_fill: cycles that no choice changes.
        fixed_rest: a rest that no choice changes.
    """

    def __init__(self, layers: Sequence[Options], *, fixed_fill: float = 0.0, fixed_rest: float = 0.0) -> None:
        self._layers = [layer.without_dominated() for layer in layers]
        self._fixed_fill, self._fixed_rest = fixed_fill, fixed_rest
        counts = [len(layer) for layer in self._layers]
        self._owner = np.repeat(np.arange(len(counts)), counts)
        self._fill = np.concatenate([layer.fill for layer in self._layers])
        self._rest = np.concatenate([layer.rest for layer in self._layers])
        self._resources = np.concatenate([layer.resources for layer in self._layers])

    @property
    def settings(self) -> int:
        """Number of settings worth a look."""
        return math.prod(len(layer) for layer in self._layers)

    def least_latency(self, limits: FloatArray, *, gap: float = 0.0) -> Setting | None:
        """The setting of least latency within limits (r,), and among those of least total utilisation; None: none fits.

        Args:
            limits: counts (r,).
            gap: relative distance from the least latency at which to stop; above 0 the first such setting is taken.
        """
        found = self._solve(self._fill, 1.0, limits, gap=gap)
        if found is None:
            return None
        chosen, bound = found
        if gap > 0:
            return self._setting(chosen, bound)
        latency = self._latency(chosen)
        utilisation = (self._resources / np.maximum(limits, 1.0)).sum(axis=1)
        cheaper = self._solve(utilisation, 0.0, limits, latency=latency)
        return self._setting(chosen if cheaper is None else cheaper[0], bound)

    def least_utilisation(self, limits: FloatArray, weights: FloatArray | None = None) -> tuple[Setting, float]:
        """The setting whose fullest resource, as a share of its limit (r,), is least, and that share.

        Args:
            limits: counts (r,); a resource with limit 0 may not be used at all.
            weights: what is used already, in counts (r,).
        """
        used = np.zeros(len(limits)) if weights is None else weights
        scale = np.maximum(limits, 1e-3)
        found = self._solve(np.zeros(len(self._fill)), 1.0, None, share_of=(scale, used))
        if found is None:
            raise EvaluationError("the integer program of the reuse factors has no solution", where="estimate")
        setting = self._setting(found[0], 0.0)
        return setting, float(((setting.resources + used) / scale).max())

    def _solve(
        self,
        cost: FloatArray,
        slack_cost: float,
        limits: FloatArray | None,
        *,
        latency: float | None = None,
        share_of: tuple[FloatArray, FloatArray] | None = None,
        gap: float = 0.0,
    ) -> tuple[NDArray[np.int64], float] | None:
        """Options with the least ``cost`` + ``slack_cost`` * s; s is the largest rest, or with ``share_of`` the largest share."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        size, layers = len(self._fill), len(self._layers)
        membership = (self._owner[None, :] == np.arange(layers)[:, None]).astype(np.float64)
        constraints = [LinearConstraint(np.column_stack([membership, np.zeros(layers)]), 1.0, 1.0)]
        if share_of is None:
            rests = np.column_stack([membership * self._rest, -np.ones(layers)])
            constraints.append(LinearConstraint(rests, -np.inf, 0.0))
        else:
            scale, used = share_of
            constraints.append(LinearConstraint(np.column_stack([(self._resources / scale).T, -np.ones(len(scale))]), -np.inf, -used / scale))
        if limits is not None:
            constraints.append(LinearConstraint(np.column_stack([self._resources.T, np.zeros(len(limits))]), -np.inf, limits))
        if latency is not None:
            constraints.append(LinearConstraint(np.append(self._fill, 1.0)[None, :], -np.inf, latency - self._fixed_fill + WHOLE_CYCLE))
        with _silent():
            result = milp(
                np.append(cost, slack_cost),
                integrality=np.append(np.ones(size), 0.0),
                bounds=Bounds(np.append(np.zeros(size), self._fixed_rest if share_of is None else 0.0), np.append(np.ones(size), np.inf)),
                constraints=constraints,
                options={"mip_rel_gap": gap, "time_limit": SECONDS},
            )
        if result.x is None:
            return None
        chosen = np.array([np.flatnonzero(self._owner == layer)[np.argmax(result.x[:-1][self._owner == layer])] for layer in range(layers)])
        bound = float(result.mip_dual_bound) + self._fixed_fill if result.mip_dual_bound is not None else -np.inf
        return chosen, bound

    def _latency(self, chosen: NDArray[np.int64]) -> float:
        return float(self._fixed_fill + self._fill[chosen].sum() + max(self._rest[chosen].max(), self._fixed_rest))

    def _setting(self, chosen: NDArray[np.int64], bound: float) -> Setting:
        starts = np.flatnonzero(np.diff(self._owner, prepend=-1))
        reuse = {layer.name: int(layer.reuse[option - start]) for layer, option, start in zip(self._layers, chosen, starts, strict=True)}
        latency = self._latency(chosen)
        return Setting(reuse, latency, latency if latency - bound < WHOLE_CYCLE else bound, self._resources[chosen].sum(axis=0))
