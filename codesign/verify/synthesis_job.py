"""One synthesis as data: the files, names and values that go into it, each checked before it reaches a Yosys script."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codesign.accelerator.device import Family
from codesign.errors import InputError

VERILOG = (".v", ".sv")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
DEFINE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(=[A-Za-z0-9_']+)?")
LARGEST = 2**31 - 1
"""Yosys reads a plain number as 32 bits with sign, takes no minus sign, and cuts larger numbers without a word."""
SYNTHESIS: Mapping[Family, str] = {
    Family.SERIES7: "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
    Family.ULTRASCALE_PLUS: "synth_xilinx -family xcup -flatten -noiopad -noclkbuf",
    Family.ECP5: "synth_ecp5 -nowidelut",
}
"""Yosys command for each family; `codesign.verify.synthesis` says why these options."""
STATISTICS, NETLIST = "cells.json", "netlist.json"


@dataclass(frozen=True)
class SynthesisJob:
    """What to synthesise; made by `read`, which checks it.

    Attributes:
        files: bytes by file name, in reading order.
        top: name of the top module.
        parameters: of the top module, by name.
        family: device family.
        defines: macros, ``NAME`` or ``NAME=VALUE``.
    """

    files: Mapping[str, bytes]
    top: str
    parameters: Mapping[str, int]
    family: Family
    defines: tuple[str, ...]

    @classmethod
    def read(cls, sources: Sequence[Path], top: str, parameters: Mapping[str, int], family: Family, defines: Sequence[str]) -> SynthesisJob:
        """Read the files and check every name and value.

        Raises:
            InputError: a file that cannot be read, two of one name, no Verilog among them, or a name or value that is not allowed.
        """
        where = f"synthesis of {top}"
        for name in (top, *parameters):
            _refuse(not IDENTIFIER.fullmatch(name), f"{name!r} is not a Verilog name", where, "Use letters, digits and underscores")
        for name, value in parameters.items():
            wrong = isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST
            _refuse(wrong, f"parameter {name} is {value!r}", where, f"Use a whole number from 0 to {LARGEST}")
        for define in defines:
            _refuse(not DEFINE.fullmatch(define), f"{define!r} is not a macro", where, "Use NAME or NAME=VALUE")
        files: dict[str, bytes] = {}
        for path in sources:
            _refuse(not FILE_NAME.fullmatch(path.name), f"file name {path.name!r}", where, "Use letters, digits, dots, dashes and underscores")
            _refuse(path.name in files, f"two files are named {path.name}", where, "Rename one")
            files[path.name] = _bytes_of(path)
        _refuse(not any(name.endswith(VERILOG) for name in files), "no Verilog source (*.v, *.sv)", where, "Name at least one")
        return cls(files, top, dict(sorted(parameters.items())), family, tuple(defines))

    @property
    def where(self) -> str:
        """Begins error messages."""
        return f"synthesis of {self.top} for {self.family.value}"

    @property
    def title(self) -> str:
        """Top module with its parameters and the family, for progress."""
        values = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{self.top}({values}) for {self.family.value}"

    @property
    def content(self) -> list[object]:
        """JSON value that differs for any two jobs whose results may differ."""
        digests = [[name, hashlib.sha256(data).hexdigest()] for name, data in self.files.items()]
        return [digests, self.top, self.parameters, self.family.value, list(self.defines), self.script()]

    def script(self, *, netlist: bool = False) -> str:
        """Yosys script, to be run in the folder of the files; it writes the cells' counts, and the netlist where asked for."""
        verilog = " ".join(name for name in self.files if name.endswith(VERILOG))
        macros = "".join(f" -D {define}" for define in self.defines)
        values = "".join(f" -chparam {name} {value}" for name, value in self.parameters.items())
        lines = [
            # Deferred: a default value of a parameter that fits no design must not be elaborated.
            f"read_verilog -sv -defer -I.{macros} {verilog}",
            f"hierarchy -top {self.top}{values}",
            f"{SYNTHESIS[self.family]} -top {self.top}",
            f"tee -q -o {STATISTICS} stat -json",
        ]
        return "\n".join([*lines, f"write_json {NETLIST}"] if netlist else lines) + "\n"

    def write(self, folder: Path) -> None:
        """Write the files into an empty folder."""
        for name, data in self.files.items():
            (folder / name).write_bytes(data)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path), remedy="Check the path") from None


def _refuse(wrong: bool, what: str, where: str, remedy: str) -> None:
    if wrong:
        raise InputError(what, where=where, remedy=remedy)
