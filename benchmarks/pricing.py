"""Designs priced per second, one core, by the analytical models: 100,000 random kws designs in one call.

Run:
    OMP_NUM_THREADS=1 python benchmarks/pricing.py
    OMP_NUM_THREADS=1 python benchmarks/pricing.py --runs 10 --designs 100000

Each run draws other designs (seeds 0, 1, ...) and times one call of `price`: layer tables, cycles, traffic, resources,
power. Time is processor time of this process.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np

from codesign.accelerator.device import find_device
from codesign.kpi.evaluate import price
from codesign.kpi.joint_space import JointSpace
from codesign.network.table_builder import TaskShape

KWS = TaskShape(input_shape=(49, 10), classes=12, input_bits=8, input_signed=True)
"""49 frames of 10 features, 12 classes: the keyword spotting task."""


def designs_per_second(joint: JointSpace, count: int, seed: int) -> float:
    """Speed of one call over ``count`` random designs."""
    indices = joint.space.sample(count, np.random.default_rng(seed))
    start = time.process_time()
    price(joint, indices)
    return count / (time.process_time() - start)


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
            spread = statistics.stdev(speeds) if len(speeds) > 1 else 0.0
            print(f"{template:10s} {'+'.join(blueprints):20s} mean {statistics.mean(speeds):9.0f}  spread {spread:8.0f}  slowest {min(speeds):9.0f}")
    heavy = sorted({"torch", "hls4ml", "brevitas", "gpytorch"} & set(sys.modules))
    print(f"heavy packages imported: {', '.join(heavy) or 'none'}")


if __name__ == "__main__":
    main()
