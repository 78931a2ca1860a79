"""A small table of made-up Gemmini measurements in the columns of the measured ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codesign.validation.gemmini import CallTable, count_calls, log_cycles, round_prices
from codesign.validation.gemmini_mapping import parse_layer, parse_mapping
from codesign.validation.parquet import write_columns

GROUP = "dosa-gemmini-rtl"
COLUMNS = (
    "id",
    "group",
    "accelerator",
    "workload",
    "config_json",
    "layer_json",
    "macs",
    "batch",
    "cycles",
    "latency_ms",
    "throughput",
    "clock_MHz",
    "lut",
    "ff",
    "dsp",
    "bram",
)


def layer_json(**extent: int) -> str:
    return json.dumps({"K": 64, "C": 16, "P": 14, "Q": 14, "R": 3, "S": 3, "N": 1, "Hstride": 1, "Wstride": 1} | extent)


def mapping(k: int, c: int, p: int, spatial: int = 4) -> str:
    """Of a 64 x 16 layer of 14 x 14 outputs: k, c and p tiles over DRAM."""
    inner = f"L1[O] R3 S3 Q14 P{14 // p} C{16 // c // spatial} C{spatial}X"
    return f"L3[WIO] K{k} C{c} P{p} - L2[WI] N1 K{64 // k // spatial} K{spatial}X - {inner} - L0[W] N1"


def gemmini_rows(count: int, seed: int = 0, layers: int = 25) -> list[dict[str, Any]]:
    """Layers of differing rows and columns with random tilings; cycles a few per cent off the closed form."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        size = int(rng.integers(layers)) + 8
        text = layer_json(P=size, Q=size)
        k, c = int(rng.choice([1, 2, 4, 8])), int(rng.choice([1, 2]))
        config = f"L3[WIO] K{k} C{c} P{size} - L2[WI] N1 K{16 // k} K4X - L1[O] R3 S3 Q{size} C{4 // c} C4X - L0[W] N1"
        layer = parse_layer(text, where="row")
        calls = CallTable.of([count_calls(layer, parse_mapping(config, layer, where="row"))])
        cycles = float(np.exp(log_cycles(calls, round_prices()[0])[0] + 0.05 * rng.normal()))
        rows.append({"id": str(number), "group": GROUP, "config_json": json.dumps({"mapping": config}), "layer_json": text, "cycles": str(cycles)})
    return rows


def board_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Measurements of another group, with nothing but columns to go by."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        depth, width = int(rng.integers(1, 6)), int(rng.choice([8, 16, 32]))
        latency = 0.1 * depth * width * np.exp(0.02 * rng.normal())
        config = json.dumps({"depth": depth, "stem": {"width": width}, "se": bool(number % 2), "name": "dpu"})
        rows.append({"id": f"b{number}", "group": "board", "accelerator": "DPU", "layer_json": config, "latency_ms": str(latency), "clock_MHz": "300.0"})
    return rows


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    write_columns(path, {name: [row.get(name) for row in rows] for name in COLUMNS})
    return path
