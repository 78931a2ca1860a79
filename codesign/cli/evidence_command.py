"""The command that records what a synthesis, a vendor report or a board gave for a design."""

from __future__ import annotations

from typing import Annotated

import typer

from codesign.cli.output import emit, number, say
from codesign.cli.study_commands import RUNS, Runs, StudyName, _open


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(evidence)


def evidence(
    design: Annotated[str, typer.Argument(help="Id of a design, or its first digits.")],
    kpi: Annotated[str, typer.Argument(help="Key figure, such as latency_us, lut or power_w.")],
    value: Annotated[float, typer.Argument(help="Its measured value, in its unit.")],
    kind: Annotated[str, typer.Option("--kind", help="rtl_sim, synthesis, place_route, vendor or board.")],
    source: Annotated[str, typer.Option("--source", help="Tool and version, report or set-up.")],
    study: StudyName = None,
    runs: Runs = RUNS,
) -> None:
    """Record a measured key figure: the design shows it, and from five designs on the prices of all others learn from it."""
    from codesign.kpi.evaluate import KPI_UNITS
    from codesign.store.lock import exclusive

    opened = _open(study, runs)
    with exclusive(opened.folder / "lock"):
        row = opened.add_evidence(design, kpi, value, kind, source)
    measured = len({other.design for other in opened.store.evidence() if other.kpi == row.kpi})
    unit = KPI_UNITS[row.kpi]
    say(f"design {row.design}: {row.kpi} {number(row.value)} {unit} ({row.evidence.value}, {row.source}); designs with evidence of it: {measured}")
    document = {"id": row.design, "kpi": row.kpi, "value": row.value, "unit": unit, "evidence": row.evidence.value, "source": row.source}
    emit({"study": opened.specification.name, **document, "designs": measured})
