"""Calls and cycles of mapped layers by hand, and mappings that nobody should believe."""

from __future__ import annotations

import json

import numpy as np
import pytest

from codesign.errors import InputError
from codesign.validation.gemmini import (
    LOOP,
    NAMES,
    RUNAWAY,
    CallTable,
    _stream,
    call_loops,
    count_calls,
    features,
    log_cycles,
    relative_error,
    round_prices,
)
from codesign.validation.gemmini_mapping import Loop, parse_layer, parse_mapping
from tests.validation.gemmini_rows import layer_json, mapping

LAYER = parse_layer(layer_json(), where="row")


def test_a_mapping_is_read_as_it_stands() -> None:
    read = parse_mapping(mapping(4, 2, 7), LAYER, where="row")
    assert {one: read.tile(one) for one in "KCPQRS"} == {"K": 16, "C": 8, "P": 2, "Q": 14, "R": 3, "S": 3}
    assert read.widest == 4
    # What DRAM does not name lies outside, as the software orders it.
    assert read.order == ("N", "Q", "S", "R", "K", "C", "P")


def test_calls_of_a_convolution_by_hand() -> None:
    calls = count_calls(LAYER, parse_mapping(mapping(4, 2, 7), LAYER, where="row"))
    assert (calls.matmul, calls.width, calls.calls) == (False, 4, 4 * 2 * 7)
    # 3 x 3 kernel, 4 x 2 blocks of 4 x 4 weights, 14 columns of 2 rows: at least 4 cycles each.
    assert calls.compute == 9 * 4 * 2 * 14 * 4
    # 72 rows of 16 weights, half a beat off: 2, 4, 2 and 2 beats in turn; 4 x 14 pixels (the image has no more) of 8 bytes, one beat each.
    assert calls.beats == 72 * 2.5 + 56
    # 2 x 14 pixels of 16 bytes, 4 at a time, after the second of two passes over the input channels.
    assert calls.out_requests == 2 * 14 * 4 / 2
    # All of it fits in the caches.
    assert calls.lines == calls.out_lines == calls.far_lines == calls.runaway_beats == 0.0


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
    assert call_loops(layer, read, 4)[1] == (Loop("P", 32, False), Loop("C", 32, False), Loop("K", 32, False))
    # 4 rows of 4 weights and 4 of 4 inputs, a beat each; 4 rows of outputs in the last of 32 passes.
    assert (calls.beats, calls.out_requests) == (8.0, 4 / 32)
    wide = parse_mapping("L3[WIO] K4 C2 - L2[WI] N1 K32X - L1[O] C2 C32X P128 - L0[W] N1", layer, where="row")
    assert count_calls(layer, wide).calls == 2  # tiles of 32 count as two of 16, each an array of 32 wide


def test_inputs_that_lie_in_the_padding_with_a_gap_are_counted_without_a_sign() -> None:
    layer = parse_layer(layer_json(K=4, C=4, P=3, Q=3, R=4, S=4), where="row")
    inner = "L2[WI] N1 K4X - L1[O] {} S4 Q3 C4X - L0[W] N1"
    calls = count_calls(layer, parse_mapping("L3[WIO] P3 R4 - " + inner.format("K1"), layer, where="row"))
    # The first tap of the first row and the last tap of the row that even kernels add; inputs of 6 and, for the column added, 4 columns.
    assert calls.runaway_beats == 2 * RUNAWAY * (6 + 4)
    assert calls.runaway_lines == 2 * (6 + 4) * (RUNAWAY * 4 / 64 + 1)
    assert calls.runaway_far_lines == 0.0
    whole = count_calls(layer, parse_mapping("L3[WIO] P3 - " + inner.format("R4"), layer, where="row"))
    assert whole.runaway_beats == 0.0
    # At a cycle a beat and 5 a line.
    run_away, usual = np.exp(log_cycles(CallTable.of([calls, whole]), round_prices()[0]))
    assert run_away > calls.runaway_beats + 5.0 * calls.runaway_lines > 100.0 * usual


@pytest.mark.parametrize(("rows", "width", "cycles"), [(1, 4, 4), (9, 8, 12), (3, 16, 8), (28, 16, 28), (18, 16, 20), (7, 64, 32)])
def test_blocks_of_rows(rows: int, width: int, cycles: float) -> None:
    assert _stream(rows, width) == cycles


def test_cycles_are_bound_by_the_slowest_part() -> None:
    calls = [count_calls(LAYER, parse_mapping(text, LAYER, where="row")) for text in (mapping(16, 4, 14), mapping(1, 1, 1))]
    table, (prices, _) = CallTable.of(calls), round_prices()
    cycles = np.exp(log_cycles(table, prices))
    _, call, _ = np.exp(prices[len(LOOP) : 2 * len(LOOP)])
    memory = table.moved @ np.exp(prices[2 * len(LOOP) :])
    slowest = table.calls * np.maximum(np.maximum(call, table.compute), memory)
    assert (slowest < cycles).all() and (cycles < 1000.0 + 3.0 * slowest).all()
    dearer = prices.copy()
    dearer[NAMES.index("memory.beats")] += np.log(100.0)
    assert (np.exp(log_cycles(table, dearer)) > 100.0 * table.calls * table.moved[:, 0]).all()
    assert (log_cycles(table.rows(np.array([1])), prices) == log_cycles(table, prices)[1:]).all()


def test_memory_is_what_is_known_least() -> None:
    table, (prices, _) = CallTable.of([count_calls(LAYER, parse_mapping(mapping(4, 2, 7), LAYER, where="row"))]), round_prices()
    dearer = prices.copy()
    dearer[NAMES.index("memory.beats")] += np.log(100.0)
    assert 0.02 < relative_error(table, prices)[0] < relative_error(table, dearer)[0] < 0.2
    assert features(table).tolist() == [[0.0, np.log(4.0)]]


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
