"""Cycles and times of ZigZag for a list of designs. Run by the Python that has zigzag-dse, never by codesign's.

    python zigzag_run.py designs.json results.json
    python zigzag_run.py --golden zigzag_resnet18.json

``designs.json`` is written by ``peers.py``: ``{"repeats": 3, "loop_factors": 6, "designs": [{"name", "array", "layers"}, ...]}``,
its fields those of ``peer_designs.py``. ``results.json`` gives for each design the cycles of each layer, computing with
the stalls of memory (``compute``) and with the first loads and last stores besides (``total``), and the processor seconds
of each repeat. Of all loop orders that ZigZag tries (``loop_factors``: it merges loops until so many are left) the one
of least latency counts.

With ``--golden`` it estimates ResNet-18 on the machines that come with ZigZag and compares with the figures of that file.

What is told of the shared array: D1 are its columns (input channels), D2 its rows (output channels); one accumulator a
row behind an adder tree; a weight buffer that gives a weight to every unit each cycle, an activation buffer that gives
one input a column, an output buffer; all double buffered where the array is; one external memory, whose one port all
three share. What cannot be said: the latency of a burst; cycles to start a layer or a tile; that partial sums may not
leave the accumulators; that zero padding costs no step; that a depthwise layer uses the diagonal of the array.
"""

import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import zigzag
from zigzag.api import get_hardware_performance_zigzag

EXTERNAL_BITS = 10**10
UNIT_COST = {"r_cost": 1.0, "w_cost": 1.0, "area": 0.0, "latency": 1}
"""Latency is compared, not energy: every access costs one unit."""
BOTH = ["D1", "D2"]
MODELS = Path(zigzag.__file__).parent / "inputs"


def port(name, kind, bits, *allocation):
    """A port that moves up to ``bits`` a cycle, and what for: operand and direction (from or to the higher or lower level)."""
    return {"name": name, "type": kind, "bandwidth_min": bits, "bandwidth_max": bits, "allocation": list(allocation)}


def input_buffer(operand, bits, word, bus, double):
    """A buffer that is filled by the bus and read a word a cycle."""
    ports = [port("r_port_1", "read", word, f"{operand}, tl"), port("w_port_1", "write", bus, f"{operand}, fh")]
    return {"size": bits, **UNIT_COST, "operands": [operand], "ports": ports, "served_dimensions": BOTH, "force_double_buffering": double}


def accelerator(array):
    """The shared array as ZigZag describes accelerators, lowest memory first."""
    rows, columns, bus = array["rows"], array["columns"], array["bus_bits"]
    double = bool(array["double_buffering"])
    sums = array["accumulator_bits"]
    accumulators = [
        port("r_port_1", "read", sums, "O, tl"),
        port("r_port_2", "read", sums, "O, th"),
        port("w_port_1", "write", sums, "O, fh"),
        port("w_port_2", "write", sums, "O, fl"),
    ]
    results = [
        port("r_port_1", "read", rows * sums, "O, tl"),
        port("r_port_2", "read", bus, "O, th"),
        port("w_port_1", "write", bus, "O, fh"),
        port("w_port_2", "write", rows * sums, "O, fl"),
    ]
    every = [f"{operand}, {way}" for operand in ("I1", "I2") for way in ("fh", "tl")] + [f"O, {way}" for way in ("fh", "tl", "fl", "th")]
    memories = {
        "accumulators": {"size": sums, **UNIT_COST, "operands": ["O"], "ports": accumulators, "served_dimensions": ["D1"]},
        "weights": input_buffer("I2", array["weight_buffer_bits"], rows * columns * array["weight_bits"], bus, double),
        "activations": input_buffer("I1", array["activation_buffer_bits"], columns * array["activation_bits"], bus, double),
        "results": {
            "size": array["output_buffer_bits"],
            **UNIT_COST,
            "operands": ["O"],
            "ports": results,
            "served_dimensions": BOTH,
            "force_double_buffering": double,
        },
        "external": {
            "size": EXTERNAL_BITS,
            **UNIT_COST,
            "operands": ["I1", "I2", "O"],
            "ports": [port("rw_port_1", "read_write", bus, *every)],
            "served_dimensions": BOTH,
        },
    }
    units = {"unit_energy": 1.0, "unit_area": 1.0, "dimensions": BOTH, "sizes": [columns, rows]}
    return {"name": "pe_array", "memories": memories, "operational_array": units}


def mapping(array):
    """Input channels along the columns, output channels along the rows."""
    spatial = {"D1": [f"C, {array['columns']}"], "D2": [f"K, {array['rows']}"]}
    return [{"name": "default", "spatial_mapping": spatial, "memory_operand_links": {"O": "O", "W": "I2", "I": "I1"}}]


