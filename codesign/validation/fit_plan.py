"""Which rows decide which prices."""

from __future__ import annotations

from dataclasses import dataclass

from codesign.kpi.streaming.flow import Flow, Stage, Tool


@dataclass(frozen=True)
class Sweep:
    """Prices of one resource that a sweep over architectures decides.

    Attributes:
        flow: whose prices.
        resource: ``lut`` or ``ff``.
        groups: rows of these groups.
        terms: names as ``block.term``.
        source: where the rows come from.
        floor: relative deviation below which rows weigh alike.
    """

    flow: Flow
    resource: str
    groups: tuple[str, ...]
    terms: tuple[str, ...]
    source: str
    floor: float = 2e-3


def _units(names: str) -> tuple[str, ...]:
    return tuple(f"matrix_vector.{name}" for name in names.split())


def _around(names: str) -> tuple[str, ...]:
    return tuple(f"elements.{name}" for name in names.split())


VIVADO_2020 = Flow(Tool.VIVADO_HLS_2020, Stage.HLS_ESTIMATE)
VIVADO_2019 = Flow(Tool.VIVADO_HLS_2019, Stage.HLS_ESTIMATE)
VIVADO_2019_5NS = Flow(Tool.VIVADO_HLS_2019_5NS, Stage.HLS_ESTIMATE)
VITIS = Flow(Tool.VITIS_HLS, Stage.HLS_ESTIMATE)
VITIS_SYNTHESIS = Flow(Tool.VITIS_HLS, Stage.POST_SYNTH)
VIVADO_2020_SYNTHESIS = Flow(Tool.VIVADO_HLS_2020, Stage.POST_SYNTH)
VIVADO_2019_SYNTHESIS = Flow(Tool.VIVADO_HLS_2019, Stage.POST_SYNTH)
VIVADO_2019_5NS_SYNTHESIS = Flow(Tool.VIVADO_HLS_2019_5NS, Stage.POST_SYNTH)
TITLES = {
    VIVADO_2020: "Vivado HLS 2019.2 to 2020.1, its own estimate",
    VIVADO_2019: "Vivado HLS 2019.1 at 4 ns, its own estimate",
    VIVADO_2019_5NS: "Vivado HLS 2019.1 at 5 ns, its own estimate",
    VITIS: "Vitis HLS, its own estimate",
    VITIS_SYNTHESIS: "Vitis HLS, after Vivado synthesis",
    VIVADO_2020_SYNTHESIS: "Vivado HLS 2019.2 to 2020.1, after Vivado synthesis",
    VIVADO_2019_SYNTHESIS: "Vivado HLS 2019.1 at 4 ns, after Vivado synthesis",
    VIVADO_2019_5NS_SYNTHESIS: "Vivado HLS 2019.1 at 5 ns, after Vivado synthesis",
}
BASES = {
    VIVADO_2019: VIVADO_2020,
    VIVADO_2019_5NS: VIVADO_2020,
    VITIS: VIVADO_2020,
    VITIS_SYNTHESIS: VITIS,
    VIVADO_2020_SYNTHESIS: VIVADO_2020,
    VIVADO_2019_SYNTHESIS: VIVADO_2019,
    VIVADO_2019_5NS_SYNTHESIS: VIVADO_2019_5NS,
}
"""Whose prices hold for what a flow's own rows do not show."""
ONE_LAYER = "wa-hls4ml one-layer dense syntheses, Vivado HLS 2020.1, xcu250, 5 ns"
TWO_LAYERS = "wa-hls4ml two- and three-layer dense syntheses, Vitis HLS 2023.2 and Vivado, xcu250, 5 ns"
LAYERS = "N-TORC dense, convolution and LSTM syntheses, Vivado HLS 2019.1, xczu7ev, 4 ns"
REPOSITORIES = "HLS reports in public repositories, held near what one bit of such hardware must cost"
SWEEP_1 = ("wa-hls4ml-1layer",)
SWEEP_2 = ("wa-hls4ml-2layer", "wa-hls4ml-3layer")
SWEEP_3 = ("n-torc-dense", "n-torc-conv1d", "n-torc-lstm")
FOUND = ("repo-layer", "repo-network")
FOUND_SYNTHESISED = ("repo-postsynth",)

