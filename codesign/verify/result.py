"""What a verification found."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError
from codesign.network.deployed import IntTensor


@dataclass(frozen=True)
class VerificationResult:
    """A simulated design against the quantised model.

    Attributes:
        id: the design.
        level: ``csim`` or ``rtl``.
        samples: samples compared.
        elements_exact: how many of the ``samples x classes`` logits are equal.
        samples_exact: how many samples have all logits equal.
        argmax_agreement: share of the samples with the same class, 0 to 1.
        max_abs_difference: largest difference of two logits, in units of their last place.
        first_diverging_layer: name of the first layer whose output differs; None where all logits are equal.
        metric_quantised, metric_simulated: accuracy of the quantised model and of the simulation, 0 to 1.
        cycles_predicted: latency that the cost model predicts; None when not given.
        cycles_simulated: cycles of an inference, the most of all samples; None in a C simulation, which counts none.
        seconds: compilation and simulation, wall clock.
    """

    id: str
    level: str
    samples: int
    elements_exact: int
    samples_exact: int
    argmax_agreement: float
    max_abs_difference: int
    first_diverging_layer: str | None
    metric_quantised: float
    metric_simulated: float
    cycles_predicted: float | None
    cycles_simulated: float | None
    seconds: float

    @property
    def exact(self) -> bool:
        """Every logit of every sample is equal."""
        return self.samples_exact == self.samples

    def as_dict(self) -> dict[str, object]:
        """Plain JSON types, one key an attribute."""
        return asdict(self)


def compare_logits(
    quantised: IntTensor,
    simulated: IntTensor,
    labels: NDArray[np.int64],
    *,
    design: str,
    level: str,
    first_diverging_layer: str | None,
    cycles_predicted: float | None,
    cycles_simulated: float | None,
    seconds: float,
) -> VerificationResult:
    """Result of a simulation whose logits (n x classes) stand beside the quantised model's; ``labels`` are the classes (n,)."""
    same = simulated == quantised
    quantised_class, simulated_class = quantised.argmax(axis=1), simulated.argmax(axis=1)
    return VerificationResult(
        id=design,
        level=level,
        samples=len(labels),
        elements_exact=int(same.sum()),
        samples_exact=int(same.all(axis=1).sum()),
        argmax_agreement=float((quantised_class == simulated_class).mean()),
        max_abs_difference=int(np.abs(simulated - quantised).max()),
        first_diverging_layer=first_diverging_layer,
        metric_quantised=float((quantised_class == labels).mean()),
        metric_simulated=float((simulated_class == labels).mean()),
        cycles_predicted=cycles_predicted,
        cycles_simulated=cycles_simulated,
        seconds=seconds,
    )


def check_shapes(logits: IntTensor, samples: NDArray[np.uint8], labels: NDArray[np.int64], classes: int, *, where: str) -> None:
    """Raise InputError unless there are samples, with ``classes`` logits and a label each."""
    count = len(samples)
    if count == 0:
        raise InputError("no samples to compare", where=where, remedy="Give at least one")
    if logits.shape != (count, classes) or labels.shape != (count,):
        raise InputError(f"logits of shape {logits.shape} and labels of shape {labels.shape} for {count} samples and {classes} classes", where=where)


@dataclass(frozen=True)
class TypeFinding:
    """One type of the diverging layer.

    Attributes:
        role: ``result``, ``accum``, ``weight`` or ``bias``.
        compiled: the type in the sources as they are now.
        exported: the type that was exported.
    """

    role: str
    compiled: str
    exported: str


@dataclass(frozen=True)
class Divergence:
    """The first layer whose simulated output differs from the reference.

    Attributes:
        layer: its name.
        samples: samples looked at (some of those that differ).
        elements, elements_different: outputs of the layer, and how many of them differ.
        max_abs_difference: in units of the output's last place.
        types: the layer's types.
        accumulator_overflows: reference accumulators outside the compiled accumulator type; None without accumulator.
        accumulator_truncations: reference accumulators with bits below the compiled type's last place.
        output_saturations: reference outputs at an end of their format's range.
        changed_files: exported files that were changed or removed since, and files added to the sources.
        note: what to make of it.
    """

    layer: str
    samples: int
    elements: int
    elements_different: int
    max_abs_difference: int
    types: tuple[TypeFinding, ...]
    accumulator_overflows: int | None
    accumulator_truncations: int | None
    output_saturations: int
    changed_files: tuple[str, ...]
    note: str

    def as_dict(self) -> dict[str, object]:
        """Plain JSON types, one key an attribute."""
        return asdict(self)

    @property
    def summary(self) -> str:
        """One line: layer, differences, overflows, types, files changed since the export."""
        changed = ", ".join(f"{item.role} is {item.compiled}, exported as {item.exported}" for item in self.types if item.compiled != item.exported)
        parts = [f"layer {self.layer}: {self.elements_different:,} of {self.elements:,} outputs differ, by up to {self.max_abs_difference}"]
        if self.accumulator_overflows:
            parts.append(f"{self.accumulator_overflows:,} accumulators overflow")
        if self.accumulator_truncations:
            parts.append(f"{self.accumulator_truncations:,} accumulators lose bits")
        edited = f"changed since the export: {', '.join(self.changed_files)}" if self.changed_files else ""
        return "; ".join(part for part in (*parts, changed, edited, self.note) if part)


def write_json(path: Path, document: dict[str, object]) -> None:
    """Write one JSON document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