def workload(layer, array):
    """One layer; a dense one is a convolution of one position."""
    sizes = {"B": 1, "K": "out_c", "G": 1, "OX": "out_w", "OY": "out_h", "C": "in_c", "FX": "kernel_w", "FY": "kernel_h"}
    return {
        "id": 0,
        "name": layer["name"],
        "operator_type": "Conv",
        "equation": "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]",
        "loop_dims": list(sizes),
        "loop_sizes": [layer[size] if isinstance(size, str) else size for size in sizes.values()],
        "dimension_relations": [f"ix={layer['stride_w']}*ox+1*fx", f"iy={layer['stride_h']}*oy+1*fy"],
        "operand_precision": {"W": array["weight_bits"], "I": array["activation_bits"], "O": array["accumulator_bits"], "O_final": array["activation_bits"]},
        "operand_source": {"W": 0},
        "pr_loop_dims": ["IX", "IY"],
        "pr_loop_sizes": [layer["in_w"], layer["in_h"]],
        "padding": [[layer["pad_w"], beyond(layer, "w")], [layer["pad_h"], beyond(layer, "h")]],
    }


def beyond(layer, axis):
    """Zero padding that the kernel reads behind the last input."""
    read = (layer[f"out_{axis}"] - 1) * layer[f"stride_{axis}"] + layer[f"kernel_{axis}"]
    return max(read - layer[f"pad_{axis}"] - layer[f"in_{axis}"], 0)


def estimate(work, machine, spatial, folder, loop_factors):
    """Cycles of each layer and processor seconds of the call; ZigZag takes its descriptions as files."""
    start = time.process_time()
    _, _, found = get_hardware_performance_zigzag(
        work, str(machine), str(spatial), opt="latency", lpf_limit=loop_factors, dump_folder=str(folder / "out"), loma_show_progress_bar=False
    )
    seconds = time.process_time() - start
    return [cost for cost, _ in found[0][1]], seconds


def estimate_design(design, loop_factors):
    """Layers of one design, one after the other: cycles computing, cycles in all, seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        machine, spatial = folder / "accelerator.yaml", folder / "mapping.yaml"
        machine.write_text(json.dumps(accelerator(design["array"])))  # JSON is YAML
        spatial.write_text(json.dumps(mapping(design["array"])))
        runs = [estimate([workload(layer, design["array"])], machine, spatial, folder, loop_factors) for layer in design["layers"]]
    costs = [layer_costs[0] for layer_costs, _ in runs]
    return [cost.latency_total0 for cost in costs], [cost.latency_total2 for cost in costs], sum(seconds for _, seconds in runs)


def run_designs(question, answer):
    """Estimate every design ``repeats`` times."""
    asked = json.loads(question.read_text())
    results = []
    for design in asked["designs"]:
        runs = [estimate_design(design, asked["loop_factors"]) for _ in range(asked["repeats"])]
        results.append({"name": design["name"], "compute": runs[0][0], "total": runs[0][1], "seconds": [run[2] for run in runs]})
    answer.write_text(json.dumps(results))


def check_golden(golden):
    """Compare ResNet-18 on ZigZag's own machines with figures made before; the number of machines that differ."""
    differing = 0
    figures = {"lat": "latency_total2", "lat0": "latency_total0", "lat1": "latency_total1", "ideal": "ideal_cycle"}
    for name, expected in json.loads(golden.read_text())["machines"].items():
        files = MODELS / "hardware" / f"{name}.yaml", MODELS / "mapping" / f"{name}.yaml"
        with tempfile.TemporaryDirectory() as scratch:
            costs, seconds = estimate(str(MODELS / "workload" / "resnet18.onnx"), *files, Path(scratch), expected["loop_factors"])
        made = {cost.layer.name: [getattr(cost, attribute) for attribute in figures.values()] for cost in costs}
        wrong = [layer for layer, values in expected["layers"].items() if made.get(layer) != values]
        differing += bool(wrong)
        print(f"{name}: {len(expected['layers']) - len(wrong)} of {len(expected['layers'])} layers the same; {seconds:.0f} s; differing: {wrong}")
    return differing


def main():
    """Run designs, or compare with golden figures."""
    logging.disable(logging.WARNING)
    os.environ.setdefault("MPLBACKEND", "Agg")
    first, second = sys.argv[1:]
    if first == "--golden":
        return check_golden(Path(second))
    run_designs(Path(first), Path(second))
    return 0


if __name__ == "__main__":
    sys.exit(main())
