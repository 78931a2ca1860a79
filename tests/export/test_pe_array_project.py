"""The hardware project of a `pe_array`: complete, safe to hand to tools, and right where it says what the hardware must give."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign import toolchain
from codesign.accelerator.device import Family, find_device
from codesign.accelerator.pe_array_program import INSTRUCTION_BYTES
from codesign.accelerator.template import templates_folder
from codesign.errors import InfeasibleError
from codesign.export.pe_array_image import PeArrayImage, accumulator_fraction
from codesign.export.pe_array_project import ECP5_SYNTHESIS, SYNTHESIS, HardwareRequest, array_of, design_image, port_cycles, write_project
from codesign.network.deployed import DeployedNetwork
from codesign.network.layers import Op
from codesign.network.table_builder import TableBuilder, TaskShape
from codesign.space.parameters import Value
from codesign.verify import synthesis_job
from codesign.verify.random_network import random_deployed

VALUES: dict[str, Value] = {
    "rows": 4,
    "columns": 4,
    "weight_bits": 8,
    "activation_bits": 8,
    "accumulator_bits": 24,
    "weight_buffer_kib": 8,
    "activation_buffer_kib": 1,
    "output_buffer_kib": 1,
    "bus_bits": 32,
    "clock_mhz": 50,
    "double_buffering": 0,
}
STREAMED = VALUES | {"weight_buffer_kib": 0.25, "activation_buffer_kib": 0.046875}
SAMPLES = 5
SAFE = re.compile(r"[A-Za-z0-9_=.,\- ]*")


def words(count: int = SAMPLES) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 32, (count, 8, 8)).astype(np.uint8)


def request_of(network: DeployedNetwork, values: dict[str, Value], device: str = "pynq-z2", **more: Any) -> HardwareRequest:
    return HardwareRequest(values, find_device(device), "a1b2", **{"cycles": port_cycles(network.graph, array_of(values)), **more})


@pytest.fixture(params=[VALUES, STREAMED], ids=["on_chip", "streamed"])
def project(request: pytest.FixtureRequest, residual_network: DeployedNetwork, tmp_path: Path) -> tuple[Path, PeArrayImage]:
    image = write_project(residual_network, request_of(residual_network, request.param), tmp_path, words())
    assert image.schedule.resident.weights == image.schedule.resident.maps == (request.param is VALUES)
    return tmp_path / "pe_array", image


def test_the_project_is_complete(project: tuple[Path, PeArrayImage]) -> None:
    folder, image = project
    template = templates_folder() / "pe_array"
    copied = {path.relative_to(template).as_posix() for part in ("rtl", "tb") for path in (template / part).rglob("*")} | {"ARCHITECTURE.md"}
    own = {"Makefile", "README.md", "synth.ys", "vivado.tcl", "memory.bin", "program.lst", "schedule.json"}
    golden = {"golden", "golden/job.bin", "golden/inputs.bin", "golden/expected.bin", "golden/mask.bin", "rtl", "tb"}
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*")} == copied | own | golden
    assert all((folder / name).read_bytes() == (template / name).read_bytes() for name in copied)
    assert (folder / "memory.bin").read_bytes() == image.memory
    assert (folder / "golden" / "inputs.bin").read_bytes() == image.pack_input(words())


def test_a_device_of_another_vendor_gets_no_vivado_script(residual_network: DeployedNetwork, tmp_path: Path) -> None:
    write_project(residual_network, request_of(residual_network, VALUES, "ecp5-85k"), tmp_path, words())
    folder = tmp_path / "pe_array"
    assert not (folder / "vivado.tcl").exists()
    readme = (folder / "README.md").read_text()
    assert "nextpnr-ecp5 --85k" in readme and "vivado" not in readme


def test_every_placeholder_is_filled_and_every_link_leads_somewhere(project: tuple[Path, PeArrayImage]) -> None:
    folder, image = project
    for name in ("README.md", "synth.ys", "vivado.tcl"):
        text = (folder / name).read_text()
        left = set(re.findall(r"\$\{?([a-z_]+)", text)) - ({"folder", "constraints"} if name == "vivado.tcl" else set())
        assert left == set(), (name, left)
    made = (folder / "Makefile").read_text()
    assert set(re.findall(r"\$[^(@]", made)) == set()
    assert {"VERILATOR", "YOSYS", "PYTHON3", "LATENCY", "SOURCES"} == set(re.findall(r"\$\(([A-Z0-9]+)\)", made))
    readme = (folder / "README.md").read_text()
    for name, value in image.schedule.array.verilog.items():
        assert f"| `{name}` | {value} |" in readme
    preloaded = image.schedule.resident.weights
    assert (f"`0x{image.schedule.memory.preload:08x}`" in readme) == preloaded
    assert ("none: the weights are streamed" in readme) == (not preloaded)
    assert f"predicts {port_cycles(image.network.graph, image.schedule.array):,} cycles an inference, at a memory latency of 16 cycles.\n" in readme


def test_what_reaches_the_tools_is_made_of_safe_names(project: tuple[Path, PeArrayImage]) -> None:
    folder, image = project
    found = {
        "Makefile": re.findall(r"^LATENCY \?= (.*)$|^\s*(-G.*) \\$", (folder / "Makefile").read_text(), re.MULTILINE),
        "synth.ys": re.findall(r"^hierarchy -top pe_array (.*)$|^(synth_.*)$", (folder / "synth.ys").read_text(), re.MULTILINE),
        "vivado.tcl": re.findall(r"-part (.*)$|generic \{(.*?)\}|-period (\S+)", (folder / "vivado.tcl").read_text(), re.MULTILINE),
    }
    for name, groups in found.items():
        values = [value for group in groups for value in group if value]
        assert len(values) >= 2, name
        assert all(SAFE.fullmatch(value.replace("-chparam ", "").removesuffix(" -mode out_of_context")) for value in values), (name, values)
    for name, value in image.schedule.array.verilog.items():
        assert f"-G{name}={value}" in (folder / "Makefile").read_text()
        assert f"-chparam {name} {value}" in (folder / "synth.ys").read_text()
        assert f"{name}={value}" in (folder / "vivado.tcl").read_text()


def test_the_golden_outputs_are_the_accumulators_of_the_last_layer(project: tuple[Path, PeArrayImage]) -> None:
    folder, image = project
    network, array = image.network, image.schedule.array
    data = (folder / "golden" / "expected.bin").read_bytes()
    expected, fraction = network.accumulate(network.graph.output, network.trace(words()))
    assert fraction == accumulator_fraction(network, network.graph.output)
    size, pieces = len(data) // SAMPLES, image.schedule.runs
    assert size * SAMPLES == len(data) and size == image.output_bytes
    planes, lane = -(-10 // array.columns), array.activation_bits
    mask, counted = (folder / "golden" / "mask.bin").read_bytes(), [0] * size
    for sample in range(SAMPLES):
        own = data[sample * size : (sample + 1) * size]
        for channel in range(10):
            value = 0
            for piece in range(pieces):
                at = (piece * planes + channel // array.columns) * array.activation_word_bytes
                word = int.from_bytes(own[at : at + array.activation_word_bytes], "little")
                if sample == 0:
                    for bit in range(channel % array.columns * lane, (channel % array.columns + 1) * lane):
                        counted[at + bit // 8] |= 1 << bit % 8
                value |= (word >> (channel % array.columns) * lane & (1 << lane) - 1) << piece * lane
            value -= value >> (pieces * lane - 1) << pieces * lane
            assert value == expected.reshape(SAMPLES, -1)[sample, channel]
    assert mask == bytes(counted)


def test_the_schedule_is_recorded(project: tuple[Path, PeArrayImage]) -> None:
    folder, image = project
    found = json.loads((folder / "schedule.json").read_text())
    assert [row["name"] for row in found["layers"]] == [layer.name for layer in image.network.graph][1:]
    assert found["array"]["rows"] == found["array"]["columns"] == 4
    assert found["phases"] == len(image.program) - 1 == sum(row["phases"] for row in found["layers"]) + found["maps_resident"]
    for buffer in found["buffers"].values():
        assert 0 <= buffer["peak_words"] <= buffer["words"]
    addresses = [row["weight_address"] for row in found["layers"]]
    assert addresses == sorted(addresses) and addresses[0] >= len(image.program) * INSTRUCTION_BYTES
    assert found["memory"]["size"] == image.schedule.memory.size >= len(image.memory)


def test_the_listing_has_every_instruction(project: tuple[Path, PeArrayImage]) -> None:
    folder, image = project
    paragraphs = (folder / "program.lst").read_text().strip().split("\n\n")
    assert len(paragraphs) == len(image.program)
    for number, (paragraph, instruction) in enumerate(zip(paragraphs, image.program, strict=True)):
        head, *fields = paragraph.splitlines()
        assert head.startswith(f"{number}: ")
        given = dict(field.strip().split(" = ") for field in fields)
        assert given and all(getattr(instruction, name) == int(value) for name, value in given.items())
    assert paragraphs[-1] == f"{len(image.program) - 1}: end\n    halt = 1"
    assert any(paragraph.splitlines()[0].endswith("head, run 0, tile 0") for paragraph in paragraphs)


@pytest.mark.parametrize(("device", "family"), [("pynq-z2", Family.SERIES7), ("zcu104", Family.ULTRASCALE_PLUS), ("ecp5-85k", Family.ECP5)])
def test_the_yosys_script_does_what_verification_does(residual_network: DeployedNetwork, tmp_path: Path, device: str, family: Family) -> None:
    write_project(residual_network, request_of(residual_network, VALUES, device), tmp_path, words())
    folder = tmp_path / "pe_array"
    script = (folder / "synth.ys").read_text()
    assert SYNTHESIS.get(family, ECP5_SYNTHESIS).removesuffix(" -json pe_array.json") == synthesis_job.SYNTHESIS[family]
    assert f"{SYNTHESIS.get(family, ECP5_SYNTHESIS)} -top pe_array\n" in script
    assert set(re.findall(r"rtl/(\w+\.v)\b", script)) == {path.name for path in (folder / "rtl").glob("*.v")}


def test_a_slower_memory_of_the_board_is_told(residual_network: DeployedNetwork, tmp_path: Path) -> None:
    cycles = port_cycles(residual_network.graph, array_of(VALUES))
    write_project(residual_network, request_of(residual_network, VALUES, cycles=3 * cycles, cycles_exact=False), tmp_path, words())
    readme = (tmp_path / "pe_array" / "README.md").read_text()
    assert f"predicts {cycles:,} cycles an inference with a memory that answers after 16 cycles and then keeps up" in readme
    assert f"with the slower memory of the board, {3 * cycles:,} cycles." in readme


def test_a_network_that_does_not_fit_is_told_with_what_would_do(residual_network: DeployedNetwork, tmp_path: Path) -> None:
    told = r"layer stem on pe_array: one bank of the weight buffer has 0.03125 KiB, the smallest that would do 0.11 KiB. Choose a larger weight_buffer_kib"
    with pytest.raises(InfeasibleError, match=told):
        write_project(residual_network, request_of(residual_network, VALUES | {"weight_buffer_kib": 0.03125}, cycles=1), tmp_path, words())
    assert not (tmp_path / "pe_array").exists()


def test_trained_numbers_that_the_array_does_not_hold_are_the_designs_fault(residual_network: DeployedNetwork, tmp_path: Path) -> None:
    with pytest.raises(InfeasibleError, match=r"has weights of \d bits. Choose more weight_bits"):
        write_project(residual_network, request_of(residual_network, VALUES | {"weight_bits": 3}), tmp_path, words())
    bias = residual_network.integers["stem"].bias
    assert bias is not None
    bias[0] = 1 << 15
    with pytest.raises(InfeasibleError, match="layer stem on pe_array: has a bias beyond 16 bits"):
        write_project(residual_network, request_of(residual_network, VALUES), tmp_path, words())
    assert not (tmp_path / "pe_array").exists()


def test_a_number_beyond_its_field_is_the_designs_fault() -> None:
    builder = TableBuilder(1, TaskShape((130, 1), 2, 8, True))
    x = builder.input((1, 130, 1))
    builder.convolution("far", x, Op.CONV1D, channels=2, kernel=(1, 1), stride=(1, 64), weight_bits=4, output_bits=None, relu=False)
    network = random_deployed(builder.build().graph(0), np.random.default_rng(0))
    with pytest.raises(InfeasibleError, match="field stride_y: 64 is outside the range 0 .. 63"):
        design_image(network, VALUES)


@pytest.mark.verilator
def test_make_sim_passes_and_a_flipped_bit_fails(residual_network: DeployedNetwork, tmp_path: Path) -> None:
    for tool in (toolchain.VERILATOR, *toolchain.VERILATOR.needs):
        if toolchain.find(tool) is None:
            pytest.skip(f"not installed: {tool.name}")
    image = write_project(residual_network, request_of(residual_network, VALUES), tmp_path, words())
    folder = tmp_path / "pe_array"
    cycles = port_cycles(residual_network.graph, image.schedule.array)
    done = _make(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{SAMPLES} samples: every output as expected" in done.stdout
    assert f"simulated: {cycles} cycles ({SAMPLES} runs)" in done.stdout
    assert f"predicted: {cycles} cycles an inference, after one run that loads the weights" in done.stdout
    memory = bytearray(image.memory)
    memory[image.schedule.memory.weights["head"] + image.schedule.array.bias_words * image.schedule.array.weight_word_bytes] ^= 0x40
    (folder / "memory.bin").write_bytes(bytes(memory))
    done = _make(folder)
    assert done.returncode != 0
    assert re.search(r"run 1, byte \d+: \d+ instead of \d+", done.stderr), done.stderr
    assert "as expected" not in done.stdout


def _make(folder: Path) -> subprocess.CompletedProcess[str]:
    make, verilator = toolchain.find(toolchain.MAKE), toolchain.find(toolchain.VERILATOR)
    command = [str(make), "sim", f"VERILATOR={verilator}", f"PYTHON3={sys.executable}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False, env={"PATH": _path(), "LC_ALL": "C"})


def _path() -> str:
    return ":".join({str(Path(found).parent) for name in ("make", "g++", "perl", "cmp", "od", "sed") if (found := shutil.which(name))})
