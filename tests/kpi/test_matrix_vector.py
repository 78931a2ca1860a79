from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from codesign.kpi.reuse import closest_legal, legal_reuse_factors
from codesign.kpi.streaming.hls_table import Build, HlsTable, typical_peak
from codesign.kpi.streaming.matrix_vector import MatrixVector, dsp_blocks
from codesign.kpi.streaming.matrix_vector_terms import FF_TERMS, LUT_TERMS, accumulator_selector, selector, shared_adder_record
from codesign.network.hls_model import HlsLayer, Kind, Part, Strategy
from tests.kpi.streaming_designs import V2019, V2020, VITIS, build, builds, dense, layer, model, units, weighted_layers

Weight = tuple[int, int]


@dataclass
class Trace:
    """What a kernel of hls4ml does: for each cycle, for each multiplier, the input and the output that it works on."""

    cycles: list[dict[int, Weight]] = field(default_factory=list)

    def products(self) -> set[int]:
        """Products in a cycle."""
        return {len(cycle) for cycle in self.cycles}

    def most_of_one_output(self) -> int:
        """Products of one output in a cycle."""
        return max(max(Counter(output for _, output in cycle.values()).values()) for cycle in self.cycles)

    def outputs_of_a_multiplier(self) -> int:
        """Different outputs that a multiplier adds to."""
        return max(len({cycle[place][1] for cycle in self.cycles if place in cycle}) for place in range(len(self.cycles[0])))


