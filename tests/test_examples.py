"""Each example runs as it stands and is short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
EXPECTED = {
    "01_price_designs.py": "pynq-z2      streaming",
    "02_train_one_network.py": "integers equal Brevitas: True",
    "03_price_your_own_model.py": "pynq-z2, 16 bits: reuse factor 1 does not fit (DSP",
}


def test_each_example_is_known() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    path = EXAMPLES / name
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert EXPECTED[name] in done.stdout
