"""The page put together from drafted rows: from top to bottom, no title twice, short rows left out. Pure."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from shared.pages.answers import Cell, Row, Tier
from shared.pages.blending import Blend
from shared.pages.drafts import Draft
from shared.pages.serving import Indices, Mask, Serving


def assemble(drafts: Iterable[Draft], serving: Serving, blend: Blend, rows_limit: int, row_length: int) -> tuple[Row, ...]:
    """Place the drafts in their order, each with the titles that the rows above did not take."""
    is_free = np.ones(serving.count, dtype=np.bool_)
    rows: list[Row] = []
    keys: set[str] = set()
    for draft in drafts:
        if len(rows) == rows_limit:
            break
        free = _free_places(draft.titles, is_free, row_length)  # (cells,)
        if draft.key in keys or len(free) < min(draft.least, row_length):
            continue
        titles = draft.titles[free]  # (cells,)
        is_free[titles] = False
        keys.add(draft.key)
        cells = _cells(draft, len(rows), free.tolist(), titles.tolist(), serving, blend)
        rows.append(Row(key=draft.key, name=draft.name, cells=cells))
    return tuple(rows)


def page_tier(rows: Iterable[Row]) -> Tier:
    """The most personal tier of any cell: what the page as a whole could draw on."""
    present = {cell.tier for row in rows for cell in row.cells}
    tiers: tuple[Tier, ...] = ("live", "fresh", "precomputed", "popular_country", "popular")
    return next((tier for tier in tiers if tier in present), "empty")


def _free_places(titles: Indices, is_free: Mask, limit: int) -> npt.NDArray[np.intp]:
    """Places of the first `limit` titles of a draft that no row has yet, (n,) ascending; of a repeated title the first."""
    free = np.flatnonzero(is_free[titles])
    chosen = free[:limit]
    if len(set(titles[chosen].tolist())) < len(chosen):
        _, first = np.unique(titles[free], return_index=True)
        chosen = free[np.sort(first)][:limit]
    return chosen


def _cells(
    draft: Draft, row_index: int, places: list[int], titles: list[int], serving: Serving, blend: Blend
) -> tuple[Cell, ...]:
    evidence, progress = draft.evidence, draft.progress
    cells: list[Cell] = []
    for rank, (place, title) in enumerate(zip(places, titles, strict=True)):
        if evidence is None:
            why = blend.evidence(title)
        else:
            why = evidence if isinstance(evidence, str) else evidence[place]
        cells.append(
            Cell(
                title_id=serving.ids[title],
                name=serving.names[title],
                row=draft.key,
                row_index=row_index,
                rank=rank,
                # Where the member stopped is live knowledge, whatever the scores say about the title.
                tier=blend.tier(title) if progress is None else "live",
                score=float(blend.scores[title]),
                evidence=why,
                genres=serving.title_genres[title],
                runtime_s=serving.runtimes_s[title],
                progress=None if progress is None else progress[place],
            )
        )
    return tuple(cells)
