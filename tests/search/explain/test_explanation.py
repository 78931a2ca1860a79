"""Explanations: limits, layers and marginal prices against prices asked for one by one; what is free, forbidden and cheapest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import cho_factor, cho_solve

from codesign.accelerator.device import RESOURCES
from codesign.errors import InputError
from codesign.estimate import Evidence
from codesign.kpi.evaluate import price
from codesign.kpi.pe_array import breakdown
from codesign.search.acquisition import designs_of
from codesign.search.explain.explanation import Explanation, explain, fitted_predictors
from codesign.search.explain.gains import gain
from codesign.search.explain.layers import Bound, anatomy
from codesign.search.explain.prices import moves, neighbours
from codesign.search.explain.text import relative, sentences
from codesign.search.pricing import Pricing
from codesign.search.study import Study
from codesign.space.columns import Columns
from codesign.space.design_space import DesignPoint
from tests.search.explain_study import digits, evaluated_study, kws


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The built-in keyword spotting study with twelve evaluated designs."""
    return evaluated_study(tmp_path_factory.mktemp("kws"), kws())


@pytest.fixture(scope="module")
def explained(study: Study) -> list[Explanation]:
    predictors = fitted_predictors(study)
    return [explain(study, item, predictors=predictors) for item in study.evaluated()]


def changed(study: Study, point: DesignPoint, **values: object) -> DesignPoint:
    """The design with other values, checked by the space."""
    return study.pricing.joint.space.point(dict(point.assignment) | values)  # type: ignore[arg-type]


def neighbour(study: Study, found: Explanation, number: int) -> DesignPoint:
    """The design that a move leads to, written down by hand: parameters that the move takes away are left out."""
    move = found.moves[number]
    assignment = dict(found.point.assignment) | {move.parameter: move.after} | dict(move.follows)
    while True:
        try:
            return study.pricing.joint.space.point(assignment)
        except InputError as error:
            name = error.what.removeprefix("parameter ").removesuffix(" is inactive in this design")
            del assignment[name]


def test_marginal_prices_are_those_of_the_neighbours(study: Study, explained: list[Explanation]) -> None:
    for found in explained[:2]:
        before = price(study.pricing.joint, study.pricing.joint.space.indices([found.point]))
        for number, move in enumerate(found.moves):
            after = price(study.pricing.joint, study.pricing.joint.space.indices([neighbour(study, found, number)]))
            for name in ("latency_us", "energy_uj"):
                change = move.objectives[name]
                assert change.after == pytest.approx(after.values[name][0], rel=1e-12)
                assert change.change == pytest.approx(after.values[name][0] - before.values[name][0], rel=1e-9, abs=1e-12)
                assert (change.std, change.evidence) == (0.0, Evidence.ANALYTIC)
                if move.unit:
                    assert change.per_unit == pytest.approx(change.change / (float(move.after) - float(move.before)), rel=1e-12)
                else:
                    assert change.per_unit is None
            for name, change in move.resources.items():
                assert change.change == after.values[name][0] - before.values[name][0]
            loads = {name: float(load[0]) for name, load in study.pricing.limit_loads(after).items()}
            assert move.loads == pytest.approx(loads, rel=1e-12)
            assert move.broken == tuple(name for name, load in loads.items() if load > 1.0)
            assert move.feasible == bool(study.pricing.problem.price(study.pricing.joint.space.indices([neighbour(study, found, number)])).feasible[0])


def test_every_parameter_moves_one_step_each_way(study: Study, explained: list[Explanation]) -> None:
    for found in explained:
        told = {(move.parameter, move.after) for move in found.moves}
        expected = set()
        for name, value in found.point.assignment:
            domain = study.pricing.joint.space.parameter(name).values
            at = domain.index(value)
            expected |= {(name, domain[other]) for other in (at - 1, at + 1) if 0 <= other < len(domain)}
        assert told == expected


