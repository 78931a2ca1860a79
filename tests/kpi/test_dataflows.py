from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.kpi.dataflows import (
    Dataflow,
    input_stationary_cycles,
    layer_cycles,
    output_stationary_cycles,
    row_stationary_cycles,
    weight_stationary_cycles,
)
from codesign.network.layers import NUMERIC_FIELDS, LayerTable, Op

GOLDEN = Path(__file__).parents[1] / "golden" / "peers"
Matrix = NDArray[np.int64]


def golden(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((GOLDEN / name).read_text())
    return content


def one_layer(op: Op, **sizes: int) -> LayerTable:
    ones = dict.fromkeys(("out_h", "out_w", "kernel_h", "kernel_w", "stride_h", "stride_w", "groups"), 1)
    values = {**dict.fromkeys(NUMERIC_FIELDS, 0), **ones, "op": int(op), **sizes}
    return LayerTable(names=("layer",), **{name: np.array([[value]], dtype=np.int32) for name, value in values.items()})


# SCALE-Sim and Eyeriss


@pytest.mark.parametrize("run", golden("scalesim.json")["runs"], ids=lambda run: f"{run['network']}-{run['rows']}x{run['columns']}-{run['dataflow']}")
def test_every_layer_takes_the_cycles_that_scalesim_counts(run: dict[str, Any]) -> None:
    layers = golden("scalesim.json")["networks"][run["network"]]
    assert len(layers) == len(run["compute"]) >= 9
    for layer, expected in zip(layers, run["compute"], strict=True):
        sizes = {key: value for key, value in layer.items() if key != "name"}
        counted = layer_cycles(one_layer(Op.CONV2D, **sizes), run["rows"], run["columns"], Dataflow(run["dataflow"]))
        assert counted.tolist() == [[expected]], layer["name"]


def test_eyeriss_keeps_as_many_units_busy_and_takes_about_as_long() -> None:
    chip = golden("eyeriss_alexnet.json")
    for layer in chip["layers"]:
        planes = layer["channels"] * layer["filters"] * chip["batch"]
        kernel, out = layer["kernel"], layer["out"]
        cycles = int(row_stationary_cycles(kernel, kernel, out, out, planes, chip["rows"], chip["columns"]))
        products = planes * (kernel * out) ** 2
        assert products // cycles == layer["nn_dataflow_active_units"], layer["name"]
        # The chip's time includes what the dataflow alone does not know: filling the units and waiting for memory.
        assert 0.8 < cycles / (layer["milliseconds"] * 1e3 * chip["clock_mhz"]) < 1.0, layer["name"]


# Arrays simulated cycle by cycle


def skewed(operands: Matrix, cycle: int) -> tuple[Matrix, NDArray[np.bool_]]:
    """What enters lane i at a cycle: element ``cycle - i`` of row i, and whether there is one."""
    lanes, length = operands.shape
    position = cycle - np.arange(lanes)
    valid = (position >= 0) & (position < length)
    return np.where(valid, operands[np.arange(lanes), np.clip(position, 0, length - 1)], 0), valid


def padded(matrix: Matrix, rows: int, columns: int) -> Matrix:
    return np.pad(matrix, ((0, rows - matrix.shape[0]), (0, columns - matrix.shape[1])))


def simulate_outputs_held(left: Matrix, right: Matrix, rows: int, columns: int) -> tuple[Matrix, int]:
    """Product of two matrices, a sum in each unit: left operands move right, right ones move down, a unit each cycle."""
    result, cycles = np.zeros((left.shape[0], right.shape[1]), dtype=np.int64), 0
    for top in range(0, left.shape[0], rows):
        for first in range(0, right.shape[1], columns):
            a = padded(left[top : top + rows], rows, left.shape[1])
            b = padded(right[:, first : first + columns], right.shape[0], columns).T
            moving_a, moving_b, sums = (np.zeros((rows, columns), dtype=np.int64) for _ in range(3))
            busy = np.zeros((rows, columns), dtype=np.bool_)
            cycle = 0
            while True:
                (enter_a, busy_a), (enter_b, _) = skewed(a, cycle), skewed(b, cycle)
                moving_a = np.column_stack([enter_a, moving_a[:, :-1]])
                busy = np.column_stack([busy_a, busy[:, :-1]])
                moving_b = np.vstack([enter_b, moving_b[:-1]])
                if not busy.any():
                    break
                sums += moving_a * moving_b
                cycle += 1
            cycles += cycle
            result[top : top + rows, first : first + columns] = sums[: left.shape[0] - top, : right.shape[1] - first]
    return result, cycles


def simulate_operand_held(streamed: Matrix, held: Matrix, rows: int, columns: int) -> tuple[Matrix, int]:
    """``streamed @ held``: a held operand in each unit, loaded a row a cycle; streamed ones move right, sums move down."""
    result, cycles = np.zeros((streamed.shape[0], held.shape[1]), dtype=np.int64), 0
    for top in range(0, held.shape[0], rows):
        for first in range(0, held.shape[1], columns):
            tile = padded(held[top : top + rows, first : first + columns], rows, columns)
            units = np.zeros((rows, columns), dtype=np.int64)
            for row in reversed(range(rows)):  # the last row enters first and is pushed down by the others
                units = np.vstack([tile[row], units[:-1]])
                cycles += 1
            a = padded(streamed[:, top : top + rows].T, rows, streamed.shape[0])
            moving, sums = np.zeros((rows, columns), dtype=np.int64), np.zeros((rows, columns), dtype=np.int64)
            busy = np.zeros((rows, columns), dtype=np.bool_)
            cycle = 0
            while True:
                enter, valid = skewed(a, cycle)
                moving = np.column_stack([enter, moving[:, :-1]])
                busy = np.column_stack([valid, busy[:, :-1]])
                if not busy.any():
                    break
                sums = np.vstack([np.zeros((1, columns), dtype=np.int64), sums[:-1]]) + moving * units
                for column in range(min(columns, held.shape[1] - first)):
                    position = cycle - (rows - 1) - column  # whose sum leaves the last row
                    if 0 <= position < streamed.shape[0]:
                        result[position, first + column] += sums[-1, column]
                cycle += 1
            cycles += cycle
    return result, cycles


SIZES = {"positions": st.integers(1, 12), "filters": st.integers(1, 9), "products": st.integers(1, 14), "rows": st.integers(1, 5), "columns": st.integers(1, 5)}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), **SIZES)
def test_a_simulated_array_computes_the_layer_in_as_many_cycles(seed: int, positions: int, filters: int, products: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, weights = rng.integers(-8, 8, (positions, products)), rng.integers(-8, 8, (products, filters))
    expected = inputs @ weights
    sizes = {"positions": positions, "filters": filters, "products": products, "rows": rows, "columns": columns}
    # The formulas give the number of the last cycle, counted from 0.
    result, cycles = simulate_outputs_held(inputs, weights, rows, columns)
    assert np.array_equal(result, expected)
    assert output_stationary_cycles(**sizes) == cycles - 1
    result, cycles = simulate_operand_held(inputs, weights, rows, columns)
    assert np.array_equal(result, expected)
    assert weight_stationary_cycles(**sizes) == cycles - 1
    result, cycles = simulate_operand_held(weights.T, inputs.T, rows, columns)
    assert np.array_equal(result.T, expected)
    assert input_stationary_cycles(**sizes) == cycles - 1


def simulate_rows_held(kernel: int, width: int, out: int, out_w: int, planes: int, rows: int, columns: int) -> tuple[int, set[tuple[int, int, int]]]:
    """Cycles, and the row convolutions (plane, output row, kernel row) done, of sets of units placed on a grid pass by pass."""
    folded = [range(start, min(start + rows, kernel)) for start in range(0, kernel, rows)]
    stripes = [range(start, min(start + min(out, columns), out)) for start in range(0, out, min(out, columns))]
    done: set[tuple[int, int, int]] = set()
    cycles = 0
    for kernel_rows in folded:
        for stripe in stripes:
            waiting = list(range(planes))
            while waiting:
                grid = np.zeros((rows, columns), dtype=np.bool_)
                for top in range(0, rows - min(kernel, rows) + 1, min(kernel, rows)):
                    for left in range(0, columns - min(out, columns) + 1, min(out, columns)):
                        if waiting:
                            plane = waiting.pop(0)
                            place = grid[top : top + len(kernel_rows), left : left + len(stripe)]
                            assert place.shape == (len(kernel_rows), len(stripe))
                            assert not place.any()
                            place[:] = True
                            done |= {(plane, row, tap) for row in stripe for tap in kernel_rows}
                cycles += out_w * width  # one row of a map against one row of a filter, a product a cycle
    return cycles, done


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.integers(1, 6), width=st.integers(1, 3), out=st.integers(1, 9), out_w=st.integers(1, 4),
    planes=st.integers(1, 12), rows=st.integers(1, 7), columns=st.integers(1, 7),
)  # fmt: skip
def test_row_stationary_passes_are_those_of_sets_placed_one_by_one(kernel: int, width: int, out: int, out_w: int, planes: int, rows: int, columns: int) -> None:
    cycles, done = simulate_rows_held(kernel, width, out, out_w, planes, rows, columns)
    assert len(done) == planes * out * kernel
    assert row_stationary_cycles(kernel, width, out, out_w, planes, rows, columns) == cycles


