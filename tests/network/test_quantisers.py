"""The fused quantiser of training against Brevitas' own, and against its definition."""

from __future__ import annotations

import brevitas.nn as brevitas_nn
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codesign.network.deployed import TensorFormat, requantise
from codesign.network.quantisers import FixedPointQuant, SignedQuantiser, UnsignedQuantiser, WeightQuantiser

VALUES = torch.linspace(-5.0, 5.0, 2001)


def activation(bits: int, signed: bool, fraction: int) -> tuple[brevitas_nn.QuantIdentity, FixedPointQuant]:
    module = brevitas_nn.QuantIdentity(act_quant=SignedQuantiser if signed else UnsignedQuantiser, bit_width=bits)
    quantiser: FixedPointQuant = module.act_quant.fused_activation_quant_proxy.tensor_quant
    quantiser.fraction = fraction
    return module, quantiser


@given(bits=st.integers(2, 8), signed=st.booleans(), fraction=st.integers(-3, 9))
def test_training_and_evaluation_give_the_same_values(bits: int, signed: bool, fraction: int) -> None:
    module, _ = activation(bits, signed, fraction)
    module.act_quant.skip_create_quant_tensor = True
    fused = module.train()(VALUES)
    brevitas = module.eval()(VALUES)
    assert torch.equal(fused, brevitas)


@given(bits=st.integers(2, 8), signed=st.booleans(), fraction=st.integers(-3, 9), eighths=st.lists(st.integers(-4000, 4000), min_size=1, max_size=20))
def test_values_equal_the_integer_reference(bits: int, signed: bool, fraction: int, eighths: list[int]) -> None:
    _, quantiser = activation(bits, signed, fraction)
    value, scale, zero_point, width = quantiser.train()(torch.tensor(eighths, dtype=torch.float64) / 8)
    expected = requantise(np.array(eighths), 3, TensorFormat(bits, signed, fraction))
    assert (value.numpy() * 2.0**fraction).astype(np.int64).tolist() == expected.tolist()
    assert (float(scale), float(zero_point), float(width)) == (2.0**-fraction, 0.0, bits)


@pytest.mark.parametrize("signed", [False, True])
def test_gradient_passes_inside_the_range_only(signed: bool) -> None:
    _, quantiser = activation(3, signed, 1)
    x = torch.tensor([-9.0, -0.4, -0.1, 0.1, 1.3, 9.0], requires_grad=True)
    quantiser.train()(x)[0].sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad.tolist() == ([0.0, 1.0, 1.0, 1.0, 1.0, 0.0] if signed else [0.0, 0.0, 0.0, 1.0, 1.0, 0.0])


def test_weights_use_the_whole_range() -> None:
    layer = brevitas_nn.QuantLinear(2, 1, bias=False, weight_quant=WeightQuantiser, weight_bit_width=2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[-7.0, 7.0]]))
    assert layer.eval().quant_weight().value.tolist() == [[-2.0, 1.0]]


def test_the_scale_travels_with_the_state() -> None:
    first, quantiser = activation(4, True, 5)
    second, other = activation(4, True, 0)
    second.load_state_dict(first.state_dict())
    # Brevitas makes its quantisers anew while it loads.
    assert second.act_quant.fused_activation_quant_proxy.tensor_quant.fraction == quantiser.fraction == 5
    assert torch.equal(second.eval()(VALUES), first.eval()(VALUES))
    assert other.fraction == 0


def test_the_type_of_the_numbers_is_kept() -> None:
    _, quantiser = activation(4, True, 2)
    quantiser.train()
    for dtype in (torch.float32, torch.float64):
        assert {part.dtype for part in quantiser(VALUES.to(dtype))} == {dtype}
