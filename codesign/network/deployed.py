"""The deployed network: integers and power-of-two scales, with a reference executor, without torch.

What training hands over and what every back end must reproduce bit for bit. A tensor holds integers ``q`` that stand
for ``q * 2**-fraction``. Rounding is half to even, saturation to the full range of the format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError
from codesign.network.layers import WEIGHTED, Layer, LayerGraph, Op

IntTensor = NDArray[np.int64]
FORMAT = 1
NETWORK_FILE = "network.npz"
"""Name of a saved network in the folder of a design or of a project."""
STATE_FILE = "brevitas.pt"
"""Name of the Brevitas network's weights beside it."""


@dataclass(frozen=True)
class TensorFormat:
    """Width, sign and scale of an integer tensor: ``value = q * 2**-fraction``."""

    bits: int
    signed: bool
    fraction: int

    @property
    def minimum(self) -> int:
        """Smallest integer of the format."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        """Largest integer of the format."""
        return (1 << (self.bits - 1 if self.signed else self.bits)) - 1


@dataclass(frozen=True)
class LayerIntegers:
    """What training decides for one layer.

    Attributes:
        output: format of the layer's output (for the last layer its accumulator's).
        weight: int8 (out_c, in_c / groups, kernel_h, kernel_w), for dense layers (out_c, in_c); None without weights.
        weight_fraction: scale of the weights.
        bias: int32 (out_c,) at the accumulator's scale, input fraction + weight fraction; None without weights.
    """

    output: TensorFormat
    weight: NDArray[np.int8] | None = None
    weight_fraction: int = 0
    bias: NDArray[np.int32] | None = None


@dataclass(frozen=True)
class DeployedNetwork:
    """A layer graph with its trained integers.

    Attributes:
        graph: the network.
        integers: by layer name, the input layer included (its format).
        zero_point: subtracted from the data set's unsigned words to give the input tensor.
    """

    graph: LayerGraph
    integers: Mapping[str, LayerIntegers]
    zero_point: int

    def run(self, samples: NDArray[np.uint8]) -> IntTensor:
        """Integer logits (batch x classes) at the fraction of the last layer's accumulator."""
        logits: IntTensor = self.trace(samples)[self.graph.output.name].reshape(len(samples), -1)
        return logits

    def predict(self, samples: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Class numbers (batch,): the first largest logit."""
        classes: NDArray[np.int64] = np.argmax(self.run(samples), axis=1)
        return classes

    def trace(self, samples: NDArray[np.uint8]) -> dict[str, IntTensor]:
        """Integer output of each layer by name, (batch, height, width, channels).

        Args:
            samples: data set words (batch, ...); read as the input layer's height x width x channels.
        """
        entry = self.graph.input
        tensors = {entry.name: samples.reshape(-1, entry.out_h, entry.out_w, entry.out_c).astype(np.int64) - self.zero_point}
        for layer in self.graph:
            if layer.op is not Op.INPUT:
                accumulator, fraction = self.accumulate(layer, tensors)
                tensors[layer.name] = requantise(np.maximum(accumulator, 0) if layer.relu else accumulator, fraction, self.format(layer.name))
        return tensors

    def format(self, name: str) -> TensorFormat:
        """Format of a layer's output."""
        return self.integers[name].output

    def accumulate(self, layer: Layer, tensors: Mapping[str, IntTensor]) -> tuple[IntTensor, int]:
        """Accumulator of a layer before ReLU and rounding, and its fraction, from the outputs of the layers it reads."""
        sources = [source.name for source in self.graph.predecessors(layer)]
        inputs, fractions = [tensors[name] for name in sources], [self.format(name).fraction for name in sources]
        if layer.op is Op.ADD:
            fraction = max(fractions)
            first, second = (tensor << (fraction - own) for tensor, own in zip(inputs, fractions, strict=True))
            return first + second, fraction
        if layer.op is Op.GLOBAL_POOL:
            return inputs[0].sum(axis=(1, 2), keepdims=True), fractions[0] + pool_shift(layer)
        own = self.integers[layer.name]
        assert own.weight is not None and own.bias is not None  # noqa: S101  # __post_init__ checked it
        product = _convolve(layer, inputs[0], own.weight)
        return product + own.bias.astype(np.int64), fractions[0] + own.weight_fraction

    def __post_init__(self) -> None:
        for layer in self.graph:
            own = self.integers.get(layer.name)
            if own is None:
                raise InputError("has no integers", where=f"layer {layer.name}")
            if layer.op in WEIGHTED:
                self._check_weights(layer, own)

    @staticmethod
    def _check_weights(layer: Layer, own: LayerIntegers) -> None:
        shape = (layer.out_c, layer.in_c) if layer.op is Op.DENSE else (layer.out_c, layer.in_c // layer.groups, layer.kernel_h, layer.kernel_w)
        if own.weight is None or own.bias is None or own.weight.shape != shape or own.bias.shape != (layer.out_c,):
            raise InputError(f"needs weights of shape {shape} and {layer.out_c} biases", where=f"layer {layer.name}")
        limit = 1 << (layer.weight_bits - 1)
        if int(own.weight.min()) < -limit or int(own.weight.max()) >= limit:
            raise InputError(f"has weights outside {layer.weight_bits} bits", where=f"layer {layer.name}")

    def save(self, path: Path) -> None:
        """Write one .npz file (no pickles inside)."""
        arrays: dict[str, NDArray[np.generic]] = {}
        formats = {}
        for name, own in self.integers.items():
            formats[name] = [own.output.bits, int(own.output.signed), own.output.fraction, own.weight_fraction]
            if own.weight is not None and own.bias is not None:
                arrays[f"weight/{name}"], arrays[f"bias/{name}"] = own.weight, own.bias
        header = {"format": FORMAT, "zero_point": self.zero_point, "layers": self.graph.as_rows(), "formats": formats}
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> DeployedNetwork:
        """Inverse of `save`.

        Raises:
            InputError: missing, damaged, or of another format.
        """
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                header = json.loads(archive["header"].tobytes())
                if header["format"] != FORMAT:
                    raise InputError(f"network file of format {header['format']}", where=str(path), remedy=f"This version reads format {FORMAT}")
                integers = {
                    name: LayerIntegers(
                        output=TensorFormat(bits, bool(signed), fraction),
                        weight=archive.get(f"weight/{name}", None),
                        weight_fraction=weight_fraction,
                        bias=archive.get(f"bias/{name}", None),
                    )
                    for name, (bits, signed, fraction, weight_fraction) in header["formats"].items()
                }
            return cls(LayerGraph.from_rows(header["layers"]), integers, int(header["zero_point"]))
        except (OSError, EOFError, KeyError, ValueError, TypeError, BadZipFile) as error:
            raise InputError(f"not a readable network file: {error}", where=str(path), remedy="Evaluate the design again with `codesign run`") from None


def pool_shift(layer: Layer) -> int:
    """Bits by which a global pool's sum is divided: ceil(log2(positions))."""
    return int(layer.in_h * layer.in_w - 1).bit_length()


def requantise(accumulator: IntTensor, fraction: int, target: TensorFormat) -> IntTensor:
    """Round half to even from ``fraction`` to the target's, and saturate to its range."""
    shift = fraction - target.fraction
    scaled: IntTensor
    if shift <= 0:
        scaled = accumulator << -shift
    else:
        floor, half = accumulator >> shift, 1 << (shift - 1)
        remainder = accumulator - (floor << shift)
        scaled = floor + ((remainder > half) | ((remainder == half) & (floor & 1 == 1)))
    return np.clip(scaled, target.minimum, target.maximum)


def _convolve(layer: Layer, inputs: IntTensor, weight: NDArray[np.int8]) -> IntTensor:
    """Integer convolution or matrix product; float64 holds it exactly below 2**53, far above any accumulator here."""
    kernel = weight.astype(np.float64)
    if layer.op is Op.DENSE:
        product: IntTensor = (inputs.reshape(len(inputs), -1).astype(np.float64) @ kernel.T).astype(np.int64)
        return product[:, None, None, :]
    padded = np.pad(inputs, ((0, 0), (layer.pad_h, layer.pad_h), (layer.pad_w, layer.pad_w), (0, 0))).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (layer.kernel_h, layer.kernel_w), axis=(1, 2))
    windows = windows[:, :: layer.stride_h, :: layer.stride_w]  # batch, out_h, out_w, channels, kernel_h, kernel_w
    if layer.groups > 1:
        sums = np.einsum("byxckl,ckl->byxc", windows, kernel[:, 0], optimize=True)
    else:
        sums = np.einsum("byxikl,oikl->byxo", windows, kernel, optimize=True)
    exact: IntTensor = sums.astype(np.int64)
    return exact
