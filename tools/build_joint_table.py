"""Enumerate a small joint space of networks and accelerators in full: every network trained once, every pair priced.

    python tools/build_joint_table.py --jobs 2        train what is missing, check cycles on the Verilog, write table and notes

The space is that of the study file codesign/data/tables/digits_joint.toml. Finished trainings are kept, one JSON object a
line, in the working folder: an interrupted run goes on where it stopped. The same study on the same kind of machine gives
the same table. The check needs Verilator and g++.

Notation: ``n`` designs, ``d`` parameters, ``L`` layer slots.

.. [Williams2009] S. Williams, A. Waterman, D. Patterson, "Roofline: An Insightful Visual Performance Model for Multicore
   Architectures", CACM 52(4), 2009.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from scipy.stats import spearmanr

from codesign import toolchain
from codesign.accelerator.array_parameters import KIB_BITS, ArrayParameters
from codesign.accelerator.pe_array_program import BIAS_BITS, Instruction
from codesign.accelerator.pe_array_tiling import memory_latency
from codesign.accelerator.schedule import schedule
from codesign.errors import CodesignError, EvaluationError
from codesign.export.pe_array_image import encode_program
from codesign.export.pe_array_job import TimingPoint
from codesign.kpi.evaluate import KpiTable, price
from codesign.kpi.joint_space import JointSpace
from codesign.kpi.power import power_coefficients
from codesign.network.deployed import NETWORK_FILE, DeployedNetwork
from codesign.network.tasks.registry import task_record
from codesign.network.tasks.task import Split
from codesign.search.accuracy_prior import accuracy_prior
from codesign.search.engine import open_engine
from codesign.search.evaluation import TrainingRequest, task_of, train_design
from codesign.search.pareto import non_dominated
from codesign.search.pricing import Pricing
from codesign.search.shipped_tables import TABLES
from codesign.search.specification import MAXIMISED, StudySpecification, load_specification
from codesign.search.table_problem import TableProblem, read_table_problem
from codesign.space.columns import Columns
from codesign.space.design_space import DesignPoint, Indices, evaluation_seed
from codesign.space.parameters import Half, ParameterKind
from codesign.verify.rtl_bench import timing_cycles, timing_design
from codesign.verify.verilator import build

FloatArray = NDArray[np.float64]

ROOT = Path(__file__).resolve().parents[1]
STUDY = TABLES / "digits_joint.toml"
WORK = ROOT / "runs" / "joint_table"
TRAININGS = "trainings.jsonl"
CHECKED_ROWS, CHECK_SEED = 400, 0
REPEATED_NETWORKS, REPEAT_SEED = 80, 0
RANDOM_EVALUATIONS, RANDOM_SEEDS = 100, 5
PROVENANCE = ("codesign", "torch", "brevitas", "numpy", "scikit-learn", "pyarrow")


class Training(TypedDict):
    """What a training gave: its seed, the samples of each split that the integer network gets right, processor seconds."""

    seed: int
    validation: int
    test: int
    seconds: float


def everything(joint: JointSpace) -> Indices:
    """All designs of a joint space (n x d), in lexicographic order; which parameters are active may not vary."""
    space = joint.space
    counts = np.where(space.active(np.zeros((1, len(space)), dtype=np.int16))[0], space.cardinalities, 1)
    return space.mask(np.stack(np.unravel_index(np.arange(counts.prod()), counts), axis=1).astype(np.int16))


def network_points(joint: JointSpace, designs: Indices) -> tuple[list[DesignPoint], NDArray[np.intp]]:
    """The distinct networks of designs (n x d), and which of them each design has (n,)."""
    rows = np.where(np.isin(np.arange(len(joint.space)), joint.space.half_columns(Half.NETWORK)), designs, -1).astype(np.int16)
    distinct, which = np.unique(rows, axis=0, return_inverse=True)
    return joint.space.points(distinct), which.ravel()


def training_requests(specification: StudySpecification, folder: Path, replicate: int = 0) -> dict[str, TrainingRequest]:
    """How each network of the study is trained, by the id of its half of the design; the seed follows from that id and ``replicate``."""
    joint = specification.joint_space()
    designs = everything(joint)
    networks, which = network_points(joint, designs)
    first = designs[np.unique(which, return_index=True)[1]]
    settings = {key: value for key, value in specification.as_dict()["training"].items() if value is not None}
    return {
        network.id: TrainingRequest(
            rows=joint.graph(point).as_rows(),
            task=specification.task,
            data=None,
            settings=settings,
            seed=evaluation_seed(specification.seed, network.id, replicate),
            folder=str(folder / network.id),
        )
        for network, point in zip(networks, joint.space.points(first), strict=True)
    }


def correct(network: DeployedNetwork, split: Split) -> int:
    """Samples whose class the integer network gets right."""
    return int((network.predict(split.samples) == split.labels).sum())


def outcome_of(request: TrainingRequest, folder: Path, seconds: float) -> Training:
    """The row kept of a finished training; its network, in ``folder``, is deleted."""
    task = task_of(request.task, request.data)
    trained = DeployedNetwork.load(folder / NETWORK_FILE)
    shutil.rmtree(folder)
    return Training(seed=request.seed, validation=correct(trained, task.validation), test=correct(trained, task.test), seconds=seconds)


def train_missing(specification: StudySpecification, work: Path, jobs: int) -> dict[str, Training]:
    """Train every network that the working folder has no result of; all results, by network id.

    Raises:
        EvaluationError: a training failed.
    """
    work.mkdir(parents=True, exist_ok=True)
    asked = training_requests(specification, work / "models")
    done = finished(work)
    missing = [name for name in asked if name not in done]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with open_engine(min(jobs, max(1, len(missing)))) as engine, Progress(*columns) as shown, (work / TRAININGS).open("a", encoding="utf-8") as stream:
        bar = shown.add_task("training", total=len(asked), completed=len(asked) - len(missing))
        for outcome in engine.run(train_design, [asked[name] for name in missing]):
            name = missing[outcome.position]
            if outcome.result is None:
                raise EvaluationError(f"not trained: {outcome.error}", where=f"network {name}", remedy="Correct the study file")
            done[name] = outcome_of(asked[name], work / "models" / name, outcome.result["seconds"])
            stream.write(json.dumps({"network": name, **done[name]}) + "\n")
            stream.flush()
            shown.advance(bar)
    return {name: done[name] for name in asked}


def repeat(specification: StudySpecification, trained: dict[str, Training], work: Path, jobs: int) -> NDArray[np.int64]:
    """Correct samples (k x 2) of random networks: of the training in the table, and of one more from another seed.

    Raises:
        EvaluationError: a training failed.
    """
    chosen = [str(name) for name in np.random.default_rng(REPEAT_SEED).choice(list(trained), min(REPEATED_NETWORKS, len(trained)), replace=False)]
    folder = work / "repeated"
    asked = training_requests(specification, folder, replicate=1)
    pairs = np.zeros((len(chosen), 2), dtype=np.int64)
    with open_engine(jobs) as engine:
        for outcome in engine.run(train_design, [asked[name] for name in chosen]):
            name = chosen[outcome.position]
            if outcome.result is None:
                raise EvaluationError(f"not trained again: {outcome.error}", where=f"network {name}", remedy="Correct the study file")
            rows = (trained[name], outcome_of(asked[name], folder / name, outcome.result["seconds"]))
            pairs[outcome.position] = [row["validation"] + row["test"] for row in rows]
    return pairs


def finished(work: Path) -> dict[str, Training]:
    """Results of earlier runs by network id; a last line that was cut off is taken off the file."""
    path = work / TRAININGS
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    rows = [json.loads(line) for line in whole.splitlines()]
    return {row["network"]: Training(seed=row["seed"], validation=row["validation"], test=row["test"], seconds=row["seconds"]) for row in rows}


def roofline(joint: JointSpace, designs: Indices) -> tuple[FloatArray, FloatArray]:
    """Closed-form latency in us and energy in uJ (n,), after [Williams2009]_, of dense networks on a `pe_array`.

    Without double buffering nothing overlaps: cycles are steps of the array, ``sum(ceil(M/R) * ceil(K/C))``, plus the bits
    moved over the bits of a beat. The weight words of all steps and biases move, unless the buffer holds them all. Energy: a
    DSP block a product, external memory by the bit, static power. Memory latency, phases and tiles, runs of the last layer,
    padding to beats, logic and buffers are left out.
    """
    columns = Columns(joint.space, designs, joint.templates[0].name)
    table, device = joint.blueprints[0].table(joint.space, designs, joint.shape), joint.device
    rows, lanes = (columns[name][:, None] for name in ("rows", "columns"))
    groups = np.where(table.weighted, np.ceil(table.out_c / rows), 0.0)
    steps = (groups * np.ceil(table.in_c / lanes)).sum(axis=1)
    words = steps + groups.sum(axis=1) * np.ceil(BIAS_BITS / (columns["columns"] * columns["weight_bits"]))
    word_bits = columns["rows"] * columns["columns"] * columns["weight_bits"]
    stay = words <= np.floor(columns["weight_buffer_kib"] * KIB_BITS / word_bits)
    ends = np.prod(joint.shape.input_shape) * columns["activation_bits"] + joint.shape.classes * columns["accumulator_bits"]
    moved = np.where(stay, 0.0, words * word_bits) + ends
    latency_us = (steps + moved / columns["bus_bits"]) / columns["clock_mhz"]
    multiply_pj = power_coefficients().families[device.family].dsp_pj.value
    dynamic_uj = (table.weights.sum(axis=1) * multiply_pj + moved * device.off_chip_pj_per_bit.value) * 1e-6
    return latency_us, dynamic_uj + device.static_w.value * latency_us


def hard_limits(specification: StudySpecification, prices: KpiTable) -> dict[str, FloatArray]:
    """Limits that some designs break: by name, the value over the limit, less one (n,)."""
    loads = {re.split("[ .]", name)[-1]: load - 1.0 for name, load in Pricing(specification).limit_loads(prices).items()}
    return {name: load for name, load in loads.items() if (load > 0.0).any()}


def numbers(specification: StudySpecification, designs: Indices, accuracy: FloatArray) -> dict[str, FloatArray]:
    """Columns ``y_``, ``p_`` and ``c_`` of designs (n x d) whose networks have the accuracies (n,).

    Limits are those that bind among the designs given: for the table, all of the space.
    """
    joint = specification.joint_space()
    prices = price(joint, designs)
    latency, energy = roofline(joint, designs)
    found = {"y_accuracy": accuracy, "y_latency_us": prices.values["latency_us"], "y_energy_uj": prices.values["energy_uj"]}
    found["p_accuracy"] = accuracy_prior(prices.values["weights"], joint.shape.classes)
    found |= {"p_latency_us": latency, "p_energy_uj": energy}
    return found | {f"c_{name}": load for name, load in hard_limits(specification, prices).items()}


def accuracies(specification: StudySpecification, designs: Indices, trained: dict[str, Training]) -> FloatArray:
    """Share (n,) of the validation and test pictures together that the integer network of each design gets right."""
    task = task_of(specification.task, None)
    networks, which = network_points(specification.joint_space(), designs)
    right = np.array([trained[network.id]["validation"] + trained[network.id]["test"] for network in networks])
    return np.asarray(right[which] / (len(task.validation) + len(task.test)))


def write_table(specification: StudySpecification, trained: dict[str, Training], path: Path) -> None:
    """The table of all designs, in the format of `codesign.search.table_problem`; parameters with one value are left out."""
    joint = specification.joint_space()
    designs = everything(joint)
    varied = [column for column in range(len(joint.space)) if len(np.unique(designs[:, column])) > 1]
    parameters = [joint.space.parameters[column] for column in varied]
    columns = {f"x_{parameter.name}": pa.array(designs[:, column].astype(np.int8)) for parameter, column in zip(parameters, varied, strict=True)}
    columns |= {name: pa.array(values) for name, values in numbers(specification, designs, accuracies(specification, designs, trained)).items()}
    kinds = {f"x_{parameter.name}": "categorical" if parameter.kind is ParameterKind.CATEGORICAL else "ordinal" for parameter in parameters}
    directions = {f"y_{name}": "max" if name in MAXIMISED else "min" for name in specification.objectives}
    metadata = {"kinds": kinds, "domains": {parameter.name: list(parameter.values) for parameter in parameters}, "directions": directions}
    table = pa.table(columns).replace_schema_metadata({key: json.dumps(value) for key, value in metadata.items()})
    parquet.write_table(table, path, compression="zstd", compression_level=19)


@dataclass(frozen=True)
class CycleCheck:
    """Rows run on the Verilog, and how many took exactly the cycles of the table; ``verilator`` is the version used."""

    rows: int
    exact: int
    verilator: str


def check_cycles(specification: StudySpecification, count: int, builds: Path) -> CycleCheck:
    """Run programs of random legal rows on the timing-only Verilog.

    Raises:
        ToolMissingError: Verilator or a program it needs is missing.
    """
    joint = specification.joint_space()
    designs = everything(joint)
    prices = price(joint, designs)
    legal = np.logical_and.reduce([load <= 1.0 for name, load in prices.reasons.items() if "." in name])
    chosen = np.random.default_rng(CHECK_SEED).choice(np.flatnonzero(legal), count, replace=False)
    points = [_timing_point(joint, point) for point in joint.space.points(designs[chosen])]
    cycles = timing_cycles(build(timing_design(), builds), points)
    exact = int((cycles == prices.values["latency_cycles"][chosen]).sum())
    return CycleCheck(count, exact, toolchain.version(toolchain.VERILATOR) or "unknown")


def _timing_point(joint: JointSpace, point: DesignPoint) -> TimingPoint:
    values = joint.template_values(point)
    latency = int(memory_latency(np.array([float(values["clock_mhz"])]))[0])
    array = ArrayParameters.from_values(values, latency=latency)
    program = encode_program([*(phase.instruction for phase in schedule(joint.graph(point), array).phases), Instruction(halt=1)])
    return TimingPoint(program, array.latency, array.bus_bits, array.columns)


def random_curve(problem: TableProblem) -> FloatArray:
    """Normalised hypervolume of random rows after `RANDOM_EVALUATIONS`, by seed."""
    drawn = [np.random.default_rng(seed).permutation(len(problem.indices))[:RANDOM_EVALUATIONS] for seed in range(RANDOM_SEEDS)]
    return np.array([problem.curve(problem.indices[rows])[-1] for rows in drawn])


def facts(path: Path) -> dict[str, str]:
    """What is to be known of a table, by the words of the notes; everything is computed from the file."""
    problem, table = read_table_problem(path), parquet.read_table(path)
    front = non_dominated(problem.values[problem.feasible], problem.problem.maximise)
    found = {
        "rows": f"{len(problem.indices):,}",
        "feasible rows": f"{problem.feasible.mean():.1%}",
        "points on the true front": f"{front.sum()}",
        "reference point": ", ".join(
            f"{objective.name} {worst:.4g}" for objective, worst in zip(problem.problem.objectives, problem.natural_reference, strict=True)
        ),
        "true hypervolume": f"{problem.true_hypervolume:.6g}",
        f"random search, {RANDOM_EVALUATIONS} evaluations, {RANDOM_SEEDS} seeds": f"{random_curve(problem).mean():.2f} of the true hypervolume",
    }
    for name in (name for name in table.column_names if name.startswith("c_")):
        found[f"rows that break {name.removeprefix('c_')}"] = f"{(table[name].to_numpy() > 0.0).mean():.1%}"
    for name in (objective.name for objective in problem.problem.objectives):
        prior, true = table[f"p_{name}"].to_numpy(), table[f"y_{name}"].to_numpy()
        agreement = f"Spearman {spearmanr(prior, true).statistic:.3f}, mean absolute error {np.mean(np.abs(prior / true - 1.0)):.1%}"
        found[f"prior of {name} against the value"] = agreement
    return found


def notes(specification: StudySpecification, trained: dict[str, Training], path: Path, check: CycleCheck, pairs: NDArray[np.int64]) -> str:
    """How the table was made, as Markdown; ``pairs`` are those of `repeat`."""
    record, task = task_record(specification.task), task_of(specification.task, None)
    samples = len(task.validation) + len(task.test)
    shares = np.array([row["validation"] + row["test"] for row in trained.values()]) / samples
    accuracy = np.median(shares)
    noise = np.sqrt(np.mean(np.diff(pairs / samples) ** 2) / 2.0)
    linear, ranks = float(np.corrcoef(*pairs.T)[0, 1]), float(spearmanr(*pairs.T).statistic)
    error = np.sqrt(accuracy * (1.0 - accuracy) / samples)
    hours = sum(row["seconds"] for row in trained.values()) / 3600.0
    versions = ", ".join(f"{name} {version(name)}" for name in PROVENANCE)
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts(path).items())
    return f"""# {path.name}

