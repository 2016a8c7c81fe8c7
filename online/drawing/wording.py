"""Numbers as people say them, alike in HTML and text."""

from shared.pages.answers import Cell


def duration(seconds: float) -> str:
    """A running time: `1 h 42 min`."""
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def age(age_ms: int | None) -> str:
    """How long ago: `250 ms`, `4 s`, `3 min`, `5 h`, `12 days`; `unknown` for a member without a state."""
    if age_ms is None:
        return "unknown"
    for limit_ms, unit_ms, unit in (
        (1000, 1, "ms"),
        (60_000, 1000, "s"),
        (3_600_000, 60_000, "min"),
        (172_800_000, 3_600_000, "h"),
    ):
        if age_ms < limit_ms:
            return f"{age_ms // unit_ms} {unit}"
    return f"{age_ms // 86_400_000} days"


def milliseconds(seconds: float) -> str:
    """A stage's time: `0.42 ms`."""
    return f"{seconds * 1000:.2f} ms"


def cell_note(cell: Cell) -> str:
    """All that is accounted for about a cell, in one line."""
    return (
        f"{cell.name} — {cell.evidence} · {cell.tier} · score {cell.score:.3f} · row {cell.row_index + 1}, place {cell.rank + 1} "
        f"· shown with chance {cell.propensity:g}"
    )
