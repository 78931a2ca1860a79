"""Builds of the Verilog, kept between test runs: each is named by its content."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign import toolchain


@pytest.fixture(scope="session")
def rtl_builds(pytestconfig: pytest.Config) -> Path:
    """Folder of builds; skips where a program that they need is missing."""
    missing = [tool.name for tool in (toolchain.VERILATOR, *toolchain.VERILATOR.needs) if toolchain.find(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    return pytestconfig.cache.mkdir("rtl_builds")
