"""Synthesis: what reaches the tools, what is kept, what is told. Most tests run stand-ins for Yosys and nextpnr."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from codesign import toolchain
from codesign.accelerator.device import Family
from codesign.errors import EvaluationError, InputError, ToolMissingError
from codesign.estimate import Evidence
from codesign.verify.place_route import read_report
from codesign.verify.synthesis import SynthesisResult, synthesise
from codesign.verify.tool_log import warnings_in
from tests.verify.synthesis_golden import DEFINES, PARAMETERS, SOURCES, golden

YOSYS = """
import json, pathlib, sys
here = pathlib.Path({here!r})
if "--version" in sys.argv:
    print((here / "version").read_text())
    raise SystemExit
script = pathlib.Path(sys.argv[sys.argv.index("-s") + 1]).read_text()
with (here / "scripts").open("a") as stream:
    stream.write(script + "--\\n")
print("Warning: a latch\\nWarning: a latch")
if (here / "error").exists():
    print("ERROR: " + (here / "error").read_text())
    raise SystemExit(1)
stat = json.loads((here / "golden.json").read_text())["stat"]
pathlib.Path("cells.json").write_text(json.dumps(stat["ecp5" if "ecp5" in script else "series7" if "xc7" in script else "ultrascale_plus"]))
if "write_json" in script:
    pathlib.Path("netlist.json").write_text("{{}}")
"""
NEXTPNR = """
import json, pathlib, sys
here = pathlib.Path({here!r})
if "--version" in sys.argv:
    sys.stderr.write("nextpnr-ecp5 -- (Version 0.9)\\n")
    raise SystemExit
with (here / "placed").open("a") as stream:
    stream.write(" ".join(sys.argv[1:]) + "\\n")
pathlib.Path(sys.argv[sys.argv.index("--json") + 1]).read_text()
report = json.loads((here / "golden.json").read_text())["report"]
pathlib.Path(sys.argv[sys.argv.index("--report") + 1]).write_text(json.dumps(report))
print("Warning: Max frequency for clock 'clk': 70.00 MHz (FAIL at 100.00 MHz)\\nWarning: a port")
"""


class Bench:
    """A design in a folder, and programs that stand in for the tools."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        (folder / "golden.json").write_text(json.dumps(golden()))
        self.version("Yosys 0.99")
        for variable, text in (("CODESIGN_YOSYS", YOSYS), ("CODESIGN_NEXTPNR_ECP5", NEXTPNR)):
            program = folder / variable.lower()
            program.write_text(f"#!{sys.executable}\n" + text.format(here=str(folder)))
            program.chmod(0o755)
            monkeypatch.setenv(variable, str(program))
        self.source = folder / "design.v"
        self.source.write_text("module design; endmodule\n")
        self.log = folder / "logs" / "design.log"
        self.messages: list[str] = []

    def version(self, text: str) -> None:
        (self.folder / "version").write_text(text)

    def run(self, parameters: dict[str, int] | None = None, family: Family = Family.SERIES7, **options: Any) -> SynthesisResult:
        sources = options.pop("sources", [self.source])
        where = {"cache": self.folder / "cache", "log": self.log, "progress": self.messages.append}
        return synthesise(sources, "design", parameters or {}, family, **where, **options)

    @property
    def scripts(self) -> list[str]:
        path = self.folder / "scripts"
        return path.read_text().split("--\n")[:-1] if path.exists() else []

    @property
    def placed(self) -> list[str]:
        path = self.folder / "placed"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_counts_cells_and_where_they_come_from(bench: Bench) -> None:
    found = bench.run({"LANES": 4})
    assert (found.top, found.family, found.tool, found.warnings, found.cached) == ("design", Family.SERIES7, "Yosys 0.99", ("a latch",), False)
    assert (found.resources.lut, found.resources.bram18, found.cells["RAMB36E1"]) == (45, 2, 1)
    assert (found.evidence, found.placement, found.fmax_mhz) == (Evidence.SYNTHESIS, None, None)
    assert found.seconds > 0
    document = json.loads(json.dumps(found.as_dict()))
    assert (document["family"], document["dsp"], document["tool"], "place_route" in document) == ("series7", 4, "Yosys 0.99", False)
    assert "a latch" in bench.log.read_text()
    assert bench.messages == ["design(LANES=4) for series7: Yosys 0.99"]


