"""What an exported project holds and where it came from: ``manifest.json`` beside the sources."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from codesign.catalogue import parse_record, record
from codesign.errors import InputError

FORMAT = 3
FILE_NAME = "manifest.json"
PACKAGES = ("codesign", "hls4ml", "torch", "brevitas", "numpy")
BUILDS = ("csim/", "pe_array/rtl_sim/", "pe_array/synthesis/")
"""Folders in a project that belong to verification."""
SOURCES = "firmware/"
"""Folder in a project that C simulation compiles."""
PRICED_AS_EXPORTED = frozenset({"streaming"})
"""Templates whose figures describe the hls4ml project itself; those of every other describe other hardware."""


@record
class TensorType:
    """One C++ type of a project.

    Attributes:
        name: its typedef in ``firmware/defines.h``.
        type: what it must be.
        fraction: a stored integer ``q`` stands for ``q * 2**-fraction``.
    """

    name: str
    type: str
    fraction: int


@record
class ExportedLayer:
    """A layer of the network as it is in the project.

    Attributes:
        name: in the network and in the project's trace.
        op: what it computes.
        hls_class: hls4ml's class.
        variable: C++ variable of its output.
        elements: numbers in its output.
        types: by role: ``result``, ``accum``, ``weight``, ``bias``.
        strategy: ``latency`` or ``resource``; empty without weights.
        reuse: reuse factor; 0 without weights.
    """

    name: str
    op: str
    hls_class: str
    variable: str
    elements: int
    types: dict[str, TensorType]
    strategy: str
    reuse: int


@record
class Manifest:
    """Contents of ``manifest.json``.

    Attributes:
        format: of this file.
        id: the design; the folder's name.
        top: name of the C++ top function and of its source file.
        part, clock_mhz, io_type, strategy: what was asked for.
        amd_part: AMD's tools accept the part; otherwise the project serves C simulation only.
        template: accelerator template that the design was priced as.
        priced_as_exported: the design's figures describe this project; False: they describe another architecture, and the
            hls4ml project proves the network's arithmetic only.
        hardware: folder with the Verilog of the priced accelerator; empty where there is none.
        layers: in topological order, the input first.
        provenance: where the design came from (study hash, seed, ...).
        versions: of the packages that made the project.
        files: SHA-256 of every exported file by its path in the folder.
    """

    format: int
    id: str
    top: str
    backend: str
    part: str
    amd_part: bool
    template: str
    priced_as_exported: bool
    hardware: str
    clock_mhz: float
    io_type: str
    strategy: str
    layers: tuple[ExportedLayer, ...]
    provenance: dict[str, Any]
    versions: dict[str, str]
    files: dict[str, str]

    @property
    def input(self) -> ExportedLayer:
        """The input tensor."""
        return self.layers[0]

    @property
    def output(self) -> ExportedLayer:
        """The last layer."""
        return self.layers[-1]

    def layer(self, name: str) -> ExportedLayer:
        """The layer of that name."""
        return next(layer for layer in self.layers if layer.name == name)

    def save(self, folder: Path) -> None:
        """Write it into a project folder."""
        text = json.dumps(dataclasses.asdict(self), indent=2, allow_nan=False)
        (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")

    def changed_files(self, folder: Path) -> tuple[str, ...]:
        """Exported files that were changed or removed since, and files added to the sources; what tools add elsewhere changes nothing."""
        sources = (path.relative_to(folder).as_posix() for path in (folder / SOURCES).rglob("*"))
        now = {name: _sha256(folder / name) for name in {*self.files, *sources} if (folder / name).is_file()}
        return tuple(sorted(name for name in now.keys() | self.files.keys() if now.get(name) != self.files.get(name)))


def load_manifest(folder: Path) -> Manifest:
    """Read the manifest of a project folder.

    Raises:
        InputError: there is none, it is damaged, or of another format.
    """
    path = folder / FILE_NAME
    remedy = "Export the design again with `codesign export`"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("not an exported project: it has no manifest.json", where=str(folder), remedy=remedy) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path), remedy=remedy) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f"not a manifest of format {FORMAT}", where=str(path), remedy=remedy)
    return parse_record(data, Manifest, where=str(path))


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of each exported file in a folder by its path there."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = ((path, path.relative_to(folder).as_posix()) for path in files)
    return {name: _sha256(path) for path, name in names if not is_own(name)}


def is_own(name: str) -> bool:
    """Whether a path in a project folder is codesign's but not part of what was exported: the manifest itself, and what verification writes."""
    return name == FILE_NAME or name.startswith(BUILDS)


def listed_files(folder: Path) -> frozenset[str]:
    """Files that the manifest in a folder lists, of whatever format it is; none where it cannot be read."""
    try:
        files = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()
    return frozenset(files) if isinstance(files, dict) else frozenset()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def package_versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Installed versions, Python's included; ``not installed`` where absent."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def json_provenance(provenance: Mapping[str, object]) -> dict[str, Any]:
    """Provenance as plain JSON types.

    Raises:
        InputError: a value has no place in JSON.
    """
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(provenance), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"not plain JSON: {error}", where="provenance") from None
    return plain
