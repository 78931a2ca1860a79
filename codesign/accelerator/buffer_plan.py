"""Where the feature maps lie: lives of tensors, which of them meet, and places that do not overlap.

The same lives serve the activation buffer (maps stay on chip) and external memory (maps are streamed). Sizes and places
are in activation words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import networkx as nx

from codesign.network.layers import LayerGraph, Op

SEARCH_NODES = 20_000
"""Places that the search tries before it gives up; the built-in blueprints need fewer than two a tensor."""


@dataclass(frozen=True)
class TensorLife:
    """When a tensor is held.

    Attributes:
        name: of the layer that makes it.
        words: its size.
        birth, death: positions in the graph of that layer and of the last one that reads it.
        hosts: tensors that end where this one begins, whose place it may take (operands of an add).
    """

    name: str
    words: int
    birth: int
    death: int
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class BufferPlan:
    """Places of tensors.

    Attributes:
        places: first word by tensor.
        words: words from the first of all to the last of all.
    """

    places: Mapping[str, int]
    words: int


def tensor_lives(graph: LayerGraph, words: Mapping[str, int], *, in_place: bool) -> tuple[TensorLife, ...]:
    """Lives of the tensors that ``words`` names, in the order of their birth.

    Args:
        graph: the network.
        words: size by layer name.
        in_place: an add may write onto an operand that ends there.
    """
    position = {layer.name: number for number, layer in enumerate(graph)}
    death = {name: max((position[reader] for reader in graph.graph.successors(name)), default=position[name]) for name in position}
    lives = []
    for layer in graph:
        if layer.name in words:
            operands = {source.name for source in graph.predecessors(layer)} if in_place and layer.op is Op.ADD else set()
            hosts = tuple(sorted(name for name in operands if death[name] == position[layer.name]))
            lives.append(TensorLife(layer.name, words[layer.name], position[layer.name], death[layer.name], hosts))
    return tuple(lives)


def peak_words(lives: tuple[TensorLife, ...]) -> int:
    """Words held at the worst moment; no placement can do with fewer."""
    moments = {own.birth for own in lives}
    return max(sum(own.words for own in lives if own.birth <= moment <= own.death and not (own.hosts and own.birth == moment)) for moment in moments)


def interference(lives: tuple[TensorLife, ...]) -> nx.Graph:
    """Graph of the tensors (node attribute ``words``) with an edge between any two that are held at the same time."""
    meeting = nx.Graph()
    for number, own in enumerate(lives):
        meeting.add_node(own.name, words=own.words)
        for other in lives[:number]:
            if own.birth <= other.death and other.birth <= own.death:
                meeting.add_edge(own.name, other.name)
    return meeting


def first_fit(lives: tuple[TensorLife, ...]) -> BufferPlan:
    """Each tensor at the lowest place that is free, without a bound."""
    meeting = interference(lives)
    places: dict[str, int] = {}
    for own in lives:
        places[own.name] = min(low for low, high in _gaps(own, meeting, places, None) if high - low >= own.words)
    return _plan(lives, places)


def two_ended(lives: tuple[TensorLife, ...], capacity: int) -> BufferPlan | None:
    """Places within ``capacity`` words, or None where the search finds none.

    A tensor goes into the place of an operand that ends, else to an end of a gap, the outermost first: a chain alternates
    between the two ends of the buffer, and what is held longer lies beside the one end while the chain goes on.
    """
    meeting = interference(lives)
    places: dict[str, int] = {}
    choices: list[Iterator[int]] = []
    for _ in range(SEARCH_NODES):
        if len(places) == len(lives):
            return _plan(lives, places)
        own = lives[len(places)]
        if len(choices) == len(places):
            choices.append(iter(_candidates(own, meeting, places, capacity)))
        place = next(choices[-1], None)
        if place is not None:
            places[own.name] = place
            continue
        choices.pop()
        if not choices:
            return None
        del places[lives[len(choices) - 1].name]
    return None


def _plan(lives: tuple[TensorLife, ...], places: dict[str, int]) -> BufferPlan:
    return BufferPlan(places, max(places[own.name] + own.words for own in lives))


def _candidates(own: TensorLife, meeting: nx.Graph, places: dict[str, int], capacity: int) -> list[int]:
    """Places to try, best first."""
    hosts = [places[host] for host in own.hosts]
    ends = []
    for low, high in _gaps(own, meeting, places, capacity):
        if high - low >= own.words:
            ends += [low, high - own.words]
    outermost = sorted(dict.fromkeys(ends), key=lambda place: min(place, capacity - place - own.words))
    return list(dict.fromkeys(hosts + outermost))


def _gaps(own: TensorLife, meeting: nx.Graph, places: dict[str, int], capacity: int | None) -> Iterator[tuple[int, int]]:
    """Free ranges of words while a tensor is held; without a capacity the last one takes any tensor."""
    taken = sorted((places[name], places[name] + meeting.nodes[name]["words"]) for name in meeting.neighbors(own.name) if name in places)
    low = 0
    for begin, end in taken:
        if begin > low:
            yield low, begin
        low = max(low, end)
    yield low, low + own.words if capacity is None else capacity
