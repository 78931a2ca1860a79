"""Mappings of layers onto Gemmini as the Timeloop-style text of the measured rows, read strictly.

A mapping names, from the outside in, the loops of each memory level: ``L3[WIO] K8 Q28 - L2[WI] K4X - L1[O] S7 C3X - L0[W] P16``.
``L3`` is DRAM, ``L2`` the scratchpad, ``L1`` the accumulator, ``L0`` the registers of the array; a factor with ``X`` is
spatial. Dimensions: ``K`` output channels, ``C`` input channels, ``P``, ``Q`` output height and width, ``R``, ``S`` kernel
height and width, ``N`` batch. The text and the layer come from a file that nobody vouches for.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping as KeyedBy
from dataclasses import dataclass
from typing import Any

from codesign.errors import InputError

DIMENSIONS = "KCPQRSN"
DEFAULT_ORDER = "CRSKPQN"
"""Dimensions of the loops over calls that a mapping does not order, innermost first."""
LEVELS = 4
LARGEST = 1 << 20
"""Largest extent of a dimension or stride that is believed."""
MOST_LOOPS = 64
_LEVEL = re.compile(r"L([0-9])\[[WIO]*\]((?: [A-Z][0-9]{1,7}X?)+)")
_LOOP = re.compile(r"([A-Z])([0-9]{1,7})(X?)")


@dataclass(frozen=True)
class Layer:
    """A convolution or matrix multiplication.

    Attributes:
        extent: of each of `DIMENSIONS`.
        stride: of the output over the input, both ways.
    """

    extent: KeyedBy[str, int]
    stride: int

    @property
    def is_matmul(self) -> bool:
        """Run by Gemmini's matrix loop: a kernel of one pixel on a single column."""
        return self.extent["Q"] == self.extent["R"] == self.extent["S"] == 1

    @property
    def padded(self) -> dict[str, int]:
        """Extents as the software runs them: convolutions are square, and even kernels make one row more."""
        extent = {one: self.extent[one] for one in DIMENSIONS}
        if not self.is_matmul:
            extent["P"] = extent["Q"] = max(extent["P"], extent["Q"]) + (extent["R"] % 2 == 0)
        return extent

    @property
    def side(self) -> int:
        """Rows, and columns, of a convolution's square input."""
        return max(self.extent["P"], self.extent["Q"]) * self.stride


@dataclass(frozen=True)
class Loop:
    """One loop: its dimension, its trip count, and whether it is unrolled over the array."""

    dimension: str
    count: int
    spatial: bool


@dataclass(frozen=True)
class Mapping:
    """Loops of each level, outermost first; level 3 is DRAM."""

    levels: tuple[tuple[Loop, ...], ...]

    def tile(self, dimension: str) -> int:
        """Extent of what one pass over the DRAM loops moves and computes."""
        return math.prod(loop.count for level in self.levels[:3] for loop in level if loop.dimension == dimension)

    @property
    def order(self) -> tuple[str, ...]:
        """Dimensions in the order of the loops over DRAM tiles, outermost first; those that DRAM does not name lie outside."""
        named = dict.fromkeys(loop.dimension for loop in self.levels[3])
        return (*(one for one in reversed(DEFAULT_ORDER) if one not in named), *named)

    @property
    def widest(self) -> int:
        """Largest spatial extent of one dimension."""
        spatial = (math.prod(loop.count for level in self.levels for loop in level if loop.spatial and loop.dimension == one) for one in DIMENSIONS)
        return max(spatial)


def parse_layer(text: str, *, where: str) -> Layer:
    """A layer from its JSON.

    Raises:
        InputError: not such an object, or an extent that is no whole number of a layer.
    """
    data = read_object(text, where=where)
    extent = {one: _whole(data.get(one), f"{where}: {one}") for one in DIMENSIONS}
    strides = {_whole(data.get(name, 1), f"{where}: {name}") for name in ("Hstride", "Wstride")}
    dilations = {_whole(data.get(name, 1), f"{where}: {name}") for name in ("Hdilation", "Wdilation")}
    if len(strides) != 1 or dilations != {1} or extent["N"] != 1:
        raise InputError("batches, dilation, or strides that differ have no model", where=where, remedy="Leave the row out")
    return Layer(extent, strides.pop())


def read_object(text: str, *, where: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: not one.
    """
    try:
        data = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise InputError(f"not a JSON object: {str(text)[:60]!r}", where=where, remedy="Correct the row or leave it out")
    return data


def parse_mapping(text: str, layer: Layer, *, where: str) -> Mapping:
    """A mapping of a layer.

    Raises:
        InputError: text of another form, a level that is missing or there twice, or factors that do not multiply to the layer.
    """
    levels: dict[int, tuple[Loop, ...]] = {}
    for part in text.split(" - ") if isinstance(text, str) else ():
        match = _LEVEL.fullmatch(part.strip())
        if match is None or int(match[1]) in levels or int(match[1]) >= LEVELS:
            raise InputError(f"{part[:60]!r} is no level of a mapping", where=where, remedy='Levels are L3 to L0, each once, as in "L3[WIO] K8 Q28"')
        levels[int(match[1])] = tuple(Loop(name, int(count), spatial == "X") for name, count, spatial in _LOOP.findall(match[2]))
    if set(levels) != set(range(LEVELS)) or sum(map(len, levels.values())) > MOST_LOOPS:
        raise InputError(f"levels {sorted(levels)} instead of 0 to {LEVELS - 1}", where=where, remedy="Name each level once")
    mapping = Mapping(tuple(levels[level] for level in range(LEVELS)))
    for one in sorted({loop.dimension for level in mapping.levels for loop in level} | set(DIMENSIONS)):
        product = math.prod(loop.count for level in mapping.levels for loop in level if loop.dimension == one)
        if product != layer.extent.get(one):
            raise InputError(f"factors of {one} multiply to {product}, the layer has {layer.extent.get(one)}", where=where, remedy="Correct the mapping")
    return mapping


def _whole(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST:
        raise InputError(f"{value!r} is no whole number from 1 to {LARGEST}", where=where, remedy="Correct the row or leave it out")
    return value
