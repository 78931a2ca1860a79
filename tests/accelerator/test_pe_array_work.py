"""Steps of layers: UltraTrail's published cycles, counts by loops, and laws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.accelerator.pe_array_work import ArrayShape, real_taps, work
from codesign.network.layers import NUMERIC_FIELDS, LayerTable, Op
from tests.accelerator.pe_array_networks import NetworkMaker, random_array, stacked
from tests.accelerator.pe_array_reference import Walk


def array_of(rows: int = 8, columns: int = 8, full_taps: int = 0) -> ArrayShape:
    """One array with 8-bit operands."""
    words = dict.fromkeys(("weight_words", "activation_words", "output_words"), 1 << 14)
    others = {"weight_bits": 8, "activation_bits": 8, "accumulator_bits": 32, "banks": 1, "bus_bits": 64, "latency": 0}
    return stacked([{"rows": rows, "columns": columns, "full_taps": full_taps, **others, **words}])


def series_table(layers: list[dict[str, int]]) -> LayerTable:
    """Layers of a series network: ``C`` to ``K`` channels, kernel ``F``, stride ``s``, width ``W`` to ``Wo``, padding ``p``."""
    columns = {name: np.zeros((1, len(layers)), dtype=np.int32) for name in NUMERIC_FIELDS}
    for slot, layer in enumerate(layers):
        shape = {"op": Op.CONV1D, "in_h": 1, "out_h": 1, "kernel_h": 1, "stride_h": 1, "groups": 1, "input_a": -1, "input_b": -1}
        names = {"in_w": "W", "in_c": "C", "out_w": "Wo", "out_c": "K", "kernel_w": "F", "stride_w": "s", "pad_w": "p"}
        for name, value in (shape | {name: layer[key] for name, key in names.items()}).items():
            columns[name][0, slot] = value
    return LayerTable(names=tuple(f"layer{slot}" for slot in range(len(layers))), **columns)


@dataclass(frozen=True)
class Published:
    """A network and its cycles on an N x N array, from the files named of the HANNAH repository (ekut-es/hannah, Apache-2.0)."""

    file: str
    size: int
    cycles: int
    layers: tuple[tuple[int, ...], ...]


# Layers as (C, K, F, s, W, p, Wo). The first two equal the published cycle counts. Of the last HANNAH publishes -94: its
# closed form under-counts on small maps; 546 is the count of multiply steps on real input by loops.
PUBLISHED = (
    Published("nas2_vad_ha.yaml", 4, 285, ((40, 4, 1, 16, 101, 0, 7), (4, 12, 3, 1, 7, 1, 7), (12, 28, 1, 1, 7, 0, 7), (28, 2, 1, 1, 1, 0, 1))),
    Published(
        "nas2_kws_5uw_la.yaml", 4, 18973,
        ((40, 20, 3, 4, 101, 1, 26), (20, 56, 3, 1, 26, 1, 26), (56, 36, 1, 1, 26, 0, 26), (36, 20, 9, 4, 26, 4, 7),
         (20, 48, 5, 1, 7, 2, 7), (48, 40, 3, 1, 7, 1, 7), (40, 12, 1, 1, 1, 0, 1)),
    ),
    Published(
        "nas2_wwd_5uw_lp_top1.yaml", 2, 546,
        ((40, 4, 1, 16, 101, 0, 7), (4, 16, 9, 16, 7, 4, 1), (16, 20, 3, 1, 1, 1, 1), (20, 4, 11, 1, 1, 5, 1), (4, 40, 7, 1, 1, 3, 1),
         (40, 3, 1, 1, 1, 0, 1)),
    ),
)  # fmt: skip


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.file)
def test_compute_cycles_equal_ultratrails(published: Published) -> None:
    table = series_table([dict(zip(("C", "K", "F", "s", "W", "p", "Wo"), layer, strict=True)) for layer in published.layers])
    steps = work(table, array_of(published.size, published.size)).steps
    assert (steps + 1.0).sum() == published.cycles


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 5), st.data())
def test_real_taps_equal_a_count_by_loops(size: int, kernel: int, stride: int, data: st.DataObject) -> None:
    pad = data.draw(st.integers(0, kernel - 1))
    if size + 2 * pad < kernel:
        size = kernel
    out = (size + 2 * pad - kernel) // stride + 1
    counted = sum(0 <= o * stride + f - pad < size for o in range(out) for f in range(kernel))
    arrays = [np.array([[value]], dtype=np.int32) for value in (size, kernel, stride, pad, out)]
    assert real_taps(*arrays)[0, 0] == counted


@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 9), st.integers(1, 3), st.integers(9, 60), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)
)
def test_a_larger_layer_never_takes_fewer_steps(c: int, k: int, f: int, s: int, w: int, more_c: int, more_k: int, more_w: int) -> None:
    def steps(channels: int, filters: int, width: int) -> float:
        pad = f // 2
        layer = {"C": channels, "K": filters, "F": f, "s": s, "W": width, "p": pad, "Wo": (width + 2 * pad - f) // s + 1}
        return float(work(series_table([layer]), array_of()).steps.sum())

    assert steps(c + more_c, k + more_k, w + more_w) >= steps(c, k, w) >= 1


def test_steps_macs_and_words_of_random_networks_equal_counts_by_loops() -> None:
    rng = np.random.default_rng(2)
    maker = NetworkMaker(rng)
    graphs = [maker.draw() for _ in range(150)]
    arrays = [random_array(rng) for _ in graphs]
    found = work(LayerTable.from_graphs(graphs), stacked(arrays))
    for design, (graph, array) in enumerate(zip(graphs, arrays, strict=True)):
        walk, real = Walk(graph.layers, array, {"fetch": 0}), Walk(graph.layers, array | {"full_taps": 0, "columns": 1}, {"fetch": 0})
        for slot, layer in enumerate(graph.layers[1:], start=1):
            steps = sum(count for row in walk.existing(slot) for count in row) * walk.groups(slot)
            # On one column every step of a full layer multiplies one real input channel for one output channel.
            taps = sum(count for row in real.existing(slot) for count in row)
            products = taps * (layer.in_c if layer.op is Op.GLOBAL_POOL or layer.op is Op.ADD or layer.groups > 1 else layer.out_c)
            assert (found.steps[design, slot], found.macs[design, slot]) == (steps, products)
            assert found.weight_words[design, slot] == walk.layer_words(slot)
    assert not found.steps[:, 0].any()
