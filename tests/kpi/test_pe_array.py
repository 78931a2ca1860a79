from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.accelerator.device import Family, find_device
from codesign.accelerator.template import load_descriptor
from codesign.kpi.evaluate import price
from codesign.kpi.joint_space import JointSpace
from codesign.kpi.pe_array import bits_per_cycle, resources
from codesign.kpi.pe_array_schedule import ArrayShape, real_taps, traffic, work
from codesign.kpi.reuse import legal_reuse_factors
from codesign.network.layers import NUMERIC_FIELDS, Layer, LayerTable, Op
from codesign.network.table_builder import TaskShape
from codesign.space.parameters import Value

KWS = TaskShape(input_shape=(49, 10), classes=12, input_bits=8, input_signed=True)
PYNQ = find_device("pynq-z2")
BIG = 1e12


def array_shape(**values: float) -> ArrayShape:
    """One array; buffers hold everything unless said otherwise."""
    defaults = {"rows": 8, "columns": 8, "weight_bits": 8, "activation_bits": 8, "banks": 1}
    buffers = {"weight_buffer": BIG, "activation_buffer": BIG, "output_buffer": BIG}
    return ArrayShape(**{name: np.array([[float(value)]]) for name, value in (defaults | buffers | values).items()})


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
    steps = work(table, array_shape(rows=published.size, columns=published.size)).steps
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


def joint(blueprint: str, **overrides: tuple[Value, ...]) -> JointSpace:
    return JointSpace.build(KWS, [blueprint], ["pe_array"], PYNQ, {f"pe_array.{name}": values for name, values in overrides.items()})


def steps_by_loops(layer: Layer, rows: int, columns: int) -> int:
    """Walk over output tiles, input tiles, output positions and taps, and count those on real input."""
    depthwise = layer.groups > 1 or layer.op in (Op.ADD, Op.GLOBAL_POOL)
    tiles = len(range(0, layer.in_c, min(rows, columns) if depthwise else columns))
    if not depthwise:
        tiles *= len(range(0, layer.out_c, rows))
    pairs = 0
    for oh in range(layer.out_h):
        for ow in range(layer.out_w):
            for fh in range(layer.kernel_h):
                for fw in range(layer.kernel_w):
                    h, w = oh * layer.stride_h + fh - layer.pad_h, ow * layer.stride_w + fw - layer.pad_w
                    pairs += 0 <= h < layer.in_h and 0 <= w < layer.in_w
    return tiles * pairs * (2 if layer.op is Op.ADD else 1)


@pytest.mark.parametrize("blueprint", ["mlp", "tcresnet", "dscnn"])
def test_steps_of_whole_networks_equal_a_walk_over_tiles_positions_and_taps(blueprint: str) -> None:
    space = joint(blueprint)
    indices = space.space.sample(6, np.random.default_rng(1))
    for point in space.space.points(indices):
        graph, values = space.graph(point), space.template_values(point)
        rows, columns = int(values["rows"]), int(values["columns"])
        found = work(LayerTable.from_graphs([graph]), array_shape(rows=rows, columns=columns)).steps[0]
        assert found.tolist() == [0 if layer.op is Op.INPUT else steps_by_loops(layer, rows, columns) for layer in graph]


def maps_by_loops(layers: list[Layer], activation_bits: int, activation_buffer: float, output_buffer: float) -> tuple[set[int], set[int]]:
    """Layers that read from, and layers that write to, external memory: liveness layer by layer."""
    bits = [layer.out_h * layer.out_w * layer.out_c * max(activation_bits, layer.output_bits) for layer in layers]
    readers = [[j for j, layer in enumerate(layers) if i in (layer.input_a, layer.input_b)] for i in range(len(layers))]
    reads, writes = set(), {i for i, found in enumerate(readers) if not found}
    for j, layer in enumerate(layers[1:], start=1):
        live = sum(bits[i] for i in range(j) if readers[i] and readers[i][-1] >= j)
        sources = [i for i in (layer.input_a, layer.input_b) if i >= 0]
        if live > activation_buffer or any(i == 0 or bits[i] > output_buffer for i in sources):
            reads.add(j)
            writes.update(i for i in sources if i > 0)
    return reads, writes


