from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.kpi.streaming.hls_table import HlsTable
from codesign.network.hls_model import HlsLayer, Kind, Part, Strategy
from codesign.validation.parquet import write_columns
from codesign.validation.points import COLUMNS, MeasuredDesign, read_design, read_designs

CONV = {
    "cfg": "config5", "kind": "conv2d_config", "in_height": 13, "in_width": 13, "n_chan": 32, "filt_height": 3, "filt_width": 3, "n_filt": 32,
    "stride_height": 1, "stride_width": 1, "out_height": 11, "out_width": 11, "reuse_factor": 72, "n_zeros": 4608, "strategy": "nnet::resource",
    "pad_top": 0, "pad_bottom": 0, "pad_left": 0, "pad_right": 0, "accum_t": "ap_fixed<18,11>", "bias_t": "ap_fixed<4,1>", "weight_t": "ap_fixed<4,1>",
}  # fmt: skip
POOL = {
    "cfg": "config7", "kind": "pooling2d_config", "in_height": 11, "in_width": 11, "n_filt": 32, "n_chan": "n_filt", "pool_height": 2, "pool_width": 2,
    "filt_height": "pool_height", "filt_width": "pool_width", "stride_height": 2, "stride_width": 2, "out_height": 5, "out_width": 5,
    "pad_top": 0, "pad_left": 0, "count_pad": "false", "pool_op": "nnet::Max",
}  # fmt: skip
DENSE = {
    "cfg": "config11", "kind": "dense_config", "n_in": 32, "n_out": 10, "reuse_factor": 64, "strategy": "nnet::resource", "n_nonzeros": 240,
    "accum_t": "ap_fixed<14,7>", "bias_t": "ap_fixed<4,1>", "weight_t": "ap_fixed<4,1>",
}  # fmt: skip
GRU = {"cfg": "config2", "kind": "gru_config", "n_in": 6, "n_state": 20, "n_sequence": 15, "weight_t": "ap_fixed<8,3>", "accum_t": "ap_fixed<16,6>"}


def row(*entries: dict[str, Any], **columns: Any) -> dict[str, Any]:
    """A row of a repository with these configurations."""
    base = dict.fromkeys(COLUMNS)
    base |= {"id": "7", "group": "repo-network", "source": "someone/project", "level": "network", "io_type": "io_stream", "stage": "hls_estimate"}
    base |= {"ref": "prj/report/myproject_csynth.xml@c0ffee", "tool_version": "2020.1", "device_part": "xc7z020-clg400-1", "clock_ns": "5.0", "success": "1"}
    return base | {"network_json": json.dumps(entries)} | columns


def function_row(entry: dict[str, Any], function: str, **columns: Any) -> dict[str, Any]:
    """A row on one synthesised function."""
    ref = f"prj/report/{function}_csynth.xml@c0ffee"
    return row(entry | {"function": function}, **({"group": "repo-layer", "level": "layer", "ref": ref} | columns))


def layers(given_row: dict[str, Any]) -> tuple[HlsLayer, ...]:
    """The layers of a row that must be readable."""
    design = read_design(given_row)
    assert design.skipped == ""
    assert design.model is not None
    return design.model.layers


def test_a_function_says_what_it_reads_and_writes_and_which_part_of_its_layer_it_is() -> None:
    (whole,) = layers(function_row(CONV, "conv_2d_cl_array_ap_ufixed_32u_array_ap_fixed_18_11_5_3_0_32u_config5_s"))
    assert (whole.kind, whole.part, whole.in_h, whole.in_c, whole.out_w, whole.out_c, whole.kernel_w) == (Kind.CONV2D, Part.WHOLE, 13, 32, 11, 32, 3)
    assert (whole.weight_bits, whole.bias_bits, whole.accumulator_bits, whole.output_bits) == (4, 4, 18, 18)
    assert whole.input_bits == 4  # the name leaves the width of the packed words out: as wide as the weights
    assert (whole.reuse_factor, whole.strategy, whole.nonzero, whole.saturates) == (72, Strategy.RESOURCE, 0.5, False)
    assert whole.weight_peak == pytest.approx((3 / 288) ** 0.5)  # 3 fraction bits of 4: full scale 1
    (product,) = layers(function_row(CONV, "compute_output_buffer_2d_array_array_ap_fixed_18_11_5_3_0_32u_config5_s"))
    (lines,) = layers(function_row(CONV, "shift_line_buffer_array_ap_ufixed_5_0_4_0_0_32u_config5_s"))
    assert (product.part, lines.part, lines.input_bits) == (Part.PRODUCT, Part.LINE_BUFFER, 5)


