"""What `codesign show` says of a design on a `pe_array`: schedule, memories, ASIC estimate."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from codesign.cli.array_view import CYCLE_HEADS, TILE_HEADS, array_document, cycle_rows, tile_rows
from codesign.search.study import Study
from tests.cli.conftest import Run
from tests.search import evidence_study

STREAMED: dict[str, tuple[int, ...]] = {
    "pe_array.weight_buffer_kib": (4, 256), "pe_array.activation_buffer_kib": (1, 64), "pe_array.output_buffer_kib": (1, 64),
    "pe_array.weight_bits": (8,), "pe_array.activation_bits": (8,), "pe_array.rows": (4, 8), "pe_array.columns": (4, 8),
}  # fmt: skip


def study_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **changes: Any) -> Study:
    """A study under ``runs`` of random designs, whether they can run or not."""
    monkeypatch.setattr(evidence_study, "SPECIFICATION", replace(evidence_study.SPECIFICATION, **changes))
    return evidence_study.evaluated_study(tmp_path / "runs")


@pytest.fixture
def convolutions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Study:
    """Convolutional networks on small and on large buffers."""
    return study_of(monkeypatch, tmp_path, blueprints=("dscnn",), space=STREAMED)


def shown(run: Run, identifier: str) -> dict[str, Any]:
    code, out, err = run("show", identifier, "--json")
    assert code == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


def test_show_tells_the_schedule_the_memories_and_the_estimate(run: Run, convolutions: Study) -> None:
    kept = set()
    for item in convolutions.evaluated():
        whole = shown(run, item.id)
        document = whole["array"]
        if "error" in document:
            continue
        layers = document["layers"]
        assert [row["name"] for row in layers] == [layer["name"] for layer in whole["layers"][1:]]
        assert document["cycles"] == item.design.kpis["latency_cycles"].value
        assert 0 < document["cycles"] - sum(row["cycles"] for row in layers) < document["cycles"]
        assert document["external_bytes"] == item.design.kpis["off_chip_bytes"].value
        for row in layers:
            assert row["cycles"] == row["compute_cycles"] + row["stall_cycles"]
            assert 0 < row["utilisation"] < 1 and 1 <= row["group_tile"] <= row["groups"] and 1 <= row["row_tile"] <= row["rows"]
            assert row["phases"] >= row["tiles"] * row["runs"]
        for own in document["buffers"].values():
            assert own["reads"] > 0 and 0 < own["peak_words"] <= own["words"]
            assert own["peak_kib"] == own["peak_words"] * own["word_bits"] / 8192 <= own["kib"]
        assert (document["buffers"]["weight"]["writes"] > 0) is not document["weights_resident"]
        for figures in (document["asic"]["area_um2"], document["asic"]["energy_pj"]):
            assert figures["total"] == pytest.approx(sum(value for name, value in figures.items() if name != "total"))
        kept.add((document["weights_resident"], document["maps_resident"]))
    assert len(kept) > 1


def test_the_words_say_what_the_document_holds(run: Run, convolutions: Study) -> None:
    runnable = [item for item in convolutions.evaluated() if "error" not in shown(run, item.id)["array"]]
    for item in runnable[:3]:
        document = array_document(convolutions, item.design.point)
        code, out, _ = run("show", item.id)
        assert code == 0
        assert f"weights {'stay in their buffer' if document['weights_resident'] else 'are streamed'}" in out
        assert f"feature maps {'stay in their buffer' if document['maps_resident'] else 'are streamed'}" in out
        assert "as an ASIC (45 nm at 0.9 V, LSTP memories, LPDDR4" in out
        assert ("to begin and to load the input: " in out) is document["maps_resident"] is not ("to begin: " in out)
        assert f"in all: {document['cycles']:,.0f} cycles, " in out
        lines = [line.split() for line in out.splitlines()]
        for heads, rows in ((TILE_HEADS, tile_rows(document)), (CYCLE_HEADS, cycle_rows(document))):
            for row in rows:
                assert len(row) == len(heads)
                assert " ".join(row).split() in lines


def test_maps_that_stay_take_what_is_held_at_the_worst_moment(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A chain holds a layer's input and output, however far apart in the buffer they lie."""
    study = study_of(monkeypatch, tmp_path)
    seen = 0
    for item in study.evaluated():
        whole = shown(run, item.id)
        if whole["array"].get("maps_resident"):
            columns = whole["parameters"]["pe_array.columns"]
            words = [-(-layer["out_h"] * layer["out_w"] * layer["out_c"] // columns) for layer in whole["layers"][:-1]]
            held = max([words[0], words[-1], *(one + two for one, two in pairwise(words))])
            assert whole["array"]["buffers"]["activation"]["peak_words"] == held
            seen += 1
    assert seen > 3


def test_a_design_that_cannot_run_says_why(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small = STREAMED | {"pe_array.weight_buffer_kib": (2,), "pe_array.rows": (32,), "pe_array.columns": (32,)}
    study = study_of(monkeypatch, tmp_path, blueprints=("dscnn",), space=small)
    item = study.evaluated()[0]
    assert "weight buffer" in shown(run, item.id)["array"]["error"]
    code, out, _ = run("show", item.id)
    assert code == 0
    assert "no schedule: " in out and "as an ASIC" not in out


def test_other_templates_have_no_array(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    study = study_of(monkeypatch, tmp_path, templates=("streaming",))
    item = study.evaluated()[0]
    assert shown(run, item.id)["array"] is None
    assert "as an ASIC" not in run("show", item.id)[1]
