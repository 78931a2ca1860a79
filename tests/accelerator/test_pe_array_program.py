"""Instructions survive their encoding, refuse what does not fit, and the Verilog header tells the same places."""

from __future__ import annotations

import re
from dataclasses import fields

import numpy as np
import pytest

from codesign.accelerator.pe_array_program import FIELDS, INSTRUCTION_BITS, Instruction, decode, field_range, verilog_header
from codesign.accelerator.template import templates_folder
from codesign.errors import InputError


def test_the_header_of_the_hardware_is_up_to_date() -> None:
    assert (templates_folder() / "pe_array" / "rtl" / "pe_program.vh").read_text() == verilog_header()


def test_the_header_tells_where_a_field_is() -> None:
    places = {name: int(number) for name, number in re.findall(r"localparam (\w+) = (\d+);", verilog_header())}
    assert places["INSTRUCTION_BITS"] == INSTRUCTION_BITS
    for field in fields(Instruction):
        low, bits = places[f"I_{field.name.upper()}_LSB"], places[f"I_{field.name.upper()}_BITS"]
        ones = Instruction(**{field.name: field_range(bits, signed=False)[1] if not field.metadata["signed"] else -1}).encode()
        assert ones == ((1 << bits) - 1) << low, field.name


def test_fields_fill_the_instruction_without_holes() -> None:
    ends = [bits for _, bits, _ in FIELDS]
    assert sum(ends) <= INSTRUCTION_BITS and INSTRUCTION_BITS % 128 == 0
    every = Instruction(**{name: -1 if signed else field_range(bits, signed=False)[1] for name, bits, signed in FIELDS})
    assert every.encode() == (1 << sum(ends)) - 1


def test_random_instructions_survive() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        numbers = {}
        for name, bits, signed in FIELDS:
            low, high = field_range(bits, signed=signed)
            numbers[name] = int(rng.choice([low, high, rng.integers(low, high + 1)]))
        own = Instruction(**numbers)
        assert decode(own.encode()) == own and own.encode() < 1 << INSTRUCTION_BITS


@pytest.mark.parametrize(("field", "number"), [("rows_last", 4096), ("rows_last", -1), ("first_y", -4097), ("first_y", 4096), ("gap", 64)])
def test_a_number_beyond_its_field_is_refused(field: str, number: int) -> None:
    with pytest.raises(InputError, match=rf"field {field}: {number} is outside the range"):
        Instruction(**{field: number}).encode()
