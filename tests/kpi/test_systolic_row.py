from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from accel_templates.systolic_row.golden import remake
from accel_templates.systolic_row.tb.assemble import RowShape, assemble, input_words, place_maps
from codesign import toolchain
from codesign.accelerator.device import Family, find_device
from codesign.accelerator.template import load_descriptor, templates_folder
from codesign.errors import InputError
from codesign.kpi import systolic_row
from codesign.kpi.evaluate import price
from codesign.kpi.joint_space import JointSpace
from codesign.kpi.systolic_row import Row, coefficients, live_words, resources, work
from codesign.network.blueprints.blueprint import find_blueprint
from codesign.network.deployed import DeployedNetwork
from codesign.network.layers import Layer, LayerGraph, LayerTable, Op
from codesign.network.table_builder import TableBuilder, TaskShape
from codesign.space.design_space import DesignSpace
from codesign.verify.random_network import random_deployed
from codesign.verify.verilator import Design, build, lint

FOLDER = templates_folder() / "systolic_row"
KWS = TaskShape(input_shape=(49, 10), classes=12, input_bits=8, input_signed=True)
SMALL = (TaskShape((8, 8), 10, 5, False), TaskShape((13, 6), 12, 8, True))
BLUEPRINTS = ("mlp", "tcresnet", "dscnn")
PYNQ = find_device("pynq-z2")


def row_of(shape: RowShape) -> Row:
    return Row(
        *(
            np.array([[float(value)]])
            for value in (shape.pes, shape.weight_bits, shape.activation_bits, shape.accumulator_bits, shape.kernel_words, shape.feature_words)
        )
    )


def graph_of(blueprint: str, seed: int, shape: TaskShape) -> LayerGraph:
    found = find_blueprint(blueprint)
    space = DesignSpace(found.parameters)
    return found.table(space, space.sample(1, np.random.default_rng(seed)), shape).graph(0)


def cycles_of(graph: LayerGraph, shape: RowShape) -> int:
    """What the model says of one inference, from the first input word to the end."""
    entry = graph.input
    layers = work(LayerTable.from_graphs([graph]), row_of(shape)).cycles.sum()
    return int(entry.out_h * entry.out_w * entry.out_c + coefficients().circuit.start_cycles.value + layers)


# ---- cycles, by walking


def walk(layer: Layer, elements: int) -> int:
    """Cycles of a layer by events: when each operand enters the row, when each result leaves it, when the last one is written."""
    clock = 25  # program words of a layer, one more for the memory
    free = last_written = 0
    full = layer.op in (Op.DENSE, Op.CONV1D, Op.CONV2D)
    taps = 2 if layer.op is Op.ADD else layer.kernel_h * layer.kernel_w
    for first in range(0, layer.out_c, elements):
        channels = range(first, min(first + elements, layer.out_c))
        for _ in range(layer.out_h * layer.out_w):
            begin = clock
            for _ in range(taps):
                for _ in range(layer.in_c) if full else channels:
                    entered = clock
                    clock += 1
            # Two cycles from the sequencer, four in element 0, two more for each other one; element 0 is the last to hand over.
            arrivals = [entered + 6 + 2 * (elements - 1) - place for place in range(len(channels))]
            assert min(arrivals) > free
            free = max(arrivals)
            last_written = free + 5  # bias, sum, shift, saturation, memory
            clock = max(clock, begin + len(channels))
    return last_written


@pytest.mark.parametrize("blueprint", BLUEPRINTS)
def test_cycles_equal_a_walk_over_operands_and_results(blueprint: str) -> None:
    for seed in range(8):
        graph, elements = graph_of(blueprint, seed, SMALL[seed % 2]), (2, 4, 8, 16, 32, 64)[seed % 6]
        shape = RowShape(elements, 8, 8, 32, 16384, 65536)
        found = work(LayerTable.from_graphs([graph]), row_of(shape)).cycles[0]
        assert found.tolist() == [0 if layer.op is Op.INPUT else walk(layer, elements) for layer in graph]


# ---- memories


@pytest.mark.parametrize("blueprint", BLUEPRINTS)
@pytest.mark.parametrize("seed", range(12))
def test_maps_fit_exactly_in_the_words_that_the_model_asks_for(blueprint: str, seed: int) -> None:
    graph = graph_of(blueprint, seed, KWS)
    needed = int(live_words(LayerTable.from_graphs([graph]))[0])
    addresses = place_maps(graph, needed)
    layers = list(graph)
    spans = {layer.name: range(addresses[layer.name], addresses[layer.name] + layer.out_h * layer.out_w * layer.out_c) for layer in layers[:-1]}
    assert max(span.stop for span in spans.values()) <= needed
    for number, layer in enumerate(layers[1:], start=1):
        later = {source for reader in layers[number:] for source in (reader.input_a, reader.input_b) if source >= 0}
        alive = [spans[layers[source].name] for source in later if source < number]
        alive += [spans[layer.name]] if layer.name in spans else []
        assert sum(map(len, alive)) == len(set().union(*alive))
    with pytest.raises(InputError, match=rf"the maps do not fit in {needed - 1} words\. Take a larger feature memory"):
        place_maps(graph, needed - 1)


