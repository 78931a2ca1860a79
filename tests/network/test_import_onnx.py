"""Readers of ONNX and QONNX files: what each operator becomes, widths, layouts, and files that are refused."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from codesign.errors import InputError
from codesign.network.hls_model import HlsLayer, HlsModel, Kind
from codesign.network.importers.read import read_model

QONNX = "qonnx.custom_op.general"


class Graph:
    """Builds a small ONNX file."""

    def __init__(self, shape: list[int | str | None]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
        self.last = "x"

    def constant(self, value: object, kind: type = np.float32) -> str:
        name = f"k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def op(self, op: str, *inputs: str, name: str = "", domain: str = "", outputs: int = 1, **attributes: object) -> str:
        index = len(self.nodes)
        names = [f"{op}_{index}_out{position}" for position in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs or [self.last], names, name=name or f"{op}_{index}", domain=domain, **attributes))
        self.last = names[0]
        return self.last

    def quant(self, source: str, bits: float, *, scale: float = 0.125, signed: int = 1) -> str:
        arguments = (source, self.constant(scale), self.constant(0.0), self.constant(bits))
        return self.op("Quant", *arguments, domain=QONNX, signed=signed, narrow=0, rounding_mode="ROUND")

    def weights(self, *shape: int, bits: float | None = None) -> str:
        name = self.constant(np.random.default_rng(1).standard_normal(shape))
        return name if bits is None else self.quant(name, bits)

    def save(self, folder: Path) -> Path:
        output = helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "net", self.inputs, [output], self.constants)
        path = folder / "net.onnx"
        path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(QONNX, 1)]).SerializeToString())
        return path

    def read(self, folder: Path) -> HlsModel:
        return read_model(self.save(folder))


def shapes(layer: HlsLayer) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    return (layer.in_h, layer.in_w, layer.in_c), (layer.out_h, layer.out_w, layer.out_c)


def only(model: HlsModel, kind: Kind) -> HlsLayer:
    (layer,) = (layer for layer in model if layer.kind is kind)
    return layer


def test_perceptron(tmp_path: Path) -> None:
    graph = Graph(["batch", 16])
    graph.op("Gemm", "x", graph.constant(np.eye(8, 16)), graph.constant(np.zeros(8)), transB=1, name="/fc1/Gemm")
    graph.op("Relu")
    graph.op("MatMul", graph.last, graph.weights(8, 5))
    graph.op("Add", graph.last, graph.constant(np.ones(5)))
    graph.op("Softmax")
    model = graph.read(tmp_path)
    assert [layer.kind for layer in model] == [Kind.INPUT, Kind.DENSE, Kind.ACTIVATION, Kind.DENSE, Kind.SOFTMAX]
    first = model.layers[1]
    assert (first.name, first.in_c, first.out_c, first.nonzero) == ("fc1_Gemm", 16, 8, 1 / 16)
    assert {layer.output_bits for layer in model} == {16}
    assert any("default of 16 bits" in note for note in model.notes)
    assert model.layers[-1].table_size == 1024


def test_integer_network_has_exact_accumulators(tmp_path: Path) -> None:
    graph = Graph([1, 16])
    source = graph.quant("x", 8)
    graph.op("MatMul", source, graph.weights(16, 4, bits=4))
    graph.op("Relu")
    graph.quant(graph.last, 5, signed=0)
    graph.op("MatMul", graph.last, graph.weights(4, 3, bits=3))
    entry, first, relu, last = graph.read(tmp_path).layers
    assert (entry.output_bits, first.input_bits, first.weight_bits) == (8, 8, 4)
    assert first.accumulator_bits == first.output_bits == 8 + 4 + 4
    assert (relu.input_bits, relu.output_bits, last.input_bits) == (16, 5, 5)
    assert last.accumulator_bits == 5 + 3 + 2


def test_share_of_zero_weights_is_taken_after_quantisation(tmp_path: Path) -> None:
    graph = Graph([1, 4])
    weights = graph.quant(graph.constant([[0.01], [0.5], [-0.04], [1.0]]), 4)
    graph.op("MatMul", "x", weights)
    assert only(graph.read(tmp_path), Kind.DENSE).nonzero == 0.5


def test_largest_weight_over_full_scale(tmp_path: Path) -> None:
    graph = Graph([1, 2])
    graph.op("MatMul", "x", graph.quant(graph.constant([[0.5, -0.26], [0.0, 0.1]]), 4))  # levels 4 -2 0 1 of 8
    graph.op("MatMul", graph.last, graph.constant([[0.5, -4.0], [0.0, 0.1]]))  # float: hls4ml's default type ends at 32
    graph.op("MatMul", graph.last, graph.quant(graph.constant([[9.0], [-9.0]]), 4))  # clips to -8
    graph.op("MatMul", graph.last, graph.op("BipolarQuant", graph.constant([[0.1, -3.0]]), graph.constant(1.0), domain=QONNX))
    peaks = [layer.weight_peak for layer in graph.read(tmp_path) if layer.kind is Kind.DENSE]
    assert peaks == [4 / 8, 4 / 32, 1.0, 1.0]


def test_largest_weight_of_integer_weights_with_a_zero_point(tmp_path: Path) -> None:
    graph = Graph([1, 3])
    levels, scale = graph.constant([[128], [120], [192]], np.uint8), graph.constant(0.01)
    graph.op("MatMul", "x", graph.op("DequantizeLinear", levels, scale, graph.constant(128, np.uint8)))
    layer = only(graph.read(tmp_path), Kind.DENSE)
    assert (layer.weight_bits, layer.weight_peak, layer.nonzero) == (8, 64 / 128, 2 / 3)


def test_largest_weight_in_the_type_that_a_configuration_gives(tmp_path: Path) -> None:
    graph = Graph([1, 2])
    graph.op("MatMul", "x", graph.quant(graph.constant([[0.5, -0.26], [0.0, 0.1]]), 4), name="first")
    graph.op("MatMul", graph.last, graph.constant([[0.5, -4.0], [0.0, 0.1]]), name="second")
    graph.op("MatMul", graph.last, graph.constant([[0.5], [3.0]]), name="third")
    config = tmp_path / "config.json"
    names = {"first": {"Precision": {"weight": "ap_fixed<6,1>"}}, "second": {"Precision": {"weight": "ap_fixed<16,4>"}}}
    config.write_text(json.dumps({"Model": {"Precision": "ap_fixed<10,2>"}, "LayerName": names}))
    layers = read_model(graph.save(tmp_path), config).layers[1:]
    assert [(layer.weight_bits, layer.weight_peak) for layer in layers] == [(6, 0.5 / 1), (16, 4 / 8), (10, 1.0)]  # 3.0 is beyond full scale 2


def test_folded_batch_norm_scales_weights_by_what_nobody_knows(tmp_path: Path) -> None:
    graph = Graph([1, 4, 8])
    graph.op("Conv", "x", graph.weights(5, 4, 3))
    graph.op("BatchNormalization", graph.last, *(graph.constant(np.ones(5)) for _ in range(4)))
    assert only(graph.read(tmp_path), Kind.CONV1D).weight_peak == 0.0


def test_quantised_results_saturate(tmp_path: Path) -> None:
    graph = Graph([1, 4])
    first = graph.op("MatMul", "x", graph.weights(4, 4, bits=4), name="first")
    graph.op("Relu", first, name="relu")
    graph.quant(graph.last, 6)
    graph.op("MatMul", graph.last, graph.weights(4, 4, bits=4), name="last")
    path = graph.save(tmp_path)
    assert [(layer.name, layer.saturates) for layer in read_model(path)] == [("x", False), ("first", False), ("relu", True), ("last", False)]
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"LayerName": {"relu": {"Precision": "ap_ufixed<5,1>"}, "last": {"Precision": {"result": "ap_fixed<7,3,AP_RND,AP_SAT>"}}}}))
    changed = {layer.name: layer for layer in read_model(path, config)}
    assert (changed["relu"].saturates, changed["last"].saturates, changed["last"].output_bits) == (False, True, 7)


def test_quantiser_of_a_shared_result_is_a_layer(tmp_path: Path) -> None:
    graph = Graph([1, 4])
    first = graph.op("MatMul", "x", graph.weights(4, 4))
    quantised = graph.quant(first, 6)
    graph.op("Add", first, quantised)
    model = graph.read(tmp_path)
    assert only(model, Kind.ACTIVATION).function == "quantiser"
    assert (only(model, Kind.ACTIVATION).output_bits, only(model, Kind.ACTIVATION).saturates, only(model, Kind.DENSE).saturates) == (6, True, False)
    assert only(model, Kind.DENSE).output_bits == 16


def test_bipolar_and_fractional_widths(tmp_path: Path) -> None:
    graph = Graph([1, 4])
    graph.quant("x", 3.5)
    source = graph.last
    weights = graph.op("BipolarQuant", graph.weights(4, 2), graph.constant(1.0), domain=QONNX)
    graph.op("MatMul", source, weights)
    layer = only(graph.read(tmp_path), Kind.DENSE)
    assert (layer.input_bits, layer.weight_bits, layer.accumulator_bits) == (4, 1, 7)


def test_qcdq_files(tmp_path: Path) -> None:
    graph = Graph([1, 4])
    scale, zero = graph.constant(0.25), graph.constant(0, np.int8)
    graph.op("QuantizeLinear", "x", scale, zero)
    graph.op("Clip", graph.last, graph.constant(-8, np.int8), graph.constant(7, np.int8))
    source = graph.op("DequantizeLinear", graph.last, scale, zero)
    narrow = graph.op("Clip", graph.constant(np.ones((4, 2)), np.int8), graph.constant(-3, np.int8), graph.constant(3, np.int8))
    weights = graph.op("DequantizeLinear", narrow, scale, zero)
    bias = graph.op("DequantizeLinear", graph.constant(np.ones(2), np.int32), scale, graph.constant(0, np.int32))
    graph.op("Gemm", source, weights, bias)
    layer = only(graph.read(tmp_path), Kind.DENSE)
    assert (layer.input_bits, layer.weight_bits, layer.bias_bits, layer.accumulator_bits) == (4, 3, 32, 4 + 3 + 2)
    assert layer.weight_peak == 1 / 4


def test_scale_that_is_no_power_of_two_is_noted(tmp_path: Path) -> None:
    graph = Graph([1, 4])
    graph.quant("x", 8, scale=0.3)
    graph.op("Relu")
    assert any("no power of two" in note for note in graph.read(tmp_path).notes)


def test_quantised_network_as_hls4ml_converts_it(tmp_path: Path) -> None:
    """Shapes and widths that hls4ml 1.3.0 (after qonnx 1.0.0 made the file channels-last, automatic precision) gives this network.

    hls4ml keeps zero padding and the input's quantiser as layers of their own, and widens accumulators further for its 16-bit biases.
    """
    graph = Graph([1, 2, 8, 8])
    source = graph.quant("x", 8)
    graph.op("Conv", source, graph.weights(8, 2, 3, 3, bits=4), pads=[1, 1, 1, 1])
    source = graph.quant(graph.op("Relu"), 5, signed=0)
    graph.op("Conv", source, graph.weights(8, 1, 3, 3, bits=3), group=8)
    source = graph.quant(graph.op("Relu"), 6, signed=0)
    source = graph.op("Flatten", graph.op("MaxPool", source, kernel_shape=[2, 2], strides=[2, 2]))
    graph.op("MatMul", source, graph.weights(72, 10, bits=6))
    model = graph.read(tmp_path)
    assert [(layer.kind.name, layer.out_h, layer.out_w, layer.out_c, layer.weight_bits) for layer in model] == [
        ("INPUT", 8, 8, 2, 0),
        ("CONV2D", 8, 8, 8, 4),
        ("ACTIVATION", 8, 8, 8, 0),
        ("DEPTHWISE_CONV2D", 6, 6, 8, 3),
        ("ACTIVATION", 6, 6, 8, 0),
        ("POOL", 3, 3, 8, 0),
        ("RESHAPE", 1, 1, 72, 0),
        ("DENSE", 1, 1, 10, 6),
    ]
    assert [layer.output_bits for layer in model if not layer.weights] == [8, 5, 6, 6, 6]


@pytest.mark.parametrize("form", ["export_qonnx", "export_onnx_qcdq"])
@pytest.mark.filterwarnings("ignore")
def test_files_that_brevitas_exports(tmp_path: Path, form: str) -> None:
    pytest.importorskip("onnxoptimizer", reason="Brevitas exports with it")
    from brevitas import export, nn

    torch.manual_seed(0)
    network = torch.nn.Sequential(
        nn.QuantIdentity(bit_width=8),
        nn.QuantConv2d(1, 4, 3, padding=1, weight_bit_width=4, bias=False),
        nn.QuantReLU(bit_width=5),
        nn.QuantConv2d(4, 4, 3, groups=4, weight_bit_width=3, bias=False),
        nn.QuantReLU(bit_width=6),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        nn.QuantLinear(16, 3, weight_bit_width=6, bias=True),
    ).eval()
    path = tmp_path / "brevitas.onnx"
    getattr(export, form)(network, args=torch.randn(1, 1, 6, 6), export_path=str(path), dynamo=False)
    model = read_model(path)
    assert [(layer.kind.name, layer.weight_bits, layer.input_bits) for layer in model if layer.weights] == [
        ("CONV2D", 4, 8),
        ("DEPTHWISE_CONV2D", 3, 5),
        ("DENSE", 6, 6),
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cell", [torch.nn.LSTM, torch.nn.GRU])
def test_recurrent_network_that_torch_exports(tmp_path: Path, cell: type[torch.nn.Module]) -> None:
    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell(6, 8, batch_first=True)
            self.head = torch.nn.Linear(8, 3)

        def forward(self, series: torch.Tensor) -> torch.Tensor:
            return self.head(self.cell(series)[0][:, -1])

    path = tmp_path / "torch.onnx"
    torch.onnx.export(Network().eval(), (torch.randn(1, 10, 6),), str(path), dynamo=False)
    _, layer, select, head = read_model(path).layers
    assert shapes(layer) == ((1, 10, 6), (1, 10, 8))
    assert (select.kind, shapes(select)[1], head.in_c) == (Kind.RESHAPE, (1, 1, 8), 8)


@pytest.mark.parametrize(("stride", "pads"), [(1, [0, 0, 0, 0]), (2, [1, 0, 2, 1]), (3, [2, 2, 2, 2])])
def test_convolution_shapes_agree_with_onnx_shape_inference(tmp_path: Path, stride: int, pads: list[int]) -> None:
    graph = Graph([1, 3, 13, 10])
    graph.op("Conv", "x", graph.weights(6, 3, 3, 2), strides=[stride, stride], pads=pads)
    graph.op("MaxPool", kernel_shape=[2, 2], strides=[2, 1], ceil_mode=1)
    path = graph.save(tmp_path)
    inferred = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    sizes = [tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in (*inferred.value_info, *inferred.output)]
    layers = read_model(path).layers[1:]
    assert [(1, layer.out_c, layer.out_h, layer.out_w) for layer in layers] == sizes
    assert (layers[0].pad_top, layers[0].pad_left, layers[0].pad_bottom, layers[0].pad_right) == tuple(pads)


def test_convolutions_of_one_dimension_and_groups(tmp_path: Path) -> None:
    graph = Graph([1, 4, 20])
    graph.op("Conv", "x", graph.weights(8, 1, 3), group=4, pads=[1, 1], name="deep")
    graph.op("Conv", graph.last, graph.weights(6, 4, 1), group=2, name="grouped")
    graph.op("GlobalAveragePool")
    graph.op("Flatten")
    model = graph.read(tmp_path)
    _, deep, grouped, pool = model.layers
    assert deep.kind is Kind.DEPTHWISE_CONV1D
    assert (deep.fan_in, deep.weights) == (3, 24)
    assert grouped.kind is Kind.CONV1D
    assert grouped.nonzero == 0.5
    assert any("Grouped convolution grouped" in note for note in model.notes)
    assert shapes(pool) == ((1, 20, 6), (1, 1, 6))


def test_same_padding_puts_the_odd_zero_where_the_file_says(tmp_path: Path) -> None:
    graph = Graph([1, 1, 7, 8])
    weights = graph.weights(1, 1, 2, 3)
    graph.op("Conv", "x", weights, auto_pad="SAME_LOWER", strides=[1, 2])
    layer = only(graph.read(tmp_path), Kind.CONV2D)
    assert (layer.pad_top, layer.pad_bottom, layer.pad_left, layer.pad_right) == (1, 0, 1, 0)
    assert (layer.out_h, layer.out_w) == (7, 4)


def test_keras_export_with_channels_last_input(tmp_path: Path) -> None:
    graph = Graph([None, 12, 10, 3])
    graph.op("Transpose", perm=[0, 3, 1, 2])
    graph.op("Conv", graph.last, graph.weights(4, 3, 3, 3))
    graph.op("Transpose", perm=[0, 2, 3, 1])
    graph.op("Reshape", graph.last, graph.constant([-1, 320], np.int64))
    graph.op("MatMul", graph.last, graph.weights(320, 2))
    entry, convolution, flat, dense = graph.read(tmp_path).layers
    assert shapes(entry)[1] == (12, 10, 3)
    assert shapes(convolution)[1] == (10, 8, 4)
    assert (flat.kind, dense.in_c) == (Kind.RESHAPE, 320)


def test_flatten_by_shape_arithmetic(tmp_path: Path) -> None:
    graph = Graph(["n", 2, 3, 4])
    pooled = graph.op("MaxPool", kernel_shape=[1, 1])
    size = graph.op("Gather", graph.op("Shape", pooled), graph.constant(0, np.int64), axis=0)
    whole = graph.op("Unsqueeze", size, graph.constant([0], np.int64))
    target = graph.op("Concat", whole, graph.constant([-1], np.int64), axis=0)
    graph.op("Reshape", pooled, target)
    assert shapes(graph.read(tmp_path).layers[-1])[1] == (1, 1, 24)


def test_residual_concatenate_resize_and_pad(tmp_path: Path) -> None:
    graph = Graph([1, 2, 4, 4])
    first = graph.op("Relu", "x")
    second = graph.op("Sigmoid", first)
    added = graph.op("Add", first, second)
    graph.op("Concat", added, second, axis=1)
    graph.op("Resize", graph.last, "", graph.constant([1, 1, 2, 2]))
    graph.op("Pad", graph.last, graph.constant([0, 0, 1, 0, 0, 0, 0, 3], np.int64))
    layers = {layer.kind: layer for layer in graph.read(tmp_path)}
    assert layers[Kind.MERGE].inputs == ("Relu_0", "Sigmoid_1")
    assert shapes(layers[Kind.CONCATENATE])[1] == (4, 4, 4)
    assert shapes(layers[Kind.RESIZE])[1] == (8, 8, 4)
    assert shapes(layers[Kind.PADDING])[1] == (9, 11, 4)


def test_squeeze_and_excite_repeats_the_gate(tmp_path: Path) -> None:
    graph = Graph([1, 4, 6, 6])
    source = graph.op("Relu", "x")
    gate = graph.op("Sigmoid", graph.op("GlobalAveragePool", source))
    graph.op("Mul", source, gate)
    model = graph.read(tmp_path)
    assert only(model, Kind.RESHAPE).function == "repeat"
    assert shapes(only(model, Kind.MERGE)) == ((6, 6, 4), (6, 6, 4))


def test_scale_and_offset_are_one_batch_norm(tmp_path: Path) -> None:
    graph = Graph([1, 4])
    graph.op("Relu")
    graph.op("Mul", graph.last, graph.constant([1.0, 2, 3, 4]))
    graph.op("Add", graph.last, graph.constant([1.0, 2, 3, 4]))
    graph.op("Div", graph.last, graph.constant(1.0))
    assert [layer.kind for layer in graph.read(tmp_path)] == [Kind.INPUT, Kind.ACTIVATION, Kind.BATCH_NORM]


def test_batch_norm_is_folded_into_float_layers_only(tmp_path: Path) -> None:
    for bits, kinds in ((None, [Kind.INPUT, Kind.CONV1D]), (4, [Kind.INPUT, Kind.CONV1D, Kind.BATCH_NORM])):
        graph = Graph([1, 2, 8])
        graph.op("Conv", "x", graph.weights(3, 2, 3, bits=bits))
        graph.op("BatchNormalization", graph.last, *(graph.constant(np.ones(3)) for _ in range(4)))
        assert [layer.kind for layer in graph.read(tmp_path)] == kinds


@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3)])
@pytest.mark.parametrize("sequences", [True, False])
def test_recurrent_layers(tmp_path: Path, op: str, gates: int, sequences: bool) -> None:
    graph = Graph([1, 10, 6])
    graph.op("Transpose", perm=[1, 0, 2])
    graph.op(op, graph.last, graph.weights(1, gates * 5, 6), graph.weights(1, gates * 5, 5), hidden_size=5, outputs=2)
    if not sequences:
        graph.last = graph.last.replace("out0", "out1")
    graph.op("Squeeze", graph.last, graph.constant([1 if sequences else 0], np.int64))
    if sequences:
        graph.op("Transpose", perm=[1, 0, 2])
    graph.op("MatMul", graph.last, graph.weights(5, 2))
    _, layer, dense = graph.read(tmp_path).layers
    steps = 10 if sequences else 1
    assert layer.kind is Kind[op]
    assert shapes(layer) == ((1, 10, 6), (1, steps, 5))
    assert layer.weights == gates * 5 * 11
    assert shapes(dense) == ((1, steps, 5), (1, steps, 2))


def test_twenty_layers_take_little_time(tmp_path: Path) -> None:
    graph = Graph([1, 16, 32, 32])
    for _ in range(20):
        graph.op("Conv", graph.last, graph.weights(16, 16, 3, 3, bits=8), pads=[1, 1, 1, 1])
        graph.op("Relu")
    path = graph.save(tmp_path)
    read_model(path)
    start = time.process_time()
    assert len(read_model(path)) == 41
    assert time.process_time() - start < 0.3


def unknown_operator(graph: Graph) -> None:
    graph.op("Einsum", "x", equation="ab->ba", name="strange")


def subgraph(graph: Graph) -> None:
    body = helper.make_graph([], "body", [], [])
    graph.op("If", "x", then_branch=body, else_branch=body, name="branch")


def dilation(graph: Graph) -> None:
    graph.op("Conv", "x", graph.weights(1, 3, 2), dilations=[2])


def too_small(graph: Graph) -> None:
    graph.op("Conv", "x", graph.weights(1, 3, 9))


def wrong_channels(graph: Graph) -> None:
    graph.op("Conv", "x", graph.weights(1, 2, 3))


def undefined(graph: Graph) -> None:
    graph.op("Relu", "nowhere")


def circle(graph: Graph) -> None:
    graph.op("Add", "x", "Relu_1_out0")
    graph.op("Relu")


def two_signals(graph: Graph) -> None:
    graph.op("MatMul", "x", "x")


def foreign(graph: Graph) -> None:
    graph.op("Relu", "x", domain="com.microsoft")


def dynamic_width(graph: Graph) -> None:
    source = graph.op("Relu", "x")
    graph.op("Quant", source, graph.constant(1.0), graph.constant(0.0), source, domain=QONNX)


def huge_constant(graph: Graph) -> None:
    filled = graph.op("ConstantOfShape", graph.constant([2**40], np.int64))
    graph.op("Add", "x", filled)


def wrong_width(graph: Graph) -> None:
    graph.quant("x", 1e9)


def bidirectional(graph: Graph) -> None:
    graph.op("LSTM", "x", graph.weights(2, 8, 8), graph.weights(2, 8, 2), direction="bidirectional")


def nothing(graph: Graph) -> None:
    graph.op("Relu", graph.constant(1.0))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (unknown_operator, r"node strange \(Einsum\): the operator is not supported. Supported: Add"),
        (subgraph, r"node branch \(If\): holds a subgraph"),
        (dilation, r"\(Conv\): has dilations"),
        (too_small, r"the output shape .* is empty"),
        (wrong_channels, r"reads 3 channels where the weights have 2"),
        (undefined, r"reads 'nowhere', which no node before it computes"),
        (circle, r"check for cycles"),
        (two_signals, r"input 1 is computed by the network"),
        (foreign, r"belongs to the operator set 'com.microsoft'"),
        (dynamic_width, r"the bit width is not one constant number"),
        (huge_constant, r"makes a tensor of shape"),
        (wrong_width, r"the bit width 1e\+09 is outside 1 to 1024"),
        (bidirectional, r"runs backward"),
        (nothing, r"not known as an operation on constants"),
    ],
)
def test_what_cannot_be_built_is_refused_with_its_place(tmp_path: Path, build: object, message: str) -> None:
    graph = Graph([1, 3, 8])
    build(graph)  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        graph.read(tmp_path)


def test_dynamic_axis_besides_the_batch(tmp_path: Path) -> None:
    graph = Graph([1, 3, "time"])
    graph.op("Conv", "x", graph.weights(1, 3, 2))
    with pytest.raises(InputError, match="input x: an axis besides the batch has no fixed size. Export"):
        graph.read(tmp_path)


def test_damaged_files(tmp_path: Path) -> None:
    graph = Graph([1, 16])
    graph.op("MatMul", "x", graph.weights(16, 16))
    path = graph.save(tmp_path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"\xff" * 50, b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match="net.onnx"):
            read_model(path)


def test_initialiser_with_too_little_data(tmp_path: Path) -> None:
    graph = Graph([1, 16])
    graph.op("MatMul", "x", graph.weights(16, 16))
    graph.constants[0].dims[0] = 17
    with pytest.raises(InputError, match="initialiser k0: is damaged"):
        graph.read(tmp_path)


def test_external_data_is_refused(tmp_path: Path) -> None:
    graph = Graph([1, 16])
    graph.op("MatMul", "x", graph.weights(16, 16))
    onnx.external_data_helper.set_external_data(graph.constants[0], location="/etc/passwd")
    with pytest.raises(InputError, match="keeps its data in another file"):
        graph.read(tmp_path)


def network() -> Graph:
    graph = Graph([1, 3, 8])
    graph.quant("x", 8)
    graph.op("Conv", graph.last, graph.weights(4, 3, 3, bits=4), pads=[1, 1])
    graph.op("MaxPool", kernel_shape=[2], strides=[2])
    graph.op("Reshape", graph.last, graph.constant([1, -1], np.int64))
    graph.op("Gemm", graph.last, graph.weights(16, 2))
    return graph


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_any_changed_byte_gives_a_model_or_one_clear_error(tmp_path: Path, position: int, byte: int) -> None:
    path = network().save(tmp_path)
    content = bytearray(path.read_bytes())
    content[position % len(content)] = byte
    path.write_bytes(bytes(content))
    try:
        model = read_model(path)
    except InputError as error:
        assert "net.onnx" in str(error)
    else:
        assert model.layers
