"""Reports found in public repositories of hls4ml users, as models and builds.

The network of such a row is a list of hls4ml configurations, in the order of the generated source, and the report covers the
whole project or one synthesised function. What the configurations leave out, above all the widths between layers, is taken
from the function's name, else from the project's types.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from codesign.kpi.streaming.hls_table import Build
from codesign.network.hls_model import DEFAULT_BITS, RECURRENT, HlsLayer, HlsModel, Kind, Part, Strategy
from codesign.validation.cells import Row, UnreadableError, text
from codesign.validation.hls_configs import Surroundings, constant, kind_named, read_config
from codesign.validation.hls_names import (
    FixedPoint,
    mangled_types,
    one_element_a_word,
    part_of,
    strategy_named,
    word_elements,
    written_bits,
    written_types,
)

IO_STREAM, IO_PARALLEL = "io_stream", "io_parallel"
FORK = "one element a stream word: an hls4ml fork"
MOST_MULTIPLIERS = 50_000
"""More multipliers than any device has."""
PARTITION_LIMIT = 4096
"""Elements of an array that HLS tools partition completely at most."""
QUANTISED_BITS = range(3, 9)
"""Weights of these widths come from quantisation-aware training, whose activations have the width of the weights."""
FIRST_WITH_STREAMS = 2019
"""Convolutions in io_parallel by the tools of earlier years are of hls4ml versions that build them in another way."""
BUS_BLOCK = re.compile(
    r"axi|xbar|ps7|processing_system|zynq|rst|proc_sys|dma|interconnect|smc|smartconnect|protocol|clk_wiz|auto_|_pc_|dwidth|data_fifo|s00|m00",
    re.IGNORECASE,
)
"""Blocks around a network in a block design."""
RECURRENT_OWNER = re.compile(r"(?:\w+_)?(config\d+)(?:_recr|_[12](?:_\w+)?)?")
"""Configurations inside a recurrent layer: ``config2_1``, ``config2_2``, ``tanh_config2``, ``sigmoid_config2_recr``."""


Project = tuple[str, str, str]


def is_repository(entries: Sequence[Row]) -> bool:
    """Whether the entries of a network are configurations of hls4ml's source."""
    return any(kind_named(entry).endswith("_config") for entry in entries)


def repository_build(row: Row, entries: Sequence[Row], build: Build) -> Build:
    """How a row of a repository was built.

    Args:
        row: the row.
        entries: its configurations.
        build: as the row's columns say by themselves.
    """
    stream = _is_stream(row, entries)
    told = [strategy_named(text(row, "strategy").split(";")[0]), *(strategy_named(text(entry, "strategy")) for entry in entries)]
    reused = any(constant(entry, "reuse_factor") > 1 for entry in entries if text(entry, "weight_t"))
    usual = Strategy.RESOURCE if stream or reused else Strategy.LATENCY
    strategy = next((strategy for strategy in told if strategy is not None), usual)
    io_type = IO_STREAM if stream else IO_PARALLEL
    return replace(build, io_type=io_type, strategy=strategy, logic_only="/LUT_" in text(row, "ref"))


def repository_model(entries: Sequence[Row], row: Row) -> HlsModel:
    """The network of a row of a repository; of a report on one function, a network of that part.

    Raises:
        UnreadableError: it is not modelled.
    """
    _refuse_other_blocks(row)
    stream = _is_stream(row, entries)
    year = re.search(r"20\d\d", text(row, "tool_version"))
    if year and int(year[0]) < FIRST_WITH_STREAMS and not stream and any("conv" in kind_named(entry) for entry in entries):
        raise UnreadableError("convolution in io_parallel by a tool before 2019: built in a way that the row does not state")
    part = text(row, "level") == "layer" and len(entries) == 1
    layers = [_function_layer(entries[0], row, stream)] if part else _network_layers(entries, row, stream)
    for layer in layers:
        _refuse_impossible(layer)
    return HlsModel(name=text(row, "id"), layers=tuple(layers), io_type=IO_STREAM if stream else IO_PARALLEL)


