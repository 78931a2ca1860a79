"""The manifest is read strictly and notices changed files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codesign.errors import InputError
from codesign.export.manifest import FORMAT, ExportedLayer, Manifest, TensorType, hash_files, listed_files, load_manifest, package_versions


def make(folder: Path) -> Manifest:
    (folder / "firmware").mkdir(parents=True)
    (folder / "firmware" / "defines.h").write_text("typedef ap_fixed<8,4> input_t;\n")
    layer = ExportedLayer(
        name="input", op="input", hls_class="Input", variable="features", elements=4,
        types={"result": TensorType(name="input_t", type="ap_fixed<8,4>", fraction=4)}, strategy="", reuse=0,
    )  # fmt: skip
    manifest = Manifest(
        format=FORMAT, id="x", top="codesign_net", backend="Vitis", part="p", amd_part=True, template="streaming", priced_as_exported=True, hardware="",
        clock_mhz=100.0, io_type="io_stream", strategy="latency",
        layers=(layer,), provenance={"seed": 1}, versions={"python": "3.11"}, files=hash_files(folder),
    )  # fmt: skip
    manifest.save(folder)
    return manifest


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    manifest = make(tmp_path / "x")
    assert load_manifest(tmp_path / "x") == manifest
    assert manifest.layer("input") is manifest.input is manifest.output


def test_changed_added_and_removed_files_are_named(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    (tmp_path / "csim").mkdir()
    (tmp_path / "csim" / "runner").write_text("built later")
    assert manifest.changed_files(tmp_path) == ()
    (tmp_path / "firmware" / "extra.h").write_text("")
    (tmp_path / "firmware" / "defines.h").write_text("typedef ap_fixed<7,4> input_t;\n")
    assert manifest.changed_files(tmp_path) == ("firmware/defines.h", "firmware/extra.h")
    (tmp_path / "firmware" / "defines.h").unlink()
    assert "firmware/defines.h" in manifest.changed_files(tmp_path)


def test_what_tools_add_beside_the_sources_is_no_change(tmp_path: Path) -> None:
    manifest = make(tmp_path)
    (tmp_path / "codesign_net_prj").mkdir()
    (tmp_path / "codesign_net_prj" / "report.rpt").write_text("")
    assert manifest.changed_files(tmp_path) == ()


def test_what_verification_writes_is_no_part_of_the_export(tmp_path: Path) -> None:
    for name in ("csim/runner", "pe_array/rtl_sim/run.log", "pe_array/synthesis/yosys.log", "pe_array/rtl/pe_array.v"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    assert [*hash_files(tmp_path)] == ["pe_array/rtl/pe_array.v"]


def test_the_files_of_an_older_format_are_still_known(tmp_path: Path) -> None:
    make(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 1}))
    assert listed_files(tmp_path) == {"firmware/defines.h"}
    for damaged in ("{", "[]", "{}", '{"files": 3}'):
        path.write_text(damaged)
        assert listed_files(tmp_path) == frozenset()


def test_a_copy_of_the_manifest_is_not_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "manifest.json.orig").write_text("{}")
    (tmp_path / "manifest.json").write_text("{}")
    assert [*hash_files(tmp_path)] == ["manifest.json.orig"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "not a manifest of format 3"),
        ('{"format": 99}', "not a manifest of format 3"),
        ('{"format": 3, "colour": "red"}', "colour: unknown key"),
    ],
)
def test_damage_is_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=message):
        load_manifest(tmp_path)


def test_a_wrong_type_is_told(tmp_path: Path) -> None:
    make(tmp_path)
    document = json.loads((tmp_path / "manifest.json").read_text())
    document["layers"][0]["elements"] = "four"
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"manifest.json: layers.0.elements"):
        load_manifest(tmp_path)


def test_a_folder_without_one_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not an exported project: it has no manifest.json. Export the design again"):
        load_manifest(tmp_path)


def test_versions_of_absent_packages_are_told() -> None:
    assert package_versions(["codesign-no-such-package"])["codesign-no-such-package"] == "not installed"
