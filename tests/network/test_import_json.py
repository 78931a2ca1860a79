"""Readers of Keras architectures, hls4ml layer lists and hls4ml configurations saved as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codesign.errors import InputError
from codesign.network.hls_model import HlsModel, Kind, Strategy
from codesign.network.importers.draft import AUTO
from codesign.network.importers.hls4ml_config import apply_config
from codesign.network.importers.json_file import MAX_BYTES
from codesign.network.importers.operators import same_padding, windows
from codesign.network.importers.precision import HlsType, quantiser_bits, read_type
from codesign.network.importers.read import read_model

Json = dict[str, Any]


def layer(class_name: str, name: str = "", **config: object) -> Json:
    return {"class_name": class_name, "config": {"name": name or class_name.lower(), **config}}


def sequential(*layers: Json, name: str = "net") -> Json:
    return {"class_name": "Sequential", "config": {"name": name, "layers": list(layers)}}


def entry(*shape: int) -> Json:
    return layer("InputLayer", "x", batch_input_shape=[None, *shape], dtype="float32")


def save(folder: Path, value: object, name: str = "net.json") -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def read(folder: Path, value: object) -> HlsModel:
    return read_model(save(folder, value))


PERCEPTRON = sequential(
    entry(16), layer("Dense", "fc1", units=64, activation="relu"), layer("Dropout", rate=0.1), layer("Dense", "fc2", units=5, activation="softmax")
)
CNN = sequential(
    entry(28, 20, 1),
    layer("Conv2D", "c1", filters=4, kernel_size=[3, 3], strides=[2, 2], padding="same", activation="linear"),
    layer("BatchNormalization", "b1"),
    layer("SeparableConv2D", "s1", filters=6, kernel_size=[3, 2], strides=[1, 1], padding="valid", depth_multiplier=2, activation="relu"),
    layer("MaxPooling2D", "p1", pool_size=[2, 2], strides=[2, 2], padding="valid"),
    layer("Flatten"),
    layer("Dense", "d1", units=3, activation="sigmoid"),
)


def test_perceptron(tmp_path: Path) -> None:
    model = read(tmp_path, PERCEPTRON)
    assert model.name == "net"
    assert [(part.name, part.kind, part.out_c) for part in model] == [
        ("x", Kind.INPUT, 16),
        ("fc1", Kind.DENSE, 64),
        ("fc1_relu", Kind.ACTIVATION, 64),
        ("fc2", Kind.DENSE, 5),
        ("fc2_softmax", Kind.SOFTMAX, 5),
    ]
    assert model.layers[3].inputs == ("fc1_relu",)


def test_convolutions(tmp_path: Path) -> None:
    model = read(tmp_path, CNN)
    shapes = {part.name: (part.kind, part.out_h, part.out_w, part.out_c) for part in model}
    assert shapes["c1"] == (Kind.CONV2D, 14, 10, 4)
    assert shapes["s1_depthwise"] == (Kind.DEPTHWISE_CONV2D, 12, 9, 8)
    assert shapes["s1_pointwise"] == (Kind.CONV2D, 12, 9, 6)
    assert shapes["p1"] == (Kind.POOL, 6, 4, 6)
    assert shapes["flatten"] == (Kind.RESHAPE, 1, 1, 144)
    assert "b1" not in shapes
    assert any("folded" in note for note in model.notes)
    first = model.layers[1]
    assert (first.pad_top, first.pad_bottom, first.pad_left, first.pad_right) == (0, 1, 0, 1)


def test_first_layer_with_a_shape_and_old_layer_list(tmp_path: Path) -> None:
    old = {"class_name": "Sequential", "config": [layer("Dense", "d", units=2, batch_input_shape=[None, 7])]}
    assert [(part.name, part.out_c) for part in read(tmp_path, old)] == [("input1", 7), ("d", 2)]


def functional(inbound: Any) -> Json:
    parts = [
        entry(10, 4) | {"name": "x", "inbound_nodes": []},
        layer("Add", "sum", activation="linear") | {"name": "sum", "inbound_nodes": inbound("a", "b")},
        layer("Conv1D", "a", filters=4, kernel_size=[3], strides=[1], padding="same") | {"name": "a", "inbound_nodes": inbound("x")},
        layer("Activation", "b", activation="tanh") | {"name": "b", "inbound_nodes": inbound("x")},
        layer("Concatenate", "cat", axis=-1) | {"name": "cat", "inbound_nodes": inbound("sum", "x")},
    ]
    return {"class_name": "Functional", "config": {"name": "f", "layers": parts}}


def keras2(*names: str) -> list[object]:
    return [[[name, 0, 0, {}] for name in names]]


def keras3(*names: str) -> list[object]:
    tensors = [{"class_name": "__keras_tensor__", "config": {"shape": [None, 10, 4], "keras_history": [name, 0, 0]}} for name in names]
    return [{"args": tensors if len(tensors) == 1 else [tensors], "kwargs": {}}]


@pytest.mark.parametrize("inbound", [keras2, keras3])
def test_functional_models_of_both_versions_in_any_order(tmp_path: Path, inbound: Any) -> None:
    model = read(tmp_path, functional(inbound))
    parts = {part.name: part for part in model}
    assert parts["sum"].inputs == ("a", "b")
    assert parts["cat"].inputs == ("sum", "x")
    assert (parts["cat"].kind, parts["cat"].out_w, parts["cat"].out_c) == (Kind.CONCATENATE, 10, 8)
    assert parts["b"].kind is Kind.TABLE_ACTIVATION


def test_qkeras_widths(tmp_path: Path) -> None:
    quantiser = {"class_name": "quantized_bits", "config": {"bits": 6, "integer": 1}}
    model = read(
        tmp_path,
        sequential(
            entry(16),
            layer("QActivation", "q0", activation="quantized_bits(8, 2)"),
            layer("QDense", "d1", units=8, kernel_quantizer=quantiser, bias_quantizer="quantized_bits(bits=5,integer=0)", activation="linear"),
            layer("QActivation", "q1", activation={"class_name": "quantized_relu", "config": {"bits": 4, "integer": 0}}),
            layer("QDense", "d2", units=2, kernel_quantizer="ternary()", bias_quantizer=None),
        ),
    )
    parts = {part.name: part for part in model}
    assert (parts["d1"].input_bits, parts["d1"].weight_bits, parts["d1"].bias_bits) == (8, 6, 5)
    assert parts["d1"].accumulator_bits == 8 + 6 + 4
    assert (parts["q1"].function, parts["q1"].output_bits) == ("relu", 4)
    assert (parts["d2"].weight_bits, parts["d2"].input_bits) == (2, 4)


def test_series(tmp_path: Path) -> None:
    model = read(
        tmp_path,
        sequential(
            entry(12, 3),
            layer("ZeroPadding1D", "pad", padding=[1, 2]),
            layer("LSTM", "l1", units=5, return_sequences=True, activation="tanh"),
            layer("TimeDistributed", "t", layer=layer("Dense", "inner", units=4, activation="relu")),
            layer("UpSampling1D", "up", size=2),
            layer("GRU", "g1", units=6, return_sequences=False),
        ),
    )
    parts = {part.name: part for part in model}
    assert [(part.out_w, part.out_c) for part in model] == [(12, 3), (15, 3), (15, 5), (15, 4), (15, 4), (30, 4), (1, 6)]
    assert parts["g1"].macs == 3 * 6 * (4 + 6) * 30
    assert parts["t_relu"].inputs == ("t",)


LAYER_LIST = [
    {"class_name": "InputLayer", "name": "x", "input_shape": [8, 8, 3]},
    {
        "class_name": "Conv2D", "name": "c", "inputs": ["x"], "in_height": 8, "in_width": 8, "n_chan": 3, "n_filt": 4, "filt_height": 3, "filt_width": 3,
        "stride_height": 1, "stride_width": 1, "pad_top": 1, "pad_bottom": 1, "pad_left": 1, "pad_right": 1, "out_height": 8, "out_width": 8,
    },
    {"class_name": "Activation", "name": "r", "activation": "relu"},
    {"class_name": "GlobalAveragePooling2D", "name": "g"},
    {"class_name": "Dense", "name": "d", "n_in": 4, "n_out": 2, "weight_quantizer": {"bits": 4}},
]  # fmt: skip


def test_layer_list_with_configuration(tmp_path: Path) -> None:
    config = {"Model": {"Precision": "ap_fixed<12,4>", "ReuseFactor": 4, "Strategy": "Resource"}, "LayerName": {"d": {"ReuseFactor": 2}}}
    model = read(tmp_path, {"config": {"HLSConfig": config, "IOType": "io_stream"}, "layers": LAYER_LIST})
    parts = {part.name: part for part in model}
    assert model.io_type == "io_stream"
    assert (parts["c"].weight_bits, parts["c"].accumulator_bits, parts["c"].output_bits) == (12, 12, 12)
    assert (parts["c"].reuse_factor, parts["d"].reuse_factor, parts["x"].reuse_factor) == (4, 2, None)
    assert parts["c"].strategy is Strategy.RESOURCE
    assert parts["d"].weight_bits == 4
    assert not any("default of 16 bits" in note for note in model.notes)


def weighted(**fields: object) -> list[Json]:
    return [{"class_name": "Input", "name": "x", "input_shape": [6, 3]}, {"name": "w", "n_out": 2, **fields}]


@pytest.mark.parametrize(
    ("fields", "nonzero", "largest"),
    [
        ({"class_name": "Dense", "n_in": 3, "weight_data": [[0, 0.5], [-4, 0], [1, 1]]}, 4 / 6, 4.0),
        ({"class_name": "Conv1D", "filt_width": 2, "n_filt": 2, "weight_data": [[[1, 0]] * 3, [[0, -8.0]] * 3]}, 6 / 12, 8.0),
        ({"class_name": "DepthwiseConv1D", "filt_width": 2, "depthwise_data": [[[1], [0], [3]], [[2], [0], [0.5]]]}, 4 / 6, 3.0),
        ({"class_name": "GRU", "n_in": 3, "weight_data": [[0.5] * 6] * 3, "recurrent_weight_data": [[0] * 6, [2] * 6]}, 24 / 30, 2.0),
    ],
)
def test_weights_in_a_layer_list(tmp_path: Path, fields: Json, nonzero: float, largest: float) -> None:
    model = read(tmp_path, {"layers": weighted(**fields)})
    assert (model.layers[-1].nonzero, model.layers[-1].weight_peak) == (pytest.approx(nonzero), largest / 32)
    assert not any("holds no weights" in note for note in model.notes)
    typed = read(tmp_path, {"layers": weighted(**fields), "config": {"LayerName": {"w": {"Precision": {"weight": "ap_fixed<8,5>"}}}}})
    assert (typed.layers[-1].weight_bits, typed.layers[-1].weight_peak) == (8, largest / 16)


def test_separable_convolution_has_two_kinds_of_weights(tmp_path: Path) -> None:
    fields = {"class_name": "SeparableConv1D", "filt_width": 2, "n_filt": 2, "depthwise_data": [[[1]] * 3, [[0]] * 3], "pointwise_data": [[[2, 2]] * 3]}
    deep, point = read(tmp_path, {"layers": weighted(**fields)}).layers[1:]
    assert (deep.nonzero, deep.weight_peak, point.nonzero, point.weight_peak) == (0.5, 1 / 32, 1.0, 2 / 32)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([[1, 2]], "holds 2 weights where the layer has 6"),
        ([[1, 2], [3, 4], [5, "6"]], "weight_data: holds '6' where a number is needed"),
        ([[1, 2], [3, 4], [5, True]], "weight_data: holds True where"),
        ([[1, 2], [3, 4], [5, 10**400]], "where a number is needed"),
        ("1 2 3", "weight_data: is text where a list of numbers is needed"),
    ],
)
def test_wrong_weights_in_a_layer_list(tmp_path: Path, weights: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, {"layers": weighted(class_name="Dense", n_in=3, weight_data=weights)})


def test_largest_weight_of_a_finished_model_follows_the_type(tmp_path: Path) -> None:
    model = read(tmp_path, {"layers": weighted(class_name="Dense", n_in=3, weight_data=[[0, 0.5], [-4, 0], [1, 1]])})
    narrow = apply_config(model, {"Model": {"Precision": "ap_fixed<10,4>"}}, "config.json")
    assert (narrow.layers[-1].nonzero, narrow.layers[-1].weight_peak) == (pytest.approx(4 / 6), 4 / 8)
    assert apply_config(model, {"Model": {"ReuseFactor": 2}}, "config.json").layers[-1].weight_peak == 4 / 32
    again = apply_config(narrow, {"LayerName": {"w": {"Precision": "ap_fixed<9,2>"}}}, "config.json")
    assert (again.layers[-1].weight_bits, again.layers[-1].weight_peak) == (9, 0.0)  # the full scale of 10 bits is not in the model
    kept = apply_config(narrow, {"LayerName": {"w": {"Precision": {"result": "ap_fixed<9,2,AP_TRN,AP_SAT>"}}}}, "config.json")
    assert (kept.layers[-1].weight_peak, kept.layers[-1].saturates, narrow.layers[-1].saturates) == (4 / 8, True, False)
    assert apply_config(kept, {"Model": {"ReuseFactor": 2}}, "config.json").layers[-1].saturates


def test_activation_quantisers_that_saturate(tmp_path: Path) -> None:
    network = sequential(entry(4), layer("QActivation", "a", activation="quantized_relu(4)"), layer("QActivation", "b", activation="binary_tanh"))
    network["config"]["layers"].append(layer("Activation", "c", activation="relu"))
    assert [part.saturates for part in read(tmp_path, network)] == [False, True, False, False]


def test_layer_list_without_an_input(tmp_path: Path) -> None:
    model = read(tmp_path, {"layers": [{"class_name": "LSTM", "name": "l", "n_timesteps": 9, "n_in": 3, "n_out": 5}]})
    assert [(part.kind, part.in_w, part.in_c) for part in model] == [(Kind.INPUT, 9, 3), (Kind.LSTM, 9, 3)]


def test_layer_names_go_before_types_and_types_before_the_model(tmp_path: Path) -> None:
    config = {
        "Model": {"Precision": {"default": "fixed<16,6>", "maximum": "fixed<32,16>"}, "ReuseFactor": 1, "Strategy": "Latency"},
        "LayerType": {"Dense": {"Precision": {"weight": "ap_fixed<8,2>", "result": "auto", "accum": "auto"}, "ReuseFactor": 8}},
        "LayerName": {
            "fc2": {"Precision": {"weight": "ap_uint<4>", "bias_t": "uint8_t"}, "Strategy": "distributed_arithmetic"},
            "fc2_softmax": {"Precision": {"exp_table": "ap_fixed<10,4>"}, "TableSize": 256, "Implementation": "Latency"},
            "fc1_relu": {"Precision": "ap_ufixed<6,2>"},
            "nobody": {"ReuseFactor": 3},
        },
    }
    model = read_model(save(tmp_path, PERCEPTRON), save(tmp_path, config, "config.json"))
    parts = {part.name: part for part in model}
    assert (parts["fc1"].weight_bits, parts["fc1"].accumulator_bits, parts["fc1"].output_bits) == (8, 16 + 8 + 4, 16 + 8 + 4)
    assert (parts["fc2"].weight_bits, parts["fc2"].bias_bits, parts["fc2"].input_bits, parts["fc2"].reuse_factor) == (4, 8, 6, 8)
    assert (parts["fc1"].strategy, parts["fc2"].strategy) == (Strategy.LATENCY, Strategy.DISTRIBUTED_ARITHMETIC)
    softmax = parts["fc2_softmax"]
    assert (softmax.table_size, softmax.table_bits, softmax.function, softmax.reuse_factor) == (256, 10, "latency", 1)
    assert any(note.endswith("hls4ml ignores them: nobody.") for note in model.notes)


def test_configuration_of_a_finished_model_keeps_quantised_widths(tmp_path: Path) -> None:
    model = read(tmp_path, {"layers": LAYER_LIST})
    changed = apply_config(model, {"Model": {"Precision": "ap_fixed<10,4>", "ReuseFactor": 3}}, "config.json")
    parts = {part.name: part for part in changed}
    assert (parts["d"].weight_bits, parts["c"].weight_bits, parts["c"].output_bits, parts["d"].input_bits) == (4, 10, 10, 10)
    assert [(part.name, part.inputs) for part in changed] == [(part.name, part.inputs) for part in model]


def test_project_names_its_model_file(tmp_path: Path) -> None:
    save(tmp_path, PERCEPTRON, "keras.json")
    project = {"Backend": "Vitis", "IOType": "io_parallel", "KerasJson": "keras.json", "HLSConfig": {"Model": {"Precision": "ap_fixed<9,3>", "ReuseFactor": 2}}}
    model = read(tmp_path, project)
    assert model.io_type == "io_parallel"
    assert {part.output_bits for part in model} == {9}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"Model": {"Precision": "ap_fixed<16,6>", "ReuseFactor": 1}}, "holds settings but no network: shapes are missing. Add the network"),
        ({"HLSConfig": {"Model": {}}, "Backend": "Vivado"}, "names no model file"),
        ({"KerasJson": "gone.json"}, "KerasJson: 'gone.json' does not exist"),
        ({"KerasJson": "net.json"}, "a configuration names a configuration as its model"),
        ({"a": 1}, "is neither a Keras architecture"),
        ([1], "holds a list where an object is needed"),
        ('{"layers": [', "is not valid JSON"),
        ('{"layers": [], "layers": []}', "the key 'layers' appears twice"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"a": ' * 70 + "1" + "}" * 70, "is nested deeper than 64 levels"),
        ({"layers": []}, "layers: is empty"),
        ({"layers": {}}, "layers: is an object where a list of objects is needed"),
        ({"layers": [{"class_name": "Dense"}]}, r"layers\[0\]: name: is missing"),
        ({"layers": [{"class_name": "Dense", "name": "d", "n_in": 4}]}, r"layers\[0\]: n_out: is missing"),
        ({"layers": [{"class_name": "Dense", "name": "d", "n_in": 4, "n_out": "5"}]}, "n_out: is text where a whole number is needed"),
        ({"layers": [{"class_name": "Dense", "name": "d", "n_in": 4, "n_out": True}]}, "n_out: is a truth value"),
        ({"layers": [{"class_name": "Dense", "name": "d", "n_in": 4, "n_out": 1e300}]}, r"n_out: 1e\+300 is outside 1 to"),
        ({"layers": [{"class_name": "Dense", "name": "d", "n_in": 2**20, "n_out": 2**20}]}, "d: a tensor has more than"),
        ({"layers": [{"class_name": "Garnet", "name": "d"}]}, "unsupported layer class 'Garnet'.*Supported: Activation"),
        ({"layers": [{"class_name": "Dense", "name": "d", "inputs": ["e"]}]}, "inputs: 'e' is not a layer before this one"),
        ({"layers": [LAYER_LIST[0], {"class_name": "Dense", "name": "d", "n_in": 9, "n_out": 1}]}, "n_in: is 9, but the layer reads 3"),
        ({"layers": [LAYER_LIST[0], {**LAYER_LIST[1], "out_width": 7}]}, "out_width: is 7, but kernel, stride and padding give 8"),
        ({"layers": LAYER_LIST, "config": {"Model": {"Strategy": "Fastest"}}}, "Model: Strategy: unknown strategy 'fastest'. Use Latency"),
        ({"layers": LAYER_LIST, "config": {"Model": {"ReuseFactor": 0}}}, "ReuseFactor: 0 is outside"),
        ({"layers": LAYER_LIST, "config": {"LayerName": {"c": {"Precision": {"weight": "float"}}}}}, "LayerName: c: Precision: weight: 'float' is not a type"),
        ({"layers": LAYER_LIST, "config": {"LayerName": {"c": 4}}}, "LayerName: c: is a number where an object is needed"),
        ({"layers": LAYER_LIST, "config": {"IOType": "io_serial"}}, "IOType: 'io_serial' is neither"),
        ({"model": {"class_name": "Sequential"}, "config": {}}, "model: is no Keras architecture"),
        (sequential(), "layers: is empty"),
        (sequential(layer("Dense", units=3)), "the input shape is missing"),
        (sequential(layer("InputLayer", batch_shape=[None, None, 3])), "an axis besides the batch has no fixed size"),
        (sequential(entry(4), layer("Lambda", "odd")), "odd: unsupported layer type 'Lambda'. Supported: Activation"),
        (sequential(entry(4), sequential()), "Nested models are not supported"),
        (sequential(entry(4), layer("Dense", units=-3)), "units: -3 is outside 1 to"),
        (sequential(entry(4), layer("Dense", units=3, activation="swish")), "unknown activation 'swish'. Known: "),
        (sequential(entry(4), layer("Conv1D", "c", filters=1, kernel_size=[3], strides=[1])), r"c: reads a tensor of shape \(4,\). It needs 2 axes"),
        (sequential(entry(4, 4), layer("Conv1D", filters=1, kernel_size=[3], strides=[1], dilation_rate=[2])), "dilation_rate: dilated"),
        (sequential(entry(4, 4), layer("Conv1D", filters=1, kernel_size=[3], strides=[1], data_format="channels_first")), "channels first"),
        (sequential(entry(4), layer("QDense", units=1, kernel_quantizer="magic(4)")), "kernel_quantizer: unknown quantiser 'magic'"),
        (sequential(entry(4), layer("Reshape", target_shape=[3])), r"cannot reshape \(1, 1, 4\) to \(1, 1, 3\)"),
    ],
)
def test_wrong_files_are_refused_with_their_place(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, value)
    assert "net.json" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts: parts[2].update(inbound_nodes=keras2("cat")), "layers read each other in a circle"),
        (lambda parts: parts[2].update(inbound_nodes=keras2("ghost")), "reads from 'ghost', which does not exist"),
        (lambda parts: parts[2].update(inbound_nodes=keras2("x") * 2), "the layer is used 2 times"),
        (lambda parts: parts[2].update(inbound_nodes=7), "inbound_nodes: is not a list"),
        (lambda parts: parts[2]["config"].update(name="b"), "two layers are named 'b'"),
        (lambda parts: parts[2]["config"].update(padding="valid"), r"cannot merge the shape"),
    ],
)
def test_wrong_graphs(tmp_path: Path, change: Any, message: str) -> None:
    model = functional(keras2)
    change(model["config"]["layers"])
    with pytest.raises(InputError, match=message):
        read(tmp_path, model)


@pytest.mark.parametrize(("name", "remedy"), [("a.h5", "to_json"), ("a.keras", "to_json"), ("a.pt", "torch.onnx.export"), ("a.yml", "JSON"), ("a", ".onnx")])
def test_other_formats_say_what_to_do(tmp_path: Path, name: str, remedy: str) -> None:
    with pytest.raises(InputError, match=f"is not supported.*{remedy}"):
        read_model(save(tmp_path, "", name))


def test_missing_and_oversized_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_model(tmp_path / "none.json")
    with pytest.raises(InputError, match="larger than 16 MiB"):
        read(tmp_path, " " * (MAX_BYTES + 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ap_fixed<16,6>", HlsType(16, 32.0)),
        ("fixed<8, 2, RND, SAT>", HlsType(8, 2.0, saturates=True)),
        ("ap_ufixed<14,4,AP_TRN,AP_SAT_SYM>", HlsType(14, 16.0, saturates=True)),
        ("ap_fixed<8,-2,AP_RND,AP_WRAP>", HlsType(8, 2.0**-3)),
        ("ap_fixed<8,INTEGER>", HlsType(8)),
        ("ap_int<3>", HlsType(3, 4.0)),
        ("uint<1>", HlsType(1, 2.0)),
        ("int8_t", HlsType(8, 128.0)),
        ("auto", HlsType(AUTO)),
    ],
)
def test_types(text: str, expected: HlsType) -> None:
    assert read_type(text, "here") == expected


@pytest.mark.parametrize("text", ["ap_fixed<0,0>", "ap_fixed<99999,3>", "ap_fixed<>", "float", "ap_fixed<16,6", "__import__('os')"])
def test_wrong_types(text: str) -> None:
    with pytest.raises(InputError, match="^here: "):
        read_type(text, "here")


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        ("quantized_bits(8,2)", 8),
        ("quantized_relu(bits=4)", 4),
        ("quantized_bits", 8),
        ("binary()", 1),
        ("ternary", 2),
        (None, None),
        ("quantized_po2(4, 1)", 4),
    ],
)
def test_quantisers(value: object, bits: int | None) -> None:
    assert quantiser_bits(value, "here") == bits


@given(size=st.integers(1, 60), kernel=st.integers(1, 9), stride=st.integers(1, 5))
def test_same_padding_against_counting(size: int, kernel: int, stride: int) -> None:
    before, after = same_padding(size, kernel, stride)
    assert 0 <= after - before <= 1
    assert windows(size, kernel, stride, before + after) == len(range(0, size, stride))


@given(size=st.integers(1, 60), kernel=st.integers(1, 9), stride=st.integers(1, 5), padding=st.integers(0, 6))
def test_windows_against_counting(size: int, kernel: int, stride: int, padding: int) -> None:
    assert windows(size, kernel, stride, padding) == len(range(0, size + padding - kernel + 1, stride))


QKERAS = sequential(
    entry(16),
    layer("QActivation", "q0", activation="quantized_bits(8, 2)"),
    layer("QDense", "d1", units=8, kernel_quantizer={"class_name": "quantized_bits", "config": {"bits": 6}}, activation={"class_name": "ReLU"}),
    layer("LeakyReLU", "l"),
)
SAMPLES = [
    PERCEPTRON,
    CNN,
    QKERAS,
    functional(keras2),
    functional(keras3),
    {"layers": LAYER_LIST, "config": {"Model": {"Precision": {"default": "fixed<16,6>"}, "ReuseFactor": 1}, "LayerName": {"c": {"Strategy": "Latency"}}}},
    {"KerasJson": "other.json", "HLSConfig": {"Model": {"Precision": "fixed<16,6>"}}, "IOType": "io_stream"},
]


def places(value: object) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    return [(value, key) for key, _ in items] + [place for _, child in items for place in places(child)]


WRONG = st.sampled_from([None, True, -1, 0, 0.5, 3, 10**400, 1e308, "", "x", "-1", [], [[]], {}, [None], {"class_name": []}, ["x", 0, 0], "\x00"])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sample=st.sampled_from(SAMPLES), position=st.integers(0, 10**6), wrong=WRONG)
def test_any_wrong_value_gives_a_model_or_one_clear_error(tmp_path: Path, sample: Json, position: int, wrong: object) -> None:
    value = json.loads(json.dumps(sample))
    container, key = (spots := places(value))[position % len(spots)]
    container[key] = wrong
    try:
        model = read(tmp_path, value)
    except InputError as error:
        assert "net.json" in str(error)
    else:
        assert model.layers


class Shapes:
    """Stands for the weights of a Keras model where hls4ml wants to see them: zeros of given shapes."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self.shapes = shapes

    def get_weights_data(self, name: str, variable: str) -> np.ndarray[Any, Any]:
        return np.zeros(self.shapes.get(f"{name}/{variable}", (1,)))


def test_keras_reader_agrees_with_the_one_of_hls4ml(tmp_path: Path) -> None:
    """hls4ml's own layer list, read as such, is the network that the Keras reader makes."""
    converter = pytest.importorskip("hls4ml.converters.keras_v2_to_hls")
    parts = [json.loads(json.dumps(part)) for part in CNN["config"]["layers"]]
    for part in parts:
        part["config"] = {"data_format": "channels_last", "use_bias": True, "scale": True, "center": True, "epsilon": 1e-3} | part["config"]
    keras = sequential(*parts)
    layers, *_ = converter.parse_keras_model(keras, Shapes({"d1/kernel": (144, 3)}))
    clean = [json.loads(json.dumps({key: item for key, item in part.items() if not isinstance(item, np.ndarray)}, default=float)) for part in layers]
    ours, theirs = read(tmp_path, keras), read(tmp_path, {"layers": clean})
    assert ours.layers == theirs.layers
    assert Kind.DEPTHWISE_CONV2D in {part.kind for part in ours}
