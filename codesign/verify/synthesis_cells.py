"""What the cells of a mapped netlist take of a device: look-up tables, flip-flops, multipliers and block memories.

Each primitive counts as the vendor's guide counts it:

- A look-up table of any width is one LUT (Yosys does not put two small ones into one LUT6, as Vivado may), an inverter is one, a carry chain none
  on AMD parts, whose LUTs are cells of their own. The multiplexers that join LUTs are free.
- Distributed memory and shift registers take LUTs [UG474]_ [UG574]_.
- A RAMB36 is two RAMB18 [UG473]_. An ECP5 EBR is one block of 18 kb [TN2204]_.
- On ECP5 a CCU2C is two LUT4 in ripple mode, and a DPR16X4 is six: four that hold the data, two that carry the write port. nextpnr-ecp5 reports the
  same total ("Total LUT4s") before it packs; what it then places ("TRELLIS_COMB") is 3 to 7 % more, for the ends of carry chains.

.. [UG473] AMD, 7 Series FPGAs Memory Resources.
.. [UG474] AMD, 7 Series FPGAs Configurable Logic Block, table "Distributed RAM Configuration".
.. [UG574] AMD, UltraScale Architecture Configurable Logic Block; a SLICEM has eight LUTs.
.. [TN2204] Lattice, FPGA-TN-02204, ECP5 Memory Usage Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from codesign.accelerator.device import Family
from codesign.errors import EvaluationError

SCOPE_NOTE = "$scopeinfo"
"""Yosys keeps the names of flattened modules in cells of this type: no hardware."""


@dataclass(frozen=True)
class Resources:
    """Counts on a device.

    Attributes:
        lut: look-up tables: LUT6 sites on AMD parts, LUT4 on ECP5.
        ff: flip-flops, latches included.
        dsp: DSP48 slices, or MULT18X18D on ECP5.
        bram18: block memories of 18 kb.
        uram: UltraRAM blocks.
    """

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram18: int = 0
    uram: int = 0

    def as_dict(self) -> dict[str, int]:
        """Counts by resource name."""
        return {"lut": self.lut, "ff": self.ff, "dsp": self.dsp, "bram18": self.bram18, "uram": self.uram}


FREE = Resources()
FLIP_FLOP = Resources(ff=1)


def _luts(count: int, *names: str) -> dict[str, Resources]:
    return dict.fromkeys(names, Resources(lut=count))


AMD_CELLS: Mapping[str, Resources] = {
    **_luts(1, "LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6", "LUT6_2", "INV", "SRL16E", "SRLC16E", "SRLC32E", "CFGLUT5"),
    **_luts(1, "RAM32X1S", "RAM64X1S"),
    **_luts(2, "RAM32X1D", "RAM64X1D", "RAM128X1S", "RAM32X2S"),
    **_luts(4, "RAM32M", "RAM64M", "RAM128X1D", "RAM256X1S"),
    **_luts(8, "RAM256X1D", "RAM512X1S", "RAM32M16", "RAM64M8", "RAM32X16DR8", "RAM64X8SW"),
    **dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "FDCE_1", "FDPE_1", "LDCE", "LDPE"), FLIP_FLOP),
    **dict.fromkeys(("DSP48E1", "DSP48E2"), Resources(dsp=1)),
    **dict.fromkeys(("RAMB18E1", "RAMB18E2"), Resources(bram18=1)),
    **dict.fromkeys(("RAMB36E1", "RAMB36E2"), Resources(bram18=2)),
    "URAM288": Resources(uram=1),
    **dict.fromkeys(("CARRY4", "CARRY8", "MUXF7", "MUXF8", "MUXF9", "GND", "VCC", "BUFG", "BUFGCTRL", "BUFHCE", "IBUF", "OBUF", "OBUFT", "IOBUF"), FREE),
}
ECP5_CELLS: Mapping[str, Resources] = {
    **_luts(1, "LUT4"),
    **_luts(2, "CCU2C"),
    **_luts(6, "TRELLIS_DPR16X4"),
    "TRELLIS_FF": FLIP_FLOP,
    "MULT18X18D": Resources(dsp=1),
    **dict.fromkeys(("DP16KD", "PDPW16KD"), Resources(bram18=1)),
    **dict.fromkeys(("PFUMX", "L6MUX21", "GND", "VCC", "VHI", "VLO", "GSR", "SGSR", "PUR", "DCCA", "IB", "OB", "OBZ", "BB", "TRELLIS_IO"), FREE),
}
CELLS: Mapping[Family, Mapping[str, Resources]] = {Family.SERIES7: AMD_CELLS, Family.ULTRASCALE_PLUS: AMD_CELLS, Family.ECP5: ECP5_CELLS}


def count_resources(cells: Mapping[str, int], family: Family, *, where: str) -> Resources:
    """Resources that the cells of a netlist take.

    Args:
        cells: how many of each primitive.
        family: of the device.
        where: begins the error message.

    Raises:
        EvaluationError: a primitive that is not known: leaving it out would make the counts wrong without a word.
    """
    table = CELLS[family]
    unknown = sorted(name for name in cells if name not in table and name != SCOPE_NOTE)
    if unknown:
        raise EvaluationError(
            f"the netlist has cells of unknown size: {', '.join(unknown)}",
            where=where,
            remedy="Logic that was not mapped, or a primitive to add to CELLS in codesign/verify/synthesis_cells.py",
        )
    weighted = [(count, table[name]) for name, count in cells.items() if name != SCOPE_NOTE]
    return Resources(
        lut=sum(count * each.lut for count, each in weighted),
        ff=sum(count * each.ff for count, each in weighted),
        dsp=sum(count * each.dsp for count, each in weighted),
        bram18=sum(count * each.bram18 for count, each in weighted),
        uram=sum(count * each.uram for count, each in weighted),
    )
