from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.kpi.streaming import costs as module
from codesign.kpi.streaming import element_terms, matrix_vector_terms
from codesign.kpi.streaming import prices as prices_module
from codesign.kpi.streaming.costs import LayerCosts, layer_costs, network_costs
from codesign.kpi.streaming.flow import Flow, Stage, Tool
from codesign.kpi.streaming.hls_table import Build, HlsTable
from codesign.kpi.streaming.matrix_vector import MatrixVector
from codesign.kpi.streaming.matrix_vector_laws import row_cycles
from codesign.kpi.streaming.predictions import Predictions, predict
from codesign.kpi.streaming.prices import BLOCKS, RESOURCES, file_of, flow_record, prices
from codesign.kpi.streaming.uncertainty import FIGURES, DesignClass, errors_of, interval
from codesign.network.hls_model import HlsModel, Kind, Strategy
from tests.kpi.streaming_designs import FLOWS, V2019, V2020, VITIS, build, builds, chain, layer, model, weighted_layers

ESTIMATE = {tool: Flow(tool, Stage.HLS_ESTIMATE) for tool in Tool}
SYNTHESISED = {tool: Flow(tool, Stage.POST_SYNTH) for tool in Tool}


def by_hand(latency: list[float], interval: list[float], fill: list[float], **counts: list[float]) -> LayerCosts:
    """Costs of rows; those not given are 0."""
    zeros = np.zeros(len(latency))
    rest = {name: np.array(counts.get(name, zeros)) for name in ("lut", "ff", "dsp", "bram18", "multipliers")}
    return LayerCosts(latency=np.array(latency), interval=np.array(interval), fill=np.array(fill), **rest)


def dense_chain(strategy: Strategy, reuse: int, *, stream: bool = False, series7: bool = False) -> HlsTable:
    """Dense, ReLU, dense."""
    network = chain(layer(Kind.DENSE, "a", in_c=8, out_c=8), layer(Kind.ACTIVATION, "b", in_c=8, out_c=8), layer(Kind.DENSE, "c", in_c=8, out_c=8))
    return HlsTable.from_models([network], [build(stream, strategy, reuse, series7=series7)])


def test_layers_of_a_stream_overlap() -> None:
    found = network_costs(dense_chain(Strategy.RESOURCE, 8, stream=True), by_hand([30, 50, 20], [30, 45, 20], [10, 5, 20]), SYNTHESISED[VITIS])
    assert found.latency[0] == (10 + 5 + 20) + 45  # all first results, and the longest rest
    assert found.interval[0] == 45


def test_sequential_layers_run_one_after_the_other_without_streams() -> None:
    table, rows = dense_chain(Strategy.RESOURCE, 8), by_hand([10, 1, 12], [8, 1, 8], [10, 1, 12])
    vitis, vivado = network_costs(table, rows, SYNTHESISED[VITIS]), network_costs(table, rows, ESTIMATE[V2020])
    assert vitis.latency[0] == vivado.latency[0] == 10 + 1 + 12 + 1  # a cycle between the two with weights
    assert vitis.interval[0] == 24  # waits for the last
    assert vivado.interval[0] == 12  # waits for the slowest


def test_unrolled_layers_are_one_pipeline() -> None:
    rows = by_hand([2, 1, 2], [1, 1, 2], [2, 1, 2])
    slow = network_costs(dense_chain(Strategy.LATENCY, 1, series7=True), rows, SYNTHESISED[VITIS])
    fast = network_costs(dense_chain(Strategy.LATENCY, 1), rows, SYNTHESISED[VITIS])
    assert slow.latency[0] == 5 + 3 * 1.0
    assert fast.latency[0] == round(5 + 3 * 0.3)
    assert slow.interval[0] == fast.interval[0] == 2
    assert network_costs(dense_chain(Strategy.RESOURCE, 1), rows, SYNTHESISED[VITIS]).interval[0] == 2


