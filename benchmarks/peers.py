"""SCALE-Sim 3, ZigZag and this project's model side by side: the same layers on the same arrays.

    python benchmarks/peers.py --environments FOLDER --rtl BUILDS
    python benchmarks/peers.py --skip scalesim --skip zigzag
    python benchmarks/peers.py --environments FOLDER --check-zigzag

prints Markdown: for each network and array the cycles of each layer by each tool, then seconds per design. FOLDER gets a
virtual environment for each tool (0.5 GB each), made on first use; ``scalesim_run.py`` and ``zigzag_run.py`` beside this
file run there as programs, and their heads say what each tool cannot be told. ``--check-zigzag`` runs ResNet-18 on
ZigZag's own machines and compares with ``tests/golden/peers/zigzag_resnet18.json``; ``--write-golden`` remakes
``tests/golden/peers/scalesim.json``; ``--keep FOLDER`` keeps the other tools' answers for another look at ours.

What the columns mean:

* ours: cycles of the layer in its network, transfers included that are not hidden; what its buffers hold from one layer
  or inference to the next is not moved again, and zero padding is not computed where the model skips it;
* RTL: what the array's Verilog takes for the layer, simulated by Verilator (``peer_rtl.py``);
* ZigZag: computing with the stalls of its memories, and in all; each layer by itself, all operands from external memory and
  back; the best of the loop orders it tries for least latency;
* SCALE-Sim: computing alone on a systolic array of that size with weights (ws), inputs (is) or outputs (os) held in it;
  and the least of the three with the stalls of memory, the layer's first loads left out.

Seconds are processor seconds of one thread; every tool's start and imports are left out. Ours are those of one call for
one design, and per design of one call for many, adds, pooling, energy and resources included. ZigZag's are those of its
search over loop orders, SCALE-Sim's those of a simulation cycle by cycle: three ways to an answer, not one done faster.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from peer_designs import DEVICE, NETWORKS, PRESET, Design, make_design, price
from peer_rtl import RtlCycles, simulate

from codesign.kpi.dataflows import Dataflow, layer_cycles
from codesign.network.layers import LayerTable

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "tests" / "golden" / "peers"
REQUIREMENTS = {"scalesim": ("scalesim==3.0.0", "numpy==1.26.4"), "zigzag": ("zigzag-dse==3.9.1", "six")}
"""What each environment gets. SCALE-Sim fails with numpy 2; ZigZag imports six without asking for it."""
DATAFLOWS = {"os": Dataflow.OUTPUT_STATIONARY, "ws": Dataflow.WEIGHT_STATIONARY, "is": Dataflow.INPUT_STATIONARY}
TOOLS = ("ZigZag", "SCALE-Sim")
"""Columns that hold another tool's cycles in all."""
MANY = 4000
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

Results = list[dict[str, Any]]


@dataclass(frozen=True)
class Answers:
    """What the other tools and the simulated hardware said; empty where one was left out."""

    scalesim: Results
    zigzag: Results
    rtl: dict[str, RtlCycles]

    def of_scalesim(self, design: Design) -> dict[str, dict[str, Any]]:
        """Results of a design by dataflow."""
        return {result["dataflow"]: result for result in self.scalesim if result["name"] == design.name}

    def of_zigzag(self, design: Design) -> dict[str, Any] | None:
        """Result of a design."""
        return next((result for result in self.zigzag if result["name"] == design.name), None)


def tool_python(folder: Path, tool: str, base: str) -> Path:
    """Python of the tool's environment, which is made where it is missing."""
    python = folder / tool / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / tool / ".installed"
    wanted = "\n".join(REQUIREMENTS[tool])
    if not done.is_file() or done.read_text() != wanted:
        print(f"making {folder / tool} with {', '.join(REQUIREMENTS[tool])}", file=sys.stderr)
        run([base, "-m", "venv", "--clear", str(folder / tool)], 600)
        run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS[tool]], 1800)
        done.write_text(wanted)
    return python


