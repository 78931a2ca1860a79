"""Layers as the `pe_array` sees them: planes, groups, taps, tiles. Notation of ``accel_templates/pe_array/ARCHITECTURE.md``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import gcd

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.array_parameters import ArrayParameters
from codesign.errors import InputError
from codesign.network.layers import WEIGHTED, Layer, LayerGraph, Op

DIAGONAL = (Op.DEPTHWISE_CONV1D, Op.DEPTHWISE_CONV2D, Op.ADD, Op.GLOBAL_POOL)
WEIGHTS, ROWS = 0, 1
"""Loop orders: groups outside and rows inside, or rows outside and groups inside."""
COORDINATES = 1 << 12
"""Rows or columns of a map with its padding that the counters can tell apart."""


@dataclass(frozen=True)
class MapShape:
    """A tensor in a buffer or in memory: ``planes`` of ``h`` x ``w`` words, ``channels`` channels."""

    h: int
    w: int
    channels: int
    planes: int

    @property
    def words(self) -> int:
        """Activation words of the tensor."""
        return self.planes * self.h * self.w


@dataclass(frozen=True)
class LayerTiling:
    """How a layer is cut: loop order, groups of a tile, output rows of a tile (more than there are: all)."""

    order: int
    group_tile: int
    row_tile: int


@dataclass(frozen=True)
class Tile:
    """Groups and output rows of one tile, counted from the layer's first.

    Attributes:
        number: place in the order of computation.
        weights, rows: numbers w and s along the two axes.
        first_group, groups: groups of the tile.
        first_row, row_count: output rows of the tile.
    """

    number: int
    weights: int
    rows: int
    first_group: int
    groups: int
    first_row: int
    row_count: int


@dataclass(frozen=True)
class LayerGeometry:
    """One layer on one array.

    Attributes:
        layer: the layer.
        operands: names of the layers it reads.
        source, result: shapes of an operand and of the output; axes exchanged for a series.
        exchanged: whether height and width are exchanged.
        kernel, stride, pad: (rows, columns).
        diagonal: each output channel reads one input channel: depthwise, add, pool.
        channel_tiles: words that a position reads at each place of its kernel.
        groups: of the whole layer.
        group_channels: output channels of a group.
        plane_groups: groups that read one plane (diagonal layers).
        group_words: weight words of a group, those of the biases included.
        shared: all groups have the same weights (add, pool).
        slots: idle cycles between the operands of an add.
        chunks: cycles in which the results of a position leave.
        full_taps: taps on zero padding take a cycle.
    """

    layer: Layer
    operands: tuple[str, ...]
    source: MapShape
    result: MapShape
    exchanged: bool
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    diagonal: bool
    channel_tiles: int
    groups: int
    group_channels: int
    plane_groups: int
    group_words: int
    shared: bool
    slots: int
    chunks: int
    full_taps: bool

    @cached_property
    def taps_y(self) -> NDArray[np.int64]:
        """Kernel rows that take cycles, (output rows,)."""
        return self._taps(0, self.source.h, self.result.h)

    @cached_property
    def taps_x(self) -> NDArray[np.int64]:
        """Kernel columns that take cycles, (output columns,)."""
        return self._taps(1, self.source.w, self.result.w)

    def _taps(self, axis: int, size: int, positions: int) -> NDArray[np.int64]:
        kernel = self.kernel[axis]
        first = np.arange(positions) * self.stride[axis] - self.pad[axis]
        if self.full_taps:
            return np.full(positions, kernel)
        existing: NDArray[np.int64] = np.minimum(first + kernel, size) - np.maximum(first, 0)
        return existing

    @property
    def gap(self) -> int:
        """Idle cycles after each position, so that its results have left before the next ones come."""
        fewest = int(self.taps_y.min() * self.taps_x.min()) * self.channel_tiles + self.slots
        return max(0, self.chunks - fewest)

    def group_cycles(self, tile: Tile) -> int:
        """Cycles of one group of a tile without its biases."""
        rows = self.taps_y[tile.first_row : tile.first_row + tile.row_count]
        return int(rows.sum() * self.taps_x.sum()) * self.channel_tiles + tile.row_count * self.result.w * (self.slots + self.gap)

    @property
    def total_words(self) -> int:
        """Weight words of the layer."""
        return self.group_words if self.shared else self.groups * self.group_words

    def tile_weight_words(self, tile: Tile) -> int:
        """Weight words that a tile reads."""
        return self.group_words if self.shared else tile.groups * self.group_words

    def input_rows(self, tile: Tile) -> tuple[int, int]:
        """First row of the input that a tile reads and how many it reads."""
        first = tile.first_row * self.stride[0] - self.pad[0]
        beyond = (tile.first_row + tile.row_count - 1) * self.stride[0] - self.pad[0] + self.kernel[0]
        low, high = max(first, 0), min(beyond, self.source.h)
        return low, high - low

    def input_planes(self, tile: Tile) -> tuple[int, int]:
        """First plane of each operand that a tile reads and how many it reads."""
        if not self.diagonal:
            return 0, self.source.planes
        return tile.first_group // self.plane_groups, -(-tile.groups // self.plane_groups)

    def input_words(self, tile: Tile) -> int:
        """Words of the input that a tile reads, all operands together."""
        return len(self.operands) * self.input_rows(tile)[1] * self.source.w * self.input_planes(tile)[1]

    def output_planes(self, tile: Tile, columns: int) -> tuple[int, int]:
        """First plane of the output that a tile writes and how many it writes."""
        first = tile.first_group * self.group_channels
        beyond = min((tile.first_group + tile.groups) * self.group_channels, self.result.channels)
        return first // columns, -(-beyond // columns) - first // columns

    def output_words(self, tile: Tile, columns: int) -> int:
        """Words of the output that a tile writes."""
        return self.output_planes(tile, columns)[1] * tile.row_count * self.result.w

    def group_step(self, columns: int) -> int:
        """Fewest groups that fill whole words of the output."""
        return columns // gcd(columns, self.group_channels)

    @property
    def row_minimum(self) -> int:
        """Fewest output rows of a tile, so that only the first and the last two tiles meet padding."""
        return min(self.result.h, max(1, -(-self.pad[0] // self.stride[0])))

    def tiles(self, tiling: LayerTiling) -> Iterator[Tile]:
        """The tiles in the order of computation."""
        group_tile, row_tile = min(tiling.group_tile, self.groups), min(tiling.row_tile, self.result.h)
        widths, heights = -(-self.groups // group_tile), -(-self.result.h // row_tile)
        for number in range(widths * heights):
            w, s = divmod(number, heights) if tiling.order == WEIGHTS else divmod(number, widths)[::-1]
            groups = min(group_tile, self.groups - w * group_tile)
            yield Tile(number, w, s, w * group_tile, groups, s * row_tile, min(row_tile, self.result.h - s * row_tile))

    def check(self, tiling: LayerTiling, columns: int) -> None:
        """Raise InputError where a tiling breaks the rules of the schedule."""
        where = f"tiling of layer {self.layer.name}"
        if tiling.order not in (WEIGHTS, ROWS) or tiling.group_tile < 1 or tiling.row_tile < 1:
            raise InputError(f"{tiling} is none", where=where)
        if tiling.group_tile < self.groups and tiling.group_tile % self.group_step(columns):
            raise InputError(f"{tiling.group_tile} groups fill no whole words", where=where, remedy=f"Take a multiple of {self.group_step(columns)}")
        if tiling.row_tile < self.row_minimum:
            raise InputError(f"{tiling.row_tile} rows are fewer than its padding", where=where, remedy=f"Take at least {self.row_minimum}")


def map_shape(graph: LayerGraph, layer: Layer, columns: int) -> MapShape:
    """Shape of a layer's output in memory; an input that only dense layers read is one position."""
    h, w, channels = layer.out_h, layer.out_w, layer.out_c
    readers = [graph[name] for name in graph.graph.successors(layer.name)]
    if layer.op is Op.INPUT and all(reader.op is Op.DENSE for reader in readers):
        h, w, channels = 1, 1, h * w * channels
    return MapShape(h, w, channels, -(-channels // columns))


def layer_geometry(graph: LayerGraph, layer: Layer, array: ArrayParameters) -> LayerGeometry:
    """A layer on an array.

    Raises:
        InputError: the hardware has no such layer.
    """
    columns = array.columns
    sources = graph.predecessors(layer)
    source, result = map_shape(graph, sources[0], columns), map_shape(graph, layer, columns)
    kernel, stride, pad = _kernel(layer, source)
    exchanged = source.h == 1 and result.h == 1
    if exchanged:
        source, result = (MapShape(shape.w, shape.h, shape.channels, shape.planes) for shape in (source, result))
        kernel, stride, pad = kernel[::-1], stride[::-1], pad[::-1]
    diagonal, add = layer.op in DIAGONAL, layer.op is Op.ADD
    group_channels = array.lanes if diagonal else array.rows
    channel_tiles = (2 if add else 1) if diagonal else source.planes
    taps = 1 if layer.op is Op.GLOBAL_POOL else kernel[0] * kernel[1] * channel_tiles
    _check_layer(layer, source, kernel, pad)
    return LayerGeometry(
        layer=layer,
        operands=tuple(own.name for own in sources),
        source=source,
        result=result,
        exchanged=exchanged,
        kernel=kernel,
        stride=stride,
        pad=pad,
        diagonal=diagonal,
        channel_tiles=channel_tiles,
        groups=-(-result.channels // group_channels),
        group_channels=group_channels,
        plane_groups=columns // array.lanes if diagonal else 1,
        group_words=array.bias_words + taps,
        shared=layer.op not in WEIGHTED,
        slots=array.add_slots if add else 0,
        chunks=1 if diagonal else array.rows // array.lanes,
        full_taps=bool(array.full_taps),
    )


def _kernel(layer: Layer, source: MapShape) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    if layer.op in (Op.DENSE, Op.GLOBAL_POOL):
        return (source.h, source.w), (1, 1), (0, 0)
    if layer.op is Op.ADD:
        return (1, 1), (1, 1), (0, 0)
    return (layer.kernel_h, layer.kernel_w), (layer.stride_h, layer.stride_w), (layer.pad_h, layer.pad_w)


def _check_layer(layer: Layer, source: MapShape, kernel: tuple[int, int], pad: tuple[int, int]) -> None:
    where = f"layer {layer.name}"
    expected = layer.in_c if layer.op in DIAGONAL[:2] else 1
    if layer.op in WEIGHTED and (layer.groups != expected or (layer.op in DIAGONAL and layer.out_c != layer.in_c)):
        raise InputError(
            f"has {layer.groups} groups for {layer.in_c} input and {layer.out_c} output channels",
            where=where,
            remedy="pe_array computes convolutions of one group and depthwise ones with as many outputs as inputs",
        )
    if pad[0] >= kernel[0] or pad[1] >= kernel[1]:
        raise InputError(f"padding {pad} is not smaller than the kernel {kernel}", where=where, remedy="pe_array needs a tap on real input at every position")
    if max(source.h + pad[0] + kernel[0], source.w + pad[1] + kernel[1]) > COORDINATES:
        raise InputError(f"reads a map of {source.h} x {source.w} positions", where=where, remedy=f"pe_array counts rows and columns to {COORDINATES}")
