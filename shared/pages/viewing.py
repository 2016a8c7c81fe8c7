"""What a page policy is shown, made of a request's context. Pure."""

import numpy as np

from shared.config import DeviceFormat, PageConfig
from shared.pages.attention import Attention, BrowseModel
from shared.pages.cursor import Cursor
from shared.pages.drafts import RowContext
from shared.pages.policies.view import PageView, genre_shares
from shared.pages.serving import Scores, Serving

RELEASE_AGE_MS = 180 * 24 * 3600 * 1000
"""From the release on, freshness falls from 1 to 0 within this time."""
DAY_MS = 24 * 3600 * 1000
DAYS_KEPT = 64
"""Days whose freshness a process keeps: a server has one or two, a replay many."""


class PageTables:
    """What page policies need of a snapshot's titles, worked out once."""

    def __init__(self, serving: Serving) -> None:
        self.genre_shares: Scores = genre_shares(serving.genre_titles)  # (titles, genres + 2)
        self._browse = BrowseModel.from_arrays(serving.snapshot.arrays, serving.version)
        self._attention: dict[DeviceFormat, Attention] = {}
        self._released_ms = serving.released_ms
        self._freshness: dict[int, Scores] = {}

    def attention(self, device: DeviceFormat) -> Attention:
        """How likely each cell is looked at on a device."""
        found = self._attention.get(device)
        if found is None:
            found = self._attention[device] = self._browse.on(device)
        return found

    def freshness(self, at_ms: int) -> Scores:
        """From 1 for what is released that day to 0 for what is older than `RELEASE_AGE_MS` or not yet released, (titles,)."""
        day = at_ms // DAY_MS
        found = self._freshness.get(day)
        if found is None:
            age_ms = (day + 1) * DAY_MS - np.maximum(self._released_ms, 0)  # (titles,)
            fresh = np.where(age_ms >= 0, 1.0 - age_ms / RELEASE_AGE_MS, 0.0).clip(min=0.0).astype(np.float32)
            if len(self._freshness) >= DAYS_KEPT:
                self._freshness.clear()
            found = self._freshness[day] = fresh
        return found


def view_of(
    context: RowContext,
    device: DeviceFormat,
    page: PageConfig,
    above: Cursor | None = None,
    previous: tuple[str, ...] = (),
    seed: int = 0,
) -> PageView:
    """The view of one request.

    Parameters
    ----------
    above : what the member has been shown further up, for a page that goes on; None for a first page.
    previous : row keys of the member's last page.

    Raises
    ------
    SnapshotError : the snapshot's browse model cannot be.
    """
    tables = context.serving.once(PageTables)
    return PageView(
        scores=context.ranking.scores,
        genre_shares=tables.genre_shares,
        attention=tables.attention(device),
        rows_limit=device.rows,
        row_length=device.row_length,
        settings=page,
        freshness=tables.freshness(context.request.now_ms),
        taken=None if above is None else above.is_taken(context.serving.count),
        shown_rows=frozenset() if above is None else frozenset(above.rows),
        previous=previous,
        seed=seed,
    )
