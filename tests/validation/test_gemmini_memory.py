"""Packets, lines and misses of strided runs by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from codesign.validation.gemmini_mapping import Loop, parse_layer
from codesign.validation.gemmini_memory import LAST_LEVEL, SECOND_LEVEL, Cache, Region, footprint, hits, misses, packets, regions
from tests.validation.gemmini_rows import layer_json

LAYER = parse_layer(layer_json(), where="row")
TILE = {"K": 64, "C": 16, "P": 1, "Q": 14, "R": 3, "S": 3, "N": 1}


@pytest.mark.parametrize(
    ("size", "step", "offset", "expected"),
    [
        (4, 4, 0, (1, 1)),
        (16, 16, 0, (1, 1)),
        (64, 64, 0, (1, 4)),
        (24, 64, 0, (1, 2)),
        (16, 64, 8, (1, 2)),  # half in one beat, half in the next
        (16, 64, 24, (1, 4)),  # over the middle of a line: only the whole line has it
        (16, 64, 56, (2, 2)),  # over the end of a line
        (64, 64, 8, (2, 5)),
        (96, 32, 0, (2, 6)),  # begins at 0 and at 32
        (16, 16, 8, (1.25, 2.5)),
    ],
)
def test_packets_of_a_run(size: int, step: int, offset: int, expected: tuple[float, float]) -> None:
    assert packets(size, step, offset) == expected


def test_runs_lie_in_lines_and_sets() -> None:
    sets = SECOND_LEVEL.sets
    assert sets == 1024
    assert footprint(Region(16, ((10, 256),), 0), sets) == (10, 10)
    # Contiguous: 192 bytes, which begin at any multiple of 16.
    assert footprint(Region(16, ((12, 16),), 0), sets) == (3.75, 3.75)
    assert footprint(Region(64, ((10, 256),), 8), sets) == (20, 20)  # each over the end of a line
    # Every 4096 bytes is every 64th of 1,024 sets.
    assert footprint(Region(64, ((100, 4096),), 0), sets) == (100, 16)
    assert footprint(Region(64, ((100, 4096),), 0), LAST_LEVEL.sets) == (100, 100)
    assert footprint(Region(64, ((4, 65536), (8, 1 << 20)), 0), sets) == (32, 1)


def test_tensors_lie_as_the_software_lays_them() -> None:
    weights, inputs, outputs = regions(LAYER, TILE)
    assert (weights.run, weights.levels) == (64, ((16, 64), (3, 1024), (3, 3072)))
    # 3 rows for one row of outputs; 16 columns are wanted, the image has 14.
    assert (inputs.run, inputs.levels) == (16, ((3, 16), (14, 16 * 14)))
    assert (outputs.run, outputs.levels) == (64, ((1, 64), (14, 64 * 14)))


def test_random_replacement_keeps_what_it_can() -> None:
    load = np.array([0.1, 1.0, 1.5, 2.0, 4.0, 50.0])
    share = hits(load)
    assert share[:2].tolist() == [1.0, 1.0] and (np.diff(share[1:]) < 0.0).all()
    assert share[3] == pytest.approx(math.exp(-2.0 * (1.0 - share[3]))) and share[3] == pytest.approx(0.2032, abs=1e-4)
    assert share[-1] < 1e-12


def test_what_fits_is_not_fetched_again_and_what_does_not_is() -> None:
    loops = (Loop("K", 4, False), Loop("P", 14, False))
    assert misses(LAYER, TILE | {"K": 16}, loops, SECOND_LEVEL).tolist() == [0.0, 0.0, 0.0]
    # A cache of one line: each call fetches all it touches.
    touched = [footprint(region, 1)[0] for region in regions(LAYER, TILE | {"K": 16})]
    assert misses(LAYER, TILE | {"K": 16}, loops, Cache(64, 1)) == pytest.approx(touched, rel=1e-6)


def test_loops_that_leave_a_tensor_alone_reuse_it() -> None:
    wide, small = parse_layer(layer_json(K=1088), where="row"), Cache(65536, 8)
    tile = TILE | {"P": 14}
    touched = [footprint(region, small.sets)[0] for region in regions(wide, tile)]
    whole = 9 * 16 * 1088 / 64
    # One of 17 tiles of output channels fits with its inputs; all weights do not, and are fetched once.
    assert sum(touched) < 1024 < whole
    weights, inputs, _ = misses(wide, tile, (Loop("K", 17, False),), small)
    assert weights == pytest.approx(whole / 17, rel=0.01)
    assert inputs < 0.2 * touched[1]


def test_outputs_are_written_in_the_last_pass() -> None:
    once = misses(LAYER, TILE, (Loop("P", 14, False),), Cache(64, 1))
    passes = misses(LAYER, TILE | {"C": 4}, (Loop("C", 4, False), Loop("P", 14, False)), Cache(64, 1))
    assert passes[2] == pytest.approx(once[2] / 4, rel=1e-6)
    # Between passes they leave room: 196 KiB of inputs stay in 512 KiB although the outputs take 784.
    tile = {"K": 256, "C": 1, "P": 1, "Q": 56, "R": 1, "S": 1, "N": 1}
    layer = parse_layer(layer_json(K=256, C=64, P=56, Q=56, R=1, S=1), where="row")
    assert misses(layer, tile, (Loop("C", 64, False), Loop("P", 56, False)), SECOND_LEVEL)[1] == 0.0


def test_strides_that_are_powers_of_two_crowd_into_few_sets() -> None:
    tile = {"K": 16, "C": 512, "P": 1, "Q": 1, "R": 1, "S": 1, "N": 1}
    crowded, spread = (
        misses(parse_layer(layer_json(K=k, C=1024, P=1, Q=1, R=1, S=1), where="row"), tile, (Loop("K", 16, False), Loop("C", 2, False)), SECOND_LEVEL)[0]
        for k in (4096, 4096 + 64)
    )
    assert crowded > 400.0 and spread < 1.0
