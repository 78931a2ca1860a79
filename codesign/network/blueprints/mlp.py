"""`mlp`: fully connected layers on the flattened input."""

from __future__ import annotations

from codesign.network.blueprints.blueprint import Blueprint, ParameterList, load_space_file
from codesign.network.table_builder import TableBuilder
from codesign.space.columns import Columns
from codesign.space.parameters import Parameter

MAX_HIDDEN = 3


def _parameters() -> tuple[Parameter, ...]:
    parameters = ParameterList("mlp", DOMAINS)
    parameters.add("hidden_layers")
    for number in range(1, MAX_HIDDEN + 1):
        when = parameters.at_least("hidden_layers", number)
        for name in ("width", "weight_bits", "activation_bits"):
            parameters.add(f"hidden{number}_{name}", name, when=when)
    parameters.add("head_weight_bits", "weight_bits")
    return parameters.collected()


def _write(builder: TableBuilder, columns: Columns) -> None:
    x = builder.input(builder.shape.as_image())
    for number in range(1, MAX_HIDDEN + 1):
        x = builder.dense(
            f"hidden{number}",
            x,
            features=columns.integers(f"hidden{number}_width"),
            weight_bits=columns.integers(f"hidden{number}_weight_bits"),
            output_bits=columns.integers(f"hidden{number}_activation_bits"),
            relu=True,
            active=columns.integers("hidden_layers") >= number,
        )
    builder.dense("head", x, features=builder.shape.classes, weight_bits=columns.integers("head_weight_bits"), output_bits=None, relu=False)


DOMAINS = load_space_file("mlp")
BLUEPRINT = Blueprint("mlp", DOMAINS.description, _parameters(), _write)
