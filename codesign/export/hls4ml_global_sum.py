"""Global pooling as an hls4ml layer of our own: hls4ml's pooling divides by the number of positions and rounds on the way.

Registered through hls4ml's extension interface; the C++ is ``nnet_global_sum.h`` beside this file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hls4ml.backends import get_backend
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.model.attributes import Attribute, TypeAttribute
from hls4ml.model.layers import Layer, register_layer

HEADER = Path(__file__).with_name("nnet_global_sum.h")
CONFIG = """struct config{index} : nnet::global_sum_config {{
    static const unsigned n_in = {n_in};
    static const unsigned n_filt = {n_filt};
    static const unsigned shift = {shift};
    static const unsigned reuse_factor = 1;
    typedef {accum_t.name} accum_t;
}};\n"""
CALL = "nnet::global_sum<{input_t}, {output_t}, {config}>({input}, {output});"


class GlobalSum(Layer):  # type: ignore[misc]  # hls4ml has no type hints
    """Sum over all positions of each channel times 2**-shift; one flat output of ``n_filt`` channels."""

    _expected_attributes = [Attribute("n_in"), Attribute("n_filt"), Attribute("shift"), TypeAttribute("accum")]  # noqa: RUF012  # hls4ml's interface

    def initialize(self) -> None:
        """Called by hls4ml when the layer joins a graph."""
        self.add_output_variable([self.attributes["n_filt"]])


class GlobalSumConfig(LayerConfigTemplate):  # type: ignore[misc]  # hls4ml has no type hints
    """Writes the layer's sizes to parameters.h."""

    def __init__(self) -> None:
        super().__init__(GlobalSum)
        self.template = CONFIG

    def format(self, node: GlobalSum) -> str:
        """The configuration struct."""
        return self.template.format(**self._default_config_params(node))


class GlobalSumCall(FunctionCallTemplate):  # type: ignore[misc]  # hls4ml has no type hints
    """Writes the call."""

    def __init__(self) -> None:
        super().__init__(GlobalSum, include_header=["nnet_utils/nnet_global_sum.h"])
        self.template = CALL

    def format(self, node: GlobalSum) -> str:
        """The function call."""
        return self.template.format(**self._default_function_params(node))


@cache
def register() -> None:
    """Make the layer known to hls4ml, once in a process."""
    register_layer("GlobalSum", GlobalSum)
    vitis = get_backend("Vitis")
    vitis.register_template(GlobalSumConfig)
    vitis.register_template(GlobalSumCall)
    vitis.register_source(HEADER)
