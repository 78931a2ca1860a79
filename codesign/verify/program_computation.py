"""Computations of the `pe_array` interpreter: one instruction's groups, taps and requantised results, in numpy.

The formulas are those of ``accel_templates/pe_array/ARCHITECTURE.md``, section "Fields of a computation".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.array_parameters import ArrayParameters
from codesign.accelerator.pe_array_program import BIAS_BITS, WIDTHS, Instruction
from codesign.errors import VerificationError

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]
TAPS_AT_ONCE = 1 << 18
"""Activation words gathered at a time, which bounds the memory that a computation takes."""


@dataclass
class Accesses:
    """Words of the buffers that the computation of a phase reads and writes, one flag a word."""

    weights: Mask
    activations: Mask
    written_activations: Mask
    written_outputs: Mask


def numbers_of(bits: NDArray[np.uint8]) -> Numbers:
    """Unsigned numbers from bits on the last axis, lowest first."""
    numbers: Numbers = bits.astype(np.int64) @ (1 << np.arange(bits.shape[-1], dtype=np.int64))
    return numbers


def signed_of(numbers: Numbers, bits: int) -> Numbers:
    """Two's complement of the lowest ``bits`` bits."""
    low = numbers & ((1 << bits) - 1)
    signed: Numbers = low - ((low >> (bits - 1)) << bits)
    return signed


@dataclass(frozen=True)
class _Taps:
    """Taps of a group in the order of the hardware.

    Attributes:
        tile: channel tile (taps,).
        exists: whether it lies on real input (taps, positions).
        activations: place of its activation word from that of the group (taps, positions).
        weights: place of its weight word from the group's first (taps,).
    """

    tile: Numbers
    exists: Mask
    activations: Numbers
    weights: Numbers


