"""Tables as search problems: what is read, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from codesign.errors import InputError
from codesign.search import pareto, table_problem
from codesign.search.table_problem import LARGEST_INDEX, read_table_problem
from codesign.space.parameters import ParameterKind

KINDS = {"x_width0": "ordinal", "x_width1": "ordinal", "x_kind": "categorical"}
DIRECTIONS = {"y_accuracy": "max", "y_latency": "min", "y_power": "min"}


def columns() -> dict[str, object]:
    """Five rows; the last measures the first one's design again, the fourth breaks the constraint."""
    return {
        "x_width0": [0, 1, 2, 2, 0],
        "x_width1": [0, 0, 1, 2, 0],
        "x_kind": [0, 2, 1, 1, 0],
        "y_accuracy": [0.5, 0.7, 0.8, 0.99, 0.9],
        "y_latency": [1.0, 2.0, 3.0, 0.1, 4.0],
        "y_power": [1.0, 0.0, 3.0, 4.0, 2.0],
        "c_area": [-1.0, 0.0, -2.0, 0.5, -1.0],
        "p_latency": [1.1, 2.2, 3.3, 4.4, 9.9],
    }


def write(path: Path, data: dict[str, object] | None = None, *, metadata: dict[str, str] | None = None) -> Path:
    plain = {"kinds": json.dumps(KINDS), "directions": json.dumps(DIRECTIONS)}
    parquet.write_table(pyarrow.table(columns() if data is None else data).replace_schema_metadata(plain if metadata is None else metadata), path)
    return path


def test_a_table_becomes_a_problem(tmp_path: Path) -> None:
    table = read_table_problem(write(tmp_path / "t.parquet"))
    problem = table.problem
    assert [parameter.name for parameter in problem.space.parameters] == ["width0", "width1", "kind"]
    assert [parameter.kind for parameter in problem.space.parameters] == [ParameterKind.ORDINAL, ParameterKind.ORDINAL, ParameterKind.CATEGORICAL]
    assert [(one.name, one.maximise, one.log, one.evaluated) for one in problem.objectives] == [
        ("accuracy", False, True, True),
        ("latency", False, True, True),
        ("power", False, False, True),
    ]
    assert [constraint.name for constraint in problem.constraints] == ["area"]
    assert problem.volume.natural
    assert problem.volume.observed
    assert problem.listed is not None
    np.testing.assert_array_equal(problem.listed, [[0, 0, 0], [1, 0, 2], [2, 1, 1], [2, 2, 1]])


def test_prices_are_the_priors_of_the_first_measurement(tmp_path: Path) -> None:
    table = read_table_problem(write(tmp_path / "t.parquet"))
    priced = table.problem.price(table.indices)
    np.testing.assert_array_equal(priced.prior[:, 1], [1.1, 2.2, 3.3, 4.4, 1.1])
    assert np.isnan(priced.prior[:, [0, 2]]).all()
    assert priced.feasible.all()


def test_a_prior_errs_by_a_share_of_itself_or_of_its_spread(tmp_path: Path) -> None:
    """Latency is positive; a power of 0 is not, so that its error has its own unit."""
    prior = [1.0, 2.0, 3.0, 4.0, 9.0]
    table = read_table_problem(write(tmp_path / "t.parquet", columns() | {"p_power": prior}))
    error = table.problem.price(table.indices).prior_error
    np.testing.assert_allclose(error[:, 1], 0.3)
    np.testing.assert_allclose(error[:, 2], 0.3 * np.std(prior))


