"""Cycles, traffic and energy of networks on the shared array, by the schedule that the compiler follows.

Notation: ``n`` designs, ``L`` layer slots, ``m`` layers present in all designs together. The law of the cycles is that of
``accel_templates/pe_array/ARCHITECTURE.md``, section Cycles.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache

import numpy as np

from codesign.accelerator.device import Device
from codesign.accelerator.pe_array_cycles import LayerCycles, layer_cycles, slowed
from codesign.accelerator.pe_array_moves import Moves, moves
from codesign.accelerator.pe_array_program import INSTRUCTION_BITS
from codesign.accelerator.pe_array_tiling import ArrayShape, Plan, plan
from codesign.accelerator.pe_array_work import spread, total_by_design
from codesign.kpi.memory import WIDEST
from codesign.kpi.power import power_coefficients
from codesign.kpi.template_model import FloatArray
from codesign.network.layers import LayerTable

KEPT_BYTES = 31 << 20


@cache
def _keep_freed_memory() -> None:
    """Let the C library keep what the many short-lived arrays free, in place of giving it back and faulting it in again each time.

    glibc raises its thresholds to the size of the largest block that was mapped and freed, up to 32 MiB (mallopt(3), "dynamic mmap
    threshold"); elsewhere this does nothing. Without it half of the time goes into page faults.
    """
    np.empty(KEPT_BYTES, dtype=np.uint8)


@dataclass(frozen=True)
class PeArrayBreakdown:
    """What each layer of each design does, n x L, zero in absent slots; all runs of the last layer together.

    Attributes:
        cycles: of the layer's phases.
        compute_cycles: of its computations.
        load_cycles, store_cycles: of its movements, whether the array computes beside them or not.
        stall_cycles: in which the array waits for movements, programs and phases to begin.
        external_bytes: over the port, padding of words to beats and instructions included.
        weight_reads, weight_writes: words of the weight buffer.
        activation_reads, activation_writes: words of the activation buffer; results that stay on chip are written there.
        output_reads, output_writes: words of the output buffer.
    """

    cycles: FloatArray
    compute_cycles: FloatArray
    load_cycles: FloatArray
    store_cycles: FloatArray
    stall_cycles: FloatArray
    external_bytes: FloatArray
    weight_reads: FloatArray
    weight_writes: FloatArray
    activation_reads: FloatArray
    activation_writes: FloatArray
    output_reads: FloatArray
    output_writes: FloatArray


@dataclass(frozen=True)
class Costs:
    """A table on its arrays.

    Attributes:
        plan: how it is tiled.
        runs: times that each layer runs (m,): the last one gives its accumulators piece by piece.
        layer_cycles, compute_cycles, load_cycles, store_cycles: see `PeArrayBreakdown`, each (m,).
        moved: what one run moves (m,).
        layer_beats: beats over the port, all runs, instructions included (m,).
        cycles, beats: of the whole inference (n,): programs' beginning and the input's load included.
    """

    plan: Plan
    runs: FloatArray
    layer_cycles: FloatArray
    compute_cycles: FloatArray
    load_cycles: FloatArray
    store_cycles: FloatArray
    moved: Moves
    layer_beats: FloatArray
    cycles: FloatArray
    beats: FloatArray


def costs(table: LayerTable, array: ArrayShape, beat_cycles: FloatArray | None = None, chosen: Plan | None = None) -> Costs:
    """Cycles and traffic of one inference.

    Args:
        table: the networks.
        array: the arrays (n, 1).
        beat_cycles: cycles (n,) that a beat of the port takes: above 1 where the memory does not keep up; one if None.
        chosen: how the layers are tiled, and the cycles of the sequencers; what `plan` chooses for the template's if None.
    """
    _keep_freed_memory()
    beat_cycles = np.ones(len(table)) if beat_cycles is None else beat_cycles
    chosen = plan(table, array) if chosen is None else chosen
    layers, job, constants = chosen.layers, chosen.job, chosen.job.constants
    runs = np.where(layers.last, np.ceil(layers.accumulator_bits / array.activation_bits[:, 0].take(layers.design)), 1.0)
    fetch_beats = np.ceil(INSTRUCTION_BITS / array.bus_bits[:, 0])
    found, moved = _run_cycles(chosen, beat_cycles, fetch_beats), moves(job, chosen.tiles)
    layer_beats = (moved.weights + moved.maps + moved.results + moved.phases * fetch_beats.take(layers.design)) * runs
    total = found.total * runs
    latency = array.latency[:, 0]
    fetch = latency + constants.fetch + fetch_beats * beat_cycles
    entry = np.where(chosen.resident.maps, chosen.resident.input_words * np.ceil(array.activation_word_bits / array.bus_bits)[:, 0], 0.0)
    entry_phase = constants.phase + constants.data + fetch + latency + constants.load + entry * beat_cycles
    n = len(table)
    cycles = total_by_design(total, layers, n) + constants.start + fetch + np.where(entry > 0, entry_phase, 0.0)
    return Costs(
        plan=chosen,
        runs=runs,
        layer_cycles=total,
        compute_cycles=found.compute * runs,
        load_cycles=found.load * runs,
        store_cycles=found.store * runs,
        moved=moved,
        layer_beats=layer_beats,
        cycles=np.ceil(cycles),
        beats=total_by_design(layer_beats, layers, n) + fetch_beats * (1.0 + (entry > 0)) + entry,
    )


def _run_cycles(chosen: Plan, beat_cycles: FloatArray, fetch_beats: FloatArray) -> LayerCycles:
    """Cycles (m,) of one run of each layer, those with a slow memory apart."""
    found, at = layer_cycles(chosen.job, chosen.tiles), chosen.layers.design
    slow = np.flatnonzero(beat_cycles.take(at) > 1.0)
    if len(slow):
        job = slowed(chosen.job.take(slow), beat_cycles.take(at[slow]), fetch_beats.take(at[slow]))
        longer = layer_cycles(job, chosen.tiles.take(slow))
        for field in fields(LayerCycles):
            getattr(found, field.name)[slow] = getattr(longer, field.name)
    return found


@dataclass(frozen=True)
class _Accesses:
    """Words read from and written to the buffers, each (m,); names as in `PeArrayBreakdown`."""

    weight_reads: FloatArray
    weight_writes: FloatArray
    activation_reads: FloatArray
    activation_writes: FloatArray
    output_reads: FloatArray
    output_writes: FloatArray


def _accesses(found: Costs, array: ArrayShape) -> _Accesses:
    at = found.plan.layers.design
    layers, demand, job = found.plan.layers, found.plan.demand, found.plan.job
    weight_beats = np.ceil(array.weight_word_bits / array.bus_bits)[:, 0].take(at)
    word_beats = np.ceil(array.activation_word_bits / array.bus_bits)[:, 0].take(at)
    result = demand.out_planes * layers.out_h * layers.out_w
    stored = job.store_beats > 0
    steps = demand.steps * found.runs
    down = np.ceil(job.out_h / found.plan.tiles.rows)
    return _Accesses(
        weight_reads=steps + demand.groups * demand.bias_words * down * found.runs,
        weight_writes=found.moved.weights / weight_beats * found.runs,
        activation_reads=steps,
        activation_writes=found.moved.maps / word_beats * found.runs + np.where(stored, 0.0, result),
        output_reads=found.moved.results / word_beats * found.runs,
        output_writes=np.where(stored, result * found.runs, 0.0),
    )


def breakdown_of(table: LayerTable, array: ArrayShape, found: Costs) -> PeArrayBreakdown:
    """Costs layer by layer."""
    place, shape = found.plan.layers.place, table.op.shape
    accesses = _accesses(found, array)
    values = {field.name: getattr(accesses, field.name) for field in fields(_Accesses)} | {
        "cycles": found.layer_cycles,
        "compute_cycles": found.compute_cycles,
        "load_cycles": found.load_cycles,
        "store_cycles": found.store_cycles,
        "stall_cycles": found.layer_cycles - found.compute_cycles,
        "external_bytes": found.layer_beats * array.bus_bits[found.plan.layers.design, 0] / 8.0,
    }
    return PeArrayBreakdown(**{name: spread(value, place, shape) for name, value in values.items()})


def dynamic_energy_uj(table: LayerTable, array: ArrayShape, found: Costs, lut: FloatArray, in_dsp: FloatArray, device: Device) -> FloatArray:
    """Energy (n,) above static power, by activity.

    * clock tree: every cycle; logic: every step;
    * multipliers: every step an idle part, and for each real product a part in proportion to the layer's own operand
      widths (narrow values leave the upper bits of an operand still);
    * buffers: every word read and written, at the energy of a full-width access;
    * external memory: by the bit, instructions and padding included.

    Args:
        table: the networks.
        array: the arrays (n, 1).
        found: their costs.
        lut: look-up tables of the arrays (n,).
        in_dsp: 1 where the multipliers are DSP blocks (n,).
        device: whose energies apply.
    """
    power = power_coefficients()
    family, idle = power.families[device.family], power.multiplier_idle.value
    place, n = found.plan.layers.place, len(table)

    def total(values: FloatArray) -> FloatArray:
        return total_by_design(values, found.plan.layers, n)

    demand, accesses = found.plan.demand, _accesses(found, array)
    widths = np.multiply(table.weight_bits.take(place), table.input_bits.take(place), dtype=np.float64)
    steps = total(demand.steps * found.runs)
    products = total(demand.macs * found.runs * widths) / 64.0
    lanes = (array.rows * array.columns)[:, 0]
    multiplier = family.dsp_pj.value * in_dsp * (idle * lanes * steps + (1.0 - idle) * products)
    weight_words = total(accesses.weight_reads + accesses.weight_writes)
    words = total(accesses.activation_reads + accesses.activation_writes + accesses.output_reads + accesses.output_writes)
    words = words + np.where(found.plan.resident.maps, found.plan.resident.input_words, 0.0)
    buffers = family.bram18_pj.value / WIDEST * (weight_words * array.weight_word_bits[:, 0] + words * array.activation_word_bits[:, 0])
    logic = lut * (family.clock_pj.value * found.cycles + family.lut_pj.value * steps)
    external = device.off_chip_pj_per_bit.value * found.beats * array.bus_bits[:, 0]
    return np.asarray((logic + multiplier + buffers + external) * 1e-6)
