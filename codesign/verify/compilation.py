"""Compile an exported project with g++ and run it on samples, in a process of its own.

A crash of generated code ends that process only. The build is skipped when neither the sources nor the compiler nor
its flags have changed since the last one.

Measured on one core: 4 to 9 s for a convolutional network in io_stream, 3 s for a fully connected one; io_parallel
convolutions take 10 s and far more on large maps. One translation unit and no layer instantiated for tracing halve
hls4ml's own build; ``-O1`` is the best sum of compiling and simulating about a thousand samples.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from codesign import toolchain
from codesign.errors import EvaluationError, InputError, VerificationError
from codesign.export.manifest import ExportedLayer, Manifest
from codesign.network.deployed import IntTensor

RUNNER = Path(__file__).with_name("csim_runner.cpp")
FLAGS = ("-std=c++17", "-O1", "-w", "-fno-exceptions")  # -w: the headers of hls4ml warn a lot
INCLUDES = ("-I.", "-Iap_types")
BUILD_TIMEOUT_S = 1800.0
RUN_TIMEOUT_S = 3600.0


def compile_project(folder: Path, manifest: Manifest, *, trace: bool = False) -> Path:
    """Build the runner of a project, or find it built.

    Args:
        folder: an exported project.
        manifest: of that project.
        trace: the runner shall be able to save the output of each layer.

    Returns:
        The program; the build log lies beside it.

    Raises:
        ToolMissingError: g++ is not installed.
        EvaluationError: the sources do not compile.
    """
    gxx = toolchain.require(toolchain.GXX, needed_for="codesign verify")
    build = folder / "csim"
    build.mkdir(exist_ok=True)
    program, record = build / ("tracer" if trace else "runner"), build / ("tracer.json" if trace else "runner.json")
    flags = [*FLAGS, *_definitions(manifest, trace=trace)]
    key = build_key(folder, flags)
    if program.is_file() and _recorded_key(record) == key:
        return program
    record.unlink(missing_ok=True)
    ccache = toolchain.find(toolchain.CCACHE)
    compiler = [str(gxx)] if ccache is None else [str(ccache), str(gxx)]
    firmware, target = (folder / "firmware").resolve(), program.resolve()
    log = build / f"{program.name}_build.log"
    unit = target.with_suffix(".o")
    # Compiling and linking apart, because ccache serves the first only.
    toolchain.run([*compiler, *flags, *INCLUDES, "-c", str(RUNNER), "-o", str(unit)], log=log, where=_where(manifest), cwd=firmware, timeout_s=BUILD_TIMEOUT_S)
    toolchain.run([str(gxx), str(unit), "-o", str(target)], log=build / f"{program.name}_link.log", where=_where(manifest), cwd=firmware)
    unit.unlink()
    record.write_text(json.dumps({"key": key, "flags": flags}) + "\n", encoding="utf-8")
    return program


def simulate(folder: Path, manifest: Manifest, words: IntTensor) -> IntTensor:
    """Integer logits (n x classes) of a project, compiled first where needed.

    Args:
        folder: an exported project.
        manifest: of that project.
        words: input integers (n x elements), the zero point already subtracted.

    Raises:
        ToolMissingError: g++ is not installed.
        EvaluationError: the sources do not compile, or the program crashes.
        VerificationError: the logits have bits below the exported last place.
    """
    program = compile_project(folder, manifest)
    logits = _in_last_places(_execute(program, folder, manifest, words, (manifest.output,)), manifest.output)
    if not np.array_equal(logits, np.rint(logits)):
        raise VerificationError(
            f"logits are not multiples of 2**-{manifest.output.types['result'].fraction}",
            where=_where(manifest),
            remedy="The output type in firmware/defines.h is not the exported one; export the design again",
        )
    return logits.astype(np.int64)


def simulate_layers(folder: Path, manifest: Manifest, words: IntTensor) -> dict[str, NDArray[np.float64]]:
    """Outputs (n x elements, channels last) of every layer but the input, by name, in units of the exported type's last place.

    They are whole numbers unless a type in the sources is finer than the exported one. Arguments and errors as `simulate`.
    """
    program = compile_project(folder, manifest, trace=True)
    layers = manifest.layers[1:]
    values = _execute(program, folder, manifest, words, layers, traced=True)
    ends = np.cumsum([layer.elements for layer in layers])[:-1]
    return {layer.name: _in_last_places(part, layer) for layer, part in zip(layers, np.split(values, ends, axis=1), strict=True)}


def build_key(folder: Path, flags: list[str]) -> str:
    """SHA-256 over every source, the compiler and its flags."""
    digest = hashlib.sha256(json.dumps([toolchain.version(toolchain.GXX), flags]).encode())
    firmware = folder / "firmware"
    for path in [RUNNER, *sorted(path for path in firmware.rglob("*") if path.is_file())]:
        name = path.relative_to(firmware).as_posix() if path.is_relative_to(firmware) else path.name
        digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _definitions(manifest: Manifest, *, trace: bool) -> list[str]:
    definitions = [f"-DCODESIGN_INPUTS={manifest.input.elements}", f"-DCODESIGN_OUTPUTS={manifest.output.elements}"]
    if manifest.io_type == "io_stream":
        definitions.append("-DCODESIGN_STREAM")
    return [*definitions, "-DCODESIGN_TRACE"] if trace else definitions


def _recorded_key(record: Path) -> str | None:
    try:
        key = json.loads(record.read_text(encoding="utf-8"))["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(key)


def _execute(
    program: Path, folder: Path, manifest: Manifest, words: IntTensor, layers: tuple[ExportedLayer, ...], *, traced: bool = False
) -> NDArray[np.float64]:
    """Outputs (n x elements of all ``layers``) as the values they stand for."""
    if words.ndim != 2 or words.shape[1] != manifest.input.elements:
        raise InputError(f"samples of shape {words.shape}, the design takes n x {manifest.input.elements}", where=_where(manifest))
    fraction = manifest.input.types["result"].fraction
    with TemporaryDirectory(prefix="codesign-csim-") as scratch:
        source, target = Path(scratch) / "input.f64", Path(scratch) / "output.f64"
        np.ldexp(words.astype(np.float64), -fraction).tofile(source)
        arguments = [f"{layer.name}:{layer.elements}" for layer in layers] if traced else []
        # Weights are read from the folder the program runs in.
        toolchain.run(
            [str(program.resolve()), str(source), str(target), *arguments],
            log=(folder / "csim" / f"{program.name}_run.log").resolve(),
            where=_where(manifest),
            cwd=folder / "firmware",
            timeout_s=RUN_TIMEOUT_S,
        )
        values = np.fromfile(target, dtype=np.float64)
    elements = sum(layer.elements for layer in layers)
    if len(values) != len(words) * elements:
        raise EvaluationError(f"the C simulation gave {len(values)} numbers instead of {len(words) * elements}", where=_where(manifest))
    return values.reshape(len(words), elements)


def _in_last_places(values: NDArray[np.float64], layer: ExportedLayer) -> NDArray[np.float64]:
    """Values in units of the last place of the layer's exported type."""
    return np.ldexp(values, layer.types["result"].fraction)


def _where(manifest: Manifest) -> str:
    return f"C simulation of design {manifest.id}"
