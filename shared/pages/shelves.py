"""Genres and micro-genres of a catalogue as shelves, and one request's ranked titles put on them.

    Shelves (once a snapshot)  +  Ranking (each request)  →  ShelfView: which shelves the member likes, and what is on them

Everything that depends on the catalogue alone is worked out once, so that a request gathers the shelves of its best titles in a
few array operations for all rows together. Pure.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

import numpy as np

from shared.pages.micro_genres import micro_genres, of_catalogue
from shared.pages.ranking import Ranking
from shared.pages.serving import Indices, Scores, Serving
from shared.titles import Title

LEAST = 12
"""Titles that a micro-genre needs."""
MOST = 600
"""Micro-genres of a catalogue; the largest are kept."""
TAIL = 160
"""Titles of a shelf, by popularity, that fill its row where the member's ranking ends."""
HEAD = 320
"""Best titles of the ranking that are put on shelves."""
VOTERS = 64
"""Best titles that vote for shelves."""
MICRO_POOL = 48
"""Best micro-genres that the rows are chosen from, so that they differ."""
SAME_PART = 2
"""Micro-genre rows that may share a genre, a tag or an origin."""
SCARCE_ROWS, FULL_ROWS = 1.5, 2.5
"""Rows above take some of a micro-genre's titles: with fewer than for `SCARCE_ROWS` it has no row, and up to `FULL_ROWS` it is
wanted the more the more it has."""
ROW_LENGTHS = 3
"""Row lengths of titles on each shelf of a request, since rows above take some."""

_DISCOUNTS = 1.0 / np.sqrt(np.arange(1, VOTERS + 1, dtype=np.float32))


class Shelf(NamedTuple):
    """A genre or micro-genre with its titles in the member's order."""

    key: str
    name: str
    titles: Indices


class Shelves:
    """The shelves of one snapshot: first all genres, then the micro-genres.

    Attributes
    ----------
    keys, names : of each shelf.
    parts, pairs, claims : of each micro-genre, what it is made of, every two of that, and both; empty for a genre.
    genres : how many of the shelves are genres.
    sizes : (shelves,) float32, titles of each.
    weights : (shelves + 1,) float64, what a vote counts for each.
    of_title : (titles, most) of an unsigned type, the shelves that a title is on; `len(keys)` where it is on fewer.
    has_title : (shelves, titles) bool, the same.
    tails : (shelves, TAIL) int32, the most popular titles of each; `titles` where there are fewer.
    """

    def __init__(self, titles: Sequence[Title], genres: Sequence[str], popular_order: Indices) -> None:
        micro = of_catalogue(titles, LEAST, MOST)
        self.genres = len(genres)
        self.keys = [*(f"genre:{genre}" for genre in genres), *(each.key for each in micro)]
        self.names = [*genres, *(each.name for each in micro)]
        self.parts: list[tuple[str, ...]] = [*(() for _ in genres), *(each.parts for each in micro)]
        self.pairs = [frozenset(combinations(parts, 2)) for parts in self.parts]
        self.claims = [pairs.union(parts) for parts, pairs in zip(self.parts, self.pairs, strict=True)]
        number: dict[object, int] = {name: at for at, name in enumerate((*genres, *micro))}
        on = [
            sorted({number[each] for each in (*title.genres, *micro_genres(title)) if each in number}) for title in titles
        ]  # of each title its shelves
        count, nowhere = len(titles), len(self.keys)
        self.of_title = np.full((count, max(map(len, on), default=0)), nowhere, dtype=np.min_scalar_type(nowhere))
        for title, shelves in enumerate(on):
            self.of_title[title, : len(shelves)] = shelves
        has_title = np.zeros((nowhere + 1, count), dtype=np.bool_)
        has_title[self.of_title, np.arange(count)[:, None]] = True
        self.has_title = has_title[:nowhere]
        self.sizes = self.has_title.sum(axis=1).astype(np.float32)
        self.weights = np.append(1.0 / np.sqrt(np.maximum(self.sizes, 1.0)), 0.0)
        self.tails = self._tails(popular_order, count)
        self._fullness: dict[int, Scores] = {}

    @classmethod
    def of(cls, serving: Serving) -> "Shelves":
        """The shelves of a snapshot, worked out by the first request that asks."""
        return serving.once(_shelves_of)

    def fullness(self, row_length: int) -> Scores:
        """How well each micro-genre fills a row, (micro-genres,) float32 from 0 to 1; 0 for one that never could."""
        found = self._fullness.get(row_length)
        if found is None:
            sizes = self.sizes[self.genres :]
            is_scarce = sizes < SCARCE_ROWS * row_length
            found = np.where(is_scarce, 0.0, np.minimum(1.0, sizes / (FULL_ROWS * row_length))).astype(np.float32)
            self._fullness[row_length] = found
        return found

    def _tails(self, popular_order: Indices, count: int) -> Indices:
        by_popularity = self.of_title[popular_order]  # (titles, most)
        place, slot = np.nonzero(by_popularity < len(self.keys))
        shelf = by_popularity[place, slot]
        order = np.argsort(shelf, kind="stable")  # by shelf, then by popularity
        shelf, place = shelf[order], place[order]
        rank = np.arange(len(shelf)) - np.searchsorted(shelf, shelf)
        kept = rank < TAIL
        tails = np.full((len(self.keys), TAIL), count, dtype=np.int32)
        tails[shelf[kept], rank[kept]] = popular_order[place[kept]]
        return tails


