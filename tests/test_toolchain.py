"""Outside programs are found, overridden, and missed with a remedy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from codesign import toolchain
from codesign.errors import CodesignError, EvaluationError, ToolMissingError

ABSENT = toolchain.Tool("nothing", "codesign-no-such-program", "CODESIGN_NOTHING", "Install it")


def test_an_absent_program_is_told_with_the_remedy() -> None:
    assert toolchain.find(ABSENT) is None
    assert toolchain.version(ABSENT) is None
    with pytest.raises(ToolMissingError, match=r"codesign verify: nothing was not found on PATH. Install it") as caught:
        toolchain.require(ABSENT, needed_for="codesign verify")
    assert caught.value.exit_code == 3


def test_the_variable_overrides_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\necho tool 1.2\n")
    program.chmod(0o755)
    monkeypatch.setenv("CODESIGN_NOTHING", str(program))
    assert toolchain.require(ABSENT, needed_for="a test") == program
    assert toolchain.version(ABSENT) == "tool 1.2"
    monkeypatch.setenv("CODESIGN_NOTHING", str(tmp_path / "gone"))
    with pytest.raises(ToolMissingError, match=r"CODESIGN_NOTHING=.*gone is not a program"):
        toolchain.require(ABSENT, needed_for="a test")


def test_run_keeps_the_log_and_tells_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "run.log"
    toolchain.run([sys.executable, "-c", "print('fine')"], log=log, where="test")
    assert "fine" in log.read_text()
    with pytest.raises(EvaluationError, match=r"test: .* ended with status 3: .*went wrong.* See .*run.log"):
        toolchain.run([sys.executable, "-c", "print('went wrong'); raise SystemExit(3)"], log=log, where="test")
    with pytest.raises(EvaluationError, match="ran longer than"):
        toolchain.run([sys.executable, "-c", "import time; time.sleep(30)"], log=log, where="test", timeout_s=0.5)


def test_errors_survive_pickling_across_processes() -> None:
    import pickle  # the error crosses process borders this way

    error = ToolMissingError("what", where="where", remedy="remedy")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # bytes made on the line itself
    assert type(copy) is ToolMissingError
    assert str(copy) == str(error) == "where: what. remedy"
    assert issubclass(ToolMissingError, CodesignError)
