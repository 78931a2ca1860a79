"""Fidelities: how much is spent on one look at a design, and the strategies that choose it.

A *trial* is one evaluation: a design, a fidelity and a replicate. The ladder of fidelities begins at the cheapest and ends
at the full training, whose cost is 1 by definition; only a design that was trained in full may enter the front. Replicate
``r > 0`` of the full training is another training of the same network with another seed: it tells skill from luck.

Notation: ``n`` trials, ``d`` parameters.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from codesign.catalogue import record
from codesign.errors import InputError
from codesign.estimate import Evidence
from codesign.network.tasks.task import TrainingDefaults
from codesign.search.problem import SearchProblem
from codesign.search.strategies.strategy import Strategy, StrategySettings, find_strategy, strategy_names
from codesign.space.design_space import Indices, evaluation_seed

FloatArray = NDArray[np.float64]

SUPERNET, SHORT, FULL, SEEDS = "supernet", "short", "full", "seeds"
LEVELS = (SUPERNET, SHORT, FULL, SEEDS)


@record
class FidelityChoice:
    """The table ``[fidelity]`` of a study file.

    Attributes:
        levels: of ``supernet`` (a score with weights that all networks of a family share), ``short`` (a training over a share
            of the epochs), ``full``, and ``seeds`` (full trainings may be repeated with other seeds).
        supernet_cost: of training the shared weights of one family, in full trainings.
        score_share: epochs over which a score fine-tunes, over those of a full training.
        short_share: epochs of a short training over those of a full one.
        max_seeds: largest number of full trainings of one design.
    """

    levels: tuple[str, ...] = (SHORT, FULL, SEEDS)
    supernet_cost: float = 5.0
    score_share: float = 0.15
    short_share: float = 0.25
    max_seeds: int = 3

    def __post_init__(self) -> None:
        for name in self.levels:
            if name not in LEVELS:
                raise ValueError(f"unknown level {name!r}; choose from {', '.join(LEVELS)}")
        if len(set(self.levels)) != len(self.levels) or FULL not in self.levels:
            raise ValueError("levels must name full, and none twice: only full trainings may enter the front")
        for name in ("short_share", "score_share"):
            if not 0.01 <= getattr(self, name) <= 0.9:
                raise ValueError(f"{name} must lie between 0.01 and 0.9")
        if not 0.1 <= self.supernet_cost <= 10_000.0:
            raise ValueError("supernet_cost must lie between 0.1 and 10000 full trainings")
        if not 2 <= self.max_seeds <= 100:
            raise ValueError("max_seeds must lie between 2 and 100; leave seeds off the levels to train each design once")


@dataclass(frozen=True)
class Fidelity:
    """One rung of the ladder.

    Attributes:
        name: what study files and reports call it.
        cost: of one evaluation, in full trainings.
        evidence: what its result is shown as.
        replicates: how often one design may be evaluated at it.
    """

    name: str
    cost: float
    evidence: Evidence
    replicates: int = 1


@dataclass(frozen=True)
class Ladder:
    """Fidelities, the cheapest first; the last one is the full training.

    Attributes:
        fidelities: the rungs.
        preparation: cost before the first trial, in full trainings.

    Raises:
        InputError: costs that do not rise, or a last one that does not cost 1.
    """

    fidelities: tuple[Fidelity, ...]
    preparation: float = 0.0

    def __post_init__(self) -> None:
        costs = [fidelity.cost for fidelity in self.fidelities]
        if not costs or costs[-1] != 1.0 or costs[0] <= 0.0 or any(later <= earlier for earlier, later in itertools.pairwise(costs)):
            raise InputError(f"costs {costs}", where="fidelity ladder", remedy="Give rising costs that end at 1, the full training")

    @classmethod
    def of(cls, choice: FidelityChoice, training: TrainingDefaults, families: int = 1) -> Ladder:
        """The ladder of a study.

        Args:
            choice: which levels.
            training: a full training; what is shorter costs its share of the epochs. What a look takes besides (calibration,
                validation) is in the processor time of `codesign.search.fidelity_counts` only.
            families: network families, each of which has its own shared weights.

        Raises:
            InputError: a level saves nothing over the next one.
        """
        epochs, rungs = training.epochs + training.quantised_epochs, []
        if SUPERNET in choice.levels:
            rungs.append(Fidelity(SUPERNET, sum(tuned(training, choice.score_share).values()) / epochs, Evidence.SUPERNET))
        if SHORT in choice.levels:
            rungs.append(Fidelity(SHORT, sum(shortened(training, choice.short_share).values()) / epochs, Evidence.TRAINED))
        rungs.append(Fidelity(FULL, 1.0, Evidence.TRAINED, choice.max_seeds if SEEDS in choice.levels else 1))
        for rung, following in itertools.pairwise(rungs):
            if rung.cost >= following.cost:
                share = "score_share" if rung.name == SUPERNET else "short_share"
                raise InputError(
                    f"a share of {getattr(choice, share):g} of {training.epochs} + {training.quantised_epochs} epochs saves none over {following.name}",
                    where=f"fidelity.{share}",
                    remedy=f"Lower it, train longer, or leave {rung.name} off the levels",
                )
        return cls(tuple(rungs), choice.supernet_cost * families if SUPERNET in choice.levels else 0.0)

    @property
    def top(self) -> int:
        """Level of the full training."""
        return len(self.fidelities) - 1

    def level(self, name: str) -> int:
        """Position of a fidelity by its name."""
        return [fidelity.name for fidelity in self.fidelities].index(name)

    def cost(self, level: NDArray[np.intp]) -> float:
        """Cost of trials of these levels (n,) together, in full trainings."""
        return float(sum(self.fidelities[number].cost for number in level.tolist()))


def shortened(training: TrainingDefaults, share: float) -> dict[str, int]:
    """Epochs of both phases of a short training; a phase that the full training has keeps at least one."""
    phases = {"epochs": training.epochs, "quantised_epochs": training.quantised_epochs}
    return {name: max(1, round(share * epochs)) if epochs else 0 for name, epochs in phases.items()}


def tuned(training: TrainingDefaults, share: float) -> dict[str, int]:
    """Epochs of both phases of a score with shared weights, which only fine-tunes."""
    return {"epochs": 0, "quantised_epochs": max(1, round(share * (training.epochs + training.quantised_epochs)))}


def trial_seed(study_seed: int, design: str, fidelity: str, replicate: int) -> int:
    """Seed of one trial; that of a full training is the one it has in a study without fidelities."""
    return evaluation_seed(study_seed, design if fidelity == FULL else f"{design}/{fidelity}", replicate)


@dataclass(frozen=True)
class Trials:
    """Evaluations done or asked for.

    Attributes:
        indices: n x d designs.
        level: (n,) positions in the ladder.
        replicate: (n,) from 0.
    """

    indices: Indices
    level: NDArray[np.intp]
    replicate: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.indices)

    @staticmethod
    def join(parts: Sequence[Trials]) -> Trials:
        """Trials one after the other (at least one part)."""
        return Trials(
            np.concatenate([part.indices for part in parts]),
            np.concatenate([part.level for part in parts]),
            np.concatenate([part.replicate for part in parts]),
        )

    def rows(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> Trials:
        """The chosen trials only."""
        return Trials(self.indices[chosen], self.level[chosen], self.replicate[chosen])

    @staticmethod
    def once(indices: Indices, level: int) -> Trials:
        """First replicates (n x d) at one level."""
        count = len(indices)
        return Trials(indices.astype(np.int16), np.full(count, level, dtype=np.intp), np.zeros(count, dtype=np.intp))


class FidelityStrategy(Strategy, Protocol):
    """A strategy that also chooses the fidelity.

    Its `ask` and `tell` speak of full trainings. It is a pure function of its seed and of the sequence of tells.

    Args:
        problem, seed, settings: see `Strategy`.
        ladder: the fidelities to choose from.
    """

    def __init__(self, problem: SearchProblem, seed: int, settings: StrategySettings = ..., ladder: Ladder = ...) -> None: ...

    def ask_evaluations(self, count: int, budget: float, pending: Trials | None = None) -> Trials:
        """Up to ``count`` trials, none told or pending; fewer when no more are worth their cost or can be paid.

        Args:
            count: trials wanted.
            budget: what is left, in full trainings; their costs together stay within it.
            pending: trials under evaluation.

        Raises:
            InfeasibleError: no feasible design was found.
        """
        ...

    def tell_evaluations(self, trials: Trials, values: FloatArray, constraints: FloatArray | None = None) -> None:
        """Values n x m of n trials in natural units, and their constraints n x c; a row with NaN is a failed evaluation.

        Raises:
            InputError: shapes that do not fit.
        """
        ...


def chooses_fidelity(name: str) -> bool:
    """Whether the strategy of that name proposes fidelities.

    Raises:
        InputError: nothing is registered under that name.
    """
    return hasattr(find_strategy(name), "ask_evaluations")


def find_fidelity_strategy(name: str) -> type[FidelityStrategy]:
    """The strategy class of that name.

    Raises:
        InputError: it is not known, or proposes no fidelities.
    """
    if not chooses_fidelity(name):
        able = ", ".join(filter(chooses_fidelity, strategy_names()))
        raise InputError(f"strategy {name!r} proposes full trainings only", where="strategy.name", remedy=f"Choose {able}, or take [fidelity] away")
    return cast("type[FidelityStrategy]", find_strategy(name))
