"""The result of a study in plain words: what was found, whether it is proved, what limits it, what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from codesign.accelerator.device import RESOURCES
from codesign.export.manifest import PRICED_AS_EXPORTED
from codesign.kpi.evaluate import KPI_UNITS
from codesign.report.document import EvaluatedDesign, FrontDesign, LimitSummary, ReportDocument
from codesign.report.formatting import PERCENT, THIN, count, inside, kpi_scale, kpi_title, names, plural, significant
from codesign.report.picks import roles_of

BINDING = 0.9
"""A limit binds when a front design uses at least this share of it."""
STILL_GROWING = 0.01
"""The search had not settled when the last fifth of the evaluations raised the hypervolume by more than this share."""


class Tone(StrEnum):
    """How good the news is."""

    GOOD = "good"
    INCOMPLETE = "incomplete"
    BAD = "bad"


@dataclass(frozen=True)
class Action:
    """A next step.

    Attributes:
        text: what it does.
        command: to type.
    """

    text: str
    command: str


@dataclass(frozen=True)
class Verdict:
    """The result in words.

    Attributes:
        headline: one line.
        sentences: what was found, proved and limited.
        actions: what to do next, most urgent first.
    """

    tone: Tone
    headline: str
    sentences: tuple[str, ...]
    actions: tuple[Action, ...]


@dataclass(frozen=True)
class LimitUse:
    """How much of a limit the front uses at most.

    Attributes:
        share: 1 at the limit.
        design: the front design that comes closest.
    """

    limit: LimitSummary
    share: float
    design: FrontDesign

    @property
    def binds(self) -> bool:
        """The front reaches the limit, near enough."""
        return self.share >= BINDING


def verdict(document: ReportDocument) -> Verdict:
    """Judge a study, finished or not."""
    tone, headline = _headline(document)
    told = (_what_was_done, _what_is_proved, _what_the_rtl_proves, _what_stays_open, _clocks, _spans, _limits, _failures)
    sentences = tuple(sentence(document) for sentence in told)
    return Verdict(tone, headline, tuple(text for text in sentences if text), tuple(_actions(document)))


def utilisation(document: ReportDocument, design: EvaluatedDesign) -> dict[str, float]:
    """Share of each device resource that a design uses, by resource; resources that the device lacks are left out."""
    capacities = document.device.capacities
    return {name: design.kpis[name].value / capacities[name] for name in RESOURCES if capacities.get(name, 0) > 0 and name in design.kpis}


def limit_uses(document: ReportDocument) -> tuple[LimitUse, ...]:
    """The front's closest approach to each limit of the study, the nearest first."""
    uses = []
    for limit in document.study.limits:
        shares = [(share, item) for item in document.front if (share := _share(document, limit, item.design)) is not None]
        if shares:
            share, item = max(shares, key=lambda entry: entry[0])
            uses.append(LimitUse(limit, share, item))
    return tuple(sorted(uses, key=lambda use: -use.share))


def _share(document: ReportDocument, limit: LimitSummary, design: EvaluatedDesign) -> float | None:
    if limit.kpi == "utilisation":
        shares = utilisation(document, design)
        return max(shares.values()) / limit.bound if shares else None
    figure = design.kpis.get(limit.kpi)
    if figure is None or figure.value <= 0:
        return None
    return figure.value / limit.bound if limit.at_most else limit.bound / figure.value


def limit_text(limit: LimitSummary) -> str:
    """A limit as in ``latency ≤ 1,000 µs``."""
    scale = kpi_scale(limit.kpi, [limit.bound], KPI_UNITS.get(limit.kpi, ""))
    return f"{kpi_title(limit.kpi)} {'≤' if limit.at_most else '≥'} {f'{limit.bound * scale.factor:,.6g}'}{THIN}{scale.unit}".rstrip()


def _headline(document: ReportDocument) -> tuple[Tone, str]:
    size, simulated = len(document.front), [item for item in document.front if item.csim]
    if not document.evaluated:
        return Tone.INCOMPLETE, "No design has been evaluated yet"
    if not size:
        done = plural(len(document.evaluated), "evaluation")
        return Tone.BAD, f"No front: {done} and no design within the limits" if document.succeeded else f"No front: {done}, all failed"
    front = f"{plural(size, 'design')} on the front"
    different = [item for item in simulated if item.csim and not item.csim.exact]
    wrong = _rtl_mismatches(document)
    if different or wrong:
        told = f"{len(different)} of {len(simulated)} not bit-exact in C simulation" if different else f"{len(wrong)} not as predicted in RTL simulation"
        return Tone.BAD, f"{front}, {told}"
    if not simulated:
        return Tone.INCOMPLETE, f"{front}, none proved in C simulation yet"
    if len(simulated) < size:
        return Tone.INCOMPLETE, f"{front}, {len(simulated)} of {size} proved bit-exact in C simulation so far"
    return Tone.GOOD, f"{front}, all {size} of {size} bit-exact in C simulation" if size > 1 else f"{front}, bit-exact in C simulation"


