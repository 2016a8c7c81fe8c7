"""Rows of titles that the member knows: watched to the end long ago, or put on the list."""

from bisect import bisect_right
from collections.abc import Collection, Iterable
from operator import attrgetter

import numpy as np

from shared.pages.drafts import Draft, RowContext
from shared.pages.serving import Indices
from shared.state import Mark

_AT_MS = attrgetter("at_ms")
WATCHED_AGO_MS = 30 * 24 * 3600 * 1000
"""A title finished more lately is too fresh in mind."""
LIKED_BONUS = 1.0
"""What a thumb up adds to how well a title fits the member's taste, which is from 0 to 1 here."""


class WatchItAgain:
    """Titles that the member finished long enough ago, those with a thumb up first, then those that fit the taste of today.

    They are closed for recommendation, so no other row has them; those that the member has begun again are left to Continue
    Watching.
    """

    def draft(self, context: RowContext) -> Iterable[Draft]:
        finished = context.state.finished
        until = bisect_right(finished, context.request.now_ms - WATCHED_AGO_MS, key=_AT_MS)
        if not until:
            return
        marks = finished[max(0, until - context.row_length) : until][::-1]
        titles = _known_titles(context, marks, {title for title, _ in context.begun})
        if not len(titles):
            return
        worth = context.shelves.fit(titles)  # (n,)
        worth /= max(float(worth.max()), 1e-9)
        liked = {mark.title_id for mark in context.state.thumbs if mark.is_set}
        if liked:
            ids = context.serving.ids
            worth += np.array([LIKED_BONUS if ids[title] in liked else 0.0 for title in titles.tolist()], dtype=np.float32)
        yield Draft(
            key="watch-again",
            name="Watch It Again",
            titles=titles.take((-worth).argsort(kind="stable")),
            evidence="you watched it to the end",
            kind="watch-again",
            owns=True,
        )


class MyList:
    """What the member put on the list, the newest first. It is all there, whatever other rows show."""

    def draft(self, context: RowContext) -> Iterable[Draft]:
        listed = [mark for mark in reversed(context.state.my_list) if mark.is_set][: context.row_length]
        if not listed:
            return
        titles = _known_titles(context, listed, ())
        if len(titles):
            yield Draft(key="my-list", name="My List", titles=titles, evidence="on your list", least=1, kind="my-list", owns=True)


def _known_titles(context: RowContext, marks: Iterable[Mark], skipped: Collection[int]) -> Indices:
    """The titles of marks that may be shown and are not disliked, in the marks' order, (n,) int32."""
    index, disliked = context.serving.index, context.disliked
    known = [index.get(mark.title_id, -1) for mark in marks if mark.title_id not in disliked]
    titles = np.array([title for title in known if title >= 0 and title not in skipped], dtype=np.int32)
    return titles.compress(context.showable.take(titles))
