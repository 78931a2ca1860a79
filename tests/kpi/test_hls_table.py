from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from codesign.kpi.reuse import closest_legal
from codesign.kpi.streaming.hls_table import COLUMNS, FUNCTIONS, Build, HlsTable, reuse_pair, typical_peak
from codesign.network.hls_model import HlsLayer, HlsModel, Kind, Strategy
from codesign.network.layers import Layer, LayerGraph, LayerTable, Op
from tests.kpi.streaming_designs import build, chain, layer, model

MAP: dict[str, Any] = {"in_h": 8, "in_w": 6, "out_h": 8, "out_w": 6}
WINDOW: dict[str, Any] = {"kernel_h": 3, "kernel_w": 3, "pad_top": 1, "pad_bottom": 1, "pad_left": 1, "pad_right": 1}


def small_network() -> HlsModel:
    """Two branches over an 8 x 6 map, and a classifier."""
    return model(
        layer(Kind.INPUT, "input", out_h=8, out_w=6, out_c=3),
        layer(Kind.CONV2D, "conv", inputs=("input",), in_c=3, out_c=10, input_bits=9, output_bits=11, **MAP, **WINDOW),
        layer(Kind.ACTIVATION, "relu", inputs=("conv",), in_c=10, out_c=10, function="relu", saturates=True, **MAP),
        layer(Kind.DEPTHWISE_CONV2D, "depthwise", inputs=("relu",), in_c=10, out_c=10, weight_peak=0.7, strategy=Strategy.LATENCY, **MAP, **WINDOW),
        layer(Kind.MERGE, "add", inputs=("relu", "depthwise"), in_c=10, out_c=10, function="multiply", **MAP),
        layer(Kind.RESHAPE, "flatten", inputs=("add",), in_h=8, in_w=6, in_c=10, out_c=480),
        layer(Kind.DENSE, "dense", inputs=("flatten",), in_c=480, out_c=4, reuse_factor=7, nonzero=0.5),
    )


def rows_of(table: HlsTable, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(getattr(table, name).tolist() for name in names), strict=True))


def table_of(network: HlsModel, how: Build) -> HlsTable:
    return HlsTable.from_models([network], [how])


def test_rows_of_a_small_network_in_a_stream() -> None:
    table = table_of(small_network(), build(stream=True, reuse_factor=4, clock_ns=4.0, series7=True))
    assert rows_of(table, "slot", "kind", "in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "reuse", "readers", "input_words") == [
        (1, Kind.PADDING, 8, 6, 3, 10, 8, 3, 1, 1, 1),
        (1, Kind.CONV2D, 10, 8, 3, 8, 6, 10, 3, 1, 1),  # n_in = 27: 3 is closer to 4 than 9
        (2, Kind.ACTIVATION, 8, 6, 10, 8, 6, 10, 1, 2, 1),
        (3, Kind.PADDING, 8, 6, 10, 10, 8, 10, 1, 1, 1),
        (3, Kind.DEPTHWISE_CONV2D, 10, 8, 10, 8, 6, 10, 4, 1, 1),  # Latency strategy: any will do
        (4, Kind.MERGE, 8, 6, 10, 8, 6, 10, 1, 1, 1),
        (5, Kind.RESHAPE, 8, 6, 10, 1, 1, 480, 1, 1, 1),
        (6, Kind.DENSE, 1, 1, 480, 1, 1, 4, 6, 0, 48),  # its own reuse factor; words are the positions before the flattening
    ]
    assert rows_of(table, "kernel_h", "kernel_w", "weight_bits", "accumulator_bits", "input_bits", "output_bits")[:2] == [
        (1, 1, 0, 0, 9, 9),
        (3, 3, 8, 16, 9, 11),
    ]
    assert table.fan_in.tolist() == [1, 27, 1, 1, 90, 1, 1, 480]
    assert table.fan_out.tolist() == [1, 10, 1, 1, 1, 1, 1, 4]
    assert table.strategy.tolist()[1:5:3] == [Strategy.RESOURCE, Strategy.LATENCY]
    assert table.weight_peak.tolist()[4] == 0.7
    assert table.weight_peak.tolist()[1] == pytest.approx((3 / 27) ** 0.5)
    assert table.nonzero.tolist() == [1, 1, 1, 1, 1, 1, 1, 0.5]
    assert table.function.tolist() == [0, 0, FUNCTIONS["relu"], 0, 0, FUNCTIONS["multiply"], 0, 0]
    assert table.saturates.tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    assert set(table.stream.tolist()) == set(table.series7.tolist()) == {1}
    assert set(table.clock_ns.tolist()) == {4.0}
    assert table.weighted.tolist() == [False, True, False, False, True, False, False, True]
    assert table.depthwise.tolist() == [False, False, False, False, True, False, False, False]


