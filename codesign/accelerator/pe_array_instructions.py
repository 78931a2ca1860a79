"""Instructions of one layer: `pe_array_steps` with addresses. Fields: ``accel_templates/pe_array/ARCHITECTURE.md``."""

from __future__ import annotations

from dataclasses import dataclass, replace

from codesign.accelerator.array_parameters import ArrayParameters
from codesign.accelerator.pe_array_layers import LayerGeometry, MapShape
from codesign.accelerator.pe_array_program import WIDTHS, Instruction
from codesign.accelerator.pe_array_steps import Computation, Load, Residency, Step
from codesign.network.layers import Op


@dataclass(frozen=True)
class LayerPlaces:
    """Where a layer's data is.

    Attributes:
        weights: address of its weights in external memory.
        weight_word: first word of its weights in the weight buffer, if they stay there.
        operands: addresses of its operands in external memory; empty if maps stay in the buffer.
        operand_words: first words of its operands in the activation buffer; empty if maps are streamed.
        result: address of its output in external memory, if it is stored.
        result_word: first word of its output in the activation buffer, None if it is stored.
    """

    weights: int
    weight_word: int
    operands: tuple[int, ...]
    operand_words: tuple[int, ...]
    result: int
    result_word: int | None


@dataclass(frozen=True)
class LayerWriter:
    """Writes the instructions of one run of a layer.

    Attributes:
        geometry: the layer.
        array: the hardware.
        resident: what stays in the buffers.
        places: where the data is.
        group_minimum: cycles that a group takes at least after its biases.
        raw_run: number of the run of the last layer, whose accumulators leave in pieces; None for other layers.
    """

    geometry: LayerGeometry
    array: ArrayParameters
    resident: Residency
    places: LayerPlaces
    group_minimum: int
    raw_run: int | None

    def instruction(self, step: Step) -> Instruction:
        """One phase; shift, clips, signs and the alignment of an add are left to the export."""
        fields: dict[str, int] = {}
        if step.store is not None:
            fields |= self._store(step.store)
        if step.weights is not None:
            fields |= self._load_weights(step.weights)
        if step.inputs is not None:
            fields |= self._load_inputs(step.inputs)
        if step.compute is not None:
            fields |= self._compute(step.compute)
        return replace(Instruction(), **fields)

    def _store(self, store: Load) -> dict[str, int]:
        result, tile = self.geometry.result, store.tile
        plane, planes = self.geometry.output_planes(tile, self.array.columns)
        word = store.bank * self.array.output_words
        return self._rows("store", self.places.result, result, (plane, planes), (tile.first_row, tile.row_count), word)

    def _load_weights(self, load: Load) -> dict[str, int]:
        first = 0 if self.geometry.shared else load.tile.first_group * self.geometry.group_words
        return {
            "load0": 1,
            "load0_weights": 1,
            "load0_address": self.places.weights + first * self.array.weight_word_bytes,
            "load0_beats": self.geometry.tile_weight_words(load.tile) * self.array.weight_word_beats,
            "load0_word": load.bank * self.array.weight_words,
        }

    def _load_inputs(self, load: Load) -> dict[str, int]:
        """The first operand with load 1; an add's second one with load 0, behind it in the bank."""
        rows, planes = self.geometry.input_rows(load.tile), self.geometry.input_planes(load.tile)
        word = load.bank * self.array.activation_words
        fields: dict[str, int] = {}
        for port, address in zip(("load1", "load0"), self.places.operands, strict=False):
            fields |= self._rows(port, address, self.geometry.source, planes, rows, word)
            word += planes[1] * rows[1] * self.geometry.source.w
        return fields

    def _rows(self, port: str, address: int, shape: MapShape, planes: tuple[int, int], rows: tuple[int, int], word: int) -> dict[str, int]:
        """Movement of some rows of some planes, each given as first and count; whole planes are one chunk."""
        whole = rows[1] == shape.h
        beats = rows[1] * shape.w * self.array.activation_word_beats
        return {
            port: 1,
            f"{port}_address": address + (planes[0] * shape.h + rows[0]) * shape.w * self.array.activation_word_bytes,
            f"{port}_stride": 0 if whole else shape.h * shape.w * self.array.activation_word_bytes,
            f"{port}_beats": beats * planes[1] if whole else beats,
            f"{port}_chunks_last": 0 if whole else planes[1] - 1,
            f"{port}_word": word,
        }

    def _compute(self, own: Computation) -> dict[str, int]:
        geometry, tile = self.geometry, own.tile
        fields = {
            "compute": 1,
            "depthwise": int(geometry.diagonal),
            "add": int(geometry.layer.op is Op.ADD),
            "full_taps": int(geometry.full_taps),
            "groups_last": tile.groups - 1,
            "plane_groups_last": geometry.plane_groups - 1,
            "channel_tiles_last": geometry.channel_tiles - 1,
            "rows_last": tile.row_count - 1,
            "columns_last": geometry.result.w - 1,
            "kernel_h_last": geometry.kernel[0] - 1,
            "kernel_w_last": geometry.kernel[1] - 1,
            "stride_y": geometry.stride[0],
            "stride_x": geometry.stride[1],
            "chunk_last": geometry.chunks - 1,
            "gap": geometry.gap,
            "group_pad": max(0, self.group_minimum - geometry.group_cycles(tile)),
            "slots": geometry.slots,
        }
        if self.raw_run is not None:
            fields |= {"raw": 1, "shift": (self.raw_run + 1) * self.array.activation_bits}
        return fields | self._inputs(own) | self._weights(own) | self._outputs(own)

    def _inputs(self, own: Computation) -> dict[str, int]:
        geometry, source = self.geometry, self.geometry.source
        (row, rows), (plane, planes) = geometry.input_rows(own.tile), geometry.input_planes(own.tile)
        if self.resident.maps:
            plane_words = source.h * source.w
            base = self.places.operand_words[0] + plane * plane_words + row * source.w
            between = self.places.operand_words[-1] - self.places.operand_words[0]
        else:
            plane_words = rows * source.w
            base, between = own.input_bank * self.array.activation_words, planes * plane_words
        first_y = self._first_y(own)
        return {
            "in_h_last": rows - 1,
            "in_w_last": source.w - 1,
            "in_row": source.w,
            "first_y": first_y,
            "first_x": -geometry.pad[1],
            "address_y": first_y * source.w,
            "address_y_step": geometry.stride[0] * source.w,
            "activation_base": base,
            "channel_stride": wrapped(between if geometry.layer.op is Op.ADD else plane_words, "channel_stride"),
            "plane_stride": plane_words if geometry.diagonal else 0,
        }

    def _first_y(self, own: Computation) -> int:
        """Row of the first tap, counted from the tile's first row in the buffer."""
        return own.tile.first_row * self.geometry.stride[0] - self.geometry.pad[0] - self.geometry.input_rows(own.tile)[0]

    def _weights(self, own: Computation) -> dict[str, int]:
        geometry = self.geometry
        if self.resident.weights:
            base = self.places.weight_word + (0 if geometry.shared else own.tile.first_group * geometry.group_words)
        else:
            base = own.weight_bank * self.array.weight_words
        fields = {"weight_base": base, "bias_words": self.array.bias_words, "weight_group": 0 if geometry.shared else geometry.group_words}
        if geometry.layer.op is Op.GLOBAL_POOL:
            return fields
        column, row = geometry.channel_tiles, geometry.kernel[1] * geometry.channel_tiles
        return fields | {
            "weight_step": 1,
            "weight_row": row,
            "weight_y": -self._first_y(own) * row,
            "weight_y_step": geometry.stride[0] * row,
            "weight_x": geometry.pad[1] * column,
            "weight_x_step": geometry.stride[1] * column,
        }

    def _outputs(self, own: Computation) -> dict[str, int]:
        result = self.geometry.result
        plane, planes = self.geometry.output_planes(own.tile, self.array.columns)
        fields = {"out_planes_last": planes - 1}
        if self.places.result_word is None:
            return fields | {"out_base": own.output_bank * self.array.output_words, "out_plane": own.tile.row_count * result.w}
        return fields | {"destination": 1, "out_base": self.places.result_word + plane * result.h * result.w, "out_plane": result.h * result.w}


def wrapped(number: int, field: str) -> int:
    """A number modulo the width of an unsigned field: addresses wrap, so a stride may be negative."""
    return number % (1 << WIDTHS[field])


def input_load(array: ArrayParameters, address: int, words: int, word: int) -> Instruction:
    """The phase that loads the network's input into the activation buffer."""
    return Instruction(load1=1, load1_address=address, load1_beats=words * array.activation_word_beats, load1_word=word)


def weights_load(array: ArrayParameters, address: int, words: int) -> Instruction:
    """The phase of the preload program: all weights of the network to the beginning of the weight buffer."""
    return Instruction(load0=1, load0_weights=1, load0_address=address, load0_beats=words * array.weight_word_beats)
