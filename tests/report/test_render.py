from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from codesign.errors import InputError
from codesign.report import render
from codesign.report.document import ReportDocument
from codesign.report.render import write_report


def test_three_files_and_no_others(study: ReportDocument, tmp_path: Path) -> None:
    paths = write_report(study, tmp_path / "a" / "report")
    assert sorted(path.name for path in (tmp_path / "a" / "report").iterdir()) == ["report.html", "report.json", "report.md"]
    assert paths.html.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert paths.markdown.read_text(encoding="utf-8").startswith("# kws-pynq-z2")
    assert json.loads(paths.json.read_text(encoding="utf-8"))["study"]["name"] == "kws-pynq-z2"


def test_the_page_is_about_as_large_as_plotly(study: ReportDocument, tmp_path: Path) -> None:
    assert write_report(study, tmp_path).html.stat().st_size < 6_500_000


def test_writing_again_replaces(study: ReportDocument, empty: ReportDocument, tmp_path: Path) -> None:
    write_report(study, tmp_path)
    paths = write_report(empty, tmp_path)
    assert "No design has been evaluated yet" in paths.markdown.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_made_is_one_clear_error(empty: ReportDocument, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"file.report: the report cannot be written: .*choose another") as caught:
        write_report(empty, tmp_path / "file" / "report")
    assert caught.value.exit_code == 2


def test_a_folder_that_cannot_be_written_is_one_clear_error(empty: ReportDocument, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(render.tempfile, "mkstemp", refused)
    with pytest.raises(InputError, match=r"the report cannot be written: Permission denied\. Free the folder"):
        write_report(empty, tmp_path)


def test_a_failed_write_leaves_the_old_report(study: ReportDocument, empty: ReportDocument, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = write_report(study, tmp_path).html.read_bytes()

    def full(_: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_report(empty, tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json", "report.md"]


def test_writing_needs_no_plotting_or_learning_library() -> None:
    script = "import sys, codesign.report.render\nprint([n for n in ('torch', 'plotly', 'pandas', 'hls4ml', 'gpytorch') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