# Tables of layers


def test_many_layers_and_arrays_at_once_are_as_one_by_one() -> None:
    tables = [
        one_layer(Op.CONV2D, in_c=8, out_c=12, out_h=5, out_w=6, kernel_h=3, kernel_w=3),
        one_layer(Op.DENSE, in_c=40, out_c=10),
        one_layer(Op.DEPTHWISE_CONV2D, in_c=6, out_c=6, groups=6, out_h=4, out_w=4, kernel_h=3, kernel_w=3),
        one_layer(Op.ADD, in_c=6, out_c=6, out_h=4, out_w=4),
    ]
    joined = LayerTable(names=("a", "b"), **{name: np.concatenate([getattr(table, name) for table in tables]).reshape(2, 2) for name in NUMERIC_FIELDS})
    rows, columns = np.array([[4], [8]]), np.array([[8], [3]])
    for dataflow in Dataflow:
        single = [int(layer_cycles(table, [4, 4, 8, 8][i], [8, 8, 3, 3][i], dataflow)[0, 0]) for i, table in enumerate(tables)]
        assert layer_cycles(joined, rows, columns, dataflow).ravel().tolist() == single
        assert single[3] == 0
        assert all(single[:3])


def test_groups_run_one_after_the_other() -> None:
    depthwise = one_layer(Op.DEPTHWISE_CONV2D, in_c=6, out_c=6, groups=6, out_h=4, out_w=4, kernel_h=3, kernel_w=3)
    channel = one_layer(Op.CONV2D, in_c=1, out_c=1, out_h=4, out_w=4, kernel_h=3, kernel_w=3)
    for dataflow in set(Dataflow) - {Dataflow.ROW_STATIONARY}:
        assert layer_cycles(depthwise, 4, 4, dataflow) == 6 * layer_cycles(channel, 4, 4, dataflow)
    # Row stationary places channels side by side, as it does filters: one replica of 3 x 4 units fits.
    assert layer_cycles(depthwise, 4, 4, Dataflow.ROW_STATIONARY) == 6 * 4 * 3


def test_sizes_beyond_32_bits_do_not_overflow() -> None:
    big = one_layer(Op.CONV2D, in_c=4096, out_c=4096, out_h=1000, out_w=1000, kernel_h=3, kernel_w=3)
    assert layer_cycles(big, 1, 1, Dataflow.OUTPUT_STATIONARY) == 10**6 * 4096 * (9 * 4096) - 1
