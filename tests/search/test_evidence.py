"""Evidence: what is measured on some designs corrects what is said of all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import InputError, StoreError
from codesign.estimate import Evidence
from codesign.network.tasks.registry import load_task
from codesign.report.collect import collect
from codesign.search.engine import SerialEngine
from codesign.search.strategies.strategy import StrategySettings, find_strategy
from codesign.search.study import Study
from codesign.surrogate.prior import MIN_EVIDENCE
from tests.search.evidence_study import SPECIFICATION, analytical, designs, evaluated_study

FACTOR = 1.3
SOURCE = "vendor tool 1.0, synthesis report"


def measure(study: Study, count: int, *, kpi: str = "latency_us", backwards: bool = False) -> list[str]:
    """Add vendor evidence of ``FACTOR`` times the analytical value for the first designs."""
    known = analytical(study, kpi)
    chosen = [point.id for point in designs(study)[:count]]
    for identifier in reversed(chosen) if backwards else chosen:
        study.add_evidence(identifier, kpi, FACTOR * known[identifier], Evidence.VENDOR, SOURCE)
    return chosen


def proposals(study: Study) -> list[str]:
    """What a fresh strategy proposes next."""
    study.evidence.learn()
    strategy = find_strategy("ehvi")(study.pricing.problem, 1, StrategySettings(initial=4, pool=200, samples=2))
    items = study.evaluated()
    indices = study.pricing.joint.space.indices(item.design.point for item in items)
    strategy.tell(indices, np.array([study.objective_values(item.design, item.evaluation) for item in items]))
    return [point.id for point in study.pricing.joint.space.points(strategy.ask(2))]


def test_direct_evidence_is_shown_with_its_kind_and_source(tmp_path: Path) -> None:
    study = evaluated_study(tmp_path)
    [measured] = measure(study, 1)
    figures = {item.id: study.figures(item) for item in study.evaluated()}
    known = figures[measured]["latency_us"]
    assert (known.value, known.low, known.high) == (FACTOR * analytical(study, "latency_us")[measured],) * 3
    assert (known.evidence, known.source, known.unit) == (Evidence.VENDOR, SOURCE, "us")
    assert figures[measured]["lut"].evidence is Evidence.ANALYTIC
    assert all(other["latency_us"].evidence is Evidence.ANALYTIC for identifier, other in figures.items() if identifier != measured)


def test_the_best_kind_counts(tmp_path: Path) -> None:
    study = evaluated_study(tmp_path)
    item = study.evaluated()[0]
    study.add_evidence(item.id, "latency_us", 30.0, "board", "oscilloscope")
    study.add_evidence(item.id, "latency_us", 20.0, "rtl_sim", "simulator 5")
    assert study.figures(item)["latency_us"].value == 30.0
    study.add_evidence(item.id, "latency_us", 31.0, "board", "oscilloscope, second time")
    assert study.figures(item)["latency_us"].value == 31.0


def test_enough_evidence_corrects_the_other_designs_figures_objectives_and_prices(tmp_path: Path) -> None:
    study = evaluated_study(tmp_path)
    measured = measure(study, 8)
    known = analytical(study, "latency_us")
    rest = [item for item in study.evaluated() if item.id not in measured]
    assert len(rest) == 2
    for item in rest:
        figure = study.figures(item)["latency_us"]
        assert figure.evidence is Evidence.PREDICTED
        assert figure.low < figure.value < figure.high
        assert figure.value / known[item.id] == pytest.approx(FACTOR, rel=0.13)
        assert study.objective_values(item.design, item.evaluation) == [item.evaluation.metrics["accuracy"], figure.value, item.design.kpis["lut"].value]
    index = study.pricing.joint.space.indices([rest[0].design.point])
    assert study.pricing.problem.price(index).prior[0, 1] == pytest.approx(study.figures(rest[0])["latency_us"].value, rel=1e-9)


def test_too_little_evidence_corrects_nothing(tmp_path: Path) -> None:
    study = evaluated_study(tmp_path)
    measured = measure(study, MIN_EVIDENCE - 1)
    assert study.pricing.corrections == {}
    for item in study.evaluated():
        if item.id not in measured:
            assert study.figures(item)["latency_us"] == item.design.kpis["latency_us"]


@pytest.mark.parametrize("kpi", ["latency_cycles", "latency_us", "throughput_per_s", "dsp"])
def test_evidence_that_confirms_the_formula_leaves_it_as_it_is(tmp_path: Path, kpi: str) -> None:
    study = evaluated_study(tmp_path)
    known = analytical(study, kpi)
    points = designs(study)
    for point in points[: MIN_EVIDENCE + 1]:
        study.add_evidence(point.id, kpi, known[point.id] * (1.0 + 1e-15), Evidence.RTL_SIM, SOURCE)
    figures = {item.id: study.figures(item)[kpi] for item in study.evaluated()}
    assert {figures[point.id].evidence for point in points[: MIN_EVIDENCE + 1]} == {Evidence.RTL_SIM}
    for item in study.evaluated()[MIN_EVIDENCE + 1 :]:
        assert figures[item.id] == item.design.kpis[kpi]
    assert study.pricing.corrections == {}
    assert proposals(study)
    assert [record.kpi for record in collect(study).calibration] == ["accuracy"]
    # One design that differs is enough to learn from, and all others still say that the formula is right.
    study.add_evidence(points[0].id, kpi, 1.001 * known[points[0].id] + (kpi == "dsp"), Evidence.RTL_SIM, SOURCE)
    figures = {item.id: study.figures(item)[kpi] for item in study.evaluated()}
    for item in study.evaluated()[MIN_EVIDENCE + 1 :]:
        assert figures[item.id].evidence is Evidence.PREDICTED
        assert figures[item.id].value == pytest.approx(known[item.id], rel=0.05)


def test_figures_and_proposals_follow_from_the_content_of_the_store_alone(tmp_path: Path) -> None:
    first, second = evaluated_study(tmp_path / "a"), evaluated_study(tmp_path / "b")
    without = proposals(first)
    measure(first, 8)
    measure(second, 8, backwards=True)
    reopened = Study.open(second.folder)
    for item, other in zip(first.evaluated(), reopened.evaluated(), strict=True):
        assert first.figures(item) == reopened.figures(other)
    assert proposals(first) == proposals(reopened)
    assert proposals(evaluated_study(tmp_path / "c")) == without


def test_a_design_that_evidence_shows_beyond_a_limit_leaves_the_front(tmp_path: Path) -> None:
    limit = 2.0 * max(analytical(evaluated_study(tmp_path / "plain"), "latency_us").values())
    study = evaluated_study(tmp_path / "limited", limits={"latency_us": limit})
    best = study.front()[0]
    study.add_evidence(best.id, "latency_us", 1.01 * limit, "board", "meter")
    assert best.id not in {item.id for item in study.front()}
    study.add_evidence(best.id, "latency_us", limit, "board", "meter")
    assert best.id in {item.id for item in study.front()}
    study.add_evidence(best.id, "lut", 1e6, "vendor", "report")
    assert best.id not in {item.id for item in study.front()}


def test_the_report_says_how_well_evidence_was_predicted(tmp_path: Path) -> None:
    study = evaluated_study(tmp_path)
    assert [record.kpi for record in collect(study).calibration] == ["accuracy"]
    measured = measure(study, 8)
    measure(study, 6, kpi="energy_uj")
    records = {record.kpi: record for record in collect(study).calibration}
    assert list(records) == ["accuracy", "latency_us"]
    assert records["latency_us"].unit == "us"
    points = {point.id: point for point in records["latency_us"].points}
    assert set(points) == set(measured)
    known = analytical(study, "latency_us")
    for identifier, point in points.items():
        assert point.measured == FACTOR * known[identifier]
        assert point.low < point.predicted < point.high
        assert point.predicted == pytest.approx(point.measured, rel=0.25)


@pytest.mark.parametrize(
    ("kpi", "value", "kind", "source", "message"),
    [
        ("speed", 1.0, "vendor", SOURCE, "unknown key figure 'speed'. Choose from latency_us"),
        ("latency_us", 0.0, "vendor", SOURCE, "latency_us = 0 must be positive and finite. Give it in us"),
        ("latency_us", -1.0, "vendor", SOURCE, "latency_us = -1 must be positive"),
        ("latency_us", float("nan"), "vendor", SOURCE, "latency_us = nan must be positive"),
        ("latency_us", float("inf"), "vendor", SOURCE, "latency_us = inf must be positive"),
        ("dsp", -0.5, "vendor", SOURCE, "dsp = -0.5 must be at least 0"),
        ("latency_us", 1.0, "trained", SOURCE, "'trained' is no kind of evidence. Choose from rtl_sim, synthesis, place_route, vendor, board"),
        ("latency_us", 1.0, "vendor", " ", "no source. Name the tool and its version"),
    ],
)
def test_wrong_evidence_is_refused(tmp_path: Path, kpi: str, value: float, kind: str, source: str, message: str) -> None:
    study = evaluated_study(tmp_path, count=2)
    with pytest.raises(InputError) as caught:
        study.add_evidence(designs(study)[0].id, kpi, value, kind, source)
    assert message in str(caught.value)
    assert study.store.evidence() == []


def test_evidence_needs_one_design_of_the_store(tmp_path: Path) -> None:
    study = evaluated_study(tmp_path, count=2)
    for prefix, message in [("zzzz", "no design 'zzzz'"), ("", "no design ''")]:
        with pytest.raises(InputError, match=message):
            study.add_evidence(prefix, "lut", 1.0, "vendor", SOURCE)
    row = study.add_evidence(designs(study)[0].id[:8], "dsp", 0.0, "vendor", SOURCE)
    assert (row.design, row.value) == (designs(study)[0].id, 0.0)


def test_a_search_needs_its_data_before_anything_else(tmp_path: Path) -> None:
    study = Study.create(SPECIFICATION, tmp_path / "study")
    with pytest.raises(InputError, match=r"no data\. Call Study\.bind_data before Study\.search"):
        study.search(SerialEngine())
    assert study.store.designs() == []


def test_a_search_for_what_does_not_vary_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    study = Study.create(replace(SPECIFICATION, objectives=("accuracy", "uram")), tmp_path / "study")
    study.bind_data(load_task("digits"))
    with pytest.raises(InputError, match="uram = 0 for every design"):
        study.search(SerialEngine())
    assert study.store.designs() == []


def test_figures_without_the_data_are_a_damaged_store(tmp_path: Path) -> None:
    study = evaluated_study(tmp_path, count=2)
    study.store.put("data", None)
    with pytest.raises(StoreError, match="row meta data is damaged"):
        study.figures(study.evaluated()[0])
