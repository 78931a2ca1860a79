"""hls4ml's configuration of a network (its ``HLSConfig``): precision, reuse factor and strategy by layer name, layer type and model.

hls4ml looks a setting up under ``LayerName``, then under ``LayerType``, then under ``Model``, and silently ignores names that
no layer has; here those end in a note.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from codesign.errors import InputError
from codesign.network.hls_model import DEFAULT_BITS, WEIGHTED, HlsModel, Kind, Strategy
from codesign.network.importers.draft import AUTO, Draft, LayerDraft, Widths, sanitise
from codesign.network.importers.json_file import Record
from codesign.network.importers.precision import type_bits

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
    """One entry of a configuration; the bits of every variable have passed the check."""

    reuse_factor: int | None = None
    strategy: Strategy | None = None
    implementation: str | None = None
    table_size: int | None = None
    default: int | None = None
    bits: dict[str, int] = field(default_factory=dict)

    def width(self, name: str, *, depthwise: bool) -> int | None:
        """Bits of a kind of variable; the more general name applies where the entry lacks the exact one."""
        names = _VARIABLES[name]
        if depthwise and name == "weight":
            names = ("weight", "depthwise")
        value = next((self.bits[entry] for entry in names if entry in self.bits), None)
        return self.default if value is None and name != "table" else value


def is_config(record: Record) -> bool:
    """Whether an object is an ``HLSConfig``."""
    return any(isinstance(record.get(key), dict) for key in _SECTIONS) and "layers" not in record and "class_name" not in record


def apply_config(model: HlsModel, config: dict[str, object], where: str) -> HlsModel:
    """A model with the settings of an ``HLSConfig``.

    A default precision of the whole model replaces hls4ml's default of 16 bits only; entries of layers and types replace any width.

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
        )
        draft.layers[layer.name] = LayerDraft(layer=layer, widths=widths, classes=frozenset(_class_names(layer.kind)))
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
    default, bits = _precision(record)
    return _Setting(
        reuse_factor=record.integer("ReuseFactor", high=MAX_REUSE) if "ReuseFactor" in record else None,
        strategy=strategy,
        implementation=record.text("Implementation").lower() if "Implementation" in record else None,
        table_size=record.integer("TableSize") if "TableSize" in record else None,
        default=default,
        bits=bits,
    )


def _precision(record: Record) -> tuple[int | None, dict[str, int]]:
    """The width for all variables of an entry, and those of single variables (their ``_t`` suffix dropped)."""
    bits: dict[str, int] = {}
    if "table_t" in record:
        bits["table"] = type_bits(record.text("table_t"), f"{record.where}: table_t")
    value = record.get("Precision")
    if value is None:
        return None, bits
    if isinstance(value, str):
        return type_bits(value, f"{record.where}: Precision"), bits
    precision = record.record("Precision")
    for name in precision.values:
        bits[name.lower().removesuffix("_t")] = type_bits(precision.text(name), f"{precision.where}: {name}")
    bits.pop("maximum", None)
    return bits.pop("default", None), bits


def _configured(draft: LayerDraft, chain: list[_Setting], model: _Setting) -> LayerDraft:
    layer = draft.layer
    depthwise = layer.kind in {Kind.DEPTHWISE_CONV1D, Kind.DEPTHWISE_CONV2D}
    bits: dict[str, int | None] = {}
    for name in _VARIABLES:
        own = getattr(draft.widths, name)
        asked = next((width for setting in chain if (width := setting.width(name, depthwise=depthwise)) is not None), None)
        general = model.width(name, depthwise=depthwise)
        fallback = own if general is None or own not in {None, AUTO} else general
        bits[name] = fallback if asked is None or (asked == AUTO and own is not None) else asked
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
    return replace(draft, layer=replace(layer, **fields), widths=Widths(**bits))  # type: ignore[arg-type]
