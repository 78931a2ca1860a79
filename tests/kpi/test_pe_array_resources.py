"""Resources of the array: against synthesis runs that the fit never saw, and what must hold of any."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign import toolchain
from codesign.accelerator.array_parameters import ArrayParameters
from codesign.accelerator.device import Family
from codesign.kpi.pe_array_resources import ArraySizes, address_bits, array_resources, registers, resource_errors
from codesign.validation.pe_array_synthesis import (
    Synthesised,
    array_sources,
    fit_prices,
    load_synthesised,
    prices_toml,
    sizes_of,
    source_digest,
    validation_page,
)
from codesign.verify.synthesis import synthesise

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "pe_array_synthesis.json"
FITTED = (Family.SERIES7, Family.ECP5)
HELD_OUT = 30


@cache
def held_out(family: Family) -> tuple[Synthesised, ...]:
    return tuple(row for row in load_synthesised(GOLDEN) if row.family is family and row.held_out)


def sizes(**changes: float) -> ArraySizes:
    known = {"rows": 8, "columns": 8, "weight_bits": 8, "activation_bits": 8, "accumulator_bits": 32, "bus_bits": 64}
    known |= {"weight_words": 1024, "activation_words": 2048, "output_words": 2048} | changes
    return ArraySizes(**{name: np.array([float(value)]) for name, value in known.items()})


def test_the_golden_runs_are_of_this_verilog() -> None:
    digests = {row.digest for row in load_synthesised(GOLDEN)}
    assert digests == {source_digest()}, "the Verilog has changed: python tools/fit_pe_array.py --collect, then --write"


def test_the_prices_and_the_page_are_what_the_fit_writes() -> None:
    fits = fit_prices(load_synthesised(GOLDEN))
    assert (ROOT / "codesign/data/coefficients/pe_array_resources.toml").read_text() == prices_toml(fits)
    assert (ROOT / "docs/validation-pe-array.md").read_text() == validation_page(fits)


@pytest.mark.parametrize("family", FITTED)
@pytest.mark.parametrize("resource", ["lut", "ff"])
def test_arrays_left_out_of_the_fit_are_predicted(family: Family, resource: str) -> None:
    rows = held_out(family)
    assert len(rows) >= HELD_OUT
    found = np.array([getattr(row, resource) for row in rows])
    errors = np.abs(getattr(array_resources(sizes_of(rows), family), resource) / found - 1.0)
    assert np.median(errors) <= 0.03
    assert errors.max() <= 0.10


@pytest.mark.parametrize("family", list(Family))
def test_multipliers_and_memories_are_counted_exactly(family: Family) -> None:
    rows = [row for row in load_synthesised(GOLDEN) if row.family is family]
    found = array_resources(sizes_of(rows), family)
    assert found.dsp.tolist() == [row.dsp for row in rows]
    assert np.mean(found.bram18 == [row.bram18 for row in rows]) >= 0.95


@pytest.mark.parametrize("family", list(Family))
def test_stated_errors_cover_the_arrays_left_out(family: Family) -> None:
    rows = held_out(family)
    stated = resource_errors(family)
    for resource in ("lut", "ff", "bram18"):
        found = np.array([getattr(row, resource) for row in rows])
        errors = np.abs(getattr(array_resources(sizes_of(rows), family), resource) / found - 1.0)
        assert np.mean(errors <= stated[resource] + 1e-3) >= 0.9


def test_registers_of_an_ecp5_are_those_of_the_verilog() -> None:
    # No DSP block of the ECP5 takes registers: what Yosys leaves is what the Verilog declares, but for the coding of its state machines.
    rows = [row for row in load_synthesised(GOLDEN) if row.family is Family.ECP5]
    assert np.abs(registers(sizes_of(rows)) - [row.ff for row in rows]).max() <= 30


def test_narrow_multipliers_are_built_from_luts_on_amd_devices_only() -> None:
    narrow = sizes(weight_bits=2, activation_bits=4, accumulator_bits=24)
    assert [array_resources(narrow, family).dsp[0] for family in (Family.SERIES7, Family.ULTRASCALE_PLUS, Family.ECP5)] == [0, 0, 64]


def test_memories_are_cut_as_the_hardware_cuts_them() -> None:
    # 512 bits of weights are 8 slices of the 64-bit port, 1024 x 64 bits each: 4 blocks. One lane group of 64 bits, 2048 words: 8 blocks, twice.
    assert array_resources(sizes(), Family.SERIES7).bram18[0] == 8 * 4 + 8 + 8


@settings(deadline=None)
@given(st.integers(1, 32), st.integers(1, 32), st.integers(2, 8), st.integers(2, 8), st.integers(1, 3), st.integers(1, 3), st.sampled_from(list(Family)))
def test_resources_never_shrink_with_a_larger_array(r: int, c: int, wb: int, ab: int, more_r: int, more_c: int, family: Family) -> None:
    def used(rows: int, columns: int, words: int) -> tuple[float, ...]:
        found = array_resources(sizes(rows=rows, columns=columns, weight_bits=wb, activation_bits=ab, accumulator_bits=24, weight_words=words), family)
        return found.lut[0], found.ff[0], found.dsp[0], found.bram18[0]

    # A whole multiple keeps the lanes at least as many.
    small, large, deep = used(r, c, 512), used(r * more_r, c * more_c, 512), used(r, c, 1024)
    assert all(b >= a for a, b in zip(small[:3], large[:3], strict=True))
    assert min(small[0], small[1]) > 0
    assert deep[3] >= small[3] >= 3


def test_address_lines() -> None:
    assert address_bits(np.array([1.0, 2.0, 3.0, 1024.0, 1025.0])).tolist() == [1, 1, 2, 10, 11]


@pytest.mark.yosys
@pytest.mark.slow
@pytest.mark.skipif(toolchain.find(toolchain.YOSYS) is None, reason="Yosys is not installed")
def test_yosys_still_counts_what_was_recorded(tmp_path: Path) -> None:
    row = min((row for row in load_synthesised(GOLDEN) if row.family is Family.ECP5), key=lambda row: row.lut)
    array = ArrayParameters.from_values(row.values)
    found = synthesise(array_sources(), "pe_array", array.verilog, row.family, cache=tmp_path / "cache", log=tmp_path / "yosys.log")
    if found.tool == row.tool:
        assert (found.resources.lut, found.resources.ff, found.resources.dsp, found.resources.bram18) == (row.lut, row.ff, row.dsp, row.bram18)
    else:
        assert (found.resources.dsp, found.resources.bram18) == (row.dsp, row.bram18)
        assert found.resources.lut == pytest.approx(row.lut, rel=0.1)