def run(command: Sequence[str], timeout_s: float) -> str:
    """Output of a program; its last lines are shown where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False, env=os.environ | ONE_THREAD)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise SystemExit(f"{' '.join(command)}: {problem}") from problem
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def ask(tool: str, designs: Sequence[Design], options: argparse.Namespace) -> Results:
    """Results of one of the other tools for all designs; those kept from an earlier run where there are any."""
    if tool in options.skip:
        return []
    asked = {"repeats": options.repeats, "loop_factors": options.loop_factors, "designs": [design.as_json() for design in designs]}
    kept = options.keep / f"{tool}.json" if options.keep else None
    if kept and kept.is_file():
        old: dict[str, Any] = json.loads(kept.read_text())
        if old["asked"] == asked:
            print(f"{tool}: cycles and seconds of {old['made']}, kept in {kept}", file=sys.stderr)
            return list(old["results"])
    python = tool_python(options.environments, tool, options.python)
    with tempfile.TemporaryDirectory() as scratch:
        question, answer = Path(scratch) / "designs.json", Path(scratch) / "results.json"
        question.write_text(json.dumps(asked))
        run([str(python), str(HERE / f"{tool}_run.py"), str(question), str(answer)], options.timeout)
        results: Results = json.loads(answer.read_text())
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({"asked": asked, "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M}", "results": results}))
    return results


def cycles_by_tool(design: Design, answers: Answers) -> dict[str, list[float]]:
    """Cycles of each layer by column of the table."""
    costs, _ = price(design)
    columns: dict[str, list[float]] = {"MACs": [layer.macs for layer in design.weighted], "ours": costs.layers.cycles[0, design.slots].tolist()}
    zigzag, scalesim = answers.of_zigzag(design), answers.of_scalesim(design)
    if design.name in answers.rtl:
        columns["RTL"] = answers.rtl[design.name].layers
    if zigzag:
        columns |= {"ZigZag computing": zigzag["compute"], "ZigZag": zigzag["total"]}
    if scalesim:
        columns |= {f"SCALE-Sim {name} computing": result["compute"] for name, result in scalesim.items()}
        columns["SCALE-Sim"] = [min(cycles) for cycles in zip(*(result["total"] for result in scalesim.values()), strict=True)]
    return columns


def print_cycles(designs: Sequence[Design], answers: Answers) -> None:
    """One table for each design, a line for each layer; then one of their sums, and of the network with its adds and pooling."""
    sums: dict[str, dict[str, float]] = {}
    for design in designs:
        columns = cycles_by_tool(design, answers)
        header(design.name, "layer", columns)
        for index, layer in enumerate(design.weighted):
            print(cycle_row(layer.name, {name: values[index] for name, values in columns.items()}))
        whole = {"whole network, ours": float(price(design)[0].latency_cycles[0])}
        if design.name in answers.rtl:
            whole["whole network, RTL"] = answers.rtl[design.name].network
        sums[design.name] = {name: sum(values) for name, values in columns.items()} | whole
    header("Sums over the layers", "design", sums[designs[0].name])
    for name, figures in sums.items():
        print(cycle_row(name, figures))


def header(title: str, first: str, columns: Iterable[str]) -> None:
    """Title and head of a table of cycles; each tool's cycles in all are also given over ours."""
    names = [first, *columns, *(f"{tool} / ours" for tool in columns if tool in TOOLS)]
    print(f"\n### {title}\n\n{table_row(names)}\n{table_row(['---'] * len(names))}")


def cycle_row(name: str, figures: dict[str, float]) -> str:
    """A line of such a table."""
    ratios = [f"{cycles / figures['ours']:.2f}" for tool, cycles in figures.items() if tool in TOOLS]
    return table_row([name, *(f"{value:.0f}" for value in figures.values()), *ratios])


