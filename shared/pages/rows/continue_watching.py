"""Continue Watching: titles in progress, the one that the member most likely goes on with first."""

from collections.abc import Iterable
from math import prod

import numpy as np

from shared.pages.drafts import Draft, RowContext
from shared.pages.rows.continuing import chance

_MINUTES = 24 * 60


def clock(position_ms: int) -> str:
    """A position as people say it: `43 min`, `1 h 05 min`."""
    minutes = position_ms // 60_000
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


_EVIDENCE = tuple(f"continue at {clock(minute * 60_000)}" for minute in range(_MINUTES))
"""By minute: writing each anew takes longer than finding the titles."""


class ContinueWatching:
    """What the member began and did not finish, the likeliest to go on with first, what was given up last.

    How likely the member continues anything at this moment is the draft's chance, by which page policies find its place.
    """

    def draft(self, context: RowContext) -> Iterable[Draft]:
        if not context.begun:
            return
        now_ms, last = context.request.now_ms, context.state.played[-1]
        chances = [chance(played, last, now_ms) for _, played in context.begun]
        ranked = sorted(
            (played.is_abandoned(now_ms), -value, place)
            for place, (value, (_, played)) in enumerate(zip(chances, context.begun, strict=True))
        )
        order = [context.begun[place] for _, _, place in ranked]
        yield Draft(
            key="continue-watching",
            name="Continue Watching",
            titles=np.array([title for title, _ in order], dtype=np.int32),
            evidence=[_EVIDENCE[min(played.position_ms // 60_000, _MINUTES - 1)] for _, played in order],
            progress=[played.share for _, played in order],
            least=1,
            kind="continue",
            chance=1.0 - prod(1.0 - value for value in chances),
        )
