"""`price`: all key figures of many designs in one call, from formulas alone.

Notation: ``n`` designs, ``L`` layer slots, ``f`` physical features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.device import RESOURCES, Device
from codesign.estimate import Estimate, Evidence, KpiReport
from codesign.kpi.joint_space import BLUEPRINT, TEMPLATE, JointSpace
from codesign.kpi.power import power_coefficients
from codesign.kpi.template_model import FloatArray, LayerKpis, TemplateKpis, TemplateModel
from codesign.network.blueprints.blueprint import Blueprint
from codesign.network.layers import LayerTable
from codesign.space.columns import Columns
from codesign.space.design_space import Indices

KPI_UNITS: dict[str, str] = {
    "latency_us": "us",
    "latency_cycles": "cycles",
    "interval_cycles": "cycles",
    "throughput_per_s": "1/s",
    "lut": "count",
    "ff": "count",
    "dsp": "count",
    "bram18": "count",
    "uram": "count",
    "power_w": "W",
    "board_power_w": "W",
    "energy_uj": "uJ",
    "board_energy_uj": "uJ",
    "weight_bytes": "B",
    "off_chip_bytes": "B",
    "macs": "count",
    "weights": "count",
    "clock_mhz": "MHz",
}
"""Every key figure and its unit. ``power_w`` and ``energy_uj`` are the accelerator's: dynamic power plus the device's
static power during one inference; the ``board_`` figures add what the board takes at rest."""

FEATURES = (
    "log_macs",
    "log_weights",
    "log_weight_bits",
    "mean_weight_bits",
    "mean_activation_bits",
    "depth",
    "log_latency",
    "log_energy",
)
"""Physical features of a design for a surrogate: natural logarithms of MACs, weights, all weights' bits, latency in us and
energy in uJ; widths averaged over weights and over tensor elements; number of weighted layers."""

# Designs priced together: enough to hide the cost of each array operation, few enough for the cache.
CHUNK = 4000


@dataclass(frozen=True)
class KpiTable:
    """Key figures of n designs.

    Attributes:
        values: arrays (n,) by the names of `KPI_UNITS`.
        fits: the device has the resources and the template can run the network (n,).
        reasons: utilisation (n,) by limit: device resources by name, template limits as ``<template>.<limit>`` (0 for
            designs of other templates); above 1 the design does not fit.
        relative_error: (n,) by key figure: the 95 % interval is a factor 1 + error either way.
        features: n x f, columns `FEATURES`.
        layers: n x L figures of each layer, by the names of `LayerKpis`; None unless asked for.
        layer_names: names of the L slots of each design, empty where a slot is absent; None unless asked for.
    """

    values: dict[str, FloatArray]
    fits: NDArray[np.bool_]
    reasons: dict[str, FloatArray]
    relative_error: dict[str, FloatArray]
    features: FloatArray
    layers: dict[str, FloatArray] | None = None
    layer_names: tuple[tuple[str, ...], ...] | None = None

    feature_names = FEATURES

    def __len__(self) -> int:
        return len(self.fits)


def price(joint: JointSpace, indices: Indices, *, per_layer: bool = False) -> KpiTable:
    """Price designs by the analytical models.

    Args:
        joint: the space the designs belong to.
        indices: designs, n x d.
        per_layer: also give the figures of each layer.
    """
    parts: list[tuple[NDArray[np.intp], KpiTable]] = []
    for blueprint, template, rows in _groups(joint, indices):
        for start in range(0, max(len(rows), len(indices) == 0), CHUNK):
            chosen = rows[start : start + CHUNK]
            parts.append((chosen, _price_chunk(joint, indices[chosen], blueprint, template, per_layer=per_layer)))
    return _assemble(parts, per_layer=per_layer)


def report(table: KpiTable, row: int) -> KpiReport:
    """The key figures of one design, each with its unit, 95 % interval and evidence."""
    source = "analytical model of the template"
    return {
        name: Estimate.relative(float(table.values[name][row]), unit, float(table.relative_error[name][row]), Evidence.ANALYTIC, source)
        for name, unit in KPI_UNITS.items()
    }


def _groups(joint: JointSpace, indices: Indices) -> list[tuple[Blueprint, TemplateModel, NDArray[np.intp]]]:
    """Rows that share a blueprint and a template."""
    everything = np.arange(len(indices))
    found = []
    for number, blueprint in enumerate(joint.blueprints):
        of_blueprint = everything if len(joint.blueprints) == 1 else np.flatnonzero(indices[:, joint.space.column(BLUEPRINT)] == number)
        for other, template in enumerate(joint.templates):
            rows = of_blueprint if len(joint.templates) == 1 else of_blueprint[indices[of_blueprint, joint.space.column(TEMPLATE)] == other]
            found.append((blueprint, template, rows))
    return found


def _price_chunk(joint: JointSpace, indices: Indices, blueprint: Blueprint, template: TemplateModel, *, per_layer: bool) -> KpiTable:
    table = blueprint.table(joint.space, indices, joint.shape)
    costs = template.evaluate(table, Columns(joint.space, indices, template.name), joint.device)
    values, bits = _values(table, costs, joint.device)
    reasons = {name: _utilisation(values[name], available) for name, available in joint.device.resources.items()}
    reasons |= {f"{template.name}.{name}": utilisation for name, utilisation in costs.limits.items()}
    fits = np.ones(len(table), dtype=np.bool_)
    for utilisation in reasons.values():
        fits &= utilisation <= 1.0
    return KpiTable(
        values=values,
        fits=fits,
        reasons=reasons,
        relative_error=_errors(values, costs, joint.device),
        features=_features(table, values, bits),
        layers={name: getattr(costs.layers, name) for name in _LAYER_FIGURES} if per_layer else None,
        layer_names=_layer_names(table) if per_layer else None,
    )


_LAYER_FIGURES = tuple(field.name for field in fields(LayerKpis))


def _utilisation(used: FloatArray, available: float) -> FloatArray:
    """Used over available; a resource that the device lacks altogether counts as 1 per unit plus one."""
    return used / available if available > 0 else np.where(used > 0, 1.0 + used, 0.0)


def _values(table: LayerTable, costs: TemplateKpis, device: Device) -> tuple[dict[str, FloatArray], FloatArray]:
    """Key figures by name, and the bits of all weights (n,)."""
    weights = table.weights
    bits = np.einsum("nl,nl->n", weights, table.weight_bits, dtype=np.float64)
    latency_us = costs.latency_cycles / costs.clock_mhz
    interval_us = costs.interval_cycles / costs.clock_mhz
    # One inference at a time, as a sensor needs it: the device is on from the first input to the result.
    energy = costs.dynamic_uj + device.static_w.value * latency_us
    base = device.board_base_w.value
    power = energy / latency_us
    return {
        "latency_us": latency_us,
        "latency_cycles": costs.latency_cycles,
        "interval_cycles": costs.interval_cycles,
        "throughput_per_s": 1e6 / interval_us,
        **{name: getattr(costs, name) for name in RESOURCES},
        "power_w": power,
        "board_power_w": power + base,
        "energy_uj": energy,
        "board_energy_uj": energy + base * latency_us,
        "weight_bytes": bits / 8.0,
        "off_chip_bytes": costs.off_chip_bytes,
        "macs": np.einsum("nl,nl,nl->n", weights, table.out_h, table.out_w, dtype=np.float64),
        "weights": weights.sum(axis=1),
        "clock_mhz": costs.clock_mhz,
    }, bits


def _errors(values: Mapping[str, FloatArray], costs: TemplateKpis, device: Device) -> dict[str, FloatArray]:
    """Relative errors (n,): dynamic and static energy weigh in by their shares."""
    n = len(costs.clock_mhz)
    cycles = np.full(n, costs.relative_error["cycles"])
    errors = {name: np.full(n, costs.relative_error.get(name, 0.0)) for name in KPI_UNITS}
    for name in ("latency_us", "latency_cycles", "interval_cycles", "throughput_per_s"):
        errors[name] = cycles
    c = power_coefficients()
    dynamic = costs.dynamic_uj / values["energy_uj"]
    errors["power_w"] = dynamic * c.error.value + (1.0 - dynamic) * c.static_error.value
    errors["energy_uj"] = errors["power_w"] + cycles
    base = device.board_base_w.value / values["board_power_w"]
    base_error = device.board_base_w.error if device.board_base_w.error is not None else c.static_error.value
    errors["board_power_w"] = (1.0 - base) * errors["power_w"] + base * base_error
    errors["board_energy_uj"] = errors["board_power_w"] + cycles
    return errors


def _features(table: LayerTable, values: Mapping[str, FloatArray], bits: FloatArray) -> FloatArray:
    """Columns `FEATURES` (n x f)."""
    elements = np.where(table.present, table.out_h * table.out_w * table.out_c, 0)
    produced = elements.sum(axis=1)
    activation_bits = np.einsum("nl,nl->n", elements, table.output_bits, dtype=np.float64) / np.maximum(produced, 1)
    return np.stack(
        [
            np.log(values["macs"]),
            np.log(values["weights"]),
            np.log(bits),
            bits / values["weights"],
            activation_bits,
            table.weighted.sum(axis=1).astype(np.float64),
            np.log(values["latency_us"]),
            np.log(values["energy_uj"]),
        ],
        axis=1,
    )


def _layer_names(table: LayerTable) -> tuple[tuple[str, ...], ...]:
    present = table.present
    return tuple(tuple(name if used else "" for name, used in zip(table.names, row, strict=True)) for row in present.tolist())


def _assemble(parts: list[tuple[NDArray[np.intp], KpiTable]], *, per_layer: bool) -> KpiTable:
    """One table in the order of the designs; limits of other templates are 0."""
    order = np.concatenate([rows for rows, _ in parts])
    inverse = np.argsort(order, kind="stable")
    ordered = bool((inverse == np.arange(len(order))).all())

    def join(blocks: list[NDArray[Any]]) -> NDArray[Any]:
        whole = np.concatenate(blocks)
        return whole if ordered else whole[inverse]

    def join_named(select: str) -> dict[str, FloatArray]:
        columns: list[dict[str, FloatArray]] = [getattr(part, select) for _, part in parts]
        names = dict.fromkeys(name for part in columns for name in part)
        return {name: join([part.get(name, np.zeros(len(rows))) for (rows, _), part in zip(parts, columns, strict=True)]) for name in names}

    layers, names = _join_layers(parts, join) if per_layer else (None, None)
    return KpiTable(
        values=join_named("values"),
        fits=join([part.fits for _, part in parts]),
        reasons=join_named("reasons"),
        relative_error=join_named("relative_error"),
        features=join([part.features for _, part in parts]),
        layers=layers,
        layer_names=None if names is None else tuple(names[row] for row in inverse.tolist()),
    )


def _join_layers(
    parts: list[tuple[NDArray[np.intp], KpiTable]], join: Callable[[list[NDArray[Any]]], NDArray[Any]]
) -> tuple[dict[str, FloatArray], list[tuple[str, ...]]]:
    """Layer figures padded to the most slots, and names in the order of the parts."""
    blocks = [part.layers or {} for _, part in parts]
    slots = max(block["cycles"].shape[1] for block in blocks)
    layers = {name: join([np.pad(block[name], ((0, 0), (0, slots - block[name].shape[1]))) for block in blocks]) for name in _LAYER_FIGURES}
    names = [row + ("",) * (slots - len(row)) for _, part in parts for row in part.layer_names or ()]
    return layers, names
