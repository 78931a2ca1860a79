"""Tables that are shipped."""

from __future__ import annotations

import pytest

from codesign.errors import InputError
from codesign.search.shipped_tables import find_table, table_names
from codesign.search.table_problem import read_table_problem


@pytest.mark.parametrize("name", table_names())
def test_every_table_is_a_problem_and_has_notes(name: str) -> None:
    path = find_table(name)
    assert read_table_problem(path).true_hypervolume > 0.0
    assert path.with_suffix(".md").is_file()


def test_the_joint_table_is_there() -> None:
    assert "digits_joint" in table_names()


@pytest.mark.parametrize("name", ["digits", "digits_joint.parquet", "../tables/digits_joint", ""])
def test_an_unknown_table_is_told_with_those_there_are(name: str) -> None:
    with pytest.raises(InputError, match="unknown table .* Choose from .*digits_joint"):
        find_table(name)
