"""Reading tables of several devices, and judging adaptations on the designs that were not measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from codesign.errors import InputError
from codesign.validation.transfer import check_counts, parse_counts, resolution, validate_transfer
from codesign.validation.transfer_table import Measurements, device_names, read_measurements

KINDS = {"x_edge0": "categorical", "x_edge1": "categorical", "x_depth": "ordinal"}
Columns = Mapping[str, object]


def columns(count: int = 120) -> dict[str, object]:
    """Three parameters, and devices that weigh their costs differently."""
    rng = np.random.default_rng(0)
    first, second, depth = (rng.integers(0, top, count) for top in (5, 5, 4))
    cost = np.array([1.0, 1.5, 3.0, 8.0, 2.0])
    parts = np.stack([cost[first], cost[second], 2.0 * (depth + 1.0)])
    made: dict[str, object] = {"x_edge0": first, "x_edge1": second, "x_depth": depth}
    weights = {"lat_gpu": (1.0, 1.0, 1.0), "lat_gpu_big": (1.0, 0.8, 1.5), "lat_cpu": (3.0, 4.0, 1.0), "y_latency_dpu_ms": (0.3, 0.2, 0.5)}
    return made | {name: np.array(weight) @ parts for name, weight in weights.items()}


def write(path: Path, made: Columns, kinds: object = KINDS) -> Path:
    table = pyarrow.table(dict(made))
    if kinds is not None:
        table = table.replace_schema_metadata({"kinds": kinds if isinstance(kinds, str) else json.dumps(kinds)})
    parquet.write_table(table, path)
    return path


def long_rows(count: int = 40) -> dict[str, list[object]]:
    """A row per network and accelerator; the last network was measured on the first accelerator only."""
    rng = np.random.default_rng(1)
    rows: dict[str, list[object]] = {"accelerator": [], "ref": [], "layer_json": [], "latency_ms": []}
    for number in range(count):
        network = {"a.block0_e": int(rng.choice([1, 4, 6])), "a.block0_se": bool(rng.integers(2)), "a.op": str(rng.choice(["conv", "pool"]))}
        for place, device in enumerate(("Xilinx DPU on ZCU102", "Xilinx DPU on VCK190")[: 1 if number == count - 1 else 2]):
            latency = (1.0 + place) * (1.0 + network["a.block0_e"])
            for name, value in zip(rows, (device, f"file:{number}", json.dumps(network), str(latency)), strict=True):
                rows[name].append(value)
    return rows


def test_a_device_is_named_by_its_column_with_or_without_prefix_and_unit(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", columns())
    assert device_names(path) == ["gpu", "gpu_big", "cpu", "dpu"]
    for source, target in ((["lat_gpu", "cpu"], "y_latency_dpu_ms"), (["gpu", "lat_cpu"], "dpu_ms"), (["gpu", "CPU"], "dpu")):
        found = read_measurements(path, source, target)
        assert (found.sources, found.target) == (("gpu", "cpu"), "dpu")
    np.testing.assert_allclose(found.source_latency[:, 1], columns()["lat_cpu"])
    np.testing.assert_allclose(found.target_latency, columns()["y_latency_dpu_ms"])
    assert (found.names, found.ordinal) == (("edge0", "edge1", "depth"), (False, False, True))


def test_all_is_every_other_device(tmp_path: Path) -> None:
    assert read_measurements(write(tmp_path / "t.parquet", columns()), ["all"], "gpu").sources == ("gpu_big", "cpu", "dpu")


def test_rows_without_a_latency_on_each_device_are_left_out(tmp_path: Path) -> None:
    made = columns()
    made["lat_cpu"] = [None if row < 7 else float(value) for row, value in enumerate(made["lat_cpu"])]  # type: ignore[arg-type]
    path = write(tmp_path / "t.parquet", made)
    found = read_measurements(path, ["cpu"], "dpu")
    assert (found.left_out, len(found.values), len(found.target_latency)) == (7, 113, 113)
    assert read_measurements(path, ["gpu"], "dpu").left_out == 0


def test_a_row_per_network_and_accelerator_is_read_too(tmp_path: Path) -> None:
    path = write(tmp_path / "long.parquet", long_rows(), None)
    found = read_measurements(path, ["zcu102"], "vck190")
    assert (found.sources, found.target, len(found.values)) == (("Xilinx DPU on ZCU102",), "Xilinx DPU on VCK190", 39)
    assert (found.names, found.ordinal) == (("block0_e", "block0_se", "op"), (True, True, False))
    np.testing.assert_allclose(found.target_latency, 2.0 * found.source_latency[:, 0])
    order = np.argsort(found.target_latency, kind="stable")
    assert (np.diff(found.values[order, 0]) >= 0).all() and set(found.values[:, 0].tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("change", "kinds", "sources", "target", "message"),
    [
        ({}, KINDS, ["tpu"], "dpu", "no device 'tpu'"),
        ({}, KINDS, ["gpu"], "tpu", "--target: no device 'tpu'"),
        ({}, KINDS, ["pu"], "dpu", "'pu' may be gpu, gpu_big, cpu, dpu"),
        ({}, KINDS, [], "dpu", "--source: no source device"),
        ({}, KINDS, ["gpu", "dpu"], "dpu", "dpu is the target too"),
        ({}, KINDS, ["gpu", "lat_gpu"], "dpu", "gpu is named twice"),
        ({"lat_gpu": np.zeros(120)}, KINDS, ["gpu"], "dpu", "a latency of 0 on gpu"),
        ({"y_latency_dpu_ms": -np.ones(120)}, KINDS, ["gpu"], "dpu", "a latency of -1 on dpu"),
        ({"lat_gpu": np.full(120, np.inf)}, KINDS, ["gpu"], "dpu", "a latency of inf on gpu"),
        ({"lat_gpu": ["fast"] * 120}, KINDS, ["gpu"], "dpu", "lat_gpu holds string, not numbers"),
        ({"lat_gpu": np.full(120, np.nan)}, KINDS, ["gpu"], "dpu", "no row has a latency on each of gpu, dpu"),
        ({"x_depth": np.full(120, 0.5)}, KINDS, ["gpu"], "dpu", "x_depth is not an index"),
        ({}, None, ["gpu"], "dpu", "metadata lack 'kinds'"),
        ({}, "{", ["gpu"], "dpu", "'kinds' are not JSON"),
        ({}, {"x_edge0": "categorical"}, ["gpu"], "dpu", "do not say what x_edge1 is"),
        ({}, [1], ["gpu"], "dpu", "do not say what x_edge0 is"),
    ],
)
def test_what_a_table_lacks_is_told(tmp_path: Path, change: Columns, kinds: object, sources: list[str], target: str, message: str) -> None:
    path = write(tmp_path / "t.parquet", columns() | dict(change), kinds)
    with pytest.raises(InputError, match=message):
        read_measurements(path, sources, target)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"lat_a": [1.0], "lat_b": [1.0]}, "no column begins with x_"),
        ({"x_a": [1], "y_accuracy": [0.5]}, "no latency column"),
        ({"x_a": np.empty(0, dtype=np.int64), "lat_a": np.empty(0)}, "no rows"),
        (long_rows() | {"latency_ms": ["slow"] * 79}, "latency_ms is 'slow'"),
        (long_rows() | {"layer_json": ["[1]"] * 79}, "layer_json is '\\[1\\]'"),
        (long_rows() | {"layer_json": [f'{{"a{row // 2}": 1}}' for row in range(79)]}, "different keys in different rows"),
        (long_rows() | {"ref": [str(row) for row in range(79)]}, "no network was measured on each"),
    ],
)
def test_what_a_file_lacks_is_told(tmp_path: Path, made: Columns, message: str) -> None:
    path = write(tmp_path / "t.parquet", made)
    with pytest.raises(InputError, match=message):
        read_measurements(path, ["Xilinx DPU on ZCU102"] if "ref" in made else ["lat_a"], "vck190" if "ref" in made else "lat_b")


@pytest.mark.parametrize(
    ("counts", "seeds", "message"),
    [
        ([], 1, "no number of measurements"),
        ([-1, 3], 1, "-1 measurements"),
        ([3, 3], 1, "has a number twice"),
        ([119], 1, "119 measurements of 120 designs.*at most 118"),
        ([3], 0, "0 seeds"),
    ],
)
def test_numbers_that_cannot_be_run_are_told(counts: list[int], seeds: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_counts(counts, seeds, 120)


def test_numbers_are_separated_by_commas() -> None:
    assert parse_counts("0, 3,10,") == [0, 3, 10]
    with pytest.raises(InputError, match="'3;4' is no list of whole numbers"):
        parse_counts("3;4")


def test_whole_numbers_are_taken_as_rounded() -> None:
    assert resolution(np.array([3.0, 17.0])) == 1.0 and resolution(np.array([3.0, 17.5])) == 0.0


@pytest.fixture(scope="module")
def measurements(tmp_path_factory: pytest.TempPathFactory) -> Measurements:
    return read_measurements(write(tmp_path_factory.mktemp("transfer") / "t.parquet", columns()), ["gpu", "gpu_big", "dpu"], "cpu")


def test_runs_are_judged_on_what_was_not_measured(measurements: Measurements) -> None:
    result = validate_transfer(measurements, [0, 8], seeds=2)
    assert [(run.n, run.seed, run.rows) for run in result.runs] == [(0, 0, 120), (0, 1, 120), (8, 0, 112), (8, 1, 112)]
    before, after = result.means()
    assert before.std["spearman"] == 0.0 and (after.mean["spearman"] or 0.0) > 0.97 > (before.mean["spearman"] or 1.0)
    table = result.predictions
    last = (table["n"] == 8) & (table["seed"] == 1)
    left = last & ~table["chosen"].astype(bool)
    run = result.runs[-1]
    assert run.mape == pytest.approx(np.mean(np.abs(table["predicted"] - table["measured"])[left] / table["measured"][left]))
    assert run.coverage_95 == pytest.approx(np.mean(((table["low_95"] <= table["measured"]) & (table["measured"] <= table["high_95"]))[left]))
    assert last.sum() == 120 and left.sum() == 112


def test_kendall_is_tau_b(measurements: Measurements) -> None:
    """Against every pair of the judged designs."""
    result = validate_transfer(measurements, [5], seeds=1)
    left = ~result.predictions["chosen"].astype(bool)
    pairs = [np.sign(np.subtract.outer(result.predictions[name][left], result.predictions[name][left])) for name in ("predicted", "measured")]
    assert result.runs[0].kendall == pytest.approx(float((pairs[0] * pairs[1]).sum() / np.sqrt((pairs[0] ** 2).sum() * (pairs[1] ** 2).sum())), abs=1e-9)


def test_the_same_seed_gives_the_same_figures(measurements: Measurements) -> None:
    assert validate_transfer(measurements, [4], seeds=2).runs == validate_transfer(measurements, [4], seeds=2).runs


def test_a_target_without_ranks_has_no_correlation(measurements: Measurements) -> None:
    flat = Measurements(**(vars(measurements) | {"target_latency": np.full(120, 5.0)}))
    result = validate_transfer(flat, [3], seeds=1)
    assert result.runs[0].spearman is None and result.runs[0].kendall is None and result.means()[0].mean["spearman"] is None


def test_the_step_of_measurements_is_read_off_what_was_measured() -> None:
    assert resolution(np.array([3.0, 5.0])) == 1.0
    assert resolution(np.array([3.0, 5.5])) == 0.0
    assert resolution(np.empty(0)) == 0.0
