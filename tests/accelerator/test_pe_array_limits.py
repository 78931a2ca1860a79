"""Counters of an instruction: the limit that the cost model tells is the one at which no program can be written."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from codesign.accelerator.array_parameters import ArrayParameters
from codesign.accelerator.pe_array_limits import utilisation
from codesign.accelerator.pe_array_tiling import ArrayShape, plan
from codesign.accelerator.schedule import schedule
from codesign.errors import InputError
from codesign.network.layers import LayerGraph, LayerTable, Op
from codesign.network.table_builder import TableBuilder, TaskShape

ARRAY = ArrayParameters(
    rows=1,
    columns=1,
    weight_bits=8,
    activation_bits=8,
    accumulator_bits=32,
    weight_words=1 << 18,
    activation_words=1 << 18,
    output_words=1 << 18,
    banks=1,
    bus_bits=16,
)


def dense(*, inputs: int, outputs: int) -> LayerGraph:
    builder = TableBuilder(1, TaskShape((inputs,), 2, 8, True))
    builder.dense("head", builder.input((1, 1, inputs)), features=outputs, weight_bits=8, output_bits=None, relu=False)
    return builder.build().graph(0)


def series(steps: int) -> LayerGraph:
    builder = TableBuilder(1, TaskShape((steps, 1), 2, 8, True))
    builder.convolution("conv", builder.input((1, steps, 1)), Op.CONV1D, channels=1, kernel=(1, 3), weight_bits=8, output_bits=None, relu=False)
    return builder.build().graph(0)


@pytest.mark.parametrize(
    ("fits", "beyond", "changed"),
    [
        (dense(inputs=2, outputs=4096), dense(inputs=2, outputs=4097), {"columns": 2}),
        (dense(inputs=4096, outputs=2), dense(inputs=4097, outputs=2), {}),
        (dense(inputs=2, outputs=4096), dense(inputs=2, outputs=4097), {"rows": 2}),
        (series(4096 - 1 - 3), series(4096 - 3), {}),  # with padding above and a kernel below
    ],
    ids=("groups", "planes read", "planes written", "rows"),
)
def test_one_beyond_the_counters_is_told_and_cannot_be_written(fits: LayerGraph, beyond: LayerGraph, changed: dict[str, int]) -> None:
    array = replace(ARRAY, **changed)
    assert told(fits, array) == 1.0
    write(fits, array)
    assert told(beyond, array) == 4097 / 4096
    with pytest.raises(InputError, match="larger than the template's counters allow|counts rows and columns to 4096"):
        write(beyond, array)


def told(graph: LayerGraph, array: ArrayParameters) -> float:
    shape = ArrayShape(**{name: np.full((1, 1), float(number)) for name, number in asdict(array).items()})
    return float(utilisation(plan(LayerTable.from_graphs([graph]), shape), shape)["instruction"][0])


def write(graph: LayerGraph, array: ArrayParameters) -> None:
    for phase in schedule(graph, array).phases:
        phase.instruction.encode()
