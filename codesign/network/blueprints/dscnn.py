"""`dscnn`: depthwise separable convolutions over time and frequency.

.. [Zhang2017] Y. Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", arXiv:1711.07128.

One full convolution, then pairs of a depthwise and a 1 x 1 convolution [Zhang2017]_; the network of the MLPerf Tiny
keyword spotting reference.
"""

from __future__ import annotations

from codesign.network.blueprints.blueprint import Blueprint, ParameterList, load_space_file
from codesign.network.layers import Op
from codesign.network.table_builder import TableBuilder
from codesign.space.columns import Columns
from codesign.space.parameters import Parameter

MAX_BLOCKS = 4


def _parameters() -> tuple[Parameter, ...]:
    parameters = ParameterList("dscnn", DOMAINS)
    parameters.add("blocks")
    for name in ("width", "kernel_h", "kernel_w", "stride_h", "stride_w", "weight_bits", "activation_bits"):
        parameters.add(f"stem_{name}", f"stem_{name}" if name.startswith(("kernel", "stride")) else name)
    for number in range(1, MAX_BLOCKS + 1):
        when = parameters.at_least("blocks", number)
        for name in ("kernel", "stride", "width"):
            parameters.add(f"block{number}_{name}", name, when=when)
        for layer in ("depthwise", "pointwise"):
            for name in ("weight_bits", "activation_bits"):
                parameters.add(f"block{number}_{layer}_{name}", name, when=when)
    parameters.add("head_weight_bits", "weight_bits")
    return parameters.collected()


def _write(builder: TableBuilder, columns: Columns) -> None:
    x = builder.convolution(
        "stem",
        builder.input(builder.shape.as_image()),
        Op.CONV2D,
        channels=columns.integers("stem_width"),
        kernel=(columns.integers("stem_kernel_h"), columns.integers("stem_kernel_w")),
        stride=(columns.integers("stem_stride_h"), columns.integers("stem_stride_w")),
        weight_bits=columns.integers("stem_weight_bits"),
        output_bits=columns.integers("stem_activation_bits"),
        relu=True,
    )
    for number in range(1, MAX_BLOCKS + 1):
        name, active = f"block{number}", columns.integers("blocks") >= number
        kernel, stride = columns.integers(f"{name}_kernel"), columns.integers(f"{name}_stride")
        x = builder.convolution(
            f"{name}_depthwise",
            x,
            Op.DEPTHWISE_CONV2D,
            kernel=(kernel, kernel),
            stride=(stride, stride),
            weight_bits=columns.integers(f"{name}_depthwise_weight_bits"),
            output_bits=columns.integers(f"{name}_depthwise_activation_bits"),
            relu=True,
            active=active,
        )
        x = builder.convolution(
            f"{name}_pointwise",
            x,
            Op.CONV2D,
            channels=columns.integers(f"{name}_width"),
            kernel=(1, 1),
            weight_bits=columns.integers(f"{name}_pointwise_weight_bits"),
            output_bits=columns.integers(f"{name}_pointwise_activation_bits"),
            relu=True,
            active=active,
        )
    x = builder.global_pool("pool", x, output_bits=8)
    builder.dense("head", x, features=builder.shape.classes, weight_bits=columns.integers("head_weight_bits"), output_bits=None, relu=False)


DOMAINS = load_space_file("dscnn")
BLUEPRINT = Blueprint("dscnn", DOMAINS.description, _parameters(), _write)
