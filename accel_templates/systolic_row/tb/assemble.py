"""Program and memory images of a network for ``rtl/systolic_row.v``, and the commands of its test bench.

Notation: P processing elements; a group is P output channels that are computed at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError
from codesign.network.deployed import DeployedNetwork, IntTensor, pool_shift
from codesign.network.layers import Layer, LayerGraph, Op

UNLIMITED = 0xFFFF
"""A map bound that no coordinate reaches: nothing is zero padding."""
DEPTHWISE = (Op.DEPTHWISE_CONV1D, Op.DEPTHWISE_CONV2D)
UNIT = (Op.ADD, Op.GLOBAL_POOL)


@dataclass(frozen=True)
class RowShape:
    """Parameters of the Verilog module, by its names."""

    pes: int
    weight_bits: int
    activation_bits: int
    accumulator_bits: int
    kernel_words: int
    feature_words: int


@dataclass(frozen=True)
class RowImage:
    """What the memories hold before the first inference.

    Attributes:
        program: 24 words a layer.
        kernels: words of each element's kernel memory.
        biases: of all weighted layers in order.
        input_address: where the network's input goes.
    """

    program: list[int]
    kernels: list[list[int]]
    biases: list[int]
    input_address: int

    def commands(self) -> Iterator[str]:
        """Test bench commands that load the image."""
        yield _load(0, 0, self.program)
        for element, words in enumerate(self.kernels):
            yield _load(1, element, words)
        yield _load(2, 0, self.biases)

    def infer(self, words: Sequence[int]) -> str:
        """Test bench command for one inference; ``words`` are the input's integers, channels last."""
        return f"infer {self.input_address} {len(words)} {' '.join(map(str, words))}"


def _load(target: int, element: int, words: Sequence[int]) -> str:
    return f"load {target} {element} 0 {len(words)} {' '.join(map(str, words))}"


def assemble(network: DeployedNetwork, row: RowShape) -> RowImage:
    """Program and images of a network.

    Raises:
        InputError: the maps do not fit in the feature memory, the kernels in the elements' memories, or a shift in its field.
    """
    graph = network.graph
    addresses = place_maps(graph, row.feature_words)
    program: list[int] = []
    kernels: list[list[int]] = [[] for _ in range(row.pes)]
    biases: list[int] = []
    for layer in graph:
        if layer.op is Op.INPUT:
            continue
        program += _program(network, layer, addresses, kernel_base=len(kernels[0]), bias_base=len(biases))
        own = network.integers[layer.name]
        if own.weight is not None and own.bias is not None:
            for element, words in enumerate(_kernel_words(layer, own.weight, row.pes)):
                kernels[element] += words
            biases += own.bias.tolist()
    if len(kernels[0]) > row.kernel_words:
        raise InputError(f"{len(kernels[0])} kernel words for memories of {row.kernel_words}", where="systolic_row", remedy="Take a larger kernel memory")
    return RowImage(program, kernels, biases, addresses[graph.input.name])


