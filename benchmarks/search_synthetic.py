"""Compare the search strategies on a joint problem whose true front is known: normalised hypervolume after each budget.

Networks and accelerators, their latency and energy are the product's own (keyword spotting on a PYNQ-Z2). Accuracy is a
made-up but realistic function of the network: it saturates with the logarithm of the weights and with the bits, single
choices (kernels, shortcuts, strides) help or hurt a little, and each evaluation adds noise of standard deviation 0.01.
Hypervolume is measured without that noise, with latency and energy on logarithmic axes, against the front that a long
evolution on the noise-free function finds; the reference corner is the worst of 20,000 random feasible designs.

    python benchmarks/search_synthetic.py --strategies random,nsga2,ehvi --seeds 5 --budgets 64,100
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codesign.search import pareto
from codesign.search.candidates import evolve, keys
from codesign.search.pricing import Pricing
from codesign.search.problem import Pool, SearchProblem
from codesign.search.specification import StudySpecification
from codesign.search.strategies.strategy import StrategySettings, find_strategy
from codesign.space.design_space import Indices
from codesign.space.parameters import Half

FloatArray = NDArray[np.float64]

NOISE = 0.01
# Standard deviation of the effect of one network parameter, from its lowest to its highest value.
EFFECT = 0.006
TRUE_FRONT_GENERATIONS = 80
TRUE_FRONT_SIZE = 250
SAMPLED = 20_000


@dataclass(frozen=True)
class Truth:
    """The made-up accuracy, and the hypervolume that a perfect search would reach."""

    problem: SearchProblem
    effects: FloatArray

    @classmethod
    def build(cls, problem: SearchProblem) -> Truth:
        """Draw the effects of single choices, once for all seeds."""
        network = problem.space.half_columns(Half.NETWORK)
        effects = np.zeros(len(problem.space))
        effects[network] = np.random.default_rng(7).normal(0.0, EFFECT, size=len(network))
        return cls(problem, effects)

    def values(self, indices: Indices) -> FloatArray:
        """Noise-free objectives n x 3."""
        priced = self.problem.price(indices)
        log_weights, weight_bits, activation_bits = priced.features[:, 1], priced.features[:, 3], priced.features[:, 4]
        size = 1.0 - np.exp(-np.maximum(log_weights - 4.0, 0.1) / 2.2)
        bits = 1.0 - 0.35 * 2.0 ** (2.0 - weight_bits) - 0.25 * 2.0 ** (2.0 - activation_bits)
        unit, active = self.problem.space.unit(indices)
        choices = np.where(active, unit - 0.5, 0.0) @ self.effects
        accuracy = 1 / 12 + 0.85 * size * np.maximum(bits, 0.05) + choices
        return np.column_stack([np.clip(accuracy, 0.05, 0.95), priced.prior[:, 1:]])

    def measured(self, indices: Indices, seed: int) -> FloatArray:
        """What an evaluation gives: the noise follows from the seed and the network."""
        values = self.values(indices)
        network = np.ascontiguousarray(indices[:, self.problem.space.half_columns(Half.NETWORK)])
        draws = [np.random.default_rng([seed, *(row + 1).tolist()]).standard_normal() for row in network]
        values[:, 0] += NOISE * np.array(draws)
        return values


def scaled(values: FloatArray) -> FloatArray:
    """Accuracy as it is, latency and energy as logarithms."""
    return np.column_stack([values[:, 0], np.log(values[:, 1:])])


def true_front(truth: Truth, pool: Pool, rng: np.random.Generator) -> FloatArray:
    """Values of a front evolved on the noise-free function."""
    problem, indices = truth.problem, pool.indices
    values = truth.values(indices)
    for _ in range(TRUE_FRONT_GENERATIONS):
        ranks = pareto.front_ranks(scaled(values), problem.maximise)
        crowding = np.zeros(len(indices))
        for rank in np.unique(ranks):
            crowding[ranks == rank] = pareto.crowding_distance(scaled(values[ranks == rank]))
        best = np.lexsort((-crowding, ranks))[:TRUE_FRONT_SIZE]
        children = evolve(problem, indices[best], 2 * TRUE_FRONT_SIZE, set(keys(indices[best])), rng).indices
        indices = np.concatenate([indices[best], children])
        values = np.concatenate([values[best], truth.values(children)])
    front = values[pareto.non_dominated(scaled(values), problem.maximise)]
    return scaled(front)[:TRUE_FRONT_SIZE]


def make_problem(blueprints: tuple[str, ...], templates: tuple[str, ...]) -> SearchProblem:
    """The built-in study's problem."""
    specification = StudySpecification(schema=1, name="synthetic", task="kws", device="pynq-z2", blueprints=blueprints, templates=templates)
    problem = Pricing(specification).problem
    accuracy = replace(problem.objectives[0], features=(0, 1, 2, 3, 4, 5))
    return replace(problem, objectives=(accuracy, *problem.objectives[1:]))


def run(truth: Truth, name: str, seed: int, budget: int, batch: int, settings: StrategySettings) -> tuple[Indices, float]:
    """Designs in the order of their evaluation, and cpu seconds of all asks and tells."""
    strategy = find_strategy(name)(truth.problem, seed, settings)
    found: list[Indices] = []
    seconds = 0.0
    while sum(map(len, found)) < budget:
        begin = time.process_time()
        designs = strategy.ask(min(batch, budget - sum(map(len, found))))
        seconds += time.process_time() - begin
        values = truth.measured(designs, seed)
        begin = time.process_time()
        strategy.tell(designs, values)
        seconds += time.process_time() - begin
        found.append(designs)
    return np.concatenate(found), seconds


def main() -> None:
    """Print one line per strategy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", default="random,nsga2,ehvi")
    parser.add_argument("--blueprints", default="tcresnet")
    parser.add_argument("--templates", default="pe_array")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budgets", default="32,64,100")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--initial", type=int, default=16)
    arguments = parser.parse_args()
    budgets = [int(number) for number in arguments.budgets.split(",")]
    problem = make_problem(tuple(arguments.blueprints.split(",")), tuple(arguments.templates.split(",")))
    truth = Truth.build(problem)
    rng = np.random.default_rng(0)
    pool = problem.pool(problem.space.sample(SAMPLED, rng))
    pool = pool.rows(pool.priced.feasible)
    reference = pareto.reference_point(scaled(truth.values(pool.indices)), problem.maximise)
    best = pareto.hypervolume(true_front(truth, pool.rows(np.arange(min(len(pool), 1000))), rng), reference, problem.maximise)
    print(f"{len(problem.space)} parameters, {len(pool) / SAMPLED:.0%} of random designs feasible, true hypervolume {best:.3f}")
    print(f"{'strategy':10s} " + " ".join(f"{f'after {number}':>14s}" for number in budgets) + f" {'cpu s':>8s}")
    settings = replace(StrategySettings(), initial=arguments.initial)
    for name in arguments.strategies.split(","):
        curves, seconds = [], []
        for seed in range(arguments.seeds):
            designs, spent = run(truth, name, seed, max(budgets), arguments.batch, settings)
            curve = pareto.hypervolume_curve(scaled(truth.values(designs)), reference, problem.maximise) / best
            curves.append([curve[number - 1] for number in budgets])
            seconds.append(spent)
        mean, error = np.mean(curves, axis=0), np.std(curves, axis=0, ddof=1) / np.sqrt(arguments.seeds)
        print(f"{name:10s} " + " ".join(f"{m:.3f} +- {e:.3f}" for m, e in zip(mean, error, strict=True)) + f" {np.mean(seconds):8.1f}", flush=True)


if __name__ == "__main__":
    main()
