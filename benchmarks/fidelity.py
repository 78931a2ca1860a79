"""Does it pay to choose the fidelity? True hypervolume against compute, with real trainings.

The strategies search networks and PE arrays for a PYNQ-Z2: accuracy above a limit, latency, energy. `full only` is `ehvi`:
every design is trained once, in full. The others may also train briefly (over a share of the epochs, which is the cost that
counts), score with shared weights (whose training is paid first), or repeat full trainings with other seeds. After each
amount of compute, counted in full trainings, the study would report the front of what was trained in full, by mean accuracy
over seeds; it is judged by its *true* values: the mean accuracy of the same networks over other seeds that no strategy has
seen. Hypervolume is in model space (costs on a logarithmic scale), as a share of that of the best front known.

`--ranks N` says instead how well each look, and the size alone, orders N random networks by their full training, and what
it costs in processor time.

Trainings are kept in the working folder, one JSON object a line: an interrupted run goes on, and variants share them.

    python benchmarks/fidelity.py --seeds 3 --budget 32 --share 0.1 --work runs/fidelity
    python benchmarks/fidelity.py --task kws --ranks 40
    python benchmarks/fidelity.py --task kws --variants full+only,supernet+full --seeds 3 --truths 1
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from codesign.search import pareto
from codesign.search.candidates import keys
from codesign.search.evaluation import TrainingRequest, task_of, train_design
from codesign.search.fidelity import FULL, SHORT, SUPERNET, FidelityChoice, Ladder, Trials, find_fidelity_strategy, shortened, trial_seed, tuned
from codesign.search.pricing import Pricing
from codesign.search.specification import StudySpecification
from codesign.search.strategies.strategy import StrategySettings
from codesign.search.supernets import Supernets
from codesign.space.design_space import DesignPoint, Indices
from codesign.space.parameters import Half
from codesign.store.study_store import StudyStore

FloatArray = NDArray[np.float64]

STUDY = StudySpecification(schema=1, name="fidelity", task="digits", device="pynq-z2", blueprints=("mlp",), templates=("pe_array",), limits={"accuracy": 0.9})
STUDIES = {"digits": STUDY, "kws": replace(STUDY, task="kws", blueprints=("tcresnet",), limits={"accuracy": 0.6})}
# Seed of the trainings that stand for the truth.
TRUTH_SEED = 987_654
SAMPLED = 5_000
VARIANTS = {
    "full only": FidelityChoice(levels=("full",)),
    "full, seeds": FidelityChoice(levels=("full", "seeds")),
    "short, full": FidelityChoice(levels=("short", "full")),
    "short, full, seeds": FidelityChoice(),
    "supernet, full": FidelityChoice(levels=("supernet", "full")),
    "supernet, full, seeds": FidelityChoice(levels=("supernet", "full", "seeds")),
    "supernet, short, full, seeds": FidelityChoice(levels=("supernet", "short", "full", "seeds")),
}


@dataclass
class Trainings:
    """Real trainings of networks, each done once."""

    pricing: Pricing
    folder: Path
    choice: FidelityChoice
    truths: int
    known: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / "trainings.jsonl"
        self.task = task_of(self.pricing.specification.task, None)
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            row = json.loads(line)
            self.known[row["key"]] = (row["accuracy"], row["seconds"])

    def network(self, point: DesignPoint) -> str:
        """Id of the network half of a design: accuracy depends on nothing else."""
        space = self.pricing.joint.space
        return DesignPoint(tuple(item for item in point.assignment if space.parameter(item[0]).half is Half.NETWORK)).id

    def accuracy(self, point: DesignPoint, fidelity: str, seed: int, replicate: int) -> tuple[float, float]:
        """Result and processor seconds of one trial."""
        network, full, shared = self.network(point), self.task.record.training, None
        key, settings = f"{network}/{fidelity}/{seed}/{replicate}", dict[str, int]()
        if fidelity == SHORT:
            key, settings = f"{network}/{fidelity}/{self.choice.short_share}/{seed}/{replicate}", shortened(full, self.choice.short_share)
        if fidelity == SUPERNET:
            settings, supernets = tuned(full, self.choice.score_share), self.supernets(seed)
            shared = str(supernets.path(self.pricing.joint.blueprint_of(point).name))
            key = f"{network}/{fidelity}/{self.choice.supernet_cost}/{self.choice.score_share}/{seed}/{replicate}"
        if key not in self.known:
            if shared is not None:
                supernets.train(None, "cpu", lambda _: None)
            rows, trial = self.pricing.joint.graph(point).as_rows(), trial_seed(seed, network, fidelity, replicate)
            found = train_design(TrainingRequest(rows, self.task.record.name, None, settings, trial, None, supernet=shared))
            self.known[key] = (found["accuracy"], found["seconds"])
            with self.path.open("a") as stream:
                stream.write(json.dumps({"key": key, "accuracy": found["accuracy"], "seconds": found["seconds"]}) + "\n")
        return self.known[key]

    def supernets(self, seed: int) -> Supernets:
        """Those of a study of that seed."""
        specification = replace(self.pricing.specification, seed=seed, fidelity=self.choice)
        folder = self.folder / f"shared-{self.choice.supernet_cost:g}-{seed}"
        folder.mkdir(exist_ok=True)
        return Supernets(Pricing(specification), folder, StudyStore.at(folder / "store.sqlite"))

    def truth(self, point: DesignPoint) -> float:
        """Mean accuracy over seeds that no search sees."""
        return float(np.mean([self.accuracy(point, FULL, TRUTH_SEED, replicate)[0] for replicate in range(self.truths)]))


@dataclass
class Run:
    """One search: trials in their order, what they cost and gave, and what came before them."""

    trials: list[Trials]
    values: FloatArray
    cost: FloatArray
    seconds: FloatArray
    ask_seconds: float
    prepared: float
    prepared_seconds: float

    def reported(self, compute: float, top: int, maximise: NDArray[np.bool_]) -> Indices:
        """Designs of the front by mean accuracy, after that much compute."""
        everything = Trials.join(self.trials)
        chosen = (self.prepared + np.cumsum(self.cost) <= compute + 1e-9) & (everything.level == top)
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
    cost = [ladder.preparation]
    strategy = find_fidelity_strategy("ehvi_fidelity")(problem, seed, StrategySettings(initial=arguments.initial), ladder)
    trials: list[Trials] = []
    values: list[FloatArray] = []
    seconds, asking = list[float](), 0.0
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
    prepared = trainings.supernets(seed).seconds if ladder.preparation else 0.0
    return Run(trials, np.concatenate(values), np.array(cost[1:]), np.array(seconds), asking, ladder.preparation, prepared)


def true_values(trainings: Trainings, designs: Indices) -> FloatArray:
    """Model space, m columns."""
    problem = trainings.pricing.problem
    values = problem.pool(designs).priced.prior.copy()
    values[:, 0] = [trainings.truth(point) for point in trainings.pricing.joint.space.points(designs)]
    return problem.to_model(values)


def print_ranks(trainings: Trainings, count: int) -> None:
    """Rank correlation of each look with the full training of another seed, over random feasible networks."""
    pricing, rng = trainings.pricing, np.random.default_rng(0)
    sample = pricing.joint.space.sample(SAMPLED, rng)
    prices = pricing.problem.price(sample)
    weights = pricing.joint.blueprints[0].table(pricing.joint.space, sample, pricing.joint.shape).weights.sum(axis=1)
    ranked = np.flatnonzero(prices.feasible)[np.argsort(weights[prices.feasible], kind="stable")]
    chosen = ranked[np.linspace(0, len(ranked) - 1, count).astype(np.intp)]
    points = pricing.joint.space.points(sample[chosen])
    truth = np.array([trainings.truth(point) for point in points])
    scatter = np.std([trainings.accuracy(point, FULL, 1, 0)[0] - trainings.accuracy(point, FULL, TRUTH_SEED, 0)[0] for point in points]) / np.sqrt(2.0)
    spread = f"full accuracy {truth.min():.3f} to {truth.max():.3f}, scatter of seeds {scatter:.4f}"
    print(f"{trainings.task.record.name}: {count} networks, {trainings.truths} truths each, {spread}")
    print(f"{'look':10s} {'Spearman':>9s} {'cpu s':>8s}")
    print(f"{'size':10s} {spearmanr(weights[chosen], truth).statistic:9.3f} {0.0:8.2f}")
    for fidelity in (SUPERNET, SHORT, FULL):
        found = np.array([trainings.accuracy(point, fidelity, 1, 0) for point in points])
        print(f"{fidelity:10s} {spearmanr(found[:, 0], truth).statistic:9.3f} {found[:, 1].mean():8.2f}")
    print(f"training the shared weights took {trainings.supernets(1).seconds:.0f} cpu s")


def arguments_of() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=sorted(STUDIES), default="digits")
    parser.add_argument("--variants", default=",".join(name.replace(", ", "+") for name in VARIANTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=48.0)
    parser.add_argument("--initial", type=int, default=12)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--share", type=float, default=0.25, help="of the epochs that a short training takes")
    parser.add_argument("--supernet-cost", type=float, default=FidelityChoice().supernet_cost)
    parser.add_argument("--truths", type=int, default=3, help="trainings whose mean is a network's true accuracy")
    parser.add_argument("--ranks", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("runs/fidelity"))
    return parser.parse_args()


def main() -> None:
    """Print hypervolume by variant and compute, and the compute that each variant needs for what `full only` reaches at the end."""
    arguments = arguments_of()
    study = STUDIES[arguments.task]
    pricing = Pricing(study)
    shares = {"short_share": arguments.share, "supernet_cost": arguments.supernet_cost}
    trainings = Trainings(pricing, arguments.work / arguments.task, FidelityChoice(**shares), arguments.truths)
    if arguments.ranks:
        print_ranks(trainings, arguments.ranks)
        return
    sample = pricing.problem.pool(pricing.joint.space.sample(SAMPLED, np.random.default_rng(0)))
    prices = sample.priced.prior[sample.priced.feasible].copy()
    prices[:, 0] = study.limits["accuracy"]
    reference = pricing.problem.to_model(prices).max(axis=0)
    minimised = np.zeros(len(reference), dtype=np.bool_)
    marks = np.arange(8.0, arguments.budget + 1.0, 4.0)
    curves: dict[str, list[list[float]]] = {}
    union = [np.empty((0, len(reference)))]
    for name in [name.replace("+", ", ").replace("full, only", "full only") for name in arguments.variants.split(",")]:
        choice = FidelityChoice(levels=VARIANTS[name].levels, **shares)
        ladder = Ladder.of(choice, trainings.task.record.training)
        for seed in range(1, arguments.seeds + 1):
            run = search(trainings, choice, seed, arguments)
            levels = Trials.join(run.trials).level
            fronts = [true_values(trainings, run.reported(mark, ladder.top, pricing.problem.maximise)) for mark in marks]
            curves.setdefault(name, []).append([pareto.hypervolume(front, reference, minimised) for front in fronts])
            union += fronts
            counted = [f"{fidelity.name} {int((levels == level).sum())}" for level, fidelity in enumerate(ladder.fidelities)]
            again = int((Trials.join(run.trials).replicate > 0).sum())
            spent = f"training {run.seconds.sum() + run.prepared_seconds:.0f} cpu s, asks {run.ask_seconds:.0f} cpu s"
            print(f"{name:28s} seed {seed}: {', '.join(counted)} (of them {again} repeated); {spent}", flush=True)
    print_curves(curves, marks, pareto.hypervolume(np.concatenate(union), reference, minimised))


def print_curves(curves: dict[str, list[list[float]]], marks: FloatArray, best: float) -> None:
    """Shares of the best hypervolume by compute, and compute for equal hypervolume."""
    seeds = len(next(iter(curves.values())))
    print(f"\nshare of the best known hypervolume, mean and standard error of {seeds} seeds, by compute in full trainings")
    print(f"{'variant':28s} " + " ".join(f"{mark:>13.0f}" for mark in marks))
    for name, found in curves.items():
        table = np.array(found) / best
        error = table.std(axis=0, ddof=1) / np.sqrt(len(table)) if len(table) > 1 else np.zeros(table.shape[1])
        print(f"{name:28s} " + " ".join(f"{mean:.3f} +- {width:.3f}" for mean, width in zip(table.mean(axis=0), error, strict=True)))
    for name, found in curves.items():
        for seed, curve in enumerate(found, start=1):
            print(f"{name:28s} seed {seed}: " + " ".join(f"{value / best:.3f}" for value in curve))
    base = np.array(curves.get("full only", next(iter(curves.values())))).mean(axis=0)
    for name, found in curves.items():
        mean = np.array(found).mean(axis=0)
        reached = [f"{mark:.0f}: {needed(marks, mean, level):.1f}" for mark, level in zip(marks, base, strict=True)]
        print(f"{name:28s} compute for the mean hypervolume of full only at {', '.join(reached)}")


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
