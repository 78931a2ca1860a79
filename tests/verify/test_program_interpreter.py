"""Programs on the interpreter equal the integer reference bit for bit, in the cycles of an independent walk of the law."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign.accelerator.pe_array_layers import layer_geometry
from codesign.accelerator.pe_array_program import Instruction
from codesign.accelerator.pe_array_tiling import cycle_constants
from codesign.accelerator.schedule import ArrayParameters, LayerTiling, residency, schedule
from codesign.errors import VerificationError
from codesign.export.pe_array_image import PeArrayImage, encode_program
from codesign.network.deployed import DeployedNetwork, IntTensor
from codesign.network.layers import Op
from codesign.network.table_builder import TableBuilder, TaskShape
from codesign.verify.program_interpreter import ProgramInterpreter
from codesign.verify.random_network import random_deployed
from tests.accelerator.pe_array_reference import Walk
from tests.verify.pe_array_cases import random_case, random_network, random_tiling, random_words

CONSTANTS = cycle_constants()
ARRAY = ArrayParameters(
    rows=4,
    columns=8,
    weight_bits=6,
    activation_bits=8,
    accumulator_bits=24,
    weight_words=400,
    activation_words=300,
    output_words=100,
    banks=2,
    bus_bits=32,
    latency=8,
)


def interpret(made: PeArrayImage, words: NDArray[np.uint8], seed: int = 0) -> tuple[IntTensor, int]:
    """Logits of each sample, and the cycles of the last."""
    machine = ProgramInterpreter(made.schedule.array, CONSTANTS, made.schedule.memory.size, seed)
    machine.write(0, made.memory)
    if made.schedule.preload:
        machine.run(made.schedule.memory.preload)
    packed, outputs, cycles = made.pack_input(words), [], 0
    for sample in range(len(words)):
        machine.write(made.input_address, packed[sample * made.input_bytes : (sample + 1) * made.input_bytes])
        cycles = machine.run(made.schedule.memory.program)
        outputs.append(machine.read(made.output_address, made.output_bytes))
    return made.unpack_logits(b"".join(outputs)), cycles


def walked(made: PeArrayImage) -> int:
    """Cycles by the reference of the cost model, which shares no code with the schedule."""
    planned, graph = made.schedule, made.network.graph
    orders = {}
    for slot, layer in enumerate(graph.layers[1:], 1):
        tiling, own = planned.tilings[layer.name], planned.geometries[layer.name]
        orders[slot] = (tiling.order, min(tiling.group_tile, own.groups), min(tiling.row_tile, own.result.h))
    constants = {name: int(number) for name, number in asdict(CONSTANTS).items()}
    return Walk(graph.layers, asdict(planned.array), constants).run(orders).cycles


def test_random_networks_on_random_arrays_are_exact() -> None:
    seen: Counter[object] = Counter()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        graph, array, tilings = random_case(rng)
        made = PeArrayImage(random_network(graph, rng), schedule(graph, array, tilings))
        words = random_words(graph, rng, 2)
        logits, cycles = interpret(made, words, seed)
        assert np.array_equal(logits, made.network.run(words)), seed
        assert cycles == walked(made), seed
        seen.update([made.schedule.resident, ("banks", array.banks), (array.rows, array.columns), *(layer.op.name for layer in graph)])
        seen.update(("order", tilings[name].order) for name, own in made.schedule.geometries.items() if len(list(own.tiles(tilings[name]))) > 2)
    assert len(seen) == 4 + 2 + 9 + 8 + 2, seen  # everything occurred


@pytest.mark.parametrize("blueprint", ["mlp", "tcresnet", "dscnn"])
def test_networks_of_the_blueprints_are_exact(draw_network: Callable[[str, int], DeployedNetwork], blueprint: str) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        network = random_network(draw_network(blueprint, seed).graph, rng)
        array, tilings = random_tiling(rng, network.graph, replace(ARRAY, weight_bits=8, accumulator_bits=32, banks=1 + seed % 2))
        words = random_words(network.graph, rng, 2)
        for planned in (schedule(network.graph, array, tilings), schedule(network.graph, array)):
            logits, cycles = interpret(made := PeArrayImage(network, planned), words)
            assert np.array_equal(logits, network.run(words)) and cycles == walked(made)


@pytest.mark.parametrize(("rows", "columns"), [(4, 8), (8, 4), (6, 4), (3, 5)])
def test_every_difference_of_scales_is_added_exactly(rows: int, columns: int) -> None:
    builder = TableBuilder(1, TaskShape((6, 9), 9, 8, True))
    x = builder.input((1, 6, 9))
    other = builder.convolution("other", x, Op.DEPTHWISE_CONV1D, kernel=(1, 3), weight_bits=2, output_bits=7, relu=True)
    builder.dense("head", builder.add("sum", x, other, output_bits=8, relu=False), features=3, weight_bits=2, output_bits=None, relu=False)
    graph, rng = builder.build().graph(0), np.random.default_rng(0)
    drawn = random_deployed(graph, rng)
    words = random_words(graph, rng, 2)
    for bits in (2, 5, 8):
        array = replace(ARRAY, rows=rows, columns=columns, weight_bits=bits, weight_words=4000)
        planned = schedule(graph, array)
        for difference in range(-8, 9):
            integers = dict(drawn.integers)
            for name, fraction in (("input", 0), ("other", difference), ("sum", -2)):
                integers[name] = replace(integers[name], output=replace(integers[name].output, fraction=fraction))
            network = DeployedNetwork(graph, integers, drawn.zero_point)
            assert np.array_equal(interpret(PeArrayImage(network, planned), words)[0], network.run(words)), (bits, difference)


def test_shifts_of_any_size_are_exact(residual_network: DeployedNetwork) -> None:
    words = random_words(residual_network.graph, np.random.default_rng(0), 3)
    planned = schedule(residual_network.graph, ARRAY)
    for fraction in (-40, -9, 3, 9, 12, 40):
        integers = dict(residual_network.integers)
        integers["join"] = replace(integers["join"], output=replace(integers["join"].output, fraction=fraction))
        network = DeployedNetwork(residual_network.graph, integers, 0)
        assert np.array_equal(interpret(PeArrayImage(network, planned), words)[0], network.run(words)), fraction


def test_a_program_runs_again_on_its_input(residual_network: DeployedNetwork) -> None:
    made = PeArrayImage(residual_network, schedule(residual_network.graph, ARRAY))
    words = random_words(residual_network.graph, np.random.default_rng(0), 1)
    machine = ProgramInterpreter(ARRAY, CONSTANTS, made.schedule.memory.size)
    machine.write(0, made.memory)
    machine.write(made.input_address, made.pack_input(words))
    machine.run(made.schedule.memory.preload)
    for _ in range(2):
        machine.run(0)
        assert np.array_equal(made.unpack_logits(machine.read(made.output_address, made.output_bytes)), residual_network.run(words))


def streamed(network: DeployedNetwork) -> PeArrayImage:
    """A schedule of several tiles with two banks."""
    array = replace(ARRAY, weight_words=20, activation_words=9)
    geometries = {layer.name: layer_geometry(network.graph, layer, array) for layer in network.graph.layers[1:]}
    tilings = {name: LayerTiling(0, own.group_step(8), own.row_minimum + 1) for name, own in geometries.items()}
    resident = replace(residency(network.graph, geometries, array), maps=False)
    return PeArrayImage(network, schedule(network.graph, array, tilings, resident))


@pytest.mark.parametrize(
    ("needs", "changed", "message"),
    [
        (("compute", "load1"), {"load1_word": "activation_base"}, "the phase loads activations that it reads or writes"),
        (("compute", "store"), {"store_word": "out_base"}, "the phase stores output words that it writes"),
        (("compute",), {"weight_y": 5, "first_y": -1}, "weight_y and weight_x lead to other weights than the taps'"),
        (("compute",), {"activation_base": 18}, "word [0-9]+ of the activation buffer, which has 18"),
        (("compute",), {"weight_base": 40}, "word 40 of the weight buffer, which has 40"),
        (("load1",), {"load1_word": 17}, "loads word [0-9]+ of a activation buffer of 18"),
        (("store",), {"store_address": 1 << 20}, "bytes at 0x100000 are not whole beats of the memory"),
    ],
)
def test_a_wrong_instruction_is_found_out(residual_network: DeployedNetwork, needs: tuple[str, ...], changed: dict[str, int | str], message: str) -> None:
    made = streamed(residual_network)
    number, own = next((number, own) for number, own in enumerate(made.program) if all(getattr(own, name) for name in needs))
    fields = {name: getattr(own, value) if isinstance(value, str) else value for name, value in changed.items()}
    program = [*made.program[:number], replace(own, **fields), *made.program[number + 1 :]]
    machine = ProgramInterpreter(made.schedule.array, CONSTANTS, made.schedule.memory.size)
    machine.write(0, made.memory)
    machine.write(0, encode_program(program))
    with pytest.raises(VerificationError, match=message):
        machine.run(made.schedule.memory.preload if made.schedule.preload else 0)
        machine.run(0)


def test_one_wrong_number_changes_the_result(residual_network: DeployedNetwork) -> None:
    made = streamed(residual_network)
    words = random_words(residual_network.graph, np.random.default_rng(0), 4)
    wanted = residual_network.run(words)
    assert np.array_equal(interpret(made, words)[0], wanted)
    number = next(number for number, phase in enumerate(made.schedule.phases) if phase.layer == "branch" and phase.instruction.compute)
    for field in ("shift", "weight_group", "weight_base", "activation_base", "out_base"):
        spoilt = [*made.program]
        spoilt[number] = replace(spoilt[number], **{field: getattr(spoilt[number], field) ^ 1})
        object.__setattr__(twin := PeArrayImage(made.network, made.schedule), "program", tuple(spoilt))
        assert not np.array_equal(interpret(twin, words)[0], wanted), field


def test_an_empty_program_takes_its_start_and_fetch() -> None:
    machine = ProgramInterpreter(ARRAY, CONSTANTS, 112)
    machine.write(0, encode_program([Instruction(halt=1)]))
    assert machine.run(0) == CONSTANTS.start + CONSTANTS.fetch + 8 + 28
