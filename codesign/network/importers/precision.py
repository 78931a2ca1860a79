"""Widths from the notations of hls4ml (``ap_fixed<16,6>``) and QKeras (``quantized_bits(8,2)``)."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from codesign.errors import InputError
from codesign.network.importers.draft import AUTO
from codesign.network.importers.json_file import Record

MAX_BITS = 1024
"""Widest type of the HLS tools' arbitrary-precision headers."""
_TYPE = re.compile(r"\s*(?:ap_|ac_)?(u?)(fixed|int)\s*<\s*(\d{1,6})\s*(?:,([\sA-Za-z0-9_:,+-]*))?>\s*", re.ASCII)
_NATIVE = re.compile(r"\s*(u?)int(\d{1,2})(?:_t)?\s*", re.ASCII)
_INTEGER_BITS = re.compile(r"\s*([+-]?\d{1,3})\s*(?:,|$)", re.ASCII)
_SATURATION = re.compile(r"\bA[PC]_SAT|\bSAT", re.ASCII)
_CALL = re.compile(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*", re.ASCII)
_BITS_ARGUMENT = {"quantized_bits": 8, "quantized_relu": 8, "quantized_tanh": 8, "quantized_sigmoid": 8, "quantized_linear": 8}
_BITS_ARGUMENT |= {"quantized_po2": 8, "quantized_relu_po2": 8, "quantized_ulaw": 8, "quantized_hswish": 8}
_FIXED_BITS = {"ternary": 2, "stochastic_ternary": 2, "ternary_tanh": 2, "binary": 1, "stochastic_binary": 1, "binary_tanh": 1, "bernoulli": 1}
_FUNCTIONS = {"quantized_relu": "relu", "quantized_relu_po2": "relu", "quantized_tanh": "hard_tanh", "quantized_sigmoid": "hard_sigmoid"}
_FUNCTIONS |= {"ternary_tanh": "ternary_tanh", "ternary": "ternary_tanh", "binary_tanh": "binary_tanh", "binary": "binary_tanh"}


class HlsType(NamedTuple):
    """A fixed-point or integer type.

    Attributes:
        bits: width; `AUTO`: left to inference.
        full_scale: power of two that its values stay below; None: not known.
        saturates: values beyond it clip instead of wrapping round.
    """

    bits: int
    full_scale: float | None = None
    saturates: bool = False


def read_type(text: str, where: str) -> HlsType:
    """A type in the notation of the HLS tools, or ``auto``.

    Raises:
        InputError: not a fixed-point or integer type.
    """
    if text.strip().lower() == "auto":
        return HlsType(AUTO)
    native = _NATIVE.fullmatch(text)
    if native is not None:
        bits = _checked(int(native[2]), where)
        return HlsType(bits, math.ldexp(1.0, min(bits, 1000) - (not native[1])))
    match = _TYPE.fullmatch(text)
    if match is None:
        raise InputError(f"{text[:80]!r} is not a type", where=where, remedy="Use a type such as ap_fixed<16,6>, ap_uint<4> or auto.")
    bits, modes = _checked(int(match[3]), where), match[4] or ""
    written = _INTEGER_BITS.match(modes)
    integer_bits = bits if match[2] == "int" else int(written[1]) if written else None
    full_scale = None if integer_bits is None else math.ldexp(1.0, min(integer_bits, 1000) - (not match[1]))
    return HlsType(bits, full_scale, _SATURATION.search(modes) is not None)


def _checked(bits: int, where: str) -> int:
    if not 1 <= bits <= MAX_BITS:
        raise InputError(f"{bits} bits are outside 1 to {MAX_BITS}", where=where)
    return bits


def _parts(value: object, where: str) -> tuple[str, str | int | None]:
    """Name of a quantiser and its bits argument."""
    if isinstance(value, dict):
        record = Record(value, where)
        bits = record.record("config").get("bits")
        name = record.text("class_name").rsplit(">", 1)[-1]
        if bits is not None and (isinstance(bits, bool) or not isinstance(bits, int | float) or (isinstance(bits, float) and not math.isfinite(bits))):
            raise InputError(f"{bits!r} is not a number of bits", where=f"{where}: config: bits")
        return name, None if bits is None else int(bits)
    match = _CALL.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InputError(f"{str(value)[:80]!r} is not a quantiser", where=where, remedy="Use text such as quantized_bits(8,2) or a QKeras object.")
    arguments = [argument.strip() for argument in (match[2] or "").split(",")]
    named = [argument.split("=", 1)[1].strip() for argument in arguments if argument.replace(" ", "").startswith("bits=")]
    first = arguments[0] if arguments[0] and "=" not in arguments[0] else None
    return match[1], named[0] if named else first


def quantiser_bits(value: object, where: str) -> int | None:
    """Bits of a QKeras quantiser; None for no quantiser.

    Raises:
        InputError: an unknown quantiser, or bits that are no whole number.
    """
    if value is None:
        return None
    name, bits = _parts(value, where)
    if name == "linear":
        return None
    if name in _FIXED_BITS:
        return _FIXED_BITS[name]
    if name not in _BITS_ARGUMENT:
        raise InputError(f"unknown quantiser {name[:80]!r}", where=where, remedy=f"Known: {', '.join(sorted([*_BITS_ARGUMENT, *_FIXED_BITS]))}.")
    text = str(_BITS_ARGUMENT[name] if bits is None else bits)
    if re.fullmatch(r"\d{1,6}", text, re.ASCII) is None:
        raise InputError(f"{text[:80]!r} is not a number of bits", where=where)
    return _checked(int(text), where)


def is_quantiser(value: object) -> bool:
    """Whether an activation entry of QKeras quantises."""
    if isinstance(value, dict):
        value = str(value.get("class_name", "")).rsplit(">", 1)[-1]
    match = _CALL.fullmatch(value) if isinstance(value, str) else None
    return match is not None and (match[1] in _BITS_ARGUMENT or match[1] in _FIXED_BITS)


def quantiser_function(value: object, where: str) -> str:
    """The activation that a QKeras activation quantiser applies; ``quantiser`` where it only quantises."""
    return _FUNCTIONS.get(_parts(value, where)[0], "quantiser")


def quantiser_saturates(value: object, where: str) -> bool:
    """Whether hls4ml gives the result of a QKeras activation quantiser a type that clips; binary and ternary ones cannot overflow."""
    return _parts(value, where)[0] in _BITS_ARGUMENT
