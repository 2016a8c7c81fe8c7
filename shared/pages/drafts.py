"""Rows before they are placed: what a row builder gets, what it gives, and the one method that it has.

    RowContext → every RowBuilder → Drafts → a page policy (`shared.pages.policies`) → the page

A team adds a row by writing a class with one method and passing it to `Recommender(config, rows=…)`.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from shared.histories import Seed
from shared.pages.answers import Fallback
from shared.pages.blending import Pool
from shared.pages.ranking import Ranking
from shared.pages.request import Request
from shared.pages.serving import Indices, Mask, Scores, Serving
from shared.pages.shelves import ShelfView, Shelves
from shared.state import MemberState, Played
from shared.trending import Trending

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RowContext:
    """All that a builder may look at.

    Attributes
    ----------
    trending : what the stream says; None where the snapshot's list is the newest.
    seeds : titles that the member watched for the most part, the newest first.
    """

    request: Request
    serving: Serving
    state: MemberState
    blend: Pool
    ranking: Ranking
    rows_limit: int
    row_length: int
    trending: Trending | None = None
    seeds: tuple[Seed, ...] = ()

    @cached_property
    def shelves(self) -> ShelfView:
        """The ranked titles by genre and micro-genre, which several builders share."""
        # The rest of the page is Top Picks, Trending Now and rows about titles watched, and whatever else there is for a member.
        rows = max(1, self.rows_limit - (5 if self.seeds else 2))
        return ShelfView(Shelves.of(self.serving), self.ranking, rows, self.row_length)

    @cached_property
    def appeal(self) -> Scores:
        """What the ranking adds to how well a title suits a row, (titles,) float32.

        2 for the best of the ranking down to 1 for open titles that it does not have; 0 for titles not to be recommended.
        """
        ranking = self.ranking
        appeal: Scores = ranking.is_open.astype(np.float32)  # (titles,)
        if len(ranking.order):
            best = float(ranking.scores[ranking.order[0]])
            appeal += ranking.scores * np.float32(1.0 / max(best, 1e-9))  # 0 outside the pool, and all of the pool is open
        return appeal

    def by_appeal(self, titles: Indices, worth: Scores) -> Indices:
        """The open ones of some titles, the greatest worth × appeal first, (≤ n,) int32; of equal ones the first.

        Parameters
        ----------
        titles, worth : (n,) int32 and float32, how well each title suits the row by itself, above 0.
        """
        total = worth * self.appeal.take(titles)  # (n,)
        order = np.negative(total, out=total).argsort(kind="stable")
        ordered: Indices = titles.take(order[: np.count_nonzero(total)])
        return ordered

    @cached_property
    def seed_titles(self) -> list[int]:
        """The seeds that the snapshot knows, as title indices."""
        index = self.serving.index
        return [index[seed.title_id] for seed in self.seeds if seed.title_id in index]

    @cached_property
    def is_personal(self) -> bool:
        """Whether anything about this member is in the scores."""
        return self.blend.is_personal

    @cached_property
    def begun(self) -> list[tuple[int, Played]]:
        """Titles in progress that may be shown, the last watched first, at most a row: (title index, last play)."""
        return self.blend.begun[: self.row_length]

    @cached_property
    def disliked(self) -> frozenset[str]:
        """Titles with a thumb down."""
        return self.state.disliked_titles

    @cached_property
    def showable(self) -> Mask:
        """Titles that may be shown at all, (titles,) bool: to continue, watch again or keep, also those not to be recommended."""
        return self.serving.shown_to(self.request)


@dataclass(slots=True)  # frozen, making one takes three times as long, and a page has thirty
class Draft:
    """A row before it is placed. Not to be changed once it is made.

    Attributes
    ----------
    key : names the row in logs; the same from visit to visit.
    titles : (n,) int32, best first; more than fit, since other rows may take some of them.
    evidence : why the titles are here, one sentence for all of them or one for each; None for each title's own reason.
    progress : how far in each title the member is, for titles to continue.
    least : with fewer titles left the row is not shown.
    kind : rows of one kind (`genre`, `because`, …) repeat each other; a page policy may space them out.
    owns : the row shows its titles whether or not another row has them too, and leaves them to others: My List is the whole
        list. Titles of other rows are never repeated.
    chance : how likely the member wants this very row, 0 to 1, beyond what its titles are worth; None where nothing is known.
        Continue Watching has the chance that the member continues.
    """

    key: str
    name: str
    titles: Indices
    evidence: str | Sequence[str] | None = None
    progress: Sequence[float] | None = None
    least: int = 4
    kind: str = ""
    owns: bool = False
    chance: float | None = None


class RowBuilder(Protocol):
    """Drafts rows of one kind."""

    def draft(self, context: RowContext) -> Iterable[Draft]:
        """The rows of this kind for one request, the most wanted first; none when there is nothing to show."""
        ...


def draft_rows(builders: Iterable[RowBuilder], context: RowContext) -> tuple[list[Draft], tuple[Fallback, ...]]:
    """All builders' rows, in the builders' order; a builder that fails costs its own rows and is named."""
    drafts: list[Draft] = []
    failed: list[Fallback] = []
    for builder in builders:
        try:
            drafts.extend(builder.draft(context))
        except Exception as error:  # a team's own builder must not cost the member the page
            name = type(builder).__name__
            log.exception("row builder %s failed", name)
            failed.append(Fallback("row-failed", f"{name}: {type(error).__name__}: {error}"))
    return drafts, tuple(failed)
