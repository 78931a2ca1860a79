"""Random variation of training samples, from an explicit generator."""

from __future__ import annotations

import torch
from torch import Tensor

from codesign.network.tasks.task import Augmentation


def augment(samples: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Samples varied as the task's record says; random numbers are drawn on the CPU whatever the samples' device.

    Args:
        samples: batch x height x width, or batch x height x width x channels, in real units.
        augmentation: what to vary and by how much.
        generator: a CPU generator.
    """
    samples = shift(samples, 1, augmentation.time_shift_steps + augmentation.pixel_shift, generator)
    samples = shift(samples, 2, augmentation.pixel_shift, generator)
    return rescale_features(samples, augmentation.feature_gain, augmentation.feature_offset, generator)


def shift(samples: Tensor, axis: int, most: int, generator: torch.Generator) -> Tensor:
    """Each sample moved by up to ``most`` steps either way along ``axis``, its edge repeated."""
    if most == 0:
        return samples
    length = samples.shape[axis]
    moves = torch.randint(-most, most + 1, (len(samples), 1), generator=generator)
    positions = (torch.arange(length)[None, :] + moves).clamp(0, length - 1)
    shape = [1] * samples.dim()
    shape[0], shape[axis] = len(samples), length
    return samples.gather(axis, positions.view(shape).to(samples.device).expand_as(samples))


def rescale_features(samples: Tensor, gain: float, offset: float, generator: torch.Generator) -> Tensor:
    """Each feature (position along the last axis) of each sample times 1 +- ``gain`` (uniform) plus ``offset`` times a normal draw.

    On cepstra an offset stands for another microphone or room, a gain for another dynamic range of the voice.
    """
    if gain == 0.0 and offset == 0.0:
        return samples
    shape = (len(samples),) + (1,) * (samples.dim() - 2) + (samples.shape[-1],)
    factor = 1.0 + gain * (2.0 * torch.rand(shape, generator=generator) - 1.0)
    added = offset * torch.randn(shape, generator=generator)
    return samples * factor.to(samples.device) + added.to(samples.device)
