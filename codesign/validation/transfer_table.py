"""Tables of latencies on several devices, as ``codesign validate transfer`` reads them.

Two layouts. *Wide*: a column ``x_<name>`` per parameter (an index into its domain; the schema's metadata hold ``kinds``, a
JSON object that says ``ordinal`` or ``categorical`` of each) and a column ``lat_<device>`` or ``y_latency_<device>`` per
device. *Long*: a row per network and device with the columns `LONG_COLUMNS`, the parameters as a JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError

if TYPE_CHECKING:
    import pyarrow

FloatArray = NDArray[np.float64]

LATENCY_PREFIXES = ("lat_", "y_latency_")
LATENCY_UNITS = ("_ns", "_us", "_ms", "_s", "_cycles")
PARAMETER_PREFIX = "x_"
KINDS = {"ordinal": True, "categorical": False}
LONG_COLUMNS = ("accelerator", "ref", "layer_json", "latency_ms")
EVERY_OTHER = "all"
LARGEST = 1 << 30


@dataclass(frozen=True)
class Measurements:
    """Latencies of N designs on the source devices and on the target.

    Attributes:
        names: d parameters.
        ordinal: (d,) whether the domain is ordered.
        values: N x d indices into the domains.
        sources: names of the S source devices.
        target: name of the device to be learned.
        source_latency: N x S, in the unit of each column.
        target_latency: (N,).
        left_out: rows of the file without a latency on each of these devices.
    """

    names: tuple[str, ...]
    ordinal: tuple[bool, ...]
    values: NDArray[np.int64]
    sources: tuple[str, ...]
    target: str
    source_latency: FloatArray
    target_latency: FloatArray
    left_out: int


def read_measurements(path: Path, sources: Sequence[str], target: str) -> Measurements:
    """Read the devices of one comparison.

    Args:
        path: Parquet file, wide or long.
        sources: devices, or ``all`` for every other one of the file.
        target: the new device. A device is named as its column is, with or without prefix and unit, or by any part of that
            name, in any case, that no other device has.

    Raises:
        InputError: unreadable file; missing columns, kinds or rows; an unknown or ambiguous device; no source, one twice, or
            the target among them; indices that are no integers; a latency that is not positive.
    """
    return _Reader(path).measurements(sources, target)


def device_names(path: Path) -> list[str]:
    """Devices of a file, in its order.

    Raises:
        InputError: unreadable file, or none.
    """
    return _Reader(path).devices


class _Reader:
    """One file; every error names it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._table = _read_table(path)
        self._long = set(LONG_COLUMNS) <= set(self._table.column_names)
        if self._long:
            self._devices = {str(name): str(name) for name in self._table["accelerator"].unique().to_pylist() if name is not None}
        else:
            self._devices = {_short(name): name for name in self._table.column_names if name.startswith(LATENCY_PREFIXES)}
        if not self._devices:
            raise self._wrong("no latency column", f"Give lat_<device> columns, or the columns {', '.join(LONG_COLUMNS)}")

    @property
    def devices(self) -> list[str]:
        """Short names."""
        return list(self._devices)

    def measurements(self, sources: Sequence[str], target: str) -> Measurements:
        """See `read_measurements`."""
        learned = self._device(target, "--target")
        chosen = self._sources(sources, learned)
        devices = [*chosen, learned]
        names, ordinal, values, latency = self._long_table(devices) if self._long else self._wide_table(devices)
        known = ~np.isnan(latency).any(axis=1)
        if not known.any():
            raise self._wrong(f"no row has a latency on each of {', '.join(devices)}", "Choose devices that measured the same designs")
        for device, column in zip(devices, latency[known].T, strict=True):
            if not (np.isfinite(column) & (column > 0.0)).all():
                raise self._wrong(f"a latency of {column.min():g} on {device}", "Latencies must be positive and finite")
        kept = latency[known]
        return Measurements(names, ordinal, values[known], tuple(chosen), learned, kept[:, :-1], kept[:, -1], int((~known).sum()))

    def _sources(self, sources: Sequence[str], target: str) -> list[str]:
        if list(sources) == [EVERY_OTHER]:
            sources = [device for device in self._devices if device != target]
        found = [self._device(name, "--source") for name in sources]
        if not found:
            raise InputError("no source device", where="--source", remedy=f"Choose from {self._listed(target)}, or {EVERY_OTHER}")
        twice = [name for number, name in enumerate(found) if name in found[:number]]
        if twice:
            raise InputError(f"{twice[0]} is named twice", where="--source", remedy="Name each source device once")
        if target in found:
            raise InputError(f"{target} is the target too", where="--source", remedy=f"Choose sources from {self._listed(target)}")
        return found

    def _device(self, name: str, option: str) -> str:
        """Short name of a device."""
        for device, column in self._devices.items():
            if name in {device, column} or any(name == column.removeprefix(prefix) for prefix in LATENCY_PREFIXES):
                return device
        matches = [device for device in self._devices if name and name.lower() in device.lower()]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise InputError(f"{name!r} may be {', '.join(matches)}", where=option, remedy="Give the whole name")
        raise InputError(f"no device {name!r} in {self._path}", where=option, remedy=f"Choose from {self._listed('')}")

    def _listed(self, without: str) -> str:
        return ", ".join(device for device in self._devices if device != without) or "none: the table has one device"

    def _wide_table(self, devices: Sequence[str]) -> tuple[tuple[str, ...], tuple[bool, ...], NDArray[np.int64], FloatArray]:
        names = tuple(name for name in self._table.column_names if name.startswith(PARAMETER_PREFIX))
        if not names:
            raise self._wrong("no column begins with x_", "Give a column x_<name> per parameter")
        kinds = self._kinds(names)
        values = np.column_stack([self._indices(name) for name in names])
        latency = np.column_stack([self._numbers(self._devices[device]) for device in devices])
        return tuple(name.removeprefix(PARAMETER_PREFIX) for name in names), kinds, values, latency

    def _kinds(self, names: Sequence[str]) -> tuple[bool, ...]:
        remedy = f"Write a JSON object 'kinds' into the schema's metadata, with {' or '.join(KINDS)} for each x_ column"
        try:
            found = json.loads((self._table.schema.metadata or {})[b"kinds"])
        except KeyError:
            raise self._wrong("its metadata lack 'kinds'", remedy) from None
        except ValueError:
            raise self._wrong("its metadata 'kinds' are not JSON", remedy) from None
        for name in names:
            if not isinstance(found, dict) or found.get(name) not in KINDS:
                raise self._wrong(f"its metadata 'kinds' do not say what {name} is", remedy)
        return tuple(KINDS[found[name]] for name in names)

    def _numbers(self, name: str) -> FloatArray:
        """A column as numbers; NaN where it has none."""
        from pyarrow import types

        column = self._table[name]
        if not (types.is_floating(column.type) or types.is_integer(column.type)):
            raise self._wrong(f"{name} holds {column.type}, not numbers", "Store numbers")
        return np.array(column.to_pylist(), dtype=np.float64)

    def _indices(self, name: str) -> NDArray[np.int64]:
        values = self._numbers(name)
        if not (np.isfinite(values).all() and (values == np.round(values)).all()):
            raise self._wrong(f"{name} is not an index", "Store an integer in every row")
        return values.astype(np.int64)

    def _long_table(self, devices: Sequence[str]) -> tuple[tuple[str, ...], tuple[bool, ...], NDArray[np.int64], FloatArray]:
        networks: dict[tuple[str, str], dict[str, float]] = {}
        for row in self._table.select(list(LONG_COLUMNS)).to_pylist():
            if row["accelerator"] in devices and row["layer_json"] is not None and row["latency_ms"] is not None:
                networks.setdefault((str(row["ref"]), row["layer_json"]), {})[row["accelerator"]] = self._latency(row["latency_ms"])
        shared = {key: latencies for key, latencies in networks.items() if len(latencies) == len(devices)}
        if not shared:
            raise self._wrong(f"no network was measured on each of {', '.join(devices)}", "Choose devices that measured the same networks")
        rows = [self._parameters(text) for _, text in shared]
        names = tuple(rows[0])
        if any(tuple(row) != names for row in rows):
            raise self._wrong("layer_json has different keys in different rows", "Choose devices whose networks have the same parameters")
        columns, ordinal = zip(*(_indexed([row[name] for row in rows]) for name in names), strict=True)
        latency = np.array([[latencies[device] for device in devices] for latencies in shared.values()])
        return tuple(name.split(".")[-1] for name in names), tuple(ordinal), np.column_stack(columns), latency

    def _latency(self, value: Any) -> float:
        try:
            return float(value)
        except ValueError:
            raise self._wrong(f"latency_ms is {value!r}", "Store numbers") from None

    def _parameters(self, text: str) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict) or not found or any(isinstance(value, (dict, list)) or value is None for value in found.values()):
            raise self._wrong(f"layer_json is {text[:60]!r}", "Store the parameters as a JSON object of numbers or words")
        return {name: found[name] for name in sorted(found)}

    def _wrong(self, what: str, remedy: str) -> InputError:
        return InputError(what, where=str(self._path), remedy=remedy)


