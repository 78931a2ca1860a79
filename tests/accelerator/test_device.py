from __future__ import annotations

from pathlib import Path

import pytest

from codesign.accelerator.device import DEVICES, Device, Family, device_names, find_device
from codesign.catalogue import load_record
from codesign.errors import InputError


def test_every_device_loads_and_names_a_source_for_each_number() -> None:
    assert {"pynq-z2", "arty-a7-35t", "arty-a7-100t", "zcu102", "zcu104", "kv260", "alveo-u250", "alveo-u50", "vcu118", "ecp5-85k"} == set(device_names())
    for name in device_names():
        device = find_device(name)
        assert device.name == name
        assert all(device.resources[kind] > 0 for kind in ("lut", "ff", "dsp", "bram18"))
        assert device.static_w.source and device.off_chip_gbyte_per_s.unit == "GB/s"


def test_pynq_z2_has_the_resources_of_an_xc7z020() -> None:
    # AMD DS190, Zynq-7000 overview: 53,200 LUT, 106,400 FF, 220 DSP, 140 BRAM36.
    device = find_device("pynq-z2")
    assert device.resources == {"lut": 53200, "ff": 106400, "dsp": 220, "bram18": 280, "uram": 0}
    assert device.family is Family.SERIES7
    assert device.part == "xc7z020clg400-1"


def test_board_power_at_rest_lies_below_what_was_measured_with_an_accelerator() -> None:
    # MLPerf Tiny: 1.58 to 1.76 W on the PYNQ-Z2.
    device = find_device("pynq-z2")
    assert 1.4 < device.board_base_w.value + device.static_w.value < 1.76


def test_unknown_device_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown device 'pynq-z3'\. Choose from .*pynq-z2"):
        find_device("pynq-z3")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('source = "DDR3, 16 bit x 1050 MT/s"', 'source = ""', r"off_chip_gbyte_per_s.*source must not be empty"),
        ("static_w", "statik_w", r"statik_w: unknown key|static_w: missing key"),
        ("value = 53200", "value = -1", r"lut must be positive, got -1"),
        ('family = "series7"', 'family = "series8"', r"family: .*series7"),
    ],
)
def test_a_wrong_device_file_is_refused_with_file_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (DEVICES / "pynq-z2.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "board.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        load_record(path, Device)
    assert "board.toml" in str(caught.value)