def test_handover_between_unrolled_layers() -> None:
    for rows in (1, 2, 20):
        network = chain(*(layer(Kind.DENSE, f"layer{row}", in_c=4, out_c=4) for row in range(rows)))
        found = [
            network_costs(HlsTable.from_models([network], [build(series7=series7)]), by_hand([2] * rows, [1] * rows, [2] * rows), SYNTHESISED[VITIS]).latency[0]
            for series7 in (False, True)
        ]
        assert found == {1: [2, 2], 2: [round(4 + 0.6), 6], 20: [46, 60]}[rows]


def test_a_layer_alone_has_neither_handover_nor_wait() -> None:
    table = HlsTable.from_models([model(layer(Kind.DENSE, in_c=8, out_c=8))], [build(reuse_factor=8)])
    found = network_costs(table, by_hand([10], [8], [10]), SYNTHESISED[VITIS])
    assert (found.latency[0], found.interval[0]) == (10, 8)


def test_counts_are_summed_by_design_and_rounded_up() -> None:
    single = model(layer(Kind.DENSE, in_c=8, out_c=8))
    table = HlsTable.from_models([single, single, single], [build()] * 3)
    rows = by_hand([1, 1, 1], [1, 9, 0], [1, 1, 1], lut=[1.2, 5.0, 0.0], ff=[2.1, 7.0, 0.0], dsp=[0.5, 1.0, 0.0], bram18=[3.0, 2.5, 0.0])
    found = network_costs(table, rows, SYNTHESISED[VITIS])
    assert [getattr(found, name).tolist() for name in RESOURCES] == [[2, 5, 0], [3, 7, 0]]
    assert [getattr(found, name).tolist() for name in ("dsp", "bram18")] == [[1, 1, 0], [3, 3, 0]]
    assert found.interval.tolist() == [1, 2, 1]  # at most a cycle more than the latency, at least one


def test_first_result_of_layers_with_weights() -> None:
    conv = layer(Kind.CONV2D, in_h=6, in_w=10, in_c=2, out_h=4, out_w=8, out_c=4, kernel_h=3, kernel_w=3)
    for flow in (ESTIMATE[VITIS], SYNTHESISED[VITIS]):
        table = HlsTable.from_models([chain(conv, layer(Kind.DENSE, "dense", in_c=32, out_c=4))], [build(True, reuse_factor=18)])
        found = layer_costs(table, MatrixVector(table, flow.tool), flow)
        window = 2 * 10 + 3  # words of the input that the first window needs
        assert found.fill[0] == (16 if flow.stage is Stage.HLS_ESTIMATE else pytest.approx(found.latency[0] * window / 60))
        assert found.fill[1] == found.latency[1]
        assert found.rest.tolist() == pytest.approx([found.latency[0] - found.fill[0], 0])
        parallel = HlsTable.from_models([model(conv)], [build(reuse_factor=18)])
        alone = layer_costs(parallel, MatrixVector(parallel, flow.tool), flow)
        assert alone.fill[0] == alone.latency[0]


def test_the_first_result_is_never_after_the_last() -> None:
    flow = ESTIMATE[VITIS]
    table = HlsTable.from_models([model(layer(Kind.CONV1D, in_w=2, in_c=2, out_w=2, out_c=2))], [build(True, Strategy.LATENCY)])
    found = layer_costs(table, MatrixVector(table, flow.tool), flow)
    assert found.fill[0] == found.latency[0] < 16