SWEEPS = (
    Sweep(
        VIVADO_2020, "lut", SWEEP_1, source=ONE_LAYER,
        terms=_units("layer input_select accumulator accumulator_plain accumulator_select logic_multiplier accumulator_copy adder constant_adder "
        "constant_product constant_product_latency"),
    ),
    Sweep(
        VIVADO_2020, "ff", SWEEP_1, source=ONE_LAYER,
        terms=_units("layer accumulator_any product accumulator_copy unrolled_input unrolled_output resource_adder resource_constant_adder "
        "resource_constant_product latency_adder latency_constant_adder latency_constant_product shared_adder shared_constant_adder shared_constant_product "
        "shared_input shared_output"),
    ),
    Sweep(
        VITIS_SYNTHESIS, "lut", SWEEP_2, source=TWO_LAYERS,
        terms=_units("layer input_select accumulator accumulator_select logic_multiplier weight_rom") + _around("relu"),
    ),
    Sweep(VITIS_SYNTHESIS, "ff", SWEEP_2, source=TWO_LAYERS, terms=_units("layer input accumulator_any") + _around("relu_register")),
    Sweep(
        VIVADO_2019, "lut", SWEEP_3, source=LAYERS, floor=1e-2,
        terms=_units("dense_layer convolution_layer recurrent_layer multiplier input_dense input_dense_at_once input_convolution input_recurrent "
        "input_folded input_wide input_wide_stage dense_selector convolution_selector_output convolution_selector_multiplier state_selector accumulator_any "
        "accumulator_two accumulator_some accumulator_indexed accumulator_indexed_convolution accumulator_alone index_table constant_product")
        + _around("gate_table"),
    ),
    Sweep(
        VIVADO_2019, "ff", SWEEP_3, source=LAYERS, floor=1e-2,
        terms=_units("dense_layer convolution_layer recurrent_layer counter input_dense input_convolution input_recurrent input_wide_stage multiplier "
        "selector_stage weight_register accumulator accumulator_folded accumulator_shared_dense accumulator_alone index_table_dense four_outputs_convolution "
        "resource_adder resource_adder_dense")
        + _around("gate"),
    ),
)  # fmt: skip
"""Fits to sweeps over architectures."""

