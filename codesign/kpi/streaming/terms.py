"""What a term of a resource model is: something that is built, counted in bits or instances, whose price is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from typing import Generic, TypeVar

from codesign.kpi.template_model import FloatArray
from codesign.network.hls_model import Kind

PartT = TypeVar("PartT", bound=Sized)


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