@pytest.mark.parametrize("blueprint", ["mlp", "tcresnet", "dscnn"])
def test_maps_leave_the_chip_exactly_where_liveness_says(blueprint: str) -> None:
    space = joint(blueprint)
    indices = space.space.sample(20, np.random.default_rng(2))
    kept = 0
    for number, point in enumerate(space.space.points(indices)):
        layers = list(space.graph(point))
        activation_buffer, output_buffer = 2.0 ** (11 + number % 7), 2.0 ** (12 + number % 5)
        array = array_shape(activation_buffer=activation_buffer, output_buffer=output_buffer)
        table = LayerTable.from_graphs([space.graph(point)])
        moved = traffic(table, array, work(table, array))
        reads, writes = maps_by_loops(layers, 8, activation_buffer, output_buffer)
        assert set(np.flatnonzero(moved.load[0]).tolist()) == reads
        assert set(np.flatnonzero(moved.store[0]).tolist()) == writes
        kept += len(layers) - 1 - len(reads)
    assert kept > 10


def test_weights_that_fit_are_not_loaded_again() -> None:
    space = joint("mlp")
    table = LayerTable.from_graphs([space.graph(space.space.points(space.space.sample(1, np.random.default_rng(3)))[0])])
    needed = float((work(table, array_shape()).weight_words * 512.0).sum())
    resident, streamed = (array_shape(weight_buffer=bits) for bits in (needed, needed - 1.0))
    loads = [traffic(table, array, work(table, array)).load.sum() for array in (resident, streamed)]
    assert loads[1] - loads[0] == work(table, resident).weight_bits.sum()


def test_resources_of_the_published_synthesis() -> None:
    # Yosys on an 8 x 8 array of this kind with 8-bit operands and 32-bit accumulators: series 7 and ECP5.
    array = array_shape(weight_buffer=8192.0, activation_buffer=8192.0, output_buffer=8192.0)
    for family, lut, ff in ((Family.SERIES7, 3269, 3374), (Family.ECP5, 6921, 6156)):
        used = resources(array, np.array([[32.0]]), np.array([[64.0]]), family)
        assert (used.lut[0], used.ff[0], used.dsp[0]) == (lut, ff, 66)


def test_narrow_multipliers_are_built_from_luts_on_series_7_only() -> None:
    array = array_shape(weight_bits=2, activation_bits=4, weight_buffer=8192.0, activation_buffer=8192.0, output_buffer=8192.0)
    found = {family: resources(array, np.array([[24.0]]), np.array([[32.0]]), family).dsp[0] for family in (Family.SERIES7, Family.ECP5)}
    assert found == {Family.SERIES7: 2, Family.ECP5: 66}


@given(st.integers(1, 32), st.integers(1, 32), st.integers(2, 8), st.integers(2, 8), st.integers(0, 4), st.integers(0, 4), st.sampled_from(list(Family)))
def test_resources_never_shrink_with_a_larger_array(r: int, c: int, wb: int, ab: int, more_r: int, more_c: int, family: Family) -> None:
    def used(rows: int, columns: int, banks: int) -> tuple[float, ...]:
        buffers = {"weight_buffer": 65536.0, "activation_buffer": 65536.0, "output_buffer": 65536.0}
        array = array_shape(rows=rows, columns=columns, weight_bits=wb, activation_bits=ab, banks=banks, **buffers)
        found = resources(array, np.array([[24.0]]), np.array([[32.0]]), family)
        return found.lut[0], found.ff[0], found.dsp[0], found.bram18[0]

    small, large, twice = used(r, c, 1), used(r + more_r, c + more_c, 1), used(r, c, 2)
    assert all(b >= a > 0 for a, b in zip(small[:3], large[:3], strict=True))
    assert twice[3] >= small[3] >= 3


