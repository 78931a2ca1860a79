"""A small joint problem with conditional and categorical parameters, priced in numpy: networks on an array."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.search.problem import Objective, Priced, SearchProblem
from codesign.space.design_space import DesignSpace, Indices
from codesign.space.parameters import Condition, Half, Parameter, categorical, integer, ordinal

FloatArray = NDArray[np.float64]
BLOCKS = 4
ACCURACY_ERROR = 0.08


def toy_space() -> DesignSpace:
    parameters: list[Parameter] = [integer("net.blocks", 1, BLOCKS, Half.NETWORK)]
    for number in range(1, BLOCKS + 1):
        when = (Condition("net.blocks", tuple(range(number, BLOCKS + 1))),)
        parameters.append(ordinal(f"net.width{number}", (4, 8, 16, 32, 64), Half.NETWORK, conditions=when))
        parameters.append(ordinal(f"net.bits{number}", (2, 3, 4, 6, 8), Half.NETWORK, conditions=when))
        parameters.append(categorical(f"net.kind{number}", ("plain", "residual", "separable"), Half.NETWORK, conditions=when))
    parameters += [
        ordinal("array.rows", (2, 4, 8, 16, 32), Half.ACCELERATOR),
        ordinal("array.columns", (2, 4, 8, 16, 32), Half.ACCELERATOR),
        ordinal("array.clock_mhz", (50, 100, 200), Half.ACCELERATOR),
        categorical("array.buffering", ("single", "double"), Half.ACCELERATOR),
    ]
    return DesignSpace(parameters)


def tiny_space() -> DesignSpace:
    """Eighteen designs."""
    return DesignSpace(
        [
            integer("net.blocks", 1, 2, Half.NETWORK),
            ordinal("net.width1", (4, 8, 16), Half.NETWORK),
            categorical("net.kind2", ("plain", "residual"), Half.NETWORK, conditions=(Condition("net.blocks", (2,)),)),
            ordinal("array.rows", (2, 4), Half.ACCELERATOR),
        ]
    )


class Toy:
    """Quantities of toy designs (n x d)."""

    def __init__(self, space: DesignSpace, indices: Indices) -> None:
        self.space, self.indices = space, indices
        self.weights, self.work, self.quality = self._network()

    def _get(self, name: str, default: float) -> FloatArray:
        if name not in self.space:
            return np.full(len(self.indices), default)
        return self.space.values(self.indices, name).astype(np.float64)

    def _network(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        count = len(self.indices)
        weights, work, quality = np.zeros(count), np.zeros(count), np.zeros(count)
        width_before = np.full(count, 10.0)
        for number in range(1, BLOCKS + 1):
            on = self._get("net.blocks", 1.0) >= number
            width = self._get(f"net.width{number}", 8.0)
            kind, bits = self._get(f"net.kind{number}", 0.0), self._get(f"net.bits{number}", 4.0)
            size = np.where(on, width_before * width * np.where(kind == 2, 2.0, 9.0), 0.0)
            weights += size * bits
            work += size * 50.0
            quality += np.where(on, np.log1p(size) * (1.0 - 1.2 / bits) * (1.0 + 0.1 * (kind == 1)), 0.0)
            width_before = np.where(on, width, width_before)
        return weights, work, quality

    @property
    def accuracy(self) -> FloatArray:
        return 0.95 - 0.6 * np.exp(-0.09 * self.quality)

    @property
    def macs_per_cycle(self) -> FloatArray:
        return self._get("array.rows", 4.0) * self._get("array.columns", 4.0)

    @property
    def latency_us(self) -> FloatArray:
        stall = np.where(self._get("array.buffering", 0.0) == 1, 1.0, 1.4)
        return (self.work / self.macs_per_cycle**0.9 * stall + 500.0) / self._get("array.clock_mhz", 100.0)

    @property
    def energy_uj(self) -> FloatArray:
        power_w = 0.05 + 1e-5 * self.macs_per_cycle * self._get("array.clock_mhz", 100.0)
        return power_w * self.latency_us + 1e-6 * self.work

    @property
    def accuracy_prior(self) -> FloatArray:
        """A guess from the size alone."""
        return np.clip(0.3 + 0.05 * np.log(self.weights + 1.0), 0.1, 0.95)


def toy_problem(
    *, objectives: int = 3, tiny: bool = False, prior: bool = True, allowed_weights: float = 60_000.0, latency_evaluated: bool = False
) -> SearchProblem:
    space = tiny_space() if tiny else toy_space()

    def price(indices: Indices) -> Priced:
        toy = Toy(space, indices)
        known = np.stack([toy.accuracy_prior, toy.latency_us, toy.energy_uj], axis=1)[:, :objectives]
        error = np.broadcast_to(np.array([ACCURACY_ERROR, 0.2, 0.2])[:objectives], known.shape).copy()
        if not prior:
            known[:, 0] = np.nan
        features = np.log(np.stack([toy.weights, toy.work], axis=1) + 1.0)
        use = {"weight_bits": toy.weights / allowed_weights, "macs": toy.macs_per_cycle / 512.0}
        feasible = (use["weight_bits"] <= 1.0) & (use["macs"] <= 1.0)
        return Priced(known, error, features, feasible, use)

    named = (
        Objective("accuracy", True, True, False, half=Half.NETWORK),
        Objective("latency_us", False, latency_evaluated, True),
        Objective("energy_uj", False, False, True),
    )
    return SearchProblem(space, named[:objectives], price)


def evaluate(problem: SearchProblem, indices: Indices, *, noise: float = 0.01) -> FloatArray:
    """What an evaluation of each design gives (n x m): noise that depends on the design alone."""
    toy = Toy(problem.space, indices)
    seeds = [np.random.default_rng(np.frombuffer(row.tobytes(), dtype=np.uint16).astype(np.int64)).standard_normal() for row in np.ascontiguousarray(indices)]
    accuracy = toy.accuracy + noise * np.array(seeds)
    factor = 1.3 if problem.objectives[1].evaluated else 1.0
    return np.stack([accuracy, factor * toy.latency_us, toy.energy_uj], axis=1)[:, : len(problem.objectives)]
