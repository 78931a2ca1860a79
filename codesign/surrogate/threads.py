"""One thread for small matrices: more are slower there, and the order of sums must not depend on the machine's load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def single_thread() -> Iterator[None]:
    """Run the linear algebra of numpy, scipy and torch on one thread within the block."""
    import torch
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)
