"""Networks with random integers: designs to try the export and the simulation on without training anything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.network.deployed import DeployedNetwork, IntTensor, LayerIntegers, TensorFormat, requantise
from codesign.network.layers import WEIGHTED, Layer, LayerGraph, Op

CALIBRATION_SAMPLES = 32
BIAS_LIMIT = (1 << 15) - 1
COVERED = 0.98  # share of the calibration values that an output format holds without saturating


def random_deployed(graph: LayerGraph, rng: np.random.Generator) -> DeployedNetwork:
    """A network whose weights, biases and scales are random, with formats that saturate now and then but not always.

    Scales differ from layer to layer, also between the operands of an add, and may be coarser than one.
    """
    entry = graph.input
    zero_point = 1 << (entry.output_bits - 1) if entry.output_signed else 0
    integers = {layer.name: _draw(layer, rng) for layer in graph}
    network = DeployedNetwork(graph, integers, zero_point)
    words = rng.integers(0, 1 << entry.output_bits, (CALIBRATION_SAMPLES, entry.out_h, entry.out_w, entry.out_c))
    tensors: dict[str, IntTensor] = {entry.name: words - zero_point}
    for layer in graph:
        if layer.op is Op.INPUT:
            continue
        accumulator, fraction = network.accumulate(layer, tensors)
        own = integers[layer.name]
        if own.bias is not None:
            own.bias[:] = _centre(accumulator, rng)
            accumulator, fraction = network.accumulate(layer, tensors)
        if layer.relu:
            accumulator = np.maximum(accumulator, 0)
        target = _format(layer, accumulator, fraction, last=layer == graph.output)
        integers[layer.name] = LayerIntegers(target, own.weight, own.weight_fraction, own.bias)
        tensors[layer.name] = requantise(accumulator, fraction, target)
    return network


def _draw(layer: Layer, rng: np.random.Generator) -> LayerIntegers:
    """Random weights; the formats of all layers but the input's are chosen later."""
    output = TensorFormat(layer.output_bits, bool(layer.output_signed), int(rng.integers(0, 8)))
    if layer.op not in WEIGHTED:
        return LayerIntegers(output)
    limit = 1 << (layer.weight_bits - 1)
    shape = (layer.out_c, layer.in_c) if layer.op is Op.DENSE else (layer.out_c, layer.in_c // layer.groups, layer.kernel_h, layer.kernel_w)
    weight = rng.integers(-limit, limit, shape).astype(np.int8)
    return LayerIntegers(output, weight, int(rng.integers(-1, 9)), np.zeros(layer.out_c, dtype=np.int32))


def _centre(accumulator: IntTensor, rng: np.random.Generator) -> NDArray[np.int64]:
    """Biases (channels,) that put each channel's values around zero, as folded batch normalisation would, so that no ReLU is always off."""
    values = accumulator.reshape(-1, accumulator.shape[-1])
    spread = max(int(values.std(axis=0).mean()), 1)
    biases: NDArray[np.int64] = rng.integers(-spread, spread + 1, values.shape[1]) - np.median(values, axis=0).astype(np.int64)
    return biases.clip(-BIAS_LIMIT, BIAS_LIMIT)


def _format(layer: Layer, accumulator: IntTensor, fraction: int, *, last: bool) -> TensorFormat:
    """The last layer keeps its accumulator; others take the scale that just holds most values."""
    if last:
        return TensorFormat(layer.output_bits, bool(layer.output_signed), fraction)
    sizes = np.abs(accumulator[accumulator != 0])
    largest = max(int(np.quantile(sizes, COVERED)), 1) if sizes.size else 1
    room = layer.output_bits - int(layer.output_signed)
    return TensorFormat(layer.output_bits, bool(layer.output_signed), fraction - (largest.bit_length() - room))
