"""What the surrogate costs as evidence grows, and what its approximations lose.

    python benchmarks/surrogate_cost.py [--sizes 50,100,200,500,1000,2000] [--losses]

A predictor over 37 parameters and 6 features is fitted to a synthetic objective with noise, on one thread as a search does
it: seconds of processor time for the three competing means together, for leave-one-out, and for 1,000 predictions; error
and coverage on designs not seen. ``--losses`` compares at one size what is exact with what replaces it: the start of a fit
from an earlier one, hyperparameters from `MOST_ROWS` rows, and conditioning on a share of the rows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from codesign.surrogate import gaussian_process, marginal_likelihood
from codesign.surrogate.encoding import NoParameters
from codesign.surrogate.gaussian_process import GaussianProcess, Inputs
from codesign.surrogate.hyperparameters import Layout
from codesign.surrogate.marginal_likelihood import TrainingSet, fit, objective
from codesign.surrogate.prior import Designs, Predictor
from codesign.surrogate.threads import single_thread

FloatArray = NDArray[np.float64]
PARAMETERS, FEATURES, NOISE, TEST = 37, 6, 0.1, 1000


class _Unit(NoParameters):
    """Ordered parameters of seven values each."""

    def embed(self, indices: NDArray[np.intp]) -> FloatArray:
        return np.asarray(indices / 6.0 - 0.5)


def problem(count: int, seed: int = 0) -> tuple[Designs, FloatArray]:
    """Designs, and a smooth objective of a third of the parameters with interactions, noise included."""
    weights = np.random.default_rng(99).normal(size=(3, PARAMETERS // 3))
    rng = np.random.default_rng(seed)
    indices = rng.integers(0, 7, size=(count, PARAMETERS))
    x = (indices / 6.0 - 0.5)[:, : PARAMETERS // 3]
    value = x @ weights[0] + np.sin(3.0 * x @ weights[1]) + 0.5 * (x @ weights[2]) ** 2
    features = np.stack([indices[:, start::FEATURES].sum(axis=1) for start in range(FEATURES)], axis=1).astype(np.float64)
    return Designs(indices, features, value * 0.7 + 0.2, np.full(count, 0.5)), value + NOISE * rng.normal(size=count)


def timed(task: Callable[[], object]) -> tuple[float, object]:
    """Seconds of processor time, and the result."""
    begin = time.process_time()
    result = task()
    return time.process_time() - begin, result


def costs(sizes: list[int]) -> None:
    """The table of costs."""
    test, truth = problem(TEST, seed=1)
    encoding = _Unit(np.arange(PARAMETERS, dtype=np.intp))
    print(f"{'n':>6} {'fit s':>8} {'leave-one-out s':>16} {'predict 1,000 s':>16} {'RMSE':>7} {'in 95 %':>8}")
    for size in sizes:
        designs, evidence = problem(size)
        fit_seconds, found = timed(lambda designs=designs, evidence=evidence: Predictor(encoding, designs, evidence, log=False))
        assert isinstance(found, Predictor)
        left_seconds, _ = timed(found.leave_one_out)
        seconds, _ = timed(lambda found=found: found.predict(test, noise=True))
        prediction = found.predict(test, noise=True)
        error = prediction.mean - truth
        inside = np.mean(np.abs(error) <= 1.96 * prediction.std)
        print(f"{size:>6} {fit_seconds:>8.2f} {left_seconds:>16.2f} {seconds:>16.2f} {np.sqrt(np.mean(error**2)):>7.3f} {inside:>8.1%}", flush=True)


@contextmanager
def limit(module: object, name: str, value: int) -> Iterator[None]:
    """Another limit of the surrogate for a while."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def losses(size: int) -> None:
    """Exact against approximate at one size."""
    designs, evidence = problem(size)
    test, truth = problem(TEST, seed=1)
    encoding = _Unit(np.arange(PARAMETERS, dtype=np.intp))
    mean = evidence.mean()

    def process() -> GaussianProcess:
        return GaussianProcess(Inputs(encoding.embed(designs.indices), designs.features, np.ones((size, 1))), encoding.group, evidence - mean)

    def show(name: str, seconds: float, found: GaussianProcess) -> None:
        value, std = found.predict(Inputs(encoding.embed(test.indices), test.features, np.ones((TEST, 1))))
        error, total = value + mean - truth, np.hypot(std, found.noise_std)
        density = np.mean(0.5 * (error / total) ** 2 + np.log(total) + 0.919)
        print(f"{name:<48} {seconds:>7.2f} s  RMSE {np.sqrt(np.mean(error**2)):.4f}  NLPD {density:.4f}", flush=True)

    with limit(marginal_likelihood, "MOST_ROWS", size):
        seconds, exact = timed(process)
    assert isinstance(exact, GaussianProcess)
    show(f"hyperparameters from all {size} rows", seconds, exact)
    seconds, fewer = timed(process)
    assert isinstance(fewer, GaussianProcess)
    show(f"hyperparameters from {marginal_likelihood.MOST_ROWS} rows", seconds, fewer)
    with limit(gaussian_process, "MOST_CONDITIONED", size // 2):
        seconds, half = timed(process)
    assert isinstance(half, GaussianProcess)
    show(f"the same, conditioned on {size // 2} rows", seconds, half)


def starts(size: int) -> None:
    """A cold start against one from the fit to the first four fifths: time and value reached."""
    designs, evidence = problem(size)
    encoding = _Unit(np.arange(PARAMETERS, dtype=np.intp))
    features = (designs.features - designs.features.mean(axis=0)) / designs.features.std(axis=0)
    targets = (evidence - evidence.mean()) / evidence.std()
    data = TrainingSet(encoding.embed(designs.indices), encoding.group, features, np.ones((size, 1)), targets, Layout(PARAMETERS, FEATURES))
    earlier = fit(data.part(np.arange(size * 4 // 5)))
    for name, start in (("cold start", None), ("from the first four fifths", earlier)):
        seconds, theta = timed(lambda start=start: fit(data, start))
        print(f"{name:<28} n = {size}: {seconds:.2f} s, objective {objective(np.asarray(theta), data)[0]:.3f}", flush=True)


def main() -> None:
    """Parse and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="50,100,200,500,1000,2000")
    parser.add_argument("--losses", type=int, metavar="N", help="compare exact and approximate at N rows instead")
    chosen = parser.parse_args()
    with single_thread():
        if chosen.losses:
            for size in (100, 200, marginal_likelihood.MOST_ROWS):
                starts(size)
            losses(chosen.losses)
        else:
            costs([int(size) for size in chosen.sizes.split(",")])


if __name__ == "__main__":
    main()
