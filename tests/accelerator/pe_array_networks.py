"""Random small networks and arrays for the tests of the `pe_array` model, edges included."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from codesign.accelerator.pe_array_tiling import ArrayShape, CycleConstants
from codesign.network.layers import Layer, LayerGraph, Op

Sizes = dict[str, int]


class NetworkMaker:
    """Draws networks of up to nine layers on maps of up to sixty positions."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._layers: list[Layer] = []

    def draw(self) -> LayerGraph:
        """A network; kernels, strides and paddings are drawn freely, even ones that no blueprint has."""
        self._layers = []
        height = self._number(1, 6) if self._rng.random() < 0.6 else 1
        width, channels = self._number(1, 9 if height > 1 else 24), self._number(1, 20)
        self._layers.append(Layer("input", Op.INPUT, height, width, channels, height, width, channels, *[0] * 6, 1, 0, 0, 8, 1, 8, 1, 0, 0, -1, -1))
        for _ in range(self._number(1, 4)):
            self._extend()
        if len(self._layers) == 1:
            self._dense()
        return LayerGraph(self._layers)

    def _number(self, low: int, high: int) -> int:
        return int(self._rng.integers(low, high + 1))

    def _extend(self) -> None:
        kind = self._number(0, 6)
        own = self._layers[-1]
        shape = (own.out_h, own.out_w, own.out_c)
        here = len(self._layers) - 1
        if kind <= 2:
            self._convolution(depthwise=kind == 2)
        elif kind == 3:
            self._dense()
        elif kind == 4:
            self._append(Op.CONV2D, here, shape)
            self._append(Op.ADD, here + 1, shape, second=here)
        elif kind == 5:
            self._append(Op.GLOBAL_POOL, here, (1, 1, own.out_c), kernel=(own.out_h, own.out_w))
        else:
            self._append(Op.CONV2D, here, shape)
            self._append(Op.CONV2D, here, shape)
            self._append(Op.ADD, here + 1, shape, second=here + 2)

    def _convolution(self, *, depthwise: bool) -> None:
        own = self._layers[-1]
        kernel = (self._number(1, 5), self._number(1, 5))
        stride = (self._number(1, 3), self._number(1, 3))
        pad = (self._number(0, kernel[0] - 1), self._number(0, kernel[1] - 1))
        height = (own.out_h + 2 * pad[0] - kernel[0]) // stride[0] + 1
        width = (own.out_w + 2 * pad[1] - kernel[1]) // stride[1] + 1
        if height < 1 or width < 1 or height * width > 60:
            return
        channels = own.out_c if depthwise else self._number(1, 24)
        op = Op.DEPTHWISE_CONV2D if depthwise else Op.CONV2D
        self._append(op, len(self._layers) - 1, (height, width, channels), kernel, stride, pad, groups=own.out_c if depthwise else 1)

    def _dense(self) -> None:
        self._append(Op.DENSE, len(self._layers) - 1, (1, 1, self._number(1, 40)))

    def _append(
        self,
        op: Op,
        source: int,
        shape: tuple[int, int, int],
        kernel: tuple[int, int] = (1, 1),
        stride: tuple[int, int] = (1, 1),
        pad: tuple[int, int] = (0, 0),
        *,
        groups: int = 1,
        second: int = -1,
    ) -> None:
        own = self._layers[source]
        read = (1, 1, own.out_h * own.out_w * own.out_c) if op is Op.DENSE else (own.out_h, own.out_w, own.out_c)
        name, accumulator = f"layer{len(self._layers)}", self._number(17, 30)
        self._layers.append(Layer(name, op, *read, *shape, *kernel, *stride, *pad, groups, 4, 16, 8, 1, 8, 1, accumulator, 0, source, second))


def random_array(rng: np.random.Generator) -> Sizes:
    """An array of up to 9 x 9 units with buffers from one word to more than any network here needs."""
    return {
        "rows": int(rng.integers(1, 10)),
        "columns": int(rng.integers(1, 10)),
        "weight_bits": int(rng.integers(2, 9)),
        "activation_bits": int(rng.integers(2, 9)),
        "accumulator_bits": 24,
        "weight_words": int(2 ** rng.uniform(0, 12)),
        "activation_words": int(2 ** rng.uniform(0, 10)),
        "output_words": int(2 ** rng.uniform(0, 9)),
        "banks": int(rng.integers(1, 3)),
        "bus_bits": int(rng.choice([16, 32, 64, 128])),
        "latency": int(rng.choice([0, 1, 7, 40, 200])),
        "full_taps": int(rng.random() < 0.2),
    }


def stacked(arrays: list[Sizes]) -> ArrayShape:
    """Arrays (n, 1)."""
    return ArrayShape(**{name: np.array([[float(array[name])] for array in arrays]) for name in arrays[0]})


def constants(values: Sizes) -> CycleConstants:
    """Constants of the sequencers."""
    return CycleConstants(**{field.name: float(values[field.name]) for field in fields(CycleConstants)})


ODD = {"load": 5, "store": 9, "fetch": 6, "data": 7, "compute": 19, "group_minimum": 8, "phase": 4, "start": 3}
"""Constants unlike the template's."""
