from __future__ import annotations

import numpy as np
import pytest

from codesign.accelerator.device import find_device
from codesign.kpi.evaluate import price
from codesign.kpi.joint_space import JointSpace
from codesign.kpi.reuse import legal_reuse_factors
from codesign.kpi.streaming.feasibility import build_limits
from codesign.kpi.streaming.hls_table import HlsTable
from codesign.kpi.streaming.predictions import predict_table
from codesign.kpi.streaming.template import FLOW, plan_reuse
from codesign.network.layers import LayerTable
from codesign.network.table_builder import TaskShape
from codesign.space.parameters import Value

KWS = TaskShape(input_shape=(49, 10), classes=12, input_bits=8, input_signed=True)
U250 = find_device("alveo-u250")


def joint(blueprint: str, **overrides: tuple[Value, ...]) -> JointSpace:
    return JointSpace.build(KWS, [blueprint], ["streaming"], U250, {f"streaming.{name}": values for name, values in overrides.items()})


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
    # hls4ml's line buffer runs over every position of the padded input: each costs RF and 4 + 7/64 cycles per operand bit at 5 ns.
    space = joint("tcresnet", strategy=("resource",), io_type=("io_stream",), interval_target_cycles=(4096,), clock_mhz=(200,))
    indices = space.space.sample(50, np.random.default_rng(4))
    priced = price(space, indices, per_layer=True)
    assert priced.layers is not None and priced.layer_names is not None
    assert (priced.layers["cycles"].max(axis=1) == priced.values["interval_cycles"]).all()
    stem = priced.layer_names[0].index("stem")
    kernel, bits = space.space.values(indices, "tcresnet.stem_kernel"), space.space.values(indices, "tcresnet.stem_weight_bits")
    reuse = priced.layers["reuse_factor"][:, stem]
    assert (reuse > 1).all()
    expected = (49 + kernel - 1) * (reuse + np.round(4 + 7 * (bits.astype(float) + 8) / 64))
    assert (priced.layers["cycles"][:, stem] == expected).all()


def test_the_search_prices_what_the_predictions_of_a_model_say() -> None:
    space = joint("tcresnet")
    indices = space.space.sample(30, np.random.default_rng(7))
    priced = price(space, indices)
    for row, point in enumerate(space.space.points(indices)):
        table, values = LayerTable.from_graphs([space.graph(point)]), space.template_values(point)
        reuse = plan_reuse(table, np.array([values["interval_target_cycles"]], dtype=np.int64))
        rows = HlsTable.from_layer_table(
            table, reuse, resource=np.array([values["strategy"] == "resource"]), stream=np.array([values["io_type"] == "io_stream"]),
            clock_ns=np.array([1000.0 / float(values["clock_mhz"])]), series7=False,
        )  # fmt: skip
        found = predict_table(rows, FLOW)
        for name, figure in (("latency_cycles", "latency"), ("lut", "lut"), ("ff", "ff"), ("dsp", "dsp"), ("bram18", "bram18")):
            assert priced.values[name][row] == found.values(figure)[0]
        error = priced.relative_error["lut"][row]
        assert found.high["lut"][0] <= np.ceil(found.values("lut")[0] * (1 + error)) + 1


def test_legality_follows_the_tools() -> None:
    space = joint("tcresnet")
    indices = space.space.sample(500, np.random.default_rng(5))
    table = price(space, indices)
    limits = build_limits()
    half_fail = limits.centre.value * limits.partition.value
    for row, point in enumerate(space.space.points(indices)):
        values, graph = space.template_values(point), space.graph(point)
        if values["io_type"] == "io_parallel":
            assert table.reasons["streaming.io_parallel"][row] > 1
        elif values["strategy"] == "latency":
            assert table.reasons["streaming.multipliers"][row] == pytest.approx(max(layer.weights for layer in graph) / half_fail)
    dense = joint("mlp", io_type=("io_parallel",))
    assert (price(dense, dense.space.sample(100, np.random.default_rng(6))).reasons["streaming.io_parallel"] <= 1).all()
