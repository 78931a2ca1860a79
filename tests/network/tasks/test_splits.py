from __future__ import annotations

import numpy as np
import pytest

from codesign.network.tasks.splits import Part, bucket, divide, part_of


def test_bucket_is_sha256_modulo_100() -> None:
    # The digest of "abc" is the example of FIPS 180-4.
    assert bucket("abc") == 0xBA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD % 100


def test_buckets_are_even() -> None:
    counts = np.bincount([bucket(str(number)) for number in range(20_000)], minlength=100)
    assert len(counts) == 100
    # 200 expected in each; five standard deviations are 70.
    assert np.abs(counts - 200).max() < 70


@pytest.mark.parametrize(("below", "part"), [(0, Part.TRAIN), (1, Part.VALIDATION), (2, Part.TEST)])
def test_thresholds_include_their_bucket(below: int, part: Part) -> None:
    number = bucket("someone")
    thresholds = {0: (number + 1, number + 2), 1: (number, number + 1), 2: (number - 1, number)}[below]
    assert part_of("someone", validation_from=thresholds[0], test_from=thresholds[1]) == part


def test_divide_keeps_order_and_loses_nothing() -> None:
    samples = np.arange(6, dtype=np.uint8)[:, None, None]
    train, validation, test = divide(samples, np.arange(6) % 3, np.array([0, 2, 0, 1, 2, 0]))
    assert [part.samples.ravel().tolist() for part in (train, validation, test)] == [[0, 2, 5], [3], [1, 4]]
    assert [part.labels.tolist() for part in (train, validation, test)] == [[0, 2, 2], [0], [1, 1]]
    assert train.labels.dtype == np.int64
