from __future__ import annotations

import numpy as np
import pytest

from codesign.network.tasks.task import Standardisation
from codesign.network.tasks.words import standardisation, to_words

UNIT = Standardisation(np.zeros(1), np.ones(1))


@pytest.mark.parametrize(
    ("feature", "word"),
    [(0.0, 128), (1.0, 160), (-1.0, 96), (3.96875, 255), (4.0, 255), (100.0, 255), (-4.0, 0), (-4.1, 0), (1 / 64, 128), (3 / 64, 130), (-1 / 64, 128)],
)
def test_words_have_five_fraction_bits_round_half_to_even_and_saturate(feature: float, word: int) -> None:
    made = to_words(np.full((1, 1, 1), feature), UNIT)
    assert made.dtype == np.uint8
    assert made.item() == word


def test_standardisation_is_per_coefficient_over_clips_and_frames() -> None:
    features = np.array([[[1.0, 10.0], [3.0, 10.0]], [[5.0, 30.0], [7.0, 30.0]]])
    scale = standardisation(features)
    assert scale.mean.tolist() == [4.0, 20.0]
    assert scale.deviation.tolist() == pytest.approx([5**0.5, 10.0])
    assert to_words(features, scale)[..., 1].tolist() == [[96, 96], [160, 160]]


def test_a_constant_coefficient_becomes_the_zero_point() -> None:
    features = np.full((3, 2, 1), 7.5)
    assert (to_words(features, standardisation(features)) == 128).all()
