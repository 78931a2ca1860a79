"""RTL simulation of projects: exact where they are right, the first wrong layer named where they are not. Needs Verilator."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign.accelerator.array_parameters import ArrayParameters
from codesign.accelerator.schedule import schedule
from codesign.accelerator.template import templates_folder
from codesign.errors import EvaluationError, InputError
from codesign.export.pe_array_image import PeArrayImage
from codesign.network.deployed import DeployedNetwork
from codesign.verify import rtl_sim
from codesign.verify.rtl_bench import timing_cycles, timing_design
from codesign.verify.rtl_sim import simulate, verify_rtl
from codesign.verify.verilator import build
from tests.verify.rtl_cases import random_samples, timing_point

pytestmark = pytest.mark.verilator

ON_CHIP = ArrayParameters(4, 4, 8, 8, 24, weight_words=400, activation_words=60, output_words=12, banks=1, bus_bits=32, latency=9)
STREAMED = replace(ON_CHIP, weight_words=16, activation_words=12)
SAMPLES = 40


def make_project(network: DeployedNetwork, array: ArrayParameters, folder: Path) -> PeArrayImage:
    for part in ("rtl", "tb"):
        shutil.copytree(templates_folder() / "pe_array" / part, folder / part)
    image = PeArrayImage(network, schedule(network.graph, array))
    (folder / "memory.bin").write_bytes(image.memory)
    return image


@pytest.fixture(params=[ON_CHIP, STREAMED], ids=["on_chip", "streamed"])
def project(request: pytest.FixtureRequest, residual_network: DeployedNetwork, tmp_path: Path) -> tuple[Path, PeArrayImage]:
    image = make_project(residual_network, request.param, tmp_path)
    resident = image.schedule.resident
    assert resident.weights == resident.maps == (request.param is ON_CHIP)
    return tmp_path, image


def test_a_network_is_exact_and_its_cycles_are_the_models(project: tuple[Path, PeArrayImage], rtl_builds: Path) -> None:
    folder, image = project
    rng = np.random.default_rng(5)
    samples, labels = random_samples(image.network.graph, rng, SAMPLES), rng.integers(0, 10, SAMPLES)
    logits = image.network.run(samples)
    result = verify_rtl(folder, image, logits, samples, labels, design="abc", cycles_predicted=77.0, builds=rtl_builds)
    assert result.exact and (result.id, result.level, result.samples, result.elements_exact) == ("abc", "rtl", SAMPLES, logits.size)
    assert result.first_diverging_layer is None and result.max_abs_difference == 0
    assert result.metric_simulated == result.metric_quantised == (logits.argmax(axis=1) == labels).mean()
    expected = timing_cycles(build(timing_design(), rtl_builds), [timing_point(image.schedule)])[0]
    assert (result.cycles_predicted, result.cycles_simulated) == (77.0, expected)
    assert json.loads((folder / "rtl_sim" / "result.json").read_text()) == result.as_dict()
    again = simulate(folder, image, samples[:3], builds=rtl_builds, stall=60)
    assert np.array_equal(again.logits, logits[:3]) and (again.cycles > expected).all()
    assert (again.preload_cycles > 0) == image.schedule.resident.weights


@pytest.mark.parametrize("layer", ["stem", "shortcut", "join", "pool", "head"])
def test_a_changed_weight_is_found_and_its_layer_named(project: tuple[Path, PeArrayImage], rtl_builds: Path, layer: str) -> None:
    folder, image = project
    array, samples = image.schedule.array, random_samples(image.network.graph, np.random.default_rng(6), SAMPLES)
    memory = bytearray(image.memory)
    # The word behind the biases: the weights of the first tap.
    at = image.schedule.memory.weights[layer] + array.bias_words * array.weight_word_bytes
    for byte in range(array.weight_word_bytes):
        memory[at + byte] ^= 0x40
    (folder / "memory.bin").write_bytes(bytes(memory))
    logits = image.network.run(samples)
    result = verify_rtl(folder, image, logits, samples, np.zeros(SAMPLES, dtype=np.int64), design="abc", changed_files=("memory.bin",), builds=rtl_builds)
    assert not result.exact and result.first_diverging_layer == layer
    document = json.loads((folder / "rtl_sim" / "divergence.json").read_text())
    assert document["layer"] == layer and document["elements_different"] > 0
    assert document["summary"].startswith(f"layer {layer}: ") and "changed since the export: memory.bin" in document["summary"]
    make_right = image.memory
    (folder / "memory.bin").write_bytes(make_right)
    assert verify_rtl(folder, image, logits, samples, np.zeros(SAMPLES, dtype=np.int64), design="abc", builds=rtl_builds).exact
    assert not (folder / "rtl_sim" / "divergence.json").exists()


def test_a_program_that_runs_on_is_stopped(residual_network: DeployedNetwork, tmp_path: Path, rtl_builds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = make_project(residual_network, ON_CHIP, tmp_path)
    samples = random_samples(residual_network.graph, np.random.default_rng(6), 2)
    monkeypatch.setattr(rtl_sim, "LEAST_LIMIT", 0)
    with pytest.raises(EvaluationError, match="not done after 40 cycles"):
        verify_rtl(tmp_path, image, residual_network.run(samples), samples, np.zeros(2, dtype=np.int64), design="abc", cycles_predicted=2.0, builds=rtl_builds)


def test_a_reference_that_differs_is_told_apart(residual_network: DeployedNetwork, tmp_path: Path, rtl_builds: Path) -> None:
    image = make_project(residual_network, ON_CHIP, tmp_path)
    samples = random_samples(residual_network.graph, np.random.default_rng(6), SAMPLES)
    logits = residual_network.run(samples)
    logits[3, 2] += 1

    def reference(chosen: np.ndarray) -> dict[str, np.ndarray]:
        trace = residual_network.trace(chosen)
        trace["branch"] = trace["branch"] + 1
        return trace

    result = verify_rtl(tmp_path, image, logits, samples, np.zeros(SAMPLES, dtype=np.int64), design="abc", reference_trace=reference, builds=rtl_builds)
    assert (result.samples_exact, result.elements_exact, result.max_abs_difference) == (SAMPLES - 1, logits.size - 1, 1)
    assert result.first_diverging_layer == "branch"


def test_what_is_no_such_project_is_refused(residual_network: DeployedNetwork, tmp_path: Path, rtl_builds: Path) -> None:
    image = make_project(residual_network, ON_CHIP, tmp_path)
    samples = random_samples(residual_network.graph, np.random.default_rng(6), 2)
    (tmp_path / "memory.bin").write_bytes(image.memory[:-1])
    with pytest.raises(InputError, match=f"memory.bin: {len(image.memory) - 1} bytes, {len(image.memory)} were exported. Export the design again"):
        simulate(tmp_path, image, samples, builds=rtl_builds)
    (tmp_path / "memory.bin").unlink()
    with pytest.raises(InputError, match="memory.bin: no memory image. Export the design again"):
        simulate(tmp_path, image, samples, builds=rtl_builds)
    with pytest.raises(InputError, match="RTL simulation of design abc: logits of shape"):
        verify_rtl(tmp_path, image, np.zeros((3, 10), dtype=np.int64), samples, np.zeros(2, dtype=np.int64), design="abc", builds=rtl_builds)
    with pytest.raises(InputError, match="rtl: no Verilog source"):
        shutil.rmtree(tmp_path / "rtl")
        (tmp_path / "rtl").mkdir()
        simulate(tmp_path, image, samples, builds=rtl_builds)
