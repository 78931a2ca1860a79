"""A store that SQLite can read and that does not hold what was written: one clear line, exit code 7, nothing changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.search.evidence_study import evaluated_study

DAMAGE = [
    ("UPDATE designs SET assignment = '{'", "row designs "),
    ("UPDATE designs SET kpis = '{}'", "row designs "),
    ("UPDATE evaluations SET metrics = '[]'", "row evaluations "),
    ("DELETE FROM meta WHERE key = 'data'", "row meta data "),
    ("UPDATE meta SET value = '{' WHERE key = 'specification'", "row meta specification "),
    ("INSERT INTO verifications SELECT id, 'csim', '{}', 0 FROM designs", "row verifications "),
    ("INSERT INTO evidence SELECT id, 'lut', 'vendor', -1, 'x', 0 FROM designs", "row evidence "),
]


@pytest.mark.parametrize(("statement", "message"), DAMAGE)
def test_damage_is_told(run: Run, tmp_path: Path, statement: str, message: str) -> None:
    study = evaluated_study(tmp_path / "runs", count=6)
    study.store.close()
    with sqlite3.connect(study.folder / "study.sqlite") as connection:
        connection.execute(statement)
    connection.close()
    for command in ("front", "report"):
        code, _, err = run(command)
        assert code == 7, err
        assert message in err
        assert "is damaged: " in err
        assert "Restore the file from a copy, or move it away to begin again" in err
        assert err.count("\n") == 1
