from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from codesign.accelerator.device import RESOURCES, device_names, find_device
from codesign.estimate import Evidence
from codesign.kpi.evaluate import CHUNK, FEATURES, KPI_UNITS, price, report
from codesign.kpi.joint_space import JointSpace
from codesign.network.table_builder import TaskShape

KWS = TaskShape(input_shape=(49, 10), classes=12, input_bits=8, input_signed=True)
MAY_BE_ZERO = {"dsp", "bram18", "uram"}


def joint(blueprints: list[str], templates: list[str], device: str = "pynq-z2") -> JointSpace:
    return JointSpace.build(KWS, blueprints, templates, find_device(device))


@pytest.mark.parametrize("device", device_names())
def test_figures_are_finite_and_positive_on_every_device(device: str) -> None:
    space = joint(["mlp", "tcresnet", "dscnn"], ["pe_array", "streaming"], device)
    table = price(space, space.space.sample(400, np.random.default_rng(0)))
    assert set(table.values) == set(table.relative_error) == set(KPI_UNITS)
    for name, values in table.values.items():
        assert np.isfinite(values).all()
        assert (values >= 0).all() if name in MAY_BE_ZERO else (values > 0).all()
        assert (table.relative_error[name] >= 0).all()
    assert np.isfinite(table.features).all()
    assert table.fits.any() and not table.fits.all()


def test_one_by_one_equals_all_at_once_and_across_chunks() -> None:
    space = joint(["mlp", "tcresnet", "dscnn"], ["pe_array", "streaming"])
    indices = space.space.sample(CHUNK + 50, np.random.default_rng(1))
    together = price(space, indices, per_layer=True)
    assert together.layers is not None and together.layer_names is not None
    for row in (0, 1, 2, 17, CHUNK - 1, CHUNK, CHUNK + 49):
        alone = price(space, indices[row : row + 1], per_layer=True)
        assert alone.layers is not None and alone.layer_names is not None
        for name in KPI_UNITS:
            assert alone.values[name][0] == pytest.approx(together.values[name][row], rel=1e-12)
        assert alone.fits[0] == together.fits[row]
        assert alone.features[0] == pytest.approx(together.features[row], rel=1e-12)
        assert all(alone.reasons[name][0] == together.reasons[name][row] for name in alone.reasons)
        slots = len(alone.layer_names[0])
        assert together.layer_names[row][:slots] == alone.layer_names[0]
        assert (together.layers["cycles"][row, :slots] == alone.layers["cycles"][0]).all()
        assert not together.layers["cycles"][row, slots:].any()


def test_no_designs_give_an_empty_table() -> None:
    space = joint(["tcresnet"], ["pe_array"])
    table = price(space, space.space.sample(0, np.random.default_rng(0)), per_layer=True)
    assert len(table) == 0
    assert set(table.values) == set(KPI_UNITS)
    assert table.features.shape == (0, len(FEATURES))


def test_figures_agree_with_each_other_and_with_the_network() -> None:
    space = joint(["tcresnet"], ["pe_array"])
    indices = space.space.sample(100, np.random.default_rng(2))
    table = price(space, indices)
    v = table.values
    device = space.device
    assert v["latency_us"] == pytest.approx(v["latency_cycles"] / v["clock_mhz"])
    assert v["throughput_per_s"] == pytest.approx(1e6 * v["clock_mhz"] / v["interval_cycles"])
    assert v["energy_uj"] == pytest.approx(v["power_w"] * v["latency_us"])
    assert v["board_energy_uj"] == pytest.approx(v["board_power_w"] * v["latency_us"])
    assert (v["power_w"] > device.static_w.value).all()
    assert v["board_power_w"] - v["power_w"] == pytest.approx(np.full(100, device.board_base_w.value))
    for row, point in enumerate(space.space.points(indices)):
        graph = space.graph(point)
        assert (v["macs"][row], v["weights"][row], v["weight_bytes"][row]) == (graph.macs, graph.weights, graph.weight_bytes)


def test_a_design_fits_when_no_limit_is_exceeded() -> None:
    space = joint(["tcresnet"], ["pe_array", "streaming"])
    table = price(space, space.space.sample(3000, np.random.default_rng(3)))
    assert (table.fits == (np.stack(list(table.reasons.values())).max(axis=0) <= 1)).all()
    for name in RESOURCES[:4]:
        assert table.reasons[name] == pytest.approx(table.values[name] / space.device.resources[name])
    assert (table.reasons["uram"] == 0).all()


def test_the_report_gives_each_figure_its_interval_and_evidence() -> None:
    space = joint(["mlp"], ["pe_array"])
    figures = report(price(space, space.space.sample(3, np.random.default_rng(4))), 1)
    assert set(figures) == set(KPI_UNITS)
    assert all(figure.evidence is Evidence.ANALYTIC and figure.unit == KPI_UNITS[name] for name, figure in figures.items())
    assert figures["macs"].low == figures["macs"].high
    assert figures["lut"].low < figures["lut"].value < figures["lut"].high


@pytest.mark.parametrize("template", ["pe_array", "streaming"])
@pytest.mark.parametrize("blueprint", ["tcresnet", "dscnn"])
def test_the_kws_space_on_a_pynq_z2_is_worth_searching(blueprint: str, template: str) -> None:
    space = joint([blueprint], [template])
    table = price(space, space.space.sample(20_000, np.random.default_rng(5)))
    assert table.fits.mean() > 0.05
    for name in ("latency_us", "energy_uj"):
        low, high = np.quantile(table.values[name][table.fits], [0.05, 0.95])
        assert high > 10 * low


def test_pricing_a_hundred_thousand_designs_needs_no_heavy_package() -> None:
    program = """
import sys
import numpy as np
from codesign.accelerator.device import find_device
from codesign.kpi.evaluate import price
from codesign.kpi.joint_space import JointSpace
from codesign.network.table_builder import TaskShape

joint = JointSpace.build(TaskShape((49, 10), 12, 8, True), ["tcresnet"], ["pe_array"], find_device("pynq-z2"))
table = price(joint, joint.space.sample(100_000, np.random.default_rng(0)))
heavy = {"torch", "hls4ml", "brevitas", "gpytorch", "botorch", "sklearn"} & set(sys.modules)
print(len(table), sorted(heavy))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.strip() == "100000 []"
