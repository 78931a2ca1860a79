"""C simulation equals the integer reference bit for bit, and a sabotaged project is found out. Needs g++."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign import toolchain
from codesign.accelerator.hls_plan import HlsPlan
from codesign.errors import InputError
from codesign.export.hls4ml_project import export_project
from codesign.export.manifest import load_manifest
from codesign.network.deployed import DeployedNetwork
from codesign.network.layers import LayerGraph, Op
from codesign.network.table_builder import TableBuilder, TaskShape
from codesign.verify.compilation import simulate_layers
from codesign.verify.csim import compile_and_run, verify_csim
from codesign.verify.random_network import random_deployed

pytestmark = pytest.mark.gxx

Plans = Callable[..., HlsPlan]
SAMPLES = np.random.default_rng(9).integers(0, 32, (60, 8, 8)).astype(np.uint8)
LABELS = np.random.default_rng(10).integers(0, 10, 60)


def export(network: DeployedNetwork, plan: HlsPlan, folder: Path, samples: NDArray[np.uint8] = SAMPLES) -> Path:
    return export_project(network, plan, folder, part="xc7z020clg400-1", samples=samples[:4], provenance={})


def assert_every_layer_equal(network: DeployedNetwork, folder: Path, samples: NDArray[np.uint8]) -> None:
    trace = network.trace(samples)
    words = trace["input"].reshape(len(samples), -1)
    found = simulate_layers(folder, load_manifest(folder), words)
    assert [*found] == [layer.name for layer in network.graph][1:]
    for name, values in found.items():
        assert np.array_equal(values, trace[name].reshape(len(samples), -1)), name


@pytest.mark.parametrize(
    ("blueprint", "seed", "io_type", "strategy"),
    [("mlp", 0, "io_parallel", "latency"), ("tcresnet", 1, "io_stream", "resource"), ("dscnn", 2, "io_stream", "latency")],
)
def test_random_designs_are_exact(
    draw_network: Callable[[str, int], DeployedNetwork], plan_of: Plans, tmp_path: Path, blueprint: str, seed: int, io_type: str, strategy: str
) -> None:
    network = draw_network(blueprint, seed)
    folder = export(network, plan_of(network, io_type, strategy), tmp_path / "design")
    logits = network.run(SAMPLES)
    result = verify_csim(folder, network, logits, SAMPLES, LABELS, cycles_predicted=1234.0)
    assert (result.id, result.level, result.samples, result.samples_exact, result.elements_exact) == ("design", "csim", 60, 60, 600)
    assert result.exact and result.first_diverging_layer is None and result.max_abs_difference == 0 and result.argmax_agreement == 1.0
    assert result.metric_simulated == result.metric_quantised == (logits.argmax(axis=1) == LABELS).mean()
    assert (result.cycles_predicted, result.cycles_simulated) == (1234.0, None)
    assert json.loads((folder / "csim" / "result.json").read_text()) == result.as_dict()
    assert np.array_equal(compile_and_run(folder, SAMPLES[:5]), logits[:5])


@pytest.mark.parametrize(("io_type", "strategy"), [("io_stream", "resource"), ("io_parallel", "resource")])
def test_residual_layers_are_exact_with_reuse(residual_network: DeployedNetwork, plan_of: Plans, tmp_path: Path, io_type: str, strategy: str) -> None:
    plan = plan_of(residual_network, io_type, strategy)
    plan = HlsPlan(io_type, strategy, 100.0, {**plan.reuse, "branch": 4, "shortcut": 4 if io_type == "io_parallel" else 12, "head": 30})
    assert_every_layer_equal(residual_network, export(residual_network, plan, tmp_path / "design"), SAMPLES)


def awkward_graph() -> LayerGraph:
    """Strides that leave rows and columns unread, a kernel shorter than its stride, an even kernel, ReLU into a signed format."""
    builder = TableBuilder(1, TaskShape((9, 8), 4, 5, True))
    x = builder.input((9, 8, 1))
    x = builder.convolution("stem", x, Op.CONV2D, channels=3, kernel=(2, 3), stride=(3, 1), weight_bits=5, output_bits=4, relu=True)
    x = builder.convolution("depthwise", x, Op.DEPTHWISE_CONV2D, kernel=(3, 3), stride=(1, 2), weight_bits=4, output_bits=6, relu=False)
    left = builder.convolution("left", x, Op.CONV2D, channels=4, kernel=(1, 1), stride=(2, 1), weight_bits=2, output_bits=3, relu=True)
    right = builder.convolution("right", x, Op.CONV2D, channels=4, kernel=(3, 1), stride=(2, 1), weight_bits=3, output_bits=7, relu=False)
    x = builder.add("join", left, right, output_bits=4, relu=False)
    x = builder.dense("hidden", x, features=5, weight_bits=3, output_bits=4, relu=True)
    builder.dense("head", x, features=4, weight_bits=8, output_bits=None, relu=False)
    rows = builder.build().graph(0).as_rows()
    for row in rows:
        if row["name"] == "hidden":
            row["output_signed"] = 1
    return LayerGraph.from_rows(rows)


@pytest.mark.parametrize("io_type", ["io_stream", "io_parallel"])
def test_awkward_shapes_are_exact(plan_of: Plans, tmp_path: Path, io_type: str) -> None:
    rng = np.random.default_rng(4)
    network = random_deployed(awkward_graph(), rng)
    samples = rng.integers(0, 32, (60, 9, 8)).astype(np.uint8)
    folder = export(network, plan_of(network, io_type, "resource"), tmp_path / "design", samples)
    assert_every_layer_equal(network, folder, samples)


@pytest.fixture
def dense(draw_network: Callable[[str, int], DeployedNetwork], plan_of: Plans, tmp_path: Path) -> tuple[DeployedNetwork, Path]:
    """A fully connected network and its project: quick to compile."""
    network = draw_network("mlp", 1)
    return network, export(network, plan_of(network, "io_parallel"), tmp_path / "design")


def narrow(folder: Path, name: str) -> None:
    """Halve the width of an accumulator."""
    path = folder / "firmware" / "defines.h"
    text = path.read_text()
    found = re.search(rf"typedef ap_fixed<(\d+),(-?\d+)> {name};", text)
    assert found is not None
    bits, integer = int(found[1]), int(found[2])
    path.write_text(text.replace(found[0], f"typedef ap_fixed<{bits // 2},{integer - bits + bits // 2}> {name};"))


def test_a_narrowed_accumulator_is_found_and_named(dense: tuple[DeployedNetwork, Path]) -> None:
    network, folder = dense
    narrow(folder, "hidden1_accum_t")
    result = verify_csim(folder, network, network.run(SAMPLES), SAMPLES, network.predict(SAMPLES))
    assert not result.exact and result.first_diverging_layer == "hidden1"
    assert result.samples_exact < 60 and result.max_abs_difference > 0
    simulated = compile_and_run(folder, SAMPLES)
    agreement = (simulated.argmax(axis=1) == network.predict(SAMPLES)).mean()
    assert result.argmax_agreement == result.metric_simulated == agreement < 1.0 == result.metric_quantised
    assert result.elements_exact == (simulated == network.run(SAMPLES)).sum()
    found: dict[str, Any] = json.loads((folder / "csim" / "divergence.json").read_text())
    assert found["layer"] == "hidden1" and found["changed_files"] == ["firmware/defines.h"]
    assert found["accumulator_overflows"] > 0 and found["accumulator_truncations"] == 0
    accumulator = next(item for item in found["types"] if item["role"] == "accum")
    assert accumulator["compiled"] != accumulator["exported"]
    assert re.search(r"layer hidden1: [\d,]+ of [\d,]+ outputs differ, by up to \d+; [\d,]+ accumulators overflow; accum is ap_fixed", found["summary"])


def test_another_model_than_the_deployed_one_is_found(dense: tuple[DeployedNetwork, Path]) -> None:
    network, folder = dense
    logits = network.run(SAMPLES)
    logits[7, 2] += 3
    result = verify_csim(folder, network, logits, SAMPLES, LABELS)
    assert (result.samples_exact, result.elements_exact, result.max_abs_difference) == (59, 599, 3)
    found = json.loads((folder / "csim" / "divergence.json").read_text())
    assert found["samples"] == 1 and found["elements_different"] == 0 and "equals the reference" in found["note"]

    def trace(samples: NDArray[np.uint8]) -> dict[str, NDArray[np.int64]]:
        tensors = network.trace(samples)
        tensors["hidden1"][..., 0] ^= 1
        return tensors

    assert verify_csim(folder, network, logits, SAMPLES, LABELS, reference_trace=trace).first_diverging_layer == "hidden1"
    assert json.loads((folder / "csim" / "divergence.json").read_text())["changed_files"] == []
    assert verify_csim(folder, network, network.run(SAMPLES), SAMPLES, LABELS).exact
    assert not (folder / "csim" / "divergence.json").exists()


def test_arrays_that_do_not_belong_together_are_refused(dense: tuple[DeployedNetwork, Path]) -> None:
    network, folder = dense
    with pytest.raises(InputError, match=r"logits of shape \(60, 9\) and labels of shape \(60,\) for 60 samples and 10 classes"):
        verify_csim(folder, network, network.run(SAMPLES)[:, 1:], SAMPLES, LABELS)
    with pytest.raises(InputError, match="no samples to compare"):
        verify_csim(folder, network, network.run(SAMPLES)[:0], SAMPLES[:0], LABELS[:0])


def test_the_vendor_test_bench_gives_the_golden_outputs(dense: tuple[DeployedNetwork, Path]) -> None:
    network, folder = dense
    gxx = toolchain.require(toolchain.GXX, needed_for="this test")
    sources = ["codesign_net_test.cpp", "firmware/codesign_net.cpp"]
    command = [str(gxx), "-std=c++14", "-O0", "-w", "-Ifirmware/ap_types", '-DWEIGHTS_DIR="firmware/weights"', *sources, "-o", "bench"]
    subprocess.run(command, cwd=folder, check=True)
    subprocess.run(["./bench"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    golden, written = (np.loadtxt(folder / "tb_data" / name) for name in ("tb_output_predictions.dat", "csim_results.log"))
    assert np.array_equal(golden, written)
    assert np.array_equal(golden * 2.0 ** network.format("head").fraction, network.run(SAMPLES[:4]))
