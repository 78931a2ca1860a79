"""Every strategy on the same table, under the same budget, over several seeds.

Notation: ``n`` evaluations. Hypervolume is the share of the table's true one, in natural units, from the worst value of
each objective on the feasible rows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import EvaluationError, InputError
from codesign.search.engine import Engine
from codesign.search.fidelity import chooses_fidelity
from codesign.search.strategies.strategy import Strategy, StrategySettings, find_strategy, strategy_names
from codesign.search.table_problem import TableProblem, read_table_problem

FloatArray = NDArray[np.float64]

BATCH = 4
"""Designs per ask, as in a study: evaluations run side by side, so that a strategy that learns from each one has no head start."""
ALL = "all"
MARKS = (0.25, 0.5, 1.0)
"""Shares of the budget after which a summary is given."""


@dataclass(frozen=True)
class BenchmarkRun:
    """One strategy with one seed.

    Attributes:
        strategy, seed: what ran.
        rows: rows of the table, in the order of their evaluation.
        hypervolume: share of the true hypervolume after each evaluation.
        feasible_fraction: share of the evaluated designs that hold every constraint.
        asks: number of asks.
        seconds: processor seconds of asking and telling.
    """

    strategy: str
    seed: int
    rows: tuple[int, ...]
    hypervolume: tuple[float, ...]
    feasible_fraction: float
    asks: int
    seconds: float

    @property
    def seconds_per_ask(self) -> float:
        """Processor seconds of asking and telling, per ask."""
        return self.seconds / self.asks

    def as_dict(self) -> dict[str, Any]:
        """The fixed part of the document."""
        return {
            "strategy": self.strategy,
            "seed": self.seed,
            "hypervolume": list(self.hypervolume),
            "feasible_fraction": self.feasible_fraction,
            "seconds_per_ask": self.seconds_per_ask,
        }


def run_strategy(table: TableProblem, name: str, seed: int, budget: int, *, batch: int = BATCH, settings: StrategySettings | None = None) -> BenchmarkRun:
    """Evaluate up to ``budget`` designs, ``batch`` at a time; fewer when the table ends."""
    strategy = find_strategy(name)(table.problem, seed, StrategySettings() if settings is None else settings)
    return drive(table, strategy, seed, budget, batch)


def drive(table: TableProblem, strategy: Strategy, seed: int, budget: int, batch: int) -> BenchmarkRun:
    """Ask a new strategy, look its designs up, and tell it, until the budget is spent or nothing is left."""
    found = [table.indices[:0]]
    seconds, asks, asked = 0.0, 0, 0
    while asked < budget:
        begin = time.process_time()
        designs = strategy.ask(min(batch, budget - asked))
        rows = table.rows(designs)
        if len(rows):
            strategy.tell(designs, table.values[rows], table.limits[rows] if table.problem.constraints else None)
        seconds, asks = seconds + time.process_time() - begin, asks + 1
        if not len(designs):
            break
        found.append(designs)
        asked += len(designs)
    designs = np.concatenate(found)
    rows = table.rows(designs)
    feasible = float(table.feasible[rows].mean())
    return BenchmarkRun(strategy.name, seed, tuple(rows.tolist()), tuple(table.curve(designs).tolist()), feasible, asks, seconds)


@dataclass(frozen=True)
class BenchmarkPlan:
    """What to compare.

    Attributes:
        problem: the table.
        objectives: names in order; None: all of the table's.
        strategies: names.
        seeds: how many seeds, from 0.
        budget: evaluations per run.
        batch: designs per ask.

    Raises:
        InputError: a number below 1, no strategy, or one that is unknown or named twice.
    """

    problem: Path
    objectives: tuple[str, ...] | None
    strategies: tuple[str, ...]
    seeds: int
    budget: int
    batch: int = BATCH

    def __post_init__(self) -> None:
        for name in ("seeds", "budget", "batch"):
            if getattr(self, name) < 1:
                raise InputError(f"{getattr(self, name)}", where=f"--{name}", remedy="Give at least 1")
        if not self.strategies or len(set(self.strategies)) < len(self.strategies):
            raise InputError(f"strategies {','.join(self.strategies)!r}", where="--strategies", remedy="Name each strategy once, or all")
        for name in self.strategies:
            find_strategy(name)

    def table(self) -> TableProblem:
        """The problem."""
        return _read(self.problem, self.objectives, self.problem.stat().st_mtime_ns if self.problem.is_file() else 0)


@dataclass(frozen=True)
class _Request:
    """One run of a plan; crosses to a worker."""

    plan: BenchmarkPlan
    strategy: str
    seed: int


def choose_strategies(text: str) -> tuple[str, ...]:
    """Names from a comma-separated list; ``all`` is every registered strategy but those that choose fidelities: a table has one."""
    if text == ALL:
        return tuple(name for name in strategy_names() if not chooses_fidelity(name))
    return tuple(name.strip() for name in text.split(","))


def run_plan(plan: BenchmarkPlan, engine: Engine) -> Iterator[BenchmarkRun]:
    """Each run of the plan as it ends, in any order.

    Raises:
        EvaluationError: after all others, that some runs failed.
    """
    requests = [_Request(plan, name, seed) for name in plan.strategies for seed in range(plan.seeds)]
    failures = []
    for outcome in engine.run(_run, requests):
        if outcome.result is None:
            failures.append(f"{requests[outcome.position].strategy}, seed {requests[outcome.position].seed}: {outcome.error}")
        else:
            yield outcome.result
    if failures:
        raise EvaluationError(f"{len(failures)} of {len(requests)} runs failed; the first, {failures[0]}", where="benchmark search")


def _run(request: _Request) -> BenchmarkRun:
    plan = request.plan
    return run_strategy(plan.table(), request.strategy, request.seed, plan.budget, batch=plan.batch)


@lru_cache(maxsize=1)
def _read(path: Path, objectives: tuple[str, ...] | None, changed_ns: int) -> TableProblem:
    """The table is read, and its true front measured, once per process; ``changed_ns`` tells a new file of the same name."""
    return read_table_problem(path, objectives)


@dataclass(frozen=True)
class Summary:
    """One strategy over its seeds.

    Attributes:
        strategy: its name.
        evaluations: marks (k,) on the way to the budget.
        mean: mean hypervolume (k,) at the marks.
        standard_error: of that mean (k,); None with one seed.
        seconds_per_run: processor seconds of all asks and tells of a run, mean.
        evaluations_to_reach: by strategy, the evaluations after which this one's mean hypervolume is at least that one's last;
            None where the budget ends before.
    """

    strategy: str
    evaluations: tuple[int, ...]
    mean: tuple[float, ...]
    standard_error: tuple[float, ...] | None
    seconds_per_run: float
    evaluations_to_reach: dict[str, int | None]

    def as_dict(self) -> dict[str, Any]:
        """For a document."""
        return {
            "evaluations": list(self.evaluations),
            "mean": list(self.mean),
            "standard_error": None if self.standard_error is None else list(self.standard_error),
            "seconds_per_run": self.seconds_per_run,
            "evaluations_to_reach": self.evaluations_to_reach,
        }


def summarise(runs: Sequence[BenchmarkRun], budget: int) -> list[Summary]:
    """One summary per strategy, the best first; a run that used up its table keeps its last value."""
    names = list(dict.fromkeys(run.strategy for run in runs))
    curves = {name: np.stack([_padded(run.hypervolume, budget) for run in runs if run.strategy == name]) for name in names}
    means = {name: curve.mean(axis=0) for name, curve in curves.items()}
    marks = sorted({max(round(share * budget), 1) for share in MARKS})
    at = np.array(marks) - 1
    summaries = []
    for name in sorted(names, key=lambda name: -means[name][-1]):
        seeds = len(curves[name])
        error = None if seeds == 1 else tuple((curves[name][:, at].std(axis=0, ddof=1) / np.sqrt(seeds)).tolist())
        reach = {other: _first_at_least(means[name], float(means[other][-1])) for other in names if other != name}
        seconds = float(np.mean([run.seconds for run in runs if run.strategy == name]))
        summaries.append(Summary(name, tuple(marks), tuple(means[name][at].tolist()), error, seconds, reach))
    return summaries


def _padded(curve: Sequence[float], length: int) -> FloatArray:
    values = np.asarray(curve, dtype=np.float64)
    return np.concatenate([values, np.full(length - len(values), values[-1])])


def _first_at_least(curve: FloatArray, level: float) -> int | None:
    reached = np.flatnonzero(curve >= level)
    return int(reached[0]) + 1 if len(reached) else None


def rows_of(runs: Sequence[BenchmarkRun]) -> dict[str, list[Any]]:
    """Columns of a table with a row per evaluation, numbered from 1; ``row`` is the row of the problem's table."""
    columns: dict[str, list[Any]] = {"strategy": [], "seed": [], "evaluation": [], "row": [], "hypervolume": []}
    for run in runs:
        columns["strategy"] += [run.strategy] * len(run.rows)
        columns["seed"] += [run.seed] * len(run.rows)
        columns["evaluation"] += range(1, len(run.rows) + 1)
        columns["row"] += run.rows
        columns["hypervolume"] += run.hypervolume
    return columns
