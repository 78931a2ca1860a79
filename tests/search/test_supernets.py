"""Shared weights in a study: who trains them, what they cost, what their scores are shown as. Most trainings are a formula."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.estimate import Evidence
from codesign.network import supernet_training
from codesign.network.supernet import shared_shapes
from codesign.network.supernet_training import is_finished
from codesign.search.engine import SerialEngine
from codesign.search.fidelity import SHORT, SUPERNET, FidelityChoice, trial_seed
from codesign.search.pricing import Pricing
from codesign.search.specification import Budget, StudySpecification, TrainingOverrides
from codesign.search.study import Study
from codesign.search.supernets import SECONDS, Supernets
from codesign.store.study_store import DONE, StudyStore
from tests.search.fidelity_study import SPECIFICATION, Trainings, begin, outcome

SCORED = {
    "fidelity": FidelityChoice(levels=("supernet", "short", "full", "seeds"), supernet_cost=2.0),
    "budget": replace(SPECIFICATION.budget, evaluations=20),
}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Trainings]:
    study, engine = begin(tmp_path_factory.mktemp("scored"), **SCORED), Trainings()
    study.search(engine)
    return study, engine


def test_scores_use_the_shared_weights_that_the_study_trained(scored: tuple[Study, Trainings]) -> None:
    study, engine = scored
    path = study.folder / "supernets" / "mlp.pt"
    assert is_finished(path)
    by_seed = {request.seed: request for request in engine.requests}
    for trial in study.store.trials():
        request = by_seed[trial_seed(study.specification.seed, *trial.key)]
        assert request.supernet == (str(path) if trial.fidelity == SUPERNET else None)
        if trial.fidelity == SUPERNET:
            assert (request.settings, request.folder) == ({"epochs": 0, "quantised_epochs": 4}, None)
    assert {trial.fidelity for trial in study.store.trials()} == {"supernet", "short", "full"}


def test_shared_weights_count_in_the_budget(scored: tuple[Study, Trainings]) -> None:
    study, _ = scored
    counts = {count.name: count for count in study.fidelity_counts()}
    assert counts["supernet"].cost == pytest.approx(2.0 + counts["supernet"].done * 4 / 30)
    assert 19.0 < sum(count.cost for count in counts.values()) <= 20.0
    assert counts["supernet"].seconds > 2.0 * counts["supernet"].done
    assert "supernet" in study.compute_seconds()


def test_a_scored_design_is_shown_with_its_evidence(scored: tuple[Study, Trainings]) -> None:
    study, _ = scored
    brief = {item.training: item for item in study.briefly_evaluated()}
    figures = study.figures(brief["supernet"])
    assert "accuracy" not in figures
    assert figures["score"].evidence is Evidence.SUPERNET
    assert "mean probability of the right class" in figures["score"].source
    rows = study.store.all_evaluations()
    for item in study.briefly_evaluated():
        assert item.training == ("short" if (item.id, SHORT, 0) in rows else "supernet")


def test_stopped_in_the_scores_it_goes_on_with_the_same_weights(tmp_path: Path, scored: tuple[Study, Trainings]) -> None:
    study = begin(tmp_path, **SCORED)
    with pytest.raises(KeyboardInterrupt):
        study.search(Trainings(stop_after=3))
    written = (study.folder / "supernets" / "mlp.pt").stat().st_mtime_ns
    study.search(Trainings())
    assert (study.folder / "supernets" / "mlp.pt").stat().st_mtime_ns == written
    assert outcome(study) == outcome(scored[0])


def test_shared_weights_are_scored_for_real(tmp_path: Path) -> None:
    """The whole way with the real engine, over few epochs: every score differs, and the front has full trainings."""
    study = begin(tmp_path, **SCORED | {"budget": Budget(evaluations=10, initial=8, batch=3)}, training=TrainingOverrides(epochs=4, quantised_epochs=3))
    study.search(SerialEngine())
    rows = study.store.all_evaluations()
    assert all(row.state == DONE for row in rows.values())
    scores = {design: row.metrics["accuracy"] for (design, fidelity, _), row in rows.items() if fidelity == SUPERNET}
    assert len(scores) >= 8
    assert all(0.1 < score < 1.0 for score in scores.values())
    assert len(set(scores.values())) == len(scores)
    assert study.front()


def supernets_of(specification: StudySpecification, folder: Path) -> Supernets:
    return Supernets(Pricing(specification), folder, StudyStore.at(folder / "store.sqlite"))


def test_each_family_learns_from_what_fits_for_what_it_may_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = FidelityChoice(levels=("supernet", "full"), supernet_cost=7.0)
    supernets = supernets_of(replace(SPECIFICATION, blueprints=("mlp", "dscnn"), limits={"latency_us": 30.0}, space={}, fidelity=choice), tmp_path)
    calls: dict[str, tuple[Any, ...]] = {}

    def train_supernet(*arguments: Any, path: Path, **_: Any) -> None:
        calls[path.stem] = arguments

    monkeypatch.setattr(supernet_training, "train_supernet", train_supernet)
    supernets.train(None, "cpu", lambda _: None)
    assert set(calls) == {"mlp", "dscnn"}
    for blueprint in supernets.joint.blueprints:
        everything, feasible = supernets.networks(blueprint)
        networks, shapes, _, settings, epochs, _ = calls[blueprint.name]
        assert np.array_equal(networks.macs, feasible.macs)
        assert shapes == shared_shapes(everything)
        assert epochs == supernet_training.supernet_epochs(feasible, settings, 7.0)
    assert calls["mlp"][-1] != calls["dscnn"][-1]


def test_the_time_of_an_interrupted_training_of_shared_weights_counts(tmp_path: Path) -> None:
    supernets, heard = supernets_of(replace(SPECIFICATION, **SCORED), tmp_path), list[str]()

    def interrupt(line: str) -> None:
        heard.append(line)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        supernets.train(None, "cpu", interrupt)
    assert supernets.seconds > 0.0
    assert "epoch 1 of" in heard[0]
    # As if it had taken long.
    StudyStore.at(tmp_path / "store.sqlite").put(SECONDS, {"mlp": 1000.0})
    supernets.train(None, "cpu", heard.append)
    assert 1000.0 < supernets.seconds < 1500.0
    assert "epoch 2 of" in heard[1]


def test_a_family_that_the_space_leaves_out_is_not_paid_for(tmp_path: Path) -> None:
    choice = FidelityChoice(levels=("supernet", "full"), supernet_cost=4.0)
    narrowed = replace(SPECIFICATION, blueprints=("mlp", "dscnn"), space={"blueprint": ("dscnn",)}, fidelity=choice)
    ladder = replace(narrowed, budget=replace(SPECIFICATION.budget, evaluations=30)).ladder()
    assert ladder is not None
    assert ladder.preparation == 4.0
    assert [blueprint.name for blueprint in supernets_of(narrowed, tmp_path).joint.blueprints] == ["dscnn"]


def test_networks_to_learn_from_are_within_the_limits(tmp_path: Path) -> None:
    specification = replace(SPECIFICATION, blueprints=("mlp", "dscnn"), limits={"latency_us": 30.0}, space={})
    supernets = supernets_of(specification, tmp_path)
    for blueprint in supernets.joint.blueprints:
        everything, feasible = supernets.networks(blueprint)
        assert {name.split("_")[0] for name in everything.names} & {"hidden1", "stem"} == ({"hidden1"} if blueprint.name == "mlp" else {"stem"})
        assert 0 < len(feasible) < len(everything)
        assert feasible.macs.sum(axis=1).mean() < everything.macs.sum(axis=1).mean()
