"""Tables of the study store."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Integer, MetaData, PrimaryKeyConstraint, String, Table, Text

SCHEMA_VERSION = 1
metadata = MetaData()

meta = Table("meta", metadata, Column("key", String(64), primary_key=True), Column("value", Text, nullable=False))

designs = Table(
    "designs",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("batch", Integer, nullable=False),
    Column("assignment", Text, nullable=False),
    Column("kpis", Text, nullable=False),
    Column("asked_at", Float, nullable=False),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("design", String(12), ForeignKey("designs.id"), nullable=False),
    Column("replicate", Integer, nullable=False),
    Column("state", String(8), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("starts", Integer, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("metrics", Text),
    Column("error", Text),
    PrimaryKeyConstraint("design", "replicate"),
)

# What a study with fidelities adds to the tables above; the version stays, because stores without them are whole.
reduced_evaluations = Table(
    "reduced_evaluations",
    metadata,
    Column("design", String(12), ForeignKey("designs.id"), nullable=False),
    Column("fidelity", String(16), nullable=False),
    Column("replicate", Integer, nullable=False),
    Column("state", String(8), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("starts", Integer, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("metrics", Text),
    Column("error", Text),
    PrimaryKeyConstraint("design", "fidelity", "replicate"),
)

trials = Table(
    "trials",
    metadata,
    Column("number", Integer, nullable=False, unique=True),
    Column("batch", Integer, nullable=False),
    Column("design", String(12), ForeignKey("designs.id"), nullable=False),
    Column("fidelity", String(16), nullable=False),
    Column("replicate", Integer, nullable=False),
    PrimaryKeyConstraint("design", "fidelity", "replicate"),
)

verifications = Table(
    "verifications",
    metadata,
    Column("design", String(12), ForeignKey("designs.id"), nullable=False),
    Column("level", String(8), nullable=False),
    Column("result", Text, nullable=False),
    Column("finished_at", Float, nullable=False),
    PrimaryKeyConstraint("design", "level"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("design", String(12), ForeignKey("designs.id"), nullable=False),
    Column("kpi", String(32), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("value", Float, nullable=False),
    Column("source", Text, nullable=False),
    Column("at", Float, nullable=False),
    PrimaryKeyConstraint("design", "kpi", "kind"),
)

events = Table(
    "events",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("detail", Text, nullable=False),
)
