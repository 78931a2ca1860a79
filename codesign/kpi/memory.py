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