def _rtl_mismatches(document: ReportDocument) -> list[str]:
    """Designs whose RTL simulation gave other outputs than the quantised model or other cycles than the cost model."""
    return [item.id for item in document.front if item.rtl and not (item.rtl.exact and item.rtl.cycles_equal)]


def _what_was_done(document: ReportDocument) -> str:
    counts = document.counts
    if not document.evaluated:
        return f"The design space holds {count(counts.space_size)} designs; {count(counts.priced)} of them have been priced and none trained."
    objectives = names(inside(kpi_title(objective.name)) for objective in document.study.objectives)
    evaluated = f"{plural(counts.evaluated, 'design')} {'was' if counts.evaluated == 1 else 'were'} evaluated by training"
    priced = f"{count(counts.priced)} priced, out of a space of {count(counts.space_size)}"
    size = len(document.front)
    kept = f"; {size} of them {'is' if size == 1 else 'are'} non-dominated in {objectives}" if size else ""
    return f"{evaluated} and {priced}{kept}."


def _what_is_proved(document: ReportDocument) -> str:
    matches = [(item, item.csim) for item in document.front if item.csim]
    if not document.front:
        return ""
    if not matches:
        return "No C simulation has run: whether the hardware projects compute what was trained is not known yet."
    different = [(item, match) for item, match in matches if not match.exact]
    samples = _span([match.samples for _, match in matches])
    if not different:
        return (
            f"{len(matches)} of {plural(len(document.front), 'point')} {'is' if len(matches) == 1 else 'are'} bit-exact on {samples} held-out samples: "
            "every output of the compiled hardware project equals the quantised model."
        )
    told = [f"{item.id} (first at layer {match.first_diverging_layer or 'unknown'}, {PERCENT.text(match.elements_exact)} exact)" for item, match in different]
    return f"{names(told)} {'differs' if len(told) == 1 else 'differ'} from the quantised model on {samples} held-out samples; do not build hardware from it."


def other_templates(document: ReportDocument) -> tuple[str, ...]:
    """Templates of the study whose figures describe another architecture than the hls4ml projects."""
    return tuple(name for name in document.study.templates if name not in PRICED_AS_EXPORTED)


def csim_scope(document: ReportDocument) -> str:
    """What C simulation says, and does not say, of the templates that are not exported as they are priced."""
    templates = other_templates(document)
    if not templates:
        return ""
    verilog = names(name for name in templates if name in document.study.verilog_templates)
    without = names(name for name in templates if name not in document.study.verilog_templates)
    sentences = [
        f"Designs on {names(templates)} are priced as another architecture than their hls4ml project, a dataflow design with hardware for each layer.",
        "Their C simulation proves the network's arithmetic, every integer of every layer; Vitis will report the cycles and resources of the dataflow design.",
    ]
    if verilog:
        sentences.append(f"The Verilog of a priced {verilog} lies beside it; RTL simulation proves it, cycles included.")
    if without:
        sentences.append(f"The RTL of a priced {without} is not part of the project.")
    return " ".join(sentences)


def _what_the_rtl_proves(document: ReportDocument) -> str:
    """RTL simulation of the priced accelerators: data and cycles."""
    matches = [(item, item.rtl) for item in document.front if item.rtl]
    if not matches:
        return ""
    wrong = [f"{item.id} differs from the quantised model (first at layer {rtl.first_diverging_layer or 'unknown'})" for item, rtl in matches if not rtl.exact]
    slow = [
        f"{item.id} takes {count(rtl.cycles_simulated)} cycles where {count(rtl.cycles_predicted)} were predicted"
        for item, rtl in matches
        if not rtl.cycles_equal
    ]
    if wrong or slow:
        return f"In RTL simulation of the priced accelerator {names([*wrong, *slow])}."
    return (
        f"RTL simulation of the priced accelerator ran for {plural(len(matches), 'point')}: every output equals the quantised model, "
        "and the cycles are those that were predicted."
    )


def _clocks(document: ReportDocument) -> str:
    """Designs whose placed and routed hardware does not reach the clock that they were priced at."""
    missed = [
        f"{item.id} reaches {significant(found.fmax_mhz)}{THIN}MHz of the {found.clock_mhz:g}{THIN}MHz that it was priced at"
        for item in document.front
        if (found := item.synthesis) is not None and found.fmax_mhz is not None and not found.meets_clock
    ]
    return f"After place and route {names(missed)}." if missed else ""


def _what_stays_open(document: ReportDocument) -> str:
    """Front designs of which C simulation has run but whose priced accelerator is not proven."""
    others = other_templates(document)
    open_ = sorted({item.design.template for item in document.front if item.csim and not item.rtl and item.design.template in others})
    if not open_:
        return ""
    return (
        f"For {names(open_)}, C simulation speaks of the network's arithmetic, not of the priced accelerator: "
        "the hls4ml project is a dataflow design with other cycles and resources."
    )


def _span(values: list[int]) -> str:
    return count(values[0]) if len(set(values)) == 1 else f"{count(min(values))} to {count(max(values))}"


