"""Designs priced per second, one core, by the analytical models: 100,000 random kws designs in one call.

Run:
    OMP_NUM_THREADS=1 python benchmarks/pricing.py
    OMP_NUM_THREADS=1 python benchmarks/pricing.py --runs 10 --designs 100000

Each run draws other designs (seeds 0, 1, ...) and times one call of `price`: layer tables, cycles, traffic, resources,
power. Time is processor time of this process.

Then the shared array's cost model by itself, without making layer tables and without what a board adds: cycles, traffic,
energy and the resources of each array. Layers evaluated per second are those that a design has, all but the input: dense,
convolution, add, pool. Ten-layer pairs are (network, array) pairs per second, the networks with ten dense and convolution
layers, adds and pools besides.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np

from codesign.accelerator.device import find_device
from codesign.kpi.evaluate import CHUNK, price
from codesign.kpi.joint_space import JointSpace
from codesign.network.table_builder import TaskShape
from codesign.space.columns import Columns
from codesign.space.parameters import Value

KWS = TaskShape(input_shape=(49, 10), classes=12, input_bits=8, input_signed=True)
"""49 frames of 10 features, 12 classes: the keyword spotting task."""
TEN_LAYERS: dict[str, list[Value]] = {"tcresnet.blocks": [3], **{f"tcresnet.block{number}_residual": [int(number > 1)] for number in (1, 2, 3)}}
"""What makes a ``tcresnet`` of ten dense and convolution layers: one plain block of two convolutions and two residual ones of three."""


def designs_per_second(joint: JointSpace, count: int, seed: int) -> float:
    """Speed of one call over ``count`` random designs."""
    indices = joint.space.sample(count, np.random.default_rng(seed))
    start = time.process_time()
    price(joint, indices)
    return count / (time.process_time() - start)


def evaluation_speed(joint: JointSpace, count: int, seed: int) -> tuple[float, float]:
    """Layers and designs per second of the cost model alone, in chunks as `price` makes them; one blueprint, one template."""
    (blueprint,), (template,) = joint.blueprints, joint.templates
    indices = joint.space.sample(count, np.random.default_rng(seed))
    chunks = [indices[start : start + CHUNK] for start in range(0, count, CHUNK)]
    parts = [(blueprint.table(joint.space, chunk, joint.shape), Columns(joint.space, chunk, template.name)) for chunk in chunks]
    start = time.process_time()
    for table, columns in parts:
        template.evaluate(table, columns, joint.device)
    seconds = time.process_time() - start
    return sum(float(table.present.sum()) for table, _ in parts) / seconds, count / seconds


def spread_of(speeds: list[float]) -> str:
    """Mean, standard deviation and least."""
    deviation = statistics.stdev(speeds) if len(speeds) > 1 else 0.0
    return f"mean {statistics.mean(speeds):9.0f}  spread {deviation:8.0f}  slowest {min(speeds):9.0f}"


def main() -> None:
    """Print mean and spread for each template and blueprint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--designs", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="pynq-z2")
    arguments = parser.parse_args()
    device = find_device(arguments.device)
    print(f"{arguments.designs} designs a call, {arguments.runs} runs (seeds 0 to {arguments.runs - 1}), {device.name}; designs per second of processor time")
    for template in ("pe_array", "streaming"):
        for blueprints in (["tcresnet"], ["dscnn"], ["mlp"], ["tcresnet", "dscnn", "mlp"]):
            joint = JointSpace.build(KWS, blueprints, [template], device)
            designs_per_second(joint, 4000, seed=0)
            speeds = [designs_per_second(joint, arguments.designs, seed) for seed in range(arguments.runs)]
            print(f"{template:10s} {'+'.join(blueprints):20s} {spread_of(speeds)}")
    print("pe_array, cost model alone, per second of processor time")
    for what, figure, overrides in (("layers", 0, None), ("ten-layer pairs", 1, TEN_LAYERS)):
        joint = JointSpace.build(KWS, ["tcresnet"], ["pe_array"], device, overrides)
        speeds = [evaluation_speed(joint, arguments.designs, seed)[figure] for seed in range(arguments.runs)]
        print(f"{what:31s} {spread_of(speeds)}")
    heavy = sorted({"torch", "hls4ml", "brevitas", "gpytorch"} & set(sys.modules))
    print(f"heavy packages imported: {', '.join(heavy) or 'none'}")


if __name__ == "__main__":
    main()
