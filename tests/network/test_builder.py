"""The Brevitas network against the integer reference, bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from codesign.errors import EvaluationError, InputError
from codesign.network.blueprints.blueprint import find_blueprint
from codesign.network.builder import BrevitasNetwork, brevitas_logits, brevitas_trace, build, extract, same_integers
from codesign.network.calibration import calibrate
from codesign.network.deployed import DeployedNetwork
from codesign.network.float_network import FloatNetwork
from codesign.network.layers import WEIGHTED, LayerGraph
from codesign.network.tasks.registry import task_record
from codesign.network.tasks.task import TaskRecord
from codesign.space.design_space import DesignSpace

Draw = Callable[[str, int], DeployedNetwork]
CASES = [(task, blueprint) for task in ("digits", "kws") for blueprint in ("mlp", "tcresnet", "dscnn")]


def graphs(record: TaskRecord, name: str, count: int) -> list[LayerGraph]:
    blueprint = find_blueprint(name)
    space = DesignSpace(blueprint.parameters)
    table = blueprint.table(space, space.sample(count, np.random.default_rng(11)), record.shape)
    return [table.graph(row) for row in range(count)]


def words(record: TaskRecord, count: int) -> np.ndarray:
    lowest, highest = record.word_range
    return np.random.default_rng(2).integers(max(lowest, 0), highest + 1, (count, *record.input_shape)).astype(np.uint8)


def assert_same(model: BrevitasNetwork, samples: np.ndarray) -> DeployedNetwork:
    deployed = extract(model)
    reference, brevitas = deployed.trace(samples), brevitas_trace(model, samples)
    assert list(reference) == list(brevitas)
    for layer, expected in reference.items():
        np.testing.assert_array_equal(brevitas[layer], expected, err_msg=layer)
    np.testing.assert_array_equal(brevitas_logits(model, samples), deployed.run(samples))
    return deployed


@pytest.mark.parametrize(("task", "blueprint"), CASES)
def test_untrained_and_calibrated_networks_equal_the_reference(task: str, blueprint: str) -> None:
    record = task_record(task)
    samples = words(record, 12)
    values = (torch.from_numpy(samples).float() - record.zero_point) * 2.0**-record.input_fraction
    for graph in graphs(record, blueprint, 4):
        model = build(graph, record)
        assert_same(model, samples)
        network = FloatNetwork(graph, torch.Generator().manual_seed(0))
        network(values)
        calibrate(model, network.eval().fold(), values)
        assert_same(model, samples)


@pytest.mark.parametrize("blueprint", ["mlp", "tcresnet", "dscnn"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_given_integers_come_back(blueprint: str, seed: int, draw_network: Draw) -> None:
    """Random weights and scales with saturation, loaded into Brevitas: the same outputs, and the same integers out."""
    wanted = draw_network(blueprint, seed)
    model = build(wanted.graph, task_record("digits"))
    with torch.no_grad():
        for layer in wanted.graph:
            own = wanted.integers[layer.name]
            if layer is not model.last:
                model.output_quant(layer).fraction = own.output.fraction
            if layer.op in WEIGHTED:
                model.weight_quant(layer).fraction = own.weight_fraction
        model.link_biases()
        for layer in model.weighted_layers():
            own = wanted.integers[layer.name]
            model.layer_module(layer).weight.copy_(torch.from_numpy(own.weight * 2.0**-own.weight_fraction))
            model.layer_module(layer).bias.copy_(torch.from_numpy(own.bias * 2.0 ** -model.accumulator_fraction(layer)))
    samples = np.random.default_rng(3).integers(0, 17, (20, 8, 8)).astype(np.uint8)
    assert same_integers(assert_same(model, samples), wanted)


def test_training_mode_computes_the_same_logits() -> None:
    record = task_record("digits")
    values = torch.rand(30, 8, 8)
    for graph in graphs(record, "tcresnet", 4):
        model = build(graph, record)
        with torch.no_grad():
            assert torch.equal(model.train()(values), model.eval()(values))


def test_the_model_is_left_as_it_was() -> None:
    record = task_record("digits")
    model = build(graphs(record, "mlp", 1)[0], record).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    extract(model)
    brevitas_logits(model, words(record, 3))
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert next(model.parameters()).dtype == torch.float32


def test_build_gives_the_same_network_each_time_and_draws_no_random_numbers() -> None:
    record = task_record("digits")
    graph = graphs(record, "dscnn", 1)[0]
    first = extract(build(graph, record))
    torch.manual_seed(9)
    before = torch.random.get_rng_state()
    assert same_integers(extract(build(graph, record)), first)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_compiled_quantisers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brevitas.config.JIT_ENABLED", True)
    record = task_record("digits")
    with pytest.raises(InputError, match="environment variable BREVITAS_JIT.*Unset it"):
        build(graphs(record, "mlp", 1)[0], record)


def test_a_changed_weight_is_another_network() -> None:
    record = task_record("digits")
    graph, other = graphs(record, "mlp", 2)
    model = build(graph, record)
    first = extract(model)
    with torch.no_grad():
        model.layer_module(graph.output).weight.neg_()
    assert not same_integers(extract(model), first)
    assert not same_integers(extract(build(other, record)), first)


def test_a_bias_at_another_scale_is_refused() -> None:
    record = task_record("digits")
    graph = graphs(record, "mlp", 1)[0]
    model = build(graph, record)
    model.weight_quant(graph.output).fraction += 1
    with pytest.raises(EvaluationError, match=r"layer head: scale .* instead of 2\*\*.*link_biases"):
        extract(model)


def test_logits_off_the_grid_are_refused() -> None:
    record = task_record("digits")
    graph = graphs(record, "mlp", 1)[0]
    model = build(graph, record)
    model.layer_module(graph.output).weight_quant.disable_quant = True
    with pytest.raises(EvaluationError, match="layer head: output is not a multiple of 2"):
        brevitas_logits(model, words(record, 5))