def test_overflow_modes_in_a_function_name_and_words_of_a_dense_layer() -> None:
    relu = {"cfg": "relu_config3", "kind": "activ_config", "n_in": 21632, "reuse_factor": 1}
    (clips,) = layers(function_row(relu, "relu_array_ap_fixed_32u_array_ap_ufixed_4_0_4_0_0_32u_relu_config3_s"))
    (wraps,) = layers(function_row(relu, "relu_array_ap_fixed_32u_array_ap_ufixed_4_0_4_3_0_32u_relu_config3_s"))
    assert (clips.saturates, wraps.saturates, clips.output_bits, clips.function) == (True, False, 4, "relu")
    assert (clips.in_w, clips.in_c) == (676, 32)
    (read,) = layers(function_row(DENSE, "dense_array_ap_ufixed_8u_array_ap_fixed_14_7_5_3_0_10u_config11_s"))
    assert (read.in_w, read.in_c, read.out_c, read.nonzero) == (4, 32, 10, 0.75)
    (unsaid,) = layers(function_row(DENSE | {"n_in": 40}, "dense_array_array_ap_fixed_14_7_5_3_0_10u_config11_s"))
    assert unsaid.in_w == 1  # 10 elements are a word of the result


@pytest.mark.parametrize(
    ("function", "cfg", "implementation", "kind", "expected"),
    [
        ("softmax_stable_ap_fixed_ap_fixed_16_6_5_3_0_softmax_config13_s", "softmax_config13", "", Kind.SOFTMAX, "stable"),
        ("softmax_ap_fixed_ap_fixed_16_6_5_3_0_softmax_config13_s", "", "nnet::softmax_implementation::argmax", Kind.SOFTMAX, "argmax"),
        ("softmax_latency_ap_fixed_ap_fixed_softmax_config6_s", "softmax_config6", "", Kind.SOFTMAX, "latency"),
        ("tanh_ap_fixed_16_6_5_3_0_ap_fixed_16_6_5_3_0_tanh_config2_s", "tanh_config2", "", Kind.TABLE_ACTIVATION, "tanh"),
        ("hard_tanh_ap_fixed_16_6_5_3_0_ap_fixed_16_6_5_3_0_hard_tanh_config2_s", "hard_tanh_config2", "", Kind.ACTIVATION, "relu"),
        ("", "LeakyReLU_config7", "", Kind.ACTIVATION, "relu"),
        ("", "linear_config7", "", Kind.ACTIVATION, "linear"),
        ("", "selu_config7", "", Kind.TABLE_ACTIVATION, "selu"),
    ],
)
def test_activations_by_name(function: str, cfg: str, implementation: str, kind: Kind, expected: str) -> None:
    entry = {"cfg": cfg, "kind": "activ_config", "n_in": 5, "implementation": implementation}
    (layer,) = layers(function_row(entry, function, io_type="io_parallel"))
    assert (layer.kind, layer.function, layer.in_c) == (kind, expected, 5)
    assert (layer.table_size > 0) == (kind is not Kind.ACTIVATION)


def test_a_project_is_a_chain_and_products_belong_to_their_convolution() -> None:
    relu = {"cfg": "relu_config6", "kind": "activ_config", "n_in": 3872}
    product = {"cfg": "config5_mult", "kind": "dense_config", "n_in": 288, "n_out": 32, "reuse_factor": 144, "strategy": "nnet::latency", "n_nonzeros": 2304}
    found = layers(row(product, CONV, relu, POOL, DENSE, act_prec="nnet::array<ap_fixed<16,6>, 1*1>"))
    assert [layer.name for layer in found] == ["config5", "relu_config6", "config7", "config11"]
    assert [layer.inputs for layer in found] == [(), ("config5",), ("relu_config6",), ("config7",)]
    convolution, activation, pool, dense = found
    assert (convolution.reuse_factor, convolution.strategy, convolution.nonzero) == (144, Strategy.LATENCY, 0.25)
    assert (convolution.input_bits, convolution.output_bits, activation.output_bits, dense.input_bits, dense.output_bits) == (16, 18, 4, 4, 14)
    assert (activation.in_w, activation.in_c, activation.saturates) == (121, 32, True)
    assert (pool.kind, pool.function, pool.in_c, pool.kernel_h, pool.stride_w, pool.out_w) == (Kind.POOL, "max", 32, 2, 2, 5)
    assert dense.in_w == 1


