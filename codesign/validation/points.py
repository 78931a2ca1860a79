"""Measured hls4ml designs: rows of a table of syntheses as models, builds and reported figures.

The table has a row for each report: the network as JSON, precision, reuse factor, strategy, io type, device, clock, tool, and
what was reported. All columns are text. A row that no model covers is skipped with a reason, never guessed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from networkx.utils import UnionFind

from codesign.errors import InputError
from codesign.kpi.streaming.flow import Flow, Stage, slow_fabric, tool_of
from codesign.kpi.streaming.hls_table import Build
from codesign.network.hls_model import HlsLayer, HlsModel, Kind, Strategy
from codesign.validation.cells import Row, UnreadableError, first_bits, number, text, whole
from codesign.validation.parquet import read_rows
from codesign.validation.repository_rows import FORK, fork_projects, is_repository, project_of, repository_build, repository_model

KPIS = ("latency_max", "ii_max", "lut", "ff", "dsp", "bram18")
REQUIRED = ("id", "group", "stage", "network_json")
OPTIONAL = (
    "source", "device_part", "clock_ns", "tool_version", "backend", "weight_prec", "act_prec", "accum_prec", "reuse_factor", "strategy", "io_type",
    "level", "ref", *KPIS, "success",
)  # fmt: skip
COLUMNS = (*REQUIRED, *OPTIONAL)
STAGES = {"hls_estimate": Stage.HLS_ESTIMATE, "post_synth": Stage.POST_SYNTH, "post_place": Stage.POST_SYNTH}
FAILED = ("0", "0.0", "false", "no")
"""What the column of successes says of a synthesis that did not end."""
DEFAULT_CLOCK_NS = 5.0
"""hls4ml's own default clock period."""


@dataclass(frozen=True)
class MeasuredDesign:
    """One row.

    Attributes:
        id, group, source: as the row says.
        stage: as the row says; a placed design is compared with the model of synthesised ones.
        architecture: rows that share it are one design built in different ways: never fit on some and test on others.
        flow: tool and stage.
        model: the network, None where it cannot be modelled.
        build: how it is built.
        skipped: why there is no model; empty where there is one.
        measured: reported figures by name; figures that were not reported are left out.
        succeeded: the synthesis ended.
    """

    id: str
    group: str
    source: str
    stage: str
    architecture: str
    flow: Flow
    model: HlsModel | None
    build: Build
    skipped: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)
    succeeded: bool = True


def read_designs(path: Path) -> list[MeasuredDesign]:
    """All rows of a file.

    Raises:
        InputError: the file is not such a table.
    """
    rows = read_rows(path, REQUIRED, OPTIONAL)
    if not rows:
        raise InputError("has no row", where=str(path), remedy="Give a table with measured designs")
    families, forks = _families(rows), fork_projects(rows)
    designs = []
    for row in rows:
        design = read_design(row)
        if design.model is not None and text(row, "level") == "network" and project_of(row) in forks:
            design = replace(design, model=None, skipped=FORK)
        designs.append(replace(design, architecture=families.get(design.architecture, design.architecture)))
    return designs


def _families(rows: Iterable[Row]) -> dict[str, str]:
    """A name for each repository, the same for repositories that share a network, as copies of each other do."""
    joined = UnionFind()
    for row in rows:
        if text(row, "group") not in SYNTHETIC:
            source = ("source", text(row, "source"))
            network = ("network", text(row, "network_json"))
            joined.union(source, network if network[1] else source)
    names = (sorted(name for column, name in members if column == "source") for members in joined.to_sets())
    return {name: members[0] for members in names for name in members}


def read_design(row: Row) -> MeasuredDesign:
    """One row."""
    flow = Flow(
        tool_of(text(row, "tool_version"), text(row, "backend"), number(row.get("clock_ns")) or DEFAULT_CLOCK_NS),
        STAGES.get(text(row, "stage"), Stage.HLS_ESTIMATE),
    )
    build = read_build(row)
    model, skipped = None, ""
    try:
        if text(row, "stage") not in STAGES:
            raise UnreadableError(f"stage {text(row, 'stage') or 'unknown'}")
        entries = read_entries(row)
        if is_repository(entries):
            build = repository_build(row, entries, build)
        model = read_model(row, entries)
    except UnreadableError as reason:
        skipped = str(reason)
    except InputError as error:
        skipped = f"network: {error.what}"
    measured = {name: value for name in KPIS if (value := number(row.get(name))) is not None and value >= 0}
    return MeasuredDesign(
        id=text(row, "id"),
        group=text(row, "group"),
        source=text(row, "source"),
        stage=text(row, "stage"),
        architecture=text(row, "network_json") if text(row, "group") in SYNTHETIC else text(row, "source"),
        flow=flow,
        model=model,
        build=build,
        skipped=skipped,
        measured=measured,
        succeeded=text(row, "success").strip().lower() not in FAILED,
    )


SYNTHETIC = ("wa-hls4ml-1layer", "wa-hls4ml-2layer", "wa-hls4ml-3layer", "n-torc-dense", "n-torc-conv1d", "n-torc-lstm")
"""Groups made by a sweep over architectures; the others are found in repositories, which copy from each other."""


