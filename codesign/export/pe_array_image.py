"""A trained network on a `pe_array`: programs with all fields, weights as words, and what goes in and out of the memory.

Layouts and fields are those of ``accel_templates/pe_array/ARCHITECTURE.md``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.array_parameters import ArrayParameters
from codesign.accelerator.pe_array_instructions import wrapped
from codesign.accelerator.pe_array_layers import LayerGeometry
from codesign.accelerator.pe_array_program import BIAS_BITS, INSTRUCTION_BYTES, MAXIMUM_SLOTS, Instruction
from codesign.accelerator.schedule import Phase, Schedule
from codesign.errors import InputError
from codesign.network.deployed import DeployedNetwork, IntTensor, TensorFormat, pool_shift, requantise
from codesign.network.layers import WEIGHTED, Layer, Op

Words = NDArray[np.int64]


@dataclass(frozen=True)
class PeArrayImage:
    """What a deployed network puts into external memory.

    Attributes:
        network: weights and formats.
        schedule: programs and addresses.

    Raises:
        InputError: weights, activations, biases or accumulators do not fit the array, or the operands of an add have
            scales too far apart.
    """

    network: DeployedNetwork
    schedule: Schedule

    def __post_init__(self) -> None:
        for geometry in self.schedule.geometries.values():
            check_layer(self.network, geometry, self.schedule)

    @cached_property
    def program(self) -> tuple[Instruction, ...]:
        """Instructions of an inference, ``halt`` included."""
        return (*(self._filled(phase) for phase in self.schedule.phases), Instruction(halt=1))

    @cached_property
    def memory(self) -> bytes:
        """Programs and weights: the memory's contents from address 0 to the first tensor."""
        parts = [encode_program(self.program), encode_program(self.schedule.preload)]
        parts += [layer_weights(self.network, geometry, self.schedule.array) for geometry in self.schedule.geometries.values()]
        return b"".join(parts)

    @property
    def input_address(self) -> int:
        """Address of the network's input."""
        return self.schedule.memory.tensors[self.network.graph.input.name]

    @property
    def input_bytes(self) -> int:
        """Bytes of one sample's input."""
        return self.schedule.input_shape.words * self.schedule.array.activation_word_bytes

    @property
    def output_address(self) -> int:
        """Address of the last layer's accumulators."""
        return self.schedule.memory.tensors[self.network.graph.output.name]

    @property
    def output_bytes(self) -> int:
        """Bytes of one sample's accumulators: one tensor a run of the last layer."""
        return self.schedule.runs * self.schedule.output_shape.words * self.schedule.array.activation_word_bytes

    def pack_input(self, samples: NDArray[np.uint8]) -> bytes:
        """Data set words (n, ...) as n inputs one after the other."""
        entry, array = self.network.graph.input, self.schedule.array
        shape = self.schedule.input_shape
        values = samples.reshape(-1, shape.h * shape.w, shape.channels).astype(np.int64) - self.network.zero_point
        limits = self.network.format(entry.name)
        if values.size and (values.min() < limits.minimum or values.max() > limits.maximum):
            raise InputError(f"samples exceed {limits.bits} bits", where="input of the network", remedy="Give the words of the task's data set")
        padded = np.zeros((len(values), shape.h * shape.w, shape.planes * array.columns), dtype=np.int64)
        padded[:, :, : shape.channels] = values
        lanes = padded.reshape(len(values), -1, shape.planes, array.columns).swapaxes(1, 2)
        return pack_words(lanes, array.activation_bits, array.activation_word_bytes)

    def unpack_logits(self, outputs: bytes) -> IntTensor:
        """Logits (n x classes) from n outputs one after the other: the pieces of each accumulator together."""
        array, shape, runs = self.schedule.array, self.schedule.output_shape, self.schedule.runs
        pieces = unpack_words(outputs, array.activation_bits, array.columns, array.activation_word_bytes)
        pieces = pieces.reshape(-1, runs, shape.planes, shape.h * shape.w, array.columns)
        bits = runs * array.activation_bits
        values = (pieces << (np.arange(runs) * array.activation_bits)[None, :, None, None, None]).sum(axis=1)
        values -= (values >> (bits - 1) & 1) << bits
        accumulators: IntTensor = values.swapaxes(1, 2).reshape(len(values), shape.h * shape.w, -1)[:, :, : shape.channels]
        last = self.network.graph.output
        accumulators = np.maximum(accumulators, 0) if last.relu else accumulators
        return requantise(accumulators, accumulator_fraction(self.network, last), self.network.format(last.name)).reshape(len(values), -1)

    def expected_output(self, samples: NDArray[np.uint8]) -> bytes:
        """What the array leaves at `output_address` for data set words (n, ...), one sample after the other."""
        array, shape, runs = self.schedule.array, self.schedule.output_shape, self.schedule.runs
        accumulators, _ = self.network.accumulate(self.network.graph.output, self.network.trace(samples))
        padded = np.zeros((len(samples), shape.h * shape.w, shape.planes * array.columns), dtype=np.int64)
        padded[:, :, : shape.channels] = accumulators.reshape(len(samples), -1, shape.channels)
        lanes = padded.reshape(len(samples), 1, -1, shape.planes, array.columns).swapaxes(2, 3)
        pieces = lanes >> (np.arange(runs) * array.activation_bits)[None, :, None, None, None]
        return pack_words(pieces, array.activation_bits, array.activation_word_bytes)

    def _filled(self, phase: Phase) -> Instruction:
        written = phase.instruction
        if not written.compute:
            return written
        layer = self.network.graph[phase.layer]
        formats = [self.network.format(source.name) for source in self.network.graph.predecessors(layer)]
        if layer.op is Op.ADD:
            written, formats = _add_fields(written, formats, self.schedule.array)
        written = replace(written, signed_a=int(formats[0].signed), signed_b=int(formats[-1].signed and layer.op is Op.ADD))
        if written.raw:
            return written
        target = self.network.format(layer.name)
        return replace(
            written,
            shift=shift_field(accumulator_fraction(self.network, layer) - target.fraction, self.schedule.array),
            clip_low=0 if layer.relu else target.minimum,
            clip_high=target.maximum,
        )


