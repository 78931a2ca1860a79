"""The joint space that is shipped as a table: whole, of the format, and what the product says of the same designs today."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyarrow import parquet
from scipy.stats import spearmanr

from codesign.search.evaluation import task_of, train_design
from codesign.search.shipped_tables import find_table
from codesign.search.specification import StudySpecification, load_specification
from codesign.search.table_problem import TableProblem, read_table_problem
from tools.build_joint_table import (
    STUDY,
    TRAININGS,
    Training,
    everything,
    facts,
    finished,
    network_points,
    numbers,
    outcome_of,
    repeat,
    train_missing,
    training_requests,
    write_table,
)

LARGEST_BYTES = 2_000_000
RETRAINED = 2
# Another processor or library adds in another order: some pictures near the border change sides.
RETRAINING_TOLERANCE = 0.02


@pytest.fixture(scope="module")
def path() -> Path:
    return find_table("digits_joint")


@pytest.fixture(scope="module")
def table(path: Path) -> pa.Table:
    return parquet.read_table(path)


@pytest.fixture(scope="module")
def problem(path: Path) -> TableProblem:
    return read_table_problem(path)


@pytest.fixture(scope="module")
def specification() -> StudySpecification:
    return load_specification(STUDY)


def column(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(table[name].to_numpy(), dtype=np.float64)


def test_the_file_is_small(path: Path) -> None:
    assert path.stat().st_size <= LARGEST_BYTES


def test_the_metadata_say_kinds_domains_and_directions(table: pa.Table) -> None:
    metadata = {key: json.loads(table.schema.metadata[key.encode()]) for key in ("kinds", "domains", "directions")}
    parameters = [name for name in table.column_names if name.startswith("x_")]
    assert metadata["kinds"] == dict.fromkeys(parameters, "ordinal")
    assert [f"x_{name}" for name in metadata["domains"]] == parameters
    assert metadata["directions"] == {"y_accuracy": "max", "y_latency_us": "min", "y_energy_uj": "min"}


def test_every_combination_is_there_once(table: pa.Table) -> None:
    domains = json.loads(table.schema.metadata[b"domains"])
    indices = np.stack([table[f"x_{name}"].to_numpy() for name in domains], axis=1)
    sizes = np.array([len(values) for values in domains.values()])
    assert indices.dtype.kind == "i"
    assert (indices >= 0).all() and (indices < sizes).all()
    assert len(np.unique(indices, axis=0)) == len(indices) == sizes.prod()


def test_the_columns_are_those_of_the_study(table: pa.Table, specification: StudySpecification) -> None:
    space, designs = specification.joint_space().space, everything(specification.joint_space())
    varied = {name: list(values) for name, values in specification.space.items() if len(values) > 1}
    assert json.loads(table.schema.metadata[b"domains"]) == varied
    for name in varied:
        np.testing.assert_array_equal(table[f"x_{name}"].to_numpy(), designs[:, space.column(name)])


def test_the_numbers_are_those_of_todays_models(table: pa.Table, specification: StudySpecification) -> None:
    designs = everything(specification.joint_space())
    found = numbers(specification, designs, column(table, "y_accuracy"))
    assert set(found) == {name for name in table.column_names if not name.startswith("x_")}
    for name, values in found.items():
        np.testing.assert_allclose(column(table, name), values, rtol=1e-12, err_msg=f"{name} is stale: python tools/build_joint_table.py")


def test_accuracy_depends_on_the_network_alone(table: pa.Table, specification: StudySpecification) -> None:
    networks, which = network_points(specification.joint_space(), everything(specification.joint_space()))
    accuracy = column(table, "y_accuracy")
    first = accuracy[np.unique(which, return_index=True)[1]]
    np.testing.assert_array_equal(accuracy, first[which])
    # Trained networks, not a formula: neither all alike nor below chance.
    assert len(np.unique(first)) > 50
    assert first.min() > 0.5
    assert len(networks) > 1000


def test_networks_trained_again_reach_the_same_accuracy(table: pa.Table, specification: StudySpecification, tmp_path: Path) -> None:
    networks, which = network_points(specification.joint_space(), everything(specification.joint_space()))
    task = task_of(specification.task, None)
    requests = training_requests(specification, tmp_path)
    for number in np.random.default_rng(5).choice(len(networks), RETRAINED, replace=False):
        name = networks[number].id
        train_design(requests[name])
        again = outcome_of(requests[name], tmp_path / name, 0.0)
        accuracy = (again["validation"] + again["test"]) / (len(task.validation) + len(task.test))
        stated = column(table, "y_accuracy")[which == number]
        assert accuracy == pytest.approx(stated[0], abs=RETRAINING_TOLERANCE)


def test_limits_bind_for_some_rows_and_not_for_most(problem: TableProblem, table: pa.Table) -> None:
    assert 0.6 <= problem.feasible.mean() <= 0.9
    for name in (name for name in table.column_names if name.startswith("c_")):
        assert 0.0 < (column(table, name) > 0.0).mean() < 0.5


def test_weights_wider_than_the_array_are_infeasible(table: pa.Table, problem: TableProblem, specification: StudySpecification) -> None:
    space, designs = specification.joint_space().space, everything(specification.joint_space())
    widths = np.stack([space.values(designs, f"mlp.{layer}_weight_bits") for layer in ("hidden1", "hidden2", "head")])
    too_wide = widths.max(axis=0) > space.values(designs, "pe_array.weight_bits")
    np.testing.assert_array_equal(column(table, "c_weight_bits") > 0.0, too_wide)
    assert not problem.feasible[too_wide].any()


@pytest.mark.parametrize(("name", "least"), [("latency_us", 0.9), ("energy_uj", 0.9), ("accuracy", 0.3)])
def test_priors_rank_designs_and_are_not_the_values(table: pa.Table, name: str, least: float) -> None:
    prior, true = column(table, f"p_{name}"), column(table, f"y_{name}")
    assert least < spearmanr(prior, true).statistic < 0.999
    assert np.median(np.abs(prior / true - 1.0)) > 0.03


def test_the_notes_say_what_the_table_holds(path: Path) -> None:
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    for name, value in facts(path).items():
        assert f"| {name} | {value} |" in text


@pytest.fixture
def two_networks(specification: StudySpecification) -> StudySpecification:
    single = {name: values[-1:] for name, values in specification.space.items()}
    return replace(specification, space=single | {"mlp.hidden1_width": specification.space["mlp.hidden1_width"][:2], "pe_array.rows": (4, 8)})


def test_an_interrupted_build_goes_on_where_it_stopped(two_networks: StudySpecification, tmp_path: Path) -> None:
    whole = train_missing(two_networks, tmp_path / "whole", jobs=1)
    assert len(whole) == 2
    kept, lost = whole
    # A result that no training gives: it must be taken as it is, and the line that was cut off must be made again.
    odd = Training(**whole[kept] | {"test": 1})
    cut = json.dumps({"network": lost, **whole[lost]})[:30]
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / TRAININGS).write_text(json.dumps({"network": kept, **odd}) + "\n" + cut, encoding="utf-8")
    again = train_missing(two_networks, tmp_path / "cut", jobs=1)
    assert again[kept] == odd
    assert {**again[lost], "seconds": 0.0} == {**whole[lost], "seconds": 0.0}
    assert finished(tmp_path / "cut") == again


def test_networks_are_repeated_from_another_seed(two_networks: StudySpecification, tmp_path: Path) -> None:
    trained = train_missing(two_networks, tmp_path, jobs=1)
    again = training_requests(two_networks, tmp_path, replicate=1)
    assert all(again[name].seed != trained[name]["seed"] for name in trained)
    pairs = repeat(two_networks, trained, tmp_path, jobs=1)
    assert sorted(pairs[:, 0]) == sorted(row["validation"] + row["test"] for row in trained.values())
    assert (pairs[:, 0] != pairs[:, 1]).any()
    assert not list((tmp_path / "repeated").iterdir())


def test_a_table_is_written_with_its_trainings(two_networks: StudySpecification, tmp_path: Path) -> None:
    joint = two_networks.joint_space()
    designs = everything(joint)
    networks, which = network_points(joint, designs)
    rights = (300, 600)
    rows = (Training(seed=1, validation=100, test=right - 100, seconds=0.0) for right in rights)
    trained = {network.id: row for network, row in zip(networks, rows, strict=True)}
    write_table(two_networks, trained, tmp_path / "small.parquet")
    made = parquet.read_table(tmp_path / "small.parquet")
    assert [name for name in made.column_names if name.startswith("x_")] == ["x_mlp.hidden1_width", "x_pe_array.rows"]
    samples = sum(len(getattr(task_of("digits", None), split)) for split in ("validation", "test"))
    np.testing.assert_array_equal(column(made, "y_accuracy"), np.array(rights)[which] / samples)
