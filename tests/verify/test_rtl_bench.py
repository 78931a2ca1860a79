"""The test bench's memory: exact timing, stalls that change nothing, and each broken rule of the bus found. Needs Verilator.

The module under test is a small bus master (``rtl/axi_master.v``), so that the bench is tested without the array.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from codesign.accelerator.template import templates_folder
from codesign.errors import EvaluationError, InputError
from codesign.export.pe_array_job import Run
from codesign.verify.rtl_bench import run_job
from codesign.verify.verilator import Design, build

pytestmark = pytest.mark.verilator

MASTER = Design("pe_array", Path(__file__).parent / "rtl", templates_folder() / "pe_array" / "tb", (("BUS_BITS", 32),))
MEMORY = 1 << 14
PROGRAM = 64
(RIGHT, EARLY_LAST, WITHOUT_RESPONSE, FIXED_BURST, NEVER_DONE, DONE_TWICE, RESTLESS_ADDRESS, RESTLESS_DATA, BUSY_AFTER, REPORTS_ERROR) = range(10)


@pytest.fixture(scope="module")
def master(rtl_builds: Path) -> Path:
    return build(MASTER, rtl_builds)


def image(mode: int = RIGHT, address: int = 4096, beats: int = 5, first: int = 1000) -> bytes:
    return bytes(PROGRAM) + struct.pack("<4I", mode, address, beats, first)


def test_words_go_where_they_belong_and_strobes_count(master: Path) -> None:
    background = bytes(range(256)) * (MEMORY // 256)
    memory = image() + background[PROGRAM + 16 :]
    result = run_job(master, memory, [Run(PROGRAM, output_address=0, output_bytes=MEMORY)], latency=3)
    # The master leaves out the highest byte of each word.
    expected = bytearray(memory)
    for beat in range(5):
        expected[4096 + 4 * beat : 4099 + 4 * beat] = (1000 + beat).to_bytes(4, "little")[:3]
    assert result.outputs == (bytes(expected),)


@pytest.mark.parametrize("latency", [1, 2, 17])
@pytest.mark.parametrize("beats", [1, 200])
def test_cycles_are_exact(master: Path, latency: int, beats: int) -> None:
    # Address one cycle after start; 4 beats, the first `latency` later; written data from the cycle after the last, the
    # response `latency` after the last; done one cycle later.
    result = run_job(master, image(beats=beats), [Run(PROGRAM)] * 3, memory_bytes=MEMORY, latency=latency)
    assert result.cycles.tolist() == [1 + latency + 3 + 1 + (beats - 1) + latency + 1] * 3


def test_stalls_change_cycles_but_no_data(master: Path) -> None:
    runs = [Run(PROGRAM, output_address=4096, output_bytes=800)]
    calm = run_job(master, image(beats=200), runs, memory_bytes=MEMORY)
    results = [run_job(master, image(beats=200), runs, memory_bytes=MEMORY, stall=100, seed=seed) for seed in (1, 2)]
    assert all(result.outputs == calm.outputs for result in results)
    assert len({int(result.cycles[0]) for result in (calm, *results)}) == 3 and min(result.cycles[0] for result in results) > calm.cycles[0]
    again = run_job(master, image(beats=200), runs, memory_bytes=MEMORY, stall=100, seed=2)
    assert np.array_equal(again.cycles, results[1].cycles)


def test_inputs_are_put_before_each_run_and_memory_is_kept(master: Path) -> None:
    # The inputs are the programs: the first run writes one word, the second another beside it.
    inputs = struct.pack("<8I", RIGHT, 4096, 1, 5, RIGHT, 4100, 1, 6)
    runs = [Run(PROGRAM, input_address=PROGRAM, input_bytes=16, output_address=4096, output_bytes=8)] * 2
    result = run_job(master, b"", runs, inputs, memory_bytes=MEMORY)
    assert result.outputs == (struct.pack("<2I", 5, 0), struct.pack("<2I", 5, 6))


def test_outputs_are_compared_where_the_mask_says_so(master: Path, tmp_path: Path) -> None:
    run = Run(PROGRAM, output_address=4096, output_bytes=8)
    expected, mask = tmp_path / "expected", tmp_path / "mask"

    def compare(wanted: bytes, ones: bytes | None) -> None:
        expected.write_bytes(wanted)
        mask.write_bytes(ones or b"")
        run_job(master, image(), [Run(PROGRAM), run, run], memory_bytes=MEMORY, expected=expected, mask=mask if ones else None)

    words = struct.pack("<2I", 1000, 1001)
    compare(2 * words, None)
    wrong = words[:4] + bytes([words[4] ^ 2]) + words[5:]
    with pytest.raises(EvaluationError, match="run 2, byte 4: 233 instead of 235"):
        compare(words + wrong, None)
    compare(words + wrong, b"\xff" * 4 + b"\xfd" + b"\xff" * 3)
    with pytest.raises(EvaluationError, match="the mask has 7 bytes, a run 8"):
        compare(2 * words, b"\xff" * 7)
    with pytest.raises(EvaluationError, match="expected has 8 bytes too many"):
        compare(3 * words, None)


@pytest.mark.parametrize(
    ("mode", "address", "beats", "stall", "message"),
    [
        (EARLY_LAST, 4096, 5, 0, "WLAST is wrong at beat 4 of 5"),
        (WITHOUT_RESPONSE, 4096, 5, 0, "done while a transfer is under way"),
        (FIXED_BURST, 4096, 5, 0, "write burst of 5 beats at 4096: not INCR"),
        (NEVER_DONE, 4096, 5, 0, "the program at 64 is not done after 500 cycles"),
        (DONE_TWICE, 4096, 5, 0, "done for a second cycle, or busy after it"),
        (BUSY_AFTER, 4096, 5, 0, "done for a second cycle, or busy after it"),
        (RESTLESS_ADDRESS, 4096, 5, 200, "a write address changed before it was taken"),
        (RESTLESS_DATA, 4096, 50, 200, "a write beat changed before it was taken"),
        (REPORTS_ERROR, 4096, 5, 0, "the array reports an error of the memory"),
        (RIGHT, 4098, 5, 0, "write burst of 5 beats at 4098: not aligned to the bus"),
        (RIGHT, 8192 - 16, 5, 0, "write burst of 5 beats at 8176: crosses a boundary of 4 KiB"),
        (RIGHT, MEMORY - 16, 5, 0, "crosses a boundary of 4 KiB"),
        (RIGHT, MEMORY, 5, 0, f"write burst of 5 beats at {MEMORY}: leaves the memory of {MEMORY} bytes"),
    ],
)
def test_broken_rules_are_found(master: Path, mode: int, address: int, beats: int, stall: int, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        run_job(master, image(mode, address, beats), [Run(PROGRAM)], memory_bytes=MEMORY, stall=stall, limit=500)


def test_addresses_outside_the_memory_are_refused(master: Path) -> None:
    with pytest.raises(InputError, match="run 1 of a pe_array job: output at 90 of 20 bytes in a memory of 100 bytes"):
        run_job(master, b"", [Run(0), Run(0, output_address=90, output_bytes=20)], memory_bytes=100)
    with pytest.raises(EvaluationError, match="the image is larger than the memory of 50 bytes"):
        run_job(master, image(), [Run(0)], memory_bytes=50)


@pytest.mark.parametrize(
    ("contents", "message"), [(b"PEARRJOB", "ends too early: 4 bytes are wanted, 0 are left"), (b"PEARRPTS" + bytes(8), "does not begin with PEARRJOB")]
)
def test_damaged_job_files_are_refused(master: Path, tmp_path: Path, contents: bytes, message: str) -> None:
    from codesign import toolchain

    files = [tmp_path / name for name in ("job", "image", "inputs", "outputs", "cycles")]
    for path in files[1:]:
        path.write_bytes(b"")
    files[0].write_bytes(contents)
    with pytest.raises(EvaluationError, match=message):
        toolchain.run([str(master), "run", *map(str, files)], log=tmp_path / "log", where="test")
