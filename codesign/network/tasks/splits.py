"""Which split a sample belongs to: a fixed function of where it comes from, so that no origin is in two splits."""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from codesign.network.tasks.task import Split


class Part(IntEnum):
    """The three splits, as stored."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2


BUCKETS: Final = 100


def bucket(origin: str) -> int:
    """A number from 0 to 99: SHA-256 of the origin's name (a speaker, a sample number) modulo 100."""
    return int(hashlib.sha256(origin.encode()).hexdigest(), 16) % BUCKETS


def part_of(origin: str, *, validation_from: int, test_from: int) -> Part:
    """Split of an origin: buckets from 0 train, from ``validation_from`` validate, from ``test_from`` test."""
    number = bucket(origin)
    if number >= test_from:
        return Part.TEST
    return Part.VALIDATION if number >= validation_from else Part.TRAIN


def divide(samples: NDArray[np.uint8], labels: NDArray[np.integer], parts: NDArray[np.integer]) -> tuple[Split, Split, Split]:
    """(train, validation, test) of n samples with their labels (n,) and parts (n,); order kept."""
    train, validation, test = (Split(samples[parts == part], labels[parts == part].astype(np.int64)) for part in Part)
    return train, validation, test
