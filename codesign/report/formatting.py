"""Numbers for people: significant digits, thousands separators, one unit per column, names of the figures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from codesign.estimate import Estimate

MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"
RANGE = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class KpiName:
    """How a figure is called: in a sentence or on an axis, and in the head of a table."""

    title: str
    short: str


KPI_NAMES = {
    "accuracy": KpiName("Validation accuracy", "Accuracy, validation"),
    "accuracy_test": KpiName("Test accuracy", "Accuracy, test"),
    "latency_us": KpiName("Latency", "Latency"),
    "latency_cycles": KpiName("Latency", "Latency"),
    "interval_cycles": KpiName("Initiation interval", "Interval"),
    "throughput_per_s": KpiName("Throughput", "Throughput"),
    "lut": KpiName("LUT", "LUT"),
    "ff": KpiName("FF", "FF"),
    "dsp": KpiName("DSP", "DSP"),
    "bram18": KpiName("BRAM18", "BRAM18"),
    "uram": KpiName("URAM", "URAM"),
    "power_w": KpiName("Accelerator power", "Power"),
    "board_power_w": KpiName("Board power", "Power, board"),
    "energy_uj": KpiName("Energy per inference", "Energy"),
    "board_energy_uj": KpiName("Board energy per inference", "Energy, board"),
    "weight_bytes": KpiName("Weight memory", "Weight memory"),
    "off_chip_bytes": KpiName("Off-chip traffic", "Off-chip"),
    "macs": KpiName("Multiply-accumulates", "MACs"),
    "weights": KpiName("Number of weights", "Weights"),
    "clock_mhz": KpiName("Clock", "Clock"),
    "utilisation": KpiName("Largest device utilisation", "Utilisation"),
}


def kpi_title(name: str) -> str:
    """Name of a figure in a sentence or on an axis; an unknown one keeps its own."""
    known = KPI_NAMES.get(name)
    return known.title if known else name.replace("_", " ")


def kpi_short(name: str) -> str:
    """Name of a figure in the head of a table."""
    known = KPI_NAMES.get(name)
    return known.short if known else name.replace("_", " ")


def inside(title: str) -> str:
    """A title inside a sentence, with a small first letter; abbreviations keep their capitals."""
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


@dataclass(frozen=True)
class Scale:
    """Shows numbers of one unit in another: ``shown = value * factor``, ``unit`` behind it.

    Attributes:
        decimals: fixed number of decimals (shares as per cent); None: three significant digits.
        whole: counts: never with decimals.
    """

    factor: float
    unit: str
    decimals: int | None = None
    whole: bool = False

    def number(self, value: float) -> str:
        """The number alone."""
        return self._rounded(value, like=value)

    def text(self, value: float) -> str:
        """Number and unit."""
        return f"{self.number(value)}{THIN}{self.unit}" if self.unit else self.number(value)

    def interval(self, estimate: Estimate) -> str:
        """``low - high`` rounded to the last digit that the value shows; empty for an exact figure."""
        if estimate.low == estimate.high:
            return ""
        return f"{self._rounded(estimate.low, like=estimate.value)}{RANGE}{self._rounded(estimate.high, like=estimate.value)}"

    def _rounded(self, value: float, *, like: float) -> str:
        """``value`` to the place of the last digit that ``like`` shows."""
        shown, model = value * self.factor, like * self.factor
        if self.decimals is not None:
            return fixed(shown, self.decimals)
        if 0 < abs(model) < 1e-4:
            return _scientific(shown, 3)
        place = _place(model)
        return fixed(round(shown, place), 0 if self.whole else max(0, place))


_STEPS = {
    "us": ((1e-3, "ns", 1e3), (1.0, "µs", 1.0), (1e3, "ms", 1e-3), (1e6, "s", 1e-6)),
    "s": ((1e-6, "µs", 1e6), (1e-3, "ms", 1e3), (1.0, "s", 1.0)),
    "uJ": ((1e-3, "nJ", 1e3), (1.0, "µJ", 1.0), (1e3, "mJ", 1e-3), (1e6, "J", 1e-6)),
    "W": ((1e-3, "mW", 1e3), (1.0, "W", 1.0)),
    "B": ((1.0, "B", 1.0), (1024.0, "KiB", 1.0 / 1024.0), (1024.0**2, "MiB", 1.0 / 1024.0**2)),
}
_ALIASES = {"byte": "B", "bytes": "B", "µs": "us", "µJ": "uJ"}
_PLAIN = {"1": "", "count": "", "cycle": "cycles", "1/s": "/s", "per_s": "/s"}


def scale_for(values: Iterable[float], unit: str) -> Scale:
    """One scale for all of ``values``: the unit in which their geometric mean is at least 1.

    Shares (unit ``"1"``) are shown as they are; see `PERCENT`.
    """
    steps = _STEPS.get(_ALIASES.get(unit, unit))
    if steps is None:
        return Scale(1.0, _PLAIN.get(unit, unit), whole=unit in ("count", "cycle", "cycles"))
    positive = [math.log(value) for value in values if value > 0]
    typical = math.exp(sum(positive) / len(positive)) if positive else 1.0
    fitting = [step for step in steps if typical >= step[0]] or [steps[0]]
    return Scale(fitting[-1][2], fitting[-1][1])


PERCENT = Scale(100.0, "%", decimals=1)
SHARES = ("accuracy", "accuracy_test", "utilisation")


def kpi_scale(name: str, values: Iterable[float], unit: str) -> Scale:
    """`scale_for`, with per cent for the figures that are shares of 1."""
    return PERCENT if name in SHARES else scale_for(values, unit)


def significant(value: float, digits: int = 3) -> str:
    """``value`` in ``digits`` significant digits with thousands separators: 1234567 becomes ``1,230,000``."""
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return _scientific(value, digits)
    place = _place(value, digits)
    return fixed(round(value, place), max(0, place))


def fixed(value: float, decimals: int) -> str:
    """``value`` with that many decimals and thousands separators."""
    return _signed(f"{value:,.{decimals}f}")


def count(value: float) -> str:
    """A whole number in full with thousands separators; beyond a billion as a power of ten."""
    if abs(value) < 1e9:
        return fixed(value, 0)
    return _scientific(value, 2)


def duration(seconds: float) -> str:
    """Seconds as ``850 ms``, ``12.3 s``, ``4 min 05 s`` or ``2 h 03 min``."""
    if seconds < 1.0:
        return f"{fixed(seconds * 1000.0, 0)}{THIN}ms"
    if seconds < 60.0:
        return f"{significant(seconds)}{THIN}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{THIN}min {whole % 60:02d}{THIN}s"
    return f"{whole // 3600}{THIN}h {whole % 3600 // 60:02d}{THIN}min"


def names(items: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    listed = list(items)
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}" if listed else ""


def plural(number: int, one: str, many: str | None = None) -> str:
    """``1 design``, ``12 designs``."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def _place(value: float, digits: int = 3) -> int:
    """Decimal place of the last of ``digits`` significant digits, as `round` counts it; 9.999 counts as 10.0."""
    if value == 0:
        return 0
    first = digits - 1 - math.floor(math.log10(abs(value)))
    return digits - 1 - math.floor(math.log10(abs(round(value, first))))


def _scientific(value: float, digits: int) -> str:
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    raised = f"{int(exponent)}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{_signed(mantissa)}{THIN}{TIMES}{THIN}10{raised}"


def _signed(text: str) -> str:
    return MINUS + text[1:] if text.startswith("-") else text