A joint space of networks and accelerators, enumerated in full: every design of the study file `{STUDY.name}`. Written, with this
page, by `python tools/{Path(__file__).name}`. The format is that of `codesign benchmark search`; a design is infeasible where
a `c_` column is above 0.

| | |
|---|---|
{rows}
| SHA-256 of the table | `{hashlib.sha256(path.read_bytes()).hexdigest()}` |

- `y_accuracy`: each of the {len(trained):,} networks trained once ({hours:.2f} processor hours) by quantisation-aware training with the
  settings of the study file, on {len(task.train):,} pictures; the seed is `evaluation_seed({specification.seed}, network id)`. The share that the integer
  network gets right of {samples} pictures: {len(task.validation)} of validation, whose loss also chose the epoch, and {len(task.test)} of test. At the median
  of {accuracy:.3f} the binomial standard error is {error:.4f}; all networks see the same pictures. Short trainings: longer ones reach more.
- {len(pairs)} random networks trained once more from another seed: the standard deviation of one training is {noise:.4f}, that of the accuracies
  in the table {shares.std():.4f}; the two trainings correlate by {linear:.2f} (Spearman {ranks:.2f}).
- `y_latency_us`, `y_energy_uj`: the template's cost model on {specification.device}, tile by tile. Cycles of {check.rows} random legal rows on the Verilog
  (timing-only build, {check.verilator}): {check.exact} equal to the table's.
