"""Layer graphs and tables: one description of a network, one or many at a time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import InputError
from codesign.network.blueprints.blueprint import blueprints, find_blueprint
from codesign.network.layers import NUMERIC_FIELDS, Layer, LayerGraph, LayerTable, Op
from codesign.network.table_builder import TaskShape
from codesign.space.design_space import DesignSpace

KWS = TaskShape((49, 10), 12, 8, True)
DIGITS = TaskShape((8, 8), 10, 8, True)


def sample(name: str, shape: TaskShape, count: int, seed: int = 0) -> LayerTable:
    blueprint = find_blueprint(name)
    space = DesignSpace(blueprint.parameters)
    return blueprint.table(space, space.sample(count, np.random.default_rng(seed)), shape)


def naive_output_length(length: int, kernel: int, stride: int, padding: int) -> int:
    return len(range(-padding, length + padding - kernel + 1, stride))


def naive_weights(layer: Layer) -> int:
    if layer.op is Op.DENSE:
        return layer.in_c * layer.out_c
    if layer.op in (Op.CONV1D, Op.CONV2D):
        return sum(1 for _ in np.ndindex(layer.out_c, layer.in_c, layer.kernel_h, layer.kernel_w))
    if layer.op in (Op.DEPTHWISE_CONV1D, Op.DEPTHWISE_CONV2D):
        return layer.in_c * layer.kernel_h * layer.kernel_w
    return 0


@pytest.mark.parametrize("name", sorted(blueprints()))
@pytest.mark.parametrize("shape", [KWS, DIGITS])
def test_each_row_is_a_sound_graph(name: str, shape: TaskShape) -> None:
    table = sample(name, shape, 60)
    for row in range(len(table)):
        graph = table.graph(row)  # the constructor checks edges and shapes
        assert graph.input.op is Op.INPUT
        assert graph.output.op is Op.DENSE
        assert graph.output.out_c == shape.classes
        assert graph.weights == sum(map(naive_weights, graph)) == table.weights[row].sum()
        assert graph.macs == table.macs[row].sum()
        for layer in graph:
            if layer.op in (Op.CONV1D, Op.CONV2D, Op.DEPTHWISE_CONV2D):
                assert layer.out_h == naive_output_length(layer.in_h, layer.kernel_h, layer.stride_h, layer.pad_h)
                assert layer.out_w == naive_output_length(layer.in_w, layer.kernel_w, layer.stride_w, layer.pad_w)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(blueprints())), st.integers(0, 10_000))
def test_the_accumulator_holds_the_worst_case(name: str, seed: int) -> None:
    table = sample(name, KWS, 1, seed)
    for layer in table.graph(0):
        if layer.weights:
            largest_input = 2 ** (layer.input_bits - 1) if layer.input_signed else 2**layer.input_bits - 1
            worst = layer.fan_in * largest_input * 2 ** (layer.weight_bits - 1) + 2 ** (layer.bias_bits - 1)
            assert worst <= 2 ** (layer.accumulator_bits - 1)


@pytest.mark.parametrize("name", sorted(blueprints()))
def test_graphs_become_tables_again(name: str) -> None:
    table = sample(name, KWS, 20)
    graphs = [table.graph(row) for row in range(len(table))]
    again = LayerTable.from_graphs(graphs)
    for row, graph in enumerate(graphs):
        assert [dataclasses.replace(layer, name="x") for layer in again.graph(row)] == [dataclasses.replace(layer, name="x") for layer in graph]


def test_rows_of_plain_types_are_read_back() -> None:
    graph = sample("tcresnet", KWS, 1).graph(0)
    assert LayerGraph.from_rows(graph.as_rows()).layers == graph.layers
    broken = graph.as_rows()
    del broken[1]["relu"]
    with pytest.raises(InputError, match="layer record with fields"):
        LayerGraph.from_rows(broken)
    with pytest.raises(InputError, match="layer record with a bad value"):
        LayerGraph.from_rows([{**row, "op": 99} for row in graph.as_rows()])


def test_bad_graphs_are_refused() -> None:
    layers = list(sample("mlp", DIGITS, 1).graph(0))
    with pytest.raises(InputError, match="expects input"):
        LayerGraph([layers[0], dataclasses.replace(layers[1], in_c=layers[1].in_c + 1), *layers[2:]])
    with pytest.raises(InputError, match="which is not before it"):
        LayerGraph([layers[0], dataclasses.replace(layers[1], input_a=1), *layers[2:]])
    with pytest.raises(InputError, match="needs one input and one output"):
        LayerGraph([layers[0], layers[0].__class__(**{**dataclasses.asdict(layers[0]), "name": "second"})])


def test_tcresnet_is_residual_or_plain_as_asked() -> None:
    blueprint = find_blueprint("tcresnet")
    space = DesignSpace(blueprint.parameters)
    rows = space.sample(40, np.random.default_rng(3))
    table = blueprint.table(space, rows, KWS)
    for row in range(len(rows)):
        graph = table.graph(row)
        blocks = int(space.values(rows, "tcresnet.blocks")[row])
        residual = sum(int(space.values(rows, f"tcresnet.block{number}_residual")[row]) for number in range(1, blocks + 1))
        assert sum(layer.op is Op.ADD for layer in graph) == residual
        assert sum(layer.name.endswith("_first") for layer in graph) == blocks


def test_absent_slots_are_zero_everywhere() -> None:
    table = sample("dscnn", KWS, 200)
    absent = table.op == Op.ABSENT
    assert absent.any()
    for name in NUMERIC_FIELDS:
        expected = -1 if name in ("input_a", "input_b") else 0
        assert (getattr(table, name)[absent] == expected).all()


def test_unknown_blueprint_is_told() -> None:
    with pytest.raises(InputError, match=r"unknown blueprint 'vgg'. Choose from dscnn, mlp, tcresnet"):
        find_blueprint("vgg")
