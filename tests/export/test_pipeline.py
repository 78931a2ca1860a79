"""A project is exported again only where it is not the one asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codesign.accelerator.device import find_device
from codesign.accelerator.hls_plan import HlsPlan
from codesign.errors import InfeasibleError, InputError
from codesign.export import pipeline
from codesign.export.manifest import load_manifest, package_versions
from codesign.export.pe_array_project import HardwareRequest
from codesign.export.pipeline import ProjectRequest, ensure_exported, export_design, project_request
from codesign.network.deployed import NETWORK_FILE, DeployedNetwork
from codesign.search.specification import StudySpecification
from codesign.store.study_store import DONE
from tests.export.test_pe_array_project import VALUES

Draw = Callable[[str, int], DeployedNetwork]


@pytest.fixture
def request_(draw_network: Draw, plan_of: Callable[..., HlsPlan], tmp_path: Path) -> ProjectRequest:
    network = draw_network("mlp", 1)
    network.save(tmp_path / "model" / NETWORK_FILE)
    return ProjectRequest(
        design="a1", model=tmp_path / "model", folder=tmp_path / "hls_out" / "a1", task="digits", data=None, plan=plan_of(network, "io_stream", "resource"),
        part="xc7z020clg400-1", cycles=100, provenance={"study": "s", "seed": 1}, template="pe_array", amd_part=True,
    )  # fmt: skip


def edit(folder: Path) -> Path:
    """A user's edit; it lives as long as the project is not exported again."""
    path = folder / "firmware" / "defines.h"
    path.write_text(path.read_text() + "// edited\n")
    return path


def edited(path: Path) -> bool:
    return path.read_text().endswith("// edited\n")


def test_the_same_design_is_left_as_it_lies_there(request_: ProjectRequest) -> None:
    folder = ensure_exported(request_)
    assert (load_manifest(folder).template, load_manifest(folder).priced_as_exported) == ("pe_array", False)
    path = edit(folder)
    results = folder / "codesign_net_prj" / "csynth.rpt"
    results.parent.mkdir()
    results.write_text("an hour of work")
    assert ensure_exported(request_) == folder
    assert edited(path) and results.exists()
    assert load_manifest(folder).changed_files(folder) == ("firmware/defines.h",)


@pytest.mark.parametrize(
    "changes",
    [
        {"provenance": {"study": "s", "seed": 2}},
        {"part": "xc7a100tcsg324-1"},
        {"template": "streaming"},
        {"amd_part": False},
    ],
)
def test_another_request_is_exported(request_: ProjectRequest, changes: dict[str, Any]) -> None:
    path = edit(ensure_exported(request_))
    ensure_exported(replace(request_, **changes))
    assert not edited(path)


@pytest.mark.parametrize("changes", [{"clock_mhz": 50.0}, {"strategy": "latency"}, {"reuse": 2}])
def test_another_plan_is_exported(request_: ProjectRequest, changes: dict[str, Any]) -> None:
    path = edit(ensure_exported(request_))
    if "reuse" in changes:
        changes = {"reuse": {name: 2 if name == "hidden1" else reuse for name, reuse in request_.plan.reuse.items()}}
    ensure_exported(replace(request_, plan=replace(request_.plan, **changes)))
    assert not edited(path)


def test_another_network_is_exported(request_: ProjectRequest) -> None:
    path = edit(ensure_exported(request_))
    network = DeployedNetwork.load(request_.model / NETWORK_FILE)
    bias = network.integers["head"].bias
    assert bias is not None
    bias[0] += 1
    network.save(request_.model / NETWORK_FILE)
    ensure_exported(request_)
    assert not edited(path)