def _spans(document: ReportDocument) -> str:
    """Range of accuracy, latency and energy over the front."""
    if len(document.front) < 2:
        return ""
    parts = []
    tests = [item.accuracy_test.value for item in document.front if item.accuracy_test]
    if len(tests) == len(document.front):
        parts.append(f"test accuracy {PERCENT.number(min(tests))} to {PERCENT.text(max(tests))}")
    elif all("accuracy" in item.design.kpis for item in document.front):
        values = [item.design.kpis["accuracy"].value for item in document.front]
        parts.append(f"validation accuracy {PERCENT.number(min(values))} to {PERCENT.text(max(values))}")
    for name in ("latency_us", "energy_uj"):
        figures = [item.design.kpis[name] for item in document.front if name in item.design.kpis]
        if len(figures) == len(document.front):
            values = [figure.value for figure in figures]
            scale = kpi_scale(name, values, figures[0].unit)
            times = f" ({max(values) / min(values):.3g} times)" if min(values) > 0 else ""
            parts.append(f"{inside(kpi_title(name))} {scale.number(min(values))} to {scale.text(max(values))}{times}")
    return f"The front spans {names(parts)}." if parts else ""


def _limits(document: ReportDocument) -> str:
    if not document.front:
        return ""
    if not document.study.limits:
        shares = [max(found.values()) for item in document.front if (found := utilisation(document, item.design))]
        fullest = f": the fullest front design takes {PERCENT.text(max(shares))} of the device" if shares else ""
        return f"The study sets no limits of its own{fullest}."
    uses = limit_uses(document)
    binding = [use for use in uses if use.binds]
    if binding:
        told = [f"{inside(limit_text(use.limit))} ({use.design.id} is at {PERCENT.text(use.share)} of it{_rejected(use.limit)})" for use in binding]
        return f"The front is bound by {names(told)}."
    if not uses:
        return ""
    return f"No limit binds: the nearest is {inside(limit_text(uses[0].limit))}, of which {PERCENT.text(uses[0].share)} is used."


def _rejected(limit: LimitSummary) -> str:
    return f"; {plural(limit.rejected, 'priced design')} exceeded it" if limit.rejected else ""


def _failures(document: ReportDocument) -> str:
    failed = [design for design in document.evaluated if design.failure is not None]
    if not failed:
        return ""
    return f"{plural(len(failed), 'evaluation')} failed, such as {failed[0].id}: {failed[0].failure}."


def _actions(document: ReportDocument) -> Iterable[Action]:
    """What to do next, most urgent first."""
    study, done = document.study, len(document.evaluated)
    if done and not document.succeeded:
        yield Action("Every evaluation failed: remove the cause that the failures name, then continue.", "codesign run")
        return
    spent, fidelities = float(done), document.counts.fidelities
    if fidelities:
        spent = sum(part.cost for part in fidelities)
    # Where a study chooses fidelities, what is left may not pay for a full training.
    finished = spent > study.budget - 1
    if not finished:
        what = "full trainings are spent" if fidelities else "evaluations are done"
        yield Action(f"Continue the search: {spent:.3g} of {study.budget} {what}.", "codesign run")
    if not document.front:
        if finished:
            yield Action("Loosen the limits or widen the space in the study file, then search again.", "codesign run")
        return
    different = [item.id for item in document.front if item.csim and not item.csim.exact]
    if different:
        yield Action("Look at the first layer that differs.", f"codesign verify {different[0]}")
    wrong = _rtl_mismatches(document)
    if wrong:
        yield Action("Look at what differs in RTL simulation.", f"codesign verify {wrong[0]} --level rtl")
    if any(item.csim is None for item in document.front):
        yield Action("Export the front and simulate it.", "codesign verify --front")
        return
    if different or wrong:
        return
    if any(item.rtl is None and item.design.template in document.study.verilog_templates for item in document.front):
        yield Action("Simulate the Verilog of the priced accelerators, cycles included.", "codesign verify --front --level rtl")
    yield from _when_proved(document)


def _when_proved(document: ReportDocument) -> Iterable[Action]:
    best = next(iter(roles_of(document)), document.front[0].id)
    where = f" The projects lie in {document.study.export_folder}." if document.study.export_folder else ""
    yield Action(f"Take a design on to synthesis.{where}", f"codesign show {best}")
    binding = [use for use in limit_uses(document) if use.binds]
    if binding:
        yield Action(f"For designs beyond this front, loosen {binding[0].limit.kpi} under [limits] in the study file.", "codesign run")
    growth = late_growth(document)
    if growth is not None and growth > STILL_GROWING:
        yield Action(
            f"The front was still improving (hypervolume +{PERCENT.text(growth)} over the last fifth of the evaluations): raise evaluations under [budget].",
            "codesign run",
        )


def late_growth(document: ReportDocument) -> float | None:
    """Relative growth of the hypervolume over the last fifth of the evaluations; None before there are ten."""
    curve = document.hypervolume
    if curve is None or len(curve.values) < 10:
        return None
    before, last = curve.values[-1 - len(curve.values) // 5], curve.values[-1]
    return last / before - 1.0 if before > 0 else None
