"""From a design of a study to its hardware project in ``hls_out/<study>/<id>``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.device import Family
from codesign.accelerator.hls_plan import HlsPlan
from codesign.errors import InputError
from codesign.export import pe_array_project
from codesign.export.manifest import hash_files, load_manifest, package_versions
from codesign.export.pe_array_project import HardwareRequest
from codesign.export.project_folder import recover
from codesign.network.deployed import NETWORK_FILE, DeployedNetwork
from codesign.search.evaluation import task_of
from codesign.search.study import Evaluated, Study
from codesign.store.study_store import DONE

AMD_FAMILIES = (Family.SERIES7, Family.ULTRASCALE_PLUS)
"""Devices that the Vitis flow of an exported project can build for."""
WRITERS = ("codesign", "hls4ml")
"""Packages whose version decides what an export writes."""
HARDWARE = {"pe_array": pe_array_project}
"""Templates with hardware of their own: the module that writes it into a folder of the project."""
GOLDEN_SAMPLES = 100
"""Test samples whose inputs and outputs go into the project for the vendor tool's own C simulation."""


@dataclass(frozen=True)
class ProjectRequest:
    """Everything a worker needs to export, or export and verify, one design.

    Attributes:
        design: its id.
        model: folder of the trained network.
        folder: of the project.
        task, data: see `codesign.search.evaluation.TrainingRequest`.
        plan: how the accelerator maps onto hls4ml.
        part: vendor part number.
        cycles: predicted latency in cycles.
        provenance: what the manifest says of the study.
        template: accelerator template that the design was priced as.
        amd_part: AMD's tools accept the part.
        hardware: the accelerator to write as Verilog; None where the template has none.
        force: delete files in the folder that codesign did not write.
    """

    design: str
    model: Path
    folder: Path
    task: str
    data: str | None
    plan: HlsPlan
    part: str
    cycles: int
    provenance: dict[str, str | int]
    template: str
    amd_part: bool
    hardware: HardwareRequest | None = None
    force: bool = False


def project_request(study: Study, item: Evaluated, hls_out: Path, data: Path | None, *, force: bool = False) -> ProjectRequest:
    """Collect what the export of a design needs; ``force``: see `ProjectRequest`.

    Raises:
        InputError: the design has no trained network.
    """
    model = study.model_folder(item.id)
    if item.evaluation.state != DONE or not (model / NETWORK_FILE).is_file():
        raise InputError("has no trained network", where=f"design {item.id}", remedy="Evaluate it with `codesign run`")
    specification, device = study.specification, study.specification.find_device()
    joint, point = study.pricing.joint, item.design.point
    template, latency = joint.template_of(point).name, item.design.kpis["latency_cycles"]
    cycles, exact = round(latency.value), latency.low == latency.high
    return ProjectRequest(
        design=item.id,
        model=model,
        folder=hls_out / specification.name / item.id,
        task=specification.task,
        data=str(data) if data else None,
        plan=joint.plan(point),
        part=device.part,
        cycles=cycles,
        provenance={
            "study": specification.name,
            "study_hash": specification.hash,
            "seed": specification.seed,
            "task": specification.task,
            "design": item.id,
            "parameters": point.canonical_json,
        },
        template=template,
        amd_part=device.family in AMD_FAMILIES,
        hardware=HardwareRequest(joint.template_values(point), device, item.id, cycles, exact) if template in HARDWARE else None,
        force=force,
    )


def export_design(request: ProjectRequest) -> Path:
    """Write the project of one design anew.

    Raises:
        InputError: the trained network is damaged, the folder cannot be written, or, without ``force``, it holds files
            that codesign did not write.
    """
    from codesign.export.hls4ml_project import export_project

    samples = task_of(request.task, request.data).test.samples[:GOLDEN_SAMPLES]
    deployed = DeployedNetwork.load(request.model / NETWORK_FILE)
    return export_project(
        deployed,
        request.plan,
        request.folder,
        part=request.part,
        samples=samples,
        provenance=request.provenance,
        template=request.template,
        amd_part=request.amd_part,
        hardware=None if request.hardware is None else _HardwareWriter(request.template, request.hardware),
        force=request.force,
    )


@dataclass(frozen=True)
class _HardwareWriter:
    template: str
    request: HardwareRequest

    def __call__(self, deployed: DeployedNetwork, folder: Path, samples: NDArray[np.uint8]) -> str:
        module = HARDWARE[self.template]
        module.write_project(deployed, self.request, folder, samples)
        name: str = module.FOLDER
        return name


def ensure_exported(request: ProjectRequest) -> Path:
    """The project of one design as it lies there, edits and results of other tools included, or a new one where there is none of this design.

    Raises:
        InputError: as `export_design`.
    """
    recover(request.folder)
    return request.folder if _is_there(request) else export_design(request)


def _is_there(request: ProjectRequest) -> bool:
    """Whether the folder holds the export of this very request: same origin, plan, part, network, and versions of what writes it."""
    try:
        manifest = load_manifest(request.folder)
    except InputError:
        return False
    hardware = "" if request.hardware is None else HARDWARE[request.template].FOLDER
    wanted = (
        hardware,
        request.provenance,
        request.template,
        request.part,
        request.amd_part,
        request.plan.io_type,
        request.plan.strategy,
        request.plan.clock_mhz,
    )
    found = (
        manifest.hardware,
        manifest.provenance,
        manifest.template,
        manifest.part,
        manifest.amd_part,
        manifest.io_type,
        manifest.strategy,
        manifest.clock_mhz,
    )
    reuse = {layer.name: layer.reuse for layer in manifest.layers if layer.reuse}
    versions = package_versions()
    return (
        found == wanted
        and reuse == dict(request.plan.reuse)
        and all(manifest.versions.get(name) == versions[name] for name in WRITERS)
        and manifest.files.get(NETWORK_FILE) == _network_hash(request.model / NETWORK_FILE)
    )


def _network_hash(path: Path) -> str:
    """SHA-256 of a network file as an export writes it."""
    with TemporaryDirectory(prefix="codesign-export-") as scratch:
        DeployedNetwork.load(path).save(Path(scratch) / NETWORK_FILE)
        return hash_files(Path(scratch))[NETWORK_FILE]