def test_a_layers_cost_is_price_times_count(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {("matrix_vector", "lut"): {"layer": 10.0, "accumulator_any": 2.0}, ("elements", "lut"): {"relu": 3.0}, ("matrix_vector", "ff"): {"input": 5.0},
           ("elements", "ff"): {}}  # fmt: skip
    monkeypatch.setattr(module, "prices", lambda flow, block, resource: own[block, resource])
    flow = ESTIMATE[V2020]
    network = chain(layer(Kind.DENSE, "a", in_c=8, out_c=4), layer(Kind.ACTIVATION, "b", in_c=4, out_c=4, function="relu", input_bits=16))
    table = HlsTable.from_models([network], [build(reuse_factor=8)])
    found = layer_costs(table, MatrixVector(table, flow.tool), flow)
    assert found.lut.tolist() == [10 + 2 * 4 * 16, 3 * 4 * 16]
    assert found.ff.tolist() == [5 * 8 * 16, 0]
    assert found.multipliers.tolist() == [4, 0]
    assert found.dsp.tolist() == [4, 0]
    assert found.latency.tolist() == [10, 0]


def test_both_units_of_a_recurrent_layer_are_on_its_row() -> None:
    flow = ESTIMATE[V2019]
    table = HlsTable.from_models([chain(layer(Kind.DENSE, "first", in_c=4, out_c=4), layer(Kind.LSTM, in_w=6, in_c=4, out_c=8))], [build(True, reuse_factor=4)])
    unit = MatrixVector(table, flow.tool)
    found = layer_costs(table, unit, flow)
    assert found.multipliers.tolist() == [4, 4 * 32 / 4 + 8 * 32 / 4]
    assert found.latency.tolist() == row_cycles(unit)[0][[0, 1]].tolist()


def test_prices_come_from_the_base_where_a_flow_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def quantity(value: float) -> str:
        return f'{{ value = {value}, unit = "1", source = "made up" }}'

    lut = f"a = {quantity(2)}\nb = {quantity(3)}\nc = {quantity(4)}\n"
    (tmp_path / "base.toml").write_text(f'title = "base"\n[scale]\n[matrix_vector.lut]\n{lut}[matrix_vector.ff]\na = {quantity(5)}\n[elements]\n')
    (tmp_path / "post_synth-vitis-hls.toml").write_text(
        f'title = "own"\nbase = "base"\n[scale]\nlut = {quantity(0.5)}\n[matrix_vector.lut]\nb = {quantity(7)}\nc = {quantity(0)}\n[elements]\n',
    )
    monkeypatch.setattr(prices_module, "FOLDER", tmp_path)
    prices.cache_clear()
    flow_record.cache_clear()
    try:
        flow = SYNTHESISED[VITIS]
        assert file_of(flow) == tmp_path / "post_synth-vitis-hls.toml"
        assert prices(flow, "matrix_vector", "lut") == {"a": 1.0, "b": 7.0}  # c costs nothing here, whatever the base says
        assert prices(flow, "matrix_vector", "ff") == {"a": 5.0}
        assert prices(flow, "elements", "ff") == {}
    finally:
        prices.cache_clear()
        flow_record.cache_clear()


@pytest.mark.parametrize("flow", FLOWS, ids=str)
def test_every_price_is_of_a_term_and_positive(flow: Flow) -> None:
    terms: dict[tuple[str, str], Any] = {
        ("matrix_vector", "lut"): matrix_vector_terms.LUT_TERMS, ("matrix_vector", "ff"): matrix_vector_terms.FF_TERMS,
        ("elements", "lut"): element_terms.LUT_TERMS, ("elements", "ff"): element_terms.FF_TERMS,
    }  # fmt: skip
    for block in BLOCKS:
        for resource in RESOURCES:
            found = prices(flow, block, resource)
            assert set(found) <= set(terms[block, resource])
            assert all(price > 0 for price in found.values())


@pytest.mark.parametrize("flow", FLOWS, ids=str)
@pytest.mark.parametrize("figure", FIGURES)
def test_intervals_contain_the_value(flow: Flow, figure: str) -> None:
    values = np.repeat([0.0, 1.0, 37.0, 1e6], len(DesignClass))
    classes = np.tile(np.arange(len(DesignClass)), 4)
    low, high = interval(flow, figure, values, classes)
    relative, absolute = errors_of(flow, figure)
    assert (relative >= 0).all()
    assert (absolute >= 0).all()
    assert high == pytest.approx([value * (1 + relative[each]) + absolute[each] for value, each in zip(values, classes, strict=True)])
    assert low == pytest.approx([max(value / (1 + relative[each]) - absolute[each], 0) for value, each in zip(values, classes, strict=True)])
    assert (low <= values).all()
    assert (values <= high).all()
    assert (low >= 0).all()


def classes_of(network: HlsModel, how: Build) -> DesignClass:
    return DesignClass(int(predict([network], [how], SYNTHESISED[VITIS]).classes[0]))


def test_classes_of_designs() -> None:
    one, several = model(layer(Kind.DENSE, in_c=8, out_c=8)), chain(layer(Kind.DENSE, in_c=8, out_c=8), layer(Kind.ACTIVATION, "relu", in_c=8, out_c=8))
    for network, suffix in ((one, "LAYER"), (several, "NETWORK")):
        assert classes_of(network, build(reuse_factor=8)).name == f"SEQUENTIAL_{suffix}"
        assert classes_of(network, build(reuse_factor=4)).name == f"UNROLLED_{suffix}"  # folded: no synthesis backs it
        assert classes_of(network, build(reuse_factor=1)).name == f"UNROLLED_{suffix}"
        assert classes_of(network, build(reuse_factor=4, strategy=Strategy.LATENCY)).name == f"UNROLLED_{suffix}"
        assert classes_of(network, build(True, reuse_factor=4)).name == f"STREAM_{suffix}"


def everything(found: Predictions, design: int) -> dict[str, list[float]]:
    """All figures of one design."""
    rows = found.table.design == design
    figures = {f"network {name}": [float(found.values(name)[design]), float(found.low[name][design]), float(found.high[name][design])] for name in FIGURES}
    figures |= {f"layer {name}": getattr(found.layers, name)[rows].tolist() for name in ("latency", "interval", "fill", "multipliers", *FIGURES[2:])}
    figures |= {name: getattr(found.feasibility, name)[rows].tolist() for name in ("failure", "obstacle", "share")}
    return figures | {"failure": [float(found.failure[design])], "class": [float(found.classes[design])]}


AROUND = (Kind.ACTIVATION, Kind.TABLE_ACTIVATION, Kind.SOFTMAX, Kind.POOL, Kind.MERGE, Kind.BATCH_NORM)


@st.composite
def networks(draw: st.DrawFn) -> HlsModel:
    """A chain of layers of any kind."""
    layers = []
    for place, around in enumerate(draw(st.lists(st.booleans(), min_size=1, max_size=4))):
        if around:
            size: dict[str, Any] = {"in_w": 4, "out_w": 4, "in_c": draw(st.integers(1, 9)), "out_c": 4}
            layers.append(layer(draw(st.sampled_from(AROUND)), f"layer{place}", function=draw(st.sampled_from(["relu", "", "stable"])), **size))
        else:
            layers.append(replace(draw(weighted_layers()), name=f"layer{place}"))
    return chain(*layers)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(networks(), builds()), min_size=2, max_size=4), st.sampled_from(FLOWS))
