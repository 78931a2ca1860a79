"""The cost model's cycles are those of the Verilog: timing-only build, 2,000 random points, every one. Needs Verilator."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign.accelerator import pe_array_cycles, pe_array_tiling
from codesign.accelerator.pe_array_tiling import ArrayShape, CycleConstants, cycle_constants
from codesign.accelerator.schedule import Schedule
from codesign.errors import EvaluationError
from codesign.kpi import pe_array_costs
from codesign.network.layers import LayerTable, Op
from codesign.verify.program_interpreter import phase_cycles
from codesign.verify.rtl_bench import timing_cycles, timing_design
from codesign.verify.verilator import build
from tests.verify.rtl_cases import random_point, timing_point

pytestmark = pytest.mark.verilator

POINTS = 2000
LIMIT = 100_000_000


@dataclass(frozen=True)
class Measured:
    """Points and their cycles in the Verilog (n,)."""

    schedules: tuple[Schedule, ...]
    cycles: NDArray[np.int64]

    def model(self, constants: CycleConstants | None = None, *, own_tiles: bool = False) -> NDArray[np.float64]:
        """Cycles that the cost model gives (n,).

        Args:
            constants: of the sequencers in place of the template's; tiles stay those that were run.
            own_tiles: count the tiles that were run; else those that the model chooses.
        """
        rows = [asdict(planned.array) for planned in self.schedules]
        array = ArrayShape(**{field.name: np.array([[float(row[field.name])] for row in rows]) for field in fields(ArrayShape)})
        table = LayerTable.from_graphs([planned.graph for planned in self.schedules])

        plan = pe_array_tiling.plan(table, array)
        tiles = self._tiles(plan, table) if own_tiles else plan.tiles
        counted = plan if constants is None else pe_array_tiling.plan(table, array, constants=constants)
        return pe_array_costs.costs(table, array, chosen=replace(counted, tiles=tiles)).cycles

    def _tiles(self, found: pe_array_tiling.Plan, table: LayerTable) -> pe_array_cycles.Tiles:
        tilings = []
        for design, slot in zip(*np.divmod(found.layers.place, table.op.shape[1]), strict=True):
            planned = self.schedules[design]
            tilings.append(planned.tilings[planned.graph.layers[slot].name])
        order, groups, rows = (np.array([float(getattr(own, name)) for own in tilings]) for name in ("order", "group_tile", "row_tile"))
        return pe_array_cycles.Tiles(order, np.ceil(groups / found.demand.unit), np.minimum(rows, found.layers.out_h))


@pytest.fixture(scope="module")
def timing_build(rtl_builds: Path) -> Path:
    return build(timing_design(), rtl_builds)


@pytest.fixture(scope="module")
def chosen(timing_build: Path) -> Measured:
    """Half of the points: the compiler cuts the layers."""
    return measure(timing_build, random_tiles=False)


@pytest.fixture(scope="module")
def drawn(timing_build: Path) -> Measured:
    """The other half: layers are cut at random."""
    return measure(timing_build, random_tiles=True)


def measure(timing_build: Path, *, random_tiles: bool) -> Measured:
    rng = np.random.default_rng([2024, random_tiles])
    schedules = tuple(random_point(rng, random_tiles=random_tiles) for _ in range(POINTS // 2))
    return Measured(schedules, timing_cycles(timing_build, [timing_point(planned) for planned in schedules], limit=LIMIT))


def test_the_points_cover_what_matters(chosen: Measured, drawn: Measured) -> None:
    schedules = [*chosen.schedules, *drawn.schedules]
    assert len(schedules) == POINTS
    arrays = [planned.array for planned in schedules]
    for seen in (
        [array.bus_bits for array in arrays],
        [array.banks for array in arrays],
        [array.full_taps for array in arrays],
        [array.columns > 8 for array in arrays],
        [planned.resident for planned in schedules],
        [tiling.order for planned in schedules for tiling in planned.tilings.values()],
    ):
        shares = np.unique(np.array([hash(item) for item in seen]), return_counts=True)[1] / len(seen)
        assert len(shares) >= 2 and shares.min() > 0.02
    assert {layer.op for planned in schedules for layer in planned.graph} == set(Op) - {Op.ABSENT}
    assert sum(len({phase.tile for phase in planned.phases}) > 5 for planned in schedules) > POINTS // 10


def test_the_model_is_exact_on_every_point(chosen: Measured, drawn: Measured) -> None:
    for points, own_tiles in ((chosen, False), (drawn, True)):
        model = points.model(own_tiles=own_tiles)
        different = np.flatnonzero(model != points.cycles)
        told = [(int(point), points.schedules[point].array, model[point], points.cycles[point]) for point in different[:3]]
        assert not different.size, f"{different.size} of {len(model)} points differ, the first: {told}"


def test_the_law_of_the_contract_is_exact_on_every_point(chosen: Measured, drawn: Measured) -> None:
    constants = cycle_constants()
    for points in (chosen, drawn):
        for planned, cycles in zip(points.schedules, points.cycles, strict=True):
            array = planned.array
            begin = constants.start + constants.fetch + array.latency + array.fetch_beats
            assert begin + sum(phase_cycles(phase.instruction, array, constants) for phase in planned.phases) == cycles


@pytest.mark.parametrize("constant", [field.name for field in fields(CycleConstants)])
@pytest.mark.parametrize("change", [-1, 1])
def test_each_constant_is_pinned(chosen: Measured, constant: str, change: int) -> None:
    true = cycle_constants()
    assert (chosen.model(true) == chosen.cycles).all()
    assert (chosen.model(replace(true, **{constant: getattr(true, constant) + change})) != chosen.cycles).any()


def test_a_program_without_end_is_told(timing_build: Path, chosen: Measured) -> None:
    with pytest.raises(EvaluationError, match="the program at 0 is not done after 30 cycles"):
        timing_cycles(timing_build, [timing_point(chosen.schedules[0])], limit=30)
