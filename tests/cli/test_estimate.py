"""`codesign estimate`: a user's own model, right and wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

Run = Callable[..., tuple[int, str, str]]


def dense_file(path: Path, widths: tuple[int, ...] = (16, 64, 32, 32, 5)) -> Path:
    """The jet tagger of the hls4ml tutorial, or another chain of dense layers with ReLU between them."""
    rng = np.random.default_rng(0)
    nodes, tensors, tensor = [], [], "x"
    for number, (n_in, n_out) in enumerate(pairwise(widths)):
        weights = rng.normal(size=(n_in, n_out)).astype(np.float32) / np.sqrt(n_in)
        tensors += [numpy_helper.from_array(weights, f"w{number}"), numpy_helper.from_array(np.zeros(n_out, np.float32), f"b{number}")]
        nodes.append(helper.make_node("Gemm", [tensor, f"w{number}", f"b{number}"], [f"d{number}"], name=f"dense{number}"))
        tensor = f"d{number}"
        if number + 2 < len(widths):
            nodes.append(helper.make_node("Relu", [tensor], [f"r{number}"], name=f"relu{number}"))
            tensor = f"r{number}"
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, widths[0]])]
    outputs = [helper.make_tensor_value_info(tensor, TensorProto.FLOAT, [1, widths[-1]])]
    model = helper.make_model(helper.make_graph(nodes, "jets", inputs, outputs, tensors), opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def document(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_model_that_does_not_fit_is_given_the_reuse_factors_that_do(run: Run, tmp_path: Path) -> None:
    model = dense_file(tmp_path / "jets.onnx")
    code, out, err = run("estimate", str(model), "--device", "pynq-z2", "--json")
    assert code == 0
    found = document(out)
    assert not found["fits"] and "of what may be used" in found["binding"]
    assert set(found["reuse"].values()) == {1}
    advice = found["advice"]
    assert advice["fits"] and advice["optimal"] and max(advice["utilisation"].values()) <= 1.0
    assert advice["kpis"]["latency_cycles"]["value"] == advice["latency_bound"]
    assert [layer["name"] for layer in found["layers"]][:2] == ["dense0", "relu0"]
    assert "least latency that fits" in err and "does not fit" in err
    # The advice, written as a configuration, is what it says it is.
    (tmp_path / "config.json").write_text(json.dumps(advice["hls4ml_config"]))
    code, out, _ = run("estimate", str(model), "--device", "pynq-z2", "--config", str(tmp_path / "config.json"), "--json")
    again = document(out)
    assert code == 0 and again["fits"]
    assert again["reuse"] == advice["reuse"] and again["kpis"] == advice["kpis"]


def test_figures_carry_intervals_and_evidence(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("estimate", str(dense_file(tmp_path / "jets.onnx")), "--device", "alveo-u250", "--json", "--reuse-factor", "16")
    assert code == 0
    found = document(out)
    for name in ("latency_us", "interval_cycles", "throughput_per_s", "lut", "ff", "dsp", "bram18", "power_w", "energy_uj"):
        figure = found["kpis"][name]
        assert figure["low"] <= figure["value"] <= figure["high"] and figure["evidence"] == "analytic" and figure["unit"]
    # Vitis HLS, Resource strategy, one layer after the other: the sum of RF + 3, less one.
    assert found["kpis"]["latency_cycles"]["value"] == sum(factor + 3 for factor in found["reuse"].values()) - 1
    assert found["kpis"]["dsp"]["value"] == sum(n_in * n_out // 16 for n_in, n_out in ((16, 64), (64, 32), (32, 32), (32, 5)))


def test_a_limit_leaves_less_room(run: Run, tmp_path: Path) -> None:
    model = str(dense_file(tmp_path / "jets.onnx"))
    latencies = []
    for limits in ([], ["--limit", "dsp=0.5"], ["--limit", "dsp=0.5", "--limit", "lut=0.4"]):
        code, out, _ = run("estimate", model, "--json", *limits)
        assert code == 0
        latencies.append(document(out)["advice"]["kpis"]["latency_cycles"]["value"])
    assert latencies[0] < latencies[1] <= latencies[2]


def test_a_model_that_fits_nowhere_ends_with_its_exit_code(run: Run, tmp_path: Path) -> None:
    model = dense_file(tmp_path / "wide.onnx", (512, 2048, 2048, 10))
    code, out, err = run("estimate", str(model), "--device", "arty-a7-35t", "--json")
    assert code == 4
    assert "no legal reuse factors make it fit" in err.splitlines()[-1] and "larger device" in err
    first, _ = json.JSONDecoder().raw_decode(out)
    assert not first["fits"] and not first["advice"]["fits"]


def test_a_latency_strategy_beyond_the_partition_limit_says_why_it_cannot_be_built(run: Run, tmp_path: Path) -> None:
    model = dense_file(tmp_path / "wide.onnx", (128, 64, 8))
    code, _, err = run("estimate", str(model), "--strategy", "latency", "--device", "alveo-u250")
    assert code == 2
    assert "layer dense0: no legal reuse factor makes it buildable" in err and "use Resource strategy" in err


def test_distributed_arithmetic_takes_no_dsp(run: Run, tmp_path: Path) -> None:
    model = str(dense_file(tmp_path / "jets.onnx"))
    (tmp_path / "narrow.json").write_text(json.dumps({"Model": {"Precision": "ap_fixed<6,1>"}}))
    code, out, _ = run("estimate", model, "--config", str(tmp_path / "narrow.json"), "--strategy", "distributed_arithmetic", "--device", "alveo-u250", "--json")
    assert code == 0
    found = document(out)
    assert found["kpis"]["dsp"]["value"] == 0 and found["kpis"]["lut"]["value"] > 1000
    assert set(found["reuse"].values()) == {1}


def test_sweep_writes_a_page(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "sweep.html"
    code, out, _ = run("estimate", str(dense_file(tmp_path / "jets.onnx")), "--sweep", str(page), "--json")
    assert code == 0
    points = document(out)["sweep"]
    best = [point for point in points if not point["uniform"]]
    assert len(best) >= 5 and any(point["uniform"] for point in points)
    ordered = sorted(best, key=lambda point: point["latency_us"])
    sizes = [max(point["utilisation"].values()) for point in ordered]
    assert sizes[0] > sizes[-1]
    assert "plotly" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "pynq-z9"), "unknown device 'pynq-z9'. Choose from alveo-u250"),
        (("--strategy", "fast"), "--strategy: unknown strategy 'fast'. Choose from latency, resource, distributed_arithmetic"),
        (("--io-type", "io_serial"), "--io-type: unknown io type 'io_serial'. Choose io_parallel or io_stream"),
        (("--stage", "placed"), "--stage: unknown value 'placed'. Choose from hls_estimate, post_synth"),
        (("--tool", "quartus"), "--tool: unknown value 'quartus'. Choose from vivado-hls-2019"),
        (("--clock-mhz", "900"), "--clock-mhz: 900 MHz is outside 1 to 100"),
        (("--limit", "lut=1.5"), "--limit: 'lut=1.5' is not a limit"),
        (("--limit", "lut"), "--limit: 'lut' is not a limit"),
        (("--config", "absent.json"), "absent.json"),
        (("--sweep", "/nowhere/at/all.html"), "all.html"),
    ],
)
def test_a_wrong_option_is_one_clear_line(run: Run, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = run("estimate", str(dense_file(tmp_path / "jets.onnx")), *arguments)
    assert code == 2
    assert err.startswith("error: ") and message in err and err.count("\n") == 1


@pytest.mark.parametrize("name", ["absent.onnx", "model.h5", "broken.onnx"])
def test_a_wrong_model_is_one_clear_line(run: Run, tmp_path: Path, name: str) -> None:
    if name == "broken.onnx":
        (tmp_path / name).write_bytes(b"\x00\x01 not a model")
    code, out, err = run("estimate", str(tmp_path / name))
    assert code == 2 and out == ""
    assert name in err and err.count("\n") == 1
