"""Prove designs of a study: export where needed, compile, simulate over the whole test split, record."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from codesign import toolchain
from codesign.errors import EvaluationError
from codesign.export.pipeline import ProjectRequest, ensure_exported, project_request
from codesign.search.engine import Engine
from codesign.search.evaluation import task_of
from codesign.search.study import Evaluated, Listener, Progress, Study

LEVEL = "csim"


def verify_designs(
    study: Study, chosen: Sequence[Evaluated], engine: Engine, hls_out: Path, *, data: Path | None = None, listen: Listener | None = None
) -> None:
    """Simulate the projects of designs, exported first where they are not there yet; each result goes into the store as it comes.

    Raises:
        ToolMissingError: g++ is not installed.
        InputError: a project must be written anew, and its folder holds files that codesign did not write.
        EvaluationError: a project does not compile or its simulation crashes.
    """
    toolchain.require(toolchain.GXX, needed_for="codesign verify")
    # The largest first, so that workers end together.
    ordered = sorted(chosen, key=lambda item: -item.design.kpis["macs"].value)
    requests = [project_request(study, item, hls_out, data) for item in ordered]
    failures = []
    for done, outcome in enumerate(engine.run(verify_design, requests), start=1):
        identifier = requests[outcome.position].design
        if outcome.result is None:
            message = f"{identifier}: {outcome.error}"
            failures.append((requests[outcome.position].folder, message))
        else:
            study.store.record_verification(identifier, LEVEL, outcome.result)
            message = f"{identifier} {outcome.result['samples_exact']:,} of {outcome.result['samples']:,} samples exact"
        if listen is not None:
            listen(Progress("verify", done, len(requests), message))
    if failures:
        folder, first = failures[0]
        raise EvaluationError(
            f"{len(failures)} of {len(requests)} designs could not be simulated; the first: {first.rstrip('.')}",
            where=f"study {study.specification.name}",
            remedy=f"Its build logs lie in {folder / 'csim'}{os.sep}; `codesign export` writes a project anew",
        )


def verify_design(request: ProjectRequest) -> dict[str, Any]:
    """Export one design where its project is not there yet, compile it with g++, run it on the test split and compare with the Brevitas model."""
    from codesign.network.builder import brevitas_logits, brevitas_trace
    from codesign.network.training import load_brevitas
    from codesign.verify.csim import verify_csim

    task = task_of(request.task, request.data)
    folder = ensure_exported(request)
    deployed, model = load_brevitas(request.model, task.record)
    logits = brevitas_logits(model, task.test.samples)
    result = verify_csim(
        folder,
        deployed,
        logits,
        task.test.samples,
        task.test.labels,
        design=request.design,
        cycles_predicted=request.cycles,
        reference_trace=partial(brevitas_trace, model),
    )
    return result.as_dict()
