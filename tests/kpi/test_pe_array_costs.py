"""Whole programs: cycles, traffic and accesses against a walk over every phase, and against the programs that the compiler makes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import pytest

from codesign.accelerator.device import find_device
from codesign.accelerator.pe_array_constants import CycleConstants, cycle_constants, memory_latency
from codesign.accelerator.pe_array_limits import utilisation
from codesign.accelerator.pe_array_tiling import ArrayShape, plan
from codesign.accelerator.schedule import ArrayParameters, schedule
from codesign.errors import InfeasibleError
from codesign.kpi.pe_array_costs import breakdown_of, costs, dynamic_energy_uj
from codesign.network.layers import LayerGraph, LayerTable
from codesign.verify.program_interpreter import phase_cycles
from tests.accelerator.pe_array_networks import ODD, NetworkMaker, Sizes, constants, random_array, stacked
from tests.accelerator.pe_array_reference import Reference, Walk

NETWORKS = 400


@dataclass(frozen=True)
class Programs:
    """Random networks on random arrays with the tiles that the model chooses, and walks over their phases."""

    table: LayerTable
    arrays: list[Sizes]
    graphs: list[LayerGraph]
    orders: list[dict[int, tuple[int, int, int]]]
    references: list[Reference]

    @property
    def array(self) -> ArrayShape:
        return stacked(self.arrays)


@pytest.fixture(scope="module")
def programs() -> Programs:
    rng = np.random.default_rng(3)
    maker = NetworkMaker(rng)
    graphs = [maker.draw() for _ in range(NETWORKS)]
    arrays = [random_array(rng) for _ in graphs]
    table = LayerTable.from_graphs(graphs)
    found = plan(table, stacked(arrays), constants=constants(ODD))
    orders: list[dict[int, tuple[int, int, int]]] = [{} for _ in graphs]
    for j, (design, place) in enumerate(zip(found.layers.design.tolist(), found.layers.place.tolist(), strict=True)):
        groups = int(found.tiles.units[j] * found.demand.unit[j])
        orders[design][place % table.op.shape[1]] = (int(found.tiles.order[j]), groups, int(found.tiles.rows[j]))
    references = [Walk(graph.layers, array, ODD).run(order) for graph, array, order in zip(graphs, arrays, orders, strict=True)]
    return Programs(table, arrays, graphs, orders, references)


def test_cycles_of_whole_programs_equal_the_walks(programs: Programs) -> None:
    found = costs(programs.table, programs.array, chosen=plan(programs.table, programs.array, constants=constants(ODD)))
    assert found.cycles.tolist() == [reference.cycles for reference in programs.references]


@pytest.mark.parametrize("name", [field.name for field in fields(CycleConstants)])
def test_one_cycle_more_in_any_constant_is_seen(programs: Programs, name: str) -> None:
    chosen = plan(programs.table, programs.array, constants=constants(ODD))
    job = plan(programs.table, programs.array, constants=constants(ODD | {name: ODD[name] + 1})).job
    changed = costs(programs.table, programs.array, chosen=replace(chosen, job=job))
    assert changed.cycles.tolist() != [reference.cycles for reference in programs.references]


class SlowWalk(Walk):
    """A walk whose beats take three cycles."""

    def __init__(self, graph: LayerGraph, array: Sizes) -> None:
        super().__init__(graph.layers, array, ODD)
        self.weight_beats, self.word_beats = 3 * self.weight_beats, 3 * self.word_beats
        self.fetch += 2 * -(-896 // array["bus_bits"])


def test_a_memory_that_takes_three_cycles_a_beat_delays_every_movement(programs: Programs) -> None:
    beat = np.where(np.arange(NETWORKS) % 2, 3.0, 1.0)
    found = costs(programs.table, programs.array, beat, plan(programs.table, programs.array, constants=constants(ODD)))
    for design, (graph, array, order) in enumerate(zip(programs.graphs, programs.arrays, programs.orders, strict=True)):
        expected = SlowWalk(graph, array).run(order) if design % 2 else programs.references[design]
        assert found.cycles[design] == expected.cycles


def test_bytes_over_the_port_are_words_and_instructions(programs: Programs) -> None:
    found = costs(programs.table, programs.array, chosen=plan(programs.table, programs.array, constants=constants(ODD)))
    for design, (graph, array, reference) in enumerate(zip(programs.graphs, programs.arrays, programs.references, strict=True)):
        walk = Walk(graph.layers, array, ODD)
        words = sum(reference.activation_words.values()) + sum(reference.output_words.values())
        instructions = (reference.phases + 1) * -(-896 // array["bus_bits"])
        assert found.beats[design] == sum(reference.weight_words.values()) * walk.weight_beats + words * walk.word_beats + instructions


def test_the_breakdown_adds_up_and_counts_what_the_walks_count(programs: Programs) -> None:
    array = programs.array
    found = costs(programs.table, array, chosen=plan(programs.table, array, constants=constants(ODD)))
    layers = breakdown_of(programs.table, array, found)
    assert (layers.stall_cycles >= 0).all()
    assert np.array_equal(layers.cycles, layers.compute_cycles + layers.stall_cycles)
    assert (layers.cycles.sum(axis=1) < found.cycles).all()
    assert (layers.external_bytes.sum(axis=1) < found.beats * array.bus_bits[:, 0] / 8).all()
    for design, reference in enumerate(programs.references):
        walk = Walk(programs.graphs[design].layers, programs.arrays[design], ODD)
        for slot, (order, groups, rows) in programs.orders[design].items():
            assert layers.weight_writes[design, slot] == reference.weight_words.get(slot, 0)
            assert layers.output_reads[design, slot] == reference.output_words.get(slot, 0) == layers.output_writes[design, slot]
            result = 0 if slot in reference.output_words else walk.map_words(slot)
            assert layers.activation_writes[design, slot] == reference.activation_words.get(slot, 0) + result
            runs = (
                -(-programs.graphs[design].layers[slot].accumulator_bits // programs.arrays[design]["activation_bits"]) if slot == len(walk.layers) - 1 else 1
            )
            steps = sum(count for row in walk.existing(slot) for count in row) * walk.groups(slot)
            tiles = -(-walk.axes(slot)["oh"] // rows)
            assert layers.activation_reads[design, slot] == steps * runs
            assert layers.weight_reads[design, slot] == (steps + tiles * walk.groups(slot) * walk.bias_words) * runs
            assert order in (0, 1) and groups >= 1


def test_the_compilers_programs_take_the_cycles_that_were_priced(programs: Programs) -> None:
    """Fields of encoded instructions, by the interpreter's law, against the closed form: the same number for every program."""
    law, compared = cycle_constants(), 0
    found = costs(programs.table, programs.array)
    share = utilisation(found.plan, programs.array)
    fits = np.max([share[f"{buffer}_buffer"] for buffer in ("weight", "activation", "output")], axis=0) <= 1.0
    for design, (graph, sizes) in enumerate(zip(programs.graphs, programs.arrays, strict=True)):
        array = ArrayParameters(**sizes)
        if not fits[design]:
            with pytest.raises(InfeasibleError):
                schedule(graph, array)
            continue
        planned = schedule(graph, array)
        fetch = law.start + law.fetch + array.latency + array.fetch_beats
        assert fetch + sum(phase_cycles(phase.instruction, array, law) for phase in planned.phases) == found.cycles[design]
        assert asdict(array) == sizes
        compared += 1
    assert 100 < compared < NETWORKS


def test_energy_grows_with_each_of_its_causes(programs: Programs) -> None:
    array, device = programs.array, find_device("pynq-z2")
    found = costs(programs.table, array)
    lut, in_dsp = np.full(NETWORKS, 3000.0), np.ones(NETWORKS)
    base = dynamic_energy_uj(programs.table, array, found, lut, in_dsp, device)
    assert (base > 0).all()
    assert (dynamic_energy_uj(programs.table, array, found, lut + 1, in_dsp, device) > base).all()
    assert (dynamic_energy_uj(programs.table, array, found, lut, 0 * in_dsp, device) < base).all()
    assert (dynamic_energy_uj(programs.table, array, replace(found, beats=found.beats + 1), lut, in_dsp, device) > base).all()
    assert (dynamic_energy_uj(programs.table, array, replace(found, cycles=found.cycles + 1), lut, in_dsp, device) > base).all()


def test_the_memory_takes_as_long_at_any_clock() -> None:
    clock = np.array([0.25, 25.0, 100.0, 300.0])
    assert memory_latency(clock).tolist() == [1.0, 8.0, 32.0, 96.0]
