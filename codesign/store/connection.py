"""How the store's database is opened."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event


def connect(url: str | URL) -> Engine:
    """Engine with a write-ahead log and full synchronisation on SQLite: a committed row survives a kill, readers never block."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _pragmas(connection: Any, _record: object) -> None:
            cursor = connection.cursor()
            for statement in ("PRAGMA busy_timeout=10000", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON"):
                cursor.execute(statement)
            cursor.close()

    return engine
