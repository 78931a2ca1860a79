"""Dynamic energy of streaming designs.

``P = static(device) + clock * sum(coefficient * count * activity)``, the form of vendor estimators; coefficients and their
errors are in ``data/coefficients/power.toml``, static power in the device files.
"""

from __future__ import annotations

import numpy as np

from codesign.accelerator.device import Device
from codesign.kpi.power import power_coefficients
from codesign.kpi.streaming.costs import LayerCosts, NetworkCosts
from codesign.kpi.streaming.hls_table import HlsTable
from codesign.kpi.template_model import FloatArray
from codesign.network.hls_model import Kind

PORT_BITS = 36.0
"""Widest port of a block memory (AMD UG473)."""
REFERENCE_PRODUCT_BITS = 64.0
"""Operand bits of the reference multiplication, 8 x 8."""


def active_cycles(table: HlsTable) -> FloatArray:
    """Cycles in which a row's multipliers work per inference (m,); 0 without weights."""
    runs = np.where(table.of_kind(Kind.LSTM, Kind.GRU), table.in_w, table.out_h * table.out_w)
    return np.where(table.weighted, runs * table.reuse, 0).astype(np.float64)


def dynamic_energy_uj(table: HlsTable, layers: LayerCosts, network: NetworkCosts, off_chip_bytes: FloatArray, device: Device) -> FloatArray:
    """Energy (n,) of one inference above static power, by activity.

    Multipliers by their cycles and operand widths, weight memories by their words, streams by their elements, logic by the
    average over layers, the clock tree from the first input to the result, external memory by the bit.
    """
    p, idle = power_coefficients().families[device.family], power_coefficients().multiplier_idle.value
    active = active_cycles(table)
    widths = table.weight_bits * table.input_bits / REFERENCE_PRODUCT_BITS
    multiplier = p.dsp_pj.value * active * layers.dsp * (idle + (1.0 - idle) * widths)
    words = np.where(table.reuse > 1, np.ceil(layers.multipliers * table.weight_bits / PORT_BITS), 0.0)
    weight_reads = p.bram18_pj.value * active * words
    elements = (table.out_h * table.out_w * table.out_c).astype(np.float64)
    streams = 2.0 * p.bram18_pj.value / PORT_BITS * elements * table.output_bits
    busy = table.total(active) / np.maximum(table.total(table.weighted.astype(np.float64)), 1.0)
    logic = network.lut * (p.clock_pj.value * network.latency + p.lut_pj.value * np.minimum(busy, network.latency))
    external = 8.0 * device.off_chip_pj_per_bit.value * off_chip_bytes
    return np.asarray((table.total(multiplier + weight_reads + streams) + logic + external) * 1e-6)
