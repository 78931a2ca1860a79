"""Studies with fidelities whose trainings are a formula: size decides, brief trainings see less of it, and seeds scatter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from codesign.network.layers import LayerGraph
from codesign.network.tasks.registry import load_task
from codesign.search.engine import Outcome
from codesign.search.evaluation import TrainingRequest
from codesign.search.fidelity import FidelityChoice
from codesign.search.specification import Budget, StrategyChoice, StudySpecification
from codesign.search.study import Study
from codesign.store.study_store import TrialKey

SPECIFICATION = StudySpecification(
    schema=1,
    name="fidelities",
    task="digits",
    device="pynq-z2",
    blueprints=("mlp",),
    templates=("pe_array",),
    budget=Budget(evaluations=12, initial=8, batch=3),
    strategy=StrategyChoice(name="ehvi_fidelity"),
    space={"mlp.hidden_layers": (1, 2)},
    fidelity=FidelityChoice(),
)
FULL_EPOCHS = 20

Outcomes = dict[TrialKey, tuple[int, float]]


def accuracy(request: TrainingRequest, *, noise: float = 0.02) -> float:
    """What a training of that request gives."""
    size = np.log1p(LayerGraph.from_rows(request.rows).weights)
    best = 0.98 - np.exp(-0.25 * size)
    if request.settings.get("epochs", FULL_EPOCHS) < FULL_EPOCHS:
        best = 0.1 + 0.8 * best
    return float(np.clip(best + noise * np.random.default_rng(request.seed).standard_normal(), 0.0, 1.0))


class Trainings:
    """An engine that knows the results; it may be stopped, fail, or answer in another order.

    Args:
        stop_after: results after which Ctrl-C comes, with one more training begun.
        backwards: the last request is the first to end.
        fails: whether a request fails.
    """

    def __init__(self, *, stop_after: int | None = None, backwards: bool = False, fails: Callable[[TrainingRequest], bool] = lambda _: False) -> None:
        self.stop_after, self.backwards, self.fails = stop_after, backwards, fails
        self.requests: list[TrainingRequest] = []

    def run(self, function: Callable[..., Any], requests: Sequence[Any], *, on_start: Callable[[int], None] | None = None) -> Iterator[Outcome[Any]]:
        positions = list(range(len(requests)))
        for position in reversed(positions) if self.backwards else positions:
            if on_start is not None:
                on_start(position)
            if self.stop_after is not None and len(self.requests) >= self.stop_after:
                raise KeyboardInterrupt
            self.requests.append(requests[position])
            if self.fails(requests[position]):
                yield Outcome(position, None, "diverged")
            else:
                yield Outcome(position, {"accuracy": accuracy(requests[position]), "seconds": 2.0}, None)


def begin(folder: Path, **changes: Any) -> Study:
    """A study with its data, nothing evaluated yet."""
    study = Study.create(replace(SPECIFICATION, **changes), folder / "study")
    study.bind_data(load_task("digits"))
    return study


def outcome(study: Study) -> Outcomes:
    """By trial: its round, and its accuracy."""
    rows = study.store.all_evaluations()
    return {trial.key: (trial.batch, rows[trial.key].metrics["accuracy"]) for trial in study.store.trials()}
