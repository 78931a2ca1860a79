"""The store: what is committed stays, what is damaged is told."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from codesign.errors import InputError, StoreError
from codesign.estimate import Estimate, Evidence
from codesign.kpi.evaluate import KPI_UNITS
from codesign.space.design_space import DesignPoint
from codesign.store.lock import exclusive
from codesign.store.study_store import DONE, FAILED, RUNNING, StoredEvidence, StoredTrial, StudyStore

KPIS = {name: Estimate.relative(10.0, unit, 0.1, Evidence.ANALYTIC, "model") for name, unit in KPI_UNITS.items()}
CSIM = {
    "samples": 10,
    "samples_exact": 9,
    "elements_exact": 98,
    "argmax_agreement": 1.0,
    "max_abs_difference": 3,
    "first_diverging_layer": "head",
    "metric_quantised": 0.9,
    "metric_simulated": 0.9,
    "cycles_predicted": 120.0,
    "cycles_simulated": None,
    "seconds": 1.5,
}
DATA = {"hash": "abc", "device": "cpu", "train": 3, "validation": 2, "test": 1, "path": None}


def point(number: int) -> DesignPoint:
    return DesignPoint((("clock_mhz", 100.0), ("family", "a"), ("width", number)))


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    return StudyStore.at(tmp_path / "study.sqlite")


def test_designs_come_back_in_order_with_values_and_kpis(store: StudyStore) -> None:
    store.add_batch(0, [(point(2), KPIS), (point(1), KPIS)])
    store.add_batch(1, [(point(3), KPIS)])
    found = store.designs()
    assert [design.point for design in found] == [point(2), point(1), point(3)]
    assert [(design.number, design.batch) for design in found] == [(0, 0), (1, 0), (2, 1)]
    assert found[0].kpis == KPIS
    assert found[0].point.id == point(2).id


def test_a_batch_is_recorded_whole_or_not_at_all(store: StudyStore) -> None:
    store.add_batch(0, [(point(1), KPIS)])
    with pytest.raises(StoreError):
        store.add_batch(1, [(point(2), KPIS), (point(1), KPIS)])
    assert [design.point for design in store.designs()] == [point(1)]


def test_an_evaluation_runs_ends_once_and_counts_its_starts(store: StudyStore) -> None:
    store.add_batch(0, [(point(1), KPIS), (point(2), KPIS)])
    first, second = point(1).id, point(2).id
    store.start(first, seed=7)
    store.start(first, seed=7)
    assert store.evaluations()[first].state == RUNNING
    store.finish(first, {"accuracy": 0.5})
    store.start(second, seed=8)
    store.fail(second, "diverged")
    rows = store.evaluations()
    assert (rows[first].state, rows[first].starts, rows[first].metrics) == (DONE, 2, {"accuracy": 0.5})
    assert (rows[second].state, rows[second].error) == (FAILED, "diverged")
    with pytest.raises(StoreError, match="no running evaluation"):
        store.finish(first, {"accuracy": 0.9})


def test_verifications_are_replaced_and_values_kept(store: StudyStore) -> None:
    store.add_batch(0, [(point(1), KPIS)])
    store.record_verification(point(1).id, "csim", CSIM | {"samples": 11})
    store.record_verification(point(1).id, "csim", CSIM)
    assert store.verifications("csim") == {point(1).id: CSIM}
    assert store.get("absent") is None
    store.put("key", {"a": 1})
    store.put("key", {"a": 2})
    assert store.get("key") == {"a": 2}
    store.log("stage", name="search", seconds=1.5)
    assert [detail for _, detail in store.events("stage")] == [{"name": "search", "seconds": 1.5}]


def test_a_damaged_file_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match=r"study.sqlite: cannot be used: .*not a database.*Restore") as caught:
        StudyStore.at(path)
    assert caught.value.exit_code == 7
    assert path.read_bytes() == b"this is not a database" * 100


def test_a_truncated_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    store = StudyStore.at(path)
    for batch in range(40):
        store.add_batch(batch, [(point(batch), KPIS)])
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreError, match="study.sqlite"):
        StudyStore.at(path).designs()


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """The file of a store with one row of each kind."""
    path = tmp_path / "study.sqlite"
    store = StudyStore.at(path)
    store.add_batch(0, [(point(1), KPIS)])
    store.start(point(1).id, seed=1)
    store.finish(point(1).id, {"accuracy": 0.5})
    store.record_verification(point(1).id, "csim", CSIM)
    store.add_evidence(StoredEvidence(point(1).id, "lut", Evidence.VENDOR, 20.0, "report"))
    store.put("data", DATA)
    store.close()
    return path


def change(path: Path, statement: str, *values: object) -> StudyStore:
    with sqlite3.connect(path) as connection:
        connection.execute(statement, values)
    connection.close()
    return StudyStore.at(path, create=False)


READERS: dict[str, Callable[[StudyStore], object]] = {
    "designs": StudyStore.designs,
    "evaluations": StudyStore.evaluations,
    "verifications": lambda store: store.verifications("csim"),
    "evidence": StudyStore.evidence,
    "events": lambda store: store.events("priced"),
    "meta": StudyStore.bound_data,
}


def without(document: dict[str, object], key: str) -> str:
    return json.dumps({name: value for name, value in document.items() if name != key})


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("designs", "assignment", '{"broken', "Unterminated string"),
        ("designs", "assignment", "[1]", "is not a JSON object"),
        ("designs", "assignment", '{"width": 5}', "the parameters are not those of this id"),
        ("designs", "kpis", "{", "Expecting property name"),
        ("designs", "kpis", "{}", "no latency_us"),
        ("designs", "kpis", '{"lut": {"value": 1}}', "no unit"),
        ("designs", "kpis", '{"lut": 5}', "not subscriptable"),
        ("evaluations", "metrics", "{}", "no accuracy"),
        ("evaluations", "metrics", None, "must be str"),
        ("evaluations", "metrics", '{"accuracy": 7}', "accuracy = 7 is not a share of 1"),
        ("evaluations", "metrics", '{"accuracy": "high"}', "accuracy = 'high' is not a number"),
        ("evidence", "kind", "guess", "guess of lut is not known"),
        ("evidence", "value", -4.0, "value = -4.0 is negative"),
        ("evidence", "value", "much", "value = 'much' is not a number"),
        ("events", "detail", "{}", "no count"),
        ("events", "detail", "", "Expecting value"),
    ],
)
def test_a_damaged_row_is_told(filled: Path, table: str, column: str, value: object, message: str) -> None:
    store = change(filled, f"UPDATE {table} SET {column} = ?", value)  # noqa: S608  # names from the list above
    with pytest.raises(StoreError, match=rf"study.sqlite: row {table} .* is damaged: .*{message}.*\. Restore the file from a copy") as caught:
        READERS[table](store)
    assert caught.value.exit_code == 7


@pytest.mark.parametrize("key", [*CSIM])
def test_a_verification_needs_all_its_keys(filled: Path, key: str) -> None:
    store = change(filled, "UPDATE verifications SET result = ?", without(CSIM, key))
    with pytest.raises(StoreError, match=f"row verifications {point(1).id} csim is damaged: no {key}"):
        store.verifications("csim")


@pytest.mark.parametrize(("key", "value"), [("samples", 0), ("samples_exact", 1.5), ("metric_simulated", 1.5), ("argmax_agreement", None)])
def test_a_verification_needs_sound_values(filled: Path, key: str, value: object) -> None:
    store = change(filled, "UPDATE verifications SET result = ?", json.dumps(CSIM | {key: value}))
    with pytest.raises(StoreError, match=f"row verifications .* is damaged: {key} = {value}"):
        store.verifications("csim")


@pytest.mark.parametrize("key", [*DATA])
def test_bound_data_need_all_their_keys(filled: Path, key: str) -> None:
    with pytest.raises(StoreError, match=f"row meta data is damaged: no {key}"):
        change(filled, "UPDATE meta SET value = ? WHERE key = 'data'", without(DATA, key)).bound_data()


def test_results_without_data_are_damage_and_a_store_without_results_is_not(filled: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="row meta data is damaged: None is not a JSON object"):
        change(filled, "DELETE FROM meta WHERE key = 'data'").bound_data()
    with pytest.raises(StoreError, match="row meta data is damaged"):
        change(filled, "INSERT INTO meta VALUES ('data', '{')").bound_data()
    assert StudyStore.at(tmp_path / "new.sqlite").bound_data() is None


def test_evidence_is_kept_by_kind_and_the_order_does_not_show(store: StudyStore) -> None:
    store.add_batch(0, [(point(1), KPIS), (point(2), KPIS)])
    rows = [StoredEvidence(point(number).id, "lut", kind, 5.0, "report") for number in (1, 2) for kind in (Evidence.VENDOR, Evidence.SYNTHESIS)]
    for row in reversed(rows):
        store.add_evidence(row)
    newer = StoredEvidence(point(1).id, "lut", Evidence.VENDOR, 6.0, "newer report")
    store.add_evidence(newer)
    found = store.evidence()
    assert set(found) == {newer, *rows[1:]}
    assert [(row.design, row.evidence) for row in found] == sorted((row.design, row.evidence) for row in found)
    with pytest.raises(StoreError):
        store.add_evidence(StoredEvidence("absent", "lut", Evidence.VENDOR, 6.0, "report"))


def test_a_store_from_before_evidence_has_none_and_takes_some(filled: Path) -> None:
    store = change(filled, "DROP TABLE evidence")
    assert store.evidence() == []
    row = StoredEvidence(point(1).id, "lut", Evidence.BOARD, 6.0, "meter")
    store.add_evidence(row)
    assert store.evidence() == [row]


def test_another_schema_is_told(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    StudyStore.at(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(StoreError, match="written by store schema 99, this version uses 1"):
        StudyStore.at(path)


def test_one_writer_at_a_time_and_a_dead_writer_lets_go(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    script = (
        "import time\nfrom pathlib import Path\nfrom codesign.store.lock import exclusive\n"
        f"with exclusive(Path({str(lock)!r})):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=f"in use by process {holder.pid}"), exclusive(lock):
            pass
        holder.kill()
    with exclusive(lock):
        pass


def test_an_unwritable_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="cannot be written"), exclusive(tmp_path / "file" / "study" / "lock"):
        pass


def test_trials_come_back_in_order_and_a_round_is_recorded_whole_or_not_at_all(store: StudyStore) -> None:
    first, second = point(1).id, point(2).id
    store.add_batch(0, [(point(1), KPIS), (point(2), KPIS)], trials=[StoredTrial(second, "short", 0, 0), StoredTrial(first, "short", 0, 0)])
    store.add_batch(1, [], trials=[StoredTrial(second, "full", 0, 1)])
    store.add_batch(2, [(point(3), KPIS)], trials=[StoredTrial(second, "full", 1, 2), StoredTrial(point(3).id, "full", 0, 2)])
    keys = [(second, "short", 0), (first, "short", 0), (second, "full", 0), (second, "full", 1), (point(3).id, "full", 0)]
    assert [trial.key for trial in store.trials()] == keys
    assert [trial.batch for trial in store.trials()] == [0, 0, 1, 2, 2]
    with pytest.raises(StoreError):
        store.add_batch(3, [(point(4), KPIS)], trials=[StoredTrial(point(4).id, "short", 0, 3), StoredTrial(second, "full", 1, 3)])
    assert [trial.key for trial in store.trials()] == keys
    assert len(store.designs()) == 3


def test_evaluations_are_kept_by_fidelity_and_replicate(store: StudyStore) -> None:
    store.add_batch(0, [(point(1), KPIS)])
    design = point(1).id
    for fidelity, replicate, accuracy in (("short", 0, 0.4), ("full", 0, 0.6), ("full", 1, 0.7)):
        store.start(design, 3, replicate, fidelity=fidelity)
        store.finish(design, {"accuracy": accuracy}, replicate, fidelity=fidelity)
    assert {key: row.metrics["accuracy"] for key, row in store.all_evaluations().items()} == {
        (design, "short", 0): 0.4,
        (design, "full", 0): 0.6,
        (design, "full", 1): 0.7,
    }
    assert {name: row.metrics["accuracy"] for name, row in store.evaluations().items()} == {design: 0.6}
    store.start(design, 3, 1, fidelity="short")
    store.fail(design, "diverged", 1, fidelity="short")
    assert store.forget_failures() == 1
    assert len(store.all_evaluations()) == 3
    with pytest.raises(StoreError, match="no running evaluation"):
        store.finish(design, {"accuracy": 0.9}, fidelity="short")
