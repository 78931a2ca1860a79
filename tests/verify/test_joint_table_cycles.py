"""Latencies of the shipped joint table are cycles of the Verilog. Needs Verilator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codesign.kpi import evaluate
from codesign.search.specification import load_specification
from tools import build_joint_table

pytestmark = pytest.mark.verilator

ROWS = 50


def test_rows_of_the_joint_table_take_the_cycles_of_the_verilog(rtl_builds: Path) -> None:
    check = build_joint_table.check_cycles(load_specification(build_joint_table.STUDY), ROWS, rtl_builds)
    assert (check.rows, check.exact) == (ROWS, ROWS)


def test_a_wrong_cycle_of_the_model_is_seen(rtl_builds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_off(*arguments: object, **options: object) -> evaluate.KpiTable:
        found = evaluate.price(*arguments, **options)  # type: ignore[arg-type]
        found.values["latency_cycles"] = found.values["latency_cycles"] + (np.arange(len(found)) % 2)
        return found

    monkeypatch.setattr(build_joint_table, "price", one_off)
    check = build_joint_table.check_cycles(load_specification(build_joint_table.STUDY), ROWS, rtl_builds)
    assert 0 < check.exact < ROWS
