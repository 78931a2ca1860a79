"""What is known of a study's designs before anything is trained: priors, limits, feasibility.

Prices are the analytical models' until there is evidence of a key figure (a synthesis, a vendor report, a board): then that
figure is the one learned from it, in objectives and limits alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.device import RESOURCES
from codesign.errors import InfeasibleError, InputError
from codesign.estimate import Estimate, KpiReport
from codesign.kpi.evaluate import FEATURES, KPI_UNITS, KpiTable, price
from codesign.kpi.evaluate import report as kpi_report
from codesign.kpi.joint_space import JointSpace
from codesign.network.tasks.registry import task_record
from codesign.search.accuracy_prior import ACCURACY_PRIOR_ERROR, accuracy_prior
from codesign.search.correction import Correction, Learned, analytical_error, confirmed, corrected, log_offset
from codesign.search.problem import Objective, Priced, SearchProblem
from codesign.search.specification import ACCURACY, MAXIMISED, StudySpecification
from codesign.space.design_space import DesignPoint, Indices
from codesign.space.parameters import Half

CHECK_SAMPLES = 20_000
NETWORK_FEATURES = tuple(number for number, name in enumerate(FEATURES) if name not in ("log_latency", "log_energy"))
"""Columns of the physical features that describe the network alone: accuracy depends on nothing else."""


@dataclass(frozen=True)
class Feasibility:
    """What a random sample says about a study before anything is trained.

    Attributes:
        sampled: designs drawn and priced.
        feasible: how many of them satisfy every limit.
        rejected: by limit, the share of the sample that breaks it.
        smallest: by limit, the smallest value found (largest for lower limits).
        median_macs: half of the sampled networks need fewer multiply-accumulate steps per inference.
        constant: objectives that have one value, the given one, in the whole sample.
    """

    sampled: int
    feasible: int
    rejected: Mapping[str, float]
    smallest: Mapping[str, float]
    median_macs: float
    constant: Mapping[str, float]


class Pricing:
    """Prices the designs of one study and holds its limits against them."""

    def __init__(self, specification: StudySpecification) -> None:
        self.specification = specification
        self.priced = 0
        """Designs priced for the search so far."""
        self.corrections: dict[str, Correction] = {}
        """By key figure, what was learned from evidence; nothing without `MIN_EVIDENCE` results."""

    @cached_property
    def joint(self) -> JointSpace:
        """The joint space of network and accelerator."""
        return self.specification.joint_space()

    @cached_property
    def problem(self) -> SearchProblem:
        """What a strategy sees of the study."""
        return SearchProblem(space=self.joint.space, objectives=tuple(map(self._objective, self.specification.objectives)), price=self._price)

    def _objective(self, name: str) -> Objective:
        if name == ACCURACY:
            limit = self.specification.limits.get(name)
            return Objective(name, maximise=True, evaluated=True, log=False, half=Half.NETWORK, limit=limit, features=NETWORK_FEATURES)
        return Objective(name, maximise=name in MAXIMISED, evaluated=False, log=True, offset=log_offset(name))

    def learn(self, points: Sequence[DesignPoint], kpi: str, values: Sequence[float]) -> None:
        """Correct one key figure by measured values, (e,) in its unit; they replace what was learned of it before.

        With fewer than `codesign.surrogate.prior.MIN_EVIDENCE` values, or where all of them are the analytical ones, the
        analytical figure stays as it is.
        """
        from codesign.surrogate.prior import MIN_EVIDENCE

        self.corrections.pop(kpi, None)
        if len(points) >= MIN_EVIDENCE and not confirmed(self.joint, points, kpi, values):
            self.corrections[kpi] = Correction(self.joint, points, kpi, values)

    def _learned(self, indices: Indices, table: KpiTable) -> dict[str, Learned]:
        """Corrected figures of designs (n x d), by key figure."""
        return {kpi: self.corrections[kpi].predict(indices, table) for kpi in sorted(self.corrections)}

    def _price(self, indices: Indices) -> Priced:
        """Priors, features and feasibility of designs (n x d), without training."""
        analytical = price(self.joint, indices)
        learned = self._learned(indices, analytical)
        table = corrected(analytical, self.joint, learned)
        self.priced += len(indices)
        classes = len(task_record(self.specification.task).classes)
        priors, errors = [], []
        for name in self.specification.objectives:
            if name == ACCURACY:
                priors.append(accuracy_prior(table.values["weights"], classes))
                errors.append(np.full(len(indices), ACCURACY_PRIOR_ERROR))
            else:
                priors.append(table.values[name])
                errors.append(learned[name].error if name in learned else analytical_error(analytical, name))
        loads = self.limit_loads(table)
        feasible = np.logical_and.reduce([load <= 1.0 for load in loads.values()])
        return Priced(prior=np.stack(priors, axis=1), prior_error=np.stack(errors, axis=1), features=table.features, feasible=feasible, reasons=loads)

    def limit_loads(self, table: KpiTable) -> dict[str, NDArray[np.float64]]:
        """By limit, the value over the limit (n,): above 1 it is broken. Limits of the device are called ``device <resource>``."""
        share = self.specification.limits.get("utilisation", 1.0)
        loads = {f"device {name}" if name in RESOURCES else name: used / share if name in RESOURCES else used for name, used in table.reasons.items()}
        for name, limit in self.specification.limits.items():
            if name in KPI_UNITS:
                loads[name] = limit / table.values[name] if name in MAXIMISED else table.values[name] / limit
        return loads

    def feasibility(self, samples: int = CHECK_SAMPLES) -> Feasibility:
        """Price a random sample and count what each limit rejects."""
        rng = np.random.default_rng([self.specification.seed, samples])
        indices = self.joint.space.sample(samples, rng)
        analytical = price(self.joint, indices)
        table = corrected(analytical, self.joint, self._learned(indices, analytical))
        loads = self.limit_loads(table)
        bounded = [name for name in self.specification.limits if name in KPI_UNITS]
        return Feasibility(
            sampled=samples,
            feasible=int(np.logical_and.reduce([load <= 1.0 for load in loads.values()]).sum()),
            rejected={name: float((load > 1.0).mean()) for name, load in loads.items()},
            smallest={name: float(table.values[name].max() if name in MAXIMISED else table.values[name].min()) for name in bounded},
            median_macs=float(np.median(table.values["macs"])),
            constant={name: float(analytical.values[name][0]) for name in self.specification.objectives if self._is_constant(analytical, name)},
        )

    def _is_constant(self, table: KpiTable, objective: str) -> bool:
        """Whether an objective has one value in the whole table, in a space of more than one design."""
        return objective != ACCURACY and self.joint.space.size() > 1 and bool(np.ptp(table.values[objective]) == 0.0)

    def require_feasible(self) -> Feasibility:
        """`feasibility`, as an error when no sampled design satisfies the limits, or an objective tells none apart.

        Raises:
            InputError: an objective has the same value for every sampled design.
            InfeasibleError: names the limit that rejects most and the best value found.
        """
        found = self.feasibility()
        for name, value in found.constant.items():
            raise InputError(
                f"{name} = {value:g} for every design of this space on {self.specification.device}: it cannot be an objective",
                where=f"study {self.specification.name}: objectives",
                remedy="Take it off the objectives, or choose a device, a template or a space in which it varies",
            )
        if found.feasible == 0:
            name, share = max(found.rejected.items(), key=lambda item: item[1])
            best = f"; the best found is {found.smallest[name]:.4g} {KPI_UNITS[name]}" if name in found.smallest else ""
            raise InfeasibleError(
                f"none of {found.sampled:,} random designs satisfies the limits: {name} rejects {share:.1%}{best}",
                where=f"study {self.specification.name}",
                remedy="Relax that limit, choose a larger device, or widen the space",
            )
        return found

    def kpi_reports(self, points: Sequence[DesignPoint]) -> list[KpiReport]:
        """Analytical figures of designs, one report each."""
        table = price(self.joint, self.joint.space.indices(points))
        return [kpi_report(table, row) for row in range(len(points))]

    def corrected_reports(self, points: Sequence[DesignPoint]) -> list[dict[str, Estimate]]:
        """For each design the figures that evidence on others corrects; empty where there is none."""
        if not self.corrections:
            return [{} for _ in points]
        indices = self.joint.space.indices(points)
        columns = {kpi: self.corrections[kpi].estimates(learned) for kpi, learned in self._learned(indices, price(self.joint, indices)).items()}
        return [{kpi: estimates[row] for kpi, estimates in columns.items()} for row in range(len(points))]
