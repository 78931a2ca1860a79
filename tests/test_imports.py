"""What must stay light stays light: pricing and the help load no heavy package."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "hls4ml", "brevitas", "gpytorch", "botorch", "sklearn", "pandas")
PRICE = """
import numpy as np
from codesign.search.specification import StudySpecification
from codesign.kpi.evaluate import price
specification = StudySpecification(schema=1, name="x", task="kws", device="pynq-z2", blueprints=("tcresnet",), templates=("pe_array",))
joint = specification.joint_space()
table = price(joint, joint.space.sample(100_000, np.random.default_rng(0)))
assert len(table.values["latency_us"]) == 100_000
assert (table.values["latency_us"] > 0).all()
"""
HELP = "from codesign.cli.main import main\ntry:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code in (0, None)\n"
DEVICES = "from codesign.cli.main import main\ntry:\n    main(['devices'])\nexcept SystemExit as end:\n    assert end.code in (0, None)\n"


@pytest.mark.parametrize("script", [PRICE, HELP, DEVICES], ids=["price", "help", "devices"])
def test_heavy_packages_are_not_loaded(script: str) -> None:
    check = f"\nimport sys\nloaded = [name for name in {HEAVY!r} if name in sys.modules]\nassert not loaded, loaded\n"
    done = subprocess.run([sys.executable, "-c", script + check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
