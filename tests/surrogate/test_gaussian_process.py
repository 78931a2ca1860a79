"""The exact process: equal to GPyTorch's posterior, to brute-force leave-one-out, and to exact conditioning."""

from __future__ import annotations

import gpytorch
import numpy as np
import pytest
import torch

from codesign.surrogate.gaussian_process import GaussianProcess, Inputs

FloatArray = np.ndarray
GROUP = np.arange(3, dtype=np.intp)


def inputs(count: int, seed: int = 0) -> Inputs:
    rng = np.random.default_rng(seed)
    embedded = rng.random((count, 3))
    return Inputs(embedded, np.column_stack([10.0 * embedded.sum(axis=1) + 5.0, np.full(count, 3.0)]), np.ones((count, 1)))


def truth(rows: Inputs) -> FloatArray:
    return np.asarray(7.0 * np.sin(4.0 * rows.embedded[:, 0]) + 0.5 * rows.features[:, 0])


@pytest.fixture(scope="module")
def process() -> GaussianProcess:
    rows = inputs(40)
    return GaussianProcess(rows, GROUP, truth(rows) + 0.1 * np.random.default_rng(1).normal(size=40))


def test_prediction_equals_gpytorch(process: GaussianProcess) -> None:
    rows = inputs(15, seed=2)
    mean, std = process.predict(rows)
    with torch.no_grad(), gpytorch.settings.fast_computations(False, False, False):
        posterior = process.model(torch.from_numpy(process.rows(rows)))
    np.testing.assert_allclose(mean, posterior.mean.numpy() * process.scale, rtol=1e-6)
    np.testing.assert_allclose(std, posterior.stddev.numpy() * process.scale, rtol=1e-4)


def test_prediction_is_accurate_and_honest(process: GaussianProcess) -> None:
    rows = inputs(200, seed=3)
    mean, std = process.predict(rows)
    error = mean - truth(rows)
    assert np.abs(error).mean() < 0.2
    assert np.mean(np.abs(error) < 3.0 * std) > 0.95


def test_leave_one_out_equals_refitting_without_each_row(process: GaussianProcess) -> None:
    """At the same hyperparameters, by brute force."""
    covariance = process.covariance(process.training_rows, process.training_rows)
    noise = (process.noise_std / process.scale) ** 2
    targets = process._targets
    left = process.leave_one_out()
    for row in (0, 17, 39):
        others = np.arange(40) != row
        solved = np.linalg.solve(covariance[np.ix_(others, others)] + noise * np.eye(39), np.column_stack([targets[others], covariance[others, row]]))
        mean = covariance[row, others] @ solved[:, 0]
        variance = covariance[row, row] + noise - covariance[row, others] @ solved[:, 1]
        assert left.mean[row] == pytest.approx(mean * process.scale, rel=1e-6)
        assert left.std[row] == pytest.approx(np.sqrt(variance) * process.scale, rel=1e-6)


def test_samples_have_the_posterior_moments(process: GaussianProcess) -> None:
    samples = process.sample(4000, np.random.default_rng(4))
    mean, std = process.predict(inputs(40))
    np.testing.assert_allclose(samples.values.mean(axis=1), mean, atol=5.0 * std.max() / np.sqrt(4000))
    np.testing.assert_allclose(samples.values.std(axis=1), std, rtol=0.1)


def test_conditioning_on_a_sample_reproduces_it_and_averages_to_the_posterior(process: GaussianProcess) -> None:
    samples = process.sample(2000, np.random.default_rng(5))
    at_training, std = samples.moments(inputs(40))
    np.testing.assert_allclose(at_training, samples.values, atol=0.1 * process.noise_std + 0.01)
    assert std.max() < 0.01 * process.scale
    rows = inputs(10, seed=6)
    means, conditional = samples.moments(rows)
    mean, total = process.predict(rows)
    np.testing.assert_allclose(means.mean(axis=1), mean, atol=0.05)
    # Law of total variance: scatter of the conditional means, and what conditioning leaves.
    np.testing.assert_allclose(means.var(axis=1) + conditional**2, total**2, rtol=0.15)


def test_believing_a_design_removes_its_uncertainty_and_moves_no_mean(process: GaussianProcess) -> None:
    samples = process.sample(3, np.random.default_rng(7))
    rows = inputs(6, seed=8)
    mean_before, std_before = samples.moments(rows)
    samples.believe(Inputs(rows.embedded[:1], rows.features[:1], rows.basis[:1]))
    mean, std = samples.moments(rows)
    np.testing.assert_allclose(mean, mean_before, rtol=1e-9)
    assert std[0] < 0.2 * std_before[0]
    assert (std <= std_before + 1e-12).all()


def test_believing_a_noisy_result_leaves_what_one_measurement_leaves(process: GaussianProcess) -> None:
    posterior = process.posterior()
    rows = inputs(1, seed=8)
    before, noise = float(posterior.moments(rows)[1][0]) ** 2, process.noise_std**2
    posterior.believe(rows)
    assert float(posterior.moments(rows)[1][0]) ** 2 == pytest.approx(before * noise / (before + noise), rel=1e-3)


def test_same_data_same_model() -> None:
    rows = inputs(20)
    first, second = (GaussianProcess(rows, GROUP, truth(rows)) for _ in range(2))
    np.testing.assert_array_equal(first.theta, second.theta)
    np.testing.assert_array_equal(first.predict(inputs(5, 9))[0], second.predict(inputs(5, 9))[0])


def test_repeated_designs_teach_the_noise() -> None:
    rng = np.random.default_rng(10)
    base = inputs(10)
    rows = Inputs(*(np.repeat(part, 8, axis=0) for part in (base.embedded, base.features, base.basis)))
    process = GaussianProcess(rows, GROUP, truth(rows) + 0.5 * rng.normal(size=80))
    assert process.noise_std == pytest.approx(0.5, rel=0.25)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_few_rows_still_make_a_process(count: int) -> None:
    rows = inputs(count)
    mean, std = GaussianProcess(rows, GROUP, truth(rows)).predict(inputs(4, seed=1))
    assert np.isfinite(mean).all() and (std >= 0.0).all()


def test_constant_targets_are_predicted_as_they_are() -> None:
    rows = inputs(12)
    mean, _ = GaussianProcess(rows, GROUP, np.full(12, 0.4)).predict(inputs(4, seed=1))
    np.testing.assert_allclose(mean, 0.4, atol=0.02)
    zero, _ = GaussianProcess(rows, GROUP, np.zeros(12)).predict(inputs(4, seed=1))
    np.testing.assert_allclose(zero, 0.0, atol=1e-6)


def test_targets_must_be_finite_and_fit_the_rows() -> None:
    with pytest.raises(ValueError, match="3 rows with 2 finite targets of 3"):
        GaussianProcess(inputs(3), GROUP, np.array([1.0, np.nan, 2.0]))
    with pytest.raises(ValueError, match="0 rows"):
        GaussianProcess(inputs(0), GROUP, np.empty(0))