def folded_kernel(n_in: int, n_out: int, rf: int) -> Trace:
    """nnet_dense_resource.h, dense_resource_rf_leq_nin."""
    block = -(-n_in * n_out // rf)
    scale = -(-n_in * n_out // min(n_in, rf)) // n_out
    trace = Trace()
    for ir in range(rf):
        cycle: dict[int, Weight] = {}
        w_index, in_index, out_index, step = ir, ir, 0, 0
        for im in range(block):
            assert w_index == out_index * n_in + in_index  # the weights of an output lie one after the other
            cycle[im] = (in_index, out_index)
            w_index, in_index = w_index + rf, in_index + rf
            in_index = ir if in_index >= n_in else in_index
            step, out_index = (0, out_index + 1) if step + 1 >= scale else (step + 1, out_index)
        trace.cycles.append(cycle)
    return trace


def serial_kernel(n_in: int, n_out: int, rf: int) -> Trace:
    """nnet_dense_resource.h, dense_resource_rf_gt_nin_rem0."""
    trace = Trace()
    for ir in range(rf):
        cycle: dict[int, Weight] = {}
        w_index, in_index, out_index = ir, ir % n_in, ir // n_in
        for im in range(-(-n_in * n_out // rf)):
            assert w_index == out_index * n_in + in_index
            cycle[im] = (in_index, out_index)
            w_index += rf
            if w_index >= n_in * n_out:
                break
            out_index += rf // n_in
        trace.cycles.append(cycle)
    return trace


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 36), st.integers(1, 20), st.data())
def test_multipliers_fold_and_serves_are_those_of_hls4mls_kernels(n_in: int, n_out: int, data: st.DataObject) -> None:
    rf = data.draw(st.sampled_from(legal_reuse_factors(n_in, n_out)))
    trace = folded_kernel(n_in, n_out, rf) if rf <= n_in else serial_kernel(n_in, n_out, rf)
    assert sorted(weight for cycle in trace.cycles for weight in cycle.values()) == [(i, o) for i in range(n_in) for o in range(n_out)]
    unit = dense(n_in, n_out, rf)
    assert unit.reuse[0] == len(trace.cycles)
    assert {unit.multipliers[0]} == trace.products()
    assert unit.fold[0] == trace.most_of_one_output()
    assert unit.serves[0] == trace.outputs_of_a_multiplier()
    assert unit.products[0] == n_in * n_out
    assert unit.per_output[0] == n_in


def test_units_of_a_recurrent_layer() -> None:
    unit = units(layer(Kind.LSTM, in_w=9, in_c=5, out_c=6, input_bits=10, output_bits=12), build(reuse_factor=4), V2019)
    assert unit.state.tolist() == [False, True]
    assert unit.row.tolist() == [0, 0]
    assert unit.inputs.tolist() == [5, 6]
    assert unit.outputs.tolist() == [24, 24]
    assert unit.products.tolist() == [5 * 24, 6 * 24]
    assert unit.reuse.tolist() == [closest_legal(5, 24, 4), closest_legal(6, 24, 4)] == [5, 3]
    assert unit.input_bits.tolist() == [10, 12]
    assert unit.word_bits.tolist() == [50, 72]
    assert unit.sum_bits.tolist() == [384, 384]
    assert unit.recurrent.all()
    assert not unit.dense.any()
    assert not unit.convolution.any()
    assert units(layer(Kind.GRU, in_c=5, out_c=6), build(), V2019).outputs.tolist() == [18, 18]


def test_units_of_convolutions() -> None:
    sides: dict[str, Any] = {"in_h": 8, "in_w": 8, "out_h": 6, "out_w": 6, "kernel_h": 3, "kernel_w": 3, "in_c": 4}
    plain = units(layer(Kind.CONV2D, out_c=10, **sides), build(reuse_factor=12), V2020)
    assert (plain.inputs[0], plain.outputs[0], plain.products[0], plain.multipliers[0], plain.fold[0]) == (36, 10, 360, 30, 3)
    depthwise = units(layer(Kind.DEPTHWISE_CONV2D, out_c=4, **sides), build(reuse_factor=12, stream=True), V2020)
    assert (depthwise.inputs[0], depthwise.outputs[0], depthwise.products[0], depthwise.per_output[0]) == (36, 4, 36, 9)
    assert depthwise.multipliers[0] == 3
    assert units(layer(Kind.DEPTHWISE_CONV2D, out_c=4, **sides), build(reuse_factor=4, stream=True), V2020).fold[0] == 2  # nine multipliers, four outputs
    assert plain.convolution.all()
    assert depthwise.convolution.all()


@pytest.mark.parametrize(
    ("strategy", "reuse", "bits", "classes"),
    [
        (Strategy.RESOURCE, 4, 8, {"sequential"}),
        (Strategy.RESOURCE, 1, 8, {"resource_unrolled"}),
        (Strategy.LATENCY, 1, 8, {"latency_strategy", "light"}),
        (Strategy.LATENCY, 4, 7, {"latency_strategy", "light"}),
        (Strategy.LATENCY, 4, 8, {"latency_strategy", "shared"}),
        (Strategy.DISTRIBUTED_ARITHMETIC, 4, 8, {"distributed"}),
    ],
)
def test_classes_of_units(strategy: Strategy, reuse: int, bits: int, classes: set[str]) -> None:
    unit = dense(16, 8, reuse, strategy=strategy, weight_bits=bits)
    names = ("sequential", "resource_unrolled", "latency_strategy", "light", "shared", "distributed")
    assert {name for name in names if getattr(unit, name)[0]} == classes


@given(st.integers(2, 20), st.floats(0.001, 1.0))
def test_significant_bits_are_those_of_the_largest_weight(bits: int, peak: float) -> None:
    # the largest integer strictly below peak * 2**(bits - 1), at least 1, as two's complement with sign
    largest = max(int(np.ceil(peak * 2 ** (bits - 1))) - 1, 1)
    assert dense(4, 4, weight_bits=bits, weight_peak=peak).significant_bits[0] == min(largest.bit_length() + 1, bits)


@pytest.mark.parametrize(
    ("tool", "weight_bits", "input_bits", "logic_only", "expected"),
    [
        (V2020, 4, 16, False, False), (V2020, 5, 16, False, True), (V2020, 6, 16, False, True), (V2019, 5, 16, False, True),
        (VITIS, 6, 16, False, False), (VITIS, 7, 16, False, True), (V2019, 8, 8, False, False), (V2019, 8, 9, False, True), (V2020, 14, 16, True, False),
        (V2020, 16, 1, False, False), (V2020, 16, 2, False, True),
    ],
)  # fmt: skip
def test_which_multipliers_are_in_dsp(tool: Any, weight_bits: int, input_bits: int, logic_only: bool, expected: bool) -> None:
    unit = dense(16, 4, 8, tool, weight_bits=weight_bits, input_bits=input_bits, logic_only=logic_only, weight_peak=1.0)
    assert unit.in_dsp[0] == expected
    assert dsp_blocks(unit)[0] == (8 if expected else 0)


def tiles(first: int, second: int) -> int:
    """Partial products of 26 by 17 magnitude bits that cover a product, counted bit by bit."""
    wide, narrow = max(first, second) - 1, min(first, second) - 1
    return len({(i // 26, j // 17) for i in range(wide) for j in range(narrow)})


@given(st.integers(2, 64), st.integers(2, 64))
def test_blocks_of_a_wide_multiplier(weight_bits: int, input_bits: int) -> None:
    unit = dense(16, 4, 8, weight_bits=weight_bits, input_bits=input_bits, weight_peak=1.0)
    assert unit.blocks[0] == tiles(weight_bits, input_bits)
    assert dsp_blocks(unit)[0] == (unit.multipliers[0] * unit.blocks[0] if unit.in_dsp[0] else 0)


def test_vivado_drops_a_multiplier_whose_constants_are_narrow() -> None:
    narrow: dict[str, Any] = {"weight_bits": 6, "weight_peak": 0.2}  # 7 levels: 4 bits
    assert dense(256, 256, 1024, **narrow).significant_bits[0] == 4
    assert dsp_blocks(dense(256, 256, 1024, **narrow))[0] == 63
    assert dsp_blocks(dense(256, 256, 1024, weight_bits=6, weight_peak=0.3))[0] == 64
    assert dsp_blocks(dense(256, 256, 1024, VITIS, weight_bits=8, weight_peak=0.01))[0] == 64


def test_dsp_of_latency_strategy() -> None:
    shared = dense(32, 96, 512, strategy=Strategy.LATENCY, weight_bits=14)
    assert dsp_blocks(shared)[0] == 6  # as many as hls4ml allows: ceil(32 * 96 / 512)
    assert dsp_blocks(dense(32, 96, 512, strategy=Strategy.LATENCY, weight_bits=6))[0] == 0
    one = dense(32, 64, 1, strategy=Strategy.LATENCY, weight_bits=14)
    assert dsp_blocks(one)[0] == np.rint(one.constants.dsp[0]) > 0
    assert dsp_blocks(dense(32, 64, 1, strategy=Strategy.LATENCY, weight_bits=14, logic_only=True))[0] == 0
    assert dsp_blocks(dense(32, 64, 1, strategy=Strategy.DISTRIBUTED_ARITHMETIC, weight_bits=14))[0] == 0


def test_multipliers_of_latency_strategy_that_share() -> None:
    limits = [dense(64, 32, rf, strategy=Strategy.LATENCY, weight_bits=8, nonzero=share).shared_multipliers[0] for rf, share in
              [(512, 1.0), (1024, 1.0), (512, 0.5), (512, 0.0), (64, 0.25)]]  # fmt: skip
    assert limits == [4, 3, 2, 1, 8]


def test_share_of_constants_worth_a_multiplier() -> None:
    def share(bits: int, peak: float, reuse: int = 1, input_bits: int = 16) -> float:
        unit = dense(64, 32, reuse, VITIS, strategy=Strategy.LATENCY, weight_bits=bits, weight_peak=peak, input_bits=input_bits)
        return float(unit.worth_a_multiplier[0] / unit.nonzero[0])

    significant = np.log2(0.25 * 2**15) - 0.79
    assert share(16, 0.25) == pytest.approx(min(0.12 * (significant - 1.7), 0.65))
    assert share(8, 0.125) == pytest.approx(0.12 * (4 - 0.79 - 1.7))
    assert share(7, 1.0) == pytest.approx(0.02)
    assert share(8, 1.0, input_bits=5) == pytest.approx(0.02)
    assert share(8, 0.001) == pytest.approx(0.005)
    assert share(16, 1.0) == pytest.approx(0.65)
    limited = dense(64, 32, 512, VITIS, strategy=Strategy.LATENCY, weight_bits=16, weight_peak=1.0)
    assert limited.worth_a_multiplier[0] > limited.shared_multipliers[0] == dsp_blocks(limited)[0] == 4
    assert dense(64, 32, 1, VITIS).worth_a_multiplier[0] == dense(64, 32, 1, VITIS, strategy=Strategy.LATENCY).worth_a_multiplier[0] > 0
    assert dense(64, 32, 4, VITIS).worth_a_multiplier[0] == 0


def test_share_of_weights_that_are_not_zero() -> None:
    assert dense(10, 10, weight_bits=8, weight_peak=1.0).nonzero[0] == pytest.approx(100 * (1 - 1 / 256))
    assert dense(10, 10, weight_bits=2, weight_peak=0.1).nonzero[0] == pytest.approx(45)
    assert dense(10, 10, weight_bits=8, nonzero=0.3).nonzero[0] == pytest.approx(30)


def test_only_unrolled_units_have_constants() -> None:
    assert dense(16, 16, 4).constants.hard[0] == 0
    assert dense(16, 16, 1).constants.hard[0] > 0
    assert dense(16, 16, 4, strategy=Strategy.LATENCY).constants.hard[0] > 0
    assert dense(16, 16, 1, strategy=Strategy.DISTRIBUTED_ARITHMETIC).constants.two[0] == 0
    depthwise = units(layer(Kind.DEPTHWISE_CONV1D, kernel_w=3, in_w=3, in_c=4, out_c=4), build(), V2020)
    assert depthwise.constants.two[0] + depthwise.constants.hard[0] <= 12  # one constant for each input


def count(unit: MatrixVector, resource: str, term: str) -> float:
    return float((LUT_TERMS if resource == "lut" else FF_TERMS)[term].count(unit)[0])


def built(unit: MatrixVector) -> dict[str, float]:
    return {
        f"{resource} {name}": value for resource, terms in (("lut", LUT_TERMS), ("ff", FF_TERMS)) for name in terms if (value := count(unit, resource, name))
    }


def test_terms_of_a_serial_dense_layer() -> None:
    # 32 x 32, RF = 4 * 32: eight multipliers, each for four outputs in turn; 16-bit inputs and sums, 8-bit weights in 8,192 bits
    assert built(dense(32, 32, 128, weight_peak=1.0)) == {
        "lut layer": 1, "lut dense_layer": 1, "lut multiplier": 8 * 16, "lut input_select": 512, "lut input_dense": 512, "lut input_dense_at_once": 512,
        "lut accumulator": 512, "lut accumulator_any": 512, "lut accumulator_some": 512, "lut accumulator_select": 8 * 181, "lut index_table": 1,
        "ff layer": 1, "ff dense_layer": 1, "ff input": 512, "ff input_dense": 512, "ff multiplier": 128, "ff product": 128, "ff accumulator_any": 512,
        "ff accumulator": 512, "ff accumulator_shared_dense": 512, "ff index_table_dense": 1,
    }  # fmt: skip


def test_terms_of_a_folded_dense_layer() -> None:
    # 96 x 8, RF 16: six products of each of eight outputs at once; 48 multipliers, 5 additions an output
    folded = built(dense(96, 8, 16, V2019, weight_bits=4, weight_peak=1.0, stream=True, in_w=2))
    assert folded == {
        "lut dense_layer": 1, "lut multiplier": 768, "lut logic_multiplier_bits": 48 * 4 * 16, "lut input_dense": 1536, "lut fold_select": 48 * 16 * 16,
        "lut dense_selector": 48 * 16 * float(selector(np.array([8.0]))[0]), "lut accumulator_any": 128, "lut stream_select": 48 * 16 * 16,
        "lut stream_sum": 768, "lut stream_layer": 1, "lut stream_output": 8, "lut weight_rom": 96 * 8 * 4,
        "ff dense_layer": 1, "ff input_dense": 1536, "ff multiplier": 8 * 5 * 16, "ff selector_stage": 48 * 2 * 16, "ff accumulator_folded": 128,
        "ff stream_sum": 2 * 48 * 16, "ff stream_accumulator": 256, "ff stream_word": 1536 + 128, "ff stream_layer": 1,
    }  # fmt: skip


def test_terms_of_unrolled_layers() -> None:
    for strategy, product in ((Strategy.RESOURCE, "constant_product"), (Strategy.LATENCY, "constant_product_latency")):
        unit = dense(16, 8, strategy=strategy, input_bits=12, weight_peak=1.0)
        found = built(unit)
        assert found["lut dense_layer"] == found["ff dense_layer"] == 1
        assert found["lut adder"] == found["lut latency_sum"] == unit.nonzero[0] * 16
        assert found["lut constant_adder"] == unit.constants.two[0] * (12 + 8)
        bits = 8 if product == "constant_product" else 1
        assert found[f"lut {product}"] == unit.constants.hard[0] * bits > 0
        assert not {"lut constant_product", "lut constant_product_latency", f"lut {product}"} - {f"lut {product}"} & set(found)
        assert unit.constants.hard[0] != unit.constants.two[0]


def test_pipeline_registers_by_fabric_and_clock() -> None:
    def registers(**values: Any) -> float:
        unit = dense(64, 32, tool=VITIS, strategy=Strategy.LATENCY, **values)
        return count(unit, "ff", "latency_sum") / (float(unit.nonzero[0]) * 16)

    found = [registers(series7=True), registers(), registers(series7=True, clock_ns=2.5), registers(clock_ns=2.5)]
    assert found == pytest.approx([1.0, 0.35, 2.0, 0.7])
    shallow = dense(64, 32, strategy=Strategy.LATENCY)  # Vivado HLS on UltraScale: one register, counted by its own terms
    assert count(shallow, "ff", "latency_sum") == 0
    assert count(shallow, "ff", "latency_adder") == shallow.nonzero[0]


def test_weights_are_in_lut_after_vitis_where_memories_are_small() -> None:
    assert count(dense(88, 16, 88 * 8, VITIS), "lut", "weight_rom") == 88 * 16 * 8
    assert count(dense(89, 16, 89 * 8, VITIS), "lut", "weight_rom") == 0
    assert count(dense(128, 16, 1024, VITIS), "lut", "weight_rom") == 0
    assert count(dense(128, 16, 64, VITIS), "lut", "weight_rom") == 128 * 16 * 8  # 64 words: a LUT holds a bit of each
    assert count(dense(128, 16, 128, VITIS), "lut", "weight_rom") == 0
    assert count(dense(128, 52, 512, VITIS, weight_bits=16), "lut", "weight_rom") == 0  # 208 bits wide: a shape not observed
    assert count(dense(128, 16, 2048, VITIS), "lut", "weight_rom") == 128 * 16 * 8  # more than 1,024 words
    assert count(dense(128, 4, 512, VITIS, weight_bits=7), "lut", "weight_rom") == 128 * 4 * 7  # narrower than a byte


def test_a_single_multiplier_decodes_its_index_from_a_memory() -> None:
    assert count(dense(16, 16, 256), "lut", "accumulator_alone") == 16 * 16  # 256 words of 4 bits
    assert count(dense(15, 16, 240), "lut", "accumulator_alone") == 0
    assert count(dense(16, 32, 256), "lut", "accumulator_alone") == 0  # two multipliers
    assert count(dense(16, 16, 256), "ff", "accumulator_alone") == count(dense(16, 16, 256), "ff", "accumulator_copy") == 16 * 16


def test_convolutions_that_share_a_multiplier_among_four_outputs() -> None:
    def stages(reuse: int, kind: Kind = Kind.CONV1D) -> float:
        return count(units(layer(kind, kernel_w=1, in_c=12, out_c=12), build(True, reuse_factor=reuse), V2019), "ff", "four_outputs_convolution")

    assert [stages(reuse) for reuse in (12, 24, 36, 48, 72)] == [0, 0, 0, 1, 0]
    assert stages(48, Kind.DENSE) == 0


@pytest.mark.parametrize(("n_in", "n_out", "bits"), [(16, 16, 8), (64, 64, 4), (32, 8, 6)])
def test_distributed_arithmetic_shares_adders(n_in: int, n_out: int, bits: int) -> None:
    unit = dense(n_in, n_out, strategy=Strategy.DISTRIBUTED_ARITHMETIC, weight_bits=bits, weight_peak=1.0)
    alone = n_in * n_out * (bits / 3 + 1 / 9) - n_out  # an adder for each non-zero digit but one of each output
    widest = 16 + bits + float(np.log2(n_in))
    assert 0.2 * alone * 16 < count(unit, "lut", "shared_adder") < alone * widest
    assert count(dense(n_in, n_out), "lut", "shared_adder") == 0
    c = {name: quantity.value for name, quantity in vars(shared_adder_record()).items()}
    digits = float(unit.nonzero[0]) * (bits / 3 + 1 / 9)
    width = 16 + c["weight_growth"] * bits + c["sum_growth"] * float(np.log2(n_in))
    expected = c["factor"] * (digits - n_out) ** c["exponent"] * (digits / (n_in * n_out)) ** c["crowding"] * width
    assert count(unit, "lut", "shared_adder") == pytest.approx(expected)


def test_adders_of_a_tree_are_the_additions_of_the_kernel() -> None:
    trace = folded_kernel(24, 5, 4)
    joined = sum(products - 1 for products in Counter(output for _, output in trace.cycles[0].values()).values())
    unit = dense(24, 5, 4, V2019, stream=True, accumulator_bits=16)
    assert count(unit, "ff", "multiplier") == joined * 16 == 5 * 5 * 16


@pytest.mark.parametrize(("fold", "stages"), [(2, 4), (3, 4), (4, 2), (5, 2), (6, 1), (7, 1), (8, 0)])
def test_stages_between_selector_and_adder(fold: int, stages: int) -> None:
    # RF of 3: multipliers select without a library selector
    assert count(dense(3 * fold, 5, 3, V2019, stream=True), "ff", "selector_stage") == 5 * fold * stages * 16
    # from RF of 4 on there is one, and a stage more, unless all inputs come in one word and are few
    assert count(dense(8 * fold, 5, 8, V2019, stream=True, in_w=2), "ff", "selector_stage") == 5 * fold * (stages + 1) * 16
    at_once = count(units(layer(Kind.DENSE, in_c=8 * fold, out_c=5 if fold < 5 else 64), build(True, reuse_factor=8), V2019), "ff", "selector_stage")
    assert at_once == (5 if fold < 5 else 64) * fold * (stages + (fold == 8)) * 16


def test_selectors_by_number_of_words() -> None:
    assert (selector(np.array([1.0, 2.0, 16.0, 32.0, 64.0])) * 16).tolist() == pytest.approx([9, 9, 66, 153, 273])
    assert float(selector(np.array([128.0]))[0]) == pytest.approx(2 * 273 / 16)
    assert (accumulator_selector(np.array([32.0, 33.0, 64.0, 100.0, 256.0])) * 16).tolist() == pytest.approx([181, 301, 301, 701, 1390])
    assert float(accumulator_selector(np.array([300.0]))[0]) == pytest.approx(0.34 * 512)


@settings(max_examples=150, deadline=None)
@given(weighted_layers(), builds(), st.sampled_from([V2019, V2020, VITIS]))
def test_terms_are_finite_and_not_negative(shape: HlsLayer, how: Build, tool: Any) -> None:
    unit = units(shape, how, tool)
    for terms in (LUT_TERMS, FF_TERMS):
        for name, term in terms.items():
            found = np.broadcast_to(term.count(unit), len(unit))
            assert np.isfinite(found).all(), name
            assert (found >= 0).all(), name
    assert np.isfinite(dsp_blocks(unit)).all()
    assert (dsp_blocks(unit) >= 0).all()
    assert (unit.nonzero <= unit.products).all()
    assert (unit.worth_a_multiplier <= unit.products).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 64), st.integers(1, 64), st.integers(2, 16), st.sampled_from([V2019, V2020, VITIS]))
def test_larger_reuse_needs_no_more_multipliers_or_dsp(n_in: int, n_out: int, bits: int, tool: Any) -> None:
    sequential = [dense(n_in, n_out, rf, tool, weight_bits=bits, weight_peak=1.0) for rf in legal_reuse_factors(n_in, n_out)[1:]]
    for figures in ([unit.multipliers[0] for unit in sequential], [dsp_blocks(unit)[0] for unit in sequential], [unit.fold[0] for unit in sequential]):
        assert figures == sorted(figures, reverse=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 64), st.integers(1, 64), st.integers(2, 16), st.integers(2, 24), st.sampled_from(list(Strategy)[:2]))
def test_wider_weights_more_outputs_and_wider_inputs_never_cost_less_dsp(n_in: int, n_out: int, bits: int, inputs: int, strategy: Strategy) -> None:
    reuse = 1 if strategy is Strategy.LATENCY else n_in

    def dsp(**changed: Any) -> float:
        values: dict[str, Any] = {"n_in": n_in, "n_out": n_out, "weight_bits": bits, "input_bits": inputs} | changed
        return float(dsp_blocks(dense(reuse=reuse, tool=VITIS, strategy=strategy, weight_peak=1.0, **values))[0])

    assert dsp(weight_bits=bits + 1) >= dsp()
    assert dsp(input_bits=inputs + 1) >= dsp()
    assert dsp(n_out=n_out + 1) >= dsp()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 64), st.integers(1, 64), st.integers(2, 16), st.floats(0.0, 0.99), st.floats(0.0, 0.99))
def test_more_zeros_never_cost_more_in_latency_strategy(n_in: int, n_out: int, bits: int, first: float, second: float) -> None:
    assume(first != second)
    fewer, more = (dense(n_in, n_out, strategy=Strategy.LATENCY, weight_bits=bits, nonzero=share) for share in sorted((first, second)))
    for resource, terms in (("lut", LUT_TERMS), ("ff", FF_TERMS)):
        for name in terms:
            assert count(fewer, resource, name) <= count(more, resource, name), name
    assert dsp_blocks(fewer)[0] <= dsp_blocks(more)[0]


def test_line_buffers_and_layers_without_weights_have_no_unit() -> None:
    table = HlsTable.from_models([model(layer(Kind.CONV1D, in_w=4, out_w=4, part=Part.LINE_BUFFER), layer(Kind.ACTIVATION, "relu"))], [build(stream=True)])
    assert len(MatrixVector(table, V2020)) == 0


def test_typical_peak_is_that_of_lecun_initialisation() -> None:
    assert typical_peak(300) == pytest.approx(0.1)
    assert typical_peak(1) == typical_peak(0) == 1.0
    assert dense(300, 4).rows.weight_peak[0] == pytest.approx(0.1)
