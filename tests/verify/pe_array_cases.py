"""Random networks on random `pe_array`s with random tilings: every kind of layer, edges included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.array_parameters import BUS_WIDTHS
from codesign.accelerator.pe_array_layers import LayerGeometry, LayerTiling, layer_geometry
from codesign.accelerator.pe_array_program import MAXIMUM_SLOTS
from codesign.accelerator.schedule import ArrayParameters, residency
from codesign.export.pe_array_image import accumulator_fraction
from codesign.network.deployed import DeployedNetwork
from codesign.network.layers import LayerGraph, Op
from codesign.network.table_builder import TableBuilder, TaskShape, Tensor
from codesign.verify.random_network import random_deployed

ARRAYS = ((1, 1), (2, 3), (8, 8), (4, 8), (8, 4), (6, 4), (3, 5), (4, 12), (16, 16))
HUGE = 1 << 14
Case = tuple[LayerGraph, ArrayParameters, dict[str, LayerTiling]]


def random_case(rng: np.random.Generator) -> Case:
    """A network of a few layers, an array, and how each layer is cut.

    The buffers hold exactly the largest tile, or more, or everything; both orders and one or two banks occur.
    """
    rows, columns = ARRAYS[rng.integers(len(ARRAYS))]
    weight_bits, activation_bits = int(rng.integers(2, 9)), int(rng.integers(2, 9))
    graph = random_graph(rng, weight_bits, activation_bits)
    array = ArrayParameters(
        rows=rows,
        columns=columns,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        accumulator_bits=int(rng.integers(24, 33)),
        weight_words=HUGE,
        activation_words=HUGE,
        output_words=HUGE,
        banks=int(rng.integers(1, 3)),
        bus_bits=int(rng.choice(BUS_WIDTHS)),
        latency=int(rng.integers(1, 30)),
        full_taps=int(rng.random() < 0.15),
    )
    return (graph, *random_tiling(rng, graph, array))


def random_network(graph: LayerGraph, rng: np.random.Generator) -> DeployedNetwork:
    """Random integers whose adds have operands that the hardware can align."""
    integers = dict(random_deployed(graph, rng).integers)

    def scale(name: str, fraction: int) -> None:
        integers[name] = replace(integers[name], output=replace(integers[name].output, fraction=fraction))

    adds = [tuple(source.name for source in graph.predecessors(layer)) for layer in graph if layer.op is Op.ADD]
    changed = True
    while changed:
        changed = False
        for names in adds:
            coarse, fine = sorted((integers[name].output.fraction, name) for name in names)
            if fine[0] - coarse[0] > MAXIMUM_SLOTS:
                scale(fine[1], coarse[0] + MAXIMUM_SLOTS)
                changed = True
    zero_point = 1 << (graph.input.output_bits - 1) if graph.input.output_signed else 0
    network = DeployedNetwork(graph, integers, zero_point)
    scale(graph.output.name, accumulator_fraction(network, graph.output))
    return DeployedNetwork(graph, integers, zero_point)


def random_words(graph: LayerGraph, rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Data set words (count, h, w, c) for a network."""
    entry = graph.input
    return rng.integers(0, 1 << entry.output_bits, (count, entry.out_h, entry.out_w, entry.out_c)).astype(np.uint8)


def random_tiling(rng: np.random.Generator, graph: LayerGraph, array: ArrayParameters) -> tuple[ArrayParameters, dict[str, LayerTiling]]:
    """The array with buffers for a random tiling of a network, and that tiling."""
    geometries = {layer.name: layer_geometry(graph, layer, array) for layer in graph if layer.op is not Op.INPUT}
    tilings = {name: _layer_tiling(rng, own, array) for name, own in geometries.items()}
    fitting = replace(array, **{name: _room(rng, words) for name, words in _needed(geometries, tilings, array).items()})
    if residency(graph, geometries, fitting).maps:
        tilings = {name: replace(tiling, row_tile=geometries[name].result.h) for name, tiling in tilings.items()}
        needed = _needed(geometries, tilings, array)
        fitting = replace(fitting, output_words=max(fitting.output_words, needed["output_words"]))
    return fitting, tilings