def test_without_streams_nothing_is_padded_and_depthwise_layers_are_unrolled() -> None:
    network = model(*(replace(each, strategy=None) for each in small_network()))
    table = table_of(network, build(reuse_factor=4))
    assert Kind.PADDING not in table.kind
    assert len(table) == 6
    assert table.in_w.tolist()[0] == 6
    assert table.input_words.tolist() == [1] * 6
    assert [table.strategy[row] for row in (0, 2, 5)] == [Strategy.RESOURCE, Strategy.LATENCY, Strategy.RESOURCE]


def test_padding_may_differ_from_side_to_side() -> None:
    pads: dict[str, Any] = {"pad_top": 1, "pad_bottom": 2, "pad_left": 3, "pad_right": 5}
    table = table_of(model(layer(Kind.CONV2D, in_c=2, out_c=2, **MAP, **(WINDOW | pads))), build(stream=True))
    assert rows_of(table, "kind", "in_h", "in_w", "out_h", "out_w") == [(Kind.PADDING, 8, 6, 11, 14), (Kind.CONV2D, 11, 14, 8, 6)]
    pool = table_of(model(layer(Kind.POOL, in_c=2, out_c=2, pad_right=1, **MAP)), build(stream=True))
    assert rows_of(pool, "kind", "in_w", "out_w") == [(Kind.PADDING, 6, 7), (Kind.POOL, 7, 6)]


def test_a_choice_by_name_goes_before_the_layers_own_and_that_before_the_builds() -> None:
    how = build(reuse_factor=480, chosen={"dense": 8})
    assert [how.asked(each) for each in small_network() if each.name in {"conv", "dense"}] == [480, 8]
    assert build(reuse_factor=480).asked(small_network().layer("dense")) == 7
    assert table_of(small_network(), how).reuse.tolist()[-1] == 8


@pytest.mark.parametrize(("kind", "gates"), [(Kind.LSTM, 4), (Kind.GRU, 3)])
def test_both_products_of_a_recurrent_layer_have_a_reuse_factor(kind: Kind, gates: int) -> None:
    recurrent = layer(kind, in_w=5, in_c=12, out_c=10)
    for asked in (1, 7, 8, 100):
        expected = (closest_legal(12, 10 * gates, asked), closest_legal(10, 10 * gates, asked))
        assert reuse_pair(recurrent, asked, Strategy.RESOURCE) == expected
        table = table_of(model(recurrent), build(stream=True, reuse_factor=asked))
        assert (table.reuse[0], table.recurrent_reuse[0]) == expected
    assert reuse_pair(recurrent, 7, Strategy.RESOURCE) == (6, 5)
    assert (table.fan_in[0], table.fan_out[0]) == (12, 10 * gates)


def test_other_layers_have_no_recurrent_reuse_factor() -> None:
    assert reuse_pair(layer(Kind.DENSE, in_c=12, out_c=4), 8, Strategy.RESOURCE) == (6, 1)
    assert reuse_pair(layer(Kind.ACTIVATION, in_c=12, out_c=12), 8, Strategy.RESOURCE) == (1, 1)
    depthwise = layer(Kind.DEPTHWISE_CONV1D, kernel_w=3, in_c=4, out_c=4)
    assert [reuse_pair(depthwise, asked, Strategy.RESOURCE) for asked in (4, 5, 24)] == [(4, 1), (4, 1), (12, 1)]


