"""Price random keyword-spotting designs on three boards: no training, some microseconds a design.

Run: python examples/01_price_designs.py
"""

from __future__ import annotations

import numpy as np

from codesign.accelerator.device import find_device
from codesign.kpi.evaluate import price
from codesign.kpi.joint_space import JointSpace
from codesign.network.tasks.registry import task_record


def main() -> None:
    """Share of designs that fit each board, and how fast and frugal those are."""
    shape = task_record("kws").shape
    for device in ("arty-a7-35t", "pynq-z2", "zcu104"):
        for template in ("pe_array", "streaming"):
            joint = JointSpace.build(shape, ["tcresnet"], [template], find_device(device))
            table = price(joint, joint.space.sample(5_000, np.random.default_rng(0)))
            latency, energy = (np.median(table.values[name][table.fits]) for name in ("latency_us", "energy_uj"))
            print(f"{device:12} {template:9} {table.fits.mean():6.1%} fit; median latency {latency:8.1f} us, energy {energy:8.1f} uJ")


if __name__ == "__main__":
    main()