def _shelves_of(serving: Serving) -> Shelves:
    return Shelves(serving.snapshot.catalogue.titles, serving.genres, serving.popular_order(None))


class ShelfView:
    """The shelves as one request sees them; each part is worked out when a row first asks for it.

    Parameters
    ----------
    rows_limit : how many rows are drafted at most, genres and micro-genres together.
    row_length : cells of a row; a shelf holds several times as many where it can, since other rows take some.
    """

    def __init__(self, shelves: Shelves, ranking: Ranking, rows_limit: int, row_length: int) -> None:
        self._shelves = shelves
        self._ranking = ranking
        self._rows_limit = rows_limit
        self._row_length = row_length

    @cached_property
    def liking(self) -> Scores:
        """How much the member's best titles speak for each shelf, (shelves + 1,) float32; 0 for the last, which is none.

        Each title votes with its score, less for each place further down. A shelf that half of the catalogue is on gathers votes
        without being liked, so the sum counts against the square root of the shelf's size.
        """
        shelves, order = self._shelves, self._ranking.order[:VOTERS]
        votes = self._ranking.scores.take(order) * _DISCOUNTS[: len(order)]  # (voters,)
        on = shelves.of_title.take(order, axis=0)  # (voters, most)
        gathered = np.bincount(on.ravel(), votes.repeat(on.shape[1]), minlength=len(shelves.keys) + 1)
        liking: Scores = (gathered * shelves.weights).astype(np.float32)
        return liking

    @cached_property
    def genres(self) -> list[Shelf]:
        """The genres, the best liked first."""
        return self._filled[0]

    @cached_property
    def micro_genres(self) -> list[Shelf]:
        """The micro-genres to choose from for this page, the best liked first and none too like those before it."""
        return self._filled[1]

    def fit(self, titles: Indices) -> Scores:
        """How well titles fit what the member likes, by their genres and tags alone, (n,) float32: also titles nobody played."""
        fit: Scores = self.liking.take(self._shelves.of_title.take(titles, axis=0)).sum(axis=1)
        return fit

    @cached_property
    def _filled(self) -> tuple[list[Shelf], list[Shelf]]:
        micro = self._liked_micro_genres(self._rows_limit // 2)
        genres = np.argsort(-self.liking[: self._shelves.genres], kind="stable")[: self._rows_limit - len(micro)].tolist()
        filled = self._fill([*genres, *micro])
        return filled[: len(genres)], filled[len(genres) :]

    def _liked_micro_genres(self, count: int) -> list[int]:
        """Shelves for the micro-genre rows: of the best liked ones those that share no pair of parts, and few single parts."""
        shelves = self._shelves
        worth = self.liking[shelves.genres : -1] * shelves.fullness(self._row_length)  # (micro-genres,)
        np.negative(worth, out=worth)
        best = worth.argpartition(MICRO_POOL)[:MICRO_POOL] if len(worth) > MICRO_POOL else np.arange(len(worth))
        best = best[worth.take(best).argsort(kind="stable")]
        chosen: list[int] = []
        used: dict[str, int] = {}
        refused: set[str | tuple[str, str]] = set()
        for shelf in (best[: np.count_nonzero(worth.take(best))] + shelves.genres).tolist():
            if len(chosen) == count:
                break
            if refused.isdisjoint(shelves.claims[shelf]):
                chosen.append(shelf)
                refused |= shelves.pairs[shelf]
                for part in shelves.parts[shelf]:
                    used[part] = used.get(part, 0) + 1
                    if used[part] == SAME_PART:
                        refused.add(part)
        return chosen

    def _fill(self, chosen: list[int]) -> list[Shelf]:
        """Put the best ranked titles on the chosen shelves, and behind them the most popular others, all shelves at once."""
        shelves, is_open = self._shelves, self._ranking.is_open
        head = self._ranking.order[:HEAD]
        most = ROW_LENGTHS * self._row_length
        tails = shelves.tails[chosen, :most]  # (rows, tail)
        width = len(head) + tails.shape[1]
        is_behind = np.zeros(len(is_open) + 1, dtype=np.bool_)  # the last stands for no title
        is_behind[:-1] = is_open
        is_behind[head] = False
        is_on = np.empty((len(chosen), width), dtype=np.bool_)
        is_on[:, : len(head)] = shelves.has_title.take(chosen, axis=0).take(head, axis=1)
        is_on[:, len(head) :] = is_behind.take(tails)
        titles = np.empty((len(chosen), width), dtype=np.int32)
        titles[:, : len(head)] = head
        titles[:, len(head) :] = tails
        places = is_on.ravel().nonzero()[0]  # (all shelves' titles,)
        on = titles.ravel().take(places)
        ends = places.searchsorted(np.arange(width, (len(chosen) + 1) * width, width)).tolist()
        found: list[Shelf] = []
        start = 0
        for shelf, end in zip(chosen, ends, strict=True):
            found.append(Shelf(shelves.keys[shelf], shelves.names[shelf], on[start : min(end, start + most)]))
            start = end
        return found
