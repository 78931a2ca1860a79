"""The page of ``codesign estimate MODEL --sweep PAGE.html``: does a model fit, what to change, and latency against resources.

One self-contained file in the dress of a study's report: no request leaves it. Everything from the model's file passes
through escaping.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codesign.errors import InputError
from codesign.kpi.streaming.estimates import COUNTED, Advice, ModelEstimate, Request, SweepPoint
from codesign.kpi.streaming.feasibility import LIKELY
from codesign.network.hls_model import HlsModel
from codesign.report.estimate_figures import brief, resource_lines, share_text, trade_off
from codesign.report.estimate_tables import (
    MARKS,
    advised_word,
    card_rows,
    changes,
    factor_table,
    layer_table,
    provenance,
    setting_table,
    totals_table,
)
from codesign.report.formatting import count, kpi_short, names, plural, scale_for
from codesign.report.html import EVIDENCE_MEANING, page_environment, page_parts
from codesign.report.render import replace_file
from codesign.report.verdict import Tone

LISTED = 3
"""Layers that a sentence names."""


def write_estimate_page(
    path: Path,
    *,
    model: HlsModel,
    request: Request,
    estimate: ModelEstimate,
    advice: Advice | None,
    sweep: Sequence[SweepPoint],
) -> None:
    """Write the page; an older one is replaced in one step. The folder is made when missing.

    Args:
        path: of the page.
        model: what was priced.
        request: device, flow and limits.
        estimate: the model as given.
        advice: the best reuse factors; None where no layer has one.
        sweep: settings to draw; may be empty.

    Raises:
        InputError: the file cannot be written.
    """
    text = render_estimate_page(model=model, request=request, estimate=estimate, advice=advice, sweep=sweep)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"the page cannot be written: {reason}", where=str(path), remedy="Free the folder for writing or choose another") from None


def render_estimate_page(*, model: HlsModel, request: Request, estimate: ModelEstimate, advice: Advice | None, sweep: Sequence[SweepPoint]) -> str:
    """The page as text; arguments as in `write_estimate_page`."""
    lines = resource_lines(estimate, advice, sweep)
    differs = changes(estimate, advice)
    used = {figure.evidence.value for figure in estimate.kpis.values()}
    view = {
        "name": model.name,
        "device": request.device,
        "tone": _tone(estimate, advice).value,
        "headline": _headline(request, estimate, advice),
        "sentences": _sentences(request, estimate, advice),
        "steps": _steps(model, estimate, advice),
        "cards": _cards(estimate, advice),
        "evidence": [(name, meaning) for name, meaning in EVIDENCE_MEANING.items() if name in used],
        "figures": [figure for figure in (trade_off(estimate, advice, sweep), lines) if figure is not None],
        "totals": totals_table(request, estimate, advice),
        "advised": advised_word(advice) if advice is not None and differs else "",
        "advised_layers": layer_table(advice.estimate, estimate, advised_word(advice)) if advice is not None and differs else None,
        "given_layers": layer_table(estimate),
        "settings": setting_table(estimate, advice, sweep),
        "factors": factor_table(estimate, advice, sweep),
        "notes": (*estimate.cautions, *model.notes),
        "provenance": provenance(model, request, estimate),
    }
    return page_environment().get_template("estimate.html.j2").render(**view, **page_parts())


def _tone(estimate: ModelEstimate, advice: Advice | None) -> Tone:
    if estimate.fits:
        return Tone.GOOD
    return Tone.INCOMPLETE if advice is not None and advice.fits else Tone.BAD


def _headline(request: Request, estimate: ModelEstimate, advice: Advice | None) -> str:
    """Whether it fits, and what stands in the way."""
    device = request.device.title
    if estimate.fits:
        return f"Fits the {device}: {_latency(estimate)}, {_fullest(estimate)}"
    if advice is None:
        return f"Does not fit the {device}: {_binding(estimate)}"
    if advice.fits:
        return f"Does not fit the {device} as given; with the advised reuse factors it does, in {_latency(advice.estimate)}"
    return f"Does not fit the {device} with any reuse factors: {_binding(advice.estimate)} at best"


def _sentences(request: Request, estimate: ModelEstimate, advice: Advice | None) -> list[str]:
    """What was found, for the model as given and for the advised setting."""
    found = [f"As given: latency {_latency(estimate)}, power {_power(estimate)}; {_fullest(estimate)}.{_doubt(request, estimate)}", *_failures(estimate)]
    if advice is None:
        found.append("No layer has weights, so there is no reuse factor to choose.")
        return found
    best = advice.estimate
    if advice.fits:
        proof = (
            "No legal setting that fits is faster; this is proved."
            if advice.optimal
            else f"No legal setting that fits takes less than {count(advice.latency_bound)} cycles."
        )
        if not changes(estimate, advice):
            return [*found, f"The reuse factors as given are the advised ones. {proof}"]
        cycles = plural(round(best.kpis["latency_cycles"].value), "cycle")
        found.append(f"Advised: {cycles}, {_latency(best)}, power {_power(best)}; {_fullest(best)}. {proof}{_doubt(request, best)}")
    else:
        found.append(f"The setting that comes closest: latency {_latency(best)}, power {_power(best)}; {_fullest(best)}.")
        found += _failures(best) if changes(estimate, advice) else []
    return found


def _failures(estimate: ModelEstimate) -> list[str]:
    """A sentence about the layers that are likely to stop the tools."""
    first = next((layer for layer in estimate.layers if layer.failure >= LIKELY), None)
    if first is None:
        return []
    others = [brief(layer.name) for layer in estimate.layers if layer.failure >= LIKELY and layer is not first]
    listed = [*others[:LISTED], *([f"{count(len(others) - LISTED)} more"] if len(others) > LISTED else [])]
    also = f" The same holds for {names(listed)}." if others else ""
    return [f"The tools are likely to fail on layer {brief(first.name)}: {first.obstacle}.{also}"]


def _doubt(request: Request, estimate: ModelEstimate) -> str:
    """A sentence where what fits might not: intervals that reach beyond what may be used."""
    beyond = [kpi_short(name) for name, available in zip(COUNTED, request.available, strict=True) if estimate.kpis[name].high > available]
    if not estimate.fits or not beyond:
        return ""
    one = len(beyond) == 1
    return f" This is not certain: the 95 % {'interval' if one else 'intervals'} of {names(beyond)} {'reaches' if one else 'reach'} beyond what may be used."


def _steps(model: HlsModel, estimate: ModelEstimate, advice: Advice | None) -> list[tuple[str, str]]:
    """What to do next: text and the section of the page that it leads to, or an empty one."""
    if not estimate.fits and (advice is None or not advice.fits):
        return [("Take a larger device, narrower types, or a smaller network.", ""), ("See which layers need the most.", "layers")]
    steps = []
    if changes(estimate, advice) and advice is not None:
        gain = estimate.kpis["latency_cycles"].value / max(advice.estimate.kpis["latency_cycles"].value, 1.0)
        reason = f"; latency falls by a factor of {gain:.2g}" if estimate.fits and gain >= 1.05 else ""
        steps.append((f"Set the advised reuse factors{reason}.", "layers"))
    if model.notes:
        steps.append(("Check what the reader had to assume.", "assumptions"))
    steps.append(("Let the tool synthesise the design before relying on figures close to a limit.", ""))
    return steps


def _cards(estimate: ModelEstimate, advice: Advice | None) -> list[dict[str, Any]]:
    """The model as given and the advised setting side by side."""
    held = [("as given", estimate)]
    if advice is not None and changes(estimate, advice):
        held.append((advised_word(advice), advice.estimate))
    return [
        {
            "title": {"closest": "Closest to fitting"}.get(word, word.capitalize()),
            "role": MARKS[word],
            "rows": card_rows(each),
            "shares": [(kpi_short(name), share_text(share), min(share, 1.0), share > 1.0) for name, share in each.utilisation.items()],
            "fits": each.fits,
            "stopped": sum(layer.failure >= LIKELY for layer in each.layers),
        }
        for word, each in held
    ]


def _binding(estimate: ModelEstimate) -> str:
    """What is in the way, or comes closest to it."""
    stopped = next((layer for layer in estimate.layers if layer.failure >= LIKELY), None)
    if stopped is not None:
        return f"the tools are likely to fail on layer {brief(stopped.name)}"
    return _fullest(estimate)


def _fullest(estimate: ModelEstimate) -> str:
    name = max(estimate.utilisation, key=lambda each: estimate.utilisation[each])
    share = estimate.utilisation[name]
    return f"{kpi_short(name)} {'needs' if share > 1.0 else 'takes'} {share_text(share)} of what may be used"


def _latency(estimate: ModelEstimate) -> str:
    return _text(estimate, "latency_us")


def _power(estimate: ModelEstimate) -> str:
    figure = estimate.kpis["power_w"]
    interval = scale_for([figure.value], figure.unit).interval(figure)
    return _text(estimate, "power_w") + (f" ({interval})" if interval else "")


def _text(estimate: ModelEstimate, name: str) -> str:
    figure = estimate.kpis[name]
    return scale_for([figure.value], figure.unit).text(figure.value)