REPOSITORY_TERMS: dict[str, dict[str, float]] = {
    "lut": {
        "matrix_vector.latency_sum": 1.3,
        "matrix_vector.latency_product_logic": 0.6,
        "matrix_vector.stream_select": 0.45,
        "matrix_vector.stream_sum": 2.2,
        "matrix_vector.stream_accumulator": 4.0,
        "matrix_vector.stream_output": 16.0,
        "matrix_vector.stream_layer": 250.0,
        "matrix_vector.folded_input": 2.0,
        "matrix_vector.logic_multiplier_bits": 1.1,
        "matrix_vector.wide_multiplier": 20.0,
        "elements.line_buffer": 1.0,
        "elements.window": 0.3,
        "elements.relu": 1.75,
        "elements.relu_saturate": 0.4,
        "elements.relu_stream": 2.3,
        "elements.relu_stream_saturate": 3.0,
        "elements.linear_stream": 0.92,
        "elements.softmax": 8.0,
        "elements.softmax_stream": 4.0,
        "elements.softmax_stream_layer": 576.0,
        "elements.softmax_logic": 1.1,
        "elements.table": 138.0,
        "elements.gate_table": 138.0,
        "elements.gate": 1.0,
        "elements.sequence_select": 3.0,
        "elements.pool_compare": 1.2,
        "elements.pool_comparison": 38.0,
        "elements.pool_accumulate": 1.2,
        "elements.padding": 33.0,
        "elements.batch_norm": 1.0,
        "elements.merge": 1.8,
        "elements.concatenate": 2.3,
        "elements.resize": 4.0,
        "elements.control": 250.0,
        "elements.control_simple": 100.0,
        "elements.control_padding": 175.0,
        "elements.fifo": 1.0,
        "elements.fifo_shift": 1.0,
    },
    "ff": {
        "matrix_vector.latency_sum": 0.85,
        "matrix_vector.latency_full_rate": 0.3,
        "matrix_vector.stream_sum": 1.0,
        "matrix_vector.stream_accumulator": 1.0,
        "matrix_vector.stream_word": 1.0,
        "matrix_vector.stream_layer": 220.0,
        "matrix_vector.folded_input": 1.0,
        "matrix_vector.wide_multiplier": 90.0,
        "elements.line_register": 1.0,
        "elements.window": 1.0,
        "elements.relu": 2.0,
        "elements.relu_stream": 1.5,
        "elements.linear_stream": 0.15,
        "elements.softmax": 2.67,
        "elements.softmax_stream": 5.33,
        "elements.softmax_stream_layer": 768.0,
        "elements.table": 0.3,
        "elements.gate": 5.0,
        "elements.pool_window": 2.4,
        "elements.pool_accumulate": 2.0,
        "elements.merge": 1.5,
        "elements.concatenate": 1.5,
        "elements.resize": 4.0,
        "elements.counter": 3.0,
        "elements.padding_counter": 2.4,
        "elements.padding_layer": 12.0,
        "elements.fifo": 0.3,
    },
}
"""Terms that repositories decide, with what one of each must cost about: a LUT to select or add a bit, a register to hold one."""
VITIS_ONLY = {"lut": _units("latency_sum latency_product_logic"), "ff": ()}
"""Of these, what only Vitis HLS has, by resource; the others hold for all tools."""
REPLACED: dict[Flow, dict[str, tuple[str, ...]]] = {
    VITIS: {
        "lut": _units("adder constant_adder constant_product constant_product_latency"),
    },
    VIVADO_2019: {
        "lut": _units(
            "layer input_select accumulator accumulator_plain accumulator_select logic_multiplier accumulator_copy stream_select stream_sum "
            "stream_accumulator stream_output stream_layer"
        )
        + _around("window gate"),
        "ff": _units("layer accumulator_any product accumulator_copy stream_sum stream_accumulator stream_word stream_layer") + _around("window"),
    },
    VITIS_SYNTHESIS: {"lut": _units("accumulator_copy"), "ff": _units("accumulator_copy product")},
}
"""Terms of the base that a flow's own replace: their price is 0."""
SELECTORS = ("matrix_vector.stream_select", "matrix_vector.accumulator_select", "matrix_vector.fold_select", "elements.sequence_select")
"""Selectors, which synthesis nearly removes."""
SCALE_EXPECTED = {"lut": 0.5, "ff": 0.85}
"""Share of an HLS estimate that is left after synthesis, where no synthesised project is at hand."""
SELECTOR_SCALE = 0.08
"""Share of the selectors of an HLS estimate that is left after synthesis, observed on seven synthesised projects."""
_ADDERS = ("matrix_vector.shared_adder", "counted in LUT already: da4ml's adder cost, within 2 % of Yosys on three designs")
_SUMS = ("matrix_vector.distributed_sum", "first principles: a register for each bit of a result")
COUNTED: dict[Flow, dict[str, tuple[str, str]]] = {
    flow: {"lut": _ADDERS, "ff": _SUMS} for flow in (VIVADO_2020, VITIS_SYNTHESIS, VIVADO_2020_SYNTHESIS, VIVADO_2019_SYNTHESIS, VIVADO_2019_5NS_SYNTHESIS)
}
"""Terms whose price nobody has to fit, by flow and resource, with its source."""
