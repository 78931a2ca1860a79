"""Prices: analytical until there is evidence, zeros modelled, objectives that tell nothing apart refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codesign.errors import InfeasibleError, InputError
from codesign.estimate import Evidence
from codesign.kpi.evaluate import KPI_UNITS, price
from codesign.search.check import check_study
from codesign.search.correction import NORMAL_95
from codesign.search.pricing import Pricing
from codesign.search.specification import StudySpecification
from codesign.search.strategies.strategy import StrategySettings, find_strategy
from codesign.surrogate.prior import MIN_EVIDENCE

SPECIFICATION = StudySpecification(
    schema=1, name="prices", task="digits", device="pynq-z2", blueprints=("mlp",), templates=("pe_array",), objectives=("accuracy", "latency_us", "dsp")
)
FACTOR = 1.3


def pricing_of(**changes: object) -> Pricing:
    return Pricing(replace(SPECIFICATION, **changes))  # type: ignore[arg-type]  # fields by name


def taught(kpi: str, factor: float = FACTOR, *, count: int = 8, **changes: object) -> Pricing:
    """A pricing that learned ``factor`` times the analytical value of some designs."""
    pricing = pricing_of(**changes)
    indices = pricing.joint.space.sample(count, np.random.default_rng(1))
    pricing.learn(pricing.joint.space.points(indices), kpi, (factor * price(pricing.joint, indices).values[kpi]).tolist())
    return pricing


def others(pricing: Pricing, count: int = 200) -> np.ndarray:
    return pricing.joint.space.sample(count, np.random.default_rng(2))


def test_without_evidence_prices_are_the_analytical_ones_bit_for_bit() -> None:
    pricing = pricing_of()
    indices = others(pricing)
    table, priced = price(pricing.joint, indices), pricing.problem.price(indices)
    np.testing.assert_array_equal(priced.prior[:, 1], table.values["latency_us"])
    np.testing.assert_array_equal(priced.prior[:, 2], table.values["dsp"])
    np.testing.assert_array_equal(priced.prior_error[:, 1], table.relative_error["latency_us"] / NORMAL_95)
    assert pricing.corrected_reports(pricing.joint.space.points(indices[:2])) == [{}, {}]
    few = taught("latency_us", count=MIN_EVIDENCE - 1)
    np.testing.assert_array_equal(few.problem.price(indices).prior, priced.prior)


def test_evidence_moves_the_prices_of_other_designs() -> None:
    pricing = taught("latency_us")
    indices = others(pricing)
    table, priced = price(pricing.joint, indices), pricing.problem.price(indices)
    np.testing.assert_allclose(priced.prior[:, 1] / table.values["latency_us"], FACTOR, rtol=0.13)
    np.testing.assert_array_equal(priced.prior[:, 2], table.values["dsp"])
    np.testing.assert_array_equal(priced.features, table.features)
    estimate = pricing.corrected_reports(pricing.joint.space.points(indices[:1]))[0]["latency_us"]
    assert estimate.evidence is Evidence.PREDICTED
    assert estimate.low < estimate.value < estimate.high
    assert estimate.value == pytest.approx(priced.prior[0, 1], rel=1e-9)
    assert estimate.source.startswith("Gaussian process on 8 results, mean: ")


def test_more_evidence_moves_them_all_the_way() -> None:
    pricing = taught("latency_us", count=30)
    indices = others(pricing)
    np.testing.assert_allclose(pricing.problem.price(indices).prior[:, 1] / price(pricing.joint, indices).values["latency_us"], FACTOR, rtol=0.02)


def test_evidence_that_confirms_the_model_changes_little() -> None:
    pricing = taught("energy_uj", 1.0, objectives=("accuracy", "energy_uj"))
    indices = others(pricing)
    np.testing.assert_allclose(pricing.problem.price(indices).prior[:, 1], price(pricing.joint, indices).values["energy_uj"], rtol=0.02)


def test_the_order_of_the_evidence_does_not_matter() -> None:
    first, second = pricing_of(), pricing_of()
    indices = first.joint.space.sample(8, np.random.default_rng(1))
    points = first.joint.space.points(indices)
    values = (FACTOR * price(first.joint, indices).values["latency_us"]).tolist()
    first.learn(points, "latency_us", values)
    second.learn(points[::-1], "latency_us", values[::-1])
    np.testing.assert_array_equal(first.problem.price(others(first)).prior, second.problem.price(others(second)).prior)


def test_later_evidence_replaces_earlier() -> None:
    pricing = taught("latency_us")
    pricing.learn([], "latency_us", [])
    assert pricing.corrections == {}


def test_limits_hold_corrected_values() -> None:
    plain = pricing_of()
    table = price(plain.joint, others(plain, 2000))
    limit = float(np.median(table.values["latency_us"]))
    pricing = taught("latency_us", limits={"latency_us": limit})
    feasible = pricing.problem.price(others(plain, 2000)).feasible
    assert (FACTOR * table.values["latency_us"][feasible] <= 1.1 * limit).all()
    assert feasible.sum() < pricing_of(limits={"latency_us": limit}).problem.price(others(plain, 2000)).feasible.sum()


def test_the_device_limit_holds_corrected_resources() -> None:
    pricing = taught("lut", 50.0)
    assert pricing.joint.device.resources["lut"] > 0
    with pytest.raises(InfeasibleError, match="device lut rejects 100"):
        pricing.require_feasible()


def test_counts_that_may_be_zero_are_modelled_with_one_added() -> None:
    pricing = pricing_of(objectives=("accuracy", "dsp", "bram18", "off_chip_bytes", "throughput_per_s"))
    problem = pricing.problem
    assert [objective.offset for objective in problem.objectives] == [0.0, 1.0, 1.0, 1.0, 0.0]
    values = np.array([[0.8, 0.0, 0.0, 0.0, 10.0], [0.9, 4.0, 2.0, 100.0, 20.0]])
    model = problem.to_model(values)
    np.testing.assert_array_equal(model[0], [-0.8, 0.0, 0.0, 0.0, -np.log(10.0)])
    np.testing.assert_allclose(problem.to_natural(model), values, atol=1e-12)
    np.testing.assert_allclose(problem.to_natural(problem.reference_in_model(model)), [0.8, 4.0, 2.0, 100.0, 10.0])
    errors = problem.price(others(pricing)).prior_error
    assert np.isfinite(errors).all()
    assert (errors >= 0.0).all()


def test_a_count_of_zero_can_be_learned() -> None:
    pricing = taught("dsp", 0.0, objectives=("accuracy", "dsp"))
    prior = pricing.problem.price(others(pricing)).prior[:, 1]
    assert (prior >= 0.0).all()
    assert np.median(prior) < np.median(price(pricing.joint, others(pricing)).values["dsp"])


def test_a_search_over_objectives_that_are_zero_goes_on_after_training() -> None:
    pricing = pricing_of(templates=("streaming",), objectives=("accuracy", "bram18", "latency_us"))
    indices = pricing.joint.space.sample(8, np.random.default_rng(3))
    prior = pricing.problem.price(indices).prior
    assert (prior[:, 1] == 0.0).any()
    strategy = find_strategy("ehvi")(pricing.problem, 1, StrategySettings(initial=8, pool=60, samples=2))
    strategy.tell(indices, np.column_stack([np.linspace(0.5, 0.9, 8), prior[:, 1:]]))
    assert len(strategy.ask(2)) == 2


def test_an_objective_that_tells_no_designs_apart_is_refused() -> None:
    specification = replace(SPECIFICATION, objectives=("accuracy", "latency_us", "uram"))
    with pytest.raises(InputError, match=r"objectives: uram = 0 for every design of this space on pynq-z2: it cannot be an objective\. Take it off"):
        check_study(specification)


def test_the_clock_is_no_objective() -> None:
    with pytest.raises(ValueError, match="clock_mhz cannot be an objective: it is a parameter, not a goal"):
        replace(SPECIFICATION, objectives=("accuracy", "clock_mhz"))
    for name in set(KPI_UNITS) - {"clock_mhz"}:
        assert replace(SPECIFICATION, objectives=("accuracy", name)).objectives == ("accuracy", name)
