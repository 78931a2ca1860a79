"""`codesign evidence`: one measured figure into the store, wrong ones told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from codesign.cli import evidence_command
from codesign.cli.output import SETTINGS
from codesign.errors import CodesignError, InputError, StoreError
from codesign.search.study import Study
from codesign.store.lock import exclusive
from tests.cli.conftest import call_main
from tests.search.evidence_study import SPECIFICATION, designs, evaluated_study

OPTIONS = ("--kind", "vendor", "--source", "vitis_hls 2023.2 csynth report")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    return evaluated_study(tmp_path / "runs", count=2)


def call(*arguments: str) -> None:
    app = typer.Typer()
    evidence_command.register(app)
    app(args=list(arguments), standalone_mode=False)


def test_a_figure_is_recorded_and_shown(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    identifier = designs(study)[0].id
    call(identifier[:8], "latency_us", "12.5", *OPTIONS)
    assert f"design {identifier}: latency_us 12.5 us (vendor, vitis_hls 2023.2 csynth report); designs with evidence of it: 1" in capsys.readouterr().out
    item = study.find(identifier)
    assert study.figures(item)["latency_us"].value == 12.5
    assert call_main(["show", identifier, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figures"]["latency_us"]["evidence"] == "vendor"


def test_the_answer_is_json_on_request(study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SETTINGS, "json", True)
    identifier = designs(study)[1].id
    call(identifier, "dsp", "0", *OPTIONS, "--study", SPECIFICATION.name)
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "study": SPECIFICATION.name,
        "id": identifier,
        "kpi": "dsp",
        "value": 0.0,
        "unit": "count",
        "evidence": "vendor",
        "source": "vitis_hls 2023.2 csynth report",
        "designs": 1,
    }


def test_wrong_arguments_are_told(study: Study, tmp_path: Path) -> None:
    identifier = designs(study)[0].id
    with pytest.raises(InputError, match="unknown key figure 'speed'"):
        call(identifier, "speed", "1", *OPTIONS)
    with pytest.raises(InputError, match="'guess' is no kind of evidence"):
        call(identifier, "lut", "1", "--kind", "guess", "--source", "x")
    with pytest.raises(CodesignError, match="holds no study"):
        call(identifier, "lut", "1", *OPTIONS, "--runs", str(tmp_path / "nowhere"))
    assert study.store.evidence() == []


def test_a_running_study_is_left_alone(study: Study) -> None:
    with exclusive(study.folder / "lock"), pytest.raises(StoreError, match="in use by process"):
        call(designs(study)[0].id, "lut", "1", *OPTIONS)
    assert study.store.evidence() == []
