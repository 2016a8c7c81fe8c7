"""What row builders get, made from a few events: for tests of single rows."""

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np

from shared import histories, state
from shared.events import Feedback, FeedbackKind, Play
from shared.pages.blending import blend
from shared.pages.drafts import Draft, RowBuilder, RowContext
from shared.pages.facts import Candidates, Facts
from shared.pages.ranking import in_order
from shared.pages.request import Request
from shared.pages.serving import Serving
from shared.titles import Title
from shared.trending import Trending
from tests.online.snapshot_builder import NOW_MS, build_snapshot

DAY_MS = 24 * 3600 * 1000
RATINGS = ("G", "PG", "R")
TAGS = ("Tense", "Quirky", "Dark")
ORIGINS = ("DK", "US")
GENRES = ("Comedy", "Crime", "Drama")


def invented(count: int = 240) -> list[Title]:
    """Titles that go through all combinations of genre, tag and origin; every seventh is for Germany alone."""
    return [
        Title(
            f"t{number}",
            f"Title {number}",
            genres=(GENRES[number % 3],) if number % 4 else (GENRES[number % 3], GENRES[(number + 1) % 3]),
            released_ms=NOW_MS - (number * 11 - 30) * DAY_MS,
            countries=("DE",) if number % 7 == 0 else (),
            maturity=RATINGS[number % 5 % 3] if number % 5 else None,
            tags=(TAGS[number // 3 % 3],),
            origin=ORIGINS[number // 9 % 2],
        )
        for number in range(count)
    ]


@cache
def served() -> Serving:
    """A snapshot of `invented` titles."""
    return Serving(build_snapshot(invented(), members=0, similar=10).loaded())


def context_of(
    history: Iterable[Play | Feedback] = (),
    *,
    on: Serving | None = None,
    candidates: Sequence[int] = (),
    country: str | None = None,
    ratings: tuple[str, ...] = (),
    trending: Trending | None = None,
    now_ms: int = NOW_MS,
    rows_limit: int = 12,
    row_length: int = 8,
) -> RowContext:
    """A request of a member with this history; `candidates` are title indices, best first."""
    serving = on or served()
    known = state.fold(state.EMPTY, history)
    request = Request("m0", "tv", country, now_ms, ratings)
    scores = np.linspace(1.0, 0.5, len(candidates), dtype=np.float32)
    retrieved = Candidates(np.array(candidates, dtype=np.int32), scores) if len(candidates) else None
    facts = Facts(state=known, candidates=retrieved, seeds=histories.seeds(known), trending=trending)
    pool = blend(serving, facts, request)
    ranking = in_order(pool, pool.scores)
    return RowContext(request, serving, known, pool, ranking, rows_limit, row_length, trending, facts.seeds)


def drafted(builder: RowBuilder, context: RowContext) -> list[Draft]:
    """All rows that a builder drafts."""
    return list(builder.draft(context))


def ids_of(draft: Draft, context: RowContext) -> list[str]:
    """The title ids of a draft, in its order."""
    return [context.serving.ids[title] for title in draft.titles.tolist()]


def listed(title_id: str, kind: FeedbackKind = "list_add", *, at_ms: int = NOW_MS - 1000) -> Feedback:
    """A title put on the list or taken off it."""
    return Feedback(schema=1, event_id=f"{title_id}+{at_ms}", member_id="m0", title_id=title_id, kind=kind, at_ms=at_ms)
