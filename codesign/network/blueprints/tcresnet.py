"""`tcresnet`: one-dimensional residual network over time for audio and sensor series.

.. [Choi2019] S. Choi et al., "Temporal Convolution for Real-time Keyword Spotting on Mobile Devices", Interspeech 2019.

Features are channels and time is the only axis that is convolved over [Choi2019]_.
"""

from __future__ import annotations

from codesign.network.blueprints.blueprint import Blueprint, ParameterList, load_space_file
from codesign.network.layers import Op
from codesign.network.table_builder import TableBuilder, Tensor
from codesign.space.columns import Columns
from codesign.space.parameters import Parameter

MAX_BLOCKS = 3


def _parameters() -> tuple[Parameter, ...]:
    parameters = ParameterList("tcresnet", DOMAINS)
    parameters.add("blocks")
    for name in ("width", "kernel", "weight_bits", "activation_bits"):
        parameters.add(f"stem_{name}", name)
    for number in range(1, MAX_BLOCKS + 1):
        when = parameters.at_least("blocks", number)
        for name in ("width", "kernel", "stride", "residual"):
            parameters.add(f"block{number}_{name}", name, when=when)
        for layer in ("first", "second"):
            for name in ("weight_bits", "activation_bits"):
                parameters.add(f"block{number}_{layer}_{name}", name, when=when)
    parameters.add("head_weight_bits", "weight_bits")
    return parameters.collected()


def _write(builder: TableBuilder, columns: Columns) -> None:
    x = builder.convolution(
        "stem",
        builder.input(builder.shape.as_series()),
        Op.CONV1D,
        channels=columns.integers("stem_width"),
        kernel=(1, columns.integers("stem_kernel")),
        weight_bits=columns.integers("stem_weight_bits"),
        output_bits=columns.integers("stem_activation_bits"),
        relu=True,
    )
    for number in range(1, MAX_BLOCKS + 1):
        x = _block(builder, columns, f"block{number}", x, number)
    x = builder.global_pool("pool", x, output_bits=8)
    builder.dense("head", x, features=builder.shape.classes, weight_bits=columns.integers("head_weight_bits"), output_bits=None, relu=False)


def _block(builder: TableBuilder, columns: Columns, name: str, x: Tensor, number: int) -> Tensor:
    """Two convolutions, the first with stride, and a 1 x 1 shortcut where the block is residual."""
    active = columns.integers("blocks") >= number
    residual = active & (columns.integers(f"{name}_residual") == 1)
    width, kernel, stride = columns.integers(f"{name}_width"), (1, columns.integers(f"{name}_kernel")), (1, columns.integers(f"{name}_stride"))
    first_bits, second_bits = columns.integers(f"{name}_first_weight_bits"), columns.integers(f"{name}_second_weight_bits")
    output_bits = columns.integers(f"{name}_second_activation_bits")
    y = builder.convolution(
        f"{name}_first", x, Op.CONV1D, channels=width, kernel=kernel, stride=stride,
        weight_bits=first_bits, output_bits=columns.integers(f"{name}_first_activation_bits"), relu=True, active=active,
    )  # fmt: skip
    plain = builder.convolution(
        f"{name}_second", y, Op.CONV1D, channels=width, kernel=kernel,
        weight_bits=second_bits, output_bits=output_bits, relu=True, active=active & ~residual,
    )  # fmt: skip
    branch = builder.convolution(
        f"{name}_branch", y, Op.CONV1D, channels=width, kernel=kernel,
        weight_bits=second_bits, output_bits=RESIDUAL_BITS, relu=False, active=residual,
    )  # fmt: skip
    shortcut = builder.convolution(
        f"{name}_shortcut", x, Op.CONV1D, channels=width, kernel=(1, 1), stride=stride,
        weight_bits=first_bits, output_bits=RESIDUAL_BITS, relu=False, active=residual,
    )  # fmt: skip
    joined = builder.add(f"{name}_add", branch, shortcut, output_bits=output_bits, relu=True, active=residual)
    return joined.merge(plain, residual)


# The two operands of a residual add are kept at eight bits: only their rounded sum feeds a multiplier.
RESIDUAL_BITS = 8
DOMAINS = load_space_file("tcresnet")
BLUEPRINT = Blueprint("tcresnet", DOMAINS.description, _parameters(), _write)
