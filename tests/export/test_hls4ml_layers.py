"""The list of hls4ml layers: types, order of weights, padding, checks. No hls4ml needed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.accelerator.hls_plan import HlsPlan
from codesign.errors import InputError
from codesign.export.hls4ml_layers import ProjectLayer, far_padding, hls_layers, plain_type, result_type, sum_range, weight_attributes
from codesign.network.deployed import DeployedNetwork, LayerIntegers, TensorFormat
from codesign.network.layers import LayerGraph, Op
from codesign.network.table_builder import TableBuilder, TaskShape
from codesign.verify.random_network import random_deployed

Plans = Callable[..., HlsPlan]


def by_name(layers: tuple[ProjectLayer, ...]) -> dict[str, ProjectLayer]:
    return {layer.name: layer for layer in layers}


def test_the_list_is_made_without_hls4ml() -> None:
    code = "import sys, codesign.export.hls4ml_layers; sys.exit(any(name.split('.')[0] in ('hls4ml', 'torch', 'brevitas') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("tensor", "relu", "expected"),
    [
        (TensorFormat(8, True, 3), False, "fixed<8,5,RND_CONV,SAT>"),
        (TensorFormat(4, False, 6), True, "ufixed<4,-2,RND_CONV,SAT>"),
        (TensorFormat(4, False, -2), False, "ufixed<4,6,RND_CONV,SAT>"),
        # ReLU into a signed format leaves the sign bit unused.
        (TensorFormat(8, True, 3), True, "ufixed<7,4,RND_CONV,SAT>"),
    ],
)
def test_result_types_round_saturate_and_clip(tensor: TensorFormat, relu: bool, expected: str) -> None:
    assert result_type(tensor, relu=relu) == expected


def test_plain_types_hold_a_format_as_it_is() -> None:
    assert plain_type(TensorFormat(16, True, 20)) == "fixed<16,-4>"
    assert plain_type(TensorFormat(5, False, 0)) == "ufixed<5,5>"


@given(size=st.integers(1, 60), kernel=st.integers(1, 9), stride=st.integers(1, 4), pad=st.integers(0, 4))
def test_far_padding_is_what_the_last_window_reads(size: int, kernel: int, stride: int, pad: int) -> None:
    out = (size + 2 * pad - kernel) // stride + 1
    if out < 1:
        return
    read = max(position * stride + tap - pad for position, tap in product(range(out), range(kernel)))
    assert far_padding(size, out, kernel, stride, pad) == max(read - (size - 1), 0)
    assert far_padding(size, out, kernel, stride, pad) <= pad


def test_weights_are_dyadic_values_in_channels_last_order(draw_network: Callable[[str, int], DeployedNetwork]) -> None:
    network = draw_network("dscnn", 1)
    stem, depthwise = network.graph["stem"], network.graph["block1_depthwise"]
    own = network.integers["stem"]
    assert own.weight is not None
    data = weight_attributes(stem, own, 9)["weight_data"]
    assert isinstance(data, np.ndarray)
    assert data.shape == (stem.kernel_h, stem.kernel_w, 1, stem.out_c)
    assert data[2, 1, 0, 3] == own.weight[3, 0, 2, 1] * 2.0**-own.weight_fraction
    own = network.integers["block1_depthwise"]
    assert own.weight is not None and own.bias is not None
    attributes = weight_attributes(depthwise, own, 9)
    data, bias = attributes["depthwise_data"], attributes["bias_data"]
    assert isinstance(data, np.ndarray) and isinstance(bias, np.ndarray)
    assert data[1, 2, 5, 0] == own.weight[5, 0, 1, 2] * 2.0**-own.weight_fraction
    assert bias[4] == own.bias[4] / 512


def test_stream_padding_is_a_layer_of_its_own_on_its_own_branch(residual_network: DeployedNetwork, plan_of: Plans) -> None:
    layers = by_name(hls_layers(residual_network, plan_of(residual_network)))
    assert layers["branch"].inputs == ("branch_padded",)
    assert layers["branch_padded"].inputs == ("stem",)
    assert layers["shortcut"].inputs == ("stem",)
    # 8 columns, kernel 5, stride 2, two zeros on either side: the last window ends one zero beyond the map.
    assert layers["branch_padded"].attributes["pad_right"] == 1
    assert layers["branch"].attributes["in_width"] == 11
    assert layers["branch_padded"].precision["result"] == layers["stem"].precision["result"]


def test_parallel_convolutions_pad_themselves(residual_network: DeployedNetwork, plan_of: Plans) -> None:
    layers = by_name(hls_layers(residual_network, plan_of(residual_network, "io_parallel")))
    assert "branch_padded" not in layers
    assert (layers["branch"].attributes["pad_left"], layers["branch"].attributes["pad_right"], layers["branch"].attributes["in_width"]) == (2, 1, 8)


def test_the_last_layer_keeps_its_accumulator(residual_network: DeployedNetwork, plan_of: Plans) -> None:
    head = by_name(hls_layers(residual_network, plan_of(residual_network)))["head"]
    assert head.precision["result"] == head.precision["accum"]
    assert "SAT" not in head.precision["result"]


def test_depthwise_layers_take_latency_where_resource_does_not_exist(draw_network: Callable[[str, int], DeployedNetwork], plan_of: Plans) -> None:
    network = draw_network("dscnn", 1)
    streamed = by_name(hls_layers(network, plan_of(network, "io_stream", "resource")))
    parallel = by_name(hls_layers(network, plan_of(network, "io_parallel", "resource")))
    assert {layer.strategy for layer in streamed.values() if layer.reuse} == {"resource"}
    assert parallel["block1_depthwise"].strategy == "latency"
    assert parallel["block1_pointwise"].strategy == "resource"


def test_a_dense_network_reads_its_map_row_by_row(draw_network: Callable[[str, int], DeployedNetwork], plan_of: Plans) -> None:
    network = draw_network("mlp", 0)
    layers = hls_layers(network, plan_of(network))
    assert layers[0].attributes["input_shape"] == [8, 8]
    assert layers[1].class_name == "Reshape"


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_sum_range_is_that_of_the_worst_inputs(seed: int, signed: bool) -> None:
    rng = np.random.default_rng(seed)
    weight, bias = rng.integers(-8, 8, (2, 3)).astype(np.int8), rng.integers(-20, 20, 2).astype(np.int32)
    tensor = TensorFormat(2, signed, 0)
    inputs = np.array(list(product(range(tensor.minimum, tensor.maximum + 1), repeat=3)))
    sums = inputs @ weight.T.astype(np.int64) + bias
    assert sum_range(weight, bias, tensor) == (sums.min(), sums.max())


def test_an_accumulator_that_could_overflow_is_refused(residual_network: DeployedNetwork, plan_of: Plans) -> None:
    rows = residual_network.graph.as_rows()
    for row in rows:
        if row["name"] == "branch":
            row["accumulator_bits"] = 8
    narrow = DeployedNetwork(LayerGraph.from_rows(rows), residual_network.integers, residual_network.zero_point)
    with pytest.raises(InputError, match=r"layer branch: sums reach -?\d+ .. \d+, more than its 8-bit accumulator holds"):
        hls_layers(narrow, plan_of(narrow))


def test_a_bias_that_does_not_fit_is_refused(residual_network: DeployedNetwork, plan_of: Plans) -> None:
    own = residual_network.integers["stem"]
    assert own.bias is not None
    bias = own.bias.copy()
    bias[1] = 1 << 15
    integers = {**residual_network.integers, "stem": LayerIntegers(own.output, own.weight, own.weight_fraction, bias)}
    with pytest.raises(InputError, match="layer stem: has biases outside 16 bits"):
        hls_layers(replace(residual_network, integers=integers), plan_of(residual_network))


def test_a_layer_without_reuse_factor_is_refused(residual_network: DeployedNetwork) -> None:
    with pytest.raises(InputError, match="layer stem: has no reuse factor"):
        hls_layers(residual_network, HlsPlan("io_stream", "latency", 100.0, {}))


def mixed_graph() -> LayerGraph:
    builder = TableBuilder(1, TaskShape((1, 6, 2), 4, 4, True))
    x = builder.convolution("first", builder.input((1, 6, 2)), Op.CONV1D, channels=3, kernel=(1, 3), weight_bits=4, output_bits=4, relu=True)
    builder.convolution("second", x, Op.CONV2D, channels=3, kernel=(1, 3), weight_bits=4, output_bits=4, relu=True)
    return builder.build().graph(0)


def test_series_and_maps_do_not_mix(plan_of: Plans) -> None:
    network = random_deployed(mixed_graph(), np.random.default_rng(0))
    with pytest.raises(InputError, match="mixes one- and two-dimensional convolutions"):
        hls_layers(network, plan_of(network))


def test_series_have_one_row(plan_of: Plans) -> None:
    builder = TableBuilder(1, TaskShape((2, 6, 2), 4, 4, True))
    builder.convolution("first", builder.input((2, 6, 2)), Op.CONV1D, channels=3, kernel=(1, 3), weight_bits=4, output_bits=4, relu=True)
    network = random_deployed(builder.build().graph(0), np.random.default_rng(0))
    with pytest.raises(InputError, match="one-dimensional convolution over a map of several rows"):
        hls_layers(network, plan_of(network))


def test_a_flat_kernel_with_a_vertical_stride_is_refused_in_streams(plan_of: Plans) -> None:
    builder = TableBuilder(1, TaskShape((6, 6), 4, 4, True))
    builder.convolution("flat", builder.input((6, 6, 1)), Op.CONV2D, channels=3, kernel=(1, 3), stride=(2, 1), weight_bits=4, output_bits=4, relu=True)
    network = random_deployed(builder.build().graph(0), np.random.default_rng(0))
    assert hls_layers(network, plan_of(network, "io_parallel"))
    with pytest.raises(InputError, match="layer flat: a kernel of height 1 ignores its vertical stride in io_stream"):
        hls_layers(network, plan_of(network))


def test_a_parallel_resource_convolution_has_a_largest_reuse_factor(residual_network: DeployedNetwork, plan_of: Plans) -> None:
    reuse = {**plan_of(residual_network).reuse, "shortcut": 12}
    assert hls_layers(residual_network, HlsPlan("io_stream", "resource", 100.0, reuse))
    assert hls_layers(residual_network, HlsPlan("io_parallel", "latency", 100.0, reuse))
    with pytest.raises(InputError, match="layer shortcut: reuse factor 12 is above its 4 products per output"):
        hls_layers(residual_network, HlsPlan("io_parallel", "resource", 100.0, reuse))
