"""Tables on narrow terminals."""

from __future__ import annotations

import re

import pytest

from codesign.cli.output import table


def test_a_narrow_terminal_cuts_no_name_and_no_number(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "30")
    table(("design", "what it is", "cycles", "accuracy"), [["fe2f91b95a35", "some words that are folded", "123,456", "0.9719"]], left=2)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert any({"fe2f91b95a35", "123,456", "0.9719"} <= set(line.split()) for line in lines)
    assert all(word in "".join(lines) for word in ("design", "cycles", "accuracy", "folded"))
    assert max(map(len, lines)) < 60
