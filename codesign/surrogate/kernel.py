"""The Gaussian process as a GPyTorch model: a kernel over designs and physical features, and a marginal mean.

Notation: an input row is ``[embedded (D) | features (f) | basis (p)]``.

    k(x, x') = v_1 Matern52(embedded) + v_2 Matern52(`LOCALITY` embedded) + v_3 Matern52(features) + v_4 <features, features'>
             + `BASIS_VARIANCE` <basis, basis'>

The second term shares the length scales of the first: it is what designs that agree in every parameter that matters have in
common beyond the smooth trend, such as the luck of one training that several accelerators share.
"""

from __future__ import annotations

import gpytorch
import numpy as np
import torch
from gpytorch.constraints import Positive
from gpytorch.priors import LogNormalPrior
from numpy.typing import NDArray
from torch import Tensor

from codesign.surrogate.hyperparameters import VARIANCES, Layout
from codesign.surrogate.marginal_likelihood import BASIS_VARIANCE, LOCALITY, ROOT5, TrainingSet

FloatArray = NDArray[np.float64]


def _positive() -> Positive:
    return Positive(transform=torch.exp, inv_transform=torch.log)


def _squared_distance(first: Tensor, second: Tensor) -> Tensor:
    return torch.cdist(first, second, compute_mode="use_mm_for_euclid_dist").square()


def _matern52(distance2: Tensor) -> Tensor:
    root = ROOT5 * distance2.clamp_min(1e-30).sqrt()
    return (1.0 + root + (5.0 / 3.0) * distance2) * torch.exp(-root)


class DesignKernel(gpytorch.kernels.Kernel):  # type: ignore[misc]  # gpytorch ships no types
    """Covariance of two designs, from their parameters and their physical features.

    Args:
        layout: numbers of length scales.
        group: (D,) parameter of each embedded column.
    """

    def __init__(self, layout: Layout, group: NDArray[np.intp]) -> None:
        super().__init__()
        self.layout = layout
        self.width = len(group)
        self.register_buffer("group", torch.as_tensor(group, dtype=torch.int64))
        locations, scales = torch.from_numpy(layout.locations()), torch.from_numpy(layout.scales())
        split = {"lengths": slice(0, layout.lengths), "variances": slice(layout.lengths, layout.lengths + VARIANCES)}
        for name, part in split.items():
            self.register_parameter(f"raw_{name}", torch.nn.Parameter(locations[part].clone()))
            self.register_constraint(f"raw_{name}", _positive())
            self.register_prior(f"{name}_prior", LogNormalPrior(locations[part], scales[part]), lambda module, name=name: getattr(module, name))

    @property
    def lengths(self) -> Tensor:
        """Length scales of the parameters, then of the features."""
        lengths: Tensor = torch.exp(self.raw_lengths)
        return lengths

    @property
    def variances(self) -> Tensor:
        """Variances of the Matern term of the parameters, the local term, the Matern term of the features, the linear term."""
        variances: Tensor = torch.exp(self.raw_variances)
        return variances

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **_: object) -> Tensor:
        """Covariance n x n' of input rows, or its diagonal (n,)."""
        own, near, physical, linear = self.variances
        end = self.width + self.layout.features
        if diag:
            products: Tensor = linear * (x1 * x2)[..., self.width : end].sum(-1) + BASIS_VARIANCE * (x1 * x2)[..., end:].sum(-1)
            diagonal: Tensor = own + near + physical + products
            return diagonal
        lengths = torch.cat([self.lengths[: self.layout.parameters][self.group], self.lengths[self.layout.parameters :]])
        scaled1, scaled2 = x1[..., :end] / lengths, x2[..., :end] / lengths
        features1, features2 = x1[..., self.width : end], x2[..., self.width : end]
        distance2 = _squared_distance(scaled1[..., : self.width], scaled2[..., : self.width])
        result: Tensor = own * _matern52(distance2) + near * _matern52(LOCALITY**2 * distance2)
        result = result + physical * _matern52(_squared_distance(scaled1[..., self.width :], scaled2[..., self.width :]))
        result = result + linear * features1 @ features2.mT
        result = result + BASIS_VARIANCE * x1[..., end:] @ x2[..., end:].mT
        return result


class DesignGP(gpytorch.models.ExactGP):  # type: ignore[misc]  # gpytorch ships no types
    """Exact GP whose mean is zero after the basis, with Gaussian noise of learned variance.

    Args:
        data: the training set.
        theta: logarithms of the hyperparameters in the order of `Layout`.
    """

    def __init__(self, data: TrainingSet, theta: FloatArray) -> None:
        layout = data.layout
        prior = LogNormalPrior(torch.tensor(layout.locations()[-1]), torch.tensor(layout.scales()[-1]))
        likelihood = gpytorch.likelihoods.GaussianLikelihood(noise_prior=prior, noise_constraint=_positive())
        super().__init__(torch.from_numpy(input_rows(data.embedded, data.features, data.basis)), torch.from_numpy(data.targets), likelihood)
        self.mean_module = gpytorch.means.ZeroMean()
        self.covar_module = DesignKernel(layout, data.group)
        self.double()
        values = torch.from_numpy(theta)
        with torch.no_grad():
            self.covar_module.raw_lengths.copy_(values[: layout.lengths])
            self.covar_module.raw_variances.copy_(values[layout.lengths : -1])
            self.likelihood.noise_covar.raw_noise.copy_(values[-1:])

    def forward(self, x: Tensor) -> gpytorch.distributions.MultivariateNormal:
        """Prior distribution at input rows."""
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


def input_rows(embedded: FloatArray, features: FloatArray, basis: FloatArray) -> FloatArray:
    """Input rows of the model."""
    return np.concatenate([embedded, features, basis], axis=1)
