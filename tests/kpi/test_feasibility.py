from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.kpi.streaming.feasibility import Feasibility, Obstacle, build_limits, feasibility
from codesign.kpi.streaming.hls_table import Build, HlsTable
from codesign.kpi.streaming.matrix_vector import MatrixVector
from codesign.network.hls_model import HlsLayer, Kind, Strategy
from tests.kpi.streaming_designs import V2020, build, chain, layer, model

LIMIT = 4096 * 0.86


def judge(shape: HlsLayer, how: Build) -> Feasibility:
    table = HlsTable.from_models([model(shape)], [how])
    return feasibility(table, MatrixVector(table, V2020))


def dense(n_in: int, n_out: int, strategy: Strategy = Strategy.RESOURCE, reuse: int = 1) -> tuple[float, Obstacle]:
    found = judge(layer(Kind.DENSE, in_c=n_in, out_c=n_out), build(strategy=strategy, reuse_factor=reuse))
    return float(found.failure[0]), Obstacle(int(found.obstacle[0]))


@pytest.mark.parametrize(
    ("n_in", "n_out", "strategy", "reuse", "obstacle"),
    [
        (64, 192, Strategy.LATENCY, 1, Obstacle.PARTITION), (192, 32, Strategy.LATENCY, 384, Obstacle.PARTITION),
        (256, 224, Strategy.LATENCY, 512, Obstacle.PARTITION),
        (160, 96, Strategy.RESOURCE, 1, Obstacle.UNROLL), (64, 224, Strategy.RESOURCE, 1, Obstacle.UNROLL),
        (256, 256, Strategy.RESOURCE, 1024, Obstacle.NONE), (64, 32, Strategy.RESOURCE, 1, Obstacle.NONE), (32, 32, Strategy.LATENCY, 1, Obstacle.NONE),
        (96, 32, Strategy.LATENCY, 1, Obstacle.TIMEOUT), (70, 40, Strategy.LATENCY, 1, Obstacle.TIMEOUT),
        (256, 256, Strategy.DISTRIBUTED_ARITHMETIC, 1, Obstacle.NONE),
    ],
)  # fmt: skip
def test_what_stops_the_tools(n_in: int, n_out: int, strategy: Strategy, reuse: int, obstacle: Obstacle) -> None:
    """Sizes of failed and of successful syntheses of wa-hls4ml, one layer."""
    failure, found = dense(n_in, n_out, strategy, reuse)
    assert found is obstacle
    assert (failure >= 0.5) == (obstacle in {Obstacle.PARTITION, Obstacle.UNROLL})
    assert (failure < 0.1) == (obstacle is Obstacle.NONE)


def logistic(size: float, centre: float, width: float) -> float:
    return 1 / (1 + math.exp(-math.log(size / centre) / width))


def test_probability_by_the_formula() -> None:
    assert dense(61, 57)[0] == pytest.approx(logistic(61 * 57, LIMIT, 0.06))
    beyond, timeout = logistic(61 * 57, LIMIT, 0.06), 0.3 * logistic(61 * 57, 3072, 0.3)
    assert dense(61, 57, Strategy.LATENCY)[0] == pytest.approx(1 - (1 - beyond) * (1 - timeout))
    assert dense(61, 57, Strategy.DISTRIBUTED_ARITHMETIC)[0] == pytest.approx(0, abs=1e-12)
    # ten multipliers, but an output of 4,000 products
    assert dense(4000, 10, reuse=4000)[0] == pytest.approx(logistic(4000, LIMIT, 0.06))
    assert dense(10, 4000, reuse=40000)[0] == pytest.approx(logistic(4000, LIMIT, 0.06))


def test_just_below_the_limit_time_outs_are_the_reason() -> None:
    failure, obstacle = dense(349, 10, Strategy.LATENCY)
    assert failure == pytest.approx(0.559, abs=0.001)
    assert obstacle is Obstacle.TIMEOUT


def test_share_is_the_size_over_the_one_at_which_half_fail() -> None:
    limits = build_limits()
    assert limits.centre.value * limits.partition.value == pytest.approx(LIMIT)
    found = judge(layer(Kind.DENSE, in_c=64, out_c=55), build())
    assert found.share[0] == pytest.approx(64 * 55 / LIMIT)
    assert found.failure[0] == pytest.approx(0.5, abs=0.01)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 50), st.sampled_from([Strategy.RESOURCE, Strategy.LATENCY]))
def test_larger_layers_fail_more_often(n_in: int, n_out: int, more: int, strategy: Strategy) -> None:
    failure, _ = dense(n_in, n_out, strategy)
    assert 0 <= failure <= dense(n_in + more, n_out, strategy)[0] <= 1
    assert failure <= dense(n_in, n_out + more, strategy)[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200))
def test_larger_reuse_factors_fail_less_often_in_resource_strategy_only(n_in: int, n_out: int) -> None:
    assert dense(n_in, n_out, reuse=n_in)[0] <= dense(n_in, n_out)[0]
    assert dense(n_in, n_out, Strategy.LATENCY, n_in)[0] == dense(n_in, n_out, Strategy.LATENCY)[0]


def test_the_worse_unit_of_a_recurrent_layer_counts() -> None:
    small: dict[str, Any] = {"in_w": 4}
    by_inputs = judge(layer(Kind.LSTM, in_c=400, out_c=8, **small), build())
    by_state = judge(layer(Kind.LSTM, in_c=2, out_c=40, **small), build())
    assert by_inputs.share[0] == pytest.approx(400 * 32 / LIMIT)
    assert by_state.share[0] == pytest.approx(40 * 160 / LIMIT)
    assert [int(found.obstacle[0]) for found in (by_inputs, by_state)] == [Obstacle.UNROLL] * 2
    assert judge(layer(Kind.LSTM, in_c=4, out_c=4, **small), build()).obstacle[0] == Obstacle.NONE


def test_layers_without_weights_never_fail_and_rows_keep_their_places() -> None:
    network = chain(layer(Kind.ACTIVATION, "a", in_c=9000, out_c=9000), layer(Kind.DENSE, "b", in_c=256, out_c=256), layer(Kind.ACTIVATION, "c"))
    table = HlsTable.from_models([network], [build()])
    found = feasibility(table, MatrixVector(table, V2020))
    assert [found.failure[0], found.share[0], found.failure[2], found.share[2]] == [0, 0, 0, 0]
    assert found.failure[1] > 0.99
    assert found.obstacle.tolist() == [0, Obstacle.UNROLL, 0]


def test_obstacles_say_what_to_do() -> None:
    assert Obstacle.NONE.text == ""
    assert "4,096" in Obstacle.PARTITION.text
    assert "Resource strategy" in Obstacle.PARTITION.text
    assert "larger reuse factor" in Obstacle.UNROLL.text
    assert "time out" in Obstacle.TIMEOUT.text