def fork_projects(rows: Iterable[Row]) -> set[Project]:
    """Projects of hls4ml forks whose streams carry single elements, as the functions that their reports name show."""
    return {project_of(row) for row in rows if text(row, "level") == "layer" and one_element_a_word(_report(row))}


def project_of(row: Row) -> Project:
    """Repository, folder of the report and commit: reports that share them are of one run of the tool."""
    path, commit = _located(row)
    return text(row, "source"), path.rpartition("/")[0], commit


def _report(row: Row) -> str:
    """File name of a row's report."""
    return _located(row)[0].rpartition("/")[2]


def _located(row: Row) -> tuple[str, str]:
    """Path of a row's report in its repository, and commit; ``path@commit`` in the table."""
    path, mark, commit = text(row, "ref").rpartition("@")
    return (path, commit) if mark else (commit, "")


def _is_stream(row: Row, entries: Sequence[Row]) -> bool:
    return any(IO_STREAM in text(each, "io_type") for each in (row, *entries))


def _refuse_other_blocks(row: Row) -> None:
    """A report after synthesis names its block in its file name."""
    if not text(row, "stage").startswith("post"):
        return
    block = _report(row)
    if "wrapper" in block:
        raise UnreadableError("report of a whole block design: the network, its bus and its processor")
    if "myproject" not in block and BUS_BLOCK.search(block):
        raise UnreadableError("report of a block around the network")


def _refuse_impossible(layer: HlsLayer) -> None:
    """A configuration that cannot have been built does not describe what was."""
    reuse = layer.reuse_factor or 1
    if layer.kind in RECURRENT and reuse == 1 and layer.weights > 4 * PARTITION_LIMIT:
        raise UnreadableError("recurrent layer without its reuse factors")
    if layer.strategy is Strategy.RESOURCE and layer.fan_in * layer.out_c / reuse > MOST_MULTIPLIERS:
        raise UnreadableError(f"reuse factor {reuse} of {layer.weights} weights cannot have been built")
    if layer.kind is Kind.RESIZE and layer.out_h * layer.out_w <= 1:
        raise UnreadableError("resize without its sizes")


def _function_layer(entry: Row, row: Row, stream: bool) -> HlsLayer:
    """The one layer, or part of it, that a function holds.

    A name with ``array_array`` has the size of the result's words only, which is no size of a dense layer's input.
    """
    function = text(entry, "function")
    if stream and one_element_a_word(function):
        raise UnreadableError(FORK)
    source, target = _function_types(entry, row, function)
    read = 0 if "array_array" in function and kind_named(entry) == "dense_config" else word_elements(function)
    around = Surroundings(function or "layer", source.bits, target.bits, read, stream, function)
    return replace(read_config(entry, around), part=part_of(function), saturates=target.saturates)


def _function_types(entry: Row, row: Row, function: str) -> tuple[FixedPoint, FixedPoint]:
    """Types that a function reads and writes.

    Where its name has only one, it is the result's; packed words, whose width the name leaves out, are taken to be as wide
    as the weights. Where it has none: the project's type, else the accumulator's or the weights'.
    """
    types = mangled_types(function)
    if types:
        packed = len(types) == 1 and "weight_t" in entry and "array" in function and part_of(function) is not Part.LINE_BUFFER
        source = FixedPoint(written_bits(text(entry, "weight_t"), DEFAULT_BITS)) if packed else types[0]
        return source, types[-1]
    project = written_types(text(row, "act_prec"))
    own = project[0] if project else FixedPoint(written_bits(text(entry, "accum_t"), DEFAULT_BITS))
    return own, own


