"""Engines: every request has one outcome, whatever happens to the worker."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from codesign.errors import EvaluationError, InputError
from codesign.search.engine import describe, open_engine


def square(number: int) -> int:
    return number * number


def fail_on_three(number: int) -> int:
    if number == 3:
        raise EvaluationError("three is not allowed", where="test", remedy="Use four")
    return number


def die_once(path: str) -> int:
    """Kill the worker's process the first time."""
    marker = Path(path)
    if not marker.exists():
        marker.write_text("died")
        os.kill(os.getpid(), signal.SIGKILL)
    return 7


def threads(_: int) -> str:
    return os.environ.get("OMP_NUM_THREADS", "")


def test_serial_outcomes_come_in_order_and_starts_are_told() -> None:
    started: list[int] = []
    with open_engine(1) as engine:
        outcomes = list(engine.run(square, [3, 4], on_start=started.append))
    assert [(outcome.position, outcome.result, outcome.error) for outcome in outcomes] == [(0, 9, None), (1, 16, None)]
    assert started == [0, 1]


def test_a_failure_is_an_outcome() -> None:
    with open_engine(1) as engine:
        outcomes = list(engine.run(fail_on_three, [2, 3, 4]))
    assert [outcome.result for outcome in outcomes] == [2, None, 4]
    assert outcomes[1].error == "test: three is not allowed. Use four"


def test_dask_gives_every_outcome_survives_a_killed_worker_and_computes_with_one_thread(tmp_path: Path) -> None:
    with open_engine(2) as engine:
        assert sorted(outcome.result or 0 for outcome in engine.run(square, [1, 2, 3, 4, 5])) == [1, 4, 9, 16, 25]
        failed = [outcome for outcome in engine.run(fail_on_three, [3, 4]) if outcome.error]
        assert [outcome.error for outcome in failed] == ["test: three is not allowed. Use four"]
        assert [outcome.result for outcome in engine.run(die_once, [str(tmp_path / "marker")])] == [7]
        assert {outcome.result for outcome in engine.run(threads, [0, 1])} == {"1"}


def full_disk(_: int) -> int:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("jobs", [1, 2])
def test_errors_of_the_surroundings_end_the_run(jobs: int) -> None:
    with open_engine(jobs) as engine, pytest.raises(OSError, match="No space left"):
        list(engine.run(full_disk, [1]))


def test_bad_arguments_are_told() -> None:
    with pytest.raises(InputError, match="--jobs: 0 jobs"), open_engine(0):
        pass
    with pytest.raises(InputError, match="no Dask scheduler answers"), open_engine(1, "nonsense://x"):
        pass


def test_foreign_errors_are_described_in_one_line() -> None:
    assert describe(ValueError("first\nsecond")) == "ValueError: first"