def _add_fields(written: Instruction, formats: list[TensorFormat], array: ArrayParameters) -> tuple[Instruction, list[TensorFormat]]:
    """Put the operand of the coarser scale first and say how far it is shifted."""
    if formats[0].fraction > formats[1].fraction:
        second = wrapped(written.activation_base + written.channel_stride, "activation_base")
        written = replace(written, activation_base=second, channel_stride=wrapped(-written.channel_stride, "channel_stride"))
        formats = formats[::-1]
    _, slots = alignment(formats[1].fraction - formats[0].fraction, array)
    return replace(written, slots_active=slots), formats


def alignment(difference: int, array: ArrayParameters) -> tuple[int, int]:
    """(u, v): operand a of an add has weight ``2**u`` and is then shifted ``v`` times by ``weight_bits - 1`` bits."""
    slots = max(0, -(-(difference - (array.weight_bits - 2)) // (array.weight_bits - 1)))
    return difference - slots * (array.weight_bits - 1), slots


def shift_field(shift: int, array: ArrayParameters) -> int:
    """Field of a right shift by ``shift`` bits (left if negative).

    A left shift by ``activation_bits`` takes any number but zero beyond both ends of every format; a right shift by
    ``accumulator_bits`` leaves at most a half, which is rounded to zero. Shifts beyond those change nothing.
    """
    return min(max(shift, -array.activation_bits), array.accumulator_bits) + array.activation_bits


def accumulator_fraction(network: DeployedNetwork, layer: Layer) -> int:
    """Scale of a layer's accumulator."""
    fractions = [network.format(source.name).fraction for source in network.graph.predecessors(layer)]
    if layer.op is Op.ADD:
        return max(fractions)
    return fractions[0] + (pool_shift(layer) if layer.op is Op.GLOBAL_POOL else network.integers[layer.name].weight_fraction)


def encode_program(program: Iterable[Instruction]) -> bytes:
    """Instructions as they lie in memory."""
    return b"".join(own.encode().to_bytes(INSTRUCTION_BYTES, "little") for own in program)


def pack_words(lanes: Words, bits: int, word_bytes: int) -> bytes:
    """Numbers (..., lanes) as words of ``bits`` bits a lane, lane 0 lowest, each word padded to ``word_bytes``."""
    flat = lanes.reshape(-1, lanes.shape[-1])
    spread = ((flat[:, :, None] >> np.arange(bits)) & 1).astype(np.uint8).reshape(len(flat), -1)
    return np.packbits(np.pad(spread, ((0, 0), (0, 8 * word_bytes - spread.shape[1]))), axis=1, bitorder="little").tobytes()


def unpack_words(data: bytes, bits: int, lanes: int, word_bytes: int) -> Words:
    """Inverse of `pack_words` for unsigned numbers: (words, lanes)."""
    spread = np.unpackbits(np.frombuffer(data, dtype=np.uint8).reshape(-1, word_bytes), axis=1, bitorder="little")
    numbers: Words = spread[:, : lanes * bits].reshape(-1, lanes, bits).astype(np.int64) @ (1 << np.arange(bits))
    return numbers


def layer_weights(network: DeployedNetwork, geometry: LayerGeometry, array: ArrayParameters) -> bytes:
    """Weight words of a layer, group by group: biases, then taps."""
    groups = 1 if geometry.shared else geometry.groups
    biases = np.zeros((groups, array.rows), dtype=np.int64)
    own = network.integers[geometry.layer.name]
    if own.bias is not None:
        channels = np.zeros(groups * geometry.group_channels, dtype=np.int64)
        channels[: len(own.bias)] = own.bias
        biases[:, : geometry.group_channels] = channels.reshape(groups, -1)
    taps = _diagonal_taps(network, geometry, array) if geometry.diagonal else _full_taps(network, geometry, array)
    spread = ((biases[:, :, None] >> np.arange(BIAS_BITS)) & 1).reshape(groups, -1)
    first = np.pad(spread, ((0, 0), (0, array.bias_words * array.weight_word_bits - spread.shape[1]))).reshape(groups, array.bias_words, -1)
    words = ((taps[:, :, :, None] >> np.arange(array.weight_bits)) & 1).reshape(groups, taps.shape[1], -1)
    return pack_words(np.concatenate([first, words], axis=1), 1, array.weight_word_bytes)


def _kernel(network: DeployedNetwork, geometry: LayerGeometry) -> Words:
    """Weights (out_c, in_c of a group, kernel rows, kernel columns) in the axes of the array."""
    own = network.integers[geometry.layer.name]
    assert own.weight is not None  # noqa: S101  # DeployedNetwork checked it
    kernel = own.weight.astype(np.int64)
    if geometry.layer.op is Op.DENSE:
        kernel = kernel.reshape(len(kernel), *geometry.kernel, -1).transpose(0, 3, 1, 2)  # features lie height, width, channel
    elif geometry.exchanged:
        kernel = kernel.swapaxes(2, 3)
    return kernel


def _full_taps(network: DeployedNetwork, geometry: LayerGeometry, array: ArrayParameters) -> Words:
    """Weight words (groups, taps, rows * columns) of a dense layer or a convolution."""
    kernel = _kernel(network, geometry)
    padded = np.zeros((geometry.groups * array.rows, geometry.channel_tiles * array.columns, *geometry.kernel), dtype=np.int64)
    padded[: kernel.shape[0], : kernel.shape[1]] = kernel
    parts = padded.reshape(geometry.groups, array.rows, geometry.channel_tiles, array.columns, *geometry.kernel)
    return parts.transpose(0, 4, 5, 2, 1, 3).reshape(geometry.groups, -1, array.rows * array.columns)


def _diagonal_taps(network: DeployedNetwork, geometry: LayerGeometry, array: ArrayParameters) -> Words:
    """Weight words (groups, taps, rows * columns) of a depthwise layer; of an add or a pool the one group for all."""
    channels = geometry.group_channels
    row, lane = np.arange(channels)[:, None], np.arange(array.columns)[None, :]
    if geometry.shared:
        weights = _shared_weights(network, geometry, array)
        words = np.zeros((1, len(weights), array.rows, array.columns), dtype=np.int64)
        words[0, :, :channels] = np.where(lane % channels == row, weights[:, None, None], 0)
        return words.reshape(1, len(weights), -1)
    kernel = _kernel(network, geometry).reshape(geometry.layer.out_c, -1)
    words = np.zeros((geometry.groups, kernel.shape[1], array.rows, array.columns), dtype=np.int64)
    for channel, taps in enumerate(kernel):
        words[channel // channels, :, channel % channels, channel % array.columns] = taps
    return words.reshape(geometry.groups, kernel.shape[1], -1)


def _shared_weights(network: DeployedNetwork, geometry: LayerGeometry, array: ArrayParameters) -> Words:
    if geometry.layer.op is Op.GLOBAL_POOL:
        return np.ones(1, dtype=np.int64)
    fractions = [network.format(name).fraction for name in geometry.operands]
    return np.array([1 << alignment(abs(fractions[0] - fractions[1]), array)[0], 1])


def check_layer(network: DeployedNetwork, geometry: LayerGeometry, schedule: Schedule) -> None:
    """Raise InputError where a layer's numbers do not fit the array."""
    layer, array = geometry.layer, schedule.array
    where = f"layer {layer.name} on pe_array"
    for name in (*geometry.operands, *(() if layer == network.graph.output else (layer.name,))):
        if network.format(name).bits > array.activation_bits:
            raise InputError(f"the output of {name} has {network.format(name).bits} bits", where=where, remedy="Choose more activation_bits")
    if layer.op in WEIGHTED and layer.weight_bits > array.weight_bits:
        raise InputError(f"has weights of {layer.weight_bits} bits", where=where, remedy="Choose more weight_bits")
    fractions = [network.format(name).fraction for name in geometry.operands]
    if max(fractions) - min(fractions) > MAXIMUM_SLOTS:
        raise InputError(f"adds scales {max(fractions) - min(fractions)} bits apart", where=where, remedy=f"pe_array aligns up to {MAXIMUM_SLOTS} bits")
    bias = network.integers[layer.name].bias
    if bias is not None and (int(bias.min()) < -(1 << (BIAS_BITS - 1)) or int(bias.max()) >= 1 << (BIAS_BITS - 1)):
        raise InputError(f"has a bias beyond {BIAS_BITS} bits", where=where)
    low, high = accumulator_range(network, layer)
    bits = max((-low - 1).bit_length(), high.bit_length()) + 1
    if bits > array.accumulator_bits:
        raise InputError(f"accumulates {bits} bits", where=where, remedy=f"Choose accumulator_bits of at least {bits}")
    if layer == network.graph.output and bits > schedule.runs * array.activation_bits:
        raise InputError(f"accumulates {bits} bits, more than the {layer.accumulator_bits} that it declares", where=where)


def accumulator_range(network: DeployedNetwork, layer: Layer) -> tuple[int, int]:
    """Smallest and largest accumulator that inputs of the layer's formats can give."""
    formats = [network.format(source.name) for source in network.graph.predecessors(layer)]
    if layer.op is Op.ADD:
        finest = max(own.fraction for own in formats)
        return sum(own.minimum << (finest - own.fraction) for own in formats), sum(own.maximum << (finest - own.fraction) for own in formats)
    if layer.op is Op.GLOBAL_POOL:
        return formats[0].minimum * layer.in_h * layer.in_w, formats[0].maximum * layer.in_h * layer.in_w
    own = network.integers[layer.name]
    assert own.weight is not None and own.bias is not None  # noqa: S101  # DeployedNetwork checked it
    weights = own.weight.reshape(len(own.weight), -1).astype(np.int64)
    ends = np.stack([weights * formats[0].minimum, weights * formats[0].maximum])
    return int((ends.min(axis=0).sum(axis=1) + own.bias).min()), int((ends.max(axis=0).sum(axis=1) + own.bias).max())
