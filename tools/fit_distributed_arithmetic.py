"""Fit the adder cost of distributed arithmetic to random matrices that da4ml solves.

da4ml turns a constant matrix into shifts and adds and builds partial sums that several outputs use once; its cost is the
bits of all adders, one LUT each. The streaming model needs that cost without solving anything:

    factor * adders ** exponent * (digits / (inputs * outputs)) ** crowding * (input_bits + weight_growth * weight_bits + sum_growth * log2(inputs))

``digits`` are the non-zero signed digits of all weights, ``nonzero * (weight_bits / 3 + 1 / 9)`` where only sizes are known;
an output of d digits needs d - 1 adders, so ``adders = digits - outputs`` before sharing. Sharing removes more of them the
more there are and the closer together they lie; the last factor is the mean width of a partial sum.

Run in an environment of its own (da4ml is under the LGPL and is no dependency of codesign; this tool imports nothing of it):

    python -m venv da4ml && da4ml/bin/pip install da4ml==0.6.0
    da4ml/bin/python tools/fit_distributed_arithmetic.py              # a minute; prints the coefficient file and errors
    da4ml/bin/python tools/fit_distributed_arithmetic.py --golden 10  # examples for the tests, from another seed

Errors are of matrices whose size (inputs and outputs) was left out of the fit.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SIZES = (2, 4, 6, 8, 12, 16, 20, 24, 32, 48, 64)
WEIGHT_BITS = range(2, 11)
INPUT_BITS = (2, 4, 6, 8, 12, 16)
SHARES = (0.2, 0.4, 0.7, 1.0)
LARGEST = 5000
"""Bits of a matrix's weights; larger ones take da4ml more than a second."""
MANY = 200
"""Digits from which a matrix is like a layer rather than like a handful of sums; errors are given for both."""
NAMES = ("factor", "exponent", "crowding", "weight_growth", "sum_growth")
START = (1.0, 0.9, -0.1, 0.1, 0.4)
SOFT = 0.05
"""Error of the logarithm below which rows weigh alike: adders of small matrices are a matter of luck."""
FOLDS = 10
FEWEST = 100
EXTRA_LEVELS = 2
"""hls4ml's default of ``DA_HARD_DC``."""
MISSING = 3
"""Exit status where da4ml is not installed."""


@dataclass(frozen=True)
class Drawn:
    """A random matrix.

    Attributes:
        weights: whole numbers (inputs, outputs).
        weight_bits, input_bits: widths, both signed.
    """

    weights: NDArray[np.int64]
    weight_bits: int
    input_bits: int

    @property
    def digits(self) -> int:
        """Non-zero digits of all weights in canonical signed-digit form: bits in which w and 3 w differ."""
        magnitude = np.abs(self.weights)
        return int(np.bitwise_count(magnitude ^ (3 * magnitude)).sum())


def draw(seed: int, index: int) -> Drawn | None:
    """Matrix ``index`` of a seed; None where it is too large or has no weight."""
    rng = np.random.default_rng([seed, index])
    inputs, outputs, bits = int(rng.choice(SIZES)), int(rng.choice(SIZES)), int(rng.choice(WEIGHT_BITS))
    input_bits, share = int(rng.choice(INPUT_BITS)), float(rng.choice(SHARES))
    if inputs * outputs * bits > LARGEST:
        return None
    weights = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (inputs, outputs)) * (rng.random((inputs, outputs)) < share)
    return Drawn(weights, bits, input_bits) if weights.any() else None


def cost_with(cmvm: Any) -> Callable[[Drawn], float]:
    """Adder bits that da4ml needs for a matrix, with as many adders in series above the fewest possible as hls4ml allows."""

    def cost(matrix: Drawn) -> float:
        half = 2.0 ** (matrix.input_bits - 1)
        intervals = [cmvm.QInterval(-half, half - 1.0, 1.0)] * len(matrix.weights)
        return float(cmvm.solve(matrix.weights.astype(np.float32), qintervals=intervals, adder_size=1, carry_size=-1, hard_dc=EXTRA_LEVELS).cost)

    return cost


@dataclass(frozen=True)
class Sample:
    """Solved matrices, one entry each (m,)."""

    inputs: Floats
    outputs: Floats
    weight_bits: Floats
    input_bits: Floats
    nonzero: Floats
    digits: Floats
    cost: Floats
    index: Floats

    @property
    def expected_digits(self) -> Floats:
        """Digits as known from sizes and the number of weights."""
        return self.nonzero * (self.weight_bits / 3.0 + 1.0 / 9.0)


