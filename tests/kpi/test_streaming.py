from __future__ import annotations

import numpy as np
import pytest

from codesign.accelerator.device import find_device
from codesign.kpi.evaluate import price
from codesign.kpi.joint_space import JointSpace
from codesign.kpi.reuse import legal_reuse_factors
from codesign.kpi.streaming.template import Plan, Style, plan_layers, resources, timing
from codesign.network.layers import NUMERIC_FIELDS, LayerTable, Op
from codesign.network.table_builder import TaskShape
from codesign.space.parameters import Value

KWS = TaskShape(input_shape=(49, 10), classes=12, input_bits=8, input_signed=True)
U250 = find_device("alveo-u250")


def joint(blueprint: str, **overrides: tuple[Value, ...]) -> JointSpace:
    return JointSpace.build(KWS, [blueprint], ["streaming"], U250, {f"streaming.{name}": values for name, values in overrides.items()})


def dense_table(shapes: list[tuple[int, int]], weight_bits: int) -> LayerTable:
    """Dense layers with 16-bit inputs and accumulators, as hls4ml makes them by default."""
    columns = {name: np.zeros((1, len(shapes)), dtype=np.int32) for name in NUMERIC_FIELDS}
    ones = dict.fromkeys(("in_h", "in_w", "out_h", "out_w", "kernel_h", "kernel_w", "stride_h", "stride_w", "groups"), 1)
    common = ones | {"op": Op.DENSE, "weight_bits": weight_bits, "input_bits": 16, "output_bits": 16, "accumulator_bits": 16}
    for slot, (n_in, n_out) in enumerate(shapes):
        for name, value in (common | {"in_c": n_in, "out_c": n_out, "input_a": slot - 1, "input_b": -1}).items():
            columns[name][0, slot] = value
    return LayerTable(names=tuple(f"layer{slot}" for slot in range(len(shapes))), **columns)


def with_reuse(table: LayerTable, reuse: list[int]) -> Plan:
    plan = plan_layers(table, np.array([1]))
    chosen = np.array([reuse], dtype=np.int64)
    return Plan(n_in=plan.n_in, n_out=plan.n_out, positions=plan.positions, reuse=chosen, multipliers=np.ceil(plan.n_in * plan.n_out / chosen))


RESOURCE_PARALLEL = Style(resource=np.array([[True]]), parallel=np.array([[True]]))


# Vitis 2023.2 + Vivado synthesis, xcu250, Resource, io_parallel; wa-hls4ml, data/concatenated_json_to_csv.csv and
# data/concatenated_3layer_json_to_csv.csv at 2e49d33b: layers, weight bits, effective reuse factors, worst-case latency, LUT, FF, DSP.
SYNTHESISED = (
    ([(80, 24), (24, 120)], 6, [960, 960], 1925, 15596, 10075, 0),
    ([(40, 88), (88, 112)], 12, [880, 1232], 2117, 28036, 15344, 12),
    ([(128, 104), (104, 24)], 12, [1024, 832], 1861, 18462, 16431, 16),
    ([(104, 48), (48, 104), (104, 104)], 4, [832, 1248, 832], 2920, 32468, 24155, 0),
)


@pytest.mark.parametrize(("shapes", "bits", "reuse", "latency", "lut", "ff", "dsp"), SYNTHESISED)
def test_synthesised_dense_networks(shapes: list[tuple[int, int]], bits: int, reuse: list[int], latency: int, lut: int, ff: int, dsp: int) -> None:
    table = dense_table(shapes, bits)
    plan = with_reuse(table, reuse)
    assert timing(table, plan, RESOURCE_PARALLEL).latency[0] == latency
    used = resources(table, plan, RESOURCE_PARALLEL)
    assert used.dsp[0] == dsp
    assert used.lut[0] == pytest.approx(lut, rel=0.25)
    assert used.ff[0] == pytest.approx(ff, rel=0.25)


