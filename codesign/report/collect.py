"""From the store to a report document."""

from __future__ import annotations

import itertools
import math
import platform
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from codesign import toolchain
from codesign.export.pipeline import HARDWARE
from codesign.kpi.evaluate import KPI_UNITS, price
from codesign.network.layers import Op
from codesign.network.tasks.registry import task_record
from codesign.report.document import (
    CalibrationPoint,
    CalibrationRecord,
    Counts,
    DeviceSummary,
    EvaluatedDesign,
    FrontDesign,
    HypervolumeCurve,
    LayerRow,
    LimitSummary,
    ObjectiveSummary,
    Provenance,
    ReportDocument,
    StudySummary,
)
from codesign.report.proofs import CsimMatch, RtlMatch, SynthesisFound
from codesign.search.acquisition import designs_of
from codesign.search.pareto import hypervolume_curve
from codesign.search.specification import ACCURACY, MAXIMISED
from codesign.search.study import Evaluated, Study
from codesign.store.study_store import DONE
from codesign.surrogate.encoding import Encoding
from codesign.surrogate.prior import Predictor

LEAVE_ONE_OUT = "leave-one-out: each design is predicted from all the others"
PACKAGES = ("codesign", "torch", "brevitas", "hls4ml", "gpytorch", "botorch", "networkx", "numpy")


def collect(study: Study) -> ReportDocument:
    """Everything that is known of a study, finished or not."""
    evaluated = study.evaluated()
    order = {item.id: number for number, item in enumerate(evaluated, start=1)}
    known = {item.id: _evaluated(study, item, order[item.id]) for item in evaluated}
    return ReportDocument(
        study=_study(study),
        device=_device(study),
        front=tuple(_front_design(study, item, known[item.id]) for item in study.front()),
        evaluated=tuple(known.values()),
        calibration=_calibration(study, evaluated),
        hypervolume=_hypervolume(study, evaluated),
        counts=_counts(study, evaluated),
        provenance=_provenance(study),
    )


def _study(study: Study) -> StudySummary:
    specification = study.specification
    limits = [
        LimitSummary(kpi=name, bound=bound, at_most=name not in MAXIMISED)
        for name, bound in (specification.limits | _default_limits(specification.limits)).items()
    ]
    return StudySummary(
        name=specification.name,
        task=specification.task,
        task_title=task_record(specification.task).title,
        blueprints=specification.blueprints,
        templates=specification.templates,
        strategy=specification.strategy.name,
        budget=specification.budget.evaluations,
        initial=specification.budget.initial,
        objectives=tuple(ObjectiveSummary(name, name in MAXIMISED) for name in specification.objectives),
        limits=tuple(limits),
        export_folder=str(study.project_folder("")),
        verilog_templates=tuple(name for name in specification.templates if name in HARDWARE),
    )


def _default_limits(given: dict[str, float]) -> dict[str, float]:
    """The device itself is a limit."""
    return {} if "utilisation" in given else {"utilisation": 1.0}


def _device(study: Study) -> DeviceSummary:
    device = study.specification.find_device()
    capacities = {name: int(amount) for name, amount in device.resources.items()}
    return DeviceSummary(device.name, device.title, device.part, device.clock_mhz.value, capacities)


def _evaluated(study: Study, item: Evaluated, order: int) -> EvaluatedDesign:
    joint, point = study.pricing.joint, item.design.point
    values = dict(point.assignment)
    figures = {name: estimate for name, estimate in study.figures(item).items() if name != "test_accuracy"}
    return EvaluatedDesign(
        id=item.id,
        order=order,
        blueprint=joint.blueprint_of(point).name,
        template=joint.template_of(point).name,
        values={name: values[name] for name in joint.space.names if name in values},
        kpis=figures if item.evaluation.state == DONE else {},
        failure=None if item.evaluation.state == DONE else item.evaluation.error or "unknown",
    )


def _front_design(study: Study, item: Evaluated, design: EvaluatedDesign) -> FrontDesign:
    result, simulated = (study.store.verifications(level).get(item.id) for level in ("csim", "rtl"))
    synthesised = study.store.verifications("pnr").get(item.id) or study.store.verifications("synth").get(item.id)
    folder, classes = study.project_folder(item.id), len(task_record(study.specification.task).classes)
    return FrontDesign(
        design=design,
        accuracy_test=study.figures(item).get("test_accuracy"),
        layers=_layers(study, item),
        csim=None if result is None else CsimMatch(**_match(result, classes)),
        rtl=None if simulated is None else _rtl_match(simulated, classes),
        synthesis=None if synthesised is None else _synthesis(item, synthesised),
        folder=str(folder) if folder.is_dir() else "",
    )


def _match(result: dict[str, Any], classes: int) -> dict[str, Any]:
    """What all simulations have in common: counts of the verification as shares."""
    samples = int(result["samples"])
    kept = ("argmax_agreement", "max_abs_difference", "first_diverging_layer", "metric_quantised", "metric_simulated", "seconds")
    shares = {"elements_exact": result["elements_exact"] / (samples * classes), "samples_exact": result["samples_exact"] / samples}
    return {"samples": samples, **shares, **{name: result[name] for name in kept}}


def _rtl_match(result: dict[str, Any], classes: int) -> RtlMatch:
    return RtlMatch(
        **_match(result, classes),
        cycles_predicted=result["cycles_predicted"],
        cycles_simulated=result["cycles_simulated"],
        changed_files=tuple(result.get("changed_files", ())),
    )