def test_a_recurrent_layer_takes_the_larger_reuse_factor_of_its_products() -> None:
    parts: list[dict[str, Any]] = [
        {"cfg": "config2_1", "kind": "dense_config", "n_in": 6, "n_out": 60, "reuse_factor": 9, "strategy": "nnet::resource"},
        {"cfg": "config2_2", "kind": "dense_config", "n_in": 20, "n_out": 60, "reuse_factor": 30, "strategy": "nnet::resource"},
        {"cfg": "sigmoid_config2_recr", "kind": "activ_config", "n_in": 40},
        {"cfg": "tanh_config2", "kind": "activ_config", "n_in": 20},
    ]
    gru, dense = layers(row(*parts, GRU, DENSE | {"n_in": 20}, io_type="io_parallel"))
    assert (gru.kind, gru.in_w, gru.in_c, gru.out_c, gru.reuse_factor, gru.strategy) == (Kind.GRU, 15, 6, 20, 30, Strategy.RESOURCE)
    assert dense.inputs == (gru.name,)
    (step,) = layers(function_row(GRU | {"reuse_factor": 4}, "gru_static_ap_fixed_16_6_5_3_0_ap_fixed_16_6_5_3_0_config2_s"))
    assert (step.part, step.reuse_factor) == (Part.STEP, 4)


def test_a_resize_layer_takes_its_sizes_from_its_neighbours() -> None:
    resize = {"cfg": "config13", "kind": "resize_config", "n_chan": 32}
    after = CONV | {"cfg": "config14", "in_height": 22, "in_width": 24}
    found = layers(row(CONV, resize, after, act_prec="nnet::array<ap_fixed<16,6>, 1*1>"))[1]
    assert (found.kind, found.in_h, found.in_w, found.out_h, found.out_w, found.out_c) == (Kind.RESIZE, 11, 11, 22, 24, 32)
    assert read_design(row(CONV, resize)).skipped == "resize without its sizes"


def test_how_a_row_is_built_is_read_from_its_configurations() -> None:
    latency = DENSE | {"io_type": "nnet::io_parallel", "strategy": "nnet::latency"}
    build = read_design(row(latency, io_type=None, ref="HLS/LUT_reuse2/report/myproject_csynth.xml@1")).build
    assert (build.io_type, build.strategy, build.logic_only, build.series7) == ("io_parallel", Strategy.LATENCY, True, True)
    without = {key: value for key, value in DENSE.items() if key != "strategy"} | {"io_type": "nnet::io_parallel"}
    assert read_design(row(without, io_type=None)).build.strategy is Strategy.RESOURCE
    assert read_design(row(without | {"reuse_factor": 1}, io_type=None)).build.strategy is Strategy.LATENCY
    assert read_design(row(without | {"reuse_factor": 1}, io_type="io_stream")).build.io_type == "io_stream"


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (function_row(CONV, "conv_2d_cl_me_ap_fixed_ap_fixed_16_4_5_3_0_config5_s"), "an hls4ml fork"),
        (row(CONV, act_prec="ap_fixed<16,6>"), "an hls4ml fork"),
        (row({"cfg": "config3", "kind": "film_config"}), "layer of kind film_config, which hls4ml does not have"),
        (row(DENSE | {"n_out": None}), "dense_config without its shape"),
        (row(CONV | {"n_filt": 1 << 30, "n_chan": 1 << 30}), "conv2d_config has an impossible shape"),
        (row(DENSE | {"n_in": 4096, "n_out": 4096, "reuse_factor": 1}), "reuse factor 1 of 16777216 weights cannot have been built"),
        (row(GRU | {"n_state": 128}), "recurrent layer without its reuse factors"),
        (row(CONV, io_type="io_parallel", tool_version="2018.3"), "by a tool before 2019"),
        (row(DENSE, stage="post_synth", ref="runs/design_1_wrapper_utilization_placed.rpt@1"), "whole block design"),
        (row(DENSE, stage="post_synth", ref="runs/design_1_axi_dma_0_0_utilization_synth.rpt@1"), "block around the network"),
        (row(DENSE, stage="board_measured"), "stage board_measured"),
        (row(network_json=json.dumps([DENSE])[:-9]), "network description is not JSON"),
        (row(network_json="{}"), "network description is not a list of layers"),
        (row(network_json=None), "no network description"),
    ],
)
def test_a_row_that_is_not_modelled_says_why(damaged: dict[str, Any], reason: str) -> None:
    design = read_design(damaged)
    assert design.model is None
    assert reason in design.skipped


