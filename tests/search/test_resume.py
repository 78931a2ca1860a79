"""Killed and continued, or run with other numbers of processes, a study evaluates the same designs once each."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import CodesignError
from codesign.search.builtin import study_text
from codesign.search.study import Study
from codesign.store.study_store import DONE

NAME = "digits-pynq-z2"
EVALUATIONS = 9


def write_study(folder: Path) -> Path:
    text = study_text("digits", "pynq-z2", ("pe_array",))
    replacements = [("evaluations = 24", f"evaluations = {EVALUATIONS}"), ("initial = 8", "initial = 5"), ("batch = 4", "batch = 2")]
    for old, new in [*replacements, ("[training]", "[training]\nepochs = 4\nquantised_epochs = 2")]:
        assert old in text
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "study.toml"
    path.write_text(text)
    return path


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "codesign.cli", "run", "study.toml", "--no-verify", *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def outcome(folder: Path) -> dict[str, tuple[int, float]]:
    """By design id: its number in the sequence, and its accuracy."""
    study = Study.open(folder / "runs" / NAME)
    rows = study.store.evaluations()
    assert all(row.state == DONE for row in rows.values())
    return {design.point.id: (design.number, rows[design.point.id].metrics["accuracy"]) for design in study.store.designs()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, float]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    write_study(folder)
    with start(folder) as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return outcome(folder)


def evaluated_so_far(folder: Path) -> int:
    try:
        return sum(row.state == DONE for row in Study.open(folder / "runs" / NAME).store.evaluations().values())
    except CodesignError:  # not begun yet
        return 0


def test_killed_at_three_moments_nothing_is_lost_and_nothing_done_twice(tmp_path: Path, undisturbed: dict[str, tuple[int, float]]) -> None:
    write_study(tmp_path)
    rng = np.random.default_rng(5)
    survivors: dict[str, float] = {}
    for target in (1, 4, 7):
        with start(tmp_path) as process:
            deadline = time.monotonic() + 120
            while evaluated_so_far(tmp_path) < target and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(float(rng.uniform(0.0, 0.3)))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        rows = Study.open(tmp_path / "runs" / NAME).store.evaluations()
        finished = {name: row.metrics["accuracy"] for name, row in rows.items() if row.state == DONE}
        assert survivors.items() <= finished.items()
        survivors = finished
    assert 0 < len(survivors) <= EVALUATIONS
    with start(tmp_path) as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert outcome(tmp_path) == undisturbed
    starts = {name: row.starts for name, row in Study.open(tmp_path / "runs" / NAME).store.evaluations().items()}
    assert len(starts) == EVALUATIONS
    assert all(starts[name] <= 2 for name in starts)


def test_two_processes_take_the_same_path(tmp_path: Path, undisturbed: dict[str, tuple[int, float]]) -> None:
    write_study(tmp_path)
    with start(tmp_path, "--jobs", "2") as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert outcome(tmp_path) == undisturbed


def test_an_interrupt_ends_with_130_and_says_how_to_go_on(tmp_path: Path) -> None:
    write_study(tmp_path)
    with start(tmp_path) as process:
        deadline = time.monotonic() + 120
        while evaluated_so_far(tmp_path) < 1 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; everything finished is saved. The same command continues from there" in err
