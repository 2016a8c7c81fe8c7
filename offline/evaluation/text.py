"""Reports as tables for people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from offline.evaluation.bootstrap import Estimate

if TYPE_CHECKING:
    from offline.evaluation.report import Report

FEW_MEMBERS = 30  # below, resampling them says too little of those who were not asked


def report_text(report: "Report", segments: bool = True) -> str:
    """The tables of a report: every member, those with a history where these are fewer, and, if wanted, each kind of segment."""
    seen = "seen titles kept" if report.keep_seen else "seen titles left out"
    lines = [report.protocol] if report.protocol else []
    lines.append(
        f"{report.titles:,} titles ranked, {seen}; {report.test_titles:,} test titles, {report.unknown_titles:,} not in train"
    )
    for group, what in (("all", "all test members"), ("known", "test members with a history")):
        if group == "all" or report.members[group] != report.members["all"]:
            few = ", too few for the intervals to mean much" if report.members[group] < FEW_MEMBERS else ""
            lines += ["", f"{what}: {report.members[group]:,}{few}", *_differences(report, group)]
    if report.floor in report.models:
        lines += ["", f"the strongest floor is {report.floor!r}"]
    lines += ["fitted in " + ", ".join(f"{result.fit_s:.1f} s ({label})" for label, result in report.models.items())]
    for kind, groups in report.segments.items() if segments else ():
        lines += ["", f"by {kind}", *_segments(report, kind, groups)]
    return "\n".join(lines) + "\n"


def _differences(report: "Report", group: str) -> list[str]:
    """A row a metric and model, with the difference from the baseline."""
    baseline = report.models[report.baseline].metrics[group]
    table = [["metric", "model", "mean", "95 % interval", f"over {report.baseline}", "95 % interval"]]
    for metric in _metrics(report, [group]):
        rows: list[list[str]] = []
        for label, result in report.models.items():
            found, lift = result.metrics[group].get(metric), result.lift[group].get(metric)
            if found is None:
                continue
            over = ["", ""]
            if lift is not None:
                base = baseline[metric].mean
                relative = f" ({lift.mean / base:+.0%})" if base > 0 else ""
                over = [f"{lift.mean:+.4f}{relative}", f"{lift.low:+.4f} – {lift.high:+.4f}"]
            rows.append(["" if rows else metric, label, f"{found.mean:.4f}", f"{found.low:.4f} – {found.high:.4f}", *over])
        table += rows
    return aligned(table)


def _segments(report: "Report", kind: str, groups: Sequence[str]) -> list[str]:
    """A row a segment and model, a column a metric."""
    metrics = _metrics(report, groups)
    table = [["segment", "members", "model", *metrics]]
    for group in groups:
        for number, (label, result) in enumerate(report.models.items()):
            first = [group.removeprefix(f"{kind}: "), f"{report.members[group]:,}"] if number == 0 else ["", ""]
            table.append([*first, label, *(_cell(result.metrics[group].get(metric)) for metric in metrics)])
    return aligned(table)


def _metrics(report: "Report", groups: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name for each in report.models.values() for group in groups for name in each.metrics[group]))


def _cell(found: Estimate | None) -> str:
    return "–" if found is None else f"{found.mean:.4f} ({found.low:.4f} – {found.high:.4f})"


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table as lines, its columns aligned."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
