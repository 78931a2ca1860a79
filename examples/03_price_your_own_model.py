"""Price an hls4ml network that codesign did not train, on two boards, and find the reuse factors that make it fit.

Run: python examples/03_price_your_own_model.py
"""

from __future__ import annotations

from itertools import pairwise

from codesign.accelerator.device import find_device
from codesign.kpi.streaming.estimates import Request
from codesign.kpi.streaming.estimation import Estimator
from codesign.kpi.streaming.flow import Flow, Stage, Tool
from codesign.network.hls_model import HlsLayer, HlsModel, Kind, Strategy

WIDTHS = (16, 64, 32, 32, 5)
"""The jet tagger of the hls4ml tutorial: dense layers with ReLU between them."""


def jet_tagger(bits: int) -> HlsModel:
    """The network with weights and activations of so many bits; a file is read by `codesign.network.importers.read`."""
    layers: list[HlsLayer] = []
    for number, (inputs, outputs) in enumerate(pairwise(WIDTHS)):
        before = (layers[-1].name,) if layers else ()
        types = {"weight_bits": bits, "bias_bits": bits, "input_bits": bits, "output_bits": bits, "accumulator_bits": 2 * bits}
        layers.append(HlsLayer(name=f"dense{number}", kind=Kind.DENSE, inputs=before, in_c=inputs, out_c=outputs, **types))
        if outputs != WIDTHS[-1]:
            layers.append(HlsLayer(name=f"relu{number}", kind=Kind.ACTIVATION, function="relu", inputs=(f"dense{number}",), in_c=outputs, out_c=outputs))
    return HlsModel("jet tagger", tuple(layers))


def main() -> None:
    """As asked for, and the fastest setting that fits."""
    flow = Flow(Tool.VITIS_HLS, Stage.POST_SYNTH)
    for board in ("pynq-z2", "alveo-u250"):
        device = find_device(board)
        for bits in (8, 16):
            request = Request(device, flow, "io_parallel", Strategy.RESOURCE, reuse_factor=1, clock_mhz=device.clock_mhz.value, limits={})
            estimator = Estimator(jet_tagger(bits), request)
            asked, advice = estimator.estimate(), estimator.advise()
            latency, reuse = advice.estimate.kpis["latency_us"], list(advice.estimate.reuse.values())
            print(f"{board}, {bits} bits: reuse factor 1 {'fits' if asked.fits else 'does not fit'} ({asked.binding})")
            print(f"  fastest that fits: reuse factors {reuse}, {latency.value:.2f} us (95 %: {latency.low:.2f} to {latency.high:.2f})")


if __name__ == "__main__":
    main()
