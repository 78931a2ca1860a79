"""Block memories: how many 18 kb blocks a memory of a given shape takes.

.. [UG473] AMD, 7 Series FPGAs Memory Resources: a RAMB18 is 16384 x 1, 8192 x 2, 4096 x 4, 2048 x 9, 1024 x 18 or
   512 x 36. An ECP5 EBR has the same shapes (Lattice FPGA-TN-02204).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.kpi.template_model import FloatArray

SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
WIDEST = 36
RANK_COST = 0.005
CUT_BY_WIDTH = {(1024, 18): 11.0, (512, 36): 10.0}
NumberArray = NDArray[np.float64] | NDArray[np.int64] | NDArray[np.int32]


def bram18(words: NumberArray, bits: NumberArray) -> FloatArray:
    """18 kb blocks for a memory of ``words`` words of ``bits`` bits each: the best single aspect ratio [UG473]_.

    Args:
        words: number of words, any shape.
        bits: bits of a word, of a shape that broadcasts with it; a memory without words or bits takes no block.
    """
    best = np.ceil(words / SHAPES[0][0]) * np.ceil(bits / SHAPES[0][1])
    for depth, width in SHAPES[1:]:
        np.minimum(best, np.ceil(words / depth) * np.ceil(bits / width), out=best)
    return best


@dataclass(frozen=True)
class Mapped:
    """How Yosys maps a memory: 18 kb blocks, and ranks of them one above the other, between which its output is chosen."""

    blocks: FloatArray
    ranks: FloatArray


def mapped_by_yosys(words: NumberArray, bits: NumberArray) -> Mapped:
    """The mapping of Yosys 0.70, which weighs blocks against the choices between ranks.

    A rule that was found on the arrays of ``docs/validation-pe-array.md``, not Yosys' formula: the aspect ratio with the
    fewest blocks, a rank counting as half a per cent more; or columns of 18 or 36 bits and the best shape for the bits left
    over, with at most 11 or 10 ranks, or 3 where one rank would do as well. Arguments as in `bram18`.
    """
    blocks, above, cost = np.full(np.broadcast_shapes(np.shape(words), np.shape(bits)), np.inf), np.ones(()), np.full((), np.inf)
    for depth, width in SHAPES:
        high = np.ceil(words / depth)
        count = high * np.ceil(bits / width)
        weighed = count * (1.0 + RANK_COST * high)
        better = weighed < cost
        blocks, above, cost = np.where(better, count, blocks), np.where(better, high, above), np.where(better, weighed, cost)
    fewest = blocks
    for (depth, width), most in CUT_BY_WIDTH.items():
        columns, high = np.floor(bits / width), np.ceil(words / depth)
        rest = bits - columns * width
        cut = columns * high + bram18(words, rest)
        fewest = np.where((columns > 0) & (rest > 0) & (high <= np.where(above > 1.0, most, 3.0)), np.minimum(fewest, cut), fewest)
    return Mapped(blocks=np.asarray(fewest, dtype=np.float64), ranks=np.asarray(above, dtype=np.float64))
