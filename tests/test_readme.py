"""What the README shows is run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from codesign.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d+ of 1000 random designs fit", done.stdout)
    assert "evidence=<Evidence.TRAINED" in done.stdout


def test_the_commands_exist() -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    commands |= {str(group.typer_instance.info.name) for group in app.registered_groups if group.typer_instance}
    blocks = "".join(re.findall(r"```\n(.*?)```", README, flags=re.DOTALL))
    shown = set(re.findall(r"^codesign (\w+)", blocks, flags=re.MULTILINE)) | {"tasks", "templates", "doctor"}
    assert shown <= commands
    assert len(README.splitlines()) < 120


def test_links_and_the_picture_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    shown = set(re.findall(r"^make (\w+)", README, flags=re.MULTILINE)) | set(re.findall(r"`make (\w+)`", README))
    assert {"sweep", "test", "system"} == shown
    assert shown <= targets
