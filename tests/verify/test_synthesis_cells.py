"""Cells count as the vendors' guides count them, on recorded netlists too."""

from __future__ import annotations

import json
import re

import pytest

from codesign.accelerator.device import Family
from codesign.errors import EvaluationError
from codesign.verify.synthesis import read_cells
from codesign.verify.synthesis_cells import Resources, count_resources
from tests.verify.synthesis_golden import golden

# AMD UG474 v1.9, table "Distributed RAM Configuration": primitive, LUTs.
UG474 = {
    "RAM32X1S": 1,
    "RAM32X1D": 2,
    "RAM32M": 4,
    "RAM64X1S": 1,
    "RAM64X1D": 2,
    "RAM64M": 4,
    "RAM128X1S": 2,
    "RAM128X1D": 4,
    "RAM256X1S": 4,
}


def recorded(family: Family) -> dict[str, int]:
    return read_cells(json.dumps(golden()["stat"][family.value]), where="golden")


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        # 24 LUT2 + 1 LUT5 + 4 LUT6 + 8 SRL16E + 2 RAM32M of four LUTs; one RAMB36 is two RAMB18.
        (Family.SERIES7, Resources(lut=24 + 1 + 4 + 8 + 2 * 4, ff=33, dsp=4, bram18=2)),
        # 115 LUT1 to LUT6 + 8 SRL16E + one RAM32M16 of eight LUTs.
        (Family.ULTRASCALE_PLUS, Resources(lut=115 + 8 + 8, ff=97, dsp=4, bram18=2)),
        # 176 LUT4 + 12 CCU2C of two + 2 DPR16X4 of six; an EBR is one block of 18 kb.
        (Family.ECP5, Resources(lut=176 + 12 * 2 + 2 * 6, ff=277, dsp=4, bram18=2)),
    ],
)
def test_recorded_netlists(family: Family, expected: Resources) -> None:
    assert count_resources(recorded(family), family, where="golden") == expected


def test_ecp5_luts_are_what_nextpnr_counts_in_the_same_netlist() -> None:
    said = re.search(r"Total LUT4s:\s+(\d+)/", golden()["nextpnr_log"])
    assert said is not None
    found = count_resources(recorded(Family.ECP5), Family.ECP5, where="golden")
    assert found.lut == int(said[1])
    used = {kind: figures["used"] for kind, figures in golden()["report"]["utilization"].items()}
    assert (found.ff, found.dsp, found.bram18) == (used["TRELLIS_FF"], used["MULT18X18D"], used["DP16KD"])
    # Ends of carry chains and constants come on top.
    assert found.lut <= used["TRELLIS_COMB"] + 2 * used["TRELLIS_RAMW"] <= 1.08 * found.lut


@pytest.mark.parametrize("family", [Family.SERIES7, Family.ULTRASCALE_PLUS])
@pytest.mark.parametrize(("cell", "luts"), UG474.items())
def test_distributed_memories_count_as_in_the_guide(family: Family, cell: str, luts: int) -> None:
    assert count_resources({cell: 3}, family, where="test") == Resources(lut=3 * luts)


def test_blocks_and_cells_without_size() -> None:
    cells = {"RAMB18E2": 3, "RAMB36E2": 5, "URAM288": 2, "DSP48E2": 7, "CARRY8": 9, "MUXF7": 4, "INV": 1, "FDSE": 2, "LDCE": 1, "$scopeinfo": 8}
    assert count_resources(cells, Family.ULTRASCALE_PLUS, where="test") == Resources(lut=1, ff=3, dsp=7, bram18=13, uram=2)
    assert count_resources({"PFUMX": 4, "L6MUX21": 2}, Family.ECP5, where="test").as_dict() == dict.fromkeys(("lut", "ff", "dsp", "bram18", "uram"), 0)


def test_a_cell_that_is_not_known_is_told() -> None:
    with pytest.raises(EvaluationError, match=r"synthesis of x: the netlist has cells of unknown size: \$_AND_, LUT6. Logic that was not mapped"):
        count_resources({"LUT4": 1, "LUT6": 2, "$_AND_": 1}, Family.ECP5, where="synthesis of x")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"design": {"num_cells_by_type": {"LUT4": "many"}}}', '{"design": {"num_cells_by_type": []}}'])
def test_statistics_that_are_none_are_told(text: str) -> None:
    with pytest.raises(EvaluationError, match="x: the statistics of Yosys have no readable counts of cells"):
        read_cells(text, where="x")
