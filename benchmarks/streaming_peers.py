"""codesign's streaming models and rule4ml's published models on the same syntheses.

    python benchmarks/streaming_peers.py hls4ml_points.parquet --rule4ml-python /path/to/python

prints, for each group, stage and KPI, the median absolute percentage error (APE) and the SMAPE of both, and codesign's
SMAPE over rule4ml's. ``/path/to/python`` belongs to an environment of its own with rule4ml in it; it runs
``rule4ml_predict.py`` beside this file. codesign's predictions come from ``codesign validate streaming``, or from
``--codesign PREDICTIONS.parquet``.

Compared are dense networks with io_parallel. What to keep in mind when reading the table:

* rule4ml learned post-synthesis resources; groups of the stage ``hls_estimate`` ask it for another quantity.
* It was trained on wa-hls4ml, from which the groups ``wa-hls4ml-2layer`` and ``wa-hls4ml-3layer`` come (their rows may
  be among those it learned from): networks of two layers and more on one board under Vitis 2023.2 and 2024.2. By
  default every row is asked with that board and one of those versions (``--setting trained``); ``--setting own`` gives
  the row's own board and versions, or the nearest that rule4ml has a code for.
* It knows one width for a whole network: the weights' is given. It knows nothing of zero weights or of the clock.
* The intervals of the two groups above are left out: they repeat the latency, where rule4ml means the interval between
  samples.
* codesign's coefficients were fitted to a part of these rows, unless ``--codesign`` names predictions made otherwise.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

KPIS = ("latency_max", "ii_max", "lut", "ff", "dsp", "bram18")
BOARDS = {"xc7z020": "pynq-z2", "xczu9eg": "zcu102", "xcu200": "alveo-u200", "xcu250": "alveo-u250"}
"""rule4ml's boards by the start of their part; the nearest for other parts is by family."""
NEAREST = {"xc7": "pynq-z2", "xczu": "zcu102"}
TRAINED = {"board": "alveo-u250", "hls4ml_version": "1.1.0", "vivado_version": "2023.2"}
TOOL_VERSIONS = tuple(f"{year}.{half}" for year in range(2019, 2025) for half in (1, 2))
ACTIVATIONS = ("relu", "sigmoid", "tanh", "softmax")
REPEATED_LATENCY = {"wa-hls4ml-2layer", "wa-hls4ml-3layer"}
"""Groups whose recorded interval is the latency on every row."""
UNCERTAIN = "check before use"
"""In the notes of rows of which nobody knows whether network and report belong together."""
LAYER_KINDS = {"Dense": "dense", "dense_config": "dense", "batchnorm_config": "batchnorm", "activ_config": "activation"}

Row = dict[str, Any]
Predictions = dict[str, dict[str, float]]
"""KPIs by the row's id."""


def dense_layers(row: Row) -> list[Row] | None:
    """The layers in ``rule4ml_predict.py``'s notation; None where the network is not a dense one."""
    layers = []
    for record in json.loads(row["network_json"] or "[]"):
        kind = LAYER_KINDS.get(record["kind"])
        if kind == "activation":
            kind = next((name for name in ACTIVATIONS if record["cfg"].startswith(name)), None)
        if kind is None:
            return None
        layer = {"kind": kind}
        if kind == "dense":
            layer |= {key: record[key] for key in ("n_in", "n_out", "reuse_factor") if key in record}
        layers.append(layer)
    return layers if layers and layers[0]["kind"] == "dense" else None


def weight_bits(text: str) -> int:
    """The first number of ``ap_fixed<8,2>``, ``quantized_bits(6,0,alpha=1)`` or ``8 bit (ap_fixed<8,1>)``."""
    found = re.search(r"\d+", text)
    if found is None:
        raise SystemExit(f"no width in the weight precision {text!r}")
    return int(found.group())


def own_setting(row: Row) -> dict[str, str]:
    """Board and versions nearest to the row's."""
    part = row["device_part"] if row["device_part"].startswith("xc") else "xc" + row["device_part"]
    board = next((name for start, name in {**BOARDS, **NEAREST}.items() if part.startswith(start)), TRAINED["board"])
    found = re.search(r"20\d\d\.\d", row["tool_version"])
    version = found.group() if found else ""
    early = row["hls4ml_version"] == "0.8.1" or (not row["hls4ml_version"] and version < "2022")
    return {
        "board": board,
        "hls4ml_version": "0.8.1" if early else "1.1.0",
        "vivado_version": version if version in TOOL_VERSIONS else TOOL_VERSIONS[0],
    }


def select(rows: Sequence[Row], setting: Callable[[Row], dict[str, str]]) -> list[Row]:
    """The rows that rule4ml can express: each with the ``network`` that it is asked about."""
    networks = []
    for row in rows:
        usable = row["success"] == "1" and (row["io_type"] or "").startswith("io_parallel") and UNCERTAIN not in (row["notes"] or "")
        layers = dense_layers(row) if usable else None
        if layers is None:
            continue
        reuse = [layer["reuse_factor"] for layer in layers if "reuse_factor" in layer]  # a table's row has one or the other
        network = {
            "id": row["id"],
            "layers": layers,
            "precision": f"ap_fixed<{weight_bits(row['weight_prec'])}, 1>",
            "reuse_factor": max(reuse) if reuse else int(float(row["reuse_factor"])),
            "strategy": row["strategy"] or "latency",
        }
        networks.append({"row": row, "network": network | setting(row)})
    return networks


