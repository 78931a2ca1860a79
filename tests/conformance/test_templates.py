"""What every registered accelerator template must do, whoever wrote it."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import numpy as np
import pytest

from codesign.accelerator.device import RESOURCES, Device, device_names, find_device
from codesign.kpi.evaluate import KPI_UNITS, price
from codesign.kpi.joint_space import JointSpace
from codesign.kpi.reuse import legal_reuse_factors
from codesign.kpi.template_model import LayerKpis, TemplateKpis, find_template, template_names
from codesign.network.layers import LayerTable, Op
from codesign.network.table_builder import TableBuilder, TaskShape
from codesign.space.columns import Columns
from codesign.space.design_space import DesignSpace, Indices
from codesign.space.parameters import Half

KWS = TaskShape(input_shape=(49, 10), classes=12, input_bits=8, input_signed=True)
DIGITS = TaskShape(input_shape=(8, 8), classes=10, input_bits=5, input_signed=False)
BLUEPRINTS = ("mlp", "tcresnet", "dscnn")
PYNQ = find_device("pynq-z2")
DESIGN_KPIS = ("latency_cycles", "interval_cycles", "clock_mhz", *RESOURCES, "dynamic_uj", "off_chip_bytes")
LAYER_KPIS = tuple(field.name for field in fields(LayerKpis))

pytestmark = pytest.mark.parametrize("name", template_names())


def build(name: str, blueprint: str, *, shape: TaskShape = KWS, device: Device = PYNQ) -> JointSpace:
    return JointSpace.build(shape, [blueprint], [name], device)


def evaluate(joint: JointSpace, indices: Indices) -> TemplateKpis:
    (blueprint,), (template,) = joint.blueprints, joint.templates
    return template.evaluate(blueprint.table(joint.space, indices, joint.shape), Columns(joint.space, indices, template.name), joint.device)


def test_it_names_and_describes_itself(name: str) -> None:
    model = find_template(name)
    assert model.name == name
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert model.description.strip() and "\n" not in model.description


@pytest.mark.parametrize("device", device_names())
def test_its_parameters_are_its_own_and_its_clock_is_the_devices(name: str, device: str) -> None:
    board = find_device(device)
    offered, narrowed = find_template(name).parameters(board), find_template(name).parameters(board, KWS)
    assert all(parameter.name.startswith(f"{name}.") and parameter.half is Half.ACCELERATOR for parameter in offered)
    clock = next(parameter for parameter in offered if parameter.name == f"{name}.clock_mhz")
    assert 0 < max(float(value) for value in clock.values) <= board.clock_mhz.value
    assert [parameter.name for parameter in narrowed] == [parameter.name for parameter in offered]
    assert all(set(less.values) <= set(parameter.values) for less, parameter in zip(narrowed, offered, strict=True))


@pytest.mark.parametrize("device", device_names())
@pytest.mark.parametrize("blueprint", BLUEPRINTS)
def test_key_figures_are_finite_and_positive(name: str, blueprint: str, device: str) -> None:
    joint = build(name, blueprint, device=find_device(device))
    indices = joint.space.sample(60, np.random.default_rng(0))
    costs = evaluate(joint, indices)
    for kpi in DESIGN_KPIS:
        values = getattr(costs, kpi)
        assert values.shape == (60,) and np.isfinite(values).all()
        assert (values >= 0).all() if kpi in ("dsp", "bram18", "uram") else (values > 0).all()
    assert (costs.interval_cycles <= costs.latency_cycles).all()
    assert set(costs.relative_error) <= {"cycles", *RESOURCES} and "cycles" in costs.relative_error
    assert all((np.asarray(error) >= 0).all() for error in costs.relative_error.values())


@pytest.mark.parametrize("blueprint", BLUEPRINTS)
def test_layers_agree_with_the_whole(name: str, blueprint: str) -> None:
    joint = build(name, blueprint)
    indices = joint.space.sample(200, np.random.default_rng(1))
    table = joint.blueprints[0].table(joint.space, indices, KWS)
    costs, fits = evaluate(joint, indices), price(joint, indices).fits
    layers = costs.layers
    for kpi in LAYER_KPIS:
        values = getattr(layers, kpi)
        assert values.shape == table.op.shape and np.isfinite(values).all()
        assert (values >= 0).all() and not values[table.op == Op.ABSENT].any()
    assert (layers.utilisation <= 1.0 + 1e-12).all()
    for kpi in ("cycles", "macs", "multipliers", "reuse_factor", "weight_bytes"):
        assert (getattr(layers, kpi)[table.weighted] > 0).all()
    # No layer is busy for longer than the inference takes, and no more crosses the border in layers than in all.
    assert (layers.cycles.max(axis=1) <= costs.latency_cycles).all()
    assert (layers.off_chip_bytes.sum(axis=1) <= costs.off_chip_bytes * (1 + 1e-12)).all()
    assert (layers.macs[table.weighted] <= table.macs[table.weighted]).all()
    # A layer multiplies no more often than its multipliers have cycles for.
    assert (layers.macs[table.weighted] <= (layers.cycles * layers.multipliers)[table.weighted] * (1 + 1e-12)).all()
    # Weights are stored at their width or a wider one; a design that fits has room for their width.
    needed = (table.weights * table.weight_bits).sum(axis=1) / 8.0
    assert fits.any()
    assert (layers.weight_bytes.sum(axis=1) >= needed * (1 - 1e-12))[fits].all()


@pytest.mark.parametrize("blueprint", BLUEPRINTS)
def test_limits_are_named_and_what_breaks_one_does_not_fit(name: str, blueprint: str) -> None:
    joint = build(name, blueprint)
    indices = joint.space.sample(400, np.random.default_rng(2))
    costs, priced = evaluate(joint, indices), price(joint, indices)
    assert costs.limits
    legal = np.ones(len(indices), dtype=np.bool_)
    for limit, utilisation in costs.limits.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", limit)
        assert utilisation.shape == (400,) and np.isfinite(utilisation).all() and (utilisation >= 0).all()
        assert np.array_equal(priced.reasons[f"{name}.{limit}"], utilisation)
        legal &= utilisation <= 1.0
    assert not priced.fits[~legal].any()
    assert priced.fits.any() and not legal.all()


@pytest.mark.parametrize("blueprint", BLUEPRINTS)
def test_one_design_costs_the_same_alone_and_among_others(name: str, blueprint: str) -> None:
    joint = build(name, blueprint)
    indices = joint.space.sample(40, np.random.default_rng(3))
    together = evaluate(joint, indices)
    for row in range(0, 40, 5):
        alone = evaluate(joint, indices[row : row + 1])
        for kpi in DESIGN_KPIS:
            assert getattr(alone, kpi)[0] == pytest.approx(getattr(together, kpi)[row], rel=1e-12)
        for kpi in LAYER_KPIS:
            assert getattr(alone.layers, kpi)[0] == pytest.approx(getattr(together.layers, kpi)[row], rel=1e-12)
        for limit, utilisation in together.limits.items():
            assert alone.limits[limit][0] == utilisation[row]
        for kpi, error in together.relative_error.items():
            assert np.broadcast_to(alone.relative_error[kpi], (1,))[0] == pytest.approx(np.broadcast_to(error, (40,))[row], rel=1e-12)


def test_the_same_question_gets_the_same_answer_and_is_left_as_it_was(name: str) -> None:
    joint = build(name, "tcresnet")
    indices = joint.space.sample(30, np.random.default_rng(4))
    table = joint.blueprints[0].table(joint.space, indices, KWS)
    before = {column: getattr(table, column).copy() for column in ("op", "in_c", "out_c", "weight_bits", "input_a")}
    first, second = (joint.templates[0].evaluate(table, Columns(joint.space, indices, name), PYNQ) for _ in range(2))
    assert all(np.array_equal(getattr(first, kpi), getattr(second, kpi)) for kpi in DESIGN_KPIS)
    assert all(np.array_equal(getattr(first.layers, kpi), getattr(second.layers, kpi)) for kpi in LAYER_KPIS)
    assert all(np.array_equal(getattr(table, column), values) for column, values in before.items())


def chain(op: Op, channels: int, width: int, count: int) -> LayerTable:
    """``count`` times the same network: a layer, one of the operation asked for, pool, classifier."""
    builder = TableBuilder(count, KWS)
    series = op in (Op.CONV1D, Op.DEPTHWISE_CONV1D, Op.ADD)
    x = builder.input((1, width, 10) if series else (width, 10, 1))
    kernel, stem = ((1, 3), Op.CONV1D) if series else ((3, 3), Op.CONV2D)
    y = builder.convolution("stem", x, stem, channels=channels, kernel=kernel, weight_bits=4, output_bits=8, relu=True)
    if op is Op.ADD:
        y = builder.add(
            "layer",
            y,
            builder.convolution("other", x, stem, channels=channels, kernel=kernel, weight_bits=4, output_bits=8, relu=True),
            output_bits=8,
            relu=True,
        )
    elif op is Op.DENSE:
        y = builder.dense("layer", y, features=channels, weight_bits=4, output_bits=8, relu=True)
    else:
        depthwise = op in (Op.DEPTHWISE_CONV1D, Op.DEPTHWISE_CONV2D)
        y = builder.convolution("layer", y, op, channels=None if depthwise else channels, kernel=kernel, weight_bits=4, output_bits=8, relu=True)
    builder.dense("head", builder.global_pool("pool", y, output_bits=8), features=12, weight_bits=4, output_bits=None, relu=False)
    return builder.build()


@pytest.mark.parametrize("op", [Op.DENSE, Op.CONV1D, Op.CONV2D, Op.DEPTHWISE_CONV1D, Op.DEPTHWISE_CONV2D, Op.ADD])
def test_more_work_never_takes_less(name: str, op: Op) -> None:
    """Twice the channels or a longer map: never fewer cycles on the same multipliers, and never less traffic, weights or steps."""
    model = find_template(name)
    space = DesignSpace(model.parameters(PYNQ, KWS))
    columns = Columns(space, space.sample(40, np.random.default_rng(5)), name)

    def cost(channels: int, width: int) -> TemplateKpis:
        return model.evaluate(chain(op, channels, width, 40), columns, PYNQ)

    base = cost(12, 20)
    for more in (cost(24, 20), cost(48, 20), cost(12, 40)):
        hardware = more.layers.multipliers.sum(axis=1) > base.layers.multipliers.sum(axis=1)
        assert (hardware | (more.latency_cycles >= base.latency_cycles)).all()
        assert (hardware | (more.interval_cycles >= base.interval_cycles)).all()
        assert (more.layers.macs.sum(axis=1) > base.layers.macs.sum(axis=1)).all()
        assert (more.off_chip_bytes >= base.off_chip_bytes).all()
        assert (more.layers.weight_bytes.sum(axis=1) >= base.layers.weight_bytes.sum(axis=1)).all()


@pytest.mark.parametrize("blueprint", BLUEPRINTS)
def test_what_it_exports_is_a_legal_hls4ml_project(name: str, blueprint: str) -> None:
    joint = build(name, blueprint, shape=DIGITS)
    for point in joint.space.points(joint.space.sample(25, np.random.default_rng(6))):
        graph, plan = joint.graph(point), joint.plan(point)
        assert plan.io_type in ("io_stream", "io_parallel") and plan.strategy in ("latency", "resource")
        assert plan.clock_mhz == joint.template_values(point)["clock_mhz"]
        assert set(plan.reuse) == {layer.name for layer in graph if layer.weights}
        for layer in graph:
            if layer.weights:
                outputs = 1 if layer.groups > 1 else layer.out_c
                assert plan.reuse[layer.name] in legal_reuse_factors(layer.weights // outputs, outputs)


def test_every_parameter_matters(name: str) -> None:
    """Changing one accelerator parameter alone changes a key figure or a limit of some design."""
    offered = find_template(name).parameters(PYNQ, KWS)
    joint = JointSpace.build(KWS, ["tcresnet"], [name], PYNQ, {parameter.name: parameter.values for parameter in offered})
    indices = joint.space.sample(60, np.random.default_rng(7))
    before = price(joint, indices)
    for parameter in offered:
        column = joint.space.column(parameter.name)
        changed = indices.copy()
        changed[:, column] = (changed[:, column] + 1) % len(parameter.values)
        after = price(joint, changed)
        figures = any(not np.array_equal(before.values[kpi], after.values[kpi]) for kpi in KPI_UNITS)
        limits = any(not np.array_equal(before.reasons[limit], after.reasons[limit]) for limit in before.reasons)
        assert figures or limits or len(parameter.values) == 1, parameter.name


def test_the_board_matters_to_energy(name: str) -> None:
    joint = build(name, "mlp")
    indices = joint.space.sample(20, np.random.default_rng(8))
    costly = replace(PYNQ, off_chip_pj_per_bit=replace(PYNQ.off_chip_pj_per_bit, value=10 * PYNQ.off_chip_pj_per_bit.value))
    more = evaluate(replace(joint, device=costly), indices)
    assert (more.dynamic_uj > evaluate(joint, indices).dynamic_uj).all()
