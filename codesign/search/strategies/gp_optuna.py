"""`gp_optuna`: Optuna's Gaussian processes with expected hypervolume improvement, as they ship.

.. [Watanabe2025] S. Watanabe, "Batch Acquisition Function Evaluations and Decouple Optimizer Updates for Faster Bayesian
   Optimization", arXiv:2511.13625, 2025: the paper that Optuna names for its sampler.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, ClassVar

from codesign.search.strategies.optuna_study import OptunaStrategy
from codesign.search.strategies.strategy import Capabilities
from codesign.space.design_space import Indices
from codesign.surrogate.threads import single_thread

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class GpOptunaStrategy(OptunaStrategy):
    """`optuna.samplers.GPSampler` with its defaults [Watanabe2025]_.

    In Optuna 5 these are: ten random designs; the logarithm of the expected hypervolume improvement, with the probability
    of each constraint, over the trials that run; parameters that are not active in every trial are drawn at random. Its one
    difference here is that each ask starts the fit of the processes from the beginning rather than from the last fit. An
    ask takes seconds: it is drawn again few times.
    """

    name: ClassVar[str] = "gp_optuna"
    capabilities: ClassVar[Capabilities] = Capabilities(model=True, prior=False, pending=True)
    redraws = 2

    def ask(self, count: int, pending: Indices | None = None) -> Indices:
        """See `Strategy.ask`."""
        with single_thread(), warnings.catch_warnings():
            # With five objectives Optuna advises another sampler: who chose this one wants to see what it does.
            warnings.filterwarnings("ignore", message="Box decomposition", category=UserWarning)
            return super().ask(count, pending)

    def sampler(self, seed: int) -> BaseSampler:
        """See `OptunaStrategy.sampler`."""
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed)
