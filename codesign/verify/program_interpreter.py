"""A `pe_array` in software: executes encoded programs on an image of the external memory.

Written from ``accel_templates/pe_array/ARCHITECTURE.md`` alone: addresses come from the fields of the instructions and not
from a network, so it proves schedules and images, and it is the reference of the RTL. Cycles follow the contract's law.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.array_parameters import ArrayParameters
from codesign.accelerator.pe_array_program import INSTRUCTION_BYTES, Instruction, decode
from codesign.accelerator.pe_array_tiling import CycleConstants
from codesign.errors import VerificationError
from codesign.verify.program_computation import Accesses, Computation, Numbers, numbers_of


class ProgramInterpreter:
    """Memory and buffers of one array; they keep what they hold from program to program.

    Args:
        array: the hardware.
        constants: of the law of cycles.
        memory_bytes: size of the external memory.
        seed: of what memory and buffers hold at first.
    """

    def __init__(self, array: ArrayParameters, constants: CycleConstants, memory_bytes: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.array = array
        self.constants = constants
        self.memory = rng.integers(0, 256, memory_bytes, dtype=np.uint8)
        self._weights = rng.integers(0, 2, (array.weight_words * array.banks, array.weight_word_bits), dtype=np.uint8)
        self._activations = rng.integers(0, 1 << array.activation_bits, (array.activation_words * array.banks, array.columns))
        self._outputs = rng.integers(0, 1 << array.activation_bits, (array.output_words * array.banks, array.columns))

    def write(self, address: int, data: bytes) -> None:
        """Put bytes into the external memory."""
        self.memory[address : address + len(data)] = np.frombuffer(data, dtype=np.uint8)

    def read(self, address: int, count: int) -> bytes:
        """Bytes of the external memory."""
        return self.memory[address : address + count].tobytes()

    def run(self, address: int) -> int:
        """Execute the program at an address; cycles from start to end.

        Raises:
            VerificationError: an access outside a buffer or the memory, or one that meets another of the same phase.
        """
        cycles = self.constants.start + self.constants.fetch + self.array.latency + self.array.fetch_beats
        while True:
            word = int.from_bytes(self._bytes(address, INSTRUCTION_BYTES).tobytes(), "little")
            instruction = decode(word)
            if instruction.halt:
                return int(cycles)
            self._phase(instruction, address)
            cycles += phase_cycles(instruction, self.array, self.constants)
            address += INSTRUCTION_BYTES

    def _phase(self, own: Instruction, address: int) -> None:
        touched = Accesses(*(np.zeros(len(words), dtype=np.bool_) for words in (self._weights, self._activations, self._activations, self._outputs)))
        moved = [(touched.written_outputs, self._store(own), "stores output words that it writes")] if own.store else []
        if own.compute:
            Computation(own, self.array, self._weights, self._activations, self._outputs, touched).run()
        for to_weights, words in self._load(own):
            if to_weights:
                moved.append((touched.weights, words, "loads weights that it reads"))
            else:
                moved.append((touched.activations | touched.written_activations, words, "loads activations that it reads or writes"))
        for mask, words, meeting in moved:
            if mask[words].any():
                raise VerificationError(f"the phase {meeting}", where=f"pe_array instruction at {address:#x}")

    def _bytes(self, address: int, count: int) -> NDArray[np.uint8]:
        if address % self.array.bus_bytes or address < 0 or address + count > len(self.memory):
            raise VerificationError(f"{count} bytes at {address:#x} are not whole beats of the memory", where="pe_array interpreter")
        return self.memory[address : address + count]

    def _chunks(self, address: int, stride: int, beats: int, chunks: int, word_beats: int) -> NDArray[np.uint8]:
        """Bytes of a movement by word (words, bytes), as a copy."""
        count = beats * self.array.bus_bytes
        data = np.concatenate([self._bytes(address + chunk * stride, count) for chunk in range(chunks)])
        return data.reshape(-1, word_beats * self.array.bus_bytes)

    def _load(self, own: Instruction) -> list[tuple[bool, slice]]:
        """Move words in; for each movement whether it goes to the weight buffer, and where."""
        loaded = []
        if own.load0:
            chunks = (own.load0_address, own.load0_stride, own.load0_beats, own.load0_chunks_last + 1)
            if own.load0_weights:
                words = np.unpackbits(self._chunks(*chunks, self.array.weight_word_beats), axis=1, bitorder="little")[:, : self.array.weight_word_bits]
                loaded.append((True, _put(self._weights, own.load0_word, words, "weight")))
            else:
                loaded.append((False, _put(self._activations, own.load0_word, self._lanes(*chunks), "activation")))
        if own.load1:
            data = self._lanes(own.load1_address, own.load1_stride, own.load1_beats, own.load1_chunks_last + 1)
            loaded.append((False, _put(self._activations, own.load1_word, data, "activation")))
        return loaded

    def _lanes(self, address: int, stride: int, beats: int, chunks: int) -> Numbers:
        bits = np.unpackbits(self._chunks(address, stride, beats, chunks, self.array.activation_word_beats), axis=1, bitorder="little")
        return numbers_of(bits[:, : self.array.activation_word_bits].reshape(len(bits), self.array.columns, -1))

    def _store(self, own: Instruction) -> slice:
        words = own.store_beats // self.array.activation_word_beats
        word = own.store_word
        for chunk in range(own.store_chunks_last + 1):
            place = self._bytes(own.store_address + chunk * own.store_stride, own.store_beats * self.array.bus_bytes)
            if word + words > len(self._outputs):
                raise VerificationError(f"stores word {word + words - 1} of an output buffer of {len(self._outputs)}", where="pe_array interpreter")
            bits = ((self._outputs[word : word + words, :, None] >> np.arange(self.array.activation_bits)) & 1).reshape(words, -1).astype(np.uint8)
            padded = np.pad(bits, ((0, 0), (0, 8 * self.array.activation_word_bytes - bits.shape[1])))
            place[:] = np.packbits(padded, axis=1, bitorder="little").ravel()
            word += words
        return slice(own.store_word, word)


def _put(buffer: NDArray[np.generic], first: int, words: NDArray[np.generic], name: str) -> slice:
    if first + len(words) > len(buffer):
        raise VerificationError(f"loads word {first + len(words) - 1} of a {name} buffer of {len(buffer)}", where="pe_array interpreter")
    buffer[first : first + len(words)] = words
    return slice(first, first + len(words))


def phase_cycles(own: Instruction, array: ArrayParameters, constants: CycleConstants) -> int:
    """Cycles of one phase by the contract's law."""
    data = constants.data + constants.fetch + array.latency + array.fetch_beats
    if own.store:
        data += constants.store + array.latency + own.store_beats * (own.store_chunks_last + 1)
    if own.load0:
        data += constants.load + array.latency + own.load0_beats * (own.load0_chunks_last + 1)
    if own.load1:
        data += constants.load + array.latency + own.load1_beats * (own.load1_chunks_last + 1)
    return int(constants.phase + max(data, computation_cycles(own, array, constants) if own.compute else 0))


def computation_cycles(own: Instruction, array: ArrayParameters, constants: CycleConstants) -> int:
    """Cycles of an instruction's computation: of its pipeline, then step by step."""
    taps = []
    for positions, first, stride, kernel, last in (
        (own.rows_last + 1, own.first_y, own.stride_y, own.kernel_h_last + 1, own.in_h_last),
        (own.columns_last + 1, own.first_x, own.stride_x, own.kernel_w_last + 1, own.in_w_last),
    ):
        at = first + np.arange(positions)[:, None] * stride + np.arange(kernel)
        taps.append(np.full(positions, kernel) if own.full_taps else ((at >= 0) & (at <= last)).sum(axis=1))
    steps = np.outer(*taps) * (own.channel_tiles_last + 1) + own.slots + own.gap
    group = own.bias_words + int(steps.sum()) + own.group_pad
    tree = 1 if array.columns <= 8 else 2
    return int(constants.compute + tree + own.chunk_last + 1 + (own.groups_last + 1) * group)
