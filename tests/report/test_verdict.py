from __future__ import annotations

import dataclasses

import pytest

from codesign.report.document import EvaluatedDesign, HypervolumeCurve, LimitSummary, ReportDocument
from codesign.report.proofs import CsimMatch
from codesign.report.verdict import Tone, csim_scope, late_growth, limit_uses, verdict
from codesign.search.fidelity_counts import FidelityCount
from tests.report.documents import exact_match, make_design, make_document, make_front, rtl_match, synthesis_found


def _document(**more: object) -> ReportDocument:
    designs = [make_design("aa", 0.8, 990.0, 50.0, order=1), make_design("bb", 0.6, 20.0, 2.0, order=2)]
    return make_document(designs, [make_front(design, **more) for design in designs])


def _text(document: ReportDocument) -> str:
    return " ".join(verdict(document).sentences).replace("\u202f", " ")


def _commands(document: ReportDocument) -> list[str]:
    return [action.command for action in verdict(document).actions]


def test_everything_proved() -> None:
    document = _document(csim=exact_match(0.7))
    result = verdict(document)
    assert result.tone is Tone.GOOD
    assert result.headline == "2 designs on the front, all 2 of 2 bit-exact in C simulation"
    assert "2 of 2 points are bit-exact on 1,046 held-out samples" in _text(document)
    assert _commands(document)[:2] == ["codesign verify --front --level rtl", "codesign show aa"]


def test_what_simulation_does_not_say_of_a_shared_array() -> None:
    document = _document(csim=exact_match(0.7))
    told = "For pe_array, C simulation speaks of the network's arithmetic, not of the priced accelerator"
    assert told in _text(document)
    assert "Designs on pe_array are priced as another architecture" in csim_scope(document)
    assert "The Verilog of a priced pe_array lies beside it; RTL simulation proves it, cycles included." in csim_scope(document)
    assert "not part of the project" not in csim_scope(document)
    assert told not in _text(_document())
    assert told not in _text(_document(csim=exact_match(0.7), rtl=rtl_match()))
    bare = dataclasses.replace(document, study=dataclasses.replace(document.study, templates=("pe_array", "other_array")))
    assert "The Verilog of a priced pe_array lies beside it" in csim_scope(bare)
    assert "The RTL of a priced other_array is not part of the project." in csim_scope(bare)
    own = dataclasses.replace(document, study=dataclasses.replace(document.study, templates=("streaming",)))
    assert "priced accelerator" not in _text(own)
    assert csim_scope(own) == ""


def test_a_mismatch_is_the_headline_and_names_design_and_layer() -> None:
    document = _document(csim=exact_match(0.7))
    wrong = CsimMatch(1046, 0.8123, 0.6, 0.9, 5.0, "block1_first", 0.8, 0.7, 3.0)
    document = dataclasses.replace(document, front=(document.front[0], dataclasses.replace(document.front[1], csim=wrong)))
    result = verdict(document)
    assert result.tone is Tone.BAD
    assert result.headline.endswith("1 of 2 not bit-exact in C simulation")
    assert "bb (first at layer block1_first, 81.2 % exact) differs from the quantised model" in _text(document)
    assert _commands(document) == ["codesign verify bb"]


def test_the_rtl_of_the_priced_accelerator_is_proved() -> None:
    document = _document(csim=exact_match(0.7), rtl=rtl_match())
    assert verdict(document).tone is Tone.GOOD
    assert "RTL simulation of the priced accelerator ran for 2 points: every output equals the quantised model" in _text(document)
    assert _commands(document)[0] == "codesign show aa"


def test_an_rtl_mismatch_is_the_headline_and_says_what_differs() -> None:
    document = _document(csim=exact_match(0.7), rtl=rtl_match())
    wrong = rtl_match(elements_exact=0.9, max_abs_difference=3.0, first_diverging_layer="stem")
    slow = rtl_match(simulated=12_001.0)
    document = dataclasses.replace(document, front=tuple(dataclasses.replace(item, rtl=own) for item, own in zip(document.front, (wrong, slow), strict=True)))
    result = verdict(document)
    assert (result.tone, result.headline) == (Tone.BAD, "2 designs on the front, 2 not as predicted in RTL simulation")
    assert "aa differs from the quantised model (first at layer stem) and bb takes 12,001 cycles where 12,000 were predicted." in _text(document)
    assert _commands(document) == ["codesign verify aa --level rtl"]


def test_a_clock_that_is_not_reached_is_told() -> None:
    document = _document(csim=exact_match(0.7), synthesis=synthesis_found(level="pnr", fmax_mhz=61.04))
    assert "After place and route aa reaches 61.0 MHz of the 75 MHz that it was priced at and bb reaches" in _text(document)
    assert "After place and route" not in _text(_document(csim=exact_match(0.7), synthesis=synthesis_found(level="pnr", fmax_mhz=75.0)))
    assert "After place and route" not in _text(_document(csim=exact_match(0.7), synthesis=synthesis_found()))


