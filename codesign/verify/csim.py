"""C simulation of exported projects, bit for bit against the quantised model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.export.manifest import load_manifest
from codesign.network.deployed import DeployedNetwork, IntTensor
from codesign.verify.compilation import simulate
from codesign.verify.divergence import find_divergence
from codesign.verify.result import VerificationResult, check_shapes, compare_logits, write_json

LEVEL = "csim"
RESULT_FILE = Path("csim") / "result.json"
DIVERGENCE_FILE = Path("csim") / "divergence.json"
DIVERGENCE_SAMPLES = 64

ReferenceTrace = Callable[[NDArray[np.uint8]], Mapping[str, IntTensor]]


def compile_and_run(folder: Path, samples: NDArray[np.uint8]) -> IntTensor:
    """Integer logits (n x classes) of an exported project on data set words (n, ...).

    Raises:
        InputError: not an exported project.
        ToolMissingError: g++ is not installed.
        EvaluationError: the sources do not compile, or the program crashes.
        VerificationError: the logits have bits below the exported last place.
    """
    deployed = DeployedNetwork.load(folder / "network.npz")
    return simulate(folder, load_manifest(folder), _words(deployed, samples))


def verify_csim(
    folder: Path,
    deployed: DeployedNetwork,
    quantised_logits: IntTensor,
    samples: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    design: str | None = None,
    cycles_predicted: float | None = None,
    reference_trace: ReferenceTrace | None = None,
) -> VerificationResult:
    """Compile a project, run it on all samples and compare its logits with the quantised model's.

    The result is also written to ``csim/result.json`` in the project. Where logits differ, ``csim/divergence.json`` tells
    the first diverging layer with its types and overflows; finding it takes a second build.

    Args:
        folder: an exported project.
        deployed: the network that was exported.
        quantised_logits: int64 n x classes at the fraction of the last accumulator, from the quantised (Brevitas) model.
        samples: data set words (n, ...).
        labels: classes (n,).
        design: id in the result; the manifest's where not given.
        cycles_predicted: latency the cost model predicts, passed on.
        reference_trace: gives the quantised model's layer outputs (n, h, w, c) by layer name for some samples; the
            deployed integers where not given.

    Raises:
        InputError: not an exported project, or arrays whose shapes do not belong together.
        ToolMissingError: g++ is not installed.
        EvaluationError: the sources do not compile, or the program crashes.
        VerificationError: the logits have bits below the exported last place.
    """
    started = time.perf_counter()
    manifest = load_manifest(folder)
    check_shapes(quantised_logits, samples, labels, manifest.output.elements, where=f"C simulation of design {manifest.id}")
    simulated = simulate(folder, manifest, _words(deployed, samples))
    same = simulated == quantised_logits
    layer = None
    (folder / DIVERGENCE_FILE).unlink(missing_ok=True)
    if not same.all():
        different = samples[~same.all(axis=1)][:DIVERGENCE_SAMPLES]
        reference = None if reference_trace is None else reference_trace(different)
        divergence = find_divergence(folder, manifest, deployed, different, reference)
        write_json(folder / DIVERGENCE_FILE, divergence.as_dict() | {"summary": divergence.summary})
        layer = divergence.layer
    result = compare_logits(
        quantised_logits,
        simulated,
        labels,
        design=design or manifest.id,
        level=LEVEL,
        first_diverging_layer=layer,
        cycles_predicted=cycles_predicted,
        cycles_simulated=None,
        seconds=time.perf_counter() - started,
    )
    write_json(folder / RESULT_FILE, result.as_dict())
    return result


def _words(deployed: DeployedNetwork, samples: NDArray[np.uint8]) -> IntTensor:
    """Input integers (n x elements)."""
    return samples.reshape(len(samples), -1).astype(np.int64) - deployed.zero_point
