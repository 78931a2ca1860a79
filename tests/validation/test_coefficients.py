from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.kpi.streaming import prices, uncertainty
from codesign.kpi.streaming.flow import Flow, Stage, Tool
from codesign.kpi.streaming.uncertainty import FIGURES, DesignClass
from codesign.validation import coefficients
from codesign.validation.coefficients import Fitted, error_of, fit_all, write_errors, write_prices
from codesign.validation.fit_plan import BASES, COUNTED, SWEEPS, TITLES
from codesign.validation.points import KPIS, MeasuredDesign, read_design, read_designs
from codesign.validation.streaming import group_errors, predict_designs
from tests.validation.tables import Row, dense_row, project_row, torc_convolution_row, torc_dense_row, torc_lstm_row, write_table

RNG = np.random.default_rng(0)


def chosen(*values: int) -> int:
    return int(RNG.choice(values))


def synthetic_rows() -> list[Row]:
    """Networks of every group and class, without measurements."""
    rows: list[Row] = []
    for place in range(60):
        strategy, bits = ("latency", "resource")[place % 2], chosen(2, 4, 6, 8)
        rows.append(dense_row(chosen(8, 16, 32), chosen(4, 8, 12, 32), weight_bits=bits, reuse_factor=chosen(1, 32, 64, 256), strategy=strategy))
    for place in range(40):
        widths = [chosen(24, 48, 64, 104) for _ in range(3 + place % 2)]
        rows.append(dense_row(*widths, weight_bits=chosen(4, 6, 8), reuse_factor=chosen(512, 1024, 2048)))
    for _ in range(15):
        rows.append(torc_dense_row(chosen(32, 64, 128), chosen(4, 8, 16), chosen(1, 8, 32, 128)))
        rows.append(torc_convolution_row(chosen(16, 32), chosen(4, 8), chosen(4, 8, 16), reuse_factor=chosen(1, 8, 48)))
        rows.append(torc_lstm_row(chosen(4, 8), chosen(4, 8, 16), chosen(4, 16, 64)))
    for place in range(24):
        group, stage = ("repo-network", "hls_estimate") if place % 4 else ("repo-postsynth", "post_synth")
        strategy, io_type = ("latency", "io_parallel") if place % 3 == 0 else ("resource", "io_stream")
        shape = (chosen(8, 16, 32), chosen(4, 8, 16))
        rows.append(project_row(*shape, f"someone/project{place}", group, strategy=strategy, io_type=io_type, stage=stage))
    return rows


@pytest.fixture(scope="module")
def designs(tmp_path_factory: pytest.TempPathFactory) -> list[MeasuredDesign]:
    """A table whose measurements are what the stored prices say."""
    rows = synthetic_rows()
    for row, found in zip(rows, predict_designs([read_design(row) for row in rows]), strict=True):
        assert found is not None
        row |= {kpi: str(found.figures[kpi][0]) for kpi in KPIS}
    return read_designs(write_table(tmp_path_factory.mktemp("table"), rows))


@pytest.fixture(scope="module")
def fitted(designs: list[MeasuredDesign]) -> Fitted:
    return fit_all(designs)


def clear_caches() -> None:
    for cached in (prices.flow_record, prices.prices, uncertainty.error_record):
        cached.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with nothing but the package's errors in place of its coefficients."""
    package = prices.FOLDER
    before = {path.name: path.read_bytes() for path in package.iterdir()}
    (tmp_path / "errors.toml").write_bytes(before["errors.toml"])
    with monkeypatch.context() as patched:
        patched.setattr(prices, "FOLDER", tmp_path)
        patched.setattr(uncertainty, "FOLDER", tmp_path)
        clear_caches()
        yield tmp_path
    clear_caches()
    assert {path.name: path.read_bytes() for path in package.iterdir()} == before


def median_error(fitted: Fitted, designs: list[MeasuredDesign], resource: str, groups: tuple[str, ...]) -> float:
    pairs = [(fitted.predictions[resource][each.id], each.measured[resource]) for each in designs if each.group in groups and each.measured[resource] > 0]
    assert len(pairs) >= 10
    return float(np.median([abs(found / measured - 1.0) for found, measured in pairs]))


def test_prices_that_made_a_table_are_found_again(fitted: Fitted, designs: list[MeasuredDesign]) -> None:
    for sweep in SWEEPS:
        assert median_error(fitted, designs, sweep.resource, sweep.groups) < 0.03
    assert median_error(fitted, designs, "lut", ("repo-network",)) < 0.1


def test_prices_are_never_negative_and_say_where_they_come_from(fitted: Fitted) -> None:
    listed = list(fitted.listed())
    counted = {name for flows in COUNTED.values() for name, _ in flows.values()}
    assert {flow for flow, *_ in listed} >= {sweep.flow for sweep in SWEEPS}
    assert all(price.value >= 0.0 and price.source and price.unit for *_, price in listed)
    assert all(price.rows is not None and price.error is not None for _, _, name, price in listed if price.value > 0 and name not in counted)
    for sweep in SWEEPS:
        assert set(sweep.terms) <= set(fitted.prices[sweep.flow][sweep.resource])


def test_a_design_does_not_decide_its_own_prediction(fitted: Fitted, designs: list[MeasuredDesign]) -> None:
    first = next(design for design in designs if design.group == "n-torc-dense")
    alike = [design for design in designs if design.architecture == first.architecture and design.group == first.group]
    spoiled = [replace(design, measured=design.measured | {"lut": 100.0 * design.measured["lut"]}) if design in alike else design for design in designs]
    again = fit_all(spoiled)
    for design in alike:
        assert again.predictions["lut"][design.id] == pytest.approx(fitted.predictions["lut"][design.id], rel=1e-6)


