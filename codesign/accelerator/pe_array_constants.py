"""Cycles that the sequencers of a `pe_array` and the memory beyond its port take, as data (``pe_array_cycles.toml``)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np

from codesign.accelerator.pe_array_work import FloatArray
from codesign.catalogue import Quantity, load_record, record

CYCLES_FILE = Path(__file__).resolve().parents[1] / "data" / "coefficients" / "pe_array_cycles.toml"


@dataclass(frozen=True)
class CycleConstants:
    """Cycles of the sequencers, named as in the contract."""

    load: float
    store: float
    fetch: float
    data: float
    compute: float
    group_minimum: float
    phase: float
    start: float


@record
class _Constants:
    load: Quantity
    store: Quantity
    fetch: Quantity
    data: Quantity
    compute: Quantity
    group_minimum: Quantity
    phase: Quantity
    start: Quantity


@record
class _Memory:
    latency_ns: Quantity


@record
class _CyclesFile:
    constants: _Constants
    memory: _Memory


@cache
def _cycles_file() -> _CyclesFile:
    return load_record(CYCLES_FILE, _CyclesFile)


@cache
def cycle_constants() -> CycleConstants:
    """The constants of ``pe_array_cycles.toml``."""
    constants = _cycles_file().constants
    return CycleConstants(**{field.name: float(getattr(constants, field.name).value) for field in fields(CycleConstants)})


def memory_latency(clock_mhz: FloatArray) -> FloatArray:
    """Cycles that external memory takes to the first beat of a burst, of the shape of ``clock_mhz``."""
    return np.asarray(np.maximum(np.ceil(_cycles_file().memory.latency_ns.value * 1e-3 * clock_mhz), 1.0))
