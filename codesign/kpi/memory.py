"""Block memories: how many 18 kb blocks a memory of a given shape takes.

.. [UG473] AMD, 7 Series FPGAs Memory Resources: a RAMB18 is 16384 x 1, 8192 x 2, 4096 x 4, 2048 x 9, 1024 x 18 or
   512 x 36. An ECP5 EBR has the same shapes (Lattice FPGA-TN-02204).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.kpi.template_model import FloatArray

SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
WIDEST = 36
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


def ranks(words: NumberArray, bits: NumberArray) -> FloatArray:
    """Blocks one above the other in the memory of `bram18`, between which its output is chosen; the fewest where shapes tie."""
    best, above = np.full(np.broadcast_shapes(np.shape(words), np.shape(bits)), np.inf), np.ones(())
    for depth, width in SHAPES:
        high = np.ceil(words / depth)
        blocks = high * np.ceil(bits / width)
        above = np.where(blocks < best, high, above)
        best = np.minimum(blocks, best)
    return np.asarray(above, dtype=np.float64)


def bram18_yosys(words: NumberArray, bits: NumberArray) -> FloatArray:
    """18 kb blocks that Yosys 0.70 maps a memory to: as `bram18`, or cut by width where that saves blocks.

    Yosys weighs blocks against the choices between them, so this is a rule that was found on the arrays of
    ``docs/validation-pe-array.md``, not Yosys' formula: columns of 18 or 36 bits and the best shape for the bits left over, with at
    most 11 or 10 ranks, or 3 where one rank would do as well. Arguments as in `bram18`.
    """
    best, several = bram18(words, bits), ranks(words, bits) > 1.0
    for (depth, width), most in CUT_BY_WIDTH.items():
        columns, high = np.floor(bits / width), np.ceil(words / depth)
        rest = bits - columns * width
        cut = columns * high + bram18(words, rest)
        best = np.where((columns > 0) & (rest > 0) & (high <= np.where(several, most, 3.0)), np.minimum(best, cut), best)
    return best
