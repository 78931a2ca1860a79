from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from codesign.errors import InputError
from codesign.network.tasks import registry
from codesign.network.tasks.registry import load_task, task_names, task_record


def test_the_built_in_tasks_are_registered() -> None:
    assert {"digits", "kws"} <= set(task_names())
    assert list(task_names()) == sorted(task_names())


@pytest.mark.parametrize("name", ["digits", "kws"])
def test_records_name_licence_attribution_and_source(name: str) -> None:
    record = task_record(name)
    assert record.name == name
    assert record.licence.startswith("CC BY 4.0")
    assert record.attribution
    assert "http" in record.source
    assert len(record.data_sha256) == 64


@pytest.mark.parametrize("action", [task_record, load_task])
def test_an_unknown_task_lists_the_known(action: object) -> None:
    with pytest.raises(InputError, match=r"unknown task 'kwz'. Choose from digits, kws"):
        action("kwz")  # type: ignore[operator]  # both take a name


def test_records_import_neither_torch_nor_scikit_learn() -> None:
    code = "import sys; from codesign.network.tasks.registry import task_names, task_record; [task_record(n) for n in task_names()]; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "codesign.network.tasks.registry" in loaded
    assert not {"torch", "sklearn", "scipy", "soundfile"} & set(loaded)


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another package that offers a task; the path is its record."""
    folder = tmp_path / "foreign_tasks" / "data" / "tasks"
    folder.mkdir(parents=True)
    (tmp_path / "foreign_tasks" / "__init__.py").write_text("")
    (tmp_path / "foreign_tasks" / "more_digits.py").write_text(
        "from codesign.network.tasks import digits\n\ndef load(record, data, progress):\n    return digits.load(record, data, progress)\n"
    )
    entry = EntryPoint("more_digits", "foreign_tasks.more_digits:load", registry.ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_registered", lambda: {"more_digits": entry})
    monkeypatch.delitem(sys.modules, "foreign_tasks", raising=False)
    task_record.cache_clear()
    return folder / "more_digits.toml"


BUILT_IN = Path(registry.__file__).parents[2] / "data" / "tasks" / "digits.toml"


def test_another_package_brings_a_task_the_same_way(foreign: Path) -> None:
    foreign.write_text(BUILT_IN.read_text(encoding="utf-8").replace('name = "digits"', 'name = "more_digits"'), encoding="utf-8")
    task = load_task("more_digits")
    assert task.record.name == "more_digits"
    assert len(task.train) > 1000


def test_a_record_under_another_name_is_refused(foreign: Path) -> None:
    foreign.write_text(BUILT_IN.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(InputError, match=r"more_digits\.toml: name: is 'digits', not 'more_digits'"):
        load_task("more_digits")


def test_a_record_with_an_unknown_key_is_refused(foreign: Path) -> None:
    foreign.write_text('colour = "red"\n' + BUILT_IN.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(InputError, match=r"more_digits\.toml: colour: unknown key"):
        load_task("more_digits")