@dataclass(frozen=True)
class _Types:
    """Widths between the layers of a project, which its configurations leave out.

    Attributes:
        first: width of the project's input.
        activation: width that activations write.
        accumulator: widest accumulator; 0 without one.
        quantised: the stream between layers is never wider than the input, as all types of such a project are narrow.
    """

    first: int
    activation: int
    accumulator: int
    quantised: bool

    @classmethod
    def of(cls, entries: Sequence[Row], row: Row, stream: bool) -> _Types:
        weighted = [entry for entry in entries if text(entry, "weight_t")]
        weight = min((written_bits(text(entry, "weight_t"), DEFAULT_BITS) for entry in weighted), default=DEFAULT_BITS)
        accumulator = max((written_bits(text(entry, "accum_t"), DEFAULT_BITS) for entry in weighted), default=0)
        narrow = weight in QUANTISED_BITS
        project = written_bits(text(row, "act_prec"), 0)
        first = project or (weight if narrow else accumulator or DEFAULT_BITS)
        return cls(first, weight if narrow else first, accumulator, narrow and stream and first <= max(QUANTISED_BITS))

    def written(self, entry: Row, before: int) -> int:
        """Width that a layer writes; ``before``: that it reads."""
        weighted = bool(text(entry, "weight_t"))
        if "activ" in kind_named(entry):
            bits = (self.accumulator or before) if "linear" in text(entry, "cfg") else self.activation
        else:
            bits = written_bits(text(entry, "accum_t"), before) if weighted else before
        return min(bits, self.first) if weighted and self.quantised else bits


def _network_layers(entries: Sequence[Row], row: Row, stream: bool) -> list[HlsLayer]:
    """The layers of a project, each reading the one before it."""
    if stream and written_types(text(row, "act_prec")) and "array" not in text(row, "act_prec"):
        raise UnreadableError(FORK)
    types = _Types.of(entries, row, stream)
    layers: list[HlsLayer] = []
    taken: set[str] = set()
    channels, bits = 0, types.first
    for place, entry in enumerate(_joined(entries)):
        written = types.written(entry, bits)
        name = text(entry, "cfg") or f"layer{place}"
        name = f"{name}, layer {place}" if name in taken else name
        taken.add(name)
        layer = read_config(entry, Surroundings(name, bits, written, channels, stream))
        before = (layers[-1].name,) if layers else ()
        saturates = "activ" in kind_named(entry) and written < DEFAULT_BITS - 2
        layers.append(replace(layer, inputs=before, saturates=saturates))
        channels, bits = layer.out_c, written
    return _resized(layers)


def _joined(entries: Sequence[Row]) -> list[Row]:
    """One entry for each layer: the configurations inside convolutions and recurrent layers add to their layer's."""
    by_name = {text(entry, "cfg"): entry for entry in entries}
    recurrent = {text(entry, "cfg") for entry in entries if kind_named(entry) in {"gru_config", "lstm_config"}}
    joined: list[Row] = []
    for entry in entries:
        name = text(entry, "cfg")
        owner = RECURRENT_OWNER.fullmatch(name)
        if (name.endswith("_mult") and name.removesuffix("_mult") in by_name) or (owner and owner[1] in recurrent and owner[1] != name):
            continue
        parts = (f"{name}_1", f"{name}_2") if name in recurrent else (f"{name}_mult",)
        joined.append(_with_products(entry, [by_name[part] for part in parts if part in by_name]))
    return joined


def _with_products(entry: Row, products: Sequence[Row]) -> Row:
    """A layer's configuration with its products': the larger reuse factor of two."""
    if not products:
        return entry
    names = ("strategy", "weight_t", "accum_t", *(("n_zeros", "n_nonzeros") if len(products) == 1 else ()))
    own = {name: products[0][name] for name in names if products[0].get(name) is not None}
    factors = [constant(product, "reuse_factor", default=constant(entry, "reuse_factor", default=1)) for product in products]
    return {**entry, **own, "reuse_factor": max(factors)}


def _resized(layers: list[HlsLayer]) -> list[HlsLayer]:
    """Sizes of resize layers from their neighbours, where their configuration has none."""
    sized = list(layers)
    following = (1, 1)
    for place in range(len(layers) - 1, -1, -1):
        layer = layers[place]
        if layer.kind is Kind.RESIZE and layer.out_h * layer.out_w <= 1 and place > 0:
            before = sized[place - 1]
            sized[place] = replace(layer, in_h=before.out_h, in_w=before.out_w, out_h=following[0], out_w=following[1])
        if layer.in_h * layer.in_w > 1:
            following = (layer.in_h, layer.in_w)
    return sized