def gather(seed: int, matrices: int, seconds: float, cost: Callable[[Drawn], float], fewest: int = 0) -> Sample:
    """Solve up to ``matrices`` matrices that have a cost within ``seconds`` of processor time; ``fewest``: digits to ask for."""
    rows: list[tuple[float, ...]] = []
    start, index = time.process_time(), 0
    while len(rows) < matrices and time.process_time() - start < seconds:
        matrix = draw(seed, index)
        index += 1
        if matrix is None or matrix.digits < fewest:
            continue
        value = cost(matrix)
        if value > 0:
            rows.append((*matrix.weights.shape, matrix.weight_bits, matrix.input_bits, int(np.count_nonzero(matrix.weights)), matrix.digits, value, index - 1))
    return Sample(*np.array(rows, dtype=np.float64).T)


def logarithm(sample: Sample, digits: Floats, found: Floats) -> tuple[Floats, Floats]:
    """Logarithm of the predicted cost (m,), and its derivatives by the coefficients (m, 5); the first is the factor's logarithm."""
    adders = np.log(np.maximum(digits - sample.outputs, 1.0))
    crowd = np.log(digits / (sample.inputs * sample.outputs))
    levels = np.log2(sample.inputs)
    width = np.maximum(sample.input_bits + found[3] * sample.weight_bits + found[4] * levels, 0.1)
    value = found[0] + found[1] * adders + found[2] * crowd + np.log(width)
    return value, np.stack([np.ones(len(adders)), adders, crowd, sample.weight_bits / width, levels / width], axis=1)


def fit(sample: Sample, digits: Floats, rows: NDArray[np.bool_]) -> Floats:
    """Coefficients of least absolute error of the logarithm, by damped reweighted Gauss-Newton steps."""
    found = np.array([np.log(START[0]), *START[1:]])
    for _ in range(60):
        value, slopes = logarithm(sample, digits, found)
        residual = (np.log(sample.cost) - value)[rows]
        weight = 1.0 / np.sqrt(SOFT**2 + residual**2)
        normal = slopes[rows].T @ (slopes[rows] * weight[:, None])
        found = found + 0.7 * np.linalg.solve(normal + 1e-6 * np.eye(len(found)), slopes[rows].T @ (weight * residual))
    return found


def left_out(sample: Sample, digits: Floats) -> Floats:
    """Relative errors (m,) of matrices whose size was left out."""
    sizes = sample.inputs * 1000 + sample.outputs
    names = np.unique(sizes)
    fold = np.random.default_rng(0).permutation(len(names))[np.searchsorted(names, sizes)] % FOLDS
    errors = np.zeros(len(sizes))
    for out in range(FOLDS):
        predicted = np.exp(logarithm(sample, digits, fit(sample, digits, fold != out))[0])
        errors[fold == out] = np.abs(predicted / sample.cost - 1.0)[fold == out]
    return errors


def print_errors(title: str, errors: Floats, many: NDArray[np.bool_]) -> None:
    """Median and 95 % quantile of all matrices, and of those with many digits."""
    for name, chosen in (("all", np.ones(len(errors), dtype=np.bool_)), (f"{MANY} digits and more", many)):
        middle, most = np.quantile(errors[chosen], [0.5, 0.95])
        print(f"# {title}, {name}: {chosen.sum()} matrices, median error {middle:.1%}, 95 % within {most:.1%}")


def print_fit(sample: Sample) -> None:
    """The coefficient file, and errors as comments."""
    everything, many = np.ones(len(sample.cost), dtype=np.bool_), sample.digits >= MANY
    errors = left_out(sample, sample.expected_digits)
    print_errors("digits expected from sizes", errors, many)
    print_errors("digits counted from the weights", left_out(sample, sample.digits), many)
    found = fit(sample, sample.expected_digits, everything)
    found[0] = np.exp(found[0])
    for name, value in zip(NAMES, found.tolist(), strict=True):
        print(f"{name} = {value:.4g}")


def print_golden(sample: Sample) -> None:
    """Sizes and costs as Python tuples: index, inputs, outputs, weight bits, input bits, non-zero weights, cost."""
    columns = (sample.index, sample.inputs, sample.outputs, sample.weight_bits, sample.input_bits, sample.nonzero, sample.cost)
    for row in zip(*columns, strict=True):
        print(f"    ({', '.join(str(int(value)) for value in row)}),")


def main() -> int:
    """Draw, solve, and fit or list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrices", type=int, default=3000, help="how many to solve")
    parser.add_argument("--seconds", type=float, default=100.0, help="processor time after which no other matrix is drawn")
    parser.add_argument("--golden", type=int, default=0, help="only list so many examples that the fit does not see")
    arguments = parser.parse_args()
    if arguments.matrices < FEWEST:
        parser.error(f"--matrices must be at least {FEWEST}")
    try:
        cost = cost_with(importlib.import_module("da4ml.cmvm"))
    except ImportError:
        print("da4ml is not installed: make an environment with 'pip install da4ml==0.6.0' and run this tool with its Python.", file=sys.stderr)
        return MISSING
    if arguments.golden:
        print_golden(gather(1, arguments.golden, arguments.seconds, cost, fewest=MANY))
    else:
        print_fit(gather(0, arguments.matrices, arguments.seconds, cost))
    return 0


if __name__ == "__main__":
    sys.exit(main())
