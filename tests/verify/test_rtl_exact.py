"""The Verilog computes what the network says, bit for bit, in the cycles of the timing-only build. Needs Verilator.

Sixty random networks over six arrays; ``benchmarks/rtl_exactness.py`` runs more, and whole networks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codesign.export.pe_array_job import image_runs, output_mask
from codesign.network.layers import Op
from codesign.verify.rtl_bench import JobResult, data_design, run_job, timing_cycles, timing_design
from codesign.verify.verilator import build_all, lint
from tests.verify.rtl_cases import ARRAYS, DataCase, random_data, timing_point

pytestmark = pytest.mark.verilator

NETWORKS = 10
LIMIT = 10_000_000


@pytest.fixture(scope="module")
def programs(rtl_builds: Path) -> list[Path]:
    """Simulators of the arrays, and last the timing-only build."""
    return build_all([*(data_design(array) for array in ARRAYS), timing_design()], rtl_builds)


@pytest.fixture(scope="module")
def cases() -> list[list[DataCase]]:
    """Random networks for each array."""
    return [[random_data(np.random.default_rng([7, number, index]), array) for index in range(NETWORKS)] for number, array in enumerate(ARRAYS)]


def run(program: Path, case: DataCase, stall: int = 0, seed: int = 1, expected: Path | None = None, mask: Path | None = None) -> JobResult:
    planned = case.image.schedule
    return run_job(
        program,
        case.image.memory,
        image_runs(case.image, len(case.samples)),
        case.image.pack_input(case.samples),
        memory_bytes=planned.memory.size,
        latency=planned.array.latency,
        stall=stall,
        seed=seed,
        expected=expected,
        mask=mask,
        limit=LIMIT,
    )


def test_the_networks_have_all_kinds_of_layers(cases: list[list[DataCase]]) -> None:
    layers = [layer for own in cases for case in own for layer in case.image.network.graph if layer.op is not Op.INPUT]
    assert len(layers) >= 60
    assert {layer.op for layer in layers} == set(Op) - {Op.ABSENT, Op.INPUT}
    resident = {case.image.schedule.resident for own in cases for case in own}
    assert len(resident) == 4 and {case.image.schedule.array.banks for own in cases for case in own} == {1, 2}


@pytest.mark.parametrize("number", range(len(ARRAYS)), ids=lambda number: f"{ARRAYS[number].rows}x{ARRAYS[number].columns}")
def test_random_networks_are_exact(programs: list[Path], cases: list[list[DataCase]], number: int, tmp_path: Path) -> None:
    expected, mask = tmp_path / "expected", tmp_path / "mask"
    for index, case in enumerate(cases[number]):
        expected.write_bytes(case.image.expected_output(case.samples))
        mask.write_bytes(output_mask(case.image))
        result = run(programs[number], case, expected=expected, mask=mask)
        logits = case.image.unpack_logits(b"".join(result.outputs))
        assert np.array_equal(logits, case.image.network.run(case.samples)), f"network {index}"
        timed = timing_cycles(programs[-1], [timing_point(case.image.schedule)])
        assert set(result.cycles[-len(case.samples) :]) == set(timed), f"network {index}"


@pytest.mark.parametrize("number", range(len(ARRAYS)), ids=lambda number: f"{ARRAYS[number].rows}x{ARRAYS[number].columns}")
def test_a_memory_that_stalls_changes_no_result(programs: list[Path], cases: list[list[DataCase]], number: int) -> None:
    for index, case in enumerate(cases[number]):
        result = run(programs[number], case, stall=30 + 20 * index, seed=index)
        assert np.array_equal(case.image.unpack_logits(b"".join(result.outputs)), case.image.network.run(case.samples)), f"network {index}"


@pytest.mark.parametrize("number", range(len(ARRAYS)), ids=lambda number: f"{ARRAYS[number].rows}x{ARRAYS[number].columns}")
def test_the_verilog_has_no_warning(rtl_builds: Path, tmp_path: Path, number: int) -> None:
    lint(data_design(ARRAYS[number]), log=tmp_path / "lint.log")


def test_the_timing_only_verilog_has_no_warning(rtl_builds: Path, tmp_path: Path) -> None:
    lint(timing_design(), log=tmp_path / "lint.log")
