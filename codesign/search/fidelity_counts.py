"""What a study spent on each fidelity."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from codesign.search.fidelity import SEEDS
from codesign.search.specification import StudySpecification
from codesign.store.study_store import DONE, FAILED, StoredEvaluation


@dataclass(frozen=True)
class FidelityCount:
    """Evaluations of one fidelity.

    Attributes:
        name: ``short``, ``full``, or ``seeds`` for repeated full trainings.
        done, failed: how many ended, and how.
        cost: of all of them, in full trainings.
        seconds: processor time of those that succeeded.
    """

    name: str
    done: int
    failed: int
    cost: float
    seconds: float


def count_fidelities(specification: StudySpecification, rows: Collection[StoredEvaluation]) -> tuple[FidelityCount, ...]:
    """By fidelity, the cheapest first; nothing for a study without fidelities."""
    ladder = specification.ladder()
    if ladder is None or specification.fidelity is None:
        return ()
    kinds = [(fidelity.name, fidelity, False) for fidelity in ladder.fidelities]
    if SEEDS in specification.fidelity.levels:
        kinds.append((SEEDS, ladder.fidelities[ladder.top], True))
    counts = []
    for name, fidelity, repeated in kinds:
        own = [row for row in rows if row.fidelity == fidelity.name and (row.replicate > 0) is repeated]
        done, failed = ([row for row in own if row.state == state] for state in (DONE, FAILED))
        seconds = sum(row.metrics.get("seconds", 0.0) for row in done)
        counts.append(FidelityCount(name, len(done), len(failed), fidelity.cost * (len(done) + len(failed)), seconds))
    return tuple(counts)