def test_one_more_row_bit_and_kib_have_a_unit(explained: list[Explanation]) -> None:
    units = {move.parameter.rpartition(".")[2]: move.unit for found in explained for move in found.moves}
    assert units["rows"] == "row"
    assert units["columns"] == "column"
    assert units["weight_buffer_kib"] == "KiB"
    assert units["clock_mhz"] == "MHz"
    assert units["stem_weight_bits"] == units["bus_bits"] == "bit"
    assert units["block1_width"] == "channel"
    assert units["double_buffering"] == units["block1_residual"] == ""


def test_the_binding_limit_has_the_highest_load(study: Study, explained: list[Explanation]) -> None:
    assert {found.binding.name for found in explained if found.binding} != {explained[0].limits[0].name}
    for found in explained:
        loads = {
            name: float(load[0])
            for name, load in study.pricing.limit_loads(price(study.pricing.joint, study.pricing.joint.space.indices([found.point]))).items()
        }
        loads = {name: load for name, load in loads.items() if load > 0.0}
        told = {use.name: use.load for use in found.limits}
        accuracy = found.objectives["accuracy"].value
        assert told == pytest.approx(loads | {"accuracy": 0.6 / accuracy}, rel=1e-12)
        touched = {name: load for name, load in told.items() if name == "accuracy" or any(move.loads[name] != pytest.approx(load) for move in found.moves)}
        assert found.binding is not None
        assert found.binding.load == max(touched.values())
        assert found.limits == tuple(sorted(found.limits, key=lambda use: -use.load))


def test_the_input_width_binds_nothing_where_no_parameter_touches_it(explained: list[Explanation]) -> None:
    for found in explained:
        width = next(use for use in found.limits if use.name == "pe_array.activation_bits")
        assert width.load == 1.0
        assert width.fixed
        assert found.binding is not None
        assert found.binding.name != width.name


def test_limits_are_told_in_natural_units(study: Study, explained: list[Explanation]) -> None:
    device = study.pricing.joint.device
    for found in explained:
        uses = {use.name: use for use in found.limits}
        table = price(study.pricing.joint, study.pricing.joint.space.indices([found.point]))
        for name in RESOURCES:
            use = uses.get(f"device {name}")
            if use is not None:
                assert (use.value, use.limit) == (table.values[name][0], 0.8 * device.resources[name])
        for use in uses.values():
            if use.value is not None and use.limit is not None:
                assert use.slack == pytest.approx((use.value - use.limit) * (1 if use.name == "accuracy" else -1))
                assert use.load == pytest.approx(use.limit / use.value if use.name == "accuracy" else use.value / use.limit, rel=1e-9)
        assert uses["pe_array.weight_bits"].limit == found.point["pe_array.weight_bits"]
        assert uses["pe_array.weight_buffer"].unit == "KiB"


def test_the_slowest_layer_is_that_of_the_breakdown(study: Study, explained: list[Explanation]) -> None:
    joint = study.pricing.joint
    for found in explained:
        indices = joint.space.indices([found.point])
        table = joint.blueprints[0].table(joint.space, indices, joint.shape)
        counted = breakdown(table, Columns(joint.space, indices, "pe_array"), joint.device)
        cycles = dict(zip(table.names, counted.cycles[0].tolist(), strict=True))
        first = found.anatomy.times[0]
        assert first.cycles == max(cycles.values())
        assert cycles[first.layer] == first.cycles
        assert first.share == first.cycles / price(joint, indices).values["latency_cycles"][0]
        compute = dict(zip(table.names, counted.compute_cycles[0].tolist(), strict=True))
        for time in found.anatomy.times:
            assert sum(time.parts.values()) == pytest.approx(time.cycles)
            assert time.parts[Bound.COMPUTE] == compute[time.layer]
            assert min(time.parts.values()) >= 0.0
        assert sum(time.cycles for time in found.anatomy.times) + found.anatomy.other_cycles == pytest.approx(found.anatomy.latency_cycles)


