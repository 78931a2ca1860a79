"""The whole chain on real samples: Brevitas network, deployed integers, hls4ml project, C simulation. Needs g++."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from codesign.accelerator.hls_plan import HlsPlan
from codesign.export.hls4ml_project import export_project
from codesign.network.blueprints.blueprint import find_blueprint
from codesign.network.builder import brevitas_logits, brevitas_trace, build, extract
from codesign.network.tasks.registry import load_task
from codesign.space.design_space import DesignSpace
from codesign.verify.csim import verify_csim


@pytest.mark.gxx
def test_a_brevitas_network_equals_its_c_simulation(plan_of: Callable[..., HlsPlan], tmp_path: Path) -> None:
    task, found = load_task("digits"), find_blueprint("tcresnet")
    space = DesignSpace(found.parameters)
    graph = found.table(space, space.sample(1, np.random.default_rng(3)), task.record.shape).graph(0)
    model = build(graph, task.record)
    network, samples, labels = extract(model), task.test.samples, task.test.labels
    folder = export_project(network, plan_of(network), tmp_path / "design", part="xc7z020clg400-1", samples=samples[:3], provenance={})
    logits = brevitas_logits(model, samples)
    result = verify_csim(folder, network, logits, samples, labels, reference_trace=lambda chosen: brevitas_trace(model, chosen))
    assert result.samples == len(samples) > 100 and result.samples_exact == result.samples
    assert len(np.unique(logits)) > 100
