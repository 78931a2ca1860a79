"""Running the command line in a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from codesign.cli.main import main
from codesign.cli.output import SETTINGS, Settings

Run = Callable[..., tuple[int, str, str]]


def call_main(arguments: list[str]) -> int:
    """Exit code of one invocation in this process; global options do not leak into the next."""
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        SETTINGS.__dict__.update(Settings().__dict__)
    return 0


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command line in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = call_main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