- `c_dsp` and its like: the value over what the device, the array or the study allows, less one. A limit that no row breaks has
  no column.
- `p_latency_us`, `p_energy_uj`: a closed form (`roofline` in the tool); `p_accuracy`: `codesign.search.accuracy_prior`.

Made with {versions}, Python {platform.python_version()}, {platform.machine()}.

The pictures are not in the table. They are: {record.attribution}
Licence of the pictures: {record.licence}; of scikit-learn: BSD-3-Clause; of this table: that of codesign.
"""


def main() -> int:
    """Build the table; 0 when the Verilog took the table's cycles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--work", type=Path, default=WORK, help="where finished trainings and builds are kept")
    parser.add_argument("--out", type=Path, default=STUDY.with_suffix(".parquet"))
    options = parser.parse_args()
    try:
        specification = load_specification(STUDY)
        trained = train_missing(specification, options.work, options.jobs)
        check = check_cycles(specification, CHECKED_ROWS, options.work / "builds")
        write_table(specification, trained, options.out)
        pairs = repeat(specification, trained, options.work, options.jobs)
        options.out.with_suffix(".md").write_text(notes(specification, trained, options.out, check, pairs), encoding="utf-8")
    except CodesignError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{options.out}: {options.out.stat().st_size:,} bytes; {check.exact} of {check.rows} rows equal on the Verilog")
    return 0 if check.exact == check.rows else 1


if __name__ == "__main__":
    sys.exit(main())
