"""Calls, traffic and cycles of mapped layers by hand, and mappings that nobody should believe."""

from __future__ import annotations

import json
import math

import pytest

from codesign.errors import InputError
from codesign.validation.gemmini import _granules, _misses, _spanned, _stream, count_calls, features, gemmini_prices, predict_cycles, relative_error
from codesign.validation.gemmini_mapping import Loop, parse_layer, parse_mapping
from tests.validation.gemmini_rows import layer_json, mapping

LAYER = parse_layer(layer_json(), where="row")


def test_a_mapping_is_read_as_it_stands() -> None:
    read = parse_mapping(mapping(4, 2, 7), LAYER, where="row")
    assert read.outer == (Loop("K", 4, False), Loop("C", 2, False), Loop("P", 7, False))
    assert {one: read.tile(one) for one in "KCPQRS"} == {"K": 16, "C": 8, "P": 2, "Q": 14, "R": 3, "S": 3}
    assert read.widest == 4


def test_calls_of_a_convolution_by_hand() -> None:
    calls = count_calls(LAYER, parse_mapping(mapping(4, 2, 7), LAYER, where="row"))
    assert (calls.matmul, calls.width, calls.calls) == (False, 4, 4 * 2 * 7)
    # 3 x 3 kernel, 4 x 2 blocks of 4 x 4 weights, 14 columns of 2 rows: at least 4 cycles each.
    assert calls.compute == 9 * 4 * 2 * 14 * 4
    # One request per input pixel and weight row: 16 and 8 bytes fit in 64.
    assert calls.requests == 9 * 8 + 4 * 16
    assert calls.read == 9 * 8 * 16 + 4 * 16 * 8
    # Outputs leave after the second of two passes over the input channels.
    assert (calls.out_rows, calls.out_bytes) == (2 * 14 * 4 / 2, 2 * 14 * 16 / 2)


def test_convolutions_run_square_and_even_kernels_a_row_more() -> None:
    flat = parse_layer(layer_json(P=14, Q=2), where="row")
    calls = count_calls(flat, parse_mapping("L3[WIO] Q2 - L2[WI] N1 K16 K4X - L1[O] R3 S3 P14 C4 C4X - L0[W] N1", flat, where="row"))
    assert calls.calls == 14  # 14 columns although 2 are wanted
    even = parse_layer(layer_json(R=2, S=2), where="row")
    calls = count_calls(even, parse_mapping("L3[WIO] P14 - L2[WI] N1 K16 K4X - L1[O] R2 S2 Q14 C4 C4X - L0[W] N1", even, where="row"))
    assert calls.calls == 15 * 2  # 15 rows, and a column left over


def test_calls_of_a_matrix_product_cover_whole_arrays() -> None:
    layer = parse_layer(layer_json(K=128, C=128, P=128, Q=1, R=1, S=1), where="row")
    read = parse_mapping("L3[WIO] P8 C8 K8 - L2[WI] N1 K4X - L1[O] K4 C4 P2 C4X - L0[W] P8", layer, where="row")
    calls = count_calls(layer, read)
    assert (calls.matmul, calls.width, calls.calls) == (True, 4, 32**3)
    wide = parse_mapping("L3[WIO] K4 C2 - L2[WI] N1 K32X - L1[O] C2 C32X P128 - L0[W] N1", layer, where="row")
    assert count_calls(layer, wide).calls == 2  # tiles of 32 count as two of 16, each an array of 32 wide


@pytest.mark.parametrize(("rows", "width", "cycles"), [(1, 4, 4), (9, 8, 12), (3, 16, 8), (28, 16, 28), (18, 16, 20), (7, 64, 32)])
def test_blocks_of_rows(rows: int, width: int, cycles: float) -> None:
    assert _stream(rows, width) == cycles


def test_strided_runs_lie_in_lines() -> None:
    assert _spanned(16, ((10, 256),), 64) == 10  # one line each
    assert _spanned(16, ((10, 16),), 64) == 2.5  # contiguous
    assert _spanned(100, ((4, 1000), (2, 5000)), 64) == pytest.approx(8 * 100 / 64)
    assert _granules(LAYER, dict.fromkeys("KCPQRSN", 1), 64).tolist() == [1.0, 1.0, 1.0]


def test_what_fits_is_fetched_once() -> None:
    tile = {"K": 64, "C": 16, "P": 1, "Q": 14, "R": 3, "S": 3, "N": 1}
    loops = (Loop("K", 1, False), Loop("P", 14, False))
    weights, inputs, outputs = _misses(LAYER, tile, loops, 64, 1_000_000)
    assert weights == 9 * 16 * 64 / 64
    assert inputs == pytest.approx(16 * 16 * 16 / 64)
    assert outputs == pytest.approx(14 * 14 * 64 / 64)
    assert _misses(LAYER, tile, loops, 64, 1)[0] == 14 * weights  # nothing stays


def test_cycles_are_bound_by_the_slowest_part() -> None:
    issue = parse_mapping(mapping(16, 4, 14), LAYER, where="row")
    prices = gemmini_prices().convolution
    calls = count_calls(LAYER, issue)
    assert predict_cycles(calls) >= prices.start.value + calls.calls * max(prices.call.value, calls.compute)
    busy = parse_mapping(mapping(1, 1, 1), LAYER, where="row")
    one = count_calls(LAYER, busy)
    assert one.calls == 1 and predict_cycles(one) >= one.compute
    assert 0.0 < relative_error(one) < 0.5
    assert all(math.isfinite(value) for value in features(one))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("L3[WIO] K8", "levels \\[3\\] instead of 0 to 3"),
        (mapping(4, 2, 7) + " - L0[W] N1", "is no level of a mapping"),
        (mapping(4, 2, 7).replace("K4X", "K5X"), "factors of K multiply to 80, the layer has 64"),
        (mapping(4, 2, 7).replace("R3", "R3 Z2"), "factors of Z multiply to 2"),
        (mapping(4, 2, 7).replace("K4 C2", "K99999999"), "is no level of a mapping"),
        ("", "is no level of a mapping"),
    ],
)
def test_mappings_that_are_none(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"row 7.*{message}"):
        parse_mapping(text, LAYER, where="row 7")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "not a JSON object"),
        ("{", "not a JSON object"),
        (json.dumps({"K": 1}), "C: None is no whole number"),
        (layer_json(K=0), "K: 0 is no whole number"),
        (layer_json(K=10**9), "no whole number from 1"),
        (layer_json().replace("64", "true"), "K: True is no whole number"),
        (layer_json(Wstride=2), "strides that differ"),
        (layer_json(N=2), "batches"),
        (layer_json(Hdilation=2), "dilation"),
    ],
)
def test_layers_that_are_none(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"row 7.*{message}"):
        parse_layer(text, where="row 7")
