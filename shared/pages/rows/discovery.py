"""Rows against cold starts: of titles that hardly anybody has played yet, and for members who have not played anything."""

from collections.abc import Iterable

import numpy as np

from shared.pages.arrivals import Arrivals
from shared.pages.blending import SOURCES
from shared.pages.drafts import Draft, RowContext
from shared.pages.serving import Indices, Serving

FRESH = 100
"""Newest titles with few plays that are looked at."""
ASKED_UNTIL = 3
"""Titles played or given a thumb from which on a member is known well enough."""
ASKED = 200
"""Titles to ask about, the most telling first."""
ASKED_POOL = 600
"""Most popular titles that those are chosen from."""
SAMENESS = 0.6
"""What each title already chosen leaves of the worth of another one of its genre."""

_PRECOMPUTED = SOURCES.index("precomputed")
_SOME = np.float32(1e-6)  # a title that fits nothing the member likes is still new


class FreshFinds:
    """New titles with few plays, by how well their genres and tags fit the member: nobody's plays could tell yet."""

    def draft(self, context: RowContext) -> Iterable[Draft]:
        found = Arrivals.of(context.serving).undiscovered_at(context.request.now_ms)[:FRESH]
        titles = context.by_appeal(found, context.shelves.fit(found) + _SOME)
        if len(titles):
            yield Draft(
                key="fresh-finds",
                name="New and Waiting to Be Found",
                titles=titles,
                evidence="new, and not much watched yet",
                kind="fresh-finds",
            )


class PickSomeYouLike:
    """Asks a member of whom little is known for titles they like: popular ones, of all genres."""

    def draft(self, context: RowContext) -> Iterable[Draft]:
        state = context.state
        told = {entry.title_id for part in (state.played[-ASKED_UNTIL:], state.thumbs[-ASKED_UNTIL:]) for entry in part}
        # Precomputed candidates are those of a member whose history the models know, however little of it the state holds.
        if len(told) >= ASKED_UNTIL or context.blend.source_scores[_PRECOMPUTED].any():
            return
        titles = context.serving.once(titles_to_ask_about)
        is_asked = context.ranking.is_open.copy()
        is_asked[[context.serving.index[title_id] for title_id in told if title_id in context.serving.index]] = False
        yield Draft(
            key="ask",
            name="Pick Some Titles You Like",
            titles=titles[is_asked[titles]],
            evidence="tells us what you like",
            kind="ask",
        )


def titles_to_ask_about(serving: Serving) -> Indices:
    """Popular titles of all genres, the most telling first, (n,) int32.

    Each next title is the one with the greatest popularity × Π over its genres of SAMENESS ** (titles chosen of that genre),
    so that a member finds something to like early, whatever they like.
    """
    pool = serving.popular_order(None)[:ASKED_POOL]
    worth = np.log(1.0 / np.arange(2, len(pool) + 2))  # (pool,): popularity falls about like one over the rank
    genres = serving.genre_titles[:, pool].astype(np.float64)  # (genres, pool)
    chosen: list[int] = []
    for _ in range(min(ASKED, len(pool))):
        best = int(np.argmax(worth))
        chosen.append(best)
        worth += np.log(SAMENESS) * (genres[:, best] @ genres)  # (pool,)
        worth[best] = -np.inf
    return pool[chosen]
