"""`codesign benchmark search`: the fixed format, the file of evaluations, interruption, and wrong arguments."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyarrow import parquet

from codesign.search import benchmark
from codesign.search.benchmark import BenchmarkPlan, BenchmarkRun, run_strategy
from codesign.search.engine import Engine
from codesign.search.table_problem import read_table_problem
from tests.search.table_files import write_table

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def problem(tmp_path: Path) -> str:
    return str(write_table(tmp_path / "table.parquet"))


def test_the_format_is_the_fixed_one(run: Run, problem: str, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    arguments = ("--strategies", "random,nsga2", "--seeds", "2", "--budget", "20", "--objectives", "accuracy,latency", "--batch", "3")
    code, text, err = run("benchmark", "search", "--problem", problem, *arguments, "--out", str(out), "--json")
    assert code == 0
    document = json.loads(text)
    table = read_table_problem(Path(problem), ["accuracy", "latency"])
    assert document["true_hypervolume"] == table.true_hypervolume
    assert [(entry["strategy"], entry["seed"]) for entry in document["runs"]] == [("random", 0), ("random", 1), ("nsga2", 0), ("nsga2", 1)]
    first = document["runs"][0]
    assert set(first) == {"strategy", "seed", "hypervolume", "feasible_fraction", "seconds_per_ask"}
    assert first["hypervolume"] == list(run_strategy(table, "random", 0, 20, batch=3).hypervolume)
    assert (document["budget"], document["batch"], document["objectives"]) == (20, 3, ["accuracy", "latency"])
    assert set(document["summary"]) == {"random", "nsga2"}
    assert "runs 4/4: nsga2, seed 1" in err
    assert "after 10" in err
    rows = parquet.read_table(out)
    assert rows.num_rows == 80
    assert rows.column_names == ["strategy", "seed", "evaluation", "row", "hypervolume"]


def test_people_get_a_table(run: Run, problem: str) -> None:
    code, text, _ = run("benchmark", "search", "--problem", problem, "--strategies", "random,local", "--seeds", "2", "--budget", "20")
    assert code == 0
    assert "after 5" in text and "after 20" in text and "±" in text
    assert "reaches the last hypervolume of" in text


def test_an_interruption_keeps_what_had_ended(run: Run, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(plan: BenchmarkPlan, engine: Engine) -> Iterator[BenchmarkRun]:
        yield run_strategy(plan.table(), "random", 0, 8)
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "run_plan", interrupted)
    out = tmp_path / "out.parquet"
    code, _, err = run("benchmark", "search", "--problem", problem, "--strategies", "random", "--out", str(out))
    assert code == 130
    assert f"interrupted; 1 of 5 runs had ended; the evaluations of those are in {out}" in err
    assert parquet.read_table(out).num_rows == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--problem", "nowhere.parquet"), "nowhere.parquet: no such file"),
        (("--problem", "nowhere"), "unknown table 'nowhere'"),
        (("--strategies", "annealing"), "unknown strategy 'annealing'"),
        (("--strategies", ""), "unknown strategy ''"),
        (("--budget", "0"), "--budget: 0"),
        (("--objectives", "accuracy,beauty"), "no objective 'beauty'"),
        (("--objectives", "accuracy"), "Give 2 to 5 different objectives"),
        (("--jobs", "0"), "--jobs: 0 jobs"),
        (("--out", "nowhere/out.parquet"), "nowhere/out.parquet: cannot be written"),
    ],
)
def test_wrong_arguments_are_named(run: Run, problem: str, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = run("benchmark", "search", "--problem", problem, "--strategies", "random", "--budget", "5", *arguments)
    assert code == 2
    assert message in err