def _synthesis(item: Evaluated, result: dict[str, Any]) -> SynthesisFound:
    """Counts beside those of the cost model alone, which has learned nothing from them."""
    return SynthesisFound(
        level=result["level"],
        resources=result["resources"],
        predicted={name: item.design.kpis[name].value for name in result["resources"]},
        tool=result["tool"],
        clock_mhz=result["clock_mhz"],
        fmax_mhz=result["fmax_mhz"],
        changed_files=tuple(result.get("changed_files", ())),
    )


def _layers(study: Study, item: Evaluated) -> tuple[LayerRow, ...]:
    joint, point = study.pricing.joint, item.design.point
    table = price(joint, joint.space.indices([point]), per_layer=True)
    plan = joint.plan(point)
    names, figures = (table.layer_names or ((),))[0], table.layers or {}
    cycles = {name: float(figures["cycles"][0, slot]) for slot, name in enumerate(names) if name}
    total = sum(cycles.values())
    return tuple(
        LayerRow(
            name=layer.name,
            op=layer.op.name.lower(),
            shape=f"{layer.out_h} x {layer.out_w} x {layer.out_c}",
            weights=layer.weights,
            weight_bits=layer.weight_bits,
            activation_bits=layer.output_bits,
            macs=layer.macs,
            cycles=cycles.get(layer.name),
            reuse=plan.reuse.get(layer.name),
            share=cycles[layer.name] / total if total and layer.name in cycles else None,
        )
        for layer in joint.graph(point)
        if layer.op is not Op.INPUT
    )


def _calibration(study: Study, evaluated: list[Evaluated]) -> tuple[CalibrationRecord, ...]:
    """Each figure as its predictor gives it from all the other designs (closed-form leave-one-out): accuracy, and objectives with evidence."""
    return (*_accuracy_calibration(study, evaluated), *_kpi_calibration(study))


def _kpi_calibration(study: Study) -> Iterator[CalibrationRecord]:
    """Key figures that are objectives and have enough evidence for a correction."""
    study.evidence.learn()
    for name in study.specification.objectives:
        correction = study.pricing.corrections.get(name)
        if correction is None or (left := correction.left_out) is None:
            continue
        columns = (correction.ids, left.value.tolist(), left.low.tolist(), left.high.tolist(), correction.measured.tolist())
        yield CalibrationRecord(name, KPI_UNITS[name], 0.95, LEAVE_ONE_OUT, tuple(itertools.starmap(CalibrationPoint, zip(*columns, strict=True))))


def _accuracy_calibration(study: Study, evaluated: list[Evaluated]) -> tuple[CalibrationRecord, ...]:
    done = [item for item in evaluated if item.evaluation.state == DONE]
    if not done or ACCURACY not in study.specification.objectives:
        return ()
    problem = study.pricing.problem
    indices = problem.space.indices(item.design.point for item in done)
    column = study.specification.objectives.index(ACCURACY)
    designs = designs_of(problem, problem.pool(indices), column)
    measured = np.array([item.evaluation.metrics[ACCURACY] for item in done])
    predictor = Predictor(Encoding.build(problem.space, problem.objectives[column].half), designs, measured, log=False)
    found = predictor.calibration(ACCURACY)
    if found is None:
        return ()
    points = tuple(CalibrationPoint(item.id, point.predicted, point.low, point.high, point.measured) for item, point in zip(done, found.points, strict=True))
    recalibrated = predictor.recalibration is not None
    return (CalibrationRecord(ACCURACY, "1", 0.95, LEAVE_ONE_OUT, points, found.coverage, found.nlpd, recalibrated),)


def _hypervolume(study: Study, evaluated: list[Evaluated]) -> HypervolumeCurve | None:
    """Hypervolume in model space (logarithms of costs), as a share of the box between the worst and the best values seen."""
    values = np.array([study.values_of(item) for item in evaluated])
    complete = ~np.isnan(values).any(axis=1) if len(values) else np.zeros(0, dtype=bool)
    if complete.sum() < 2:
        return None
    problem = study.pricing.problem
    model = np.full(values.shape, np.nan)
    model[complete] = problem.to_model(values[complete])
    reference, ideal = model[complete].max(axis=0), model[complete].min(axis=0)
    box = float(np.prod(reference - ideal))
    if box <= 0.0:
        return None
    curve = hypervolume_curve(model, reference, np.zeros(len(reference), dtype=bool)) / box
    worst = ", ".join(f"{name} {value:.4g}" for name, value in zip(study.specification.objectives, problem.to_natural(reference), strict=True))
    return HypervolumeCurve(tuple(curve.tolist()), f"worst values evaluated: {worst}; costs on a logarithmic scale; 1 is the box up to the best values")


def _counts(study: Study, evaluated: list[Evaluated]) -> Counts:
    stages = study.compute_seconds()
    return Counts(
        space_size=study.pricing.joint.space.size(),
        priced=sum(detail["count"] for _, detail in study.store.events("priced")),
        evaluated=len(evaluated),
        failed=sum(item.evaluation.state != DONE for item in evaluated),
        seconds=math.fsum(stages.values()),
        stages=stages,
        fidelities=tuple(study.fidelity_counts()),
    )


def _provenance(study: Study) -> Provenance:
    record = task_record(study.specification.task)
    data = study.store.bound_data() or {"hash": "not loaded"}
    versions = {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}
    versions["g++"] = toolchain.version(toolchain.GXX) or "not installed"
    notes = {"data": record.attribution, "data licence": record.licence}
    notes |= {f"{split} samples": f"{data[split]:,}" for split in ("train", "validation", "test") if split in data}
    return Provenance(
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        study_hash=study.specification.hash,
        seed=study.specification.seed,
        data_hash=data["hash"],
        versions=versions,
        commands=tuple(detail["line"] for _, detail in study.store.events("command")),
        notes=notes,
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
