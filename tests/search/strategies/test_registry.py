"""Finding strategies and their settings."""

from __future__ import annotations

import subprocess
import sys

import pytest

from codesign.errors import InputError
from codesign.search.strategies.strategy import StrategySettings, find_strategy, strategy_names


def test_the_built_in_strategies_are_registered() -> None:
    built_in = {"aging_evolution", "ehvi", "ga_on_gp", "gp_optuna", "local", "nsga2", "random", "tpe"}
    assert built_in <= set(strategy_names())


def test_an_unknown_strategy_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown strategy 'annealing'\. Choose from aging_evolution, ehvi, .*, tpe"):
        find_strategy("annealing")


def test_settings_are_positive() -> None:
    with pytest.raises(InputError, match="strategy settings: pool = 0"):
        StrategySettings(pool=0)


@pytest.mark.parametrize(
    "module", ["codesign.search.pareto", "codesign.search.candidates", "codesign.search.strategies.nsga2", "codesign.surrogate.calibration"]
)
def test_light_modules_load_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