def test_the_script_of_each_family(bench: Bench) -> None:
    header = bench.folder / "header.vh"
    header.write_text("")
    other = bench.folder / "other.sv"
    other.write_text("")
    sources = [header, other, bench.source]
    for family in Family:
        bench.run({"ROWS": 8, "BITS": 0}, family, sources=sources, defines=("FAST", "WIDTH=4"))
    head = "read_verilog -sv -defer -I. -D FAST -D WIDTH=4 other.sv design.v\nhierarchy -top design -chparam BITS 0 -chparam ROWS 8\n"
    assert bench.scripts == [
        head + f"{command} -top design\ntee -q -o cells.json stat -json\n"
        for command in (
            "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
            "synth_xilinx -family xcup -flatten -noiopad -noclkbuf",
            "synth_ecp5 -nowidelut",
        )
    ]


def test_the_same_content_is_synthesised_once(bench: Bench) -> None:
    first = bench.run({"A": 1, "B": 2})
    again = bench.run({"B": 2, "A": 1})
    assert (first.cached, again.cached, len(bench.scripts)) == (False, True, 1)
    assert (again.resources, again.cells, again.seconds, again.warnings) == (first.resources, first.cells, first.seconds, first.warnings)
    assert bench.messages[-1] == "design(A=1, B=2) for series7: cached"


def test_any_other_content_is_synthesised_anew(bench: Bench) -> None:
    bench.run({"A": 1})
    runs = 1
    for change in (
        lambda: bench.run({"A": 2}),
        lambda: bench.run({"A": 1}, Family.ULTRASCALE_PLUS),
        lambda: bench.run({"A": 1}, defines=("FAST",)),
        lambda: (bench.source.write_text("module design; wire a; endmodule\n"), bench.run({"A": 1}))[1],
        lambda: (bench.version("Yosys 0.99.1"), bench.run({"A": 1}))[1],
    ):
        assert not change().cached
        runs += 1
        assert len(bench.scripts) == runs
    assert bench.run({"A": 1}).cached


def test_order_of_sources_is_content(bench: Bench) -> None:
    other = bench.folder / "other.v"
    other.write_text("")
    bench.run(sources=[bench.source, other])
    assert not bench.run(sources=[other, bench.source]).cached


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-20],
        lambda text: text.replace('"LUT2": 24', '"LUT2": -24'),
        lambda text: text.replace('"LUT2": 24', '"LUT2": 24.5'),
        lambda text: text.replace('"key": "', '"key": "0'),
        lambda text: text.replace('"seconds"', '"minutes"'),
    ],
)
def test_a_damaged_entry_is_made_anew(bench: Bench, damage: Any) -> None:
    bench.run()
    (entry,) = (bench.folder / "cache").iterdir()
    text = entry.read_text()
    assert damage(text) != text
    entry.write_text(damage(text))
    found = bench.run()
    assert (found.cached, found.resources.lut, len(bench.scripts)) == (False, 45, 2)
    assert bench.run().cached


