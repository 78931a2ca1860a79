"""What a study spent on each fidelity."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from codesign.search.fidelity import SEEDS, SUPERNET
from codesign.search.specification import StudySpecification
from codesign.store.study_store import DONE, FAILED, StoredEvaluation


@dataclass(frozen=True)
class FidelityCount:
    """Evaluations of one fidelity.

    Attributes:
        name: ``supernet``, ``short``, ``full``, or ``seeds`` for repeated full trainings.
        done, failed: how many ended, and how.
        cost: of all of them, in full trainings; of scores, with the training of the shared weights.
        seconds: processor time of those that succeeded, and of shared weights.
    """

    name: str
    done: int
    failed: int
    cost: float
    seconds: float


def count_fidelities(specification: StudySpecification, rows: Collection[StoredEvaluation], preparation_seconds: float = 0.0) -> tuple[FidelityCount, ...]:
    """By fidelity, the cheapest first; nothing for a study without fidelities.

    Args:
        specification: of the study.
        rows: every evaluation.
        preparation_seconds: processor time that the shared weights took.
    """
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
        cost = fidelity.cost * (len(done) + len(failed))
        if name == SUPERNET and (cost > 0.0 or preparation_seconds > 0.0):
            cost, seconds = cost + ladder.preparation, seconds + preparation_seconds
        counts.append(FidelityCount(name, len(done), len(failed), cost, seconds))
    return tuple(counts)