def test_designs_have_the_same_figures_alone_together_and_in_any_order(designs: list[tuple[HlsModel, Build]], flow: Flow) -> None:
    together = predict([network for network, _ in designs], [how for _, how in designs], flow)
    backwards = predict([network for network, _ in reversed(designs)], [how for _, how in reversed(designs)], flow)
    for place, (network, how) in enumerate(designs):
        alone = everything(predict([network], [how], flow), 0)
        for found in (everything(together, place), everything(backwards, len(designs) - 1 - place)):
            assert found.keys() == alone.keys()
            for name, values in found.items():
                assert values == pytest.approx(alone[name], rel=1e-12), name


@settings(max_examples=80, deadline=None)
@given(networks(), builds(), st.sampled_from(FLOWS))
def test_figures_are_finite_and_within_their_intervals(network: HlsModel, how: Build, flow: Flow) -> None:
    found = predict([network], [how], flow)
    for figure in FIGURES:
        value, low, high = (float(values[0]) for values in (found.values(figure), found.low[figure], found.high[figure]))
        assert 0 <= low <= value <= high < np.inf, figure
        assert value == round(value)
    assert found.network.interval[0] >= 1
    assert (found.layers.fill <= found.layers.latency + 1e-9).all()
    assert 0 <= found.failure[0] <= 1


