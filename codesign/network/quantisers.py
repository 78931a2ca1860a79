"""Brevitas quantisers with one constant power-of-two scale a tensor.

.. [Jacob2018] B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
   Inference", CVPR 2018.

Scales are set by `codesign.network.calibration` and stay: ``value = q * 2**-fraction``. In training mode a fused
function stands in for Brevitas' chain of a dozen elementary operations: same values, straight-through gradient
[Jacob2018]_, in far less time. In evaluation mode Brevitas' own integer quantiser computes, so that what is exported
is checked against Brevitas and not against ourselves.
"""

from __future__ import annotations

from typing import Any

import torch
from brevitas.core.quant import RescalingIntQuant
from brevitas.quant import Int8ActPerTensorFixedPoint, Int8WeightPerTensorFixedPoint, Uint8ActPerTensorFixedPoint
from brevitas.quant.fixed_point import Int8BiasPerTensorFixedPointInternalScaling
from torch import Tensor, nn

BrevitasOutput = tuple[Tensor, Tensor, Tensor, Tensor]
"""Quantised values in real units, scale, zero point, bit width."""


class ConstantScale(nn.Module):
    """The scale ``2**-fraction``, as Brevitas asks for it."""

    def __init__(self) -> None:
        super().__init__()
        self.fraction = 0

    def forward(self, x: Tensor, threshold: Tensor) -> Tensor:  # Brevitas passes the largest integer, which a constant scale does not need
        """The scale as a tensor of the type and device of ``x``."""
        return x.new_full((), 2.0**-self.fraction)


class FixedPointQuant(nn.Module):
    """What a Brevitas proxy calls to quantise a tensor: fused in training, Brevitas' own in evaluation.

    The arguments are the parts that Brevitas' dependency injection makes for its `RescalingIntQuant`.

    Attributes:
        minimum, maximum: range of the integers.
    """

    def __init__(
        self,
        int_quant: nn.Module,
        scaling_impl: ConstantScale,
        int_scaling_impl: nn.Module,
        zero_point_impl: nn.Module,
        bit_width_impl: nn.Module,
        bit_width: int,
        signed: bool,
    ) -> None:
        super().__init__()
        self.exact = RescalingIntQuant(int_quant, scaling_impl, int_scaling_impl, zero_point_impl, bit_width_impl)
        self.minimum = -(1 << (bit_width - 1)) if signed else 0
        self.maximum = (1 << (bit_width - 1 if signed else bit_width)) - 1
        self._bit_width = bit_width
        self._fraction = 0
        self._metadata: tuple[Tensor, Tensor, Tensor] | None = None

    @property
    def fraction(self) -> int:
        """Values are integers times ``2**-fraction``."""
        return self._fraction

    @fraction.setter
    def fraction(self, fraction: int) -> None:
        self._fraction = fraction
        self._metadata = None
        self.exact.scaling_impl.fraction = fraction

    def forward(self, x: Tensor) -> BrevitasOutput:
        """Quantised ``x`` in real units, scale, zero point, bit width."""
        if not self.training:
            result: BrevitasOutput = self.exact(x)
            return result
        value: Tensor = _RoundAndSaturate.apply(x, self._fraction, self.minimum, self.maximum)  # type: ignore[no-untyped-call]
        if self._metadata is None or self._metadata[0].dtype != x.dtype or self._metadata[0].device != x.device:
            self._metadata = x.new_full((), 2.0**-self._fraction), x.new_zeros(()), x.new_full((), self._bit_width)
        return value, *self._metadata

    def get_extra_state(self) -> Tensor:
        """The fraction, for ``state_dict``."""
        return torch.tensor(self._fraction)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the fraction from a ``state_dict``."""
        self.fraction = int(state)


class _RoundAndSaturate(torch.autograd.Function):
    """``clamp(round(x * 2**fraction), minimum, maximum) * 2**-fraction``, half to even; the gradient passes inside the range."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fraction: int, minimum: int, maximum: int) -> Tensor:
        scale = 2.0**-fraction
        ctx.save_for_backward(x)
        # Unsigned tensors follow a ReLU, whose gradient ends at zero and not half a step below it.
        ctx.bounds = ((minimum - 0.5) * scale if minimum else 0.0, (maximum + 0.5) * scale)
        return x.mul(2.0**fraction).round_().clamp_(minimum, maximum).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (x,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradient, x, *ctx.bounds), None, None, None


class WeightQuantiser(Int8WeightPerTensorFixedPoint):  # type: ignore[misc]  # Brevitas carries no types
    """Signed weights over the full range of their width."""

    narrow_range = False
    scaling_impl = ConstantScale
    tensor_quant = FixedPointQuant


class BiasQuantiser(Int8BiasPerTensorFixedPointInternalScaling):  # type: ignore[misc]
    """Signed biases; the scale, input scale times weight scale, is set and not passed along with the input."""

    scaling_impl = ConstantScale
    tensor_quant = FixedPointQuant


class SignedQuantiser(Int8ActPerTensorFixedPoint):  # type: ignore[misc]
    """Signed activations."""

    scaling_impl = ConstantScale
    tensor_quant = FixedPointQuant


class UnsignedQuantiser(Uint8ActPerTensorFixedPoint):  # type: ignore[misc]
    """Activations after a ReLU."""

    scaling_impl = ConstantScale
    tensor_quant = FixedPointQuant