class Computation:
    """One instruction's computation, all positions of a group at a time."""

    def __init__(self, own: Instruction, array: ArrayParameters, weights: NDArray[np.uint8], activations: Numbers, outputs: Numbers, touched: Accesses) -> None:
        self.own, self.array, self.touched = own, array, touched
        self.weights, self.activations = weights, activations
        self.target = activations if own.destination else outputs
        rows, columns = np.meshgrid(np.arange(own.rows_last + 1), np.arange(own.columns_last + 1), indexing="ij")
        self.out_y, self.out_x = rows.ravel(), columns.ravel()
        self.first_y, self.first_x = own.first_y + self.out_y * own.stride_y, own.first_x + self.out_x * own.stride_x
        self.taps = self._taps()
        # What the hardware reads where is settled before its results are written: see _check_order.
        self.before = activations.copy() if own.destination else activations

    def _taps(self) -> _Taps:
        own = self.own
        kernel_y, kernel_x, tile = (index.ravel() for index in np.indices((own.kernel_h_last + 1, own.kernel_w_last + 1, own.channel_tiles_last + 1)))
        y, x = self.first_y + kernel_y[:, None], self.first_x + kernel_x[:, None]
        # A position whose kernel begins above the map begins in its first row.
        cut = (self.first_y < 0) & (not own.full_taps)
        row = np.where(cut, 0, own.address_y + self.out_y * own.address_y_step)
        kernel_row = kernel_y[:, None] + np.where(cut, self.first_y, 0)
        return _Taps(
            tile=tile,
            exists=(y >= 0) & (y <= own.in_h_last) & (x >= 0) & (x <= own.in_w_last),
            activations=tile[:, None] * own.channel_stride + row + kernel_row * own.in_row + x,
            weights=kernel_y * own.weight_row + (kernel_x * (own.channel_tiles_last + 1) + tile) * own.weight_step,
        )

    def run(self) -> None:
        """All groups."""
        self._check_weight_places()
        for group in range(self.own.groups_last + 1):
            self._write(group, self._accumulate(group))
        self._check_order()

    def _check_weight_places(self) -> None:
        """The hardware begins each position at its first existing tap: the fields must lead it to that tap's weights."""
        own = self.own
        if own.full_taps:
            return
        column = (own.channel_tiles_last + 1) * own.weight_step
        wanted = np.maximum(-self.first_y, 0) * own.weight_row + np.maximum(-self.first_x, 0) * column
        rows = np.where(self.first_y < 0, own.weight_y - self.out_y * own.weight_y_step, 0)
        columns = np.where(self.first_x < 0, own.weight_x - self.out_x * own.weight_x_step, 0)
        if not np.array_equal(rows + columns, wanted):
            raise VerificationError("weight_y and weight_x lead to other weights than the taps'", where="pe_array interpreter")

    def _check_order(self) -> None:
        """Words that a computation writes and reads are an add's operand at the very position that is written."""
        own = self.own
        if not (self.touched.activations & self.touched.written_activations).any():
            return
        operands = [own.activation_base, (own.activation_base + own.channel_stride) % (1 << WIDTHS["activation_base"])]
        in_place = own.add and own.out_base in operands and (own.out_plane == own.plane_stride or own.out_planes_last == 0)
        if not in_place:
            raise VerificationError("activations are written that a later position may read", where="pe_array interpreter")

    def _accumulate(self, group: int) -> Numbers:
        """Accumulators (positions, rows) of a group."""
        own, taps = self.own, self.taps
        total = np.tile(self._biases(group), (len(self.out_y), 1))
        at_once = 1 if own.add else max(1, TAPS_AT_ONCE // len(self.out_y))
        for first in range(0, len(taps.tile), at_once):
            if own.add and taps.tile[first] == 1:
                total = signed_of(total << (own.slots_active * (self.array.weight_bits - 1)), self.array.accumulator_bits)
            total += self._products(group, slice(first, first + at_once))
        return signed_of(total, self.array.accumulator_bits)

    def _products(self, group: int, some: slice) -> Numbers:
        """Sums of the products of some taps (positions, rows). Floating point holds them exactly: they are below 2**53."""
        own, exists, tile = self.own, self.taps.exists[some], self.taps.tile[some]
        plane = group // (own.plane_groups_last + 1) * own.plane_stride if own.depthwise else 0
        address = (self.taps.activations[some] + own.activation_base + plane) % (1 << WIDTHS["activation_base"])
        reached = self._inside(address[exists], len(self.activations), "activation")
        self.touched.activations[reached] = True
        words = self.before[np.where(exists, address, 0)] * exists[:, :, None]
        negative = np.where(own.add & (tile > 0), own.signed_b, own.signed_a)[:, None, None] * (words >> (self.array.activation_bits - 1))
        words = words - (negative << self.array.activation_bits)
        if own.depthwise:
            words *= np.arange(self.array.columns) // self.array.lanes == group % (own.plane_groups_last + 1)
        spread = words.transpose(1, 0, 2).reshape(words.shape[1], -1).astype(np.float64)
        weights = self._weight_words(group, some).transpose(0, 2, 1).reshape(-1, self.array.rows).astype(np.float64)
        products: Numbers = (spread @ weights).astype(np.int64)
        return products

    def _weight_words(self, group: int, some: slice) -> Numbers:
        """Weights (taps, rows, columns)."""
        own = self.own
        words = self._read_weights(self.taps.weights[some] + own.weight_base + group * own.weight_group + own.bias_words)
        return signed_of(numbers_of(words.reshape(len(words), self.array.rows, self.array.columns, -1)), self.array.weight_bits)

    def _read_weights(self, address: Numbers) -> NDArray[np.uint8]:
        reached = self._inside(address % (1 << WIDTHS["weight_base"]), len(self.weights), "weight")
        self.touched.weights[reached] = True
        return self.weights[reached]

    def _biases(self, group: int) -> Numbers:
        """Biases (rows,) of a group."""
        first = self.own.weight_base + group * self.own.weight_group
        words = self._read_weights(first + np.arange(self.own.bias_words))
        bits = words.ravel()[: self.array.rows * BIAS_BITS].reshape(self.array.rows, BIAS_BITS)
        return signed_of(numbers_of(bits), BIAS_BITS)

    def _requantise(self, accumulators: Numbers) -> Numbers:
        own, shift = self.own, self.own.shift - self.array.activation_bits
        mask = (1 << self.array.activation_bits) - 1
        rounded: Numbers
        if own.raw:
            rounded = accumulators >> shift
            return rounded & mask
        if shift <= 0:
            rounded = accumulators << -shift
        else:
            odd = (accumulators >> shift) & 1
            rounded = (accumulators + (1 << (shift - 1)) - 1 + odd) >> shift
        clipped: Numbers = np.clip(rounded, own.clip_low, own.clip_high) & mask
        return clipped

    def _write(self, group: int, accumulators: Numbers) -> None:
        own, lanes = self.own, self.array.lanes
        results = self._requantise(accumulators)
        position = self.out_y * (own.columns_last + 1) + self.out_x
        name = "activation" if own.destination else "output"
        for chunk in range(own.chunk_last + 1):
            plane, lane = divmod(group * (lanes if own.depthwise else self.array.rows) + chunk * lanes, self.array.columns)
            if plane > own.out_planes_last:
                continue
            address = self._inside(own.out_base + plane * own.out_plane + position, len(self.target), name)
            (self.touched.written_activations if own.destination else self.touched.written_outputs)[address] = True
            self.target[address, lane : lane + lanes] = results[:, chunk * lanes : (chunk + 1) * lanes]

    @staticmethod
    def _inside(address: Numbers, words: int, name: str) -> Numbers:
        if address.size and not 0 <= int(address.min()) <= int(address.max()) < words:
            raise VerificationError(f"word {int(address.max())} of the {name} buffer, which has {words}", where="pe_array interpreter")
        return address
