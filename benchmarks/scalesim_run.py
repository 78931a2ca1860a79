"""Cycles and times of SCALE-Sim 3 for a list of designs. Run by the Python that has scalesim, never by codesign's.

    python scalesim_run.py designs.json results.json

``designs.json`` is written by ``peers.py``: ``{"repeats": 3, "designs": [{"name", "array", "layers"}, ...]}``, its fields
those of ``peer_designs.py``. ``results.json`` gives for each design and dataflow (os, ws, is) the cycles of each layer,
computing alone (``compute``) and with the stalls of memory (``total``), and the processor seconds of each repeat.

What SCALE-Sim cannot be told, and what stands in its place:

* zero padding: maps are as large as the padded ones that the layer reads, ``(out - 1) * stride + kernel``;
* strides that differ between the axes: a series has stride 1 along its height of 1;
* one bus that all memories share: each of its three memories has a port of the bus's width to itself;
* element widths: all elements are bytes.

Its report counts from cycle 0 on: an array that is busy for n cycles shows n - 1.
"""

import contextlib
import csv
import io
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path

from scalesim.scale_sim import scalesim

DATAFLOWS = ("os", "ws", "is")
TOPOLOGY = ("Layer name", "IFMAP Height", "IFMAP Width", "Filter Height", "Filter Width", "Channels", "Num Filter", "Strides", "")
LAYOUT_COLUMNS = 20
CONFIGURATION = """
[general]
run_name = run
[run_presets]
InterfaceBandwidth = USER
UseRamulatorTrace = False
[architecture_presets]
ArrayHeight = {rows}
ArrayWidth = {columns}
IfmapSramSzkB = {activation_kib}
FilterSramSzkB = {weight_kib}
OfmapSramSzkB = {output_kib}
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = {dataflow}
Bandwidth = {words}
ReadRequestBuffer = 64
WriteRequestBuffer = 64
[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = {words}
IfmapSRAMBankNum = 1
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = {words}
FilterSRAMBankNum = 1
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
"""


def topology_row(layer):
    """One layer as a row of a topology file; the maps are as large as what the layer reads of them."""
    height = (layer["out_h"] - 1) * layer["stride_h"] + layer["kernel_h"]
    width = (layer["out_w"] - 1) * layer["stride_w"] + layer["kernel_w"]
    stride = max(layer["stride_h"], layer["stride_w"])
    return [layer["name"], height, width, layer["kernel_h"], layer["kernel_w"], layer["in_c"], layer["out_c"], stride, ""]


def write_files(folder, design, dataflow):
    """The three files of a run: configuration, topology, layout (which must be there though nothing uses it)."""
    array = design["array"]
    kib = {f"{name}_kib": array[f"{name}_buffer_bits"] // 8192 for name in ("activation", "weight", "output")}
    words = array["bus_bits"] // 8
    (folder / "run.cfg").write_text(CONFIGURATION.format(rows=array["rows"], columns=array["columns"], dataflow=dataflow, words=words, **kib))
    with (folder / "topology.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([TOPOLOGY, *map(topology_row, design["layers"])])
    with (folder / "layout.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["layout"], *([layer["name"], *[1] * LAYOUT_COLUMNS, ""] for layer in design["layers"])])


def simulate(design, dataflow):
    """One run: cycles of each layer, computing and in all, and processor seconds."""
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        folder = Path(scratch)
        write_files(folder, design, dataflow)
        start = time.process_time()
        files = {name: str(folder / file) for name, file in (("config", "run.cfg"), ("topology", "topology.csv"), ("layout", "layout.csv"))}
        run = scalesim(save_disk_space=True, verbose=False, input_type_gemm=False, **files)
        run.run_scale(top_path=str(folder))
        seconds = time.process_time() - start
    reports = [layer.get_compute_report_items() for layer in run.runner.single_layer_sim_object_list]
    # Items of a report: cycles with the first loads, cycles with stalls, stalls.
    return [int(report[1] - report[2]) for report in reports], [int(report[1]) for report in reports], seconds


def main():
    """Run every design in every dataflow, ``repeats`` times."""
    warnings.simplefilter("ignore")
    question, answer = map(Path, sys.argv[1:])
    asked = json.loads(question.read_text())
    simulate(asked["designs"][0] | {"layers": asked["designs"][0]["layers"][-1:]}, "os")  # imports and compiles what is compiled on first use
    results = []
    for design in asked["designs"]:
        for dataflow in DATAFLOWS:
            runs = [simulate(design, dataflow) for _ in range(asked["repeats"])]
            results.append({"name": design["name"], "dataflow": dataflow, "compute": runs[0][0], "total": runs[0][1], "seconds": [run[2] for run in runs]})
    answer.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
