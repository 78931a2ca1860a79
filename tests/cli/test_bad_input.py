"""Each wrong input: one clear line with the remedy, the documented exit code, nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from codesign.search.builtin import study_text

Run = Callable[..., tuple[int, str, str]]


def study_file(tmp_path: Path, old: str = "", new: str = "") -> Path:
    text = study_text("digits", "pynq-z2", ("pe_array",))
    assert old in text
    path = tmp_path / "study.toml"
    path.write_text(text.replace(old, new) if old else text)
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 1", "sead = 1", "study.toml: sead: unknown key. Remove it or correct its spelling"),
        ("seed = 1", "seed = 'one'", "study.toml: seed: input should be a valid integer"),
        ("seed = 1", "seed = -1", "seed must be at least 0"),
        ("schema = 1", "schema = 7", "schema 7 are not known"),
        ("latency_us = 20000.0", "latency_us = -5.0", "impossible limit latency_us = -5: it must be positive"),
        ("latency_us = 20000.0", "latency_ms = 5.0", "unknown limit 'latency_ms'; choose from utilisation, accuracy, latency_us"),
        ("utilisation = 0.8 ", "utilisation = 1.8 ", "impossible limit utilisation = 1.8: it is a share of 1"),
        ('device = "pynq-z2"', 'device = "pynq-z9"', "study.toml: device: unknown device 'pynq-z9'. Choose from alveo-u250"),
        ('task = "digits"', 'task = "letters"', "study.toml: task: unknown task 'letters'"),
        ('blueprints = ["mlp"]', 'blueprints = ["vgg"]', "study.toml: blueprints: unknown blueprint 'vgg'. Choose from dscnn, mlp, tcresnet"),
        ('templates = ["pe_array"]', "templates = []", "study.toml: templates: must name at least one"),
        ('name = "ehvi"', 'name = "magic"', "study.toml: strategy.name: unknown strategy 'magic'. Choose from"),
        ('"accuracy", "latency_us", "energy_uj"', '"latency_us", "energy_uj"', "objectives must contain accuracy"),
        ('"accuracy", "latency_us", "energy_uj"', '"accuracy", "speed"', "unknown objective 'speed'; choose from accuracy, latency_us"),
        ("initial = 8 ", "initial = 800 ", "initial (800) must not exceed evaluations (24)"),
        ("[space]", '[space]\n"mlp.hidden_layers" = [9]', "study.toml: space: mlp.hidden_layers = 9 is not in its domain. Choose from"),
        ("[space]", '[space]\n"mlp.depth" = [1]', "study.toml: space: unknown parameter mlp.depth"),
        ("[training]", "[training]\nepochs = 0", "epochs must be at least 1"),
        ('name = "digits-pynq-z2"', 'name = "../up"', "must be lower-case letters, digits, - and _"),
        ("schema = 1", "schema = = 1", "not valid TOML"),
    ],
)
def test_a_wrong_study_file_is_told_by_check_and_run(run: Run, tmp_path: Path, old: str, new: str, message: str) -> None:
    path = study_file(tmp_path, old, new)
    for command in ("check", "run"):
        code, out, err = run(command, str(path))
        assert code == 2, err
        assert message in err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert out == ""
    assert not (tmp_path / "runs").exists()


def test_limits_that_nothing_satisfies_end_with_4_and_name_the_limit(run: Run, tmp_path: Path) -> None:
    path = study_file(tmp_path, "latency_us = 20000.0", "latency_us = 0.001")
    for command in ("check", "run"):
        code, _, err = run(command, str(path))
        assert code == 4
        assert "latency_us rejects 100.0%; the best found is" in err
        assert "Relax that limit" in err


def test_no_study_file_and_no_study(run: Run) -> None:
    assert run("check", "absent.toml")[0] == 2
    code, _, err = run("front")
    assert code == 2
    assert "runs: holds no study. Run one with `codesign run`" in err
    code, _, err = run("status", "--study", "nothing")
    assert code == 2
    assert "nothing: holds no study" in err


def test_init_refuses_to_overwrite_and_unknown_names(run: Run, tmp_path: Path) -> None:
    assert run("init")[0] == 0
    written = (tmp_path / "study.toml").read_text()
    code, _, err = run("init")
    assert code == 2
    assert "study.toml: exists already. Give another name, or --force" in err
    assert (tmp_path / "study.toml").read_text() == written
    assert run("init", "--force")[0] == 0
    for option, value, message in [
        ("--task", "letters", "no built-in study for task 'letters'"),
        ("--device", "pynq-z9", "arguments: device: unknown device 'pynq-z9'"),
        ("--device", 'x"y', "is not a name"),
        ("--template", "tpu", "unknown template 'tpu'"),
    ]:
        code, _, err = run("init", "other.toml", option, value)
        assert (code, message in err) == (2, True), err
    code, _, err = run("init", str(tmp_path / "no" / "folder.toml"))
    assert code == 2
    assert "cannot be written" in err


def test_a_missing_compiler_is_told_before_anything_is_trained(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_GXX", str(tmp_path / "no-g++"))
    code, _, err = run("run", str(study_file(tmp_path)))
    assert code == 3
    assert "no-g++ is not a program. Install it (Debian/Ubuntu: apt-get install g++)" in err
    assert not (tmp_path / "runs").exists()
    assert run("doctor")[0] == 3


def test_a_corrupt_store_is_told_and_left_alone(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "digits-pynq-z2"
    folder.mkdir(parents=True)
    store = folder / "study.sqlite"
    store.write_bytes(b"rubbish" * 1000)
    for arguments in (["run", str(study_file(tmp_path))], ["front"], ["report"]):
        code, _, err = run(*arguments)
        assert code == 7, err
        assert "study.sqlite: cannot be used" in err
        assert "Restore the file from a copy" in err
    assert store.read_bytes() == b"rubbish" * 1000


def test_an_unwritable_folder_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = run("run", str(study_file(tmp_path)), "--runs", str(tmp_path / "file"))
    assert code == 2
    assert "cannot be written" in err
    assert "--runs" in err


def test_no_data_at_the_path_is_told(run: Run, tmp_path: Path) -> None:
    text = study_text("kws", "pynq-z2", ("pe_array",))
    (tmp_path / "kws.toml").write_text(text)
    code, _, err = run("run", "kws.toml", "--data", str(tmp_path / "absent"))
    assert code == 2
    assert "absent" in err
    (tmp_path / "empty").mkdir()
    code, _, err = run("run", "kws.toml", "--data", str(tmp_path / "empty"))
    assert code == 2
    assert "empty" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jobs", "0"], "--jobs: 0 jobs. Give at least 1"),
        (["--cluster", "nonsense://x"], "no Dask scheduler answers"),
        (["--train-on", "tpu"], "unknown training device 'tpu'. Choose from cpu, cuda, auto"),
    ],
)
def test_wrong_options_of_run_are_told(run: Run, tmp_path: Path, arguments: list[str], message: str) -> None:
    code, _, err = run("run", str(study_file(tmp_path)), *arguments)
    assert code == 2
    assert message in err


def test_usage_errors_end_with_2(run: Run) -> None:
    assert run("run", "--no-such-option")[0] == 2
    assert run("no-such-command")[0] == 2
    assert run("show")[0] == 2


def test_a_wrong_option_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    path = str(study_file(tmp_path))
    for arguments in (["--jobs", "0"], ["--cluster", "nonsense://x"], ["--train-on", "tpu"]):
        assert run("run", path, *arguments)[0] == 2
    assert not (tmp_path / "runs").exists()


def test_a_folder_with_any_name_works(run: Run, tmp_path: Path) -> None:
    code, _, err = run("run", str(study_file(tmp_path, "latency_us = 20000.0", "latency_us = 0.001")), "--runs", str(tmp_path / "q?x"))
    assert code == 4, err
    assert (tmp_path / "q?x" / "digits-pynq-z2" / "study.sqlite").is_file()
    assert not (tmp_path / "q").exists()


def test_usage_errors_are_json_too(run: Run) -> None:
    code, out, _ = run("bogus", "--json")
    assert (code, json.loads(out)["error"]["exit_code"]) == (2, 2)


def test_errors_are_json_too(run: Run) -> None:
    code, out, _ = run("front", "--json")
    error = json.loads(out)["error"]
    assert (code, error["exit_code"], error["what"]) == (2, 2, "holds no study")


def test_catalogues_as_json_and_text(run: Run) -> None:
    code, out, err = run("devices", "--json")
    assert code == 0
    assert {"pynq-z2", "arty-a7-100t", "zcu104", "kv260", "alveo-u250", "ecp5-85k"} <= {device["name"] for device in json.loads(out)["devices"]}
    assert "pynq-z2" in err
    assert {task["name"] for task in json.loads(run("tasks", "--json")[1])["tasks"]} >= {"kws", "digits"}
    document = json.loads(run("templates", "--json")[1])
    assert set(document["templates"]) >= {"pe_array", "streaming"}
    assert set(document["strategies"]) >= {"ehvi", "nsga2", "random"}
    assert json.loads(run("doctor", "--json")[1])["tools"]["g++"]
    assert "pynq-z2" in run("devices")[1]
    assert run("devices", "--quiet")[1] == ""


def test_check_prices_a_sample(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("check", str(study_file(tmp_path)), "--json")
    document = json.loads(out)
    assert code == 0
    assert document["size"] > 1e6
    assert 0 < document["feasibility"]["feasible"] <= document["feasibility"]["sampled"]


def test_internal_errors_end_with_1_and_show_their_traceback_on_request(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> tuple[str, ...]:
        raise RuntimeError("a defect")

    monkeypatch.setattr("codesign.accelerator.device.device_names", broken)
    code, _, err = run("devices")
    assert code == 1
    assert "internal error: RuntimeError: a defect" in err
    assert "Traceback" not in err
    assert "Traceback" in run("devices", "-v")[2]


def test_version_is_printed() -> None:
    done = subprocess.run([sys.executable, "-m", "codesign.cli", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("codesign 0.")