def table_row(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def print_seconds(designs: Sequence[Design], answers: Answers, repeats: int) -> None:
    """Mean and standard deviation of the seconds that each tool takes for one design."""
    rows = []
    for design in designs:
        many, single = ([price(design, count)[1] / count for _ in range(repeats + 1)][1:] for count in (MANY, 1))
        timed = {f"ours, {MANY} a call": many, "ours, one a call": single}
        if zigzag := answers.of_zigzag(design):
            timed["ZigZag"] = zigzag["seconds"]
        timed |= {f"SCALE-Sim {name}": result["seconds"] for name, result in answers.of_scalesim(design).items()}
        rows.append(table_row([design.name, *map(mean_and_deviation, timed.values())]))
    print(f"\n### Seconds per design: mean +- standard deviation of {repeats} repeats\n\n{table_row(['design', *timed])}")
    print("\n".join([table_row(["---"] * (1 + len(timed))), *rows]))


def mean_and_deviation(seconds: Sequence[float]) -> str:
    """In a unit that suits them."""
    mean, deviation = statistics.mean(seconds), statistics.stdev(seconds) if len(seconds) > 1 else 0.0
    unit, factor = next((unit, factor) for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)) if mean * factor >= 1 or unit == "us")
    places = max(3 - len(f"{mean * factor:.0f}"), 0)
    return f"{mean * factor:.{places}f} +- {deviation * factor:.{places}f} {unit}"


def machine_noise(runs: int = 20) -> list[float]:
    """Processor seconds of a fixed piece of work, again and again."""
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        sum(number * number for number in range(1_000_000))
        seconds.append(time.process_time() - start)
    return seconds


def check_closed_forms(designs: Sequence[Design], answers: Answers) -> bool:
    """Compare `codesign.kpi.dataflows` with every layer that SCALE-Sim ran; whether all are equal."""
    equal = count = 0
    for design in designs:
        table = LayerTable.from_graphs([design.network])
        for name, result in answers.of_scalesim(design).items():
            cycles = layer_cycles(table, int(design.values["rows"]), int(design.values["columns"]), DATAFLOWS[name])[0, design.slots].tolist()
            equal += sum(a == b for a, b in zip(cycles, result["compute"], strict=True))
            count += len(cycles)
    print(f"\nClosed forms of codesign.kpi.dataflows: equal to SCALE-Sim's computing cycles on {equal} of {count} layer runs.")
    return equal == count


def check_rtl(designs: Sequence[Design], answers: Answers) -> bool:
    """Compare our cycles with the Verilog's; whether all are equal."""
    layers = networks = count = 0
    for design in designs:
        costs, _ = price(design)
        simulated = answers.rtl[design.name]
        layers += sum(a == b for a, b in zip(costs.layers.cycles[0, design.slots].tolist(), simulated.layers, strict=True))
        networks += bool(costs.latency_cycles[0] == simulated.network)
        count += len(simulated.layers)
    print(f"\nOur cycles: equal to the RTL's on {layers} of {count} layers and {networks} of {len(designs)} whole networks.")
    return layers == count and networks == len(designs)


def write_golden(path: Path, designs: Sequence[Design], results: Results) -> None:
    """SCALE-Sim's computing cycles with what is needed to make them again."""
    sizes = ("out_h", "out_w", "in_c", "out_c", "kernel_h", "kernel_w")
    networks: dict[str, Results] = {}
    runs: Results = []
    for design in designs:
        network = design.name.partition(" ")[0]
        networks[network] = [{name: layer[name] for name in ("name", *sizes)} for layer in design.as_json()["layers"]]
        place = {"network": network, "rows": design.values["rows"], "columns": design.values["columns"]}
        runs += [place | {"dataflow": DATAFLOWS[r["dataflow"]].value, "compute": r["compute"]} for r in results if r["name"] == design.name]
    requirements = " ".join(REQUIREMENTS["scalesim"])
    note = f"Computing cycles by SCALE-Sim (MIT licence; {requirements}), {datetime.now(UTC):%Y-%m-%d}. To remake: {REMAKE}"
    lines = [f'"note": {json.dumps(note)}']
    lines += ['"networks": {\n' + ",\n".join(f'  "{name}": [\n    {_lines(rows, "    ")}\n  ]' for name, rows in networks.items()) + "\n}"]
    lines += ['"runs": [\n  ' + _lines(runs, "  ") + "\n]"]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


