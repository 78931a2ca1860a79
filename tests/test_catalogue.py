"""Strict records: what is wrong, where, and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign.catalogue import Quantity, load_record, parse_record, record
from codesign.errors import InputError


@record
class Memory:
    size_kib: int
    energy: Quantity
    banks: tuple[int, ...] = ()


GOOD = 'size_kib = 4\nbanks = [1, 2]\n[energy]\nvalue = 1.5\nunit = "pJ"\nsource = "data sheet"\n'


def test_a_good_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "memory.toml"
    path.write_text(GOOD)
    assert load_record(path, Memory) == Memory(size_kib=4, energy=Quantity(value=1.5, unit="pJ", source="data sheet"), banks=(1, 2))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("size_kib = 4", "size_kb = 4", r"memory.toml: size_kb: unknown key. Remove it or correct its spelling; keys at the top level: size_kib"),
        ("size_kib = 4\n", "", r"memory.toml: size_kib: missing key. Add it"),
        ("size_kib = 4", "size_kib = '4'", r"memory.toml: size_kib: input should be a valid integer \(got \"4\"\)"),
        ("size_kib = 4", "size_kib = true", r"memory.toml: size_kib: input should be a valid integer"),
        ('unit = "pJ"\n', "", r"memory.toml: energy.unit: missing key"),
        ('source = "data sheet"', 'source = " "', r"memory.toml: energy: source must not be empty"),
        ("value = 1.5", "value = inf", r"energy.value: inf is not a finite number"),
        ("value = 1.5", "value = 2020-01-01", r"energy.value: a date has no place here"),
        ("size_kib = 4", "size_kib = 4\nsize_kib = 5", r"memory.toml: not valid TOML: Cannot overwrite a value"),
    ],
)
def test_a_bad_file_names_file_key_and_remedy(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "memory.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(InputError, match=message):
        load_record(path, Memory)


def test_missing_and_binary_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent.toml: no such file"):
        load_record(tmp_path / "absent.toml", Memory)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary.toml: cannot be read"):
        load_record(tmp_path / "binary.toml", Memory)


def test_records_are_frozen() -> None:
    memory = parse_record({"size_kib": 1, "energy": {"value": 1.0, "unit": "pJ", "source": "s"}}, Memory, where="test")
    with pytest.raises(AttributeError):
        memory.size_kib = 2  # type: ignore[misc]  # the point of the test
