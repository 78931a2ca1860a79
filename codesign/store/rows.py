"""What the text columns of the store hold, read strictly: a row that is not what was written is told, not passed on.

Each function raises ValueError, KeyError or TypeError on damage; `codesign.store.study_store` says which row it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from codesign.estimate import Estimate, Evidence, KpiReport
from codesign.kpi.evaluate import KPI_UNITS
from codesign.space.design_space import DesignPoint

REQUIRED_METRICS = ("accuracy",)
SIMULATED = ("csim", "rtl")
SYNTHESISED = ("synth", "pnr")
VERIFICATION_COUNTS = dict.fromkeys(SIMULATED, ("samples", "samples_exact", "elements_exact", "max_abs_difference"))
VERIFICATION_SHARES = dict.fromkeys(SIMULATED, ("argmax_agreement", "metric_quantised", "metric_simulated"))
VERIFICATION_OTHERS = {
    **dict.fromkeys(SIMULATED, ("first_diverging_layer", "cycles_predicted", "cycles_simulated", "seconds")),
    **dict.fromkeys(SYNTHESISED, ("resources", "tool", "clock_mhz", "fmax_mhz", "meets_clock", "seconds")),
}
EVENT_TEXTS = {"stage": ("name",), "command": ("line",)}
EVENT_NUMBERS = {"stage": ("seconds",), "priced": ("count",)}
EVIDENCE_KINDS = (Evidence.RTL_SIM, Evidence.SYNTHESIS, Evidence.PLACE_ROUTE, Evidence.VENDOR, Evidence.BOARD)
"""What a key figure may be measured by; where a design has several, the last of these counts."""
DATA_KEYS = ("hash", "train", "validation", "test", "device", "path")


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError(f"{text[:40]!r} is not a JSON object")
    return found


def _number(found: Mapping[str, Any], key: str) -> float:
    value = found[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{key} = {value!r} is not a number")
    return value


def _count(found: Mapping[str, Any], key: str, least: int = 0) -> int:
    value = _number(found, key)
    if not isinstance(value, int) or value < least:
        raise ValueError(f"{key} = {value!r} is not a count of at least {least}")
    return value


def read_point(identifier: str, text: str) -> DesignPoint:
    """A design; its values must give its id."""
    point = DesignPoint(tuple(sorted(_object(text).items())))
    if point.id != identifier:
        raise ValueError("the parameters are not those of this id")
    return point


def read_kpis(text: str) -> KpiReport:
    """Figures by name; all of `KPI_UNITS`."""
    kpis = {name: Estimate.from_dict(data) for name, data in _object(text).items()}
    missing = [name for name in KPI_UNITS if name not in kpis]
    if missing:
        raise ValueError(f"no {missing[0]}")
    return kpis


def read_metrics(text: str) -> dict[str, float]:
    """Metrics of a finished training."""
    found = _object(text)
    metrics = {key: float(_number(found, key)) for key in found}
    for name in REQUIRED_METRICS:
        if not 0.0 <= metrics[name] <= 1.0:
            raise ValueError(f"{name} = {metrics[name]:g} is not a share of 1")
    return metrics


def read_verification(level: str, text: str) -> dict[str, Any]:
    """Result of a verification of one level."""
    found = _object(text)
    for key in VERIFICATION_COUNTS.get(level, ()):
        _count(found, key, least=1 if key == "samples" else 0)
    for key in VERIFICATION_SHARES.get(level, ()):
        if not 0.0 <= _number(found, key) <= 1.0:
            raise ValueError(f"{key} = {found[key]!r} is not a share of 1")
    missing = [key for key in VERIFICATION_OTHERS.get(level, ()) if key not in found]
    if missing:
        raise ValueError(f"no {missing[0]}")
    return found


def read_event(kind: str, text: str) -> dict[str, Any]:
    """Detail of an event."""
    found = _object(text)
    for key in EVENT_TEXTS.get(kind, ()):
        if not isinstance(found[key], str):
            raise TypeError(f"{key} = {found[key]!r} is not text")
    for key in EVENT_NUMBERS.get(kind, ()):
        _number(found, key)
    return found


def read_data(found: Any) -> dict[str, Any]:
    """Which data a study is bound to: hash, samples by split, device, folder."""
    if not isinstance(found, dict):
        raise TypeError(f"{found!r} is not a JSON object")
    missing = [key for key in DATA_KEYS if key not in found]
    if missing:
        raise ValueError(f"no {missing[0]}")
    for split in ("train", "validation", "test"):
        _count(found, split, least=1)
    return found


def read_evidence(kpi: str, kind: str, value: Any) -> tuple[Evidence, float]:
    """Kind and value of one measured figure."""
    if kpi not in KPI_UNITS or kind not in EVIDENCE_KINDS:
        raise ValueError(f"{kind} of {kpi} is not known")
    if _number({"value": value}, "value") < 0.0:
        raise ValueError(f"value = {value!r} is negative")
    return Evidence(kind), float(value)
