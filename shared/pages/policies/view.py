"""What a page policy gets and gives. The one method that a policy has is its whole contract."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from shared.config import PageConfig
from shared.pages.attention import Attention
from shared.pages.drafts import Draft
from shared.pages.serving import Mask, Scores

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageView:
    """All that a policy may look at besides the drafts.

    Attributes
    ----------
    scores : (titles,) float32, relevance of each title; not negative, 0 outside the pool.
    genre_shares : (titles, columns) float32, each title's share of each genre; what `genre_shares` gives.
    attention : how likely each row and cell is looked at, for at least `rows_limit` rows and `row_length` cells.
    rows_limit, row_length : most rows of the page, most cells of a row.
    settings : weights of the objective, pinned rows and the budget of the search.
    freshness : (titles,) float32 from 0 for an old title to 1 for a new one; None where it is not to count.
    taken : (titles,) bool, titles that the member has been shown further up when a page goes on; None on a first page.
    shown_rows : keys of the rows further up.
    previous : row keys of the member's last page from top to bottom; empty without one.
    seed : all that is random comes from it.
    """

    scores: Scores
    genre_shares: Scores
    attention: Attention
    rows_limit: int
    row_length: int
    settings: PageConfig
    freshness: Scores | None = None
    taken: Mask | None = None
    shown_rows: frozenset[str] = frozenset()
    previous: tuple[str, ...] = ()
    seed: int = 0


class Placed(NamedTuple):
    """A row of the page: `places` (cells,) intp are those of its titles in `draft.titles`, ascending."""

    draft: Draft
    places: Places


class PagePolicy(Protocol):
    """Decides which of the drafted rows a page has, in which order, and which titles each of them shows.

    Whatever the policy: a title is in at most one row, except that a row which owns its titles shows them in any case and leaves
    them to others; the titles of a row keep their order; a row with fewer than its `least` titles left is not shown; of drafts
    with the same key only the first can be.
    """

    def place(self, drafts: Sequence[Draft], view: PageView) -> list[Placed]:
        """The page from top to bottom."""
        ...


def genre_shares(genre_titles: Mask) -> Scores:
    """Each title's share of each genre, from which titles a genre has. Worked out once a snapshot.

    Parameters
    ----------
    genre_titles : (genres, titles) bool.

    Returns
    -------
    shares : (titles, genres + 2) float32. The first columns sum to 1, the last of them for titles without a genre; then a column
        of ones, by which what is summed by genre is summed in all.
    """
    count = genre_titles.sum(axis=0)  # (titles,)
    shares = np.ones((genre_titles.shape[1], len(genre_titles) + 2), dtype=np.float32)
    shares[:, :-2] = genre_titles.T / np.maximum(count, 1)[:, None]
    shares[:, -2] = count == 0
    return shares  # (titles, genres + 2)
