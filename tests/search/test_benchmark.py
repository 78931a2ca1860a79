"""Runs and summaries of strategies on a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import EvaluationError, InputError
from codesign.search import benchmark, pareto
from codesign.search.benchmark import BenchmarkPlan, BenchmarkRun, choose_strategies, rows_of, run_plan, run_strategy, summarise
from codesign.search.engine import open_engine
from codesign.search.strategies.strategy import strategy_names
from codesign.search.table_problem import read_table_problem
from tests.search.table_files import write_table


@pytest.fixture
def plan(tmp_path: Path) -> BenchmarkPlan:
    return BenchmarkPlan(write_table(tmp_path / "table.parquet"), None, ("random", "nsga2"), seeds=2, budget=30)


def made_run(strategy: str, seed: int, *hypervolume: float, seconds: float = 1.0) -> BenchmarkRun:
    return BenchmarkRun(strategy, seed, tuple(range(len(hypervolume))), hypervolume, 1.0, 2, seconds)


def test_a_run_measures_what_its_rows_give(plan: BenchmarkPlan) -> None:
    table = plan.table()
    run = run_strategy(table, "random", 0, 30)
    rows = np.array(run.rows)
    assert len(set(run.rows)) == 30
    feasible = table.limits[rows, 0] <= 0.0
    assert run.feasible_fraction == feasible.mean()
    assert 0.0 < feasible.mean() < 1.0
    reached = pareto.hypervolume(table.values[rows[feasible]], table.reference, table.problem.maximise) / table.true_hypervolume
    assert run.hypervolume[-1] == pytest.approx(reached)
    assert list(run.hypervolume) == sorted(run.hypervolume)
    assert run.asks == 8


@pytest.mark.parametrize(("batch", "asks"), [(1, 30), (7, 5), (40, 1)])
def test_designs_are_asked_for_in_batches(plan: BenchmarkPlan, batch: int, asks: int) -> None:
    run = run_strategy(plan.table(), "random", 0, 30, batch=batch)
    assert (len(run.rows), run.asks) == (30, asks)


def test_a_run_ends_with_its_table_and_has_all_of_its_front(plan: BenchmarkPlan) -> None:
    table = plan.table()
    run = run_strategy(table, "local", 0, 1000)
    assert sorted(run.rows) == list(range(len(table.indices)))
    assert run.hypervolume[-1] == pytest.approx(1.0)


def test_runs_do_not_depend_on_the_number_of_jobs(plan: BenchmarkPlan) -> None:
    found = {}
    for jobs in (1, 2):
        with open_engine(jobs) as engine:
            found[jobs] = {(run.strategy, run.seed): run.rows for run in run_plan(plan, engine)}
    assert found[1] == found[2]
    assert set(found[1]) == {(name, seed) for name in plan.strategies for seed in (0, 1)}


def test_a_table_that_is_written_anew_is_read_anew(plan: BenchmarkPlan) -> None:
    before = len(plan.table().indices)
    write_table(plan.problem, rows=40)
    assert len(plan.table().indices) < before


def test_runs_that_fail_are_told_after_the_others(plan: BenchmarkPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(table: object, name: str, seed: int, budget: int, *, batch: int) -> BenchmarkRun:
        if (name, seed) == ("random", 1):
            raise ValueError("no luck")
        return made_run(name, seed, 0.5)

    monkeypatch.setattr(benchmark, "run_strategy", lookup)
    done: list[tuple[str, int]] = []
    with pytest.raises(EvaluationError, match="1 of 4 runs failed; the first, random, seed 1: ValueError: no luck"), open_engine(1) as engine:
        done.extend((run.strategy, run.seed) for run in run_plan(plan, engine))
    assert done == [("random", 0), ("nsga2", 0), ("nsga2", 1)]


def test_a_summary_has_means_errors_and_how_soon_others_are_reached() -> None:
    runs = [made_run("slow", 0, 0.1, 0.2, 0.3, 0.4), made_run("slow", 1, 0.1, 0.2, 0.3, 0.6, seconds=3.0), made_run("quick", 0, 0.2, 0.5, 0.9, 0.9)]
    runs.append(made_run("quick", 1, 0.2, 0.5, 0.7))
    quick, slow = summarise(runs, 4)
    assert (quick.strategy, slow.strategy) == ("quick", "slow")
    assert quick.evaluations == (1, 2, 4)
    assert quick.mean == pytest.approx((0.2, 0.5, 0.8))
    assert quick.standard_error == pytest.approx((0.0, 0.0, 0.1))
    assert slow.mean[-1] == pytest.approx(0.5)
    assert slow.seconds_per_run == 2.0
    assert quick.evaluations_to_reach == {"slow": 2}
    assert slow.evaluations_to_reach == {"quick": None}


def test_one_seed_has_no_standard_error() -> None:
    (only,) = summarise([made_run("random", 0, 0.1, 0.2)], 2)
    assert only.standard_error is None
    assert only.as_dict()["standard_error"] is None


def test_rows_of_runs() -> None:
    columns = rows_of([made_run("a", 0, 0.1, 0.2), made_run("b", 3, 0.4)])
    assert columns == {"strategy": ["a", "a", "b"], "seed": [0, 0, 3], "evaluation": [1, 2, 1], "row": [0, 1, 0], "hypervolume": [0.1, 0.2, 0.4]}


def test_all_strategies_can_be_chosen() -> None:
    """But those that choose fidelities, of which a table has one: there they are another strategy over again."""
    assert set(strategy_names()) - set(choose_strategies("all")) == {"ehvi_fidelity"}
    assert choose_strategies("random, nsga2") == ("random", "nsga2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": 0}, "--budget: 0"),
        ({"seeds": -1}, "--seeds: -1"),
        ({"batch": 0}, "--batch: 0"),
        ({"strategies": ("random", "random")}, "Name each strategy once"),
        ({"strategies": ("annealing",)}, "unknown strategy 'annealing'"),
    ],
)
def test_plans_that_make_no_sense_are_refused(plan: BenchmarkPlan, change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(plan, **change)  # type: ignore[arg-type]


def test_objectives_are_chosen_in_order(plan: BenchmarkPlan) -> None:
    chosen = replace(plan, objectives=("power", "accuracy")).table()
    assert [objective.name for objective in chosen.problem.objectives] == ["power", "accuracy"]
    assert chosen.true_hypervolume == pytest.approx(read_table_problem(plan.problem, ["accuracy", "power"]).true_hypervolume)
