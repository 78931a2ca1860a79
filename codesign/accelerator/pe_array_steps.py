"""Phases of a layer before addresses: what each computes, stores and loads. See ``accel_templates/pe_array/ARCHITECTURE.md``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil

from codesign.accelerator.array_parameters import KIB_BITS, ArrayParameters
from codesign.accelerator.pe_array_layers import LayerGeometry, LayerTiling, Tile
from codesign.errors import InfeasibleError, InputError
from codesign.network.layers import Op


@dataclass(frozen=True)
class Residency:
    """What stays in the buffers: weights from inference to inference, maps from layer to layer."""

    weights: bool
    maps: bool


@dataclass(frozen=True)
class Load:
    """A tile's words and the bank that they go to."""

    tile: Tile
    bank: int


@dataclass(frozen=True)
class Computation:
    """A tile and the banks that it reads and writes (0 where nothing is loaded or stored)."""

    tile: Tile
    weight_bank: int
    input_bank: int
    output_bank: int


@dataclass(frozen=True)
class Step:
    """One phase: all that it does at the same time."""

    compute: Computation | None = None
    store: Load | None = None
    weights: Load | None = None
    inputs: Load | None = None

    @property
    def idle(self) -> bool:
        """Whether it does nothing."""
        return self.compute is None and self.store is None and self.weights is None and self.inputs is None


def layer_steps(geometry: LayerGeometry, tiling: LayerTiling, resident: Residency, banks: int, *, stores: bool) -> list[Step]:
    """Phases of one run of a layer.

    Args:
        geometry: the layer.
        tiling: how it is cut.
        resident: what stays in the buffers.
        banks: 1 or 2.
        stores: whether the output goes to external memory (else to the activation buffer).
    """
    work = list(_assign_banks(geometry, list(geometry.tiles(tiling)), resident, banks))
    begin = [Step(weights=Load(work[0].compute.tile, 0))] if _loads_alone(geometry, resident) else []
    steps = begin + (_overlapped(work, stores=stores) if banks == 2 else _in_turn(work, stores=stores))
    return [step for step in steps if not step.idle]


@dataclass(frozen=True)
class _Work:
    """A tile with what must be loaded before it."""

    compute: Computation
    weights: Load | None
    inputs: Load | None


def _loads_alone(geometry: LayerGeometry, resident: Residency) -> bool:
    """An add that streams both operands has no port left for its weights."""
    return geometry.layer.op is Op.ADD and not resident.weights


def _assign_banks(geometry: LayerGeometry, tiles: list[Tile], resident: Residency, banks: int) -> Iterator[_Work]:
    """Loads go to the banks in turn; one is left out where the tile before had the same words."""
    weight_loads = input_loads = -1
    for number, tile in enumerate(tiles):
        first, before = number == 0, tiles[number - 1]
        new_weights = not resident.weights and (first or (not geometry.shared and tile.weights != before.weights))
        new_inputs = not resident.maps and (first or geometry.diagonal or tile.rows != before.rows)
        weight_loads += new_weights
        input_loads += new_inputs
        weight_bank, input_bank = max(weight_loads, 0) % banks, max(input_loads, 0) % banks
        yield _Work(
            Computation(tile, weight_bank, input_bank, number % banks),
            Load(tile, weight_bank) if new_weights and not _loads_alone(geometry, resident) else None,
            Load(tile, input_bank) if new_inputs else None,
        )


def _store(work: _Work, *, stores: bool) -> Load | None:
    return Load(work.compute.tile, work.compute.output_bank) if stores else None


def _overlapped(work: list[_Work], *, stores: bool) -> list[Step]:
    """Two banks: a tile is computed while the one before is stored and the next is loaded."""
    steps = [Step(weights=work[0].weights, inputs=work[0].inputs)]
    for number, own in enumerate(work):
        before = work[number - 1] if number else None
        after = work[number + 1] if number + 1 < len(work) else None
        steps.append(
            Step(
                compute=own.compute,
                store=_store(before, stores=stores) if before else None,
                weights=after.weights if after else None,
                inputs=after.inputs if after else None,
            )
        )
    return [*steps, Step(store=_store(work[-1], stores=stores))]


def _in_turn(work: list[_Work], *, stores: bool) -> list[Step]:
    """One bank: nothing moves while a tile is computed."""
    steps = []
    for number, own in enumerate(work):
        store = _store(work[number - 1], stores=stores) if number else None
        steps += [Step(store=store, weights=own.weights, inputs=own.inputs), Step(compute=own.compute)]
    return [*steps, Step(store=_store(work[-1], stores=stores))]


@dataclass(frozen=True)
class Shortage:
    """A layer whose smallest tile is larger than a bank.

    Attributes:
        layer: its name.
        buffer: ``weight``, ``activation`` or ``output``.
        words, needed: words of the bank and of the smallest tile.
        word_bits: bits of a word.
    """

    layer: str
    buffer: str
    words: int
    needed: int
    word_bits: int

    def error(self) -> InfeasibleError:
        """What to tell."""
        has, wants = (count * self.word_bits / KIB_BITS for count in (self.words, self.needed))
        return InfeasibleError(
            f"one bank of the {self.buffer} buffer has {has:.4g} KiB, the smallest that would do {ceil(wants * 1000) / 1000:g} KiB",
            where=f"layer {self.layer} on pe_array",
            remedy=f"Choose a larger {self.buffer}_buffer_kib",
        )


def shortages(geometry: LayerGeometry, tiling: LayerTiling, resident: Residency, array: ArrayParameters, *, stores: bool) -> list[Shortage]:
    """Buffers that no tile of a layer fits.

    Raises:
        InputError: the tiling asks for more than a bank, but a smaller tile would fit.
    """
    # Of two heights of tiles the smaller may need more rows of the input: its tiles are those that no padding cuts off.
    heights = range(geometry.result.h if resident.maps else geometry.row_minimum, geometry.result.h + 1)
    smallest = [LayerTiling(tiling.order, geometry.group_step(array.columns), height) for height in heights]
    found = []
    for buffer, words, bits, size in _banks(geometry, resident, array, stores=stores):
        taken = max(map(size, geometry.tiles(tiling)))
        if taken <= words:
            continue
        needed = min(max(map(size, geometry.tiles(cut))) for cut in smallest)
        if needed > words:
            found.append(Shortage(geometry.layer.name, buffer, words, needed, bits))
        else:
            raise InputError(
                f"takes {taken} words of the {buffer} buffer, a bank of which has {words}",
                where=f"tiling of layer {geometry.layer.name}",
                remedy=f"A tile may be as small as {needed} words",
            )
    return found


def _banks(geometry: LayerGeometry, resident: Residency, array: ArrayParameters, *, stores: bool) -> Iterator[tuple[str, int, int, Callable[[Tile], int]]]:
    """Buffers that hold a tile at a time: name, words of a bank, bits of a word, words of a tile."""
    if not resident.weights:
        yield "weight", array.weight_words, array.weight_word_bits, geometry.tile_weight_words
    if not resident.maps:
        yield "activation", array.activation_words, array.activation_word_bits, geometry.input_words
    if stores:
        yield "output", array.output_words, array.activation_word_bits, lambda tile: geometry.output_words(tile, array.columns)
