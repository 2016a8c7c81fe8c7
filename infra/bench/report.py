"""The figures beside their targets, as text and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from shared.whole_files import write_whole


@dataclass(frozen=True)
class Row:
    """One figure. `met` is None where nothing is promised; `values` are the numbers behind `figure`, for the JSON file."""

    what: str
    figure: str
    target: str = ""
    met: bool | None = None
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Repeated:
    """The same figure from several rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.values)

    def text(self, digits: int = 0) -> str:
        """Median, and range if there is one."""
        if len(self.values) == 1:
            return f"{self.median:,.{digits}f}"
        low, high = min(self.values), max(self.values)
        return f"{self.median:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def at_least(what: str, found: Repeated, target: float, *, unit: str, digits: int = 0) -> Row:
    """A row whose median must reach a target."""
    return Row(
        what,
        f"{found.text(digits)} {unit}",
        f"≥ {target:,.{digits}f}",
        found.median >= target,
        {"median": found.median, "rounds": list(found.values), "target": target},
    )


def told(what: str, found: Repeated, *, unit: str, digits: int = 0) -> Row:
    """A row that only tells."""
    return Row(what, f"{found.text(digits)} {unit}", values={"median": found.median, "rounds": list(found.values)})


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Repeated:
    """Round by round, so that a load that both had cancels out."""
    return Repeated(tuple(mine / other for mine, other in zip(ours, theirs, strict=True)))


def table(rows: Sequence[Row]) -> str:
    """All rows as text."""
    widths = [
        max(len(cell) for cell in column) for column in zip(*([row.what, row.figure, row.target] for row in rows), strict=True)
    ]
    lines = []
    for row in rows:
        verdict = {None: "", True: "met", False: "MISSED"}[row.met]
        cells = [cell.ljust(width) for cell, width in zip((row.what, row.figure, row.target), widths, strict=True)]
        lines.append("  ".join([*cells, verdict]).rstrip())
    return "\n".join(lines)


def write(rows: Sequence[Row], about: dict[str, Any], path: Path) -> None:
    """Everything as JSON; `about` says on what machine and how it was measured."""
    write_whole(path, (json.dumps({**about, "rows": [asdict(row) for row in rows]}, indent=1) + "\n").encode())