def test_the_network_of_a_block_after_synthesis_is_read() -> None:
    design = read_design(row(DENSE, stage="post_synth", ref="runs/design_1_myproject_axi_0_0_utilization_synth.rpt@1"))
    assert design.model is not None


def read_table(tmp_path: Path, *rows: dict[str, Any]) -> list[MeasuredDesign]:
    write_columns(tmp_path / "rows.parquet", {name: [each[name] for each in rows] for name in COLUMNS})
    return read_designs(tmp_path / "rows.parquet")


def test_repositories_that_share_a_network_are_one_architecture(tmp_path: Path) -> None:
    other = DENSE | {"n_out": 9}
    found = read_table(
        tmp_path,
        row(DENSE, source="b/fork"),
        row(other, source="b/fork"),
        row(other, source="a/origin"),
        row(POOL, source="c/stranger"),
        row(source="d/silent", network_json=None),
        row(source="e/silent", network_json=None),
    )
    assert [design.architecture for design in found] == ["a/origin", "a/origin", "a/origin", "c/stranger", "d/silent", "e/silent"]


def test_a_project_whose_functions_are_of_a_fork_is_skipped(tmp_path: Path) -> None:
    function = function_row(CONV, "zeropad2d_cl_me_ap_fixed_ap_fixed_config5_s")
    elsewhere = row(CONV, act_prec="nnet::array<ap_fixed<16,6>, 1*1>", ref="prj/report/myproject_csynth.xml@another")
    found = read_table(tmp_path, function, row(CONV, act_prec="nnet::array<ap_fixed<16,6>, 1*1>"), elsewhere)
    assert ["fork" in design.skipped for design in found] == [True, True, False]


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.just(10**30), st.floats(), st.text(max_size=8), st.just("pool_height"), st.just("3"))
CELLS = st.one_of(LEAVES, st.lists(LEAVES, max_size=2), st.just({}), st.sampled_from(["ap_fixed<9999,-9999>", "ap_fixed<0,0>", "nnet::array<", "ap_uint<1>"]))
ENTRIES = (CONV, POOL, DENSE, GRU, {"kind": "activ_config", "n_in": 6}, {"kind": "resize_config"}, {"kind": "batchnorm_config", "n_in": 4, "bias_t": "float"})


@st.composite
def damaged_rows(draw: st.DrawFn) -> dict[str, Any]:
    """Rows with cells and constants replaced by anything."""
    entries: list[Any] = []
    for entry in draw(st.lists(st.sampled_from(ENTRIES), min_size=1, max_size=4)):
        keys = st.sampled_from([*entry, "function", "cfg", "strategy", "reuse_factor", "n_chan", "kind"])
        entries.append(entry | draw(st.dictionaries(keys, CELLS, max_size=3)))
    made = row(*entries, act_prec=draw(st.sampled_from([None, "nnet::array<ap_fixed<8,3>, 4*1>"])), level=draw(st.sampled_from(["layer", "network"])))
    made |= draw(st.dictionaries(st.sampled_from(sorted(COLUMNS)), CELLS, max_size=2))
    cut = draw(st.one_of(st.none(), st.integers(0, 400)))
    return made if cut is None else made | {"network_json": str(made["network_json"])[:cut]}


@given(damaged_rows())
@settings(deadline=None, max_examples=150)
def test_damaged_rows_are_models_or_reasons(damaged: dict[str, Any]) -> None:
    design = read_design(damaged)
    assert (design.model is None) == bool(design.skipped)
    if design.model is not None:
        assert all(0 <= layer.nonzero <= 1 and 0 <= layer.weight_peak <= 1 and layer.input_bits > 0 for layer in design.model)
        assert all(min(layer.in_c, layer.out_c, layer.in_w, layer.out_w, layer.kernel_w) > 0 for layer in design.model)
        if all(layer.weights < 10**6 for layer in design.model):
            assert len(HlsTable.from_models([design.model], [design.build])) >= len(design.model)
