"""What each kind of variation may and may not do to a sample."""

from __future__ import annotations

import torch

from codesign.network.augmentation import augment, rescale_features, shift
from codesign.network.tasks.task import Augmentation

NONE = Augmentation(time_shift_steps=0, pixel_shift=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_shift_moves_whole_rows_and_repeats_the_edge() -> None:
    samples = torch.arange(10.0)[None, :, None].repeat(200, 1, 3)
    moved = shift(samples, 1, 2, generator())
    offsets = (moved[:, 5, 0] - 5).int()
    assert set(offsets.tolist()) == {-2, -1, 0, 1, 2}
    expected = (torch.arange(10)[None, :] + offsets[:, None]).clamp(0, 9).float()
    assert torch.equal(moved, expected[:, :, None].expand(-1, -1, 3))


def test_pixel_shift_moves_both_axes() -> None:
    samples = torch.zeros(300, 5, 5)
    samples[:, 2, 2] = 1.0
    places = {tuple(place) for place in augment(samples, Augmentation(time_shift_steps=0, pixel_shift=1), generator()).nonzero()[:, 1:].tolist()}
    assert places == {(row, column) for row in (1, 2, 3) for column in (1, 2, 3)}


def test_gain_and_offset_are_one_per_sample_and_feature() -> None:
    samples = torch.tensor([1.0, 2.0]).view(1, 2, 1).repeat(500, 1, 4)
    varied = rescale_features(samples, 0.3, 0.5, generator())
    factor = varied[:, 1] - varied[:, 0]
    added = varied[:, 0] - factor
    assert float(factor.min()) >= 0.7 - 1e-6
    assert float(factor.max()) <= 1.3 + 1e-6
    assert float(factor.std()) > 0.15
    assert abs(float(added.std()) - 0.5) < 0.05
    assert len(set(factor.flatten().tolist())) > 1000


def test_nothing_is_drawn_when_nothing_varies() -> None:
    source, samples = generator(), torch.randn(4, 6, 3)
    state = source.get_state()
    assert augment(samples, NONE, source) is samples
    assert torch.equal(source.get_state(), state)


def test_the_same_generator_gives_the_same_samples() -> None:
    samples = torch.randn(8, 20, 3)
    settings = Augmentation(time_shift_steps=3, pixel_shift=0, feature_gain=0.2, feature_offset=0.2)
    assert torch.equal(augment(samples, settings, generator(1)), augment(samples, settings, generator(1)))
    assert not torch.equal(augment(samples, settings, generator(1)), augment(samples, settings, generator(2)))
