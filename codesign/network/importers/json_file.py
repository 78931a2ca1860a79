"""JSON files from strangers: limits on size and depth, and fields whose type is checked with the file and key in the message."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from codesign.errors import InputError

MAX_BYTES = 16 * 2**20
"""Largest JSON file that is read."""
MAX_DEPTH = 64
"""Deepest nesting of a JSON file; a nested Keras model needs about 12."""
MAX_SIZE = 2**20
"""Largest dimension, kernel, stride or number of units."""
LARGEST_NUMBER = 1e300
"""Largest magnitude of a weight."""


def load_json(path: Path) -> dict[str, object]:
    """The object that a JSON file holds.

    Raises:
        InputError: the file cannot be read, is over 16 MiB, is not JSON, repeats a key, nests deeper than 64 or is not an object.
    """
    where = str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"is larger than {MAX_BYTES // 2**20} MiB", where=where, remedy="Save the architecture without weights.")
        value = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_duplicates)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=where) from error
    except RecursionError as error:
        raise InputError("is nested too deeply", where=where) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", where=where, remedy="Save it as JSON.") from error
    except ValueError as error:
        raise InputError(f"is not valid JSON: {error}", where=where) from error
    if not isinstance(value, dict):
        raise InputError(f"holds {_type_name(value)} where an object is needed", where=where)
    _check_depth(value, where)
    return value


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"the key {key!r} appears twice in one object")
        values[key] = value
    return values


def _check_depth(value: object, where: str) -> None:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise InputError(f"is nested deeper than {MAX_DEPTH} levels", where=where)


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _type_name(value: object) -> str:
    if value is None:
        return "null"
    names: dict[type, str] = {dict: "an object", list: "a list", str: "text", bool: "a truth value", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


@dataclass(frozen=True)
class Record:
    """A JSON object and the place it comes from; every reader of a field raises `InputError` naming both.

    Args:
        values: the object.
        where: file and path of keys.
    """

    values: dict[str, object]
    where: str

    def __contains__(self, key: str) -> bool:
        return self.values.get(key) is not None

    def error(self, key: str, what: str) -> InputError:
        """An error about one field."""
        return InputError(what, where=f"{self.where}: {key}")

    def get(self, key: str) -> object:
        """The value, None where it is missing."""
        return self.values.get(key)

    def _need(self, key: str, wanted: type | tuple[type, ...], description: str) -> object:
        if key not in self:
            raise self.error(key, f"is missing; {description} is needed")
        value = self.values[key]
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise self.error(key, f"is {_type_name(value)} where {description} is needed")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A text of at most 1,000 characters."""
        if default is not None and key not in self:
            return default
        value = self._need(key, str, "a text")
        assert isinstance(value, str)  # noqa: S101 -- for the type checker: _need has checked it
        if len(value) > 1000:
            raise self.error(key, "is longer than 1000 characters")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """A truth value."""
        if key not in self:
            return default
        return bool(self._need(key, bool, "true or false"))

    def integer(self, key: str, default: int | None = None, *, low: int = 1, high: int = MAX_SIZE) -> int:
        """A whole number within [low, high]."""
        if default is not None and key not in self:
            return default
        return self._whole(key, self._need(key, (int, float), "a whole number"), low, high)

    def _whole(self, key: str, value: object, low: int, high: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            raise self.error(key, f"{value!r} is not a whole number")
        if not low <= value <= high:
            raise self.error(key, f"{value!r} is outside {low} to {high}")
        return int(value)

    def integers(self, key: str, count: int, default: int | None = None, *, low: int = 1) -> tuple[int, ...]:
        """``count`` whole numbers from a list, or one number for all of them."""
        if default is not None and key not in self:
            return (default,) * count
        value = self._need(key, (int, list), f"a list of {count} whole numbers")
        values = value if isinstance(value, list) else [value] * count
        if len(values) != count:
            raise self.error(key, f"has {len(values)} entries where {count} are needed")
        return tuple(self._whole(key, entry, low, MAX_SIZE) for entry in values)

    def dims(self, key: str, *, low: int = 1) -> tuple[int, ...]:
        """A list of one to four whole numbers."""
        values = self._need(key, list, "a list of sizes")
        assert isinstance(values, list)  # noqa: S101 -- for the type checker: _need has checked it
        if not 1 <= len(values) <= 4:
            raise self.error(key, f"has {len(values)} sizes; 1 to 4 are supported")
        return tuple(self._whole(key, value, low, MAX_SIZE) for value in values)

    def record(self, key: str) -> Record:
        """An object; empty where it is missing."""
        if key not in self:
            return Record({}, f"{self.where}: {key}")
        value = self._need(key, dict, "an object")
        assert isinstance(value, dict)  # noqa: S101 -- for the type checker: _need has checked it
        return Record(value, f"{self.where}: {key}")

    def records(self, key: str) -> list[Record]:
        """A list of objects."""
        values = self._need(key, list, "a list of objects")
        assert isinstance(values, list)  # noqa: S101 -- for the type checker: _need has checked it
        for index, value in enumerate(values):
            if not isinstance(value, dict):
                raise self.error(f"{key}[{index}]", f"is {_type_name(value)} where an object is needed")
        return [Record(value, f"{self.where}: {key}[{index}]") for index, value in enumerate(values)]

    def numbers(self, key: str) -> list[float]:
        """The finite numbers of a list or of lists in lists, in order; empty where it is missing."""
        if key not in self:
            return []
        values = self._need(key, list, "a list of numbers")
        found: list[float] = []
        waiting = [values]
        while waiting:
            value = waiting.pop()
            if isinstance(value, list):
                waiting.extend(reversed(value))
            elif isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
                raise self.error(key, f"holds {value!r:.80} where a number is needed")
            else:
                found.append(float(value))
        return found

    def texts(self, key: str) -> list[str]:
        """A list of texts; empty where it is missing."""
        if key not in self:
            return []
        values = self._need(key, list, "a list of texts")
        assert isinstance(values, list)  # noqa: S101 -- for the type checker: _need has checked it
        if not all(isinstance(value, str) for value in values):
            raise self.error(key, "holds an entry that is not text")
        return values
