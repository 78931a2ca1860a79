"""What codesign adds to an hls4ml project: golden vectors for its test bench and a README for the engineer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from codesign.estimate import Estimate
from codesign.export.manifest import Manifest
from codesign.network.deployed import DeployedNetwork

README = Path(__file__).with_name("project_readme.md")
OTHER_PART = (
    "No AMD tool accepts the part `{part}`: this project serves C simulation only. To synthesise it for an AMD part, set that one in\n`project.tcl`.\n\n"
)
ARCHITECTURES = {"pe_array": "one array of processing elements that all layers share"}
"""What a template that is not priced as exported describes."""
REUSE_RULES = {"pe_array": ", chosen so that no layer has more multipliers than the array"}
OTHER_ARCHITECTURE = """## Not the accelerator that was priced

codesign priced this design as the template `{template}`: {architecture}. The hls4ml project here is another
architecture for the same arithmetic: a dataflow design ({io_type}) in which each layer has hardware of its own, with the reuse
factors of the table above{rule}. So

- C simulation proves the network's arithmetic, every integer of every layer; it says nothing of the priced accelerator;
- {hardware};
- Vitis will report the cycles and resources of this dataflow design. They are no check of the latency, resources and power
  that codesign gives for design {id}.

What codesign's `streaming` model expects of this project (95 % intervals; synthesis has not run):

| figure | estimate | interval |
|---|---|---|
{figures}

"""


NO_HARDWARE = "the RTL of the priced accelerator is not part of this project"
HARDWARE = "the Verilog of the priced accelerator lies in `{folder}/`, with a README of its own; `codesign verify {id} --level rtl` proves it, cycles included"


def write_test_vectors(deployed: DeployedNetwork, samples: NDArray[np.uint8], folder: Path) -> None:
    """Inputs and exact outputs of some samples, as the values they stand for, one sample a line."""
    entry = deployed.graph.input
    words = samples.reshape(len(samples), -1).astype(np.int64) - deployed.zero_point
    features = np.ldexp(words.astype(np.float64), -deployed.format(entry.name).fraction)
    logits = np.ldexp(deployed.run(samples).astype(np.float64), -deployed.format(deployed.graph.output.name).fraction)
    for name, values in (("tb_input_features.dat", features), ("tb_output_predictions.dat", logits)):
        rows = (" ".join(repr(value) for value in row) for row in values.tolist())
        (folder / name).write_text("".join(row + "\n" for row in rows), encoding="utf-8")


def write_readme(manifest: Manifest, folder: Path, *, zero_point: int, samples: int, figures: Mapping[str, Estimate]) -> None:
    """The project's README: its layers, how to synthesise it, what is proven; ``figures``: of the project where another architecture was priced."""
    rows = []
    for layer in manifest.layers:
        types = {role: f"`{tensor.type}`" for role, tensor in layer.types.items()}
        cells = (layer.name, layer.op, layer.hls_class, types["result"], types.get("accum", ""), types.get("weight", ""), str(layer.reuse or ""))
        rows.append(f"| {' | '.join(cells)} |")
    text = Template(README.read_text(encoding="utf-8")).substitute(
        id=manifest.id,
        codesign_version=manifest.versions["codesign"],
        top=manifest.top,
        part=manifest.part,
        clock_mhz=f"{manifest.clock_mhz:g}",
        io_type=manifest.io_type,
        strategy=manifest.strategy,
        table="\n".join(rows),
        input_type=manifest.input.types["result"].type,
        input_elements=manifest.input.elements,
        input_fraction=manifest.input.types["result"].fraction,
        zero_point=zero_point,
        output_type=manifest.output.types["result"].type,
        output_elements=manifest.output.elements,
        samples=samples,
        architecture="" if manifest.priced_as_exported else _other_architecture(manifest, figures),
        part_note="" if manifest.amd_part else OTHER_PART.format(part=manifest.part),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _other_architecture(manifest: Manifest, figures: Mapping[str, Estimate]) -> str:
    """The section that tells the project from the accelerator that was priced."""
    return OTHER_ARCHITECTURE.format(
        id=manifest.id,
        template=manifest.template,
        io_type=manifest.io_type,
        hardware=HARDWARE.format(folder=manifest.hardware, id=manifest.id) if manifest.hardware else NO_HARDWARE,
        architecture=ARCHITECTURES.get(manifest.template, "hardware that hls4ml does not build"),
        rule=REUSE_RULES.get(manifest.template, ""),
        figures="\n".join(_figure_row(name, figure) for name, figure in figures.items()),
    )


def _figure_row(name: str, figure: Estimate) -> str:
    title = {"latency_cycles": "latency", "interval_cycles": "initiation interval"}.get(name, name.upper())
    unit = "" if figure.unit == "count" else f" {figure.unit}"
    return f"| {title} | {figure.value:,.0f}{unit} | {figure.low:,.0f} to {figure.high:,.0f} |"
