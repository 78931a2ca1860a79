"""`codesign explain`: one design, the front, a study file; what is wrong told with its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codesign.cli.main import main
from codesign.search.study import Study
from tests.cli.conftest import call_main
from tests.search.explain_study import digits, evaluated_study

STUDY_FILE = """
schema = 1
name = "{name}"
task = "digits"
device = "pynq-z2"
blueprints = ["mlp"]
templates = ["pe_array"]
[limits]
{limits}
[space]
"mlp.hidden_layers" = [0, 1]
"mlp.hidden1_width" = [8, 16]
"pe_array.rows" = [2, 4]
"pe_array.columns" = [2, 4]
"pe_array.clock_mhz" = [100]
"pe_array.bus_bits" = [32]
"pe_array.accumulator_bits" = [32]
"pe_array.weight_bits" = [8]
"pe_array.weight_buffer_kib" = [16]
"pe_array.activation_buffer_kib" = [8]
"pe_array.output_buffer_kib" = [8]
"pe_array.double_buffering" = [0]
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    return evaluated_study(tmp_path / "runs", digits(blueprints=("mlp",)), count=8)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = call_main(["explain", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def study_file(folder: Path, name: str, limits: str) -> str:
    path = folder / f"{name}.toml"
    path.write_text(STUDY_FILE.format(name=name, limits=limits), encoding="utf-8")
    return str(path)


def test_a_design_is_explained(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    identifier = study.evaluated()[0].id
    code, text, _ = run(capsys, identifier[:8], "--no-sensitivity")
    assert code == 0
    assert f"design {identifier} of study explained" in text
    assert "is set by layer " in text
    assert "limits, the nearest first" in text
    assert "marginal prices: one step of one parameter, all else equal" in text
    assert "us/row" in text
    assert "what the objectives depend on" not in text


def test_json_holds_everything_and_agrees_with_the_text(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    identifier = study.evaluated()[1].id
    code, out, err = run(capsys, identifier, "--json")
    document = json.loads(out)
    assert code == 0
    assert document["id"] == identifier
    for line in document["summary"]:
        assert line in err
    first = document["latency"]["layers"][0]
    assert first["cycles"] == max(layer["cycles"] for layer in document["latency"]["layers"])
    assert first["layer"] in document["summary"][0]
    binding = next(limit for limit in document["limits"] if limit["name"] == document["binding"])
    assert binding["load"] == max(limit["load"] for limit in document["limits"] if not limit["fixed"])
    rows = [move for move in document["moves"] if move["parameter"] == "pe_array.rows"]
    for move in rows:
        change = move["objectives"]["latency_us"]
        assert change["per_unit"] == pytest.approx(change["change"] / (move["after"] - move["before"]))
        assert move["feasible"] == (not move["broken"])
    assert rows
    assert {own["objective"] for own in document["sensitivity"]} == {"accuracy", "latency_us", "energy_uj"}
    accuracy = document["sensitivity"][0]
    assert accuracy["predicted"]
    assert {index["name"] for index in accuracy["halves"]} == {"network", "accelerator"}
    assert next(index for index in accuracy["halves"] if index["name"] == "accelerator")["total"] == 0.0
    assert accuracy["relevances"]


def test_all_shows_every_step(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    item = max(study.evaluated(), key=lambda item: len(item.design.point.assignment))
    _, short, _ = run(capsys, item.id, "--no-sensitivity")
    _, whole, _ = run(capsys, item.id, "--no-sensitivity", "--all")
    assert "with less effect: --all" in short
    assert "with less effect: --all" not in whole
    for name, _ in item.design.point.assignment:
        assert name in whole


def test_without_a_design_the_front_is_explained(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--json")
    document = json.loads(out)
    assert code == 0
    assert [own["id"] for own in document["front"]] == [item.id for item in study.front()]
    assert all(own["layer"] and own["binding"] for own in document["front"])
    assert "what the objectives depend on" in err
    assert [own["objective"] for own in document["sensitivity"]] == ["accuracy", "latency_us", "energy_uj"]


def test_a_design_held_against_tighter_limits_is_repaired(study: Study, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    item = study.evaluated()[0]
    limit = 0.8 * item.design.kpis["latency_us"].value
    path = tmp_path / "tight.toml"
    path.write_text(
        f'schema = 1\nname = "tight"\ntask = "digits"\ndevice = "pynq-z2"\nblueprints = ["mlp"]\ntemplates = ["pe_array"]\n[limits]\nlatency_us = {limit}\n',
        encoding="utf-8",
    )
    code, out, err = run(capsys, item.id, "--file", str(path), "--json", "--no-sensitivity")
    document = json.loads(out)
    assert code == 0
    assert document["broken"] == ["latency_us"]
    assert "held against study file tight" in err
    assert "The nearest feasible design changes " in err
    assert document["nearest_feasible"]["after"]["latency_us"] <= 1.0 < document["nearest_feasible"]["before"]["latency_us"]


def test_a_hopeless_study_file_says_what_must_give(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "--file", study_file(tmp_path, "hopeless", "latency_us = 1.0"))
    assert code == 4
    assert "every design of the space was priced: none fits" in out
    assert "relaxing latency_us alone is enough: it is 1 us and must be at least " in out


def test_a_hopeless_study_file_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "--file", study_file(tmp_path, "hopeless", "latency_us = 1.0"), "--json")
    document = json.loads(out)
    assert code == 4
    assert document["feasible"] is None
    assert document["relaxations"][0]["limit"] == "latency_us"
    assert document["relaxations"][0]["needed"] > 1.0
    assert document["whole_space_priced"]


def test_a_study_file_that_something_fits(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "--file", study_file(tmp_path, "easy", "latency_us = 5000.0"))
    assert code == 0
    assert "random designs satisfy every limit" in out


def test_a_study_that_found_nothing_says_what_must_give(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = study_file(tmp_path, "hopeless", "latency_us = 1.0")
    assert call_main(["run", path, "--no-verify"]) == 4
    code, out, _ = run(capsys, "--study", "hopeless")
    assert code == 4
    assert "relaxing latency_us alone is enough" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ffffffffffff",), "no evaluated design 'ffffffffffff'"),
        (("",), "no evaluated design ''"),
        (("--study", "nowhere"), "holds no study"),
        (("--runs", "nowhere"), "holds no study"),
        (("--file", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_what_is_wrong_is_told(study: Study, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert message in err


def test_an_ambiguous_id_is_told(study: Study, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ids = [item.id for item in evaluated_study(tmp_path / "more", digits(blueprints=("mlp",)), count=17).evaluated()]
    shared = next(own[:1] for own in ids if sum(other.startswith(own[:1]) for other in ids) > 1)
    code, _, err = run(capsys, shared, "--runs", "more")
    assert code == 2
    assert f"designs begin with {shared!r}" in err


def test_a_design_outside_the_space_of_the_file(study: Study, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, study.evaluated()[0].id, "--file", study_file(tmp_path, "narrow", "utilisation = 0.8"))
    assert code == 2
    assert "is not in the space of study file narrow" in err


def test_help_needs_no_study(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["explain", "--help"])
    assert end.value.code == 0
    assert "What binds a design" in capsys.readouterr().out