def test_written_files_load_back(fitted: Fitted, designs: list[MeasuredDesign], folder: Path) -> None:
    write_prices(fitted)
    for flow, title in TITLES.items():
        record = prices.flow_record(prices.file_of(flow))
        assert record.title == title
        assert (record.base == "") == (flow not in BASES)
        tables = {"matrix_vector": record.matrix_vector, "elements": record.elements}
        for resource, found in fitted.prices.get(flow, {}).items():
            for name, price in found.items():
                block, term = name.split(".")
                assert tables[block][resource][term] == price
    write_errors(designs, fitted.left_out(designs))
    assert {path.name for path in folder.iterdir()} == {"errors.toml"} | {prices.file_of(flow).name for flow in TITLES}
    for flow in TITLES:
        for figure in FIGURES:
            relative, absolute = uncertainty.errors_of(flow, figure)
            assert len(relative) == len(DesignClass)
            assert (relative >= 0).all()
            assert (absolute >= 0).all()


def test_intervals_of_a_refit_cover_its_table(fitted: Fitted, designs: list[MeasuredDesign], folder: Path) -> None:
    write_prices(fitted)
    write_errors(designs, fitted.left_out(designs))
    for group in group_errors(designs, predict_designs(designs)):
        for kpi, errors in group.kpis.items():
            assert errors.coverage_95 >= 0.9, (group.group, kpi)


def test_exact_figures_have_no_error_where_they_were_seen(designs: list[MeasuredDesign], fitted: Fitted, folder: Path) -> None:
    write_prices(fitted)
    write_errors(designs, predict_designs(designs))
    relative, absolute = uncertainty.errors_of(Flow(Tool.VIVADO_HLS_2020, Stage.HLS_ESTIMATE), "latency")
    seen = [DesignClass.SEQUENTIAL_LAYER, DesignClass.UNROLLED_LAYER]  # of wa-hls4ml
    assert not relative[seen].any()
    assert not absolute[seen].any()
    assert (relative[[DesignClass.STREAM_LAYER, DesignClass.SEQUENTIAL_NETWORK]] > 0).all()  # exact elsewhere is not exact here


def test_a_flow_without_rows_borrows_the_errors_of_its_base(designs: list[MeasuredDesign], fitted: Fitted, folder: Path) -> None:
    write_prices(fitted)
    write_errors(designs, fitted.left_out(designs))
    flows = uncertainty.error_record().flows
    own = flows["hls_estimate-vivado-hls-2020"]["sequential_layer"]["ff"].relative
    borrowed = flows["hls_estimate-vitis-hls"]["sequential_layer"]["ff"].relative
    assert own.source == TITLES[Flow(Tool.VIVADO_HLS_2020, Stage.HLS_ESTIMATE)]
    assert borrowed.source == f"no rows of its own: {own.source}, doubled"
    assert borrowed.value == pytest.approx(2 * max(own.value, 0.1), abs=2e-4)
    assert borrowed.rows == own.rows


def test_no_error_is_above_the_largest(designs: list[MeasuredDesign], fitted: Fitted, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coefficients, "LARGEST", 0.05)
    write_prices(fitted)
    write_errors(designs, fitted.left_out(designs))
    assert all(each.relative.value <= 0.05 for groups in uncertainty.error_record().flows.values() for own in groups.values() for each in own.values())


@given(st.integers(0, 10_000), st.floats(0.02, 1.0), st.sampled_from([0.0, 2.0, 50.0]))
@settings(max_examples=60, deadline=None)
def test_the_error_covers_95_per_cent(seed: int, spread: float, slack: float) -> None:
    rng = np.random.default_rng(seed)
    predicted = np.exp(rng.uniform(np.log(150.0), np.log(1e5), 400))
    measured = predicted * np.exp(spread * rng.standard_normal(400))
    relative, absolute = error_of(measured, predicted, slack)
    inside = (measured >= predicted / (1 + relative) - absolute - 1e-6) & (measured <= predicted * (1 + relative) + absolute + 1e-6)
    assert inside.mean() >= 0.945
    assert absolute == slack
    narrower = (measured >= predicted / (1 + 0.7 * relative) - absolute) & (measured <= predicted * (1 + 0.7 * relative) + absolute)
    assert narrower.mean() < inside.mean() or relative == 0.0


def test_exact_predictions_have_no_error() -> None:
    counts = np.arange(100.0)
    assert error_of(counts, counts, 2.0) == (0.0, 0.0)
    few_off = counts + 30.0 * (np.arange(100) % 25 == 0)
    assert error_of(few_off, counts, 2.0) == (0.0, 0.0)  # four of a hundred
    many_off = counts + 30.0 * (np.arange(100) % 10 == 0)
    assert error_of(many_off, counts, 2.0)[0] > 0.1


def test_few_designs_ask_for_a_wider_error() -> None:
    rng = np.random.default_rng(5)
    predicted = np.full(400, 1000.0)
    measured = predicted * np.exp(0.2 * rng.standard_normal(400))
    few = error_of(measured[:12], predicted[:12], 0.0)[0]
    assert few == pytest.approx(np.maximum(measured / predicted, predicted / measured)[:12].max() - 1.0)
    many = error_of(measured, predicted, 0.0)[0]
    assert many < np.maximum(measured / predicted, predicted / measured).max() - 1.0