def test_words_of_a_stream_that_a_dense_layer_reads() -> None:
    def words(*layers: HlsLayer) -> int:
        return int(table_of(chain(*layers), build(stream=True)).input_words[-1])

    last = layer(Kind.DENSE, "last", in_c=32, out_c=4)
    assert words(last) == 0  # nobody knows
    assert words(replace(last, in_w=8)) == 8
    assert words(layer(Kind.DENSE, "first", in_c=9, out_c=32), last) == 1
    assert words(layer(Kind.POOL, "pool", out_h=2, out_w=4, out_c=4), layer(Kind.RESHAPE, "a"), layer(Kind.RESHAPE, "b"), last) == 8
    assert words(layer(Kind.RESHAPE, "a"), last) == 0


def test_designs_are_kept_apart() -> None:
    one, two = model(layer(Kind.DENSE, in_c=4, out_c=2), layer(Kind.ACTIVATION, "relu")), small_network()
    joined = HlsTable.from_models([one, two], [build(), build(stream=True)])
    assert joined.count == 2
    assert joined.design.tolist() == [0, 0] + [1] * 8
    for place, (network, how) in enumerate([(one, build()), (two, build(stream=True))]):
        alone, chosen = table_of(network, how), joined.rows(joined.design == place)
        for name in set(COLUMNS) - {"design"}:
            assert getattr(alone, name).tolist() == getattr(chosen, name).tolist(), name
    values = np.arange(10.0)
    assert joined.total(values).tolist() == [1, sum(range(2, 10))]
    assert joined.largest(-values).tolist() == [0, 0]
    assert joined.largest(values).tolist() == [1, 9]
    assert joined.of_kind(Kind.PADDING, Kind.MERGE).sum() == 3


def test_no_model_is_no_row() -> None:
    table = HlsTable.from_models([], [])
    assert (len(table), table.count) == (0, 0)
    with pytest.raises(ValueError, match="argument"):
        HlsTable.from_models([small_network()], [])


def searched(op: Op, name: str, source: int, other: int = -1, **values: Any) -> Layer:
    """A layer of a searched network."""
    common: dict[str, Any] = dict.fromkeys(("in_h", "in_w", "out_h", "out_w", "kernel_h", "kernel_w", "stride_h", "stride_w", "groups"), 1)
    common |= {"pad_h": 0, "pad_w": 0, "weight_bits": 0, "bias_bits": 0, "accumulator_bits": 0, "input_bits": 8, "output_bits": 8, "input_signed": 1}
    common |= {"output_signed": 1, "relu": 0, "in_c": 4, "out_c": 4, "input_a": source, "input_b": other}
    return Layer(name=name, op=op, **(common | values))


WEIGHTS: dict[str, Any] = {"weight_bits": 6, "bias_bits": 9, "accumulator_bits": 14}


def searched_and_read() -> tuple[LayerTable, HlsModel]:
    """One residual network: as the search knows it, and as a file says it."""
    series: dict[str, Any] = {"in_w": 10, "out_w": 10}
    window: dict[str, Any] = {"kernel_w": 3}
    graph = LayerGraph([
        searched(Op.INPUT, "input", -1, out_w=10),
        searched(Op.CONV1D, "conv", 0, pad_w=1, **series, **window, **WEIGHTS),
        searched(Op.DEPTHWISE_CONV1D, "depthwise", 1, pad_w=1, groups=4, **series, **window, **WEIGHTS),
        searched(Op.ADD, "add", 1, 2, **series),
        searched(Op.GLOBAL_POOL, "pool", 3, in_w=10, kernel_w=10),
        searched(Op.DENSE, "dense", 4, out_c=3, **WEIGHTS),
    ])  # fmt: skip
    common: dict[str, Any] = {"input_bits": 8, "output_bits": 8, "saturates": True, "weight_peak": 1.0, "in_c": 4, "out_c": 4}
    padded = series | window | {"pad_left": 1, "pad_right": 1} | common
    read = model(
        layer(Kind.INPUT, "input"),
        HlsLayer(name="conv", kind=Kind.CONV1D, inputs=("input",), **padded, **WEIGHTS),
        HlsLayer(name="depthwise", kind=Kind.DEPTHWISE_CONV1D, inputs=("conv",), **padded, **WEIGHTS),
        HlsLayer(name="add", kind=Kind.MERGE, inputs=("conv", "depthwise"), **series, **common),
        HlsLayer(name="pool", kind=Kind.GLOBAL_POOL, inputs=("add",), in_w=10, kernel_w=10, **common),
        HlsLayer(name="dense", kind=Kind.DENSE, inputs=("pool",), **(common | {"out_c": 3}), **WEIGHTS),
    )
    return LayerTable.from_graphs([graph]), read


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("resource", [True, False])
def test_a_searched_network_has_the_rows_of_the_same_network_read_from_a_file(stream: bool, resource: bool) -> None:
    searched_table, read = searched_and_read()
    reuse = np.array([[1, 6, 4, 1, 1, 2]])
    found = HlsTable.from_layer_table(searched_table, reuse, resource=np.array([resource]), stream=np.array([stream]), clock_ns=np.array([4.0]), series7=True)
    chosen = {"conv": 6, "depthwise": 4, "dense": 2}
    strategy = Strategy.RESOURCE if resource else Strategy.LATENCY
    expected = table_of(read, build(stream, strategy, clock_ns=4.0, series7=True, chosen=chosen))
    order = np.lexsort((found.kind != Kind.PADDING, found.slot))  # the search puts all padding rows first
    assert found.kind[order].tolist() == expected.kind.tolist()
    weighted = expected.weighted
    for name in set(COLUMNS) - {"input_words", "strategy", "weight_peak", "readers"}:
        assert getattr(found, name)[order].tolist() == getattr(expected, name).tolist(), name
    for name in ("strategy", "weight_peak"):
        assert getattr(found, name)[order][weighted].tolist() == getattr(expected, name)[weighted].tolist(), name
    assert found.readers[order].tolist() == expected.readers.tolist()
    if stream:
        assert found.input_words[order][-1] == expected.input_words[-1] == 1


