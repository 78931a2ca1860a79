"""Fit all prices of the streaming model, and write them with their errors as coefficient files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from codesign.catalogue import Quantity
from codesign.kpi.streaming import element_terms, matrix_vector_terms
from codesign.kpi.streaming import prices as stored
from codesign.kpi.streaming.flow import Flow
from codesign.kpi.streaming.uncertainty import FIGURES, DesignClass, design_classes, error_record, interval
from codesign.kpi.template_model import FloatArray
from codesign.validation.fit_plan import (
    BASES,
    COUNTED,
    FOUND,
    FOUND_SYNTHESISED,
    REPLACED,
    REPOSITORIES,
    REPOSITORY_TERMS,
    SCALE_EXPECTED,
    SELECTOR_SCALE,
    SELECTORS,
    SWEEPS,
    TITLES,
    VITIS,
    VITIS_ONLY,
    VIVADO_2020,
    Sweep,
)
from codesign.validation.fitting import SMALL, anchored_prices, counts, design_table, folds_of, sweep_prices
from codesign.validation.points import MeasuredDesign
from codesign.validation.streaming import FIGURE_OF, Predicted, predict_designs

RESOURCES = ("lut", "ff")
PER = {
    resource: {f"matrix_vector.{name}": term.per for name, term in units.items()} | {f"elements.{name}": term.per for name, term in around.items()}
    for resource, units, around in (
        ("lut", matrix_vector_terms.LUT_TERMS, element_terms.LUT_TERMS),
        ("ff", matrix_vector_terms.FF_TERMS, element_terms.FF_TERMS),
    )
}
"""What each term's price is for one of."""


@dataclass
class Fitted:
    """All prices, and predictions of designs that were left out.

    Attributes:
        prices: by flow, resource and ``block.term``.
        scales: by flow and resource, on prices of the base.
        predictions: LUT and FF by resource and design id, made without the design's architecture or repository.
    """

    prices: dict[Flow, dict[str, dict[str, Quantity]]] = field(default_factory=dict)
    scales: dict[Flow, dict[str, Quantity]] = field(default_factory=dict)
    predictions: dict[str, dict[str, float]] = field(default_factory=lambda: {resource: {} for resource in RESOURCES})

    def add(self, flow: Flow, resource: str, found: Mapping[str, Quantity]) -> None:
        """Prices of a flow."""
        self.prices.setdefault(flow, {}).setdefault(resource, {}).update(found)

    def listed(self) -> Iterator[tuple[Flow, str, str, Quantity]]:
        """Flow, resource, term and price, one after the other."""
        for flow, resources in self.prices.items():
            for resource, found in resources.items():
                for name, price in found.items():
                    yield flow, resource, name, price

    def left_out(self, designs: Sequence[MeasuredDesign]) -> list[Predicted | None]:
        """Predictions with the stored coefficients, LUT and FF replaced by those made without the design's like."""
        found = predict_designs(designs)
        for place, (design, predicted) in enumerate(zip(designs, found, strict=True)):
            if predicted is None:
                continue
            figures = dict(predicted.figures)
            for resource in RESOURCES:
                if design.id in self.predictions[resource]:
                    figures[resource] = _with_interval(design, resource, self.predictions[resource][design.id])
            found[place] = Predicted(figures, predicted.failure, predicted.obstacle)
        return found


def _with_interval(design: MeasuredDesign, resource: str, value: float) -> tuple[float, float, float]:
    """A prediction with the interval that the stored errors give it."""
    low, high = interval(design.flow, resource, np.array([value]), design_classes(design_table([design])))
    return value, float(np.floor(low[0])), float(np.ceil(high[0]))


def fit_all(designs: Sequence[MeasuredDesign]) -> Fitted:
    """Prices from all designs, which have a model and succeeded."""
    fitted = Fitted()
    for sweep in SWEEPS:
        _fit_sweep(fitted, sweep, [design for design in designs if design.group in sweep.groups and sweep.resource in design.measured])
    for resource in RESOURCES:
        _fit_repositories(fitted, resource, [design for design in designs if design.group in FOUND and resource in design.measured])
    for flow, resources in REPLACED.items():
        for resource, names in resources.items():
            nothing = {name: Quantity(value=0.0, unit=_unit(resource, name), source="replaced by this flow's own terms") for name in names}
            fitted.add(flow, resource, {name: zero for name, zero in nothing.items() if name not in fitted.prices.get(flow, {}).get(resource, {})})
    for flow, counted in COUNTED.items():
        for resource, (name, source) in counted.items():
            fitted.add(flow, resource, {name: Quantity(value=1.0, unit=_unit(resource, name), source=source)})
    synthesised = [design for design in designs if design.group in FOUND_SYNTHESISED]
    scales = {resource: _fit_scale(fitted, resource, [design for design in synthesised if design.measured.get(resource)]) for resource in RESOURCES}
    for flow in BASES:
        if flow.stage is not VIVADO_2020.stage:
            _set_scales(fitted, flow, scales)
    return fitted