def _room(rng: np.random.Generator, needed: int) -> int:
    return int(rng.choice([needed, needed + rng.integers(0, needed // 2 + 1), min(HUGE, 50 * needed)], p=[0.4, 0.4, 0.2]))


def _needed(geometries: dict[str, LayerGeometry], tilings: dict[str, LayerTiling], array: ArrayParameters) -> dict[str, int]:
    tiles = [(own, tile) for name, own in geometries.items() for tile in own.tiles(tilings[name])]
    return {
        "weight_words": max(own.tile_weight_words(tile) for own, tile in tiles),
        "activation_words": max(own.input_words(tile) for own, tile in tiles),
        "output_words": max(own.output_words(tile, array.columns) for own, tile in tiles),
    }


def _layer_tiling(rng: np.random.Generator, own: LayerGeometry, array: ArrayParameters) -> LayerTiling:
    step = own.group_step(array.columns)
    group_tile = int(rng.choice([own.groups, step, step * rng.integers(1, -(-own.groups // step) + 1)]))
    row_tile = int(rng.choice([own.result.h, own.row_minimum, rng.integers(own.row_minimum, own.result.h + 1)]))
    return LayerTiling(int(rng.integers(0, 2)), group_tile, row_tile)


def random_graph(rng: np.random.Generator, weight_bits: int, activation_bits: int) -> LayerGraph:
    """One to four layers of any kind behind an input that is a map or a series."""
    input_bits = int(rng.integers(1, activation_bits + 1)) if activation_bits < 8 else int(rng.integers(2, 9))
    series = bool(rng.random() < 0.4)
    size = (1, int(rng.integers(1, 30))) if series else (int(rng.integers(1, 12)), int(rng.integers(1, 9)))
    channels = int(rng.integers(1, 30))
    signed = bool(rng.integers(2)) and input_bits > 1
    builder = TableBuilder(1, TaskShape((*size, channels), 2, input_bits, signed))
    x = builder.input((*size, channels))
    for number in range(int(rng.integers(1, 5))):
        x = _random_layer(rng, builder, x, f"layer{number}", weight_bits, activation_bits)
    return builder.build().graph(0)


def _random_layer(rng: np.random.Generator, builder: TableBuilder, x: Tensor, name: str, weight_bits: int, activation_bits: int) -> Tensor:
    kind = rng.choice(["full", "full", "depthwise", "dense", "add", "pool"])
    output_bits, relu = int(rng.integers(2, activation_bits + 1)), bool(rng.integers(2))
    if kind == "dense":
        bits = int(rng.integers(2, weight_bits + 1))
        return builder.dense(name, x, features=int(rng.integers(1, 20)), weight_bits=bits, output_bits=output_bits, relu=relu)
    if kind == "pool":
        return builder.global_pool(name, x, output_bits=output_bits)
    if kind == "add":
        other = _convolution(rng, builder, x, f"{name}_branch", weight_bits, int(x.c[0]), output_bits, square=True)
        first, second = [(x, other), (other, x), (other, other)][rng.choice(3, p=[0.45, 0.45, 0.1])]
        return builder.add(name, first, second, output_bits=output_bits, relu=relu)
    return _convolution(rng, builder, x, name, weight_bits, None if kind == "depthwise" else int(rng.integers(1, 30)), output_bits, square=False)


def _convolution(
    rng: np.random.Generator, builder: TableBuilder, x: Tensor, name: str, weight_bits: int, channels: int | None, output_bits: int, *, square: bool
) -> Tensor:
    """``square``: of the size of its input. Kernels have odd sizes where they must keep it, and never more than the padded map."""
    sides = []
    for size in (int(x.h[0]), int(x.w[0])):
        choices = [kernel for kernel in range(1, 8) if size + 2 * (kernel // 2) >= kernel and (kernel % 2 or not square) and (size > 1 or kernel == 1)]
        sides.append(int(rng.choice(choices)))
    stride = (1, 1) if square else (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    op = (Op.CONV2D if int(x.h[0]) > 1 else Op.CONV1D) if channels else (Op.DEPTHWISE_CONV2D if int(x.h[0]) > 1 else Op.DEPTHWISE_CONV1D)
    return builder.convolution(
        name,
        x,
        op,
        channels=channels,
        kernel=(sides[0], sides[1]),
        stride=stride,
        weight_bits=int(rng.integers(2, weight_bits + 1)),
        output_bits=output_bits,
        relu=bool(rng.integers(2)),
    )
