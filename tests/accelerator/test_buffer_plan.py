"""Places of feature maps: none overlaps another that lives at the same time, and the search reaches the peak."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.accelerator.buffer_plan import BufferPlan, TensorLife, first_fit, interference, peak_words, tensor_lives, two_ended
from codesign.accelerator.pe_array_layers import map_shape
from codesign.network.blueprints.blueprint import find_blueprint
from codesign.network.deployed import DeployedNetwork
from codesign.network.layers import LayerGraph
from codesign.network.table_builder import TaskShape
from codesign.space.design_space import DesignSpace

KEYWORDS = TaskShape((101, 40), 12, 8, True)


def assert_sound(lives: tuple[TensorLife, ...], plan: BufferPlan, room: int) -> None:
    """Compare all pairs at all moments."""
    assert plan.words <= room and min(plan.places.values()) >= 0
    for moment in range(max(own.death for own in lives) + 1):
        taken: dict[int, str] = {}
        for own in lives:
            if own.birth <= moment <= own.death:
                for word in range(plan.places[own.name], plan.places[own.name] + own.words):
                    other = taken.setdefault(word, own.name)
                    same_place = other in own.hosts and own.birth == moment and plan.places[other] == plan.places[own.name]
                    assert other == own.name or same_place, (moment, own.name, other)


def lives_of(graph: LayerGraph, columns: int, *, in_place: bool) -> tuple[TensorLife, ...]:
    words = {layer.name: map_shape(graph, layer, columns).words for layer in graph if layer.name != graph.output.name}
    return tensor_lives(graph, words, in_place=in_place)


def test_a_chain_alternates_between_the_ends() -> None:
    lives = tuple(TensorLife(name, words, birth, birth + 1, ()) for birth, (name, words) in enumerate([("a", 5), ("b", 7), ("c", 4), ("d", 6)]))
    plan = two_ended(lives, 12)
    assert plan is not None and plan.places == {"a": 0, "b": 5, "c": 0, "d": 6}


def test_a_tensor_that_is_held_longer_lies_beside_the_chain() -> None:
    lives = (TensorLife("a", 4, 0, 3, ()), TensorLife("b", 6, 1, 2, ()), TensorLife("c", 4, 2, 3, ()), TensorLife("sum", 4, 3, 4, ("a", "c")))
    plan = two_ended(lives, 14)
    assert plan is not None and peak_words(lives) == 14
    assert_sound(lives, plan, 14)
    assert plan.places["sum"] in (plan.places["a"], plan.places["c"])


def test_one_word_less_than_the_peak_is_too_little() -> None:
    lives = (TensorLife("a", 4, 0, 1, ()), TensorLife("b", 6, 1, 2, ()))
    assert peak_words(lives) == 10 and two_ended(lives, 10) is not None and two_ended(lives, 9) is None


def test_the_search_goes_back_on_a_choice() -> None:
    # c goes to word 1, nearer to an end than word 2, until d finds no two words in a row.
    lives = (TensorLife("a", 1, 0, 2, ()), TensorLife("b", 1, 1, 3, ()), TensorLife("c", 1, 2, 3, ()), TensorLife("d", 2, 3, 4, ()))
    plan = two_ended(lives, 4)
    assert plan is not None and plan.places == {"a": 0, "b": 3, "c": 2, "d": 0}


@pytest.mark.parametrize("blueprint", ["mlp", "tcresnet", "dscnn"])
def test_networks_fit_a_buffer_of_their_peak(blueprint: str) -> None:
    found = find_blueprint(blueprint)
    space = DesignSpace(found.parameters)
    table = found.table(space, space.sample(40, np.random.default_rng(1)), KEYWORDS)
    for row in range(40):
        for columns in (6, 8):
            lives = lives_of(table.graph(row), columns, in_place=True)
            plan = two_ended(lives, peak_words(lives))
            assert plan is not None and plan.words <= peak_words(lives)
            places = [(plan.places[own.name], plan.places[own.name] + own.words, own) for own in lives]
            for one, other in interference(lives).edges:
                (a, a_end, first), (b, b_end, second) = (next(place for place in places if place[2].name == name) for name in (one, other))
                assert a_end <= b or b_end <= a or (a == b and (first.name in second.hosts or second.name in first.hosts))


def test_first_fit_uses_places_again() -> None:
    lives = tuple(TensorLife(str(birth), 3 + birth % 3, birth, birth + 1, ()) for birth in range(9))
    plan = first_fit(lives)
    assert_sound(lives, plan, sum(own.words for own in lives))
    assert plan.words < sum(own.words for own in lives) / 2


def test_an_add_writes_only_onto_what_ends_there(residual_network: DeployedNetwork) -> None:
    graph = residual_network.graph
    lives = {own.name: own for own in lives_of(graph, 8, in_place=True)}
    assert lives["join"].hosts == ("branch", "shortcut")
    assert all(own.hosts == () for own in lives_of(graph, 8, in_place=False))
    assert lives["stem"].death == [layer.name for layer in graph].index("shortcut")
