"""Where a C simulation leaves the reference: the first diverging layer, its types, its overflows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.errors import EvaluationError
from codesign.export.manifest import ExportedLayer, Manifest
from codesign.network.deployed import DeployedNetwork, IntTensor
from codesign.verify.compilation import simulate_layers
from codesign.verify.result import Divergence, TypeFinding

FIXED = re.compile(r"ap_(?P<unsigned>u?)fixed<\s*(?P<bits>\d+)\s*,\s*(?P<integer>-?\d+)[^>]*>")


@dataclass(frozen=True)
class FixedType:
    """A C++ fixed-point type: ``bits`` wide, ``integer`` of them left of the binary point."""

    bits: int
    integer: int
    signed: bool

    @classmethod
    def parse(cls, text: str) -> FixedType | None:
        """The first fixed-point type in a text, or None."""
        found = FIXED.search(text)
        return None if found is None else cls(int(found["bits"]), int(found["integer"]), not found["unsigned"])

    def misfits(self, values: IntTensor, fraction: int) -> tuple[int, int]:
        """How many of the integers ``values``, standing for ``value * 2**-fraction``, overflow the type, and how many have bits below its last place."""
        shift = fraction - (self.bits - self.integer)
        floor = values >> shift if shift > 0 else values << -shift
        low, high = (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1) if self.signed else (0, (1 << self.bits) - 1)
        truncated = 0 if shift <= 0 else int(((floor << shift) != values).sum())
        return int(((floor < low) | (floor > high)).sum()), truncated


def find_divergence(
    folder: Path, manifest: Manifest, deployed: DeployedNetwork, samples: NDArray[np.uint8], reference: Mapping[str, IntTensor] | None = None
) -> Divergence:
    """Compare layer by layer on samples whose logits differ.

    Args:
        folder: an exported project.
        manifest: of that project.
        deployed: the network that was exported.
        samples: data set words (n, ...).
        reference: outputs of the quantised model by layer name (n, h, w, c); the deployed integers where not given.

    Raises:
        EvaluationError: the project does not compile or crashes.
    """
    trace = deployed.trace(samples)
    expected = trace if reference is None else reference
    words = trace[deployed.graph.input.name].reshape(len(samples), -1)
    found = simulate_layers(folder, manifest, words)
    for layer in manifest.layers[1:]:
        if layer.name in expected and not np.array_equal(found[layer.name], expected[layer.name].reshape(len(samples), -1)):
            return _describe(folder, manifest, deployed, layer, found[layer.name], expected[layer.name], trace)
    layer, output = manifest.output, found[manifest.output.name]
    note = "every layer of the simulation equals the reference given, so that reference differs from the logits it was said to give"
    return _describe(folder, manifest, deployed, layer, output, expected.get(layer.name, trace[layer.name]), trace, note=note)


def _describe(
    folder: Path,
    manifest: Manifest,
    deployed: DeployedNetwork,
    layer: ExportedLayer,
    found: NDArray[np.float64],
    expected: IntTensor,
    trace: Mapping[str, IntTensor],
    *,
    note: str = "",
) -> Divergence:
    differences = np.abs(found - expected.reshape(len(found), -1))
    types = compiled_types(folder, layer)
    overflows, truncations = _accumulator_misfits(deployed, layer, types, trace)
    target = deployed.format(layer.name)
    return Divergence(
        layer=layer.name,
        samples=len(found),
        elements=differences.size,
        elements_different=int((differences > 0).sum()),
        max_abs_difference=int(np.ceil(differences.max(initial=0.0))),
        types=types,
        accumulator_overflows=overflows,
        accumulator_truncations=truncations,
        output_saturations=int(((expected <= target.minimum) | (expected >= target.maximum)).sum()),
        changed_files=manifest.changed_files(folder),
        note=note,
    )


def compiled_types(folder: Path, layer: ExportedLayer) -> tuple[TypeFinding, ...]:
    """Types of a layer as ``firmware/defines.h`` has them now, beside the exported ones.

    Raises:
        EvaluationError: the file has no such type.
    """
    text = (folder / "firmware" / "defines.h").read_text(encoding="utf-8")
    findings = []
    for role, tensor in layer.types.items():
        # typedef ap_fixed<...> name;  or  typedef nnet::array<ap_fixed<...>, 24*1> name;
        line = re.search(rf"^typedef (?P<type>.*) {re.escape(tensor.name)};$", text, flags=re.MULTILINE)
        if line is None or (fixed := FIXED.search(line["type"])) is None:
            raise EvaluationError(f"firmware/defines.h has no fixed-point type {tensor.name}", where=f"layer {layer.name}")
        findings.append(TypeFinding(role, fixed[0], tensor.type))
    return tuple(findings)


def _accumulator_misfits(
    deployed: DeployedNetwork, layer: ExportedLayer, types: tuple[TypeFinding, ...], trace: Mapping[str, IntTensor]
) -> tuple[int | None, int | None]:
    """Overflows and truncations of the reference's accumulators in the type that was compiled."""
    compiled = next((FixedType.parse(item.compiled) for item in types if item.role == "accum"), None)
    if compiled is None:
        return None, None
    accumulators, _ = deployed.accumulate(deployed.graph[layer.name], trace)
    return compiled.misfits(accumulators, layer.types["accum"].fraction)
