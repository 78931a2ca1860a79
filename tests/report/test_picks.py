from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from codesign.report.document import ObjectiveSummary, ReportDocument
from codesign.report.picks import FASTEST, KNEE, LOWEST_ENERGY, MOST_ACCURATE, normalised_gains, picks, roles_of
from tests.report.documents import make_design, make_document, make_front


def _document(*figures: tuple[str, float, float, float]) -> ReportDocument:
    designs = [make_design(*figure, order=order) for order, figure in enumerate(figures, 1)]
    return make_document(designs, [make_front(design) for design in designs])


def _chosen(document: ReportDocument) -> dict[str, str]:
    return {pick.role: pick.design.id for pick in picks(document)}


def test_extremes_and_knee_of_a_hand_made_front() -> None:
    document = _document(("accurate", 0.9, 1000.0, 1000.0), ("middle", 0.8, 10.0, 12.0), ("fast", 0.5, 1.0, 20.0), ("frugal", 0.4, 5.0, 1.0))
    assert _chosen(document) == {MOST_ACCURATE: "accurate", FASTEST: "fast", LOWEST_ENERGY: "frugal", KNEE: "middle"}


def test_reasons_say_what_is_gained_and_what_it_costs() -> None:
    document = _document(("accurate", 0.9, 100.0, 60.0), ("middle", 0.8, 10.0, 10.0), ("fast", 0.5, 1.0, 2.0))
    reasons = {pick.role: pick.why.replace("\u202f", " ") for pick in picks(document)}
    assert reasons[MOST_ACCURATE] == (
        "Has the highest validation accuracy of the front, 90.0 %, at 100 times the lowest latency and 30 times the lowest energy per inference."
    )
    assert reasons[FASTEST] == "Has the lowest latency of the front, 1.00 µs, 40.0 percentage points of validation accuracy below the best."
    assert reasons[KNEE] == (
        "The most even compromise: of the way from the front's worst to its best, it goes 75 % in validation accuracy, "
        "50 % in latency and 53 % in energy per inference."
    )


def test_gains_run_from_0_to_1_with_costs_as_logarithms() -> None:
    gains = normalised_gains(_document(("a", 0.9, 100.0, 4.0), ("b", 0.7, 10.0, 2.0), ("c", 0.5, 1.0, 1.0)))
    np.testing.assert_allclose(gains, [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.0, 1.0, 1.0]])


def test_the_knee_does_not_count_twin_objectives_twice() -> None:
    """Latency and energy that say the same must not pull the knee to the cheap end."""
    document = _document(("a", 0.9, 1000.0, 1000.0), ("b", 0.7, 30.0, 30.0), ("c", 0.5, 1.0, 1.0))
    assert _chosen(document)[KNEE] == "b"


def test_a_tie_goes_to_the_design_that_is_better_elsewhere() -> None:
    document = _document(("z", 0.9, 10.0, 5.0), ("a", 0.9, 20.0, 4.0))
    assert _chosen(document)[MOST_ACCURATE] == "z"


def test_one_design_may_hold_several_roles() -> None:
    document = _document(("best", 0.9, 1.0, 1.0))
    assert roles_of(document) == {"best": (MOST_ACCURATE, FASTEST, LOWEST_ENERGY)}


def test_no_knee_below_three_designs_or_with_one_varying_objective() -> None:
    assert KNEE not in _chosen(_document(("a", 0.9, 10.0, 10.0), ("b", 0.5, 1.0, 1.0)))
    constant = _document(("a", 0.9, 1.0, 1.0), ("b", 0.8, 1.0, 1.0), ("c", 0.7, 1.0, 1.0))
    assert KNEE not in _chosen(constant)


def test_a_role_needs_its_figure() -> None:
    document = _document(("a", 0.9, 10.0, 10.0))
    bare = dataclasses.replace(document.evaluated[0], kpis={"latency_us": document.evaluated[0].kpis["latency_us"]})
    without = dataclasses.replace(document, evaluated=(bare,), front=(make_front(bare),))
    assert _chosen(without) == {FASTEST: "a"}


def test_empty_front_has_no_picks(empty: ReportDocument) -> None:
    assert picks(empty) == ()


@pytest.mark.parametrize("maximise", [True, False])
def test_direction_of_an_objective_is_respected(maximise: bool) -> None:
    document = _document(("a", 0.9, 100.0, 4.0), ("b", 0.5, 1.0, 1.0))
    study = dataclasses.replace(document.study, objectives=(ObjectiveSummary("accuracy", maximise),))
    gains = normalised_gains(dataclasses.replace(document, study=study))
    assert gains[:, 0].tolist() == ([1.0, 0.0] if maximise else [0.0, 1.0])
