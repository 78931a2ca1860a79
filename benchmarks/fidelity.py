"""Does it pay to choose the fidelity? True hypervolume against compute, with real trainings of the digits task.

The strategies search networks and PE arrays for the digits on a PYNQ-Z2: accuracy of at least 0.9, latency, energy. `full
only` is `ehvi`: every design is trained once, in full. The others may also train briefly (over a share of the epochs, which is
the cost that counts), or repeat full trainings with other seeds. After each amount of compute, counted in full trainings, the
study would report the front of what was trained in full, by mean accuracy over seeds; it is judged by its *true* values: the
mean accuracy of the same networks over other seeds that no strategy has seen. Hypervolume is in model space (costs on a
logarithmic scale), as a share of that of the best front known.

Trainings are kept in the working folder, one JSON object a line: an interrupted run goes on, and variants share them.

    python benchmarks/fidelity.py --seeds 3 --budget 32 --share 0.1 --work runs/fidelity
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.network.tasks.task import Task
from codesign.network.training import settings_for, train
from codesign.search import pareto
from codesign.search.candidates import keys
from codesign.search.evaluation import task_of
from codesign.search.fidelity import FidelityChoice, Ladder, Trials, find_fidelity_strategy, shortened, trial_seed
from codesign.search.pricing import Pricing
from codesign.search.specification import StudySpecification
from codesign.search.strategies.strategy import StrategySettings
from codesign.space.design_space import DesignPoint, Indices
from codesign.space.parameters import Half

FloatArray = NDArray[np.float64]

WORST_ACCURACY = 0.9
STUDY = StudySpecification(
    schema=1, name="fidelity", task="digits", device="pynq-z2", blueprints=("mlp",), templates=("pe_array",), limits={"accuracy": WORST_ACCURACY}
)
# Seed and number of the trainings that stand for the truth.
TRUTH_SEED, TRUTH_REPLICATES = 987_654, 3
SAMPLED = 5_000
VARIANTS = {
    "full only": FidelityChoice(levels=("full",)),
    "full, seeds": FidelityChoice(levels=("full", "seeds")),
    "short, full": FidelityChoice(levels=("short", "full")),
    "short, full, seeds": FidelityChoice(),
}


@dataclass
class Trainings:
    """Real trainings of networks, each done once."""

    pricing: Pricing
    path: Path
    share: float
    task: Task = field(default_factory=lambda: task_of(STUDY.task, None))
    known: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            row = json.loads(line)
            self.known[row["key"]] = (row["accuracy"], row["seconds"])

    def network(self, point: DesignPoint) -> str:
        """Id of the network half of a design: accuracy depends on nothing else."""
        space = self.pricing.joint.space
        return DesignPoint(tuple(item for item in point.assignment if space.parameter(item[0]).half is Half.NETWORK)).id

    def accuracy(self, point: DesignPoint, fidelity: str, seed: int, replicate: int) -> tuple[float, float]:
        """Validation accuracy and processor seconds of one training."""
        network = self.network(point)
        key = f"{network}/{fidelity}{f'/{self.share}' if fidelity == 'short' else ''}/{seed}/{replicate}"
        if key not in self.known:
            full = self.task.record.training
            settings = settings_for(self.task.record, shortened(full, self.share) if fidelity == "short" else {})
            trained = train(self.pricing.joint.graph(point), self.task, settings, trial_seed(seed, network, fidelity, replicate))
            self.known[key] = (trained.validation_accuracy, trained.seconds)
            with self.path.open("a") as stream:
                stream.write(json.dumps({"key": key, "accuracy": trained.validation_accuracy, "seconds": trained.seconds}) + "\n")
        return self.known[key]

    def truth(self, point: DesignPoint) -> float:
        """Mean accuracy over seeds that no search sees."""
        return float(np.mean([self.accuracy(point, "full", TRUTH_SEED, replicate)[0] for replicate in range(TRUTH_REPLICATES)]))


@dataclass
class Run:
    """One search: trials in their order, what they cost and gave."""

    trials: list[Trials]
    values: FloatArray
    cost: FloatArray
    seconds: FloatArray
    ask_seconds: float

    def reported(self, compute: float, top: int, maximise: NDArray[np.bool_]) -> Indices:
        """Designs of the front by mean accuracy, after that much compute."""
        everything = Trials.join(self.trials)
        chosen = (np.cumsum(self.cost) <= compute + 1e-9) & (everything.level == top)
        means: dict[bytes, list[FloatArray]] = {}
        for key, value in zip(keys(everything.indices[chosen]), self.values[chosen], strict=True):
            means.setdefault(key, []).append(value)
        if not means:
            return everything.indices[:0]
        table = np.array([np.mean(rows, axis=0) for rows in means.values()])
        front = pareto.non_dominated(table, maximise)
        return np.array([np.frombuffer(key, dtype=np.int16) for key, keep in zip(means, front, strict=True) if keep])


def search(trainings: Trainings, choice: FidelityChoice, seed: int, arguments: argparse.Namespace) -> Run:
    """Spend the budget."""
    problem, space = trainings.pricing.problem, trainings.pricing.joint.space
    ladder = Ladder.of(choice, trainings.task.record.training)
    strategy = find_fidelity_strategy("ehvi_fidelity")(problem, seed, StrategySettings(initial=arguments.initial), ladder)
    trials: list[Trials] = []
    values: list[FloatArray] = []
    cost, seconds, asking = [], [], 0.0
    while True:
        begin = time.process_time()
        asked = strategy.ask_evaluations(arguments.batch, arguments.budget - sum(cost))
        asking += time.process_time() - begin
        if not len(asked):
            break
        found = problem.price(asked.indices).prior.copy()
        for row, (point, level, replicate) in enumerate(zip(space.points(asked.indices), asked.level.tolist(), asked.replicate.tolist(), strict=True)):
            fidelity = ladder.fidelities[level]
            found[row, 0], spent = trainings.accuracy(point, fidelity.name, seed, replicate)
            cost.append(fidelity.cost)
            seconds.append(spent)
        strategy.tell_evaluations(asked, found)
        trials.append(asked)
        values.append(found)
    return Run(trials, np.concatenate(values), np.array(cost), np.array(seconds), asking)


def true_values(trainings: Trainings, designs: Indices) -> FloatArray:
    """Model space, m columns."""
    problem = trainings.pricing.problem
    values = problem.pool(designs).priced.prior.copy()
    values[:, 0] = [trainings.truth(point) for point in trainings.pricing.joint.space.points(designs)]
    return problem.to_model(values)


def main() -> None:
    """Print hypervolume by variant and compute, and the compute that each variant needs for what `full only` reaches at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", default=",".join(name.replace(", ", "+") for name in VARIANTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=48.0)
    parser.add_argument("--initial", type=int, default=12)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--work", type=Path, default=Path("runs/fidelity"))
    arguments = parser.parse_args()
    pricing = Pricing(STUDY)
    trainings = Trainings(pricing, arguments.work / "trainings.jsonl", arguments.share)
    sample = pricing.problem.pool(pricing.joint.space.sample(SAMPLED, np.random.default_rng(0)))
    prices = sample.priced.prior[sample.priced.feasible].copy()
    prices[:, 0] = WORST_ACCURACY
    reference = pricing.problem.to_model(prices).max(axis=0)
    minimised = np.zeros(len(reference), dtype=np.bool_)
    marks = np.arange(8.0, arguments.budget + 1.0, 4.0)
    curves: dict[str, list[list[float]]] = {}
    union = [np.empty((0, len(reference)))]
    for name in [name.replace("+", ", ") for name in arguments.variants.split(",")]:
        choice = FidelityChoice(levels=VARIANTS[name].levels, short_share=arguments.share)
        ladder = Ladder.of(choice, trainings.task.record.training)
        for seed in range(1, arguments.seeds + 1):
            run = search(trainings, choice, seed, arguments)
            levels = Trials.join(run.trials).level
            fronts = [true_values(trainings, run.reported(mark, ladder.top, pricing.problem.maximise)) for mark in marks]
            curves.setdefault(name, []).append([pareto.hypervolume(front, reference, minimised) for front in fronts])
            union += fronts
            counted = [f"{fidelity.name} {int((levels == level).sum())}" for level, fidelity in enumerate(ladder.fidelities)]
            again = int((Trials.join(run.trials).replicate > 0).sum())
            spent = f"training {run.seconds.sum():.0f} cpu s, asks {run.ask_seconds:.0f} cpu s"
            print(f"{name:20s} seed {seed}: {', '.join(counted)} (of them {again} repeated); {spent}", flush=True)
    best = pareto.hypervolume(np.concatenate(union), reference, minimised)
    print(f"\nshare of the best known hypervolume, mean and standard error of {arguments.seeds} seeds, by compute in full trainings")
    print(f"{'variant':20s} " + " ".join(f"{mark:>13.0f}" for mark in marks))
    for name, found in curves.items():
        table = np.array(found) / best
        error = table.std(axis=0, ddof=1) / np.sqrt(len(table)) if len(table) > 1 else np.zeros(table.shape[1])
        print(f"{name:20s} " + " ".join(f"{mean:.3f} +- {width:.3f}" for mean, width in zip(table.mean(axis=0), error, strict=True)))
    base = np.array(curves.get("full only", next(iter(curves.values())))).mean(axis=0)
    for name, found in curves.items():
        mean = np.array(found).mean(axis=0)
        reached = [f"{mark:.0f}: {needed(marks, mean, level):.1f}" for mark, level in zip(marks, base, strict=True)]
        print(f"{name:20s} compute for the mean hypervolume of full only at {', '.join(reached)}")


def needed(marks: FloatArray, curve: FloatArray, level: float) -> float:
    """Compute at which a curve first reaches a level, between the marks by a straight line; infinite where it does not."""
    above = np.flatnonzero(curve >= level - 1e-12)
    if not len(above):
        return float("inf")
    first = int(above[0])
    if first == 0:
        return float(marks[0])
    share = (level - curve[first - 1]) / (curve[first] - curve[first - 1])
    return float(marks[first - 1] + share * (marks[first] - marks[first - 1]))


if __name__ == "__main__":
    main()
