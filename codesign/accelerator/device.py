"""FPGA boards: what a device offers, with a source for each number (``data/devices/<name>.toml``)."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from pathlib import Path

from codesign.catalogue import Quantity, load_record, record
from codesign.errors import InputError

DEVICES = Path(__file__).resolve().parents[1] / "data" / "devices"
RESOURCES = ("lut", "ff", "dsp", "bram18", "uram")


class Family(StrEnum):
    """Device families that the resource and power coefficients tell apart."""

    SERIES7 = "series7"
    ULTRASCALE_PLUS = "ultrascale_plus"
    ECP5 = "ecp5"


@record
class Device:
    """One board.

    Attributes:
        name: identifier, equal to the file's name.
        title: board and part in words.
        part: part number as the vendor's tools take it.
        family: which coefficients apply.
        lut, ff, dsp, bram18, uram: what the part has, in counts; ``bram18`` are block memories of 18 kb
            (two to an AMD BRAM36, one to an ECP5 EBR).
        clock_mhz: highest clock that designs are priced at.
        off_chip_gbyte_per_s: peak bandwidth of the external memory.
        off_chip_pj_per_bit: energy of moving one bit to or from it.
        static_w: power of the configured part at rest.
        board_base_w: power of everything else on the board (processor system, regulators, memory), accelerator idle.
        notes: anything else a reader must know.
    """

    name: str
    title: str
    part: str
    family: Family
    lut: Quantity
    ff: Quantity
    dsp: Quantity
    bram18: Quantity
    uram: Quantity
    clock_mhz: Quantity
    off_chip_gbyte_per_s: Quantity
    off_chip_pj_per_bit: Quantity
    static_w: Quantity
    board_base_w: Quantity
    notes: str = ""

    def __post_init__(self) -> None:
        for name in (*RESOURCES, "clock_mhz", "off_chip_gbyte_per_s", "off_chip_pj_per_bit", "static_w", "board_base_w"):
            quantity: Quantity = getattr(self, name)
            if quantity.value < 0 or (quantity.value == 0 and name not in ("uram", "board_base_w")):
                raise ValueError(f"{name} must be positive, got {quantity.value}")

    @property
    def resources(self) -> dict[str, float]:
        """Counts by resource name."""
        return {name: float(getattr(self, name).value) for name in RESOURCES}


@cache
def device_names() -> tuple[str, ...]:
    """All known devices."""
    return tuple(sorted(path.stem for path in DEVICES.glob("*.toml")))


@cache
def find_device(name: str) -> Device:
    """The device of that name.

    Raises:
        InputError: there is none, or its file is not what it must be.
    """
    if name not in device_names():
        raise InputError(f"unknown device {name!r}", remedy=f"Choose from {', '.join(device_names())}")
    path = DEVICES / f"{name}.toml"
    device = load_record(path, Device)
    if device.name != name:
        raise InputError(f"device is named {device.name!r}", where=str(path), remedy=f"Name it {name!r}, like its file")
    return device