REMAKE = "python benchmarks/peers.py --environments FOLDER --skip zigzag --arrays 8x8 32x32 6x16 --write-golden tests/golden/peers/scalesim.json"


def _lines(records: Results, indent: str) -> str:
    return f",\n{indent}".join(json.dumps(record) for record in records)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, help="folder for the other tools' virtual environments")
    parser.add_argument("--python", default=sys.executable, help="Python 3.11 or 3.12 that those are made with")
    parser.add_argument("--skip", action="append", default=[], choices=sorted(REQUIREMENTS), help="leave a tool out")
    parser.add_argument("--networks", nargs="+", default=sorted(NETWORKS), choices=sorted(NETWORKS))
    parser.add_argument("--arrays", nargs="+", default=["8x8", "32x32"], metavar="ROWSxCOLUMNS")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--loop-factors", type=int, default=6, help="loops that ZigZag orders at most (lpf_limit): 6 gives up to 720 orders a layer")
    parser.add_argument("--timeout", type=float, default=7200.0, help="seconds for each program")
    parser.add_argument("--keep", type=Path, help="folder for the other tools' answers: asked again only where the question changed")
    parser.add_argument("--rtl", type=Path, help="folder for Verilator's builds: simulate the array's Verilog as well")
    parser.add_argument("--check-zigzag", action="store_true", help="compare with golden figures instead (about 4 minutes)")
    parser.add_argument("--write-golden", type=Path, help="write SCALE-Sim's computing cycles to a file")
    options = parser.parse_args()
    if options.environments is None and set(options.skip) != set(REQUIREMENTS):
        parser.error("say where the other tools' environments go (--environments FOLDER) or leave the tools out (--skip scalesim --skip zigzag)")
    return options


def main() -> int:
    """Ask every tool, print what they say."""
    options = parse()
    if options.check_zigzag:
        python = tool_python(options.environments, "zigzag", options.python)
        print(run([str(python), str(HERE / "zigzag_run.py"), "--golden", str(GOLDEN / "zigzag_resnet18.json")], options.timeout), end="")
        return 0  # differences end the program above
    sizes = [tuple(map(int, array.split("x"))) for array in options.arrays]
    designs = [make_design(network, rows, columns) for network in options.networks for rows, columns in sizes]
    before = machine_noise()
    rtl = {design.name: simulate(design, options.rtl) for design in designs} if options.rtl else {}
    answers = Answers(ask("scalesim", designs, options), ask("zigzag", designs, options), rtl)
    after = machine_noise()
    versions = ", ".join(requirement for tool, needed in REQUIREMENTS.items() if tool not in options.skip for requirement in needed)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{python}, {os.cpu_count()} cores; preset {PRESET} on {DEVICE}; {versions or 'no other tools'}")
    print(f"at most {options.loop_factors} loops for ZigZag to order; a fixed piece of work took", end=" ")
    print(f"{mean_and_deviation(before)} before and {mean_and_deviation(after)} after")
    print_cycles(designs, answers)
    checks = [check_closed_forms(designs, answers)] if answers.scalesim else []
    checks += [check_rtl(designs, answers)] if answers.rtl else []
    print_seconds(designs, answers, options.repeats)
    if options.write_golden:
        write_golden(options.write_golden, designs, answers.scalesim)
    return 0 if all(checks) else 1


if __name__ == "__main__":
    sys.exit(main())
