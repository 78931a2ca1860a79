"""What the commands say of verification results: tables, lines, and the error where a result is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from codesign.cli.output import number, say, table
from codesign.errors import VerificationError

if TYPE_CHECKING:
    from codesign.search.study import Evaluated, Study
    from codesign.verify.pipeline import Level

Results = Mapping[str, Mapping[str, Any]]


def print_results(level: Level, chosen: list[Evaluated], results: Results) -> None:
    """A table of what a level found, a row a design."""
    if level.simulates:
        _print_simulated(chosen, results)
    else:
        _print_synthesised(chosen, results)


def _print_simulated(chosen: list[Evaluated], results: Results) -> None:
    rows = [
        [
            i.id,
            f"{r['samples_exact']:,} of {r['samples']:,}",
            number(r["max_abs_difference"]),
            f"{r['metric_quantised']:.4f}",
            f"{r['metric_simulated']:.4f}",
            *("-" if r[name] is None else number(r[name]) for name in ("cycles_predicted", "cycles_simulated")),
        ]
        for i in chosen
        if (r := results.get(i.id))
    ]
    table(("design", "samples exact", "max difference", "accuracy Brevitas", "accuracy simulated", "cycles predicted", "cycles simulated"), rows)


def _print_synthesised(chosen: list[Evaluated], results: Results) -> None:
    rows = []
    for item in chosen:
        if found := results.get(item.id):
            predicted = item.design.kpis
            counts = [f"{number(value)} ({number(predicted[name].value)})" for name, value in found["resources"].items()]
            rows.append([item.id, *counts, "-" if found["fmax_mhz"] is None else f"{found['fmax_mhz']:.1f} MHz", found["tool"]])
    table(("design", "LUT (predicted)", "FF", "DSP", "BRAM18", "clock", "tool"), rows)
    for item in chosen:
        if (found := results.get(item.id)) and found["meets_clock"] is False:
            say(f"design {item.id} reaches {found['fmax_mhz']:.1f} MHz, not the {found['clock_mhz']:g} MHz that it was priced at")


def print_verified(study: Study, identifier: str) -> Results:
    """A line for each level at which a design was verified, and what to do where it was not; gives the results by level."""
    from codesign.verify.pipeline import LEVELS

    found = {name: results[identifier] for name in LEVELS if identifier in (results := study.store.verifications(name))}
    for name, result in found.items():
        say(f"{LEVELS[name].label}: {LEVELS[name].summary(result)}")
        if result.get("first_diverging_layer") is not None:
            path = study.project_folder(identifier) / LEVELS[name].logs[0] / "divergence.json"
            say(f"first diverging layer in {LEVELS[name].label}: {result['first_diverging_layer']}; details: {path}")
    if "csim" not in found:
        say(f"{LEVELS['csim'].label}: not verified; `codesign verify {identifier}` does it")
    return found


def raise_mismatches(study: Study, chosen: list[Evaluated], level: Level) -> None:
    """Exit code 6 when a verified design differs from its quantised model, or its hardware takes other cycles than were predicted."""
    results = study.store.verifications(level.name)
    ran = [(item.id, results[item.id]) for item in chosen if item.id in results]
    where = f"study {study.specification.name}"
    wrong = [identifier for identifier, result in ran if result["samples_exact"] != result["samples"]]
    if wrong:
        raise VerificationError(
            f"{len(wrong)} of {len(chosen)} designs differ from the quantised model in {level.label}: {', '.join(wrong)}",
            where=where,
            remedy="See the first diverging layer with `codesign show ID`",
        )
    slow = [
        f"{identifier} {number(result['cycles_simulated'])} instead of {number(result['cycles_predicted'])}"
        for identifier, result in ran
        if result["cycles_simulated"] not in (None, result["cycles_predicted"])
    ]
    if slow:
        raise VerificationError(
            f"{len(slow)} of {len(chosen)} designs are exact but take other cycles in {level.label} than were predicted: {', '.join(slow)}",
            where=where,
            remedy="Export them anew with `codesign export --force` if the Verilog was edited; else the cost model is wrong: please report it",
        )
