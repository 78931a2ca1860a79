"""Synthesise arrays, fit the prices of `pe_array` on some of them, and state the errors on the others.

    python tools/fit_pe_array.py --collect            synthesise what is missing (hours; Yosys; resumes from its cache)
    python tools/fit_pe_array.py --write              fit; write the prices, and docs/validation-pe-array.md
    python tools/fit_pe_array.py --memories 70        blocks of memories of other arrays, by Yosys and by the rule

The counts are kept in tests/golden/pe_array_synthesis.json, with the tool, its version and the digest of the Verilog.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from codesign.accelerator.array_parameters import ArrayParameters
from codesign.accelerator.device import Family
from codesign.kpi.memory import mapped_by_yosys
from codesign.space.parameters import Value
from codesign.validation.pe_array_synthesis import (
    Synthesised,
    array_sources,
    fit_prices,
    load_synthesised,
    memory_shapes,
    prices_toml,
    source_digest,
    validation_page,
)
from codesign.verify.synthesis import synthesise

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden" / "pe_array_synthesis.json"
PRICES = ROOT / "codesign" / "data" / "coefficients" / "pe_array_resources.toml"
PAGE = ROOT / "docs" / "validation-pe-array.md"
SEED = 20
SIZES = (2, 4, 6, 8, 12, 16, 24)
LARGEST = 128
COUNTS = {Family.SERIES7: (24, 32), Family.ECP5: (24, 32), Family.ULTRASCALE_PLUS: (16, 10)}
"""Designs of the fit, and left out of it."""


def drawn(rng: np.random.Generator) -> dict[str, Value]:
    """A legal array of at most `LARGEST` multipliers."""
    while True:
        rows, columns = int(rng.choice(SIZES)), int(rng.choice(SIZES))
        if rows * columns <= LARGEST:
            break
    return {
        "rows": rows,
        "columns": columns,
        "weight_bits": int(rng.integers(2, 9)),
        "activation_bits": int(rng.integers(2, 9)),
        "accumulator_bits": int(rng.choice((20, 24, 28, 32))),
        "weight_buffer_kib": int(rng.choice((2, 4, 8, 16, 32, 64))),
        "activation_buffer_kib": int(rng.choice((1, 2, 4, 8, 16, 32))),
        "output_buffer_kib": int(rng.choice((1, 2, 4, 8, 16))),
        "bus_bits": int(rng.choice((16, 32, 64, 128))),
        "double_buffering": int(rng.integers(2)),
    }


def designs() -> list[dict[str, Value]]:
    """All designs: those of the fit and those left out alternate, so that a family may take the first ones."""
    rng = np.random.default_rng(SEED)
    return [drawn(rng) for _ in range(68)]


def collect(families: list[Family], cache: Path) -> None:
    """Synthesise every design that the golden file lacks."""
    digest = source_digest()
    known = [row for row in load_synthesised(GOLDEN) if row.digest == digest] if GOLDEN.is_file() else []
    done = {(row.family, row.key) for row in known}
    work = []
    for family in families:
        fitted, left_out = COUNTS[family]
        for number, values in enumerate(designs()):
            held_out = number % 2 == 1
            if number // 2 < (left_out if held_out else fitted):
                row = Synthesised(family=family, held_out=held_out, values=values)
                if (family, row.key) not in done:
                    work.append(row)
    with Progress() as progress:
        task = progress.add_task("synthesis", total=len(work))
        for row in work:
            array = ArrayParameters.from_values(row.values)
            result = synthesise(array_sources(), "pe_array", array.verilog, row.family, cache=cache, log=cache / "yosys.log")
            write_rows([row.counted(result, digest)])
            progress.advance(task)


def write_rows(rows: list[Synthesised]) -> None:
    """Add rows to the golden file, in a fixed order."""
    current = [row for row in load_synthesised(GOLDEN) if row.digest == source_digest()] if GOLDEN.is_file() else []
    merged = {(row.family, row.key): row for row in [*current, *rows]}
    ordered = [merged[key].as_dict() for key in sorted(merged)]
    document: dict[str, Any] = {"remake": "python tools/fit_pe_array.py --collect", "designs": ordered}
    GOLDEN.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def compare_memories(count: int, cache: Path) -> None:
    """Map memories of arrays that are not in the golden file, each alone, for an ECP5, and print how often the rule is right."""
    rng = np.random.default_rng(SEED + 1)
    arrays = [ArrayParameters.from_values(drawn(rng)) for _ in range(count)]
    shapes = sorted({shape for array in arrays for shape in memory_shapes(array)})
    rng.shuffle(shapes)
    source, right = array_sources()[0].with_name("pe_memory.v"), 0
    with Progress() as progress:
        for words, bits in progress.track(shapes[:count], description="memories"):
            parameters = {"WIDTH": int(bits), "WORDS": int(words), "ADDRESS_BITS": max(int(words - 1).bit_length(), 1)}
            found = synthesise([source], "pe_memory", parameters, Family.ECP5, cache=cache, log=cache / "yosys.log").resources.bram18
            rule = int(mapped_by_yosys(np.array([float(words)]), np.array([float(bits)])).blocks[0])
            right += rule == found
            if rule != found:
                print(f"{words} words of {bits} bits: {found} blocks, by the rule {rule}")
    print(f"{right} of {len(shapes[:count])} memories exact")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", action="store_true", help="synthesise the designs that the golden file lacks")
    parser.add_argument("--family", choices=[family.value for family in Family], help="only this family")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "codesign" / "synthesis", help="folder of finished synthesis runs")
    parser.add_argument("--memories", type=int, metavar="N", help="compare N memories")
    parser.add_argument("--write", action="store_true", help="write the prices and the page")
    arguments = parser.parse_args()
    if arguments.collect:
        collect([Family(arguments.family)] if arguments.family else list(COUNTS), arguments.cache)
    if arguments.memories:
        compare_memories(arguments.memories, arguments.cache)
        return
    fitted = fit_prices(load_synthesised(GOLDEN))
    page = validation_page(fitted)
    print(page)
    if arguments.write:
        PRICES.write_text(prices_toml(fitted), encoding="utf-8")
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
