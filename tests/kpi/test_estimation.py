"""Estimates of a user's model: totals, advice against every legal setting, sweeps."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from codesign.accelerator.device import find_device
from codesign.errors import InputError
from codesign.kpi.reuse import legal_reuse_factors
from codesign.kpi.streaming.estimates import COUNTED, Request, with_reuse_factor, with_strategy
from codesign.kpi.streaming.estimation import LARGEST_LATENCY_REUSE, Estimator
from codesign.kpi.streaming.feasibility import LIKELY
from codesign.kpi.streaming.flow import Flow, Stage, Tool
from codesign.kpi.streaming.predictions import predict
from codesign.network.hls_model import HlsLayer, HlsModel, Kind, Strategy

WIDTHS = {"weight_bits": 16, "bias_bits": 16, "input_bits": 16, "output_bits": 16, "accumulator_bits": 16}
POST, BEFORE = Flow(Tool.VITIS_HLS, Stage.POST_SYNTH), Flow(Tool.VIVADO_HLS_2020, Stage.HLS_ESTIMATE)


def dense(name: str, n_in: int, n_out: int, *inputs: str) -> HlsLayer:
    return HlsLayer(name=name, kind=Kind.DENSE, inputs=inputs, in_c=n_in, out_c=n_out, **WIDTHS)


def relu(name: str, source: HlsLayer) -> HlsLayer:
    return HlsLayer(
        name=name, kind=Kind.ACTIVATION, function="relu", inputs=(source.name,), in_w=source.out_w, out_w=source.out_w, in_c=source.out_c, out_c=source.out_c
    )


def mlp() -> HlsModel:
    first, second = dense("first", 4, 6), dense("second", 6, 3, "relu")
    return HlsModel("mlp", (first, relu("relu", first), second))


def series() -> HlsModel:
    conv = HlsLayer(name="conv", kind=Kind.CONV1D, in_w=10, in_c=2, out_w=10, out_c=3, kernel_w=3, pad_left=1, pad_right=1, **WIDTHS)
    depthwise = HlsLayer(name="depthwise", kind=Kind.DEPTHWISE_CONV1D, inputs=("relu",), in_w=10, in_c=3, out_w=8, out_c=3, kernel_w=3, **WIDTHS)
    flat = HlsLayer(name="flat", kind=Kind.RESHAPE, inputs=("depthwise",), in_w=8, in_c=3, out_c=24)
    return HlsModel("series", (conv, relu("relu", conv), depthwise, flat, dense("head", 24, 4, "flat")))


def recurrent() -> HlsModel:
    gru = HlsLayer(name="gru", kind=Kind.GRU, in_w=5, in_c=3, out_c=4, **WIDTHS)
    return HlsModel("recurrent", (gru, dense("head", 4, 2, "gru")))


def request(io_type: str, flow: Flow = POST, *, share: float = 1.0, strategy: Strategy = Strategy.RESOURCE, device: str = "pynq-z2") -> Request:
    return Request(find_device(device), flow, io_type, strategy, 1, 100.0, dict.fromkeys(COUNTED, share))


def settings(model: HlsModel) -> list[dict[str, int]]:
    """Every combination of reuse factors that hls4ml keeps, by its rule."""
    choices = {}
    for layer in model:
        if layer.kind is Kind.DENSE or layer.kind is Kind.CONV1D:
            choices[layer.name] = legal_reuse_factors(layer.fan_in, layer.out_c)
        elif layer.kind is Kind.DEPTHWISE_CONV1D:
            choices[layer.name] = legal_reuse_factors(layer.kernel_w * layer.in_c, 1)
        elif layer.kind is Kind.GRU:
            choices[layer.name] = tuple(sorted({*legal_reuse_factors(layer.in_c, 3 * layer.out_c), *legal_reuse_factors(layer.out_c, 3 * layer.out_c)}))
    return [dict(zip(choices, factors, strict=True)) for factors in itertools.product(*choices.values())]


@pytest.mark.parametrize("make", [mlp, series, recurrent])
@pytest.mark.parametrize("io_type", ["io_stream", "io_parallel"])
@pytest.mark.parametrize("flow", [POST, BEFORE], ids=str)
def test_advice_is_the_fastest_of_all_legal_settings_that_fit(make: object, io_type: str, flow: Flow) -> None:
    assert callable(make)
    model: HlsModel = make()
    everything = settings(model)
    for share in (1.0, 0.12, 0.04, 0.015, 0.004):
        asked = request(io_type, flow, share=share)
        found = predict([model] * len(everything), [asked.build(chosen) for chosen in everything], flow)
        fits = found.failure < LIKELY
        for name, available in zip(COUNTED, asked.available, strict=True):
            fits &= found.values(name) <= available
        advice = Estimator(model, asked).advise()
        assert advice.fits == bool(fits.any())
        if advice.fits:
            best = found.network.latency[fits].min()
            latency = advice.estimate.kpis["latency_cycles"].value
            assert advice.latency_bound - 0.5 <= best <= latency
            assert not advice.optimal or latency == best
            assert latency - best <= 8  # only where unrolled layers hand over in another way
            assert advice.estimate.reuse in everything


def test_a_model_without_a_choice_has_its_only_setting_as_the_best() -> None:
    first, second = dense("first", 1, 1), dense("second", 1, 1, "first")
    for io_type in ("io_parallel", "io_stream"):
        advice = Estimator(HlsModel("scalars", (first, second)), request(io_type)).advise()
        assert advice.fits and advice.optimal
        assert advice.estimate.reuse == {"first": 1, "second": 1}
        assert advice.latency_bound == advice.estimate.kpis["latency_cycles"].value


def test_totals_are_those_of_the_layers() -> None:
    for model, io_type in ((mlp(), "io_parallel"), (series(), "io_stream")):
        found = Estimator(model, request(io_type)).estimate()
        for name in COUNTED:
            assert found.kpis[name].value == np.ceil(sum(getattr(layer, name) for layer in found.layers) - 1e-9)
            assert found.utilisation[name] == pytest.approx(found.kpis[name].value / request(io_type).available[COUNTED.index(name)])
        latency = found.kpis["latency_cycles"]
        assert found.kpis["latency_us"].value == latency.value / 100.0 and 1 <= latency.low <= latency.value <= latency.high


def test_nothing_fits_names_the_closest() -> None:
    advice = Estimator(mlp(), request("io_parallel", share=0.0005)).advise()
    assert not advice.fits and not advice.estimate.fits and not advice.optimal
    closest = max(advice.estimate.utilisation.values())
    asked = request("io_parallel", share=0.0005)
    for chosen in settings(mlp()):
        assert max(Estimator(mlp(), asked).estimate(chosen).utilisation.values()) >= closest - 1e-9


def test_options_of_the_request_override_the_file() -> None:
    latency = with_strategy(mlp(), Strategy.LATENCY)
    assert all(layer.strategy is Strategy.LATENCY for layer in latency)
    assert Estimator(with_reuse_factor(mlp(), 6), request("io_parallel")).estimate().reuse == {"first": 4, "second": 6}
    advised = Estimator(HlsModel("wide", (dense("one", 200, 10),)), request("io_parallel", strategy=Strategy.LATENCY, share=0.02)).advise()
    assert all(factor <= LARGEST_LATENCY_REUSE for factor in advised.estimate.reuse.values())


def test_a_sweep_falls_from_the_smallest_to_the_fastest() -> None:
    points = Estimator(series(), request("io_stream")).sweep(12)
    best = [point for point in points if not point.uniform]
    uniform = [point for point in points if point.uniform]
    assert len(best) >= 3 and len(uniform) >= 3
    fastest, smallest = min(best, key=lambda point: point.latency_us), min(best, key=lambda point: point.largest)
    assert fastest.latency_us < smallest.latency_us and fastest.largest > smallest.largest
    for point in uniform:  # none is better than the best in both
        assert not any(point.latency_us < other.latency_us * 0.99 and point.largest < other.largest for other in best if other is smallest)


@pytest.mark.parametrize(
    ("model", "io_type", "device", "word"),
    [
        (series(), "io_parallel", "pynq-z2", "copy their window"),
        (series(), "io_stream", "pynq-z2", "No design in streams"),
        (mlp(), "io_parallel", "ecp5-85k", "does not build for this part"),
        (with_strategy(mlp(), Strategy.DISTRIBUTED_ARITHMETIC), "io_parallel", "pynq-z2", "reuse factor 1 whatever"),
    ],
)
def test_cautions_say_where_nothing_backs_the_figures(model: HlsModel, io_type: str, device: str, word: str) -> None:
    asked = replace(request(io_type, device=device), clock_mhz=50.0)
    assert any(word in caution for caution in Estimator(model, asked).estimate().cautions)
    assert Estimator(mlp(), request("io_parallel")).estimate().cautions == ()


def test_what_cannot_be_asked_is_told() -> None:
    plain = HlsModel("plain", (HlsLayer(name="relu", kind=Kind.ACTIVATION, function="relu", in_c=4, out_c=4),))
    with pytest.raises(InputError, match="no layer with a reuse factor"):
        Estimator(plain, request("io_parallel")).advise()
    with pytest.raises(InputError, match="layer gru: hls4ml has no distributed arithmetic for a gru layer"):
        Estimator(with_strategy(recurrent(), Strategy.DISTRIBUTED_ARITHMETIC), request("io_stream"))
    with pytest.raises(InputError, match="has 2,001 layers"):
        Estimator(HlsModel("long", tuple(HlsLayer(name=f"relu{place}", kind=Kind.ACTIVATION) for place in range(2001))), request("io_stream"))
