"""Rows before they are placed: what a row builder gets, what it gives, and the one method that it has.

    RowContext → every RowBuilder → Drafts → a page policy (`shared.pages.policies`) → the page

A team adds a row by writing a class with one method and passing it to `Recommender(config, rows=…)`.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.histories import Seed
from shared.pages.answers import Fallback
from shared.pages.blending import Pool
from shared.pages.ranking import Ranking
from shared.pages.request import Request
from shared.pages.serving import Indices, Serving
from shared.state import MemberState
from shared.trending import Trending

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Draft:
    """A row before it is placed.

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
