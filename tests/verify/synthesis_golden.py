"""The recorded synthesis of ``golden/synthesis/sample.v``; ``python -m tests.verify.synthesis_golden`` records it anew."""

from __future__ import annotations

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from codesign import toolchain
from codesign.accelerator.device import Family
from codesign.verify import place_route
from codesign.verify.synthesis_job import NETLIST, STATISTICS, SynthesisJob

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "synthesis"
SOURCES = [FOLDER / "sample.v", FOLDER / "sample.vh"]
PARAMETERS = {"LANES": 4}
DEFINES = ("ACCUMULATE",)
RECORD = FOLDER / "sample.json"


def golden() -> dict[str, Any]:
    """What the tools said."""
    document: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return document


def record() -> None:
    """Run Yosys for each family and nextpnr-ecp5, and write the record."""
    statistics = {}
    yosys, nextpnr = (toolchain.prepare(tool, needed_for="the golden file") for tool in (toolchain.YOSYS, toolchain.NEXTPNR_ECP5))
    with TemporaryDirectory() as scratch:
        work = Path(scratch)
        for family in Family:
            job = SynthesisJob.read(SOURCES, "sample", PARAMETERS, family, DEFINES)
            job.write(work)
            (work / "synthesis.ys").write_text(job.script(netlist=family is Family.ECP5), encoding="utf-8")
            toolchain.run([str(yosys), "-s", "synthesis.ys"], log=work / f"{family.value}.log", where="golden", cwd=work)
            said = json.loads((work / STATISTICS).read_text(encoding="utf-8"))
            statistics[family.value] = {"creator": said["creator"].partition(",")[0], "design": said["design"]}
        command = [str(nextpnr), *place_route.ARGUMENTS, "--json", NETLIST, "--report", "report.json"]
        toolchain.run(command, log=work / "nextpnr.log", where="golden", cwd=work)
        report = json.loads((work / "report.json").read_text(encoding="utf-8"))
        total = next(line for line in (work / "nextpnr.log").read_text(encoding="utf-8").splitlines() if "Total LUT4s:" in line)
    document = {
        "note": "What Yosys (stat -json, whole design) and nextpnr-ecp5 (report without paths; line of the log) say of sample.v with LANES=4 and ACCUMULATE. "
        "To remake: python -m tests.verify.synthesis_golden",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "tools": [toolchain.version(toolchain.YOSYS), toolchain.version(toolchain.NEXTPNR_ECP5)],
        "stat": statistics,
        "report": {"fmax": report["fmax"], "utilization": report["utilization"]},
        "nextpnr_log": total,
    }
    RECORD.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
