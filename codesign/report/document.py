"""Everything a report shows, as frozen dataclasses: filled from the store once, rendered to HTML, Markdown and JSON.

Figures of designs are `codesign.estimate.Estimate`: with unit, 95 % interval and evidence. A part that a study does
not have yet (no front, no C simulation, no calibration) is empty or None, and the report says which command supplies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError

from codesign.errors import InputError
from codesign.estimate import Estimate
from codesign.report.proofs import CsimMatch, RtlMatch, SynthesisFound
from codesign.search.fidelity_counts import FidelityCount
from codesign.space.parameters import Value
from codesign.surrogate.calibration import Coverage

SCHEMA = 1
"""Version of the JSON form."""


@dataclass(frozen=True)
class ObjectiveSummary:
    """One objective of the search.

    Attributes:
        name: ``accuracy`` or a KPI name such as ``latency_us``.
        maximise: larger is better.
    """

    name: str
    maximise: bool


@dataclass(frozen=True)
class LimitSummary:
    """One hard limit of the study.

    Attributes:
        kpi: a KPI name, ``accuracy``, or ``utilisation`` (largest share of any device resource).
        bound: in the unit of the KPI.
        at_most: the bound is the largest allowed value; False: the smallest.
        rejected: how many priced designs this limit turned away; None where it was not counted.
    """

    kpi: str
    bound: float
    at_most: bool = True
    rejected: int | None = None


@dataclass(frozen=True)
class StudySummary:
    """What was searched.

    Attributes:
        name: of the study.
        task, task_title: catalogue name and a title for people.
        blueprints, templates: network families and accelerator templates of the space.
        strategy: what proposed the designs.
        budget: evaluations allowed.
        initial: evaluations of the space-filling start among them.
        objectives, limits: of the study file.
        main_parameters: parameters to draw in parallel coordinates; empty: the ones that vary most.
        export_folder: where the exported projects lie.
        verilog_templates: the templates whose projects hold the Verilog of the priced accelerator.
    """

    name: str
    task: str
    task_title: str
    blueprints: tuple[str, ...]
    templates: tuple[str, ...]
    strategy: str
    budget: int
    initial: int
    objectives: tuple[ObjectiveSummary, ...]
    limits: tuple[LimitSummary, ...] = ()
    main_parameters: tuple[str, ...] = ()
    export_folder: str = ""
    verilog_templates: tuple[str, ...] = ()


@dataclass(frozen=True)
class DeviceSummary:
    """The device and its capacities.

    Attributes:
        capacities: available amount by resource (``lut``, ``ff``, ``dsp``, ``bram18``, ``uram``); a resource the
            device does not have is 0 or missing.
    """

    name: str
    title: str
    part: str
    clock_mhz: float
    capacities: Mapping[str, int]


@dataclass(frozen=True)
class EvaluatedDesign:
    """One design that was evaluated by training, or failed to be.

    Attributes:
        id: of the design point.
        order: position in the sequence of evaluations, from 1.
        values: active parameters by name, in the order of the space.
        kpis: figures by KPI name; ``accuracy`` is the validation accuracy (a share of 1), which the search saw.
            Empty when the evaluation failed.
        failure: why it failed; None when it did not.
    """

    id: str
    order: int
    blueprint: str
    template: str
    values: Mapping[str, Value]
    kpis: Mapping[str, Estimate]
    failure: str | None = None


@dataclass(frozen=True)
class LayerRow:
    """One layer of a front design.

    Attributes:
        shape: of the output, such as ``"1 x 25 x 32"`` (height x width x channels).
        weights, macs: counts per inference; biases not counted.
        weight_bits, activation_bits: widths of the weights (0: none) and of the output tensor.
        cycles: predicted for this layer; None where the template does not count it apart.
        reuse: reuse factor in the exported project; None without weights or before export.
        share: of the design's cycles, 0 to 1; None without ``cycles``.
    """

    name: str
    op: str
    shape: str
    weights: int
    weight_bits: int
    activation_bits: int
    macs: int
    cycles: float | None = None
    reuse: int | None = None
    share: float | None = None


@dataclass(frozen=True)
class FrontDesign:
    """A non-dominated design with everything that is known of it.

    Attributes:
        design: its parameters and figures.
        accuracy_test: accuracy on the held-out test split, which the search never saw; None before it was measured.
        layers: in topological order.
        csim: None before verification.
        folder: exported project; empty before export.
        rtl: of the priced accelerator's Verilog; None before verification, and where the project has none.
        synthesis: the strongest that was done; None before.
    """

    design: EvaluatedDesign
    accuracy_test: Estimate | None = None
    layers: tuple[LayerRow, ...] = ()
    csim: CsimMatch | None = None
    folder: str = ""
    rtl: RtlMatch | None = None
    synthesis: SynthesisFound | None = None

    @property
    def id(self) -> str:
        """Of the design point."""
        return self.design.id


@dataclass(frozen=True)
class CalibrationPoint:
    """A prediction that did not know the evaluation of its design, and what the evaluation gave."""

    id: str
    predicted: float
    low: float
    high: float
    measured: float


@dataclass(frozen=True)
class CalibrationRecord:
    """Predictions of one objective against its evaluations.

    Attributes:
        kpi: the objective.
        nominal: coverage that the intervals claim.
        method: how predictions and evaluations were kept apart, such as ``"leave-one-out"``.
        points: in the order of evaluation, in the unit of the KPI.
        coverage: of the intervals at each level that the predictor states; empty where it states that of the points alone.
        nlpd: mean negative log predictive density, in the predictor's own space; None where it is not known.
        recalibrated: the intervals were widened or narrowed to what held, because the predictor's own had missed.
    """

    kpi: str
    unit: str
    nominal: float
    method: str
    points: tuple[CalibrationPoint, ...]
    coverage: tuple[Coverage, ...] = ()
    nlpd: float | None = None
    recalibrated: bool = False


@dataclass(frozen=True)
class HypervolumeCurve:
    """Hypervolume of the front so far after each evaluation.

    Attributes:
        values: after evaluation 1, 2, ... (failed ones repeat the value before).
        reference: reference point in words.
        normalised: values are shares of the hypervolume of the ideal point.
    """

    values: tuple[float, ...]
    reference: str
    normalised: bool = True


@dataclass(frozen=True)
class Counts:
    """How many designs went through each stage.

    Attributes:
        space_size: points of the design space.
        priced: designs priced with the analytical models.
        failed: evaluations that failed.
        seconds: wall-clock time of the run so far.
        stages: seconds by stage name.
        fidelities: the cheapest first; empty where every design was trained once, in full.
    """

    space_size: int
    priced: int
    evaluated: int
    failed: int
    seconds: float
    stages: Mapping[str, float] = field(default_factory=dict)
    fidelities: tuple[FidelityCount, ...] = ()


@dataclass(frozen=True)
class Provenance:
    """What is needed to run the study again.

    Attributes:
        created: time of the report, ISO 8601.
        study_hash: of everything that decides which designs are evaluated.
        data_hash: SHA-256 of the data set.
        versions: by package or tool.
        commands: that made this study, in order.
        notes: further rows (label to text): licence and attribution of the data, machine, ...
    """

    created: str
    study_hash: str
    seed: int
    data_hash: str
    versions: Mapping[str, str]
    commands: tuple[str, ...]
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportDocument:
    """A whole report.

    Attributes:
        front: non-dominated designs, most accurate first.
        evaluated: all evaluated designs in order, the front's and the failed ones included.
        calibration: one record per predicted objective; empty before the predictor made predictions.
        hypervolume: None before two designs were evaluated.
    """

    study: StudySummary
    device: DeviceSummary
    front: tuple[FrontDesign, ...]
    evaluated: tuple[EvaluatedDesign, ...]
    calibration: tuple[CalibrationRecord, ...]
    hypervolume: HypervolumeCurve | None
    counts: Counts
    provenance: Provenance

    def __post_init__(self) -> None:
        known = {design.id for design in self.evaluated}
        strangers = [item.id for item in self.front if item.id not in known]
        if strangers:
            raise ValueError(f"front designs that were not evaluated: {', '.join(strangers)}")
        if len(known) != len(self.evaluated):
            raise ValueError("a design is evaluated twice")

    @cached_property
    def front_ids(self) -> frozenset[str]:
        """Ids of the front designs."""
        return frozenset(item.id for item in self.front)

    @property
    def succeeded(self) -> tuple[EvaluatedDesign, ...]:
        """Evaluated designs that did not fail."""
        return tuple(design for design in self.evaluated if design.failure is None)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, with the schema number; `from_dict` reads them back."""
        document: dict[str, Any] = TypeAdapter(ReportDocument).dump_python(self, mode="json")
        return {"schema": SCHEMA, **document}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, where: str = "report") -> ReportDocument:
        """Inverse of `as_dict`; keys that `codesign.report.render` adds are passed over.

        Raises:
            InputError: another schema, a missing key or a wrong type.
        """
        if data.get("schema") != SCHEMA:
            raise InputError(
                f"report schema {data.get('schema')!r} is not known, this version reads {SCHEMA}", where=where, remedy="Run `codesign report` again"
            )
        try:
            return TypeAdapter(ReportDocument).validate_python(data)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InputError(f"{place}: {first['msg']}", where=where, remedy="Run `codesign report` again") from None
