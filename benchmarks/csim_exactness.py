"""Random designs of every blueprint, exported, compiled with g++ and compared bit for bit with the integer reference.

    python benchmarks/csim_exactness.py --designs 4 --samples 200

prints one line a design and one a group. Weights, biases, scales, bit widths, strategies and legal reuse factors are
random. io_parallel is tried on fully connected networks and, with ``--parallel-convolutions``, on the smallest of
several drawn convolutional networks (they compile slowly).
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codesign.accelerator.hls_plan import HlsPlan
from codesign.export.hls4ml_project import export_project
from codesign.export.manifest import load_manifest
from codesign.kpi.reuse import legal_reuse_factors, multiplier_shape
from codesign.network.blueprints.blueprint import find_blueprint
from codesign.network.deployed import DeployedNetwork
from codesign.network.layers import LayerGraph, LayerTable, Op
from codesign.network.table_builder import TaskShape
from codesign.space.design_space import DesignSpace
from codesign.verify.compilation import compile_project
from codesign.verify.csim import verify_csim
from codesign.verify.random_network import random_deployed

SHAPES = {"kws": TaskShape((49, 10), 12, 8, True), "digits": TaskShape((8, 8), 10, 5, False)}
DRAWS_FOR_SMALLEST = 30


@dataclass(frozen=True)
class Case:
    """One group of random designs."""

    blueprint: str
    task: str
    io_type: str
    strategy: str


def cases(parallel_convolutions: bool) -> Iterator[Case]:
    """All groups."""
    for blueprint in ("mlp", "tcresnet", "dscnn"):
        for strategy in ("latency", "resource"):
            for task in SHAPES:
                yield Case(blueprint, task, "io_stream", strategy)
            if blueprint == "mlp":
                yield Case(blueprint, "kws", "io_parallel", strategy)
            elif parallel_convolutions:
                yield Case(blueprint, "digits", "io_parallel", strategy)


def draw_graph(case: Case, rng: np.random.Generator) -> LayerGraph:
    """A random network; for io_parallel convolutions the smallest of several."""
    blueprint = find_blueprint(case.blueprint)
    space = DesignSpace(blueprint.parameters)
    draws = DRAWS_FOR_SMALLEST if case.io_type == "io_parallel" and case.blueprint != "mlp" else 1
    table = blueprint.table(space, space.sample(draws, rng), SHAPES[case.task])
    return table.graph(int(table.macs.sum(axis=1).argmin()))


def draw_plan(case: Case, graph: LayerGraph, rng: np.random.Generator) -> HlsPlan:
    """Random legal reuse factors."""
    table = LayerTable.from_graphs([graph])
    n_in, n_out = (shape[0].tolist() for shape in multiplier_shape(table))
    reuse = {}
    for slot, layer in enumerate(graph):
        if table.weighted[0, slot]:
            legal = legal_reuse_factors(n_in[slot], n_out[slot])
            if case.io_type == "io_parallel" and layer.op is not Op.DENSE:
                legal = tuple(factor for factor in legal if factor <= n_in[slot])  # hls4ml's limit for parallel convolutions
            reuse[layer.name] = int(rng.choice(legal))
    return HlsPlan(case.io_type, case.strategy, 100.0, reuse)


def children_seconds() -> float:
    """Processor time of the programs run so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_design(case: Case, deployed: DeployedNetwork, plan: HlsPlan, samples: np.ndarray, folder: Path) -> tuple[int, int, float, float, str | None]:
    """Elements, elements exact, seconds to compile, seconds to simulate, first diverging layer."""
    export_project(deployed, plan, folder, part="xc7z020clg400-1", samples=samples[:4], provenance={"benchmark": "csim_exactness"})
    begin = children_seconds()
    compile_project(folder, load_manifest(folder))
    compiled = children_seconds()
    logits = deployed.run(samples)
    result = verify_csim(folder, deployed, logits, samples, np.zeros(len(samples), dtype=np.int64))
    return logits.size, result.elements_exact, compiled - begin, children_seconds() - compiled, result.first_diverging_layer


def main() -> int:
    """Run the campaign; 0 when every element of every design is exact."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--designs", type=int, default=2, help="designs of each group")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parallel-convolutions", action="store_true")
    options = parser.parse_args()
    wrong, designs = 0, 0
    print(f"{'blueprint':9} {'task':6} {'io':11} {'strategy':8} {'MACs':>9} {'layers':>6} {'elements':>8} {'exact':>8} {'compile s':>9} {'ns/MAC':>6}")
    for number, case in enumerate(cases(options.parallel_convolutions)):
        for index in range(options.designs):
            rng = np.random.default_rng([options.seed, number, index])
            graph = draw_graph(case, rng)
            deployed, plan = random_deployed(graph, rng), draw_plan(case, graph, rng)
            samples = rng.integers(0, 1 << graph.input.output_bits, (options.samples, *SHAPES[case.task].input_shape)).astype(np.uint8)
            with tempfile.TemporaryDirectory() as scratch:
                elements, exact, compiling, simulating, layer = run_design(case, deployed, plan, samples, Path(scratch) / "design")
            per_mac = simulating / max(graph.macs * len(samples), 1) * 1e9
            head = f"{case.blueprint:9} {case.task:6} {case.io_type:11} {case.strategy:8} {graph.macs:9} {len(graph):6}"
            print(f"{head} {elements:8} {exact:8} {compiling:9.1f} {per_mac:6.1f} {'' if layer is None else 'DIVERGES at ' + layer}", flush=True)
            designs += 1
            wrong += exact != elements
    print(f"{designs - wrong} of {designs} designs exact on {options.samples} samples each")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
