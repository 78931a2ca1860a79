"""The nearest feasible design and what a hopeless study must give up, against brute force in small spaces."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from codesign.kpi.evaluate import price
from codesign.search.candidates import enumerate_designs
from codesign.search.explain import relax
from codesign.search.explain import repair as repair_module
from codesign.search.explain.relax import Prospect, limit_value, prospect
from codesign.search.explain.repair import FloatArray, Judge, Repair, distance, nearest_feasible
from codesign.search.explain.text import prospect_text
from codesign.search.pricing import Pricing
from codesign.space.design_space import DesignPoint, DesignSpace, Indices
from tests.search.explain_study import digits

SPACE = {
    "mlp.hidden_layers": [0, 1, 2],
    "mlp.hidden1_width": [8, 16, 32, 48, 64],
    "mlp.hidden2_width": [8, 64],
    **{f"mlp.hidden{number}_{name}": [8] for number in (1, 2) for name in ("weight_bits", "activation_bits")},
    "mlp.head_weight_bits": [4, 8],
    "pe_array.rows": [2, 4, 8, 12, 16],
    "pe_array.columns": [2, 8, 16],
    "pe_array.weight_bits": [4, 8],
    "pe_array.accumulator_bits": [20, 32],
    "pe_array.weight_buffer_kib": [2, 16],
    "pe_array.activation_buffer_kib": [8],
    "pe_array.output_buffer_kib": [8],
    "pe_array.bus_bits": [32],
    "pe_array.clock_mhz": [50, 100],
    "pe_array.double_buffering": [0],
}


def small(*, space: dict[str, list[int]] = SPACE, **limits: float) -> Pricing:
    """Networks of at most two hidden layers on a few arrays: thousands of designs, all of which can be priced."""
    return Pricing(digits(blueprints=("mlp",), space={name: tuple(values) for name, values in space.items()}, limits=limits))


@pytest.fixture(params=["whole", "searched"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Price the whole space, or search it as if it were too large for that."""
    if request.param == "searched":
        monkeypatch.setattr(repair_module, "ENUMERATED", 0)
        monkeypatch.setattr(relax, "ENUMERATED", 0)
    return str(request.param)


