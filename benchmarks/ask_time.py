"""Processor seconds of one ask of a model-based strategy, against the number of evaluated designs.

The built-in kws study's joint space (PYNQ-Z2), with all three objectives modelled by Gaussian processes: the accuracy is made
up (`benchmarks/search_synthetic.py`), latency and energy are the priced ones times a factor that the prices do not know.

    python benchmarks/ask_time.py --strategies ehvi,parego --counts 50,100,200,500,1000
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from search_synthetic import Truth, make_problem

from codesign.search.candidates import RandomSource
from codesign.search.problem import SearchProblem
from codesign.search.strategies.strategy import find_strategy
from codesign.space.design_space import Indices

FloatArray = NDArray[np.float64]

# Standard deviation of the logarithm of what one parameter, from its lowest to its highest value, does to latency and energy.
UNPRICED = 0.1


def all_modelled(problem: SearchProblem) -> SearchProblem:
    """The same problem with every objective evaluated."""
    return replace(problem, objectives=tuple(replace(objective, evaluated=True, offset=0.0) for objective in problem.objectives))


def measured(truth: Truth, designs: Indices) -> FloatArray:
    """What evaluations give, n x 3."""
    values = truth.measured(designs, 0)
    unit, active = truth.problem.space.unit(designs)
    effects = np.random.default_rng(8).normal(0.0, UNPRICED, size=unit.shape[1])
    values[:, 1:] *= np.exp(np.where(active, unit - 0.5, 0.0) @ effects)[:, None]
    return values


def main() -> None:
    """Print one line per strategy and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", default="ehvi,parego")
    parser.add_argument("--counts", default="50,100,200,500,1000")
    parser.add_argument("--batch", type=int, default=1)
    arguments = parser.parse_args()
    problem = make_problem(("tcresnet",), ("pe_array",))
    truth, modelled = Truth.build(problem), all_modelled(problem)
    counts = [int(number) for number in arguments.counts.split(",")]
    designs = RandomSource(modelled).draw(max(counts), set(), np.random.default_rng(0)).indices
    values = measured(truth, designs)
    print(f"{len(problem.space)} parameters, 3 objectives modelled, batch of {arguments.batch}")
    for name in arguments.strategies.split(","):
        for count in counts:
            strategy = find_strategy(name)(modelled, 0)
            strategy.tell(designs[:count], values[:count])
            begin = time.process_time()
            strategy.ask(arguments.batch)
            print(f"{name:10s} n = {count:5d} {time.process_time() - begin:8.2f} cpu s", flush=True)


if __name__ == "__main__":
    main()
