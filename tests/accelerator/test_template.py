from __future__ import annotations

from pathlib import Path

import pytest

from codesign.accelerator import template
from codesign.accelerator.template import Descriptor, load_descriptor, templates_folder
from codesign.catalogue import parse_record, read_toml
from codesign.errors import InputError
from codesign.space.parameters import Half, ParameterKind


@pytest.mark.parametrize("name", ["pe_array", "streaming", "systolic_row"])
def test_descriptors_load_and_have_a_readme(name: str) -> None:
    descriptor = load_descriptor(name)
    assert descriptor.parameters and descriptor.presets
    assert (templates_folder() / name / "README.md").is_file()
    for short, parameter in descriptor.parameters.items():
        made = descriptor.parameter(short)
        assert made.name == f"{name}.{short}"
        assert made.half is Half.ACCELERATOR
        assert parameter.meaning and parameter.unit


def test_a_parameter_can_be_made_over_fewer_values() -> None:
    rows = load_descriptor("pe_array").parameter("rows", (4, 8))
    assert rows.values == (4, 8)
    assert rows.kind is ParameterKind.ORDINAL


def test_the_ultratrail_preset_is_an_eight_by_eight_array_at_250_khz() -> None:
    values = load_descriptor("pe_array").preset("ultratrail").values
    assert (values["rows"], values["columns"], values["clock_mhz"]) == (8, 8, 0.25)


def test_unknown_preset_and_unknown_template_are_input_errors() -> None:
    with pytest.raises(InputError, match=r"template pe_array: unknown preset 'big'\. Choose from ultratrail"):
        load_descriptor("pe_array").preset("big")
    with pytest.raises(InputError, match="no such file"):
        load_descriptor("systolic")


def test_a_preset_of_an_unknown_parameter_is_refused() -> None:
    data = read_toml(templates_folder() / "streaming" / "template.toml")
    data["presets"]["compact"]["values"]["colour"] = 1
    with pytest.raises(InputError, match="preset compact names the unknown parameter colour"):
        parse_record(data, Descriptor, where="template.toml")


@pytest.mark.parametrize("model", ["os:system", "codesign.kpi.memory:bram18", "codesign.kpi:", "mycodesign.kpi.x:MODEL"])
def test_a_model_outside_codesign_is_refused(model: str) -> None:
    data = read_toml(templates_folder() / "streaming" / "template.toml") | {"model": model}
    with pytest.raises(InputError, match=r"model must be codesign\.<module>:<OBJECT>, got "):
        parse_record(data, Descriptor, where="template.toml")


def test_an_installed_package_carries_its_own_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "_PACKAGE", tmp_path / "codesign")
    assert templates_folder() == tmp_path / "accel_templates"
    installed = tmp_path / "codesign" / "data" / "accel_templates"
    installed.mkdir(parents=True)
    assert templates_folder() == installed