def test_another_version_of_the_writers_is_exported_again_and_of_others_not(request_: ProjectRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    path = edit(ensure_exported(request_))
    monkeypatch.setattr(pipeline, "package_versions", lambda: package_versions() | {"torch": "99.0", "python": "4.0"})
    ensure_exported(request_)
    assert edited(path)
    monkeypatch.setattr(pipeline, "package_versions", lambda: package_versions() | {"hls4ml": "99.0"})
    ensure_exported(request_)
    assert not edited(path)


def test_a_project_put_aside_by_a_killed_process_counts_as_there(request_: ProjectRequest) -> None:
    folder = ensure_exported(request_)
    path = edit(folder)
    folder.rename(folder.with_name(".a1.old"))
    assert ensure_exported(request_) == folder
    assert edited(path)


def test_foreign_files_stop_an_export_until_it_is_forced(request_: ProjectRequest) -> None:
    folder = export_design(request_)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds 1 file that codesign did not write, such as notes.txt"):
        export_design(request_)
    with pytest.raises(InputError, match="such as notes.txt"):
        ensure_exported(replace(request_, part="xc7a100tcsg324-1"))
    export_design(replace(request_, force=True))
    assert not (folder / "notes.txt").exists()


def test_a_project_without_the_hardware_asked_for_is_exported_again(request_: ProjectRequest) -> None:
    path = edit(ensure_exported(request_))
    hardware = HardwareRequest(VALUES, find_device("pynq-z2"), "a1", 100)
    folder = ensure_exported(replace(request_, hardware=hardware))
    assert not edited(path)
    assert load_manifest(folder).hardware == "pe_array"
    added = folder / "pe_array" / "rtl_sim" / "run.log"
    added.parent.mkdir()
    added.write_text("what verification writes")
    memory = folder / "pe_array" / "memory.bin"
    memory.write_bytes(memory.read_bytes() + b"edited")
    assert ensure_exported(replace(request_, hardware=hardware)) == folder
    assert load_manifest(folder).changed_files(folder) == ("pe_array/memory.bin",)


def test_a_network_that_its_array_cannot_run_leaves_no_project(request_: ProjectRequest) -> None:
    hardware = HardwareRequest(VALUES | {"weight_buffer_kib": 0.03125}, find_device("pynq-z2"), "a1", 100)
    with pytest.raises(InfeasibleError, match="one bank of the weight buffer has 0.03125 KiB, the smallest that would do"):
        export_design(replace(request_, hardware=hardware))
    assert not request_.folder.exists()


@pytest.mark.parametrize(("device", "amd"), [("pynq-z2", True), ("ecp5-85k", False)])
@pytest.mark.parametrize("template", ["pe_array", "streaming"])
def test_a_request_names_template_and_vendor(draw_network: Draw, tmp_path: Path, device: str, amd: bool, template: str) -> None:
    specification = StudySpecification(schema=1, name="s", task="digits", device=device, blueprints=("mlp",), templates=(template,))
    joint = specification.joint_space()
    (point,) = joint.space.points(joint.space.sample(1, np.random.default_rng(0)))
    study: Any = SimpleNamespace(specification=specification, pricing=SimpleNamespace(joint=joint), model_folder=lambda _id: tmp_path)
    kpis = {"latency_cycles": SimpleNamespace(value=12.4, low=12.4, high=13.0)}
    item: Any = SimpleNamespace(id="a1", evaluation=SimpleNamespace(state=DONE), design=SimpleNamespace(point=point, kpis=kpis))
    with pytest.raises(InputError, match="design a1: has no trained network"):
        project_request(study, item, tmp_path, None)
    draw_network("mlp", 1).save(tmp_path / NETWORK_FILE)
    made = project_request(study, item, tmp_path / "hls_out", None, force=True)
    assert (made.template, made.amd_part, made.force) == (template, amd, True)
    assert made.folder == tmp_path / "hls_out" / "s" / "a1"
    assert (made.hardware is not None) == (template == "pe_array")
    if made.hardware is not None:
        assert (made.hardware.device.name, made.hardware.design, made.hardware.cycles, made.hardware.cycles_exact) == (device, "a1", 12, False)
        assert made.hardware.values["rows"] == point["pe_array.rows"]
    assert project_request(study, item, tmp_path, None).force is False
