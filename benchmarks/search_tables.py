"""Compare search strategies on a table of designs whose true front is known: the bars of sample efficiency.

Every strategy gets the same budget, the same batch and the same rule that turns a wished design into a row of the table.
Besides the registered strategies, other people's programs take part where they can be imported; they are no dependencies:

- `pymoo_nsga2`: pymoo's NSGA-II, simulated binary crossover and polynomial mutation on rounded integers, as it ships
  but for a population of 20;
- `botorch_qnehvi`, `botorch_qnparego`: BoTorch's qLogNoisyExpectedHypervolumeImprovement and random Chebyshev scalarisations
  with qLogNoisyExpectedImprovement, one SingleTaskGP per objective and constraint, optimised over all rows that are left.

Each run is appended to the file of results as it ends, and a run that is there is not made again.

    python benchmarks/search_tables.py TABLE.parquet --objectives accuracy,latency_zcu102_ms,params --results runs.jsonl
    python benchmarks/search_tables.py digits_joint --strategies ehvi,nsga2,pymoo_nsga2 --results digits.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from codesign.search.benchmark import BATCH, BenchmarkRun, choose_strategies, drive, run_strategy, summarise
from codesign.search.candidates import keys
from codesign.search.problem import SearchProblem
from codesign.search.shipped_tables import find_table
from codesign.search.strategies.listed import complete_batch, realise
from codesign.search.strategies.strategy import Capabilities, History, StrategySettings
from codesign.search.table_problem import TableProblem, read_table_problem
from codesign.space.design_space import Indices
from codesign.surrogate.encoding import Encoding

FloatArray = NDArray[np.float64]

LONG = "nsga2"
LONG_BUDGET = 500
POPULATION = 20
INITIAL = 16
# Rows that BoTorch scores at a time, so that it does not spend its time on memory.
CHUNK = 256


class PymooNsga2(History):
    """pymoo's NSGA-II through our ask and tell."""

    name: ClassVar[str] = "pymoo_nsga2"
    capabilities: ClassVar[Capabilities] = Capabilities(model=False, prior=False, pending=False)

    def __init__(self, problem: SearchProblem, seed: int, settings: StrategySettings | None = None) -> None:
        super().__init__(problem, seed, settings)
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling

        space = problem.space
        described = Problem(n_var=len(space), n_obj=len(problem.objectives), n_ieq_constr=len(problem.constraints), xl=0, xu=space.cardinalities - 1, vtype=int)
        self._algorithm = NSGA2(
            pop_size=POPULATION,
            sampling=IntegerRandomSampling(),
            crossover=SBX(vtype=float, repair=RoundingRepair()),
            mutation=PM(vtype=float, repair=RoundingRepair()),
        )
        self._algorithm.setup(described, termination=("n_gen", 10_000), seed=seed, verbose=False)
        self._generation: Any = None
        self._waiting = self._empty()

    def ask(self, count: int, pending: Indices | None = None) -> Indices:
        """Part of a generation; the next one is bred when all of it was told."""
        if not len(self._waiting):
            if self._generation is not None:
                self._learn()
            self._generation = self._algorithm.ask()
            wishes = self._generation.get("X").astype(np.int16)
            self._waiting = realise(self.problem, self.source, wishes, len(wishes), self.taken(None), self.rng())
            self._generation = self._generation[: len(self._waiting)]
            self._generation.set("X", self._waiting.astype(np.int64))
        asked, self._waiting = self._waiting[:count], self._waiting[count:]
        return asked

    def _learn(self) -> None:
        size = len(self._generation)
        self._generation.set("F", np.where(self.problem.maximise, -self.values, self.values)[-size:])
        self._generation.set("G", self.constraints[-size:])
        for individual in self._generation:
            individual.evaluated.update(("F", "G"))
        self._algorithm.tell(infills=self._generation)


