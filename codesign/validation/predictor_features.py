"""Rows of measured accelerators as features and a prior for the surrogate.

A group whose hardware has a model in this package brings its own features and prior; every other group is read as it
stands: each number of its columns and of its JSON objects, and each text that few values take.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codesign.errors import InputError
from codesign.validation.accelerator_rows import NUMBERS, RESOURCES, AcceleratorRow
from codesign.validation.gemmini import CallTable, count_calls, features
from codesign.validation.gemmini_fit import GemminiPrior
from codesign.validation.gemmini_mapping import parse_layer, parse_mapping, read_object

GEMMINI_FEATURES = (
    "Gemmini's calls and traffic; prior: a closed form, chosen with the published rows of this group in view, whose constants are "
    "fitted around round numbers to the training rows of each draw alone"
)

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]

GEMMINI = "dosa-gemmini-rtl"
ROWS_PER_TEXT = 2
"""Rows for each value of a text below which it names rows and tells nothing of new ones."""
MOST_FEATURES = 200
WIDE = 10.0
"""Ratio of the largest to the smallest positive value from which a number's logarithm is its feature."""
DEEPEST = 8


class Prior(Protocol):
    """A model of n rows that learns its constants from the training rows."""

    def fitted(self, inside: Rows, log_measured: FloatArray, label: Rows) -> tuple[FloatArray, FloatArray]:
        """Prior in natural units and its relative error, one standard deviation, of all rows (n,).

        Args:
            inside: the m training rows; nothing else may be fitted to.
            log_measured: (m,) logarithms of what they measured.
            label: (n,) workloads; a training row's prior is fitted to training rows of other workloads, so that its
                residual is as large as on a workload never seen.
        """


@dataclass(frozen=True)
class FeatureTable:
    """What the surrogate reads of n rows.

    Attributes:
        features: n x f.
        prior: None where the group has no model.
        kind: plain words for the report.
    """

    features: FloatArray
    prior: Prior | None
    kind: str


def feature_table(group: str, target: str, rows: Sequence[AcceleratorRow], *, unseen: bool) -> FeatureTable:
    """Features of all rows at once, training and test: no target enters them.

    Args:
        group: of the rows.
        target: that will be predicted.
        rows: n rows.
        unseen: the workloads that are predicted were not trained on, so that their names tell nothing.

    Raises:
        InputError: a row that cannot be read, or rows in which nothing varies.
    """
    if group == GEMMINI and target == "cycles":
        return _gemmini(rows)
    table = _columns(rows, unseen=unseen)
    if not table.shape[1]:
        raise InputError("nothing but the target varies between its rows", where=f"group {group!r}", remedy="Choose a group with configurations or layers")
    return FeatureTable(table, None, "columns as they stand, no prior")


def _gemmini(rows: Sequence[AcceleratorRow]) -> FeatureTable:
    counted = []
    for row in rows:
        where = f"row {row.id}"
        layer = parse_layer(row.text.get("layer_json", ""), where=f"{where}: layer_json")
        mapping = read_object(row.text.get("config_json", ""), where=f"{where}: config_json").get("mapping")
        counted.append(count_calls(layer, parse_mapping(str(mapping), layer, where=f"{where}: mapping")))
    table = CallTable.of(counted)
    return FeatureTable(features(table), GemminiPrior(table), GEMMINI_FEATURES)


def _columns(rows: Sequence[AcceleratorRow], *, unseen: bool) -> FloatArray:
    """Numbers (their logarithms where they span decades) and few-valued texts as indicators, n x f; missing numbers at the mean."""
    leaves = [{name: value for name, value in _leaves(row) if not (unseen and name == "workload")} for row in rows]
    columns = []
    for name in dict.fromkeys(name for leaf in leaves for name in leaf):
        values = [leaf.get(name) for leaf in leaves]
        columns += _number(values) if all(value is None or isinstance(value, float) for value in values) else _indicators(values)
    return np.array(columns[:MOST_FEATURES]).T if columns else np.empty((len(rows), 0))


def _number(values: Sequence[Any]) -> list[FloatArray]:
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    known = numbers[np.isfinite(numbers)]
    if not len(known) or known.max() == known.min():
        return []
    if known.min() > 0.0 and known.max() > WIDE * known.min():
        numbers, known = np.log(numbers), np.log(known)
    return [np.where(np.isfinite(numbers), numbers, known.mean())]


def _indicators(values: Sequence[Any]) -> list[FloatArray]:
    counts = Counter(str(value) for value in values)
    if not 1 < len(counts) <= len(values) / ROWS_PER_TEXT:
        return []
    return [np.array([float(str(value) == one) for value in values]) for one in sorted(counts)]


def _leaves(row: AcceleratorRow) -> Iterator[tuple[str, float | str]]:
    """Named numbers and texts of one row."""
    for name, text in row.text.items():
        if name in (*NUMBERS, *RESOURCES):
            try:
                number = float(text)
            except ValueError:
                continue
            if math.isfinite(number):
                yield name, number
        elif name.endswith("_json"):
            yield from _flat(_json(text), name, 0)
        else:
            yield name, text


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _flat(data: object, name: str, depth: int) -> Iterator[tuple[str, float | str]]:
    if isinstance(data, dict) and depth < DEEPEST:
        for key, value in data.items():
            yield from _flat(value, f"{name}.{key}", depth + 1)
    elif isinstance(data, list) and depth < DEEPEST:
        for place, value in enumerate(data[:MOST_FEATURES]):
            yield from _flat(value, f"{name}.{place}", depth + 1)
    elif isinstance(data, bool | int | float) and abs(data) < 1e300:
        yield name, float(data)
    elif isinstance(data, str):
        yield name, data