@pytest.mark.parametrize("blueprint", ["mlp", "tcresnet", "dscnn"])
def test_each_layer_takes_the_largest_legal_reuse_factor_within_the_target(blueprint: str) -> None:
    space = joint(blueprint)
    for point in space.space.points(space.space.sample(25, np.random.default_rng(1))):
        graph, plan = space.graph(point), space.plan(point)
        target = int(space.template_values(point)["interval_target_cycles"])
        assert set(plan.reuse) == {layer.name for layer in graph if layer.weights}
        for layer in graph:
            if not layer.weights:
                continue
            n_out = 1 if layer.groups > 1 else layer.out_c
            legal = legal_reuse_factors(layer.weights // n_out, n_out)
            positions = (layer.in_h + 2 * layer.pad_h) * (layer.in_w + 2 * layer.pad_w)
            assert plan.reuse[layer.name] == max([factor for factor in legal if positions * factor <= target], default=1)


def test_the_exported_plan_is_the_one_that_was_priced() -> None:
    space = joint("tcresnet")
    indices = space.space.sample(20, np.random.default_rng(2))
    priced = price(space, indices, per_layer=True)
    assert priced.layers is not None and priced.layer_names is not None
    for row, point in enumerate(space.space.points(indices)):
        plan, values = space.plan(point), space.template_values(point)
        assert (plan.io_type, plan.strategy, plan.clock_mhz) == (values["io_type"], values["strategy"], values["clock_mhz"])
        found = {name: factor for name, factor in zip(priced.layer_names[row], priced.layers["reuse_factor"][row].tolist(), strict=True) if factor}
        assert found == dict(plan.reuse)


@pytest.mark.parametrize("blueprint", ["mlp", "tcresnet", "dscnn"])
@pytest.mark.parametrize("strategy", ["latency", "resource"])
def test_a_longer_interval_never_needs_more_multipliers(blueprint: str, strategy: str) -> None:
    space = joint(blueprint, strategy=(strategy,), io_type=("io_stream",))
    indices = space.space.sample(200, np.random.default_rng(3))
    column = space.space.column("streaming.interval_target_cycles")
    previous, cycles = np.full(200, np.inf), np.zeros(200)
    for choice in range(0, len(space.space.parameters[column].values), 3):
        indices[:, column] = choice
        table = price(space, indices, per_layer=True)
        assert table.layers is not None
        multipliers = table.layers["multipliers"].sum(axis=1)
        assert (multipliers <= previous).all() and (multipliers > 0).all()
        assert (table.values["interval_cycles"] >= cycles).all()
        assert (table.values["interval_cycles"] <= table.values["latency_cycles"]).all()
        previous, cycles = multipliers, table.values["interval_cycles"]


def test_streams_wait_for_the_slowest_layer() -> None:
    # Vivado HLS 2019.1, hls4ml conv1d: (W + 2) * (RF + 10) cycles for a kernel of three on W positions.
    space = joint("tcresnet", strategy=("resource",), io_type=("io_stream",), interval_target_cycles=(4096,))
    priced = price(space, space.space.sample(50, np.random.default_rng(4)), per_layer=True)
    assert priced.layers is not None and priced.layer_names is not None
    assert (priced.layers["cycles"].max(axis=1) == priced.values["interval_cycles"]).all()
    stem = priced.layer_names[0].index("stem")
    kernel = space.space.values(space.space.sample(50, np.random.default_rng(4)), "tcresnet.stem_kernel")
    assert (priced.layers["cycles"][:, stem] == (49 + kernel - 1) * (priced.layers["reuse_factor"][:, stem] + 10)).all()


def test_eight_bit_weights_take_dsps_only_beside_wider_inputs() -> None:
    # 150 products at reuse factor 10: 15 multipliers; 16-bit inputs take a DSP each, 8-bit inputs none.
    for input_bits, expected in ((16, 15), (8, 0)):
        table = dense_table([(50, 3)], 8)
        table.input_bits[:] = input_bits
        assert resources(table, with_reuse(table, [10]), RESOURCE_PARALLEL).dsp[0] == expected


def test_more_bits_never_take_fewer_resources() -> None:
    for style in (RESOURCE_PARALLEL, Style(resource=np.array([[False]]), parallel=np.array([[False]]))):
        previous = np.zeros(3)
        for bits in range(2, 9):
            table = dense_table([(64, 32), (32, 10)], bits)
            used = resources(table, with_reuse(table, [16, 16]), style)
            found = np.array([used.lut[0] + 1e6 * used.dsp[0], used.ff[0] + 1e6 * used.dsp[0], used.bram18[0]])
            assert (found >= previous).all()
            previous = found


def test_legality_follows_the_tools() -> None:
    space = joint("tcresnet")
    table = price(space, space.space.sample(500, np.random.default_rng(5)))
    points = space.space.points(space.space.sample(500, np.random.default_rng(5)))
    for row, point in enumerate(points):
        values, graph = space.template_values(point), space.graph(point)
        if values["io_type"] == "io_parallel":
            assert table.reasons["streaming.io_parallel"][row] > 1
        elif values["strategy"] == "latency":
            assert table.reasons["streaming.multipliers"][row] == max(layer.weights for layer in graph) / 4096
    dense = joint("mlp", io_type=("io_parallel",))
    assert (price(dense, dense.space.sample(100, np.random.default_rng(6))).reasons["streaming.io_parallel"] <= 1).all()
