"""The estimate of an exported project equals the streaming model where that chooses the same reuse factors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from codesign.accelerator.device import find_device
from codesign.accelerator.hls_plan import HlsPlan
from codesign.estimate import Evidence
from codesign.export.dataflow_estimate import estimate_dataflow
from codesign.kpi.joint_space import JointSpace
from codesign.kpi.streaming.template import TEMPLATE_MODEL
from codesign.network.deployed import DeployedNetwork
from codesign.network.layers import LayerTable
from codesign.network.table_builder import TaskShape
from codesign.space.columns import Columns


@pytest.mark.parametrize("blueprint", ["mlp", "tcresnet", "dscnn"])
def test_it_is_the_streaming_model_at_the_same_plan(blueprint: str) -> None:
    device = find_device("pynq-z2")
    joint = JointSpace.build(TaskShape((49, 10), 12, 8, True), [blueprint], ["streaming"], device)
    for point in joint.space.points(joint.space.sample(8, np.random.default_rng(1))):
        graph, values = joint.graph(point), joint.template_values(point)
        columns = Columns(joint.space, joint.space.indices([point]), "streaming")
        kpis = TEMPLATE_MODEL.evaluate(LayerTable.from_graphs([graph]), columns, device)
        figures = estimate_dataflow(graph, TEMPLATE_MODEL.hls_plan(graph, values, device), device.part)
        for name, figure in figures.items():
            assert figure.value == getattr(kpis, name)[0], name
            assert figure.evidence is Evidence.ANALYTIC and figure.low <= figure.value <= figure.high


def test_more_reuse_is_slower_with_fewer_multipliers(residual_network: DeployedNetwork, plan_of: Callable[..., HlsPlan]) -> None:
    unrolled = plan_of(residual_network, "io_stream", "resource")
    shared = replace(unrolled, reuse={**unrolled.reuse, "branch": 20, "head": 6})
    fast, slow = (estimate_dataflow(residual_network.graph, plan, "xc7z020clg400-1") for plan in (unrolled, shared))
    assert slow["latency_cycles"].value > fast["latency_cycles"].value
    assert slow["lut"].value < fast["lut"].value
    assert slow["interval_cycles"].value >= fast["interval_cycles"].value
