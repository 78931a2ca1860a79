"""Read a model file of any supported format."""

from __future__ import annotations

from pathlib import Path

from codesign.errors import InputError
from codesign.network.hls_model import HlsModel
from codesign.network.importers.draft import Draft
from codesign.network.importers.hls4ml_config import configure, is_config
from codesign.network.importers.json_file import Record, load_json
from codesign.network.importers.keras_json import is_keras, read_keras
from codesign.network.importers.layer_list import read_layer_list
from codesign.network.importers.onnx_operators import read_onnx

_EXPORT_REMEDIES = {
    ".h5": "Save its architecture: open('model.json', 'w').write(model.to_json()).",
    ".keras": "Save its architecture: open('model.json', 'w').write(model.to_json()).",
    ".pt": "Export it: torch.onnx.export(model, example, 'model.onnx', dynamo=False).",
    ".pth": "Export it: torch.onnx.export(model, example, 'model.onnx', dynamo=False).",
    ".tflite": "Give the Keras or PyTorch model it was made from.",
    ".yml": "Save the configuration as JSON.",
    ".yaml": "Save the configuration as JSON.",
}
_SHAPELESS = (
    'Add the network: {"config": {...}, "model": {... model.to_json() ...}} or {"config": {...}, "layers": [...]}, '
    "or give this file as the configuration of an ONNX or Keras file."
)


def read_model(path: Path, config: Path | None = None) -> HlsModel:
    """The network in a file.

    Args:
        path: an ONNX or QONNX file; or JSON: a Keras architecture, a list of hls4ml's layers, an hls4ml project's configuration
            that names a model file, or one of the first two beside an ``HLSConfig`` under the key ``config``.
        config: JSON file with an ``HLSConfig``, which goes before one in the model file.

    Raises:
        InputError: no such file, an unknown format, or content that cannot become a pipeline.
        ToolMissingError: an ONNX file, and the package ``onnx`` is not installed.
    """
    draft = _read(Path(path), nested=False)
    if config is not None:
        record = Record(load_json(config), str(config))
        inner = record.record("HLSConfig") if "HLSConfig" in record else record.record("config") if "config" in record else record
        if not is_config(inner):
            raise InputError("is no HLSConfig", where=str(config), remedy="It needs the key Model, LayerType or LayerName.")
        configure(draft, inner)
    return draft.finish()


def _read(path: Path, *, nested: bool) -> Draft:
    suffix = path.suffix.lower()
    if not path.is_file():
        raise InputError("no such file", where=str(path))
    if suffix in {".onnx", ".qonnx"}:
        return read_onnx(path)
    if suffix != ".json":
        remedy = _EXPORT_REMEDIES.get(suffix, "Give an .onnx or a .json file.")
        raise InputError(f"the format {suffix or 'without a suffix'} is not supported", where=str(path), remedy=remedy)
    record = Record(load_json(path), str(path))
    if is_keras(record):
        return _keras(record, path)
    if any(key in record for key in ("KerasJson", "KerasModel", "OnnxModel", "PytorchModel", "HLSConfig")):
        if nested:
            raise InputError("a configuration names a configuration as its model", where=str(path), remedy="Name an ONNX file or a Keras architecture.")
        return _project(record, path)
    if "layers" in record or "model" in record:
        return _combined(record, path)
    if is_config(record):
        raise InputError("holds settings but no network: shapes are missing", where=str(path), remedy=_SHAPELESS)
    raise InputError("is neither a Keras architecture, a layer list nor an hls4ml configuration", where=str(path), remedy=_SHAPELESS)


def _keras(record: Record, path: Path) -> Draft:
    draft = Draft(record.record("config").text("name", path.stem) if isinstance(record.get("config"), dict) else path.stem, str(path))
    read_keras(record, draft)
    return draft


def _combined(record: Record, path: Path) -> Draft:
    """A network beside its configuration."""
    if "model" in record:
        model = record.record("model")
        if not is_keras(model):
            raise record.error("model", "is no Keras architecture: class_name must be Sequential or Functional, with a config")
        draft = _keras(model, path)
    else:
        draft = Draft(path.stem, str(path))
        read_layer_list(record, draft)
    _settings(record, "config", draft)
    return draft


def _settings(record: Record, key: str, draft: Draft) -> None:
    config = record.record(key)
    inner = config if "HLSConfig" not in config else config.record("HLSConfig")
    draft.io_type = _io_type(config) or _io_type(record)
    configure(draft, inner)


def _io_type(record: Record) -> str | None:
    if "IOType" not in record:
        return None
    value = record.text("IOType")
    if value not in {"io_parallel", "io_stream"}:
        raise record.error("IOType", f"{value!r} is neither io_parallel nor io_stream")
    return value


def _project(record: Record, path: Path) -> Draft:
    """A project's configuration: the network is in a file that it names, relative to its own folder."""
    key = next((key for key in ("OnnxModel", "KerasJson", "KerasModel") if isinstance(record.get(key), str)), None)
    if key is None:
        remedy = "Set OnnxModel or KerasJson to a path, or export the model to ONNX and give that file with --config and this one."
        raise InputError("names no model file that can be read: shapes are missing", where=str(path), remedy=remedy)
    name = record.text(key)
    if "\x00" in name:
        raise record.error(key, "is not a path")
    target = path.parent / name
    if not target.is_file():
        raise InputError(f"{name!r} does not exist beside the configuration", where=f"{path}: {key}", remedy="Give a path relative to the configuration.")
    draft = _read(target, nested=True)
    _settings(record, "HLSConfig", draft)
    return draft
