"""A report as one self-contained HTML page: no request leaves it, and its content security policy forbids any.

Everything from the study passes through jinja2's escaping; figures travel as JSON data blocks that no script source is
made from.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
from functools import cache
from typing import TYPE_CHECKING, Any

from codesign.report.document import FrontDesign, ReportDocument
from codesign.report.figures import figures
from codesign.report.formatting import PERCENT, Scale, kpi_scale, kpi_title
from codesign.report.hardware import COUNT_NOTE, hardware_line, hardware_table
from codesign.report.picks import KNEE_DEFINITION, Pick, picks, roles_of
from codesign.report.tables import (
    anchor_of,
    calibration_table,
    csim_table,
    estimate_column,
    failure_table,
    figure_table,
    front_table,
    layer_table,
    limit_table,
    provenance_rows,
)
from codesign.report.verdict import csim_scope, verdict

if TYPE_CHECKING:
    import jinja2

EVIDENCE_MEANING = {
    "analytic": "from a formula with a documented error",
    "predicted": "from the learned predictor",
    "supernet": "from shared weights, not trained alone",
    "trained": "measured on a network trained for this design",
    "csim": "measured in C simulation of the hardware project",
    "rtl_sim": "measured in RTL simulation",
    "synthesis": "reported by an open synthesis tool",
    "place_route": "reported after place and route",
    "vendor": "reported by the vendor's tool",
    "board": "measured on the board",
}


def render_html(document: ReportDocument) -> str:
    """The page as text. It holds plotly.js and needs no network."""
    return page_environment().get_template("report.html.j2").render(**_view(document), **page_parts())


def page_environment() -> jinja2.Environment:
    """What renders a page: everything is escaped, a name that the page was not given is an error."""
    import jinja2
    import markupsafe

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("codesign.report"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "allow_nan": False, "separators": (",", ":")}
    environment.filters["trusted"] = markupsafe.Markup
    return environment


def page_parts() -> dict[str, str]:
    """What every page carries: style sheet, script, plotly.js, and the version that it names."""
    return {"style": _asset("style.css"), "script": _asset("report.js"), "plotly": _plotly_script(), "version": importlib.metadata.version("codesign")}


def _view(document: ReportDocument) -> dict[str, Any]:
    """Everything the template shows."""
    drawn = figures(document)
    return {
        "document": document,
        "verdict": verdict(document),
        "cards": _cards(document),
        "knee_definition": KNEE_DEFINITION,
        "figures": {figure.key: figure for figure in drawn},
        "calibration_figures": [figure for figure in drawn if figure.key.startswith("figure-calibration")],
        "front": front_table(document),
        "limits": limit_table(document),
        "csim": csim_table(document),
        "csim_scope": csim_scope(document),
        "hardware": hardware_table(document, {item.id: anchor_of(document, item.id) for item in document.front}),
        "hardware_note": COUNT_NOTE,
        "calibration": calibration_table(document),
        "failures": failure_table(document),
        "designs": _details(document),
        "provenance": provenance_rows(document),
        "evidence": _evidence_used(document),
    }


def _cards(document: ReportDocument) -> list[dict[str, Any]]:
    """A card for each picked design with all its roles."""
    grouped: dict[str, list[Pick]] = {}
    for pick in picks(document):
        grouped.setdefault(pick.design.id, []).append(pick)
    return [
        {
            "roles": [pick.role for pick in held],
            "colour": held[0].role.replace(" ", "-"),
            "id": held[0].design.id,
            "anchor": anchor_of(document, held[0].design.id),
            "network": held[0].design.design.blueprint,
            "template": held[0].design.design.template,
            "figures": _card_figures(held[0].design),
            "whys": [pick.why for pick in held],
            "csim": held[0].design.csim,
            "hardware": hardware_line(document, held[0].design),
        }
        for held in grouped.values()
    ]


def _card_figures(item: FrontDesign) -> list[dict[str, str]]:
    """The four or five figures of a card with interval and evidence."""
    named = {"accuracy": item.design.kpis.get("accuracy"), "accuracy_test": item.accuracy_test}
    named |= {name: item.design.kpis.get(name) for name in ("latency_us", "energy_uj", "power_w")}
    shown = []
    for name, figure in named.items():
        if figure is not None:
            scale: Scale = PERCENT if name.startswith("accuracy") else kpi_scale(name, [figure.value], figure.unit)
            shown.append({"title": kpi_title(name), "value": scale.text(figure.value), "interval": scale.interval(figure), "evidence": figure.evidence.value})
    return shown


def _details(document: ReportDocument) -> list[dict[str, Any]]:
    """Everything of each front design; latencies in one unit."""
    column, cells = estimate_column("latency_us", [item.design.kpis.get("latency_us") for item in document.front])
    return [_detail(document, item, f"{cell.text} {column.unit}") for item, cell in zip(document.front, cells, strict=True)]


def _detail(document: ReportDocument, item: FrontDesign, latency: str) -> dict[str, Any]:
    accuracy = item.accuracy_test or item.design.kpis.get("accuracy")
    return {
        "anchor": anchor_of(document, item.id),
        "id": item.id,
        "roles": roles_of(document).get(item.id, ()),
        "summary": [
            f"{item.design.blueprint} on {item.design.template}",
            PERCENT.text(accuracy.value) if accuracy else "",
            latency if "latency_us" in item.design.kpis else "",
        ],
        "order": item.design.order,
        "folder": item.folder,
        "values": [(name, value) for name, value in item.design.values.items()],
        "figures": figure_table(document, item),
        "layers": layer_table(item),
    }


def _evidence_used(document: ReportDocument) -> list[tuple[str, str]]:
    """Kinds of evidence on the page with their meaning."""
    used = {figure.evidence.value for design in document.succeeded for figure in design.kpis.values()}
    used |= {item.accuracy_test.evidence.value for item in document.front if item.accuracy_test}
    return [(name, meaning) for name, meaning in EVIDENCE_MEANING.items() if name in used]


def _asset(name: str) -> str:
    return (importlib.resources.files("codesign.report") / "templates" / name).read_text(encoding="utf-8")


@cache
def _plotly_script() -> str:
    """plotly.js as the plotly package carries it; importing its Python side is not needed."""
    text = (importlib.resources.files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")
