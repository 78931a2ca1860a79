"""`tpe`: Optuna's tree-structured Parzen estimator, as it ships.

.. [Bergstra2011] J. Bergstra, R. Bardenet, Y. Bengio, B. Kegl, "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011.
.. [Ozaki2022] Y. Ozaki, Y. Tanigaki, S. Watanabe, M. Nomura, M. Onishi, "Multiobjective Tree-Structured Parzen Estimator",
   JAIR 73, 2022.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from codesign.search.strategies.optuna_study import OptunaStrategy
from codesign.search.strategies.strategy import Capabilities

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class TpeStrategy(OptunaStrategy):
    """`optuna.samplers.TPESampler` with its defaults [Bergstra2011]_ [Ozaki2022]_.

    In Optuna 5 these are: ten random designs; with several objectives each parameter on its own (not multivariate); 24
    candidates; running trials count as bad ones (constant liar).
    """

    name: ClassVar[str] = "tpe"
    capabilities: ClassVar[Capabilities] = Capabilities(model=True, prior=False, pending=True)
    redraws = 10

    def sampler(self, seed: int) -> BaseSampler:
        """See `OptunaStrategy.sampler`."""
        from optuna.samplers import TPESampler

        return TPESampler(seed=seed)