def ask_rule4ml(python: Path, networks: Sequence[Row], timeout_s: float) -> Predictions:
    """rule4ml's predictions, made by another Python."""
    with tempfile.TemporaryDirectory() as scratch:
        question, answer = Path(scratch) / "networks.json", Path(scratch) / "predictions.json"
        question.write_text(json.dumps(networks))
        run([str(python), str(Path(__file__).with_name("rule4ml_predict.py")), str(question), str(answer)], timeout_s)
        answers = json.loads(answer.read_text())
    for refused in (entry for entry in answers if "error" in entry):
        print(f"rule4ml refuses row {refused['id']}: {refused['error']}", file=sys.stderr)
    return {entry["id"]: {kpi: entry[kpi] for kpi in KPIS} for entry in answers if "error" not in entry}


def ask_codesign(data: Path, timeout_s: float) -> Predictions:
    """Predictions by codesign of the whole file."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "predictions.parquet"
        run([sys.executable, "-m", "codesign.cli", "validate", "streaming", "--data", str(data), "--out", str(answer)], timeout_s)
        return read_codesign(answer)


def read_codesign(path: Path) -> Predictions:
    """Columns ``id``, ``skipped`` and ``<kpi>_predicted``; skipped rows are left out."""
    rows = pq.read_table(path).to_pylist()
    return {str(row["id"]): {kpi: number(row[f"{kpi}_predicted"]) for kpi in KPIS} for row in rows if not row["skipped"]}


def run(command: list[str], timeout_s: float) -> None:
    """Run a program; its last lines are shown where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise SystemExit(f"{' '.join(command)}: {problem}") from problem
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def number(value: Any) -> float:
    """A figure of the table; not a number where there is none."""
    return math.nan if value is None or value == "" else float(value)


def errors(measured: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Median APE over the rows that measured more than zero, and SMAPE (two zeros agree), both in per cent."""
    size = np.abs(measured) + np.abs(predicted)
    gap = np.abs(measured - predicted)
    positive = measured > 0
    median = float(np.median(gap[positive] / measured[positive])) if positive.any() else math.nan
    return 100 * median, 200 * float(np.mean(np.divide(gap, size, out=np.zeros_like(gap), where=size > 0)))


def compare(rows: Sequence[Row], kpi: str, peer: Predictions, own: Predictions | None) -> str | None:
    """The figures of one line, over the rows for which all have one; None where there is no such row."""
    triples = [(number(row[kpi]), peer[row["id"]][kpi], own[row["id"]][kpi] if own else 0.0) for row in rows]
    figures = np.array([triple for triple in triples if np.isfinite(triple).all()])
    if not figures.size:
        return None
    measured, theirs, ours = figures.T
    peer_ape, peer_smape = errors(measured, theirs)
    own_ape, own_smape = errors(measured, ours) if own else (math.nan, math.nan)
    ratio = own_smape / peer_smape if peer_smape else math.nan
    return f"{len(figures):5} | {peer_ape:11.1f} {peer_smape:6.1f} | {own_ape:12.1f} {own_smape:6.1f} | {ratio:5.2f}"


def report(networks: Sequence[Row], peer: Predictions, own: Predictions | None) -> None:
    """One line for each group, stage and KPI."""
    print(f"{'group':17} {'stage':12} {'KPI':11} {'rows':>5} | {'rule4ml APE':>11} {'SMAPE':>6} | {'codesign APE':>12} {'SMAPE':>6} | {'ratio':>5}")
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in (entry["row"] for entry in networks):
        if row["id"] in peer and (own is None or row["id"] in own):
            grouped.setdefault((row["group"], row["stage"]), []).append(row)
    for (group, stage), rows in sorted(grouped.items()):
        for kpi in KPIS:
            figures = None if kpi == "ii_max" and group in REPEATED_LATENCY else compare(rows, kpi, peer, own)
            if figures:
                print(f"{group:17} {stage:12} {kpi:11} {figures}")


def main() -> int:
    """Select, predict with both, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a table of syntheses")
    parser.add_argument("--rule4ml-python", type=Path, required=True, help="Python of an environment with rule4ml")
    parser.add_argument("--setting", choices=("trained", "own"), default="trained", help="board and versions that rule4ml is told")
    parser.add_argument("--codesign", type=Path, help="predictions made before; default: run `codesign validate streaming`")
    parser.add_argument("--without-codesign", action="store_true", help="print rule4ml's errors alone")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds for each program")
    options = parser.parse_args()
    networks = select(pq.read_table(options.data).to_pylist(), own_setting if options.setting == "own" else lambda _: TRAINED)
    own = None
    if not options.without_codesign:
        own = read_codesign(options.codesign) if options.codesign else ask_codesign(options.data, options.timeout)
    peer = ask_rule4ml(options.rule4ml_python, [entry["network"] for entry in networks], options.timeout)
    report(networks, peer, own)
    return 0


if __name__ == "__main__":
    sys.exit(main())
