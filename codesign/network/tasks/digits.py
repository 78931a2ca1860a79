"""The task ``digits``: 8 x 8 pictures of handwritten digits that come with scikit-learn; small enough for tests and first steps."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from codesign.errors import InputError
from codesign.network.tasks.splits import divide, part_of
from codesign.network.tasks.task import Progress, Task, TaskRecord

VALIDATION_FROM, TEST_FROM = 60, 75
"""Buckets of pictures: 60 % train, 15 % validate, 25 % test."""


def load(record: TaskRecord, data: Path | None, progress: Progress | None = None) -> Task:
    """The pictures, divided by a hash of their number; pixels 0 to 16 are the data words.

    The data set does not say who wrote which digit, so unlike ``kws`` the same writers are in all splits.

    Raises:
        InputError: ``data`` is given (there is no larger set), or scikit-learn brings other pictures than recorded.
    """
    if data is not None:
        raise InputError("the task digits reads no data of your own", where=str(data), remedy="Leave --data out, or choose the task kws")
    from sklearn.datasets import load_digits

    pictures = load_digits()
    words, labels = pictures.images.astype(np.uint8), pictures.target.astype(np.uint8)
    found = hashlib.sha256(words.tobytes() + labels.tobytes()).hexdigest()
    if found != record.data_sha256:
        raise InputError(
            f"scikit-learn's digits have SHA-256 {found[:12]}..., the task record says {record.data_sha256[:12]}...",
            where="task digits",
            remedy="Install the scikit-learn version of constraints.txt",
        )
    parts = np.array([part_of(f"digits/{number}", validation_from=VALIDATION_FROM, test_from=TEST_FROM) for number in range(len(words))])
    return Task.from_splits(record, divide(words, labels, parts))