def read_build(row: Row) -> Build:
    """How a row was built: io type, strategy, reuse factor, clock and fabric of a row."""
    factors = [int(float(found)) for found in re.findall(r"\d+(?:\.\d+)?", text(row, "reuse_factor"))]
    return Build(
        io_type="io_stream" if re.search("io_stream|unknown", text(row, "io_type").lower()) else "io_parallel",
        strategy=Strategy.LATENCY if "latency" in text(row, "strategy").lower() else Strategy.RESOURCE,
        reuse_factor=max(1, min(factors)) if factors else 1,
        clock_ns=number(row.get("clock_ns")) or DEFAULT_CLOCK_NS,
        series7=slow_fabric(text(row, "device_part")),
    )


def read_entries(row: Row) -> list[dict[str, Any]]:
    """The layers of a row's network as its file has them.

    Raises:
        UnreadableError: it has none.
    """
    description = text(row, "network_json")
    if not description:
        raise UnreadableError("no network description")
    try:
        entries = json.loads(description)
    except (ValueError, RecursionError):
        raise UnreadableError("network description is not JSON") from None
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise UnreadableError("network description is not a list of layers")
    return entries


def read_model(row: Row, entries: list[dict[str, Any]]) -> HlsModel:
    """The network of a row.

    Args:
        row: the row.
        entries: its layers, see `read_entries`.

    Raises:
        UnreadableError: it is not modelled.
    """
    if is_repository(entries):
        return repository_model(entries, row)
    kinds = {text(entry, "kind") for entry in entries}
    if kinds <= set(SWEPT):
        return HlsModel(name=text(row, "id"), layers=tuple(_swept_layers(entries, row)))
    raise UnreadableError(f"layers of kind {', '.join(sorted(kinds))[:80]}")


SWEPT = {"Dense": Kind.DENSE, "Conv1D": Kind.CONV1D, "LSTM": Kind.LSTM, "GRU": Kind.GRU}
"""Layer kinds of the sweeps."""


def _swept_layers(entries: Iterable[Row], row: Row) -> Iterable[HlsLayer]:
    """Layers of a sweep: chain of dense layers with ReLU between them, or one layer of another kind."""
    activation = first_bits(text(row, "act_prec"), 16)
    weight = first_bits(text(row, "weight_prec"), 16)
    widths: dict[str, Any] = {"weight_bits": weight, "bias_bits": weight, "input_bits": activation, "output_bits": activation}
    widths["accumulator_bits"] = first_bits(text(row, "accum_prec"), activation)
    before: tuple[str, ...] = ()
    listed = list(entries)
    for place, entry in enumerate(listed):
        kind = SWEPT[str(entry["kind"])]
        layer = HlsLayer(name=f"layer{place}", kind=kind, inputs=before, **_swept_shape(entry, kind), **widths)
        layer = replace(layer, weight_peak=_fresh_peak(layer, text(row, "weight_prec")))
        yield layer
        before = (layer.name,)
        if place + 1 < len(listed):
            relu = HlsLayer(
                name=f"relu{place}", kind=Kind.ACTIVATION, function="relu", inputs=before, in_c=layer.out_c, out_c=layer.out_c,
                input_bits=activation, output_bits=activation,
            )  # fmt: skip
            yield relu
            before = (relu.name,)


def _fresh_peak(layer: HlsLayer, notation: str) -> float:
    """Largest weight over full scale of an untrained layer: uniform LeCun initialisation, or Glorot where the type has several integer bits (N-TORC)."""
    integer_bits = re.search(r"fixed<\s*\d+\s*,\s*(\d+)", notation)
    if integer_bits is None or int(integer_bits[1]) <= 1:
        return 0.0
    fan_out = layer.kernel_h * layer.kernel_w * layer.weights / max(layer.fan_in, 1)
    return float(min(1.0, math.sqrt(6.0 / (layer.fan_in + fan_out)) * 2.0 ** (1 - min(int(integer_bits[1]), 60))))


def _swept_shape(entry: Row, kind: Kind) -> dict[str, Any]:
    if kind is Kind.DENSE:
        return {"in_c": whole(entry.get("n_in")), "out_c": whole(entry.get("n_out"))}
    if kind is Kind.CONV1D:
        kernel, width = whole(entry.get("filt_width")), whole(entry.get("in_width"))
        pads = max(0, (whole(entry.get("out_width")) - 1) * whole(entry.get("stride"), 1) + kernel - width)
        # The zero padding is a layer of its own and not part of the report.
        sizes = {"in_w": width + pads, "out_w": whole(entry.get("out_width")), "in_c": whole(entry.get("n_chan")), "out_c": whole(entry.get("n_filt"))}
        return sizes | {"kernel_w": kernel, "stride_w": whole(entry.get("stride"), 1)}
    return {"in_w": whole(entry.get("n_sequence"), 1), "in_c": whole(entry.get("n_in")), "out_c": whole(entry.get("n_state"))}