def test_layers_wait_for_what_moves(study: Study, explained: list[Explanation]) -> None:
    joint = study.pricing.joint
    point = next(found.point for found in explained if found.point["tcresnet.block1_width"] != 8)
    smallest = joint.space.parameter("pe_array.weight_buffer_kib").values[0]
    starved = anatomy(joint, changed(study, point, **{"pe_array.weight_buffer_kib": smallest, "pe_array.bus_bits": 16, "pe_array.double_buffering": 0}))
    roomy = anatomy(joint, changed(study, point, **{"pe_array.weight_buffer_kib": 256, "pe_array.activation_buffer_kib": 64, "pe_array.output_buffer_kib": 64}))
    loading = {time.layer: time.parts[Bound.WEIGHTS] for time in starved.times}
    assert max(loading.values()) > 0.0
    assert all(time.parts[Bound.WEIGHTS] == 0.0 for time in roomy.times)
    no_maps = anatomy(joint, changed(study, point, **{"pe_array.activation_buffer_kib": 1, "pe_array.bus_bits": 16, "pe_array.double_buffering": 0}))
    assert max(time.parts[Bound.MAPS] for time in no_maps.times) > max(time.parts[Bound.MAPS] for time in roomy.times)


def test_what_lies_in_the_buffers_is_told_by_layer(study: Study, explained: list[Explanation]) -> None:
    for found in explained:
        uses = {use.name: use for use in found.limits}
        bits = {name: found.point[f"pe_array.{name}"] for name in ("rows", "columns", "weight_bits", "activation_bits")}
        weight_word, map_word = bits["rows"] * bits["columns"] * bits["weight_bits"], bits["columns"] * bits["activation_bits"]
        for name, word in (("weight_buffer", weight_word), ("activation_buffer", map_word), ("output_buffer", map_word)):
            use = uses[f"pe_array.{name}"]
            assert use.cause is not None
            assert use.value is not None
            words = [own.value for own in use.cause.layers]
            assert (sum(words) if use.cause.total else max(words)) * word / 8192 == pytest.approx(use.value)


def test_the_widest_layer_sets_the_operand_width(study: Study, explained: list[Explanation]) -> None:
    for found in explained:
        widest = max(layer.weight_bits for layer in study.pricing.joint.graph(found.point))
        use = next(use for use in found.limits if use.name == "pe_array.weight_bits")
        assert use.cause is not None
        assert set(use.cause.leading) == {layer.name for layer in study.pricing.joint.graph(found.point) if layer.weight_bits == widest}


@pytest.mark.parametrize("blueprint", ["dscnn", "mlp"])
def test_streaming_layers_sum_to_the_design(tmp_path: Path, blueprint: str) -> None:
    study = evaluated_study(tmp_path, digits(templates=("streaming",), blueprints=(blueprint,)), count=6)
    for item in study.evaluated():
        point = item.design.point
        table = price(study.pricing.joint, study.pricing.joint.space.indices([point]), per_layer=True)
        parts = anatomy(study.pricing.joint, point)
        assert sum(time.cycles for time in parts.times) + parts.other_cycles == pytest.approx(table.values["latency_cycles"][0], abs=1.0)
        for name in ("lut", "ff", "dsp", "bram18"):
            assert sum(own.value for own in parts.causes[name].layers) == pytest.approx(table.values[name][0], abs=1.0)
        assert table.layers is not None
        built = parts.causes["multipliers"].layers[0].value
        assert built == pytest.approx(study.pricing.limit_loads(table)["streaming.multipliers"][0])
        slowest = table.layer_names[0][int(np.argmax(table.layers["cycles"][0]))] if table.layer_names else ""
        assert slowest in [own.layer for own in parts.causes["interval_cycles"].layers[:1]]


def test_any_other_template_tells_the_cycles_of_its_layers(tmp_path: Path) -> None:
    study = evaluated_study(tmp_path, digits(templates=("systolic_row",)), count=2)
    found = explain(study, study.evaluated()[0])
    table = price(study.pricing.joint, study.pricing.joint.space.indices([found.point]), per_layer=True)
    assert table.layers is not None
    assert found.anatomy.times[0].cycles == table.layers["cycles"].max()
    assert found.anatomy.times[0].bound is Bound.UNKNOWN
    assert "multipliers are" in next(sentences(found, 0.8, study.pricing.problem.objectives))


