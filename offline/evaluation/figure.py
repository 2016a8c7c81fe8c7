"""Draws a report: one panel a metric, one line a model, a point with its interval."""

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from shared.errors import InputError

if TYPE_CHECKING:
    from offline.evaluation.report import Report

KINDS = (".png", ".svg", ".pdf")
COLUMNS = 3
BASELINE_COLOUR, ABOVE, BELOW, NEITHER = "#222222", "#1f77b4", "#d95f02", "#8c8c8c"


def check_kind(path: Path) -> None:
    """Refuse a kind of file that cannot be drawn."""
    if path.suffix.lower() not in KINDS:
        raise InputError(f"{path}: unknown kind of figure {path.suffix!r}; expected one of {', '.join(KINDS)}")


def draw(report: "Report", kind: str) -> bytes:
    """Return the figure of all test members as a file of a kind, such as ".png".

    A model's colour says whether its paired difference from the baseline is above 0 (its whole interval), below, or neither.
    """
    labels = list(report.models)
    metrics = list(dict.fromkeys(name for result in report.models.values() for name in result.metrics["all"]))
    columns = min(COLUMNS, len(metrics))
    rows = math.ceil(len(metrics) / columns)
    margin_in = 0.075 * max(len(label) for label in labels)
    figure = Figure(figsize=(margin_in + 2.9 * columns, 0.9 + rows * (0.75 + 0.27 * len(labels))), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    for panel, metric in zip(panels, metrics, strict=False):
        for place, label in enumerate(labels):
            found = report.models[label].metrics["all"].get(metric)
            if found is None:
                continue
            panel.errorbar(
                found.mean,
                place,
                xerr=[[max(0.0, found.mean - found.low)], [max(0.0, found.high - found.mean)]],
                fmt="o",
                markersize=4,
                capsize=3,
                linewidth=1.5,
                color=_colour(report, label, metric),
            )
        base = report.models[report.baseline].metrics["all"].get(metric)
        if base is not None:
            panel.axvline(base.mean, color=BASELINE_COLOUR, linewidth=0.6, linestyle=":")
        panel.set_title(metric, fontsize=10)
        panel.tick_params(labelsize=8)
        panel.locator_params(axis="x", nbins=4)
        panel.grid(axis="x", linewidth=0.3)
        panel.set_yticks(range(len(labels)), labels)
        panel.set_ylim(len(labels) - 0.5, -0.5)  # the first model on top
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    for panel in panels[len(metrics) :]:
        panel.set_visible(False)
    figure.suptitle(
        f"{report.members['all']:,} members, {report.titles:,} titles; mean and 95 % interval; blue above {report.baseline}, "
        "orange below, grey neither for certain",
        fontsize=8,
        wrap=True,
    )
    drawn = io.BytesIO()
    figure.savefig(drawn, format=kind.lstrip(".").lower(), dpi=150)
    return drawn.getvalue()


def _colour(report: "Report", label: str, metric: str) -> str:
    lift = report.models[label].lift["all"].get(metric)
    if label == report.baseline or lift is None:
        return BASELINE_COLOUR
    return ABOVE if lift.low > 0 else BELOW if lift.high < 0 else NEITHER
