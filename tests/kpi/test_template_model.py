from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from codesign.accelerator import template
from codesign.accelerator.device import find_device
from codesign.accelerator.template import load_descriptor, templates_folder
from codesign.errors import InputError
from codesign.kpi import template_model
from codesign.kpi.joint_space import JointSpace
from codesign.kpi.template_model import find_template, template_names
from codesign.network.table_builder import TaskShape

DESCRIPTOR = """
name = "{name}"
description = "a template of the tests"
model = "{model}"

[parameters]
clock_mhz = {{ kind = "ordinal", values = [50, 100], unit = "MHz", meaning = "clock" }}

[presets]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of templates in place of the built-in ones."""
    caches = (template_names, find_template, load_descriptor)
    for cached in caches:
        cached.cache_clear()
    for module in (template, template_model):
        monkeypatch.setattr(module, "templates_folder", lambda: tmp_path)
    yield tmp_path
    for cached in caches:
        cached.cache_clear()


def write(folder: Path, name: str, model: str) -> None:
    (folder / name).mkdir()
    (folder / name / "template.toml").write_text(DESCRIPTOR.format(name=name, model=model))


def entry(name: str, value: str = "other.package:MODEL", package: str = "other") -> EntryPoint:
    found = EntryPoint(name, value, template_model.ENTRY_POINTS)
    vars(found)["dist"] = SimpleNamespace(name=package)
    return found


def register(monkeypatch: pytest.MonkeyPatch, *entries: EntryPoint) -> None:
    monkeypatch.setattr(template_model, "entry_points", lambda group: entries)


def test_every_folder_with_a_descriptor_is_a_template() -> None:
    folders = {path.parent.name for path in templates_folder().glob("*/template.toml")}
    assert {"pe_array", "streaming", "systolic_row"} <= folders <= set(template_names())


def test_a_folder_and_a_module_are_all_that_a_template_needs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(template_names()).isdisjoint({"toy", "streaming"})
    template_names.cache_clear()
    toy = SimpleNamespace(name="toy", parameters=lambda device, shape: (load_descriptor("toy").parameter("clock_mhz"),))
    module = ModuleType("codesign.kpi.toy")
    vars(module)["TEMPLATE_MODEL"] = toy
    monkeypatch.setitem(sys.modules, "codesign.kpi.toy", module)
    write(folder, "toy", "codesign.kpi.toy:TEMPLATE_MODEL")
    (folder / "no_template").mkdir()
    assert "toy" in template_names() and "no_template" not in template_names()
    joint = JointSpace.build(TaskShape((8, 8), 10, 5, False), ["mlp"], ["toy"], find_device("pynq-z2"))
    assert joint.space.parameter("toy.clock_mhz").values == (50, 100)


@pytest.mark.parametrize(
    "model",
    ["os:system", "codesign:X", "codesign.kpi.x", "codesign.kpi.x:model", "codesign.kpi..x:X", "codesign.kpi.x:X;import os", "subprocess.codesign.x:RUN", ""],
)
def test_nothing_but_codesigns_own_objects_is_imported(folder: Path, model: str) -> None:
    write(folder, "toy", model)
    with pytest.raises(InputError, match=r"toy.template\.toml: model must be codesign\.<module>:<OBJECT>, got "):
        find_template("toy")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("codesign.kpi.nowhere:TEMPLATE_MODEL", r"toy.template\.toml: model = 'codesign.kpi.nowhere:TEMPLATE_MODEL' cannot be imported: No module named"),
        ("codesign.kpi.memory:TEMPLATE_MODEL", r"toy.template\.toml: .* has no attribute 'TEMPLATE_MODEL'\. Name the module of codesign"),
        ("codesign.kpi.streaming.template:TEMPLATE_MODEL", r"the model of template 'toy' is named 'streaming'\. Give both the same name"),
    ],
)
def test_a_descriptor_that_leads_nowhere_is_told(folder: Path, model: str, message: str) -> None:
    write(folder, "toy", model)
    with pytest.raises(InputError, match=message):
        find_template("toy")


def test_templates_of_other_packages_are_found_and_loaded_when_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, entry("theirs", "codesign.kpi.streaming.template:TEMPLATE_MODEL"))
    assert template_names() == ("theirs",)
    with pytest.raises(InputError, match="the model of template 'theirs' is named 'streaming'"):
        find_template("theirs")


def test_one_name_for_two_templates_is_an_error_that_names_both(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "toy", "codesign.kpi.toy:TEMPLATE_MODEL")
    register(monkeypatch, entry("toy"))
    with pytest.raises(InputError, match=r"two templates are named 'toy': other\.package:MODEL and .*toy\. Rename or uninstall one"):
        template_names()
    register(monkeypatch, entry("theirs"), entry("theirs", "third.package:MODEL"))
    with pytest.raises(InputError, match=r"two templates are named 'theirs': third\.package:MODEL and other\.package:MODEL"):
        template_names()


def test_what_an_older_installation_of_codesign_registered_is_no_clash(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "toy", "codesign.kpi.toy:TEMPLATE_MODEL")
    register(monkeypatch, entry("toy", "codesign.kpi.old:TEMPLATE_MODEL", "codesign"), entry("gone", "codesign.kpi.gone:TEMPLATE_MODEL", "codesign"))
    assert template_names() == ("toy",)


def test_listing_templates_imports_no_model() -> None:
    code = (
        "import sys; from codesign.kpi.template_model import template_names; print(*template_names());"
        "print(*[name for name in sys.modules if name.startswith(('codesign.kpi.pe_array', 'codesign.kpi.streaming', 'codesign.kpi.systolic_row'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, loaded = done.stdout.split("\n")[:2]
    assert "systolic_row" in names.split()
    assert loaded == ""
