"""The hardware project of a `pe_array` design: Verilog, programs and weights as a memory image, test bench with golden vectors, tool scripts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.array_parameters import ArrayParameters
from codesign.accelerator.device import Device, Family
from codesign.accelerator.pe_array_program import FIELDS, Instruction
from codesign.accelerator.pe_array_tiling import ArrayShape, memory_latency
from codesign.accelerator.schedule import schedule
from codesign.accelerator.template import templates_folder
from codesign.errors import InfeasibleError, InputError
from codesign.export.pe_array_image import PeArrayImage, encode_program
from codesign.export.pe_array_job import image_runs, job_bytes, output_mask
from codesign.kpi.pe_array_costs import costs
from codesign.network.deployed import DeployedNetwork
from codesign.network.layers import LayerGraph, LayerTable
from codesign.space.parameters import Value

TEMPLATE = "pe_array"
FOLDER = "pe_array"
"""Of the hardware project in the folder of a design."""
TOP = "pe_array"
MEMORY_FILE = "memory.bin"
VIVADO = "vivado -mode batch -source vivado.tcl"
NEXTPNR = "nextpnr-ecp5 --85k --package CABGA381 --json pe_array.json --lpf-allow-unconstrained   # after make synth"
FILES = Path(__file__).with_name("pe_array_files")
SYNTHESIS = {
    Family.SERIES7: "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
    Family.ULTRASCALE_PLUS: "synth_xilinx -family xcup -flatten -noiopad -noclkbuf",
}
ECP5_SYNTHESIS = "synth_ecp5 -nowidelut -json pe_array.json"


@dataclass(frozen=True)
class HardwareRequest:
    """The accelerator of a design.

    Attributes:
        values: template parameters by short name.
        device: board.
        design: id of the design.
        cycles: predicted latency.
        cycles_exact: the prediction has no error: the board's memory keeps up with the array's port, as the test bench's does.
    """

    values: Mapping[str, Value]
    device: Device
    design: str
    cycles: int
    cycles_exact: bool = True


def array_of(values: Mapping[str, Value]) -> ArrayParameters:
    """The array of a design, with its memory's latency at its clock."""
    latency = int(memory_latency(np.array([[float(values["clock_mhz"])]]))[0, 0])
    return ArrayParameters.from_values(values, latency=latency, full_taps=1 - int(values.get("skip_padding", 1)))


def design_image(deployed: DeployedNetwork, values: Mapping[str, Value]) -> PeArrayImage:
    """Programs and weights of a trained network on the array of its design.

    Raises:
        InfeasibleError: the network cannot run on the array: a buffer is smaller than the smallest tile, or a trained number
            does not fit; the message says what would do.
    """
    array = array_of(values)
    try:
        image = PeArrayImage(deployed, schedule(deployed.graph, array))
        encode_program(image.program)  # a number beyond its field is an error too
    except InputError as error:
        # It is this design that is wrong, not what the user gave: the study's other designs go on.
        raise InfeasibleError(error.what, where=error.where, remedy=error.remedy) from None
    return image


def port_cycles(graph: LayerGraph, array: ArrayParameters) -> int:
    """Predicted cycles of an inference with a memory that keeps up with the array's port, as the test bench's does."""
    shape = ArrayShape(**{name: np.full((1, 1), float(number)) for name, number in asdict(array).items()})
    return round(float(costs(LayerTable.from_graphs([graph]), shape).cycles[0]))


def write_project(deployed: DeployedNetwork, request: HardwareRequest, folder: Path, samples: NDArray[np.uint8]) -> PeArrayImage:
    """Write the hardware project into ``folder/pe_array``.

    Args:
        deployed: the trained network.
        request: its accelerator.
        folder: of the design.
        samples: data set words (n, ...) whose inputs and outputs become the golden vectors.

    Raises:
        InfeasibleError: as `design_image`.
    """
    image = design_image(deployed, request.values)
    target = folder / FOLDER
    for part in ("rtl", "tb"):
        shutil.copytree(templates_folder() / TEMPLATE / part, target / part)
    shutil.copy(templates_folder() / TEMPLATE / "ARCHITECTURE.md", target)
    (target / MEMORY_FILE).write_bytes(image.memory)
    (target / "program.lst").write_text(listing(image), encoding="utf-8")
    _write_json(target / "schedule.json", image.schedule.record())
    _write_golden(target / "golden", image, samples)
    _write_scripts(target, image, request, len(samples))
    return image