def test_partly_simulated() -> None:
    document = _document()
    document = dataclasses.replace(document, front=(dataclasses.replace(document.front[0], csim=exact_match(0.7)), document.front[1]))
    assert verdict(document).tone is Tone.INCOMPLETE
    assert "1 of 2 proved" in verdict(document).headline
    assert _commands(document) == ["codesign verify --front"]


def test_not_simulated() -> None:
    assert "none proved in C simulation yet" in verdict(_document()).headline
    assert "No C simulation has run" in _text(_document())
    assert _commands(_document()) == ["codesign verify --front"]


def test_nothing_evaluated(empty: ReportDocument) -> None:
    result = verdict(empty)
    assert (result.tone, result.headline) == (Tone.INCOMPLETE, "No design has been evaluated yet")
    assert _commands(empty) == ["codesign run"]


def test_every_evaluation_failed() -> None:
    document = make_document([EvaluatedDesign("aa", 1, "mlp", "pe_array", {}, {}, "out of memory")], [])
    assert (verdict(document).tone, verdict(document).headline) == (Tone.BAD, "No front: 1 evaluation, all failed")
    assert "1 evaluation failed, such as aa: out of memory." in _text(document)
    assert "remove the cause" in verdict(document).actions[0].text


def test_no_design_within_the_limits() -> None:
    document = make_document([make_design("aa", 0.3, 10.0, 1.0)], [])
    assert verdict(document).headline == "No front: 1 evaluation and no design within the limits"
    assert "Loosen the limits" in verdict(document).actions[0].text


def test_unfinished_budget_comes_first() -> None:
    document = _document()
    document = dataclasses.replace(document, study=dataclasses.replace(document.study, budget=64))
    assert "2 of 64 evaluations" in verdict(document).actions[0].text
    assert _commands(document) == ["codesign run", "codesign verify --front"]


def test_a_study_that_chooses_fidelities_counts_full_trainings() -> None:
    """Two designs were trained in full, and short trainings and seeds took the rest: nothing is left to continue."""
    document = _document()

    def spend(short: float) -> str:
        parts = (FidelityCount("short", 8, 0, short, 8.0), FidelityCount("full", 2, 0, 2.0, 9.0))
        study = dataclasses.replace(document.study, budget=8)
        return verdict(dataclasses.replace(document, study=study, counts=dataclasses.replace(document.counts, fidelities=parts))).actions[0].text

    assert "3.5 of 8 full trainings are spent" in spend(1.5)
    assert "Continue" not in spend(5.5)


def test_the_binding_limit_is_named_with_the_design() -> None:
    document = _document(csim=exact_match(0.7))
    assert "The front is bound by latency ≤ 1,000 µs (aa is at 99.0 % of it; 41,210 priced designs exceeded it)." in _text(document)
    assert any("loosen latency_us" in action.text for action in verdict(document).actions)


def test_no_limit_binds() -> None:
    document = _document()
    study = dataclasses.replace(document.study, limits=(LimitSummary("latency_us", 2000.0),))
    assert "No limit binds: the nearest is latency ≤ 2 ms, of which 49.5 % is used." in _text(dataclasses.replace(document, study=study))


def test_a_least_value_is_used_the_other_way_round() -> None:
    document = _document()
    study = dataclasses.replace(document.study, limits=(LimitSummary("accuracy", 0.57, at_most=False),))
    (use,) = limit_uses(dataclasses.replace(document, study=study))
    assert (use.design.id, use.share) == ("bb", pytest.approx(0.95))
    assert "validation accuracy ≥ 57 %" in _text(dataclasses.replace(document, study=study))


def test_ranges_of_the_front() -> None:
    assert "validation accuracy 60.0 to 80.0 %, latency 20.0 to 990 µs (49.5 times) and energy per inference 2.00 to 50.0 µJ (25 times)" in _text(_document())


def test_late_growth_asks_for_more_evaluations() -> None:
    document = _document(csim=exact_match(0.7))
    growing = dataclasses.replace(document, hypervolume=HypervolumeCurve(tuple(0.1 * step for step in range(1, 11)), "worst"))
    assert late_growth(growing) == pytest.approx(1.0 / 0.8 - 1.0)
    assert any("still improving" in action.text for action in verdict(growing).actions)
    settled = dataclasses.replace(document, hypervolume=HypervolumeCurve((0.5,) * 10, "worst"))
    assert late_growth(settled) == 0.0
    assert not any("still improving" in action.text for action in verdict(settled).actions)
    assert late_growth(document) is None
