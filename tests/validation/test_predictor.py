"""The predictor on measured rows: splits that keep layers apart, groups without a model, files that nobody should believe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import InputError
from codesign.surrogate import prior
from codesign.surrogate.prior import Designs, Predictor
from codesign.validation.accelerator_rows import read_group
from codesign.validation.predictor import _by_layer, validate_predictor
from codesign.validation.predictor_features import feature_table
from tests.validation.gemmini_rows import GROUP, board_rows, gemmini_rows, write_table


def test_no_layer_is_on_both_sides() -> None:
    label = np.random.default_rng(0).integers(0, 30, 200)
    seen = []
    for inside, outside in _by_layer(label, 3):
        assert not set(label[inside]) & set(label[outside])
        seen += outside.tolist()
    assert sorted(seen) == list(range(200))


def test_one_file_is_split_by_layer_and_two_are_not(tmp_path: Path) -> None:
    train = write_table(tmp_path / "a.parquet", gemmini_rows(120))
    test = write_table(tmp_path / "b.parquet", gemmini_rows(40, seed=1))
    same = validate_predictor(train, train, target="cycles", group=GROUP, number=40, seeds=1)
    assert "by layer" in same.split and same.test_rows == len(same.predictions) == 120
    other = validate_predictor(train, test, target="cycles", group=GROUP, number=60, seeds=2)
    assert other.split == "two files" and other.shared > 0 and other.test_rows == 40
    assert {row.seed for row in other.predictions} == {0, 1} and len(other.predictions) == 80
    for found in (same, other):
        mean = found.mean()
        assert mean["mape"] < 0.1 and mean["spearman"] > 0.95
        assert mean["coverage"]["90"] > 0.75
        assert all(row.low90 < row.predicted < row.high90 for row in found.predictions)


def test_rows_of_one_layer_stay_together_in_the_predictor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def spied(encoding: object, designs: Designs, evidence: np.ndarray, *, together: np.ndarray | None = None, **settings: object) -> Predictor:
        assert together is not None and len(together) == len(evidence)
        made.append((len(set(together.tolist())), len(evidence)))
        return Predictor(encoding, designs, evidence, together=together, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(prior, "Predictor", spied)
    path = write_table(tmp_path / "a.parquet", gemmini_rows(100))
    validate_predictor(path, path, target="cycles", group=GROUP, number=30, seeds=1)
    assert made and all(layers < rows for layers, rows in made)


def test_the_same_numbers_make_the_same_predictions(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", gemmini_rows(100))
    first, second = (validate_predictor(path, path, target="cycles", group=GROUP, number=30, seeds=1) for _ in range(2))
    assert first == second


def test_groups_without_a_model_are_read_by_their_columns(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", [*gemmini_rows(5), *board_rows(90)])
    found = validate_predictor(path, path, target="latency_ms", group="board", number=40, seeds=1)
    assert found.prior_mape is None and "no prior" in found.features
    assert found.mean()["mape"] < 0.15


def test_missing_and_nested_values_become_features(tmp_path: Path) -> None:
    rows = board_rows(30)
    rows[3]["layer_json"] = "not JSON"
    rows[4]["clock_MHz"] = "unknown"
    read = read_group(write_table(tmp_path / "a.parquet", rows), "board", "latency_ms")
    table = feature_table("board", "latency_ms", read, unseen=True)
    assert table.features.shape[0] == 30 and np.isfinite(table.features).all()
    assert table.prior is None


def test_rows_that_do_not_vary_say_so(tmp_path: Path) -> None:
    rows = [{"id": str(number), "group": "x", "accelerator": "one", "cycles": str(number + 1.0)} for number in range(30)]
    path = write_table(tmp_path / "a.parquet", rows)
    with pytest.raises(InputError, match="group 'x': nothing but the target varies"):
        validate_predictor(path, path, target="cycles", group="x", number=20, seeds=1)


def test_a_wrong_row_is_named(tmp_path: Path) -> None:
    rows = gemmini_rows(60)
    rows[17]["config_json"] = json.dumps({"mapping": "L3[WIO] K1"})
    path = write_table(tmp_path / "a.parquet", rows)
    with pytest.raises(InputError, match="row 17: mapping"):
        validate_predictor(path, path, target="cycles", group=GROUP, number=20, seeds=1)


@pytest.mark.parametrize("value", ["", "nan", "inf", "-3", "many", None])
def test_rows_without_a_positive_target_are_left_out(tmp_path: Path, value: str | None) -> None:
    rows = gemmini_rows(10)
    rows[0]["cycles"] = value
    assert len(read_group(write_table(tmp_path / "a.parquet", rows), GROUP, "cycles")) == 9


def test_names_of_workloads_count_only_where_they_were_trained_on(tmp_path: Path) -> None:
    rows = [{"id": str(number), "group": "x", "workload": "abcdefgh"[number % 8], "clock_MHz": str(100 + number), "throughput": "9"} for number in range(40)]
    read = read_group(write_table(tmp_path / "a.parquet", rows), "x", "throughput")
    assert feature_table("x", "throughput", read, unseen=True).features.shape == (40, 1)
    assert feature_table("x", "throughput", read, unseen=False).features.shape == (40, 9)


def test_who_asks_for_one_resource_has_no_report_of_the_others(tmp_path: Path) -> None:
    resources = {"lut": "100", "ff": "200", "dsp": "4", "bram": "8"}
    path = write_table(tmp_path / "a.parquet", [{"id": str(number), "group": "x", "cycles": "9"} | resources for number in range(4)])
    assert set(read_group(path, "x", "cycles")[0].text) == set(resources)
    for target in resources:
        assert not set(resources) & set(read_group(path, "x", target)[0].text)


def test_what_is_predicted_enters_no_fit(tmp_path: Path) -> None:
    rows = gemmini_rows(100)
    path = write_table(tmp_path / "a.parquet", rows)
    before = validate_predictor(path, path, target="cycles", group=GROUP, number=40, seeds=1)
    one = rows[0]["layer_json"]
    changed = [row | {"cycles": str(9.0 * float(row["cycles"]))} if row["layer_json"] == one else row for row in rows]
    after = validate_predictor(write_table(path, changed), path, target="cycles", group=GROUP, number=40, seeds=1)
    mine = {row["id"] for row in rows if row["layer_json"] == one}
    assert [row for row in before.predictions if row.id in mine] == [row for row in after.predictions if row.id in mine]
    assert before.predictions != after.predictions
    assert before.prior_mape is not None and after.prior_mape is not None and before.prior_mape < after.prior_mape