def listing(image: PeArrayImage) -> str:
    """The program as text: one instruction a paragraph, with the fields that are not zero."""
    owners = [f"{phase.layer}, run {phase.run}, " + ("movements" if phase.tile is None else f"tile {phase.tile}") for phase in image.schedule.phases]
    lines = []
    for number, (instruction, owner) in enumerate(zip(image.program, [*owners, "end"], strict=True)):
        lines += [f"{number}: {owner}", *_fields(instruction), ""]
    return "\n".join(lines)


def _fields(instruction: Instruction) -> list[str]:
    return [f"    {name} = {getattr(instruction, name)}" for name, _, _ in FIELDS if getattr(instruction, name)]


def _write_golden(folder: Path, image: PeArrayImage, samples: NDArray[np.uint8]) -> None:
    """Job, inputs and expected outputs for the test bench, and which of an output's bits count."""
    folder.mkdir()
    (folder / "job.bin").write_bytes(job_bytes(image.schedule.memory.size, image_runs(image, len(samples))))
    (folder / "inputs.bin").write_bytes(image.pack_input(samples))
    (folder / "expected.bin").write_bytes(image.expected_output(samples))
    (folder / "mask.bin").write_bytes(output_mask(image))


def _write_scripts(folder: Path, image: PeArrayImage, request: HardwareRequest, samples: int) -> None:
    array, memory, device = image.schedule.array, image.schedule.memory, request.device
    preload = f"`0x{memory.preload:08x}`" if image.schedule.resident.weights else "none: the weights are streamed"
    shape = image.schedule.input_shape
    known = {
        "design": request.design,
        "device": device.title,
        "part": device.part,
        "clock_mhz": f"{float(request.values['clock_mhz']):g}",
        "period_ns": f"{1e3 / float(request.values['clock_mhz']):.3f}",
        "latency": array.latency,
        "prediction": _prediction(image, request),
        "port_cycles": port_cycles(image.network.graph, array),
        "preload_note": ", after one run that loads the weights" if image.schedule.resident.weights else "",
        "samples": samples,
        "verilator_parameters": " ".join(f"-G{name}={value}" for name, value in array.verilog.items()),
        "yosys_parameters": " ".join(f"-chparam {name} {value}" for name, value in array.verilog.items()),
        "vivado_generics": " ".join(f"{name}={value}" for name, value in array.verilog.items()),
        "vendor_command": NEXTPNR if device.family is Family.ECP5 else VIVADO,
        "yosys_synthesis": SYNTHESIS.get(device.family, ECP5_SYNTHESIS),
        "parameters": "\n".join(f"| `{name}` | {value} |" for name, value in array.verilog.items()),
        "memory_bytes": f"{memory.size:,}",
        "image_bytes": f"{len(image.memory):,}",
        "program": f"`0x{memory.program:08x}`",
        "preload": preload,
        "input": f"`0x{image.input_address:08x}`",
        "input_bytes": f"{image.input_bytes:,}",
        "input_shape": f"{shape.h} x {shape.w} x {shape.channels}",
        "output": f"`0x{image.output_address:08x}`",
        "output_bytes": f"{image.output_bytes:,}",
        "runs": image.schedule.runs,
        "zero_point": image.network.zero_point,
        "activation_bits": array.activation_bits,
        "columns": array.columns,
        "word_bytes": array.activation_word_bytes,
        "weights": "stay in their buffer" if image.schedule.resident.weights else "are streamed",
        "maps": "stay in the activation buffer" if image.schedule.resident.maps else "are streamed",
    }
    scripts = ("Makefile", "synth.ys", "README.md", *([] if device.family is Family.ECP5 else ["vivado.tcl"]))
    for name in scripts:
        (folder / name).write_text(Template((FILES / name).read_text(encoding="utf-8")).substitute(known), encoding="utf-8")


def _prediction(image: PeArrayImage, request: HardwareRequest) -> str:
    """What the cost model says of the simulation, and of the board where its memory is slower."""
    latency = image.schedule.array.latency
    if request.cycles_exact:
        return f"codesign predicts {request.cycles:,} cycles an inference, at a memory latency of {latency} cycles"
    cycles = port_cycles(image.network.graph, image.schedule.array)
    return (
        f"codesign predicts {cycles:,} cycles an inference with a memory that answers after {latency} cycles and then keeps up\n"
        f"with the port, as the test bench's does; with the slower memory of the board, {request.cycles:,} cycles"
    )


def _write_json(path: Path, document: Mapping[str, object]) -> None:
    path.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