def _kernel_words(layer: Layer, weight: NDArray[np.int8], pes: int) -> list[list[int]]:
    """Words of each element: group by group, tap by tap, channel by channel; zero for channels that a last group lacks."""
    taps = weight.reshape(layer.out_c, -1, layer.kernel_h, layer.kernel_w).transpose(0, 2, 3, 1).reshape(layer.out_c, -1)
    groups = -(-layer.out_c // pes)
    padded = np.zeros((groups * pes, taps.shape[1]), dtype=np.int64)
    padded[: layer.out_c] = taps
    words: list[list[int]] = padded.reshape(groups, pes, -1).transpose(1, 0, 2).reshape(pes, -1).tolist()
    return words


def _program(network: DeployedNetwork, layer: Layer, addresses: Mapping[str, int], *, kernel_base: int, bias_base: int) -> list[int]:
    """The 24 words of one layer."""
    sources = network.graph.predecessors(layer)
    source = addresses[sources[0].name]
    unit, add = layer.op in UNIT, layer.op is Op.ADD
    diagonal, final = unit or layer.op in DEPTHWISE, layer == network.graph.output
    line = layer.in_w * layer.in_c
    # The second operand of an add is a second tap, as far away as the two maps are.
    kernel_w, step_tap = (2, addresses[sources[1].name] - source) if add else (layer.kernel_w, layer.in_c)
    signed = [network.format(item.name).signed for item in (sources[0], sources[-1])]
    flags = unit | diagonal << 1 | signed[0] << 2 | signed[1] << 3 | layer.relu << 4 | final << 5
    return [
        flags, layer.in_c - 1, layer.out_c, kernel_w - 1, layer.kernel_h - 1, layer.out_w - 1, layer.out_h - 1, layer.out_h * layer.out_w - 1,
        layer.stride_w, layer.stride_h, -layer.pad_w, -layer.pad_h, UNLIMITED if add else layer.in_w, UNLIMITED if add else layer.in_h,
        source - layer.pad_h * line - layer.pad_w * layer.in_c, step_tap, line, layer.stride_w * layer.in_c, layer.stride_h * line,
        0 if final else addresses[layer.name], kernel_base, bias_base, _shifts(network, layer, final=final), _bounds(network, layer),
    ]  # fmt: skip


def _shifts(network: DeployedNetwork, layer: Layer, *, final: bool) -> int:
    """Shifts of both operands of an add, and of the result to the left or to the right, in one word."""
    fractions = [network.format(source.name).fraction for source in network.graph.predecessors(layer)]
    align_first, align_second = (max(fractions) - fractions[0], max(fractions) - fractions[1]) if layer.op is Op.ADD else (0, 0)
    grown = pool_shift(layer) if layer.op is Op.GLOBAL_POOL else network.integers[layer.name].weight_fraction if layer.op is not Op.ADD else 0
    shift = 0 if final else max(fractions) + grown - network.format(layer.name).fraction
    if max(align_first, align_second) > 8 or not -8 < shift < 32:
        raise InputError(f"shifts of {align_first}, {align_second} and {shift} bits", where=f"layer {layer.name}", remedy="Operands align by at most 8 bits")
    return max(shift, 0) | max(-shift, 0) << 5 | align_first << 8 | align_second << 12


def _bounds(network: DeployedNetwork, layer: Layer) -> int:
    target = network.format(layer.name)
    limit = 1 << 15
    return (min(target.maximum, limit - 1) & 0xFFFF) << 16 | (max(target.minimum, -limit) & 0xFFFF)


def place_maps(graph: LayerGraph, words: int) -> dict[str, int]:
    """Address of each map but the result, so that none overlaps another that is still to be read.

    Each map goes to the lowest or to the highest place that is free; all choices are tried in turn.

    Raises:
        InputError: no choice works.
    """
    layers = list(graph)
    sizes = [0 if layer == graph.output else layer.out_h * layer.out_w * layer.out_c for layer in layers]
    readers = [[slot for slot, reader in enumerate(layers) if number in (reader.input_a, reader.input_b)] for number in range(len(layers))]
    alive = [[other for other in range(number) if readers[other] and readers[other][-1] >= number] for number in range(len(layers))]
    placed: list[int] = []

    def place(number: int) -> bool:
        if number == len(layers):
            return True
        taken = sorted((placed[other], placed[other] + sizes[other]) for other in alive[number])
        for address in _free_places(taken, sizes[number], words):
            placed.append(address)
            if place(number + 1):
                return True
            placed.pop()
        return False

    # Only where there is room for all at all times is it worth looking for places.
    if any(sum(sizes[other] for other in [*alive[number], number]) > words for number in range(len(layers))) or not place(0):
        raise InputError(f"the maps do not fit in {words} words", where="systolic_row", remedy="Take a larger feature memory")
    return {layer.name: address for layer, address in zip(layers, placed, strict=True)}


def _free_places(taken: list[tuple[int, int]], size: int, words: int) -> list[int]:
    """Lowest and highest address at which ``size`` words are free."""
    ends = [0, *(end for _, end in taken)]
    begins = [*(begin for begin, _ in taken), words]
    gaps = [(low, high - size) for low, high in zip(ends, begins, strict=True) if high - low >= size]
    return list(dict.fromkeys((gaps[0][0], gaps[-1][1]))) if gaps else []


def input_words(network: DeployedNetwork, samples: NDArray[np.uint8]) -> IntTensor:
    """Input integers (batch x elements) of data set words."""
    return samples.reshape(len(samples), -1).astype(np.int64) - network.zero_point
