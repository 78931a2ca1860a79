"""What a term of a resource model is: something that is built, counted in bits or instances, whose price is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from functools import wraps
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

from codesign.kpi.template_model import FloatArray
from codesign.network.hls_model import Kind

PartT = TypeVar("PartT", bound=Sized)
ArrayT = TypeVar("ArrayT", bound=NDArray[Any])


def once(count: Callable[[PartT], ArrayT]) -> Callable[[PartT], ArrayT]:
    """Keep what ``count`` finds with the part that it looked at: many terms share a mask."""
    key = f"_once_{count.__module__}_{count.__name__}"

    @wraps(count)
    def kept(part: PartT) -> ArrayT:
        found: ArrayT | None = part.__dict__.get(key)
        if found is None:
            found = part.__dict__[key] = count(part)
        return found

    return kept


@dataclass(frozen=True)
class Term(Generic[PartT]):
    """One term.

    Attributes:
        per: what its price is for one of: ``bit``, ``instance``, ``LUT`` (already counted in LUT).
        meaning: what is built.
        count: how many, from the part of the design that it looks at; one value for each unit or row.
        kinds: layers that can have it; empty: any.
    """

    per: str
    meaning: str
    count: Callable[[PartT], FloatArray]
    kinds: tuple[Kind, ...] = ()


Terms = Mapping[str, Term[PartT]]
