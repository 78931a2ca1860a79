"""``docs/validation.md``: errors of the cost models as a document."""

from __future__ import annotations

from collections.abc import Sequence

from codesign.validation.metrics import Errors
from codesign.validation.points import KPIS
from codesign.validation.streaming import GroupErrors

BAD = 0.35
"""Mean symmetric error from which a line is marked."""

HEADER = """# How far the streaming model is off

Made by `python tools/fit_streaming.py {data} --write`; do not edit. LUT and FF are predictions of designs whose whole
architecture (sweeps) or whole repository, with everything that shares a network with it (`repo-` groups), was left out of
the fit. Cycles, DSP blocks and BRAM18 come from formulas that are the same for all designs; they were written with these
rows in view. Stages differ: `hls_estimate` is what the HLS tool says before synthesis, `post_synth` what Vivado counts.

* exact: share of rows whose rounded prediction is the measurement; within 1: at most 1 away.
* median APE, MAPE: median and mean of |predicted - measured| / max(measured, 1).
* SMAPE: mean of |predicted - measured| / ((predicted + measured) / 2), at most 200 %.
* coverage: share of rows inside the 95 % interval that the model states. The widths come from these same left-out errors,
  so the coverage of large groups is near 95 % by construction.
* **!** marks a mean symmetric error above {bad:.0%} or a mean error above 100 %: do not rely on that figure without synthesis.

DSP blocks of unrolled layers (reuse factor 1, Latency strategy) depend on the weights, which the rows do not hold: there the
prediction is an expectation and seldom exact. `n-torc-` rows are means of several runs. Rows of forks of hls4ml are skipped
where they, or others of the same project in the same file, show it.
"""


def validation_document(data: str, groups: Sequence[GroupErrors]) -> str:
    """The document as Markdown.

    Args:
        data: name of the file of measured designs.
        groups: errors by group and stage.
    """
    parts = [HEADER.format(data=data, bad=BAD)]
    for group in groups:
        parts.append(f"## {group.group}, {group.stage}\n")
        parts.append(f"{group.rows} rows, {sum(group.skipped.values())} without a model" + (":" if group.skipped else ".") + "\n")
        parts += [f"* {count}: {reason}" for reason, count in group.skipped.items()]
        if group.skipped:
            parts.append("")
        if group.failure_auc is not None:
            parts.append(f"{group.failures} failed syntheses; area under the curve of the failure probability {group.failure_auc:.3f}.\n")
        if group.kpis:
            parts += ["| figure | rows | exact | within 1 | median APE | MAPE | SMAPE | bias | coverage |  |", "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|"]
            parts += [_line(name, group.kpis[name]) for name in KPIS if name in group.kpis]
            parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _line(name: str, errors: Errors) -> str:
    shares = (errors.exact_fraction, errors.within_one, errors.median_ape, errors.mape, errors.smape)
    cells = [
        name,
        str(errors.n),
        *(f"{share:.1%}" for share in shares),
        f"{errors.bias:+.1%}",
        f"{errors.coverage_95:.1%}",
        "**!**" if errors.smape > BAD or errors.mape > 1.0 else "",
    ]
    return f"| {' | '.join(cells)} |"
