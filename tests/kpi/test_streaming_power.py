"""Power of streaming designs: by hand on one layer, and against measured boards."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.accelerator.device import find_device
from codesign.kpi.evaluate import price
from codesign.kpi.joint_space import JointSpace
from codesign.kpi.power import power_coefficients
from codesign.kpi.streaming.hls_table import Build
from codesign.kpi.streaming.power import active_cycles, dynamic_energy_uj
from codesign.kpi.streaming.predictions import predict
from codesign.kpi.streaming.template import FLOW
from codesign.network.hls_model import HlsLayer, HlsModel, Kind, Strategy
from codesign.network.table_builder import TaskShape

WIDTHS = {"weight_bits": 12, "bias_bits": 12, "input_bits": 16, "output_bits": 16, "accumulator_bits": 16}


def one_layer(**more: int) -> HlsModel:
    return HlsModel("one", (HlsLayer(name="layer", kind=Kind.DENSE, in_c=32, out_c=24, **WIDTHS, **more),))


def test_one_dense_layer_by_hand() -> None:
    device = find_device("pynq-z2")
    p, idle = power_coefficients().families[device.family], power_coefficients().multiplier_idle.value
    found = predict([one_layer()], [Build("io_parallel", Strategy.RESOURCE, 64)], FLOW)
    multipliers = 32 * 24 // 64
    assert found.network.dsp[0] == multipliers
    assert active_cycles(found.table).tolist() == [64.0]
    lut, latency = found.network.lut[0], found.network.latency[0]
    dsp = p.dsp_pj.value * 64 * multipliers * (idle + (1 - idle) * 12 * 16 / 64)
    weights = p.bram18_pj.value * 64 * np.ceil(multipliers * 12 / 36)
    streams = 2 * p.bram18_pj.value / 36 * 24 * 16
    logic = lut * (p.clock_pj.value * latency + p.lut_pj.value * 64)
    external = 8 * device.off_chip_pj_per_bit.value * 100.0
    energy = dynamic_energy_uj(found.table, found.layers, found.network, np.array([100.0]), device)
    assert energy[0] == pytest.approx((dsp + weights + streams + logic + external) * 1e-6)


def test_time_steps_and_positions_multiply_the_work() -> None:
    series = HlsModel("series", (HlsLayer(name="gru", kind=Kind.GRU, in_w=20, in_c=4, out_c=8, **WIDTHS),))
    image = HlsModel("map", (HlsLayer(name="conv", kind=Kind.CONV2D, in_h=8, in_w=8, in_c=4, out_h=6, out_w=6, out_c=8, kernel_h=3, kernel_w=3, **WIDTHS),))
    found = predict([series, image], [Build("io_stream", Strategy.RESOURCE, 4)] * 2, FLOW)
    assert active_cycles(found.table).tolist() == [20 * 4.0, 36 * 4.0]


# MLPerf Tiny v0.7 to v1.1, measured at the board's supply, fabric at 100 MHz: hls4ml and FINN submissions.
@pytest.mark.parametrize(("board", "low", "high"), [("pynq-z2", 1.58, 1.76), ("arty-a7-100t", 2.18, 2.27)])
@pytest.mark.parametrize("blueprint", ["mlp", "tcresnet"])
def test_boards_draw_what_was_measured_on_them(board: str, low: float, high: float, blueprint: str) -> None:
    joint = JointSpace.build(TaskShape((49, 10), 12, 8, True), [blueprint], ["streaming"], find_device(board), {"streaming.clock_mhz": (100,)})
    table = price(joint, joint.space.sample(3000, np.random.default_rng(0)))
    power, error = table.values["board_power_w"][table.fits], table.relative_error["board_power_w"][table.fits]
    assert len(power) > 50
    middle = float(np.median(power))
    assert low * 0.95 <= middle <= high * 1.05
    assert ((power / (1 + error) <= high) & (power * (1 + error) >= low)).mean() > 0.95
