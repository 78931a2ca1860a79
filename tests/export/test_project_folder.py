"""A project's folder survives a kill at any moment, and files of others survive an export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from codesign.errors import InputError
from codesign.export import project_folder
from codesign.export.project_folder import foreign_files, recover, replacing


def write(folder: Path, text: str) -> None:
    """What an export of one file leaves."""
    (folder / "source.cpp").write_text(text)
    (folder / "manifest.json").write_text(json.dumps({"files": {"source.cpp": ""}}))


def project(folder: Path, text: str = "first") -> Path:
    with replacing(folder) as partial:
        write(partial, text)
    return folder


class Killed(BaseException):
    """Stands for SIGKILL where the renames are."""


def kill_at_rename(monkeypatch: pytest.MonkeyPatch, folder: Path, number: int) -> None:
    """Run a replacement that dies before its rename of that number, without any cleaning up."""
    renames = 0
    rename: Callable[[Path, Path], Path] = Path.rename

    def die(path: Path, target: Path) -> Path:
        nonlocal renames
        renames += 1
        if renames == number:
            raise Killed
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", die)
        with pytest.raises(Killed), replacing(folder) as partial:
            write(partial, "second")
            patched.setattr(project_folder, "recover", lambda _folder: None)


@pytest.mark.parametrize("number", [1, 2])
def test_a_kill_between_the_renames_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    folder = project(tmp_path / "design")
    kill_at_rename(monkeypatch, folder, number)
    assert folder.exists() == (number == 1)
    assert (tmp_path / ".design.partial").is_dir()
    recover(folder)
    assert (folder / "source.cpp").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["design"]


def test_leftovers_go_at_the_next_export(tmp_path: Path) -> None:
    folder = project(tmp_path / "design")
    for name in (".design.partial", ".design.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("")
    project(folder, "second")
    assert (folder / "source.cpp").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["design"]


def test_an_error_at_the_last_rename_brings_the_old_project_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project(tmp_path / "design")
    rename: Callable[[Path, Path], Path] = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.name.endswith(".partial"):
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(InputError, match=r"design: cannot be written: Input/output error"):
        project(folder, "second")
    assert (folder / "source.cpp").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["design"]


def test_foreign_files_are_those_outside_the_manifest_and_the_build(tmp_path: Path) -> None:
    folder = project(tmp_path / "design")
    (folder / "csim").mkdir()
    (folder / "csim" / "runner_build.log").write_text("")
    (folder / "empty").mkdir()
    assert foreign_files(folder) == ()
    (folder / "empty" / "note").write_text("")
    (folder / "link").symlink_to(tmp_path)
    assert foreign_files(folder) == ("empty/note", "link")
    (folder / "manifest.json").write_text("damaged")
    assert foreign_files(folder) == ("empty/note", "link", "source.cpp")


def test_a_file_in_the_place_of_a_folder_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "design").write_text("mine")
    with pytest.raises(InputError, match="holds 1 file that codesign did not write, such as design"):
        project(tmp_path / "design")
    assert (tmp_path / "design").read_text() == "mine"
    with replacing(tmp_path / "design", force=True) as partial:
        write(partial, "forced")
    assert (tmp_path / "design" / "source.cpp").read_text() == "forced"
