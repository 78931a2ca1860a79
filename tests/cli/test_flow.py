"""The whole job on digits, as a user runs it: search, C simulation, report, and every command on the result."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from codesign.network.deployed import DeployedNetwork
from codesign.search.builtin import study_text
from codesign.search.engine import open_engine
from codesign.search.study import Study
from tests.cli.conftest import Run, call_main

pytestmark = pytest.mark.gxx
NAME = "digits-pynq-z2"


def small_study(folder: Path, evaluations: int = 10) -> Path:
    text = study_text("digits", "pynq-z2", ("pe_array",))
    for old, new in [("evaluations = 24", f"evaluations = {evaluations}"), ("initial = 8", "initial = 6"), ("batch = 4", "batch = 2")]:
        assert old in text
        text = text.replace(old, new)
    path = folder / "study.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which `codesign run --jobs 2` has done its work."""
    folder = tmp_path_factory.mktemp("flow")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert call_main(["run", str(small_study(folder)), "--jobs", "2", "--quiet"]) == 0
        yield folder
    finally:
        os.chdir(before)


@pytest.fixture
def inside(finished: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run commands in the finished folder."""
    monkeypatch.chdir(finished)
    return run


def test_every_front_point_is_bit_exact_over_the_whole_test_split(finished: Path) -> None:
    study = Study.open(finished / "runs" / NAME)
    results = study.store.verifications("csim")
    front = study.front()
    assert len(front) >= 2
    for item in front:
        result = results[item.id]
        assert result["samples"] == study.store.get("data")["test"]
        assert result["samples_exact"] == result["samples"]
        assert result["max_abs_difference"] == 0
        assert result["metric_simulated"] == result["metric_quantised"]
        assert (finished / "hls_out" / NAME / item.id / "manifest.json").is_file()


def test_nothing_on_the_front_is_dominated(finished: Path) -> None:
    study = Study.open(finished / "runs" / NAME)
    sign = np.array([-1.0 if objective.maximise else 1.0 for objective in study.pricing.problem.objectives])
    values = {item.id: sign * study.objective_values(item.design, item.evaluation) for item in study.evaluated()}
    front = {item.id for item in study.front()}
    for name, value in values.items():
        dominated = any((other <= value).all() and (other < value).any() for other in values.values())
        assert dominated == (name not in front)


def test_accuracy_is_learned(finished: Path) -> None:
    study = Study.open(finished / "runs" / NAME)
    assert max(item.evaluation.metrics["accuracy"] for item in study.evaluated()) > 0.85


def test_running_again_does_nothing_twice(inside: Run, finished: Path) -> None:
    study = Study.open(finished / "runs" / NAME)
    before = study.store.evaluations()
    code, out, _ = inside("run", "study.toml", "--no-verify", "--json")
    assert code == 0
    assert study.store.evaluations() == before
    assert {point["id"] for point in json.loads(out)["front"]} == {item.id for item in study.front()}


def test_status_and_front(inside: Run, finished: Path) -> None:
    code, out, _ = inside("status", "--json")
    assert code == 0
    document = json.loads(out)
    assert (document["evaluated"], document["failed"], document["budget"]) == (10, 0, 10)
    assert document["verified"] == document["front"]
    code, out, _ = inside("front")
    assert code == 0
    assert "461/461" in out
    point = json.loads(inside("front", "--json")[1])["front"][0]
    assert point["figures"]["latency_us"]["evidence"] == "analytic"
    assert point["figures"]["accuracy"]["evidence"] == "trained"
    assert point["figures"]["test_accuracy"]["evidence"] == "csim"
    for figure in point["figures"].values():
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert figure["unit"]


def test_all_evaluated_designs_are_listed(inside: Run, finished: Path) -> None:
    evaluated = {item.id for item in Study.open(finished / "runs" / NAME).evaluated()}
    code, out, _ = inside("front", "--all", "--json")
    assert code == 0
    assert {point["id"] for point in json.loads(out)["front"]} == evaluated


def test_a_lost_network_is_trained_again_to_the_same_integers(inside: Run, finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "runs"
    shutil.copytree(finished / "runs", copy)
    study = Study.open(copy / NAME)
    item = study.front()[-1]
    folder = study.model_folder(item.id)
    before = DeployedNetwork.load(folder / "network.npz")
    shutil.rmtree(folder)
    with open_engine(1) as engine:
        study.restore_models(study.front(), engine)
    after = DeployedNetwork.load(folder / "network.npz")
    for name, own in before.integers.items():
        assert np.array_equal(own.weight, after.integers[name].weight)
        assert own.output == after.integers[name].output


def test_show_accepts_a_prefix_and_tells_a_wrong_id(inside: Run, finished: Path) -> None:
    item = Study.open(finished / "runs" / NAME).front()[0]
    code, out, _ = inside("show", item.id[:6])
    assert code == 0
    assert item.id in out
    assert "energy_uj" in out
    assert json.loads(inside("show", item.id, "--json")[1])["verification"]["level"] == "csim"
    code, _, err = inside("show", "zzzz")
    assert code == 2
    assert "no evaluated design 'zzzz'. List them with `codesign front --all`" in err


def test_export_and_verify_one_design(inside: Run, finished: Path) -> None:
    item = Study.open(finished / "runs" / NAME).front()[-1]
    code, out, _ = inside("export", item.id, "--hls-out", "other", "--json")
    assert code == 0
    folder = Path(json.loads(out)["exported"][item.id])
    assert folder == Path("other") / NAME / item.id
    assert (folder / "manifest.json").is_file()
    code, out, err = inside("verify", item.id, "--json")
    assert code == 0, err
    assert json.loads(out)["points"][0]["id"] == item.id
    for arguments in (["export"], ["verify"], ["export", item.id, "--front"]):
        code, _, err = inside(*arguments)
        assert code == 2
        assert "name one design, or give --front" in err


def test_an_unwritable_export_folder_is_told(inside: Run, finished: Path) -> None:
    item = Study.open(finished / "runs" / NAME).front()[-1]
    (finished / "blocked").write_text("a file")
    code, _, err = inside("export", item.id, "--hls-out", "blocked")
    assert code == 2
    assert "blocked" in err


def test_a_damaged_network_is_told(inside: Run, finished: Path, tmp_path: Path) -> None:
    study = Study.open(finished / "runs" / NAME)
    item = study.front()[-1]
    copy = tmp_path / "runs"
    shutil.copytree(finished / "runs", copy)
    (copy / NAME / "models" / item.id / "network.npz").write_bytes(b"rubbish")
    code, _, err = inside("export", item.id, "--runs", str(copy), "--study", NAME)
    assert code == 2
    assert "not a readable network file" in err


def test_a_mismatch_ends_with_6_and_names_the_design(inside: Run, finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "runs"
    shutil.copytree(finished / "runs", copy)
    study = Study.open(copy / NAME)
    item = study.front()[0]
    result = study.store.verifications("csim")[item.id]
    study.store.record_verification(item.id, "csim", result | {"samples_exact": result["samples"] - 1, "first_diverging_layer": "head"})
    study.store.close()
    code, _, err = inside("run", "study.toml", "--no-verify", "--runs", str(copy))
    assert code == 6
    assert item.id in err
    assert "differ from the quantised model" in err


def test_the_report_has_all_three_forms(inside: Run, finished: Path) -> None:
    code, out, _ = inside("report", "--json")
    assert code == 0
    html = Path(json.loads(out)["report"])
    text = html.read_text()
    study = Study.open(finished / "runs" / NAME)
    document = json.loads(html.with_name("report.json").read_text())
    assert {item["design"]["id"] for item in document["front"]} == {item.id for item in study.front()}
    assert all(item["csim"]["samples_exact"] == 1.0 for item in document["front"])
    assert document["provenance"]["study_hash"] == study.specification.hash
    assert document["counts"]["priced"] > 0
    for item in study.front():
        assert item.id in text
    assert "# " in html.with_name("report.md").read_text()


def test_another_study_under_the_same_name_is_refused(inside: Run, finished: Path) -> None:
    (finished / "changed.toml").write_text((finished / "study.toml").read_text().replace("seed = 1", "seed = 2"))
    code, _, err = inside("run", "changed.toml")
    assert code == 2
    assert "holds results of another version of study" in err
    assert "Give the changed study another name" in err


def test_every_blueprint_and_template_goes_the_whole_way(run: Run, tmp_path: Path) -> None:
    text = study_text("digits", "arty-a7-100t", ("streaming", "pe_array"))
    replacements = [("evaluations = 24", "evaluations = 6"), ("initial = 8 ", "initial = 6 "), ("accuracy = 0.7 ", "accuracy = 0.1 ")]
    for old, new in [
        *replacements,
        ('blueprints = ["mlp"]', 'blueprints = ["mlp", "dscnn", "tcresnet"]'),
        ("[training]", "[training]\nepochs = 2\nquantised_epochs = 1"),
    ]:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "study.toml").write_text(text)
    code, out, err = run("run", "study.toml", "--jobs", "2", "--json")
    assert code == 0, err
    front = json.loads(out)["front"]
    assert front
    for point in front:
        assert point["verification"]["samples_exact"] == point["verification"]["samples"] == 461
    study = Study.open(tmp_path / "runs" / "digits-arty-a7-100t-streaming-pe_array")
    points = [item.design.point for item in study.evaluated()]
    assert len({point["blueprint"] for point in points}) >= 2
    assert len({point["template"] for point in points}) == 2