def test_place_and_route_adds_frequency_and_sites(bench: Bench) -> None:
    found = bench.run({}, Family.ECP5, place_and_route=True)
    assert (found.evidence, found.resources.lut, found.cached) == (Evidence.PLACE_ROUTE, 212, False)
    assert found.fmax_mhz == pytest.approx(71.2707, abs=1e-4)
    assert found.placement is not None
    assert (found.placement.clocks_mhz.keys(), found.placement.warnings) == ({"clk"}, ("a port",))
    assert (found.placement.used["TRELLIS_COMB"], found.placement.available["TRELLIS_COMB"]) == (218, 83640)
    document = json.loads(json.dumps(found.as_dict()))["place_route"]
    assert (document["fmax_mhz"], document["tool"]) == (found.fmax_mhz, "nextpnr-ecp5 -- (Version 0.9)")
    (arguments,) = bench.placed
    assert arguments.startswith("--85k --package CABGA381 --speed 6 --lpf-allow-unconstrained --timing-allow-fail --freq 100 --seed 1 --json netlist.json")
    assert bench.log.with_name("design-nextpnr.log").is_file()
    assert bench.run({}, Family.ECP5, place_and_route=True) == SynthesisResult(**{**vars(found), "cached": True})
    assert bench.run({}, Family.ECP5).cached
    assert len(bench.scripts) == len(bench.placed) == 1


def test_place_and_route_of_a_cached_synthesis(bench: Bench) -> None:
    bench.run({}, Family.ECP5)
    assert not bench.run({}, Family.ECP5, place_and_route=True).cached
    assert (len(bench.scripts), len(bench.placed)) == (2, 1)
    with pytest.raises(InputError, match="synthesis of design for series7: no open place and route for series7"):
        bench.run({}, Family.SERIES7, place_and_route=True)


@pytest.mark.parametrize("text", ["", "{}", '{"fmax": {"clk": 3}, "utilization": {}}', '{"fmax": {}, "utilization": {"A": {"used": 1}}}'])
def test_reports_that_are_none_are_told(text: str) -> None:
    with pytest.raises(EvaluationError, match="x: the report of nextpnr-ecp5 has no readable fmax and utilization"):
        read_report(text, where="x")


def test_the_slowest_clock_counts_and_none_is_none(bench: Bench) -> None:
    document = golden()
    document["report"]["fmax"] = {"a": {"achieved": 90.0, "constraint": 100}, "$glbnet$b": {"achieved": 80.5, "constraint": 100}}
    (bench.folder / "golden.json").write_text(json.dumps(document))
    assert bench.run({}, Family.ECP5, place_and_route=True).fmax_mhz == 80.5
    document["report"]["fmax"] = {}
    (bench.folder / "golden.json").write_text(json.dumps(document))
    assert bench.run({"A": 1}, Family.ECP5, place_and_route=True).fmax_mhz is None