def _fit_scale(fitted: Fitted, resource: str, designs: Sequence[MeasuredDesign]) -> Quantity:
    """Factor from a tool's estimate to synthesis: geometric mean over repositories, each the mean of its designs.

    Without designs, what is expected. Keeps the prediction of each design by the others.
    """
    if not designs:
        return Quantity(value=SCALE_EXPECTED[resource], unit="1", source="expected; no synthesised project was at hand", rows=0, error=0.4)
    estimated = np.array([_unscaled(fitted, resource, design) for design in designs])
    logs = np.log(np.array([design.measured[resource] for design in designs]) / estimated)
    groups = np.array([design.architecture for design in designs])

    def scale(rows: FloatArray) -> float:
        means = [logs[rows & (groups == group)].mean() for group in sorted(set(groups[rows]))]
        return float(np.exp(np.mean(means))) if means else SCALE_EXPECTED[resource]

    left_out = np.array([scale(groups != group) for group in groups]) * estimated
    fitted.predictions[resource].update({design.id: float(value) for design, value in zip(designs, left_out, strict=True)})
    error = float(np.median(np.abs(left_out * np.exp(-logs) / estimated - 1.0)))
    source = "synthesised projects of public repositories: geometric mean of measured over estimated"
    return Quantity(value=_rounded(scale(np.ones(len(designs), dtype=np.bool_))), unit="1", source=source, rows=len(designs), error=round(error, 4))


def _unscaled(fitted: Fitted, resource: str, design: MeasuredDesign) -> float:
    """What the tool would have said of a synthesised design, but for selectors that synthesis removes."""
    known = _given_prices(fitted, BASES[design.flow], resource, ())
    paid = {name: price * (SELECTOR_SCALE if resource == "lut" and name in SELECTORS else 1.0) for name, price in known.items()}
    counted = counts(design_table([design]), design.flow.tool, resource, tuple(paid))
    return float((counted @ np.array(list(paid.values())))[0])


def _set_scales(fitted: Fitted, flow: Flow, scales: Mapping[str, Quantity]) -> None:
    """Factors from a tool's estimate to synthesis, for what the flow's own rows do not show."""
    fitted.scales[flow] = dict(scales)
    rows, source = scales["lut"].rows, "synthesised projects of public repositories: selectors nearly vanish"
    own = fitted.prices.setdefault(flow, {}).setdefault("lut", {})
    for name in SELECTORS:
        base = _base_price(fitted, BASES[flow], "lut", name)
        if base and name not in own:
            own[name] = Quantity(value=SELECTOR_SCALE * base, unit=_unit("lut", name), source=source, rows=rows, error=0.5)


def _base_price(fitted: Fitted, flow: Flow, resource: str, name: str) -> float:
    own = fitted.prices.get(flow, {}).get(resource, {}).get(name)
    if own is not None:
        return own.value
    return _base_price(fitted, BASES[flow], resource, name) if flow in BASES else 0.0


def _unit(resource: str, name: str) -> str:
    per = PER[resource][name]
    return "1" if per.lower() == resource else f"{resource.upper()} per {per}"


def _fit_sweep(fitted: Fitted, sweep: Sweep, designs: Sequence[MeasuredDesign]) -> None:
    measured = np.array([design.measured[sweep.resource] for design in designs])
    kept = measured > 0
    designs, measured = [design for design, keep in zip(designs, kept, strict=True) if keep], measured[kept]
    terms = counts(design_table(designs), sweep.flow.tool, sweep.resource, sweep.terms)
    known = _given_prices(fitted, sweep.flow, sweep.resource, sweep.terms)
    given = counts(design_table(designs), sweep.flow.tool, sweep.resource, tuple(known)) @ np.array(list(known.values())) if known else 0.0 * measured
    predicted = given + _left_out(designs, terms, lambda rows: sweep_prices(terms[rows], measured[rows], sweep.floor, given[rows]))
    error = float(np.median(np.abs(predicted / measured - 1.0)))
    found = sweep_prices(terms, measured, sweep.floor, given)
    fitted.predictions[sweep.resource].update({design.id: float(value) for design, value in zip(designs, predicted, strict=True)})
    fitted.add(sweep.flow, sweep.resource, _quantities(sweep.resource, sweep.terms, found, terms, sweep.source, error))