@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 9), st.integers(1, 3), st.integers(9, 60), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)
)
def test_a_larger_layer_never_takes_fewer_steps(c: int, k: int, f: int, s: int, w: int, more_c: int, more_k: int, more_w: int) -> None:
    def steps(channels: int, filters: int, width: int) -> float:
        pad = f // 2
        layer = {"C": channels, "K": filters, "F": f, "s": s, "W": width, "p": pad, "Wo": (width + 2 * pad - f) // s + 1}
        return float(work(series_table([layer]), array_shape()).steps.sum())

    assert steps(c + more_c, k + more_k, w + more_w) >= steps(c, k, w) >= 1


BETTER: dict[str, tuple[Value, ...]] = {
    "bus_bits": (16, 128),
    "double_buffering": (0, 1),
    "weight_buffer_kib": (4, 64),
    "activation_buffer_kib": (2, 16),
    "output_buffer_kib": (2, 16),
}


@pytest.mark.parametrize("name", BETTER)
@pytest.mark.parametrize("blueprint", ["tcresnet", "dscnn"])
def test_a_wider_bus_a_larger_buffer_or_a_second_bank_never_costs_cycles_or_traffic(blueprint: str, name: str) -> None:
    space = joint(blueprint, **{name: BETTER[name]})
    indices = space.space.sample(300, np.random.default_rng(4))
    column = space.space.column(f"pe_array.{name}")
    worse, better = indices.copy(), indices.copy()
    worse[:, column], better[:, column] = 0, 1
    before, after = price(space, worse), price(space, better)
    assert (after.values["latency_cycles"] <= before.values["latency_cycles"]).all()
    assert (after.values["latency_cycles"] < before.values["latency_cycles"]).any()
    assert (after.values["off_chip_bytes"] <= before.values["off_chip_bytes"]).all()
    if name != "bus_bits":
        assert (after.values["bram18"] >= before.values["bram18"]).all()


def test_memory_bandwidth_bounds_the_bus() -> None:
    # 2.1 GB/s at 100 MHz are 168 bits a cycle; 70 % of the smaller of bus and memory is used.
    bus, clock = np.array([[32.0], [128.0], [512.0]]), np.array([[100.0]] * 3)
    assert bits_per_cycle(bus, clock, PYNQ)[:, 0] == pytest.approx([22.4, 89.6, 117.6])


def test_a_network_wider_than_the_array_or_a_buffer_below_one_tile_is_illegal() -> None:
    space = joint("tcresnet", weight_bits=(4, 8), accumulator_bits=(32,), weight_buffer_kib=(2, 256), rows=(16,), columns=(8,))
    indices = space.space.sample(200, np.random.default_rng(5))
    table = price(space, indices)
    for number, point in enumerate(space.space.points(indices)):
        graph, values = space.graph(point), space.template_values(point)
        widest = max(layer.weight_bits for layer in graph)
        taps = max(layer.kernel_h * layer.kernel_w for layer in graph if layer.op in (Op.CONV1D, Op.DENSE))
        word = 16 * 8 * int(values["weight_bits"])
        assert table.reasons["pe_array.weight_bits"][number] == widest / int(values["weight_bits"])
        assert table.reasons["pe_array.weight_buffer"][number] == taps * word / (int(values["weight_buffer_kib"]) * 8192)
        if widest > int(values["weight_bits"]):
            assert not table.fits[number]
    assert table.fits.any()


@pytest.mark.parametrize("blueprint", ["mlp", "tcresnet", "dscnn"])
def test_exported_layers_use_no_more_multipliers_than_the_array_and_the_fewest_steps(blueprint: str) -> None:
    space = joint(blueprint)
    for point in space.space.points(space.space.sample(25, np.random.default_rng(6))):
        graph, plan = space.graph(point), space.plan(point)
        lanes = int(space.template_values(point)["rows"]) * int(space.template_values(point)["columns"])
        assert (plan.io_type, plan.strategy) == ("io_stream", "resource")
        assert set(plan.reuse) == {layer.name for layer in graph if layer.weights}
        for layer in graph:
            if layer.weights:
                n_out = 1 if layer.groups > 1 else layer.out_c
                legal = legal_reuse_factors(layer.weights // n_out, n_out)
                assert plan.reuse[layer.name] in legal
                assert plan.reuse[layer.name] == min(factor for factor in legal if layer.weights <= factor * lanes)


@settings(max_examples=5)
@given(st.integers(0, 1000))
def test_each_step_has_at_most_one_product_a_multiplier(seed: int) -> None:
    space = joint("dscnn")
    layers = price(space, space.space.sample(50, np.random.default_rng(seed)), per_layer=True).layers
    assert layers is not None
    assert (layers["utilisation"] <= 1.0).all()
    assert (layers["utilisation"][layers["macs"] > 0] > 0.0).all()


def test_activation_operands_hold_the_input_of_the_task() -> None:
    values = {parameter.name: parameter.values for parameter in joint("mlp").templates[0].parameters(PYNQ, KWS)}
    assert values["pe_array.activation_bits"] == (8,)
    assert max(float(value) for value in values["pe_array.clock_mhz"]) == 100
    assert load_descriptor("pe_array").parameters["clock_mhz"].values[-1] > 100
