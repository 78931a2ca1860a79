"""Strict TOML to frozen dataclasses: an unknown key, a missing unit or a missing source is an error with file and key."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform

from codesign.errors import InputError

RecordT = TypeVar("RecordT")
UNKNOWN_KEY = frozenset({"unexpected_keyword_argument", "extra_forbidden"})


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[RecordT]) -> type[RecordT]:
    """Make ``cls`` a frozen keyword-only dataclass that `parse_record` reads strictly."""
    made = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    made.__pydantic_config__ = {"extra": "forbid", "strict": True, "allow_inf_nan": False}  # type: ignore[attr-defined]  # pydantic's documented hook on plain dataclasses
    return made


@record
class Quantity:
    """A number with its unit and its source.

    Attributes:
        value: the number.
        unit: its unit; ``"1"`` for a pure number.
        source: paper, data sheet, vendor guide or measured data set.
        rows: number of measured rows behind a fitted value.
        error: relative error of a fitted or quoted value (0.1 = 10 %).
        note: anything a reader must know before using it.
    """

    value: float
    unit: str
    source: str
    rows: int | None = None
    error: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        for key in ("unit", "source"):
            if not getattr(self, key).strip():
                raise ValueError(f"{key} must not be empty")


def read_toml(path: Path) -> dict[str, Any]:
    """Read one TOML file.

    Raises:
        InputError: the file is missing, unreadable or not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError("no such file", where=str(path), remedy="Check the path, or make one with `codesign init`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path), remedy="Check permissions and encoding (UTF-8)") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not valid TOML: {error}", where=str(path), remedy="Correct the line named") from None


def load_record(path: Path, cls: type[RecordT]) -> RecordT:
    """Read a TOML file as an instance of a `record` class.

    Raises:
        InputError: unreadable file, unknown key, missing key, wrong type, or a value the class refuses.
    """
    return parse_record(read_toml(path), cls, where=str(path))


def parse_record(data: dict[str, Any], cls: type[RecordT], *, where: str) -> RecordT:
    """Turn parsed TOML into an instance of a `record` class; ``where`` begins each error message.

    Raises:
        InputError: unknown key, missing key, wrong type, or a value the class refuses.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        document = json.dumps(data, allow_nan=False)
    except (TypeError, ValueError):
        raise InputError(_unsupported(data), where=where, remedy="Use finite numbers, text, true/false, lists and tables") from None
    try:
        return TypeAdapter(cls).validate_json(document)
    except ValidationError as error:
        # A misspelt key also makes the right one missing: the misspelling is what the user has to see.
        first = min(error.errors(include_url=False), key=lambda item: item["type"] not in UNKNOWN_KEY)
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(
            _explain(first["type"], first["msg"], first.get("input")), where=f"{where}: {key}" if key else where, remedy=_remedy(first["type"], cls)
        ) from None


def _explain(kind: str, message: str, value: Any) -> str:
    if kind in UNKNOWN_KEY:
        return "unknown key"
    if kind in {"missing", "missing_argument"}:
        return "missing key"
    text = message.removeprefix("Value error, ")
    shown = "" if isinstance(value, dict) else f" (got {json.dumps(value)[:80]})"
    return f"{text[:1].lower()}{text[1:]}{shown}"


def _remedy(kind: str, cls: type[Any]) -> str:
    names = ", ".join(field.name for field in dataclasses.fields(cls))
    if kind in UNKNOWN_KEY:
        return f"Remove it or correct its spelling; keys at the top level: {names}"
    if kind in {"missing", "missing_argument"}:
        return "Add it"
    return "Correct the value"


def _unsupported(data: object, key: str = "") -> str:
    """Name the first value that has no place in a record (a date, an infinity)."""
    if isinstance(data, dict):
        children = [(f"{key}.{name}" if key else str(name), item) for name, item in data.items()]
    elif isinstance(data, list):
        children = [(f"{key}.{number}", item) for number, item in enumerate(data)]
    else:
        children = []
    for name, item in children:
        found = _unsupported(item, name)
        if found:
            return found
    if isinstance(data, float) and not math.isfinite(data):
        return f"{key}: {data} is not a finite number"
    if not isinstance(data, str | int | float | bool | dict | list):
        return f"{key}: a {type(data).__name__} has no place here"
    return ""