class Botorch(History):
    """BoTorch's acquisition functions over the rows of a table."""

    capabilities: ClassVar[Capabilities] = Capabilities(model=True, prior=False, pending=True)

    def ask(self, count: int, pending: Indices | None = None) -> Indices:
        """Random designs first, then what the acquisition function prefers."""
        rng, taken = self.rng(), self.taken(pending)
        if len(self) < INITIAL:
            return self.source.draw(count, taken, rng).indices
        import torch

        torch.manual_seed(int(rng.integers(2**31)))
        left = self.source.left(taken)
        if left is None or not len(left):
            return self._empty()
        encoding = Encoding.build(self.problem.space)
        seen, choices = (torch.from_numpy(encoding.embed(designs)) for designs in (self.told.indices, left.indices))
        gains = torch.from_numpy(np.where(self.problem.maximise, self.values, -self.values))
        model = self._fit(seen, torch.cat([gains, torch.from_numpy(self.constraints)], dim=1))
        wished = self._choose(model, seen, gains, choices, min(count, len(choices))).numpy()
        designs = left.indices[[int(np.argmin(((choices.numpy() - row) ** 2).sum(axis=1))) for row in wished]]
        return complete_batch(self.source, designs[np.sort(np.unique(designs, axis=0, return_index=True)[1])], count, taken | set(keys(designs)), rng)

    def _fit(self, inputs: Any, outcomes: Any) -> Any:
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import ModelListGP, SingleTaskGP
        from botorch.models.transforms import Normalize, Standardize
        from gpytorch.mlls import SumMarginalLogLikelihood

        columns = outcomes.split(1, dim=1)
        models = [SingleTaskGP(inputs, column, input_transform=Normalize(inputs.shape[1]), outcome_transform=Standardize(1)) for column in columns]
        joined = ModelListGP(*models)
        fit_gpytorch_mll(SumMarginalLogLikelihood(joined.likelihood, joined))
        return joined

    def _limits(self) -> list[Callable[[Any], Any]] | None:
        """The constraints among the outcomes, negative where they hold."""
        first = len(self.problem.objectives)
        return [lambda outcome, column=first + column: outcome[..., column] for column in range(len(self.problem.constraints))] or None

    def _choose(self, model: Any, seen: Any, gains: Any, choices: Any, count: int) -> Any:
        raise NotImplementedError


class BotorchNehvi(Botorch):
    """qLogNoisyExpectedHypervolumeImprovement."""

    name: ClassVar[str] = "botorch_qnehvi"

    def _choose(self, model: Any, seen: Any, gains: Any, choices: Any, count: int) -> Any:
        from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
        from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
        from botorch.optim import optimize_acqf_discrete

        acquisition = qLogNoisyExpectedHypervolumeImprovement(
            model=model,
            ref_point=gains.min(dim=0).values,
            X_baseline=seen,
            objective=IdentityMCMultiOutputObjective(outcomes=list(range(gains.shape[1]))),
            constraints=self._limits(),
            prune_baseline=True,
        )
        return optimize_acqf_discrete(acquisition, q=count, choices=choices, max_batch_size=CHUNK)[0]


class BotorchNparego(Botorch):
    """A random augmented Chebyshev scalarisation per design, with qLogNoisyExpectedImprovement."""

    name: ClassVar[str] = "botorch_qnparego"

    def _choose(self, model: Any, seen: Any, gains: Any, choices: Any, count: int) -> Any:
        import torch
        from botorch.acquisition.logei import qLogNoisyExpectedImprovement
        from botorch.acquisition.objective import GenericMCObjective
        from botorch.optim import optimize_acqf_discrete
        from botorch.utils.multi_objective.scalarization import get_chebyshev_scalarization
        from botorch.utils.sampling import sample_simplex

        chosen: list[Any] = []
        for _ in range(count):
            weights = sample_simplex(gains.shape[1], dtype=gains.dtype).squeeze(0)
            scalar = get_chebyshev_scalarization(weights=weights, Y=gains)
            acquisition = qLogNoisyExpectedImprovement(
                model=model,
                X_baseline=seen,
                objective=GenericMCObjective(lambda outcomes, X=None, scalar=scalar: scalar(outcomes[..., : gains.shape[1]])),
                constraints=self._limits(),
                prune_baseline=True,
                X_pending=torch.cat(chosen) if chosen else None,
            )
            chosen.append(optimize_acqf_discrete(acquisition, q=1, choices=choices, max_batch_size=CHUNK)[0])
        return torch.cat(chosen)


PEERS: dict[str, type[History]] = {peer.name: peer for peer in (PymooNsga2, BotorchNehvi, BotorchNparego)}  # type: ignore[attr-defined]


