"""The durable study store: every ask, start, result and failure is a row, committed before the next step."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, Table, delete, insert, inspect, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, OperationalError

from codesign.errors import StoreError
from codesign.estimate import Evidence, KpiReport
from codesign.space.design_space import DesignPoint
from codesign.store import rows, schema
from codesign.store.connection import connect

RUNNING, DONE, FAILED = "running", "done", "failed"
FULL = "full"
"""Name of the fidelity that every study has: the whole training."""
TrialKey = tuple[str, str, int]
"""Design, fidelity and replicate."""
RESTORE = "Restore the file from a copy, or move it away to begin again"


@dataclass(frozen=True)
class StoredDesign:
    """A design that was asked for.

    Attributes:
        number: order of the proposals, from 0.
        batch: number of the proposal round.
        kpis: its priced figures when it was asked.
    """

    point: DesignPoint
    number: int
    batch: int
    kpis: KpiReport


@dataclass(frozen=True)
class StoredEvaluation:
    """One training of a design.

    Attributes:
        state: ``running``, ``done`` or ``failed``.
        starts: how often it was begun; more than 1 after an interruption.
        metrics: numbers by name when done.
        error: the message when failed.
        fidelity: `FULL`, or the name of a cheaper one.
    """

    design: str
    replicate: int
    state: str
    seed: int
    starts: int
    metrics: Mapping[str, float]
    error: str | None
    fidelity: str = FULL


@dataclass(frozen=True)
class StoredTrial:
    """One evaluation that a study with fidelities asked for.

    Attributes:
        design: its id.
        fidelity: name of the fidelity.
        replicate: number among the trials of this design and fidelity.
        batch: number of the proposal round.
    """

    design: str
    fidelity: str
    replicate: int
    batch: int

    @property
    def key(self) -> TrialKey:
        """What no other trial has."""
        return (self.design, self.fidelity, self.replicate)


@dataclass(frozen=True)
class StoredEvidence:
    """A measured key figure of a design.

    Attributes:
        design: its id.
        kpi: name of the key figure.
        evidence: what gave it.
        value: in the unit of the key figure.
        source: tool and version, report or set-up.
    """

    design: str
    kpi: str
    evidence: Evidence
    value: float
    source: str


class StudyStore:
    """Rows of one study. Every method raises `StoreError` when the store is damaged or locked.

    Args:
        url: SQLAlchemy URL; the command line uses a SQLite file per study.
        create: make the tables when they are missing; only the one writer of a study may.

    Raises:
        StoreError: damaged file, written by another schema, or not begun yet.
    """

    def __init__(self, url: str | URL, *, create: bool = True) -> None:
        self._url = make_url(url).render_as_string(hide_password=True)
        try:
            self._engine = connect(url)
            with self._engine.begin() as connection:
                if create:
                    schema.metadata.create_all(connection)
                elif not inspect(connection).has_table(schema.meta.name):
                    raise StoreError("has no study yet", where=self._url, remedy="Run one with `codesign run`")
                self._check_schema(connection, create=create)
        except DatabaseError as error:
            raise self._damaged(error) from None

    @classmethod
    def at(cls, path: Path, *, create: bool = True) -> StudyStore:
        """The store in a SQLite file."""
        return cls(URL.create("sqlite", database=str(path)), create=create)

    def close(self) -> None:
        """Release the file."""
        self._engine.dispose()

    def _damaged(self, error: DatabaseError) -> StoreError:
        if isinstance(error, OperationalError) and "locked" in str(error.orig):
            return StoreError("locked by another process", where=self._url, remedy="Wait for it or stop it")
        return StoreError(f"cannot be used: {error.orig}", where=self._url, remedy=RESTORE)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DatabaseError as error:
            raise self._damaged(error) from None

    @contextmanager
    def _reading(self, table: str, row: str) -> Iterator[None]:
        """Say which row it is that does not hold what was written."""
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)
            raise StoreError(f"row {table} {row} is damaged: {what}", where=self._url, remedy=RESTORE) from None

    def _check_schema(self, connection: Connection, *, create: bool) -> None:
        if self._engine.dialect.name == "sqlite":
            verdict = connection.exec_driver_sql("PRAGMA quick_check").scalar()
            if verdict != "ok":
                raise StoreError(f"damaged: {verdict}", where=self._url, remedy=RESTORE)
        found = connection.execute(select(schema.meta.c.value).where(schema.meta.c.key == "schema")).scalar()
        if found is None and create:
            connection.execute(insert(schema.meta).values(key="schema", value=str(schema.SCHEMA_VERSION)))
        elif found != str(schema.SCHEMA_VERSION):
            raise StoreError(
                f"written by store schema {found}, this version uses {schema.SCHEMA_VERSION}",
                where=self._url,
                remedy="Use the version of codesign that wrote it",
            )

    def get(self, key: str) -> Any:
        """A JSON value kept under ``key``, or None."""
        with self._transaction() as connection:
            text = connection.execute(select(schema.meta.c.value).where(schema.meta.c.key == key)).scalar()
        with self._reading("meta", key):
            return None if text is None else json.loads(text)

    def bound_data(self) -> dict[str, Any] | None:
        """Which data the study is bound to (see `codesign.search.study.Study.bind_data`); None before it is.

        Raises:
            StoreError: designs were evaluated, yet the data are not known.
        """
        found = self.get("data")
        if found is None and not self._any_done():
            return None
        with self._reading("meta", "data"):
            return rows.read_data(found)

    def _any_done(self) -> bool:
        table = schema.evaluations
        with self._transaction() as connection:
            return connection.execute(select(table.c.design).where(table.c.state == DONE).limit(1)).first() is not None

    def put(self, key: str, value: Any) -> None:
        """Keep a JSON value under ``key``."""
        text = json.dumps(value)
        with self._transaction() as connection:
            done = connection.execute(update(schema.meta).where(schema.meta.c.key == key).values(value=text))
            if done.rowcount == 0:
                connection.execute(insert(schema.meta).values(key=key, value=text))

    def log(self, kind: str, **detail: Any) -> None:
        """Append an event."""
        with self._transaction() as connection:
            connection.execute(insert(schema.events).values(at=time.time(), kind=kind, detail=json.dumps(detail)))

    def events(self, kind: str) -> list[tuple[float, dict[str, Any]]]:
        """Events of one kind as (unix time, detail), oldest first."""
        table = schema.events
        query = select(table.c.number, table.c.at, table.c.detail).where(table.c.kind == kind).order_by(table.c.number)
        with self._transaction() as connection:
            found = connection.execute(query).all()
        events = []
        for number, at, detail in found:
            with self._reading("events", str(number)):
                events.append((at, rows.read_event(kind, detail)))
        return events

    def add_batch(self, batch: int, designs: Iterable[tuple[DesignPoint, KpiReport]], *, priced: int = 0, trials: Iterable[StoredTrial] = ()) -> None:
        """Record one round of proposals, and how many designs were priced to find them: all of it or nothing.

        Args:
            batch: number of the round.
            designs: those that are new.
            priced: designs priced since the last round.
            trials: in a study with fidelities, the evaluations of the round, of new designs or known ones.

        Raises:
            StoreError: a design or a trial is already there.
        """
        with self._transaction() as connection:
            number = len(connection.execute(select(schema.designs.c.id)).all())
            connection.execute(insert(schema.events).values(at=time.time(), kind="priced", detail=json.dumps({"count": priced})))
            for point, kpis in designs:
                connection.execute(
                    insert(schema.designs).values(
                        id=point.id,
                        number=number,
                        batch=batch,
                        assignment=point.canonical_json,
                        kpis=json.dumps({name: estimate.as_dict() for name, estimate in kpis.items()}),
                        asked_at=time.time(),
                    )
                )
                number += 1
            asked = len(connection.execute(select(schema.trials.c.number)).all()) if (trials := tuple(trials)) else 0
            for order, trial in enumerate(trials, start=asked):
                values = {"design": trial.design, "fidelity": trial.fidelity, "replicate": trial.replicate}
                connection.execute(insert(schema.trials).values(number=order, batch=batch, **values))

    def trials(self) -> list[StoredTrial]:
        """Evaluations that a study with fidelities asked for, in their order; none in other studies."""
        table = schema.trials
        with self._transaction() as connection:
            if not inspect(connection).has_table(table.name):
                return []
            found = connection.execute(select(table).order_by(table.c.number)).mappings().all()
        return [StoredTrial(row["design"], row["fidelity"], row["replicate"], row["batch"]) for row in found]

    def designs(self) -> list[StoredDesign]:
        """All designs in the order they were asked."""
        with self._transaction() as connection:
            found = connection.execute(select(schema.designs).order_by(schema.designs.c.number)).mappings().all()
        designs = []
        for row in found:
            with self._reading("designs", row["id"]):
                point, kpis = rows.read_point(row["id"], row["assignment"]), rows.read_kpis(row["kpis"])
                designs.append(StoredDesign(point=point, number=row["number"], batch=row["batch"], kpis=kpis))
        return designs

    def start(self, design: str, seed: int, replicate: int = 0, *, fidelity: str = FULL) -> None:
        """Record that a training begins (or begins again after an interruption)."""
        table, mine = _evaluation(design, replicate, fidelity)
        own = {} if fidelity == FULL else {"fidelity": fidelity}
        with self._transaction() as connection:
            again = connection.execute(update(table).where(mine, table.c.state == RUNNING).values(starts=table.c.starts + 1, started_at=time.time()))
            if again.rowcount == 0:
                values = {"design": design, "replicate": replicate, "state": RUNNING, "seed": seed, "starts": 1, "started_at": time.time()}
                connection.execute(insert(table).values(**values, **own))

    def finish(self, design: str, metrics: Mapping[str, float], replicate: int = 0, *, fidelity: str = FULL) -> None:
        """Record a result."""
        self._end(design, replicate, fidelity, state=DONE, metrics=json.dumps(dict(metrics)))

    def fail(self, design: str, error: str, replicate: int = 0, *, fidelity: str = FULL) -> None:
        """Record a failure."""
        self._end(design, replicate, fidelity, state=FAILED, error=error)

    def _end(self, design: str, replicate: int, fidelity: str, **values: Any) -> None:
        table, mine = _evaluation(design, replicate, fidelity)
        with self._transaction() as connection:
            done = connection.execute(update(table).where(mine, table.c.state == RUNNING).values(finished_at=time.time(), **values))
        if done.rowcount != 1:
            raise StoreError(f"design {design} has no running evaluation to end", where=self._url)

    def forget_failures(self) -> int:
        """Remove the failed evaluations, so that they are tried again; gives their number."""
        with self._transaction() as connection:
            tables = [table for table in (schema.evaluations, schema.reduced_evaluations) if inspect(connection).has_table(table.name)]
            return sum(connection.execute(delete(table).where(table.c.state == FAILED)).rowcount for table in tables)

    def evaluations(self) -> dict[str, StoredEvaluation]:
        """First full training of each evaluated design, by design id."""
        return {row.design: row for row in self._evaluations(schema.evaluations, schema.evaluations.c.replicate == 0)}

    def all_evaluations(self) -> dict[TrialKey, StoredEvaluation]:
        """Every evaluation at every fidelity, repeated trainings included."""
        found = [*self._evaluations(schema.evaluations), *self._evaluations(schema.reduced_evaluations)]
        return {(row.design, row.fidelity, row.replicate): row for row in found}

    def _evaluations(self, table: Table, *conditions: ColumnElement[bool]) -> list[StoredEvaluation]:
        """Rows of one of the two tables of evaluations; none where the store has no such table."""
        with self._transaction() as connection:
            if not inspect(connection).has_table(table.name):
                return []
            found = connection.execute(select(table).where(*conditions).order_by(table.c.started_at, table.c.design)).mappings().all()
        evaluations = []
        for row in found:
            fidelity = row.get("fidelity", FULL)
            with self._reading(table.name, row["design"] if table is schema.evaluations else f"{row['design']} {fidelity}"):
                metrics = rows.read_metrics(row["metrics"]) if row["state"] == DONE else {}
            head = (row["design"], row["replicate"], row["state"], row["seed"], row["starts"])
            evaluations.append(StoredEvaluation(*head, metrics, row["error"], fidelity))
        return evaluations

    def record_verification(self, design: str, level: str, result: Mapping[str, Any]) -> None:
        """Keep a verification result; a newer one of the same level replaces it."""
        table = schema.verifications
        values = {"result": json.dumps(dict(result)), "finished_at": time.time()}
        with self._transaction() as connection:
            done = connection.execute(update(table).where(table.c.design == design, table.c.level == level).values(**values))
            if done.rowcount == 0:
                connection.execute(insert(table).values(design=design, level=level, **values))

    def verifications(self, level: str) -> dict[str, dict[str, Any]]:
        """Verification results of one level by design id."""
        query = select(schema.verifications.c.design, schema.verifications.c.result).where(schema.verifications.c.level == level)
        with self._transaction() as connection:
            found = connection.execute(query).all()
        results = {}
        for design, result in found:
            with self._reading("verifications", f"{design} {level}"):
                results[design] = rows.read_verification(level, result)
        return results

    def add_evidence(self, found: StoredEvidence) -> None:
        """Keep a measured figure; a newer one of the same design, key figure and kind replaces it.

        Raises:
            StoreError: the design is not in the store.
        """
        table = schema.evidence
        values = {"value": found.value, "source": found.source, "at": time.time()}
        mine = (table.c.design == found.design) & (table.c.kpi == found.kpi) & (table.c.kind == found.evidence.value)
        with self._transaction() as connection:
            table.create(connection, checkfirst=True)
            done = connection.execute(update(table).where(mine).values(**values))
            if done.rowcount == 0:
                connection.execute(insert(table).values(design=found.design, kpi=found.kpi, kind=found.evidence.value, **values))

    def evidence(self) -> list[StoredEvidence]:
        """All measured figures by design, key figure and kind: the order in which they came does not show."""
        table = schema.evidence
        with self._transaction() as connection:
            if not inspect(connection).has_table(table.name):
                return []
            found = connection.execute(select(table).order_by(table.c.design, table.c.kpi, table.c.kind)).mappings().all()
        evidence = []
        for row in found:
            with self._reading("evidence", f"{row['design']} {row['kpi']} {row['kind']}"):
                kind, value = rows.read_evidence(row["kpi"], row["kind"], row["value"])
            evidence.append(StoredEvidence(row["design"], row["kpi"], kind, value, row["source"]))
        return evidence


def _evaluation(design: str, replicate: int, fidelity: str) -> tuple[Table, ColumnElement[bool]]:
    """Table and condition of one evaluation."""
    table = schema.evaluations if fidelity == FULL else schema.reduced_evaluations
    mine = (table.c.design == design) & (table.c.replicate == replicate)
    return (table, mine) if fidelity == FULL else (table, mine & (table.c.fidelity == fidelity))