def singles(space: DesignSpace, point: DesignPoint) -> Iterator[DesignPoint]:
    """Every design that differs in one parameter, by names and values; what comes to life takes the middle of its domain."""
    for name, value in point.assignment:
        for other in space.parameter(name).values:
            if other == value:
                continue
            assignment = dict(point.assignment) | {name: other}
            full = {parameter.name: assignment.get(parameter.name, parameter.values[(len(parameter.values) - 1) // 2]) for parameter in space.parameters}
            row = np.array([[parameter.values.index(full[parameter.name]) for parameter in space.parameters]], dtype=np.int16)
            yield space.points(space.mask(row))[0]


def brute_force(pricing: Pricing, row: Indices) -> tuple[int, int]:
    """Fewest changes, and fewest steps of those, to any feasible design, counted name by name."""
    space = pricing.joint.space
    everything = enumerate_designs(space)
    feasible = space.points(everything[pricing.problem.price(everything).feasible])
    here = dict(space.points(row[None, :])[0].assignment)
    found = []
    for point in feasible:
        changes = steps = 0
        for name, value in point.assignment:
            domain = space.parameter(name).values
            before = here.get(name, domain[(len(domain) - 1) // 2])
            changes += value != before
            steps += abs(domain.index(value) - domain.index(before))
        found.append((changes, steps))
    return min(found)


def infeasible_designs(pricing: Pricing, count: int) -> Indices:
    drawn = pricing.joint.space.sample(400, np.random.default_rng(3))
    return drawn[~pricing.problem.price(drawn).feasible][:count]


def found_from(pricing: Pricing, row: Indices) -> Repair:
    repair = nearest_feasible(Judge(pricing, {}), row)
    assert repair is not None
    return repair


def test_the_nearest_design_is_feasible_and_nearest(way: str) -> None:
    pricing = small(latency_us=12.0, weights=3000.0, utilisation=0.5)
    seen = set()
    for row in infeasible_designs(pricing, 10):
        repair = found_from(pricing, row)
        indices = pricing.joint.space.indices([repair.point])
        assert pricing.problem.price(indices).feasible[0]
        assert (len(repair.changes), repair.steps) == brute_force(pricing, row)
        assert repair.certain
        changed, steps = distance(pricing.joint.space, row, indices)
        assert (changed[0], steps[0]) == (len(repair.changes), repair.steps)
        seen.add(len(repair.changes))
    assert len(seen) > 1


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_of_equally_near_designs_the_one_with_most_room_is_chosen(order: slice) -> None:
    """One step up and one step down in the rows of the array, in either order."""

    class Latency(Judge):
        """The width of the inputs, which no parameter touches, binds every design alike."""

        def loads(self, indices: Indices) -> dict[str, FloatArray]:
            return {"latency_us": super().loads(indices)["latency_us"]}

    pricing = small(latency_us=200.0)
    space, judge = pricing.joint.space, Latency(pricing, {})
    column = space.column("pe_array.rows")
    everything = enumerate_designs(space)
    row = everything[everything[:, column] == 2][0]
    near = np.array([row, row])
    near[:, column] = [1, 3]
    room = np.max(list(judge.loads(near).values()), axis=0)
    assert room.max() > 1.1 * room.min()
    repair = repair_module._nearest(judge, row, near[order], certain=True)
    assert repair is not None
    assert repair.point == space.points(near[np.argmin(room)][None, :])[0]


def test_where_two_changes_are_needed_no_single_one_will_do(way: str) -> None:
    pricing = small(latency_us=12.0, weights=3000.0, utilisation=0.5)
    space, checked = pricing.joint.space, 0
    for row in infeasible_designs(pricing, 40):
        repair = found_from(pricing, row)
        if len(repair.changes) < 2:
            continue
        checked += 1
        near = list(singles(space, space.points(row[None, :])[0]))
        assert not pricing.problem.price(space.indices(near)).feasible.any()
    assert checked


def test_one_large_change_is_nearer_than_two_small_ones(way: str) -> None:
    """64 x 64 hidden units: 16 x 64 (one change of three steps) or 48 x 8 (two changes of one step each) have few enough weights."""
    pricing = small(space=SPACE | {"mlp.hidden_layers": [2]}, weights=3600.0)
    space = pricing.joint.space
    rows = enumerate_designs(space)
    widest = [point["mlp.hidden1_width"] == point["mlp.hidden2_width"] == 64 for point in space.points(rows)]
    loads = pricing.problem.price(rows).reasons
    fits_otherwise = np.logical_and.reduce([load <= 1.0 for name, load in loads.items() if name != "weights"])
    row = rows[np.flatnonzero(np.array(widest) & fits_otherwise)[0]]
    repair = found_from(pricing, row)
    assert [(change.parameter, change.after) for change in repair.changes] == [("mlp.hidden1_width", 16)]
    assert repair.steps == 3


def test_a_repair_says_what_had_to_give(way: str) -> None:
    pricing = small(weights=3000.0)
    row = infeasible_designs(pricing, 1)[0]
    repair, before = found_from(pricing, row), dict(pricing.joint.space.points(row[None, :])[0].assignment)
    loads = pricing.problem.price(row[None, :]).reasons
    assert repair.before == {name: load[0] for name, load in loads.items() if load[0] > 1.0}
    assert repair.after.keys() == repair.before.keys()
    assert max(repair.after.values()) <= 1.0
    for change in repair.changes:
        assert change.before == before.get(change.parameter)
        assert dict(repair.point.assignment)[change.parameter] == change.after != change.before


def test_what_was_measured_is_carried_over_to_the_neighbours() -> None:
    pricing = small()
    space = pricing.joint.space
    everything = enumerate_designs(space)
    priced = pricing.problem.price(everything)
    largest = int(np.argmax(np.where(priced.feasible, priced.reasons["device lut"], 0.0)))
    feasible, load = everything[[largest]], float(priced.reasons["device lut"][largest])
    judge = Judge(pricing, {"device lut": 1.02 / load})
    assert judge.excess(feasible)[0] > 0.0
    repair = nearest_feasible(judge, feasible[0])
    assert repair is not None
    assert pricing.problem.price(space.indices([repair.point])).reasons["device lut"][0] < load


def test_far_away_designs_are_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair_module, "ENUMERATED", 0)
    for name, value in (("BEAM", 5), ("MAX_CHANGES", 1)):
        monkeypatch.setattr(repair_module, name, value)
    pricing = small(latency_us=12.0, weights=1000.0, utilisation=0.5)
    row = next(row for row in infeasible_designs(pricing, 200) if brute_force(pricing, row)[0] > 2)
    repair = found_from(pricing, row)
    assert not repair.certain
    assert pricing.problem.price(pricing.joint.space.indices([repair.point])).feasible[0]
    assert len(repair.changes) <= brute_force(pricing, row)[0] + 1


def test_nothing_is_found_where_nothing_is(way: str) -> None:
    pricing = small(latency_us=1e-3)
    assert nearest_feasible(Judge(pricing, {}), infeasible_designs(pricing, 1)[0]) is None


def smallest(pricing: Pricing, limit: str) -> float:
    """Least load of a limit among all designs that satisfy the others."""
    everything = enumerate_designs(pricing.joint.space)
    loads = pricing.problem.price(everything).reasons
    others = np.logical_and.reduce([load <= 1.0 for name, load in loads.items() if name != limit])
    return float(loads[limit][others].min())


def test_the_limit_that_must_give_is_told_with_its_value(way: str) -> None:
    pricing = small(latency_us=1.0, weights=3000.0)
    found = prospect(pricing)
    assert found.feasible is None
    assert found.certain == (way == "whole")
    (relaxation,) = found.relaxations
    assert relaxation.limit == "latency_us"
    assert relaxation.needed == pytest.approx(smallest(pricing, "latency_us"), rel=1e-9)
    relaxed = small(latency_us=relaxation.needed * (1 + 1e-9), weights=3000.0)
    assert relaxed.problem.price(relaxed.joint.space.indices([relaxation.point])).feasible[0]
    text = list(prospect_text(found, "study x"))
    assert any(line.startswith("relaxing latency_us alone is enough: it is 1 us and must be at least ") for line in text)


def test_several_limits_may_suffice_alone(way: str) -> None:
    plain = small()
    everything = enumerate_designs(plain.joint.space)
    priced = plain.problem.price(everything)
    luts = price(plain.joint, everything).values["lut"]
    least = priced.feasible & (luts == luts[priced.feasible].min())
    pricing = small(latency_us=1.5 * float(priced.prior[priced.feasible, 1].min()), lut=1.01 * float(luts[least][0]))
    found = prospect(pricing)
    assert found.feasible is None
    assert {own.limit for own in found.relaxations} == {"latency_us", "lut"}
    for own in found.relaxations:
        assert (own.value, own.unit) == limit_value(pricing, own.limit)
        assert own.needed == pytest.approx(own.value * own.load)
        assert own.load == pytest.approx(smallest(pricing, own.limit))
    assert [own.load for own in found.relaxations] == sorted(own.load for own in found.relaxations)


def test_limits_that_do_not_suffice_alone_are_told_together(way: str) -> None:
    found = prospect(small(latency_us=0.5, weights=10.0))
    assert found.relaxations == ()
    assert set(found.together) >= {"latency_us", "weights"}
    assert found.nearest is not None
    assert "no limit suffices alone" in list(prospect_text(found, "study x"))[-1]


def test_a_lower_limit_must_come_down(way: str) -> None:
    (own,) = prospect(small(throughput_per_s=1e9)).relaxations
    assert own.limit == "throughput_per_s"
    assert own.needed < own.value == 1e9
    everything = enumerate_designs(small().joint.space)
    priced = small(throughput_per_s=1e9).problem.price(everything)
    assert own.needed == pytest.approx(1e9 / priced.reasons["throughput_per_s"].min(), rel=0.5)
    assert "throughput_per_s = " in own.remedy


def test_a_rare_feasible_design_is_found(way: str) -> None:
    plain = small()
    everything = enumerate_designs(plain.joint.space)
    priced = plain.problem.price(everything)
    tight = small(latency_us=float(priced.prior[priced.feasible, 1].min()))
    found: Prospect = prospect(tight)
    assert found.feasible is not None
    assert tight.problem.price(tight.joint.space.indices([found.feasible])).feasible[0]
    assert found.relaxations == ()
