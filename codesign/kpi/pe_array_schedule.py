"""`real_taps` where it was before the accelerator's schedule moved to `codesign.accelerator.pe_array_work`."""

from __future__ import annotations

from codesign.accelerator.pe_array_work import real_taps

__all__ = ["real_taps"]
