"""A network under construction: layers with shapes, and the widths that its file fixes.

hls4ml settles the widths that nobody fixed after the whole network is read; `Draft.finish` does the same, by the rules of
its precision inference: a matrix-vector product keeps every bit, layers that only move data keep the width of their input.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from codesign.errors import InputError
from codesign.network.hls_model import CONVOLUTIONS, DEFAULT_BITS, TABLE_BITS, TABLE_SIZE, WEIGHTED, HlsLayer, HlsModel, Kind

MAX_ELEMENTS = 2**28
"""Largest tensor, in elements."""
MAX_LAYERS = 10_000
AUTO = -1
"""Width that a configuration leaves to inference in so many words."""
DEFAULT_FULL_SCALE = 32.0
"""Of hls4ml's default type, ``ap_fixed<16,6>``."""
_MOVES = frozenset({Kind.RESHAPE, Kind.PADDING, Kind.RESIZE, Kind.POOL, Kind.GLOBAL_POOL, Kind.CONCATENATE})


class Shape(NamedTuple):
    """Height x width x channels."""

    h: int
    w: int
    c: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return self.h * self.w * self.c


class Tensor(NamedTuple):
    """What a layer computes: the layer's name and the shape."""

    source: str
    shape: Shape


@dataclass(frozen=True, kw_only=True)
class Widths:
    """Bits that the file or a configuration fixes; None: nobody did; `AUTO`: left to inference.

    ``saturates``: the result clips to its type.
    """

    weight: int | None = None
    bias: int | None = None
    accumulator: int | None = None
    result: int | None = None
    table: int | None = None
    saturates: bool = False


UNKNOWN = Widths()


class Weights(NamedTuple):
    """What a file says about the values of a layer's weights.

    Attributes:
        nonzero: share that is not zero.
        largest: largest |weight| as a real number; 0: not known.
        peak: the same over full scale of the type that the file stores them in, in (0, 1]; 0: not known.
    """

    nonzero: float = 1.0
    largest: float = 0.0
    peak: float = 0.0

    def in_type(self, full_scale: float | None) -> Weights:
        """The same weights stored in another type; what exceeds full scale is taken to be clipped to it."""
        return self._replace(peak=min(1.0, self.largest / full_scale) if full_scale else 0.0)


NO_WEIGHTS = Weights()


@dataclass(frozen=True, kw_only=True)
class LayerDraft:
    """A layer with its shapes, the widths known so far, and the class names (lower case) by which a configuration may call it."""

    layer: HlsLayer
    widths: Widths = UNKNOWN
    weights: Weights = NO_WEIGHTS
    classes: frozenset[str] = frozenset()


def sanitise(name: str) -> str:
    """A name of letters, digits and underscores that starts with no digit, at most 80 characters."""
    clean = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:80]
    return clean if clean and not clean[0].isdigit() else f"layer_{clean}".rstrip("_")


@dataclass
class Draft:
    """Layers collected in topological order.

    Args:
        name: of the model.
        where: the file, for messages.
        io_type: of `HlsModel`.
    """

    name: str
    where: str
    io_type: str | None = None
    layers: dict[str, LayerDraft] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, layer: HlsLayer, *, widths: Widths = UNKNOWN, weights: Weights = NO_WEIGHTS, classes: tuple[str, ...] = ()) -> Tensor:
        """Append a layer under a free, sanitised name; ``weights`` replace its share of weights that are not zero.

        Raises:
            InputError: a shape is empty or too large, or there are too many layers.
        """
        out = Shape(layer.out_h, layer.out_w, layer.out_c)
        if min(out) < 1:
            raise InputError(f"the output shape {tuple(out)} is empty", where=f"{self.where}: {layer.name}", remedy="Its input is smaller than its kernel.")
        if max(out.elements, layer.in_h * layer.in_w * layer.in_c, layer.weights) > MAX_ELEMENTS:
            raise InputError(f"a tensor has more than {MAX_ELEMENTS} elements", where=f"{self.where}: {layer.name}")
        if len(self.layers) >= MAX_LAYERS:
            raise InputError(f"has more than {MAX_LAYERS} layers", where=self.where)
        base = name = sanitise(layer.name)
        count = 1
        while name in self.layers:
            count += 1
            name = f"{base}_{count}"
        names = frozenset(entry.lower() for entry in classes)
        self.layers[name] = LayerDraft(layer=replace(layer, name=name, nonzero=weights.nonzero), widths=widths, weights=weights, classes=names)
        return Tensor(name, out)

    def note(self, sentence: str) -> None:
        """Record an assumption once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def set_bias(self, name: str, bits: int) -> None:
        """Fix the width of a layer's bias."""
        draft = self.layers[name]
        self.layers[name] = replace(draft, widths=replace(draft.widths, bias=bits))

    def set_result(self, name: str, bits: int, *, saturates: bool) -> None:
        """Fix the type of a layer's result."""
        draft = self.layers[name]
        self.layers[name] = replace(draft, widths=replace(draft.widths, result=bits, saturates=saturates))

    def finish(self) -> HlsModel:
        """The model, with batch norms folded as hls4ml folds them and every width settled."""
        self._fold_batch_norms()
        settled = _Settled()
        layers = tuple(settled.layer(draft) for draft in self.layers.values())
        notes = [*self.notes, *settled.notes()]
        return HlsModel(name=sanitise(self.name), layers=layers, io_type=self.io_type, notes=tuple(notes))

    def _fold_batch_norms(self) -> None:
        """Fold a batch norm into the layer before it where hls4ml does: neither side has a fixed width, nobody else reads between."""
        readers = Counter(source for draft in self.layers.values() for source in draft.layer.inputs)
        folded: dict[str, str] = {}
        kept: dict[str, LayerDraft] = {}
        for name, draft in self.layers.items():
            layer = replace(draft.layer, inputs=tuple(folded.get(source, source) for source in draft.layer.inputs))
            before = kept.get(layer.inputs[0]) if len(layer.inputs) == 1 else None
            if layer.kind is Kind.BATCH_NORM and before is not None and _takes_batch_norm(before) and readers[draft.layer.inputs[0]] == 1:
                folded[name] = before.layer.name
                kept[before.layer.name] = _with_batch_norm(before, draft)
            else:
                kept[name] = replace(draft, layer=layer)
        if folded:
            self.note(f"Batch norms are folded into the layer before them, as hls4ml does: {_list(folded)}.")
        self.layers = kept


