"""The closed-form objective against GPyTorch's, value and gradient."""

from __future__ import annotations

import gpytorch
import numpy as np
import pytest
import torch

from codesign.surrogate.hyperparameters import Layout
from codesign.surrogate.kernel import DesignGP
from codesign.surrogate.marginal_likelihood import TrainingSet, fit, objective

GROUP = np.repeat(np.arange(5), [1, 2, 1, 3, 1]).astype(np.intp)


def training_set(features: int = 3, basis: int = 2, count: int = 25) -> TrainingSet:
    rng = np.random.default_rng(0)
    embedded = rng.random((count, len(GROUP)))
    embedded[3] = embedded[4]
    physical = rng.normal(size=(count, features))
    targets = np.sin(3.0 * embedded[:, 0]) + 0.3 * rng.normal(size=count)
    return TrainingSet(embedded, GROUP, physical, rng.normal(size=(count, basis)), targets, Layout(5, features))


def test_value_and_gradient_equal_gpytorch() -> None:
    data = training_set()
    theta = data.layout.initial() + 0.3 * np.random.default_rng(1).normal(size=data.layout.size)
    value, gradient = objective(theta, data)
    model = DesignGP(data, theta).train()
    likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    theirs = -len(data.targets) * likelihood(model(*model.train_inputs), model.train_targets)
    theirs.backward()
    kernel = model.covar_module
    parts = [kernel.raw_lengths.grad, kernel.raw_variances.grad, model.likelihood.noise_covar.raw_noise.grad]
    assert value == pytest.approx(theirs.item(), rel=1e-10)
    np.testing.assert_allclose(gradient, torch.cat(parts).numpy(), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("features", "basis"), [(0, 0), (2, 0), (0, 1)])
def test_gradient_without_features_or_basis(features: int, basis: int) -> None:
    data = training_set(features, basis)
    theta = data.layout.initial()
    steps = 1e-6 * np.eye(data.layout.size)
    slopes = [(objective(theta + step, data)[0] - objective(theta - step, data)[0]) / 2e-6 for step in steps]
    np.testing.assert_allclose(objective(theta, data)[1], slopes, atol=1e-5)


def test_fit_ends_where_the_gradient_vanishes() -> None:
    data = training_set()
    theta = fit(data)
    low, high = np.array(data.layout.bounds()).T
    inside = (theta > low + 1e-6) & (theta < high - 1e-6)
    assert np.abs(objective(theta, data)[1][inside]).max() < 0.02
    assert objective(theta, data)[0] < objective(data.layout.initial(), data)[0]


def test_prior_gradient_equals_differences() -> None:
    layout = Layout(4, 2)
    theta = np.random.default_rng(2).normal(size=layout.size)
    steps = 1e-6 * np.eye(layout.size)
    slopes = [(layout.log_prior(theta + step)[0] - layout.log_prior(theta - step)[0]) / 2e-6 for step in steps]
    np.testing.assert_allclose(layout.log_prior(theta)[1], slopes, atol=1e-6)
