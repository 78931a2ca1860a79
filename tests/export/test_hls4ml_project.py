"""Exported projects: exact types, golden vectors, manifest, refusals. hls4ml converts, nothing is compiled."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.accelerator.hls_plan import HlsPlan
from codesign.errors import InputError
from codesign.export import hls4ml_project
from codesign.export.dataflow_estimate import estimate_dataflow
from codesign.export.hls4ml_layers import hls_layers
from codesign.export.hls4ml_project import check_conversion, convert, export_project
from codesign.export.manifest import load_manifest
from codesign.network.deployed import DeployedNetwork
from codesign.network.layers import LayerGraph

PART = "xc7z020clg400-1"
SAMPLES = np.random.default_rng(3).integers(0, 32, (5, 8, 8)).astype(np.uint8)
Plans = Callable[..., HlsPlan]


def export(network: DeployedNetwork, plan: HlsPlan, folder: Path, **changes: Any) -> Path:
    arguments: dict[str, Any] = {"part": PART, "samples": SAMPLES, "provenance": {"study": "abc", "seed": 7}} | changes
    return export_project(network, plan, folder, **arguments)


def write_hardware(_deployed: DeployedNetwork, folder: Path, samples: np.ndarray) -> str:
    """A stand-in for the writer of a template's hardware."""
    (folder / "own").mkdir()
    (folder / "own" / "top.v").write_text(f"// {len(samples)} samples\n")
    return "own"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("io_type", ["io_stream", "io_parallel"])