def _short(column: str) -> str:
    """Device of a latency column: without its prefix and, where the column says y_latency_, its unit."""
    for prefix in LATENCY_PREFIXES:
        if column.startswith(prefix):
            name = column.removeprefix(prefix)
            unit = next((unit for unit in LATENCY_UNITS if name.endswith(unit)), "") if prefix == LATENCY_PREFIXES[1] else ""
            return name.removesuffix(unit)
    return column


def _indexed(values: list[Any]) -> tuple[NDArray[np.int64], bool]:
    """Indices of values into their sorted domain, and whether they are ordered: numbers are, words are not."""
    ordered = all(isinstance(value, (bool, int, float)) for value in values)
    domain = {value: number for number, value in enumerate(sorted(set(values), key=None if ordered else str))}
    return np.array([domain[value] for value in values], dtype=np.int64), ordered


def _read_table(path: Path) -> pyarrow.Table:
    from pyarrow import ArrowException, parquet

    if not path.is_file():
        raise InputError("no such file", where=str(path), remedy="Give the path of a Parquet file")
    if path.stat().st_size > LARGEST:
        raise InputError(f"larger than {LARGEST >> 20} MiB", where=str(path), remedy="Give a table of measurements, or a part of it")
    try:
        table = parquet.read_table(path)
    except (ArrowException, OSError, ValueError) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise InputError(f"not a Parquet file: {text}", where=str(path), remedy="Give a Parquet file") from None
    if not table.num_rows:
        raise InputError("no rows", where=str(path), remedy="Give a table of measurements")
    return table
