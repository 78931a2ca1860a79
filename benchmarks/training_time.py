"""Processor time of a training: the two constants behind the estimate of `codesign check`, fitted to a finished study.

Run:
    python benchmarks/training_time.py runs/kws-pynq-z2

Least squares with non-negative terms: seconds = a * optimiser steps + b * samples * multiply-accumulates per sample.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from codesign.network.tasks.registry import task_record
from codesign.search.study import Study


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="working folder of a finished study")
    study = Study.open(parser.parse_args().study)
    bound = study.store.bound_data()
    assert bound is not None
    batch = study.specification.training.batch_size or task_record(study.specification.task).training.batch_size
    done = [item for item in study.evaluated() if item.evaluation.metrics]
    samples = np.array([item.evaluation.metrics["epochs"] * bound["train"] for item in done])
    macs = np.array([item.design.kpis["macs"].value for item in done])
    seconds = np.array([item.evaluation.metrics["seconds"] for item in done])
    terms = np.stack([samples / batch, samples * macs], axis=1)
    scale = terms.max(axis=0)
    per_step, per_mac = nnls(terms / scale, seconds)[0] / scale
    error = np.abs(terms @ [per_step, per_mac] / seconds - 1.0)
    print(f"{len(done)} trainings, {seconds.mean():.1f} s on average ({seconds.min():.1f} to {seconds.max():.1f})")
    print(f"{per_step:.2e} s a step, {per_mac:.2e} s a sample and multiply-accumulate; median error {np.median(error):.0%}, largest {error.max():.0%}")


if __name__ == "__main__":
    main()
