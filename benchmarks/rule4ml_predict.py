"""Predictions of rule4ml's published models for a list of networks. Run by the Python that has rule4ml, never by codesign's.

    python rule4ml_predict.py networks.json predictions.json

``networks.json`` holds a list of objects:

    {"id": "7", "board": "alveo-u250", "strategy": "resource", "precision": "ap_fixed<8, 1>", "reuse_factor": 4,
     "hls4ml_version": "1.1.0", "vivado_version": "2023.2",
     "layers": [{"kind": "dense", "n_in": 16, "n_out": 32, "reuse_factor": 2}, {"kind": "relu"}]}

with layers of the kinds dense, batchnorm, relu, sigmoid, tanh and softmax; a layer's own reuse factor is optional.
``predictions.json`` is the same list with ``latency_max`` and ``ii_max`` in cycles and ``lut``, ``ff``, ``dsp`` and
``bram18`` in counts, or with ``error`` where rule4ml refuses a network.

rule4ml 0.2 learned post-synthesis resources, with block memory in tiles of 36 kbit: ``bram18`` is twice its figure. All
figures are rounded to whole numbers.
"""

import functools
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
from rule4ml.models.wrappers import MultiModelWrapper
from rule4ml.parsers import network_parser

KPIS = {"CYCLES": ("latency_max", 1), "INTERVAL": ("ii_max", 1), "LUT": ("lut", 1), "FF": ("ff", 1), "DSP": ("dsp", 1), "BRAM": ("bram18", 2)}
"""Column of rule4ml: name here, and units here per unit there."""


def build(layers: list[dict]) -> tuple[keras.Model, dict[str, dict]]:
    """The network as a Keras model, and the reuse factors of its layers in rule4ml's notation."""
    tensor = inputs = keras.Input(shape=(layers[0]["n_in"],))
    reuse = {}
    for number, layer in enumerate(layers):
        name = f"{layer['kind']}_{number}"
        if layer["kind"] == "dense":
            tensor = keras.layers.Dense(layer["n_out"], name=name)(tensor)
        elif layer["kind"] == "batchnorm":
            tensor = keras.layers.BatchNormalization(name=name)(tensor)
        else:
            tensor = keras.layers.Activation(layer["kind"], name=name)(tensor)
        if "reuse_factor" in layer:
            reuse[name] = {"reuse_factor": layer["reuse_factor"]}
    model = keras.Model(inputs=inputs, outputs=tensor, name="network")
    model.build((None, layers[0]["n_in"]))  # rule4ml reads the input's shape from here
    return model, reuse


def predict(estimator: MultiModelWrapper, network: dict) -> dict:
    """All KPIs of one network."""
    model, reuse = build(network["layers"])
    settings = {key: network[key] for key in ("strategy", "precision", "reuse_factor")}
    table = estimator.predict(
        model,
        hls_configs=[{"board": network["board"], "model": settings, "layer_name": reuse}],
        hls4ml_versions=[network["hls4ml_version"]],
        vivado_versions=[network["vivado_version"]],
        round_digits=6,
    )
    row = table.iloc[0]
    return {"id": network["id"], **{name: round(scale * float(row[column])) for column, (name, scale) in KPIS.items()}}


def main() -> int:
    """Predict every network of the file; one that fails does not stop the others."""
    source, target = map(Path, sys.argv[1:3])
    network_parser.get_closest_reuse_factor = functools.cache(network_parser.get_closest_reuse_factor)  # most of the time otherwise
    estimator = MultiModelWrapper()
    estimator.load_default_models()
    answers = []
    for network in json.loads(source.read_text()):
        try:
            answers.append(predict(estimator, network))
        except Exception as problem:  # noqa: BLE001 - rule4ml raises bare Exception for a network it does not take
            answers.append({"id": network["id"], "error": f"{type(problem).__name__}: {problem}"})
    target.write_text(json.dumps(answers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
