"""What the commands say of a study that chooses fidelities."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codesign.search.study import Study
from tests.cli.conftest import call_main
from tests.search.fidelity_study import Trainings, begin


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one study."""
    folder = tmp_path_factory.mktemp("fidelity") / "runs"
    study = begin(folder)
    study.search(Trainings())
    study.store.close()
    return folder


def test_status_says_what_each_fidelity_cost(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call_main(["status", "--runs", str(runs), "--json"]) == 0
    printed = capsys.readouterr()
    counts = Study.open(runs / "study").fidelity_counts()
    spent = sum(count.cost for count in counts)
    assert f"{spent:.1f} of 12 full trainings spent" in printed.err
    assert f"short: {counts[0].done} done, 0 failed, worth {counts[0].cost:.1f} full trainings" in printed.err
    document = json.loads(printed.out)
    assert [(row["name"], row["done"]) for row in document["fidelities"]] == [(count.name, count.done) for count in counts]


def test_all_designs_show_how_they_were_trained(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = Study.open(runs / "study")
    assert call_main(["front", "--all", "--runs", str(runs), "--json"]) == 0
    points = json.loads(capsys.readouterr().out)["front"]
    assert {point["id"]: point["training"] for point in points} == {item.id: item.training for item in (*study.evaluated(), *study.briefly_evaluated())}
    assert {"short", "full"} <= {point["training"] for point in points}
    assert call_main(["front", "--runs", str(runs), "--json"]) == 0
    assert "short" not in {point["training"] for point in json.loads(capsys.readouterr().out)["front"]}


def test_a_briefly_trained_design_is_shown_as_such_and_not_exported(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = Study.open(runs / "study").briefly_evaluated()[0]
    assert call_main(["show", item.id, "--runs", str(runs), "--json"]) == 0
    printed = capsys.readouterr()
    assert f"design {item.id}, short, evaluation done" in printed.err
    document = json.loads(printed.out)
    assert document["training"] == "short"
    assert document["figures"]["accuracy"]["source"].startswith("validation split, short training")
    assert call_main(["export", item.id, "--runs", str(runs)]) == 2
    assert "was trained briefly only, and has no network" in capsys.readouterr().err
