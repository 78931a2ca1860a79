"""Fixed-point types of generated C++ and what does not fit them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codesign.verify.divergence import FixedType
from codesign.verify.result import Divergence, TypeFinding


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("typedef ap_fixed<20,14> head_accum_t;", FixedType(20, 14, True)),
        ("nnet::array<ap_ufixed<4,-2,AP_RND_CONV,AP_SAT,0>, 24*1>", FixedType(4, -2, False)),
        ("ap_uint<1>", None),
    ],
)
def test_types_are_read_from_cpp(text: str, expected: FixedType | None) -> None:
    assert FixedType.parse(text) == expected


@pytest.mark.parametrize(
    ("kind", "fraction", "expected"),
    [
        (FixedType(4, 4, True), 0, (3, 0)),  # -8 .. 7: -9, 8 and 20 are out
        (FixedType(4, 3, True), 0, (4, 0)),  # one fraction bit: -4 .. 3.5, so 4 is out as well
        (FixedType(4, 4, False), 0, (3, 0)),  # 0 .. 15: the negatives and 20
        (FixedType(5, 5, True), 1, (0, 1)),  # half units: the odd -9 loses its bit
    ],
)
def test_overflows_and_lost_bits_are_counted(kind: FixedType, fraction: int, expected: tuple[int, int]) -> None:
    assert kind.misfits(np.array([-9, -8, 0, 4, 8, 20]) if kind.integer != 3 else np.array([-9, 0, 3, 4, 8, 20]), fraction) == expected


def test_the_summary_tells_what_matters() -> None:
    types = (TypeFinding("accum", "ap_fixed<10,4>", "ap_fixed<22,16>"), TypeFinding("result", "ap_fixed<4,2>", "ap_fixed<4,2>"))
    found = Divergence("conv", 3, 1200, 100, 9, types, 55, 0, 4, ("firmware/defines.h",), "")
    expected = "layer conv: 100 of 1,200 outputs differ, by up to 9; 55 accumulators overflow; accum is ap_fixed<10,4>, exported as ap_fixed<22,16>"
    assert found.summary == f"{expected}; changed since the export: firmware/defines.h"
    assert replace(found, changed_files=()).summary == expected