def test_features_are_totals_over_parameters_that_repeat(tmp_path: Path) -> None:
    table = read_table_problem(write(tmp_path / "t.parquet"))
    np.testing.assert_allclose(table.problem.price(table.indices).features, [[0.0], [0.5], [1.5], [2.0], [0.0]])
    named = {"x_op0": "categorical", "x_op1": "categorical"}
    data = {"x_op0": [0, 1, 2], "x_op1": [1, 1, 2], "y_a": [1.0, 2.0, 3.0], "y_b": [3.0, 2.0, 1.0]}
    path = write(tmp_path / "k.parquet", data, metadata={"kinds": json.dumps(named), "directions": json.dumps({"y_a": "max", "y_b": "min"})})
    shares = read_table_problem(path)
    np.testing.assert_allclose(shares.problem.price(shares.indices).features, [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def test_an_evaluation_gives_the_first_of_several_measurements(tmp_path: Path) -> None:
    table = read_table_problem(write(tmp_path / "t.parquet"))
    np.testing.assert_array_equal(table.rows(table.indices), [0, 1, 2, 3, 0])


def test_the_true_front_is_of_all_feasible_rows(tmp_path: Path) -> None:
    table = read_table_problem(write(tmp_path / "t.parquet"))
    np.testing.assert_array_equal(table.feasible, [True, True, True, False, True])
    np.testing.assert_allclose(table.reference, [0.51, 4.0, 3.0])
    natural = np.array([columns()["y_accuracy"], columns()["y_latency"], columns()["y_power"]], dtype=np.float64).T
    volume = pareto.hypervolume(natural[[0, 1, 2, 4]], np.array([0.5, 4.0, 3.0]), np.array([True, False, False]))
    assert table.true_hypervolume == pytest.approx(volume)


def test_a_share_is_told_as_what_it_falls_short_by(tmp_path: Path) -> None:
    """Prior and value alike; a maximised quantity that leaves 0 to 1 is told as it is, and so is a share to be minimised."""
    table = read_table_problem(write(tmp_path / "t.parquet", columns() | {"p_accuracy": [0.4, 0.6, 0.7, 1.0, 0.9]}))
    np.testing.assert_allclose(table.values[:, 0], [0.51, 0.31, 0.21, 0.02, 0.11])
    np.testing.assert_allclose(table.problem.price(table.indices).prior[:4, 0], [0.61, 0.41, 0.31, 0.01])
    percent = read_table_problem(write(tmp_path / "p.parquet", columns() | {"y_accuracy": [50.0, 70.0, 80.0, 99.0, 90.0]}))
    assert percent.problem.objectives[0].maximise
    np.testing.assert_array_equal(percent.values[:, 0], [50.0, 70.0, 80.0, 99.0, 90.0])
    power = read_table_problem(write(tmp_path / "s.parquet", columns() | {"y_power": [0.1, 0.2, 0.3, 0.4, 0.5]}))
    np.testing.assert_array_equal(power.values[:, 2], [0.1, 0.2, 0.3, 0.4, 0.5])


def test_the_curve_counts_feasible_designs_only(tmp_path: Path) -> None:
    table = read_table_problem(write(tmp_path / "t.parquet"))
    designs = table.indices[[3, 2, 1]]
    curve = table.curve(designs)
    assert curve[0] == 0.0
    assert curve[1] == 0.0
    assert curve[2] == pytest.approx(0.2 * 2.0 * 3.0 / table.true_hypervolume)
    assert len(table.curve(designs[:0])) == 0


def test_objectives_are_chosen_in_order(tmp_path: Path) -> None:
    table = read_table_problem(write(tmp_path / "t.parquet"), ["latency", "accuracy"])
    assert [objective.name for objective in table.problem.objectives] == ["latency", "accuracy"]
    np.testing.assert_allclose(table.values[0], [1.0, 0.51])


def without(*names: str) -> dict[str, object]:
    return {name: values for name, values in columns().items() if name not in names}


Case = tuple[dict[str, object], str]
WRONG: dict[str, Case] = {
    "no parameter": (without("x_width0", "x_width1", "x_kind"), "no column begins with x_"),
    "no rows": ({name: [] for name in columns()}, "no rows"),
    "text": ({**columns(), "y_power": ["a", "b", "c", "d", "e"]}, "y_power holds string, not numbers"),
    "missing": ({**columns(), "y_power": [1.0, None, 2.0, 3.0, 4.0]}, "y_power has 1 values that are missing or not finite"),
    "infinite prior": ({**columns(), "p_latency": [1.0, np.inf, 2.0, 3.0, 4.0]}, "p_latency has 1 values"),
    "fraction": ({**columns(), "x_width0": [0.0, 0.5, 1.0, 2.0, 0.0]}, "x_width0 is not an index: it has 0 to 2"),
    "negative": ({**columns(), "x_width0": [0, -1, 1, 2, 0]}, "x_width0 is not an index: it has -1 to 2"),
    "too large": ({**columns(), "x_width0": [0, LARGEST_INDEX + 1, 1, 2, 0]}, f"Store integers from 0 to {LARGEST_INDEX}"),
    "nothing feasible": ({**columns(), "c_area": [1.0] * 5}, "no row holds every constraint"),
    "constant": ({**columns(), "y_power": [1.0, 1.0, 1.0, 2.0, 1.0]}, "y_power is the same in every feasible row"),
    "one objective": (without("y_power", "y_latency", "p_latency"), "Give 2 to 5 different objectives"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_table_is_refused(name: str, tmp_path: Path) -> None:
    data, message = WRONG[name]
    with pytest.raises(InputError, match=message):
        read_table_problem(write(tmp_path / "t.parquet", data))


METADATA: dict[str, tuple[dict[str, str], str]] = {
    "no kinds": ({"directions": json.dumps(DIRECTIONS)}, "its metadata lack 'kinds'"),
    "no json": ({"kinds": "{", "directions": json.dumps(DIRECTIONS)}, "its metadata 'kinds' are not JSON"),
    "no object": ({"kinds": "[]", "directions": json.dumps(DIRECTIONS)}, "its metadata 'kinds' are not a JSON object"),
    "another kind": ({"kinds": json.dumps({**KINDS, "x_kind": "odd"}), "directions": json.dumps(DIRECTIONS)}, "'kinds' say 'odd' of x_kind"),
    "no direction": ({"kinds": json.dumps(KINDS), "directions": json.dumps({"y_accuracy": "max"})}, "'directions' say None of y_latency"),
}


@pytest.mark.parametrize("name", METADATA)
def test_wrong_metadata_are_refused(name: str, tmp_path: Path) -> None:
    metadata, message = METADATA[name]
    with pytest.raises(InputError, match=message):
        read_table_problem(write(tmp_path / "t.parquet", metadata=metadata))


def test_an_unknown_objective_is_told_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no objective .energy.(.|\n)*Choose from accuracy, latency, power"):
        read_table_problem(write(tmp_path / "t.parquet"), ["accuracy", "energy"])


def not_there(path: Path) -> None:
    """Nothing is written."""


def garbage(path: Path) -> None:
    path.write_bytes(b"PAR1 but not really")


@pytest.mark.parametrize(("make", "message"), [(not_there, "no such file"), (garbage, "not a Parquet file")])
def test_an_unreadable_file_is_refused(make: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    make(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=message):
        read_table_problem(tmp_path / "t.parquet")


def test_a_file_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_problem, "LARGEST_FILE", 100)
    with pytest.raises(InputError, match="larger than 0 MiB"):
        read_table_problem(write(tmp_path / "t.parquet"))


def test_a_table_without_volume_is_refused(tmp_path: Path) -> None:
    """Two designs that trade one objective for the other: none is better than the worst in both."""
    data = {"x_a": [0, 1], "y_cost": [1.0, 2.0], "y_time": [2.0, 1.0]}
    path = write(tmp_path / "t.parquet", data, metadata={"kinds": '{"x_a": "ordinal"}', "directions": '{"y_cost": "min", "y_time": "min"}'})
    with pytest.raises(InputError, match="there is no volume to find"):
        read_table_problem(path)


def test_the_reference_is_shown_as_the_table_has_it(tmp_path: Path) -> None:
    np.testing.assert_allclose(read_table_problem(write(tmp_path / "t.parquet")).natural_reference, [0.5, 4.0, 3.0])


def test_a_table_without_objectives_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column begins with y_"):
        read_table_problem(write(tmp_path / "t.parquet", without("y_accuracy", "y_latency", "y_power")))
