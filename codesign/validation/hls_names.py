"""What hls4ml's names say: types, parts of layers, activations and strategies in the source and in the reports of HLS tools.

An HLS tool names a function after its template and the template's arguments, for example
``relu_ap_fixed_16_6_5_3_0_ap_ufixed_6_0_4_0_0_relu_config4_s``: read ``ap_fixed<16,6>``, write ``ap_ufixed<6,0>``. The last
three digits of a type are quantisation, overflow and saturation bits of the enumerations in ``ap_fixed``'s header.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from codesign.network.hls_model import Kind, Part, Strategy

C_BITS = 32
"""Width of C's ``float`` and ``int``."""


@dataclass(frozen=True)
class FixedPoint:
    """A number type.

    Attributes:
        bits: width.
        integer_bits: of them in front of the point, the sign included; None: not known, or a type for integers.
        saturates: clips instead of wrapping round.
    """

    bits: int
    integer_bits: int | None = None
    saturates: bool = False


_WRITTEN = re.compile(r"ap_u?(fixed|int)\s*<\s*(\d{1,4})\s*(?:,\s*(-?\d{1,4})\s*)?(?:,\s*\w+\s*)?(?:,\s*(\w+)\s*)?")
_MANGLED = re.compile(r"ap_u?(fixed|int)_(\d{1,4})(?![\du])(?:_m?\d{1,4}_\d_(\d)_\d)?")
_SATURATING = frozenset("012")
"""Overflow modes AP_SAT, AP_SAT_ZERO and AP_SAT_SYM; 3 wraps round."""


def written_types(notation: str) -> list[FixedPoint]:
    """Types written as in C++, such as ``ap_fixed<16,6,AP_RND,AP_SAT>``, in order."""
    found = []
    for match in _WRITTEN.finditer(notation):
        whole = int(match[3]) if match[1] == "fixed" and match[3] else None
        found.append(FixedPoint(int(match[2]), whole, "SAT" in (match[4] or "")))
    return [each for each in found if each.bits > 0]


def mangled_types(function: str) -> list[FixedPoint]:
    """Types in the name of a synthesised function, in order; those whose width the tool left out are not found."""
    found = [FixedPoint(int(match[2]), saturates=match[3] in _SATURATING) for match in _MANGLED.finditer(function)]
    return [each for each in found if each.bits > 0]


def written_bits(notation: str, default: int) -> int:
    """Width of the first type in a C++ notation."""
    types = written_types(notation)
    if types:
        return types[0].bits
    return C_BITS if re.search(r"\b(?:float|int)\b", notation) else default


def weight_peak(notation: str, fan_in: int) -> float:
    """Largest weight over full scale of a type in C++ notation, in (0, 1]; 0: not known.

    The largest weight is taken to be that of uniform LeCun initialisation, ``sqrt(3 / fan_in)``, as trained weights are near it.
    """
    types = written_types(notation)
    if not types or types[0].integer_bits is None or fan_in <= 0:
        return 0.0
    exponent = max(-60, min(60, 1 - types[0].integer_bits))
    return min(1.0, math.ldexp(math.sqrt(3.0 / fan_in), exponent))


def strategy_named(name: str) -> Strategy | None:
    """The strategy of a name such as ``nnet::resource``; None where it is none."""
    return STRATEGIES.get(name.rsplit("::", maxsplit=1)[-1].strip().lower())


STRATEGIES = {"latency": Strategy.LATENCY, "resource": Strategy.RESOURCE, "distributed_arithmetic": Strategy.DISTRIBUTED_ARITHMETIC}

PARTS = {
    "dense_wrapper": Part.PRODUCT,
    "dense_resource": Part.PRODUCT,
    "compute_output_buffer": Part.PRODUCT,
    "shift_line_buffer": Part.LINE_BUFFER,
    "cnnshift_arr": Part.LINE_BUFFER,
    "gru_static": Part.STEP,
    "lstm_static": Part.STEP,
}
"""Functions that hold a part of their layer, by the start of their names; any other holds a whole layer."""


def part_of(function: str) -> Part:
    """Which part of its layer a function is."""
    return next((part for start, part in PARTS.items() if function.startswith(start)), Part.WHOLE)


def word_elements(function: str) -> int:
    """Elements in one word of the stream that a function reads, as in ``array_ap_fixed_8u``; 0 where its name has none."""
    found = re.search(r"_(\d{1,9})u_", function)
    return int(found[1]) if found else 0


def one_element_a_word(function: str) -> bool:
    """Whether a function is of the hls4ml forks whose streams carry single elements instead of all channels of a position."""
    return "array_array" not in function and re.search(r"_me(?:_|$)|_ss_|_switch|large", function) is not None


TABLE_FUNCTIONS = ("sigmoid", "tanh", "softplus", "softsign", "elu", "selu", "exp")
SOFTMAX_VARIANTS = ("argmax", "latency", "legacy")


def activation_named(names: str, implementation: str) -> tuple[Kind, str]:
    """Kind and function of an activation.

    Args:
        names: of the function and the configuration, where known.
        implementation: of a softmax, such as ``nnet::softmax_implementation::stable``, else empty.
    """
    names = names.lower()
    if "softmax" in names:
        told = names.split("config")[0] + implementation.rsplit("::", maxsplit=1)[-1].lower()
        return Kind.SOFTMAX, next((variant for variant in SOFTMAX_VARIANTS if variant in told), "stable")
    if "relu" not in names and "hard" not in names:
        for table in TABLE_FUNCTIONS:
            if re.search(rf"(?<![a-z]){table}", names):
                return Kind.TABLE_ACTIVATION, table
    return Kind.ACTIVATION, "linear" if "linear" in names else "relu"
