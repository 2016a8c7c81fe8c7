"""Continue Watching: titles in progress, the one that the member most likely goes on with first."""

from collections.abc import Iterable

import numpy as np

from shared.pages.drafts import Draft, RowContext
from shared.pages.rows.bookmarks import Bookmarks

_MINUTES = 24 * 60


def clock(position_ms: int) -> str:
    """A position as people say it: `43 min`, `1 h 05 min`."""
    minutes = position_ms // 60_000
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


_EVIDENCE = tuple(f"continue at {clock(minute * 60_000)}" for minute in range(_MINUTES))
"""By minute: a row has dozens of titles, and writing each anew takes longer than finding them."""


class ContinueWatching:
    """What the member began and did not finish, the likeliest to go on with first, what was given up last.

    How likely the member continues anything at this moment is the draft's chance, by which page policies find its place.
    """

    def draft(self, context: RowContext) -> Iterable[Draft]:
        if not context.begun:
            return
        titles, played = zip(*context.begun, strict=True)
        bookmarks = Bookmarks.of(played, context.request.now_ms)
        chance = bookmarks.chances(context.state.played[-1])  # (n,)
        order = (bookmarks.is_abandoned - chance).argsort(kind="stable")
        minutes = np.minimum(bookmarks.position_ms[order] // 60_000, _MINUTES - 1).tolist()
        yield Draft(
            key="continue-watching",
            name="Continue Watching",
            titles=np.array(titles, dtype=np.int32).take(order),
            evidence=[_EVIDENCE[minute] for minute in minutes],
            progress=bookmarks.share.take(order).tolist(),
            least=1,
            kind="continue",
            chance=float(1.0 - (1.0 - chance).prod()),
        )