@pytest.mark.parametrize("blueprint", BLUEPRINTS)
def test_limits_are_what_the_assembler_needs(blueprint: str) -> None:
    graph = graph_of(blueprint, 3, SMALL[0])
    network = random_deployed(graph, np.random.default_rng(3))
    shape = RowShape(4, 8, 8, 32, 1 << 16, 1 << 16)
    image = assemble(network, shape)
    needed = int(work(LayerTable.from_graphs([graph]), row_of(shape)).kernel_words.sum())
    assert {len(words) for words in image.kernels} == {needed}
    assert len(image.program) == (len(graph) - 1) * coefficients().circuit.layer_words.value
    assert len(image.biases) == sum(layer.out_c for layer in graph if layer.weights)
    with pytest.raises(InputError, match=rf"{needed} kernel words for memories of {needed - 1}\. Take a larger kernel memory"):
        assemble(network, replace(shape, kernel_words=needed - 1))


def test_a_network_that_is_too_wide_or_too_large_is_illegal() -> None:
    names = {"weight_bits": (4, 8), "kernel_words": (256, 16384), "feature_words": (512, 65536), "processing_elements": (8,)}
    joint = JointSpace.build(KWS, ["tcresnet"], ["systolic_row"], PYNQ, {f"systolic_row.{name}": values for name, values in names.items()})
    indices = joint.space.sample(200, np.random.default_rng(5))
    priced = price(joint, indices)
    for number, point in enumerate(joint.space.points(indices)):
        graph, values = joint.graph(point), joint.template_values(point)
        words = sum(-(-layer.out_c // 8) * layer.fan_in for layer in graph)
        assert priced.reasons["systolic_row.kernel_words"][number] == words / int(values["kernel_words"])
        assert priced.reasons["systolic_row.weight_bits"][number] == max(layer.weight_bits for layer in graph) / int(values["weight_bits"])
        assert priced.reasons["systolic_row.accumulator_bits"][number] == max(layer.accumulator_bits for layer in graph) / int(values["accumulator_bits"])
        assert priced.reasons["systolic_row.feature_words"][number] == live_words(LayerTable.from_graphs([graph]))[0] / int(values["feature_words"])
    assert priced.fits.any() and not priced.fits.all()


def test_parameters_hold_the_input_of_the_task_and_the_clock_of_the_device() -> None:
    offered = {parameter.name: parameter.values for parameter in systolic_row.TEMPLATE_MODEL.parameters(find_device("ecp5-85k"), KWS)}
    assert offered["systolic_row.activation_bits"] == (8,)
    assert max(float(value) for value in offered["systolic_row.clock_mhz"]) <= find_device("ecp5-85k").clock_mhz.value
    assert set(offered) == {f"systolic_row.{name}" for name in load_descriptor("systolic_row").parameters}


# ---- resources


GOLDEN = json.loads((FOLDER / "golden" / "yosys.json").read_text())


@pytest.mark.parametrize("row", GOLDEN["rows"], ids=lambda row: f"{row['family']}-{row['PES']}-{row['WEIGHT_BITS']}-{row['ACTIVATION_BITS']}")
def test_resources_are_those_of_synthesis_within_the_stated_error(row: dict[str, object]) -> None:
    shape = RowShape(*(int(str(row[name])) for name in remake.PARAMETERS))
    found = resources(row_of(shape), Family(row["family"]))
    for kind in ("lut", "ff", "dsp", "bram18"):
        counted, error = int(str(row[kind])), coefficients().error[kind].value
        assert counted / (1.0 + error) <= getattr(found, kind)[0] <= counted * (1.0 + error), kind


def test_designs_never_used_in_the_fit_are_close() -> None:
    misses: dict[str, list[float]] = {"lut": [], "ff": []}
    for row in GOLDEN["rows"]:
        if row["use"] == "test":
            found = resources(row_of(RowShape(*(row[name] for name in remake.PARAMETERS))), Family(row["family"]))
            for kind, collected in misses.items():
                collected.append(abs(float(getattr(found, kind)[0]) / row[kind] - 1.0))
    assert len(misses["lut"]) == 12
    assert np.median(misses["lut"]) < 0.04 and np.median(misses["ff"]) < 0.03


@pytest.mark.parametrize("family", [Family.SERIES7, Family.ECP5])
def test_coefficients_are_the_fit_to_the_golden_counts(family: Family) -> None:
    rows = [row for row in GOLDEN["rows"] if row["family"] == family and row["use"] == "fit"]
    c, lut_terms, ff_terms = coefficients().families[family], [], []
    for row in rows:
        elements, weight, activation, accumulator, *_ = shape = [row[name] for name in remake.PARAMETERS]
        product = activation + 1 + max(weight, 8)
        in_lut = 0 if row["dsp"] else elements * weight * (activation + 1)
        lut_terms.append([elements * accumulator, elements * product, in_lut, accumulator, 1])
        known = resources(row_of(RowShape(*shape)), family).ff[0] - elements * c.ff_element.value - c.ff_control.value
        ff_terms.append([elements, 1, row["ff"] - known])
    counted = {kind: np.array([row[kind] for row in rows], dtype=np.float64) for kind in ("lut", "ff")}
    lut, _ = nnls(np.array(lut_terms) / counted["lut"][:, None], np.ones(len(rows)))
    stated = [c.lut_accumulator, c.lut_product, c.lut_multiplier, c.lut_requantise, c.lut_control]
    assert lut == pytest.approx([quantity.value for quantity in stated], rel=1e-3)
    relative = np.array(ff_terms) / counted["ff"][:, None]
    ff, *_ = np.linalg.lstsq(relative[:, :2], relative[:, 2])
    assert ff == pytest.approx([c.ff_element.value, c.ff_control.value], rel=5e-3)


def test_the_golden_file_holds_what_its_script_makes() -> None:
    asked = {(family, *design) for family in ("series7", "ecp5") for design in remake.FIT + remake.TEST}
    asked |= {("ultrascale_plus", *design) for design in remake.ULTRASCALE_PLUS}
    assert {(row["family"], *(row[name] for name in remake.PARAMETERS)) for row in GOLDEN["rows"]} == asked
    assert GOLDEN["tool"].startswith("Yosys 0.")
    cells = {"DSP48E1": 4, "FDRE": 1310, "INV": 57, "LUT2": 309, "LUT6": 181, "RAMB18E1": 5, "RAMB36E1": 2, "SRL16E": 24}
    stat = "".join(f"     {number:4}   {cell}\n" for cell, number in cells.items())
    assert remake.counts(stat) == {"lut": 514, "ff": 1310, "dsp": 4, "bram18": 9}
    with pytest.raises(ValueError, match="memories in LUTs are not counted: .*RAM64M"):
        remake.counts(stat + "       32   RAM64M\n")


@given(st.sampled_from((2, 4, 8, 16, 32)), st.integers(2, 7), st.integers(2, 7), st.sampled_from((20, 24, 28)), st.sampled_from(list(Family)))
def test_a_larger_row_never_takes_fewer_resources(elements: int, weight_bits: int, activation_bits: int, accumulator_bits: int, family: Family) -> None:
    base = RowShape(elements, weight_bits, activation_bits, accumulator_bits, 1024, 4096)
    small = resources(row_of(base), family)
    for change in ({"pes": 2 * elements}, {"accumulator_bits": accumulator_bits + 4}, {"kernel_words": 4096}, {"feature_words": 16384}):
        large = resources(row_of(replace(base, **change)), family)
        assert all(getattr(large, kind)[0] >= getattr(small, kind)[0] for kind in ("lut", "ff", "dsp", "bram18"))
    wide = resources(row_of(replace(base, weight_bits=weight_bits + 1, activation_bits=activation_bits + 1)), family)
    assert wide.dsp[0] > small.dsp[0] or wide.lut[0] >= small.lut[0]


# ---- the circuit


NEEDED = (toolchain.VERILATOR, toolchain.PERL, toolchain.MAKE, toolchain.GXX)
simulated = [pytest.mark.gxx, pytest.mark.skipif(None in map(toolchain.find, NEEDED), reason="needs Verilator, perl, make and g++: `codesign doctor`")]
Simulate = Callable[[list[str]], list[list[int]]]
ROWS = {
    "six elements, whole networks": RowShape(6, 8, 8, 28, 16384, 8192),
    "three narrow elements": RowShape(3, 4, 5, 20, 2048, 4096),
}


@pytest.fixture(scope="module", params=ROWS.values(), ids=list(ROWS))
def circuit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[RowShape, Simulate]:
    """A row and a function that runs test bench commands on it: cycles and results of each inference."""
    row: RowShape = request.param
    values = (row.pes, row.weight_bits, row.activation_bits, row.accumulator_bits, row.kernel_words, row.feature_words)
    design = Design("systolic_row", FOLDER / "rtl", FOLDER / "tb", tuple(zip(remake.PARAMETERS, values, strict=True)))
    cache = tmp_path_factory.getbasetemp() / "verilator"
    lint(design, log=tmp_path_factory.mktemp("lint") / "lint.log")
    program = build(design, cache)

    def run(commands: list[str]) -> list[list[int]]:
        done = subprocess.run([program, str(row.accumulator_bits)], input="\n".join(commands), capture_output=True, text=True, check=True)
        return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]

    return row, run


def random_graph(rng: np.random.Generator, row: RowShape) -> LayerGraph:
    """A few layers of any kind and odd sizes, within the widths of a row."""

    def bits(most: int) -> int:
        return int(rng.integers(2, most + 1))

    shape = TaskShape((int(rng.integers(1, 9)), int(rng.integers(1, 9))), int(rng.integers(1, 14)), bits(row.activation_bits), bool(rng.integers(2)))
    series = bool(rng.integers(2))
    builder = TableBuilder(1, shape)
    x = builder.input(shape.as_series() if series else shape.as_image())
    full, depthwise = (Op.CONV1D, Op.DEPTHWISE_CONV1D) if series else (Op.CONV2D, Op.DEPTHWISE_CONV2D)
    for number in range(int(rng.integers(0, 4))):
        kernel, stride = ((1 if series else int(rng.integers(1, high)), int(rng.integers(1, high))) for high in (6, 4))
        settings = {"kernel": kernel, "stride": stride, "weight_bits": bits(row.weight_bits), "output_bits": bits(row.activation_bits)}
        kind, channels = rng.choice(["full", "depthwise", "add"]), int(rng.integers(1, 15))
        if kind == "depthwise":
            x = builder.convolution(f"depthwise{number}", x, depthwise, relu=bool(rng.integers(2)), **settings)
        elif kind == "full":
            x = builder.convolution(f"full{number}", x, full, channels=channels, relu=bool(rng.integers(2)), **settings)
        else:
            first = builder.convolution(f"first{number}", x, full, channels=channels, relu=False, **settings)
            second = builder.convolution(f"second{number}", x, full, channels=channels, relu=True, **settings)
            x = builder.add(f"add{number}", first, second, output_bits=bits(row.activation_bits), relu=bool(rng.integers(2)))
    if rng.integers(2):
        x = builder.global_pool("pool", x, output_bits=bits(row.activation_bits))
    builder.dense("head", x, features=shape.classes, weight_bits=bits(row.weight_bits), output_bits=None, relu=False)
    return builder.build().graph(0)


def check(networks: list[DeployedNetwork], row: RowShape, simulate: Simulate, rng: np.random.Generator, samples: int) -> int:
    """Simulate networks one after the other on one row: results bit for bit, cycles to the cycle; how many could not be assembled."""
    commands: list[str] = []
    expected: list[list[int]] = []
    refused = 0
    for network in networks:
        try:
            image = assemble(network, row)
        except InputError as error:
            assert "Operands align by at most 8 bits" in str(error) or "Take a larger" in str(error)
            refused += 1
            continue
        entry = network.graph.input
        words = rng.integers(0, 1 << entry.output_bits, (samples, entry.out_h * entry.out_w * entry.out_c)).astype(np.uint8)
        commands += [*image.commands(), *(image.infer(sample) for sample in input_words(network, words).tolist())]
        expected += [[cycles_of(network.graph, row), *logits] for logits in network.run(words).tolist()]
    assert simulate(commands) == expected
    return refused


@pytest.mark.parametrize("seed", range(2))
class TestCircuit:
    pytestmark = simulated

    def test_random_layers_are_bit_exact_and_take_the_cycles_of_the_model(self, circuit: tuple[RowShape, Simulate], seed: int) -> None:
        row, simulate = circuit
        rng = np.random.default_rng(seed)
        networks = [random_deployed(random_graph(rng, row), rng) for _ in range(120)]
        assert check(networks, row, simulate, rng, samples=2) < 15

    @pytest.mark.parametrize("circuit", [ROWS["six elements, whole networks"]], indirect=True, ids=["six elements"])
    def test_networks_of_every_blueprint_are_bit_exact_and_take_the_cycles_of_the_model(self, circuit: tuple[RowShape, Simulate], seed: int) -> None:
        row, simulate = circuit
        rng = np.random.default_rng(seed)
        networks = [random_deployed(graph_of(blueprint, number + 10 * seed, SMALL[number % 2]), rng) for blueprint in BLUEPRINTS for number in range(6)]
        assert check(networks, row, simulate, rng, samples=3) < 6