@pytest.mark.parametrize("strategy", ["latency", "resource"])
def test_every_type_in_the_sources_is_the_intended_one(
    residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path, io_type: str, strategy: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = export(residual_network, plan_of(residual_network, io_type, strategy), tmp_path / "study" / "design")
    manifest = load_manifest(folder)
    defines = (folder / "firmware" / "defines.h").read_text()
    assert [layer.name for layer in manifest.layers] == [layer.name for layer in residual_network.graph]
    for layer in manifest.layers:
        target = residual_network.format(layer.name)
        assert layer.types["result"].fraction == target.fraction
        for tensor in layer.types.values():
            assert re.search(rf"^typedef .*{re.escape(tensor.type)}.* {tensor.name};$", defines, flags=re.MULTILINE)
        if residual_network.graph[layer.name].weights:
            bits, fraction = residual_network.graph[layer.name].weight_bits, residual_network.integers[layer.name].weight_fraction
            assert layer.types["weight"].type == f"ap_fixed<{bits},{bits - fraction}>"
            assert (layer.strategy, layer.reuse) == (strategy, 1)
    # --json documents go to stdout: a chatty converter must not.
    assert capfd.readouterr().out == ""


def test_the_project_says_where_it_came_from(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path) -> None:
    folder = export(residual_network, plan_of(residual_network), tmp_path / "a1b2")
    manifest = load_manifest(folder)
    assert (manifest.id, manifest.part, manifest.clock_mhz, manifest.backend) == ("a1b2", PART, 100.0, "Vitis")
    assert manifest.provenance == {"study": "abc", "seed": 7}
    assert manifest.versions.keys() == {"python", "codesign", "hls4ml", "torch", "brevitas", "numpy"}
    assert manifest.files["firmware/codesign_net.cpp"] == hashlib.sha256((folder / "firmware" / "codesign_net.cpp").read_bytes()).hexdigest()
    assert manifest.changed_files(folder) == ()
    assert f'set part "{PART}"' in (folder / "project.tcl").read_text()
    assert "set clock_period 10.0" in (folder / "project.tcl").read_text()
    readme = (folder / "README.md").read_text()
    assert "# Design a1b2" in readme and "| branch | conv1d | Conv1D |" in readme and "$" not in readme
    assert np.array_equal(DeployedNetwork.load(folder / "network.npz").run(SAMPLES), residual_network.run(SAMPLES))


def test_golden_vectors_are_the_values_of_the_integers(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path) -> None:
    data = export(residual_network, plan_of(residual_network), tmp_path / "design") / "tb_data"
    features, logits = np.loadtxt(data / "tb_input_features.dat"), np.loadtxt(data / "tb_output_predictions.dat")
    assert np.array_equal(features * 2.0 ** residual_network.format("input").fraction, SAMPLES.reshape(5, 64))
    assert np.array_equal(logits * 2.0 ** residual_network.format("head").fraction, residual_network.run(SAMPLES))


def test_the_test_bench_writes_all_digits(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path) -> None:
    bench = export(residual_network, plan_of(residual_network), tmp_path / "design") / "codesign_net_test.cpp"
    assert "fout.precision(20);" in bench.read_text()


def test_exports_are_reproducible_and_name_no_folder(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path) -> None:
    first = contents(export(residual_network, plan_of(residual_network), tmp_path / "one" / "design"))
    second = contents(export(residual_network, plan_of(residual_network), tmp_path / "two" / "design"))
    assert first == second
    assert not [name for name, data in first.items() if str(tmp_path).encode() in data]


def test_a_stamp_of_digits_leaves_no_trace(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """hls4ml names a build by a random stamp, which YAML writes between quotes where it reads as a number."""
    monkeypatch.setattr("hls4ml.model.graph.uuid.uuid4", lambda: uuid.UUID("12345678-1234-4234-8234-123456781234"))
    digits = contents(export(residual_network, plan_of(residual_network), tmp_path / "digits"))
    assert b"Stamp: csim\n" in digits["hls4ml_config.yml"]


def test_the_project_of_a_shared_array_says_that_it_is_another_architecture(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path) -> None:
    plan = plan_of(residual_network, "io_stream", "resource")
    own = export(residual_network, plan, tmp_path / "own")
    shared = export(residual_network, plan, tmp_path / "shared", template="pe_array")
    other = export(residual_network, plan, tmp_path / "other", template="somebody_elses")
    assert (load_manifest(own).template, load_manifest(own).priced_as_exported) == ("streaming", True)
    assert (load_manifest(shared).template, load_manifest(shared).priced_as_exported) == ("pe_array", False)
    assert load_manifest(other).priced_as_exported is False
    assert "Not the accelerator that was priced" not in (own / "README.md").read_text()
    assert "the template `somebody_elses`: hardware that hls4ml does not build" in (other / "README.md").read_text()
    text = " ".join((shared / "README.md").read_text().split())
    assert "the template `pe_array`: one array of processing elements that all layers share" in text
    assert "C simulation proves the network's arithmetic, every integer of every layer; it says nothing of the priced accelerator" in text
    assert "the RTL of the priced accelerator is not part of this project" in text
    assert "Vitis will report the cycles and resources of this dataflow design" in text
    assert load_manifest(shared).hardware == ""
    written = export(residual_network, plan, tmp_path / "written", template="pe_array", hardware=write_hardware)
    assert load_manifest(written).hardware == "own"
    assert "own/top.v" in load_manifest(written).files
    text_with = " ".join((written / "README.md").read_text().split())
    assert "the Verilog of the priced accelerator lies in `own/`, with a README of its own; `codesign verify written --level rtl` proves it" in text_with
    assert "not part of this project" not in text_with
    for name, figure in estimate_dataflow(residual_network.graph, plan, "xc7z020clg400-1").items():
        assert f"| {figure.value:,.0f}{' cycles' if name.endswith('cycles') else ''} | {figure.low:,.0f} to {figure.high:,.0f} |" in text


def test_a_part_without_a_vitis_flow_is_told(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path) -> None:
    lattice = export(residual_network, plan_of(residual_network), tmp_path / "lattice", part="LFE5U-85F-6BG381C", amd_part=False)
    amd = export(residual_network, plan_of(residual_network), tmp_path / "amd")
    assert (load_manifest(lattice).amd_part, load_manifest(amd).amd_part) == (False, True)
    assert "No AMD tool accepts the part `LFE5U-85F-6BG381C`: this project serves C simulation only." in (lattice / "README.md").read_text()
    assert "No AMD tool" not in (amd / "README.md").read_text()


def test_an_export_replaces_the_project_as_a_whole_but_keeps_the_build(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path) -> None:
    folder = export(residual_network, plan_of(residual_network), tmp_path / "design")
    (folder / "README.md").write_text("old")
    (folder / "csim").mkdir()
    (folder / "csim" / "runner").write_text("program")
    (folder / "csim" / "result.json").write_text("{}")
    export(residual_network, plan_of(residual_network), folder)
    assert "# Design design" in (folder / "README.md").read_text()
    assert (folder / "csim" / "runner").read_text() == "program"
    assert not (folder / "csim" / "result.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["design"]


def test_a_failed_export_leaves_the_old_one(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = export(residual_network, plan_of(residual_network), tmp_path / "design")
    before = contents(folder)

    def fail(*_arguments: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hls4ml_project, "write_readme", fail)
    with pytest.raises(InputError, match=r"design: cannot be written: No space left on device. Free the place"):
        export(residual_network, plan_of(residual_network), folder)
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["design"]


def test_what_codesign_did_not_write_is_kept_unless_forced(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path) -> None:
    folder = export(residual_network, plan_of(residual_network), tmp_path / "design")
    report = folder / "codesign_net_prj" / "solution1" / "csynth.rpt"
    report.parent.mkdir(parents=True)
    report.write_text("an hour of work")
    (folder / "tb_data" / "csim_results.log").write_text("")
    message = r"design: holds 2 files that codesign did not write, such as codesign_net_prj/solution1/csynth.rpt. Move them away, .*--hls-out.*--force"
    with pytest.raises(InputError, match=message):
        export(residual_network, plan_of(residual_network), folder)
    assert report.read_text() == "an hour of work"
    export(residual_network, plan_of(residual_network), folder, force=True)
    assert not report.exists() and load_manifest(folder).changed_files(folder) == ()


def test_a_place_that_cannot_be_written_is_told(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/design: cannot be written: .* choose another output folder") as caught:
        export(residual_network, plan_of(residual_network), tmp_path / "file" / "design")
    assert caught.value.exit_code == 2


def test_an_illegal_reuse_factor_is_refused(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path) -> None:
    plan = plan_of(residual_network, "io_stream", "resource")
    with pytest.raises(InputError, match="layer branch: reuse factor 7 is not legal, hls4ml would take 5"):
        export(residual_network, replace(plan, reuse={**plan.reuse, "branch": 7}), tmp_path / "design")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"io_type": "io_serial"}, "unknown io type 'io_serial'"),
        ({"strategy": "da"}, "unknown strategy 'da'"),
        ({"clock_mhz": 0.0}, "clock of 0.0 MHz"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(
    residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        export(residual_network, replace(plan_of(residual_network), **changes), tmp_path / "design")


@pytest.mark.parametrize("part", ["", "xc7z020; exec rm", "[exec ls]", "part\nset x 1"])
def test_a_part_that_is_no_name_is_refused(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path, part: str) -> None:
    with pytest.raises(InputError, match="is not the name of a part"):
        export(residual_network, plan_of(residual_network), tmp_path / "design", part=part)


def renamed(network: DeployedNetwork, old: str, new: str) -> DeployedNetwork:
    rows = [row | {"name": new} if row["name"] == old else row for row in network.graph.as_rows()]
    integers = {new if name == old else name: own for name, own in network.integers.items()}
    return DeployedNetwork(LayerGraph.from_rows(rows), integers, network.zero_point)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("1st", "'1st' cannot be a name in C"),
        ('x"; system("ls', "cannot be a name in C"),
        ("STEM", "'STEM' appears twice"),
        ("features", "'features' appears twice"),
    ],
)
def test_a_layer_name_that_cannot_be_one_is_refused(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path, name: str, message: str) -> None:
    network = renamed(residual_network, "branch", name)
    with pytest.raises(InputError, match=message):
        export(network, plan_of(network), tmp_path / "design")


def test_provenance_must_be_plain_json(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="provenance: not plain JSON"):
        export(residual_network, plan_of(residual_network), tmp_path / "design", provenance={"when": object()})


def test_changes_by_hls4ml_are_found(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path) -> None:
    plan = plan_of(residual_network)
    layers = hls_layers(residual_network, plan)
    model, _ = convert(layers, plan, part=PART, folder=tmp_path)
    check_conversion(model, layers)
    node = model.graph["stem"]
    node.types["accum_t"].precision.width += 1
    with pytest.raises(InputError, match=r"layer stem: accum type must be fixed<\d+,\d+,TRN,WRAP,0>, hls4ml made it"):
        check_conversion(model, layers)
    node.types["accum_t"].precision.width -= 1
    node.set_attr("strategy", "resource")
    with pytest.raises(InputError, match="layer stem: asked for strategy latency, hls4ml took resource"):
        check_conversion(model, layers)
    node.set_attr("strategy", "latency")
    with pytest.raises(InputError, match="hls4ml added a Conv1D layer branch"):
        check_conversion(model, tuple(layer for layer in layers if layer.name != "branch"))
    del model.graph["branch"]
    with pytest.raises(InputError, match="layer branch: is missing in the converted model"):
        check_conversion(model, layers)
