"""Train one network on the digits and compare three ways to compute it: Brevitas, integers, and their file.

Run: python examples/02_train_one_network.py
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from codesign.accelerator.device import find_device
from codesign.kpi.joint_space import JointSpace
from codesign.network.builder import brevitas_logits
from codesign.network.tasks.registry import load_task
from codesign.network.training import load_brevitas, save_trained, train


def main() -> None:
    """Accuracy of a random design, and whether its integers are those of Brevitas."""
    task = load_task("digits")
    joint = JointSpace.build(task.record.shape, ["mlp"], ["pe_array"], find_device("pynq-z2"))
    point = joint.space.points(joint.space.sample(1, np.random.default_rng(1)))[0]
    graph = joint.graph(point)
    trained = train(graph, task, task.record.training, seed=1)
    print(f"{graph.weights:,} weights in {graph.weight_bytes:,.0f} bytes; validation accuracy {trained.validation_accuracy:.3f}")
    integers = trained.deployed.run(task.test.samples)
    with TemporaryDirectory() as folder:
        save_trained(trained, Path(folder))
        deployed, model = load_brevitas(Path(folder), task.record)
    equal = np.array_equal(integers, brevitas_logits(model, task.test.samples)) and np.array_equal(integers, deployed.run(task.test.samples))
    print(f"test accuracy {np.mean(integers.argmax(axis=1) == task.test.labels):.3f}; integers equal Brevitas: {equal}")


if __name__ == "__main__":
    main()
