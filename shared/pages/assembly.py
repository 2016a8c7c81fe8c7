"""A page's cells made of the rows that were placed: all rows at once, since a page may have a thousand cells. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from shared.pages.answers import Cell, Row, Tier
from shared.pages.blending import TIERS, Pool
from shared.pages.policies.view import Placed
from shared.pages.serving import Scores, Serving

T = TypeVar("T")


def page_tier(rows: Iterable[Row]) -> Tier:
    """The most personal tier of any cell: what the page as a whole could draw on."""
    best = len(TIERS)
    for row in rows:
        for cell in row.cells:
            if cell.tier == TIERS[0]:  # most pages have one in their first row
                return TIERS[0]
            best = min(best, TIERS.index(cell.tier))
    return TIERS[best] if best < len(TIERS) else "empty"


def make_rows(
    placed: Sequence[Placed],
    serving: Serving,
    pool: Pool,
    scores: Scores,
    propensities: Mapping[str, Scores] = MappingProxyType({}),
    first_row: int = 0,
    first_rank: int = 0,
) -> tuple[Row, ...]:
    """The rows with their cells.

    Parameters
    ----------
    placed : drafts from top to bottom, with the places (cells,) of the titles to show in each one's own list.
    propensities : row key to the chance of each of its cells, (cells,); cells of other rows have 1.
    first_row : index of the first row on the page; above 0 for a page continued downwards.
    first_rank : place of the first cell in its row; above 0 for a row continued to the right.
    """
    if not placed:
        return ()
    titles = np.concatenate([draft.titles.take(places) for draft, places in placed])  # (all cells,)
    pool_places = pool.places.take(titles)
    tiers = picked(TIERS, pool.tier_codes.take(pool_places).tolist())
    own_reasons = picked(pool.reason_texts, pool.reasons.take(pool_places).tolist())
    ids, names, genres, runtimes_s = serving.cards.take(titles, axis=1).tolist()
    worth = scores.take(titles).tolist()
    rows: list[Row] = []
    start = 0
    for index, (draft, places) in enumerate(placed, first_row):
        stop = start + len(places)
        evidence: Iterable[str]
        if draft.evidence is None:
            evidence = own_reasons[start:stop]
        elif isinstance(draft.evidence, str):
            evidence = repeat(draft.evidence)
        else:
            evidence = picked(draft.evidence, places.tolist())
        progress = repeat(None) if draft.progress is None else picked(draft.progress, places.tolist())
        # Where the member stopped is live knowledge, whatever the scores say about the title.
        row_tiers: Iterable[Tier] = tiers[start:stop] if draft.progress is None else repeat("live")
        own = propensities.get(draft.key)
        chances: Iterable[float] = repeat(1.0) if own is None else own.tolist()
        some = slice(start, stop)
        ranks = range(first_rank, first_rank + len(places))
        cells = map(
            Cell, ids[some], names[some], repeat(draft.key), repeat(index), ranks, row_tiers, worth[some], evidence,
            chances, genres[some], runtimes_s[some], progress,
        )  # fmt: skip
        rows.append(Row(draft.key, draft.name, tuple(cells)))
        start = stop
    return tuple(rows)


def picked(items: Sequence[T], places: Sequence[int]) -> tuple[T, ...]:
    """The items at some places: several times as fast as a comprehension."""
    if len(places) > 1:
        found: tuple[T, ...] = itemgetter(*places)(items)
        return found
    return tuple(items[place] for place in places)
