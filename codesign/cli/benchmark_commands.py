"""Commands that compare: benchmark search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli.output import emit, number, say, table
from codesign.cli.progress import ProgressDisplay
from codesign.errors import InterruptedRunError

if TYPE_CHECKING:
    from codesign.search.benchmark import BenchmarkPlan, BenchmarkRun, Summary
    from codesign.search.table_problem import TableProblem

benchmark = typer.Typer(name="benchmark", help="Search strategies against each other.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(benchmark)


@benchmark.command()
def search(
    problem: Annotated[str, typer.Option("--problem", help="A table of designs (Parquet), or the name of one that is shipped.")],
    budget: Annotated[int, typer.Option("--budget", help="Evaluations of a run.")] = 100,
    seeds: Annotated[int, typer.Option("--seeds", help="Runs of each strategy.")] = 5,
    strategies: Annotated[str, typer.Option("--strategies", help="Names with commas between, or all.")] = "all",
    objectives: Annotated[str | None, typer.Option("--objectives", help="Two to five of the table's, with commas between; all by default.")] = None,
    batch: Annotated[int, typer.Option("--batch", help="Designs per ask, the same for every strategy.")] = 4,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes that work at the same time.")] = 1,
    out: Annotated[Path | None, typer.Option("--out", help="A row per evaluation (Parquet), written as runs end.")] = None,
) -> None:
    """Every strategy on a table of designs under one budget: the share of the true front's hypervolume that it finds.

    Hypervolume is in natural units, from the worst value of each objective on the feasible rows.
    """
    from codesign.search.benchmark import BenchmarkPlan, choose_strategies, summarise

    chosen = None if objectives is None else tuple(name.strip() for name in objectives.split(","))
    plan = BenchmarkPlan(_find(problem), chosen, choose_strategies(strategies), seeds, budget, batch)
    found = plan.table()
    runs = _collect(plan, jobs, out)
    summaries = summarise(runs, budget)
    _print(problem, found, plan, summaries)
    if out is not None:
        say(f"evaluations: {out}")
    emit(
        {
            "true_hypervolume": found.true_hypervolume,
            "runs": [run.as_dict() for run in runs],
            "objectives": [objective.name for objective in found.problem.objectives],
            "reference": found.natural_reference.tolist(),
            "budget": budget,
            "batch": batch,
            "summary": {summary.strategy: summary.as_dict() for summary in summaries},
        }
    )


def _find(problem: str) -> Path:
    """A file of that path, else the shipped table of that name."""
    path = Path(problem)
    if path.suffix or path.exists():
        return path
    from codesign.search.shipped_tables import find_table

    return find_table(problem)


def _collect(plan: BenchmarkPlan, jobs: int, out: Path | None) -> list[BenchmarkRun]:
    """All runs, in the order of the strategies and seeds; those that ended are in the file whatever happens to the others."""
    from codesign.search.benchmark import rows_of, run_plan
    from codesign.search.engine import open_engine
    from codesign.search.study import Progress
    from codesign.validation.parquet import write_columns

    runs: list[BenchmarkRun] = []
    total = len(plan.strategies) * plan.seeds
    if out is not None:
        write_columns(out, rows_of(runs))  # a folder that is not there is found out now, not after the first run
    try:
        with ProgressDisplay() as display, open_engine(jobs) as engine:
            for run in run_plan(plan, engine):
                runs.append(run)
                runs.sort(key=lambda run: (plan.strategies.index(run.strategy), run.seed))
                if out is not None:
                    write_columns(out, rows_of(runs))
                message = f"{run.strategy}, seed {run.seed}: {run.hypervolume[-1]:.3f} in {number(run.seconds)} cpu s"
                display.listen(Progress("runs", len(runs), total, message))
    except KeyboardInterrupt:
        kept = "" if out is None else f"; the evaluations of those are in {out}"
        raise InterruptedRunError(
            f"interrupted; {len(runs)} of {total} runs had ended{kept}", where="benchmark search", remedy="The same command begins again"
        ) from None
    return runs


def _print(problem: str, found: TableProblem, plan: BenchmarkPlan, summaries: list[Summary]) -> None:
    names = ", ".join(objective.name for objective in found.problem.objectives)
    size = f"{len(found.indices)} rows, {len(found.problem.space)} parameters, {found.feasible.mean():.0%} feasible"
    say(f"{problem}: {size}; objectives {names}; share of the true hypervolume, {plan.seeds} seeds, {plan.batch} designs an ask")
    rows = []
    for summary in summaries:
        errors = summary.standard_error or (0.0,) * len(summary.mean)
        means = [f"{mean:.3f}" + (f" ± {error:.3f}" if error else "") for mean, error in zip(summary.mean, errors, strict=True)]
        rows.append([summary.strategy, *means, number(summary.seconds_per_run)])
    table(("strategy", *(f"after {mark}" for mark in summaries[0].evaluations), "cpu s a run"), rows)
    best, *others = summaries
    for other in others:
        say(f"{best.strategy} reaches the last hypervolume of {other.strategy} after {best.evaluations_to_reach[other.strategy]} evaluations")
