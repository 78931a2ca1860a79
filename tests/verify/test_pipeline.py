"""Verification of a design takes the project as it lies there, and says where to look when that fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codesign.accelerator.hls_plan import HlsPlan
from codesign.errors import EvaluationError
from codesign.export.pipeline import ProjectRequest
from codesign.network.blueprints.blueprint import find_blueprint
from codesign.network.builder import build, extract
from codesign.network.tasks.registry import load_task
from codesign.network.training import TrainedNetwork, save_trained
from codesign.search.engine import Outcome
from codesign.space.design_space import DesignSpace
from codesign.verify import pipeline
from codesign.verify.pipeline import verify_design, verify_designs
from tests.verify.test_csim import narrow


@pytest.fixture
def request_(plan_of: Callable[..., HlsPlan], tmp_path: Path) -> ProjectRequest:
    """An untrained Brevitas network as a design."""
    record, found = load_task("digits").record, find_blueprint("mlp")
    space = DesignSpace(found.parameters)
    model = build(found.table(space, space.sample(1, np.random.default_rng(3)), record.shape).graph(0), record)
    deployed = extract(model)
    save_trained(TrainedNetwork(deployed, model, 0.1, 0.1, 0.1, 1, 1.0), tmp_path / "model")
    return ProjectRequest(
        design="a1", model=tmp_path / "model", folder=tmp_path / "hls_out" / "s" / "a1", task="digits", data=None, plan=plan_of(deployed, "io_parallel"),
        part="xc7z020clg400-1", cycles=100, provenance={"study": "s"}, template="pe_array", amd_part=True,
    )  # fmt: skip


@pytest.mark.gxx
def test_an_edited_project_is_verified_as_it_is_and_the_edit_named(request_: ProjectRequest) -> None:
    first = verify_design(request_)
    assert first["samples_exact"] == first["samples"] == len(load_task("digits").test.samples)
    results = request_.folder / "codesign_net_prj" / "csynth.rpt"
    results.parent.mkdir()
    results.write_text("an hour of work")
    narrow(request_.folder, "head_accum_t")
    second = verify_design(request_)
    assert second["samples_exact"] < second["samples"] and second["first_diverging_layer"] == "head"
    found = json.loads((request_.folder / "csim" / "divergence.json").read_text())
    assert found["changed_files"] == ["firmware/defines.h"]
    assert "changed since the export: firmware/defines.h" in found["summary"]
    assert results.read_text() == "an hour of work"


class FailingEngine:
    """No design can be simulated."""

    def run(self, _function: object, requests: list[ProjectRequest], **_more: object) -> Any:
        yield from (Outcome(position, None, "g++ ended with status 1.") for position in range(len(requests)))


def test_designs_that_cannot_be_simulated_are_told_with_their_logs(request_: ProjectRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.toolchain, "require", lambda *_arguments, **_named: Path("g++"))
    monkeypatch.setattr(pipeline, "project_request", lambda *_arguments: request_)
    study: Any = SimpleNamespace(specification=SimpleNamespace(name="s"))
    item: Any = SimpleNamespace(design=SimpleNamespace(kpis={"macs": SimpleNamespace(value=1.0)}))
    heard: list[str] = []
    with pytest.raises(EvaluationError) as caught:
        verify_designs(study, [item, item], FailingEngine(), Path("hls_out"), listen=lambda progress: heard.append(progress.message))
    assert str(caught.value) == (
        "study s: 2 of 2 designs could not be simulated; the first: a1: g++ ended with status 1. "
        f"Its build logs lie in {request_.folder}/csim/; `codesign export` writes a project anew"
    )
    assert heard == ["a1: g++ ended with status 1."] * 2
