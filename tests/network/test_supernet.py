"""Shared weights: a sub-network is what folding and plain convolutions make of its part, and training goes on where it stopped."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from codesign.errors import EvaluationError, InputError
from codesign.network import supernet_training
from codesign.network.blueprints.blueprint import find_blueprint
from codesign.network.builder import as_values
from codesign.network.float_network import FoldedLayer
from codesign.network.graph_module import GraphModule
from codesign.network.layers import Layer, LayerGraph, LayerTable, Op
from codesign.network.supernet import SharedWeights, SubNetwork, score_network, shared_shapes
from codesign.network.supernet_training import (
    SHARED_DECAY,
    SHARED_RATE,
    SupernetProgress,
    is_finished,
    load_weights,
    supernet_epochs,
    train_supernet,
)
from codesign.network.tasks.registry import load_task
from codesign.network.tasks.task import Task
from codesign.network.training import FLOAT_WARM_UP, one_cycle
from codesign.space.design_space import DesignSpace

EPOCHS = 4


@pytest.fixture(scope="module")
def digits() -> Task:
    return load_task("digits")


def table_of(task: Task, name: str, count: int) -> LayerTable:
    blueprint = find_blueprint(name)
    space = DesignSpace(blueprint.parameters)
    return blueprint.table(space, space.sample(count, np.random.default_rng(0)), task.record.shape)


@pytest.fixture(scope="module")
def networks(digits: Task) -> LayerTable:
    return table_of(digits, "mlp", 300)


@pytest.fixture(scope="module")
def shared(digits: Task, networks: LayerTable, tmp_path_factory: pytest.TempPathFactory) -> SharedWeights:
    return taught(digits, networks, tmp_path_factory.mktemp("shared") / "mlp.pt", epochs=20)


def taught(task: Task, networks: LayerTable, path: Path, *, epochs: int = EPOCHS, stop: int = 0, seed: int = 5) -> SharedWeights:
    """Shared weights; with ``stop``, Ctrl-C comes after that many epochs."""

    def watch(progress: SupernetProgress) -> None:
        assert progress.epochs == epochs
        if progress.epoch == stop:
            raise KeyboardInterrupt

    return train_supernet(networks, shared_shapes(networks), task, task.record.training, epochs, seed, path=path, progress=watch)


def samples_of(task: Task, count: int = 64) -> torch.Tensor:
    return as_values(task.train.samples[:count], task.record.zero_point, task.record.input_fraction)


def untrained(networks: LayerTable) -> SharedWeights:
    shared = SharedWeights(shared_shapes(networks), torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in (shared.gain, shared.shift):
            for parameter in part.values():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return shared


@pytest.mark.parametrize("name", ["mlp", "tcresnet", "dscnn"])
def test_tensors_hold_every_network_and_no_more(digits: Task, name: str) -> None:
    table = table_of(digits, name, 300)
    shapes, needed = shared_shapes(table), dict[str, list[tuple[int, ...]]]()
    for row in range(len(table)):
        graph = table.graph(row)
        for layer in graph:
            key = f"{layer.name}__{layer.op.name.lower()}"
            if layer.op is Op.DENSE:
                source = graph.predecessors(layer)[0]
                needed.setdefault(key, []).append((layer.out_c, source.out_h, source.out_w, source.out_c))
            elif layer.weights:
                needed.setdefault(key, []).append((layer.out_c, layer.in_c // layer.groups, layer.kernel_h, layer.kernel_w))
    assert shapes == {key: tuple(np.max(found, axis=0)) for key, found in needed.items()}


class Folded(GraphModule):
    """A network of folded weights: what training quantises."""

    def __init__(self, graph: LayerGraph, folded: dict[str, FoldedLayer]) -> None:
        super().__init__(graph)
        self.folded = folded

    def weigh(self, layer: Layer, source: torch.Tensor) -> torch.Tensor:
        part = self.folded[layer.name]
        if layer.op is Op.DENSE:
            return functional.linear(source.movedim(1, 3).flatten(1), part.weight, part.bias)[:, :, None, None]
        stride, padding = (layer.stride_h, layer.stride_w), (layer.pad_h, layer.pad_w)
        return functional.conv2d(source, part.weight, part.bias, stride=stride, padding=padding, groups=layer.groups)

    def finish(self, layer: Layer, accumulator: torch.Tensor) -> torch.Tensor:
        return accumulator.relu() if layer.relu else accumulator


@pytest.mark.parametrize("name", ["mlp", "tcresnet", "dscnn"])
def test_a_folded_sub_network_computes_what_the_sub_network_does(digits: Task, name: str) -> None:
    table = table_of(digits, name, 40)
    shared, samples = untrained(table), samples_of(digits)
    for row in range(0, 40, 8):
        network = SubNetwork(table.graph(row), shared)
        by_batch = network(samples).detach()
        folded = Folded(network.graph, network.fold(samples))
        with torch.no_grad():
            measured, plain, part = network(samples), folded(samples), network(samples[:10])
        scale = float(by_batch.abs().max())
        assert torch.allclose(by_batch, measured, atol=1e-4 * scale)
        assert torch.allclose(plain, measured, atol=1e-4 * scale)
        # The statistics are those of all samples, whatever is computed later.
        assert torch.allclose(part, measured[:10], atol=1e-4 * scale)


def test_each_fold_measures_anew(digits: Task, networks: LayerTable) -> None:
    shared, samples = untrained(networks), samples_of(digits, 128)
    row = int((networks.op > 0).sum(axis=1).argmax())
    again, fresh = SubNetwork(networks.graph(row), shared), SubNetwork(networks.graph(row), shared)
    again.fold(samples[:64])
    for name, layer in again.fold(samples[64:]).items():
        assert torch.equal(layer.bias, fresh.fold(samples[64:])[name].bias)


def trainer_of(task: Task, networks: LayerTable, path: Path) -> supernet_training._SupernetTrainer:
    settings = dataclasses.replace(task.record.training, label_smoothing=0.2)
    return supernet_training._SupernetTrainer(networks, shared_shapes(networks), task, settings, EPOCHS, 3, path, torch.device("cpu"), None)


def test_the_largest_learns_from_labels_and_teaches_those_drawn(digits: Task, networks: LayerTable, tmp_path: Path) -> None:
    trainer = trainer_of(digits, networks, tmp_path / "mlp.pt")
    samples, labels, drawn = trainer.samples[:50], trainer.labels[:50], np.array([3, 11])
    loss = trainer._learn(samples, labels, drawn)
    found = {name: parameter.grad for name, parameter in trainer.shared.named_parameters()}
    trainer.optimiser.zero_grad()
    largest = SubNetwork(networks.graph(int(networks.macs.sum(axis=1).argmax())), trainer.shared)(samples)
    by_labels = functional.cross_entropy(largest, labels, label_smoothing=0.2)
    taught = [SubNetwork(networks.graph(int(row)), trainer.shared)(samples).log_softmax(dim=1) for row in drawn]
    by_teacher = [-(largest.detach().softmax(dim=1) * answers).sum(dim=1).mean() for answers in taught]
    ((by_labels + by_teacher[0] + by_teacher[1]) / 3.0).backward()  # type: ignore[no-untyped-call]  # torch ships no type for it
    assert loss == pytest.approx(float(by_labels.detach()))
    for name, parameter in trainer.shared.named_parameters():
        if parameter.grad is None:
            assert found[name] is None
        else:
            assert torch.allclose(found[name], parameter.grad, atol=1e-6)


def test_rate_decay_and_augmentation_are_those_of_the_settings(digits: Task, networks: LayerTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    augmented, trainer = [], trainer_of(digits, networks, tmp_path / "mlp.pt")
    monkeypatch.setattr(supernet_training, "augment", lambda samples, *_: augmented.append(len(samples)) or samples)
    trainer._epoch(1)
    batches = round(len(digits.train.labels) / digits.record.training.batch_size)
    group, record = trainer.optimiser.param_groups[0], digits.record.training
    assert len(augmented) == batches
    assert sum(augmented) == len(digits.train.labels)
    assert group["lr"] == pytest.approx(one_cycle(SHARED_RATE * record.learning_rate, (1 + (batches - 1) / batches) / EPOCHS, FLOAT_WARM_UP))
    assert group["weight_decay"] == pytest.approx(SHARED_DECAY * record.weight_decay)


def test_a_network_takes_the_first_channels_and_the_middle_of_the_kernel(digits: Task) -> None:
    table = table_of(digits, "tcresnet", 200)
    shared = untrained(table)
    graph = next(graph for graph in map(table.graph, range(200)) if graph["stem"].kernel_w == 5)
    weight, held = SubNetwork(graph, shared).weight(graph["stem"]), shared.weight["stem__conv1d"]
    assert held.shape[3] == 9
    assert torch.equal(weight, held[: graph["stem"].out_c, :, :, 2:7])


def test_what_one_network_learns_another_sees(digits: Task, networks: LayerTable) -> None:
    shared = untrained(networks)
    first, second = (SubNetwork(networks.graph(row), shared) for row in np.flatnonzero((networks.op > 0).sum(axis=1) == 4)[:2])
    before = second(samples_of(digits)).detach()
    first(samples_of(digits)).square().sum().backward()
    with torch.no_grad():
        for parameter in shared.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.1 * parameter.grad)
    assert not torch.equal(second(samples_of(digits)), before)
    assert not list(first.parameters())


def test_a_larger_network_or_one_of_another_family_is_refused(digits: Task, networks: LayerTable) -> None:
    small = networks.rows(networks.out_c.max(axis=1) <= 24)
    wide = networks.graph(int(networks.out_c.max(axis=1).argmax()))
    with pytest.raises(EvaluationError, match=r"needs weights .* the supernet has at most"):
        SubNetwork(wide, untrained(small))
    with pytest.raises(EvaluationError, match="has no such layer"):
        SubNetwork(table_of(digits, "dscnn", 1).graph(0), untrained(networks))


def test_scores_tell_good_networks_from_bad_ones(digits: Task, networks: LayerTable, shared: SharedWeights) -> None:
    settings = dataclasses.replace(digits.record.training, epochs=0, quantised_epochs=3)

    def score(graph: LayerGraph, seed: int = 1) -> float:
        return score_network(graph, shared, digits, settings, seed).confidence

    macs = networks.macs.sum(axis=1)
    bits = np.where(networks.weighted, networks.weight_bits, 99).min(axis=1)
    large = networks.graph(int(np.where(bits >= 4, macs, 0).argmax()))
    small = networks.graph(int(np.where((bits == 2) & ((networks.op > 0).sum(axis=1) > 3), macs, np.inf).argmin()))
    kept = {name: value.clone() for name, value in shared.state_dict().items()}
    scored = score_network(large, shared, digits, settings, 1)
    assert scored.epochs == 3
    assert scored.validation_accuracy > 0.9
    assert scored.float_accuracy > 0.9
    assert score(small) < scored.confidence - 0.02
    assert score(large) == scored.confidence
    assert score(large, 2) != scored.confidence
    assert all(torch.equal(value, kept[name]) for name, value in shared.state_dict().items())


def test_stopped_and_continued_gives_the_same_weights(digits: Task, networks: LayerTable, tmp_path: Path) -> None:
    whole = taught(digits, networks, tmp_path / "whole.pt")
    path = tmp_path / "cut.pt"
    with pytest.raises(KeyboardInterrupt):
        taught(digits, networks, path, stop=2)
    assert not is_finished(path)
    with pytest.raises(InputError, match="still being trained"):
        load_weights(path)
    taught(digits, networks, path)
    assert is_finished(path)
    kept, other = load_weights(path).state_dict(), taught(digits, networks, tmp_path / "other.pt", seed=6).state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in whole.state_dict().items())
    assert not all(torch.equal(value, kept[name]) for name, value in other.items())
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no supernet",
        {"epoch": 1, "epochs": "many", "weights": {"weight.a": torch.zeros(1, 1, 1, 1)}},
        {"epoch": 2, "epochs": 1, "weights": {"weight.a": torch.zeros(1, 1, 1, 1)}},
        {"epoch": 1, "epochs": 1, "weights": {}},
        {"epoch": 1, "epochs": 1, "weights": {"weight.a": torch.zeros(1)}},
        {"epoch": 1, "epochs": 1, "weights": {"weight.a": torch.zeros(1).expand(1000, 1000, 1000, 1000)}},
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, networks: LayerTable, digits: Task, content: bytes | dict[str, Any]) -> None:
    path = tmp_path / "mlp.pt"
    if isinstance(content, dict):
        torch.save(content, path)
    else:
        path.write_bytes(content)
    for read in (is_finished, load_weights, lambda path: taught(digits, networks, path)):
        with pytest.raises(InputError, match=r"not a readable supernet\. Delete it"):
            read(path)


@pytest.mark.parametrize("name", ["weight.", "weight.keys", "weight.a.b"])
def test_a_name_that_no_slot_has_is_told(tmp_path: Path, name: str) -> None:
    torch.save({"epoch": 1, "epochs": 1, "weights": {name: torch.zeros(1, 1, 1, 1)}}, tmp_path / "mlp.pt")
    with pytest.raises(InputError, match="not a readable supernet"):
        load_weights(tmp_path / "mlp.pt")


def test_weights_that_are_no_numbers_are_not_kept(digits: Task, networks: LayerTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(trainer: supernet_training._SupernetTrainer, _: int) -> float:
        with torch.no_grad():
            next(iter(trainer.shared.parameters())).fill_(float("nan"))
        return 1.0

    monkeypatch.setattr(supernet_training._SupernetTrainer, "_epoch", spoil)
    with pytest.raises(EvaluationError, match="diverged in epoch 1"):
        taught(digits, networks, tmp_path / "mlp.pt")
    assert not (tmp_path / "mlp.pt").exists()


def test_another_supernet_is_not_continued(digits: Task, networks: LayerTable, tmp_path: Path) -> None:
    taught(digits, networks, tmp_path / "mlp.pt", epochs=1)
    with pytest.raises(InputError, match="holds another supernet"):
        taught(digits, networks, tmp_path / "mlp.pt", epochs=2)
    with pytest.raises(InputError, match="holds another supernet"):
        taught(digits, networks.rows(networks.out_c.max(axis=1) <= 24), tmp_path / "mlp.pt", epochs=1)


def test_a_supernet_that_diverges_is_told(digits: Task, networks: LayerTable, tmp_path: Path) -> None:
    settings = dataclasses.replace(digits.record.training, learning_rate=1e30)
    with pytest.raises(EvaluationError, match="diverged in epoch 1"):
        train_supernet(networks, shared_shapes(networks), digits, settings, 2, 0, path=tmp_path / "mlp.pt")
    assert not (tmp_path / "mlp.pt").exists()


def test_epochs_follow_from_what_the_largest_and_the_drawn_networks_cost(digits: Task, networks: LayerTable) -> None:
    settings = digits.record.training
    macs = networks.macs.sum(axis=1)
    assert supernet_epochs(networks, settings, 10.0) == round(300 / (2 + macs.max() / macs.mean()))
    assert supernet_epochs(networks, settings, 0.001) == 1
