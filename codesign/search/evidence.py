"""Measured key figures of a study's designs: synthesis, vendor reports, boards; the best that is known of each design."""

from __future__ import annotations

import math
from collections.abc import Mapping

from codesign.accelerator.device import RESOURCES
from codesign.errors import InputError
from codesign.estimate import Estimate, Evidence, KpiReport
from codesign.kpi.evaluate import KPI_UNITS
from codesign.search.correction import log_offset
from codesign.search.pricing import Pricing
from codesign.search.specification import MAXIMISED
from codesign.store.rows import EVIDENCE_KINDS
from codesign.store.study_store import StoredDesign, StoredEvidence, StudyStore


class EvidenceBook:
    """The evidence of one study, what the pricing learns from it, and the best-known figures of designs.

    Args:
        store: holds the evidence.
        pricing: taught by `learn`.
    """

    def __init__(self, store: StudyStore, pricing: Pricing) -> None:
        self._store, self._pricing = store, pricing
        self._rows: list[StoredEvidence] = []
        self._direct: dict[str, dict[str, Estimate]] = {}
        self._corrected: dict[str, KpiReport] = {}

    def add(self, prefix: str, kpi: str, value: float, evidence: Evidence | str, source: str) -> StoredEvidence:
        """Keep one measured figure; a newer one of the same design, key figure and kind replaces it.

        Args:
            prefix: id of a design of the store, or its first digits.
            kpi: a key figure of `codesign.kpi.evaluate.KPI_UNITS`.
            value: in the unit of the key figure.
            evidence: one of `codesign.store.rows.EVIDENCE_KINDS`.
            source: tool and version, report or set-up.

        Raises:
            InputError: no such design, key figure or kind; a value that is not finite, or not positive (counts and bytes
                may be 0); no source.
        """
        name = self._pricing.specification.name
        found = [design.point.id for design in self._store.designs() if design.point.id.startswith(prefix)]
        if len(found) != 1 or not prefix:
            what = f"no design {prefix!r}" if not found or not prefix else f"{len(found)} designs begin with {prefix!r}"
            raise InputError(what, where=f"study {name}", remedy="List them with `codesign front --all`")
        where = f"study {name}, evidence for {found[0]}"
        if kpi not in KPI_UNITS:
            raise InputError(f"unknown key figure {kpi!r}", where=where, remedy=f"Choose from {', '.join(KPI_UNITS)}")
        if evidence not in EVIDENCE_KINDS:
            raise InputError(f"{str(evidence)!r} is no kind of evidence", where=where, remedy=f"Choose from {', '.join(kind.value for kind in EVIDENCE_KINDS)}")
        if not math.isfinite(value) or value + log_offset(kpi) <= 0.0 or value < 0.0:
            least = "at least 0" if log_offset(kpi) else "positive"
            raise InputError(f"{kpi} = {value:g} must be {least} and finite", where=where, remedy=f"Give it in {KPI_UNITS[kpi]}")
        if not source.strip():
            raise InputError("no source", where=where, remedy="Name the tool and its version, the report or the set-up")
        row = StoredEvidence(found[0], kpi, Evidence(evidence), float(value), source.strip())
        self._store.add_evidence(row)
        return row

    def learn(self) -> None:
        """Teach the pricing what the store holds now; nothing happens where it knows that already."""
        rows = self._store.evidence()
        if rows == self._rows:
            return
        points = {design.point.id: design.point for design in self._store.designs()}
        best: dict[str, dict[str, StoredEvidence]] = {}
        for row in sorted(rows, key=lambda row: (row.design, row.kpi, EVIDENCE_KINDS.index(row.evidence))):
            best.setdefault(row.kpi, {})[row.design] = row
        self._direct, self._corrected = {}, {}
        for kpi, by_design in best.items():
            self._pricing.learn([points[design] for design in by_design], kpi, [row.value for row in by_design.values()])
            for design, row in by_design.items():
                self._direct.setdefault(design, {})[kpi] = Estimate.exact(row.value, KPI_UNITS[kpi], row.evidence, row.source)
        self._rows = rows

    def kpis(self, design: StoredDesign) -> dict[str, Estimate]:
        """The best-known key figures of a design: measured on it, else learned from evidence on others, else analytical."""
        self.learn()
        identifier = design.point.id
        if identifier not in self._corrected:
            self._corrected[identifier] = self._pricing.corrected_reports([design.point])[0]
        return dict(design.kpis) | dict(self._corrected[identifier]) | self._direct.get(identifier, {})

    def within_limits(self, kpis: Mapping[str, Estimate]) -> bool:
        """Whether key figures that evidence has changed still hold the study's limits; the others held them when proposed."""
        specification = self._pricing.specification
        share, capacities = specification.limits.get("utilisation", 1.0), self._pricing.joint.device.resources
        for name, estimate in kpis.items():
            if estimate.evidence is Evidence.ANALYTIC:
                continue
            if name in RESOURCES and estimate.value > capacities[name] * share:
                return False
            limit = specification.limits.get(name)
            if limit is not None and (estimate.value < limit if name in MAXIMISED else estimate.value > limit):
                return False
        return True
