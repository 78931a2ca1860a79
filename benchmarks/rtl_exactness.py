"""Networks on the Verilog of `pe_array`: bit for bit against the integer reference, cycles against the cost model.

    python -m benchmarks.rtl_exactness --layers 240 --networks 2 --samples 100

``--layers``: random small networks over six arrays, until they have so many layers; with data, in the timing-only build,
and with a memory that stalls. ``--points``: random programs in the timing-only build alone. ``--networks``: of each
blueprint, at the size of the keyword-spotting task, on each preset of the template whose operands are wide enough.
Builds are kept in ``--builds``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from codesign.accelerator.array_parameters import ArrayParameters
from codesign.accelerator.pe_array_tiling import ArrayShape
from codesign.accelerator.schedule import Schedule, schedule
from codesign.accelerator.template import load_descriptor
from codesign.errors import InfeasibleError, InputError
from codesign.export.pe_array_image import PeArrayImage
from codesign.export.pe_array_job import image_runs
from codesign.kpi.pe_array_costs import costs
from codesign.network.blueprints.blueprint import find_blueprint
from codesign.network.layers import LayerTable
from codesign.network.table_builder import TaskShape
from codesign.space.design_space import DesignSpace
from codesign.verify.random_network import random_deployed
from codesign.verify.rtl_bench import data_design, run_job, timing_cycles, timing_design
from codesign.verify.verilator import build, build_all
from tests.verify.rtl_cases import ARRAYS, random_data, random_point, random_samples, timing_point

KWS = TaskShape((49, 10), 12, 8, True)
BLUEPRINTS = ("mlp", "tcresnet", "dscnn")
LATENCY = 32


def modelled(planned: list[Schedule]) -> np.ndarray:
    """Cycles of the cost model (n,)."""
    rows = [asdict(own.array) for own in planned]
    array = ArrayShape(**{field.name: np.array([[float(row[field.name])] for row in rows]) for field in fields(ArrayShape)})
    return costs(LayerTable.from_graphs([own.graph for own in planned]), array).cycles


def simulated(program: Path, image: PeArrayImage, samples: np.ndarray, stall: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n x classes) and cycles (n,)."""
    memory = image.schedule.memory
    result = run_job(
        program,
        image.memory,
        image_runs(image, len(samples)),
        image.pack_input(samples),
        memory_bytes=memory.size,
        latency=image.schedule.array.latency,
        stall=stall,
    )
    return image.unpack_logits(b"".join(result.outputs)), result.cycles[-len(samples) :]


def random_layers(wanted: int, seed: int, builds: Path) -> int:
    """Number of networks that are wrong."""
    programs = build_all([*(data_design(array) for array in ARRAYS), timing_design()], builds)
    layers = networks = wrong = 0
    while layers < wanted:
        number = networks % len(ARRAYS)
        case = random_data(np.random.default_rng([seed, networks]), ARRAYS[number])
        expected, planned = case.image.network.run(case.samples), case.image.schedule
        logits, cycles = simulated(programs[number], case.image, case.samples)
        stalled, _ = simulated(programs[number], case.image, case.samples, stall=1 + networks % 200)
        timed = timing_cycles(programs[-1], [timing_point(planned)])[0]
        exact = np.array_equal(logits, expected) and np.array_equal(stalled, expected) and (cycles == timed).all()
        wrong += not exact
        layers, networks = layers + len(planned.geometries), networks + 1
        if not exact:
            print(f"network {networks - 1} of seed {seed} on {planned.array} is wrong")
    print(f"{layers} layers in {networks} random networks over {len(ARRAYS)} arrays: {networks - wrong} networks exact, cycles those of the timing-only build")
    return wrong


def random_points(count: int, seed: int, builds: Path) -> int:
    """Number of points whose cycles are not the model's."""
    rng = np.random.default_rng(seed)
    planned = [random_point(rng, random_tiles=False) for _ in range(count)]
    program = build(timing_design(), builds)
    begin = time.perf_counter()
    cycles = timing_cycles(program, [timing_point(own) for own in planned])
    seconds = time.perf_counter() - begin
    wrong = int((modelled(planned) != cycles).sum())
    print(f"{count} random points, {cycles.sum():,} cycles at {cycles.sum() / seconds / 1e6:.1f} Mcycles/s: {count - wrong} equal to the model")
    return wrong


def network_designs(count: int, seed: int) -> Iterator[tuple[str, str, PeArrayImage]]:
    """Networks of each blueprint on each preset: blueprint, preset, image."""
    for blueprint in BLUEPRINTS:
        for preset, own in load_descriptor("pe_array").presets.items():
            array = ArrayParameters.from_values(own.values, latency=LATENCY)
            for index in range(count):
                rng = np.random.default_rng([seed, index])
                found = find_blueprint(blueprint)
                space = DesignSpace(found.parameters)
                while True:
                    graph = found.table(space, space.sample(1, rng), KWS).graph(0)
                    try:
                        yield blueprint, preset, PeArrayImage(random_deployed(graph, rng), schedule(graph, array))
                        break
                    except (InputError, InfeasibleError):
                        continue


def whole_networks(count: int, sample_count: int, seed: int, builds: Path) -> int:
    """Number of networks that are wrong."""
    wrong = 0
    print(f"{'blueprint':9} {'preset':10} {'MACs':>9} {'layers':>6} {'on chip':>12} {'cycles':>9} {'model':>9} {'exact':>11} {'Mcycles/s':>9}")
    for blueprint, preset, image in network_designs(count, seed):
        planned = image.schedule
        program = build(data_design(planned.array), builds, jobs=2)
        samples = random_samples(planned.graph, np.random.default_rng(seed), sample_count)
        begin = time.perf_counter()
        logits, cycles = simulated(program, image, samples)
        seconds = time.perf_counter() - begin
        exact, model = int((logits == image.network.run(samples)).all(axis=1).sum()), modelled([planned])[0]
        kept = "+".join(name for name in ("weights", "maps") if getattr(planned.resident, name)) or "nothing"
        head = f"{blueprint:9} {preset:10} {planned.graph.macs:9} {len(planned.geometries):6} {kept:>12}"
        print(f"{head} {cycles.max():9} {model:9.0f} {exact:5}/{sample_count:<5} {cycles.sum() / seconds / 1e6:9.2f}", flush=True)
        wrong += exact != sample_count or bool((cycles != model).any())
    return wrong


def main() -> int:
    """Run the campaign; 0 when everything is exact."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=240)
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--networks", type=int, default=1, help="of each blueprint on each preset")
    parser.add_argument("--samples", type=int, default=100, help="of each whole network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--builds", type=Path, default=Path(".pytest_cache/d/rtl_builds"))
    options = parser.parse_args()
    wrong = random_layers(options.layers, options.seed, options.builds)
    wrong += random_points(options.points, options.seed, options.builds)
    wrong += whole_networks(options.networks, options.samples, options.seed, options.builds)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