def test_several_templates_and_blueprints(tmp_path: Path) -> None:
    study = evaluated_study(tmp_path, digits(templates=("pe_array", "streaming"), blueprints=("mlp", "dscnn")), count=8)
    for item in study.evaluated():
        found = explain(study, item)
        assert {move.after for move in found.moves if move.parameter == "template"} == {"pe_array", "streaming"} - {found.template}
        switch = next(move for move in found.moves if move.parameter == "blueprint")
        assert switch.follows
        assert all(name.startswith(f"{switch.after}.") for name in switch.follows)
        assert all(use.name.startswith(("device", f"{found.template}.", "accuracy")) for use in found.limits)
        assert all(move.parameter != "template" for move in found.reliefs)
        assert all(use.name != "streaming.io_parallel" for use in found.limits)


def test_accuracy_is_predicted_with_the_uncertainty_of_the_difference(tmp_path: Path) -> None:
    """Against the joint posterior of the process in closed form, at an evaluated design and at others."""
    study = evaluated_study(tmp_path, kws(), count=10)
    predictors, joint = fitted_predictors(study), study.pricing.joint
    predictor = predictors[0]
    assert predictor is not None
    process = predictor._process
    known, noise = process.training_rows, (process.noise_std / process.scale) ** 2
    solved = cho_factor(process.covariance(known, known) + noise * np.eye(len(known)))
    evaluated = joint.space.indices([study.evaluated()[0].design.point])
    for row in np.concatenate([evaluated, joint.space.sample(3, np.random.default_rng(8))]):
        _, near = neighbours(joint.space, row)
        designs = designs_of(study.pricing.problem, study.pricing.problem.pool(np.concatenate([row[None, :], near])), 0)
        rows, means = process.rows(predictor._inputs(designs, predictor._trend)), predictor.predict(designs).mean
        cross = process.covariance(rows, known)
        posterior = process.covariance(rows, rows) - cross @ cho_solve(solved, cross.T)
        variance = np.diagonal(posterior)
        expected = process.scale * np.sqrt(np.maximum(variance[0] + variance - 2.0 * posterior[0], 0.0))[1:]
        for number, move in enumerate(moves(study.pricing, row, predictors)):
            change = move.objectives["accuracy"]
            if move.parameter.startswith("pe_array."):
                assert (change.change, change.std) == (0.0, 0.0)
            else:
                assert change.evidence is Evidence.PREDICTED
                assert change.change == pytest.approx(means[number + 1] - means[0], rel=1e-9, abs=1e-15)
                assert change.std == pytest.approx(expected[number], rel=1e-3, abs=1e-5)


def test_free_moves_lose_nothing_and_blocked_ones_break_something_new(study: Study, explained: list[Explanation]) -> None:
    objectives = study.pricing.problem.objectives
    assert any(found.free for found in explained)
    assert any(found.blocked for found in explained)
    for found in explained:
        for move in found.free:
            assert move.feasible
            assert all(gain(objective, move.objectives[objective.name]) >= -1e-9 for objective in objectives)
        free = {move.text for move in found.free}
        for move in found.moves:
            saves = [change.change for change in move.resources.values()]
            exact = move.parameter.startswith("pe_array.") and move.feasible
            if exact and move.objectives["latency_us"].change <= 0 and move.objectives["energy_uj"].change <= 0 and min(saves) < 0 >= max(saves):
                assert move.text in free
        for blocked in found.blocked:
            assert blocked.limits
            assert not blocked.move.feasible
            assert max(blocked.gains.values()) > 0.0


def test_trades_are_the_cheapest_of_all_moves(study: Study, explained: list[Explanation]) -> None:
    """Latency against energy, which are both exact: a ratio of log ratios."""
    seen = 0
    for found in explained:
        ratios = []
        for move in found.moves:
            latency, energy = (np.log(move.objectives[name].after / move.objectives[name].before) for name in ("latency_us", "energy_uj"))
            if move.feasible and latency < -0.01:
                ratios.append(max(energy, 0.0) / -latency)
        spared = [trade for trade in found.trades if trade.gains == "latency_us" and "energy_uj" in trade.spares]
        assert len(spared) == bool(ratios)
        if spared:
            seen += 1
            assert spared[0].prices["energy_uj"] == pytest.approx(min(ratios))
            assert spared[0].gain == pytest.approx(-np.log(spared[0].move.objectives["latency_us"].after / spared[0].move.objectives["latency_us"].before))
    assert seen


