"""What a page policy is shown, made of a request's context. Pure."""

from shared.config import DeviceFormat, PageConfig
from shared.pages.attention import Attention, BrowseModel
from shared.pages.cursor import Cursor
from shared.pages.drafts import RowContext
from shared.pages.policies.view import PageView, genre_shares
from shared.pages.serving import Scores, Serving

RELEASE_AGE_MS = 180 * 24 * 3600 * 1000
"""From the release on, freshness falls from 1 to 0 within this time."""


class PageTables:
    """What page policies need of a snapshot's titles, worked out once."""

    def __init__(self, serving: Serving) -> None:
        self.genre_shares: Scores = genre_shares(serving.genre_titles)  # (titles, genres + 1)
        self._browse = BrowseModel.from_arrays(serving.snapshot.arrays, serving.version)
        self._attention: dict[DeviceFormat, Attention] = {}

    def attention(self, device: DeviceFormat) -> Attention:
        """How likely each cell is looked at on a device."""
        found = self._attention.get(device)
        if found is None:
            found = self._attention[device] = self._browse.on(device)
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
        taken=None if above is None else above.is_taken(context.serving.count),
        shown_rows=frozenset() if above is None else frozenset(above.rows),
        previous=previous,
        seed=seed,
    )
