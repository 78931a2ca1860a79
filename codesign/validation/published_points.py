"""Published (network, array) points of HANNAH's UltraTrail template: reading them, and telling which are impossible.

A file is a JSON list. Each entry names a point (``f``), its array (``N``, weight and feature bits ``bw`` and ``bf``) and its
layers (``L``: channels ``C`` to ``K``, kernel ``F``, stride ``s``, input length ``W``, padding ``p``, output length ``Wo``); it may
have the published cycles (``pub``), area in um2 (``area``) and power in W (``P``), and cycles counted otherwise (``exact``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from codesign.errors import InputError
from codesign.kpi.ultratrail import UltraTrailDesigns

LARGEST = 16 << 20
"""Bytes of a file that is read."""
MOST_POINTS = 10_000
MOST_LAYERS = 512
LONGEST_NAME = 200
MOST_PRODUCTS = 1e12
"""Products of one layer: beyond, cycles of a network might not be whole numbers in floating point."""
MEASURED = {"cycles": "pub", "cycles_counted": "exact", "area_um2": "area", "power_w": "P"}
"""Figures that an entry may have, and their keys."""
KNOWN = frozenset({"f", "task", "N", "bw", "bf", "bb", "pub", "exact", "hannah", "L", "nw", "macs", "area", "P", "err"})
RANGES = {"C": (1, 65_536), "K": (1, 65_536), "F": (1, 4_096), "s": (1, 4_096), "W": (1, 1 << 18), "p": (0, 4_095), "Wo": (1, 1 << 18)}
"""Taps times outputs stay below 2^31."""
ARRAY_RANGES = {"N": (1, 1_024), "bw": (1, 32), "bf": (1, 32)}


@dataclass(frozen=True)
class PublishedLayer:
    """One convolution: channels, kernel, stride, padding, and length of the series before and after."""

    in_c: int
    out_c: int
    kernel: int
    stride: int
    in_w: int
    pad: int
    out_w: int


@dataclass(frozen=True)
class PublishedPoint:
    """One network on one array.

    Attributes:
        name: the entry's ``f``.
        array: N.
        weight_bits, feature_bits: operand widths.
        layers: at least one.
        measured: published figures by name of `MEASURED`; those that the entry has.
    """

    name: str
    array: int
    weight_bits: int
    feature_bits: int
    layers: tuple[PublishedLayer, ...]
    measured: dict[str, float]


@dataclass(frozen=True)
class PublishedPoints:
    """A file's points, and keys of its entries that nothing reads."""

    points: tuple[PublishedPoint, ...]
    unread: tuple[str, ...]


def read_points(path: Path) -> PublishedPoints:
    """The points of a file.

    Raises:
        InputError: no such file, too large, not JSON, or an entry that is no such point; file, entry and key are named.
    """
    entries = _read_list(path)
    points = tuple(_point(entry, f"{path}: entry {number}") for number, entry in enumerate(entries))
    unread = sorted({key[:40] for entry in entries for key in entry} - KNOWN)
    return PublishedPoints(points, tuple(unread))


def _read_list(path: Path) -> list[Any]:
    if not path.is_file():
        raise InputError("no such file", where=str(path), remedy="Give the path of a JSON file of published points")
    if path.stat().st_size > LARGEST:
        raise InputError(f"larger than {LARGEST >> 20} MiB", where=str(path), remedy="Give a file of published points, or a part of it")
    try:
        found = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (OSError, ValueError, RecursionError) as error:
        text = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0][:200]
        raise InputError(f"not a JSON file: {text}", where=str(path), remedy="Give a JSON list of published points") from None
    if not isinstance(found, list) or not found:
        raise InputError("not a list with at least one entry", where=str(path), remedy="Give a JSON list of published points")
    if len(found) > MOST_POINTS:
        raise InputError(f"has {len(found):,} entries", where=str(path), remedy=f"Give at most {MOST_POINTS:,}")
    return found


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:40]!r} occurs twice in one object")
    return dict(pairs)


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number of JSON")


def _point(entry: Any, where: str) -> PublishedPoint:
    if not isinstance(entry, dict):
        raise InputError("is not an object", where=where, remedy="Each entry is an object with the keys f, N, bw, bf and L")
    name = entry.get("f")
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise InputError(f"must be 1 to {LONGEST_NAME} printable characters that name the point", where=f"{where}: f", remedy="Correct it")
    where = f"{where} ({name})"
    array, weight_bits, feature_bits = (_whole(entry, key, *ARRAY_RANGES[key], where) for key in ARRAY_RANGES)
    layers = entry.get("L")
    if not isinstance(layers, list) or not 1 <= len(layers) <= MOST_LAYERS:
        raise InputError(f"must be a list of 1 to {MOST_LAYERS} layers", where=f"{where}: L", remedy="Correct it")
    measured = {figure: value for figure, key in MEASURED.items() if (value := _figure(entry, figure, key, where)) is not None}
    found = tuple(_layer(layer, f"{where}: L[{place}]") for place, layer in enumerate(layers))
    return PublishedPoint(name, array, weight_bits, feature_bits, found, measured)


