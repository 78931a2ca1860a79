"""Instructions of the `pe_array` template: fields, encoding, and the Verilog header made from them.

The meaning of each field is told in ``accel_templates/pe_array/ARCHITECTURE.md``; numbers are counts, words, bytes or
beats as named. ``..._last`` is a count minus one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from codesign.errors import InputError

INSTRUCTION_BITS = 896
INSTRUCTION_BYTES = INSTRUCTION_BITS // 8
BIAS_BITS = 16
MAXIMUM_SLOTS = 8
"""Largest difference of the scales of an add's operands, in bits."""


def _bits(bits: int, *, signed: bool = False) -> int:
    number: int = field(default=0, metadata={"bits": bits, "signed": signed})
    return number


@dataclass(frozen=True)
class Instruction:
    """One phase of a program: an integer a field, packed in this order, the first field in the lowest bits."""

    halt: int = _bits(1)
    compute: int = _bits(1)
    store: int = _bits(1)
    load0: int = _bits(1)
    load1: int = _bits(1)
    load0_weights: int = _bits(1)
    destination: int = _bits(1)
    raw: int = _bits(1)
    store_address: int = _bits(32)
    store_stride: int = _bits(26)
    store_beats: int = _bits(22)
    store_chunks_last: int = _bits(12)
    store_word: int = _bits(19)
    load0_address: int = _bits(32)
    load0_stride: int = _bits(26)
    load0_beats: int = _bits(22)
    load0_chunks_last: int = _bits(12)
    load0_word: int = _bits(20)
    load1_address: int = _bits(32)
    load1_stride: int = _bits(26)
    load1_beats: int = _bits(22)
    load1_chunks_last: int = _bits(12)
    load1_word: int = _bits(19)
    add: int = _bits(1)
    signed_a: int = _bits(1)
    signed_b: int = _bits(1)
    weight_step: int = _bits(1)
    full_taps: int = _bits(1)
    depthwise: int = _bits(1)
    groups_last: int = _bits(12)
    channel_tiles_last: int = _bits(12)
    rows_last: int = _bits(12)
    columns_last: int = _bits(12)
    kernel_h_last: int = _bits(12)
    kernel_w_last: int = _bits(12)
    in_h_last: int = _bits(12)
    in_w_last: int = _bits(12)
    in_row: int = _bits(13)
    first_y: int = _bits(13, signed=True)
    first_x: int = _bits(13, signed=True)
    stride_y: int = _bits(6)
    stride_x: int = _bits(6)
    address_y: int = _bits(19, signed=True)
    address_y_step: int = _bits(19)
    weight_y: int = _bits(20, signed=True)
    weight_y_step: int = _bits(20)
    weight_x: int = _bits(20, signed=True)
    weight_x_step: int = _bits(20)
    weight_row: int = _bits(20)
    channel_stride: int = _bits(19)
    plane_stride: int = _bits(19)
    plane_groups_last: int = _bits(5)
    activation_base: int = _bits(19)
    weight_base: int = _bits(20)
    weight_group: int = _bits(20)
    bias_words: int = _bits(4)
    out_base: int = _bits(19)
    out_plane: int = _bits(19)
    out_planes_last: int = _bits(12)
    chunk_last: int = _bits(5)
    gap: int = _bits(6)
    group_pad: int = _bits(4)
    slots: int = _bits(4)
    slots_active: int = _bits(4)
    shift: int = _bits(6)
    clip_low: int = _bits(10, signed=True)
    clip_high: int = _bits(10, signed=True)

    def encode(self) -> int:
        """The instruction as an integer of `INSTRUCTION_BITS` bits.

        Raises:
            InputError: a number does not fit its field.
        """
        word, position = 0, 0
        for name, bits, signed in FIELDS:
            number = int(getattr(self, name))
            low, high = field_range(bits, signed=signed)
            if not low <= number <= high:
                raise InputError(
                    f"{number} is outside the range {low} .. {high} of the field",
                    where=f"pe_array instruction, field {name}",
                    remedy="The layer or one of its tensors is larger than the template's counters allow",
                )
            word |= (number & ((1 << bits) - 1)) << position
            position += bits
        return word


FIELDS: tuple[tuple[str, int, bool], ...] = tuple((own.name, own.metadata["bits"], own.metadata["signed"]) for own in fields(Instruction))
"""Name, bits and whether signed of each field, first field lowest."""
WIDTHS = {name: bits for name, bits, _ in FIELDS}
"""Bits by field."""


def field_range(bits: int, *, signed: bool) -> tuple[int, int]:
    """Smallest and largest number of a field."""
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def decode(word: int) -> Instruction:
    """Inverse of `Instruction.encode`; bits above the last field are ignored."""
    numbers, position = {}, 0
    for name, bits, signed in FIELDS:
        number = (word >> position) & ((1 << bits) - 1)
        numbers[name] = number - (1 << bits) if signed and number >> (bits - 1) else number
        position += bits
    return Instruction(**numbers)


def verilog_header() -> str:
    """Text of ``rtl/pe_program.vh``: the place of each field as local parameters."""
    lines = ["// Places of the instruction's fields; made from codesign/accelerator/pe_array_program.py, which a test compares."]
    lines.append(f"localparam INSTRUCTION_BITS = {INSTRUCTION_BITS};")
    position = 0
    for name, bits, _ in FIELDS:
        lines.append(f"localparam I_{name.upper()}_LSB = {position}; localparam I_{name.upper()}_BITS = {bits};")
        position += bits
    return "\n".join(lines) + "\n"
