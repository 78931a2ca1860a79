"""Sizes of one `pe_array` and of its words; notation of ``accel_templates/pe_array/ARCHITECTURE.md``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, gcd

from codesign.accelerator.pe_array_program import BIAS_BITS, INSTRUCTION_BITS, MAXIMUM_SLOTS, WIDTHS
from codesign.errors import InputError
from codesign.space.parameters import Value

KIB_BITS = 8192
BUS_WIDTHS = (16, 32, 64, 128)


@dataclass(frozen=True)
class ArrayParameters:
    """One array with its buffers.

    Attributes:
        rows, columns: output channels R and input channels C at a time, 1 to 32.
        weight_bits, activation_bits: operand widths, 2 to 8.
        accumulator_bits: width of an accumulator.
        weight_words, activation_words, output_words: words of ONE bank of each buffer.
        banks: 2 with double buffering, else 1.
        bus_bits: width of the port to external memory.
        latency: of the external memory, cycles.
        full_taps: 1 if taps on zero padding take a cycle.

    Raises:
        InputError: a number that the hardware cannot have.
    """

    rows: int
    columns: int
    weight_bits: int
    activation_bits: int
    accumulator_bits: int
    weight_words: int
    activation_words: int
    output_words: int
    banks: int
    bus_bits: int
    latency: int = 0
    full_taps: int = 0

    def __post_init__(self) -> None:
        limits = {
            "rows": (1, 32),
            "columns": (1, 32),
            "weight_bits": (2, 8),
            "activation_bits": (2, 8),
            "accumulator_bits": (BIAS_BITS + 1, 32),
            "banks": (1, 2),
            "full_taps": (0, 1),
            "weight_words": (1, (1 << WIDTHS["weight_base"]) // self.banks),
            "activation_words": (1, (1 << WIDTHS["activation_base"]) // self.banks),
            "output_words": (1, (1 << WIDTHS["out_base"]) // self.banks),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} is {getattr(self, name)}", where="pe_array", remedy=f"It may be {low} to {high}")
        if self.bus_bits not in BUS_WIDTHS:
            raise InputError(f"bus_bits is {self.bus_bits}", where="pe_array", remedy=f"It may be {', '.join(map(str, BUS_WIDTHS))}")

    @classmethod
    def from_values(cls, values: Mapping[str, Value], *, latency: int = 0, full_taps: int = 0) -> ArrayParameters:
        """From the template's parameters: a bank has as many whole words as fit its KiB."""
        rows, columns, weight_bits, activation_bits = (int(values[name]) for name in ("rows", "columns", "weight_bits", "activation_bits"))
        word = {"weight": rows * columns * weight_bits, "activation": columns * activation_bits, "output": columns * activation_bits}
        return cls(
            rows=rows,
            columns=columns,
            weight_bits=weight_bits,
            activation_bits=activation_bits,
            accumulator_bits=int(values["accumulator_bits"]),
            banks=1 + int(values["double_buffering"]),
            bus_bits=int(values["bus_bits"]),
            latency=latency,
            full_taps=full_taps,
            **{f"{buffer}_words": floor(float(values[f"{buffer}_buffer_kib"]) * KIB_BITS / bits) for buffer, bits in word.items()},
        )

    @property
    def lanes(self) -> int:
        """G: results that leave the array in a cycle, and channels of a diagonal layer's group."""
        return gcd(self.rows, self.columns)

    @property
    def bias_words(self) -> int:
        """Weight words with the biases of a group."""
        return -(-BIAS_BITS // (self.columns * self.weight_bits))

    @property
    def weight_word_bits(self) -> int:
        """Bits of a word of the weight buffer."""
        return self.rows * self.columns * self.weight_bits

    @property
    def activation_word_bits(self) -> int:
        """Bits of a word of the activation and of the output buffer."""
        return self.columns * self.activation_bits

    @property
    def bus_bytes(self) -> int:
        """Bytes of a beat."""
        return self.bus_bits // 8

    @property
    def weight_word_beats(self) -> int:
        """Beats of a weight word in external memory."""
        return -(-self.weight_word_bits // self.bus_bits)

    @property
    def activation_word_beats(self) -> int:
        """Beats of an activation word in external memory."""
        return -(-self.activation_word_bits // self.bus_bits)

    @property
    def weight_word_bytes(self) -> int:
        """Bytes of a weight word in external memory."""
        return self.weight_word_beats * self.bus_bytes

    @property
    def activation_word_bytes(self) -> int:
        """Bytes of an activation word in external memory."""
        return self.activation_word_beats * self.bus_bytes

    @property
    def fetch_beats(self) -> int:
        """Beats of an instruction."""
        return INSTRUCTION_BITS // self.bus_bits

    @property
    def add_slots(self) -> int:
        """Cycles between the operands of an add in which the accumulators may be shifted."""
        return max(0, -(-(MAXIMUM_SLOTS + 2 - self.weight_bits) // (self.weight_bits - 1)))

    @property
    def verilog(self) -> dict[str, int]:
        """Parameters of the Verilog top module; a buffer has all its banks."""
        names = ("rows", "columns", "weight_bits", "activation_bits", "accumulator_bits", "bus_bits")
        words = {f"{buffer.upper()}_WORDS": self.banks * getattr(self, f"{buffer}_words") for buffer in ("weight", "activation", "output")}
        return {name.upper(): getattr(self, name) for name in names} | words