def _takes_batch_norm(draft: LayerDraft) -> bool:
    weighted = draft.layer.kind is Kind.DENSE or draft.layer.kind in CONVOLUTIONS
    return weighted and draft.widths.result in {None, AUTO} and draft.widths.weight in {None, AUTO}


def _with_batch_norm(draft: LayerDraft, norm: LayerDraft) -> LayerDraft:
    """A layer that writes what the batch norm behind it wrote; the scales, which no reader keeps, change its weights."""
    return replace(draft, widths=replace(draft.widths, result=norm.widths.result, saturates=norm.widths.saturates), weights=NO_WEIGHTS)


def _list(names: Iterable[str], limit: int = 5) -> str:
    entries = list(names)
    more = f" and {len(entries) - limit} more" if len(entries) > limit else ""
    return ", ".join(entries[:limit]) + more


def _peak(draft: LayerDraft) -> float:
    """Largest weight over full scale of the type that holds it; 0: not known."""
    if draft.layer.kind not in WEIGHTED:
        return 0.0
    stored = draft.weights if draft.widths.weight not in {None, AUTO} else draft.weights.in_type(DEFAULT_FULL_SCALE)
    return stored.peak


@dataclass
class _Settled:
    """Output width of every layer seen so far, and what had to be assumed."""

    bits: dict[str, int] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    default_weights: list[str] = field(default_factory=list)
    default_results: list[str] = field(default_factory=list)
    exact: list[str] = field(default_factory=list)
    default_accumulators: list[str] = field(default_factory=list)

    def layer(self, draft: LayerDraft) -> HlsLayer:
        layer, widths = draft.layer, draft.widths
        known = all(source in self.known for source in layer.inputs)
        fields: dict[str, int] = {}
        if layer.inputs:
            fields["input_bits"] = max(self.bits[source] for source in layer.inputs)
        if layer.kind in WEIGHTED:
            fields |= self._weighted(draft, fields["input_bits"], known)
        if layer.kind in {Kind.TABLE_ACTIVATION, Kind.SOFTMAX}:
            fields |= {"table_size": layer.table_size or TABLE_SIZE, "table_bits": widths.table if widths.table and widths.table > 0 else TABLE_BITS}
        output = widths.result
        if output in {None, AUTO}:
            output = self._inferred(draft, known or output == AUTO, fields)
        if output is None:
            output = DEFAULT_BITS
            self.default_results.append(layer.name)
        else:
            self.known.add(layer.name)
        self.bits[layer.name] = output
        if layer.kind is Kind.INPUT:
            fields["input_bits"] = output
        settled = replace(layer, output_bits=output, saturates=widths.saturates, weight_peak=_peak(draft))
        return replace(settled, **fields)  # type: ignore[arg-type]

    def _weighted(self, draft: LayerDraft, input_bits: int, known: bool) -> dict[str, int]:
        layer, widths = draft.layer, draft.widths
        weight = widths.weight if widths.weight not in {None, AUTO} else None
        if weight is None:
            self.default_weights.append(layer.name)
        accumulator = widths.accumulator
        if accumulator in {None, AUTO}:
            if (weight is not None and known) or accumulator == AUTO:
                accumulator = (weight or DEFAULT_BITS) + input_bits + math.ceil(math.log2(layer.fan_in))
                self.exact.append(layer.name)
            else:
                accumulator = None
                self.default_accumulators.append(layer.name)
        bias = widths.bias if widths.bias not in {None, AUTO} else None
        return {"weight_bits": weight or DEFAULT_BITS, "bias_bits": bias or DEFAULT_BITS, "accumulator_bits": accumulator or DEFAULT_BITS}

    def _inferred(self, draft: LayerDraft, known: bool, fields: dict[str, int]) -> int | None:
        layer = draft.layer
        if layer.kind in WEIGHTED:
            return fields["accumulator_bits"] if layer.name in self.exact and layer.kind not in {Kind.LSTM, Kind.GRU} else None
        if not known or not layer.inputs:
            return None
        if layer.kind in _MOVES:
            return fields["input_bits"]
        if layer.kind is Kind.MERGE:
            if layer.function == "multiply":
                return sum(self.bits[source] for source in layer.inputs)
            return fields["input_bits"] + (layer.function in {"add", "subtract", "average"})
        return None

    def notes(self) -> list[str]:
        """What was assumed, one sentence each."""
        notes = []
        if self.default_weights:
            notes.append(f"Weights without a width take hls4ml's default of {DEFAULT_BITS} bits: {_list(self.default_weights)}.")
        if self.default_results:
            notes.append(f"Outputs without a width take hls4ml's default of {DEFAULT_BITS} bits: {_list(self.default_results)}.")
        if self.exact:
            notes.append(f"Accumulators are as wide as no overflow needs (weight + input + log2 of the products summed): {_list(self.exact)}.")
        if self.default_accumulators:
            notes.append(f"Accumulators take hls4ml's default of {DEFAULT_BITS} bits: {_list(self.default_accumulators)}.")
        return notes
