"""What a study makes of its rows: front, limits, data, failures, lost networks. No training: results are written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.errors import EvaluationError, InputError
from codesign.network.tasks.registry import load_task
from codesign.report.collect import collect
from codesign.search.engine import Outcome
from codesign.search.pricing import Pricing
from codesign.search.shares import wilson_interval
from tests.search.evidence_study import SPECIFICATION, evaluated_study

CSIM = {
    "id": "x",
    "level": "csim",
    "samples": 461,
    "elements_exact": 4610,
    "samples_exact": 461,
    "argmax_agreement": 1.0,
    "max_abs_difference": 0,
    "first_diverging_layer": None,
    "metric_quantised": 0.9,
    "metric_simulated": 0.9,
    "cycles_predicted": 100.0,
    "cycles_simulated": None,
    "seconds": 1.0,
}


class Replies:
    """An engine that answers every request with one result."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.asked = 0

    def run(self, function: Callable[..., Any], requests: Sequence[Any], *, on_start: Callable[[int], None] | None = None) -> Iterator[Outcome[Any]]:
        for position, _ in enumerate(requests):
            self.asked += 1
            if on_start is not None:
                on_start(position)
            yield Outcome(position, self.result, None if self.result else "diverged")


def test_the_front_leaves_out_what_the_accuracy_limit_rejects(tmp_path: Path) -> None:
    free = evaluated_study(tmp_path / "free").front()
    bound = evaluated_study(tmp_path / "bound", limits={"accuracy": 0.7}).front()
    assert min(item.evaluation.metrics["accuracy"] for item in free) < 0.7
    assert [item.id for item in bound] == [item.id for item in free if item.evaluation.metrics["accuracy"] >= 0.7]


def test_the_utilisation_limit_is_a_share_of_each_resource() -> None:
    whole, half = (Pricing(replace(SPECIFICATION, limits=limits)) for limits in ({}, {"utilisation": 0.5}))
    sample = whole.joint.space.sample(500, np.random.default_rng(0))
    loads, halved = (pricing.problem.price(sample).reasons for pricing in (whole, half))
    for name in ("device lut", "device dsp", "device bram18"):
        assert np.allclose(halved[name], 2.0 * loads[name])
    assert np.array_equal(halved["pe_array.weight_bits"], loads["pe_array.weight_bits"])
    assert half.problem.price(sample).feasible.sum() < whole.problem.price(sample).feasible.sum()


def test_a_limit_on_a_figure_rejects_what_exceeds_it() -> None:
    pricing = Pricing(replace(SPECIFICATION, limits={"latency_us": 20.0, "throughput_per_s": 100_000.0}))
    sample = pricing.joint.space.sample(500, np.random.default_rng(0))
    priced = pricing.problem.price(sample)
    latency = priced.prior[:, SPECIFICATION.objectives.index("latency_us")]
    assert (latency > 20.0).any()
    assert not priced.feasible[latency > 20.0].any()
    # One inference at a time: 100,000 a second leaves 10 us for each.
    assert not priced.feasible[latency > 10.001].any()
    assert priced.feasible[latency < 9.999].any()


@pytest.mark.parametrize(("change", "remedy"), [("data", "--data"), ("device", "--train-on")])
def test_other_data_or_another_device_is_refused(tmp_path: Path, change: str, remedy: str) -> None:
    study = evaluated_study(tmp_path)
    task = load_task("digits")
    before = study.store.bound_data()
    with pytest.raises(InputError, match=f"was begun with .* Give the same {remedy} as before"):
        study.bind_data(replace(task, data_hash="0" * 64) if change == "data" else task, device="cuda" if change == "device" else "cpu")
    assert study.store.bound_data() == before


def test_too_many_failures_end_the_search_and_can_be_tried_again(tmp_path: Path) -> None:
    study = evaluated_study(tmp_path)
    with pytest.raises(EvaluationError, match=r"evaluations failed, more than the 0 allowed; the last: diverged.*--retry-failed"):
        type(study)(replace(study.specification, budget=replace(study.specification.budget, failures=0.0)), study.folder, study.store).search(Replies(None))
    assert study.counts() == (10, 2)
    assert study.store.forget_failures() == 2
    study.search(Replies({"accuracy": 0.6}))
    assert study.counts() == (12, 0)


def test_a_network_that_trains_differently_is_refused(tmp_path: Path) -> None:
    study = evaluated_study(tmp_path)
    item = study.front()[0]
    same, other = Replies({"accuracy": item.evaluation.metrics["accuracy"]}), Replies({"accuracy": 0.123})
    study.restore_models([item], same)
    assert same.asked == 1
    with pytest.raises(EvaluationError, match=rf"design {item.id}: could not be trained again: gave .*0.123"):
        study.restore_models([item], other)


def test_the_report_counts_exact_elements_as_shares(tmp_path: Path) -> None:
    study = evaluated_study(tmp_path)
    exact, wrong = study.front()[:2]
    study.store.record_verification(exact.id, "csim", CSIM)
    study.store.record_verification(wrong.id, "csim", CSIM | {"elements_exact": 4149, "samples_exact": 400, "max_abs_difference": 3, "metric_simulated": 0.85})
    matches = {item.id: item.csim for item in collect(study).front}
    first, second = matches[exact.id], matches[wrong.id]
    assert first is not None
    assert second is not None
    assert (first.elements_exact, first.samples_exact, first.exact) == (1.0, 1.0, True)
    assert (second.elements_exact, second.samples_exact, second.exact) == (0.9, 400 / 461, False)
    assert study.figures(wrong)["test_accuracy"].value == 0.85


def test_wilson_interval_against_published_values() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I: 81 of 263 and 0 of 20.
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
