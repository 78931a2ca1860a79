"""hls4ml's configuration of a network (its ``HLSConfig``): precision, reuse factor and strategy by layer name, layer type and model.

hls4ml looks a setting up under ``LayerName``, then under ``LayerType``, then under ``Model``, and silently ignores names that
no layer has; here those end in a note.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from codesign.errors import InputError
from codesign.network.hls_model import DEFAULT_BITS, WEIGHTED, HlsModel, Kind, Strategy
from codesign.network.importers.draft import AUTO, DEFAULT_FULL_SCALE, Draft, LayerDraft, Weights, Widths, sanitise
from codesign.network.importers.json_file import Record
from codesign.network.importers.precision import HlsType, read_type

_STRATEGIES = {
    "latency": Strategy.LATENCY,
    "resource": Strategy.RESOURCE,
    "unrolled": Strategy.RESOURCE,
    "resource_unrolled": Strategy.RESOURCE,
    "distributed_arithmetic": Strategy.DISTRIBUTED_ARITHMETIC,
    "da": Strategy.DISTRIBUTED_ARITHMETIC,
}
_VARIABLES = {
    "weight": ("weight", "pointwise", "kernel", "depthwise", "scale"),
    "bias": ("bias",),
    "accumulator": ("accum",),
    "result": ("result",),
    "table": ("table", "exp_table"),
}
MAX_REUSE = 2**24
_SECTIONS = ("Model", "LayerType", "LayerName")


@dataclass(frozen=True)
class _Setting:
    """One entry of a configuration; the types of every variable have passed the check."""

    reuse_factor: int | None = None
    strategy: Strategy | None = None
    implementation: str | None = None
    table_size: int | None = None
    default: HlsType | None = None
    types: dict[str, HlsType] = field(default_factory=dict)

    def type_of(self, name: str, *, depthwise: bool) -> HlsType | None:
        """Type of a kind of variable; the more general name applies where the entry lacks the exact one."""
        names = _VARIABLES[name]
        if depthwise and name == "weight":
            names = ("weight", "depthwise")
        value = next((self.types[entry] for entry in names if entry in self.types), None)
        return self.default if value is None and name != "table" else value


def is_config(record: Record) -> bool:
    """Whether an object is an ``HLSConfig``."""
    return any(isinstance(record.get(key), dict) for key in _SECTIONS) and "layers" not in record and "class_name" not in record


def apply_config(model: HlsModel, config: dict[str, object], where: str) -> HlsModel:
    """A model with the settings of an ``HLSConfig``.

    A default precision of the whole model replaces hls4ml's default of 16 bits only; entries of layers and types replace any width.
    Weights of 16 bits are taken to have hls4ml's default type; of others, how large they are in a new type is not known.

    Args:
        model: from any reader.
        config: keys ``Model``, ``LayerType``, ``LayerName``.
        where: the configuration's file, for messages.

    Raises:
        InputError: a value is not what hls4ml takes.
    """
    draft = Draft(model.name, where, model.io_type, notes=list(model.notes))
    for layer in model:
        widths = Widths(
            weight=_unless_default(layer.weight_bits),
            bias=_unless_default(layer.bias_bits),
            accumulator=_unless_default(layer.accumulator_bits),
            result=_unless_default(layer.output_bits),
            table=layer.table_bits or None,
            saturates=layer.saturates,
        )
        weights = Weights(layer.nonzero, layer.weight_peak * DEFAULT_FULL_SCALE if widths.weight is None else 0.0, layer.weight_peak)
        draft.layers[layer.name] = LayerDraft(layer=layer, widths=widths, weights=weights, classes=frozenset(_class_names(layer.kind)))
    configure(draft, Record(config, where))
    return draft.finish()


def _unless_default(bits: int) -> int | None:
    return None if bits in {0, DEFAULT_BITS} else bits


def _class_names(kind: Kind) -> tuple[str, ...]:
    special = {Kind.BATCH_NORM: "batchnormalization", Kind.TABLE_ACTIVATION: "activation", Kind.POOL: "pooling2d", Kind.PADDING: "zeropadding2d"}
    return (special.get(kind, kind.name.lower().replace("_", "")),)


def configure(draft: Draft, config: Record) -> None:
    """Put an ``HLSConfig`` onto a network under construction.

    Raises:
        InputError: a value is not what hls4ml takes.
    """
    model = _setting(config.record("Model"), draft)
    types = {name.lower(): _setting(_entry(config, "LayerType", name), draft) for name in config.record("LayerType").values}
    names = {sanitise(name): _setting(_entry(config, "LayerName", name), draft) for name in config.record("LayerName").values}
    used: set[str] = set()
    for name, layer in draft.layers.items():
        chain = [names[entry] for entry in (name, f"{name}_linear") if entry in names]
        used.update({name, f"{name}_linear"})
        chain += [types[entry] for entry in sorted(layer.classes) if entry in types]
        draft.layers[name] = _configured(layer, chain, model)
    ignored = sorted(set(names) - used)
    if ignored:
        shown = ", ".join(ignored[:5]) + (f" and {len(ignored) - 5} more" if len(ignored) > 5 else "")
        draft.note(f"The configuration names layers that the model lacks; hls4ml ignores them: {shown}.")


def _entry(config: Record, section: str, name: str) -> Record:
    record = config.record(section)
    if isinstance(record.get(name), str):
        return Record({"Precision": record.get(name)}, f"{record.where}: {name}")
    return record.record(name)


def _setting(record: Record, draft: Draft) -> _Setting:
    strategy = None
    if "Strategy" in record:
        text = record.text("Strategy").lower()
        if text not in _STRATEGIES:
            raise InputError(f"unknown strategy {text!r}", where=f"{record.where}: Strategy", remedy="Use Latency, Resource or Distributed_Arithmetic.")
        strategy = _STRATEGIES[text]
        if "unrolled" in text:
            draft.note("Strategy Unrolled is read as Resource.")
    default, types = _precision(record)
    return _Setting(
        reuse_factor=record.integer("ReuseFactor", high=MAX_REUSE) if "ReuseFactor" in record else None,
        strategy=strategy,
        implementation=record.text("Implementation").lower() if "Implementation" in record else None,
        table_size=record.integer("TableSize") if "TableSize" in record else None,
        default=default,
        types=types,
    )


def _precision(record: Record) -> tuple[HlsType | None, dict[str, HlsType]]:
    """The type for all variables of an entry, and those of single variables (their ``_t`` suffix dropped)."""
    types: dict[str, HlsType] = {}
    if "table_t" in record:
        types["table"] = read_type(record.text("table_t"), f"{record.where}: table_t")
    value = record.get("Precision")
    if value is None:
        return None, types
    if isinstance(value, str):
        return read_type(value, f"{record.where}: Precision"), types
    precision = record.record("Precision")
    for name in precision.values:
        types[name.lower().removesuffix("_t")] = read_type(precision.text(name), f"{precision.where}: {name}")
    types.pop("maximum", None)
    return types.pop("default", None), types


def _configured(draft: LayerDraft, chain: list[_Setting], model: _Setting) -> LayerDraft:
    layer = draft.layer
    types = {name: found for name in _VARIABLES if (found := _asked(draft, name, chain, model)) is not None}
    bits: dict[str, Any] = {name: found.bits for name, found in types.items()}
    widths = replace(draft.widths, **bits, saturates=types["result"].saturates if "result" in types else draft.widths.saturates)
    weights = draft.weights.in_type(types["weight"].full_scale) if "weight" in types and types["weight"].bits != AUTO else draft.weights
    fields: dict[str, object] = {}
    everything = [*chain, model]
    if layer.kind not in {Kind.INPUT, Kind.RESHAPE}:
        fields["reuse_factor"] = next((entry.reuse_factor for entry in everything if entry.reuse_factor is not None), layer.reuse_factor)
    if layer.kind in WEIGHTED:
        fields["strategy"] = next((entry.strategy for entry in everything if entry.strategy is not None), layer.strategy)
    if layer.kind is Kind.SOFTMAX:
        fields["function"] = next((entry.implementation for entry in chain if entry.implementation is not None), layer.function)
    if layer.kind in {Kind.SOFTMAX, Kind.TABLE_ACTIVATION}:
        fields["table_size"] = next((entry.table_size for entry in everything if entry.table_size is not None), layer.table_size)
    return replace(draft, layer=replace(layer, **fields), widths=widths, weights=weights)  # type: ignore[arg-type]


def _asked(draft: LayerDraft, name: str, chain: list[_Setting], model: _Setting) -> HlsType | None:
    """The type that a configuration gives one kind of a layer's variables; None: it leaves the layer's own."""
    depthwise = draft.layer.kind in {Kind.DEPTHWISE_CONV1D, Kind.DEPTHWISE_CONV2D}
    own = getattr(draft.widths, name)
    asked = next((found for setting in chain if (found := setting.type_of(name, depthwise=depthwise)) is not None), None)
    if asked is not None and (asked.bits != AUTO or own is None):
        return asked
    return model.type_of(name, depthwise=depthwise) if own in {None, AUTO} else None