def test_gains_are_log_ratios_or_differences(study: Study, explained: list[Explanation]) -> None:
    accuracy, latency, _ = study.pricing.problem.objectives
    change = replace(explained[0].moves[0].objectives["latency_us"], before=10.0, after=5.0, change=-5.0)
    assert gain(latency, change) == pytest.approx(np.log(2.0))
    assert gain(replace(latency, maximise=True), change) == pytest.approx(-np.log(2.0))
    assert gain(accuracy, replace(change, before=0.5, after=0.53, change=0.03)) == pytest.approx(0.03)
    assert relative(latency, change) == "-50.0%"
    assert relative(accuracy, replace(change, before=0.5, after=0.53, change=0.03, std=0.011)) == "+3 +- 1.1 points"


def test_the_sentences_name_layer_and_limit(study: Study, explained: list[Explanation]) -> None:
    for found in explained:
        lines = list(sentences(found, 0.8, study.pricing.problem.objectives))
        assert f"is set by layer {found.anatomy.times[0].layer} (" in lines[0]
        assert found.binding is not None
        assert any(f"{found.binding.name} at {found.binding.load:.2f}" in line for line in lines)


def test_evidence_moves_the_prices(tmp_path: Path) -> None:
    study = evaluated_study(tmp_path, digits(blueprints=("mlp",)), count=10)
    for design in study.store.designs():
        study.add_evidence(design.point.id, "latency_us", 1.3 * design.kpis["latency_us"].value, Evidence.BOARD, "stop watch")
    found = explain(study, study.evaluated()[0])
    plain = Pricing(study.specification)
    of_the_array = [move for move in found.moves if move.parameter.startswith("pe_array.")]
    assert of_the_array
    for move in of_the_array:
        indices = study.pricing.joint.space.indices([changed(study, found.point, **{move.parameter: move.after})])
        assert move.objectives["latency_us"].after == pytest.approx(study.pricing.problem.price(indices).prior[0, 1])
        assert move.objectives["latency_us"].after / plain.problem.price(indices).prior[0, 1] == pytest.approx(1.3, rel=0.1)


def test_a_measurement_beyond_the_limit_breaks_it_and_is_repaired(tmp_path: Path) -> None:
    study = evaluated_study(tmp_path, digits(blueprints=("mlp",)), count=6)
    item = max(study.evaluated(), key=lambda item: item.design.kpis["lut"].value)
    allowed = 0.8 * study.pricing.joint.device.resources["lut"]
    study.add_evidence(item.id, "lut", 1.05 * allowed, Evidence.VENDOR, "a report")
    found = explain(study, item)
    assert found.broken == ("device lut",)
    use = next(use for use in found.limits if use.name == "device lut")
    assert (use.value, use.evidence) == (1.05 * allowed, Evidence.VENDOR)
    assert found.binding is use
    assert found.repair is not None
    priced = price(study.pricing.joint, study.pricing.joint.space.indices([found.repair.point, found.point])).values["lut"]
    assert 1.05 * priced[0] / priced[1] <= 1.0


def test_a_design_is_held_against_another_study_file(study: Study, explained: list[Explanation]) -> None:
    item = study.evaluated()[0]
    latency = item.design.kpis["latency_us"].value
    tight = Pricing(kws(name="tight", limits={"utilisation": 0.8, "latency_us": 0.9 * latency}))
    found = explain(study, item, pricing=tight)
    assert found.broken == ("latency_us",)
    assert found.repair is not None
    assert tight.problem.price(tight.joint.space.indices([found.repair.point])).feasible[0]
    other = Pricing(kws(name="narrow", space={"tcresnet.stem_width": [v for v in (8, 12) if v != item.design.point["tcresnet.stem_width"]][:1]}))
    with pytest.raises(InputError, match=f"design {item.id} is not in the space of study file narrow"):
        explain(study, item, pricing=other)


def test_the_same_study_is_explained_the_same_way_twice(study: Study, explained: list[Explanation]) -> None:
    again = explain(study, study.evaluated()[0])
    assert again.moves == explained[0].moves
    assert again.binding == explained[0].binding
