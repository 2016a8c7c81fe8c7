"""Why a cell is on a page, as headed lists of facts that a dialog shows. Pure."""

import msgspec

from online.drawing.wording import age
from shared.pages.answers import Cell, Page
from shared.pages.explaining import Explanation

TIERS = {
    "live": "the member's live state",
    "fresh": "candidates retrieved since the member's latest plays",
    "precomputed": "candidates of the nightly run",
    "popular_country": "what the country watches",
    "popular": "what everybody watches",
    "empty": "nothing",
}


class Fact(msgspec.Struct, frozen=True):
    """One line. `share` draws it as a bar, -1 to 1."""

    label: str
    value: str
    share: float | None = None


class Section(msgspec.Struct, frozen=True):
    """Facts under one heading."""

    heading: str
    facts: list[Fact]


class Cause(msgspec.Struct, frozen=True):
    """One cell explained, in words and lines."""

    title_id: str
    name: str
    line: str
    why: str
    sections: list[Section]


def explanations(page: Page) -> dict[str, Cause]:
    """Every cell of a page explained, by `cell_key`. Of a page from memory there is only what the cells themselves say."""
    tops = {row.key: max(cell.score for cell in row.cells) for row in page.rows}
    names = {row.key: row.name for row in page.rows}
    reasons = {} if page.reasons is None else {(each.row_index, each.rank): each for each in page.explain()}
    return {
        cell_key(cell): _explained(page, cell, names[cell.row], tops[cell.row], reasons.get((cell.row_index, cell.rank)))
        for row in page.rows
        for cell in row.cells
    }


def cell_key(cell: Cell) -> str:
    """Names a cell within its page."""
    return f"{cell.row_index}-{cell.rank}"


def _explained(page: Page, cell: Cell, row: str, top: float, reason: Explanation | None) -> Cause:
    sections = [Section("Where it comes from", _source(cell, top, reason))]
    if reason is not None and reason.features:
        most = max(abs(share.weight) for share in reason.features) or 1.0
        weighed = [Fact(share.feature, f"{share.weight:+.3f}", share.weight / most) for share in reason.features]
        sections.append(Section("What weighed in the ranking", weighed))
    place = [
        Fact("row", f"{row} ({cell.row})"),
        Fact("place", f"row {cell.row_index + 1}, {cell.rank + 1} from the left"),
        Fact("chance that it was shown here", f"{cell.propensity:g}", cell.propensity),
    ]
    answered = [
        Fact("snapshot", page.snapshot or "none"),
        Fact("newest event of the member", "none" if page.state_age_ms is None else f"{age(page.state_age_ms)} before"),
        *(Fact(f"test {test}", f"cell {of}") for test, of in page.allocation.items()),
        Fact("page", page.page_id),
    ]
    return Cause(
        title_id=cell.title_id,
        name=cell.name,
        line=" · ".join((*cell.genres, cell.title_id)),
        why=cell.evidence,
        sections=[*sections, Section("Where it stands", place), Section("Answered from", answered)],
    )


def _source(cell: Cell, top: float, reason: Explanation | None) -> list[Fact]:
    share = max(0.0, min(1.0, cell.score / top)) if top > 0 else None
    facts = [Fact("best tier", TIERS[cell.tier]), Fact("score", f"{cell.score:.4f}", share)]
    if reason is not None:
        if reason.blended is not None:
            facts.append(Fact("score of the blend", f"{reason.blended:.4f}"))
        facts += [Fact(f"source: {source.source}", f"{source.score:.3f}", source.score) for source in reason.sources]
        if not reason.sources:
            facts.append(Fact("sources", "none names it; its row goes on with it by popularity"))
    if cell.progress is not None:
        facts.append(Fact("watched", f"{cell.progress:.0%}", cell.progress))
    return facts