def test_the_search_pads_both_sides_of_both_axes() -> None:
    conv = searched(Op.CONV2D, "conv", 0, in_h=8, in_w=6, out_h=8, out_w=6, kernel_h=5, kernel_w=3, pad_h=2, pad_w=1, **WEIGHTS)
    table = LayerTable.from_graphs([LayerGraph([searched(Op.INPUT, "input", -1, out_h=8, out_w=6), conv])])
    arguments: dict[str, Any] = {"resource": np.array([True]), "clock_ns": np.array([5.0]), "series7": False}
    found = HlsTable.from_layer_table(table, np.array([[1, 4]]), stream=np.array([True]), **arguments)
    assert rows_of(found, "kind", "in_h", "in_w", "out_h", "out_w", "reuse") == [(Kind.PADDING, 8, 6, 12, 8, 1), (Kind.CONV2D, 12, 8, 8, 6, 4)]
    parallel = HlsTable.from_layer_table(table, np.array([[1, 4]]), stream=np.array([False]), **arguments)
    assert rows_of(parallel, "kind", "in_h", "in_w") == [(Kind.CONV2D, 8, 6)]


def test_the_search_counts_words_before_a_flattened_dense_layer() -> None:
    graph = LayerGraph([searched(Op.INPUT, "input", -1, out_w=10), searched(Op.DENSE, "dense", 0, in_c=40, out_c=3, **WEIGHTS)])
    arguments: dict[str, Any] = {"resource": np.array([True]), "stream": np.array([True]), "clock_ns": np.array([5.0]), "series7": False}
    assert HlsTable.from_layer_table(LayerTable.from_graphs([graph]), np.array([[1, 4]]), **arguments).input_words.tolist() == [10]


def test_peak_is_never_above_full_scale() -> None:
    assert typical_peak(2) == 1.0
    assert typical_peak(12) == 0.5


def test_latency_strategy_takes_any_reuse_factor_and_distributed_arithmetic_none() -> None:
    dense, recurrent = layer(Kind.DENSE, in_c=16, out_c=5), layer(Kind.GRU, in_w=3, in_c=6, out_c=5)
    assert reuse_pair(dense, 5, Strategy.RESOURCE) == (4, 1)
    assert reuse_pair(dense, 5, Strategy.LATENCY) == (5, 1)
    assert reuse_pair(dense, 1000, Strategy.LATENCY) == (80, 1)
    assert reuse_pair(recurrent, 7, Strategy.LATENCY) == (7, 7)
    assert reuse_pair(dense, 5, Strategy.DISTRIBUTED_ARITHMETIC) == (1, 1)
