"""Repeated measurements: the likelihood of all of them at the cost of the distinct rows, and noise that they pin."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.surrogate import gaussian_process
from codesign.surrogate.gaussian_process import GaussianProcess, Inputs, _merge
from codesign.surrogate.hyperparameters import Layout
from codesign.surrogate.marginal_likelihood import TrainingSet, objective

GROUP = np.arange(3, dtype=np.intp)
NOTHING = np.empty(0, dtype=np.intp)


def repeated(designs: int, repeats: int, noise: float, seed: int = 0) -> tuple[Inputs, np.ndarray]:
    rng = np.random.default_rng(seed)
    embedded = np.repeat(rng.random((designs, 3)), repeats, axis=0)
    order = rng.permutation(len(embedded))
    embedded = embedded[order]
    values = np.sin(4.0 * embedded[:, 0]) + embedded[:, 1] + noise * rng.normal(size=len(embedded))
    return Inputs(embedded, np.empty((len(embedded), 0)), np.ones((len(embedded), 1))), values


def test_value_and_gradient_are_those_of_every_measurement() -> None:
    rows, values = repeated(8, 3, 0.2)
    shares = np.random.default_rng(1).uniform(0.5, 2.0, len(values))
    merged = _merge(np.hstack([rows.embedded, rows.basis]), values, shares)
    layout, first = Layout(3, 0), merged.first
    short = TrainingSet(rows.embedded[first], GROUP, rows.features[first], rows.basis[first], merged.mean, layout, merged.replicates)
    theta = layout.initial() + 0.2 * np.random.default_rng(2).normal(size=layout.size)
    value, gradient = objective(theta, short)
    # Every measurement on its own, with its own share of the noise.
    unmerged = gaussian_process.Replicates(shares, 0, 0.0, 0.0)
    full = TrainingSet(rows.embedded, GROUP, rows.features, rows.basis, values, layout, unmerged)
    whole, slopes = objective(theta, full)
    assert value == pytest.approx(whole, rel=1e-9)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("noise", [0.05, 0.4])
def test_noise_is_recovered_from_replicates_that_single_measurements_leave_open(noise: float) -> None:
    rows, values = repeated(12, 6, noise)
    assert GaussianProcess(rows, GROUP, values).noise_std == pytest.approx(noise, rel=0.25)


def test_leave_one_out_leaves_out_all_repeats_of_a_design() -> None:
    rows, values = repeated(10, 4, 0.3)
    process = GaussianProcess(rows, GROUP, values)
    left = process.leave_one_out()
    assert left.mean.shape == values.shape
    one = (rows.embedded == rows.embedded[0]).all(axis=1)
    assert np.ptp(left.mean[one]) == pytest.approx(0.0, abs=1e-9)
    others = Inputs(rows.embedded[~one], rows.features[~one], rows.basis[~one])
    # The same hyperparameters, without the design: brute force over every measurement.
    known, asked = process.rows(others), process.rows(Inputs(rows.embedded[:1], rows.features[:1], rows.basis[:1]))
    noise = (process.noise_std / process.scale) ** 2
    solved = np.linalg.solve(
        process.covariance(known, known) + noise * np.eye(len(known)), np.column_stack([values[~one] / process.scale, process.covariance(known, asked)])
    )
    cross = process.covariance(asked, known)[0]
    assert left.mean[0] == pytest.approx(float(cross @ solved[:, 0]) * process.scale, rel=1e-5)
    variance = process.variance(asked)[0] - cross @ solved[:, 1] + noise
    assert left.std[0] == pytest.approx(np.sqrt(variance) * process.scale, rel=1e-5)


def test_labels_left_out_together_equal_brute_force() -> None:
    rows, values = repeated(12, 1, 0.2)
    process = GaussianProcess(rows, GROUP, values)
    label = np.arange(12) // 3
    left = process.leave_one_out(label)
    every = process.covariance(process.training_rows, process.training_rows)
    noise = (process.noise_std / process.scale) ** 2
    outside = label == 2
    solved = np.linalg.solve(every[np.ix_(~outside, ~outside)] + noise * np.eye(9), values[~outside] / process.scale)
    np.testing.assert_allclose(left.mean[outside], every[np.ix_(outside, ~outside)] @ solved * process.scale, rtol=1e-6)
    assert (left.std[outside] > process.leave_one_out().std[outside] * 0.999).all()


def test_a_measurement_set_aside_moves_nothing() -> None:
    rows, values = repeated(20, 1, 0.05)
    wild = values.copy()
    wild[3] += 50.0
    aside = np.arange(20) == 3
    told = GaussianProcess(rows, GROUP, wild, aside=aside)
    mean, _ = told.predict(Inputs(rows.embedded[3:4], rows.features[3:4], rows.basis[3:4]))
    assert mean[0] == pytest.approx(values[3], abs=0.6)
    assert abs(wild[3] - told.leave_one_out().mean[3]) > 20.0 * told.leave_one_out().std[3]


def test_scatter_follows_its_shares() -> None:
    rows, values = repeated(60, 1, 0.0)
    shares = np.where(np.arange(60) < 30, 1.0, 100.0)
    values = values + 0.05 * np.sqrt(shares) * np.random.default_rng(3).normal(size=60)
    process = GaussianProcess(rows, GROUP, values, shares)
    assert process.noise_std == pytest.approx(0.05, rel=0.5)
    left = process.leave_one_out()
    assert left.std[30:].min() > 3.0 * np.median(left.std[:30])


def test_samples_stand_at_every_measurement() -> None:
    rows, values = repeated(9, 3, 0.2)
    samples = GaussianProcess(rows, GROUP, values).sample(5, np.random.default_rng(4))
    assert samples.values.shape == (27, 5)
    same = (rows.embedded == rows.embedded[0]).all(axis=1)
    assert np.ptp(samples.values[same], axis=0) == pytest.approx(np.zeros(5), abs=1e-9)


def test_beyond_the_largest_number_of_rows_a_share_is_conditioned_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, values = repeated(120, 1, 0.02)
    exact = GaussianProcess(rows, GROUP, values)
    monkeypatch.setattr(gaussian_process, "MOST_CONDITIONED", 60)
    process = GaussianProcess(rows, GROUP, values)
    assert len(process.training_rows) == 60
    left = process.leave_one_out()
    assert left.mean.shape == left.std.shape == (120,)
    assert np.mean(np.abs(left.mean - values) < 1.96 * left.std) > 0.85
    asked = Inputs(rows.embedded, rows.features, rows.basis)
    assert np.sqrt(np.mean((process.predict(asked)[0] - exact.predict(asked)[0]) ** 2)) < 0.1
    assert process.sample(4, np.random.default_rng(5)).values.shape == (120, 4)
