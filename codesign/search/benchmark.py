"""Every strategy on the same table, under the same budget, over several seeds."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.search.strategies.strategy import StrategySettings, find_strategy
from codesign.search.table_problem import TableProblem

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class BenchmarkRun:
    """One strategy with one seed.

    Attributes:
        strategy, seed: what ran.
        hypervolume: share of the true hypervolume after each evaluation.
        feasible_fraction: share of the evaluated designs that hold every constraint.
        seconds_per_ask: processor seconds of asking and telling, per ask.
    """

    strategy: str
    seed: int
    hypervolume: tuple[float, ...]
    feasible_fraction: float
    seconds_per_ask: float


def run_strategy(table: TableProblem, name: str, seed: int, budget: int, *, batch: int = 4, settings: StrategySettings | None = None) -> BenchmarkRun:
    """Evaluate up to ``budget`` designs, ``batch`` at a time; fewer when the table ends."""
    chosen = StrategySettings() if settings is None else settings
    strategy = find_strategy(name)(table.problem, seed, chosen)
    found = [table.indices[:0]]
    seconds, asks, asked = 0.0, 0, 0
    while asked < budget:
        begin = time.process_time()
        designs = strategy.ask(min(chosen.initial if asked == 0 else batch, budget - asked))
        rows = table.rows(designs)
        if len(rows):
            strategy.tell(designs, table.values[rows], table.limits[rows] if table.problem.constraints else None)
        seconds, asks = seconds + time.process_time() - begin, asks + 1
        if not len(designs):
            break
        found.append(designs)
        asked += len(designs)
    designs = np.concatenate(found)
    feasible = table.feasible[table.rows(designs)]
    return BenchmarkRun(name, seed, tuple(table.curve(designs).tolist()), float(feasible.mean()), seconds / asks)