@pytest.mark.parametrize("flow", FLOWS, ids=str)
@pytest.mark.parametrize("stream", [False, True])
def test_a_network_without_weights(flow: Flow, stream: bool) -> None:
    network = chain(*(layer(Kind.ACTIVATION, f"relu{place}", in_c=16, out_c=16, function="relu") for place in range(3)))
    found = predict([network], [build(stream)], flow)
    assert found.network.lut[0] > 0
    assert found.network.dsp[0] == found.network.bram18[0] == found.failure[0] == 0
    assert found.network.interval[0] == 1
    reshape = predict([model(layer(Kind.RESHAPE))], [build()], flow)
    assert [float(reshape.values(figure)[0]) for figure in FIGURES] == [0, 1, 0, 0, 0, 0]


def test_blocks_of_unrolled_layers_depend_on_weights_that_nobody_knows() -> None:
    dense = model(layer(Kind.DENSE, in_c=32, out_c=32, weight_bits=12))
    found = predict([dense] * 2, [build(reuse_factor=factor) for factor in (1, 2)], ESTIMATE[V2020])
    unrolled, folded = found.high["dsp"] - found.low["dsp"]
    assert unrolled == pytest.approx((1.07 - 1 / 1.07) * found.network.dsp[0], abs=2.0)  # whole blocks
    assert folded < unrolled


@pytest.mark.parametrize("flow", FLOWS, ids=str)
def test_no_design(flow: Flow) -> None:
    found = predict([], [], flow)
    assert [len(found.values(figure)) for figure in FIGURES] == [0] * 6
    assert len(found.failure) == len(found.classes) == 0


def test_a_model_that_is_only_an_input() -> None:
    found = predict([model(layer(Kind.INPUT))], [build()], SYNTHESISED[VITIS])
    assert [float(found.values(figure)[0]) for figure in FIGURES] == [0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("flow", FLOWS, ids=str)
def test_huge_layers_do_not_overflow(flow: Flow) -> None:
    wide = layer(Kind.DENSE, in_c=2**20, out_c=2**16, weight_bits=16)
    deep = layer(Kind.CONV2D, in_h=4096, in_w=4096, in_c=1024, out_h=4096, out_w=4096, out_c=1024, kernel_h=3, kernel_w=3)
    for shape, macs in ((wide, 2.0**36), (deep, 9 * 2.0**44)):
        for how in (build(True, reuse_factor=2**20), build(True, Strategy.LATENCY), build(reuse_factor=2**20)):
            found = predict([model(shape)], [how], flow)
            assert all(np.isfinite(found.values(figure)[0]) and found.values(figure)[0] >= 0 for figure in FIGURES)
            if how.strategy is Strategy.RESOURCE:
                assert found.network.dsp[0] >= shape.weights / 2**21
                assert found.network.latency[0] * found.layers.multipliers[0] >= macs
            else:
                assert found.failure[0] > 0.99


@pytest.mark.parametrize("flow", FLOWS, ids=str)
def test_more_of_everything_never_costs_less(flow: Flow) -> None:
    """Outputs, inputs and widths of a sequential layer whose multipliers are in DSP before and after."""
    base: dict[str, Any] = {"in_c": 64, "out_c": 32, "weight_bits": 10, "input_bits": 16, "accumulator_bits": 20, "weight_peak": 1.0}
    for change in ({"out_c": 64}, {"weight_bits": 12}, {"input_bits": 18}, {"accumulator_bits": 24}):
        for stream in (False, True):
            found = predict(
                [model(layer(Kind.DENSE, in_w=8, **base)), model(layer(Kind.DENSE, in_w=8, **(base | change)))], [build(stream, reuse_factor=64)] * 2, flow
            )
            for figure in ("lut", "ff", "dsp", "bram18"):
                small, large = found.values(figure)
                assert small <= large, (figure, change, stream)