def _left_out(designs: Sequence[MeasuredDesign], terms: FloatArray, fit: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Prediction of each design by prices from which its fold was left out; ``fit`` takes a mask of rows."""
    folds = folds_of([design.architecture for design in designs])
    predicted = np.zeros(len(designs))
    for fold in range(int(folds.max()) + 1):
        out = folds == fold
        predicted[out] = terms[out] @ fit(~out)
    return predicted


def _quantities(resource: str, names: Sequence[str], values: FloatArray, terms: FloatArray, source: str, error: float) -> dict[str, Quantity]:
    rows = (terms > 0).sum(axis=0)
    return {
        name: Quantity(value=_rounded(value), unit=_unit(resource, name), source=source, rows=int(row), error=round(error, 4))
        for name, value, row in zip(names, values.tolist(), rows.tolist(), strict=True)
    }


def _rounded(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")


def _fit_repositories(fitted: Fitted, resource: str, designs: Sequence[MeasuredDesign]) -> None:
    """Prices that all tools share, and those of Vitis HLS, from designs of public repositories; what sweeps decide is given."""
    names = tuple(REPOSITORY_TERMS[resource])
    expected = np.array(list(REPOSITORY_TERMS[resource].values()))
    measured = np.array([design.measured[resource] for design in designs])
    terms, given = np.zeros((len(designs), len(names))), np.zeros(len(designs))
    for flow in sorted({design.flow for design in designs}, key=str):
        places = [place for place, design in enumerate(designs) if design.flow == flow]
        table = design_table([designs[place] for place in places])
        terms[places] = counts(table, flow.tool, resource, names)
        if flow != VITIS:
            terms[np.ix_(places, [names.index(name) for name in VITIS_ONLY[resource]])] = 0.0
        known = _given_prices(fitted, flow, resource, names)
        if known:
            given[places] = counts(table, flow.tool, resource, tuple(known)) @ np.array(list(known.values()))
    weights = _weights(designs)

    def solve(rows: FloatArray) -> FloatArray:
        return anchored_prices(terms[rows], measured[rows], weights[rows], SMALL[resource], expected, given[rows])

    predicted = _left_out(designs, terms, solve) + given
    found = solve(np.ones(len(designs), dtype=np.bool_))
    fitted.predictions[resource].update({design.id: float(value) for design, value in zip(designs, predicted, strict=True)})
    error = float(np.median(np.abs(predicted - measured) / np.maximum(measured, 1.0)))
    quantities = _quantities(resource, names, found, terms, REPOSITORIES, error)
    fitted.add(VIVADO_2020, resource, {name: quantity for name, quantity in quantities.items() if name not in VITIS_ONLY[resource]})
    fitted.add(VITIS, resource, {name: quantity for name, quantity in quantities.items() if name in VITIS_ONLY[resource]})


def _given_prices(fitted: Fitted, flow: Flow, resource: str, fitted_here: Sequence[str]) -> dict[str, float]:
    """Prices of a flow that sweeps decide, its base's included."""
    base = _given_prices(fitted, BASES[flow], resource, fitted_here) if flow in BASES else {}
    own = {name: quantity.value for name, quantity in fitted.prices.get(flow, {}).get(resource, {}).items()}
    replaced = dict.fromkeys(REPLACED.get(flow, {}).get(resource, ()), 0.0)
    return {name: value for name, value in (base | replaced | own).items() if value > 0 and name not in fitted_here}


def _weights(designs: Sequence[MeasuredDesign]) -> FloatArray:
    """Replicates of one design count together as one, and a design of a large repository less than one of a small."""
    copies: dict[tuple[object, ...], int] = {}
    sources: dict[str, int] = {}
    keys = [(design.model, design.build.io_type, design.measured.get("lut")) for design in designs]
    for key, design in zip(keys, designs, strict=True):
        copies[key] = copies.get(key, 0) + 1
        sources[design.source] = sources.get(design.source, 0) + 1
    return np.array([1.0 / np.sqrt(copies[key]) / sources[design.source] ** 0.15 for key, design in zip(keys, designs, strict=True)])


Residuals = dict[tuple[Flow, DesignClass, str], list[tuple[float, float]]]
"""Measured value and prediction of designs by flow, class and figure."""
SLACK = {"latency": 2.0, "interval": 2.0, "lut": 50.0, "ff": 50.0, "dsp": 1.0, "bram18": 1.0}
"""Absolute part of an error where a figure is not exact."""
SHARE = 0.95
LARGEST = 9.0
"""Largest relative error stated: a figure that is sometimes none where some was predicted has no honest factor, and says so by its coverage."""
LEAST_BORROWED = 0.1
"""Smallest relative error, before doubling, of a class without designs of its own."""
FEW = 10
"""Designs below which a class has no error of its own."""


def write_prices(fitted: Fitted) -> None:
    """Rewrite the price files."""
    for flow, title in TITLES.items():
        lines = [f"# {title}. Written by tools/fit_streaming.py.", f'title = "{title}"', f'base = "{_name(BASES[flow])}"' if flow in BASES else 'base = ""', ""]
        lines += ["[scale]", *(_line(name, quantity) for name, quantity in fitted.scales.get(flow, {}).items()), ""]
        for block in stored.BLOCKS:
            for resource in RESOURCES:
                found = fitted.prices.get(flow, {}).get(resource, {})
                own = {name.split(".")[1]: quantity for name, quantity in found.items() if name.startswith(f"{block}.")}
                lines += [f"[{block}.{resource}]", *(_line(name, quantity) for name, quantity in own.items()), ""]
        stored.file_of(flow).write_text("\n".join(lines), encoding="utf-8")
    stored.flow_record.cache_clear()
    stored.prices.cache_clear()


def _name(flow: Flow) -> str:
    return f"{flow.stage.value}-{flow.tool.value}"


def _line(name: str, quantity: Quantity) -> str:
    parts = [f"value = {quantity.value!r}", f'unit = "{quantity.unit}"', f'source = "{quantity.source}"']
    parts += [f"rows = {quantity.rows}"] if quantity.rows is not None else []
    parts += [f"error = {quantity.error!r}"] if quantity.error is not None else []
    return f"{name} = {{ {', '.join(parts)} }}"


def write_errors(designs: Sequence[MeasuredDesign], predicted: Sequence[Predicted | None]) -> None:
    """Rewrite the error file from predictions of designs that were left out."""
    residuals: Residuals = {}
    for design, found in zip(designs, predicted, strict=True):
        if found is None or design.model is None or not design.succeeded:
            continue
        group = DesignClass(int(design_classes(design_table([design]))[0]))
        for kpi, figure in FIGURE_OF.items():
            if kpi in design.measured:
                residuals.setdefault((design.flow, group, figure), []).append((design.measured[kpi], found.figures[kpi][0]))
    lines = ["# 95 % errors of the streaming model on designs left out of its fits. Written by tools/fit_streaming.py."]
    for flow in TITLES:
        for group in DesignClass:
            for figure in FIGURES:
                lines += ["", *_error_lines(residuals, flow, group, figure)]
    (stored.FOLDER / "errors.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    error_record.cache_clear()


def _error_lines(residuals: Residuals, flow: Flow, group: DesignClass, figure: str) -> list[str]:
    """One entry: from the flow's own rows, else from its base's, else from all of the class."""
    rows, source, wider = residuals.get((flow, group, figure), []), TITLES[flow], 1.0
    base = flow
    while len(rows) < FEW and base in BASES:
        base = BASES[base]
        rows, source, wider = residuals.get((base, group, figure), []), f"no rows of its own: {TITLES[base]}, doubled", 2.0
    if len(rows) < FEW:
        rows = [pair for (_, other, name), found in residuals.items() if other is group and name == figure for pair in found]
        source, wider = "no rows of its own: all flows, doubled", 2.0
    measured, found = np.array(rows, dtype=np.float64).reshape(-1, 2).T
    relative, absolute = error_of(measured, found, SLACK[figure]) if rows else (LARGEST, SLACK[figure])
    if wider > 1.0:  # exact elsewhere is not exact here
        relative, absolute = max(relative, LEAST_BORROWED), max(absolute, SLACK[figure])
    relative = round(min(relative * wider, LARGEST), 4)
    unit = "cycles" if figure in {"latency", "interval"} else "count"
    return [
        f'[flows."{_name(flow)}".{group.name.lower()}.{figure}]',
        f'relative = {{ value = {relative!r}, unit = "1", source = "{source}", rows = {len(rows)} }}',
        f'absolute = {{ value = {absolute!r}, unit = "{unit}", source = "{source}", rows = {len(rows)} }}',
    ]


def error_of(measured: FloatArray, predicted: FloatArray, slack: float) -> tuple[float, float]:
    """Smallest relative error, with an absolute one beside it, within which 95 % of predictions lie; 0 and 0 where they are exact.

    Args:
        measured: (n,).
        predicted: (n,), made without the design's like.
        slack: the absolute error.

    Few designs ask for a higher quantile: the ``(1 - a)(1 + 1/n)`` of conformal prediction (Vovk et al., Algorithmic Learning
    in a Random World, 2005). Designs of one architecture resemble each other: a new one is covered somewhat less often.
    """
    if (np.round(predicted) == np.round(measured)).mean() >= SHARE:
        return 0.0, 0.0
    above = np.maximum(measured - slack, 0.0) / np.maximum(predicted, 1e-9) - 1.0
    below = predicted / (measured + slack) - 1.0
    needed = np.clip(np.maximum(above, below), 0.0, LARGEST)
    return float(np.quantile(needed, min(1.0, SHARE * (1.0 + 1.0 / len(needed))))), slack