def _layer(layer: Any, where: str) -> PublishedLayer:
    if not isinstance(layer, dict):
        raise InputError("is not an object", where=where, remedy=f"A layer is an object with the keys {', '.join(RANGES)}")
    in_c, out_c, kernel, stride, in_w, pad, out_w = (_whole(layer, key, *limits, where) for key, limits in RANGES.items())
    if pad >= kernel:
        raise InputError(f"padding of {pad} with a kernel of {kernel}: the first window would lie on no input", where=f"{where}: p", remedy="Correct p or F")
    if (out_w - 1) * stride - pad >= in_w:
        raise InputError(
            f"{out_w} outputs at stride {stride} from {in_w} inputs: the last window would lie on no input", where=f"{where}: Wo", remedy="Correct Wo, s or W"
        )
    if float(in_c) * out_c * kernel * out_w > MOST_PRODUCTS:
        raise InputError(f"more than {MOST_PRODUCTS:.0e} products in one layer", where=where, remedy="Correct its sizes")
    return PublishedLayer(in_c, out_c, kernel, stride, in_w, pad, out_w)


def _whole(record: dict[str, Any], key: str, low: int, high: int, where: str) -> int:
    value = record.get(key)
    if value is None:
        raise InputError("missing key", where=f"{where}: {key}", remedy="Add it")
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(f"must be a whole number from {low:,} to {high:,} (got {json.dumps(value)[:40]})", where=f"{where}: {key}", remedy="Correct it")
    return value


def _figure(entry: dict[str, Any], figure: str, key: str, where: str) -> float | None:
    """A published figure; None where the entry has none. A published count of cycles may be negative: that is told, not refused."""
    value = entry.get(key)
    if value is None:
        return None
    where = f"{where}: {key}"
    if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) > MOST_PRODUCTS:
        raise InputError(f"must be a number of at most {MOST_PRODUCTS:.0e} (got {json.dumps(value)[:40]})", where=where, remedy="Correct it, or leave it out")
    if figure != "cycles" and value <= 0:
        raise InputError(f"must be above 0 (got {value})", where=where, remedy="Correct it, or leave it out")
    return float(value)


def designs_of(points: Sequence[PublishedPoint]) -> UltraTrailDesigns:
    """The points as arrays, n x L."""
    slots = max(len(point.layers) for point in points)

    def column(name: str) -> np.ndarray[Any, np.dtype[np.int32]]:
        made = np.zeros((len(points), slots), dtype=np.int32)
        for row, point in enumerate(points):
            made[row, : len(point.layers)] = [getattr(layer, name) for layer in point.layers]
        return made

    return UltraTrailDesigns(
        array=np.array([[point.array] for point in points], dtype=np.int32),
        weight_bits=np.array([[point.weight_bits] for point in points], dtype=np.int32),
        feature_bits=np.array([[point.feature_bits] for point in points], dtype=np.int32),
        skips=np.array([has_skip(point.layers) for point in points]),
        in_c=column("in_c"),
        out_c=column("out_c"),
        kernel=column("kernel"),
        stride=column("stride"),
        pad=column("pad"),
        in_w=column("in_w"),
        out_w=column("out_w"),
    )


def has_skip(layers: Sequence[PublishedLayer]) -> bool:
    """Whether the list of layers shows a skip connection: it has no edges, so this is inferred.

    A layer that does not read the result of the one before it is the convolution of a skip (a series of length 1 may come
    from pooling). A layer that keeps channels and length can be skipped without a convolution, and is taken to be: the
    published area of the one point with such a layer has a third feature memory.
    """
    for before, layer in pairwise(layers):
        if layer.in_c != before.out_c or layer.in_w not in {before.out_w, 1}:
            return True
    return any(layer.in_c == layer.out_c and layer.in_w == layer.out_w > 1 for layer in layers)


def contradictions(points: Sequence[PublishedPoint]) -> list[str]:
    """Why each published count of cycles cannot be the network's; empty where it can, or where there is none.

    N x N multipliers make N^2 products in a cycle, so no schedule is quicker than the network's products on real input
    over N^2.
    """
    reasons = []
    for point, macs in zip(points, designs_of(points).macs.tolist(), strict=True):
        cycles, multipliers = point.measured.get("cycles"), point.array**2
        if cycles is None or cycles * multipliers >= macs:
            reasons.append("")
        elif cycles <= 0:
            reasons.append(f"{cycles:,.0f} cycles are none at all; the network has {macs:,.0f} products on real input")
        else:
            reasons.append(
                f"{cycles:,.0f} cycles of {multipliers} multipliers make {cycles * multipliers:,.0f} products; the network has {macs:,.0f} on real input"
            )
    return reasons