@pytest.mark.parametrize(
    ("top", "parameters", "defines", "message"),
    [
        ("design; shell rm", {}, (), "'design; shell rm' is not a Verilog name"),
        ("", {}, (), "'' is not a Verilog name"),
        ("d\n", {}, (), "is not a Verilog name"),
        ("design", {"A B": 1}, (), "'A B' is not a Verilog name"),
        ("design", {"1A": 1}, (), "'1A' is not a Verilog name"),
        ("design", {"A": -1}, (), "parameter A is -1. Use a whole number from 0 to 2147483647"),
        ("design", {"A": 2**31}, (), "parameter A is 2147483648"),
        ("design", {"A": True}, (), "parameter A is True"),
        ("design", {"A": "1; exec"}, (), "parameter A is '1; exec'"),
        ("design", {"A": 1.5}, (), "parameter A is 1.5"),
        ("design", {}, ("A=1 -D B",), "'A=1 -D B' is not a macro. Use NAME or NAME=VALUE"),
    ],
)
def test_names_and_values_are_checked_before_any_tool_runs(bench: Bench, top: str, parameters: Any, defines: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        synthesise([bench.source], top, parameters, Family.ECP5, defines=defines, cache=bench.folder / "cache", log=bench.log)
    assert message in str(caught.value)
    assert bench.scripts == []


def test_files_are_checked(bench: Bench) -> None:
    with pytest.raises(InputError, match=r"gone.v: cannot be read: No such file or directory"):
        bench.run(sources=[bench.folder / "gone.v"])
    with pytest.raises(InputError, match=r"no Verilog source \(\*.v, \*.sv\)"):
        bench.run(sources=[bench.folder / "golden.json"])
    twin = bench.folder / "twin" / "design.v"
    twin.parent.mkdir()
    twin.write_text("")
    with pytest.raises(InputError, match="two files are named design.v"):
        bench.run(sources=[bench.source, twin])
    odd = bench.folder / "a b.v"
    odd.write_text("")
    with pytest.raises(InputError, match="file name 'a b.v'"):
        bench.run(sources=[odd])
    (bench.folder / "cache").write_text("a file")
    with pytest.raises(InputError, match=r"cache: cannot be written: File exists. Choose another cache folder"):
        bench.run()
    assert bench.scripts == []


def test_a_tool_that_fails_is_told_with_its_last_lines(bench: Bench) -> None:
    (bench.folder / "error").write_text("syntax error in design.v")
    with pytest.raises(EvaluationError, match=r"synthesis of design for series7: .* status 1: .*ERROR: syntax error in design.v. See .*design.log"):
        bench.run()
    assert "syntax error" in bench.log.read_text()
    (bench.folder / "error").unlink()
    assert not bench.run().cached


def test_a_missing_tool_names_the_command_that_needs_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_NEXTPNR_ECP5", str(bench.folder / "gone"))
    with pytest.raises(ToolMissingError, match=r"codesign verify --level pnr: CODESIGN_NEXTPNR_ECP5=.*gone is not a program") as caught:
        bench.run({}, Family.ECP5, place_and_route=True)
    assert caught.value.exit_code == 3
    monkeypatch.delenv("CODESIGN_YOSYS")
    monkeypatch.setenv("PATH", str(bench.folder / "empty"))
    monkeypatch.setattr(sys, "executable", str(bench.folder / "bin" / "python"))
    with pytest.raises(ToolMissingError, match=r'codesign verify --level synth: yosys was not found on PATH. .*pip install "codesign\[rtl\]"'):
        bench.run()


def test_a_tool_without_a_version_is_told(bench: Bench) -> None:
    bench.version("")
    with pytest.raises(EvaluationError, match="yosys does not say its version. Point CODESIGN_YOSYS at a program that works"):
        bench.run()


def test_warnings_are_kept_once_and_not_without_end(tmp_path: Path) -> None:
    log = tmp_path / "tool.log"
    log.write_text("".join(f"x.v:1: Warning: number {number % 25}\nnothing\n" for number in range(50)))
    found = warnings_in(log)
    assert (len(found), found[0], found[19], found[20]) == (21, "number 0", "number 19", "5 more in tool.log")


@pytest.mark.yosys
@pytest.mark.slow
@pytest.mark.skipif(
    toolchain.find(toolchain.YOSYS) is None or toolchain.find(toolchain.NEXTPNR_ECP5) is None,
    reason="Yosys or nextpnr-ecp5 is not installed",
)
def test_the_real_tools_give_what_was_recorded(tmp_path: Path) -> None:
    where = {"cache": tmp_path / "cache", "log": tmp_path / "sample.log"}
    found = synthesise(SOURCES, "sample", PARAMETERS, Family.ECP5, defines=DEFINES, place_and_route=True, **where)
    assert (found.resources.dsp, found.resources.bram18) == (4, 2)
    assert found.placement is not None
    assert found.placement.used["MULT18X18D"] == 4
    assert found.fmax_mhz is not None
    if [found.tool, found.placement.tool] == golden()["tools"]:
        assert found.cells == golden()["stat"]["ecp5"]["design"]["num_cells_by_type"]
        assert found.fmax_mhz == pytest.approx(71.2707, abs=1e-4)
    else:
        assert 160 < found.resources.lut < 320
        assert 40 < found.fmax_mhz < 150
    with pytest.raises(EvaluationError, match="NOPE"):
        synthesise(SOURCES, "sample", {"NOPE": 1}, Family.ECP5, **where)
