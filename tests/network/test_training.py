"""Training on the digits task: it learns, it repeats itself exactly, and what it hands over is what Brevitas computes."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codesign.errors import EvaluationError, InputError
from codesign.network import training
from codesign.network.blueprints.blueprint import find_blueprint
from codesign.network.builder import brevitas_logits, same_integers
from codesign.network.layers import LayerGraph
from codesign.network.tasks.registry import load_task
from codesign.network.tasks.task import Split, Task, TrainingDefaults
from codesign.network.training import TrainedNetwork, TrainingProgress, load_brevitas, one_cycle, save_trained, settings_for, train
from codesign.space.design_space import DesignSpace

SHORT = {"epochs": 2, "quantised_epochs": 2, "batch_size": 32}


@pytest.fixture(scope="module")
def digits() -> Task:
    return load_task("digits")


@pytest.fixture(scope="module")
def trained(digits: Task) -> TrainedNetwork:
    return train(graph_of(digits, "mlp", {"hidden_layers": 1, "width": 32, "bits": 4}), digits, digits.record.training, 0)


def graph_of(task: Task, name: str, chosen: dict[str, int]) -> LayerGraph:
    """A network whose parameters end in the keys of ``chosen``; the others take their first value."""
    blueprint = find_blueprint(name)
    space = DesignSpace(blueprint.parameters)
    row = np.zeros((1, len(space)), dtype=np.int16)
    for column, parameter in enumerate(space.parameters):
        for key, value in chosen.items():
            if parameter.name.endswith(key):
                row[0, column] = parameter.values.index(value)
    return blueprint.table(space, space.mask(row), task.record.shape).graph(0)


def small(task: Task) -> LayerGraph:
    return graph_of(task, "mlp", {"hidden_layers": 1, "width": 8, "bits": 4})


def short(task: Task, **changes: Any) -> TrainingDefaults:
    return settings_for(task.record, SHORT | changes)


def test_confidence_is_the_mean_probability_of_the_right_class(digits: Task, trained: TrainedNetwork) -> None:
    split, last = digits.validation, trained.model.last
    logits = brevitas_logits(trained.model, split.samples) * 2.0 ** -trained.model.accumulator_fraction(last)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    assert trained.confidence == pytest.approx(float(np.mean([row[label] for row, label in zip(shares, split.labels, strict=True)])))
    assert 0.5 < trained.confidence < 1.0


def test_it_learns_and_the_figures_are_those_of_the_integers(digits: Task, trained: TrainedNetwork) -> None:
    def accuracy(split: Split) -> float:
        return float((trained.deployed.predict(split.samples) == split.labels).mean())

    assert accuracy(digits.test) > 0.9
    assert trained.float_accuracy > 0.9
    assert trained.validation_accuracy == accuracy(digits.validation) > 0.9
    assert trained.train_accuracy == pytest.approx(accuracy(digits.train), abs=1e-6)
    assert trained.seconds > 0


CHOICES = {"mlp": {"width": 16, "bits": 3}, "tcresnet": {"residual": 1, "width": 12, "bits": 3, "stride": 2}, "dscnn": {"width": 12, "bits": 3, "stride": 2}}


@pytest.mark.parametrize("blueprint", CHOICES)
def test_trained_integers_equal_brevitas_bit_for_bit(digits: Task, blueprint: str) -> None:
    found = train(graph_of(digits, blueprint, CHOICES[blueprint]), digits, short(digits), 1)
    np.testing.assert_array_equal(found.deployed.run(digits.test.samples), brevitas_logits(found.model, digits.test.samples))


def test_keyword_spotting_trains_and_is_exact() -> None:
    whole = load_task("kws")
    few = Split(whole.train.samples[:600], whole.train.labels[:600])
    task = dataclasses.replace(whole, train=few)
    found = train(graph_of(task, "tcresnet", {"stem_width": 16, "width": 24, "kernel": 5, "bits": 6}), task, short(task, epochs=4), 1)
    np.testing.assert_array_equal(found.deployed.run(task.test.samples), brevitas_logits(found.model, task.test.samples))
    assert found.validation_accuracy > 2 / 12


def test_a_seed_decides_everything(digits: Task) -> None:
    graph, settings = small(digits), short(digits)
    torch.manual_seed(1)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    state = torch.random.get_rng_state()
    first = train(graph, digits, settings, 5)
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.set_num_threads(threads)
    torch.manual_seed(2)
    again = train(graph, digits, settings, 5, progress=lambda _: None)
    assert same_integers(first.deployed, again.deployed)
    assert first.validation_accuracy == again.validation_accuracy
    assert not same_integers(first.deployed, train(graph, digits, settings, 6).deployed)


def test_progress_tells_each_epoch(digits: Task) -> None:
    seen: list[TrainingProgress] = []
    train(small(digits), digits, short(digits), 0, progress=seen.append)
    assert [(step.phase, step.epoch, step.epochs) for step in seen] == [("float", 1, 2), ("float", 2, 2), ("quantised", 1, 2), ("quantised", 2, 2)]
    assert all(step.loss > 0 and 0 <= step.validation_accuracy <= 1 for step in seen)
    assert seen[1].loss < seen[0].loss


def test_training_stops_when_validation_no_longer_improves(digits: Task) -> None:
    found = train(small(digits), digits, short(digits, epochs=1, quantised_epochs=40, learning_rate=1e-12, patience=3), 0)
    assert found.epochs == 1 + 1 + 3


def test_the_epoch_of_lowest_validation_loss_is_kept(digits: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    losses, states = iter([9.0, 3.0, 1.0, 2.0]), []

    def scripted(_: object, network: torch.nn.Module) -> Any:
        states.append(copy.deepcopy(network.state_dict()))
        return training.Score(0.5, next(losses))

    monkeypatch.setattr(training._Trainer, "_validate", scripted)
    found = train(small(digits), digits, short(digits, quantised_epochs=3), 0)
    kept = found.model.state_dict()
    assert all(torch.equal(kept[key], states[2][key]) for key in kept)
    assert not all(torch.equal(kept[key], states[3][key]) for key in kept)


@pytest.mark.parametrize("phase", ["float", "quantised"])
def test_either_phase_may_be_left_out(digits: Task, phase: str) -> None:
    changes = {"epochs": 0} if phase == "float" else {"quantised_epochs": 0}
    found = train(small(digits), digits, short(digits, **changes), 0)
    assert found.epochs == 2
    np.testing.assert_array_equal(found.deployed.run(digits.test.samples), brevitas_logits(found.model, digits.test.samples))


def test_divergence_is_an_error_with_a_remedy(digits: Task) -> None:
    with pytest.raises(EvaluationError, match=r"network of 592 weights.*diverged in float epoch 1\. Lower training\.learning_rate"):
        train(small(digits), digits, short(digits, learning_rate=1e30), 0)


def test_unknown_device_is_refused(digits: Task) -> None:
    with pytest.raises(InputError, match="unknown training device 'tpu'.*cpu, cuda, auto"):
        train(small(digits), digits, short(digits), 0, device="tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device_is_refused_and_auto_takes_the_cpu(digits: Task) -> None:
    with pytest.raises(InputError, match="no CUDA device was found"):
        train(small(digits), digits, short(digits), 0, device="cuda")
    settings = short(digits, epochs=1, quantised_epochs=0)
    assert same_integers(train(small(digits), digits, settings, 0, device="auto").deployed, train(small(digits), digits, settings, 0).deployed)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_trains_and_hands_over_exact_integers(digits: Task) -> None:
    found = train(small(digits), digits, digits.record.training, 0, device="cuda")
    again = train(small(digits), digits, digits.record.training, 0, device="cuda")
    assert found.validation_accuracy > 0.8
    assert same_integers(found.deployed, again.deployed)
    np.testing.assert_array_equal(found.deployed.run(digits.test.samples), brevitas_logits(found.model, digits.test.samples))


@pytest.mark.parametrize(("overrides", "message"), [({"epoch": 3}, "epoch"), ({"batch_size": 0}, "batch_size and patience must be at least 1")])
def test_bad_settings_are_refused(digits: Task, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"training settings: .*{message}"):
        settings_for(digits.record, overrides)


def test_settings_replace_the_defaults(digits: Task) -> None:
    found = settings_for(digits.record, {"epochs": 3})
    assert found == dataclasses.replace(digits.record.training, epochs=3)


def test_one_cycle_rises_and_falls_to_zero() -> None:
    rates = [one_cycle(2.0, step / 100, 0.3) for step in range(101)]
    assert max(rates) == rates[30] == 2.0
    assert rates[0] == pytest.approx(0.08)
    assert rates[100] == pytest.approx(0.0, abs=1e-12)
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)


def test_a_saved_network_comes_back(digits: Task, trained: TrainedNetwork, tmp_path: Path) -> None:
    save_trained(trained, tmp_path / "a" / "b")
    deployed, model = load_brevitas(tmp_path / "a" / "b", digits.record)
    assert same_integers(deployed, trained.deployed)
    np.testing.assert_array_equal(brevitas_logits(model, digits.test.samples), trained.deployed.run(digits.test.samples))
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["brevitas.pt", "network.npz"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [cut, empty, remove])
@pytest.mark.parametrize("name", ["brevitas.pt", "network.npz"])
def test_a_damaged_file_is_named(digits: Task, trained: TrainedNetwork, tmp_path: Path, name: str, damage: Any) -> None:
    save_trained(trained, tmp_path)
    damage(tmp_path / name)
    with pytest.raises(InputError, match=rf"{name}: not a readable network file.*Evaluate the design again"):
        load_brevitas(tmp_path, digits.record)


def test_files_of_two_networks_are_told_apart(digits: Task, trained: TrainedNetwork, tmp_path: Path) -> None:
    save_trained(trained, tmp_path)
    changed = copy.deepcopy(trained.model)
    with torch.no_grad():
        changed.layer_module(changed.last).weight.neg_()
    torch.save(changed.state_dict(), tmp_path / "brevitas.pt")
    with pytest.raises(InputError, match=r"brevitas\.pt: does not hold the network of network\.npz"):
        load_brevitas(tmp_path, digits.record)


def test_an_unwritable_folder_is_named(trained: TrainedNetwork, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: cannot be written.*Check permissions"):
        save_trained(trained, tmp_path / "file")
