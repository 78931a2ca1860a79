"""Export: a deployed network and its plan become an hls4ml project whose every type is exactly the intended one.

hls4ml changes settings silently (the closest valid reuse factor, other precisions), so the converted model is compared
with what was asked for before anything is written.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.hls_plan import HlsPlan
from codesign.errors import InputError
from codesign.export.dataflow_estimate import estimate_dataflow
from codesign.export.hls4ml_layers import INPUT_NAME, ProjectLayer, hls_layers
from codesign.export.manifest import FORMAT, PRICED_AS_EXPORTED, ExportedLayer, Manifest, TensorType, hash_files, json_provenance, package_versions
from codesign.export.project_files import write_readme, write_test_vectors
from codesign.export.project_folder import replacing
from codesign.network.deployed import DeployedNetwork

TOP = "codesign_net"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
HardwareWriter = Callable[[DeployedNetwork, Path, NDArray[np.uint8]], str]
PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def export_project(
    deployed: DeployedNetwork,
    plan: HlsPlan,
    folder: Path,
    *,
    part: str,
    samples: NDArray[np.uint8],
    provenance: Mapping[str, object],
    template: str = "streaming",
    amd_part: bool = True,
    hardware: HardwareWriter | None = None,
    force: bool = False,
) -> Path:
    """Write a design as an hls4ml project (Vitis back end) into ``folder``; the project there before is replaced as a whole.

    Args:
        deployed: the network.
        plan: io type, strategy, clock and reuse factors.
        folder: ``hls_out/<study>/<id>``; its name becomes the design id of the manifest.
        part: the FPGA part.
        samples: data set words (n, ...) for the golden vectors of the test bench.
        provenance: study hash, seed and whatever else says where the design came from; plain JSON types.
        template: accelerator template that the design was priced as; the project says where that is another architecture.
        amd_part: AMD's tools accept the part; the project says where they do not.
        hardware: writes the priced accelerator into a folder of its own, whose name it returns.
        force: delete files in the folder that codesign did not write, such as results of the vendor's tools.

    Returns:
        ``folder``.

    Raises:
        InputError: a name that C++ or Tcl cannot take, a setting that hls4ml would change, a network that does not fit
            its own accumulators, a folder that cannot be written, or, without ``force``, one that holds other files.
    """
    _check_plan(plan)
    layers = hls_layers(deployed, plan)
    _check_names(layers, part)
    with replacing(folder, force=force) as partial:
        model, log = convert(layers, plan, part=part, folder=partial)
        check_conversion(model, layers)
        _write_sources(model, partial, log)
        write_test_vectors(deployed, samples, partial / "tb_data")
        deployed.save(partial / "network.npz")
        own = "" if hardware is None else hardware(deployed, partial, samples)
        manifest = Manifest(
            format=FORMAT,
            id=folder.name,
            top=TOP,
            backend="Vitis",
            part=part,
            amd_part=amd_part,
            template=template,
            priced_as_exported=template in PRICED_AS_EXPORTED,
            hardware=own,
            clock_mhz=plan.clock_mhz,
            io_type=plan.io_type,
            strategy=plan.strategy,
            layers=tuple(_exported(deployed, layer, model.graph[layer.name]) for layer in layers if layer.source is not None),
            provenance=json_provenance(provenance),
            versions=package_versions(),
            files={},
        )
        figures = {} if manifest.priced_as_exported else estimate_dataflow(deployed.graph, plan, part)
        write_readme(manifest, partial, zero_point=deployed.zero_point, samples=len(samples), figures=figures)
        replace(manifest, files=hash_files(partial)).save(partial)
    return folder


def convert(layers: tuple[ProjectLayer, ...], plan: HlsPlan, *, part: str, folder: Path) -> tuple[Any, str]:
    """The hls4ml model of a list of layers, and what hls4ml printed on the way."""
    from hls4ml.model.graph import ModelGraph

    from codesign.export.hls4ml_global_sum import register

    register()
    config = {
        "Backend": "Vitis",
        "ProjectName": TOP,
        "OutputDir": str(folder),
        "Part": part,
        "ClockPeriod": round(1000.0 / plan.clock_mhz, 6),
        "ClockUncertainty": "27%",
        "IOType": plan.io_type,
        "HLSConfig": {
            "Model": {"Precision": {"default": "fixed<16,6>"}, "ReuseFactor": 1, "Strategy": plan.strategy},
            "LayerName": {layer.name: _layer_config(layer) for layer in layers},
        },
        "WriterConfig": {"Namespace": None, "WriteWeightsTxt": True, "WriteTar": False, "TBOutputStream": "file"},
    }
    described = [{"name": layer.name, "class_name": layer.class_name, "inputs": list(layer.inputs), **layer.attributes} for layer in layers]
    with redirect_stdout(io.StringIO()) as printed:
        model = ModelGraph.from_layer_list(config, described, inputs=[INPUT_NAME], outputs=[layers[-1].name])
    # Each layer then carries a call that can save its output; it is compiled in C simulation only.
    model.config.trace_output = True
    return model, printed.getvalue()


def check_conversion(model: Any, layers: tuple[ProjectLayer, ...]) -> None:
    """Compare a converted model with what was asked for.

    Raises:
        InputError: hls4ml changed a type, a reuse factor or a strategy, or added or dropped a layer.
    """
    remedy = "hls4ml changed it on its own; please report this design"
    wanted = {layer.name for layer in layers}
    for node in model.get_layers():
        if node.name not in wanted and node.class_name != "Clone":
            raise InputError(f"hls4ml added a {node.class_name} layer {node.name}", where="export", remedy=remedy)
    for layer in layers:
        if layer.name not in model.graph:
            raise InputError("is missing in the converted model", where=f"layer {layer.name}", remedy=remedy)
        node = model.graph[layer.name]
        _check_types(node, layer, remedy)
        if layer.reuse is not None:
            _check_reuse(node, layer)
            if node.get_attr("strategy") != layer.strategy:
                raise InputError(f"asked for strategy {layer.strategy}, hls4ml took {node.get_attr('strategy')}", where=f"layer {layer.name}", remedy=remedy)


def _check_types(node: Any, layer: ProjectLayer, remedy: str) -> None:
    from hls4ml.backends import get_backend

    for role, text in layer.precision.items():
        intended = get_backend("Vitis").convert_precision_string(text)
        found = [node.get_output_variable().type.precision] if role == "result" else [node.types[f"{role}_t"].precision]
        if role in ("weight", "bias"):
            found.append(node.weights[role].type.precision)
        for precision in found:
            if str(precision) != str(intended):
                raise InputError(f"{role} type must be {intended}, hls4ml made it {precision}", where=f"layer {layer.name}", remedy=remedy)


def _check_reuse(node: Any, layer: ProjectLayer) -> None:
    if node.get_attr("reuse_factor") != layer.reuse:
        raise InputError(
            f"reuse factor {layer.reuse} is not legal, hls4ml would take {node.get_attr('reuse_factor')}",
            where=f"layer {layer.name}",
            remedy="Legal are the divisors of the products per output, and those products times the divisors of the outputs",
        )


def _layer_config(layer: ProjectLayer) -> dict[str, object]:
    config: dict[str, object] = {"Precision": dict(layer.precision)}
    if layer.source is not None:
        config["Trace"] = True
    if layer.reuse is not None:
        config |= {"ReuseFactor": layer.reuse, "Strategy": layer.strategy}
    return config


def _check_names(layers: tuple[ProjectLayer, ...], part: str) -> None:
    seen: set[str] = set()
    for layer in sorted(layers, key=lambda layer: layer.source is None):
        if not NAME.fullmatch(layer.name):
            raise InputError(f"{layer.name!r} cannot be a name in C++ and Tcl", where="layer name", remedy="Use a letter, then letters, digits and underscores")
        if layer.name.lower() in seen:
            raise InputError(f"{layer.name!r} appears twice", where="layer name", remedy="hls4ml ignores case; rename one")
        seen.add(layer.name.lower())
    if not PART.fullmatch(part):
        raise InputError(f"{part!r} is not the name of a part", where="device", remedy="Use letters, digits, dots and hyphens, as in xc7z020clg400-1")


def _check_plan(plan: HlsPlan) -> None:
    if plan.io_type not in ("io_stream", "io_parallel"):
        raise InputError(f"unknown io type {plan.io_type!r}", where="hls plan", remedy="Choose io_stream or io_parallel")
    if plan.strategy not in ("latency", "resource"):
        raise InputError(f"unknown strategy {plan.strategy!r}", where="hls plan", remedy="Choose latency or resource")
    if not plan.clock_mhz > 0.0:
        raise InputError(f"clock of {plan.clock_mhz} MHz", where="hls plan", remedy="Give a positive clock")


def _write_sources(model: Any, folder: Path, log: str) -> None:
    """hls4ml's files, without what differs from one export to the next (absolute paths, a random stamp)."""
    with redirect_stdout(io.StringIO()) as printed:
        model.write()
    (folder / "hls4ml.log").write_text(log + printed.getvalue(), encoding="utf-8")
    stamp = str(model.config.get_config_value("Stamp"))
    for name in ("hls4ml_config.yml", "build_lib.sh"):
        path = folder / name
        # A stamp of digits alone is written between quotes.
        path.write_text(path.read_text(encoding="utf-8").replace(f"'{stamp}'", "csim").replace(stamp, "csim").replace(str(folder), "."), encoding="utf-8")
    bench = folder / f"{TOP}_test.cpp"
    anchor = "std::ofstream fout(RESULTS_LOG);"
    # Six digits, the default, would round the logits.
    bench.write_text(bench.read_text(encoding="utf-8").replace(anchor, f"{anchor}\n    fout.precision(20);"), encoding="utf-8")


def _exported(deployed: DeployedNetwork, layer: ProjectLayer, node: Any) -> ExportedLayer:
    source = deployed.graph[str(layer.source)]
    variable = node.get_output_variable()
    types = {}
    for role in layer.precision:
        named = variable.type if role == "result" else node.types[f"{role}_t"]
        cpp = named.precision.definition_cpp()
        types[role] = TensorType(name=named.name, type=cpp, fraction=int(named.precision.fractional))
    return ExportedLayer(
        name=source.name,
        op=source.op.name.lower(),
        hls_class=node.class_name,
        variable=variable.name,
        elements=int(np.prod(variable.shape)),
        types=types,
        strategy=layer.strategy,
        reuse=layer.reuse or 0,
    )