class Results:
    """Runs in a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.is_file() else []
        self._known = {(entry["strategy"], entry["seed"], entry["budget"]): entry["run"] for entry in map(json.loads, lines)}

    def run(self, table: TableProblem, name: str, seed: int, budget: int) -> BenchmarkRun:
        """The run of that name, made if it is not known."""
        if (name, seed, budget) not in self._known:
            made = drive(table, PEERS[name](table.problem, seed), seed, budget, BATCH) if name in PEERS else run_strategy(table, name, seed, budget)  # type: ignore[arg-type]
            self._known[name, seed, budget] = asdict(made)
            with self._path.open("a") as file:
                file.write(json.dumps({"strategy": name, "seed": seed, "budget": budget, "run": asdict(made)}) + "\n")
        return BenchmarkRun(**self._known[name, seed, budget])


def all_runs(results: Results, table: TableProblem, names: list[str], seeds: int, budget: int) -> Iterator[BenchmarkRun]:
    """One strategy after the other, a line each."""
    for name in names:
        runs = [results.run(table, name, seed, budget) for seed in range(seeds)]
        last = np.array([run.hypervolume[-1] for run in runs])
        seconds = np.mean([run.seconds for run in runs])
        print(f"  {name:17s} " + " ".join(f"{value:.3f}" for value in last) + f"  mean {last.mean():.4f}  {seconds:.1f} cpu s", flush=True)
        yield from runs


def compare(runs: list[BenchmarkRun], long: list[BenchmarkRun], budget: int, best: str) -> None:
    """Means with standard errors, ratios to one strategy, and the evaluations that it saves."""
    summaries = {summary.strategy: summary for summary in summarise(runs, budget)}
    marks = next(iter(summaries.values())).evaluations
    print(f"{'strategy':17s} " + " ".join(f"{f'after {mark}':>17s}" for mark in marks) + f" {'to ' + best:>10s} {'cpu s':>8s}")
    for name, summary in summaries.items():
        errors = summary.standard_error or (float("nan"),) * len(marks)
        cells = " ".join(f"{mean:.4f} +- {error:.4f}" for mean, error in zip(summary.mean, errors, strict=True))
        ratio = f"{summary.mean[-1] / summaries[best].mean[-1]:.3f}" if best in summaries else ""
        print(f"{name:17s} {cells} {ratio:>10s} {summary.seconds_per_run:8.1f}")
    if not long:
        return
    level = float(np.mean([run.hypervolume[-1] for run in long]))
    print(f"{LONG} with {LONG_BUDGET} evaluations: {level:.4f}")
    if best in summaries:
        size = max(len(run.hypervolume) for run in runs if run.strategy == best)
        curve = np.mean([run.hypervolume for run in runs if run.strategy == best and len(run.hypervolume) == size], axis=0)
        reached = np.flatnonzero(curve >= level)
        print(f"{best} reaches that after {int(reached[0]) + 1 if len(reached) else f'more than {size}'} evaluations")


def main() -> None:
    """Print one line per strategy, then the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="a file, or the name of a shipped table")
    parser.add_argument("--objectives", help="with commas between; all by default")
    parser.add_argument("--strategies", default="all", help="with commas between; all: every registered one; peers: those of others as well")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--best", default="ehvi", help="the strategy that the others are compared with")
    parser.add_argument("--no-long", action="store_true", help=f"leave out {LONG} with {LONG_BUDGET} evaluations")
    parser.add_argument("--results", type=Path, default=Path("search_tables.jsonl"))
    arguments = parser.parse_args()
    path = Path(arguments.table) if arguments.table.endswith(".parquet") else find_table(arguments.table)
    table = read_table_problem(path, None if arguments.objectives is None else arguments.objectives.split(","))
    every = list(choose_strategies("all"))
    chosen = {"all": every, "peers": [*every, *PEERS]}
    names = chosen.get(arguments.strategies) or arguments.strategies.split(",")
    results = Results(arguments.results)
    size = f"{len(table.indices)} rows, {len(table.problem.space)} parameters, {table.feasible.mean():.0%} feasible"
    print(f"{path.name}: {size}, true hypervolume {table.true_hypervolume:.6g}")
    runs = list(all_runs(results, table, names, arguments.seeds, arguments.budget))
    long = [] if arguments.no_long else list(all_runs(results, table, [LONG], arguments.seeds, LONG_BUDGET))
    compare(runs, long, arguments.budget, arguments.best)


if __name__ == "__main__":
    main()
